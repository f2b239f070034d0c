//! What a person may take out of detection, and add to it.

use serde::{Deserialize, Serialize};

use super::layers::{Policies, Rank};
use super::{Setting, SettingRow, snapshot};
use crate::documents::SallyportPolicy;
use crate::ordered::ordered;

/// `detection` of a `SallyportPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct DetectionRules {
    /// Whether a person's entries of `sallyport allow` are in force.
    pub allowlist: Option<OwnEntries>,
    /// Whether the value of a known secret may be among them.
    pub known_values: Option<KnownValues>,
    /// Whether rule files of a person's own are in force.
    pub own_rules: Option<OwnEntries>,
}

ordered! {
    pub enum OwnEntries {
        #[default]
        Allow,
        Forbid,
    }
}

ordered! {
    pub enum KnownValues {
        /// By fingerprint, as any other value (never by rule or path).
        Allow,
        /// Whatever the allowlist says, they are taken out.
        #[default]
        Protect,
    }
}

#[derive(Debug, Clone)]
pub struct DetectionSettings {
    pub allowlist: Setting<OwnEntries>,
    pub known_values: Setting<KnownValues>,
    pub own_rules: Setting<OwnEntries>,
}

impl DetectionSettings {
    pub(super) fn of(policies: &Policies<'_>) -> DetectionSettings {
        fn rules(policy: &SallyportPolicy) -> Option<&DetectionRules> {
            policy.detection.as_ref()
        }
        let rank = Rank::Default;
        DetectionSettings {
            allowlist: policies.pick(|p| rules(p)?.allowlist, rank, OwnEntries::default()),
            known_values: policies.pick(|p| rules(p)?.known_values, rank, KnownValues::default()),
            own_rules: policies.pick(|p| rules(p)?.own_rules, rank, OwnEntries::default()),
        }
    }

    pub(super) fn rows(&self) -> [SettingRow; 3] {
        [
            snapshot::row("detection.allowlist", &self.allowlist),
            snapshot::row("detection.known_values", &self.known_values),
            snapshot::row("detection.own_rules", &self.own_rules),
        ]
    }
}
