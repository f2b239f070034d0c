//! Retention: old rows go from the front, and a signed record of the last one that went stands in for them.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::canonical::{Draft, Hash, row_hash, text};
use crate::error::Tried;
use crate::event::action_types;
use crate::facet::Seen;
use crate::keys::{PublicKey, Signing};
use crate::queue::Purge;
use crate::writer::Writer;
use crate::{Action, Actor, AuditError, Event, segment};

/// Rows of one transaction: short enough not to hold up those who record.
const CHUNK: u64 = 4096;

/// What a purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PurgeReport {
    pub rows: u64,
    /// The last row that went; 0 if none did.
    pub last_seq: u64,
}

/// "Rows `first_seq..=last_seq` were removed; the last one had this hash." Verification starts from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PurgeRecord {
    pub(crate) number: u64,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    pub(crate) last_hash: Hash,
    pub(crate) last_checkpoint: u64,
    pub(crate) time: i64,
    pub(crate) signature: [u8; 64],
}

impl PurgeRecord {
    fn signed(mut self, signing: &Signing, database: &Uuid) -> PurgeRecord {
        self.signature = signing.sign(&self.message(database));
        self
    }

    pub(crate) fn is_signed_by(&self, key: &PublicKey, database: &Uuid) -> bool {
        key.verifies(&self.message(database), &self.signature)
    }

    fn message(&self, database: &Uuid) -> Vec<u8> {
        let mut message = b"sallyport audit purge 1\0".to_vec();
        message.extend_from_slice(database.as_bytes());
        for number in [self.number, self.first_seq, self.last_seq, self.last_checkpoint] {
            message.extend_from_slice(&number.to_be_bytes());
        }
        message.extend_from_slice(&self.last_hash);
        message.extend_from_slice(&self.time.to_be_bytes());
        message
    }

    fn insert(&self, connection: &Connection) -> Result<(), rusqlite::Error> {
        connection.execute(
            "INSERT INTO purge VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                self.number,
                self.first_seq,
                self.last_seq,
                self.last_hash,
                self.last_checkpoint,
                self.time,
                self.signature
            ],
        )?;
        Ok(())
    }

    pub(crate) fn all(connection: &Connection) -> Result<Vec<PurgeRecord>, rusqlite::Error> {
        connection
            .prepare("SELECT * FROM purge ORDER BY number")?
            .query_map([], PurgeRecord::from_row)?
            .collect()
    }

    fn from_row(row: &Row<'_>) -> Result<PurgeRecord, rusqlite::Error> {
        Ok(PurgeRecord {
            number: row.get("number")?,
            first_seq: row.get("first_seq")?,
            last_seq: row.get("last_seq")?,
            last_hash: row.get("last_hash")?,
            last_checkpoint: row.get("last_checkpoint")?,
            time: row.get("time")?,
            signature: row.get("signature")?,
        })
    }
}

/// Purges that were asked for and are worked off in chunks between commits.
#[derive(Default)]
pub(crate) struct PurgeInProgress {
    asked: Option<(Timestamp, Actor)>,
    /// The trail's end when work began: a purge does not run after its own records.
    end: Option<u64>,
    replies: Vec<oneshot::Sender<Result<PurgeReport, AuditError>>>,
    report: PurgeReport,
}

impl PurgeInProgress {
    pub(crate) fn add(&mut self, purge: Purge) {
        self.replies.push(purge.reply);
        self.end = None;
        match &mut self.asked {
            Some((older_than, _)) => *older_than = purge.older_than.max(*older_than),
            None => self.asked = Some((purge.older_than, purge.by)),
        }
    }

    /// Removes one chunk; `true` when nothing old is left.
    pub(crate) fn chunk(&mut self, writer: &mut Writer) -> Result<bool, AuditError> {
        let Some((older_than, by)) = &self.asked else { return Ok(true) };
        let end = *self.end.get_or_insert(writer.chain.seq);
        let Some(range) = old_rows(&writer.connection, *older_than, end).tried("read")? else {
            if self.report.rows > 0 {
                let give_back = writer.connection.execute_batch("PRAGMA incremental_vacuum");
                give_back.tried("shrink")?;
            }
            return Ok(true);
        };
        let mut chain = writer.chain.clone();
        let rows = writer
            .transaction(|writer| {
                let record = record(&writer.connection, &range)?.signed(&writer.signing, &chain.database);
                record.insert(&writer.connection)?;
                for sql in [
                    "DELETE FROM event WHERE seq <= ?1",
                    "DELETE FROM facet WHERE seq <= ?1",
                    "DELETE FROM content WHERE seq <= ?1",
                    "DELETE FROM checkpoint WHERE seq <= ?1",
                ] {
                    writer.connection.execute(sql, [range.last_seq])?;
                }
                segment::forget_to(&writer.connection, range.last_seq)?;
                let seq = chain.seq + 1;
                let event = purge_event(&record, by.clone());
                let draft =
                    Draft::of(&event).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
                let mut body = Vec::new();
                draft.place(seq, &chain.hash, &mut body);
                let hash = row_hash(&chain.hash, &body);
                writer
                    .connection
                    .execute("INSERT INTO event VALUES (?1, ?2, ?3)", params![seq, hash, text(&body)])?;
                (chain.seq, chain.hash) = (seq, hash);
                chain.covered = chain.covered.max(range.last_seq);
                Ok(range.rows)
            })
            .tried("remove old rows from")?;
        writer.moved_to(chain);
        self.report.rows += rows;
        self.report.last_seq = range.last_seq;
        Ok(false)
    }

    pub(crate) fn done(self) {
        for reply in self.replies {
            // Nobody has to be interested.
            let _ = reply.send(Ok(self.report));
        }
    }

    pub(crate) fn failed(self, error: AuditError) {
        let mut replies = self.replies.into_iter();
        if let Some(first) = replies.next() {
            let _ = first.send(Err(error));
        }
        // The others learn that it ended without them.
    }
}

struct OldRows {
    first_seq: u64,
    last_seq: u64,
    rows: u64,
}

/// The next chunk of the unbroken run of old rows at the front. A row that looks old behind a newer one (a
/// clock that jumped) stays until its turn.
fn old_rows(
    connection: &Connection,
    older_than: Timestamp,
    end: u64,
) -> Result<Option<OldRows>, rusqlite::Error> {
    let limit = format!("{older_than:.6}");
    let mut statement =
        connection.prepare_cached("SELECT seq, body FROM event WHERE seq <= ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query([end, CHUNK])?;
    let mut old: Vec<u64> = Vec::new();
    while let Some(row) = rows.next()? {
        let is_old = serde_json::from_str::<Seen<'_>>(row.get_ref(1)?.as_str()?)
            .is_ok_and(|seen| *seen.timestamp.0 < *limit);
        if !is_old {
            break;
        }
        old.push(row.get(0)?);
    }
    // The last row stays: the chain goes on from it.
    let newest: Option<u64> = connection.query_row("SELECT max(seq) FROM event", [], |row| row.get(0))?;
    if old.last().copied() == newest {
        old.pop();
    }
    Ok(match (old.first(), old.last()) {
        (Some(&first_seq), Some(&last_seq)) => Some(OldRows { first_seq, last_seq, rows: old.len() as u64 }),
        _ => None,
    })
}

fn record(connection: &Connection, range: &OldRows) -> Result<PurgeRecord, rusqlite::Error> {
    let (number, last_checkpoint): (u64, u64) = connection.query_row(
        "SELECT (SELECT coalesce(max(number), 0) + 1 FROM purge), \
                coalesce((SELECT max(ordinal) FROM checkpoint WHERE seq <= ?1), \
                         (SELECT max(last_checkpoint) FROM purge), 0)",
        [range.last_seq],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let last_hash =
        connection.query_row("SELECT hash FROM event WHERE seq = ?1", [range.last_seq], |row| row.get(0))?;
    Ok(PurgeRecord {
        number,
        first_seq: range.first_seq,
        last_seq: range.last_seq,
        last_hash,
        last_checkpoint,
        time: crate::head::now(),
        signature: [0; 64],
    })
}

fn purge_event(record: &PurgeRecord, by: Actor) -> Event {
    let action = Action {
        action_type: action_types::PURGE.into(),
        outcome: Some("removed".into()),
        requires_review: Some(false),
        target: Some(format!("rows {} to {}", record.first_seq, record.last_seq)),
    };
    Event::control(Timestamp::now(), by, action)
}
