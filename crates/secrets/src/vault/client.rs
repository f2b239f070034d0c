//! One HTTP client for one server, and what its failures mean.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sallyport_platform::{Paths, trust};
use sallyport_policy::config::VaultConfig;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::files;
use crate::report::{ProblemCode, SourceError};

const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
const REQUEST_PATIENCE: Duration = Duration::from_secs(20);
/// One secret, or the names in one folder.
const MAX_ANSWER: usize = 16 << 20;
const RETRIES: u32 = 2;
const MAX_REDIRECTS: usize = 3;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Tells the server that this is an API call, not a page of another site.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    headers: HeaderMap,
    /// The address without credentials, for messages.
    pub(super) server: String,
}

/// What the server said, when it said something.
pub(super) enum Answer {
    Ok(Value),
    NotFound(Refusal),
    /// 403: the token or its policies.
    Denied(Refusal),
    /// 400: what was sent does not fit.
    Rejected(Refusal),
}

/// The server's own words, cut to one line. It does not repeat what was sent to it.
pub(super) struct Refusal {
    pub(super) words: String,
}

impl Client {
    pub(super) fn connect(
        config: &VaultConfig,
        paths: &Paths,
        server: String,
    ) -> Result<Client, SourceError> {
        let base = checked_address(&config.address, &server)?;
        let tls = tls(config.ca.as_deref().map(|ca| paths.expand(ca)).as_deref())?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            // In a shell of ours the environment names our own listener as proxy.
            .no_proxy()
            .redirect(redirects(base.scheme() == "https"))
            .connect_timeout(CONNECT_PATIENCE)
            .timeout(REQUEST_PATIENCE)
            .user_agent(concat!("sallyport/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| {
                SourceError::new(
                    ProblemCode::Internal,
                    format!("The client for {server} could not be made: {}.", files::cause(&e)),
                    "Report this with the log.",
                )
            })?;
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST, HeaderValue::from_static("true"));
        if let Some(namespace) = config.namespace.as_deref().filter(|n| !n.is_empty()) {
            let value = HeaderValue::from_str(namespace).map_err(|_| {
                SourceError::new(
                    ProblemCode::VaultAddress,
                    format!("The namespace configured for {server} holds characters that cannot be sent."),
                    "Correct `namespace` under `secrets.vaults` in config.yaml.",
                )
            })?;
            headers.insert(NAMESPACE, value);
        }
        Ok(Client { http, base, headers, server })
    }

    pub(super) fn use_token(&mut self, token: &str) -> Result<(), SourceError> {
        let mut value = HeaderValue::from_str(token).map_err(|_| {
            SourceError::new(
                ProblemCode::CredentialFile,
                format!("The token for {} holds characters that no token has.", self.server),
                "The token file must hold the token alone, on one line.",
            )
        })?;
        value.set_sensitive(true);
        self.headers.insert(TOKEN, value);
        Ok(())
    }

    pub(super) async fn read(&self, path: &str) -> Result<Answer, SourceError> {
        self.call(Method::GET, path, None, None).await
    }

    /// LIST, spelt as GET since some proxies know no other.
    pub(super) async fn list(&self, path: &str) -> Result<Answer, SourceError> {
        self.call(Method::GET, path, Some(("list", "true")), None).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Answer, SourceError> {
        self.call(Method::POST, path, None, Some(body)).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: Option<(&str, &str)>,
        body: Option<Value>,
    ) -> Result<Answer, SourceError> {
        let url = self.url(path, query)?;
        let body = body.map(|mut body| {
            let text = Zeroizing::new(body.to_string());
            crate::json::wipe(&mut body);
            text
        });
        let mut attempt = 0;
        loop {
            let mut request = self.http.request(method.clone(), url.clone()).headers(self.headers.clone());
            if let Some(body) = &body {
                request = request.header("content-type", "application/json").body(body.to_string());
            }
            let last = attempt >= RETRIES;
            match request.send().await {
                Ok(response) if !last && is_passing(response.status()) => {}
                Ok(response) => return self.answer(response).await,
                Err(e) if !last && is_passing_failure(&e) => {}
                Err(e) => return Err(self.unanswered(&e)),
            }
            tokio::time::sleep(Duration::from_millis(200) * 4_u32.pow(attempt)).await;
            attempt += 1;
        }
    }

    fn url(&self, path: &str, query: Option<(&str, &str)>) -> Result<Url, SourceError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| bad_address(&self.server))?
            .pop_if_empty()
            .push("v1")
            .extend(path.split('/').filter(|segment| !segment.is_empty()));
        if let Some((key, value)) = query {
            url.query_pairs_mut().append_pair(key, value);
        }
        Ok(url)
    }

    async fn answer(&self, mut response: reqwest::Response) -> Result<Answer, SourceError> {
        let status = response.status();
        let mut bytes = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unanswered(&e))? {
            if bytes.len() + chunk.len() > MAX_ANSWER {
                return Err(self.malformed("it is larger than any secret"));
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() {
            if bytes.is_empty() {
                return Ok(Answer::Ok(Value::Null));
            }
            return serde_json::from_slice(&bytes)
                .map(Answer::Ok)
                .map_err(|_| self.malformed("it is no JSON"));
        }
        let refusal = Refusal::read(&bytes);
        match status {
            StatusCode::NOT_FOUND => Ok(Answer::NotFound(refusal)),
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Ok(Answer::Denied(refusal)),
            StatusCode::BAD_REQUEST => Ok(Answer::Rejected(refusal)),
            status => Err(self.failed(status, &refusal)),
        }
    }

    fn failed(&self, status: StatusCode, refusal: &Refusal) -> SourceError {
        let server = &self.server;
        let words = refusal.words.to_ascii_lowercase();
        if status == StatusCode::SERVICE_UNAVAILABLE && words.contains("sealed") {
            return SourceError::new(
                ProblemCode::VaultSealed,
                format!("{server} is sealed: it gives nothing until it is unsealed."),
                "Ask who runs it to unseal it; what was loaded before stays protected.",
            );
        }
        if status == StatusCode::NOT_IMPLEMENTED || words.contains("not initialized") {
            return SourceError::new(
                ProblemCode::VaultUninitialised,
                format!("{server} has not been initialised."),
                "Initialise and unseal it, or correct `address` under `secrets.vaults`.",
            );
        }
        let shown = &refusal.words;
        SourceError::new(
            ProblemCode::VaultFailed,
            format!("{server} answered with status {}: {shown}.", status.as_u16()),
            "Look at the server's log; Sallyport tries again at the next refresh.",
        )
    }

    pub(super) fn malformed(&self, reason: &str) -> SourceError {
        SourceError::new(
            ProblemCode::VaultMalformed,
            format!("The answer of {} makes no sense: {reason}.", self.server),
            "Check that `address` under `secrets.vaults` is that of a Vault or OpenBao server.",
        )
    }

    /// No answer, or one that broke off.
    fn unanswered(&self, error: &reqwest::Error) -> SourceError {
        let server = &self.server;
        if let Some(tls) = tls_failure(error) {
            return SourceError::new(
                ProblemCode::VaultTls,
                format!("The certificate of {server} was not accepted: {tls}."),
                "Set `ca` under `secrets.vaults` to the PEM file of the server's authority, and use a name that its certificate holds.",
            );
        }
        if error.is_redirect() {
            return SourceError::new(
                ProblemCode::VaultInsecure,
                format!("{server} redirects to an address without TLS, or too often."),
                "Set `address` to the server that answers itself.",
            );
        }
        if error.is_timeout() {
            return SourceError::new(
                ProblemCode::VaultTimeout,
                format!("{server} did not answer in time."),
                "Check the network and the server; Sallyport tries again at the next refresh.",
            );
        }
        if error.is_body() || error.is_decode() {
            return self.malformed("it broke off");
        }
        SourceError::new(
            ProblemCode::VaultUnreachable,
            format!("{server} cannot be reached: {}.", files::cause(error)),
            "Check the address, the network and a VPN; Sallyport tries again at the next refresh.",
        )
    }
}

impl Refusal {
    fn read(bytes: &[u8]) -> Refusal {
        let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let list = |key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let words: Vec<String> = list("errors")
            .iter()
            .chain(&list("warnings"))
            .filter_map(Value::as_str)
            .map(|w| w.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let words = if words.is_empty() { plain_words(bytes) } else { words.join("; ") };
        Refusal { words: words.chars().filter(|c| !c.is_control()).take(200).collect() }
    }
}

/// What something other than Vault says, unless it is a page or binary: "Client sent an HTTP request to an HTTPS
/// server" is worth passing on.
fn plain_words(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default().trim().trim_end_matches('.');
    if line.is_empty() || line.contains(['<', '{']) { "it gave no reason".into() } else { line.to_owned() }
}

/// The address as it may be shown: user and password, which nobody should put there, are left out.
pub(super) fn shown_address(address: &str) -> String {
    match Url::parse(address) {
        Ok(mut url) => {
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.set_fragment(None);
            url.as_str().trim_end_matches('/').to_owned()
        }
        Err(_) => "the configured Vault".into(),
    }
}

fn checked_address(address: &str, shown: &str) -> Result<Url, SourceError> {
    let url = Url::parse(address).map_err(|_| bad_address(address))?;
    let host = url.host_str().unwrap_or_default();
    if host.is_empty() || !url.username().is_empty() || url.password().is_some() {
        return Err(bad_address(shown));
    }
    let loopback = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => Err(SourceError::new(
            ProblemCode::VaultInsecure,
            format!("{shown} has no TLS: the token and every secret would cross the network in clear."),
            "Use https:// in `address` under `secrets.vaults`; http:// is for this machine only.",
        )),
        _ => Err(bad_address(shown)),
    }
}

fn bad_address(shown: &str) -> SourceError {
    SourceError::new(
        ProblemCode::VaultAddress,
        format!("{shown} is no address of a Vault server."),
        "Write it as https://vault.example:8200, without user or password.",
    )
}

/// With `ca`, only that authority is trusted; without, the machine's.
fn tls(ca: Option<&Path>) -> Result<ClientConfig, SourceError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            let fail = |reason: String| {
                SourceError::new(
                    ProblemCode::CredentialFile,
                    format!("The file with the authority's certificate, {}, {reason}.", file.display()),
                    "Set `ca` under `secrets.vaults` to a PEM file with the certificate of the server's authority.",
                )
            };
            let certificates =
                CertificateDer::pem_file_iter(file).map_err(|e| fail(format!("cannot be read: {e}")))?;
            for certificate in certificates.flatten() {
                roots
                    .add(certificate)
                    .map_err(|e| fail(format!("holds a certificate that cannot be used: {e}")))?;
            }
            if roots.is_empty() {
                return Err(fail("holds no certificate".into()));
            }
        }
        None => {
            roots.add_parsable_certificates(trust::system_roots().certificates);
        }
    }
    // Said outright, since no provider is the process's default.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .map_err(|e| {
            SourceError::new(
                ProblemCode::Internal,
                format!("TLS could not be set up: {e}."),
                "Report this with the log.",
            )
        })
}

/// A standby server redirects to the active one; never from TLS to none.
fn redirects(tls: bool) -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > MAX_REDIRECTS || (tls && attempt.url().scheme() != "https") {
            attempt.error("redirect refused")
        } else {
            attempt.follow()
        }
    })
}

fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// A connection that broke: nothing was answered, and every call may be made twice.
fn is_passing_failure(error: &reqwest::Error) -> bool {
    !error.is_timeout() && !error.is_redirect() && !error.is_connect() && error.is_request()
}

fn tls_failure(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls.to_string());
        }
        // An I/O error does not name what it wraps as its source.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_credentials() {
        assert_eq!(
            shown_address("https://ada:pw@vault.example:8200/?token=x#y"),
            "https://vault.example:8200"
        );
        assert_eq!(shown_address("not an address with hvs.token"), "the configured Vault");
    }

    #[test]
    fn addresses_are_checked() {
        let code = |address: &str| checked_address(address, "it").map_err(|e| e.code).err();
        assert_eq!(code("https://vault.example"), None);
        assert_eq!(code("http://127.0.0.1:8200"), None);
        assert_eq!(code("http://[::1]:8200"), None);
        assert_eq!(code("http://localhost:8200"), None);
        assert_eq!(code("http://vault.example"), Some(ProblemCode::VaultInsecure));
        assert_eq!(code("http://localhost.evil.example"), Some(ProblemCode::VaultInsecure));
        assert_eq!(code("ftp://vault.example"), Some(ProblemCode::VaultAddress));
        assert_eq!(code("https://ada:pw@vault.example"), Some(ProblemCode::VaultAddress));
        assert_eq!(code("vault.example:8200"), Some(ProblemCode::VaultAddress));
    }

    #[test]
    fn the_servers_words_are_one_short_line() {
        let refusal =
            Refusal::read(br#"{"errors":["1 error occurred:\n\t* permission denied\n\n"],"warnings":["w"]}"#);
        assert_eq!(refusal.words, "1 error occurred: * permission denied; w");
        assert_eq!(Refusal::read(b"<html>").words, "it gave no reason");
        assert_eq!(Refusal::read(b"Client sent an HTTP request.\n").words, "Client sent an HTTP request");
    }
}
