//! Two roots: one that the proxy mints under, one that servers stand under.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hudson_proxy::{BoxError, CertSource};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

struct Root {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
}

impl Root {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), der }
    }

    fn leaf(&self, host: &str) -> CertifiedKey {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signer = rustls::crypto::ring::sign::any_supported_type(&der).unwrap();
        CertifiedKey::new(vec![cert.der().clone()], signer)
    }

    fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        store.add(self.der.clone()).unwrap();
        store
    }
}

pub(crate) struct Pki {
    ours: Arc<Root>,
    servers: Root,
}

impl Pki {
    pub(crate) fn new() -> Self {
        Self { ours: Arc::new(Root::new("the proxy's")), servers: Root::new("the servers'") }
    }

    pub(crate) fn leaves(&self) -> Arc<dyn CertSource> {
        Arc::new(Leaves { root: self.ours.clone(), minted: Mutex::default() })
    }

    pub(crate) fn server_roots(&self) -> RootCertStore {
        self.servers.store()
    }

    /// What a client has that trusts the proxy's root and, for tunnels, the servers'.
    pub(crate) fn client(&self, alpn: &[&str]) -> ClientConfig {
        let mut roots = self.ours.store();
        roots.extend(self.servers.store().roots);
        client(roots, alpn)
    }

    /// What a client has that never heard of the proxy's root.
    pub(crate) fn distrustful_client(&self) -> ClientConfig {
        client(self.servers.store(), &[])
    }

    /// A server under the servers' root.
    pub(crate) fn server(&self, host: &str, alpn: &[&str]) -> ServerConfig {
        let leaf = Arc::new(self.servers.leaf(host));
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(Fixed(leaf)));
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

fn client(roots: RootCertStore, alpn: &[&str]) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

#[derive(Debug)]
struct Fixed(Arc<CertifiedKey>);

impl rustls::server::ResolvesServerCert for Fixed {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

struct Leaves {
    root: Arc<Root>,
    minted: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

#[async_trait]
impl CertSource for Leaves {
    async fn certified_key(&self, host: &str) -> Result<Arc<CertifiedKey>, BoxError> {
        if host.starts_with("unmintable.") {
            return Err("outside of the constraints".into());
        }
        let mut minted = self.minted.lock().unwrap();
        Ok(minted.entry(host.to_owned()).or_insert_with(|| Arc::new(self.root.leaf(host))).clone())
    }
}
