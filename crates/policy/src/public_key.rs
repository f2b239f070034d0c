//! The Ed25519 public keys that policy names: of those who sign bundles, and of approvers. What each may sign is not said
//! here: every kind of signature has words of its own before what is signed.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use schemars::JsonSchema;

use crate::written::written;

/// Written as `ed25519:` and the base64 of its 32 bytes; the bare base64 is read, too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    pub fn parse(text: &str) -> Option<PublicKey> {
        let text = text.trim();
        let bytes = BASE64.decode(text.strip_prefix("ed25519:").unwrap_or(text).as_bytes()).ok()?;
        let bytes = bytes.try_into().ok()?;
        VerifyingKey::from_bytes(&bytes).ok().map(|_| PublicKey(bytes))
    }

    pub(crate) fn of(key: &SigningKey) -> PublicKey {
        PublicKey(key.verifying_key().to_bytes())
    }

    /// Whether the owner of the key signed this.
    pub(crate) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = VerifyingKey::from_bytes(&self.0).ok();
        key.zip(Signature::from_slice(signature).ok())
            .is_some_and(|(key, signature)| key.verify_strict(message, &signature).is_ok())
    }

    /// A short name to tell keys apart by.
    pub fn id(&self) -> String {
        HEXLOWER.encode(&crate::digest(&self.0)[..8])
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", BASE64.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

written!(
    PublicKey,
    "an Ed25519 public key: `ed25519:` and the base64 of its 32 bytes, as `policy bundle keygen` and `elevate key` print it"
);

impl JsonSchema for PublicKey {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PublicKey".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^(ed25519:)?[A-Za-z0-9+/]{43}=$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_in_both_forms_and_only_whole() {
        let key = PublicKey::of(&SigningKey::from_bytes(&[7; 32]));
        let written = key.to_string();
        assert_eq!(PublicKey::parse(&written), Some(key));
        assert_eq!(PublicKey::parse(&written["ed25519:".len()..]), Some(key));
        assert_eq!(PublicKey::parse(&written[..written.len() - 2]), None);
        assert_eq!(PublicKey::parse(&written.replace("ed25519", "rsa")), None);
        // Bytes that no key has.
        let no_point = (0..=u8::MAX).map(|n| [n; 32]).find(|bytes| VerifyingKey::from_bytes(bytes).is_err());
        assert_eq!(PublicKey::parse(&BASE64.encode(&no_point.unwrap())), None);
    }
}
