//! The counters of one person or account, and the one place that checks and reserves.
//!
//! Requests are counted in sliding windows, so that no boundary lets twice the limit through. Tokens belong to the UTC
//! day in which they were reserved. A slot is a lease: who dies without giving it back loses it when it expires.

use std::collections::{BTreeMap, VecDeque};

use super::{DAY, Exceeded, HOUR, Limit, MINUTE, Millis, RequestId, Tier, day_of};

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    pub id: RequestId,
    pub prompt_length: u64,
    /// See [`super::reservation`].
    pub tokens: u64,
    /// How long its slot lasts unless it is renewed.
    pub lease: Millis,
    /// Whether a limit that is passed stops it; else it is only told.
    pub enforce: bool,
}

/// A request that was let through: what has to be settled when it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    pub id: RequestId,
    /// The UTC day that its tokens belong to.
    pub day: i64,
    pub reserved: u64,
}

/// What is used of each limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub now: Millis,
    pub minute: u64,
    /// The oldest request of the minute.
    pub minute_first: Option<Millis>,
    pub hour: u64,
    pub hour_first: Option<Millis>,
    /// Settled and reserved.
    pub tokens: u64,
    pub concurrent: u64,
}

/// The answer to an [`Ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruling {
    /// None where the request is refused.
    pub ticket: Option<Ticket>,
    pub exceeded: Option<Exceeded>,
    /// After the request, if it was let through.
    pub tally: Tally,
}

/// One change of a ledger, for whoever writes it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Movement {
    Reserved {
        at: Millis,
        ticket: Ticket,
    },
    /// Tokens of `ticket.day` change by the difference to what was reserved.
    Settled {
        ticket: Ticket,
        tokens: u64,
    },
    /// Neither the request nor its tokens count.
    Cancelled {
        ticket: Ticket,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lease {
    expires: Millis,
}

/// The counters of one person or account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Of the last hour, oldest first.
    requests: VecDeque<(Millis, RequestId)>,
    tokens: BTreeMap<i64, u64>,
    leases: BTreeMap<RequestId, Lease>,
}

impl Ledger {
    /// As it was written down: requests with their moments, and tokens by day. Whoever held a slot is gone.
    pub fn restored(
        requests: impl IntoIterator<Item = (Millis, RequestId)>,
        tokens: impl IntoIterator<Item = (i64, u64)>,
    ) -> Ledger {
        let mut requests: Vec<_> = requests.into_iter().collect();
        requests.sort_unstable();
        Ledger { requests: requests.into(), tokens: tokens.into_iter().collect(), leases: BTreeMap::new() }
    }

    /// Checks all five limits and reserves, in one step.
    pub fn reserve(&mut self, tier: &Tier, ask: &Ask, now: Millis) -> Ruling {
        self.forget(now);
        let exceeded = self.first_exceeded(tier, ask, now);
        if exceeded.is_some() && ask.enforce {
            return Ruling { ticket: None, exceeded, tally: self.tally(now) };
        }
        let ticket = Ticket { id: ask.id, day: day_of(now), reserved: ask.tokens };
        self.requests.push_back((now, ask.id));
        *self.tokens.entry(ticket.day).or_default() += ask.tokens;
        self.leases.insert(ask.id, Lease { expires: now.saturating_add(ask.lease) });
        Ruling { ticket: Some(ticket), exceeded, tally: self.tally(now) }
    }

    /// Ends a request with what it really took, and gives its slot back.
    pub fn settle(&mut self, ticket: &Ticket, tokens: u64) {
        self.leases.remove(&ticket.id);
        if let Some(counted) = self.tokens.get_mut(&ticket.day) {
            *counted = counted.saturating_sub(ticket.reserved).saturating_add(tokens);
        }
    }

    /// Ends a request that was never sent: it costs nothing.
    pub fn cancel(&mut self, ticket: &Ticket) {
        self.settle(ticket, 0);
        self.requests.retain(|(_, id)| *id != ticket.id);
    }

    /// Keeps the slot of a request that still runs.
    pub fn renew(&mut self, id: RequestId, now: Millis, lease: Millis) {
        if let Some(held) = self.leases.get_mut(&id) {
            held.expires = now.saturating_add(lease);
        }
    }

    /// What is used now.
    pub fn look(&mut self, now: Millis) -> Tally {
        self.forget(now);
        self.tally(now)
    }

    /// Lets go of what no limit looks at any more.
    fn forget(&mut self, now: Millis) {
        // A clock that was set back must not keep requests in their windows for longer than these are.
        for (at, _) in self.requests.iter_mut().rev() {
            if *at <= now {
                break;
            }
            *at = now;
        }
        while self.requests.front().is_some_and(|(at, _)| *at <= now - HOUR) {
            self.requests.pop_front();
        }
        self.leases.retain(|_, lease| lease.expires > now);
        let yesterday = day_of(now) - 1;
        self.tokens.retain(|day, _| *day >= yesterday);
    }

    fn tally(&self, now: Millis) -> Tally {
        let minute_from = self.first_after(now - MINUTE);
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Tally {
            now,
            minute: count(self.requests.len() - minute_from),
            minute_first: self.requests.get(minute_from).map(|(at, _)| *at),
            hour: count(self.requests.len()),
            hour_first: self.requests.front().map(|(at, _)| *at),
            tokens: self.tokens.get(&day_of(now)).copied().unwrap_or(0),
            concurrent: count(self.leases.len()),
        }
    }

    fn first_after(&self, moment: Millis) -> usize {
        self.requests.partition_point(|(at, _)| *at <= moment)
    }

    fn first_exceeded(&self, tier: &Tier, ask: &Ask, now: Millis) -> Option<Exceeded> {
        let tally = self.tally(now);
        Limit::LONGEST_WAIT_FIRST.into_iter().find_map(|limit| {
            let size = tier.size(limit);
            let wanted = match limit {
                Limit::PromptLength => ask.prompt_length,
                Limit::TokensPerDay => tally.tokens.saturating_add(ask.tokens),
                Limit::RequestsPerHour => tally.hour + 1,
                Limit::RequestsPerMinute => tally.minute + 1,
                Limit::ConcurrentRequests => tally.concurrent + 1,
            };
            let free_at = match limit {
                Limit::PromptLength | Limit::ConcurrentRequests => None,
                Limit::TokensPerDay => (ask.tokens <= size).then(|| (day_of(now) + 1) * DAY),
                Limit::RequestsPerHour => self.free_at(0, wanted, size, HOUR),
                Limit::RequestsPerMinute => {
                    self.free_at(self.first_after(now - MINUTE), wanted, size, MINUTE)
                }
            };
            (wanted > size).then_some(Exceeded { limit, size, wanted, free_at })
        })
    }

    /// When so many requests have left the window that one more fits.
    fn free_at(&self, from: usize, wanted: u64, size: u64, window: Millis) -> Option<Millis> {
        if size == 0 {
            return None;
        }
        let leaving = usize::try_from(wanted.checked_sub(size)?.checked_sub(1)?).ok()?;
        self.requests.get(from + leaving).map(|(at, _)| at + window)
    }
}
