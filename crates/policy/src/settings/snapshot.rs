//! The resolved settings. Immutable: an exchange ends with the snapshot it began with.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

use super::{
    AgentSettings, ConductSettings, DetectionSettings, ElevationSettings, FailMode, Governance,
    MalformedPolicy, OnViolation, OpaquePolicy, Origin, ProtectionSettings, QuotaSettings, Reroute, Setting,
    ShadowAi, TelemetryPolicy, Tool, UnapprovedTools, Workspaces,
};
use crate::broker::BrokeredKey;
use crate::classification::ClassificationRules;
use crate::config::{
    AuditConfig, BundleUrl, ContentRetention, Durability, HostPort, Profile, Refresh, SecretsConfig,
    UpstreamProxy, VaultConfig,
};
use crate::documents::{Assessment, Document, DocumentKind, Problem, SecretClass};
use crate::providers::{Agreement, Provider, Registry, SELF_TEST, TrafficKind};
use crate::{Level, PublicKey};

/// Signed bundles: managed configuration alone names them.
#[derive(Debug, Clone, PartialEq)]
pub struct BundleSettings {
    pub trusted_keys: Setting<Vec<PublicKey>>,
    pub url: Setting<Option<BundleUrl>>,
    pub refresh: Setting<Refresh>,
}

#[derive(Debug, Clone)]
pub struct Snapshot {
    /// 16 hex digits; differs whenever an input differs.
    pub version: String,
    pub listen: Setting<SocketAddr>,
    pub upstream: UpstreamSettings,
    pub secrets: SecretsSettings,
    pub audit: AuditSettings,
    /// Where the user's documents were looked for.
    pub policies: Setting<Vec<PathBuf>>,
    pub profile: Setting<Profile>,
    pub bundles: BundleSettings,
    pub opaque: Setting<OpaquePolicy>,
    pub malformed: Setting<MalformedPolicy>,
    pub telemetry: Setting<TelemetryPolicy>,
    pub fail_mode: Setting<FailMode>,
    pub default_level: Setting<Level>,
    pub workspace_levels: Setting<Workspaces>,
    /// What raises a level besides findings.
    pub classification: Setting<ClassificationRules>,
    /// Which provider may see which level.
    pub governance: Setting<Governance>,
    pub on_violation: Setting<OnViolation>,
    pub reroute: Setting<Option<Reroute>>,
    /// None: every provider that is not listed as shadow AI.
    pub approved_providers: Setting<Option<BTreeSet<String>>>,
    pub shadow_ai: Setting<ShadowAi>,
    pub unapproved_tools: Setting<UnapprovedTools>,
    /// Tools with an assessment, wherever it stands.
    pub tools: Vec<Tool>,
    /// By what tools are assessed, by name.
    pub templates: BTreeMap<String, Assessment>,
    /// By provider, the workspaces that may be used.
    pub tenants: Setting<BTreeMap<String, Vec<String>>>,
    /// None: every file type.
    pub file_extensions: Setting<Option<BTreeSet<String>>>,
    /// None: every action.
    pub allowed_actions: Setting<Option<BTreeSet<String>>>,
    /// Never applies to known secrets: their names are no rules.
    pub disabled_rules: Setting<BTreeSet<String>>,
    pub limits: Limits,
    pub agents: AgentSettings,
    pub conduct: ConductSettings,
    pub elevation: ElevationSettings,
    pub protection: ProtectionSettings,
    pub detection: DetectionSettings,
    pub quotas: QuotaSettings,
    pub broker: Setting<Vec<BrokeredKey>>,
    /// Classes of known secrets that are put back into the files that hold them.
    pub restore: Setting<BTreeSet<String>>,
    /// Of all `AISecretsPolicy` documents; of one name the managed one.
    pub secret_classes: Vec<SecretClass>,
    /// Secrets are handed to tools from locked memory alone.
    pub memory_protection: Setting<bool>,
    pub providers: Arc<Registry>,
    pub documents: Vec<DocumentSummary>,
    /// Tiers and classes that something names and no document describes.
    pub unknown_names: Vec<Problem>,
}

#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    pub resolve: Setting<BTreeMap<HostPort, SocketAddr>>,
    pub extra_roots: Setting<Vec<PathBuf>>,
    pub proxy: Setting<Option<UpstreamProxy>>,
}

#[derive(Debug, Clone)]
pub struct SecretsSettings {
    pub keychain: Setting<bool>,
    pub vaults: Setting<Vec<VaultConfig>>,
    pub files: Setting<Vec<PathBuf>>,
    pub workspaces: Setting<Vec<PathBuf>>,
    pub well_known_files: Setting<bool>,
    pub client_environment: Setting<bool>,
}

#[derive(Debug, Clone)]
pub struct AuditSettings {
    pub durability: Setting<Durability>,
    pub retention_days: Setting<u32>,
    pub content: Setting<ContentRetention>,
}

#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest body that is held and looked at.
    pub max_body_bytes: Setting<u64>,
}

/// A document that is in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct DocumentSummary {
    pub kind: DocumentKind,
    pub name: String,
    pub file: String,
    pub line: u32,
    pub origin: Origin,
}

impl DocumentSummary {
    pub(super) fn of(document: &Document, origin: Origin) -> DocumentSummary {
        DocumentSummary {
            kind: document.kind(),
            name: document.name.clone(),
            file: document.file.clone(),
            line: document.mark.line,
            origin,
        }
    }
}

/// One line of `policy show`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct SettingRow {
    pub key: String,
    pub value: Value,
    pub origin: Origin,
    pub locked: bool,
}

impl Snapshot {
    pub fn secrets_config(&self) -> SecretsConfig {
        SecretsConfig {
            keychain: self.secrets.keychain.value,
            vaults: self.secrets.vaults.value.clone(),
            files: self.secrets.files.value.clone(),
            workspaces: self.secrets.workspaces.value.clone(),
            well_known_files: self.secrets.well_known_files.value,
            client_environment: self.secrets.client_environment.value,
        }
    }

    pub fn audit_config(&self) -> AuditConfig {
        AuditConfig {
            durability: self.audit.durability.value,
            retention_days: self.audit.retention_days.value,
            content: self.audit.content.value,
        }
    }

    /// The level of text in which nothing was found, for a tool that works in this folder.
    pub fn base_level(&self, workspace: Option<&Path>) -> Level {
        workspace
            .and_then(|folder| self.workspace_levels.value.level_of(folder))
            .unwrap_or(self.default_level.value)
    }

    /// Whether policy has approved an AI provider. What is no AI of its own (telemetry, sign-in) follows its
    /// provider and is not asked about.
    pub fn approves(&self, provider: &Provider) -> bool {
        if provider.kind != TrafficKind::Model || provider.name == SELF_TEST {
            return true;
        }
        match &self.approved_providers.value {
            Some(names) => names.contains(&provider.name),
            None => !provider.shadow,
        }
    }

    /// Whether a provider belongs to a tool with an approved assessment. What the company hosts itself needs none.
    pub fn assessed(&self, provider: &Provider) -> bool {
        provider.kind != TrafficKind::Model
            || provider.agreement == Agreement::SelfHosted
            || self
                .tools
                .iter()
                .any(|tool| tool.standing.is_approved() && tool.providers.contains(&provider.name))
    }

    /// The header that limits a client to the company's workspaces, and its value.
    pub fn tenant_header<'p>(&self, provider: &'p Provider) -> Option<(&'p str, String)> {
        let allow = self.tenants.value.get(&provider.name)?;
        Some((provider.tenant_header.as_deref()?, allow.join(",")))
    }

    /// Every setting with its origin and lock, for people.
    pub fn rows(&self) -> Vec<SettingRow> {
        let mut rows = vec![
            row("listen", &self.listen),
            row("upstream.resolve", &self.upstream.resolve),
            row("upstream.extra_roots", &self.upstream.extra_roots),
            row("upstream.proxy", &self.upstream.proxy),
            row("secrets.keychain", &self.secrets.keychain),
            row("secrets.vaults", &self.secrets.vaults),
            row("secrets.files", &self.secrets.files),
            row("secrets.workspaces", &self.secrets.workspaces),
            row("secrets.well_known_files", &self.secrets.well_known_files),
            row("secrets.client_environment", &self.secrets.client_environment),
            row("audit.durability", &self.audit.durability),
            row("audit.retention_days", &self.audit.retention_days),
            row("audit.content", &self.audit.content),
            row("policies", &self.policies),
            row("profile", &self.profile),
            row("bundles.trusted_keys", &self.bundles.trusted_keys),
            row("bundles.url", &self.bundles.url),
            row("bundles.refresh", &self.bundles.refresh),
            row("opaque", &self.opaque),
            row("malformed", &self.malformed),
            row("telemetry", &self.telemetry),
            row("fail_mode", &self.fail_mode),
            row("default_level", &self.default_level),
            row("workspace_levels", &self.workspace_levels),
            SettingRow {
                key: "classification".into(),
                value: shown(&self.classification.value.listed()),
                origin: self.classification.origin,
                locked: self.classification.locked,
            },
            row("ai_provider", &self.governance),
            row("on_violation", &self.on_violation),
            row("reroute_to", &self.reroute),
            row("approved_providers", &self.approved_providers),
            row("shadow_ai", &self.shadow_ai),
            row("unapproved_tools", &self.unapproved_tools),
            row("tenants", &self.tenants),
            row("file_extensions", &self.file_extensions),
            row("allowed_actions", &self.allowed_actions),
            row("max_body_bytes", &self.limits.max_body_bytes),
            row("disabled_rules", &self.disabled_rules),
        ];
        rows.extend(self.agents.rows());
        rows.extend(self.conduct.rows());
        rows.extend(self.elevation.rows());
        rows.extend(self.protection.rows());
        rows.extend(self.detection.rows());
        rows.extend(self.quotas.rows());
        rows.push(row("broker", &self.broker));
        rows.push(row("restore", &self.restore));
        rows.push(row("memory_protection", &self.memory_protection));
        let added = self.providers.providers().iter().filter(|p| p.origin != Origin::Default);
        rows.extend(added.map(|provider| SettingRow {
            key: format!("providers.{}", provider.name),
            value: shown(provider),
            origin: provider.origin,
            locked: provider.origin == Origin::Managed,
        }));
        rows
    }
}

pub(super) fn row<T: Serialize>(key: &str, setting: &Setting<T>) -> SettingRow {
    SettingRow {
        key: key.into(),
        value: shown(&setting.value),
        origin: setting.origin,
        locked: setting.locked,
    }
}

fn shown(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}
