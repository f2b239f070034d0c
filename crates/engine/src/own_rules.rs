//! The detection rules in force: those that ship, and a person's own in `rules/` beside `config.yaml`.
//!
//! Own rules only ever add. A file that can't be used leaves the last good ones in force, never none of those that ship.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use sallyport_detect::{RuleError, RuleSet};
use sallyport_policy::settings::OwnEntries;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::health::{Condition, Health};

/// More or longer files are no rules of a person's own.
const MAX_FILES: usize = 64;
const MAX_FILE: u64 = 1 << 20;

pub(crate) struct OwnRules {
    folder: PathBuf,
    /// The last good files, so that a restart does not forget them.
    good: PathBuf,
    held: Mutex<Held>,
    /// Whether an exchange has needed them yet.
    needed: AtomicBool,
}

struct Held {
    rules: Arc<RuleSet>,
    /// Of what was read last, and of the look before this one.
    taken: Stamp,
    seen: Stamp,
}

/// Which files there are, how long, how old; none where policy forbids them.
type Stamp = Option<Vec<FileStamp>>;
type FileStamp = (PathBuf, u64, Option<SystemTime>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Text {
    file: String,
    text: String,
}

impl OwnRules {
    pub(crate) fn open(
        folder: PathBuf,
        good: PathBuf,
        policy: OwnEntries,
        health: &Health,
    ) -> Result<OwnRules, RuleError> {
        let taken = stamp(&folder, policy);
        let (rules, problem) = load(&folder, &good, taken.as_ref())?;
        say(health, problem);
        let held = Held { rules: Arc::new(rules), seen: taken.clone(), taken };
        Ok(OwnRules { folder, good, held: Mutex::new(held), needed: AtomicBool::new(false) })
    }

    pub(crate) fn rules(&self) -> Arc<RuleSet> {
        self.held.lock().rules.clone()
    }

    /// Whether the files have changed and have not since the last look, so that none is read half.
    fn is_due(&self, policy: OwnEntries) -> bool {
        let now = stamp(&self.folder, policy);
        let mut held = self.held.lock();
        let due = now != held.taken && now == held.seen;
        held.seen = now;
        due
    }

    /// Reads the files anew. None where they can't be used: what was in force stays.
    fn read(&self, policy: OwnEntries, health: &Health) -> Option<Arc<RuleSet>> {
        let taken = stamp(&self.folder, policy);
        let loaded = load(&self.folder, &self.good, taken.as_ref());
        self.held.lock().taken = taken;
        match loaded {
            Ok((rules, None)) => {
                say(health, None);
                if self.needed.load(Ordering::Relaxed) {
                    rules.warm();
                }
                let rules = Arc::new(rules);
                self.held.lock().rules = rules.clone();
                Some(rules)
            }
            Ok((_, problem)) => {
                say(health, problem);
                None
            }
            Err(error) => {
                say(health, Some(error.to_string()));
                None
            }
        }
    }
}

impl Engine {
    /// With the first exchange: builds in the background what its answer would else wait for. An engine that nobody talks
    /// to yet does without.
    pub(crate) fn warm_rules(&self) {
        if self.rules.needed.load(Ordering::Relaxed) || self.rules.needed.swap(true, Ordering::Relaxed) {
            return;
        }
        let rules = self.rules.rules();
        tokio::task::spawn_blocking(move || {
            rules.warm();
            // Building takes more than what is built weighs.
            sallyport_platform::memory::give_back_freed();
        });
    }

    /// Takes a change of the rule files.
    pub(crate) async fn refresh_rules(self: &Arc<Engine>) {
        let policy = self.policy().snapshot.detection.own_rules.value;
        if !self.rules.is_due(policy) {
            return;
        }
        let engine = self.clone();
        let read = tokio::task::spawn_blocking(move || engine.rules.read(policy, &engine.health));
        if let Ok(Some(rules)) = read.await {
            self.rebuild_scanner();
            tracing::info!(rules = rules.len(), "other detection rules are in force");
        }
    }
}

/// The rules that ship with those of the folder, or with the last good ones and what is wrong with the folder's.
fn load(
    folder: &Path,
    good: &Path,
    stamp: Option<&Vec<FileStamp>>,
) -> Result<(RuleSet, Option<String>), RuleError> {
    let Some(stamp) = stamp else { return Ok((RuleSet::builtin()?, None)) };
    let files: Vec<&PathBuf> = stamp.iter().map(|(path, ..)| path).collect();
    let problem = match texts(&files) {
        Ok(texts) => match compiled(&texts) {
            Ok(rules) => {
                remember(good, &texts);
                return Ok((rules, None));
            }
            Err(error) => error.to_string(),
        },
        Err(problem) => problem,
    };
    let last = recall(good);
    let rules = compiled(&last).or_else(|_| RuleSet::builtin())?;
    let kept = match last.len() {
        0 => "None of your own rules is in force".to_owned(),
        1 => "Your rules as they last could be used, of one file, stay in force".to_owned(),
        many => format!("Your rules as they last could be used, of {many} files, stay in force"),
    };
    let folder = folder.display();
    Ok((rules, Some(format!("{problem}. {kept} ({folder})."))))
}

fn compiled(texts: &[Text]) -> Result<RuleSet, RuleError> {
    let files: Vec<(&str, &str)> =
        texts.iter().map(|text| (text.file.as_str(), text.text.as_str())).collect();
    RuleSet::builtin_with(&files)
}

fn say(health: &Health, problem: Option<String>) {
    let fix =
        "Mend that line; it is read again within two seconds. `sallyport rules check FILE` tries a file.";
    match problem {
        Some(sentence) => health.raise(Condition::RulesMalformed, "rules", sentence, fix.into()),
        None => health.clear(Condition::RulesMalformed, "rules"),
    }
}

fn stamp(folder: &Path, policy: OwnEntries) -> Stamp {
    if policy == OwnEntries::Forbid {
        return None;
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let rules =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml"));
    let mut files: Vec<_> = rules
        .take(MAX_FILES + 1)
        .map(|path| {
            let metadata = std::fs::metadata(&path).ok();
            let length = metadata.as_ref().map_or(0, std::fs::Metadata::len);
            (path, length, metadata.and_then(|metadata| metadata.modified().ok()))
        })
        .collect();
    files.sort();
    Some(files)
}

fn texts(files: &[&PathBuf]) -> Result<Vec<Text>, String> {
    if files.len() > MAX_FILES {
        return Err(format!("there are more than {MAX_FILES} rule files"));
    }
    let text = |path: &&PathBuf| {
        let file = path.display().to_string();
        match sallyport_platform::fs::read_bounded(path, MAX_FILE) {
            Ok(Some(bytes)) => match std::str::from_utf8(&bytes) {
                Ok(text) => Ok(Text { file, text: text.to_owned() }),
                Err(_) => Err(format!("{file} is no text")),
            },
            Ok(None) => Err(format!("{file} is longer than {MAX_FILE} bytes, or no file")),
            Err(error) => Err(format!("{file} could not be read: {error}")),
        }
    };
    files.iter().map(text).collect()
}

fn remember(good: &Path, texts: &[Text]) {
    if recall(good) == texts {
        return;
    }
    let written = serde_json::to_vec(texts).map_err(|error| error.to_string()).and_then(|bytes| {
        sallyport_platform::fs::write_private_atomic(good, &bytes, 0o600).map_err(|error| error.to_string())
    });
    if let Err(error) = written {
        tracing::warn!(%error, "the good rules could not be written down");
    }
}

fn recall(good: &Path) -> Vec<Text> {
    std::fs::read(good).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "named: |\n  acme_key | Acme key | acme | [0-9a-f]{32}\n  + ACME_KEY={{7f3a9c0be1d24685a7f3c9e0b1d24f68}}\n  + acme token 0be1d24685a7f3c97f3a9ce0b1d24f68\n  - ACME_KEY=7f3a9c\n  - acme is a company\n";

    #[test]
    fn own_rules_join_those_that_ship_and_the_last_good_ones_stay() {
        let home = tempfile::tempdir().unwrap();
        let health = Health::default();
        let (folder, good) = (home.path().join("rules"), home.path().join("rules.last-good.json"));
        let open = || OwnRules::open(folder.clone(), good.clone(), OwnEntries::Allow, &health).unwrap();
        let raised = || health.holds_for(Condition::RulesMalformed, "rules");
        let own = open();
        let shipped = own.rules().len();
        assert!(!own.is_due(OwnEntries::Allow));
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("acme.yaml");
        std::fs::write(&file, ROW).unwrap();
        assert!(!own.is_due(OwnEntries::Allow), "it may be half written");
        assert!(own.is_due(OwnEntries::Allow));
        assert_eq!(own.read(OwnEntries::Allow, &health).unwrap().len(), shipped + 1);
        assert!(!raised() && !own.is_due(OwnEntries::Allow));

        std::fs::write(&file, ROW.replace("{32}", "{32")).unwrap();
        assert!(own.read(OwnEntries::Allow, &health).is_none() && raised());
        assert_eq!(own.rules().len(), shipped + 1);
        let sentence = health.items().iter().map(|item| item.sentence.clone()).collect::<String>();
        assert!(sentence.contains("acme.yaml, line 2, column 3: "), "{sentence}");
        let again = open();
        assert_eq!(
            (again.rules().len(), raised()),
            (shipped + 1, true),
            "the last good ones outlive a restart"
        );

        assert!(!own.is_due(OwnEntries::Forbid) && own.is_due(OwnEntries::Forbid));
        assert_eq!(own.read(OwnEntries::Forbid, &health).unwrap().len(), shipped);
        assert!(!raised());
    }
}
