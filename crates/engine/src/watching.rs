//! Watches the folders in which secrets are kept: a file that is written there is read at once instead of minutes later.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use sallyport_platform::Paths;
use sallyport_platform::folders::{Change, FolderWatch};
use sallyport_policy::config::SecretsConfig;
use sallyport_secrets::workspace::{self, Standing};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;

/// Editors and scripts write a file in several goes.
const SETTLES: Duration = Duration::from_millis(300);
/// Between two loads that changes ask for.
const REST: Duration = Duration::from_secs(2);
/// The clock of files goes in steps.
const TICK: Duration = Duration::from_millis(20);
/// The system's own limit is for all programs of a user.
const MAX_FOLDERS: usize = 16_384;
/// How soon a watch that nobody wants any more ends, in seconds.
const LOOKS_UP: u32 = 60;

/// Asks for a load when one of the files changes that secrets are read from, until `stop`.
pub(crate) async fn keep_watch(engine: Arc<Engine>, stop: CancellationToken) {
    let mut loads = engine.loads.subscribe();
    let changed = Arc::new(Notify::new());
    let mut current: Option<(Watched, Arc<()>)> = None;
    // What was written since may have been read before it was written.
    let mut since = SystemTime::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            loaded = loads.changed() => {
                let wanted = Watched::of(&engine.policy().snapshot.secrets_config(), &engine.paths);
                if loaded.is_ok() && current.as_ref().is_none_or(|(watched, _)| *watched != wanted) {
                    // The one before ends when nobody holds this any more.
                    let alive = Arc::new(());
                    start(wanted.clone(), since, changed.clone(), Arc::downgrade(&alive));
                    current = Some((wanted, alive));
                }
                since = SystemTime::now();
            }
            () = changed.notified() => {
                tokio::time::sleep(SETTLES).await;
                engine.reload.notify_one();
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// What is watched.
#[derive(Clone, PartialEq)]
struct Watched {
    workspaces: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Watched {
    fn of(config: &SecretsConfig, paths: &Paths) -> Watched {
        let all = |configured: &[PathBuf]| configured.iter().map(|path| paths.expand(path)).collect();
        Watched { workspaces: all(&config.workspaces), files: all(&config.files) }
    }

    fn holds(&self, path: &Path) -> bool {
        self.files.iter().any(|file| file == path)
            || self.workspaces.iter().any(|root| workspace::is_read(root, path))
    }

    /// Watches a new folder and all below it. Whether a file that is read stands there already and was written `since`.
    fn add(
        &self,
        watch: &mut FolderWatch,
        folder: &Path,
        since: Option<SystemTime>,
        room: &mut usize,
    ) -> bool {
        let mut found = false;
        for root in self.workspaces.iter().filter(|root| folder.starts_with(root)) {
            for one in workspace::standing(root, folder) {
                match one {
                    Standing::Source(file) => found |= is_written_since(&file, since),
                    Standing::Folder(_) if *room == 0 => return found,
                    Standing::Folder(folder) => *room -= usize::from(watch.add(&folder)),
                }
            }
        }
        found
    }
}

fn is_written_since(file: &Path, since: Option<SystemTime>) -> bool {
    let Some(since) = since else { return true };
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).is_ok_and(|at| at + TICK >= since)
}

/// A thread of its own, since it waits for nothing but the system.
fn start(watched: Watched, since: SystemTime, changed: Arc<Notify>, alive: Weak<()>) {
    if watched.workspaces.is_empty() && watched.files.is_empty() {
        return;
    }
    let Some(mut watch) = FolderWatch::begin() else { return };
    let run = move || {
        let mut room = MAX_FOLDERS;
        let mut news = false;
        for root in &watched.workspaces {
            news |= watched.add(&mut watch, root, Some(since), &mut room);
        }
        for file in &watched.files {
            if let Some(folder) = file.parent() {
                watch.add(folder);
            }
            news |= is_written_since(file, Some(since));
        }
        if news {
            changed.notify_one();
        }
        while alive.strong_count() > 0 {
            let mut news = false;
            for change in watch.wait(LOOKS_UP) {
                news |= match &change {
                    Change::File(path) => watched.holds(path),
                    Change::Folder(folder) => watched.add(&mut watch, folder, None, &mut room),
                    Change::Lost => true,
                };
            }
            if news {
                changed.notify_one();
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("folders".into()).spawn(run) {
        tracing::warn!(%error, "folders with secrets are not watched, only read from time to time");
    }
}
