//! The names that an authority may speak for, as written into its name constraints.

use std::net::IpAddr;

use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};

use crate::CertError;

/// A DNS constraint is needed even when only addresses are intercepted: without one every name is permitted.
const NO_NAME: &str = "sallyport.invalid";

/// Suffixes under which anybody can have a name. A constraint covers all that lies below it, so none of these
/// (nor a parent of one) may stand in a root; the services below them are listed one by one.
const SHARED_SUFFIXES: &[&str] = &[
    "amazonaws.com",
    "appspot.com",
    "azure.com",
    "azurewebsites.net",
    "cloudapp.net",
    "cloudflare.net",
    "cloudfront.net",
    "github.io",
    "googleapis.com",
    "googleusercontent.com",
    "herokuapp.com",
    "hf.space",
    "netlify.app",
    "ngrok.io",
    "pages.dev",
    "run.app",
    "vercel.app",
    "windows.net",
    "workers.dev",
];

/// A host as a certificate names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum HostName {
    Dns(String),
    Ip(IpAddr),
}

impl HostName {
    pub(crate) fn parse(host: &str) -> Result<HostName, CertError> {
        let refuse = |why| CertError::Host { host: host.to_owned(), why };
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(HostName::Ip(ip));
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        if name.is_empty() || name.len() > 253 {
            return Err(refuse("a host name has 1 to 253 characters"));
        }
        let label_fits = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if !name.split('.').all(label_fits) {
            return Err(refuse("it is not a host name; write international names in their xn-- form"));
        }
        // Resolvers read `127.1` or `0x7f.1` as addresses; no top-level domain is a number.
        let last = name.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") {
            return Err(refuse("it is neither a host name nor an IP address in its usual form"));
        }
        Ok(HostName::Dns(name.to_ascii_lowercase()))
    }
}

/// Permitted DNS names (each with all that lies below it) and single addresses. Everything else is excluded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraints {
    dns: Vec<String>,
    ips: Vec<IpAddr>,
}

impl Constraints {
    /// From intercepted hosts: exact names, `*.suffix`, IP literals.
    pub fn from_hosts(hosts: &[String]) -> Result<Constraints, CertError> {
        let (mut dns, mut ips) = (Vec::new(), Vec::new());
        for host in hosts {
            let refuse = |why| Err(CertError::Host { host: host.clone(), why });
            match HostName::parse(host.strip_prefix("*.").unwrap_or(host))? {
                HostName::Ip(_) if host.starts_with("*.") => return refuse("an address has no subdomains"),
                HostName::Ip(ip) => ips.push(ip),
                HostName::Dns(name) => {
                    if !name.contains('.') && name != "localhost" {
                        return refuse(
                            "a certificate constraint would cover the whole top-level domain; use the full name",
                        );
                    }
                    if SHARED_SUFFIXES.iter().any(|s| below(s, &name)) {
                        return refuse(
                            "many parties share this suffix; list the services below it one by one",
                        );
                    }
                    dns.push(name);
                }
            }
        }
        Ok(Constraints::minimal(dns, ips))
    }

    fn minimal(mut dns: Vec<String>, mut ips: Vec<IpAddr>) -> Constraints {
        if dns.len() > 1 {
            dns.retain(|name| name != NO_NAME);
        }
        if dns.is_empty() {
            dns.push(NO_NAME.into());
        }
        dns.sort_unstable();
        dns.dedup();
        let all = dns.clone();
        dns.retain(|name| !all.iter().any(|other| other != name && below(name, other)));
        ips.sort_unstable();
        ips.dedup();
        Constraints { dns, ips }
    }

    /// Permitted DNS names; each covers its subdomains too.
    pub fn dns_names(&self) -> &[String] {
        &self.dns
    }

    pub fn ip_addresses(&self) -> &[IpAddr] {
        &self.ips
    }

    /// Whether a certificate for `host` would be accepted under these constraints.
    pub fn permits(&self, host: &str) -> bool {
        HostName::parse(host).is_ok_and(|name| self.permits_name(&name))
    }

    pub(crate) fn permits_name(&self, name: &HostName) -> bool {
        match name {
            HostName::Dns(name) => self.dns.iter().any(|permitted| below(name, permitted)),
            HostName::Ip(ip) => self.ips.contains(ip),
        }
    }

    /// What `wanted` needs and these constraints don't give.
    pub(crate) fn missing(&self, wanted: &Constraints) -> Vec<String> {
        let dns = wanted.dns.iter().filter(|n| *n != NO_NAME && !self.dns.iter().any(|p| below(n, p)));
        let ips = wanted.ips.iter().filter(|ip| !self.ips.contains(ip));
        dns.cloned().chain(ips.map(IpAddr::to_string)).collect()
    }

    pub(crate) fn to_extension(&self) -> NameConstraints {
        let dns = self.dns.iter().cloned().map(GeneralSubtree::DnsName);
        let ips = self.ips.iter().map(|ip| {
            let bits = if ip.is_ipv4() { 32 } else { 128 };
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*ip, bits))
        });
        // An IPv4 range says nothing about IPv6, so the family without a permitted address is excluded whole.
        let mut excluded = Vec::new();
        if !self.ips.iter().any(IpAddr::is_ipv4) {
            excluded.push(GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([0; 4], 0)));
        }
        if !self.ips.iter().any(IpAddr::is_ipv6) {
            excluded.push(GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix([0; 16], 0)));
        }
        NameConstraints { permitted_subtrees: dns.chain(ips).collect(), excluded_subtrees: excluded }
    }

    /// Reads the constraints back; `None` unless the extension is critical and exactly what `to_extension` writes.
    pub(crate) fn read(certificate: &X509Certificate<'_>) -> Option<Constraints> {
        let extension = certificate
            .extensions()
            .iter()
            .find(|e| matches!(e.parsed_extension(), ParsedExtension::NameConstraints(_)))?;
        let ParsedExtension::NameConstraints(found) = extension.parsed_extension() else { return None };
        let (mut dns, mut ips) = (Vec::new(), Vec::new());
        for subtree in found.permitted_subtrees.iter().flatten() {
            match &subtree.base {
                GeneralName::DNSName(name) => dns.push((*name).to_owned()),
                GeneralName::IPAddress(range) => ips.push(single_address(range)?),
                _ => return None,
            }
        }
        let read = Constraints { dns, ips };
        let mut excluded: Vec<&[u8]> = Vec::new();
        for subtree in found.excluded_subtrees.iter().flatten() {
            match &subtree.base {
                GeneralName::IPAddress(range) => excluded.push(range),
                _ => return None,
            }
        }
        let mut expected: Vec<&[u8]> = Vec::new();
        if !read.ips.iter().any(IpAddr::is_ipv4) {
            expected.push(&[0; 8]);
        }
        if !read.ips.iter().any(IpAddr::is_ipv6) {
            expected.push(&[0; 32]);
        }
        (extension.critical && !read.dns.is_empty() && excluded == expected).then_some(read)
    }
}

/// Whether `name` is `suffix` or lies below it.
fn below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn single_address(range: &[u8]) -> Option<IpAddr> {
    if let Some((ip, mask)) = range.split_first_chunk::<4>()
        && mask == [255; 4]
    {
        return Some(IpAddr::from(*ip));
    }
    let (ip, mask) = range.split_first_chunk::<16>()?;
    (mask == [255; 16]).then(|| IpAddr::from(*ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(hosts: &[&str]) -> Result<Constraints, CertError> {
        Constraints::from_hosts(&hosts.iter().map(|h| h.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn keeps_only_what_is_needed() {
        let c = of(&[
            "api.openai.com",
            "*.openai.com",
            "API.anthropic.com.",
            "api.anthropic.com",
            "[::1]",
            "10.0.0.7",
        ])
        .unwrap();
        assert_eq!(c.dns_names(), ["api.anthropic.com", "openai.com"]);
        assert_eq!(c.ip_addresses(), ["10.0.0.7".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
    }

    #[test]
    fn permits_subdomains_and_nothing_that_merely_ends_alike() {
        let c = of(&["*.openai.com"]).unwrap();
        assert!(c.permits("openai.com") && c.permits("a.b.OpenAI.com") && c.permits("api.openai.com."));
        for other in [
            "notopenai.com",
            "openai.com.evil.example",
            "com",
            "",
            "10.0.0.1",
            "*.openai.com",
            "a..openai.com",
        ] {
            assert!(!c.permits(other), "{other}");
        }
    }

    #[test]
    fn refuses_hosts_that_would_open_the_root_wide() {
        for host in [
            "*.com",
            "com",
            "*",
            "*.amazonaws.com",
            "googleapis.com",
            "*.*.openai.com",
            "*.10.0.0.1",
            "127.1",
            "0x7f.1",
            "exämple.com",
            "",
            "a b.example",
            "-a.example",
        ] {
            assert!(matches!(of(&[host]), Err(CertError::Host { .. })), "{host}");
        }
        assert!(of(&["bedrock-runtime.eu-west-1.amazonaws.com", "localhost"]).is_ok());
    }

    #[test]
    fn addresses_alone_leave_no_name_free() {
        let c = of(&["10.0.0.7"]).unwrap();
        assert_eq!(c.dns_names(), [NO_NAME]);
        assert!(!c.permits("openai.com"));
        assert!(c.permits("10.0.0.7") && !c.permits("10.0.0.8") && !c.permits("::1"));
    }

    #[test]
    fn names_what_is_missing() {
        let have = of(&["*.openai.com", "10.0.0.7"]).unwrap();
        let want = of(&["api.openai.com", "api.mistral.ai", "10.0.0.8", "10.0.0.7"]).unwrap();
        assert_eq!(have.missing(&want), ["api.mistral.ai", "10.0.0.8"]);
        assert!(have.missing(&of(&["10.0.0.7"]).unwrap()).is_empty());
    }
}
