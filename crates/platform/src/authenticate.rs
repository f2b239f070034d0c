//! Asking the operating system whether the person is really there, before something gets weaker: polkit on Linux.
//! Touch ID and Windows Hello belong behind the same façade and are not built yet.
//!
//! It decides nothing: it says what the system answered. `Unavailable` is said only where the system itself has nothing
//! to ask with; whatever a process of the user can bring about (no agent, no connection, no answer) is a refusal.

use std::fmt;
use std::time::Duration;

/// The polkit actions, to be put into [`ACTIONS_FOLDER`].
pub const ACTIONS: &str = include_str!("../../../assets/polkit/org.sallyport.policy");
pub const ACTIONS_FILE: &str = "org.sallyport.policy";
pub const ACTIONS_FOLDER: &str = "/usr/share/polkit-1/actions";

/// What is about to be weakened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// An agent gets a permission for a while.
    Approve,
    /// Protection is paused, switched off or stopped.
    Pause,
    /// Something is checked less from now on.
    Allow,
}

impl Action {
    pub const ALL: [Action; 3] = [Action::Approve, Action::Pause, Action::Allow];

    /// As the operating system knows it.
    pub fn id(self) -> &'static str {
        match self {
            Action::Approve => "org.sallyport.approve",
            Action::Pause => "org.sallyport.pause",
            Action::Allow => "org.sallyport.allow",
        }
    }
}

/// The process on whose behalf the person is asked. Its start time tells it from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    pub(crate) started: u64,
}

impl Subject {
    /// None where the process is gone, or the system does not tell.
    pub fn of(pid: u32, uid: u32) -> Option<Subject> {
        crate::imp::process_started(pid).map(|started| Subject { pid, uid, started })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Authenticated,
    /// Asked, and not confirmed; or it could not be asked although it should be possible. One phrase for people.
    Refused(String),
    Unavailable(Missing),
}

/// What this system lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Missing {
    SystemBus,
    Polkit,
    Actions,
    /// Nothing is built for this operating system yet.
    Implementation,
}

impl Missing {
    pub fn hint(self) -> &'static str {
        match self {
            Missing::SystemBus | Missing::Polkit => {
                "Install polkit (Debian and Fedora: `polkitd` or `polkit`)."
            }
            Missing::Actions => {
                "Install the actions: `sallyport elevate actions | sudo tee /usr/share/polkit-1/actions/org.sallyport.policy`."
            }
            Missing::Implementation => {
                "Use named approvers (policy `elevation.approvers`), whose signatures are checked."
            }
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Missing::SystemBus => "there is no D-Bus system bus",
            Missing::Polkit => "polkit is not installed",
            Missing::Actions => "polkit does not know Sallyport's actions",
            Missing::Implementation => "Sallyport can't ask for Touch ID or Windows Hello in this version",
        })
    }
}

/// Asks, and waits for the person up to `patience`. Blocks.
pub fn authenticate(action: Action, subject: &Subject, patience: Duration) -> Answer {
    crate::imp::authenticate(action, subject, patience)
}

/// Whether there is something to ask with, without asking anybody. Blocks for a moment.
pub fn available() -> Result<(), Missing> {
    crate::imp::authentication_available()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_in_the_file_and_none_is_kept() {
        for action in Action::ALL {
            assert_eq!(ACTIONS.matches(&format!("<action id=\"{}\">", action.id())).count(), 1);
        }
        assert_eq!(ACTIONS.matches("<action id=").count(), Action::ALL.len());
        let defaults: Vec<_> = ACTIONS.lines().filter(|line| line.contains("<allow_")).collect();
        assert_eq!(defaults.len(), 3 * Action::ALL.len());
        assert!(defaults.iter().all(|line| line.contains(">auth_self<")), "an answer counts once");
    }

    #[test]
    fn what_is_missing_is_said_with_a_way_out() {
        for missing in [Missing::SystemBus, Missing::Polkit, Missing::Actions, Missing::Implementation] {
            assert!(!missing.to_string().is_empty() && missing.hint().ends_with('.'));
        }
        assert!(Missing::Actions.hint().contains(&format!("{ACTIONS_FOLDER}/{ACTIONS_FILE}")));
    }
}
