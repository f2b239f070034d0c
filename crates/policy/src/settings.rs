//! Settings: each with its value, where it came from, and whether a user may change it. Layers resolve to
//! one immutable snapshot.
//!
//! `resolve` is the only place where layers meet. Later layers count over earlier ones: defaults, the
//! user's, the managed ones. Within one layer the stricter of two documents counts, so that the order of
//! files never matters.

mod agents;
mod conduct;
mod destinations;
mod detection;
mod governance;
mod layers;
mod names;
mod protection;
mod quotas;
mod snapshot;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::ordered::ordered;

pub use agents::{AgentMode, AgentRules, AgentSettings};
pub use conduct::{
    ConductSettings, InjectionRules, OutputAction, OutputRules, OutputSettings, ToolInjection, UserInjection,
};
pub use detection::{DetectionRules, DetectionSettings, KnownValues, OwnEntries};
pub use governance::{Governance, Requirement, Reroute, RerouteTarget, Tool, Workspaces};
pub use layers::{Layers, resolve};
pub use protection::{
    Authentication, ElevationSettings, OffPolicy, ProtectionRules, ProtectionSettings, ReasonPolicy,
};
pub use quotas::QuotaSettings;
pub use snapshot::{
    AuditSettings, BundleSettings, DocumentSummary, Limits, SecretsSettings, SettingRow, Snapshot,
    UpstreamSettings,
};

/// Whose word a setting is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS,
)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Built in.
    Default,
    User,
    /// Set by whoever manages this machine.
    Managed,
}

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Default => "default",
            Origin::User => "user",
            Origin::Managed => "managed",
        }
    }
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting<T> {
    pub value: T,
    pub origin: Origin,
    /// A user's own value would not count.
    pub locked: bool,
}

impl<T> Setting<T> {
    pub fn new(value: T, origin: Origin) -> Setting<T> {
        Setting { value, origin, locked: false }
    }

    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Setting<U> {
        Setting { value: change(self.value), origin: self.origin, locked: self.locked }
    }
}

ordered! {
    /// Bodies that can't be read.
    pub enum OpaquePolicy {
        Allow,
        /// Passes, counted and shown.
        #[default]
        Warn,
        Block,
    }
}

ordered! {
    /// Bodies that are not what they say they are, in whose raw text nothing was found.
    pub enum MalformedPolicy {
        #[default]
        Allow,
        Block,
    }
}

ordered! {
    /// What clients report about themselves.
    pub enum TelemetryPolicy {
        /// Passes unread.
        Allow,
        /// Treated like a prompt.
        #[default]
        Scan,
        Block,
    }
}

ordered! {
    /// What happens to AI traffic that can't be looked at: an internal error, no secrets loaded, no trail, a
    /// dead engine.
    pub enum FailMode {
        Open,
        #[default]
        Closed,
    }
}

ordered! {
    /// What happens to an AI host that policy has not approved.
    pub enum ShadowAi {
        /// Passes; only a number.
        #[default]
        Count,
        /// Passes; the trail and the person are told.
        Warn,
        Block,
    }
}

ordered! {
    /// What happens when a provider may not see the class of a request.
    pub enum OnViolation {
        /// Findings are taken out; what is left decides.
        #[default]
        Redact,
        /// What the client wrote decides; the request goes to a self-hosted provider instead.
        Reroute,
        /// What the client wrote decides; the request is refused.
        Block,
    }
}

ordered! {
    /// What happens to tools without an approved security assessment.
    pub enum UnapprovedTools {
        #[default]
        Allow,
        /// Pass; the trail is told.
        Warn,
        Block,
    }
}

#[cfg(test)]
mod tests;
