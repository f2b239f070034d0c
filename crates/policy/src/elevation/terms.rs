//! The rules under which elevation happens, as a document writes them and as they are in force.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Hold, Scope};
use crate::documents::Span;

/// No grant lasts longer, whatever a document says.
pub const MAX_DURATION: u64 = 4 * 3_600;
/// A human answers within this time, or the request is over.
pub const MAX_APPROVAL_TIMEOUT: u64 = 30 * 60;

/// `elevation` of a `SallyportPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ElevationRules {
    /// Longest grant, up to 4 h.
    pub max_duration: Option<Span>,
    /// How long a request waits for a human, up to 30 min.
    pub approval_timeout: Option<Span>,
    /// Scopes that are granted without a human. `shell:execute` and `secrets:read` never are.
    pub auto_grant: Option<BTreeSet<Scope>>,
    /// Who may approve from elsewhere, with a signature.
    pub approvers: Option<Vec<Approver>>,
    pub require_justification: Option<bool>,
    /// How long an answer is kept open while a person decides on a call in it: `client`, `off`, or a time.
    pub hold: Option<Hold>,
}

/// A person who approves with a signature.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Approver {
    pub name: String,
    #[schemars(with = "String")]
    pub public_key: PublicKey,
}

/// An Ed25519 public key, base64 of its 32 bytes in documents.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::BASE64.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<PublicKey, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = data_encoding::BASE64.decode(text.trim().as_bytes()).ok();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(PublicKey)
            .ok_or_else(|| serde::de::Error::custom("expected an Ed25519 public key: base64 of 32 bytes"))
    }
}

/// The rules in force. Each limit is within the bounds above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    pub max_duration: u64,
    pub approval_timeout: u64,
    pub auto_grant: BTreeSet<Scope>,
    pub approvers: Vec<Approver>,
    pub require_justification: bool,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            max_duration: MAX_DURATION,
            approval_timeout: MAX_APPROVAL_TIMEOUT,
            auto_grant: BTreeSet::new(),
            approvers: Vec::new(),
            require_justification: false,
        }
    }
}
