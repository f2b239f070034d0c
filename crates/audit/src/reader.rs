//! Reading a trail, beside a running engine or without one.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params_from_iter};

use crate::canonical::Hash;
use crate::error::Tried;
use crate::facet::{self, Facet, Seen};
use crate::{AuditError, Event, EventType, Filter, Order};

/// A read-only connection. Its calls block; async callers put them on a blocking thread.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

/// One recorded event.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub seq: u64,
    pub hash: [u8; 32],
    pub event: Event,
    /// The exact text that the hash covers and that `export` writes.
    pub json: String,
}

/// Counts since a point in time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    pub total: u64,
    pub by_type: BTreeMap<EventType, u64>,
    /// Events in which something was taken out.
    pub redacted: u64,
}

/// A row that has not been parsed.
pub(crate) struct Raw<'a> {
    seq: u64,
    hash: Hash,
    pub(crate) body: &'a str,
}

impl Reader {
    pub fn open(database: &Path) -> Result<Reader, AuditError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(database, flags).tried("open")?;
        connection.busy_timeout(Duration::from_secs(2)).tried("open")?;
        connection.pragma_update(None, "trusted_schema", false).tried("open")?;
        Ok(Reader { connection })
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub fn query(&self, filter: &Filter) -> Result<Vec<Row>, AuditError> {
        let mut found = Vec::new();
        self.scan(filter, |raw| {
            found.push(parse(&raw)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// One event by its row number or its `event_id`.
    pub fn show(&self, id: &str) -> Result<Option<Row>, AuditError> {
        let _snapshot = self.connection.unchecked_transaction().tried("read")?;
        let one = |sql: &str, id: &dyn rusqlite::ToSql| {
            self.connection
                .query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)))
                .optional()
                .tried("read")
        };
        let id = id.to_ascii_lowercase();
        let mut found = match id.parse::<i64>() {
            Ok(seq) => one("SELECT seq, hash, body FROM event WHERE seq = ?1", &seq)?,
            Err(_) => one(
                "SELECT e.seq, e.hash, e.body FROM facet f JOIN event e ON e.seq = f.seq \
                 WHERE f.event_id = ?1 ORDER BY f.seq LIMIT 1",
                &id,
            )?,
        };
        if found.is_none() {
            let covered = facet::covered(&self.connection).tried("read")?;
            self.bodies_after(covered, |raw| {
                let is_it =
                    |body| serde_json::from_str::<Seen<'_>>(body).is_ok_and(|seen| seen.event_id.0 == id);
                if found.is_none() && is_it(raw.body) {
                    found = Some((raw.seq, raw.hash, raw.body.to_owned()));
                }
                Ok(())
            })?;
        }
        found.map(|(seq, hash, body)| parse(&Raw { seq, hash, body: &body })).transpose()
    }

    /// Writes each matching event as one line of JSON, as it comes from the disk; says how many.
    pub fn export(&self, filter: &Filter, out: &mut dyn Write) -> Result<u64, AuditError> {
        let mut count = 0;
        self.scan(filter, |raw| {
            count += 1;
            out.write_all(raw.body.as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(AuditError::Export)
        })?;
        out.flush().map_err(AuditError::Export)?;
        Ok(count)
    }

    /// Counts of events since then, by type.
    pub fn stats(&self, since: Timestamp) -> Result<Stats, AuditError> {
        let _snapshot = self.connection.unchecked_transaction().tried("read")?;
        let since = format!("{since:.6}");
        let mut stats = Stats::default();
        let mut count = |event_type: &str, events: u64, redacted: u64| {
            stats.total += events;
            stats.redacted += redacted;
            if let Some(event_type) = EventType::parse(event_type) {
                *stats.by_type.entry(event_type).or_default() += events;
            }
        };
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT event_type, count(*), sum(redactions > 0) FROM facet WHERE ts >= ?1 GROUP BY event_type",
            )
            .tried("read")?;
        let mut rows = statement.query([&since]).tried("read")?;
        while let Some(row) = rows.next().tried("read")? {
            count(
                &row.get::<_, String>(0).tried("read")?,
                row.get(1).tried("read")?,
                row.get(2).tried("read")?,
            );
        }
        drop(rows);
        let covered = facet::covered(&self.connection).tried("read")?;
        self.bodies_after(covered, |raw| {
            if let Ok(seen) = serde_json::from_str::<Seen<'_>>(raw.body)
                && *seen.timestamp.0 >= *since
            {
                count(&seen.event_type.0, 1, (Facet::of(&seen).redactions > 0).into());
            }
            Ok(())
        })?;
        Ok(stats)
    }

    /// The last row's number, 0 for an empty trail.
    pub fn last_seq(&self) -> Result<u64, AuditError> {
        self.connection
            .query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| row.get(0))
            .tried("read")
    }

    /// Matching rows in order, in one snapshot: those with facets by SQL, the newest ones by looking at them.
    fn scan(
        &self,
        filter: &Filter,
        mut each: impl FnMut(Raw<'_>) -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        let _snapshot = self.connection.unchecked_transaction().tried("read")?;
        let covered = facet::covered(&self.connection).tried("read")?;
        let mut left = filter.limit.unwrap_or(usize::MAX);
        let mut emit = |raw: Raw<'_>| {
            if left == 0 {
                return Ok(ControlFlow::Break(()));
            }
            left -= 1;
            each(raw).map(|()| ControlFlow::Continue(()))
        };
        let full = if filter.order == Order::Ascending {
            self.indexed(filter, &mut emit)?.is_break()
                || feed(self.unindexed(filter, covered)?.iter(), &mut emit)?.is_break()
        } else {
            feed(self.unindexed(filter, covered)?.iter().rev(), &mut emit)?.is_break()
                || self.indexed(filter, &mut emit)?.is_break()
        };
        tracing::trace!(covered, full, "scanned the audit trail");
        Ok(())
    }

    fn indexed(
        &self,
        filter: &Filter,
        emit: &mut impl FnMut(Raw<'_>) -> Result<ControlFlow<()>, AuditError>,
    ) -> Result<ControlFlow<()>, AuditError> {
        let (sql, parameters) = filter.to_sql();
        let mut statement = self.connection.prepare_cached(&sql).tried("read")?;
        let mut rows = statement.query(params_from_iter(parameters)).tried("read")?;
        while let Some(row) = rows.next().tried("read")? {
            if emit(raw(row).tried("read")?)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn unindexed(&self, filter: &Filter, covered: u64) -> Result<Vec<(u64, Hash, String)>, AuditError> {
        let mut found = Vec::new();
        self.bodies_after(covered, |raw| {
            if filter.matches(raw.seq, raw.body) {
                found.push((raw.seq, raw.hash, raw.body.to_owned()));
            }
            Ok(())
        })?;
        Ok(found)
    }

    pub(crate) fn bodies_after(
        &self,
        seq: u64,
        mut each: impl FnMut(Raw<'_>) -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT seq, hash, body FROM event WHERE seq > ?1 ORDER BY seq")
            .tried("read")?;
        let mut rows = statement.query([seq]).tried("read")?;
        while let Some(row) = rows.next().tried("read")? {
            each(raw(row).tried("read")?)?;
        }
        Ok(())
    }
}

fn feed<'a>(
    rows: impl Iterator<Item = &'a (u64, Hash, String)>,
    emit: &mut impl FnMut(Raw<'_>) -> Result<ControlFlow<()>, AuditError>,
) -> Result<ControlFlow<()>, AuditError> {
    for (seq, hash, body) in rows {
        if emit(Raw { seq: *seq, hash: *hash, body })?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn raw<'a>(row: &'a rusqlite::Row<'_>) -> Result<Raw<'a>, rusqlite::Error> {
    Ok(Raw { seq: row.get(0)?, hash: row.get(1)?, body: row.get_ref(2)?.as_str()? })
}

fn parse(raw: &Raw<'_>) -> Result<Row, AuditError> {
    let event = serde_json::from_str(raw.body).map_err(|source| AuditError::Row { seq: raw.seq, source })?;
    Ok(Row { seq: raw.seq, hash: raw.hash, event, json: raw.body.to_owned() })
}
