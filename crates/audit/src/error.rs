//! What can go wrong with the trail, by what was tried and by what ails it.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::KeyStoreError;

/// Why the trail can't be written or read; what faces match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    #[error("the disk is full")]
    DiskFull,
    #[error("another program holds the audit file locked")]
    Locked,
    #[error("the audit file is damaged")]
    Corrupt,
    #[error("the audit file can't be written to")]
    ReadOnly,
    #[error("reading or writing the audit file failed")]
    Io,
    #[error("more events wait than the queue holds")]
    QueueFull,
    #[error("the trail is closed")]
    Closed,
    #[error("the event could not be stored")]
    Other,
}

impl Trouble {
    pub(crate) fn of(error: &rusqlite::Error) -> Trouble {
        let rusqlite::Error::SqliteFailure(failure, _) = error else { return Trouble::Other };
        match failure.code {
            ErrorCode::DiskFull => Trouble::DiskFull,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Trouble::Locked,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Trouble::Corrupt,
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => Trouble::ReadOnly,
            ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed => Trouble::Io,
            _ => Trouble::Other,
        }
    }
}

/// An event did not get into the trail. Cheap to clone: one failed commit answers a whole batch.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the event was not recorded: {trouble}")]
pub struct AppendError {
    pub trouble: Trouble,
    #[source]
    pub(crate) source: Option<Arc<rusqlite::Error>>,
}

impl AppendError {
    pub(crate) fn bare(trouble: Trouble) -> AppendError {
        AppendError { trouble, source: None }
    }
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    #[error("could not {action} {path}")]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("another engine writes to the trail at {path}")]
    InUse { path: PathBuf },
    #[error("could not {action} the trail: {}", Trouble::of(source))]
    Database {
        action: &'static str,
        #[source]
        source: rusqlite::Error,
    },
    #[error("the trail at {path} is not one that this version can write: {problem}")]
    Foreign { path: PathBuf, problem: String },
    #[error("row {seq} of the trail can't be read as an event")]
    Row {
        seq: u64,
        #[source]
        source: serde_json::Error,
    },
    #[error("the content kept for row {seq} is not what was recorded, or its key is another one")]
    Content { seq: u64 },
    #[error("could not {action} a key of the trail")]
    KeyStore {
        action: &'static str,
        #[source]
        source: KeyStoreError,
    },
    #[error("could not draw random bytes from the operating system")]
    Random(#[source] getrandom::Error),
    #[error("could not start the thread that writes the trail")]
    Thread(#[source] std::io::Error),
    #[error("could not write the exported events")]
    Export(#[source] std::io::Error),
    #[error("the reading task ended early")]
    Interrupted,
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl AuditError {
    /// What ails the file, where that is known.
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            AuditError::Database { source, .. } => Some(Trouble::of(source)),
            AuditError::InUse { .. } => Some(Trouble::Locked),
            AuditError::Append(error) => Some(error.trouble),
            AuditError::File { source, .. } => Some(match source.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Trouble::DiskFull,
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    Trouble::ReadOnly
                }
                _ => Trouble::Io,
            }),
            _ => None,
        }
    }
}

/// Names what was tried on the database.
pub(crate) trait Tried<T> {
    fn tried(self, action: &'static str) -> Result<T, AuditError>;
}

impl<T> Tried<T> for Result<T, rusqlite::Error> {
    fn tried(self, action: &'static str) -> Result<T, AuditError> {
        self.map_err(|source| AuditError::Database { action, source })
    }
}
