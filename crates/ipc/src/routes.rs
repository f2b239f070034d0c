//! The one table of routes: server, client and documentation read it, tests run over all of it.

use std::time::Duration;

use serde::Serialize;

/// What a caller may do with a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Looks, and changes nothing.
    Read,
    /// Changes something that makes nothing weaker.
    Operate,
    /// Weakens protection, or ends it.
    Admin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Method {
    #[serde(rename = "GET")]
    Get,
    #[serde(rename = "POST")]
    Post,
}

impl Method {
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// One route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Route {
    #[serde(skip)]
    pub call: Call,
    pub method: Method,
    pub path: &'static str,
    pub access: Access,
    pub summary: &'static str,
    /// How long an answer may take.
    #[serde(skip)]
    pub patience: Duration,
}

/// Which method of [`crate::Control`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    Status,
    Health,
    Counters,
    Flows,
    On,
    Off,
    Sources,
    SecretsSync,
    SecretsHandover,
    Ca,
    CaRemove,
    Policy,
    PolicyReload,
    AuditQuery,
    AuditActivity,
    AuditContent,
    AuditVerify,
    Rules,
    SelfTest,
    AgentSession,
    Quota,
    QuotaHistory,
    Events,
    Shutdown,
    Elevations,
    ElevationRequest,
    ElevationApprove,
    ElevationRedeem,
    ElevationDeny,
    ElevationRevoke,
    Allowed,
    AllowAdd,
    AllowRemove,
    AllowCheck,
    Assessments,
    AssessmentBegin,
    AssessmentAnswer,
    AssessmentApprove,
}

/// Enough for anything that only looks; a query over a million rows among them.
const QUICK: Duration = Duration::from_secs(15);
/// Vaults have timeouts of their own, one after the other in the worst case.
const SLOW: Duration = Duration::from_secs(120);
/// A person reads a question and types a password first; that wait is the engine's, this is beyond it.
const HUMAN: Duration = Duration::from_secs(150);

const fn get(call: Call, path: &'static str, summary: &'static str) -> Route {
    Route { call, method: Method::Get, path, access: Access::Read, summary, patience: QUICK }
}

const fn get_slow(call: Call, path: &'static str, summary: &'static str) -> Route {
    Route { call, method: Method::Get, path, access: Access::Read, summary, patience: SLOW }
}

const fn post(
    call: Call,
    path: &'static str,
    access: Access,
    patience: Duration,
    summary: &'static str,
) -> Route {
    Route { call, method: Method::Post, path, access, summary, patience }
}

pub const ROUTES: &[Route] = &[
    get(Call::Status, "/v1/status", "state, counters, health and totals at a glance"),
    get(Call::Health, "/v1/health", "conditions that a person should know of"),
    get(Call::Counters, "/v1/counters", "numbers since the engine started"),
    get(Call::Flows, "/v1/flows", "open connections and the processes they belong to"),
    post(Call::On, "/v1/on", Access::Operate, QUICK, "inspect AI traffic again"),
    post(Call::Off, "/v1/off", Access::Admin, HUMAN, "tunnel everything unread, for a time or until `on`"),
    get(Call::Sources, "/v1/secrets", "sources of secrets with names and counts, never values"),
    post(Call::SecretsSync, "/v1/secrets/sync", Access::Operate, SLOW, "read every source of secrets again"),
    // The grant of a human is what authorises.
    post(
        Call::SecretsHandover,
        "/v1/secrets/handover",
        Access::Operate,
        SLOW,
        "the secrets of one class for the calling process, once a human has granted them",
    ),
    get(Call::Ca, "/v1/ca", "the root certificate, its limits and where its key is kept"),
    post(
        Call::CaRemove,
        "/v1/ca/remove",
        Access::Admin,
        HUMAN,
        "delete the certificate and its key, and stop",
    ),
    get(Call::Policy, "/v1/policy", "every setting with its origin and lock"),
    post(
        Call::PolicyReload,
        "/v1/policy/reload",
        Access::Operate,
        QUICK,
        "read configuration and policy again",
    ),
    // A query is a POST because its filter is a body; it changes nothing.
    post(Call::AuditQuery, "/v1/audit/query", Access::Read, QUICK, "rows of the trail"),
    post(Call::AuditActivity, "/v1/audit/activity", Access::Read, QUICK, "what the trail counts over a time"),
    post(
        Call::AuditContent,
        "/v1/audit/content",
        Access::Read,
        QUICK,
        "what was said in the exchange of a row, where policy keeps it",
    ),
    get_slow(Call::AuditVerify, "/v1/audit/verify", "whether the trail is whole, from its first row on"),
    get(Call::Rules, "/v1/rules", "the detection rules in force, with what each looks for"),
    post(
        Call::SelfTest,
        "/v1/self-test",
        Access::Operate,
        SLOW,
        "send a canary through and prove that it never arrives",
    ),
    post(
        Call::AgentSession,
        "/v1/agents/sessions",
        Access::Operate,
        QUICK,
        "give the calling process a service account of its own until it ends",
    ),
    get(Call::Quota, "/v1/quota", "how full each limit is, and what today took"),
    get(Call::QuotaHistory, "/v1/quota/history", "use and estimated cost of the last 30 days"),
    get(Call::Events, "/v1/events", "what happens, as server-sent events"),
    post(Call::Shutdown, "/v1/shutdown", Access::Admin, HUMAN, "finish what is under way and stop"),
    get(Call::Elevations, "/v1/elevation", "requests for permissions and what became of them"),
    post(
        Call::ElevationRequest,
        "/v1/elevation/request",
        Access::Operate,
        QUICK,
        "ask for a permission for a while",
    ),
    post(Call::ElevationApprove, "/v1/elevation/approve", Access::Admin, HUMAN, "grant a request"),
    // The signature in it is what authorises.
    post(
        Call::ElevationRedeem,
        "/v1/elevation/redeem",
        Access::Operate,
        QUICK,
        "grant a request by a named approver's signed token",
    ),
    post(Call::ElevationDeny, "/v1/elevation/deny", Access::Operate, QUICK, "refuse a request"),
    post(
        Call::ElevationRevoke,
        "/v1/elevation/revoke",
        Access::Operate,
        QUICK,
        "end a grant before its time",
    ),
    get(Call::Allowed, "/v1/allow", "what a person said is no finding, with reason and end"),
    post(
        Call::AllowAdd,
        "/v1/allow/add",
        Access::Admin,
        HUMAN,
        "say that a value, a rule or a file is no finding",
    ),
    post(Call::AllowRemove, "/v1/allow/remove", Access::Operate, QUICK, "take an entry off the allowlist"),
    // A POST because values are a body. It tells of allowed values alone, so that nobody can guess at others.
    post(
        Call::AllowCheck,
        "/v1/allow/check",
        Access::Read,
        QUICK,
        "whether values are allowed by fingerprint",
    ),
    get(Call::Assessments, "/v1/assessments", "assessed tools, with answers, open questions and conditions"),
    post(
        Call::AssessmentBegin,
        "/v1/assessments/begin",
        Access::Operate,
        QUICK,
        "begin the assessment of a tool",
    ),
    // An answer ends the approval that stood on the one before.
    post(
        Call::AssessmentAnswer,
        "/v1/assessments/answer",
        Access::Operate,
        QUICK,
        "answer a question about a tool",
    ),
    post(
        Call::AssessmentApprove,
        "/v1/assessments/approve",
        Access::Admin,
        HUMAN,
        "approve a tool whose answers meet every condition",
    ),
];

impl Route {
    /// The row for a call. Every call has one: a test counts them.
    pub(crate) fn of(call: Call) -> Option<&'static Route> {
        ROUTES.iter().find(|route| route.call == call)
    }

    /// `GET /v1/status`, for messages.
    pub(crate) fn label(&self) -> &'static str {
        self.path
    }
}
