//! What the engine knows of the secret sources: fingerprints, names, counts and failures. No values.
//!
//! A source that can't be read keeps what it had. What left a source is recognised for 30 more days,
//! since old values are still in histories. All of it survives a restart in one private file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use sallyport_detect::{IndexKey, SecretIndex, SecretSet};
use serde::{Deserialize, Serialize};

use crate::loader::{Loaded, Name, Outcome};

/// How long a value is still recognised after it left its source.
const RETIREMENT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Sets of such values; the oldest goes first. A tool whose environment changes each time it is started leaves many.
const MAX_RETIRED: usize = 512;

/// Kinds whose first load AI traffic waits for: a person named them in the configuration.
const AWAITED_KINDS: [&str; 2] = ["vault", "file"];

/// One source as a person sees it.
#[derive(Debug, Clone)]
pub(crate) struct SourceState {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) location: String,
    pub(crate) skipped: usize,
    pub(crate) loaded_at: Option<Timestamp>,
    pub(crate) failure: Option<Failure>,
    pub(crate) names: Vec<Name>,
    set: Option<Arc<SecretSet>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl SourceState {
    /// There is no keychain on this machine, and never was one; a locked one is there.
    pub(crate) fn is_absent_keychain(&self) -> bool {
        let failure = self.failure.as_ref().map(|failure| failure.code.as_str());
        matches!(failure, Some("keychain_unavailable" | "keychain_missing")) && self.loaded_at.is_none()
    }
}

/// All sources of this engine.
pub(crate) struct Sources {
    key: IndexKey,
    awaits_keychain: bool,
    file: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_id: BTreeMap<String, SourceState>,
    retired: Vec<Retired>,
    /// A set that belongs to no source: the self-test's canary.
    extra: Option<Arc<SecretSet>>,
    complete: bool,
}

struct Retired {
    until: Timestamp,
    set: Arc<SecretSet>,
}

impl Sources {
    /// Takes up what an earlier run left in `file`. A file that can't be used is ignored: the first load
    /// replaces it.
    pub(crate) fn open(key: IndexKey, file: PathBuf, awaits_keychain: bool) -> Sources {
        let known = std::fs::read(&file)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Stored>(&bytes).ok())
            .map(|stored| stored.revive(&key))
            .unwrap_or_default();
        Sources { key, awaits_keychain, file, known: Mutex::new(known) }
    }

    pub(crate) fn key(&self) -> &IndexKey {
        &self.key
    }

    /// Whether AI traffic must wait for a source, because somebody named it and nothing of it was ever read. A machine
    /// without a keychain has nothing to wait for.
    pub(crate) fn is_awaited(&self, state: &SourceState) -> bool {
        let named = match state.kind.as_str() {
            "keychain" => self.awaits_keychain && !state.is_absent_keychain(),
            kind => AWAITED_KINDS.contains(&kind),
        };
        state.set.is_none() && named
    }

    /// Places of the sources that AI traffic waits for. Asked by every exchange, so nothing else is copied.
    pub(crate) fn awaited(&self) -> Vec<String> {
        let known = self.known.lock();
        known.by_id.values().filter(|state| self.is_awaited(state)).map(|s| s.location.clone()).collect()
    }

    pub(crate) fn states(&self) -> Vec<SourceState> {
        self.known.lock().by_id.values().cloned().collect()
    }

    /// False until every configured source was read, or tried, once in this run.
    pub(crate) fn is_complete(&self) -> bool {
        self.known.lock().complete
    }

    /// Fingerprints that belong to no source, for as long as they are set.
    pub(crate) fn set_extra(&self, set: Option<SecretSet>) {
        self.known.lock().extra = set.map(Arc::new);
    }

    /// Recognises values from now on that no source may have shown yet. False where all of them are known.
    pub(crate) fn remember(&self, set: SecretSet, now: Timestamp) -> bool {
        let mut known = self.known.lock();
        let sets = known.by_id.values().filter_map(|source| source.set.as_ref());
        let sets = sets.chain(known.retired.iter().map(|retired| &retired.set));
        let fresh = sets.fold(set, |fresh, known| fresh.entries_missing_from(known));
        let is_news = !fresh.is_empty();
        known.retire(fresh, now);
        is_news
    }

    /// The index over everything known now.
    pub(crate) fn index(&self) -> SecretIndex {
        let known = self.known.lock();
        let sets: Vec<Arc<SecretSet>> = known
            .by_id
            .values()
            .filter_map(|source| source.set.clone())
            .chain(known.retired.iter().map(|retired| retired.set.clone()))
            .chain(known.extra.iter().cloned())
            .collect();
        SecretIndex::merge(&self.key, &sets).unwrap_or_else(|error| {
            // Every set was checked against this key when it was taken in.
            tracing::error!(%error, "the secret index could not be built");
            SecretIndex::empty()
        })
    }

    /// Takes in what a load found. A failed source keeps its old fingerprints.
    pub(crate) fn absorb(&self, loaded: Vec<Loaded>, now: Timestamp) {
        let mut known = self.known.lock();
        let mut before = std::mem::take(&mut known.by_id);
        for source in loaded {
            let old = before.remove(&source.id);
            let (state, gone) = merge(&self.key, source, old.as_ref(), now);
            if let Some(gone) = gone {
                known.retire(gone, now);
            }
            known.by_id.insert(state.id.clone(), state);
        }
        for set in before.into_values().filter_map(|source| source.set) {
            known.retire((*set).clone(), now);
        }
        known.retired.retain(|retired| retired.until > now);
        known.complete = true;
    }

    /// Writes the fingerprints down. Returns the reason when that fails.
    pub(crate) fn persist(&self) -> Result<(), String> {
        let stored = Stored::of(&self.known.lock());
        let bytes = serde_json::to_vec(&stored).map_err(|error| error.to_string())?;
        sallyport_platform::fs::write_private_atomic(&self.file, &bytes, 0o600)
            .map_err(|error| error.to_string())
    }
}

impl Known {
    fn retire(&mut self, set: SecretSet, now: Timestamp) {
        if !set.is_empty() {
            self.retired.push(Retired { until: now + RETIREMENT, set: Arc::new(set) });
            if self.retired.len() > MAX_RETIRED {
                self.retired.remove(0);
            }
        }
    }
}

fn merge(
    key: &IndexKey,
    source: Loaded,
    old: Option<&SourceState>,
    now: Timestamp,
) -> (SourceState, Option<SecretSet>) {
    let old_set = old.and_then(|state| state.set.clone());
    let mut state = SourceState {
        id: source.id,
        kind: source.kind,
        location: source.location,
        skipped: old.map_or(0, |state| state.skipped),
        loaded_at: old.and_then(|state| state.loaded_at),
        failure: None,
        names: old.map(|state| state.names.clone()).unwrap_or_default(),
        set: old_set.clone(),
    };
    match source.outcome {
        Outcome::Failed { code, message, hint } => {
            state.failure = Some(Failure { code, message, hint });
            (state, None)
        }
        Outcome::Set { fingerprints, names, skipped } => match decode_set(key, &fingerprints) {
            Some(set) => {
                let gone = old_set.map(|old| old.entries_missing_from(&set));
                state.set = Some(set);
                state.names = names;
                state.skipped = skipped;
                state.loaded_at = Some(now);
                (state, gone)
            }
            None => {
                state.failure = Some(Failure {
                    code: "loader_damaged".into(),
                    message: "the loader's answer could not be read".into(),
                    hint: "restart Sallyport; if it stays, reinstall it".into(),
                });
                (state, None)
            }
        },
    }
}

fn decode_set(key: &IndexKey, base64: &str) -> Option<Arc<SecretSet>> {
    let bytes = BASE64.decode(base64.as_bytes()).ok()?;
    let set = SecretSet::from_bytes(&bytes).ok()?;
    set.is_under(key).then(|| Arc::new(set))
}

/// The private file: fingerprints only.
#[derive(Default, Serialize, Deserialize)]
struct Stored {
    version: u32,
    sources: Vec<StoredSource>,
    retired: Vec<StoredRetired>,
}

#[derive(Serialize, Deserialize)]
struct StoredSource {
    id: String,
    kind: String,
    location: String,
    skipped: usize,
    loaded_at: Option<Timestamp>,
    names: Vec<Name>,
    fingerprints: String,
}

#[derive(Serialize, Deserialize)]
struct StoredRetired {
    until: Timestamp,
    fingerprints: String,
}

const STORED_VERSION: u32 = 1;

impl Stored {
    fn of(known: &Known) -> Stored {
        Stored {
            version: STORED_VERSION,
            sources: known
                .by_id
                .values()
                .filter_map(|source| {
                    Some(StoredSource {
                        id: source.id.clone(),
                        kind: source.kind.clone(),
                        location: source.location.clone(),
                        skipped: source.skipped,
                        loaded_at: source.loaded_at,
                        names: source.names.clone(),
                        fingerprints: BASE64.encode(&source.set.as_ref()?.to_bytes()),
                    })
                })
                .collect(),
            retired: known
                .retired
                .iter()
                .map(|retired| StoredRetired {
                    until: retired.until,
                    fingerprints: BASE64.encode(&retired.set.to_bytes()),
                })
                .collect(),
        }
    }

    fn revive(self, key: &IndexKey) -> Known {
        if self.version != STORED_VERSION {
            return Known::default();
        }
        let mut known = Known::default();
        for source in self.sources {
            if let Some(set) = decode_set(key, &source.fingerprints) {
                let state = SourceState {
                    id: source.id.clone(),
                    kind: source.kind,
                    location: source.location,
                    skipped: source.skipped,
                    loaded_at: source.loaded_at,
                    failure: None,
                    names: source.names,
                    set: Some(set),
                };
                known.by_id.insert(source.id, state);
            }
        }
        for retired in self.retired {
            if let Some(set) = decode_set(key, &retired.fingerprints) {
                known.retired.push(Retired { until: retired.until, set });
            }
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use sallyport_detect::SecretEntry;

    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn key() -> IndexKey {
        IndexKey::new([3; 32])
    }

    fn loaded(id: &str, kind: &str, values: &[&str]) -> Loaded {
        let entries = values.iter().map(|v| SecretEntry { name: "n", value: v.as_bytes(), weak: false });
        let set = SecretSet::build(&key(), id, entries);
        let fingerprints = BASE64.encode(&set.to_bytes());
        Loaded {
            id: id.into(),
            kind: kind.into(),
            location: "somewhere".into(),
            dated: Vec::new(),
            outcome: Outcome::Set { fingerprints, names: Vec::new(), skipped: 0 },
        }
    }

    fn failed(id: &str, kind: &str) -> Loaded {
        let outcome = Outcome::Failed { code: "c".into(), message: "m".into(), hint: "h".into() };
        Loaded { id: id.into(), kind: kind.into(), location: "somewhere".into(), dated: Vec::new(), outcome }
    }

    fn finds(sources: &Sources, value: &str) -> bool {
        !sources.index().find(format!("x {value} y").as_bytes()).is_empty()
    }

    fn open(folder: &tempfile::TempDir) -> Sources {
        Sources::open(key(), folder.path().join("fingerprints.json"), false)
    }

    #[test]
    fn a_failed_source_keeps_what_it_had() {
        let folder = tempfile::tempdir().unwrap();
        let sources = open(&folder);
        let now = Timestamp::now();
        sources.absorb(vec![loaded("v", "vault", &["first-secret-1"])], now);
        sources.absorb(vec![failed("v", "vault")], now + DAY);
        let state = &sources.states()[0];
        assert_eq!(state.loaded_at, Some(now));
        assert!(state.failure.is_some() && !sources.is_awaited(state));
        assert!(finds(&sources, "first-secret-1"));
    }

    #[test]
    fn a_source_that_never_loaded_is_awaited_unless_nobody_named_it() {
        let folder = tempfile::tempdir().unwrap();
        let sources = open(&folder);
        assert!(!sources.is_complete());
        sources.absorb(vec![failed("v", "vault"), failed("k", "keychain")], Timestamp::now());
        assert!(sources.is_complete());
        let awaited: Vec<_> =
            sources.states().into_iter().filter(|s| sources.is_awaited(s)).map(|s| s.id).collect();
        assert_eq!(awaited, ["v"]);
    }

    #[test]
    fn a_rotated_value_is_recognised_for_thirty_days_and_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let sources = open(&folder);
        let now = Timestamp::now();
        sources.absorb(vec![loaded("v", "vault", &["first-secret-1"])], now);
        sources.absorb(vec![loaded("v", "vault", &["second-secret-2"])], now);
        assert!(finds(&sources, "first-secret-1") && finds(&sources, "second-secret-2"));
        sources.persist().unwrap();

        let again = open(&folder);
        assert!(finds(&again, "first-secret-1") && finds(&again, "second-secret-2"));
        again.absorb(vec![loaded("v", "vault", &["second-secret-2"])], now + DAY * 29);
        assert!(finds(&again, "first-secret-1"));
        again.absorb(vec![loaded("v", "vault", &["second-secret-2"])], now + DAY * 31);
        assert!(!finds(&again, "first-secret-1") && finds(&again, "second-secret-2"));
    }

    #[test]
    fn what_is_remembered_is_found_and_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let sources = open(&folder);
        let now = Timestamp::now();
        sources.absorb(vec![loaded("v", "vault", &["first-secret-1"])], now);
        let set = |value: &'static str| {
            let entry = SecretEntry { name: "n", value: value.as_bytes(), weak: false };
            SecretSet::build(&key(), "handed over", [entry])
        };
        assert!(!sources.remember(set("first-secret-1"), now));
        assert!(sources.remember(set("second-secret-2"), now));
        assert!(!sources.remember(set("second-secret-2"), now));
        assert!(finds(&sources, "second-secret-2"));
        sources.absorb(vec![loaded("v", "vault", &["first-secret-1"])], now + DAY * 31);
        assert!(finds(&sources, "first-secret-1") && !finds(&sources, "second-secret-2"));
    }

    #[test]
    fn a_file_of_another_key_or_none_at_all_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let sources = open(&folder);
        sources.absorb(vec![loaded("v", "vault", &["first-secret-1"])], Timestamp::now());
        sources.persist().unwrap();
        let file = folder.path().join("fingerprints.json");
        assert!(!finds(&Sources::open(IndexKey::new([4; 32]), file.clone(), false), "first-secret-1"));
        std::fs::write(&file, b"not json").unwrap();
        assert!(Sources::open(key(), file, false).states().is_empty());
    }

    #[test]
    fn the_file_holds_no_value() {
        let folder = tempfile::tempdir().unwrap();
        let sources = open(&folder);
        sources.absorb(vec![loaded("v", "vault", &["first-secret-1"])], Timestamp::now());
        sources.persist().unwrap();
        let bytes = std::fs::read(folder.path().join("fingerprints.json")).unwrap();
        assert!(!bytes.windows(14).any(|w| w == b"first-secret-1"));
        assert!(!bytes.windows(8).any(|w| w == &BASE64.encode(b"first-secret-1").as_bytes()[..8]));
    }
}
