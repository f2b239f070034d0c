//! A policy bundle from an address: over TLS that is verified as that of providers is, through the proxy of the house,
//! with limits in size and time. What comes is text alone: whether it counts is asked apart.

use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use sallyport_platform::{Paths, trust};
use sallyport_policy::bundle::MAX_BUNDLE;
use sallyport_policy::config::{BundleUrl, HostPort, ProxyAddress, ProxyScheme};
use sallyport_policy::settings::Snapshot;

use crate::way_out::{self, NoWayOut};

const CONNECT: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_secs(60);
const REDIRECTS: usize = 3;

/// Why no bundle came. One phrase each.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the way out is not usable: {0}")]
    WayOut(#[from] NoWayOut),
    #[error("{0} could not be reached: {1}")]
    Unreachable(String, String),
    #[error("the certificate of {0} was not accepted: {1}")]
    Certificate(String, String),
    #[error("{0} did not answer in time")]
    TimedOut(String),
    #[error("{0} redirects to an address without TLS, or too often")]
    Redirected(String),
    #[error("{0} answered with status {1}")]
    Status(String, u16),
    #[error("{0} sent more than a policy bundle needs")]
    TooLong(String),
    #[error("{0} sent no text")]
    NoText(String),
    #[error("no client could be made: {0}")]
    Client(String),
}

impl FetchError {
    pub fn hint(&self) -> &'static str {
        match self {
            FetchError::WayOut(_) => "Correct `upstream.proxy` in config.yaml, or HTTPS_PROXY.",
            FetchError::Unreachable(..) | FetchError::TimedOut(_) => {
                "Check the address (`bundles.url`), the network, a VPN and the proxy (`upstream.proxy`)."
            }
            FetchError::Certificate(..) => {
                "Put the root of the server's authority into `upstream.extra_roots`, and use a name that its certificate holds."
            }
            FetchError::Redirected(_) => "Name the address that answers itself, with https://.",
            FetchError::Status(..) => {
                "Check the path of the address, and that the file is there for everybody."
            }
            FetchError::TooLong(_) | FetchError::NoText(_) => {
                "Name the file that `sallyport policy bundle sign` wrote."
            }
            FetchError::Client(_) => "Report this with the log.",
        }
    }
}

/// Fetches what lies at an address.
pub async fn fetch_bundle(paths: &Paths, policy: &Snapshot, url: &BundleUrl) -> Result<String, FetchError> {
    let from = url.to_string();
    let client = client(paths, policy, url)?;
    let failed = |error: reqwest::Error| unanswered(&from, &error);
    let mut response = client.get(url.as_str()).send().await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(FetchError::Status(from, response.status().as_u16()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if bytes.len() + chunk.len() > MAX_BUNDLE {
            return Err(FetchError::TooLong(from));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| FetchError::NoText(from))
}

fn client(paths: &Paths, policy: &Snapshot, url: &BundleUrl) -> Result<reqwest::Client, FetchError> {
    let broken = |error: String| FetchError::Client(error);
    let env = |name: &str| std::env::var(name).ok();
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(paths, policy).map_err(|error| broken(error.to_string()))?)
        // What counts of the environment is read below.
        .no_proxy()
        .redirect(redirects())
        .connect_timeout(CONNECT)
        .timeout(WHOLE)
        .user_agent(concat!("sallyport/", env!("CARGO_PKG_VERSION")));
    let mapped = &policy.upstream.resolve.value;
    for (name, address) in mapped {
        builder = builder.resolve(&name.host, *address);
    }
    let directly = mapped.contains_key(&HostPort::new(url.host(), url.port()));
    let way = way_out::proxy(&policy.upstream, &env, policy.listen.value)?;
    if let Some((address, beside)) = way.filter(|_| !directly) {
        let proxy = reqwest::Proxy::all(address_of(&address)).map_err(|error| broken(error.to_string()))?;
        builder = builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_string(&beside)));
    }
    builder.build().map_err(|error| broken(error.to_string()))
}

/// With the credentials, as a proxy's client wants it.
fn address_of(proxy: &ProxyAddress) -> String {
    let scheme = match proxy.scheme {
        ProxyScheme::Http => "http",
        ProxyScheme::Https => "https",
        // The proxy finds the name.
        ProxyScheme::Socks5 => "socks5h",
    };
    let quoted = |part: &[u8]| percent_encode(part, NON_ALPHANUMERIC).to_string();
    let login = proxy
        .credentials()
        .map(|(user, password)| format!("{}:{}@", quoted(user), quoted(password)))
        .unwrap_or_default();
    format!("{scheme}://{login}{}", HostPort::new(&proxy.host, proxy.port))
}

/// The machine's roots and the configured ones, without our own: that of an interceptor vouches for nobody.
fn tls(paths: &Paths, policy: &Snapshot) -> Result<ClientConfig, rustls::Error> {
    let mut own = CertificateDer::pem_file_iter(paths.own_roots_file())
        .map(|found| found.flatten().collect::<Vec<_>>())
        .unwrap_or_default()
        .into_iter();
    let system = own.by_ref().fold(trust::system_roots(), |system, own| system.without(&own));
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system.certificates);
    for file in &policy.upstream.extra_roots.value {
        let found = CertificateDer::pem_file_iter(file).map(|found| found.flatten().collect::<Vec<_>>());
        roots.add_parsable_certificates(found.unwrap_or_default());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// What comes is signed, so it may lie elsewhere; never without TLS.
fn redirects() -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(|attempt| {
        if attempt.previous().len() > REDIRECTS || attempt.url().scheme() != "https" {
            attempt.error("redirect refused")
        } else {
            attempt.follow()
        }
    })
}

fn unanswered(from: &str, error: &reqwest::Error) -> FetchError {
    let from = from.to_owned();
    let mut causes = std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| {
        // An I/O error does not name what it wraps as its source.
        match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    });
    if let Some(tls) = causes.clone().find_map(|error| error.downcast_ref::<rustls::Error>()) {
        return FetchError::Certificate(from, tls.to_string());
    }
    if error.is_timeout() {
        return FetchError::TimedOut(from);
    }
    if error.is_redirect() {
        return FetchError::Redirected(from);
    }
    // The outer ones repeat the address, with its query.
    let cause = causes.by_ref().last().map(ToString::to_string).unwrap_or_default();
    FetchError::Unreachable(from, cause)
}
