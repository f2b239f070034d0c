//! `SallyportPolicy`: what the six other kinds can't say. Every field is optional; absent and empty differ.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::QuotaPolicy;
use crate::Level;
use crate::broker::BrokeredKey;
use crate::classification::{self, ClassificationRow};
use crate::config::Profile;
use crate::elevation::{ElevationRules, MAX_APPROVAL_TIMEOUT, MAX_DURATION};
use crate::providers::{self, Agreement, ProviderRow};
use crate::settings::{
    AgentRules, DetectionRules, FailMode, InjectionRules, MalformedPolicy, OnViolation, OpaquePolicy,
    OutputRules, ProtectionRules, ShadowAi, TelemetryPolicy, UnapprovedTools,
};
use crate::yaml::{Fault, Kind, Mark, Node};

/// Bodies are held whole in memory while they are looked at; more than this is never sensible.
pub const MAX_BODY_BYTES_CEILING: u64 = 1 << 30;
pub const MAX_BODY_BYTES_FLOOR: u64 = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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
    /// The class of text in which nothing was found, for tools that work below a folder.
    pub workspace_levels: Option<Vec<WorkspaceLevel>>,
    /// What raises the class of a text besides findings.
    pub classification: ClassificationRow,
    /// What happens when a provider may not see the class of a request.
    pub on_violation: Option<OnViolation>,
    /// Where `onViolation: reroute` leads to.
    pub reroute_to: Option<RerouteRow>,
    /// What the company has agreed with providers, by name; shorter than an entry in `providers`.
    pub provider_agreements: BTreeMap<String, Agreement>,
    /// The only AI providers that are approved. Without it each built-in one is that is not listed as shadow AI.
    pub approved_providers: Option<BTreeSet<String>>,
    /// AI hosts that are not approved.
    pub shadow_ai: Option<ShadowAi>,
    /// Tools whose security assessment is missing, not approved or due again.
    pub unapproved_tools: Option<UnapprovedTools>,
    /// Workspaces of providers that may be used, and no others.
    pub tenants: Vec<TenantRow>,
    /// File types that completions may name.
    pub file_extensions: Option<BTreeSet<String>>,
    /// What completions may lead to, such as `execute`.
    pub allowed_actions: Option<BTreeSet<String>>,
    pub max_body_bytes: Option<u64>,
    /// Rules that are not applied, by name; `pii_*` is all whose names begin so. Known secrets are always taken out.
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
    /// What a person may take out of detection, and add to it.
    pub detection: Option<DetectionRules>,
    /// How much of the models may be used.
    pub quotas: Option<QuotaPolicy>,
    /// Keys that the proxy puts into requests, so that no tool holds them.
    pub broker: Option<Vec<BrokeredKey>>,
    /// Classes of known secrets whose placeholders become values again in a file that holds them already; `*` is every class.
    pub restore: Option<BTreeSet<String>>,
    /// Providers to add or amend.
    pub providers: Vec<ProviderRow>,
    /// In managed policy: `false` lets a user's own settings count over this document's.
    pub lock: Option<bool>,
}

/// The default level of one folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceLevel {
    /// Absolute, or below the home folder with `~/`.
    pub path: PathBuf,
    pub level: Level,
}

/// The self-hosted provider that takes what others may not see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RerouteRow {
    /// Name of a provider with `agreement: self_hosted`.
    pub provider: String,
    /// Which of its hosts; the first one without a wildcard if absent.
    #[serde(default)]
    pub host: Option<String>,
    /// The model asked for there instead of the one in the request.
    #[serde(default)]
    pub model: Option<String>,
    /// File with the key for it; without one no key is sent. The key of the first provider never is.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Header that the key stands in.
    #[serde(default)]
    pub key_header: Option<String>,
}

/// The workspaces of one provider that may be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantRow {
    pub provider: String,
    /// Ids as the provider's header takes them.
    pub allow: Vec<String>,
}

impl SallyportPolicy {
    /// What the types alone can't tell, with its place.
    pub(super) fn check(&self, tree: &Node) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut at = |path: &str, message: String| {
            faults.push(Fault { mark: value_mark(tree, path), message, hint: None });
        };
        if let Some(bytes) = self.max_body_bytes
            && !(MAX_BODY_BYTES_FLOOR..=MAX_BODY_BYTES_CEILING).contains(&bytes)
        {
            let message = format!("expected {MAX_BODY_BYTES_FLOOR} to {MAX_BODY_BYTES_CEILING} bytes");
            at("spec.maxBodyBytes", message);
        }
        for (index, entry) in self.workspace_levels.iter().flatten().enumerate() {
            if !entry.path.is_absolute() && !entry.path.starts_with("~") {
                let message = "expected an absolute folder, or one that begins with `~/`".to_owned();
                at(&format!("spec.workspaceLevels.{index}.path"), message);
            }
        }
        for (path, message) in classification::faults(&self.classification) {
            at(&format!("spec.classification.{path}"), message);
        }
        if self.on_violation == Some(OnViolation::Reroute) && self.reroute_to.is_none() {
            at("spec.onViolation", "expected `rerouteTo` beside `onViolation: reroute`".to_owned());
        }
        if let Some(header) = self.reroute_to.as_ref().and_then(|row| row.key_header.as_ref())
            && !providers::is_header_name(header)
        {
            at("spec.rerouteTo.keyHeader", format!("`{header}` is no header name"));
        }
        for (index, tenant) in self.tenants.iter().enumerate() {
            let path = format!("spec.tenants.{index}.allow");
            let sound = |id: &String| {
                !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
            };
            // Providers take an empty header for no restriction at all.
            if tenant.allow.is_empty() {
                at(&path, "expected at least one workspace".into());
            } else if !tenant.allow.iter().all(sound) {
                at(&path, "expected ids without spaces and commas".into());
            }
        }
        for (index, extension) in self.file_extensions.iter().flatten().enumerate() {
            if extension.is_empty() || extension.contains(['.', '/', ' ']) {
                let path = format!("spec.fileExtensions.{index}");
                at(&path, "expected a file extension without its dot, such as `md`".into());
            }
        }
        for (index, class) in self.restore.iter().flatten().enumerate() {
            if class.is_empty() || class.ends_with('/') || class.chars().any(char::is_control) {
                let path = format!("spec.restore.{index}");
                at(&path, "expected the first part of secrets' names, such as `database`, or `*`".into());
            }
        }
        for (path, message) in self.elevation.as_ref().map(elevation_faults).unwrap_or_default() {
            let mark = tree.locate(&format!("spec.elevation.{path}"));
            faults.push(Fault { mark, message, hint: None });
        }
        for (path, message) in self.quotas.as_ref().map(QuotaPolicy::faults).unwrap_or_default() {
            let mark = tree.locate(&format!("spec.quotas.{path}"));
            faults.push(Fault { mark, message, hint: None });
        }
        let keys = self.broker.as_deref().unwrap_or_default();
        for (index, key) in keys.iter().enumerate() {
            let twice = keys[..index].iter().any(|earlier| earlier.name == key.name);
            let problem = key.problem().or_else(|| {
                twice.then(|| ("name", format!("the key `{}` stands here a second time", key.name)))
            });
            if let Some((field, message)) = problem {
                let mark = tree.locate(&format!("spec.broker.{index}.{field}"));
                faults.push(Fault { mark, message, hint: None });
            }
        }
        for (index, row) in self.providers.iter().enumerate() {
            if let Some(problem) = providers::check_row(row) {
                let mark = providers::row_mark(tree, index, &problem.field);
                faults.push(Fault { mark, message: problem.message, hint: None });
            }
        }
        faults
    }
}

/// Fields below `elevation`, and what is wrong with each.
fn elevation_faults(rules: &ElevationRules) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    let mut fault = |field: &str, message: String| faults.push((field.to_owned(), message));
    if rules.max_duration.is_some_and(|span| span.seconds() > MAX_DURATION) {
        fault("maxDuration", "expected 4h at most".into());
    }
    if rules.approval_timeout.is_some_and(|span| span.seconds() > MAX_APPROVAL_TIMEOUT) {
        fault("approvalTimeout", "expected 30m at most".into());
    }
    for scope in rules.auto_grant.iter().flatten().filter(|scope| scope.needs_human()) {
        fault("autoGrant", format!("`{scope}` always needs a human: policy can't grant it"));
    }
    let approvers = rules.approvers.as_deref().unwrap_or_default();
    for (index, approver) in approvers.iter().enumerate() {
        let name = &approver.name;
        if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
            fault(&format!("approvers.{index}.name"), "expected a short name".into());
        } else if approvers[..index].iter().any(|earlier| earlier.name == *name) {
            fault(
                &format!("approvers.{index}.name"),
                format!("the approver `{name}` stands here a second time"),
            );
        }
    }
    faults
}

/// The place of a value; of its key where the value is none that stands alone.
fn value_mark(tree: &Node, path: &str) -> Mark {
    let mut node = tree;
    for step in path.split('.') {
        let next = match &node.kind {
            Kind::Seq(items) => step.parse().ok().and_then(|index: usize| items.get(index)),
            _ => node.field(step),
        };
        match next {
            Some(next) => node = next,
            None => return tree.locate(path),
        }
    }
    node.mark
}
