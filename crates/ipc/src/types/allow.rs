//! The allowlist: what is no finding, who says so, and until when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// One entry: a value by its fingerprint, or a rule, or files, or a rule in files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct AllowEntry {
    pub id: u64,
    /// 32 hexadecimal digits.
    pub fingerprint: Option<String>,
    pub rule: Option<String>,
    /// A glob of files.
    pub path: Option<String>,
    pub reason: String,
    pub added_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub state: AllowState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum AllowState {
    InForce,
    Expired,
    /// Policy does not let entries of a person's own be in force.
    Forbidden,
    /// It was not written by Sallyport, or changed since.
    Unsealed,
}

/// What to allow: a fingerprint or a value, or a rule, a path, or both of these.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields, default)]
pub struct AllowDraft {
    /// As an action `finding:RULE` of an audit row has it as its target.
    pub fingerprint: Option<String>,
    /// The value itself; only its fingerprint is kept.
    pub value: Option<String>,
    pub rule: Option<String>,
    pub path: Option<String>,
    /// Why it is no finding.
    pub reason: String,
    /// Unset: until it is removed.
    pub for_seconds: Option<u64>,
}

/// Never shows the value.
impl std::fmt::Debug for AllowDraft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AllowDraft")
            .field("fingerprint", &self.fingerprint)
            .field("rule", &self.rule)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields, default)]
pub struct AllowRemoval {
    pub id: u64,
}

/// Values of which the caller wants to know whether they are allowed by fingerprint.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields, default)]
pub struct AllowQuestion {
    pub values: Vec<String>,
}

/// Never shows a value.
impl std::fmt::Debug for AllowQuestion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AllowQuestion").field("values", &self.values.len()).finish()
    }
}

/// One answer for each value, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default)]
pub struct AllowAnswer {
    pub allowed: Vec<bool>,
}
