//! A host and port as they are dialled, in one spelling, so that policy can't be bypassed by writing a name another
//! way. Must not resolve names.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// With TLS or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// 80 or 443.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A text that names no host and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// Nothing before the port.
    #[error("the host is missing")]
    NoHost,
    /// No port where one is needed, zero, or no number.
    #[error("the port is missing or not between 1 and 65535")]
    Port,
    /// `user@host`, or a character that no host name has.
    #[error("the host has a character that no host name has")]
    Character,
}

/// Host and port. The host is lower case, without a final dot; an IPv6 address is without brackets and in its
/// canonical form.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Authority {
    host: Arc<str>,
    port: u16,
}

impl Authority {
    /// A host and a port. The host may be written in any case, with brackets and with a final dot.
    pub fn new(host: &str, port: u16) -> Result<Self, AuthorityError> {
        if port == 0 {
            return Err(AuthorityError::Port);
        }
        Ok(Self { host: canonical_host(host)?, port })
    }

    /// Reads `host:port`; without a port `default_port` is taken, if there is one.
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<Self, AuthorityError> {
        let (host, port) = match text.rfind(']') {
            Some(end) => {
                let (host, rest) = text.split_at(end + 1);
                if !rest.is_empty() && !rest.starts_with(':') {
                    return Err(AuthorityError::Character);
                }
                (host, rest.strip_prefix(':'))
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| AuthorityError::Port)?
            }
            // `host:` with nothing behind it means the default port (RFC 3986 3.2.3).
            Some("") | None => default_port.ok_or(AuthorityError::Port)?,
            Some(_) => return Err(AuthorityError::Port),
        };
        Self::new(host, port)
    }

    /// The name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, when the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// As a `Host` header is written: the port is left out when it is the scheme's own.
    pub fn for_scheme(&self, scheme: Scheme) -> String {
        if self.port != scheme.default_port() {
            return self.to_string();
        }
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.as_ref().to_owned() }
    }
}

fn canonical_host(host: &str) -> Result<Arc<str>, AuthorityError> {
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(AuthorityError::Character)?;
        let address: std::net::Ipv6Addr = inner.parse().map_err(|_| AuthorityError::Character)?;
        return Ok(address.to_string().into());
    }
    if let Ok(IpAddr::V6(address)) = host.parse() {
        return Ok(address.to_string().into());
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() {
        return Err(AuthorityError::NoHost);
    }
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if host.len() > 253 || !host.bytes().all(known) || host.ends_with('.') {
        return Err(AuthorityError::Character);
    }
    Ok(host.to_ascii_lowercase().into())
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_has_one_spelling() {
        let plain = Authority::parse("api.example.com:443", None).unwrap();
        for other in ["API.Example.COM:443", "api.example.com.:443", "Api.example.com.:0443"] {
            assert_eq!(Authority::parse(other, None).unwrap(), plain, "{other}");
        }
        assert_eq!(Authority::parse("api.example.com", Some(443)).unwrap(), plain);
        assert_eq!(Authority::parse("api.example.com:", Some(443)).unwrap(), plain);
        assert_ne!(Authority::parse("api.example.com:444", None).unwrap(), plain);
    }

    #[test]
    fn addresses_lose_their_brackets_and_zeroes() {
        let v6 = Authority::parse("[2001:DB8:0:0::1]:8443", None).unwrap();
        assert_eq!(v6.host(), "2001:db8::1");
        assert_eq!(v6.to_string(), "[2001:db8::1]:8443");
        assert_eq!(v6.ip(), Some("2001:db8::1".parse().unwrap()));
        let v4 = Authority::parse("127.0.0.1", Some(80)).unwrap();
        assert_eq!(v4.for_scheme(Scheme::Http), "127.0.0.1");
        assert_eq!(v4.for_scheme(Scheme::Https), "127.0.0.1:80");
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        for bad in [
            "",
            ":80",
            "host",
            "host:0",
            "host:65536",
            "host:-1",
            "host:+1",
            "u@host:1",
            "a b:1",
            "h/:1",
            "[::1",
            "[::1]x:1",
            "a..:1",
            "a:1:2",
            "[zz]:1",
            "h%41:1",
        ] {
            assert!(Authority::parse(bad, None).is_err(), "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_read_reads_the_same_again(text in "[a-zA-Z0-9.:_@\\[\\]%-]{0,40}", port in 0_u16..) {
            if let Ok(authority) = Authority::parse(&text, Some(port)) {
                proptest::prop_assert_eq!(&Authority::parse(&authority.to_string(), None).unwrap(), &authority);
                proptest::prop_assert_eq!(&Authority::new(authority.host(), authority.port()).unwrap(), &authority);
                proptest::prop_assert!(!authority.host().ends_with('.'));
                proptest::prop_assert!(!authority.host().bytes().any(|b| b.is_ascii_uppercase()));
            }
        }

        #[test]
        fn no_text_is_too_strange(text in ".*") {
            let _ = Authority::parse(&text, None);
            let _ = crate::NoProxy::parse(&text);
        }
    }
}
