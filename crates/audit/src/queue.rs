//! Between those who record and the one thread that writes: a queue whose bound is felt through receipts.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::canonical::Draft;
use crate::{Actor, AppendError, AuditError, Entry, Event, PurgeReport, Trouble};

/// The answer to `append`. A future; or block on it with [`Receipt::wait`]. Dropping it doesn't take the event
/// back.
#[must_use = "with strict durability the event is on disk only when its receipt says so"]
pub struct Receipt(Waiting);

enum Waiting {
    Answered(Option<Result<Recorded, AppendError>>),
    Pending(oneshot::Receiver<Result<Recorded, AppendError>>),
}

/// How safe the event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// Synced to disk as this row.
    Durable { seq: u64 },
    /// Held in memory; it will be written as soon as that is possible.
    Queued,
}

impl Receipt {
    pub(crate) fn answered(answer: Result<Recorded, AppendError>) -> Receipt {
        Receipt(Waiting::Answered(Some(answer)))
    }

    /// Blocks the thread until the answer is there. Not for async tasks.
    pub fn wait(self) -> Result<Recorded, AppendError> {
        struct Unpark(std::thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        // Tokio's budget would make a task that blocks here wait for itself.
        let mut receipt = tokio::task::unconstrained(self);
        loop {
            match Pin::new(&mut receipt).poll(&mut context) {
                Poll::Ready(answer) => return answer,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}

impl Future for Receipt {
    type Output = Result<Recorded, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Waiting::Answered(answer) => {
                Poll::Ready(answer.take().unwrap_or(Err(AppendError::bare(Trouble::Closed))))
            }
            Waiting::Pending(receiver) => {
                let answer = std::task::ready!(Pin::new(receiver).poll(context));
                // The sender is only ever dropped unused when the writer is gone.
                Poll::Ready(answer.unwrap_or(Err(AppendError::bare(Trouble::Closed))))
            }
        }
    }
}

pub(crate) type Reply = oneshot::Sender<Result<Recorded, AppendError>>;

pub(crate) struct Append {
    pub(crate) draft: Draft,
    /// What is kept with the row, where it is too long for the draft.
    pub(crate) content: Option<Bytes>,
    /// `None` when the answer has been given already.
    pub(crate) reply: Option<Reply>,
    /// Kept through failures instead of refused.
    pub(crate) keep: bool,
}

impl Append {
    /// For what the trail itself records.
    pub(crate) fn own(event: &Event, keep: bool) -> Result<Append, rusqlite::Error> {
        let draft = Draft::of(event).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        Ok(Append { draft, content: None, reply: None, keep })
    }
}

pub(crate) struct Purge {
    pub(crate) older_than: Timestamp,
    pub(crate) by: Actor,
    pub(crate) reply: oneshot::Sender<Result<PurgeReport, AuditError>>,
}

pub(crate) enum Order {
    Append(Append),
    Purge(Purge),
    /// Bring facets and a checkpoint up to date, then answer.
    Settle(oneshot::Sender<()>),
}

/// How long events for which nobody waits may gather, so that they share a commit, or go along with one that is waited for.
/// A commit takes the time of some thirty rows.
const GATHER: Duration = Duration::from_millis(25);

/// Content up to here is copied: its own buffer is part of a connection's, which its exchange uses again.
const SHORT: usize = 16 * 1024;
/// Drafts that wait for the next events, and their size: what is written on one thread and freed on another has both wait
/// for each other in the allocator.
const SPARE: usize = 256;
const SPARE_BYTES: usize = 8 * 1024;

#[derive(Default)]
struct State {
    orders: VecDeque<Order>,
    spare: Vec<Draft>,
    /// Somebody waits for one of them.
    urgent: bool,
    /// When the first of them came.
    since: Option<Instant>,
    /// Events that the writer could not write yet; they count, too.
    held: usize,
    closed: bool,
}

pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    /// Beyond this, receipts of relaxed events wait, too; at four times this, events are refused.
    limit: usize,
}

/// What the writer got.
pub(crate) enum Taken {
    Orders(VecDeque<Order>),
    /// Nothing came in time.
    Nothing,
    Closed,
}

impl State {
    /// Whether the writer should know of it now.
    fn push(&mut self, order: Order, urgent: bool) -> bool {
        let first = self.since.is_none();
        self.since.get_or_insert_with(Instant::now);
        self.orders.push_back(order);
        let wakes = first || (urgent && !self.urgent);
        self.urgent |= urgent;
        wakes
    }

    fn take(&mut self, most: usize) -> VecDeque<Order> {
        let count = most.min(self.orders.len());
        let taken = self.orders.drain(..count).collect();
        if self.orders.is_empty() {
            (self.urgent, self.since) = (false, None);
        }
        taken
    }
}

impl Queue {
    pub(crate) fn new(limit: usize) -> Queue {
        Queue { state: Mutex::default(), filled: Condvar::new(), limit: limit.max(1) }
    }

    pub(crate) fn append(&self, entry: Entry, relaxed: bool) -> Receipt {
        let Entry { event, content } = entry;
        let mut draft = self.state().spare.pop().unwrap_or_default();
        let (short, long) = match &content {
            Some(content) if content.len() <= SHORT => (&content[..], None),
            content => (&[][..], content.clone()),
        };
        if draft.write(&event, short).is_err() {
            return Receipt::answered(Err(AppendError::bare(Trouble::Other)));
        }
        let mut state = self.state();
        if state.closed {
            return Receipt::answered(Err(AppendError::bare(Trouble::Closed)));
        }
        let waiting = state.orders.len() + state.held;
        if waiting >= self.limit.saturating_mul(4) {
            return Receipt::answered(Err(AppendError::bare(Trouble::QueueFull)));
        }
        let (reply, receipt) = if relaxed && waiting < self.limit {
            (None, Receipt::answered(Ok(Recorded::Queued)))
        } else {
            let (reply, receiver) = oneshot::channel();
            (Some(reply), Receipt(Waiting::Pending(receiver)))
        };
        let urgent = reply.is_some();
        let wakes = state.push(Order::Append(Append { draft, content: long, reply, keep: relaxed }), urgent);
        drop(state);
        if wakes {
            self.filled.notify_one();
        }
        receipt
    }

    /// Purges and the like; `false` when the writer is gone.
    pub(crate) fn order(&self, order: Order) -> bool {
        let mut state = self.state();
        if state.closed {
            return false;
        }
        state.push(order, true);
        drop(state);
        self.filled.notify_one();
        true
    }

    pub(crate) fn note_held(&self, held: usize) {
        self.state().held = held;
    }

    /// Takes drafts back that were written.
    pub(crate) fn give_back(&self, mut drafts: Vec<Draft>) {
        drafts.retain(|draft| draft.capacity() <= SPARE_BYTES);
        let mut state = self.state();
        let room = SPARE.saturating_sub(state.spare.len()).min(drafts.len());
        state.spare.extend(drafts.drain(..room));
        drop(state);
        // The rest is freed when nobody waits for the lock.
    }

    /// For a quiet moment: what comes next may ask for room of its own.
    pub(crate) fn forget_spare(&self) {
        let spare = std::mem::take(&mut self.state().spare);
        drop(spare);
    }

    /// Up to `most` orders: at once where somebody waits for one, else when they have gathered.
    pub(crate) fn take(&self, most: usize, patience: Option<Duration>) -> Taken {
        let deadline = patience.map(|p| Instant::now() + p);
        let mut state = self.state();
        loop {
            if let Some(since) = state.since {
                let gathering = GATHER.saturating_sub(since.elapsed());
                if state.urgent || state.closed || state.orders.len() >= most || gathering.is_zero() {
                    return Taken::Orders(state.take(most));
                }
                state = self.filled.wait_timeout(state, gathering).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            if state.closed {
                return Taken::Closed;
            }
            state = match deadline {
                None => self.filled.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Taken::Nothing;
                    }
                    self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// No more orders; those that wait are still served.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
    }

    /// The writer is gone: whoever waits learns it by its reply being dropped.
    pub(crate) fn abandon(&self) {
        let mut state = self.state();
        state.closed = true;
        state.orders.clear();
        (state.urgent, state.since) = (false, None);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
