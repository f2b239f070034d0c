//! The policy in force: files read, resolved to one snapshot, and what detection needs of it.
//!
//! A file that can't be used never weakens anything: the last good set of files stays in force, or the defaults
//! where there never was one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sallyport_detect::{Kinds, ScanOptions};
use sallyport_platform::Paths;
use sallyport_policy::assessment::{self, AssessmentRecord, Day};
use sallyport_policy::config;
use sallyport_policy::documents;
use sallyport_policy::settings::{self, FailMode, Layers, Origin, Snapshot};
use sallyport_policy::{DocumentError, DocumentErrors, FindingKind, Severity};
use serde::{Deserialize, Serialize};

use crate::accounts::ServiceAccount;
use crate::bundles;
use crate::output::Output;
use crate::plain_file;

/// A folder of policy documents is read one level deep; more files than this are a mistake.
const MAX_DOCUMENTS: usize = 256;

/// Longer files are no policy.
const MAX_FILE: u64 = 4 << 20;

/// One immutable policy. An exchange ends with the one it began with.
pub(crate) struct Policy {
    pub(crate) snapshot: Snapshot,
    /// What is looked for in requests.
    pub(crate) request: ScanOptions,
    /// What is looked for in answers: credentials only, since addresses and names in code are what it is about.
    pub(crate) answer: ScanOptions,
    /// How answers are looked at for dangerous words.
    pub(crate) output: Output,
    /// The account of flows that belong to no session.
    pub(crate) account: ServiceAccount,
    /// A number that no other policy of this run has.
    pub(crate) generation: u64,
    /// What its files looked like before they were read.
    pub(crate) stamp: Stamp,
}

impl Policy {
    pub(crate) fn new(snapshot: Snapshot) -> Policy {
        let request = ScanOptions {
            profile: snapshot.profile.value,
            rules_off: snapshot.disabled_rules.value.iter().map(String::as_str).collect(),
            ..ScanOptions::default()
        };
        let answer = ScanOptions {
            kinds: Kinds::NONE.with(FindingKind::KnownSecret).with(FindingKind::Secret),
            least_severity: Severity::High,
            ..request.clone()
        };
        let account = ServiceAccount::configured(snapshot.agents.class());
        let output = Output::of(&snapshot);
        static LAST: AtomicU64 = AtomicU64::new(0);
        let generation = LAST.fetch_add(1, Ordering::Relaxed);
        Policy { snapshot, request, answer, output, account, generation, stamp: Stamp::default() }
    }

    pub(crate) fn is_open_on_failure(&self) -> bool {
        self.snapshot.fail_mode.value == FailMode::Open
    }

    pub(crate) fn max_body_bytes(&self) -> usize {
        usize::try_from(self.snapshot.limits.max_body_bytes.value).unwrap_or(usize::MAX)
    }
}

/// What reading the files brought.
pub(crate) struct Loaded {
    pub(crate) policy: Policy,
    /// Files that could not be used; the last good ones are in force instead.
    pub(crate) problems: Vec<DocumentError>,
    /// Assessments of this user whose approval does not count.
    pub(crate) discounted: Vec<String>,
}

/// Whether the approval of an assessment of this user's is one that a person gave.
pub type Counts<'c> = &'c dyn Fn(&AssessmentRecord) -> bool;

/// The texts that a policy is made of; written down when all of them were good.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Texts {
    user: Option<Text>,
    user_documents: Vec<Text>,
    managed: Option<Text>,
    managed_documents: Vec<Text>,
    /// Of the signed bundle.
    #[serde(default)]
    bundled: Vec<Text>,
    #[serde(default)]
    assessments: Vec<Text>,
    #[serde(default)]
    managed_assessments: Vec<Text>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Text {
    file: String,
    text: String,
}

/// Reads configuration and policy documents of this user and of whoever manages the machine.
pub(crate) fn load(paths: &Paths, counts: Counts<'_>) -> Loaded {
    let last_good = paths.state_dir().join("policy.last-good.json");
    let mut problems = Vec::new();
    let mut stamp = Stamp::of(paths);
    let texts = gather(paths, true, &mut stamp, &mut problems);
    let discounted = texts.discounted(counts);
    if problems.is_empty() {
        match resolve(&texts, paths, counts) {
            Ok(policy) => {
                remember(&last_good, &texts);
                return Loaded { policy: Policy { stamp, ..policy }, problems, discounted };
            }
            Err(more) => problems = more,
        }
    }
    let fallback = texts.without_the_broken(recall(&last_good).unwrap_or_default(), paths);
    let policy = resolve(&fallback, paths, counts)
        .or_else(|_| resolve(&Texts { user_documents: Vec::new(), ..fallback.clone() }, paths, counts))
        .or_else(|_| {
            let Texts { user, managed, bundled, .. } = fallback;
            resolve(&Texts { user, managed, bundled, ..Texts::default() }, paths, counts)
        })
        .unwrap_or_else(|_| embedded());
    Loaded { policy: Policy { stamp, ..policy }, problems, discounted }
}

impl Texts {
    /// Each of the four parts as it is if all of it can be read, else as it was when it last could; where it never
    /// could, what of it can be read.
    fn without_the_broken(&self, good: Texts, paths: &Paths) -> Texts {
        let one = |now: &Option<Text>, then: Option<Text>| match now {
            Some(text) if layer(text, paths).is_err() => then,
            now => now.clone(),
        };
        let reads = |text: &Text| documents::parse(&text.text, &text.file).is_ok();
        let all = |now: &[Text], then: Vec<Text>| match now.iter().all(reads) {
            true => now.to_vec(),
            false if !then.is_empty() => then,
            false => now.iter().filter(|text| reads(text)).cloned().collect(),
        };
        Texts {
            user: one(&self.user, good.user),
            user_documents: all(&self.user_documents, good.user_documents),
            managed: one(&self.managed, good.managed),
            managed_documents: all(&self.managed_documents, good.managed_documents),
            bundled: self.bundled.clone(),
            // One that can't be read approves nothing.
            assessments: self.assessments.iter().filter(|text| is_assessment(text)).cloned().collect(),
            managed_assessments: self
                .managed_assessments
                .iter()
                .filter(|text| is_assessment(text))
                .cloned()
                .collect(),
        }
    }
}

impl Texts {
    fn discounted(&self, counts: Counts<'_>) -> Vec<String> {
        let approved = |text: &&Text| {
            let record = assessment::parse(&text.text, &text.file).ok();
            record.is_some_and(|record| record.approval.is_some() && !counts(&record))
        };
        self.assessments.iter().filter(approved).map(|text| text.file.clone()).collect()
    }
}

fn is_assessment(text: &Text) -> bool {
    assessment::parse(&text.text, &text.file).is_ok()
}

/// By the clock of this machine.
pub(crate) fn today() -> Option<Day> {
    Day::parse(&jiff::Zoned::now().date().to_string())
}

fn embedded() -> Policy {
    let snapshot = settings::resolve(&Layers::default());
    // A test resolves the empty layers; they hold nothing that could contradict the embedded table.
    let snapshot = snapshot.unwrap_or_else(|error| unreachable!("embedded defaults: {error}"));
    Policy::new(snapshot)
}

/// What the files on this machine say now, whether or not an engine runs with it. Changes nothing.
pub struct OnDisk {
    pub snapshot: Snapshot,
}

impl OnDisk {
    /// Reads them; every mistake is told.
    pub fn read(paths: &Paths, counts: Counts<'_>) -> Result<OnDisk, Vec<DocumentError>> {
        let mut problems = Vec::new();
        let texts = gather(paths, false, &mut Stamp::default(), &mut problems);
        let policy = resolve(&texts, paths, counts);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(OnDisk { snapshot: policy?.snapshot })
    }
}

/// `accept`: a new bundle is noted as accepted. `stamp` gets the folders that the configuration names, before they are read.
fn gather(paths: &Paths, accept: bool, stamp: &mut Stamp, problems: &mut Vec<DocumentError>) -> Texts {
    let user = read_optional(&paths.config_file(), problems);
    let managed = read_optional(&paths.managed_config_file(), problems);
    let folders = user
        .as_ref()
        .and_then(|text| layer(text, paths).ok())
        .map_or_else(|| vec![paths.policies_dir()], |layer| layer.config.policies);
    stamp.add_folders(&folders);
    let keys = managed
        .as_ref()
        .and_then(|text| layer(text, paths).ok())
        .map(|layer| layer.config.bundles.trusted_keys)
        .unwrap_or_default();
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
    let bundle = bundles::in_force(paths, &keys, now, accept, problems);
    let bundled = bundle.into_iter().flat_map(|bundle| bundle.documents);
    Texts {
        bundled: bundled
            .map(|file| Text { file: format!("policy.bundle/{}", file.file), text: file.text })
            .collect(),
        user_documents: folders.iter().flat_map(|folder| read_documents(folder, problems)).collect(),
        managed_documents: read_documents(&paths.managed_policies_dir(), problems),
        assessments: read_documents(&paths.assessments_dir(), problems),
        managed_assessments: read_documents(&paths.managed_assessments_dir(), problems),
        user,
        managed,
    }
}

fn resolve(texts: &Texts, paths: &Paths, counts: Counts<'_>) -> Result<Policy, Vec<DocumentError>> {
    let mut problems = Vec::new();
    let mut read_layer = |text: &Option<Text>| {
        let parsed = layer(text.as_ref()?, paths);
        parsed.map_err(|found| problems.extend(found)).ok()
    };
    let (user, managed) = (read_layer(&texts.user), read_layer(&texts.managed));
    if let (Some(text), Some(layer)) = (&texts.user, &user)
        && let Some(key) =
            ["bundles.trusted_keys", "bundles.url", "bundles.refresh"].iter().find(|key| layer.sets(key))
    {
        problems.push(DocumentError {
            file: text.file.clone(),
            line: 1,
            column: 1,
            message: format!("`{key}` counts in managed configuration only"),
            hint: Some(format!("move it to {}", paths.managed_config_file().display())),
        });
    }
    let mut read_all = |texts: &[Text]| {
        let mut all = Vec::new();
        for text in texts {
            match documents::parse(&text.text, &text.file) {
                Ok(documents) => all.extend(documents),
                Err(found) => problems.extend(found),
            }
        }
        all
    };
    let user_documents = read_all(&texts.user_documents);
    let mut managed_documents = read_all(&texts.managed_documents);
    managed_documents.extend(read_all(&texts.bundled));
    let mut assessments = Vec::new();
    for (origin, texts) in [(Origin::User, &texts.assessments), (Origin::Managed, &texts.managed_assessments)]
    {
        for text in texts {
            match assessment::parse(&text.text, &text.file) {
                Ok(mut record) => {
                    if origin == Origin::User && !counts(&record) {
                        record.approval = None;
                    }
                    assessments.push((origin, record));
                }
                Err(problem) => problems.push(problem),
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let layers = Layers {
        user,
        user_documents,
        managed,
        managed_documents,
        home: Some(paths.user_home().to_owned()),
        assessments,
        today: today(),
    };
    match settings::resolve(&layers) {
        Ok(snapshot) => Ok(Policy::new(snapshot)),
        Err(error) => Err(error.0),
    }
}

fn layer(text: &Text, paths: &Paths) -> Result<config::ConfigLayer, DocumentErrors> {
    let mut layer = config::parse_layer(&text.text, &text.file)?;
    config::resolve_paths(&mut layer.config, paths.user_home(), paths.config_dir());
    Ok(layer)
}

fn read_optional(file: &Path, problems: &mut Vec<DocumentError>) -> Option<Text> {
    match read(file) {
        Ok(text) => text,
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// A file's text; none where there is no file.
fn read(file: &Path) -> Result<Option<Text>, DocumentError> {
    let name = file.display().to_string();
    let problem = |message: String| DocumentError {
        file: name.clone(),
        line: 1,
        column: 1,
        message,
        hint: Some("make it a text file that you can read".into()),
    };
    let metadata = match std::fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(problem(format!("could not be read: {error}"))),
    };
    let text = plain_file::text(file, &metadata, MAX_FILE, "policy").map_err(problem)?;
    Ok(Some(Text { file: name, text }))
}

fn read_documents(place: &Path, problems: &mut Vec<DocumentError>) -> Vec<Text> {
    let mut files: Vec<PathBuf> = match std::fs::read_dir(place) {
        Ok(entries) => entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml"))
            .take(MAX_DOCUMENTS)
            .collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(_) => vec![place.to_owned()],
    };
    files.sort();
    files.iter().filter_map(|file| read_optional(file, problems)).collect()
}

/// What tells that a file was changed: which files there are, how long, how old. A change of day counts, since
/// assessments come up again.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Stamp {
    /// Of policy documents, as the configuration names them.
    folders: Vec<PathBuf>,
    files: Vec<FileStamp>,
    today: Option<Day>,
}

impl Stamp {
    /// Of all that lies in its own place.
    fn of(paths: &Paths) -> Stamp {
        let mut stamp = Stamp { today: today(), ..Stamp::default() };
        for place in [
            paths.config_file(),
            paths.managed_config_file(),
            paths.managed_policies_dir(),
            paths.assessments_dir(),
            paths.managed_assessments_dir(),
            paths.bundle_of_policies(),
            paths.managed_bundle_of_policies(),
            bundles::fetched(paths),
        ] {
            stamp.add(&place);
        }
        stamp
    }

    /// What the same places look like now.
    pub(crate) fn again(&self, paths: &Paths) -> Stamp {
        let mut now = Stamp::of(paths);
        now.add_folders(&self.folders);
        now
    }

    fn add_folders(&mut self, folders: &[PathBuf]) {
        for folder in folders {
            self.add(folder);
        }
        self.folders.extend_from_slice(folders);
    }

    fn add(&mut self, place: &Path) {
        self.files.push(FileStamp::of(place));
        let entries = std::fs::read_dir(place).into_iter().flatten().flatten().take(MAX_DOCUMENTS);
        let mut inside: Vec<_> = entries.map(|entry| entry.path()).collect();
        inside.sort();
        self.files.extend(inside.iter().map(|file| FileStamp::of(file)));
    }
}

#[derive(Debug, Clone, PartialEq)]
struct FileStamp {
    path: PathBuf,
    length: u64,
    changed: Option<std::time::SystemTime>,
}

impl FileStamp {
    fn of(path: &Path) -> FileStamp {
        let metadata = std::fs::metadata(path).ok();
        FileStamp {
            path: path.to_owned(),
            length: metadata.as_ref().map_or(0, std::fs::Metadata::len),
            changed: metadata.and_then(|metadata| metadata.modified().ok()),
        }
    }
}

fn remember(file: &Path, texts: &Texts) {
    let written = serde_json::to_vec(texts).map_err(|error| error.to_string()).and_then(|bytes| {
        sallyport_platform::fs::write_private_atomic(file, &bytes, 0o600).map_err(|e| e.to_string())
    });
    if let Err(error) = written {
        tracing::warn!(%error, "the good policy could not be written down");
    }
}

fn recall(file: &Path) -> Option<Texts> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use sallyport_policy::settings::OpaquePolicy;

    use super::*;

    const STRICT: &str =
        "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {name: x}\nspec: {opaque: block}\n";

    fn home() -> (tempfile::TempDir, Paths) {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::under(folder.path());
        paths.create_private_dirs().unwrap();
        std::fs::create_dir_all(paths.policies_dir()).unwrap();
        (folder, paths)
    }

    /// Whoever can write one file there must not stop the others from being read.
    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_told_and_waited_for_by_nobody() {
        let (_folder, paths) = home();
        std::fs::write(paths.policies_dir().join("a.yaml"), STRICT).unwrap();
        let pipe = paths.policies_dir().join("pipe.yaml");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        std::os::unix::fs::symlink("/dev/zero", paths.policies_dir().join("zero.yml")).unwrap();
        let mut problems = Vec::new();
        let texts = read_documents(&paths.policies_dir(), &mut problems);
        assert_eq!(texts.len(), 1);
        assert_eq!(problems.iter().map(|p| p.message.as_str()).collect::<Vec<_>>(), ["is no file"; 2]);
    }

    #[test]
    fn without_files_the_defaults_are_in_force() {
        let (_folder, paths) = home();
        let loaded = load(&paths, &|_| true);
        assert!(loaded.problems.is_empty());
        assert_eq!(loaded.policy.snapshot.listen.value.to_string(), "127.0.0.1:8877");
    }

    #[test]
    fn a_new_document_is_noticed_with_and_without_a_configuration() {
        let (_folder, paths) = home();
        for config in [None, Some("listen: 127.0.0.1:9999\n")] {
            if let Some(text) = config {
                std::fs::write(paths.config_file(), text).unwrap();
            }
            let read = load(&paths, &|_| true).policy.stamp;
            assert_eq!(read.again(&paths), read);
            let document = paths.policies_dir().join("mine.yaml");
            std::fs::write(&document, STRICT).unwrap();
            assert_ne!(read.again(&paths), read, "{config:?}");
            std::fs::remove_file(document).unwrap();
        }
    }

    #[test]
    fn a_change_while_the_files_are_read_is_noticed_after_it() {
        let (_folder, paths) = home();
        std::fs::write(paths.config_file(), "policies: [~/elsewhere, policies]\n").unwrap();
        let document = paths.policies_dir().join("mine.yaml");
        // A second hand that writes between the reading and the comparing.
        let read = load(&paths, &|_| true).policy;
        std::fs::write(&document, STRICT).unwrap();
        assert_eq!(read.snapshot.opaque.value, OpaquePolicy::default());
        assert_ne!(read.stamp.again(&paths), read.stamp);
        let read = load(&paths, &|_| true).policy;
        assert_eq!(read.snapshot.opaque.value, OpaquePolicy::Block);
        assert_eq!(read.stamp.again(&paths), read.stamp);
        // What can't be used is not read again and again.
        std::fs::write(&document, "kind: [\n").unwrap();
        let broken = load(&paths, &|_| true).policy;
        assert_eq!(broken.stamp.again(&paths), broken.stamp);
    }

    #[test]
    fn a_broken_file_leaves_the_last_good_policy_in_force() {
        let (_folder, paths) = home();
        let document = paths.policies_dir().join("mine.yaml");
        std::fs::write(&document, STRICT).unwrap();
        assert_eq!(load(&paths, &|_| true).policy.snapshot.opaque.value, OpaquePolicy::Block);
        std::fs::write(&document, "apiVersion: sallyport/v1\nkind: Nonsense\n").unwrap();
        let loaded = load(&paths, &|_| true);
        assert_eq!(loaded.policy.snapshot.opaque.value, OpaquePolicy::Block);
        assert!(loaded.problems[0].to_string().contains("mine.yaml:2:"), "{:?}", loaded.problems);
    }

    #[test]
    fn a_broken_document_leaves_a_good_configuration_alone() {
        let (_folder, paths) = home();
        std::fs::write(paths.config_file(), "listen: 127.0.0.1:9999\n").unwrap();
        std::fs::write(paths.policies_dir().join("bad.yaml"), "kind: [\n").unwrap();
        let loaded = load(&paths, &|_| true);
        assert_eq!(loaded.problems.len(), 1);
        assert_eq!(loaded.policy.snapshot.listen.value.port(), 9999);
    }

    #[test]
    fn a_pattern_that_is_none_never_lets_a_file_through() {
        use sallyport_policy::permissions::{Action, FilePath, Places};
        let (_folder, paths) = home();
        let document = paths.policies_dir().join("secrets.yaml");
        let sealing = |pattern: &str| {
            format!(
                "apiVersion: secrets.platform/v1\nkind: AISecretsPolicy\nmetadata: {{name: s}}\n\
                 spec: {{secretClasses: [{{name: keys, patterns: ['{pattern}'], aiAccess: denied}}]}}\n"
            )
        };
        let places = Places { cwd: "/w".into(), home: "/h".into(), ..Places::default() };
        let key = Action::Read(FilePath::new("/w/a.key"));
        std::fs::write(&document, sealing("**/*.key")).unwrap();
        assert!(load(&paths, &|_| true).policy.snapshot.agents.permissions.sealed(&key, &places).is_some());
        std::fs::write(&document, sealing("**/*.{key")).unwrap();
        let loaded = load(&paths, &|_| true);
        assert!(loaded.problems[0].message.contains("is no path pattern"), "{:?}", loaded.problems);
        assert!(
            loaded.policy.snapshot.agents.permissions.sealed(&key, &places).is_some(),
            "the last good one"
        );
    }

    #[test]
    fn a_broken_configuration_names_its_place() {
        let (_folder, paths) = home();
        std::fs::write(paths.config_file(), "listen: 127.0.0.1:0\nsecrts: {}\n").unwrap();
        let loaded = load(&paths, &|_| true);
        assert!(loaded.problems[0].to_string().contains("config.yaml:2:1"), "{:?}", loaded.problems);
        assert_eq!(loaded.policy.snapshot.listen.value.port(), 8877);
    }
}
