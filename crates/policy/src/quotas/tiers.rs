//! Tiers: five limits under one name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{DAY, HOUR, MINUTE, Millis, Tally, day_of};

/// The five limits of a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    pub requests_per_minute: u64,
    pub requests_per_hour: u64,
    /// Input and output, and cache reads where policy counts them; per UTC day.
    pub tokens_per_day: u64,
    /// Characters of the newest user turn.
    pub max_prompt_length: u64,
    pub max_concurrent_requests: u64,
}

/// A tier as a document writes it: what is absent stays as the tier of that name has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct TierRow {
    pub requests_per_minute: Option<u64>,
    pub requests_per_hour: Option<u64>,
    pub tokens_per_day: Option<u64>,
    pub max_prompt_length: Option<u64>,
    pub max_concurrent_requests: Option<u64>,
}

impl TierRow {
    /// None where a limit is missing on both sides.
    pub fn over(&self, base: Option<&Tier>) -> Option<Tier> {
        let pick = |own: Option<u64>, read: fn(&Tier) -> u64| own.or_else(|| base.map(read));
        Some(Tier {
            requests_per_minute: pick(self.requests_per_minute, |t| t.requests_per_minute)?,
            requests_per_hour: pick(self.requests_per_hour, |t| t.requests_per_hour)?,
            tokens_per_day: pick(self.tokens_per_day, |t| t.tokens_per_day)?,
            max_prompt_length: pick(self.max_prompt_length, |t| t.max_prompt_length)?,
            max_concurrent_requests: pick(self.max_concurrent_requests, |t| t.max_concurrent_requests)?,
        })
    }
}

/// Tiers by name. A name that is not here is no tier: whoever has it is refused.
pub type Tiers = BTreeMap<String, Tier>;

impl Tier {
    /// The three built-in tiers.
    pub fn builtin() -> Tiers {
        let tier = |minute, hour, tokens, prompt, concurrent| Tier {
            requests_per_minute: minute,
            requests_per_hour: hour,
            tokens_per_day: tokens,
            max_prompt_length: prompt,
            max_concurrent_requests: concurrent,
        };
        BTreeMap::from([
            ("developer".to_owned(), tier(20, 200, 100_000, 8_000, 3)),
            ("team_lead".to_owned(), tier(40, 400, 250_000, 16_000, 5)),
            ("service_account".to_owned(), tier(100, 1_000, 1_000_000, 32_000, 20)),
        ])
    }

    pub fn size(&self, limit: Limit) -> u64 {
        match limit {
            Limit::RequestsPerMinute => self.requests_per_minute,
            Limit::RequestsPerHour => self.requests_per_hour,
            Limit::TokensPerDay => self.tokens_per_day,
            Limit::PromptLength => self.max_prompt_length,
            Limit::ConcurrentRequests => self.max_concurrent_requests,
        }
    }

    /// How full each limit is that fills up.
    pub fn gauges(&self, tally: &Tally) -> Vec<Gauge> {
        let gauge = |limit, used, resets_at| Gauge { limit, size: self.size(limit), used, resets_at };
        vec![
            gauge(Limit::RequestsPerMinute, tally.minute, tally.minute_first.map(|at| at + MINUTE)),
            gauge(Limit::RequestsPerHour, tally.hour, tally.hour_first.map(|at| at + HOUR)),
            gauge(Limit::TokensPerDay, tally.tokens, Some((day_of(tally.now) + 1) * DAY)),
            gauge(Limit::ConcurrentRequests, tally.concurrent, None),
        ]
    }
}

/// What a quota limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    RequestsPerMinute,
    RequestsPerHour,
    TokensPerDay,
    PromptLength,
    ConcurrentRequests,
}

impl Limit {
    /// Of several that are exceeded the one with the longest wait is told: in this order.
    pub const LONGEST_WAIT_FIRST: [Limit; 5] = [
        Limit::PromptLength,
        Limit::TokensPerDay,
        Limit::RequestsPerHour,
        Limit::RequestsPerMinute,
        Limit::ConcurrentRequests,
    ];

    /// The trail's `violation_type`, and what faces match on.
    pub fn code(self) -> &'static str {
        match self {
            Limit::RequestsPerMinute => "quota_requests_per_minute",
            Limit::RequestsPerHour => "quota_requests_per_hour",
            Limit::TokensPerDay => "quota_tokens_per_day",
            Limit::PromptLength => "quota_prompt_length",
            Limit::ConcurrentRequests => "quota_concurrent_requests",
        }
    }

    /// As a document names it.
    pub fn key(self) -> &'static str {
        match self {
            Limit::RequestsPerMinute => "requestsPerMinute",
            Limit::RequestsPerHour => "requestsPerHour",
            Limit::TokensPerDay => "tokensPerDay",
            Limit::PromptLength => "maxPromptLength",
            Limit::ConcurrentRequests => "maxConcurrentRequests",
        }
    }

    /// `20 requests a minute`.
    pub fn spoken(self, size: u64) -> String {
        match self {
            Limit::RequestsPerMinute => format!("{size} requests a minute"),
            Limit::RequestsPerHour => format!("{size} requests an hour"),
            Limit::TokensPerDay => format!("{size} tokens a day"),
            Limit::PromptLength => format!("{size} characters in a prompt"),
            Limit::ConcurrentRequests => format!("{size} requests at once"),
        }
    }
}

/// How full one limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauge {
    pub limit: Limit,
    pub size: u64,
    pub used: u64,
    /// When something of it is free again; none where that depends on running requests alone.
    pub resets_at: Option<Millis>,
}

/// A limit that a request would pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exceeded {
    pub limit: Limit,
    pub size: u64,
    /// What it would be with this request.
    pub wanted: u64,
    /// When the same request may pass; none where waiting does not help, or nobody knows how long.
    pub free_at: Option<Millis>,
}
