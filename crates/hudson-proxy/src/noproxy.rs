//! Which targets go past the upstream proxy, in the notation of `NO_PROXY`. Must not resolve names.

use std::net::IpAddr;

use crate::authority::Authority;

/// A list of exceptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoProxy(Vec<Exception>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    All,
    /// The name itself and what is below it.
    Domain {
        name: String,
        port: Option<u16>,
    },
    Network {
        base: IpAddr,
        bits: u8,
    },
}

impl NoProxy {
    /// Reads `NO_PROXY`'s comma-separated list: `*`, names (with what is below them), addresses and networks.
    /// What is none of these is left out.
    pub fn parse(list: &str) -> Self {
        Self(
            list.split([',', ' '])
                .map(str::trim)
                .filter(|entry| !entry.is_empty())
                .filter_map(exception)
                .collect(),
        )
    }

    /// Whether this target is dialled directly.
    pub(crate) fn covers(&self, target: &Authority) -> bool {
        let ip = target.ip();
        let loopback = match ip {
            Some(ip) => crate::dialer::is_loopback(ip),
            None => target.host() == "localhost" || target.host().ends_with(".localhost"),
        };
        loopback
            || self.0.iter().any(|exception| match exception {
                Exception::All => true,
                Exception::Domain { name, port } => {
                    let below = target.host().strip_suffix(name.as_str());
                    below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                        && port.is_none_or(|port| port == target.port())
                }
                Exception::Network { base, bits } => ip.is_some_and(|ip| within(ip, *base, *bits)),
            })
    }
}

fn exception(entry: &str) -> Option<Exception> {
    if entry == "*" {
        return Some(Exception::All);
    }
    if let Some((base, bits)) = entry.split_once('/') {
        let base: IpAddr = base.parse().ok()?;
        let bits = bits.parse().ok().filter(|bits| *bits <= width(base))?;
        return Some(Exception::Network { base, bits });
    }
    if let Ok(base) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Some(Exception::Network { base, bits: width(base) });
    }
    let entry = entry.strip_prefix('*').unwrap_or(entry);
    let entry = entry.strip_prefix('.').unwrap_or(entry);
    let (name, port) = match entry.split_once(':') {
        Some((name, port)) => (name, Some(port.parse().ok()?)),
        None => (entry, None),
    };
    (!name.is_empty()).then(|| Exception::Domain { name: name.to_ascii_lowercase(), port })
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn within(ip: IpAddr, base: IpAddr, bits: u8) -> bool {
    let shift = u32::from(width(base) - bits);
    match (ip.to_canonical(), base) {
        (IpAddr::V4(ip), IpAddr::V4(base)) => {
            (ip.to_bits() ^ base.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(base)) => {
            (ip.to_bits() ^ base.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_names_with_what_is_below_addresses_and_networks() {
        let list = NoProxy::parse(
            "example.com, .corp.test,*.lab.test,10.0.0.0/8,2001:db8::/32,192.0.2.7,git.test:22,bad/99",
        );
        let covered = |text: &str| list.covers(&Authority::parse(text, Some(443)).unwrap());
        for yes in [
            "example.com",
            "API.example.com",
            "corp.test",
            "a.corp.test",
            "a.lab.test",
            "10.9.8.7",
            "[2001:db8::5]",
            "192.0.2.7",
            "git.test:22",
            "localhost",
            "127.0.0.9",
            "[::1]",
            "a.localhost",
        ] {
            assert!(covered(yes), "{yes}");
        }
        for no in [
            "notexample.com",
            "example.com.evil.test",
            "11.0.0.1",
            "192.0.2.8",
            "git.test:443",
            "[2001:db9::1]",
        ] {
            assert!(!covered(no), "{no}");
        }
        assert!(NoProxy::parse("*").covers(&Authority::new("x.test", 1).unwrap()));
        assert!(NoProxy::parse("0.0.0.0/0").covers(&Authority::new("8.8.8.8", 1).unwrap()));
    }
}
