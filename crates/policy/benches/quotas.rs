//! What a quota costs each call of a model: one check-and-reserve and one settlement, with an hour full of requests.

#![allow(clippy::print_stdout)] // its output is the table

use std::hint::black_box;
use std::time::{Duration, Instant};

use sallyport_policy::quotas::{Ask, DAY, HOUR, Ledger, MINUTE, Millis, Tier};

const START: Millis = 20_000 * DAY + 8 * HOUR;
const TIMES: u128 = 50_000;

fn main() {
    println!("{:<34} {:>10} {:>10} {:>10}", "quota", "median", "p99", "max");
    for (name, tier) in Tier::builtin() {
        let wide = Tier { tokens_per_day: u64::MAX, ..tier };
        let every = HOUR / i64::try_from(tier.requests_per_hour).unwrap_or(HOUR) + 1;
        let (mut ledger, mut now) = (Ledger::default(), START);
        let mut taken: Vec<Duration> = (0..TIMES)
            .map(|id| {
                now += every;
                let ask = Ask { id, prompt_length: 100, tokens: 900, lease: 2 * MINUTE, enforce: true };
                let start = Instant::now();
                let ruling = black_box(ledger.reserve(&wide, &ask, now));
                if let Some(ticket) = ruling.ticket {
                    ledger.settle(&ticket, 700);
                }
                let taken = start.elapsed();
                assert!(ruling.ticket.is_some(), "{ruling:?}");
                taken
            })
            .collect();
        taken.sort();
        let at = |share: f64| taken[((taken.len() as f64 * share) as usize).min(taken.len() - 1)];
        println!("{name:<34} {:>10.1?} {:>10.1?} {:>10.1?}", at(0.5), at(0.99), at(1.0));
    }
}
