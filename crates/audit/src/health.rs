//! How the trail is doing, for the engine's health items.

use jiff::Timestamp;

use crate::Trouble;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TrailHealth {
    #[default]
    Writing,
    /// Nothing can be recorded at the moment; the trail tries again by itself.
    Failing {
        trouble: Trouble,
        since: Timestamp,
        /// Events whose receipts said no.
        refused: u64,
        /// Events that are kept in memory and will be recorded once that is possible.
        held: u64,
    },
    Closed,
}

impl TrailHealth {
    pub fn is_writing(&self) -> bool {
        matches!(self, TrailHealth::Writing)
    }
}
