//! A request or a tool call as a person describes it, and what a policy decides about it: for `policy explain` and
//! `policy test`.
//!
//! Pure. Findings are given; what finds them in a text is not known here.

mod calls;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::classification::Mark;
use crate::documents::DocumentKind;
use crate::error::DocumentError;
use crate::providers::{Provider, TrafficKind, WireFamily};
use crate::settings::{DocumentSummary, OnViolation, SettingRow, Snapshot};
use crate::verdict::{
    BlockCode, BodyNature, Decision, Edit, Found, ReasonCode, RequestFacts, Route, Verdict, decide,
};
use crate::yaml::{self, nearest};
use crate::{Finding, FindingKind, Level, RuleId, Severity};

pub use calls::{CallDescription, CallExplanation, call_differences, explain_call};

/// A request in the words of a policy test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequestDescription {
    /// Name of a provider; or `host`.
    pub provider: Option<String>,
    pub host: Option<String>,
    pub path: Option<String>,
    /// The folder that the tool works in.
    pub workspace: Option<PathBuf>,
    /// What the request says: the rules of detection and classification are applied to it.
    pub text: Option<String>,
    /// Findings beside those in `text`.
    pub findings: Vec<FoundDescription>,
    /// A level that content rules or labels give to it, beside those in `text`.
    pub level: Option<Level>,
    #[schemars(with = "String")]
    pub body: BodyNature,
    /// The client's own signature covers the body.
    pub signed: bool,
    /// It opens a WebSocket.
    pub websocket: bool,
}

impl Default for RequestDescription {
    fn default() -> RequestDescription {
        RequestDescription {
            provider: None,
            host: None,
            path: None,
            workspace: None,
            text: None,
            findings: Vec::new(),
            level: None,
            body: BodyNature::Json,
            signed: false,
            websocket: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FoundDescription {
    /// The rule, or the name of a known secret.
    pub rule: String,
    #[serde(default)]
    pub level: Level,
    #[serde(default)]
    pub place: Option<String>,
    /// It stands in text that the provider has signed.
    #[serde(default)]
    pub locked: bool,
}

/// A file of policy tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestFile {
    /// Documents, or folders of them, beside this file. Without it the policy of this machine is tested.
    #[serde(default)]
    pub policies: Option<Vec<PathBuf>>,
    pub tests: Vec<PolicyTest>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyTest {
    pub name: String,
    /// Given this request …
    #[serde(default)]
    pub request: Option<RequestDescription>,
    /// … or given an answer with this tool call.
    #[serde(default)]
    pub call: Option<CallDescription>,
    pub expect: Expectation,
}

/// What one test is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Given<'t> {
    Request(&'t RequestDescription),
    Call(&'t CallDescription),
}

impl PolicyTest {
    /// None where it names neither, or both.
    pub fn given(&self) -> Option<Given<'_>> {
        match (&self.request, &self.call) {
            (Some(request), None) => Some(Given::Request(request)),
            (None, Some(call)) => Some(Given::Call(call)),
            _ => None,
        }
    }
}

/// What must come out. What is left out is not looked at.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expectation {
    /// Of a request: `allow`, `redact`, `block` or `reroute`. Of a call: `allow`, `deny`, `hold` or `would_deny`.
    pub verdict: Option<Word>,
    /// Why it is refused, such as `provider_not_allowed` or `command_denied`.
    pub code: Option<String>,
    /// The tier that a call was judged by.
    pub tier: Option<String>,
    /// Where it goes.
    pub provider: Option<String>,
    pub level_before: Option<Level>,
    pub level_after: Option<Level>,
    /// Rules, in any order.
    pub redactions: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    Allow,
    Redact,
    Block,
    Reroute,
    /// A call never reaches the agent.
    Deny,
    /// A call waits for a person.
    Hold,
    /// A call passes, since permissions only observe.
    WouldDeny,
}

impl Word {
    pub fn as_str(self) -> &'static str {
        match self {
            Word::Allow => "allow",
            Word::Redact => "redact",
            Word::Block => "block",
            Word::Reroute => "reroute",
            Word::Deny => "deny",
            Word::Hold => "hold",
            Word::WouldDeny => "would_deny",
        }
    }
}

/// Reads a file of policy tests.
pub fn parse(text: &str, file: &str) -> Result<TestFile, DocumentError> {
    yaml::from_str(text).map_err(|fault| DocumentError::from_fault(file, fault))
}

/// What a policy says of a request, and which of its parts said so.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    pub verdict: Word,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<BlockCode>,
    /// Where it goes, or would have gone.
    pub provider: String,
    pub level_before: Level,
    pub level_after: Level,
    pub redactions: Vec<String>,
    /// What is told to the person.
    pub sentences: Vec<String>,
    /// The settings that it came from.
    pub settings: Vec<SettingRow>,
    /// The documents that hold settings of that kind.
    pub documents: Vec<DocumentSummary>,
}

/// A description that fits no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchRequest {
    #[error("no provider is called `{name}`{hint}")]
    Provider { name: String, hint: String },
    #[error("{host} is no host of an AI provider: it is passed on unread")]
    NotIntercepted { host: String },
    #[error("name a `provider` or a `host`")]
    Nowhere,
}

/// Decides about a described request. `in_text` are the findings in its text.
pub fn explain(
    policy: &Snapshot,
    request: &RequestDescription,
    in_text: &[Finding],
) -> Result<Explanation, NoSuchRequest> {
    let provider = provider(policy, request)?;
    let path = request.path.clone().unwrap_or_else(|| provider.usual_path());
    let endpoint = provider.endpoint(&path);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let described = request.findings.iter().map(|found| {
        let finding = Finding {
            rule: RuleId::new(found.rule.as_str()),
            kind: FindingKind::Secret,
            severity: Severity::High,
            class: found.level,
            span: 0..0,
        };
        let edit = if found.locked { Edit::SignedText } else { Edit::Possible };
        (finding, found.place.clone().unwrap_or_else(|| "the request".into()), edit)
    });
    let seen = in_text.iter().map(|finding| (finding.clone(), "text".to_owned(), Edit::Possible));
    let all: Vec<_> = described.chain(seen).collect();
    let findings: Vec<Found<'_>> =
        all.iter().map(|(finding, place, edit)| Found { finding, place, edit: *edit }).collect();
    let marks = marks(policy, request);
    let facts = RequestFacts {
        provider,
        family: endpoint.family,
        path,
        upgrade: request.websocket,
        workspace: request.workspace.as_deref(),
        marks: &marks,
        kind: endpoint.kind,
        nature: request.body,
        signed: request.signed,
        findings: &findings,
    };
    let decision = decide(policy, &facts);
    let keys = keys(policy, &facts, &decision);
    let rows = policy.rows();
    let settings = keys.iter().filter_map(|key| rows.iter().find(|row| row.key == *key).cloned()).collect();
    Ok(Explanation {
        verdict: word(&decision),
        code: match decision.verdict {
            Verdict::Block(code) => Some(code),
            _ => None,
        },
        provider: match &decision.route {
            Route::Reroute(target) => target.to.provider.clone(),
            Route::AsAsked => provider.name.clone(),
        },
        level_before: decision.level_before,
        level_after: decision.level_after,
        redactions: match decision.verdict {
            Verdict::Redact => findings.iter().map(|found| found.finding.rule.to_string()).collect(),
            _ => Vec::new(),
        },
        sentences: decision
            .reasons
            .iter()
            .map(|reason| match &reason.hint {
                Some(hint) => format!("{} {hint}", reason.sentence),
                None => reason.sentence.clone(),
            })
            .collect(),
        settings,
        documents: policy
            .documents
            .iter()
            .filter(|document| {
                let classes = document.kind == DocumentKind::DataClassificationPolicy;
                classes || document.kind == DocumentKind::SallyportPolicy
            })
            .cloned()
            .collect(),
    })
}

fn provider<'p>(policy: &'p Snapshot, request: &RequestDescription) -> Result<&'p Provider, NoSuchRequest> {
    if let Some(name) = &request.provider {
        return policy.providers.provider(name).ok_or_else(|| {
            let names = policy.providers.providers().iter().map(|provider| provider.name.as_str());
            let hint = nearest(name, names).map(|name| format!(": did you mean `{name}`?"));
            NoSuchRequest::Provider { name: name.clone(), hint: hint.unwrap_or_default() }
        });
    }
    let host = request.host.as_ref().ok_or(NoSuchRequest::Nowhere)?;
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().unwrap_or(443)),
        None => (host.as_str(), 443),
    };
    let found = policy.providers.intercepted(name, port);
    found.ok_or_else(|| NoSuchRequest::NotIntercepted { host: host.clone() })
}

fn marks(policy: &Snapshot, request: &RequestDescription) -> Vec<Mark> {
    let rules = &policy.classification.value;
    let text = request.text.as_deref().unwrap_or_default();
    let in_text = rules.of_text(text).chain(rules.of_paths_in(text)).map(|(rule, level)| Mark {
        rule: rule.to_owned(),
        place: "text".into(),
        level,
    });
    let given = request.level.map(|level| Mark {
        rule: "what the description says".into(),
        place: "the request".into(),
        level,
    });
    in_text.chain(given).collect()
}

fn word(decision: &Decision) -> Word {
    match (decision.verdict, &decision.route) {
        (Verdict::Block(_), _) => Word::Block,
        (_, Route::Reroute(_)) => Word::Reroute,
        (Verdict::Redact, _) => Word::Redact,
        (Verdict::Allow, _) => Word::Allow,
    }
}

/// Names of the settings that had a say, most telling first.
fn keys(policy: &Snapshot, facts: &RequestFacts<'_>, decision: &Decision) -> Vec<String> {
    let mut keys: Vec<&str> = Vec::new();
    for reason in &decision.reasons {
        match reason.code {
            ReasonCode::Blocked(BlockCode::ShadowAi) | ReasonCode::PassedShadowAi => {
                keys.extend(["shadow_ai", "approved_providers"]);
            }
            ReasonCode::Blocked(BlockCode::UnapprovedTool) | ReasonCode::PassedUnapprovedTool => {
                keys.push("unapproved_tools");
            }
            ReasonCode::Blocked(BlockCode::ProviderNotAllowed) | ReasonCode::Rerouted => {
                keys.extend(["ai_provider", "on_violation"]);
            }
            ReasonCode::Blocked(BlockCode::Opaque | BlockCode::TooLarge) | ReasonCode::PassedOpaque => {
                keys.extend(["opaque", "max_body_bytes"]);
            }
            ReasonCode::Blocked(BlockCode::Malformed) | ReasonCode::PassedMalformed => keys.push("malformed"),
            ReasonCode::Blocked(BlockCode::Telemetry) => keys.push("telemetry"),
            ReasonCode::Blocked(_) | ReasonCode::Redacted => keys.push("disabled_rules"),
        }
    }
    if facts.kind == TrafficKind::Telemetry {
        keys.push("telemetry");
    }
    if policy.on_violation.value == OnViolation::Reroute {
        keys.push("reroute_to");
    }
    if !facts.marks.is_empty() {
        keys.push("classification");
    }
    keys.extend(["ai_provider", "on_violation", "default_level"]);
    if facts.workspace.is_some() {
        keys.push("workspace_levels");
    }
    if policy.tenants.value.contains_key(&facts.provider.name) {
        keys.push("tenants");
    }
    let mut keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
    keys.push(format!("providers.{}", facts.provider.name));
    let mut seen = std::collections::BTreeSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    keys
}

/// What of an expectation was not met: what was expected, and what came.
pub fn differences(expected: &Expectation, got: &Explanation) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, wanted: Option<String>, came: String| {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != came) {
            found.push(format!("expected {what} {wanted}, got {came}"));
        }
    };
    compare("verdict", expected.verdict.map(|w| w.as_str().to_owned()), got.verdict.as_str().to_owned());
    let code = got.code.map_or("none", BlockCode::as_str);
    compare("code", expected.code.clone(), code.to_owned());
    compare("provider", expected.provider.clone(), got.provider.clone());
    compare("level_before", expected.level_before.map(|l| l.to_string()), got.level_before.to_string());
    compare("level_after", expected.level_after.map(|l| l.to_string()), got.level_after.to_string());
    let sorted = |rules: &[String]| {
        let mut rules = rules.to_vec();
        rules.sort();
        format!("[{}]", rules.join(", "))
    };
    compare("redactions", expected.redactions.as_deref().map(sorted), sorted(&got.redactions));
    if expected.tier.is_some() {
        found.push("`tier` is said of calls, and this is a request".to_owned());
    }
    found
}

impl Provider {
    /// A path that most requests to it have.
    fn usual_path(&self) -> String {
        self.counterpart("/v1/chat/completions", WireFamily::OpenAiChat)
            .or_else(|| self.counterpart("/v1/messages", WireFamily::AnthropicMessages))
            .unwrap_or_else(|| "/".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents;
    use crate::settings::{Layers, Origin, resolve};

    const POLICY: &str = "apiVersion: sallyport/v1
kind: SallyportPolicy
metadata: {name: x}
spec:
  onViolation: reroute
  rerouteTo: {provider: ollama}
  classification: {labels: {ATLAS: confidential}}
";

    fn snapshot() -> Snapshot {
        let classes = include_str!("../../../assets/policies/examples/data-classification-policy.yaml");
        let mut user_documents = documents::parse(POLICY, "p.yaml").unwrap();
        user_documents.extend(documents::parse(classes, "classes.yaml").unwrap());
        resolve(&Layers { user_documents, ..Layers::default() }).unwrap()
    }

    const TESTS: &str = "
tests:
  - name: what is labelled stays in the house
    request: {provider: openai, text: see ATLAS}
    expect: {verdict: reroute, provider: ollama, level_before: confidential, level_after: confidential}
  - name: nothing to see
    request: {host: api.anthropic.com, path: /v1/messages}
    expect: {verdict: allow, provider: anthropic, redactions: []}
  - name: no other family in the house
    request: {provider: openai, path: /v1/embeddings, level: internal}
    expect: {verdict: block, code: provider_not_allowed}
  - name: a value in signed text
    request: {provider: anthropic, findings: [{rule: db, locked: true}]}
    expect: {verdict: block, code: signed_text}
";

    #[test]
    fn tests_pass_and_differences_are_told() {
        let file = parse(TESTS, "t.yaml").unwrap();
        for test in &file.tests {
            let got = explain(&snapshot(), test.request.as_ref().unwrap(), &[]).unwrap();
            assert_eq!(differences(&test.expect, &got), Vec::<String>::new(), "{}", test.name);
        }
        let wrong = Expectation {
            verdict: Some(Word::Allow),
            level_after: Some(Level::Public),
            redactions: Some(vec!["jwt".into()]),
            ..Expectation::default()
        };
        let got = explain(&snapshot(), file.tests[0].request.as_ref().unwrap(), &[]).unwrap();
        assert_eq!(
            differences(&wrong, &got),
            [
                "expected verdict allow, got reroute",
                "expected level_after public, got confidential",
                "expected redactions [jwt], got []"
            ]
        );
    }

    #[test]
    fn an_explanation_names_settings_and_documents() {
        let request = RequestDescription {
            provider: Some("openai".into()),
            text: Some("ATLAS".into()),
            ..RequestDescription::default()
        };
        let got = explain(&snapshot(), &request, &[]).unwrap();
        let keys: Vec<_> = got.settings.iter().map(|row| (row.key.as_str(), row.origin)).collect();
        assert_eq!(keys[..2], [("ai_provider", Origin::User), ("on_violation", Origin::User)]);
        assert!(keys.contains(&("classification", Origin::User)), "{keys:?}");
        assert!(keys.contains(&("default_level", Origin::Default)), "{keys:?}");
        assert_eq!(got.documents.len(), 2);
        assert!(got.sentences[0].contains("it went to ollama instead"), "{:?}", got.sentences);
    }

    #[test]
    fn a_description_without_a_request_is_told() {
        let ask = |provider: Option<&str>, host: Option<&str>| {
            let request = RequestDescription {
                provider: provider.map(Into::into),
                host: host.map(Into::into),
                ..RequestDescription::default()
            };
            explain(&snapshot(), &request, &[]).unwrap_err().to_string()
        };
        assert_eq!(ask(Some("opnai"), None), "no provider is called `opnai`: did you mean `openai`?");
        assert!(ask(None, Some("example.org")).contains("passed on unread"));
        assert!(ask(None, None).contains("`provider` or a `host`"));
        let error = parse("tests:\n  - name: x\n    request: {provder: openai}\n    expect: {}\n", "t.yaml")
            .unwrap_err();
        assert!(error.to_string().starts_with("t.yaml:3:15: `provder` is not a key here"), "{error}");
    }
}
