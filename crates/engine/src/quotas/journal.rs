//! What has changed in the counters, on its way to their file: a thread of its own writes it down, a batch at a time.
//! Must not be waited for by an exchange.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use sallyport_policy::quotas::{HOUR, Movement, Ticket};
use tokio::sync::mpsc as queue;

use super::history;
use super::local;

/// Changes that may wait for the disk; beyond it the newest are counted in memory alone.
const QUEUE: usize = 65_536;

/// Changes of one transaction.
const BATCH: usize = 1_024;

/// How long changes gather before they are written: nobody waits for them, and a transaction costs more than a change.
const GATHER: Duration = Duration::from_millis(50);

pub(super) struct Journal {
    lines: queue::Sender<Line>,
    writer: JoinHandle<()>,
}

pub(super) enum Line {
    Moved(String, Movement),
    Used(history::Entry),
    /// Answered when everything before it is written.
    Flush(mpsc::SyncSender<()>),
}

impl Journal {
    pub(super) fn begin(connection: Connection) -> Result<Journal, rusqlite::Error> {
        // Room that is made as it is needed: all of it at once would be nine megabytes.
        let (lines, mut pending) = queue::channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("quota-journal".into())
            .spawn(move || write(connection, &mut pending))
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        Ok(Journal { lines, writer })
    }

    pub(super) fn note(&self, line: Line) {
        if self.lines.try_send(line).is_err() {
            tracing::warn!("a change of the quotas could not be written down");
        }
    }

    /// Writes the rest down. Blocks.
    pub(super) fn end(self) {
        drop(self.lines);
        let _ = self.writer.join();
    }
}

fn write(mut connection: Connection, pending: &mut queue::Receiver<Line>) {
    let mut swept = super::now();
    while let Some(first) = pending.blocking_recv() {
        std::thread::sleep(GATHER);
        let others = std::iter::from_fn(|| pending.try_recv().ok());
        let batch: Vec<Line> = std::iter::once(first).chain(others).take(BATCH).collect();
        if let Err(error) = write_batch(&mut connection, &batch) {
            tracing::warn!(%error, changes = batch.len(), "changes of the quotas could not be written down");
        }
        for line in batch {
            if let Line::Flush(done) = line {
                let _ = done.send(());
            }
        }
        let now = super::now();
        if now - swept > HOUR {
            swept = now;
            if let Err(error) = local::forget(&connection, now) {
                tracing::warn!(%error, "old quota rows could not be removed");
            }
        }
    }
}

/// What a batch changes is added up first: many exchanges of one person and one model are one row each of tokens and use.
fn write_batch(connection: &mut Connection, batch: &[Line]) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    let (mut tokens, mut uses) = (Tokens::default(), history::Uses::default());
    for line in batch {
        match line {
            Line::Moved(subject, movement) => {
                write_request(&transaction, subject, movement)?;
                tokens.note(&transaction, subject, movement)?;
            }
            Line::Used(entry) => uses.note(entry),
            Line::Flush(_) => {}
        }
    }
    tokens.write(&transaction)?;
    uses.write(&transaction)?;
    transaction.commit()
}

fn write_request(connection: &Connection, subject: &str, movement: &Movement) -> Result<(), rusqlite::Error> {
    match movement {
        Movement::Reserved { at, ticket } => connection
            .prepare_cached("INSERT OR REPLACE INTO requests (id, subject, at) VALUES (?1, ?2, ?3)")?
            .execute(params![format!("{:032x}", ticket.id), subject, at])
            .map(drop),
        Movement::Settled { .. } => Ok(()),
        Movement::Cancelled { ticket } => connection
            .prepare_cached("DELETE FROM requests WHERE id = ?1")?
            .execute([format!("{:032x}", ticket.id)])
            .map(drop),
    }
}

/// Tokens of a subject and a day, as they stand after the changes seen so far; none where there is no row.
#[derive(Default)]
struct Tokens(HashMap<(String, i64), Option<i64>>);

impl Tokens {
    fn note(
        &mut self,
        connection: &Connection,
        subject: &str,
        movement: &Movement,
    ) -> Result<(), rusqlite::Error> {
        match movement {
            Movement::Reserved { ticket, .. } => {
                let tokens = self.of(connection, subject, ticket)?;
                *tokens = Some(tokens.unwrap_or(0).saturating_add(signed(ticket.reserved)));
            }
            Movement::Settled { ticket, tokens } => self.settle(connection, subject, ticket, *tokens)?,
            Movement::Cancelled { ticket } => self.settle(connection, subject, ticket, 0)?,
        }
        Ok(())
    }

    fn settle(
        &mut self,
        connection: &Connection,
        subject: &str,
        ticket: &Ticket,
        took: u64,
    ) -> Result<(), rusqlite::Error> {
        if let Some(tokens) = self.of(connection, subject, ticket)? {
            *tokens = tokens.saturating_sub(signed(ticket.reserved)).max(0).saturating_add(signed(took));
        }
        Ok(())
    }

    fn of(
        &mut self,
        connection: &Connection,
        subject: &str,
        ticket: &Ticket,
    ) -> Result<&mut Option<i64>, rusqlite::Error> {
        match self.0.entry((subject.to_owned(), ticket.day)) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let stands = connection
                    .prepare_cached("SELECT tokens FROM tokens WHERE subject = ?1 AND day = ?2")?
                    .query_row(params![subject, ticket.day], |row| row.get(0))
                    .optional()?;
                Ok(unknown.insert(stands))
            }
        }
    }

    fn write(&self, connection: &Connection) -> Result<(), rusqlite::Error> {
        let mut put = connection
            .prepare_cached("INSERT OR REPLACE INTO tokens (subject, day, tokens) VALUES (?1, ?2, ?3)")?;
        for ((subject, day), tokens) in &self.0 {
            if let Some(tokens) = tokens {
                put.execute(params![subject, day, tokens])?;
            }
        }
        Ok(())
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
