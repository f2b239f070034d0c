//! What goes over the control socket, as JSON. Fields are only ever added; faces match on codes alone.

mod agents;
mod allow;
mod assessment;
mod handover;
mod quota;

use std::path::PathBuf;

use jiff::Timestamp;
use sallyport_policy::Level;
use sallyport_policy::elevation::{self, Grant, Question, Scope};
use sallyport_policy::settings::{DocumentSummary, SettingRow};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

pub use agents::{AgentSession, AgentSessionRequest, IssuedSession};
pub use allow::{AllowAnswer, AllowDraft, AllowEntry, AllowQuestion, AllowRemoval, AllowState};
pub use assessment::{
    AssessmentAnswer, AssessmentApproval, AssessmentCondition, AssessmentDraft, AssessmentQuestion,
    AssessmentView,
};
pub use handover::{Handover, HandoverBroken, HandoverRequest, Variable};
pub use quota::{ModelUse, QuotaGauge, QuotaHistory, QuotaView, SubjectQuota, Usage, UsagePeriod};

/// Is this person protected right now?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// AI traffic is inspected.
    Protected,
    /// Switched off until a moment that is known; everything is tunnelled.
    Paused,
    /// Switched off; everything is tunnelled.
    Off,
    /// Inspected, but a health item needs a person.
    Attention,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    /// Where the proxy listens, `address:port`.
    pub listen: String,
    pub state: State,
    /// Since when the state holds.
    pub since: Timestamp,
    pub paused_until: Option<Timestamp>,
    pub owner_uid: u32,
    pub counters: Counters,
    pub health: Vec<HealthItem>,
    pub secrets: SecretTotals,
    pub audit: AuditHead,
    pub policy: PolicyRef,
    /// Agents that were started with `exec --agent` and still run.
    #[serde(default)]
    pub agents: Vec<AgentSession>,
}

/// Since the engine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
#[serde(default)]
pub struct Counters {
    pub exchanges: u64,
    /// Values taken out, of requests and answers.
    pub redactions: u64,
    pub blocked: u64,
    /// Connections passed on unread, because their host is none that is inspected.
    pub tunnelled: u64,
    /// Bodies on AI hosts that could not be read.
    pub opaque: u64,
    /// Clients that would not accept our certificate.
    pub pinned: u64,
    /// Stretches of requests that read like an attack on the assistant.
    pub injections: u64,
    /// Connections and exchanges to AI hosts that policy has not approved.
    pub shadow_ai: u64,
    /// Tool calls that permissions denied.
    pub denied_calls: u64,
    /// Tool calls that permissions would deny, were they enforced.
    pub would_deny: u64,
    /// Answers that are kept open while a person decides.
    pub held: u64,
    /// Exchanges that are under way.
    pub in_flight: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum HealthSeverity {
    Info,
    Warning,
    Critical,
}

/// A condition that a person should know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct HealthItem {
    /// Closed set; see the engine's table of conditions.
    pub code: String,
    pub severity: HealthSeverity,
    pub title: String,
    pub sentence: String,
    pub fix: String,
    pub since: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
pub struct SecretTotals {
    pub sources: u64,
    /// Sources that could not be read the last time.
    pub failed_sources: u64,
    pub secrets: u64,
    /// Values that are common words and match only beside their name.
    pub weak: u64,
    pub loaded_at: Option<Timestamp>,
}

/// The newest row of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
pub struct AuditHead {
    pub seq: u64,
    pub hash: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
pub struct PolicyRef {
    /// Changes whenever anything that policy is made of changes.
    pub version: String,
    pub profile: String,
    /// Protection can be neither switched off nor paused.
    #[serde(default)]
    pub forbids_off: bool,
    /// Whoever switches off or pauses says why.
    #[serde(default)]
    pub asks_reason: bool,
}

/// One place that secret values come from. Never holds a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SourceStatus {
    pub id: String,
    pub kind: String,
    /// Without credentials.
    pub location: String,
    pub state: SourceState,
    pub names: Vec<String>,
    pub weak_names: Vec<String>,
    /// Values too short to be told from other text.
    pub skipped: u64,
    pub loaded_at: Option<Timestamp>,
    pub error: Option<SourceFailure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum SourceState {
    Loaded,
    /// Could not be read the last time; what was read before still counts.
    Stale,
    /// Could not be read, and never was.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SourceFailure {
    pub code: String,
    pub message: String,
    pub hint: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields, default)]
pub struct OffRequest {
    /// Unset: until switched on again.
    pub for_seconds: Option<u64>,
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct CaView {
    pub root_pem: String,
    pub fingerprint_sha256: String,
    pub not_after: Timestamp,
    /// The only names that a certificate of this root is good for.
    pub constraints: Vec<String>,
    pub key_store: KeyStoreKind,
    /// System roots and ours, for variables that replace the system's roots.
    pub bundle: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum KeyStoreKind {
    Keychain,
    /// A file of mode 0600: weaker.
    File,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct PolicyView {
    pub version: String,
    pub settings: Vec<SettingRow>,
    pub documents: Vec<DocumentSummary>,
    /// Files that could not be used; the last good ones are in force instead.
    pub problems: Vec<String>,
}

/// Which rows of the trail; unset fields do not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields, default)]
pub struct AuditFilter {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub event_type: Option<String>,
    pub provider: Option<String>,
    pub model: Option<String>,
    pub user: Option<String>,
    pub agent: Option<String>,
    pub exchange_id: Option<String>,
    pub classification: Option<Level>,
    /// Rows in which this rule took something out.
    pub rule: Option<String>,
    /// Words, each of which stands in one of the row's values, in either case of ASCII letters. Ids and hashes are
    /// found by their beginning, from eight digits on; numbers and times are not searched.
    pub text: Option<String>,
    /// Rows in which something was taken out, or nothing was.
    pub redacted: Option<bool>,
    /// Rows after this one.
    pub after_seq: Option<u64>,
    /// Rows before this one: the place to go on from when the newest come first.
    pub before_seq: Option<u64>,
    /// Newest first instead of oldest first.
    pub newest_first: bool,
    /// At most so many rows; the engine caps it.
    pub limit: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct AuditPage {
    /// Events of the audit schema.
    #[ts(type = "AuditEvent[]")]
    pub rows: Vec<serde_json::Value>,
    /// There are more rows than fitted.
    pub more: bool,
}

/// Which row's content to open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct ContentRequest {
    pub seq: u64,
}

/// What was said in an exchange, after redaction. `Debug` shows nothing of it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct KeptContent {
    /// None where nothing is kept, or no longer.
    pub text: Option<String>,
}

impl std::fmt::Debug for KeptContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptContent").field("kept", &self.text.is_some()).finish()
    }
}

/// Which stretch of the trail to count, in how many equal parts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields, default)]
pub struct ActivityRequest {
    pub since: Timestamp,
    pub until: Timestamp,
    /// 1 to 400.
    pub parts: u32,
}

/// What the trail counts over a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Activity {
    pub total: ActivityCounts,
    /// One for each part, the oldest first; parts without rows are zero.
    pub parts: Vec<ActivityPart>,
    /// The busiest first, at most ten of each.
    pub tools: Vec<ActivityShare>,
    pub providers: Vec<ActivityShare>,
    /// The rules that took something out of most rows.
    pub rules: Vec<ActivityShare>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
pub struct ActivityCounts {
    pub prompts: u64,
    /// Rows in which something was taken out.
    pub redacted: u64,
    pub refused: u64,
    pub errors: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ActivityPart {
    pub since: Timestamp,
    pub counts: ActivityCounts,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ActivityShare {
    pub name: String,
    pub count: u64,
}

/// Whether the trail is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TrailProof {
    pub whole: bool,
    /// Rows that were checked.
    pub rows: u64,
    /// The first thing that is wrong, in a sentence.
    pub fault: Option<String>,
    pub took_ms: u64,
}

/// One detection rule, as people should know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RuleView {
    pub id: String,
    pub description: String,
    pub severity: String,
    pub kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SelfTestReport {
    pub passed: bool,
    pub checks: Vec<SelfTestCheck>,
    pub took_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SelfTestCheck {
    pub name: String,
    pub passed: bool,
    /// What was tried and what was seen.
    pub sentence: String,
}

/// One open connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Flow {
    pub id: u64,
    pub host: String,
    pub port: u16,
    pub handling: Handling,
    pub pid: Option<u32>,
    pub executable: Option<String>,
    /// The service account, once it is known.
    #[serde(default)]
    pub account: Option<String>,
    pub since: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum Handling {
    Intercepted,
    Tunnelled,
    /// Addressed to the proxy itself, such as a base-URL client.
    Local,
}

/// What happened just now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    State {
        state: State,
        since: Timestamp,
        paused_until: Option<Timestamp>,
    },
    /// A durable row of the trail.
    Audit {
        #[ts(type = "AuditEvent")]
        row: serde_json::Value,
    },
    Health {
        items: Vec<HealthItem>,
    },
    Secrets {
        totals: SecretTotals,
    },
    Policy {
        version: String,
    },
    /// A quota is used up to 80 or to 100 per cent.
    Quota {
        subject: String,
        percent: u8,
        gauge: QuotaGauge,
    },
    /// An agent does the same again and again.
    Loop {
        account: String,
        /// How often, one after the other.
        times: u32,
        /// Its requests are refused, as policy says.
        refused: bool,
    },
    /// Words that want to be instructions, in what a tool sent. Those that follow soon are told together.
    Injection {
        /// As the trail's `agent_id` names it.
        tool: String,
        outcome: InjectionOutcome,
        /// Stretches that no earlier request held.
        count: u32,
        rules: Vec<String>,
        /// Where the first of them stands.
        place: String,
    },
    /// A request for a permission waits for an answer, or got one.
    Approval {
        request: Box<ElevationView>,
    },
    /// A client is kept waiting for the answer to a request, or is no longer.
    Held {
        request: u64,
        until: Option<Timestamp>,
    },
    /// This listener was too slow; so many events were dropped.
    Missed {
        events: u64,
    },
}

/// What became of words that want to be instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum InjectionOutcome {
    /// They passed, recorded.
    Warned,
    /// A notice took their place.
    Neutralised,
    /// The request was refused.
    Blocked,
}

/// A request for a permission, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ElevationView {
    /// What was asked; by itself it is what an approver elsewhere signs.
    #[serde(flatten)]
    pub question: Question,
    pub state: elevation::State,
    pub grant: Option<Grant>,
    pub uses: u64,
    pub decided_at: Option<Timestamp>,
    /// A client is kept waiting for the answer until then.
    #[serde(default)]
    pub held_until: Option<Timestamp>,
}

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields, default)]
pub struct ElevationDraft {
    pub scope: Option<Scope>,
    pub resources: Vec<String>,
    /// Unset: the account of flows that belong to no session.
    pub account: Option<String>,
    pub justification: String,
    /// Unset: half an hour, or less where policy says so.
    pub for_seconds: Option<u64>,
}

/// Which request is answered, and for how long it is granted at most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields, default)]
pub struct ElevationAnswer {
    pub id: u64,
    pub for_seconds: Option<u64>,
}

/// A named approver's signed word, as `sallyport elevate sign` wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields, default)]
pub struct ElevationToken {
    pub token: String,
}

/// Nothing to say beyond that it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
pub struct Done {
    pub done: bool,
}
