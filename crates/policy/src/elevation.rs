//! Elevation: a permission that an agent lacks, asked for, granted for a while, and gone again.
//!
//! Pure: requests, grants and moments in, answers out. Who approves, where grants are kept and what time it is are the
//! engine's to know.

mod grant;
mod hold;
mod resource;
mod terms;
mod token;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

pub use grant::{Draft, Grant, Grantor, Refused, Request, State, Way, covers, judge};
pub use hold::{Hold, Patience, PatienceError};
pub use resource::{BadResource, Resource, Target};
pub use terms::{Approver, ElevationRules, MAX_APPROVAL_TIMEOUT, MAX_DURATION, Terms};
pub use token::{ApproverKey, BadToken, Question, Statement, Token};

/// What may be elevated. Closed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema, TS,
)]
#[ts(rename = "ElevationScope")]
pub enum Scope {
    #[serde(rename = "filesystem:write")]
    FilesystemWrite,
    #[serde(rename = "shell:execute")]
    ShellExecute,
    #[serde(rename = "network:external")]
    NetworkExternal,
    #[serde(rename = "secrets:read")]
    SecretsRead,
}

impl Scope {
    pub const ALL: [Scope; 4] =
        [Scope::FilesystemWrite, Scope::ShellExecute, Scope::NetworkExternal, Scope::SecretsRead];

    pub fn as_str(self) -> &'static str {
        match self {
            Scope::FilesystemWrite => "filesystem:write",
            Scope::ShellExecute => "shell:execute",
            Scope::NetworkExternal => "network:external",
            Scope::SecretsRead => "secrets:read",
        }
    }

    /// Whether no policy may grant it by itself.
    pub fn needs_human(self) -> bool {
        matches!(self, Scope::ShellExecute | Scope::SecretsRead)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of filesystem:write, shell:execute, network:external, secrets:read")]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(word: &str) -> Result<Scope, UnknownScope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == word).ok_or(UnknownScope)
    }
}

#[cfg(test)]
mod tests;
