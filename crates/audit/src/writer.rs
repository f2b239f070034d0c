//! The one thread that writes: it takes what waits, commits it with one sync, and only then answers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, params};
use tokio::sync::watch;

use crate::canonical::{Draft, row_hash, text};
use crate::checkpoint::{self, Checkpoint};
use crate::content::{ContentKey, Contents};
use crate::error::Tried;
use crate::event::action_types;
use crate::head::HeadFile;
use crate::keys::Signing;
use crate::opening::{Chain, Discontinuity, trail_itself};
use crate::purge::PurgeInProgress;
use crate::queue::{Append, Order, Queue, Reply, Taken};
use crate::{Action, AppendError, AuditError, Event, Recorded, TrailHealth, Trouble, facet, segment};

/// Rows of one commit. Sixteen callers fill sixteen; a burst shares its sync.
const BATCH: usize = 512;
/// Facets may lag this far while there is no quiet moment.
const FACET_LAG: u64 = 8192;
const FACET_CHUNK: usize = 4096;
/// Bodies that may wait for a quiet moment: where somebody waits for rows and so may have to wait for the bodies' commit,
/// and where nobody does. A few at a time are dear.
const CONTENT_LAG: usize = 32;
const CONTENT_LAG_RELAXED: usize = 256;
/// Their bytes.
const CONTENT_LAG_BYTES: usize = 8 * crate::MAX_CONTENT;
const SOON: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(500);

pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) chain: Chain,
    pub(crate) signing: Signing,
    head_file: HeadFile,
    queue: Arc<Queue>,
    health: watch::Sender<TrailHealth>,
    latest: watch::Sender<u64>,
    /// Relaxed events that could not be written yet, in order.
    held: VecDeque<Append>,
    purge: Option<PurgeInProgress>,
    content_key: Arc<ContentKey>,
    /// Content of rows that are written; it waits for a quiet moment, like facets.
    contents: Contents,
    schema_version: i64,
    /// The log holds pages that are not in the database file yet.
    log_dirty: bool,
}

/// What an opened trail consists of.
pub(crate) struct Parts {
    pub(crate) connection: Connection,
    pub(crate) chain: Chain,
    pub(crate) signing: Signing,
    pub(crate) head_file: HeadFile,
    pub(crate) content_key: Arc<ContentKey>,
}

impl Writer {
    pub(crate) fn new(
        parts: Parts,
        queue: Arc<Queue>,
        health: watch::Sender<TrailHealth>,
        latest: watch::Sender<u64>,
    ) -> Result<Writer, AuditError> {
        let Parts { connection, chain, signing, head_file, content_key } = parts;
        let schema_version = schema_version(&connection).tried("read")?;
        Ok(Writer {
            content_key,
            contents: Contents::default(),
            connection,
            chain,
            signing,
            head_file,
            queue,
            health,
            latest,
            held: VecDeque::new(),
            purge: None,
            schema_version,
            log_dirty: true,
        })
    }

    pub(crate) fn run(mut self) {
        let last_words = LastWords { queue: self.queue.clone(), health: self.health.clone() };
        loop {
            match self.queue.take(BATCH, self.patience()) {
                Taken::Orders(orders) => self.serve(orders),
                Taken::Nothing => self.chores(),
                Taken::Closed => break,
            }
        }
        self.finish();
        drop(last_words);
    }

    /// How long to wait for orders before there is something else to do.
    fn patience(&self) -> Option<Duration> {
        if self.purge.is_some() {
            Some(Duration::ZERO)
        } else if !self.health.borrow().is_writing() {
            Some(RETRY)
        } else if self.is_index_behind() {
            Some(SOON)
        } else if self.chain.signed < self.chain.seq || self.log_dirty {
            Some(IDLE)
        } else {
            None
        }
    }

    fn serve(&mut self, orders: VecDeque<Order>) {
        let mut batch: Vec<Append> = Vec::with_capacity(orders.len());
        let mut settled = Vec::new();
        for order in orders {
            match order {
                Order::Append(append) => batch.push(append),
                Order::Purge(purge) => {
                    self.purge.get_or_insert_with(PurgeInProgress::default).add(purge);
                }
                Order::Settle(reply) => settled.push(reply),
            }
        }
        let is_awaited = batch.iter().any(|append| append.reply.is_some());
        if !batch.is_empty() {
            self.append(batch);
        }
        if !settled.is_empty() {
            self.settle();
            for reply in settled {
                // Nobody has to be interested.
                let _ = reply.send(());
            }
        } else if (self.chain.seq - self.chain.covered > FACET_LAG || self.is_content_behind(is_awaited))
            && let Err(error) = self.index()
        {
            self.fail(error, Vec::new());
        }
    }

    /// Writes what was held and what came, answers, and moves the head. A failure is answered too.
    fn append(&mut self, came: Vec<Append>) {
        let mut batch: Vec<Append> = self.held.drain(..).collect();
        batch.extend(came);
        if let Some(gap) = self.gap() {
            batch.push(gap);
        }
        let mut written = self.write(&batch);
        if matches!(&written, Err(e) if is_conflict(e)) {
            // Somebody else wrote rows. They stay, for `verify` to name; the chain passes over them.
            match self.pass_over_foreign_rows().and_then(|event| Append::own(&event, true)) {
                Ok(append) => {
                    batch.insert(0, append);
                    written = self.write(&batch);
                }
                Err(error) => written = Err(error),
            }
        }
        match written {
            Ok((chain, contents)) => {
                self.contents.append(contents);
                let first = chain.seq + 1 - batch.len() as u64;
                self.chain = chain;
                self.log_dirty = true;
                self.recovered();
                let written = batch.into_iter().zip(first..).map(|(append, seq)| {
                    if let Some(reply) = append.reply {
                        // Nobody has to be interested.
                        let _ = reply.send(Ok(Recorded::Durable { seq }));
                    }
                    append.draft
                });
                let spent: Vec<Draft> = written.collect();
                self.queue.give_back(spent);
                self.latest.send_replace(self.chain.seq);
                self.write_head(false);
            }
            Err(error) => {
                self.fail(error, batch);
            }
        }
    }

    /// One transaction, one sync. The chain moves only when the commit has returned.
    fn write(&mut self, batch: &[Append]) -> Result<(Chain, Contents), rusqlite::Error> {
        let (mut chain, mut contents, mut body) = (self.chain.clone(), Contents::default(), Vec::new());
        self.transaction(|writer| {
            if schema_version(&writer.connection)? != writer.schema_version {
                return Err(altered());
            }
            let mut insert = writer.connection.prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3)")?;
            for append in batch {
                let seq = chain.seq + 1;
                append.draft.place(seq, &chain.hash, &mut body);
                let hash = row_hash(&chain.hash, &body);
                if insert.execute(params![seq, hash, text(&body)])? != 1 {
                    return Err(altered());
                }
                (chain.seq, chain.hash) = (seq, hash);
                contents.add(seq, hash, append.draft.kept(), append.content.as_ref());
                if chain.seq - chain.signed >= checkpoint::EVERY {
                    writer.sign(&mut chain)?;
                }
            }
            Ok(())
        })?;
        Ok((chain, contents))
    }

    fn sign(&self, chain: &mut Chain) -> Result<(), rusqlite::Error> {
        let (number, row) = ((chain.ordinal + 1, chain.session), (chain.seq, chain.hash));
        Checkpoint::sign(&self.signing, &chain.database, number, row).insert(&self.connection)?;
        (chain.ordinal, chain.signed) = (chain.ordinal + 1, chain.seq);
        Ok(())
    }

    pub(crate) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Writer) -> Result<T, rusqlite::Error>,
    ) -> Result<T, rusqlite::Error> {
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let result = work(self).and_then(|value| {
            self.connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(value)
        });
        // Some errors end the transaction by themselves; if this one fails, the next attempt begins with it.
        if result.is_err() && !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        result
    }

    fn pass_over_foreign_rows(&mut self) -> Result<Event, rusqlite::Error> {
        let last_seq: u64 =
            self.connection.query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| row.get(0))?;
        self.chain.seq = self.chain.seq.max(last_seq);
        tracing::error!(last_seq, "another program wrote rows into the audit trail");
        Ok(Discontinuity::ForeignRows { last_seq }.event())
    }

    /// What waits for a quiet moment.
    fn chores(&mut self) {
        if !self.health.borrow().is_writing() {
            // Whatever is held, or the note about what was refused, is the probe.
            return self.append(Vec::new());
        }
        let done = if self.purge.is_some() {
            return self.purge_chunk();
        } else if self.is_index_behind() {
            self.index()
        } else {
            self.checkpoint()
        };
        if let Err(error) = done {
            self.fail(error, Vec::new());
        }
    }

    fn is_index_behind(&self) -> bool {
        self.chain.covered < self.chain.seq || segment::is_due(self.chain.segment, self.chain.covered)
    }

    fn is_content_behind(&self, is_awaited: bool) -> bool {
        self.contents.len() > if is_awaited { CONTENT_LAG } else { CONTENT_LAG_RELAXED }
            || self.contents.bytes() > CONTENT_LAG_BYTES
    }

    /// The index is derived and content proves nothing, so their commit needs no sync of its own: the next one carries it.
    fn index(&mut self) -> Result<(), rusqlite::Error> {
        let (seq, after, next) = (self.chain.seq, self.chain.covered, self.chain.segment);
        // Taken out whatever happens: what a full disk refuses is not held in memory until it has room.
        let contents = std::mem::take(&mut self.contents);
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        let indexed = self.transaction(|writer| {
            contents.write(&writer.connection, &writer.content_key, &writer.chain.database)?;
            let covered = facet::catch_up(&writer.connection, after, FACET_CHUNK)?;
            // Numbers that a discontinuity left empty need no facet.
            let covered = if covered == after { seq } else { covered };
            let due = segment::is_due(next, covered);
            let next = if due { segment::build_next(&writer.connection, next, covered)? } else { next };
            Ok((covered, next))
        });
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        (self.chain.covered, self.chain.segment) = indexed?;
        self.log_dirty = true;
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), rusqlite::Error> {
        if self.chain.signed < self.chain.seq {
            let mut chain = self.chain.clone();
            self.transaction(|writer| writer.sign(&mut chain))?;
            self.chain = chain;
            self.write_head(false);
        }
        if self.log_dirty {
            self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
            self.log_dirty = false;
            self.queue.forget_spare();
        }
        Ok(())
    }

    fn settle(&mut self) {
        while self.is_index_behind() {
            if let Err(error) = self.index() {
                return self.fail(error, Vec::new());
            }
        }
        if let Err(error) = self.checkpoint() {
            self.fail(error, Vec::new());
        }
    }

    fn finish(&mut self) {
        if !self.held.is_empty() {
            self.append(Vec::new());
        }
        if !self.held.is_empty() {
            tracing::error!(events = self.held.len(), "events could not be recorded before the engine ended");
        }
        self.settle();
        self.write_head(true);
        if let Err(error) = self.head_file.sync() {
            tracing::warn!(%error, "could not make the audit trail's head durable");
        }
    }

    /// A head that could not be written is behind its trail, which is allowed; the next one catches up.
    pub(crate) fn write_head(&mut self, closed: bool) {
        let head = self.chain.head(closed);
        if let Err(error) = self.head_file.write(&self.signing, &head) {
            tracing::warn!(%error, "could not write the audit trail's head");
        }
    }

    /// Nothing could be written: says no to those who wait for the disk, keeps what is to be kept.
    fn fail(&mut self, error: rusqlite::Error, batch: Vec<Append>) {
        let trouble = Trouble::of(&error);
        let source = Arc::new(error);
        let (keep, refuse): (Vec<Append>, Vec<Append>) = batch.into_iter().partition(|append| append.keep);
        self.held.extend(keep);
        self.queue.note_held(self.held.len());
        let held = self.held.len() as u64;
        let replies: Vec<Reply> = refuse.into_iter().filter_map(|append| append.reply).collect();
        // Health first: who is refused may ask for it at once.
        self.health.send_modify(|health| {
            let (since, refused) = match health {
                TrailHealth::Failing { since, refused, .. } => (*since, *refused),
                _ => {
                    tracing::error!(%trouble, cause = %source, "the audit trail can't be written");
                    (Timestamp::now(), 0)
                }
            };
            *health = TrailHealth::Failing { trouble, since, refused: refused + replies.len() as u64, held };
        });
        for reply in replies {
            // Nobody has to be interested.
            let _ = reply.send(Err(AppendError { trouble, source: Some(source.clone()) }));
        }
    }

    fn recovered(&mut self) {
        if !self.health.borrow().is_writing() {
            tracing::info!("the audit trail can be written again");
            self.queue.note_held(0);
            self.health.send_replace(TrailHealth::Writing);
        }
    }

    /// While the trail fails, each attempt carries a row that says for how long and what was refused.
    fn gap(&self) -> Option<Append> {
        let TrailHealth::Failing { trouble, since, refused, held } = *self.health.borrow() else {
            return None;
        };
        let action = Action {
            action_type: action_types::GAP.into(),
            outcome: Some("recovered".into()),
            requires_review: Some(refused > 0),
            target: Some(format!(
                "since {since:.6} nothing could be recorded ({trouble}): {refused} events were refused, {held} held"
            )),
        };
        let event = Event::control(Timestamp::now(), trail_itself(), action);
        // Nothing in it can fail to be text.
        Append::own(&event, false).ok()
    }

    fn purge_chunk(&mut self) {
        let Some(mut purge) = self.purge.take() else { return };
        match purge.chunk(self) {
            Ok(true) => purge.done(),
            Ok(false) => self.purge = Some(purge),
            // What holds the purge up may not hold up those who record; they will find out.
            Err(error) => purge.failed(error),
        }
    }

    /// For rows that the trail adds in a transaction of its own.
    pub(crate) fn moved_to(&mut self, chain: Chain) {
        self.chain = chain;
        self.log_dirty = true;
        self.latest.send_replace(self.chain.seq);
        self.write_head(false);
    }
}

/// However the thread ends, nobody waits for it in vain.
struct LastWords {
    queue: Arc<Queue>,
    health: watch::Sender<TrailHealth>,
}

impl Drop for LastWords {
    fn drop(&mut self) {
        self.queue.abandon();
        self.health.send_replace(TrailHealth::Closed);
    }
}

fn schema_version(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.prepare_cached("PRAGMA schema_version")?.query_row([], |row| row.get(0))
}

fn is_conflict(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(e, _) if e.code == ErrorCode::ConstraintViolation)
}

/// A trigger or a changed table could swallow rows; nothing is recorded into such a file.
fn altered() -> rusqlite::Error {
    let failure = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(
        failure,
        Some("the tables of the trail were altered while it was open".into()),
    )
}
