//! Where quotas are counted: in this user's own file, or in a Redis that several machines share.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::HostPort;

/// The store of the counters. Never holds a password: that is in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum QuotaStore {
    #[default]
    Sqlite,
    Redis(RedisAddress),
}

/// `redis://user@host:port/db`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RedisAddress {
    pub tls: bool,
    /// A user of Redis's access control lists.
    pub user: Option<String>,
    pub place: HostPort,
    pub db: u16,
}

const EXPECTED: &str = "expected `sqlite`, or an address such as `rediss://quota@redis.corp.example:6379/0`";

impl QuotaStore {
    pub fn parse(text: &str) -> Result<QuotaStore, &'static str> {
        if text == "sqlite" {
            return Ok(QuotaStore::Sqlite);
        }
        let (tls, rest) = match (text.strip_prefix("rediss://"), text.strip_prefix("redis://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(EXPECTED),
        };
        let (authority, db) = match rest.split_once('/') {
            None | Some((_, "")) => (rest.trim_end_matches('/'), 0),
            Some((authority, db)) => (authority, db.parse().map_err(|_| EXPECTED)?),
        };
        let (user, host) = match authority.rsplit_once('@') {
            Some((login, _)) if login.contains(':') => {
                return Err("a password does not belong here: put it into a file and name that in \
                            `quotas.password_file`");
            }
            Some((user, host)) => (Some(user.to_owned()).filter(|user| !user.is_empty()), host),
            None => (None, authority),
        };
        let ported = host.rsplit_once(':').is_some_and(|(name, _)| !name.is_empty() && !host.ends_with(']'));
        let place = if ported { HostPort::parse(host) } else { HostPort::parse(&format!("{host}:6379")) };
        let place = place.ok_or(EXPECTED)?;
        Ok(QuotaStore::Redis(RedisAddress { tls, user, place, db }))
    }
}

impl fmt::Display for QuotaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let QuotaStore::Redis(RedisAddress { tls, user, place, db }) = self else {
            return f.write_str("sqlite");
        };
        let scheme = if *tls { "rediss" } else { "redis" };
        match user {
            Some(user) => write!(f, "{scheme}://{user}@{place}/{db}"),
            None => write!(f, "{scheme}://{place}/{db}"),
        }
    }
}

impl Serialize for QuotaStore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for QuotaStore {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "QuotaStore".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^(sqlite$|rediss?://)"})
    }
}

impl<'de> Deserialize<'de> for QuotaStore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<QuotaStore, D::Error> {
        QuotaStore::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for (text, shown) in [
            ("sqlite", "sqlite"),
            ("redis://localhost", "redis://localhost:6379/0"),
            ("redis://127.0.0.1:6380/2", "redis://127.0.0.1:6380/2"),
            ("rediss://quota@Redis.corp.example/", "rediss://quota@redis.corp.example:6379/0"),
            ("redis://[::1]:7000", "redis://[::1]:7000/0"),
            ("redis://[::1]", "redis://[::1]:6379/0"),
        ] {
            assert_eq!(QuotaStore::parse(text).unwrap().to_string(), shown);
        }
        for bad in ["", "redis", "redis://", "http://x", "redis://x:0", "redis://x/y", "redis://x y"] {
            assert!(QuotaStore::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_is_sent_to_its_file() {
        for text in ["redis://ann:pw@x", "redis://:pw@x:6379/0"] {
            let said = QuotaStore::parse(text).unwrap_err();
            assert!(said.contains("password_file") && !said.contains("pw"), "{said}");
        }
    }
}
