//! Audit events of an exchange: what the schema's fields mean here.
//!
//! Pure: facts in, events out. No field ever holds text of a request or a response.

use std::collections::HashSet;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use jiff::Timestamp;
use sallyport_audit::{Action, Actor, AiProvider, Compliance, Event, EventType, Request, Response};
use sallyport_detect::Fingerprint;
use sallyport_policy::quotas::Limit;
use sallyport_policy::{Level, RuleId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::conduct::{self, Spoken};
use crate::output::{DANGEROUS, Spoke};
use crate::redactions::Redactions;

/// What stays the same over all events of one exchange.
#[derive(Debug, Clone)]
pub(crate) struct Parties {
    pub(crate) exchange: Uuid,
    pub(crate) actor: Actor,
    pub(crate) provider: AiProvider,
    pub(crate) residency: Option<String>,
    pub(crate) retention: Option<String>,
}

/// A request as it is about to be sent, or as it was refused.
#[derive(Debug, Clone)]
pub(crate) struct SentFacts {
    pub(crate) body: BodyFacts,
    /// Of what is sent.
    pub(crate) level: Level,
    /// Of what the client wrote.
    pub(crate) level_before: Level,
    pub(crate) redactions: Vec<String>,
    /// Credentials that rules found, by which a person can say that they are none.
    pub(crate) findings: Vec<(RuleId, Fingerprint)>,
    /// Words that want to be instructions, and what was done about them.
    pub(crate) spoken: Vec<Spoken>,
    /// What policy did or saw beside it.
    pub(crate) remarks: Vec<Remark>,
}

/// One thing that policy did with a request, or saw in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remark {
    /// A word of a closed list.
    pub(crate) action: &'static str,
    pub(crate) target: String,
    pub(crate) outcome: &'static str,
}

/// Facts of the decoded body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BodyFacts {
    /// None where the body streams through unread.
    pub(crate) hash: Option<String>,
    pub(crate) length: Option<u64>,
    pub(crate) contains_code: bool,
}

impl BodyFacts {
    /// `body`: decoded, as it goes upstream.
    pub(crate) fn of(body: &[u8]) -> BodyFacts {
        BodyFacts {
            hash: Some(sha256_hex(body)),
            length: Some(body.len() as u64),
            contains_code: contains_code(body),
        }
    }

    pub(crate) fn unread() -> BodyFacts {
        BodyFacts { hash: None, length: None, contains_code: false }
    }
}

/// An answer as it was delivered.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedFacts {
    pub(crate) hash: Option<String>,
    pub(crate) length: u64,
    pub(crate) latency_ms: u64,
    pub(crate) tokens: Option<u64>,
    pub(crate) finish_reason: String,
    pub(crate) redactions: Redactions,
    /// Rules for dangerous output that spoke.
    pub(crate) dangerous: Vec<Spoke>,
}

pub(crate) fn prompt_sent(parties: &Parties, sent: &SentFacts, at: Timestamp) -> Event {
    let mut event = base(EventType::PromptSent, parties, at);
    event.request = Some(request(sent));
    // A history holds what was told before; each stretch is told once.
    event.actions = injections(sent.spoken.iter().filter(|spoken| spoken.fresh));
    if !event.actions.is_empty() {
        event.violation_type = Some(conduct::VIOLATION.to_owned());
    }
    event.actions.extend(remarks(sent));
    event
}

/// Each stretch, up to as many as a person may want to read; then how many there were.
fn injections<'s>(spoken: impl Iterator<Item = &'s Spoken>) -> Vec<Action> {
    const MOST: usize = 100;
    let mut all = 0;
    let mut told = Vec::new();
    for spoken in spoken {
        all += 1;
        if all <= MOST {
            told.push(injection(spoken));
        }
    }
    if all > MOST {
        told.push(Action {
            action_type: "injections_counted".into(),
            target: None,
            outcome: Some(all.to_string()),
            requires_review: Some(false),
        });
    }
    told
}

fn injection(spoken: &Spoken) -> Action {
    Action {
        action_type: format!("injection:{}", spoken.rule),
        target: Some(spoken.place.clone()),
        outcome: Some(spoken.outcome.as_str().to_owned()),
        requires_review: Some(false),
    }
}

pub(crate) fn completion_received(parties: &Parties, received: &ReceivedFacts, at: Timestamp) -> Event {
    let mut event = base(EventType::CompletionReceived, parties, at);
    event.response = Some(Response {
        completion_hash: received.hash.clone(),
        completion_length: Some(received.length),
        latency_ms: Some(received.latency_ms),
        tokens_used: received.tokens,
        finish_reason: Some(received.finish_reason.clone()),
    });
    event.actions = received
        .redactions
        .names()
        .iter()
        .map(|rule| Action {
            action_type: "response_redacted".into(),
            target: Some(rule.clone()),
            outcome: Some("redacted".into()),
            requires_review: Some(false),
        })
        .chain(received.redactions.counted())
        .collect();
    event.actions.extend(received.dangerous.iter().map(|(rule, outcome)| Action {
        action_type: format!("output:{rule}"),
        target: event.ai_provider.endpoint.clone(),
        outcome: Some((*outcome).to_owned()),
        requires_review: Some(true),
    }));
    if !received.dangerous.is_empty() {
        event.violation_type = Some(DANGEROUS.to_owned());
    }
    event
}

/// A request that was not sent because policy says so.
pub(crate) fn violation(parties: &Parties, sent: &SentFacts, violation_type: &str, at: Timestamp) -> Event {
    let mut event = base(EventType::PolicyViolation, parties, at);
    event.request = Some(request(sent));
    event.violation_type = Some(violation_type.to_owned());
    event.actions.push(Action {
        action_type: "request_blocked".into(),
        target: event.ai_provider.endpoint.clone(),
        outcome: Some("blocked".into()),
        requires_review: Some(false),
    });
    event.actions.extend(injections(sent.spoken.iter()));
    event.actions.extend(remarks(sent));
    event
}

/// Tool calls of an answer, each with what became of it.
pub(crate) fn calls_judged(parties: &Parties, actions: Vec<Action>, at: Timestamp) -> Event {
    let mut event = base(EventType::ActionExecuted, parties, at);
    event.actions = actions;
    event
}

/// A request that the provider refused because the account is none of the company's.
pub(crate) fn other_tenant(parties: &Parties, header: &str, at: Timestamp) -> Event {
    let mut event = base(EventType::PolicyViolation, parties, at);
    event.violation_type = Some("other_tenant".to_owned());
    event.actions.push(Action {
        action_type: "tenant_restricted".into(),
        target: Some(header.to_owned()),
        outcome: Some("refused".into()),
        requires_review: Some(true),
    });
    event
}

/// The level before redaction where it differs from the one after, then the remarks.
fn remarks(sent: &SentFacts) -> Vec<Action> {
    let action = |action: &str, target: String, outcome: &str| Action {
        action_type: action.to_owned(),
        target: Some(target),
        outcome: Some(outcome.to_owned()),
        requires_review: Some(false),
    };
    let classified = (sent.level_before != sent.level)
        .then(|| action("classified", sent.level_before.to_string(), sent.level.as_str()));
    let remarks =
        sent.remarks.iter().map(|remark| action(remark.action, remark.target.clone(), remark.outcome));
    let counted = sent.redactions.iter().collect::<Redactions>().counted();
    let findings = told_once(&sent.findings);
    let findings =
        findings.map(|(rule, print)| action(&format!("finding:{rule}"), print.to_string(), "found"));
    classified.into_iter().chain(remarks).chain(findings).chain(counted).collect()
}

/// A history brings a value again and again; more of them than this are a file, and no mistake of a rule's.
fn told_once(findings: &[(RuleId, Fingerprint)]) -> impl Iterator<Item = &(RuleId, Fingerprint)> {
    const MOST: usize = 32;
    let mut told = HashSet::new();
    findings.iter().filter(move |finding| told.insert(*finding)).take(MOST)
}

/// An exchange that broke: `code` is a closed word, never a message from the network.
pub(crate) fn failure(parties: &Parties, code: &str, at: Timestamp) -> Event {
    let mut event = base(EventType::Error, parties, at);
    event.actions.push(Action {
        action_type: "exchange_failed".into(),
        target: event.ai_provider.endpoint.clone(),
        outcome: Some(code.to_owned()),
        requires_review: Some(false),
    });
    event
}

/// A limit that a request passed, where policy only warns.
pub(crate) fn quota_warned(limit: Limit) -> Action {
    Action {
        action_type: "quota_exceeded".into(),
        target: Some(limit.code().into()),
        outcome: Some("warned".into()),
        requires_review: Some(false),
    }
}

/// Something done to Sallyport itself. `action_type` comes from a closed list.
pub(crate) fn control(
    actor: Actor,
    action: ControlAction,
    target: &str,
    outcome: &str,
    review: bool,
    at: Timestamp,
) -> Event {
    Event::control(
        at,
        actor,
        Action {
            action_type: action.as_str().to_owned(),
            target: Some(target.to_owned()),
            outcome: Some(outcome.to_owned()),
            requires_review: Some(review),
        },
    )
}

/// The closed list of control actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ControlAction {
    AgentSessionEnded,
    AgentSessionStarted,
    AllowlistAdded,
    AllowlistRemoved,
    AssessmentApproved,
    AuthenticationAsked,
    CaRemoved,
    ElevationDenied,
    ElevationExpired,
    ElevationFileRefused,
    ElevationGranted,
    ElevationRequested,
    ElevationRevoked,
    ElevationTokenRefused,
    ElevationUsed,
    EngineStarted,
    EngineStopped,
    KeyInserted,
    PolicyReloaded,
    ProtectionOff,
    ProtectionOn,
    SecretsHandedOver,
    SecretsRefused,
    SecretsSynced,
    SelfTest,
    ShadowAiSeen,
}

impl ControlAction {
    fn as_str(self) -> &'static str {
        match self {
            ControlAction::AgentSessionEnded => "agent_session_ended",
            ControlAction::AgentSessionStarted => "agent_session_started",
            ControlAction::AllowlistAdded => "allowlist_added",
            ControlAction::AllowlistRemoved => "allowlist_removed",
            ControlAction::AssessmentApproved => "assessment_approved",
            ControlAction::AuthenticationAsked => "authentication_asked",
            ControlAction::CaRemoved => "ca_removed",
            ControlAction::ElevationDenied => "elevation_denied",
            ControlAction::ElevationExpired => "elevation_expired",
            ControlAction::ElevationFileRefused => "elevation_file_refused",
            ControlAction::ElevationGranted => "elevation_granted",
            ControlAction::ElevationRequested => "elevation_requested",
            ControlAction::ElevationRevoked => "elevation_revoked",
            ControlAction::ElevationTokenRefused => "elevation_token_refused",
            ControlAction::ElevationUsed => "elevation_used",
            ControlAction::EngineStarted => "engine_started",
            ControlAction::EngineStopped => "engine_stopped",
            ControlAction::KeyInserted => "key_inserted",
            ControlAction::PolicyReloaded => "policy_reloaded",
            ControlAction::ProtectionOff => "protection_off",
            ControlAction::ProtectionOn => "protection_on",
            ControlAction::SecretsHandedOver => "secrets_handed_over",
            ControlAction::SecretsRefused => "secrets_refused",
            ControlAction::SecretsSynced => "secrets_synced",
            ControlAction::SelfTest => "self_test",
            ControlAction::ShadowAiSeen => "shadow_ai_seen",
        }
    }
}

fn base(event_type: EventType, parties: &Parties, at: Timestamp) -> Event {
    let mut event = Event::new(event_type, at, parties.actor.clone(), parties.provider.clone());
    event.exchange_id = Some(parties.exchange);
    event.compliance = Some(Compliance {
        data_residency: parties.residency.clone(),
        retention_policy: parties.retention.clone(),
        // Whether a data subject agreed can't be seen from a network proxy.
        consent_verified: Some(false),
    });
    event
}

fn request(sent: &SentFacts) -> Request {
    Request {
        prompt_hash: sent.body.hash.clone(),
        prompt_length: sent.body.length,
        contains_code: Some(sent.body.contains_code),
        classification: Some(sent.level.to_string()),
        redactions_applied: sent.redactions.iter().collect::<Redactions>().names().to_vec(),
    }
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

/// Words that stand in most programs and in little else; a hint for reports, not a decision.
fn contains_code(body: &[u8]) -> bool {
    static WORDS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
        AhoCorasick::new([
            "def ",
            "function ",
            "class ",
            "import ",
            "const ",
            "let ",
            "var ",
            "public ",
            "private ",
            "fn ",
            "```",
            "if (",
            "for (",
            "while (",
            "#include",
        ])
        .ok()
    });
    WORDS.as_ref().is_some_and(|words| words.is_match(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parties() -> Parties {
        Parties {
            exchange: Uuid::now_v7(),
            actor: Actor { user_id: Some("ann".into()), ..Actor::default() },
            provider: AiProvider {
                name: Some("openai".into()),
                endpoint: Some("api.openai.com/v1/x".into()),
                ..AiProvider::default()
            },
            residency: Some("us".into()),
            retention: Some("30 days".into()),
        }
    }

    #[test]
    fn a_flood_of_instructions_is_counted() {
        let spoken = |n: usize| Spoken {
            rule: "injected_instruction",
            place: format!("message {n}"),
            outcome: crate::conduct::Outcome::Neutralised,
            fresh: true,
        };
        let many: Vec<_> = (0..5_000).map(spoken).collect();
        let told = injections(many.iter());
        assert_eq!(told.len(), 101);
        let last = &told[100];
        assert_eq!(
            (last.action_type.as_str(), last.outcome.as_deref()),
            ("injections_counted", Some("5000"))
        );
        assert_eq!(injections(many.iter().take(100)).len(), 100);
    }

    #[test]
    fn the_hash_is_over_the_body_as_sent() {
        let facts = BodyFacts::of(b"abc");
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(facts.hash.as_deref(), Some(known));
        assert_eq!(facts.length, Some(3));
    }

    #[test]
    fn code_is_recognised_and_prose_is_not() {
        assert!(contains_code(b"please fix: fn main() {}"));
        assert!(contains_code(b"```\nx\n```"));
        assert!(!contains_code(b"What is the capital of France?"));
    }

    #[test]
    fn every_field_of_the_schema_is_filled() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../../audit/assets/audit-event.schema.json")).unwrap();
        let text = |word: &str| Some(word.to_owned());
        let parties = Parties {
            actor: Actor {
                user_id: text("ann"),
                agent_id: text("curl"),
                service_account: text("unassigned"),
                ip_address: text("127.0.0.1"),
                user_agent: text("curl/8"),
            },
            provider: AiProvider {
                name: text("openai"),
                model: text("m"),
                endpoint: text("api.openai.com/v1/x"),
                api_version: text("v1"),
            },
            ..parties()
        };
        let sent = SentFacts {
            body: BodyFacts::of(b"x"),
            level: Level::Public,
            redactions: vec!["jwt".into()],
            findings: Vec::new(),
            spoken: Vec::new(),
            level_before: Level::Confidential,
            remarks: Vec::new(),
        };
        let received = ReceivedFacts {
            hash: text("00"),
            length: 1,
            latency_ms: 1,
            tokens: Some(1),
            finish_reason: "stop".into(),
            redactions: [&"jwt".to_owned()].into_iter().collect(),
            dangerous: Vec::new(),
        };
        let now = Timestamp::now();
        let events = [prompt_sent(&parties, &sent, now), completion_received(&parties, &received, now)]
            .map(|event| serde_json::to_value(event).unwrap());
        let filled =
            |pointer: &str| events.iter().any(|event| event.pointer(pointer).is_some_and(|v| !v.is_null()));
        for (name, property) in schema["properties"].as_object().unwrap() {
            assert!(filled(&format!("/{name}")), "{name}");
            let (inner, prefix) = match property.get("items") {
                Some(items) => (&items["properties"], format!("/{name}/0")),
                None => (&property["properties"], format!("/{name}")),
            };
            for field in inner.as_object().into_iter().flatten().map(|(field, _)| field) {
                assert!(filled(&format!("{prefix}/{field}")), "{name}.{field}");
            }
        }
    }

    #[test]
    fn both_levels_and_what_policy_did_stand_in_the_row() {
        let rerouted = Remark { action: "request_rerouted", target: "a".into(), outcome: "rerouted" };
        let sent = SentFacts {
            body: BodyFacts::of(b"x"),
            level: Level::Internal,
            level_before: Level::Confidential,
            redactions: Vec::new(),
            findings: Vec::new(),
            spoken: Vec::new(),
            remarks: vec![rerouted],
        };
        let event = prompt_sent(&parties(), &sent, Timestamp::now());
        let said: Vec<_> =
            event.actions.iter().map(|a| (a.action_type.as_str(), a.target.as_deref())).collect();
        assert_eq!(said, [("classified", Some("confidential")), ("request_rerouted", Some("a"))]);
        assert_eq!(event.actions[0].outcome.as_deref(), Some("internal"));
        let same = SentFacts { level_before: Level::Internal, remarks: Vec::new(), ..sent };
        assert!(prompt_sent(&parties(), &same, Timestamp::now()).actions.is_empty());
    }

    #[test]
    fn a_finding_stands_in_the_row_once_by_its_fingerprint() {
        let print: Fingerprint = "00112233445566778899aabbccddeeff".parse().unwrap();
        let mut sent = SentFacts {
            body: BodyFacts::of(b"x"),
            level: Level::Public,
            level_before: Level::Public,
            redactions: Vec::new(),
            findings: vec![(RuleId::new("jwt"), print); 3],
            spoken: Vec::new(),
            remarks: Vec::new(),
        };
        let actions = prompt_sent(&parties(), &sent, Timestamp::now()).actions;
        assert_eq!(actions.len(), 1);
        assert_eq!(actions[0].action_type, "finding:jwt");
        assert_eq!(actions[0].target.as_deref(), Some("00112233445566778899aabbccddeeff"));
        sent.findings = (0..1_000).map(|i| (RuleId::new(format!("r{i}")), print)).collect();
        assert_eq!(prompt_sent(&parties(), &sent, Timestamp::now()).actions.len(), 32);
    }

    #[test]
    fn a_blocked_request_says_what_was_broken() {
        let sent = SentFacts {
            body: BodyFacts::of(b"x"),
            level: Level::Confidential,
            level_before: Level::Confidential,
            redactions: vec!["aws_key".into()],
            findings: Vec::new(),
            spoken: Vec::new(),
            remarks: Vec::new(),
        };
        let event = violation(&parties(), &sent, "locked_segment", Timestamp::now());
        assert_eq!(event.event_type, EventType::PolicyViolation);
        assert_eq!(event.violation_type.as_deref(), Some("locked_segment"));
        assert_eq!(event.actions[0].outcome.as_deref(), Some("blocked"));
        assert_eq!(event.request.unwrap().classification.as_deref(), Some("confidential"));
    }
}
