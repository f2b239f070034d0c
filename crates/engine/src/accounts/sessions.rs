//! The sessions of `exec --agent`: each belongs to one process and ends with it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parking_lot::Mutex;
use sallyport_ipc::types::{AgentSession, IssuedSession};
use sallyport_platform::process::{Lifeline, Process};

use super::ServiceAccount;
use super::credential::{Credential, Digest, PREFIX, digest};

const MAX_CLASS: usize = 64;

/// More agents at once than this is a mistake; each holds a file descriptor.
const MAX_SESSIONS: usize = 256;

struct Session {
    shown: AgentSession,
    digest: Digest,
    process: Lifeline,
}

impl Session {
    fn account(&self) -> ServiceAccount {
        ServiceAccount { name: self.shown.account.clone(), class: self.shown.class.clone(), session: true }
    }
}

/// Why a session could not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSession {
    #[error("a class of agents is a word of letters, digits, `-`, `_` and `.`")]
    Class,
    #[error("{MAX_SESSIONS} agents run already")]
    TooMany,
    #[error("the calling process can't be watched, so its session would never end")]
    Process(#[source] sallyport_platform::Error),
    #[error("no randomness for a token")]
    Random,
}

/// By account. Few, and asked once for each exchange.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<BTreeMap<String, Session>>);

impl Sessions {
    /// Begins a session for a running process.
    pub(crate) fn begin(
        &self,
        class: &str,
        tier: Option<&str>,
        pid: u32,
    ) -> Result<IssuedSession, NoSession> {
        let sound = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if class.is_empty() || class.len() > MAX_CLASS || !class.chars().all(sound) {
            return Err(NoSession::Class);
        }
        let process = Lifeline::of(pid).map_err(NoSession::Process)?;
        let mut random = [0_u8; 38];
        getrandom::fill(&mut random).map_err(|_| NoSession::Random)?;
        let (tag, token) = random.split_at(6);
        let token = data_encoding::HEXLOWER.encode(token);
        let shown = AgentSession {
            account: format!("{PREFIX}{class}-{}", data_encoding::HEXLOWER.encode(tag)),
            class: class.to_owned(),
            tier: tier.map(str::to_owned),
            pid,
            since: Timestamp::now(),
        };
        let mut sessions = self.0.lock();
        // A process that begins another session, as `exec -- sallyport exec -- …` does, has left its first one.
        sessions.retain(|_, session| session.shown.pid != pid);
        if sessions.len() >= MAX_SESSIONS {
            return Err(NoSession::TooMany);
        }
        let session = Session { shown: shown.clone(), digest: digest(&token), process };
        sessions.insert(shown.account.clone(), session);
        Ok(IssuedSession { session: shown, token, remark: None })
    }

    /// The account that a credential belongs to, if its session runs.
    pub(crate) fn of_credential(&self, credential: &Credential) -> Option<ServiceAccount> {
        let sessions = self.0.lock();
        let session = sessions.get(&credential.account)?;
        // Digests compare in constant time.
        (session.digest == credential.digest && !session.process.is_over()).then(|| session.account())
    }

    /// The account of the nearest ancestor that has a session; a process is its own nearest.
    pub(crate) fn of_process(&self, process: &Process) -> Option<ServiceAccount> {
        let sessions = self.0.lock();
        if sessions.is_empty() {
            return None;
        }
        let line = std::iter::once(process.pid).chain(process.parents.iter().map(|parent| parent.pid));
        line.filter_map(|pid| {
            sessions.values().find(|session| session.shown.pid == pid && !session.process.is_over())
        })
        .map(Session::account)
        .next()
    }

    pub(crate) fn running(&self) -> Vec<AgentSession> {
        let sessions = self.0.lock();
        let running = sessions.values().filter(|session| !session.process.is_over());
        running.map(|session| session.shown.clone()).collect()
    }

    /// Forgets the sessions whose process has ended, and tells which.
    pub(crate) fn reap(&self) -> Vec<AgentSession> {
        let mut ended = Vec::new();
        self.0.lock().retain(|_, session| {
            let over = session.process.is_over();
            if over {
                ended.push(session.shown.clone());
            }
            !over
        });
        ended
    }
}
