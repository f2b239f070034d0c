//! Answers that are held open while a person decides on a call in them: how many, how much memory, for how long.
//!
//! Judges nothing: `guard` says what waits and what comes of it, `wire` what a sign of life is, `policy` how long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use sallyport_ipc::types::Event;
use sallyport_policy::elevation::{Patience, State};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;

/// Answers at once; what comes beyond is answered as if nobody could be waited for.
const MAX_HELD: usize = 32;
/// What all of them may keep in memory.
const MAX_BYTES: usize = 64 << 20;

/// All answers that are held now.
pub(crate) struct Holds {
    slots: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    patience: Patience,
    stopping: CancellationToken,
    /// Until when a client waits for the answer to a request, with how many such clients there are.
    waiting: Mutex<BTreeMap<u64, (Timestamp, usize)>>,
}

impl Holds {
    pub(crate) fn new() -> Holds {
        Holds {
            slots: Arc::new(Semaphore::new(MAX_HELD)),
            bytes: Arc::new(Semaphore::new(MAX_BYTES)),
            patience: Patience::builtin()
                .unwrap_or_else(|error| unreachable!("tested with the table: {error}")),
            stopping: CancellationToken::new(),
            waiting: Mutex::default(),
        }
    }

    /// The engine stops: whatever is held is answered now, and nothing more is held.
    pub(crate) fn close(&self) {
        self.stopping.cancel();
    }

    /// How many are held now.
    pub(crate) fn count(&self) -> usize {
        MAX_HELD.saturating_sub(self.slots.available_permits())
    }

    /// Until when a client waits for the answer to this request.
    pub(crate) fn until(&self, request: u64) -> Option<Timestamp> {
        self.waiting.lock().get(&request).map(|(until, _)| *until)
    }

    /// The time that this client is given; none where its answers are not held.
    pub(crate) fn allows(&self, engine: &Engine, client: &str, stream: bool) -> Option<Duration> {
        let hold = engine.policy().snapshot.elevation.hold.value;
        let attended = engine.events.receiver_count() > 0;
        self.patience.allows(hold, client, stream, attended).map(Duration::from_secs)
    }

    fn alive_every(&self) -> Duration {
        Duration::from_secs(self.patience.alive_every)
    }
}

/// What happened while an answer was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The client is to be shown that somebody is there.
    Alive,
    /// A request that is waited for was answered, or ran out.
    Answered,
    /// It has waited long enough.
    Over,
}

/// One held answer. Dropped, its place is free.
pub(crate) struct Hold {
    engine: Arc<Engine>,
    until: Instant,
    next_alive: Instant,
    steps: watch::Receiver<u64>,
    requests: BTreeSet<u64>,
    _slot: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Hold {
    /// A place for an answer of so many bytes; none where there are too many, or the engine stops.
    pub(crate) fn begin(engine: &Arc<Engine>, time: Duration, bytes: usize) -> Option<Hold> {
        let holds = &engine.holds;
        if time.is_zero() || holds.stopping.is_cancelled() {
            return None;
        }
        let slot = holds.slots.clone().try_acquire_owned().ok()?;
        let bytes = u32::try_from(bytes).ok()?;
        let bytes = holds.bytes.clone().try_acquire_many_owned(bytes).ok()?;
        let now = Instant::now();
        Some(Hold {
            engine: engine.clone(),
            until: now + time,
            next_alive: now + holds.alive_every(),
            steps: engine.elevation.steps.subscribe(),
            requests: BTreeSet::new(),
            _slot: slot,
            _bytes: bytes,
        })
    }

    /// Waits for these requests from now on.
    pub(crate) fn wait_for(&mut self, requests: BTreeSet<u64>) {
        if requests == self.requests {
            return;
        }
        self.forget();
        self.requests = requests;
        let left = SignedDuration::try_from(self.left()).unwrap_or(SignedDuration::ZERO);
        let until = Timestamp::now().saturating_add(left).unwrap_or(Timestamp::MAX);
        for request in &self.requests {
            {
                let mut waiting = self.engine.holds.waiting.lock();
                let (known, clients) = waiting.entry(*request).or_insert((until, 0));
                *known = (*known).max(until);
                *clients += 1;
            }
            let _ = self.engine.events.send(Event::Held { request: *request, until: Some(until) });
        }
    }

    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// The next thing that happens.
    pub(crate) async fn step(&mut self) -> Step {
        loop {
            self.steps.mark_unchanged();
            if self.is_answered() {
                return Step::Answered;
            }
            tokio::select! {
                biased;
                () = self.engine.holds.stopping.cancelled() => return Step::Over,
                changed = self.steps.changed() => {
                    if changed.is_err() {
                        return Step::Over;
                    }
                }
                () = tokio::time::sleep_until(self.until) => return Step::Over,
                () = tokio::time::sleep_until(self.next_alive) => {
                    self.next_alive = Instant::now() + self.engine.holds.alive_every();
                    return Step::Alive;
                }
            }
        }
    }

    fn is_answered(&self) -> bool {
        let elevation = &self.engine.elevation;
        self.requests.iter().any(|id| elevation.get(*id).is_none_or(|record| record.state != State::Pending))
    }

    fn forget(&mut self) {
        for request in std::mem::take(&mut self.requests) {
            let gone = {
                let mut waiting = self.engine.holds.waiting.lock();
                match waiting.get_mut(&request) {
                    Some((_, clients)) if *clients > 1 => {
                        *clients -= 1;
                        false
                    }
                    Some(_) => waiting.remove(&request).is_some(),
                    None => false,
                }
            };
            if gone {
                let _ = self.engine.events.send(Event::Held { request, until: None });
            }
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.forget();
    }
}
