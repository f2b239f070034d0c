//! A tool call as a person describes it, and what permissions decide about it: allowed, denied, held for a person, or let
//! pass and recorded.
//!
//! Pure. What a tool does with its arguments is not known here: whoever asks gives the actions.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Expectation, Word};
use crate::documents::DocumentKind;
use crate::elevation::Hold;
use crate::permissions::{Action, Denial, Judgement, Places, Who};
use crate::settings::{AgentMode, DocumentSummary, SettingRow, Snapshot};

/// A tool call of an answer, in the words of a policy test.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CallDescription {
    /// As the agent names it: `Bash`, `Write`, `mcp__files__read`.
    pub tool: String,
    /// What the model gives it.
    pub arguments: serde_json::Value,
    /// The class of the agent; without it the one that holds where nothing tells.
    pub agent: Option<String>,
    /// The folder that the agent works in, which is its workspace where none is configured.
    pub cwd: Option<PathBuf>,
}

/// What permissions say of a call, and which parts of policy said so.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallExplanation {
    pub verdict: Word,
    /// The rule that denies it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    pub agent: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// The document that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What the agent is told.
    pub sentences: Vec<String>,
    pub settings: Vec<SettingRow>,
    pub documents: Vec<DocumentSummary>,
}

/// Decides about a described call that does this. `home`: of whoever runs the agent.
pub fn explain_call(
    policy: &Snapshot,
    call: &CallDescription,
    actions: &[Action],
    home: &str,
) -> CallExplanation {
    let agents = &policy.agents;
    let class = call.agent.as_deref().unwrap_or_else(|| agents.class());
    let who = Who { class, tier: agents.tier(class) };
    let text = |path: &PathBuf| path.to_string_lossy().trim_end_matches('/').to_owned();
    let workspace = agents.workspace.value.as_ref().or(call.cwd.as_ref()).map(text);
    let places = Places {
        cwd: call.cwd.as_ref().map(text).or_else(|| workspace.clone()).unwrap_or_else(|| home.to_owned()),
        workspaces: workspace.into_iter().collect(),
        home: home.to_owned(),
        ..Places::default()
    };
    let denial = actions.iter().find_map(|action| {
        match agents.permissions.judge(who, &|target| granted(policy, target.scope()), action, &places) {
            Judgement::Allowed { .. } => None,
            Judgement::Denied(denial) => Some(denial),
        }
    });
    let (verdict, keys) = match &denial {
        None => (Word::Allow, vec!["agents.mode"]),
        Some(_) if agents.mode.value == AgentMode::Observe => (Word::WouldDeny, vec!["agents.mode"]),
        Some(denial) => (stopped(policy, denial), vec!["agents.mode", "elevation.hold"]),
    };
    let rows = policy.rows();
    let keys = keys.into_iter().chain(["agents.tiers", "agents.default_tier", "elevation.auto_grant"]);
    let sentences = denial.iter().map(|denial| format!("{} {}", denial.sentence, denial.way_out));
    CallExplanation {
        verdict,
        code: denial.as_ref().map(|denial| denial.rule.as_str().to_owned()),
        agent: class.to_owned(),
        tier: who.tier.map(str::to_owned),
        place: denial.as_ref().and_then(|denial| denial.place.clone()),
        sentences: sentences.collect(),
        settings: keys.filter_map(|key| rows.iter().find(|row| row.key == key).cloned()).collect(),
        documents: policy
            .documents
            .iter()
            .filter(|document| {
                matches!(
                    document.kind,
                    DocumentKind::AgentPermissionPolicy
                        | DocumentKind::AiSecretsPolicy
                        | DocumentKind::SallyportPolicy
                )
            })
            .cloned()
            .collect(),
    }
}

/// Whether policy grants a scope at once, without a human.
fn granted(policy: &Snapshot, scope: crate::elevation::Scope) -> bool {
    policy.agents.mode.value == AgentMode::Enforce && policy.elevation.auto_grant.value.contains(&scope)
}

/// Whether somebody may still let it pass.
fn stopped(policy: &Snapshot, denial: &Denial) -> Word {
    let askable = denial.wanted.as_ref().is_some_and(|wanted| wanted.target().as_resource().is_some());
    if askable && policy.elevation.hold.value != Hold::Off { Word::Hold } else { Word::Deny }
}

/// What of an expectation was not met.
pub fn call_differences(expected: &Expectation, got: &CallExplanation) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, wanted: Option<&str>, came: &str| {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != came) {
            found.push(format!("expected {what} {wanted}, got {came}"));
        }
    };
    compare("verdict", expected.verdict.map(Word::as_str), got.verdict.as_str());
    compare("code", expected.code.as_deref(), got.code.as_deref().unwrap_or("none"));
    compare("tier", expected.tier.as_deref(), got.tier.as_deref().unwrap_or("none"));
    let of_requests = [
        ("provider", expected.provider.is_some()),
        ("level_before", expected.level_before.is_some()),
        ("level_after", expected.level_after.is_some()),
        ("redactions", expected.redactions.is_some()),
    ];
    found.extend(
        of_requests
            .iter()
            .filter(|(_, named)| *named)
            .map(|(name, _)| format!("`{name}` is said of requests, and this is a call")),
    );
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents;
    use crate::permissions::FilePath;
    use crate::settings::{Layers, resolve};

    const AGENTS: &str = "apiVersion: security.platform/v1
kind: AgentPermissionPolicy
metadata: {name: agents}
spec:
  agentClass: coding-assistant
  tiers:
    - name: read-only
      permissions:
        filesystem: [{action: read, paths: [\"/workspace/**\"], exclude: [\"**/.env*\"]}]
    - name: work
      inherits: read-only
      permissions:
        filesystem: [{action: write, paths: [\"/workspace/src/**\"]}]
";

    fn policy(spec: &str) -> Snapshot {
        let house =
            format!("apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: h}}\nspec: {spec}\n");
        let mut user_documents = documents::parse(AGENTS, "agents.yaml").unwrap();
        user_documents.extend(documents::parse(&house, "house.yaml").unwrap());
        resolve(&Layers { user_documents, ..Layers::default() }).unwrap()
    }

    fn verdict(spec: &str, action: Action) -> (Word, Option<String>) {
        let call = CallDescription { cwd: Some("/w/p".into()), ..CallDescription::default() };
        let got = explain_call(&policy(spec), &call, &[action], "/home/ann");
        (got.verdict, got.code)
    }

    #[test]
    fn a_call_is_allowed_denied_held_or_only_noted() {
        let write = |path: &str| Action::Write(FilePath::new(path));
        let tier = "tiers: {coding-assistant: work}";
        let enforced = format!("{{agents: {{mode: enforce, {tier}}}}}");
        assert_eq!(verdict(&enforced, write("src/a.rs")), (Word::Allow, None));
        let code = Some("path_not_allowed".to_owned());
        assert_eq!(verdict(&enforced, write("a.rs")), (Word::Hold, code.clone()));
        let at_once = format!("{{agents: {{mode: enforce, {tier}}}, elevation: {{hold: off}}}}");
        assert_eq!(verdict(&at_once, write("a.rs")), (Word::Deny, code.clone()));
        let observed = format!("{{agents: {{mode: observe, {tier}}}}}");
        assert_eq!(verdict(&observed, write("a.rs")), (Word::WouldDeny, code));
        let given =
            format!("{{agents: {{mode: enforce, {tier}}}, elevation: {{autoGrant: [filesystem:write]}}}}");
        assert_eq!(verdict(&given, write("a.rs")), (Word::Allow, None));
        // Reading elsewhere is nothing that a grant covers.
        let read = Action::Read(FilePath::new("/etc/passwd"));
        assert_eq!(verdict(&enforced, read).0, Word::Deny);
        // Without a tier the first one counts.
        assert_eq!(verdict("{agents: {mode: enforce}}", write("src/a.rs")).0, Word::Hold);
    }

    #[test]
    fn differences_are_told() {
        let call = CallDescription { cwd: Some("/w/p".into()), ..CallDescription::default() };
        let got = explain_call(&policy("{agents: {mode: enforce}}"), &call, &[Action::Nothing], "/home/ann");
        let expected = Expectation {
            verdict: Some(Word::Deny),
            tier: Some("work".into()),
            provider: Some("openai".into()),
            ..Expectation::default()
        };
        assert_eq!(
            call_differences(&expected, &got),
            [
                "expected verdict deny, got allow",
                "expected tier work, got none",
                "`provider` is said of requests, and this is a call"
            ]
        );
    }
}
