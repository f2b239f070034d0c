//! The key broker's rules: which key goes into whose requests, and where it is kept.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::written::written;

/// What a tool is given in place of a key: this, followed by the key's name.
pub const PLACEHOLDER: &str = "sallyport:";

const MAX_NAME: usize = 100;

/// One key, as an entry of `broker` in a `SallyportPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BrokeredKey {
    /// As it stands in the placeholder: `sallyport:NAME`.
    pub name: String,
    #[schemars(with = "String")]
    pub source: SecretRef,
    /// The only hosts that it is sent to; names without wildcards.
    pub hosts: Vec<String>,
    /// Classes of agents whose sessions may use it.
    pub accounts: Vec<String>,
}

/// Where a value is kept: `vault:billing/api-key`, `keychain:NAME` or `file:NAME`, named as `secrets list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretRef {
    pub place: SecretPlace,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretPlace {
    Vault,
    Keychain,
    File,
}

impl SecretPlace {
    pub fn as_str(self) -> &'static str {
        match self {
            SecretPlace::Vault => "vault",
            SecretPlace::Keychain => "keychain",
            SecretPlace::File => "file",
        }
    }
}

impl SecretRef {
    pub fn parse(text: &str) -> Option<SecretRef> {
        let (place, name) = text.split_once(':')?;
        let places = [SecretPlace::Vault, SecretPlace::Keychain, SecretPlace::File];
        let place = places.into_iter().find(|known| known.as_str() == place)?;
        let good = |c: char| c.is_ascii_alphanumeric() || "._/@:+-".contains(c);
        let sound = !name.is_empty() && name.len() <= 160 && name.chars().all(good);
        sound.then(|| SecretRef { place, name: name.to_owned() })
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.place.as_str(), self.name)
    }
}

written!(SecretRef, "vault:NAME, keychain:NAME or file:NAME, as `secrets list` names it");

impl BrokeredKey {
    /// What is wrong with it, and in which field.
    pub(crate) fn problem(&self) -> Option<(&'static str, String)> {
        if !is_name(&self.name) {
            return Some(("name", "expected letters, digits, `-`, `_` and `.`".into()));
        }
        if self.hosts.is_empty() {
            return Some(("hosts", "expected at least one host".into()));
        }
        let odd = |host: &&String| host.is_empty() || host.contains(['*', '/', ':', ' ']);
        if let Some(host) = self.hosts.iter().find(odd) {
            return Some(("hosts", format!("`{host}` is no host name: a key is sent to exact names only")));
        }
        if self.accounts.is_empty() {
            return Some(("accounts", "expected at least one class of agents".into()));
        }
        None
    }
}

/// The name in a header's value such as `Bearer sallyport:NAME`, and where it stands.
pub fn named_in(value: &str) -> Option<(std::ops::Range<usize>, &str)> {
    let start = value.find(PLACEHOLDER)?;
    let rest = &value[start + PLACEHOLDER.len()..];
    let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
    Some((start..start + PLACEHOLDER.len() + end, &rest[..end]))
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(is_part)
}

/// Why a key is not inserted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotBrokered {
    #[error("policy knows no brokered key called `{0}`")]
    Unknown(String),
    #[error("the key `{key}` is not for {host}")]
    Host { key: String, host: String },
    #[error(
        "the key `{0}` is for agents that run under `sallyport exec --agent CLASS`, and this process does not"
    )]
    NoSession(String),
    #[error("the key `{key}` is not for agents of the class `{class}`")]
    Account { key: String, class: String },
}

/// Which key a placeholder stands for, if this session's class may send it to this host.
pub fn choose<'k>(
    keys: &'k [BrokeredKey],
    name: &str,
    host: &str,
    session_class: Option<&str>,
) -> Result<&'k BrokeredKey, NotBrokered> {
    let key = keys
        .iter()
        .find(|key| key.name == name)
        .ok_or_else(|| NotBrokered::Unknown(name.chars().take(MAX_NAME).collect()))?;
    let called = || key.name.clone();
    if !key.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
        return Err(NotBrokered::Host { key: called(), host: host.to_owned() });
    }
    let Some(class) = session_class else { return Err(NotBrokered::NoSession(called())) };
    match key.accounts.iter().any(|account| account == class) {
        true => Ok(key),
        false => Err(NotBrokered::Account { key: called(), class: class.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> BrokeredKey {
        BrokeredKey {
            name: "openai".into(),
            source: SecretRef::parse("vault:ai-provider-keys/openai").unwrap(),
            hosts: vec!["api.openai.com".into()],
            accounts: vec!["coding-assistant".into()],
        }
    }

    #[test]
    fn a_key_goes_to_its_hosts_for_its_sessions_alone() {
        let keys = [key()];
        let chosen = |name: &str, host: &str, class| choose(&keys, name, host, class);
        assert!(chosen("openai", "API.openai.com", Some("coding-assistant")).is_ok());
        assert!(matches!(chosen("other", "api.openai.com", None), Err(NotBrokered::Unknown(_))));
        assert!(matches!(
            chosen("openai", "api.openai.com.evil.test", Some("coding-assistant")),
            Err(NotBrokered::Host { .. })
        ));
        assert!(matches!(chosen("openai", "api.openai.com", None), Err(NotBrokered::NoSession(_))));
        assert!(matches!(
            chosen("openai", "api.openai.com", Some("reviewer")),
            Err(NotBrokered::Account { .. })
        ));
    }

    #[test]
    fn placeholders_are_found_in_headers() {
        assert_eq!(named_in("Bearer sallyport:openai"), Some((7..23, "openai")));
        assert_eq!(named_in("sallyport:a.b-c_d;x"), Some((0..17, "a.b-c_d")));
        assert_eq!(named_in("sallyport:"), Some((0..10, "")));
        assert_eq!(named_in("Bearer sk-123"), None);
    }

    #[test]
    fn entries_are_checked() {
        assert_eq!(key().problem(), None);
        let wrong = |change: fn(&mut BrokeredKey)| {
            let mut key = key();
            change(&mut key);
            key.problem().map(|(field, _)| field)
        };
        assert_eq!(wrong(|k| k.name = "a b".into()), Some("name"));
        assert_eq!(wrong(|k| k.hosts = vec!["*.openai.com".into()]), Some("hosts"));
        assert_eq!(wrong(|k| k.hosts.clear()), Some("hosts"));
        assert_eq!(wrong(|k| k.accounts.clear()), Some("accounts"));
        for bad in ["vault", "vault:", "cloud:x", "vault:a b"] {
            assert_eq!(SecretRef::parse(bad), None, "{bad}");
        }
    }
}
