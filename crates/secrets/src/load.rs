//! All configured sources at once.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::Pin;

use futures_util::future::join_all;
use sallyport_platform::Paths;
use sallyport_policy::config::SecretsConfig;

use crate::report::{ProblemCode, SourceError, SourceId, SourceKind, SourceReport};
use crate::{Judge, files, keychain, vault, well_known, workspace};

type Loading<'a> = Pin<Box<dyn Future<Output = SourceReport> + Send + 'a>>;

/// Reads every source that `config` names, side by side. One report for each, in the order of the configuration; a
/// source that fails says so in its report and does not hold up the others. Runs on a Tokio runtime with time and
/// I/O enabled.
pub async fn load(config: &SecretsConfig, paths: &Paths, judge: Judge) -> Vec<SourceReport> {
    let mut sources: Vec<Loading<'_>> = Vec::new();
    if config.keychain {
        sources.push(blocking(SourceKind::Keychain, String::new(), move || keychain::load(judge)));
    }
    for vault in &config.vaults {
        sources.push(Box::pin(vault::load(vault, paths, judge)));
    }
    for path in distinct(&config.files, paths) {
        let place = path.display().to_string();
        sources.push(blocking(SourceKind::File, place, move || files::load(&path, judge)));
    }
    for root in distinct(&config.workspaces, paths) {
        let place = root.display().to_string();
        sources.push(blocking(SourceKind::Workspace, place, move || workspace::load(&root, judge)));
    }
    if config.well_known_files {
        let home = paths.user_home().to_owned();
        sources.push(blocking(SourceKind::WellKnown, String::new(), move || well_known::load(&home, judge)));
    }
    join_all(sources).await
}

/// Paths as configured, made absolute; one that is named twice is read once.
fn distinct(configured: &[PathBuf], paths: &Paths) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    configured.iter().map(|p| paths.expand(p)).filter(|p| seen.insert(p.clone())).collect()
}

fn blocking(
    kind: SourceKind,
    place: String,
    read: impl FnOnce() -> SourceReport + Send + 'static,
) -> Loading<'static> {
    Box::pin(async move {
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| SourceReport {
            dated: Vec::new(),
            id: SourceId::new(kind, &place),
            kind,
            location: place,
            result: Err(SourceError::new(
                ProblemCode::Internal,
                "Reading this source failed by a defect of Sallyport.",
                "Report it with the log; the other sources are in force.",
            )),
            skipped_short: 0,
            warnings: Vec::new(),
        })
    })
}
