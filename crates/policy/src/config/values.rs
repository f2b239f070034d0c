//! Types of configuration values: each is valid once it exists, and says what it expected when it is not.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::written::written;

/// A host name and port as written in `resolve`; the name in lower case without a final dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

impl HostPort {
    pub fn new(host: &str, port: u16) -> HostPort {
        HostPort { host: host.trim_end_matches('.').to_ascii_lowercase(), port }
    }

    pub fn parse(text: &str) -> Option<HostPort> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let sound = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:".contains(c));
        sound.then(|| HostPort::new(host, port))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

written!(HostPort, "`host:port`, such as `api.openai.com:443`, before the address");

/// How connections to providers leave this machine.
#[derive(Clone, PartialEq, Eq)]
pub enum UpstreamProxy {
    /// `none`: straight out, whatever the environment says.
    Direct,
    Via(ProxyAddress),
}

#[derive(Clone, PartialEq, Eq)]
pub struct ProxyAddress {
    pub scheme: ProxyScheme,
    pub host: String,
    pub port: u16,
    credentials: Option<(Vec<u8>, Vec<u8>)>,
}

impl ProxyAddress {
    /// User name and password, their percent-encoding undone.
    pub fn credentials(&self) -> Option<(&[u8], &[u8])> {
        self.credentials.as_ref().map(|(user, password)| (user.as_slice(), password.as_slice()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyScheme {
    Http,
    Https,
    Socks5,
}

impl ProxyScheme {
    pub fn as_str(self) -> &'static str {
        match self {
            ProxyScheme::Http => "http",
            ProxyScheme::Https => "https",
            ProxyScheme::Socks5 => "socks5",
        }
    }
}

impl UpstreamProxy {
    pub fn parse(text: &str) -> Option<UpstreamProxy> {
        if text == "none" {
            return Some(UpstreamProxy::Direct);
        }
        let (scheme, rest) = text.split_once("://")?;
        let (scheme, default_port) = match scheme {
            "http" => (ProxyScheme::Http, 80),
            "https" => (ProxyScheme::Https, 443),
            "socks5" | "socks5h" => (ProxyScheme::Socks5, 1080),
            _ => return None,
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, address) = match authority.rsplit_once('@') {
            Some((login, address)) => {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                (Some((decoded(user)?, decoded(password)?)), address)
            }
            None => (None, authority),
        };
        let unbracketed = address.ends_with(']') || !address.contains(':');
        let HostPort { host, port } = if unbracketed {
            HostPort::parse(&format!("{address}:{default_port}"))?
        } else {
            HostPort::parse(address)?
        };
        Some(UpstreamProxy::Via(ProxyAddress { scheme, host, port, credentials }))
    }

    /// As people write `HTTPS_PROXY`: the scheme may be missing, and a path means nothing.
    pub fn from_variable(text: &str) -> Option<ProxyAddress> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        match UpstreamProxy::parse(&format!("{}://{authority}", scheme.to_ascii_lowercase()))? {
            UpstreamProxy::Via(address) => Some(address),
            UpstreamProxy::Direct => None,
        }
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        decoded.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    Some(decoded)
}

/// Never shows the password.
impl fmt::Display for UpstreamProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpstreamProxy::Direct => f.write_str("none"),
            UpstreamProxy::Via(via) => {
                let login = if via.credentials.is_some() { "…@" } else { "" };
                let place = HostPort { host: via.host.clone(), port: via.port };
                write!(f, "{}://{login}{place}", via.scheme.as_str())
            }
        }
    }
}

impl fmt::Debug for UpstreamProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.as_str(), self.host, self.port)
    }
}

written!(UpstreamProxy, "`http://host:port`, `https://host:port`, `socks5://host:port`, or `none`");

/// The map of `resolve`; an address is never a name, since names are what it replaces.
pub(super) fn resolve_map<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<HostPort, SocketAddr>, D::Error> {
    struct Target(SocketAddr);
    impl<'de> Deserialize<'de> for Target {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Target, D::Error> {
            let text = String::deserialize(deserializer)?;
            text.parse().map(Target).map_err(|_| {
                D::Error::custom("expected an address and port, such as `127.0.0.1:9443` or `[::1]:9443`")
            })
        }
    }
    let map = BTreeMap::<HostPort, Target>::deserialize(deserializer)?;
    Ok(map.into_iter().map(|(from, to)| (from, to.0)).collect())
}

pub(super) fn loopback<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let address = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        None => text.parse::<SocketAddr>().ok(),
    };
    address.filter(|address| address.ip().is_loopback()).ok_or_else(|| {
        D::Error::custom(
            "expected a loopback address and port, such as `127.0.0.1:8877`: no other machine may use the proxy",
        )
    })
}

pub(super) fn kv_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    match u8::deserialize(deserializer)? {
        version @ (1 | 2) => Ok(version),
        _ => Err(D::Error::custom("expected 1 or 2, the version of the vault's key-value engine")),
    }
}

pub(super) fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        0 => Err(D::Error::custom("expected at least 1 day")),
        days => Ok(days),
    }
}

/// A token must not travel in clear, so plain HTTP is for loopback alone.
pub(super) fn vault_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let place = text
        .strip_prefix("https://")
        .map(|rest| (rest, true))
        .or_else(|| text.strip_prefix("http://").map(|rest| (rest, false)));
    let sound = place.is_some_and(|(rest, tls)| {
        let authority = rest.split('/').next().unwrap_or_default();
        let with_port = if authority.ends_with(']') || !authority.contains(':') {
            format!("{authority}:443")
        } else {
            authority.to_owned()
        };
        let Some(HostPort { host, .. }) = HostPort::parse(&with_port) else { return false };
        tls || host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    });
    if sound {
        Ok(text)
    } else {
        Err(D::Error::custom(
            "expected an address such as `https://vault.corp.example:8200`; plain `http://` is for loopback only",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_parse_and_hide_their_password() {
        let via = UpstreamProxy::parse("http://ann:s3cret@proxy.corp.example:3128").unwrap();
        assert_eq!(via.to_string(), "http://…@proxy.corp.example:3128");
        assert!(!format!("{via:?}").contains("s3cret"));
        let UpstreamProxy::Via(address) = via else { panic!() };
        assert_eq!(address.credentials(), Some((&b"ann"[..], &b"s3cret"[..])));
        assert!(!format!("{address:?}").contains("s3cret"));
        assert_eq!(UpstreamProxy::parse("socks5://[::1]").unwrap().to_string(), "socks5://[::1]:1080");
        assert_eq!(UpstreamProxy::parse("none"), Some(UpstreamProxy::Direct));
        for bad in ["ftp://x:1", "proxy:3128", "http://", "http://a b:1", "http://x:0", "http://a%zz@x:1"] {
            assert_eq!(UpstreamProxy::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_environments_notation_is_looser() {
        let read =
            |text: &str| UpstreamProxy::from_variable(text).map(|via| UpstreamProxy::Via(via).to_string());
        assert_eq!(read("proxy.corp:3128").as_deref(), Some("http://proxy.corp:3128"));
        assert_eq!(read(" HTTP://me:p%40ss@proxy.corp/x?y ").as_deref(), Some("http://…@proxy.corp:80"));
        let login = UpstreamProxy::from_variable("me:p%40ss@h:1").unwrap();
        assert_eq!(login.credentials(), Some((&b"me"[..], &b"p@ss"[..])));
        for bad in ["", "none:x", "ftp://x:1", "http://"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn host_and_port_are_normalised() {
        assert_eq!(HostPort::parse("API.OpenAI.com.:443"), Some(HostPort::new("api.openai.com", 443)));
        assert_eq!(HostPort::parse("[::1]:9").unwrap().to_string(), "[::1]:9");
        assert_eq!(HostPort::parse("api.openai.com"), None);
        assert_eq!(HostPort::parse("x:0"), None);
    }
}
