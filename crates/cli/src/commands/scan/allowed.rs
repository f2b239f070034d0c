//! What a person allowed with `sallyport allow`, as the running engine says: its entries are sealed, and values are
//! known by fingerprints that only it can make.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sallyport_ipc::types::{AllowEntry, AllowQuestion, AllowState};
use sallyport_platform::Paths;
use sallyport_policy::allowlist::AllowedPath;
use sallyport_policy::{Finding, RuleId};

use crate::commands::status::plural;
use crate::engine;
use crate::exit::Failure;
use crate::output::note;

#[derive(Default)]
pub(super) struct Allowed {
    entries: Vec<AllowEntry>,
    files: Vec<(AllowedPath, Option<RuleId>)>,
    /// Where values are asked for, if any is allowed, and what was answered.
    values: Option<(Paths, Mutex<HashMap<String, bool>>)>,
    /// Findings that were left out.
    left_out: AtomicUsize,
}

impl Allowed {
    /// Nothing where nothing was ever allowed.
    pub(super) fn of_engine() -> Result<Allowed, Failure> {
        let paths = engine::paths()?;
        if !paths.allowlist_file().exists() {
            return Ok(Allowed::default());
        }
        match engine::call(&paths, async |client| client.allowed().await) {
            Ok(entries) => Ok(Allowed::of(entries, paths)),
            Err(failure) => {
                note(format!("note: the allowlist is not honoured: {}", failure.message()));
                Ok(Allowed::default())
            }
        }
    }

    fn of(entries: Vec<AllowEntry>, paths: Paths) -> Allowed {
        let entries: Vec<_> =
            entries.into_iter().filter(|entry| entry.state == AllowState::InForce).collect();
        let home = paths.user_home().display().to_string();
        let files = entries.iter().filter_map(|entry| {
            let path = AllowedPath::parse(entry.path.as_deref()?, Some(&home)).ok()?;
            Some((path, entry.rule.as_deref().map(RuleId::new)))
        });
        let files = files.collect();
        let by_value = entries.iter().any(|entry| entry.fingerprint.is_some());
        let values = by_value.then(|| (paths, Mutex::default()));
        Allowed { entries, files, values, left_out: AtomicUsize::new(0) }
    }

    /// Rules that are allowed wherever they speak.
    pub(super) fn rules(&self) -> HashSet<RuleId> {
        let rules = self.entries.iter().filter(|entry| entry.path.is_none());
        rules.filter_map(|entry| entry.rule.as_deref().map(RuleId::new)).collect()
    }

    /// What was left out so far, in words; none where nothing was.
    pub(super) fn told(&self) -> Option<String> {
        let mut parts = Vec::new();
        match self.left_out.load(Ordering::Relaxed) {
            0 => {}
            findings => parts.push(plural(findings as u64, "finding")),
        }
        let mut rules: Vec<_> = self.rules().into_iter().map(|rule| rule.as_str().to_owned()).collect();
        rules.sort();
        if !rules.is_empty() {
            parts.push(format!("all of {}", rules.join(", ")));
        }
        (!parts.is_empty()).then(|| parts.join(" and "))
    }

    /// The findings that are not allowed.
    pub(super) fn without(
        &self,
        mut findings: Vec<Finding>,
        text: &str,
        file: Option<&Path>,
    ) -> Vec<Finding> {
        let all = findings.len();
        if let Some(file) = file.filter(|_| !self.files.is_empty() && !findings.is_empty()) {
            let whole = whole(file);
            let here: Vec<_> = self.files.iter().filter(|(path, _)| path.holds(&whole)).collect();
            findings.retain(|finding| {
                here.iter().all(|(_, rule)| rule.as_ref().is_some_and(|rule| *rule != finding.rule))
            });
        }
        let value = |finding: &Finding| text.get(finding.span.clone()).unwrap_or_default().to_owned();
        let values: Vec<String> = findings.iter().map(value).collect();
        let allowed = self.allowed_values(&values);
        let mut allowed = allowed.into_iter();
        findings.retain(|_| !allowed.next().unwrap_or(false));
        self.left_out.fetch_add(all - findings.len(), Ordering::Relaxed);
        findings
    }

    fn allowed_values(&self, values: &[String]) -> Vec<bool> {
        let Some((paths, answers)) = &self.values else { return Vec::new() };
        let mut answers = answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut unknown: Vec<String> =
            values.iter().filter(|value| !answers.contains_key(*value)).cloned().collect();
        unknown.sort_unstable();
        unknown.dedup();
        // A few at a time, since a request to the engine is small.
        for some in unknown.chunks(32) {
            let question = AllowQuestion { values: some.to_vec() };
            let answer = engine::call(paths, async |client| client.allow_check(&question).await);
            let allowed = answer.map(|answer| answer.allowed).unwrap_or_default();
            let allowed = allowed.into_iter().chain(std::iter::repeat(false));
            answers.extend(question.values.into_iter().zip(allowed));
        }
        values.iter().map(|value| answers.get(value).copied().unwrap_or(false)).collect()
    }
}

/// Absolute, without `.` and `..`, with `/` between its parts.
fn whole(file: &Path) -> String {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let mut whole = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                whole.pop();
            }
            part => whole.push(part),
        }
    }
    whole.to_string_lossy().replace('\\', "/")
}
