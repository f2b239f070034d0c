//! What agents may do, and whether that is enforced.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::layers::{Configs, Layers, Policies, Rank};
use super::{Setting, SettingRow, snapshot};
use crate::documents::SallyportPolicy;
use crate::ordered::ordered;
use crate::permissions::{Permissions, UnknownTools};

/// `agents` of a `SallyportPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct AgentRules {
    /// Whether a call that permissions deny is stopped, or only recorded.
    pub mode: Option<AgentMode>,
    /// Whether tools that no table knows may be used.
    pub unknown_tools: Option<UnknownTools>,
    /// The tier of each class of agents; others run at `agents.default_tier` of config.yaml.
    pub tiers: Option<BTreeMap<String, String>>,
}

ordered! {
    pub enum AgentMode {
        /// What would be denied is recorded and passes.
        #[default]
        Observe,
        Enforce,
    }
}

#[derive(Debug, Clone)]
pub struct AgentSettings {
    pub mode: Setting<AgentMode>,
    pub unknown_tools: Setting<UnknownTools>,
    pub default_class: Setting<Option<String>>,
    pub default_tier: Setting<Option<String>>,
    pub tiers: Setting<BTreeMap<String, String>>,
    /// What `/workspace` means; unset: the folder in which the agent runs.
    pub workspace: Setting<Option<PathBuf>>,
    /// The permission documents in force, made ready.
    pub permissions: Arc<Permissions>,
}

impl AgentSettings {
    /// `strict`: the rank of a strict profile.
    pub(super) fn of(
        policies: &Policies<'_>,
        config: &Configs<'_>,
        layers: &Layers,
        strict: Option<Rank>,
    ) -> AgentSettings {
        fn rules(policy: &SallyportPolicy) -> Option<&AgentRules> {
            policy.agents.as_ref()
        }
        // Where somebody manages the machine, and under a strict profile, permissions are meant as they stand.
        let managed = layers.managed.is_some() || !layers.managed_documents.is_empty();
        let managed =
            managed.then_some(if policies.all_recommend() { Rank::Recommended } else { Rank::Locked });
        let (rank, mode) = match strict.max(managed) {
            Some(rank) => (rank, AgentMode::Enforce),
            None => (Rank::Default, AgentMode::Observe),
        };
        let unknown_tools =
            policies.pick(|p| rules(p)?.unknown_tools, Rank::Default, UnknownTools::default());
        let documents = layers.managed_documents.iter().chain(&layers.user_documents);
        AgentSettings {
            mode: policies.pick(|p| rules(p)?.mode, rank, mode),
            permissions: Arc::new(Permissions::of(documents, unknown_tools.value)),
            unknown_tools,
            default_class: config.pick("agents.default_class", |c| c.agents.default_class.clone()),
            default_tier: config.pick("agents.default_tier", |c| c.agents.default_tier.clone()),
            tiers: policies.pick(|p| rules(p)?.tiers.clone(), Rank::Default, BTreeMap::new()),
            workspace: config.pick("agents.workspace", |c| c.agents.workspace.clone()),
        }
    }

    /// The class of an agent that nothing else tells.
    pub fn class(&self) -> &str {
        let named = self.default_class.value.as_deref();
        named.or_else(|| self.permissions.only_class()).unwrap_or("unassigned")
    }

    /// The tier that accounts of a class run at; none: the first of its document, which is the least.
    pub fn tier(&self, class: &str) -> Option<&str> {
        self.tiers.value.get(class).or(self.default_tier.value.as_ref()).map(String::as_str)
    }

    pub(super) fn rows(&self) -> [SettingRow; 6] {
        [
            snapshot::row("agents.mode", &self.mode),
            snapshot::row("agents.unknown_tools", &self.unknown_tools),
            snapshot::row("agents.default_class", &self.default_class),
            snapshot::row("agents.default_tier", &self.default_tier),
            snapshot::row("agents.tiers", &self.tiers),
            snapshot::row("agents.workspace", &self.workspace),
        ]
    }
}
