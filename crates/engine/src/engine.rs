//! Everything one running engine holds, and the few things its parts ask of it.
//!
//! Owns tasks, time and state; what an exchange does with them is in `exchange`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use jiff::Timestamp;
use sallyport_audit::{Action, Actor, Entry, Trail};
use sallyport_certs::CertAuthority;
use sallyport_detect::Scanner;
use sallyport_platform::Paths;
use sallyport_platform::process::Processes;
use sallyport_policy::settings::Snapshot;
use tokio::sync::{Notify, broadcast, watch};

use crate::accounts::Sessions;
use crate::counters::Counters;
use crate::flow::Flows;
use crate::health::Health;
use crate::inspect::Found;
use crate::own_rules::OwnRules;
use crate::policy::Policy;
use crate::record::{self, ControlAction, Parties, ReceivedFacts, SentFacts};
use crate::respond::Refusal;
use crate::scan_memory::ScanMemory;
use crate::sources::Sources;
use crate::switch::Switch;
use crate::threads::Threads;

/// How long an exchange waits for the first load of the secret sources.
const FIRST_LOAD: Duration = Duration::from_secs(20);

/// Whose engine this is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) user: String,
}

/// One running engine. Shared by the proxy's handler, the control socket and the background tasks.
pub(crate) struct Engine {
    pub(crate) paths: Paths,
    pub(crate) identity: Identity,
    pub(crate) listen: SocketAddr,
    pub(crate) policy: ArcSwap<Policy>,
    /// Some settings count only when the engine starts.
    pub(crate) started_with: Snapshot,
    pub(crate) scanner: ArcSwap<Scanner>,
    pub(crate) rules: OwnRules,
    pub(crate) sources: Sources,
    /// Turns true when every source was read, or tried, once.
    pub(crate) first_load: watch::Sender<bool>,
    /// Asks for a reload of the sources before its time.
    pub(crate) reload: Notify,
    /// Counts finished loads.
    pub(crate) loads: watch::Sender<u64>,
    /// A load is under way.
    pub(crate) loading: AtomicBool,
    pub(crate) threads: Threads,
    /// Turns at looking at large bodies.
    pub(crate) looks: crate::exchange::Looks,
    /// What blocks of requests were found to hold.
    pub(crate) memory: ScanMemory<Found>,
    /// Words of answers that hold nothing.
    pub(crate) words: Arc<crate::words::Words>,
    /// Blocks that were looked at for injected instructions.
    pub(crate) conduct: crate::conduct::Memory,
    pub(crate) injections: crate::injections::Injections,
    /// None while the trail can't be opened: nothing goes upstream then.
    pub(crate) trail: ArcSwapOption<Trail>,
    pub(crate) authority: Arc<CertAuthority>,
    pub(crate) keys: crate::keys::OpenKeys,
    pub(crate) key_store: sallyport_ipc::types::KeyStoreKind,
    pub(crate) health: Arc<Health>,
    pub(crate) flows: Flows,
    pub(crate) counters: Counters,
    pub(crate) shadow_told: crate::shadow::Told,
    pub(crate) switch: Switch,
    pub(crate) one_question: crate::presence::OneQuestion,
    pub(crate) elevation: Arc<crate::elevation::Elevation>,
    pub(crate) allow: crate::allow::Allow,
    pub(crate) assessing: crate::assessments::Turn,
    /// Answers that wait for a person.
    pub(crate) holds: crate::hold::Holds,
    pub(crate) processes: Arc<Processes>,
    pub(crate) sessions: Sessions,
    pub(crate) environments: crate::environments::Environments,
    pub(crate) leases: crate::broker::Leases,
    pub(crate) quotas: crate::quotas::Quotas,
    pub(crate) events: broadcast::Sender<sallyport_ipc::types::Event>,
    pub(crate) self_test: crate::self_test::Stage,
}

impl Engine {
    /// The policy in force now. An exchange keeps the one it started with.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    pub(crate) fn scanner(&self) -> Arc<Scanner> {
        self.scanner.load_full()
    }

    pub(crate) fn intercepts(&self, host: &str, port: u16) -> bool {
        self.policy.load().snapshot.providers.intercepted(host, port).is_some()
    }

    pub(crate) fn pac(&self, listen: SocketAddr) -> String {
        let policy = self.policy();
        sallyport_policy::providers::pac(listen, &policy.snapshot.providers, policy.snapshot.fail_mode.value)
    }

    /// Builds the scanner anew over what the sources hold now.
    pub(crate) fn rebuild_scanner(&self) {
        let allowed = self.allow.list(&self.policy().snapshot.detection);
        let scanner = Scanner::new(self.rules.rules(), Arc::new(self.sources.index())).with_allowed(allowed);
        self.scanner.store(Arc::new(scanner));
    }

    /// Waits until the secret sources were read once. With `failMode: closed` a source that was named in the
    /// configuration and could never be read stops the exchange.
    pub(crate) async fn await_sources(&self, policy: &Policy) -> Result<(), Refusal> {
        let mut first = self.first_load.subscribe();
        if !*first.borrow() {
            // Fingerprints of an earlier run may be there already; still, a new value may not.
            let _ = tokio::time::timeout(FIRST_LOAD, first.wait_for(|done| *done)).await;
        }
        if policy.is_open_on_failure() {
            return Ok(());
        }
        let awaited = self.sources.awaited();
        if !awaited.is_empty() {
            return Err(Refusal::sources_awaited(&awaited));
        }
        if !self.sources.is_complete() {
            return Err(Refusal::sources_awaited(&["the configured sources".to_owned()]));
        }
        Ok(())
    }

    /// Records a request and waits until its row is as safe as the durability setting asks.
    pub(crate) async fn record_prompt(
        &self,
        parties: &Parties,
        sent: &SentFacts,
        noted: Option<Action>,
        said: Option<Bytes>,
    ) -> Result<(), Unrecorded> {
        let mut event = record::prompt_sent(parties, sent, Timestamp::now());
        event.actions.extend(noted);
        self.record(Entry::with_content(event, said)).await
    }

    pub(crate) async fn record_violation(
        &self,
        parties: &Parties,
        sent: &SentFacts,
        violation: &str,
    ) -> Result<(), Unrecorded> {
        self.record(record::violation(parties, sent, violation, Timestamp::now())).await
    }

    /// Answers have arrived already: their rows are kept through failures and need no waiting.
    pub(crate) fn record_completion(&self, parties: &Parties, received: &ReceivedFacts, said: Option<Bytes>) {
        let event = record::completion_received(parties, received, Timestamp::now());
        self.record_later(Entry::with_content(event, said));
    }

    /// What became of the tool calls of an answer.
    pub(crate) fn record_calls(&self, parties: &Parties, actions: Vec<sallyport_audit::Action>) {
        self.counters.judged(&actions);
        self.record_later(record::calls_judged(parties, actions, Timestamp::now()));
    }

    pub(crate) fn record_failure(&self, parties: &Parties, code: &str) {
        self.record_later(record::failure(parties, code, Timestamp::now()));
    }

    pub(crate) fn record_other_tenant(&self, parties: &Parties, header: &str) {
        self.record_later(record::other_tenant(parties, header, Timestamp::now()));
    }

    /// Records what was done to Sallyport itself.
    pub(crate) async fn record_control(
        &self,
        action: ControlAction,
        outcome: &str,
    ) -> Result<(), Unrecorded> {
        self.record_control_on(action, "none", "sallyport", outcome, false).await
    }

    /// Records what was done to something of Sallyport's, and on whose behalf. `review`: a person should look at it.
    pub(crate) async fn record_control_on(
        &self,
        action: ControlAction,
        account: &str,
        target: &str,
        outcome: &str,
        review: bool,
    ) -> Result<(), Unrecorded> {
        let actor = Actor {
            user_id: Some(self.identity.user.clone()),
            agent_id: Some("sallyport".into()),
            service_account: Some(account.to_owned()),
            ip_address: Some("local".into()),
            user_agent: Some(concat!("sallyport/", env!("CARGO_PKG_VERSION")).into()),
        };
        self.record(record::control(actor, action, target, outcome, review, Timestamp::now())).await
    }

    async fn record(&self, entry: impl Into<Entry>) -> Result<(), Unrecorded> {
        let Some(trail) = self.trail.load_full() else { return Err(Unrecorded::NotOpen) };
        trail.append(entry).await.map(drop).map_err(|error| Unrecorded::Refused(error.to_string()))
    }

    fn record_later(&self, entry: impl Into<Entry>) {
        if let Some(trail) = self.trail.load_full() {
            drop(trail.append_relaxed(entry));
        }
    }
}

/// An event that the trail did not take.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unrecorded {
    #[error("the audit trail is not open")]
    NotOpen,
    #[error("{0}")]
    Refused(String),
}
