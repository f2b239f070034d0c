//! Service accounts: under which name each flow runs.
//!
//! Told, in order of strength, by the proxy credential of an `exec --agent` session, by descent from the process of
//! one, by the configuration. An identification for policy, quotas and the trail; among processes of one user it proves
//! nothing (see the threat model).

mod credential;
mod sessions;

use std::sync::Arc;
use std::time::Duration;

use sallyport_platform::process::Process;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::record::ControlAction;

pub(crate) use credential::Credential;
pub(crate) use sessions::{NoSession, Sessions};

/// Whose behalf a flow acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceAccount {
    /// Unique to one session; without one the class.
    pub(crate) name: String,
    /// The class of agents whose permissions count.
    pub(crate) class: String,
    /// Belongs to a session of `exec --agent`.
    pub(crate) session: bool,
}

impl ServiceAccount {
    /// The account of flows that belong to no session.
    pub(crate) fn configured(class: &str) -> ServiceAccount {
        ServiceAccount { name: class.to_owned(), class: class.to_owned(), session: false }
    }
}

/// Why a credential counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejected {
    #[error(
        "Sallyport stopped this request: its proxy credential names {account}, and no such session runs here. \
         It ended, or another engine issued it. Start the tool anew with `sallyport exec --agent CLASS -- CMD`."
    )]
    NoSuchSession { account: String },
    #[error(
        "Sallyport stopped this request: it carries the proxy credential of {account}, but comes from {own}. Service \
         accounts are not shared; start each agent with its own `sallyport exec --agent CLASS -- CMD`."
    )]
    Foreign { account: String, own: String },
}

impl Sessions {
    /// The account of a flow. `otherwise` is what the configuration says.
    pub(crate) fn account(
        &self,
        credential: Option<&Credential>,
        process: Option<&Process>,
        otherwise: &ServiceAccount,
    ) -> Result<ServiceAccount, Rejected> {
        let by_descent = process.and_then(|process| self.of_process(process));
        let Some(credential) = credential else {
            return Ok(by_descent.unwrap_or_else(|| otherwise.clone()));
        };
        let account = credential.account.clone();
        match (self.of_credential(credential), by_descent) {
            (None, _) => Err(Rejected::NoSuchSession { account }),
            (Some(named), Some(own)) if named.name != own.name => {
                Err(Rejected::Foreign { account, own: own.name })
            }
            (Some(named), _) => Ok(named),
        }
    }
}

/// How soon an ended session is noticed; a credential of it counts for nothing at once.
const SWEEP: Duration = Duration::from_secs(1);

/// Records the ends of sessions.
pub(crate) async fn watch_sessions(engine: Arc<Engine>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
        for ended in engine.sessions.reap() {
            if let Err(error) = engine.record_control(ControlAction::AgentSessionEnded, &ended.account).await
            {
                tracing::warn!(%error, account = %ended.account, "the end of a session could not be recorded");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use sallyport_platform::process::Ancestor;

    use super::*;

    struct Agent(Child);

    impl Drop for Agent {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn agent() -> Agent {
        Agent(Command::new("sleep").arg("60").spawn().unwrap())
    }

    fn below(pids: &[u32]) -> Process {
        Process {
            pid: u32::MAX,
            exe: None,
            cwd: None,
            name: "node".into(),
            parents: pids.iter().map(|pid| Ancestor { pid: *pid, name: "sh".into() }).collect(),
            started: None,
        }
    }

    fn configured() -> ServiceAccount {
        ServiceAccount::configured("coding-assistant")
    }

    #[test]
    fn without_a_session_the_configuration_says() {
        let sessions = Sessions::default();
        let account = sessions.account(None, Some(&below(&[1])), &configured()).unwrap();
        assert_eq!((account.name.as_str(), account.session), ("coding-assistant", false));
    }

    #[test]
    fn a_credential_and_a_descent_name_the_session() {
        let (sessions, agent) = (Sessions::default(), agent());
        let issued = sessions.begin("reviewer", None, agent.0.id()).unwrap();
        let account = &issued.session.account;
        assert!(account.starts_with("agent-reviewer-"), "{account}");
        let credential = Credential::new(account, &issued.token);
        for (credential, process) in [
            (Some(&credential), None),
            (Some(&credential), Some(below(&[7, agent.0.id(), 1]))),
            (None, Some(below(&[7, agent.0.id(), 1]))),
        ] {
            let found = sessions.account(credential, process.as_ref(), &configured()).unwrap();
            assert_eq!((&found.name, found.class.as_str(), found.session), (account, "reviewer", true));
        }
    }

    #[test]
    fn two_agents_never_share_an_account() {
        let (sessions, one, two) = (Sessions::default(), agent(), agent());
        let first = sessions.begin("reviewer", None, one.0.id()).unwrap();
        let second = sessions.begin("reviewer", None, two.0.id()).unwrap();
        assert_ne!(first.session.account, second.session.account);
        assert_ne!(first.token, second.token);
        let stolen = Credential::new(&first.session.account, &first.token);
        let refused = sessions.account(Some(&stolen), Some(&below(&[two.0.id()])), &configured());
        assert!(matches!(refused, Err(Rejected::Foreign { .. })), "{refused:?}");
        // The nearest session counts: an agent may start another.
        let nested = below(&[two.0.id(), one.0.id()]);
        assert_eq!(
            sessions.account(None, Some(&nested), &configured()).unwrap().name,
            second.session.account
        );
    }

    #[test]
    fn what_was_not_issued_or_has_ended_is_refused() {
        let (sessions, agent) = (Sessions::default(), agent());
        let issued = sessions.begin("reviewer", None, agent.0.id()).unwrap();
        let account = issued.session.account.clone();
        for (name, token) in [
            (account.as_str(), "guess"),
            (account.as_str(), ""),
            ("agent-reviewer-000000", issued.token.as_str()),
        ] {
            let refused = sessions.account(Some(&Credential::new(name, token)), None, &configured());
            assert!(matches!(refused, Err(Rejected::NoSuchSession { .. })), "{name} {refused:?}");
        }
        let pid = agent.0.id();
        drop(agent);
        let ended = Credential::new(&account, &issued.token);
        assert!(sessions.account(Some(&ended), None, &configured()).is_err());
        assert!(!sessions.account(None, Some(&below(&[pid])), &configured()).unwrap().session);
        assert_eq!(sessions.reap().iter().map(|s| &s.account).collect::<Vec<_>>(), [&account]);
        assert!(sessions.running().is_empty() && sessions.reap().is_empty());
    }

    #[test]
    fn a_session_needs_a_class_and_a_running_process() {
        let sessions = Sessions::default();
        let own = std::process::id();
        for bad in ["", "a b", "x/y", "Ä", &"x".repeat(65)] {
            assert!(matches!(sessions.begin(bad, None, own), Err(NoSession::Class)), "{bad}");
        }
        let agent = agent();
        let pid = agent.0.id();
        drop(agent);
        assert!(matches!(sessions.begin("x", None, pid), Err(NoSession::Process(_))));
    }
}
