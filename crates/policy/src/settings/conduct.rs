//! What happens to words that want to be instructions, and to dangerous words of a model.

use serde::{Deserialize, Serialize};

use super::layers::{Policies, Rank};
use super::{Setting, SettingRow, snapshot};
use crate::config::Profile;
use crate::documents::SallyportPolicy;

/// `injection` of a `SallyportPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct InjectionRules {
    /// A person's own words.
    pub user: Option<UserInjection>,
    /// Results of tools, attachments, documents.
    pub tool_result: Option<ToolInjection>,
}

/// `output` of a `SallyportPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct OutputRules {
    /// What a model says.
    pub completions: Option<OutputAction>,
}

/// Ordered: the later the stricter.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum UserInjection {
    Off,
    /// Passes, recorded.
    #[default]
    Warn,
    Block,
}

/// Ordered: the later the stricter.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ToolInjection {
    Off,
    /// Passes, recorded.
    Warn,
    /// The suspicious stretch gives way to a notice, the same in every turn.
    #[default]
    Neutralise,
    Block,
}

/// Ordered: the later the stricter.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OutputAction {
    Off,
    /// Passes, recorded.
    #[default]
    Annotate,
}

#[derive(Debug, Clone)]
pub struct ConductSettings {
    pub user: Setting<UserInjection>,
    pub tool_result: Setting<ToolInjection>,
    pub completions: Setting<OutputAction>,
}

impl ConductSettings {
    /// `strict` and `rank`: the profile and whose word it is; it implies what the list of the policy documents does.
    pub(super) fn of(policies: &Policies<'_>, profile: Profile, rank: Rank) -> ConductSettings {
        fn injection(policy: &SallyportPolicy) -> Option<&InjectionRules> {
            policy.injection.as_ref()
        }
        let (user_rank, user) = match profile {
            Profile::Strict => (rank, UserInjection::Block),
            Profile::Balanced => (Rank::Default, UserInjection::default()),
        };
        let (tool_rank, tool) = match profile {
            Profile::Strict => (rank, ToolInjection::Block),
            Profile::Balanced => (Rank::Default, ToolInjection::default()),
        };
        ConductSettings {
            user: policies.pick(|p| injection(p)?.user, user_rank, user),
            tool_result: policies.pick(|p| injection(p)?.tool_result, tool_rank, tool),
            completions: policies.pick(
                |p| p.output.as_ref()?.completions,
                Rank::Default,
                OutputAction::default(),
            ),
        }
    }

    pub(super) fn rows(&self) -> [SettingRow; 3] {
        [
            snapshot::row("injection.user", &self.user),
            snapshot::row("injection.tool_result", &self.tool_result),
            snapshot::row("output.completions", &self.completions),
        ]
    }
}
