//! What a person said is no finding: entries of the allowlist, each sealed, in force until its time.
//!
//! Known values are never allowed by rule or path, and by fingerprint where policy says so alone.

mod book;
mod desk;
mod files;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use sallyport_detect::{AllowList, Fingerprinter, HeldKey};
use sallyport_ipc::types::AllowState;
use sallyport_policy::RuleId;
use sallyport_policy::settings::{DetectionSettings, KnownValues, OwnEntries};

pub(crate) use book::Entry;
pub(crate) use files::{AllowedFiles, Passages};

use crate::engine::Engine;
use crate::health::Condition;

/// The allowlist of one engine.
pub(crate) struct Allow {
    file: book::File,
    home: String,
    fingerprinter: Fingerprinter,
    held: Mutex<Held>,
    files: Mutex<Arc<AllowedFiles>>,
    /// One change after the other, since each is in the trail before it counts.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    entries: Vec<Entry>,
    /// Of the file when it was read.
    stamp: Option<book::Stamp>,
    trouble: Option<String>,
    /// What is in force, by number: whatever changes it makes another scanner.
    in_force: Vec<u64>,
    known_values: KnownValues,
}

impl Allow {
    pub(crate) fn new(file: PathBuf, home: String, key: HeldKey<32>, fingerprinter: Fingerprinter) -> Allow {
        Allow {
            file: book::File::new(file, key),
            home,
            fingerprinter,
            held: Mutex::default(),
            files: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn state(&self, entry: &Entry, settings: &DetectionSettings, now: Timestamp) -> AllowState {
        if !self.file.sealed(entry) {
            AllowState::Unsealed
        } else if entry.expires_at.is_some_and(|end| end <= now) {
            AllowState::Expired
        } else if settings.allowlist.value == OwnEntries::Forbid {
            AllowState::Forbidden
        } else {
            AllowState::InForce
        }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.held.lock().entries.clone()
    }

    /// Reads the file if it changed. True if something else is in force than before.
    fn refresh(&self, settings: &DetectionSettings, now: Timestamp) -> bool {
        let mut held = self.held.lock();
        let stamp = self.file.stamp();
        if stamp != held.stamp {
            held.stamp = stamp;
            match self.file.read() {
                Ok(entries) => (held.entries, held.trouble) = (entries, None),
                // The last good ones stay: what is written down wrongly says nothing.
                Err(why) => held.trouble = Some(why),
            }
        }
        let in_force: Vec<u64> = held
            .entries
            .iter()
            .filter(|entry| self.state(entry, settings, now) == AllowState::InForce)
            .map(|entry| entry.id)
            .collect();
        let changed = in_force != held.in_force || held.known_values != settings.known_values.value;
        (held.in_force, held.known_values) = (in_force, settings.known_values.value);
        changed
    }

    fn live(&self) -> Vec<Entry> {
        let held = self.held.lock();
        held.entries.iter().filter(|entry| held.in_force.contains(&entry.id)).cloned().collect()
    }

    /// What the scanner leaves alone: values and rules. Files are asked for apart, since a text does not tell its file.
    pub(crate) fn list(&self, settings: &DetectionSettings) -> AllowList {
        let live = self.live();
        *self.files.lock() = Arc::new(AllowedFiles::of(&live, &self.home));
        AllowList {
            fingerprinter: self.fingerprinter.clone(),
            entries: live.iter().filter_map(|entry| entry.fingerprint.as_deref()?.parse().ok()).collect(),
            rules: live
                .iter()
                .filter(|entry| entry.path.is_none())
                .filter_map(|entry| entry.rule.as_deref().map(RuleId::new))
                .collect(),
            known_too: settings.known_values.value == KnownValues::Allow,
        }
    }

    pub(crate) fn files(&self) -> Arc<AllowedFiles> {
        self.files.lock().clone()
    }
}

impl Engine {
    /// Looks at the file and the clock; puts what changed in force, and says what can't be.
    pub(crate) fn refresh_allowlist(&self) {
        let policy = self.policy();
        let changed = self.allow.refresh(&policy.snapshot.detection, self.elevation.now());
        if changed {
            self.rebuild_scanner();
        }
        let (trouble, entries) = {
            let held = self.allow.held.lock();
            (held.trouble.clone(), held.entries.clone())
        };
        let unsealed = entries.iter().filter(|entry| !self.allow.file.sealed(entry)).count();
        let place = self.allow.file.path().display();
        let sentence = match (trouble, unsealed) {
            (Some(why), _) => {
                format!("{place} can't be used, so what it held before stays in force: {why}.")
            }
            (None, 0) => return self.health.clear(Condition::AllowlistUnsealed, "allowlist"),
            (None, many) => {
                format!("{many} entries of {place} were not written by Sallyport and are not in force.")
            }
        };
        let fix = "Find out who changed the file; add entries with `sallyport allow add`, which asks who is at the desk."
            .to_owned();
        self.health.raise(Condition::AllowlistUnsealed, "allowlist", sentence, fix);
    }
}
