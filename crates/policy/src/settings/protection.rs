//! Who may weaken protection, and under which rules a permission is given for a while.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::layers::{Policies, Rank};
use super::{Setting, SettingRow, snapshot};
use crate::documents::SallyportPolicy;
use crate::elevation::{Approver, ElevationRules, Hold, MAX_APPROVAL_TIMEOUT, MAX_DURATION, Scope, Terms};
use crate::ordered::ordered;

/// `protection` of a `SallyportPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ProtectionRules {
    /// Whether protection may be switched off or paused.
    pub off: Option<OffPolicy>,
    /// Whether whoever weakens protection must prove to be there.
    pub authentication: Option<Authentication>,
    /// Whether switching off or pausing takes a reason.
    pub reason: Option<ReasonPolicy>,
}

ordered! {
    pub enum OffPolicy {
        #[default]
        Allow,
        Forbid,
    }
}

ordered! {
    pub enum Authentication {
        /// Asked for where the operating system can ask; elsewhere the word of the caller counts, and is recorded as such.
        #[default]
        Available,
        /// Where the operating system can't ask, nothing is weakened.
        Required,
    }
}

ordered! {
    pub enum ReasonPolicy {
        #[default]
        Optional,
        Required,
    }
}

#[derive(Debug, Clone)]
pub struct ProtectionSettings {
    pub off: Setting<OffPolicy>,
    pub authentication: Setting<Authentication>,
    pub reason: Setting<ReasonPolicy>,
}

#[derive(Debug, Clone)]
pub struct ElevationSettings {
    /// In seconds, as the next.
    pub max_duration: Setting<u64>,
    pub approval_timeout: Setting<u64>,
    pub auto_grant: Setting<BTreeSet<Scope>>,
    pub approvers: Setting<Vec<Approver>>,
    pub require_justification: Setting<bool>,
    pub hold: Setting<Hold>,
}

impl ProtectionSettings {
    pub(super) fn of(policies: &Policies<'_>) -> ProtectionSettings {
        fn rules(policy: &SallyportPolicy) -> Option<&ProtectionRules> {
            policy.protection.as_ref()
        }
        let rank = Rank::Default;
        ProtectionSettings {
            off: policies.pick(|p| rules(p)?.off, rank, OffPolicy::default()),
            authentication: policies.pick(|p| rules(p)?.authentication, rank, Authentication::default()),
            reason: policies.pick(|p| rules(p)?.reason, rank, ReasonPolicy::default()),
        }
    }

    pub(super) fn rows(&self) -> [SettingRow; 3] {
        [
            snapshot::row("protection.off", &self.off),
            snapshot::row("protection.authentication", &self.authentication),
            snapshot::row("protection.reason", &self.reason),
        ]
    }
}

impl ElevationSettings {
    pub(super) fn of(policies: &Policies<'_>) -> ElevationSettings {
        fn rules(policy: &SallyportPolicy) -> Option<&ElevationRules> {
            policy.elevation.as_ref()
        }
        let rank = Rank::Default;
        // The shorter of two times is the stricter one.
        let shorter = |read: fn(&ElevationRules) -> Option<crate::documents::Span>, default: u64| {
            let read = |p: &SallyportPolicy| rules(p).and_then(read).map(|span| Reverse(span.seconds()));
            policies.pick(read, rank, Reverse(default)).map(|Reverse(seconds)| seconds.min(default))
        };
        ElevationSettings {
            max_duration: shorter(|r| r.max_duration, MAX_DURATION),
            approval_timeout: shorter(|r| r.approval_timeout, MAX_APPROVAL_TIMEOUT),
            auto_grant: policies
                .common(|p| rules(p)?.auto_grant.clone())
                .map(|scopes| scopes.into_iter().filter(|scope| !scope.needs_human()).collect()),
            approvers: policies
                .common(|p| Some(rules(p)?.approvers.clone()?.into_iter().collect()))
                .map(|approvers: BTreeSet<Approver>| approvers.into_iter().collect()),
            require_justification: policies.pick(|p| rules(p)?.require_justification, rank, false),
            hold: policies.pick(|p| rules(p)?.hold, rank, Hold::default()),
        }
    }

    pub fn terms(&self) -> Terms {
        Terms {
            max_duration: self.max_duration.value,
            approval_timeout: self.approval_timeout.value,
            auto_grant: self.auto_grant.value.clone(),
            approvers: self.approvers.value.clone(),
            require_justification: self.require_justification.value,
        }
    }

    pub(super) fn rows(&self) -> [SettingRow; 6] {
        [
            snapshot::row("elevation.max_duration", &self.max_duration),
            snapshot::row("elevation.approval_timeout", &self.approval_timeout),
            snapshot::row("elevation.auto_grant", &self.auto_grant),
            snapshot::row("elevation.approvers", &self.approvers),
            snapshot::row("elevation.require_justification", &self.require_justification),
            snapshot::row("elevation.hold", &self.hold),
        ]
    }
}
