//! A secret and its name.

use std::fmt;

use zeroize::Zeroizing;

/// Shorter values are not indexed: they would be found everywhere.
pub const MIN_LENGTH: usize = 8;

/// The bytes of a secret: wiped when dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl SecretValue {
    pub fn new(bytes: impl Into<Vec<u8>>) -> SecretValue {
        SecretValue(Zeroizing::new(bytes.into()))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl From<Zeroizing<Vec<u8>>> for SecretValue {
    fn from(bytes: Zeroizing<Vec<u8>>) -> SecretValue {
        SecretValue(bytes)
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue")
    }
}

/// One value to recognise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSecret {
    /// Stands in the placeholder: short, printable ASCII without brackets. Unique in its source, save among the parts
    /// of one secret.
    pub name: String,
    pub value: SecretValue,
    /// Too common to be searched for everywhere; matches beside its name only.
    pub weak: bool,
    /// Another spelling or a piece of the secret of the same name (a line of a private key, the raw text between
    /// quotes). Not counted.
    pub part: bool,
}

/// A name as it may stand in a prompt, a message or a log line. The same input always gives the same name.
pub(crate) fn clean_name(name: &str) -> String {
    const MAX: usize = 160;
    let name: String = name
        .trim_matches('/')
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._/@:+-".contains(c) { c } else { '_' })
        .collect();
    // The end of a long path says more than its beginning.
    let name = name.get(name.len().saturating_sub(MAX)..).unwrap_or(&name);
    if name.is_empty() { "unnamed".into() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_nothing() {
        let secret = NamedSecret {
            name: "db".into(),
            value: SecretValue::new("hunter2hunter2"),
            weak: false,
            part: false,
        };
        let shown = format!("{secret:?}");
        assert!(!shown.contains("hunter") && !shown.contains("104"), "{shown}");
    }

    #[test]
    fn names_are_safe_to_print() {
        assert_eq!(clean_name("db/password"), "db/password");
        assert_eq!(clean_name("/a b]\n[c\"ü/"), "a_b___c__");
        assert_eq!(clean_name("//"), "unnamed");
        assert_eq!(clean_name(&"x".repeat(500)).len(), 160);
    }
}
