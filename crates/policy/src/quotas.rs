//! Quotas: how much of the models a person or an agent may use.
//!
//! Pure: counters, a moment and a request go in, a ruling and new counters come out. Where counters are kept, and what
//! time it is, is the engine's to know.

mod calls;
mod ledger;
mod prices;
mod tiers;

pub use calls::is_generation;
pub use ledger::{Ask, Ledger, Movement, Ruling, Tally, Ticket};
pub use prices::{Price, Prices, PricesError};
pub use tiers::{Exceeded, Gauge, Limit, Tier, TierRow, Tiers};

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

/// One request among all; the engine draws it at random.
pub type RequestId = u128;

pub const MINUTE: Millis = 60_000;
pub const HOUR: Millis = 60 * MINUTE;
pub const DAY: Millis = 24 * HOUR;

/// Of the answer's tokens at most so many are reserved: clients ask for far more than they get.
pub const MOST_RESERVED_OUTPUT: u64 = 4096;

/// The UTC day of a moment. UTC, so that one person's machines agree on it.
pub fn day_of(at: Millis) -> i64 {
    at.div_euclid(DAY)
}

/// What is reserved for a request before its answer tells what it took.
pub fn reservation(input_estimate: u64, max_tokens: Option<u64>) -> u64 {
    input_estimate.saturating_add(max_tokens.unwrap_or(MOST_RESERVED_OUTPUT).min(MOST_RESERVED_OUTPUT))
}

/// Tokens of a body, before anybody has counted them: four bytes to a token is what English and code come to.
pub fn estimate(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(4)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
