//! Quotas: how full each limit is, what was used, what it cost.

use jiff::Timestamp;
use sallyport_policy::config::OnExceed;
use sallyport_policy::quotas::Limit;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Quotas as they stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct QuotaView {
    /// This person first, then agents whose class has a tier of its own.
    pub subjects: Vec<SubjectQuota>,
    pub on_exceed: OnExceed,
    /// `sqlite`, or the address of the shared store.
    pub store: String,
    /// The store answers. While it does not, policy says whether requests pass uncounted.
    pub store_reachable: bool,
    /// Everybody together, since midnight UTC.
    pub today: Usage,
}

/// The quota of one person, or of a class of agents of that person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct SubjectQuota {
    /// A user name, or `user/class`.
    pub subject: String,
    pub tier: String,
    /// Longest prompt, in characters; none where the tier is not known, so that nothing passes.
    pub max_prompt_length: Option<u64>,
    pub gauges: Vec<QuotaGauge>,
}

/// How full one limit is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct QuotaGauge {
    /// `requests_per_minute`, `requests_per_hour`, `tokens_per_day` or `concurrent_requests`.
    pub limit: Limit,
    pub size: u64,
    pub used: u64,
    /// When something of it is free again; none where nothing is used, or where it depends on what runs.
    pub resets_at: Option<Timestamp>,
}

/// Requests, tokens and their estimated cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
#[serde(default)]
pub struct Usage {
    pub requests: u64,
    /// Stopped by a limit.
    pub refused: u64,
    /// Tokens sent, without those read from or written to a prompt cache.
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    /// Millionths of a US dollar; an estimate from list prices.
    pub cost_micros: u64,
    /// Requests to models without a known price; they are not in the cost.
    pub unpriced: u64,
}

impl Usage {
    pub fn add(&mut self, other: &Usage) {
        self.requests += other.requests;
        self.refused += other.refused;
        self.input += other.input;
        self.output += other.output;
        self.cache_read += other.cache_read;
        self.cache_write += other.cache_write;
        self.cost_micros += other.cost_micros;
        self.unpriced += other.unpriced;
    }
}

/// The last 30 days. Periods without use are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
pub struct QuotaHistory {
    /// Oldest first.
    pub hours: Vec<UsagePeriod>,
    /// UTC days, oldest first.
    pub days: Vec<UsagePeriod>,
    /// The costliest first.
    pub models: Vec<ModelUse>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct UsagePeriod {
    pub start: Timestamp,
    #[serde(flatten)]
    pub usage: Usage,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ModelUse {
    /// None where the request named none.
    pub model: Option<String>,
    #[serde(flatten)]
    pub usage: Usage,
}
