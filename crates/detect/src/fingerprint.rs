//! Fingerprints of values for the allowlist: a person says "not a secret" without us keeping it.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use sallyport_policy::RuleId;

use crate::secrets::{KeyMemory, MaskedHash};

/// A value under the installation's key. Equal values have equal fingerprints, on this
/// installation only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 16]);

/// The text is no fingerprint: 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no fingerprint; one has 32 hexadecimal digits, as `activity` and `scan` show them")]
pub struct NoFingerprint(String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    fn from_str(text: &str) -> Result<Fingerprint, NoFingerprint> {
        let no = || NoFingerprint(text.to_owned());
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| no())?;
        bytes.try_into().map(Fingerprint).map_err(|_| no())
    }
}

/// Makes fingerprints under one installation's key.
#[derive(Clone)]
pub struct Fingerprinter(MaskedHash);

impl Fingerprinter {
    pub fn new(key: &[u8; 32], memory: &impl KeyMemory) -> Fingerprinter {
        Fingerprinter(MaskedHash::new(key, "sallyport detect 1: allowlist", memory))
    }

    pub fn of(&self, value: &str) -> Fingerprint {
        Fingerprint(self.0.digest(value.as_bytes()))
    }
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprinter(..)")
    }
}

/// Values that a person has allowed, known by fingerprint only (decision 3).
#[derive(Debug, Clone)]
pub struct AllowList {
    pub fingerprinter: Fingerprinter,
    pub entries: HashSet<Fingerprint>,
    /// Rules whose findings are allowed, whatever they find. Known values never are by rule.
    pub rules: HashSet<RuleId>,
    /// Whether a known value is allowed by its fingerprint.
    pub known_too: bool,
}

impl AllowList {
    pub(crate) fn allows(&self, value: &str) -> bool {
        !self.entries.is_empty() && self.entries.contains(&self.fingerprinter.of(value))
    }
}

#[cfg(test)]
mod tests {
    use crate::secrets::OrdinaryMemory;

    use super::*;

    #[test]
    fn fingerprints_are_read_back_and_keyed() {
        let (one, two) =
            (Fingerprinter::new(&[1; 32], &OrdinaryMemory), Fingerprinter::new(&[2; 32], &OrdinaryMemory));
        let print = one.of("value");
        assert_eq!(print.to_string().parse(), Ok(print));
        assert_ne!(print, two.of("value"));
        assert!("abc".parse::<Fingerprint>().is_err());
    }
}
