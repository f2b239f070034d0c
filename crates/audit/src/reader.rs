//! Reading a trail, beside a running engine or without one.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::canonical::Hash;
use crate::content;
use crate::error::Tried;
use crate::facet::{self, Seen};
use crate::{AuditError, Event, Filter};

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

/// A row that has not been parsed.
pub(crate) struct Raw<'a> {
    pub(crate) seq: u64,
    pub(crate) hash: Hash,
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
            self.bodies_between(covered + 1, i64::MAX as u64, |raw| {
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

    /// Whether something is kept of what was said in the exchange of this row. Opening it takes the trail's key.
    pub fn has_content(&self, seq: u64) -> Result<bool, AuditError> {
        Ok(content::sealed(&self.connection, seq).tried("read")?.is_some())
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

    /// The last row's number, 0 for an empty trail.
    pub fn last_seq(&self) -> Result<u64, AuditError> {
        self.connection
            .query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| row.get(0))
            .tried("read")
    }

    pub(crate) fn bodies_between(
        &self,
        from: u64,
        to: u64,
        mut each: impl FnMut(Raw<'_>) -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT seq, hash, body FROM event WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq")
            .tried("read")?;
        let mut rows = statement.query([from, to]).tried("read")?;
        while let Some(row) = rows.next().tried("read")? {
            each(raw(row).tried("read")?)?;
        }
        Ok(())
    }
}

pub(crate) fn raw<'a>(row: &'a rusqlite::Row<'_>) -> Result<Raw<'a>, rusqlite::Error> {
    Ok(Raw { seq: row.get(0)?, hash: row.get(1)?, body: row.get_ref(2)?.as_str()? })
}

fn parse(raw: &Raw<'_>) -> Result<Row, AuditError> {
    let event = serde_json::from_str(raw.body).map_err(|source| AuditError::Row { seq: raw.seq, source })?;
    Ok(Row { seq: raw.seq, hash: raw.hash, event, json: raw.body.to_owned() })
}
