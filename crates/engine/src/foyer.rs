//! What stands before an engine does: its address, its health, its files. It answers the control socket while keys or
//! trail can't be opened yet.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use parking_lot::Mutex;
use sallyport_platform::Paths;
use sallyport_policy::settings::Origin;

use crate::assessments::{self, Seals};
use crate::engine::Identity;
use crate::health::{Condition, Health};
use crate::policy::{self, Policy};

pub(crate) struct Foyer {
    pub(crate) paths: Paths,
    pub(crate) identity: Identity,
    pub(crate) started: Timestamp,
    pub(crate) listen: SocketAddr,
    pub(crate) health: Arc<Health>,
    /// Policy files that could not be used.
    pub(crate) problems: Mutex<Vec<String>>,
    /// Tells approvals that a person gave from others; empty until keys are open, and none counts until then.
    pub(crate) seals: OnceLock<Seals>,
}

impl Foyer {
    /// Reads the policy and brings the health items in line with what was found.
    pub(crate) fn load_policy(&self) -> Policy {
        let seals = self.seals.get();
        let loaded = policy::load(&self.paths, &|record| seals.is_some_and(|seals| seals.holds(record)));
        if seals.is_some() {
            assessments::note_discounted(&self.health, &loaded.discounted);
        }
        let config = self.paths.config_file().display().to_string();
        let mut subjects = Vec::new();
        let mut config_is_bad = false;
        for problem in &loaded.problems {
            let condition = if problem.file == config {
                config_is_bad = true;
                Condition::ConfigMalformed
            } else {
                subjects.push(problem.file.clone());
                Condition::PolicyMalformed
            };
            let fix = problem
                .hint
                .clone()
                .unwrap_or_else(|| "Correct that place, then run `sallyport policy check`.".into());
            let sentence = format!("{problem}. The last good settings are in force.");
            self.health.raise(condition, &problem.file, sentence, fix);
        }
        if !config_is_bad {
            self.health.clear(Condition::ConfigMalformed, &config);
        }
        self.health.retain(Condition::PolicyMalformed, &subjects);
        *self.problems.lock() = loaded.problems.iter().map(ToString::to_string).collect();
        loaded.policy
    }

    /// From now on approvals are told apart, so what was read before may say more.
    pub(crate) fn knowing(&self, seals: Seals, before: Policy) -> Policy {
        let _ = self.seals.set(seals);
        match before.snapshot.tools.iter().any(|tool| tool.origin == Origin::User) {
            true => self.load_policy(),
            false => before,
        }
    }
}
