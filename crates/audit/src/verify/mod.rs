//! Proof that a trail is whole: every row hashes to its place, every signature holds, the end is where the
//! head says. Reads only, and may run beside the engine. It trusts nothing in the database but what the pinned
//! key signed.

mod diagnose;
mod report;
mod walk;

use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use uuid::Uuid;

use crate::canonical::{Hash, genesis};
use crate::checkpoint::Checkpoint;
use crate::head::{self, Head, HeadState};
use crate::opening::{KEY_CHANGED, identity};
use crate::purge::PurgeRecord;
use crate::{PublicKey, Trouble, facet, schema, segment};

pub use report::{Fault, FaultKind, RecordedDiscontinuity, VerifyError, VerifyReport};

/// Below this a second thread costs more than it brings.
const ROWS_PER_THREAD: u64 = 4096;
const THREADS: u64 = 8;
/// How often a purge or a reopening in the middle of a run is waited out.
const ATTEMPTS: u32 = 5;

/// Checks the whole trail against its head and the pinned public key.
pub fn verify(database: &Path, head: &Path, key: &PublicKey) -> Result<VerifyReport, VerifyError> {
    for attempt in 1.. {
        match attempt_verify(database, head, key)? {
            Some(report) => return Ok(report),
            None if attempt == ATTEMPTS => break,
            None => thread::sleep(Duration::from_millis(20)),
        }
    }
    Err(VerifyError::Changing)
}

/// `None` if what was read doesn't belong to one moment.
fn attempt_verify(
    database: &Path,
    head_path: &Path,
    key: &PublicKey,
) -> Result<Option<VerifyReport>, VerifyError> {
    // The head first: it may fall behind what is read after it, never get ahead of it.
    let read_head = || {
        head::read(head_path, key).map_err(|source| VerifyError::Head { path: head_path.to_owned(), source })
    };
    let head = read_head()?;
    let whole_file = |error: rusqlite::Error| match Trouble::of(&error) {
        Trouble::Corrupt => Ok(Some(VerifyReport::damaged())),
        _ => Err(VerifyError::Database(error)),
    };
    let (connection, bounds) = match snapshot(database).and_then(|c| Bounds::read(&c).map(|b| (c, b))) {
        Ok(found) => found,
        Err(error) => return whole_file(error),
    };
    let walked = match walk_all(database, &connection, &bounds, key) {
        Ok(Some(walked)) => walked,
        Ok(None) => return Ok(None),
        Err(error) => return whole_file(error),
    };
    let report = judge(&connection, &bounds, &head, key, walked).map_err(VerifyError::Database)?;
    // An engine that was just started moves the head before it adds rows.
    let head_moved =
        matches!(&report.fault, Some(f) if f.kind == FaultKind::AddedWhileClosed) && read_head()? != head;
    Ok((!head_moved).then_some(report))
}

/// A read-only connection that sees one moment.
fn snapshot(database: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.execute_batch("BEGIN")?;
    Ok(connection)
}

/// What the walk needs to know before it starts.
struct Bounds {
    altered: Option<String>,
    database: Uuid,
    session: u64,
    first: u64,
    last: u64,
    covered: u64,
    purges: Vec<PurgeRecord>,
}

impl Bounds {
    fn read(connection: &Connection) -> Result<Bounds, rusqlite::Error> {
        let altered = schema::altered_object(connection)?;
        let missing = altered.as_ref().is_some_and(|object| object.starts_with("table "));
        if missing {
            // Nothing below can be relied on, down to the tables' existence.
            return Ok(Bounds {
                altered,
                database: Uuid::nil(),
                session: 0,
                first: 0,
                last: 0,
                covered: 0,
                purges: Vec::new(),
            });
        }
        let (database, session) = identity(connection)?;
        let (first, last) = connection.query_row(
            "SELECT coalesce((SELECT min(seq) FROM event), 0), coalesce((SELECT max(seq) FROM event), 0)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(Bounds {
            altered,
            database: database.parse().unwrap_or_default(),
            session,
            first,
            last,
            covered: facet::covered(connection)?,
            purges: PurgeRecord::all(connection)?,
        })
    }

    /// The row before the first one, and its hash.
    fn anchor(&self) -> (u64, Hash) {
        self.purges.last().map_or((0, genesis(&self.database)), |purge| (purge.last_seq, purge.last_hash))
    }
}

/// Splits the rows among threads. Each trusts the stored hash before its first row, which its neighbour checks.
fn walk_all(
    database: &Path,
    connection: &Connection,
    bounds: &Bounds,
    key: &PublicKey,
) -> Result<Option<walk::Walked>, rusqlite::Error> {
    if bounds.last == 0 {
        return Ok(Some(walk::Walked::default()));
    }
    let (before, _) = bounds.anchor();
    let start = bounds.first.min(before + 1);
    let rows = bounds.last - start + 1;
    let cores = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let count = (rows / ROWS_PER_THREAD).clamp(1, cores.min(THREADS));
    let share = rows.div_ceil(count);
    // A segment of the index is held against its rows by one thread.
    let edge = |index: u64| match index {
        0 => start,
        _ => segment::first_seq(segment::number_of(start + index * share)).clamp(start, bounds.last + 1),
    };
    let task = |index: u64| walk::Range {
        from: edge(index),
        to: if index + 1 == count { bounds.last } else { edge(index + 1) - 1 },
        covered: bounds.covered,
        anchor: bounds.anchor(),
        database: bounds.database,
    };
    if count == 1 {
        return walk::walk(connection, &task(0), key).map(Some);
    }
    let results: Vec<Result<Option<walk::Walked>, rusqlite::Error>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|index| {
                scope.spawn(move || {
                    let connection = snapshot(database)?;
                    if PurgeRecord::all(&connection)?.len() != bounds.purges.len() {
                        return Ok(None);
                    }
                    walk::walk(&connection, &task(index), key).map(Some)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut all = walk::Walked::default();
    for result in results {
        match result? {
            Some(walked) => all.join(walked),
            None => return Ok(None),
        }
    }
    Ok(Some(all))
}

/// Adds what only the whole can tell: the signatures' succession, the head, the end.
fn judge(
    connection: &Connection,
    bounds: &Bounds,
    head: &HeadState,
    key: &PublicKey,
    walked: walk::Walked,
) -> Result<VerifyReport, rusqlite::Error> {
    let mut faults = walked.faults;
    let discontinuities = match faults.is_empty() || bounds.last == 0 {
        true => walked.discontinuities,
        // The walk ended early; what was recorded after the fault counts all the same.
        false => walk::recorded(connection)?,
    };
    let key_changed =
        discontinuities.iter().filter(|d| d.code == KEY_CHANGED).map(|d| d.seq).max().unwrap_or(0);
    if let Some(object) = &bounds.altered {
        faults.push(Fault { seq: 0, kind: FaultKind::SchemaAltered { object: object.clone() } });
    } else {
        purges(bounds, key, key_changed, &mut faults);
        let newest = checkpoints(connection, bounds, &mut faults)?;
        ghosts(connection, bounds, &mut faults)?;
        end(connection, bounds, head, newest, &mut faults)?;
    }
    // A key that was lost can't vouch for what it signed; the recorded change of keys says so already.
    faults.retain(|f| !(f.seq < key_changed && matches!(f.kind, FaultKind::BadSignature { .. })));
    faults.sort_by_key(|fault| fault.seq);
    let ahead_of_head = match head {
        HeadState::Found(head) => bounds.last.saturating_sub(head.seq),
        _ => 0,
    };
    Ok(VerifyReport {
        rows: walked.rows,
        first_seq: bounds.first,
        last_seq: bounds.last,
        checkpoints: walked.checkpoints,
        purged_to: bounds.purges.last().map_or(0, |purge| purge.last_seq),
        ahead_of_head,
        fault: faults.into_iter().next(),
        discontinuities,
    })
}

fn purges(bounds: &Bounds, key: &PublicKey, key_changed: u64, faults: &mut Vec<Fault>) {
    let mut before = 0;
    for (purge, number) in bounds.purges.iter().zip(1..) {
        let signed = purge.is_signed_by(key, &bounds.database) || purge.last_seq < key_changed;
        if !signed || purge.number != number || purge.first_seq <= before || purge.last_seq < purge.first_seq
        {
            faults.push(Fault { seq: before + 1, kind: FaultKind::BadPurgeRecord { number: purge.number } });
            return;
        }
        if purge.first_seq != before + 1 {
            let kind = FaultKind::Removed { last: purge.first_seq - 1 };
            faults.push(Fault { seq: before + 1, kind });
        }
        before = purge.last_seq;
    }
}

/// Looks for missing ordinals; gives the newest checkpoint.
fn checkpoints(
    connection: &Connection,
    bounds: &Bounds,
    faults: &mut Vec<Fault>,
) -> Result<Option<Checkpoint>, rusqlite::Error> {
    let mut expected = bounds.purges.last().map_or(0, |purge| purge.last_checkpoint) + 1;
    let mut last_seq = 0;
    let mut statement = connection.prepare("SELECT ordinal, seq FROM checkpoint ORDER BY ordinal")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (ordinal, seq): (u64, u64) = (row.get(0)?, row.get(1)?);
        if ordinal != expected {
            let kind = FaultKind::CheckpointRemoved { ordinal: expected };
            faults.push(Fault { seq: last_seq + 1, kind });
            break;
        }
        (expected, last_seq) = (ordinal + 1, seq);
    }
    Checkpoint::last(connection)
}

/// Facets of rows before the first would show in counts, and so would segments without rows. (The walk found those that don't fit theirs; those
/// beyond the last are a cut tail.)
fn ghosts(connection: &Connection, bounds: &Bounds, faults: &mut Vec<Fault>) -> Result<(), rusqlite::Error> {
    let ghost: Option<u64> =
        connection
            .query_row("SELECT min(seq) FROM facet WHERE seq < ?1", [bounds.first], |row| row.get(0))?;
    faults.extend(ghost.map(|seq| Fault { seq, kind: FaultKind::IndexAltered }));
    let ghost = segment::without_rows(connection)?;
    faults.extend(ghost.map(|seq| Fault { seq, kind: FaultKind::IndexAltered }));
    Ok(())
}

fn end(
    connection: &Connection,
    bounds: &Bounds,
    head: &HeadState,
    newest: Option<Checkpoint>,
    faults: &mut Vec<Fault>,
) -> Result<(), rusqlite::Error> {
    let after_signed = newest.as_ref().map_or(bounds.first.max(1), |c| c.seq.min(bounds.last) + 1);
    let past_the_end = newest.as_ref().is_some_and(|c| c.seq > bounds.last) || bounds.covered > bounds.last;
    let head = match head {
        HeadState::Found(head) => head,
        HeadState::Missing | HeadState::Unsigned => {
            if past_the_end {
                let head_seq = newest.map_or(0, |c| c.seq).max(bounds.covered);
                faults.push(Fault { seq: bounds.last + 1, kind: FaultKind::TailCut { head_seq } });
            }
            let kind =
                if *head == HeadState::Missing { FaultKind::HeadMissing } else { FaultKind::HeadUnsigned };
            faults.push(Fault { seq: bounds.last + 1, kind });
            return Ok(());
        }
    };
    if head.database != bounds.database {
        faults.push(Fault { seq: 0, kind: FaultKind::OtherDatabase });
        return Ok(());
    }
    if bounds.last.max(bounds.anchor().0) < head.seq {
        faults.push(Fault { seq: bounds.last + 1, kind: shortened(bounds, head, newest, past_the_end) });
        return Ok(());
    }
    if past_the_end {
        // The head agrees with the rows, so what lies beyond was put there.
        faults.push(Fault { seq: bounds.last + 1, kind: FaultKind::IndexAltered });
    }
    let hash: Option<Hash> = connection
        .query_row("SELECT hash FROM event WHERE seq = ?1", [head.seq], |row| row.get(0))
        .optional()?;
    if hash.is_some_and(|hash| hash != head.hash) {
        let seq = after_signed.min(head.seq);
        faults.push(Fault { seq, kind: FaultKind::Rehashed { signed_at: head.seq } });
    } else if head.closed && bounds.last > head.seq {
        faults.push(Fault { seq: head.seq + 1, kind: FaultKind::AddedWhileClosed });
    }
    let known = newest.map_or(0, |c| c.ordinal);
    let purged = bounds.purges.last().map_or(0, |purge| purge.last_checkpoint);
    if head.checkpoint > known.max(purged) {
        let kind = FaultKind::CheckpointRemoved { ordinal: known.max(purged) + 1 };
        faults.push(Fault { seq: after_signed, kind });
    }
    Ok(())
}

/// The file ends before its head. An older copy agrees with itself; a cut tail mostly leaves loose ends. One
/// who ties those up can make the one look like the other, not like a whole trail.
fn shortened(bounds: &Bounds, head: &Head, newest: Option<Checkpoint>, past_the_end: bool) -> FaultKind {
    let head_seq = head.seq;
    let complete = newest.is_some_and(|c| c.seq == bounds.last) || bounds.session < head.session;
    if complete && !past_the_end {
        FaultKind::OlderCopy { head_seq }
    } else {
        FaultKind::TailCut { head_seq }
    }
}
