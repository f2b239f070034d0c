//! What verification found, in words for people and kinds for programs.

use std::fmt;
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// Rows that were read.
    pub rows: u64,
    /// 0 for an empty trail.
    pub first_seq: u64,
    pub last_seq: u64,
    /// Signed checkpoints that were checked.
    pub checkpoints: u64,
    /// Rows up to this one were removed by retention, as a signed record says.
    pub purged_to: u64,
    /// Rows behind the newest signature of the head; normal while an engine runs and after a crash.
    pub ahead_of_head: u64,
    /// The first thing that is wrong.
    pub fault: Option<Fault>,
    /// What the trail itself recorded when it was opened and did not continue.
    pub discontinuities: Vec<RecordedDiscontinuity>,
}

impl VerifyReport {
    /// Nothing is wrong now, and nothing was found wrong at an earlier opening.
    pub fn is_whole(&self) -> bool {
        self.fault.is_none() && self.discontinuities.is_empty()
    }

    pub(super) fn damaged() -> VerifyReport {
        VerifyReport {
            rows: 0,
            first_seq: 0,
            last_seq: 0,
            checkpoints: 0,
            purged_to: 0,
            ahead_of_head: 0,
            fault: Some(Fault { seq: 0, kind: FaultKind::Damaged }),
            discontinuities: Vec::new(),
        }
    }
}

/// The first bad row, or 0 where the file as a whole is bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub seq: u64,
    pub kind: FaultKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    Changed,
    Removed { last: u64 },
    Inserted,
    Reordered,
    TailCut { head_seq: u64 },
    OlderCopy { head_seq: u64 },
    Rehashed { signed_at: u64 },
    AddedWhileClosed,
    BadSignature { checkpoint: u64 },
    CheckpointRemoved { ordinal: u64 },
    BadPurgeRecord { number: u64 },
    HeadMissing,
    HeadUnsigned,
    OtherDatabase,
    IndexAltered,
    SchemaAltered { object: String },
    Damaged,
}

impl FaultKind {
    /// A stable word for `--json`.
    pub fn code(&self) -> &'static str {
        match self {
            FaultKind::Changed => "changed",
            FaultKind::Removed { .. } => "removed",
            FaultKind::Inserted => "inserted",
            FaultKind::Reordered => "reordered",
            FaultKind::TailCut { .. } => "tail_cut",
            FaultKind::OlderCopy { .. } => "older_copy",
            FaultKind::Rehashed { .. } => "rehashed",
            FaultKind::AddedWhileClosed => "added_while_closed",
            FaultKind::BadSignature { .. } => "bad_signature",
            FaultKind::CheckpointRemoved { .. } => "checkpoint_removed",
            FaultKind::BadPurgeRecord { .. } => "bad_purge_record",
            FaultKind::HeadMissing => "head_missing",
            FaultKind::HeadUnsigned => "head_unsigned",
            FaultKind::OtherDatabase => "other_database",
            FaultKind::IndexAltered => "index_altered",
            FaultKind::SchemaAltered { .. } => "schema_altered",
            FaultKind::Damaged => "damaged",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seq = self.seq;
        match &self.kind {
            FaultKind::Changed => write!(f, "row {seq} was changed"),
            FaultKind::Removed { last } if *last == seq => write!(f, "row {seq} was removed"),
            FaultKind::Removed { last } => write!(f, "rows {seq} to {last} were removed"),
            FaultKind::Inserted => write!(f, "row {seq} was inserted"),
            FaultKind::Reordered => write!(f, "row {seq} is not in its place: rows were reordered"),
            FaultKind::TailCut { head_seq } => write!(f, "rows {seq} to {head_seq} were cut off at the end"),
            FaultKind::OlderCopy { head_seq } => {
                write!(
                    f,
                    "the file is an older copy: rows {seq} to {head_seq}, which its head knows, are missing"
                )
            }
            FaultKind::Rehashed { signed_at } => write!(
                f,
                "a row from {seq} on was changed and the chain recomputed: row {signed_at} is not the one that was \
                 signed"
            ),
            FaultKind::AddedWhileClosed => {
                write!(f, "row {seq} was inserted at the end while no engine ran")
            }
            FaultKind::BadSignature { checkpoint } => {
                write!(f, "checkpoint {checkpoint} for row {seq} bears no signature of the pinned key")
            }
            FaultKind::CheckpointRemoved { ordinal } => {
                write!(f, "checkpoint {ordinal}, which covers row {seq}, was removed")
            }
            FaultKind::BadPurgeRecord { number } => {
                write!(f, "the record of purge {number}, which stands for row {seq} on, is forged")
            }
            FaultKind::HeadMissing => {
                write!(f, "the head's file is missing: whether rows from {seq} on were cut off can't be told")
            }
            FaultKind::HeadUnsigned => write!(
                f,
                "the head's file bears no signature of the pinned key: whether rows from {seq} on were cut off \
                 can't be told"
            ),
            FaultKind::OtherDatabase => write!(f, "the file is not the trail that the head belongs to"),
            FaultKind::IndexAltered => {
                write!(
                    f,
                    "the search index was changed at row {seq}, so that queries don't show the row as it is"
                )
            }
            FaultKind::SchemaAltered { object } => {
                write!(f, "the file's structure was changed: {object} is not as it was made")
            }
            FaultKind::Damaged => write!(f, "the file is damaged and can't be read from row {seq} on"),
        }
    }
}

/// An earlier finding, recorded as row `seq`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedDiscontinuity {
    pub seq: u64,
    pub code: String,
    pub message: String,
}

/// The trail could not be checked at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    #[error("could not read the trail's head at {path}")]
    Head {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("could not read the trail: {}", crate::Trouble::of(_0))]
    Database(#[source] rusqlite::Error),
    #[error("the trail kept changing while it was read (a purge, a restart): try again")]
    Changing,
}
