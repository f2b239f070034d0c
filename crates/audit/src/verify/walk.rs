//! One thread's share of the rows: hash by hash, each held against its facet and the checkpoints about it.

use rusqlite::{Connection, OptionalExtension, Row};
use uuid::Uuid;

use super::diagnose;
use super::report::{Fault, FaultKind, RecordedDiscontinuity};
use crate::canonical::{Hash, row_hash, unhex};
use crate::checkpoint::Checkpoint;
use crate::event::action_types;
use crate::facet::{Facet, Seen, TEXT_COLUMNS, Text};
use crate::{PublicKey, Trouble};

pub(super) struct Range {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Facets go this far.
    pub(super) covered: u64,
    /// The row before the trail's first one.
    pub(super) anchor: (u64, Hash),
    pub(super) database: Uuid,
}

#[derive(Default)]
pub(super) struct Walked {
    pub(super) rows: u64,
    pub(super) checkpoints: u64,
    pub(super) faults: Vec<Fault>,
    pub(super) discontinuities: Vec<RecordedDiscontinuity>,
}

impl Walked {
    pub(super) fn join(&mut self, later: Walked) {
        self.rows += later.rows;
        self.checkpoints += later.checkpoints;
        self.faults.extend(later.faults);
        self.discontinuities.extend(later.discontinuities);
    }
}

/// The chain up to a row, as far as it has been checked.
#[derive(Clone, Copy)]
pub(super) struct Link {
    pub(super) seq: u64,
    pub(super) hash: Hash,
    /// The hash that the row itself referred to; `None` before the trail's first row.
    pub(super) before: Option<Hash>,
}

pub(super) fn walk(
    connection: &Connection,
    range: &Range,
    key: &PublicKey,
) -> Result<Walked, rusqlite::Error> {
    let mut walked = Walked::default();
    let mut link = before(connection, range)?;
    // Verified whether or not their row is still there.
    let checkpoints = Checkpoint::about(connection, range.from, range.to)?;
    for checkpoint in &checkpoints {
        walked.checkpoints += 1;
        if !checkpoint.is_signed_by(key, &range.database) {
            let kind = FaultKind::BadSignature { checkpoint: checkpoint.ordinal };
            walked.faults.push(Fault { seq: checkpoint.seq, kind });
        }
    }
    let mut pending = checkpoints.iter().peekable();
    let mut signed: u64 = connection.query_row(
        "SELECT coalesce(max(seq), ?2) FROM checkpoint WHERE seq < ?1",
        [range.from, range.anchor.0],
        |row| row.get(0),
    )?;

    let sql = format!(
        "SELECT e.seq, e.hash, e.body, f.seq, f.redactions, {TEXT_COLUMNS} \
         FROM event e LEFT JOIN facet f ON f.seq = e.seq WHERE e.seq BETWEEN ?1 AND ?2 ORDER BY e.seq"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([range.from, range.to])?;
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err(error) if Trouble::of(&error) == Trouble::Corrupt => {
                walked.faults.push(Fault { seq: link.seq + 1, kind: FaultKind::Damaged });
                return Ok(walked);
            }
            Err(error) => return Err(error),
        };
        walked.rows += 1;
        let expected = link.seq + 1;
        match check(row, &link, range.covered, &mut walked.discontinuities)? {
            Ok(next) => link = next,
            Err(suspicion) => {
                walked.faults.push(match suspicion {
                    Suspicion::Sure(fault) => fault,
                    Suspicion::Row(seq) if seq != expected => {
                        Fault { seq: expected, kind: FaultKind::Removed { last: seq - 1 } }
                    }
                    Suspicion::Row(seq) => diagnose::row(connection, &link, seq)?,
                });
                // What follows can't be judged by a broken chain, but signatures behind it must not accuse an
                // innocent row; the first fault is the one that is named.
                return Ok(walked);
            }
        }
        while let Some(checkpoint) = pending.next_if(|c| c.seq <= link.seq) {
            if checkpoint.seq == link.seq && checkpoint.hash != link.hash {
                walked.faults.push(diagnose::signed_row(connection, checkpoint, signed + 1)?);
                return Ok(walked);
            }
            signed = checkpoint.seq;
        }
    }
    if link.seq < range.to {
        walked.faults.push(Fault { seq: link.seq + 1, kind: FaultKind::Removed { last: range.to } });
    }
    Ok(walked)
}

/// The link that the range's first row has to continue.
fn before(connection: &Connection, range: &Range) -> Result<Link, rusqlite::Error> {
    if range.from <= range.anchor.0 + 1 {
        return Ok(Link { seq: range.anchor.0.min(range.from - 1), hash: range.anchor.1, before: None });
    }
    // Where that row is missing, the neighbour reports the gap; here the nearest one before it will do.
    let found: Option<(Hash, String)> = connection
        .query_row(
            "SELECT hash, body FROM event WHERE seq < ?1 ORDER BY seq DESC LIMIT 1",
            [range.from],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let claimed =
        |body: &str| serde_json::from_str::<Seen<'_>>(body).ok().and_then(|s| unhex(&s.prev_hash.0));
    let seq = range.from - 1;
    Ok(match found {
        Some((hash, body)) => Link { seq, hash, before: claimed(&body) },
        None => Link { seq, hash: range.anchor.1, before: None },
    })
}

enum Suspicion {
    Sure(Fault),
    /// Something is wrong at or before this row; see `diagnose`.
    Row(u64),
}

fn check(
    row: &Row<'_>,
    link: &Link,
    covered: u64,
    discontinuities: &mut Vec<RecordedDiscontinuity>,
) -> Result<Result<Link, Suspicion>, rusqlite::Error> {
    let seq: u64 = row.get(0)?;
    let changed = || Ok(Err(Suspicion::Row(seq)));
    if seq != link.seq + 1 {
        return changed();
    }
    // Values of another type are tampering, too.
    let (Ok(stored), Ok(body)) = (row.get::<_, Hash>(1), row.get_ref(2)?.as_str()) else { return changed() };
    let Ok(seen) = serde_json::from_str::<Seen<'_>>(body) else { return changed() };
    let claimed = unhex::<32>(&seen.prev_hash.0);
    if seen.seq != seq || claimed != Some(link.hash) || row_hash(&link.hash, body.as_bytes()) != stored {
        return changed();
    }
    if !facet_agrees(row, seq, &seen, covered)? {
        return Ok(Err(Suspicion::Sure(Fault { seq, kind: FaultKind::IndexAltered })));
    }
    discontinuities.extend(discontinuity(seq, &seen));
    Ok(Ok(Link { seq, hash: stored, before: Some(link.hash) }))
}

fn discontinuity(seq: u64, seen: &Seen<'_>) -> Option<RecordedDiscontinuity> {
    let action = seen.actions.first().filter(|a| a.action_type.0 == action_types::DISCONTINUITY)?;
    let text = |text: Option<&Text<'_>>| text.map(|t| t.0.to_string()).unwrap_or_default();
    let (code, message) = (text(action.outcome.as_ref()), text(action.target.as_ref()));
    Some(RecordedDiscontinuity { seq, code, message })
}

/// All that the trail recorded about itself, wherever the chain is broken.
pub(super) fn recorded(connection: &Connection) -> Result<Vec<RecordedDiscontinuity>, rusqlite::Error> {
    let pattern = format!("%\"{}\"%", action_types::DISCONTINUITY);
    let mut statement = connection.prepare("SELECT seq, body FROM event WHERE body LIKE ?1 ORDER BY seq")?;
    let mut rows = statement.query([pattern])?;
    let mut found = Vec::new();
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                let seq = row.get(0)?;
                let body = row.get_ref(1)?.as_str().unwrap_or_default();
                found.extend(
                    serde_json::from_str::<Seen<'_>>(body).ok().and_then(|seen| discontinuity(seq, &seen)),
                );
            }
            Ok(None) => return Ok(found),
            // A damaged page: the fault says so.
            Err(error) if Trouble::of(&error) == Trouble::Corrupt => return Ok(found),
            Err(error) => return Err(error),
        }
    }
}

/// Column 3 is the facet's own row number, 4 its redactions, then its texts.
fn facet_agrees(row: &Row<'_>, seq: u64, seen: &Seen<'_>, covered: u64) -> Result<bool, rusqlite::Error> {
    if seq > covered {
        return Ok(true);
    }
    if row.get_ref(3)?.as_i64_or_null().ok().flatten().is_none() {
        return Ok(false);
    }
    let facet = Facet::of(seen);
    if row.get_ref(4)?.as_i64().ok() != i64::try_from(facet.redactions).ok() {
        return Ok(false);
    }
    for (column, text) in (5..).zip(facet.texts) {
        if row.get_ref(column)?.as_str_or_null().ok() != Some(text) {
            return Ok(false);
        }
    }
    Ok(true)
}
