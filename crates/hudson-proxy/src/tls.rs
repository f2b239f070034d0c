//! TLS on both legs: ring towards clients, where small records on loopback decide, aws-lc-rs towards servers, which
//! has the post-quantum key exchange. Must never weaken verification.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, server};

use crate::authority::Authority;
use crate::error::{BuildError, UpstreamError};
use crate::handler::{CertSource, ClientTlsFailure};
use crate::leg::Leg;

pub(crate) const H2: &[u8] = b"h2";
/// The first byte of what a TLS client sends.
pub(crate) const HANDSHAKE_RECORD: u8 = 0x16;
const HTTP11: &[u8] = b"http/1.1";
/// Wildcard hosts could otherwise fill the memory with one configuration each.
const MOST_CONFIGS: usize = 256;
/// Sessions remembered towards servers.
const SESSIONS: usize = 256;

/// Which HTTP versions are offered to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// What an HTTP/1 client gets, so that its header case and upgrades survive.
    H1,
    /// What an HTTP/2 client gets.
    H2AndH1,
    /// What is left when a server refuses HTTP/1.
    H2,
}

/// The leg towards servers.
pub(crate) struct UpstreamTls {
    h1: TlsConnector,
    both: TlsConnector,
    h2: TlsConnector,
    none: TlsConnector,
}

impl UpstreamTls {
    pub(crate) fn new(roots: RootCertStore) -> Result<Self, BuildError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let roots = Arc::new(roots);
        let connector = |alpn: &[&[u8]]| {
            let mut config = ClientConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()
                .map_err(BuildError::Tls)?
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
            config.resumption = rustls::client::Resumption::in_memory_sessions(SESSIONS);
            Ok(TlsConnector::from(Arc::new(config)))
        };
        Ok(Self {
            h1: connector(&[HTTP11])?,
            both: connector(&[H2, HTTP11])?,
            h2: connector(&[H2])?,
            none: connector(&[])?,
        })
    }

    /// For a proxy that is itself reached over TLS.
    pub(crate) fn for_proxies(&self) -> TlsConnector {
        self.none.clone()
    }

    /// Returns the stream and whether HTTP/2 was agreed on.
    pub(crate) async fn connect(
        &self,
        leg: Leg,
        target: &Authority,
        offer: Offer,
        limit: Duration,
    ) -> Result<(Leg, bool), UpstreamError> {
        let connector = match offer {
            Offer::H1 => &self.h1,
            Offer::H2AndH1 => &self.both,
            Offer::H2 => &self.h2,
        };
        let name = ServerName::try_from(target.host().to_owned()).map_err(|_| UpstreamError::Tls {
            target: target.clone(),
            source: io::Error::new(io::ErrorKind::InvalidInput, "its name can't stand in a certificate"),
        })?;
        let stream = timeout(limit, connector.connect(name, leg))
            .await
            .map_err(|_| UpstreamError::TlsTimeout { target: target.clone(), after: limit })?
            .map_err(|error| sorted(target, error))?;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(H2);
        Ok((Leg::Tls(Box::new(stream)), h2))
    }
}

fn sorted(target: &Authority, source: io::Error) -> UpstreamError {
    match tls_cause(&source) {
        Some(cause @ rustls::Error::InvalidCertificate(_)) => {
            UpstreamError::Certificate { target: target.clone(), source: cause.clone() }
        }
        _ => UpstreamError::Tls { target: target.clone(), source },
    }
}

fn tls_cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}

/// Whether the server speaks none of the protocols that were offered.
pub(crate) fn refused_alpn(error: &UpstreamError) -> bool {
    let UpstreamError::Tls { source, .. } = error else { return false };
    matches!(
        tls_cause(source),
        Some(
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
                | rustls::Error::NoApplicationProtocol
        )
    )
}

/// The leg towards clients.
pub(crate) struct ClientTls {
    certs: Arc<dyn CertSource>,
    provider: Arc<CryptoProvider>,
    tickets: Arc<dyn ProducesTickets>,
    configs: Mutex<HashMap<Arc<str>, Minted>>,
}

struct Minted {
    key: Arc<CertifiedKey>,
    config: Arc<ServerConfig>,
}

impl ClientTls {
    pub(crate) fn new(certs: Arc<dyn CertSource>) -> Result<Self, BuildError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // Found out now rather than at the first connection.
        ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(BuildError::Tls)?;
        let tickets = rustls::crypto::ring::Ticketer::new().map_err(BuildError::Tickets)?;
        Ok(Self { certs, provider, tickets, configs: Mutex::new(HashMap::new()) })
    }

    /// Terminates TLS for the host that the client asked to be connected to, whatever name it sends in SNI.
    pub(crate) async fn accept<S>(
        &self,
        stream: S,
        target: &Authority,
        limit: Duration,
    ) -> Result<server::TlsStream<S>, ClientTlsFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = async {
            let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
            let start = hello.await.map_err(|error| failure(&error))?;
            let key = self.certs.certified_key(target.host()).await.map_err(|error| {
                tracing::warn!(host = target.host(), %error, "no certificate could be minted");
                ClientTlsFailure::NoCertificate
            })?;
            let config = self.config(target.host(), key)?;
            start.into_stream(config).await.map_err(|error| failure(&error))
        };
        timeout(limit, handshake).await.unwrap_or(Err(ClientTlsFailure::TimedOut))
    }

    /// One configuration a host, as long as its certificate stays the same.
    fn config(&self, host: &str, key: Arc<CertifiedKey>) -> Result<Arc<ServerConfig>, ClientTlsFailure> {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(minted) = configs.get(host)
            && Arc::ptr_eq(&minted.key, &key)
        {
            return Ok(minted.config.clone());
        }
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|_| ClientTlsFailure::Protocol)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(TheOne(key.clone())));
        config.alpn_protocols = vec![H2.to_vec(), HTTP11.to_vec()];
        config.ticketer = self.tickets.clone();
        let config = Arc::new(config);
        if configs.len() >= MOST_CONFIGS {
            configs.clear();
        }
        configs.insert(host.into(), Minted { key, config: config.clone() });
        Ok(config)
    }
}

#[derive(Debug)]
struct TheOne(Arc<CertifiedKey>);

impl ResolvesServerCert for TheOne {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

fn failure(error: &io::Error) -> ClientTlsFailure {
    match tls_cause(error) {
        Some(rustls::Error::AlertReceived(alert)) => match alert {
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            // What a client says that trusts another root of the same name.
            | AlertDescription::DecryptError
            | AlertDescription::BadCertificateStatusResponse => ClientTlsFailure::Rejected,
            AlertDescription::CloseNotify | AlertDescription::UserCanceled => ClientTlsFailure::HungUp,
            _ => ClientTlsFailure::Protocol,
        },
        Some(_) => ClientTlsFailure::Protocol,
        None => match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                ClientTlsFailure::HungUp
            }
            _ => ClientTlsFailure::Protocol,
        },
    }
}
