//! Folders that are watched for changes, where the system tells of them.

use std::path::{Path, PathBuf};

/// What happened in a watched folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A file was written, came or went.
    File(PathBuf),
    /// A folder came. It is not watched yet.
    Folder(PathBuf),
    /// More happened than the system could tell.
    Lost,
}

/// Folders under watch. What lies below them is not, unless it is added.
#[derive(Debug)]
pub struct FolderWatch(crate::imp::FolderWatch);

impl FolderWatch {
    /// `None` where the system has no such watch, or gives none.
    pub fn begin() -> Option<FolderWatch> {
        crate::imp::FolderWatch::begin().map(FolderWatch)
    }

    /// Whether the folder is watched from now on. The system has a limit for all of a user's watches.
    pub fn add(&mut self, folder: &Path) -> bool {
        self.0.add(folder)
    }

    /// Blocks until something has happened, for so many seconds at most.
    pub fn wait(&mut self, seconds: u32) -> Vec<Change> {
        self.0.wait(seconds)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_by_path() {
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path();
        let mut watch = FolderWatch::begin().expect("a watch");
        assert!(watch.add(root));
        assert!(!watch.add(&root.join("missing")));
        assert_eq!(watch.wait(0), []);
        std::fs::write(root.join("a"), "x").expect("write");
        assert_eq!(watch.wait(10), [Change::File(root.join("a"))]);
        std::fs::create_dir(root.join("sub")).expect("folder");
        std::fs::write(root.join("sub/unseen"), "x").expect("write");
        assert_eq!(watch.wait(10), [Change::Folder(root.join("sub"))]);
        std::fs::rename(root.join("a"), root.join("b")).expect("rename");
        std::fs::remove_file(root.join("b")).expect("remove");
        let told = [root.join("a"), root.join("b"), root.join("b")].map(Change::File);
        assert_eq!(watch.wait(10), told);
    }
}
