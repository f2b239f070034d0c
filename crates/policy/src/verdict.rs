//! The decision about one request: pass it, pass it with values taken out, or refuse it.
//!
//! Pure: a snapshot and facts in, a decision out. Every reason names the rule, the place and the way out.

mod routing;

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::classification::Mark;
use crate::documents::Retention;
use crate::providers::{Provider, TrafficKind, WireFamily};
use crate::settings::{MalformedPolicy, OpaquePolicy, Snapshot, TelemetryPolicy};
use crate::{Finding, FindingKind, Level, RuleId};

pub use routing::Route;

/// What a body turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyNature {
    Empty,
    Json,
    Text,
    Form,
    Multipart,
    /// Cannot be read as text: binary, or a coding that is not known.
    Opaque,
    /// Says it is one of the readable kinds and is not; it was scanned as raw text.
    Malformed,
    /// Longer than is held and looked at, so it was not.
    TooLarge,
}

/// Why a finding's bytes can't be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    Possible,
    /// The provider signed the text, such as a thinking block: an edited one is refused there.
    SignedText,
    /// No replacement would leave the body what it is.
    Impossible,
}

/// A finding in its request.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    pub finding: &'a Finding,
    /// For people, such as `messages[3].content` or `header x-trace`.
    pub place: &'a str,
    pub edit: Edit,
}

#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a> {
    /// Who it is for.
    pub provider: &'a Provider,
    pub family: WireFamily,
    /// Path without query.
    pub path: &'a str,
    /// It asks for a WebSocket.
    pub upgrade: bool,
    /// The folder that the tool works in.
    pub workspace: Option<&'a Path>,
    /// What raised its level besides findings.
    pub marks: &'a [Mark],
    pub kind: TrafficKind,
    pub nature: BodyNature,
    /// The client's own signature covers body and headers; see [`covered_by_signature`].
    pub signed: bool,
    /// What was found with the rules that policy leaves on.
    pub findings: &'a [Found<'a>],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Allow,
    /// Take every finding out, then send.
    Redact,
    Block(BlockCode),
}

/// Why a request is refused. Closed; faces and tests match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockCode {
    SignedText,
    SignedRequest,
    NotEditable,
    Opaque,
    Malformed,
    TooLarge,
    Telemetry,
    /// The provider may not see this class.
    ProviderNotAllowed,
    /// Policy has not approved the host.
    ShadowAi,
    /// The tool's security assessment is missing, not approved or due again.
    UnapprovedTool,
}

impl BlockCode {
    pub const ALL: [BlockCode; 10] = [
        BlockCode::SignedText,
        BlockCode::SignedRequest,
        BlockCode::NotEditable,
        BlockCode::Opaque,
        BlockCode::Malformed,
        BlockCode::TooLarge,
        BlockCode::Telemetry,
        BlockCode::ProviderNotAllowed,
        BlockCode::ShadowAi,
        BlockCode::UnapprovedTool,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            BlockCode::SignedText => "signed_text",
            BlockCode::SignedRequest => "signed_request",
            BlockCode::NotEditable => "not_editable",
            BlockCode::Opaque => "opaque",
            BlockCode::Malformed => "malformed",
            BlockCode::TooLarge => "too_large",
            BlockCode::Telemetry => "telemetry",
            BlockCode::ProviderNotAllowed => "provider_not_allowed",
            BlockCode::ShadowAi => "shadow_ai",
            BlockCode::UnapprovedTool => "unapproved_tool",
        }
    }
}

impl fmt::Display for BlockCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// A value was taken out.
    Redacted,
    /// Passed although it can't be read; counted.
    PassedOpaque,
    /// Passed although malformed, because nothing was found in its text.
    PassedMalformed,
    /// Passed although policy has not approved the host.
    PassedShadowAi,
    /// Passed although the tool has no approved assessment.
    PassedUnapprovedTool,
    /// Led to a self-hosted provider.
    Rerouted,
    Blocked(BlockCode),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: ReasonCode,
    pub rule: Option<RuleId>,
    pub place: Option<String>,
    /// What was found or done, without the value.
    pub sentence: String,
    /// What a person can do about it.
    pub hint: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub verdict: Verdict,
    /// Where it goes, if it goes.
    pub route: Route,
    /// How long the level that decided may be kept.
    pub retention: Option<Retention>,
    /// Of the request as the client made it.
    pub level_before: Level,
    /// Of what is sent; of a blocked request, of what would have been.
    pub level_after: Level,
    pub reasons: Vec<Reason>,
}

/// Decides about one request.
pub fn decide(policy: &Snapshot, facts: &RequestFacts<'_>) -> Decision {
    let base = policy.base_level(facts.workspace);
    let raised = facts.marks.iter().map(|mark| mark.level).fold(base, Level::max);
    let rules = &policy.classification.value;
    let level_before =
        facts.findings.iter().map(|found| rules.of_finding(found.finding)).fold(raised, Level::max);
    let mut decision = Decision {
        verdict: Verdict::Allow,
        route: Route::AsAsked,
        retention: None,
        level_before,
        level_after: level_before,
        reasons: Vec::new(),
    };
    if let Err(code) = routing::host(policy, facts.provider, &mut decision.reasons) {
        return decision.blocked(code, None, facts);
    }
    if facts.kind == TrafficKind::Telemetry {
        match policy.telemetry.value {
            TelemetryPolicy::Allow => return decision,
            TelemetryPolicy::Block => return decision.blocked(BlockCode::Telemetry, None, facts),
            TelemetryPolicy::Scan => {}
        }
    }
    if let Some((code, found)) = first_stuck(facts) {
        return decision.blocked(code, Some(found), facts);
    }
    match unreadable(policy, facts.nature) {
        Unreadable::No => {}
        Unreadable::Passes(reason) => decision.reasons.push(reason),
        Unreadable::Blocks(code) => return decision.blocked(code, None, facts),
    }
    decision.reasons.extend(facts.findings.iter().map(redacted));
    if !facts.findings.is_empty() {
        decision.verdict = Verdict::Redact;
    }
    decision.level_after = raised;
    routing::choose(policy, facts, decision)
}

impl Decision {
    /// The same request, refused.
    fn blocked(self, code: BlockCode, found: Option<&Found<'_>>, facts: &RequestFacts<'_>) -> Decision {
        Decision {
            verdict: Verdict::Block(code),
            route: Route::AsAsked,
            level_after: self.level_before,
            reasons: vec![refusal(code, found, facts, self.level_before)],
            ..self
        }
    }
}

/// The first finding that can't be taken out, so that the request can't be sent.
fn first_stuck<'a>(facts: &'a RequestFacts<'_>) -> Option<(BlockCode, &'a Found<'a>)> {
    facts.findings.iter().find_map(|found| {
        let code = match found.edit {
            _ if facts.signed => BlockCode::SignedRequest,
            Edit::SignedText => BlockCode::SignedText,
            // A malformed body has no places that could be edited soundly.
            _ if facts.nature == BodyNature::Malformed => BlockCode::Malformed,
            Edit::Impossible => BlockCode::NotEditable,
            Edit::Possible => return None,
        };
        Some((code, found))
    })
}

enum Unreadable {
    No,
    Passes(Reason),
    Blocks(BlockCode),
}

fn unreadable(policy: &Snapshot, nature: BodyNature) -> Unreadable {
    let (code, sentence) = match nature {
        BodyNature::Malformed if policy.malformed.value == MalformedPolicy::Block => {
            return Unreadable::Blocks(BlockCode::Malformed);
        }
        BodyNature::Malformed => {
            let sentence = "The body is malformed; nothing was found in its text, so it was sent as it is.";
            return Unreadable::Passes(plain(ReasonCode::PassedMalformed, sentence));
        }
        BodyNature::Opaque => (BlockCode::Opaque, "The body can't be read as text and was sent unseen."),
        BodyNature::TooLarge => {
            (BlockCode::TooLarge, "The body is too large to be read and was sent unseen.")
        }
        _ => return Unreadable::No,
    };
    match policy.opaque.value {
        OpaquePolicy::Block => Unreadable::Blocks(code),
        OpaquePolicy::Warn => Unreadable::Passes(plain(ReasonCode::PassedOpaque, sentence)),
        OpaquePolicy::Allow => Unreadable::No,
    }
}

fn plain(code: ReasonCode, sentence: &str) -> Reason {
    Reason { code, rule: None, place: None, sentence: sentence.into(), hint: None }
}

fn redacted(found: &Found<'_>) -> Reason {
    Reason {
        code: ReasonCode::Redacted,
        rule: Some(found.finding.rule.clone()),
        place: Some(found.place.to_owned()),
        sentence: format!("{} was taken out of {}.", described(found.finding), found.place),
        hint: None,
    }
}

/// What a finding is, without its value: `The secret "db-password"`.
pub fn described(finding: &Finding) -> String {
    match finding.kind {
        FindingKind::KnownSecret => format!("The secret \"{}\"", finding.rule),
        FindingKind::Secret => format!("A credential ({})", finding.rule),
        FindingKind::EnvAssignment => "The value of a variable whose name says secret".to_owned(),
        FindingKind::Pii => format!("Personal data ({})", finding.rule),
        FindingKind::Internal => format!("An internal address ({})", finding.rule),
    }
}

/// What a person is told who is refused: the rule, the place, the way out.
fn refusal(code: BlockCode, found: Option<&Found<'_>>, facts: &RequestFacts<'_>, level: Level) -> Reason {
    let (what, place) = match found {
        Some(found) => (described(found.finding), found.place),
        None => (String::new(), ""),
    };
    let (sentence, hint) = match code {
        BlockCode::SignedText => (
            format!(
                "{what} stands in {place}, a text that the provider has signed and that can't be edited."
            ),
            "Start a new conversation, or go back to the turn before the value first appeared.",
        ),
        BlockCode::SignedRequest => (
            format!(
                "{what} stands in {place} of a request that the client has signed, so it can't be taken out."
            ),
            "Remove the value from the prompt or file that it came from, then try again.",
        ),
        BlockCode::NotEditable => (
            format!("{what} stands in {place}, where it can't be replaced without breaking the request."),
            "Remove the value from the prompt or file that it came from, then try again.",
        ),
        BlockCode::Malformed if found.is_some() => (
            format!("{what} stands in {place} of a malformed body, so it can't be taken out safely."),
            "Remove the value, or update the tool that sends malformed bodies.",
        ),
        BlockCode::Malformed => (
            "The body is not what its content type says, and policy refuses such bodies.".to_owned(),
            "Update the tool, or set `malformed: allow` in a SallyportPolicy document.",
        ),
        BlockCode::Opaque => (
            "The body can't be read as text, and policy refuses what can't be read.".to_owned(),
            "Send text instead, or set `opaque: warn` in a SallyportPolicy document.",
        ),
        BlockCode::TooLarge => (
            "The body is larger than is looked at, and policy refuses what can't be read.".to_owned(),
            "Send less at once, or raise `maxBodyBytes` in a SallyportPolicy document.",
        ),
        BlockCode::Telemetry => (
            "This is a report of the tool about itself, and policy refuses those.".to_owned(),
            "Turn telemetry off in the tool, or set `telemetry: scan` in a SallyportPolicy document.",
        ),
        BlockCode::ProviderNotAllowed => {
            (routing::not_allowed(facts, level, &routing::because(found)), routing::way_out(found))
        }
        BlockCode::ShadowAi => (
            format!("{} is an AI service that policy has not approved.", facts.provider.title),
            "Use an approved one, or have it added to `approvedProviders` in a SallyportPolicy document.",
        ),
        BlockCode::UnapprovedTool => (
            format!(
                "Policy asks for an approved security assessment, and {} has none.",
                facts.provider.title
            ),
            "`sallyport assess show` says what is missing; use an assessed tool until then.",
        ),
    };
    Reason {
        code: ReasonCode::Blocked(code),
        rule: found.map(|found| found.finding.rule.clone()),
        place: found.map(|found| found.place.to_owned()),
        sentence,
        hint: Some(hint.into()),
    }
}

/// Whether an AWS signature covers the body, judged by the headers that carry it.
pub fn covered_by_signature(authorization: Option<&str>, content_sha256: Option<&str>) -> bool {
    let signed = authorization.is_some_and(|value| value.trim_start().starts_with("AWS4-"));
    signed && !content_sha256.is_some_and(|value| value.starts_with("UNSIGNED-PAYLOAD"))
}

#[cfg(test)]
mod tests;
