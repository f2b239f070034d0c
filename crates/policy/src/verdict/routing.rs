//! Whether the provider may have it, and where it goes if not.

use serde::{Deserialize, Serialize};

use super::{
    BlockCode, Decision, Found, Reason, ReasonCode, RequestFacts, Verdict, described, plain, refusal,
};
use crate::Level;
use crate::documents::AllowedProviders;
use crate::providers::{Agreement, Provider, TrafficKind};
use crate::settings::{OnViolation, RerouteTarget, ShadowAi, Snapshot, UnapprovedTools};

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    AsAsked,
    /// To a self-hosted provider that speaks the same.
    Reroute(Box<RerouteTarget>),
}

impl Route {
    /// The host that receives a request which asked for `host`.
    pub fn host<'a>(&'a self, host: &'a str) -> &'a str {
        match self {
            Route::AsAsked => host,
            Route::Reroute(target) => &target.to.host,
        }
    }
}

/// Whether the host may be used at all; says so where it may although nobody has approved it.
pub(super) fn host(
    policy: &Snapshot,
    provider: &Provider,
    reasons: &mut Vec<Reason>,
) -> Result<(), BlockCode> {
    let title = &provider.title;
    if !policy.approves(provider) {
        match policy.shadow_ai.value {
            ShadowAi::Block => return Err(BlockCode::ShadowAi),
            ShadowAi::Warn | ShadowAi::Count => {
                let sentence = format!("{title} is not approved by policy; it was used all the same.");
                reasons.push(plain(ReasonCode::PassedShadowAi, &sentence));
            }
        }
    }
    if policy.unapproved_tools.value != UnapprovedTools::Allow && !policy.assessed(provider) {
        if policy.unapproved_tools.value == UnapprovedTools::Block {
            return Err(BlockCode::UnapprovedTool);
        }
        let sentence = format!("{title} has no approved security assessment; it was used all the same.");
        reasons.push(plain(ReasonCode::PassedUnapprovedTool, &sentence));
    }
    Ok(())
}

/// Judges a request that may go by its content. `redact` looks at what is left, `block` and `reroute` at what the
/// client wrote (decision 25).
pub(super) fn choose(policy: &Snapshot, facts: &RequestFacts<'_>, mut decision: Decision) -> Decision {
    let mode = policy.on_violation.value;
    let judged = if mode == OnViolation::Redact { decision.level_after } else { decision.level_before };
    let asked = policy.governance.value.of(judged);
    decision.retention = asked.retention;
    if asked.ai_provider.admits(facts.provider.agreement) {
        return decision;
    }
    // What must not leave at all is not led elsewhere either.
    let led = (mode == OnViolation::Reroute && asked.ai_provider.admits(Agreement::SelfHosted))
        .then(|| target(policy, facts))
        .flatten();
    match led {
        Some(target) => {
            let sentence = format!(
                "This request is {judged}, which {} may not see; it went to {} instead.",
                facts.provider.title, target.to.provider
            );
            decision.reasons.insert(0, plain(ReasonCode::Rerouted, &sentence));
            decision.route = Route::Reroute(Box::new(target));
            decision
        }
        None => {
            let culprit = culprit(policy, facts, judged, mode);
            let code = BlockCode::ProviderNotAllowed;
            let reason = match culprit {
                Culprit::Finding(found) => refusal(code, Some(found), facts, judged),
                Culprit::Mark(rule, place) => Reason {
                    place: Some(place.to_owned()),
                    sentence: not_allowed(facts, judged, &format!("{rule} in {place} makes it so")),
                    ..refusal(code, None, facts, judged)
                },
                Culprit::Base => refusal(code, None, facts, judged),
            };
            Decision {
                verdict: Verdict::Block(code),
                level_after: decision.level_before,
                reasons: vec![reason],
                ..decision
            }
        }
    }
}

fn target(policy: &Snapshot, facts: &RequestFacts<'_>) -> Option<RerouteTarget> {
    let possible = facts.kind == TrafficKind::Model && !facts.upgrade && !facts.signed;
    let reroute = policy.reroute.value.as_ref().filter(|_| possible)?;
    reroute.target(&policy.providers, facts.path, facts.family)
}

/// What made the level what it is.
enum Culprit<'a> {
    Finding(&'a Found<'a>),
    Mark(&'a str, &'a str),
    Base,
}

fn culprit<'a>(policy: &Snapshot, facts: &RequestFacts<'a>, judged: Level, mode: OnViolation) -> Culprit<'a> {
    if let Some(mark) = facts.marks.iter().find(|mark| mark.level == judged) {
        return Culprit::Mark(&mark.rule, &mark.place);
    }
    let rules = &policy.classification.value;
    let found = facts.findings.iter().find(|found| rules.of_finding(found.finding) == judged);
    // What was taken out is not the reason.
    match found.filter(|_| mode != OnViolation::Redact) {
        Some(found) => Culprit::Finding(found),
        None => Culprit::Base,
    }
}

/// The sentence of a refusal because of the class.
pub(super) fn not_allowed(facts: &RequestFacts<'_>, level: Level, why: &str) -> String {
    format!("This request is {level}, which {} may not see by policy: {why}.", facts.provider.title)
}

/// The way out of it.
pub(super) fn way_out(found: Option<&Found<'_>>) -> &'static str {
    match found {
        Some(_) => "Remove that value, or use a provider that policy allows for this class.",
        None => "Use a provider that policy allows for this class, such as a self-hosted one.",
    }
}

/// Why the class is what it is, without its value.
pub(super) fn because(found: Option<&Found<'_>>) -> String {
    match found {
        Some(found) => format!("{} stands in {}", lowered(&described(found.finding)), found.place),
        None => "it is the default level for this tool's folder".to_owned(),
    }
}

fn lowered(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

impl AllowedProviders {
    /// In words.
    pub fn said(self) -> &'static str {
        match self {
            AllowedProviders::Any => "any provider",
            AllowedProviders::EnterpriseAgreementOnly => "providers with an enterprise agreement",
            AllowedProviders::SelfHostedOnly => "self-hosted providers",
            AllowedProviders::None => "no provider",
        }
    }
}

#[cfg(test)]
#[path = "routing_tests.rs"]
mod tests;
