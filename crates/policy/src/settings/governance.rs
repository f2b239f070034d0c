//! Who may see what: levels to providers, workspaces to levels, and where a request goes that may not go where it was
//! meant to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Origin, Setting};
use crate::Level;
use crate::assessment::Standing;
use crate::documents::{AllowedProviders, DataClassification, Document, DocumentBody, Retention};
use crate::providers::{Agreement, Registry, WireFamily};

/// What one level asks of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Requirement {
    pub ai_provider: AllowedProviders,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
}

impl AllowedProviders {
    /// Whether a provider with this agreement may see the level.
    pub fn admits(self, agreement: Agreement) -> bool {
        match self {
            AllowedProviders::Any => true,
            AllowedProviders::EnterpriseAgreementOnly => agreement >= Agreement::Enterprise,
            AllowedProviders::SelfHostedOnly => agreement >= Agreement::SelfHosted,
            AllowedProviders::None => false,
        }
    }
}

/// What all `DataClassificationPolicy` documents together ask.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Governance(BTreeMap<Level, Requirement>);

impl Governance {
    pub fn of(&self, level: Level) -> Requirement {
        self.0.get(&level).copied().unwrap_or_default()
    }

    /// Restrictions add up: for each level the strictest document counts, whoever wrote it, and what holds for a level
    /// holds for those above it.
    pub(super) fn resolved(user: &[Document], managed: &[Document]) -> Setting<Governance> {
        let mut origin = Origin::Default;
        let mut all = Governance::default();
        for (whose, documents) in [(Origin::User, user), (Origin::Managed, managed)] {
            for body in documents.iter().filter_map(classification) {
                origin = origin.max(whose);
                for level in Level::ALL {
                    let asked = asked(body, level);
                    let entry = all.0.entry(level).or_default();
                    entry.ai_provider = entry.ai_provider.max(asked.ai_provider);
                    entry.retention = entry.retention.or(asked.retention);
                }
            }
        }
        // A higher level never asks less than a lower one, or raising a text's level would let it pass.
        let mut least = Requirement::default();
        for asked in all.0.values_mut() {
            least.ai_provider = least.ai_provider.max(asked.ai_provider);
            least.retention = least.retention.or(asked.retention);
            *asked = least;
        }
        Setting { value: all, origin, locked: origin == Origin::Managed }
    }
}

fn classification(document: &Document) -> Option<&DataClassification> {
    match &document.body {
        DocumentBody::DataClassification(body) => Some(body),
        _ => None,
    }
}

/// What a document asks for a level. One that it does not describe is treated like the next higher one that it
/// does, else like the next lower one.
fn asked(body: &DataClassification, level: Level) -> Requirement {
    let entries = || body.classifications.iter();
    let higher = entries().filter(|entry| entry.level >= level).min_by_key(|entry| entry.level);
    let nearest = higher.or_else(|| entries().max_by_key(|entry| entry.level));
    nearest
        .map(|entry| Requirement { ai_provider: entry.ai_provider, retention: entry.retention })
        .unwrap_or_default()
}

/// An assessed tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tool {
    pub tool: String,
    pub providers: BTreeSet<String>,
    pub standing: Standing,
    pub origin: Origin,
}

/// Default levels of folders. The longest folder counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Workspaces(pub(super) BTreeMap<PathBuf, Level>);

impl Workspaces {
    pub fn level_of(&self, folder: &Path) -> Option<Level> {
        folder.ancestors().find_map(|ancestor| self.0.get(ancestor)).copied()
    }
}

/// The self-hosted provider that takes what others may not see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reroute {
    pub provider: String,
    pub host: String,
    pub port: u16,
    pub plain: bool,
    pub model: Option<String>,
    pub key_file: Option<PathBuf>,
    pub key_header: String,
}

/// Where one request is led instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RerouteTarget {
    #[serde(flatten)]
    pub to: Reroute,
    pub path: String,
}

impl Reroute {
    /// The same call at the other provider; none where it does not speak the family.
    pub(crate) fn target(
        &self,
        providers: &Registry,
        path: &str,
        family: WireFamily,
    ) -> Option<RerouteTarget> {
        if family == WireFamily::Generic {
            return None;
        }
        let path = providers.provider(&self.provider)?.counterpart(path, family)?;
        Some(RerouteTarget { to: self.clone(), path })
    }
}
