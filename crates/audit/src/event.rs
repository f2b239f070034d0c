//! One event, with exactly the fields of the audit schema and four of ours.
//!
//! Fields stand in alphabetical order of their wire names: serialising gives the canonical form directly (see
//! `canonical`), and a test holds it to that.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

/// What happened, to whom, with which provider. `seq` and `prev_hash` are added when it is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
    pub actor: Actor,
    pub ai_provider: AiProvider,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compliance: Option<Compliance>,
    pub event_id: Uuid,
    pub event_type: EventType,
    /// Ties the events of one exchange together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    #[serde(serialize_with = "timestamp")]
    pub timestamp: Timestamp,
    /// For a `policy_violation`: which rule of policy was broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violation_type: Option<String>,
}

impl Event {
    /// A new event with a fresh id.
    pub fn new(event_type: EventType, timestamp: Timestamp, actor: Actor, ai_provider: AiProvider) -> Event {
        Event {
            actions: Vec::new(),
            actor,
            ai_provider,
            compliance: None,
            event_id: Uuid::now_v7(),
            event_type,
            exchange_id: None,
            request: None,
            response: None,
            timestamp,
            violation_type: None,
        }
    }

    /// A control event: something done to Sallyport or by it, with no provider involved.
    pub fn control(timestamp: Timestamp, actor: Actor, action: Action) -> Event {
        let mut event = Event::new(EventType::ActionExecuted, timestamp, actor, AiProvider::none());
        event.actions.push(action);
        event
    }
}

/// Always six digits of a second and `Z`, so that text order is time order.
fn timestamp<S: Serializer>(timestamp: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{timestamp:.6}"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventType {
    PromptSent,
    CompletionReceived,
    ActionExecuted,
    Error,
    PolicyViolation,
}

impl EventType {
    pub const ALL: [EventType; 5] = [
        EventType::PromptSent,
        EventType::CompletionReceived,
        EventType::ActionExecuted,
        EventType::Error,
        EventType::PolicyViolation,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            EventType::PromptSent => "prompt_sent",
            EventType::CompletionReceived => "completion_received",
            EventType::ActionExecuted => "action_executed",
            EventType::Error => "error",
            EventType::PolicyViolation => "policy_violation",
        }
    }

    pub fn parse(word: &str) -> Option<EventType> {
        EventType::ALL.into_iter().find(|t| t.as_str() == word)
    }
}

/// Who: the person, the agent, the account and where it came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AiProvider {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl AiProvider {
    /// For control events, which concern no provider.
    pub fn none() -> AiProvider {
        AiProvider { name: Some("none".into()), ..AiProvider::default() }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains_code: Option<bool>,
    /// SHA-256 of the decoded body as it was sent, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_length: Option<u64>,
    /// Rule names, one for each redaction; never a value.
    #[serde(default)]
    pub redactions_applied: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_length: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_used: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    pub action_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_review: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compliance {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_verified: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_residency: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_policy: Option<String>,
}

/// The action types that the trail itself records.
pub mod action_types {
    /// The trail did not continue from where its head says it was.
    pub const DISCONTINUITY: &str = "audit_discontinuity";
    /// Events were refused or held up because the trail could not be written.
    pub const GAP: &str = "audit_gap";
    /// Old rows were removed by retention.
    pub const PURGE: &str = "audit_purge";
}
