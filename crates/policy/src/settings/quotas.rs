//! The settings of quotas, from configuration and documents together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::layers::{Configs, Policies, Rank};
use super::{FailMode, Setting, SettingRow, snapshot::row};
use crate::config::{OnExceed, QuotaStore};
use crate::documents::{QuotaPolicy, RepeatPolicy};
use crate::quotas::{Tier, TierRow, Tiers};

#[derive(Debug, Clone)]
pub struct QuotaSettings {
    /// Whose limits count for this person.
    pub tier: Setting<String>,
    pub tiers: Setting<Tiers>,
    pub on_exceed: Setting<OnExceed>,
    pub store: Setting<QuotaStore>,
    pub password_file: Setting<Option<PathBuf>>,
    pub ca: Setting<Option<PathBuf>>,
    pub fail_mode: Setting<FailMode>,
    pub count_cache_reads: Setting<bool>,
    pub agent_tiers: Setting<BTreeMap<String, String>>,
    pub repeats: Setting<RepeatPolicy>,
}

impl QuotaSettings {
    pub(super) fn resolve(config: &Configs<'_>, policies: &Policies<'_>) -> QuotaSettings {
        // Who manages machines means quotas to hold; a person by herself first wants to see them.
        let start = if config.is_managed() { OnExceed::Block } else { OnExceed::Warn };
        QuotaSettings {
            tier: config.pick("identity.tier", |config| config.identity.tier.clone()),
            tiers: tiers(policies),
            on_exceed: both(
                config.all("quotas.on_exceed", |c| c.quotas.on_exceed),
                quotas(policies, |q| q.on_exceed),
                start,
            ),
            store: both(
                config.all("quotas.store", |c| c.quotas.store.clone()),
                quotas(policies, |q| q.store.clone()),
                QuotaStore::default(),
            ),
            password_file: config.pick("quotas.password_file", |c| c.quotas.password_file.clone()),
            ca: config.pick("quotas.ca", |c| c.quotas.ca.clone()),
            fail_mode: highest(quotas(policies, |q| q.fail_mode), FailMode::Open),
            count_cache_reads: highest(quotas(policies, |q| q.count_cache_reads), false),
            agent_tiers: highest(quotas(policies, |q| q.agent_tiers.clone()), BTreeMap::new()),
            repeats: repeats(policies),
        }
    }

    pub(super) fn rows(&self) -> [SettingRow; 10] {
        [
            row("identity.tier", &self.tier),
            row("quotas.tiers", &self.tiers),
            row("quotas.on_exceed", &self.on_exceed),
            row("quotas.store", &self.store),
            row("quotas.password_file", &self.password_file),
            row("quotas.ca", &self.ca),
            row("quotas.fail_mode", &self.fail_mode),
            row("quotas.count_cache_reads", &self.count_cache_reads),
            row("quotas.agent_tiers", &self.agent_tiers),
            row("quotas.repeats", &self.repeats),
        ]
    }
}

fn quotas<'a, T: 'a>(
    policies: &'a Policies<'_>,
    read: impl Fn(&QuotaPolicy) -> Option<T> + 'a,
) -> impl Iterator<Item = (Rank, T)> + 'a {
    policies.all(move |policy| policy.quotas.as_ref().and_then(&read))
}

/// The word of the highest rank; of two of the same rank the greater.
fn highest<T: Ord>(words: impl Iterator<Item = (Rank, T)>, start: T) -> Setting<T> {
    match words.max() {
        Some((rank, value)) => rank.setting(value),
        None => Rank::Default.setting(start),
    }
}

/// The same over both places in which a word may stand.
fn both<T: Ord>(
    config: impl Iterator<Item = (Rank, Option<T>)>,
    policies: impl Iterator<Item = (Rank, T)>,
    start: T,
) -> Setting<T> {
    let config = config.filter_map(|(rank, value)| value.map(|value| (rank, value)));
    highest(config.chain(policies), start)
}

/// Fewer repeats are stricter, and a loop that is refused than one that is told.
fn repeats(policies: &Policies<'_>) -> Setting<RepeatPolicy> {
    let strict = |repeats: &RepeatPolicy| {
        let after = if repeats.after == 0 { u32::MAX } else { repeats.after };
        (repeats.action, std::cmp::Reverse(after))
    };
    let words = quotas(policies, |q| q.repeats);
    match words.max_by_key(|(rank, repeats)| (*rank, strict(repeats))) {
        Some((rank, value)) => rank.setting(value),
        None => Rank::Default.setting(RepeatPolicy::default()),
    }
}

/// Rows of each rank over those below it; of two rows of one rank the smaller figure counts. Where a locked document
/// says anything of tiers, a user's rows say nothing.
fn tiers(policies: &Policies<'_>) -> Setting<Tiers> {
    let stated: Vec<_> = quotas(policies, |q| (!q.tiers.is_empty()).then(|| q.tiers.clone())).collect();
    let top = stated.iter().map(|(rank, _)| *rank).max().unwrap_or(Rank::Default);
    let mut tiers = Tier::builtin();
    for rank in [Rank::Recommended, Rank::User, Rank::Locked] {
        if rank == Rank::User && top == Rank::Locked {
            continue;
        }
        let mut rows: BTreeMap<&str, TierRow> = BTreeMap::new();
        let of_rank = stated.iter().filter(|(of, _)| *of == rank).flat_map(|(_, rows)| rows);
        for (name, row) in of_rank {
            let stricter = rows.get(name.as_str()).map_or(*row, |other| stricter(row, other));
            rows.insert(name, stricter);
        }
        for (name, row) in rows {
            if let Some(tier) = row.over(tiers.get(name)) {
                tiers.insert(name.to_owned(), tier);
            }
        }
    }
    top.setting(tiers)
}

fn stricter(one: &TierRow, other: &TierRow) -> TierRow {
    let least = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    TierRow {
        requests_per_minute: least(one.requests_per_minute, other.requests_per_minute),
        requests_per_hour: least(one.requests_per_hour, other.requests_per_hour),
        tokens_per_day: least(one.tokens_per_day, other.tokens_per_day),
        max_prompt_length: least(one.max_prompt_length, other.max_prompt_length),
        max_concurrent_requests: least(one.max_concurrent_requests, other.max_concurrent_requests),
    }
}
