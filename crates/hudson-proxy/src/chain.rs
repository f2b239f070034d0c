//! Going through another proxy: HTTP CONNECT (RFC 9110 9.3.6) and SOCKS5 (RFC 1928, 1929). Names are resolved by that
//! proxy. Must not read a byte beyond its answer, since what follows is the target's.

use std::fmt;
use std::io;
use std::net::IpAddr;

use http::HeaderValue;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::authority::Authority;
use crate::error::ChainFailure;

/// An answer to CONNECT that is longer than this is not read to its end.
const MAX_ANSWER: usize = 16 * 1024;

/// A proxy to go through.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamProxy {
    kind: ProxyKind,
    address: Authority,
    tls_name: Option<ServerName<'static>>,
    login: Option<Login>,
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP CONNECT in clear.
    Http,
    /// HTTP CONNECT inside TLS.
    Https,
    /// SOCKS version 5.
    Socks5,
}

#[derive(Clone, PartialEq, Eq)]
struct Login {
    user: Vec<u8>,
    password: Vec<u8>,
}

/// What can be no upstream proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableProxy {
    /// No certificate can be for this name.
    #[error("the upstream proxy's name can't be verified")]
    Name,
    /// More than the protocols carry.
    #[error("the upstream proxy's user or password has more than 255 bytes")]
    Login,
}

impl UpstreamProxy {
    /// `login`: user and password, as they are, without any encoding.
    pub fn new(
        kind: ProxyKind,
        address: Authority,
        login: Option<(&[u8], &[u8])>,
    ) -> Result<Self, UnusableProxy> {
        let login = match login {
            Some((user, password)) if user.len() > 255 || password.len() > 255 => {
                return Err(UnusableProxy::Login);
            }
            login => login.map(|(user, password)| Login { user: user.to_vec(), password: password.to_vec() }),
        };
        let tls_name = match kind {
            ProxyKind::Https => {
                Some(ServerName::try_from(address.host().to_owned()).map_err(|_| UnusableProxy::Name)?)
            }
            ProxyKind::Http | ProxyKind::Socks5 => None,
        };
        Ok(Self { kind, address, tls_name, login })
    }

    /// Host and port.
    pub fn address(&self) -> &Authority {
        &self.address
    }

    /// The name to verify, when the way to the proxy is TLS.
    pub(crate) fn tls_name(&self) -> Option<ServerName<'static>> {
        self.tls_name.clone()
    }

    pub(crate) fn forwards_http(&self) -> bool {
        self.kind != ProxyKind::Socks5
    }

    /// `Proxy-Authorization` for an HTTP proxy.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let login = self.login.as_ref()?;
        let text = base64(&[login.user.as_slice(), b":", login.password.as_slice()].concat());
        let mut value = HeaderValue::try_from(format!("Basic {text}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for UpstreamProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the login.
        write!(f, "UpstreamProxy({:?} {})", self.kind, self.address)
    }
}

/// A chained proxy that did not open the way.
pub(crate) struct OpenFailure {
    pub(crate) reason: ChainFailure,
    pub(crate) source: Option<io::Error>,
}

impl From<ChainFailure> for OpenFailure {
    fn from(reason: ChainFailure) -> Self {
        Self { reason, source: None }
    }
}

impl From<io::Error> for OpenFailure {
    fn from(error: io::Error) -> Self {
        Self { reason: ChainFailure::Closed, source: Some(error) }
    }
}

/// Asks the proxy at the other end of `stream` for a way to `target`.
pub(crate) async fn open<S>(
    proxy: &UpstreamProxy,
    stream: &mut S,
    target: &Authority,
) -> Result<(), OpenFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match proxy.kind {
        ProxyKind::Http | ProxyKind::Https => connect(stream, target, proxy.authorization()).await,
        ProxyKind::Socks5 => socks5(stream, target, proxy.login.as_ref()).await,
    }
}

async fn connect<S>(stream: &mut S, target: &Authority, login: Option<HeaderValue>) -> Result<(), OpenFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(login) = login {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(login.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await?;
    stream.flush().await?;
    // Byte by byte, because what follows the empty line belongs to the target. It is a few hundred bytes, once.
    let mut answer = Vec::with_capacity(256);
    while !answer.ends_with(b"\r\n\r\n") && !answer.ends_with(b"\n\n") {
        if answer.len() >= MAX_ANSWER {
            return Err(ChainFailure::Protocol.into());
        }
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) if answer.is_empty() => return Err(ChainFailure::Closed.into()),
            Err(error) => return Err(OpenFailure { reason: ChainFailure::Protocol, source: Some(error) }),
        }
    }
    match status(&answer) {
        Some(200..=299) => Ok(()),
        Some(407) => Err(ChainFailure::Credentials.into()),
        Some(other) => Err(ChainFailure::Status(other).into()),
        None => Err(ChainFailure::Protocol.into()),
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(2..5).filter(|_| rest.get(1) == Some(&b' '))?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

async fn socks5<S>(stream: &mut S, target: &Authority, login: Option<&Login>) -> Result<(), OpenFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    const VERSION: u8 = 5;
    const NO_LOGIN: u8 = 0;
    const PASSWORD: u8 = 2;
    let hello: &[u8] =
        if login.is_some() { &[VERSION, 2, NO_LOGIN, PASSWORD] } else { &[VERSION, 1, NO_LOGIN] };
    stream.write_all(hello).await?;
    stream.flush().await?;
    let mut chosen = [0_u8; 2];
    stream.read_exact(&mut chosen).await?;
    match (chosen, login) {
        ([VERSION, NO_LOGIN], _) => {}
        ([VERSION, PASSWORD], Some(login)) => {
            let mut message = vec![1, u8::try_from(login.user.len()).unwrap_or(u8::MAX)];
            message.extend_from_slice(&login.user);
            message.push(u8::try_from(login.password.len()).unwrap_or(u8::MAX));
            message.extend_from_slice(&login.password);
            stream.write_all(&message).await?;
            stream.flush().await?;
            let mut verdict = [0_u8; 2];
            stream.read_exact(&mut verdict).await?;
            if verdict != [1, 0] {
                return Err(ChainFailure::Credentials.into());
            }
        }
        ([VERSION, _], _) => return Err(ChainFailure::Credentials.into()),
        _ => return Err(ChainFailure::Protocol.into()),
    }
    let mut request = vec![VERSION, 1, 0];
    match target.ip() {
        Some(IpAddr::V4(ip)) => {
            request.push(1);
            request.extend_from_slice(&ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            request.push(4);
            request.extend_from_slice(&ip.octets());
        }
        None => {
            // A host has at most 253 bytes.
            request.extend_from_slice(&[3, u8::try_from(target.host().len()).unwrap_or(u8::MAX)]);
            request.extend_from_slice(target.host().as_bytes());
        }
    }
    request.extend_from_slice(&target.port().to_be_bytes());
    stream.write_all(&request).await?;
    stream.flush().await?;
    let mut answer = [0_u8; 4];
    stream.read_exact(&mut answer).await?;
    let [version, code, _, kind] = answer;
    if version != VERSION {
        return Err(ChainFailure::Protocol.into());
    }
    if code != 0 {
        return Err(ChainFailure::Socks(code).into());
    }
    let bound = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await?),
        _ => return Err(ChainFailure::Protocol.into()),
    };
    let mut rest = vec![0_u8; bound + 2];
    stream.read_exact(&mut rest).await?;
    Ok(())
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let symbol = |bits: u32| ALPHABET.get((bits & 63) as usize).map_or('A', |b| char::from(*b));
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word =
            group.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            out.push(if place <= group.len() { symbol(word >> (18 - 6 * place)) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    fn proxy(kind: ProxyKind, login: Option<(&[u8], &[u8])>) -> Result<UpstreamProxy, UnusableProxy> {
        UpstreamProxy::new(kind, Authority::parse("proxy.corp.test:3128", None).unwrap(), login)
    }

    #[test]
    fn a_login_is_sent_and_never_shown() {
        let known = proxy(ProxyKind::Http, Some((b"me", b"p@ss"))).unwrap();
        assert_eq!(known.address().to_string(), "proxy.corp.test:3128");
        assert_eq!(known.authorization().unwrap(), "Basic bWU6cEBzcw==");
        assert!(!format!("{known:?}").contains("ss"));
        assert_eq!(proxy(ProxyKind::Socks5, Some((&[b'x'; 256], b""))), Err(UnusableProxy::Login));
        assert!(proxy(ProxyKind::Https, None).unwrap().tls_name().is_some());
    }

    #[test]
    fn base64_pads_as_the_standard_says() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    /// Plays the proxy's part: for each pair, expects the first and answers with the second.
    async fn dialogue(
        kind: ProxyKind,
        login: Option<(&[u8], &[u8])>,
        target: &str,
        script: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<Vec<u8>, ChainFailure> {
        let proxy = proxy(kind, login).unwrap();
        let target = Authority::parse(target, None).unwrap();
        let (mut ours, mut theirs) = duplex(4096);
        let play = tokio::spawn(async move {
            for (expected, answer) in script {
                let mut heard = vec![0; expected.len()];
                theirs.read_exact(&mut heard).await.unwrap();
                assert_eq!(String::from_utf8_lossy(&heard), String::from_utf8_lossy(&expected));
                theirs.write_all(&answer).await.unwrap();
            }
        });
        let outcome = open(&proxy, &mut ours, &target).await.map_err(|failure| failure.reason);
        play.await.unwrap();
        let mut rest = Vec::new();
        ours.read_to_end(&mut rest).await.unwrap();
        outcome.map(|()| rest)
    }

    #[tokio::test]
    async fn connect_leaves_the_targets_first_bytes_alone() {
        let asked =
            b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n";
        let told = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nSSH-2.0".to_vec();
        let rest =
            dialogue(ProxyKind::Http, Some((b"u", b"p")), "api.test:443", vec![(asked.to_vec(), told)]).await;
        assert_eq!(rest.unwrap(), b"SSH-2.0");
    }

    #[tokio::test]
    async fn a_refusal_says_what_kind_it_is() {
        let asked = b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n".to_vec();
        for (told, reason) in [
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", ChainFailure::Credentials),
            ("HTTP/1.0 403 Forbidden\r\n\r\n", ChainFailure::Status(403)),
            ("SSH-2.0-OpenSSH\r\n\r\n", ChainFailure::Protocol),
            ("", ChainFailure::Closed),
        ] {
            let script = vec![(asked.clone(), told.as_bytes().to_vec())];
            assert_eq!(dialogue(ProxyKind::Http, None, "api.test:443", script).await, Err(reason));
        }
    }

    #[tokio::test]
    async fn socks5_with_a_login_and_a_name() {
        let script = vec![
            (vec![5, 2, 0, 2], vec![5, 2]),
            (b"\x01\x01u\x02pw".to_vec(), vec![1, 0]),
            (
                b"\x05\x01\x00\x03\x08api.test\x01\xbb".to_vec(),
                b"\x05\x00\x00\x01\x0a\x00\x00\x01\x12\x34hello".to_vec(),
            ),
        ];
        assert_eq!(
            dialogue(ProxyKind::Socks5, Some((b"u", b"pw")), "api.test:443", script).await.unwrap(),
            b"hello"
        );
    }

    #[tokio::test]
    async fn socks5_without_a_login_to_an_address_that_is_refused() {
        let script = vec![
            (vec![5, 1, 0], vec![5, 0]),
            (vec![5, 1, 0, 1, 10, 0, 0, 1, 0, 80], vec![5, 5, 0, 1, 0, 0, 0, 0, 0, 0]),
        ];
        assert_eq!(
            dialogue(ProxyKind::Socks5, None, "10.0.0.1:80", script).await,
            Err(ChainFailure::Socks(5))
        );
        let script = vec![(vec![5, 1, 0], vec![5, 255])];
        assert_eq!(
            dialogue(ProxyKind::Socks5, None, "10.0.0.1:80", script).await,
            Err(ChainFailure::Credentials)
        );
    }
}
