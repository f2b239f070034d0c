//! The handle that the engine holds.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;
use sallyport_policy::config::Durability;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use crate::content::{self, ContentKey};
use crate::error::Tried;
use crate::queue::{Append, Order, Purge, Queue};
use crate::writer::{Parts, Writer};
use crate::{
    Actor, AppendError, AuditError, Entry, KeyStore, OpenReport, PublicKey, PurgeReport, Reader, Receipt,
    Tail, TrailHealth, TrailPaths, Trouble, opening,
};

/// How the trail answers those who record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrailOptions {
    /// `Strict`: receipts wait for the disk. `Relaxed`: they don't; the row follows within milliseconds.
    pub durability: Durability,
    /// Events that may wait before those who record feel it.
    pub queue: usize,
}

impl Default for TrailOptions {
    fn default() -> Self {
        TrailOptions { durability: Durability::Strict, queue: 4096 }
    }
}

/// An open trail. Share it in an `Arc`; dropping it writes what waits and signs the end.
pub struct Trail {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
    health: watch::Receiver<TrailHealth>,
    latest: watch::Receiver<u64>,
    paths: TrailPaths,
    public_key: PublicKey,
    durability: Durability,
    database: Uuid,
    content_key: Arc<ContentKey>,
    _lock: File,
}

impl Trail {
    /// Opens the trail or makes one. A trail that doesn't continue from its head is opened all the same; the
    /// report says so, and so does the first event.
    pub fn open(
        paths: &TrailPaths,
        keys: &dyn KeyStore,
        options: TrailOptions,
    ) -> Result<(Trail, OpenReport), AuditError> {
        let opened = opening::open(paths, keys)?;
        let public_key = opened.signing.public();
        let queue = Arc::new(Queue::new(options.queue));
        let (health_sender, health) = watch::channel(TrailHealth::Writing);
        let (latest_sender, latest) = watch::channel(opened.report.last_seq);
        for discontinuity in &opened.report.discontinuities {
            queue.order(Order::Append(Append::own(&discontinuity.event(), true).tried("write to")?));
        }
        let database = opened.chain.database;
        let content_key = Arc::new(opened.content_key);
        let parts = Parts {
            connection: opened.connection,
            chain: opened.chain,
            signing: opened.signing,
            head_file: opened.head_file,
            content_key: content_key.clone(),
        };
        let writer = Writer::new(parts, queue.clone(), health_sender, latest_sender)?;
        let thread = std::thread::Builder::new()
            .name("audit-writer".into())
            .spawn(move || writer.run())
            .map_err(AuditError::Thread)?;
        let trail = Trail {
            queue,
            thread: Mutex::new(Some(thread)),
            health,
            latest,
            paths: paths.clone(),
            public_key,
            durability: options.durability,
            database,
            content_key,
            _lock: opened.lock,
        };
        Ok((trail, opened.report))
    }

    /// Records an event. Never blocks; the receipt tells when (strict) or that (relaxed) it is safe.
    pub fn append(&self, entry: impl Into<Entry>) -> Receipt {
        self.queue.append(entry.into(), self.durability == Durability::Relaxed)
    }

    /// Records what needs no gate, such as an answer that has arrived: kept in memory through failures and
    /// written as soon as that is possible.
    pub fn append_relaxed(&self, entry: impl Into<Entry>) -> Receipt {
        self.queue.append(entry.into(), true)
    }

    pub fn health(&self) -> TrailHealth {
        self.health.borrow().clone()
    }

    pub fn watch_health(&self) -> watch::Receiver<TrailHealth> {
        self.health.clone()
    }

    /// The last durable row; changes with each commit.
    pub fn latest(&self) -> watch::Receiver<u64> {
        self.latest.clone()
    }

    /// A connection of its own for reading; cheap to open.
    pub fn reader(&self) -> Result<Reader, AuditError> {
        Reader::open(&self.paths.database)
    }

    /// What was said in the exchange of this row; none where it was not kept, or is gone. Blocks.
    pub fn content(&self, seq: u64) -> Result<Option<Vec<u8>>, AuditError> {
        let reader = self.reader()?;
        let Some(row) = reader.show(&seq.to_string())? else { return Ok(None) };
        content::opened(reader.connection(), &self.content_key, &self.database, &row)
    }

    /// Rows from `from_seq` on, and then each new one.
    pub fn tail(&self, from_seq: u64) -> Tail {
        Tail::new(self.paths.database.clone(), self.latest.clone(), from_seq)
    }

    /// Removes rows older than `older_than`, leaving a signed record, and records who asked for it.
    pub async fn purge(&self, older_than: Timestamp, by: Actor) -> Result<PurgeReport, AuditError> {
        let (reply, answer) = oneshot::channel();
        self.queue.order(Order::Purge(Purge { older_than, by, reply }));
        answer.await.unwrap_or(Err(AppendError::bare(Trouble::Closed).into()))
    }

    /// Waits until all that was recorded so far is on disk, indexed and signed.
    pub async fn settle(&self) {
        let (reply, answer) = oneshot::channel();
        self.queue.order(Order::Settle(reply));
        // No answer means that the trail closed, which settles as well.
        let _ = answer.await;
    }

    /// Pin this: whoever verifies elsewhere needs it from a place that the trail's writer can't reach.
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    pub fn paths(&self) -> &TrailPaths {
        &self.paths
    }

    pub fn database(&self) -> &Path {
        &self.paths.database
    }

    /// Writes what waits, signs the end and closes the file. Events that come later are refused.
    pub fn close(&self) {
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the audit trail had panicked");
        }
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trail").field("database", &self.paths.database).finish_non_exhaustive()
    }
}
