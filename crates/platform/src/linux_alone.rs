//! What is written for Linux alone, as the other systems have it: nothing.

/// Folders are read again from time to time.
#[derive(Debug)]
pub(crate) struct FolderWatch;

impl FolderWatch {
    pub(crate) fn begin() -> Option<FolderWatch> {
        None
    }

    pub(crate) fn add(&mut self, _: &std::path::Path) -> bool {
        false
    }

    pub(crate) fn wait(&mut self, _: u32) -> Vec<crate::folders::Change> {
        Vec::new()
    }
}

pub(crate) fn process_environment(_: u32) -> Option<crate::LockedBytes> {
    None
}
