//! `SallyportPolicy`: what the six other kinds can't say. Every field is optional; absent and empty differ.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::QuotaPolicy;
use crate::Level;
use crate::config::Profile;
use crate::elevation::{ElevationRules, MAX_APPROVAL_TIMEOUT, MAX_DURATION};
use crate::providers::{self, ProviderRow};
use crate::settings::{
    AgentRules, FailMode, InjectionRules, MalformedPolicy, OpaquePolicy, OutputRules, ProtectionRules,
    TelemetryPolicy,
};
use crate::yaml::{Fault, Node};

/// Bodies are held whole in memory while they are looked at; more than this is never sensible.
pub const MAX_BODY_BYTES_CEILING: u64 = 1 << 30;
pub const MAX_BODY_BYTES_FLOOR: u64 = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct SallyportPolicy {
    pub profile: Option<Profile>,
    /// Bodies that can't be read, or are larger than `maxBodyBytes`.
    pub opaque: Option<OpaquePolicy>,
    /// Bodies that are not what they say they are.
    pub malformed: Option<MalformedPolicy>,
    /// What clients report about themselves.
    pub telemetry: Option<TelemetryPolicy>,
    /// What happens to AI traffic when it can't be looked at at all.
    pub fail_mode: Option<FailMode>,
    /// The class of text in which nothing was found.
    pub default_level: Option<Level>,
    pub max_body_bytes: Option<u64>,
    /// Rules that are not applied. Known secrets are always taken out.
    pub disabled_rules: Option<BTreeSet<String>>,
    /// Whether agents' permissions are enforced.
    pub agents: Option<AgentRules>,
    /// Words that want to be instructions.
    pub injection: Option<InjectionRules>,
    /// What a model says.
    pub output: Option<OutputRules>,
    /// Permissions for a while: how long, who approves.
    pub elevation: Option<ElevationRules>,
    /// Who may weaken protection, and how.
    pub protection: Option<ProtectionRules>,
    /// How much of the models may be used.
    pub quotas: Option<QuotaPolicy>,
    /// Providers to add or amend.
    pub providers: Vec<ProviderRow>,
    /// In managed policy: `false` lets a user's own settings count over this document's.
    pub lock: Option<bool>,
}

impl SallyportPolicy {
    /// What the types alone can't tell, with its place.
    pub(super) fn check(&self, tree: &Node) -> Option<Fault> {
        if let Some(bytes) = self.max_body_bytes
            && !(MAX_BODY_BYTES_FLOOR..=MAX_BODY_BYTES_CEILING).contains(&bytes)
        {
            let value = tree.field("spec").and_then(|spec| spec.field("maxBodyBytes"));
            return Some(Fault {
                mark: value.map_or(tree.mark, |node| node.mark),
                message: format!("expected {MAX_BODY_BYTES_FLOOR} to {MAX_BODY_BYTES_CEILING} bytes"),
                hint: None,
            });
        }
        if let Some(fault) = self.elevation.as_ref().and_then(|rules| check_elevation(rules, tree)) {
            return Some(fault);
        }
        if let Some(fault) = self.quotas.as_ref().and_then(|quotas| quotas.check(tree)) {
            return Some(fault);
        }
        self.providers.iter().enumerate().find_map(|(index, row)| {
            let problem = providers::check_row(row)?;
            Some(Fault {
                mark: providers::row_mark(tree, index, &problem.field),
                message: problem.message,
                hint: None,
            })
        })
    }
}

fn check_elevation(rules: &ElevationRules, tree: &Node) -> Option<Fault> {
    let fault = |field: &str, message: String| {
        let mark = tree.locate(&format!("spec.elevation.{field}"));
        Some(Fault { mark, message, hint: None })
    };
    if rules.max_duration.is_some_and(|span| span.seconds() > MAX_DURATION) {
        return fault("maxDuration", "expected 4h at most".into());
    }
    if rules.approval_timeout.is_some_and(|span| span.seconds() > MAX_APPROVAL_TIMEOUT) {
        return fault("approvalTimeout", "expected 30m at most".into());
    }
    if let Some(scope) = rules.auto_grant.iter().flatten().find(|scope| scope.needs_human()) {
        return fault("autoGrant", format!("`{scope}` always needs a human: policy can't grant it"));
    }
    let approvers = rules.approvers.as_deref().unwrap_or_default();
    for (index, approver) in approvers.iter().enumerate() {
        let name = &approver.name;
        if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
            return fault(&format!("approvers.{index}.name"), "expected a short name".into());
        }
        if approvers[..index].iter().any(|earlier| earlier.name == *name) {
            let message = format!("the approver `{name}` stands here a second time");
            return fault(&format!("approvers.{index}.name"), message);
        }
    }
    None
}
