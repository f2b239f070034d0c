//! Where signed policy bundles are fetched from, and how often.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::documents::Span;
use crate::written::written;

const LEAST: u64 = 10;
const MOST: u64 = 30 * 86_400;

/// An `https://` address without user and password: what stands there is signed, and not for everybody to see asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleUrl {
    text: String,
    host: String,
    port: u16,
}

impl BundleUrl {
    pub fn parse(text: &str) -> Option<BundleUrl> {
        let rest = text.strip_prefix("https://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let plain = text.len() <= 2_048 && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !plain || authority.contains('@') {
            return None;
        }
        let numbered = match authority.rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => authority.to_owned(),
            _ => format!("{authority}:443"),
        };
        let super::HostPort { host, port } = super::HostPort::parse(&numbered)?;
        Some(BundleUrl { text: text.to_owned(), host, port })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Without the query, which may hold a token.
impl fmt::Display for BundleUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.split(['?', '#']).next().unwrap_or_default())
    }
}

written!(
    BundleUrl,
    "an address such as `https://policy.corp.example/policy.bundle`, with TLS, without user and password"
);

impl JsonSchema for BundleUrl {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BundleUrl".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^https://[^@/?#]+", "description": "such as `https://policy.corp.example/policy.bundle`"})
    }
}

/// How often a bundle is fetched: 10 seconds to 30 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refresh(u64);

impl Refresh {
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl Default for Refresh {
    fn default() -> Refresh {
        Refresh(3_600)
    }
}

impl Serialize for Refresh {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Span::parse(&format!("{}s", self.0)) {
            Some(span) => serializer.collect_str(&span),
            None => serializer.serialize_u64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Refresh {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Refresh, D::Error> {
        let seconds = Span::deserialize(deserializer)?.seconds();
        if !(LEAST..=MOST).contains(&seconds) {
            return Err(serde::de::Error::custom("expected `10s` to `30d`"));
        }
        Ok(Refresh(seconds))
    }
}

impl JsonSchema for Refresh {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Refresh".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Span::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_tls_and_no_login() {
        let url = BundleUrl::parse("https://policy.corp.example/p/policy.bundle?token=x").unwrap();
        assert_eq!((url.host(), url.port()), ("policy.corp.example", 443));
        assert_eq!(url.to_string(), "https://policy.corp.example/p/policy.bundle", "no token is shown");
        assert!(url.as_str().ends_with("?token=x"));
        assert_eq!(BundleUrl::parse("https://policy.corp.example:8443").unwrap().port(), 8443);
        for bad in [
            "",
            "https://",
            "http://policy.corp.example/x",
            "https://ann:pw@policy.corp.example/x",
            "https://policy corp/x",
            "ftp://x/y",
        ] {
            assert_eq!(BundleUrl::parse(bad), None, "{bad}");
        }
    }
}
