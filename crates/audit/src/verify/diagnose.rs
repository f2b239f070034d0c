//! The chain breaks at a row: was it changed, inserted, moved, or is something gone before it? Slow and only
//! ever done once.

use rusqlite::{Connection, OptionalExtension, params};

use super::report::{Fault, FaultKind};
use super::walk::Link;
use crate::canonical::{Hash, row_hash, unhex};
use crate::checkpoint::Checkpoint;
use crate::facet::Seen;

/// What a row says about itself.
struct Claim {
    seq: u64,
    previous: Option<Hash>,
    /// Its hash if its own word about the row before is taken.
    hash: Option<Hash>,
    stored: Option<Hash>,
}

fn claim(connection: &Connection, place: u64) -> Result<Option<Claim>, rusqlite::Error> {
    let row: Option<(Option<Hash>, Option<String>)> = connection
        .query_row("SELECT hash, body FROM event WHERE seq = ?1", [place], |row| {
            Ok((row.get(0).ok(), row.get(1).ok()))
        })
        .optional()?;
    let Some((stored, Some(body))) = row else { return Ok(None) };
    Ok(serde_json::from_str::<Seen<'_>>(&body).ok().map(|seen| {
        let previous = unhex(&seen.prev_hash.0);
        Claim { seq: seen.seq, previous, hash: previous.map(|p| row_hash(&p, body.as_bytes())), stored }
    }))
}

/// `link` is the last good row, `place` the one after it, which doesn't follow.
pub(super) fn row(connection: &Connection, link: &Link, place: u64) -> Result<Fault, rusqlite::Error> {
    let fault = |seq, kind| Ok(Fault { seq, kind });
    let changed = Fault { seq: place, kind: FaultKind::Changed };
    let Some(row) = claim(connection, place)? else { return Ok(changed) };
    let next = claim(connection, place + 1)?;

    if row.seq == place {
        // In its place, but it refers to another row than the one before it.
        if row.previous == Some(link.hash) {
            return Ok(changed);
        }
        if next.as_ref().is_some_and(|next| next.seq == place) {
            return fault(place, FaultKind::Inserted);
        }
        if let Some(seq) = referred_to(connection, &row, link.seq)? {
            // It goes on from further back: all between was slipped in while it was written.
            return fault(seq + 1, FaultKind::Inserted);
        }
        let vouched = next.as_ref().is_none_or(|next| next.previous == row.hash);
        if row.stored == row.hash && vouched && link.before.is_some() {
            // It is intact by itself and its successor agrees: the row before it is another than it was.
            return fault(link.seq, FaultKind::Changed);
        }
        return Ok(changed);
    }
    if row.seq + 1 == place && row.previous.is_some() && row.previous == link.before {
        // It is the rightful successor of the row before last; the one between was slipped in.
        return fault(link.seq, FaultKind::Inserted);
    }
    let swapped_with_next = row.seq == place + 1 && next.as_ref().is_some_and(|next| next.seq == place);
    if swapped_with_next {
        return fault(place, FaultKind::Reordered);
    }
    if next.as_ref().is_some_and(|next| next.seq == place) {
        return fault(place, FaultKind::Inserted);
    }
    if elsewhere(connection, place)? {
        return fault(place, FaultKind::Reordered);
    }
    let moved_up = row.seq > place && next.as_ref().is_none_or(|next| next.seq == row.seq + 1);
    if moved_up {
        // Later rows took the numbers of those that are gone.
        return fault(place, FaultKind::Removed { last: row.seq - 1 });
    }
    Ok(changed)
}

/// The chain holds up to a checkpoint that says otherwise. If the row after it still refers to what was
/// signed, it is that one row; else the chain was recomputed from somewhere in `since` on.
pub(super) fn signed_row(
    connection: &Connection,
    checkpoint: &Checkpoint,
    since: u64,
) -> Result<Fault, rusqlite::Error> {
    let next = claim(connection, checkpoint.seq + 1)?;
    Ok(if next.is_some_and(|next| next.previous == Some(checkpoint.hash)) {
        Fault { seq: checkpoint.seq, kind: FaultKind::Changed }
    } else {
        Fault { seq: since, kind: FaultKind::Rehashed { signed_at: checkpoint.seq } }
    })
}

/// The earlier row that this one says it follows.
fn referred_to(connection: &Connection, row: &Claim, before: u64) -> Result<Option<u64>, rusqlite::Error> {
    let Some(previous) = row.previous else { return Ok(None) };
    connection.query_row(
        "SELECT max(seq) FROM event WHERE hash = ?1 AND seq < ?2",
        params![previous, before],
        |row| row.get(0),
    )
}

/// Whether another row says that it is the one that belongs here.
fn elsewhere(connection: &Connection, place: u64) -> Result<bool, rusqlite::Error> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM event WHERE json_valid(body) AND body ->> '$.seq' = ?1 AND seq <> ?1)",
        [place],
        |row| row.get(0),
    )
}
