//! Signed policy bundles on this machine: which one counts, and which one counted last.
//!
//! The administrator's folder is looked at first, then the one installed for this user, then the one that was fetched. A
//! bundle that was accepted once stays in force until a newer one comes, so that taking its file away weakens nothing.

mod current;
mod fetch;

use std::path::{Path, PathBuf};

use sallyport_platform::Paths;
use sallyport_policy::bundle::{self, Accepted, Bundle, NotAccepted};
use sallyport_policy::{DocumentError, PublicKey};
use serde::{Deserialize, Serialize};

use crate::plain_file;

pub(crate) use current::keep_current;
pub use fetch::{FetchError, fetch_bundle};

/// The bundle in force, and its place in the order of bundles.
#[derive(Serialize, Deserialize)]
struct Remembered {
    accepted: Accepted,
    /// The signed file itself: it is verified anew each time.
    text: String,
}

/// The bundle that is in force, if there is one. What was found wrong with others goes to `problems`. With `note` it
/// is written down as accepted.
pub(crate) fn in_force(
    paths: &Paths,
    keys: &[PublicKey],
    now: u64,
    note: bool,
    problems: &mut Vec<DocumentError>,
) -> Option<Bundle> {
    let memory = memory(paths);
    let remembered = remembered(paths);
    let last = remembered.as_ref().map(|remembered| &remembered.accepted);
    let mut best = remembered
        .as_ref()
        .and_then(|remembered| Some((bundle::open(&remembered.text, keys).ok()?, &remembered.text)));
    let texts: Vec<_> = [paths.managed_bundle_of_policies(), paths.bundle_of_policies(), fetched(paths)]
        .into_iter()
        .filter_map(|file| Some((read(&file, problems)?, file)))
        .collect();
    let (mut left_over, mut newest) = (Vec::new(), None);
    for (text, file) in &texts {
        let found = match bundle::open(text, keys) {
            Ok(found) => found,
            Err(error) => {
                problems.push(problem(file, error.to_string()));
                continue;
            }
        };
        newest = newest.max(Some(found.version));
        match bundle::accept(&found, last, now) {
            Ok(()) if best.as_ref().is_none_or(|(best, _)| found.version >= best.version) => {
                best = Some((found, text));
            }
            Ok(()) => {}
            Err(NotAccepted::NotYet { at }) => {
                tracing::info!(version = found.version, at, "a policy bundle waits for its time");
            }
            Err(refused @ NotAccepted::Older { .. }) => left_over.push(problem(file, refused.to_string())),
            Err(refused) => problems.push(problem(file, refused.to_string())),
        }
    }
    // Beside the newest an older one is left over; alone it was put back.
    if newest < last.map(|last| last.version) {
        problems.extend(left_over);
    }
    let (bundle, text) = best?;
    if !note || last == Some(&Accepted::of(&bundle)) {
        return Some(bundle);
    }
    let new = Remembered { accepted: Accepted::of(&bundle), text: text.clone() };
    let written = serde_json::to_vec(&new).map_err(|error| error.to_string()).and_then(|bytes| {
        sallyport_platform::fs::write_private_atomic(&memory, &bytes, 0o600).map_err(|e| e.to_string())
    });
    match written {
        Ok(()) => Some(bundle),
        Err(error) => {
            // Without its version written down it could be rolled back: the earlier one stays.
            problems.push(problem(&memory, format!("the bundle could not be noted as accepted: {error}")));
            remembered.and_then(|remembered| bundle::open(&remembered.text, keys).ok())
        }
    }
}

/// Where a bundle from an address is kept.
pub(crate) fn fetched(paths: &Paths) -> PathBuf {
    paths.state_dir().join("policy.bundle.fetched")
}

/// Whether a bundle could come into force now, after those that did.
pub fn acceptable(paths: &Paths, bundle: &Bundle) -> Result<(), NotAccepted> {
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
    let remembered = remembered(paths);
    bundle::accept(bundle, remembered.as_ref().map(|remembered| &remembered.accepted), now)
}

fn remembered(paths: &Paths) -> Option<Remembered> {
    std::fs::read(memory(paths)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
}

fn memory(paths: &Paths) -> PathBuf {
    paths.state_dir().join("policy.bundle.accepted")
}

fn read(file: &Path, problems: &mut Vec<DocumentError>) -> Option<String> {
    let metadata = std::fs::metadata(file).ok()?;
    plain_file::text(file, &metadata, bundle::MAX_BUNDLE as u64, "policy bundle")
        .map_err(|wrong| problems.push(problem(file, wrong)))
        .ok()
}

fn problem(file: &Path, message: String) -> DocumentError {
    DocumentError {
        file: file.display().to_string(),
        line: 1,
        column: 1,
        message,
        hint: Some(
            "`sallyport policy bundle verify` says more; the bundle that was accepted last stays".into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use sallyport_policy::bundle::{BundledFile, PrivateKey};

    use super::*;

    fn signed(version: u64, key: &PrivateKey) -> String {
        let text =
            "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {name: x}\nspec: {opaque: block}\n";
        let documents = vec![BundledFile { file: "x.yaml".into(), text: text.into() }];
        Bundle { name: "house".into(), version, not_before: None, documents }.signed(key)
    }

    #[test]
    fn bundles_never_go_back_and_never_go_away() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::under(folder.path()).managed_at(&folder.path().join("etc"));
        paths.create_private_dirs().unwrap();
        std::fs::create_dir_all(paths.managed_dir()).unwrap();
        let key = PrivateKey::from_seed(&[1; 32]);
        let keys = [key.public()];
        let state = |keys: &[PublicKey]| {
            let mut problems = Vec::new();
            let version = in_force(&paths, keys, 0, true, &mut problems).map(|bundle| bundle.version);
            let said: Vec<_> = problems.into_iter().map(|problem| problem.message).collect();
            (version, said.join("; "))
        };
        assert_eq!(state(&keys), (None, String::new()));
        std::fs::write(paths.bundle_of_policies(), signed(4, &key)).unwrap();
        assert!(state(&[]).1.contains("does not trust"));
        assert_eq!(state(&keys), (Some(4), String::new()));
        std::fs::write(paths.managed_bundle_of_policies(), signed(7, &key)).unwrap();
        let (version, said) = state(&keys);
        assert_eq!(version, Some(7));
        assert_eq!(said, "", "an older one beside it was in force until now");
        std::fs::write(paths.managed_bundle_of_policies(), signed(6, &key)).unwrap();
        let (version, said) = state(&keys);
        assert_eq!(version, Some(7));
        assert!(said.contains("version 6, and version 7"), "{said}");
        std::fs::write(paths.managed_bundle_of_policies(), signed(9, &PrivateKey::from_seed(&[2; 32])))
            .unwrap();
        std::fs::remove_file(paths.bundle_of_policies()).unwrap();
        assert_eq!(state(&keys).0, Some(7));
        std::fs::remove_file(paths.managed_bundle_of_policies()).unwrap();
        assert_eq!(state(&keys), (Some(7), String::new()));
    }
}
