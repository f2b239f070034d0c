//! Secrets in the environment of intercepted tools: fingerprints of them, before the first request of a tool is looked at.
//!
//! Reading happens on locked pages that are wiped at once; what is kept are fingerprints, like those of any source.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use parking_lot::Mutex;
use sallyport_detect::{SecretEntry, SecretSet};
use sallyport_platform::process::{self, Process};

use crate::engine::Engine;
use crate::loader::JUDGE;

/// Processes that are remembered; beyond that all are looked at anew.
const MAX_SEEN: usize = 4_096;

/// A process that has the same number as an earlier one was started at another time.
type Run = (u32, Option<SystemTime>);

/// The processes whose environment is known.
#[derive(Default)]
pub(crate) struct Environments {
    seen: Mutex<HashSet<Run>>,
    /// Requests that a process makes while its first is waiting wait with it.
    learning: tokio::sync::Mutex<()>,
}

impl Environments {
    /// Learns what a process holds, once.
    pub(crate) async fn learn(&self, engine: &Arc<Engine>, process: &Process) {
        let run = (process.pid, process.started);
        if self.seen.lock().contains(&run) {
            return;
        }
        let _turn = self.learning.lock().await;
        if self.seen.lock().contains(&run) {
            return;
        }
        let (engine, pid) = (engine.clone(), process.pid);
        let learnt = tokio::task::spawn_blocking(move || remember(&engine, pid)).await;
        if let Err(error) = learnt {
            tracing::error!(%error, "the environment of a tool could not be read");
        }
        let mut seen = self.seen.lock();
        if seen.len() >= MAX_SEEN {
            seen.clear();
        }
        seen.insert(run);
    }
}

fn remember(engine: &Engine, pid: u32) {
    let Some(block) = process::environment(pid) else { return };
    let secrets = sallyport_secrets::of_environment(&block, JUDGE);
    let entries = secrets.iter().map(|secret| SecretEntry {
        name: &secret.name,
        value: secret.value.as_bytes(),
        weak: secret.weak,
    });
    let set = SecretSet::build(engine.sources.key(), "environment", entries);
    engine.remember(set);
}

impl Engine {
    /// Recognises these values from now on, whatever a source says.
    pub(crate) fn remember(&self, set: SecretSet) {
        if self.sources.remember(set, Timestamp::now()) {
            self.rebuild_scanner();
            if let Err(error) = self.sources.persist() {
                tracing::warn!(%error, "fingerprints could not be written down");
            }
        }
    }
}
