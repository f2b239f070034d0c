//! What an agent may do: one action held against the tier of its class.
//!
//! Pure: an action, where the agent stands and who it is go in, a judgement comes out. Files are not looked at: whoever
//! calls resolves links and passes both paths. A denial counts over everything that is allowed.

mod commands;
mod compiled;
mod domains;
mod expansion;
mod links;
mod naming;
mod openings;
mod paths;
mod shell;

use crate::elevation::{Scope, Target};
use crate::ordered::ordered;
use crate::shell::ShellLine;

pub use compiled::Permissions;
pub use links::{Mention, mentioned};
pub use paths::{Places, normalise};

/// Something that a tool is about to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Read(FilePath),
    Write(FilePath),
    /// Reach a host.
    Fetch {
        host: String,
    },
    Shell(ShellLine),
    /// Nothing that permissions speak of: plans, questions, notes.
    Nothing,
    /// A tool that is not known, or a known one whose arguments can't be read.
    Other {
        tool: String,
    },
}

/// A path as the tool was given it, and where it leads when links are followed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilePath {
    pub written: String,
    pub resolved: Option<String>,
}

impl FilePath {
    pub fn new(written: impl Into<String>) -> FilePath {
        FilePath { written: written.into(), resolved: None }
    }
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who<'a> {
    pub class: &'a str,
    /// None: the first tier of the class, which is the least.
    pub tier: Option<&'a str>,
}

ordered! {
    /// Whether tools that are not in the table may be used.
    pub enum UnknownTools {
        /// They pass and are recorded.
        #[default]
        Allow,
        Deny,
    }
}

/// What permissions say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    Allowed {
        /// What only a grant allows.
        granted: Vec<Wanted>,
    },
    Denied(Box<Denial>),
}

impl Judgement {
    pub fn is_allowed(&self) -> bool {
        matches!(self, Judgement::Allowed { .. })
    }
}

/// A no, with its reason and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    pub rule: DenialRule,
    /// What was to be done, in few words and without arguments.
    pub target: String,
    /// The document that says so: `agents.yaml:12 (coding-assistant-policy, tier read-only)`.
    pub place: Option<String>,
    pub sentence: String,
    pub way_out: String,
    /// What a grant would have to reach.
    pub wanted: Option<Wanted>,
}

/// Closed: the trail and the faces match on these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DenialRule {
    UnknownClass,
    UnknownTier,
    PathNotAllowed,
    PathExcluded,
    /// Nothing of what stands there may be seen by an AI: `aiAccess: denied`.
    AiAccessDenied,
    DomainNotAllowed,
    DomainExcluded,
    CommandNotAllowed,
    CommandDenied,
    CommandUnclear,
    UnknownTool,
    /// Words in the call that policy stops in `output`.
    DangerousOutput,
}

impl DenialRule {
    pub fn as_str(self) -> &'static str {
        match self {
            DenialRule::UnknownClass => "unknown_class",
            DenialRule::UnknownTier => "unknown_tier",
            DenialRule::PathNotAllowed => "path_not_allowed",
            DenialRule::PathExcluded => "path_excluded",
            DenialRule::AiAccessDenied => "ai_access_denied",
            DenialRule::DomainNotAllowed => "domain_not_allowed",
            DenialRule::DomainExcluded => "domain_excluded",
            DenialRule::CommandNotAllowed => "command_not_allowed",
            DenialRule::CommandDenied => "command_denied",
            DenialRule::CommandUnclear => "command_unclear",
            DenialRule::UnknownTool => "unknown_tool",
            DenialRule::DangerousOutput => "dangerous_output",
        }
    }
}

/// Something that elevation could allow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wanted {
    File(String),
    Command(Vec<String>),
    Domain(String),
    Secret(String),
}

impl Wanted {
    pub fn target(&self) -> Target<'_> {
        match self {
            Wanted::File(path) => Target::File(path),
            Wanted::Command(words) => Target::Command(words),
            Wanted::Domain(host) => Target::Domain(host),
            Wanted::Secret(name) => Target::Secret(name),
        }
    }

    pub fn scope(&self) -> Scope {
        self.target().scope()
    }
}

/// Says whether a grant in force reaches a target.
pub type Granted<'g> = &'g dyn Fn(&Target<'_>) -> bool;

#[cfg(test)]
mod tests;
