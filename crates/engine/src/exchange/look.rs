//! Looking at a request's body, away from the network: what it holds, and what the decision has to know of it.

use std::sync::Arc;

use parking_lot::Mutex;
use sallyport_detect::{Placeholders, Scanner};
use sallyport_policy::classification::Mark;
use sallyport_wire::{Family, Limits};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::conduct::InjectionGuard;
use crate::engine::Engine;
use crate::guard::Guard;
use crate::inspect::{FromFiles, Inspected, Parsed, Remembered};
use crate::policy::Policy;
use crate::scan_memory::Generations;
use crate::threads::ThreadHint;

/// Bodies from this size on are looked at on a thread that may be busy for milliseconds.
const LARGE_BODY: usize = 256 * 1024;

/// How many large bodies are looked at at the same time: as many as there are cores. More would not be ready sooner, and
/// each takes a thread with caches of its own.
pub(crate) struct Looks(Semaphore);

impl Default for Looks {
    fn default() -> Looks {
        Looks(Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)))
    }
}

impl Looks {
    /// Waits for a turn, which lasts until it is dropped. A small body needs none.
    pub(super) async fn turn(&self, length: usize) -> Option<SemaphorePermit<'_>> {
        // It is never closed, which is the only error.
        if length >= LARGE_BODY { self.0.acquire().await.ok() } else { None }
    }
}

/// What looking at a body needs, away from the network.
pub(super) struct Look<'l> {
    pub(super) engine: &'l Engine,
    pub(super) policy: &'l Policy,
    pub(super) scanner: &'l Scanner,
    pub(super) guard: &'l Guard,
    pub(super) family: Family,
    pub(super) limits: Limits,
    /// The client's signature covers the body, so it can't be changed.
    pub(super) signed: bool,
}

pub(super) struct Seen {
    pub(super) inspected: Inspected,
    pub(super) marks: Vec<Mark>,
    pub(super) placeholders: Arc<Mutex<Placeholders>>,
}

impl Look<'_> {
    /// On the task's own thread; a large body makes room for the others first.
    pub(super) fn over(&self, plain: &[u8], content_type: Option<&str>, session: Option<&str>) -> Seen {
        if plain.len() >= LARGE_BODY {
            tokio::task::block_in_place(|| self.at(plain, content_type, session))
        } else {
            self.at(plain, content_type, session)
        }
    }

    /// What all that is remembered of looks at this exchange depends on.
    pub(super) fn generations(&self) -> Generations {
        Generations { scanner: self.scanner.generation(), policy: self.policy.generation }
    }

    fn at(&self, plain: &[u8], content_type: Option<&str>, session: Option<&str>) -> Seen {
        let parsed = Parsed::read(self.family, content_type, plain, &self.limits);
        let opening = if session.is_some() { String::new() } else { parsed.opening() };
        let placeholders = self.engine.threads.placeholders(&ThreadHint { session, opening: &opening });
        let (withheld, hidden) = parsed.withheld(self.guard);
        let from_files =
            FromFiles { withheld, hidden, allowed: parsed.allowed(self.guard, &self.engine.allow.files()) };
        let remembered = Remembered { memory: &self.engine.memory, generations: self.generations() };
        let instructions = InjectionGuard::new(&self.engine.conduct, &self.policy.snapshot, !self.signed);
        let inspected = parsed.inspect(
            self.scanner,
            &self.policy.request,
            &remembered,
            &instructions,
            from_files,
            &mut placeholders.lock(),
        );
        let rules = &self.policy.snapshot.classification.value;
        let marks = parsed.marks(rules, self.scanner, &self.policy.request);
        Seen { inspected, marks, placeholders }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_bodies_take_turns_and_small_ones_do_not_wait() {
        let looks = Looks::default();
        let mut turns = Vec::new();
        while looks.0.available_permits() > 0 {
            turns.push(looks.turn(LARGE_BODY).await.expect("a turn"));
        }
        assert!(looks.turn(LARGE_BODY - 1).await.is_none());
        let mut waiting = std::pin::pin!(looks.turn(LARGE_BODY));
        tokio::select! {
            biased;
            _ = waiting.as_mut() => panic!("there was no turn left"),
            () = std::future::ready(()) => {}
        }
        turns.pop();
        assert!(waiting.await.is_some());
    }
}
