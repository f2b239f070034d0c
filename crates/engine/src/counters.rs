//! Numbers since the engine started.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::Notify;

#[derive(Default)]
pub(crate) struct Counters {
    exchanges: AtomicU64,
    redactions: AtomicU64,
    blocked: AtomicU64,
    tunnelled: AtomicU64,
    opaque: AtomicU64,
    pinned: AtomicU64,
    injections: AtomicU64,
    shadow_ai: AtomicU64,
    denied_calls: AtomicU64,
    would_deny: AtomicU64,
    in_flight: AtomicU64,
    began: Notify,
}

/// Counts an exchange as under way until it is dropped.
pub(crate) struct UnderWay<'c>(&'c AtomicU64);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Counters {
    pub(crate) fn exchange(&self) -> UnderWay<'_> {
        self.exchanges.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        self.began.notify_one();
        UnderWay(&self.in_flight)
    }

    /// Waits for an exchange; one that began since the last wait counts.
    pub(crate) async fn stirred(&self) {
        self.began.notified().await;
    }

    /// How many there were, and how many are under way.
    pub(crate) fn exchanges(&self) -> (u64, u64) {
        (self.exchanges.load(Relaxed), self.in_flight.load(Relaxed))
    }

    pub(crate) fn redacted(&self, values: usize) {
        self.redactions.fetch_add(values as u64, Relaxed);
    }

    pub(crate) fn blocked(&self) {
        self.blocked.fetch_add(1, Relaxed);
    }

    pub(crate) fn tunnelled(&self) {
        self.tunnelled.fetch_add(1, Relaxed);
    }

    /// Counts what no earlier request held.
    pub(crate) fn injected(&self, spoken: &[crate::conduct::Spoken]) {
        self.injections.fetch_add(spoken.iter().filter(|one| one.fresh).count() as u64, Relaxed);
    }

    pub(crate) fn opaque(&self) {
        self.opaque.fetch_add(1, Relaxed);
    }

    pub(crate) fn pinned(&self) {
        self.pinned.fetch_add(1, Relaxed);
    }

    pub(crate) fn shadow_ai(&self) {
        self.shadow_ai.fetch_add(1, Relaxed);
    }

    /// Counts tool calls by what became of them.
    pub(crate) fn judged(&self, calls: &[sallyport_audit::Action]) {
        for call in calls {
            match call.outcome.as_deref() {
                Some("denied") => self.denied_calls.fetch_add(1, Relaxed),
                Some("would_deny") => self.would_deny.fetch_add(1, Relaxed),
                _ => 0,
            };
        }
    }

    /// `held`: answers that wait for a person now.
    pub(crate) fn read(&self, held: usize) -> sallyport_ipc::types::Counters {
        sallyport_ipc::types::Counters {
            exchanges: self.exchanges.load(Relaxed),
            redactions: self.redactions.load(Relaxed),
            blocked: self.blocked.load(Relaxed),
            tunnelled: self.tunnelled.load(Relaxed),
            opaque: self.opaque.load(Relaxed),
            pinned: self.pinned.load(Relaxed),
            injections: self.injections.load(Relaxed),
            shadow_ai: self.shadow_ai.load(Relaxed),
            denied_calls: self.denied_calls.load(Relaxed),
            would_deny: self.would_deny.load(Relaxed),
            held: held as u64,
            in_flight: self.in_flight.load(Relaxed),
        }
    }
}
