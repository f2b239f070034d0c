//! What stands before an engine does: its address, its health, its files. It answers the control socket while keys or
//! trail can't be opened yet.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use parking_lot::Mutex;
use sallyport_platform::Paths;
use sallyport_policy::DocumentError;
use sallyport_policy::documents::Problem;
use sallyport_policy::settings::Origin;

use crate::assessments::{self, Seals};
use crate::engine::Identity;
use crate::health::{Condition, Health};
use crate::policy::{self, Policy};

/// So many mistakes of one file are told in one breath.
const TOLD: usize = 5;

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
        let mut files: BTreeMap<&str, Vec<&DocumentError>> = BTreeMap::new();
        for problem in &loaded.problems {
            files.entry(&problem.file).or_default().push(problem);
        }
        for (file, problems) in &files {
            let condition =
                if *file == config { Condition::ConfigMalformed } else { Condition::PolicyMalformed };
            let said: Vec<String> = problems.iter().take(TOLD).map(ToString::to_string).collect();
            let more = problems.len().saturating_sub(TOLD);
            let more = if more > 0 { format!(" And {more} more.") } else { String::new() };
            let sentence = format!("{}.{more} The last good settings are in force.", said.join("; "));
            let fix = problems
                .iter()
                .find_map(|problem| problem.hint.clone())
                .unwrap_or_else(|| "Correct that place, then run `sallyport policy check`.".into());
            self.health.raise(condition, file, sentence, fix);
        }
        if !files.contains_key(config.as_str()) {
            self.health.clear(Condition::ConfigMalformed, &config);
        }
        let files: Vec<String> = files.into_keys().map(str::to_owned).collect();
        self.health.retain(Condition::PolicyMalformed, &files);
        let mut nowhere = Vec::new();
        for problem in &loaded.policy.snapshot.unknown_names {
            let Problem { file, line, column, message, hint, .. } = problem;
            let place = format!("{file}:{line}:{column}");
            let fix = format!("Correct the name there ({}).", hint.as_deref().unwrap_or("or describe it"));
            self.health.raise(Condition::PolicyName, &place, format!("{place}: {message}."), fix);
            nowhere.push(place);
        }
        self.health.retain(Condition::PolicyName, &nowhere);
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
