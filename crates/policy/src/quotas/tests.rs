use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const LEASE: Millis = 2 * MINUTE;
/// A morning, so that a day has room on both sides.
const START: Millis = 20_000 * DAY + 8 * HOUR;

fn tier(minute: u64, hour: u64, tokens: u64, prompt: u64, concurrent: u64) -> Tier {
    Tier {
        requests_per_minute: minute,
        requests_per_hour: hour,
        tokens_per_day: tokens,
        max_prompt_length: prompt,
        max_concurrent_requests: concurrent,
    }
}

fn wide() -> Tier {
    tier(1_000, 1_000, 1_000_000, 1_000, 1_000)
}

fn ask(id: RequestId, tokens: u64) -> Ask {
    Ask { id, prompt_length: 10, tokens, lease: LEASE, enforce: true }
}

#[test]
fn the_built_in_tiers_are_the_sources() {
    let tiers = Tier::builtin();
    assert_eq!(tiers["developer"], tier(20, 200, 100_000, 8_000, 3));
    assert_eq!(tiers["team_lead"], tier(40, 400, 250_000, 16_000, 5));
    assert_eq!(tiers["service_account"], tier(100, 1_000, 1_000_000, 32_000, 20));
    assert_eq!(tiers.len(), 3);
}

#[test]
fn each_limit_stops_what_passes_it_and_says_when_it_is_free() {
    let next_day = (day_of(START) + 1) * DAY;
    let cases = [
        (tier(1, 9, 999, 99, 9), Limit::RequestsPerMinute, Some(START + MINUTE)),
        (tier(9, 1, 999, 99, 9), Limit::RequestsPerHour, Some(START + HOUR)),
        (tier(9, 9, 150, 99, 9), Limit::TokensPerDay, Some(next_day)),
        (tier(9, 9, 999, 99, 1), Limit::ConcurrentRequests, None),
    ];
    for (tier, limit, free_at) in cases {
        let mut ledger = Ledger::default();
        assert!(ledger.reserve(&tier, &ask(1, 100), START).ticket.is_some());
        let before = ledger.clone();
        let ruling = ledger.reserve(&tier, &ask(2, 100), START + 1);
        let exceeded = ruling.exceeded.unwrap();
        assert_eq!((ruling.ticket, exceeded.limit, exceeded.free_at), (None, limit, free_at));
        assert_eq!(ledger, before, "a refused request costs nothing");
    }
    let mut ledger = Ledger::default();
    let long = Ask { prompt_length: 100, ..ask(1, 1) };
    let exceeded = ledger.reserve(&tier(9, 9, 999, 99, 9), &long, START).exceeded.unwrap();
    assert_eq!((exceeded.limit, exceeded.wanted, exceeded.free_at), (Limit::PromptLength, 100, None));
}

#[test]
fn it_is_free_when_it_says() {
    let tier = tier(3, 100, 1_000_000, 100, 100);
    let mut ledger = Ledger::default();
    for n in 0..3 {
        assert!(
            ledger.reserve(&tier, &ask(n, 1), START + Millis::try_from(n).unwrap() * 100).ticket.is_some()
        );
    }
    let free_at = ledger.reserve(&tier, &ask(9, 1), START + 500).exceeded.unwrap().free_at.unwrap();
    assert!(ledger.reserve(&tier, &ask(9, 1), free_at - 1).ticket.is_none());
    assert!(ledger.reserve(&tier, &ask(9, 1), free_at).ticket.is_some());
}

#[test]
fn where_it_only_warns_it_counts_on() {
    let tier = tier(1, 9, 150, 99, 1);
    let mut ledger = Ledger::default();
    let warned = |id| Ask { enforce: false, ..ask(id, 100) };
    assert!(ledger.reserve(&tier, &warned(1), START).exceeded.is_none());
    let ruling = ledger.reserve(&tier, &warned(2), START);
    assert_eq!(ruling.exceeded.unwrap().limit, Limit::TokensPerDay);
    assert!(ruling.ticket.is_some());
    assert_eq!((ruling.tally.minute, ruling.tally.tokens, ruling.tally.concurrent), (2, 200, 2));
}

#[test]
fn tokens_are_settled_with_what_was_used_and_belong_to_their_day() {
    let mut ledger = Ledger::default();
    let late = (day_of(START) + 1) * DAY - 10;
    let ticket = ledger.reserve(&wide(), &ask(1, 500), late).ticket.unwrap();
    assert_eq!(ledger.look(late).tokens, 500);
    // It ends on the next day.
    assert_eq!(ledger.look(late + 20).tokens, 0);
    ledger.settle(&ticket, 120);
    assert_eq!(ledger.look(late + 20).tokens, 0);
    let ticket = ledger.reserve(&wide(), &ask(2, 500), late + 20).ticket.unwrap();
    ledger.settle(&ticket, 1_200);
    let tally = ledger.look(late + 30);
    assert_eq!((tally.tokens, tally.concurrent), (1_200, 0));
}

#[test]
fn what_was_never_sent_costs_nothing() {
    let mut ledger = Ledger::default();
    let first = ledger.reserve(&wide(), &ask(1, 500), START).ticket.unwrap();
    let second = ledger.reserve(&wide(), &ask(2, 700), START).ticket.unwrap();
    ledger.cancel(&first);
    let tally = ledger.look(START);
    assert_eq!((tally.minute, tally.hour, tally.tokens, tally.concurrent), (1, 1, 700, 1));
    ledger.cancel(&second);
    assert_eq!(ledger.look(START), Tally { now: START, ..Tally::default() });
}

#[test]
fn a_slot_that_nobody_renews_comes_back() {
    let tier = tier(9, 9, 99_999, 99, 1);
    let mut ledger = Ledger::default();
    ledger.reserve(&tier, &ask(1, 1), START);
    ledger.renew(1, START + MINUTE, LEASE);
    assert!(ledger.reserve(&tier, &ask(2, 1), START + LEASE).ticket.is_none());
    assert!(ledger.reserve(&tier, &ask(2, 1), START + MINUTE + LEASE).ticket.is_some());
}

#[test]
fn a_clock_that_is_set_back_frees_within_the_window() {
    let tier = tier(1, 9, 99_999, 99, 9);
    let mut ledger = Ledger::default();
    ledger.reserve(&tier, &ask(1, 1), START + 5 * DAY);
    assert!(ledger.reserve(&tier, &ask(2, 1), START).ticket.is_none());
    assert!(ledger.reserve(&tier, &ask(2, 1), START + MINUTE).ticket.is_some());
}

#[test]
fn what_was_written_down_counts_after_a_restart() {
    let mut ledger = Ledger::restored([(START, 2), (START - 10, 1)], [(day_of(START), 300)]);
    let tally = ledger.look(START + 1);
    assert_eq!((tally.minute, tally.tokens, tally.concurrent), (2, 300, 0));
    assert_eq!(tally.minute_first, Some(START - 10));
}

#[test]
fn reservations_are_bounded() {
    assert_eq!(reservation(100, Some(50)), 150);
    assert_eq!(reservation(100, Some(64_000)), 100 + 4096);
    assert_eq!(reservation(100, None), 100 + 4096);
    assert_eq!(estimate(9), 3);
}

#[test]
fn prices_are_found_by_the_longest_name() {
    let prices = Prices::builtin().unwrap();
    let name = |model: &str| prices.of(model).map(|price| price.model.clone());
    assert_eq!(name("gpt-4o-mini-2024-07-18").as_deref(), Some("gpt-4o-mini"));
    assert_eq!(name("gpt-4o-2024-08-06").as_deref(), Some("gpt-4o"));
    assert_eq!(name("us.anthropic.claude-sonnet-4-5-20250929-v1:0").as_deref(), Some("claude-sonnet-4-5"));
    assert_eq!(name("anthropic/claude-opus-4-7").as_deref(), Some("claude-opus-4-7"));
    assert_eq!(name("gpt-4opus"), None);
    assert_eq!(name("my-own-model"), None);
    let price = prices.of("gpt-4o").unwrap();
    assert_eq!(price.micros(1_000_000, 100_000, 200_000, 0), 2_500_000 + 1_000_000 + 250_000);
    assert!(Prices::parse("prices: [{model: x, input: -1, output: 1, as_of: 2026-01-01}]").is_err());
}

#[test]
fn every_price_says_when_it_was_published() {
    for model in ["claude-opus-5-5", "gpt-6.2-sol", "gemini-4-neon", "gpt-4.1-nano"] {
        let prices = Prices::builtin().unwrap();
        let as_of = &prices.of(model).unwrap().as_of;
        assert_eq!(as_of.len(), 10, "{as_of}");
        assert!(as_of.starts_with("202"));
    }
}

/// A naive second opinion: every admitted request with its end, counted anew each time.
#[derive(Default)]
struct Naive {
    admitted: Vec<(Millis, RequestId)>,
    running: BTreeMap<RequestId, (Millis, Ticket)>,
    settled: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Ask { after: Millis, prompt: u64, tokens: u64 },
    Settle { which: usize, tokens: u64 },
    Cancel { which: usize },
    Renew { which: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..20_000_i64, 0..30_u64, 0..400_u64)
            .prop_map(|(after, prompt, tokens)| Step::Ask { after, prompt, tokens }),
        2 => (0..8_usize, 0..900_u64).prop_map(|(which, tokens)| Step::Settle { which, tokens }),
        1 => (0..8_usize).prop_map(|which| Step::Cancel { which }),
        1 => (0..8_usize).prop_map(|which| Step::Renew { which }),
    ];
    proptest::collection::vec(step, 1..150)
}

proptest! {
    #[test]
    fn no_order_of_events_passes_a_limit(
        steps in steps(),
        (minute, hour, tokens, concurrent) in (1..8_u64, 1..30_u64, 100..4_000_u64, 1..6_u64),
    ) {
        let tier = tier(minute, hour, tokens, 25, concurrent);
        let (mut ledger, mut naive, mut now) = (Ledger::default(), Naive::default(), START);
        for (id, step) in (0..).zip(steps) {
            let picked = |naive: &Naive, which: usize| {
                let count = naive.running.len().max(1);
                naive.running.iter().nth(which % count).map(|(id, (_, ticket))| (*id, *ticket))
            };
            match step {
                Step::Ask { after, prompt, tokens: wanted } => {
                    now += after;
                    naive.running.retain(|_, (expires, _)| *expires > now);
                    let ask = Ask { prompt_length: prompt, ..ask(id, wanted) };
                    let ruling = ledger.reserve(&tier, &ask, now);
                    let in_window = |window| {
                        naive.admitted.iter().filter(|(at, _)| *at > now - window).count() as u64
                    };
                    let reserved: u64 = naive.running.values().map(|(_, ticket)| ticket.reserved).sum();
                    let fits = prompt <= 25
                        && in_window(MINUTE) < minute
                        && in_window(HOUR) < hour
                        && (naive.running.len() as u64) < concurrent;
                    if ruling.ticket.is_some() {
                        prop_assert!(fits, "let through: {ruling:?}");
                        prop_assert!(ruling.tally.tokens <= tokens, "the reserve passed the limit");
                        prop_assert!(ruling.tally.tokens >= reserved);
                    } else {
                        let why = ruling.exceeded.unwrap().limit;
                        prop_assert!(!fits || why == Limit::TokensPerDay, "refused in vain: {ruling:?}");
                    }
                    if let Some(ticket) = ruling.ticket {
                        naive.admitted.push((now, id));
                        naive.running.insert(id, (now + LEASE, ticket));
                    }
                }
                Step::Settle { which, tokens: used } => {
                    if let Some((id, ticket)) = picked(&naive, which) {
                        let over = used.saturating_sub(ticket.reserved);
                        naive.settled = naive.settled.max(over);
                        ledger.settle(&ticket, used);
                        naive.running.remove(&id);
                    }
                }
                Step::Cancel { which } => {
                    if let Some((id, ticket)) = picked(&naive, which) {
                        ledger.cancel(&ticket);
                        naive.running.remove(&id);
                        naive.admitted.retain(|(_, admitted)| *admitted != id);
                    }
                }
                Step::Renew { which } => {
                    if let Some((id, _)) = picked(&naive, which) {
                        ledger.renew(id, now, LEASE);
                        naive.running.get_mut(&id).unwrap().0 = now + LEASE;
                    }
                }
            }
            // Each running exchange may take more than it reserved; nothing else may.
            let bound = tokens + concurrent * naive.settled;
            prop_assert!(ledger.look(now).tokens <= bound, "{} of {bound}", ledger.look(now).tokens);
        }
    }
}
