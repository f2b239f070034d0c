//! The tables and their migrations. Verification holds a file to exactly these: a trigger or a view that
//! somebody added is tampering, too.

use jiff::Timestamp;
use rusqlite::{Connection, params};

/// Each step is applied once, in order, and never edited after a release.
const MIGRATIONS: &[&str] = &["
CREATE TABLE migration (version INTEGER PRIMARY KEY, applied TEXT NOT NULL) STRICT;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE event (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE checkpoint (
  ordinal INTEGER PRIMARY KEY, session INTEGER NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL,
  time INTEGER NOT NULL, signature BLOB NOT NULL) STRICT;
CREATE TABLE purge (
  number INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, last_hash BLOB NOT NULL,
  last_checkpoint INTEGER NOT NULL, time INTEGER NOT NULL, signature BLOB NOT NULL) STRICT;
CREATE TABLE facet (
  seq INTEGER PRIMARY KEY, ts TEXT NOT NULL, event_type TEXT NOT NULL, event_id TEXT NOT NULL, exchange_id TEXT,
  provider TEXT, model TEXT, classification TEXT, redactions INTEGER NOT NULL, user TEXT, agent TEXT,
  action TEXT, outcome TEXT) STRICT;
CREATE INDEX facet_ts ON facet (ts);
CREATE INDEX facet_type ON facet (event_type);
CREATE INDEX facet_event ON facet (event_id);
CREATE INDEX facet_exchange ON facet (exchange_id) WHERE exchange_id IS NOT NULL;
CREATE INDEX facet_provider ON facet (provider);
CREATE INDEX facet_model ON facet (model) WHERE model IS NOT NULL;
CREATE INDEX facet_classification ON facet (classification) WHERE classification IS NOT NULL;
CREATE INDEX facet_redacted ON facet (seq) WHERE redactions > 0;
CREATE INDEX facet_agent ON facet (agent) WHERE agent IS NOT NULL;
CREATE INDEX facet_action ON facet (action) WHERE action IS NOT NULL;
CREATE INDEX facet_outcome ON facet (outcome) WHERE outcome IS NOT NULL;
", "
CREATE TABLE segment (
  number INTEGER PRIMARY KEY, min_time INTEGER NOT NULL, max_time INTEGER NOT NULL, entries BLOB NOT NULL,
  times BLOB NOT NULL, hashes BLOB NOT NULL) STRICT;
DROP INDEX facet_ts;
DROP INDEX facet_type;
DROP INDEX facet_provider;
DROP INDEX facet_model;
DROP INDEX facet_classification;
DROP INDEX facet_redacted;
DROP INDEX facet_agent;
DROP INDEX facet_action;
DROP INDEX facet_outcome;
", "
CREATE TABLE content (seq INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
"];

/// From this version on there are segments.
pub(crate) const WITH_SEGMENTS: usize = 2;

/// From this version on there is content.
pub(crate) const WITH_CONTENT: usize = 3;

/// `S A P T`: marks the file as a trail for `file` and for us.
pub(crate) const APPLICATION_ID: i32 = 0x5341_5054;

pub(crate) fn migrate(connection: &Connection, now: Timestamp) -> Result<(), rusqlite::Error> {
    up_to(connection, MIGRATIONS.len(), now)
}

fn up_to(connection: &Connection, version: usize, now: Timestamp) -> Result<(), rusqlite::Error> {
    let done = version_of(connection)?;
    for (index, step) in MIGRATIONS.iter().enumerate().take(version).skip(done) {
        let transaction = connection.unchecked_transaction()?;
        transaction.execute_batch(step)?;
        transaction
            .execute("INSERT INTO migration VALUES (?1, ?2)", params![index as i64 + 1, now.to_string()])?;
        transaction.commit()?;
    }
    Ok(())
}

/// 0 for an empty file.
pub(crate) fn version_of(connection: &Connection) -> Result<usize, rusqlite::Error> {
    let known: bool =
        connection
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'migration'", [], |row| row.get(0))?;
    if !known {
        return Ok(0);
    }
    connection.query_row("SELECT coalesce(max(version), 0) FROM migration", [], |row| row.get(0))
}

pub(crate) fn newest_version() -> usize {
    MIGRATIONS.len()
}

/// The first object that is there and should not be, is missing, or is not what it was made as.
pub(crate) fn altered_object(connection: &Connection) -> Result<Option<String>, rusqlite::Error> {
    let version = version_of(connection)?.min(MIGRATIONS.len());
    let pristine = Connection::open_in_memory()?;
    up_to(&pristine, version, Timestamp::UNIX_EPOCH)?;
    let (found, expected) = (objects(connection)?, objects(&pristine)?);
    let odd =
        found.iter().find(|o| !expected.contains(o)).or_else(|| expected.iter().find(|o| !found.contains(o)));
    Ok(odd.map(|(kind, name, _)| format!("{kind} {name}")))
}

type Object = (String, String, Option<String>);

fn objects(connection: &Connection) -> Result<Vec<Object>, rusqlite::Error> {
    // The planner's own statistics are no part of the trail.
    let mut statement = connection.prepare(
        "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_make_these_tables() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection, Timestamp::UNIX_EPOCH).unwrap();
        migrate(&connection, Timestamp::UNIX_EPOCH).unwrap();
        let dump: Vec<String> = objects(&connection)
            .unwrap()
            .into_iter()
            .map(|(k, n, s)| format!("{k} {n}: {}", s.unwrap_or_default()))
            .collect();
        insta::assert_snapshot!(dump.join("\n"));
        assert_eq!(version_of(&connection).unwrap(), newest_version());
        assert_eq!(altered_object(&connection).unwrap(), None);
    }

    #[test]
    fn notices_what_was_added_or_changed() {
        for (sql, name) in [
            (
                "CREATE TRIGGER t AFTER INSERT ON event BEGIN DELETE FROM event WHERE seq = new.seq; END",
                "trigger t",
            ),
            ("DROP INDEX facet_event", "index facet_event"),
            ("ALTER TABLE event ADD COLUMN x TEXT", "table event"),
            ("CREATE VIEW v AS SELECT 1", "view v"),
        ] {
            let connection = Connection::open_in_memory().unwrap();
            migrate(&connection, Timestamp::UNIX_EPOCH).unwrap();
            connection.execute_batch(sql).unwrap();
            assert_eq!(altered_object(&connection).unwrap().as_deref(), Some(name));
        }
    }
}
