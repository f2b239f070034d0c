//! The `quotas` section of a `SallyportPolicy`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{OnExceed, QuotaStore};
use crate::quotas::{Tier, TierRow};
use crate::settings::FailMode;

/// How much of the models may be used, and what happens beyond.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct QuotaPolicy {
    /// Tiers to add or amend, by name. A new one needs all five limits.
    pub tiers: BTreeMap<String, TierRow>,
    /// Beyond a limit: `block` answers 429, `warn` lets it pass and says so.
    pub on_exceed: Option<OnExceed>,
    /// `sqlite`, or the address of a Redis that several machines share.
    pub store: Option<QuotaStore>,
    /// When the shared store does not answer: `open` lets requests pass uncounted, `closed` refuses them.
    pub fail_mode: Option<FailMode>,
    /// Whether tokens read from a prompt cache count towards `tokensPerDay`.
    pub count_cache_reads: Option<bool>,
    /// Agents of these classes have a tier and counters of their own; others use their person's.
    pub agent_tiers: Option<BTreeMap<String, String>>,
    pub repeats: Option<RepeatPolicy>,
}

/// An agent that does the same again and again.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RepeatPolicy {
    /// So many times the same, one after the other, is a loop; 0 never is.
    pub after: u32,
    #[serde(default = "warn")]
    pub action: OnExceed,
}

fn warn() -> OnExceed {
    OnExceed::Warn
}

impl Default for RepeatPolicy {
    fn default() -> Self {
        RepeatPolicy { after: 8, action: OnExceed::Warn }
    }
}

/// Fewer repeats than this happen to anybody.
const LEAST_REPEATS: u32 = 3;

impl QuotaPolicy {
    /// Fields below `quotas`, and what is wrong with each.
    pub(super) fn faults(&self) -> Vec<(String, String)> {
        let builtin = Tier::builtin();
        let mut faults = Vec::new();
        for (name, row) in &self.tiers {
            if row.over(builtin.get(name)).is_none() {
                let message = format!(
                    "`{name}` is a new tier, so it needs `requestsPerMinute`, `requestsPerHour`, `tokensPerDay`, \
                     `maxPromptLength` and `maxConcurrentRequests`"
                );
                faults.push((format!("tiers.{name}"), message));
            }
        }
        if self.repeats.is_some_and(|repeats| repeats.after != 0 && repeats.after < LEAST_REPEATS) {
            faults.push(("repeats.after".to_owned(), format!("expected 0, or at least {LEAST_REPEATS}")));
        }
        faults
    }
}
