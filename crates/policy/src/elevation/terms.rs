//! The rules under which elevation happens, as a document writes them and as they are in force.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Hold, Scope};
use crate::PublicKey;
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
    pub public_key: PublicKey,
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
