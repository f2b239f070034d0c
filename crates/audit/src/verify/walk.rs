//! One thread's share of the rows: hash by hash, each held against its facet and the checkpoints about it.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, Rows};
use uuid::Uuid;

use super::diagnose;
use super::report::{Fault, FaultKind, RecordedDiscontinuity};
use crate::canonical::{Hash, is_hex_of, row_hash, unhex};
use crate::checkpoint::Checkpoint;
use crate::event::action_types;
use crate::facet::{Facet, Seen, TEXT_COLUMNS, Text};
use crate::segment::{self, Builder, Encoded};
use crate::{PublicKey, Trouble, schema};

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

    let mut statement =
        connection.prepare("SELECT seq, hash, body FROM event WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq")?;
    let mut rows = statement.query([range.from, range.to])?;
    // Two cursors side by side: cheaper than a join, which looks each facet up.
    let sql =
        format!("SELECT seq, redactions, {TEXT_COLUMNS} FROM facet WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq");
    let mut facets = connection.prepare(&sql)?;
    let mut facets = facets.query([range.from, range.to.min(range.covered)])?;
    let mut index = Index::new(connection)?;
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
        match check(row, &link)? {
            Ok((next, seen)) => {
                if next.seq <= range.covered && !facet_agrees(&mut facets, next.seq, &seen)? {
                    walked.faults.push(Fault { seq: next.seq, kind: FaultKind::IndexAltered });
                    return Ok(walked);
                }
                if let Some(seq) = index.altered_before(next.seq, Some(&seen))? {
                    walked.faults.push(Fault { seq, kind: FaultKind::IndexAltered });
                    return Ok(walked);
                }
                walked.discontinuities.extend(discontinuity(next.seq, &seen));
                link = next;
            }
            Err(seq) => {
                walked.faults.push(if seq == expected {
                    diagnose::row(connection, &link, seq)?
                } else {
                    Fault { seq: expected, kind: FaultKind::Removed { last: seq - 1 } }
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
    if let Some(seq) = index.altered_before(range.to + 1, None)? {
        walked.faults.push(Fault { seq, kind: FaultKind::IndexAltered });
    }
    if link.seq < range.to {
        walked.faults.push(Fault { seq: link.seq + 1, kind: FaultKind::Removed { last: range.to } });
    }
    Ok(walked)
}

/// The segments of the rows that were walked, built anew beside the stored ones.
struct Index<'c> {
    connection: &'c Connection,
    is_there: bool,
    segment: Option<Builder>,
}

impl<'c> Index<'c> {
    fn new(connection: &'c Connection) -> Result<Index<'c>, rusqlite::Error> {
        let is_there = schema::version_of(connection)? >= schema::WITH_SEGMENTS;
        Ok(Index { connection, is_there, segment: None })
    }

    /// Takes the next row, `None` at the end; gives the first row of a segment that ended before it and is
    /// stored as something else.
    fn altered_before(&mut self, seq: u64, seen: Option<&Seen<'_>>) -> Result<Option<u64>, rusqlite::Error> {
        if !self.is_there {
            return Ok(None);
        }
        let number = segment::number_of(seq);
        let ended = self.segment.take_if(|builder| seen.is_none() || builder.number != number);
        if let Some(seen) = seen {
            self.segment.get_or_insert_with(|| Builder::new(number)).add(seq, seen);
        }
        let Some(built) = ended else { return Ok(None) };
        let first = segment::first_seq(built.number).max(1);
        let stored = Encoded::read(self.connection, built.number)?;
        Ok(stored.is_some_and(|stored| stored != built.encode()).then_some(first))
    }
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

/// The row and what it says, if it continues the chain; else its number, for `diagnose`.
fn check<'r>(row: &'r Row<'_>, link: &Link) -> Result<Result<(Link, Seen<'r>), u64>, rusqlite::Error> {
    let seq: u64 = row.get(0)?;
    if seq != link.seq + 1 {
        return Ok(Err(seq));
    }
    // Values of another type are tampering, too.
    let (Ok(stored), Ok(body)) = (row.get::<_, Hash>(1), row.get_ref(2)?.as_str()) else {
        return Ok(Err(seq));
    };
    let Ok(seen) = serde_json::from_str::<Seen<'_>>(body) else { return Ok(Err(seq)) };
    let follows = seen.seq == seq && is_hex_of(&seen.prev_hash.0, &link.hash);
    if !follows || row_hash(&link.hash, body.as_bytes()) != stored {
        return Ok(Err(seq));
    }
    Ok(Ok((Link { seq, hash: stored, before: Some(link.hash) }, seen)))
}

/// Column 0 is the row's number, 1 its redactions, then come its texts.
fn facet_agrees(facets: &mut Rows<'_>, seq: u64, seen: &Seen<'_>) -> Result<bool, rusqlite::Error> {
    let Some(row) = facets.next()? else { return Ok(false) };
    let facet = Facet::of(seen);
    let number = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_i64().ok());
    if number(0)? != i64::try_from(seq).ok() || number(1)? != i64::try_from(facet.redactions).ok() {
        return Ok(false);
    }
    for (column, text) in (2..).zip(facet.texts) {
        let same = match (row.get_ref(column)?, text) {
            (ValueRef::Null, None) => true,
            (ValueRef::Text(stored), Some(text)) => stored == text.as_bytes(),
            _ => false,
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
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
