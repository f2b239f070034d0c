//! Which parts of each kind do something in this version, and which are read and checked only. Shown by
//! `policy check`, so that nobody relies on a sentence that nothing enforces.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Document, DocumentKind};
use crate::yaml::{Kind, Node};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Force {
    /// Changes what happens to traffic.
    InForce,
    /// Read and checked; nothing acts on it in this version.
    InformationOnly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FieldStatus {
    /// Dotted, `[]` for every entry of a list; covers what is below it.
    pub field: &'static str,
    pub force: Force,
    /// What it does, or what happens instead.
    pub note: &'static str,
}

const fn acts(field: &'static str, note: &'static str) -> FieldStatus {
    FieldStatus { field, force: Force::InForce, note }
}

const fn tells(field: &'static str, note: &'static str) -> FieldStatus {
    FieldStatus { field, force: Force::InformationOnly, note }
}

/// The table for one kind. Every field that the kind knows falls under one of its lines.
pub fn in_force(kind: DocumentKind) -> &'static [FieldStatus] {
    match kind {
        DocumentKind::AgentPermissionPolicy => {
            const {
                &[
                    acts(
                        "spec.agentClass",
                        "the class that `agents.default_class` of config.yaml names is judged by it",
                    ),
                    tells("spec.tiers[].description", "a label for people"),
                    acts(
                        "spec.tiers[].name",
                        "`agents.default_tier` of config.yaml names it; unset, the first counts",
                    ),
                    acts(
                        "spec.tiers[].inherits",
                        "everything that the other tier allows and denies comes first",
                    ),
                    acts("spec.tiers[].permissions", "each tool call of an answer is held against it"),
                ]
            }
        }
        DocumentKind::DataClassificationPolicy => {
            const {
                &[
                    acts("spec.classifications[].level", "the level that this entry is about"),
                    tells("spec.classifications[].description", "a label for people"),
                    tells("spec.classifications[].examples", "for people; rules stand in a SallyportPolicy"),
                    acts(
                        "spec.classifications[].aiProvider",
                        "only providers with such an agreement see this level; `onViolation` says what happens else",
                    ),
                    acts(
                        "spec.classifications[].retention",
                        "`session_only` keeps no content of such an exchange, and the trail says so",
                    ),
                ]
            }
        }
        DocumentKind::AiSecretsPolicy => {
            const {
                &[
                    acts(
                        "spec.secretClasses[].name",
                        "the folder of its secrets, and what `exec --with-secrets` names",
                    ),
                    tells("spec.secretClasses[].description", "a label for people"),
                    acts(
                        "spec.secretClasses[].storage",
                        "from where `exec --with-secrets` fetches them: a vault of config.yaml, or the keychain",
                    ),
                    acts(
                        "spec.secretClasses[].rotation",
                        "secrets in the vault folder of this name that are older raise a health item",
                    ),
                    acts(
                        "spec.secretClasses[].accessPattern",
                        "either asks for `exec --agent`; `per-session` wants a grant for each session anew",
                    ),
                    acts(
                        "spec.secretClasses[].neverExpose",
                        "taken out of prompts and completions, kept out of logs; every other known secret is, too",
                    ),
                    acts("spec.secretClasses[].patterns", "the files that `aiAccess` speaks of"),
                    acts(
                        "spec.secretClasses[].aiAccess",
                        "`denied` denies reading such files, and takes what tools have read of them out of requests",
                    ),
                    acts(
                        "spec.injectionPolicy.method",
                        "`exec --with-secrets` sets environment variables of that one process",
                    ),
                    tells(
                        "spec.injectionPolicy.prefetch",
                        "values are fetched before the command starts, with or without this",
                    ),
                    acts(
                        "spec.injectionPolicy.memoryProtection",
                        "values are handed over from locked memory alone, or not at all",
                    ),
                ]
            }
        }
        DocumentKind::IncidentResponsePlan => {
            const { &[tells("spec.incidentTypes", "incidents are not raised in this version")] }
        }
        DocumentKind::SecurityAssessmentTemplate => {
            const {
                &[
                    tells("spec.phases[].name", "a label for people"),
                    acts("spec.phases[].questions[].id", "`assess answer` needs an answer for each"),
                    tells("spec.phases[].questions[].question", "asked by `assess show`"),
                    tells("spec.phases[].questions[].requiredEvidence", "shown by `assess show`"),
                    tells("spec.phases[].questions[].riskFactors", "shown by `assess show`"),
                    acts("spec.approvalCriteria[].name", "named by `assess show` where it is not met"),
                    acts(
                        "spec.approvalCriteria[].condition",
                        "an assessment that does not meet it can't be approved; see `unapprovedTools`",
                    ),
                ]
            }
        }
        DocumentKind::AttackSurfaceModel => {
            const { &[tells("attack_vectors", "vectors are not mapped to controls in this version")] }
        }
        DocumentKind::SallyportPolicy => {
            const {
                &[
                    acts(
                        "spec.profile",
                        "`strict` also blocks what can't be read and what clients report about themselves",
                    ),
                    acts(
                        "spec.opaque",
                        "`allow` passes bodies that can't be read, `warn` passes and counts them, `block` refuses them",
                    ),
                    acts(
                        "spec.malformed",
                        "`allow` passes a malformed body untouched if no finding stands in its text, `block` refuses it",
                    ),
                    acts(
                        "spec.telemetry",
                        "`allow` passes it unread, `scan` treats it like a prompt, `block` refuses it",
                    ),
                    acts(
                        "spec.failMode",
                        "`closed` refuses AI traffic that can't be looked at, `open` lets it pass",
                    ),
                    acts("spec.defaultLevel", "the level of text in which nothing was found"),
                    acts(
                        "spec.workspaceLevels",
                        "the same for tools that work below a folder; the longest folder counts",
                    ),
                    acts("spec.classification", "raises the level of a request by rule, text, file or label"),
                    acts(
                        "spec.onViolation",
                        "what happens when a provider may not see a level: `redact`, `reroute` or `block`",
                    ),
                    acts("spec.rerouteTo", "the self-hosted provider that `reroute` leads to"),
                    acts("spec.providerAgreements", "what a provider may see depends on its agreement"),
                    acts("spec.approvedProviders", "other AI providers are treated as `shadowAi` says"),
                    acts(
                        "spec.shadowAi",
                        "AI hosts that are not approved: `count`, `warn` passes and tells, `block` refuses",
                    ),
                    acts(
                        "spec.unapprovedTools",
                        "providers without an approved assessment: `allow`, `warn` or `block`",
                    ),
                    acts("spec.tenants", "adds the provider's header that lets only these workspaces in"),
                    acts(
                        "spec.fileExtensions",
                        "other file types in answers are treated as `output.fileTypes` says",
                    ),
                    acts(
                        "spec.allowedActions",
                        "without `execute`, answers that speak of running code are treated as `output.execution` says",
                    ),
                    acts("spec.maxBodyBytes", "larger bodies are treated as `opaque`"),
                    acts("spec.disabledRules", "these rules are not applied; known secrets always are"),
                    acts(
                        "spec.agents.mode",
                        "`observe` records the calls that permissions deny and lets them pass, `enforce` stops them",
                    ),
                    acts("spec.agents.unknownTools", "`deny` stops tools that are not in the table of tools"),
                    acts(
                        "spec.agents.tiers",
                        "accounts of a class run at its tier; others at `agents.default_tier` of config.yaml",
                    ),
                    acts(
                        "spec.injection.user",
                        "`off` does not look, `warn` records attacks in a person's own words, `block` refuses them",
                    ),
                    acts(
                        "spec.injection.toolResult",
                        "instructions in data: `off` does not look, `warn` records, `neutralise` puts a notice in their place, `block` refuses",
                    ),
                    acts(
                        "spec.output.completions",
                        "for each kind of `output` that is not named: `off` does not look, `annotate` records, `hold` asks the person about tool calls, `block` puts a notice in its place",
                    ),
                    acts(
                        "spec.output.commands",
                        "commands that destroy, download and run, or open the machine",
                    ),
                    acts("spec.output.packages", "packages that look like a popular one and are another"),
                    acts("spec.output.code", "code that is insecure by habit"),
                    acts("spec.output.fileTypes", "file types that `fileExtensions` does not name"),
                    acts(
                        "spec.output.execution",
                        "words of running code where `allowedActions` lacks `execute`",
                    ),
                    acts("spec.elevation.maxDuration", "no grant lasts longer"),
                    acts("spec.elevation.approvalTimeout", "a request that nobody answers is over then"),
                    acts(
                        "spec.elevation.autoGrant",
                        "these scopes are granted without a human, for as long as asked",
                    ),
                    acts(
                        "spec.elevation.approvers",
                        "their signatures approve requests, also from elsewhere",
                    ),
                    acts(
                        "spec.elevation.requireJustification",
                        "requests without a justification are refused",
                    ),
                    acts(
                        "spec.elevation.hold",
                        "how long an answer waits for the person: `client` as long as the client bears, `off` not at all",
                    ),
                    acts("spec.protection.off", "`forbid` refuses to switch protection off or to pause it"),
                    acts(
                        "spec.protection.authentication",
                        "`available` asks the operating system who weakens protection where it can tell, `required` refuses where it can't",
                    ),
                    acts(
                        "spec.protection.reason",
                        "`required` refuses to switch off or to pause without a reason",
                    ),
                    acts("spec.detection.allowlist", "`forbid` refuses entries of `sallyport allow`"),
                    acts(
                        "spec.detection.knownValues",
                        "`allow` lets the fingerprint of a known secret be on the allowlist, `protect` takes it out all the same",
                    ),
                    acts("spec.detection.ownRules", "`forbid` leaves rule files of a person's own unread"),
                    acts(
                        "spec.quotas",
                        "limits of each tier, what happens beyond them, and where they are counted",
                    ),
                    acts(
                        "spec.broker",
                        "a tool of such an account holds `sallyport:NAME`; the real key goes into the auth header",
                    ),
                    acts(
                        "spec.restore",
                        "a call that writes a placeholder of this thread into the git-ignored file that holds the value gets the value",
                    ),
                    acts("spec.providers", "adds providers, or amends those of the same name"),
                    acts(
                        "spec.lock",
                        "in managed policy, `false` lets a user's own settings count over this document's",
                    ),
                ]
            }
        }
    }
}

/// The lines of the table that a document really uses.
pub fn fields_of(document: &Document) -> Vec<FieldStatus> {
    let mut paths = BTreeSet::new();
    walk(&document.tree, String::new(), &mut paths);
    let table = in_force(document.kind()).iter();
    table.filter(|line| paths.iter().any(|path| covers(line.field, path))).copied().collect()
}

pub(super) fn covers(field: &str, path: &str) -> bool {
    path == field || path.strip_prefix(field).is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// Every key of a document as a dotted path, list entries as `[]`.
pub(super) fn walk(node: &Node, at: String, paths: &mut BTreeSet<String>) {
    match &node.kind {
        Kind::Map(entries) => {
            for (key, value) in entries {
                let path = if at.is_empty() { key.text.clone() } else { format!("{at}.{}", key.text) };
                walk(value, path, paths);
            }
        }
        Kind::Seq(items) => {
            for item in items {
                walk(item, format!("{at}[]"), paths);
            }
        }
        Kind::Null | Kind::Scalar { .. } => {
            paths.insert(at);
        }
    }
}
