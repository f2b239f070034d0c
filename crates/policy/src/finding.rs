//! What a detector saw, and where. A finding never holds the value itself.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::Level;

/// The id of a detection rule, such as `aws_key`, or the name of a known secret for
/// [`FindingKind::KnownSecret`]. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(Arc<str>);

impl RuleId {
    pub fn new(id: impl Into<Arc<str>>) -> RuleId {
        RuleId(id.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How bad it is that this value is where it is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// The word used in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

/// Which detector spoke; decides the shape of the placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A value that a source (vault, keychain, file) holds: `[SECRET:name]`.
    KnownSecret,
    /// A value that looks like a credential: `[REDACTED_<RULE>]`.
    Secret,
    /// The value of a `NAME=value` line whose name says secret: `NAME=[REDACTED]`.
    EnvAssignment,
    /// Personal data: `[REDACTED_<RULE>]`.
    Pii,
    /// Internal addresses and host names: `[REDACTED_<RULE>]`.
    Internal,
}

/// One finding in one text. `span` counts bytes of the text that was scanned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's id; for a known secret, its name.
    pub rule: RuleId,
    pub kind: FindingKind,
    pub severity: Severity,
    /// The class that text with this finding belongs to.
    pub class: Level,
    pub span: Range<usize>,
}
