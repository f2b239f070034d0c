//! How a command ends: the four exit codes, and failures that say what happened and what to do.

use std::fmt;
use std::process::ExitCode;

use crate::text::printable_lines;

/// The exit codes every command shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Ok,
    /// A finding, a negative answer, or something that could not be done.
    Negative,
    Usage,
    EngineNotReachable,
    /// The code of a command that `exec` ran, or why it did not run.
    Command(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Ok => 0,
            Exit::Negative => 1,
            Exit::Usage => 2,
            Exit::EngineNotReachable => 3,
            Exit::Command(code) => code,
        })
    }
}

/// What a command returns.
pub(crate) type Outcome = Result<Exit, Failure>;

/// Why a command could not give its answer; printed as `error: …` and `hint: …`.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    exit: Exit,
    /// The reader of our output went away (`| head`): nothing to say.
    quiet: bool,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), hint: None, exit: Exit::Negative, quiet: false }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, ..Failure::new(message) }
    }

    pub(crate) fn not_reachable(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::EngineNotReachable, ..Failure::new(message) }
    }

    /// A failure with its causes in one sentence: `what: cause: its cause`.
    pub(crate) fn caused(what: impl Into<String>, cause: &dyn std::error::Error) -> Failure {
        let mut message = what.into();
        let mut next = Some(cause);
        while let Some(error) = next {
            message.push_str(": ");
            message.push_str(&error.to_string());
            next = error.source();
        }
        Failure::new(message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        let hint = hint.into();
        self.hint = (!hint.is_empty()).then_some(hint);
        self
    }

    /// The same, blamed on what the command line named.
    pub(crate) fn into_usage(self) -> Failure {
        Failure { exit: Exit::Usage, ..self }
    }

    /// The same, with the exit code that shells give to a command that did not run.
    pub(crate) fn code(self, code: u8) -> Failure {
        Failure { exit: Exit::Command(code), ..self }
    }

    /// The sentence alone, for a list of findings.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of files and answers of servers are in it.
        write!(f, "error: {}", printable_lines(&self.message))?;
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {}", printable_lines(hint))?;
        }
        Ok(())
    }
}

/// Errors of writing our own output; every other `io::Error` is given its context first.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        let quiet = error.kind() == std::io::ErrorKind::BrokenPipe;
        Failure { quiet, ..Failure::caused("could not write the output", &error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_all_its_causes_once() {
        let cause = std::io::Error::other("disk on fire");
        let failure = Failure::caused("could not read x", &cause).hint("put it out");
        assert_eq!(failure.to_string(), "error: could not read x: disk on fire\nhint: put it out");
        assert_eq!(failure.exit(), Exit::Negative);
    }

    #[test]
    fn a_failure_commands_no_terminal() {
        let failure = Failure::new("could not scan a\u{1b}[31mb").hint("one\ntwo\u{9b}J");
        assert_eq!(failure.to_string(), "error: could not scan a\u{fffd}[31mb\nhint: one\ntwo\u{fffd}J");
    }

    #[test]
    fn an_empty_hint_is_no_hint() {
        assert_eq!(Failure::usage("x").hint("").to_string(), "error: x");
    }

    #[test]
    fn a_closed_pipe_is_quiet() {
        assert!(Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe)).is_quiet());
        assert!(!Failure::from(std::io::Error::other("full")).is_quiet());
    }
}
