//! Sessions of agents: who runs under which service account.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Asks for a service account for the calling process and all that it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields, default)]
pub struct AgentSessionRequest {
    /// A class of agents, such as `coding-assistant`.
    pub class: String,
}

/// A session that lasts as long as its process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct AgentSession {
    /// The service account; no other session has it.
    pub account: String,
    pub class: String,
    /// The permission tier that policy gave this class when the session began.
    pub tier: Option<String>,
    pub pid: u32,
    pub since: Timestamp,
}

/// A session as its owner gets it, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct IssuedSession {
    pub session: AgentSession,
    /// The password of the proxy credential; the account is its user name.
    pub token: String,
    /// What policy makes of the class, where that may surprise: no document is about it, say.
    #[serde(default)]
    pub remark: Option<String>,
}

/// Never shows the token.
impl std::fmt::Debug for IssuedSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedSession").field("session", &self.session).finish_non_exhaustive()
    }
}
