//! Secrets in a developer's folders: `**/.env*`, `**/secrets/**`, `**/*.pem`.
//!
//! Ignore files are not honoured, since `.env` is what they ignore first; folders of dependencies and builds are left
//! out. What is found there is kept only if it looks like a secret (decision 17). Symlinks are not followed.

use std::path::{Path, PathBuf};

use ignore::{DirEntry, WalkBuilder};
use sallyport_platform::fs::read_bounded;

use crate::collect::Collector;
use crate::report::{ProblemCode, SourceError, SourceId, SourceKind, SourceReport};
use crate::{Judge, env_file, files, json, pem};

/// Bounds of one walk: a workspace may be a home folder by mistake.
struct Limits {
    depth: usize,
    /// Files and folders looked at.
    entries: usize,
    /// Files read.
    files: usize,
    values: usize,
    file_size: u64,
}

const LIMITS: Limits =
    Limits { depth: 16, entries: 500_000, files: 5_000, values: 20_000, file_size: 1 << 20 };

/// Folders that hold what others wrote, or what can be made again.
const SKIPPED_FOLDERS: [&str; 10] = [
    "node_modules",
    "target",
    ".git",
    ".hg",
    ".svn",
    ".venv",
    "venv",
    "__pycache__",
    ".tox",
    "site-packages",
];

/// `.env.example` and its like hold stand-ins.
const EXAMPLE_ENDINGS: [&str; 6] = [".example", ".sample", ".template", ".dist", ".defaults", ".tmpl"];

/// Under `secrets/`, source code and prose about secrets are not secrets.
const CODE_ENDINGS: [&str; 30] = [
    "rs", "py", "js", "mjs", "cjs", "jsx", "ts", "tsx", "go", "java", "kt", "c", "h", "cc", "cpp", "hpp",
    "cs", "rb", "php", "swift", "scala", "sh", "md", "rst", "html", "css", "svg", "tf", "lock", "proto",
];

pub(crate) fn load(root: &Path, judge: Judge) -> SourceReport {
    load_within(root, judge, &LIMITS)
}

fn load_within(root: &Path, judge: Judge, limits: &Limits) -> SourceReport {
    let location = root.display().to_string();
    let mut collector = Collector::new(judge);
    let mut warnings = Vec::new();
    let result = match root.is_dir() {
        true => {
            walk(root, limits, &mut collector, &mut warnings);
            Ok(())
        }
        false => Err(SourceError::new(
            ProblemCode::WorkspaceMissing,
            format!("There is no folder {location}."),
            "Correct or remove it under `secrets.workspaces` in config.yaml.",
        )),
    };
    let (secrets, skipped_short) = collector.finish();
    SourceReport {
        dated: Vec::new(),
        id: SourceId::new(SourceKind::Workspace, &location),
        kind: SourceKind::Workspace,
        location,
        result: result.map(|()| secrets),
        skipped_short,
        warnings,
    }
}

/// What stands in a workspace, for whoever watches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Folder(PathBuf),
    /// A file that is read.
    Source(PathBuf),
}

/// The folders of a workspace and its files that are read, at `from` and below it.
pub fn standing(root: &Path, from: &Path) -> impl Iterator<Item = Standing> {
    let entries = walker(from, &LIMITS).take(LIMITS.entries).flatten();
    entries.filter_map(move |entry| {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            return Some(Standing::Folder(entry.into_path()));
        }
        (kind.is_file() && is_read(root, entry.path())).then(|| Standing::Source(entry.into_path()))
    })
}

/// Whether a file of this workspace is one that is read.
pub fn is_read(root: &Path, path: &Path) -> bool {
    let skipped = |relative: &Path| {
        let folders = relative.parent().into_iter().flat_map(Path::components);
        folders.filter_map(|folder| folder.as_os_str().to_str()).any(|name| SKIPPED_FOLDERS.contains(&name))
    };
    path.strip_prefix(root).is_ok_and(|relative| Kind::of(relative).is_some() && !skipped(relative))
}

fn walker(root: &Path, limits: &Limits) -> ignore::Walk {
    WalkBuilder::new(root)
        .standard_filters(false)
        .follow_links(false)
        .same_file_system(true)
        .max_depth(Some(limits.depth))
        .sort_by_file_name(std::ffi::OsStr::cmp)
        .filter_entry(|entry| !is_skipped_folder(entry))
        .build()
}

fn walk(root: &Path, limits: &Limits, collector: &mut Collector, warnings: &mut Vec<SourceError>) {
    let walker = walker(root, limits);
    let (mut entries, mut read, mut unreadable) = (0, 0, 0);
    for entry in walker {
        entries += 1;
        if entries > limits.entries || read >= limits.files || collector.len() >= limits.values {
            warnings.push(SourceError::new(
                ProblemCode::Truncated,
                format!("{} was searched in part only: it holds too many files.", root.display()),
                "Name the project folders under `secrets.workspaces`, not a folder above them.",
            ));
            break;
        }
        let Ok(entry) = entry else {
            unreadable += 1;
            continue;
        };
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(relative) = entry.path().strip_prefix(root) else { continue };
        let Some(kind) = Kind::of(relative) else { continue };
        read += 1;
        match read_bounded(entry.path(), limits.file_size) {
            Ok(Some(bytes)) => {
                // Binary files hold no text to be sent.
                if let Some(text) = files::text(bytes).filter(|t| !t.contains('\0')) {
                    take(kind, &relative.to_string_lossy().replace('\\', "/"), &text, collector);
                }
            }
            Ok(None) => {}
            Err(_) => unreadable += 1,
        }
    }
    if unreadable > 0 {
        warnings.push(SourceError::new(
            ProblemCode::FileUnreadable,
            format!("{unreadable} file(s) or folder(s) under {} cannot be read.", root.display()),
            "Secrets in them are recognised by rules only; make them readable if they matter.",
        ));
    }
}

fn is_skipped_folder(entry: &DirEntry) -> bool {
    entry.depth() > 0
        && entry.file_type().is_some_and(|kind| kind.is_dir())
        && entry.file_name().to_str().is_some_and(|name| SKIPPED_FOLDERS.contains(&name))
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Env,
    Pem,
    /// Below a folder named `secrets`.
    Secrets,
}

impl Kind {
    fn of(relative: &Path) -> Option<Kind> {
        let name = relative.file_name()?.to_str()?;
        let lower = name.to_ascii_lowercase();
        if EXAMPLE_ENDINGS.iter().any(|ending| lower.ends_with(ending)) {
            return None;
        }
        if name.starts_with(".env") {
            return Some(Kind::Env);
        }
        if lower.ends_with(".pem") {
            return Some(Kind::Pem);
        }
        let below_secrets = relative.parent()?.components().any(|c| c.as_os_str() == "secrets");
        let is_code = lower.rsplit_once('.').is_some_and(|(_, ending)| CODE_ENDINGS.contains(&ending));
        (below_secrets && !is_code).then_some(Kind::Secrets)
    }
}

fn take(kind: Kind, file: &str, text: &str, collector: &mut Collector) {
    match kind {
        Kind::Env => {
            take_env(file, text, collector);
        }
        Kind::Pem => take_keys(file, text, collector),
        Kind::Secrets => {
            take_keys(file, text, collector);
            let structured = ["json", "yaml", "yml"].iter().any(|e| file.to_ascii_lowercase().ends_with(e));
            if structured {
                if let Some(mut value) = json::from_yaml(text) {
                    json::leaves("", &value, &mut |key, text| collector.add_if_secret(file, key, text, &[]));
                    json::wipe(&mut value);
                }
            } else if !take_env(file, text, collector) && text.trim().lines().count() == 1 {
                // One value in a file of its own, as containers are given them: the folder says what it is.
                if (collector.judge().looks_secret)("secret", text.trim()) {
                    collector.add(file, text.as_bytes());
                }
            }
        }
    }
}

/// `false` when the file holds no assignment.
fn take_env(file: &str, text: &str, collector: &mut Collector) -> bool {
    let parsed = env_file::parse(text);
    for assignment in &parsed.assignments {
        let raw: Vec<&[u8]> = assignment.raw.iter().map(|r| r.as_bytes()).collect();
        collector.add_if_secret(file, &assignment.name, &assignment.value, &raw);
    }
    !parsed.assignments.is_empty()
}

fn take_keys(file: &str, text: &str, collector: &mut Collector) {
    for key in pem::private_keys(text) {
        collector.add(file, key.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tests::judge;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("temp");
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("folders");
            std::fs::write(path, text).expect("file");
        }
        dir
    }

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIB\n-----END PRIVATE KEY-----\n";

    #[test]
    fn finds_what_the_patterns_name() {
        let dir = tree(&[
            (".gitignore", ".env\nsecrets/\n"),
            (".env", "API_KEY=first-value-1\nGREETING=hello world\n"),
            ("api/.env.local", "DB_PASSWORD=second-value-2\n"),
            ("api/.env.example", "DB_PASSWORD=not-this-one-9\n"),
            ("api/secrets/db_password", "third-value-3\n"),
            ("api/secrets/config.yaml", "stripe: {api_key: fourth-value-4, mode: live-and-loud}\n"),
            ("api/secrets/main.py", "API_KEY=not-this-one-9\n"),
            ("api/secrets/prod.env", "TOKEN=fifth-value-5\n"),
            (
                "certs/server.pem",
                &format!("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n{KEY}"),
            ),
            ("node_modules/x/.env", "API_KEY=not-this-one-9\n"),
            ("src/main.rs", "API_KEY=not-this-one-9\n"),
        ]);
        let report = load(dir.path(), judge());
        let names: Vec<_> = report.names().collect();
        assert_eq!(
            names,
            [
                ".env/API_KEY",
                "api/.env.local/DB_PASSWORD",
                "api/secrets/config.yaml/stripe/api_key",
                "api/secrets/db_password",
                "api/secrets/prod.env/TOKEN",
                "certs/server.pem",
            ]
        );
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        let secrets = report.result.expect("found");
        assert!(secrets.iter().all(|s| !s.value.as_str().is_some_and(|v| v.contains("not-this"))));
        assert!(secrets.iter().any(|s| s.part && s.name == "certs/server.pem"));
    }

    #[test]
    fn stops_at_its_bounds_and_says_so() {
        let dir = tree(&[
            (".env.1", "KEY=value-one-1"),
            (".env.2", "KEY=value-two-2"),
            (".env.3", "KEY=value-three"),
        ]);
        for limits in
            [Limits { files: 2, ..LIMITS }, Limits { values: 2, ..LIMITS }, Limits { entries: 3, ..LIMITS }]
        {
            let report = load_within(dir.path(), judge(), &limits);
            assert_eq!(report.names().collect::<Vec<_>>(), [".env.1/KEY", ".env.2/KEY"]);
            assert_eq!(report.warnings[0].code, ProblemCode::Truncated);
        }
        let report = load_within(dir.path(), judge(), &Limits { file_size: 5, ..LIMITS });
        assert_eq!(report.count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn does_not_follow_links() {
        let outside = tree(&[(".env", "API_KEY=outside-value")]);
        let dir = tempfile::tempdir().expect("temp");
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).expect("link");
        std::os::unix::fs::symlink(outside.path().join(".env"), dir.path().join(".env")).expect("link");
        std::os::unix::fs::symlink(".", dir.path().join("loop")).expect("link");
        assert_eq!(load(dir.path(), judge()).count(), 0);
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let report = load(Path::new("/nonexistent/folder"), judge());
        assert_eq!(report.result.expect_err("error").code, ProblemCode::WorkspaceMissing);
    }
}
