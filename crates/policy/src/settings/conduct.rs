//! What happens to words that want to be instructions, and to dangerous words of a model.

use serde::{Deserialize, Serialize};

use super::layers::{Policies, Rank};
use super::{Setting, SettingRow, snapshot};
use crate::config::Profile;
use crate::documents::SallyportPolicy;
use crate::ordered::ordered;

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
    /// What a model says: for each kind below that is not named.
    pub completions: Option<OutputAction>,
    /// Commands that destroy, that download and run, that open the machine.
    pub commands: Option<OutputAction>,
    /// Packages that look like a popular one and are another.
    pub packages: Option<OutputAction>,
    /// Code that is insecure by habit.
    pub code: Option<OutputAction>,
    /// File types that `fileExtensions` does not name.
    pub file_types: Option<OutputAction>,
    /// Words of running code where `allowedActions` lacks `execute`.
    pub execution: Option<OutputAction>,
}

ordered! {
    pub enum UserInjection {
        Off,
        /// Passes, recorded.
        #[default]
        Warn,
        Block,
    }
}

ordered! {
    pub enum ToolInjection {
        Off,
        /// Passes, recorded.
        Warn,
        /// The suspicious stretch gives way to a notice, the same in every turn.
        #[default]
        Neutralise,
        Block,
    }
}

ordered! {
    pub enum OutputAction {
        Off,
        /// Passes, recorded.
        #[default]
        Annotate,
        /// A tool call waits for the person's word; in text a notice takes its place.
        Hold,
        /// A notice takes its place.
        Block,
    }
}

#[derive(Debug, Clone)]
pub struct ConductSettings {
    pub user: Setting<UserInjection>,
    pub tool_result: Setting<ToolInjection>,
    pub output: OutputSettings,
}

/// What happens to what a model says, by kind.
#[derive(Debug, Clone)]
pub struct OutputSettings {
    pub commands: Setting<OutputAction>,
    pub packages: Setting<OutputAction>,
    pub code: Setting<OutputAction>,
    pub file_types: Setting<OutputAction>,
    pub execution: Setting<OutputAction>,
}

impl OutputSettings {
    fn of(policies: &Policies<'_>, rank: Rank, implied: OutputAction) -> OutputSettings {
        let pick = |read: fn(&OutputRules) -> Option<OutputAction>| {
            let word = |policy: &SallyportPolicy| {
                let rules = policy.output.as_ref()?;
                read(rules).or(rules.completions)
            };
            policies.pick(word, rank, implied)
        };
        OutputSettings {
            commands: pick(|rules| rules.commands),
            packages: pick(|rules| rules.packages),
            code: pick(|rules| rules.code),
            file_types: pick(|rules| rules.file_types),
            execution: pick(|rules| rules.execution),
        }
    }
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
        let (output_rank, output) = match profile {
            Profile::Strict => (rank, OutputAction::Block),
            Profile::Balanced => (Rank::Default, OutputAction::default()),
        };
        let (tool_rank, tool) = match profile {
            Profile::Strict => (rank, ToolInjection::Block),
            Profile::Balanced => (Rank::Default, ToolInjection::default()),
        };
        ConductSettings {
            user: policies.pick(|p| injection(p)?.user, user_rank, user),
            tool_result: policies.pick(|p| injection(p)?.tool_result, tool_rank, tool),
            output: OutputSettings::of(policies, output_rank, output),
        }
    }

    pub(super) fn rows(&self) -> [SettingRow; 7] {
        [
            snapshot::row("injection.user", &self.user),
            snapshot::row("injection.tool_result", &self.tool_result),
            snapshot::row("output.commands", &self.output.commands),
            snapshot::row("output.packages", &self.output.packages),
            snapshot::row("output.code", &self.output.code),
            snapshot::row("output.file_types", &self.output.file_types),
            snapshot::row("output.execution", &self.output.execution),
        ]
    }
}
