//! Throughput of the detectors on ordinary text, in MB/s: the median of several rounds, and the best, which
//! a busy machine disturbs least.
//!
//! `cargo bench -p sallyport-detect`

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use sallyport_detect::{
    IndexKey, Placeholders, RuleSet, ScanOptions, Scanner, SecretEntry, SecretIndex, SecretSet,
    StreamSanitiser,
};

const ROUNDS: usize = 41;
const TEXT_BYTES: usize = 1 << 18;

fn main() {
    let text = agent_text();
    let started = Instant::now();
    let rules = Arc::new(RuleSet::builtin().expect("the shipped rules compile"));
    println!("{:<42} {:>9.1} ms", format!("load {} rules", rules.len()), millis(started));
    let started = Instant::now();
    rules.warm();
    println!("{:<42} {:>9.1} ms", "warm them", millis(started));

    for count in [1_000, 100_000] {
        let index = Arc::new(index(count));
        rate(&format!("exact secrets, {count}"), text.len(), || {
            black_box(index.find(black_box(text.as_bytes())));
        });
    }
    let options = ScanOptions::default();
    let only_rules = Scanner::new(rules.clone(), Arc::new(SecretIndex::empty()));
    rate("rules", text.len(), || {
        black_box(only_rules.scan(black_box(&text), &options));
    });
    let both = Arc::new(Scanner::new(rules, Arc::new(index(1_000))));
    rate("rules and 1,000 exact secrets", text.len(), || {
        black_box(both.scan(black_box(&text), &options));
    });
    stream(&both, &text);
}

/// Pieces as a model sends them; the time for one is what an event waits.
fn stream(scanner: &Arc<Scanner>, text: &str) {
    let mut times = Vec::new();
    let mut sanitiser = StreamSanitiser::new(scanner.clone(), ScanOptions::default());
    let mut placeholders = Placeholders::new([1; 32]);
    let mut rest = text.get(..200_000).unwrap_or(text);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(4.min(rest.len())));
        let started = Instant::now();
        black_box(sanitiser.push(piece, &mut placeholders));
        times.push(started.elapsed().as_nanos());
        rest = after;
    }
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0.0, |ns| *ns as f64 / 1e3);
    println!("{:<42} {:>9.1} µs p50 {:>7.1} µs p99", "stream, pieces of 4 characters", at(0.5), at(0.99));
}

fn rate(name: &str, bytes: usize, mut work: impl FnMut()) {
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let speed = |at: usize| bytes as f64 / 1e6 / seconds[at];
    println!("{name:<42} {:>9.0} MB/s {:>7.0} MB/s best", speed(ROUNDS / 2), speed(0));
}

fn millis(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e3
}

/// Values of 8 to 71 random characters, the same in each run.
fn index(count: usize) -> SecretIndex {
    let key = IndexKey::new([9; 32]);
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/";
    let values: Vec<Vec<u8>> = (0..count)
        .map(|_| {
            let len = 8 + next() as usize % 64;
            (0..len).map(|_| alphabet[next() as usize % alphabet.len()]).collect()
        })
        .collect();
    let entries = values.iter().map(|value| SecretEntry { name: "bench", value, weak: false });
    let set = SecretSet::build(&key, "bench", entries);
    SecretIndex::merge(&key, &[Arc::new(set)]).expect("one key")
}

/// What an agent sends: this crate's own sources, prose and configuration, repeated.
fn agent_text() -> String {
    let parts = [
        include_str!("../src/lib.rs"),
        include_str!("../src/stream.rs"),
        include_str!("../src/secrets/views.rs"),
        include_str!("../Cargo.toml"),
        "Please look at the failing test, find out why the token is refused, and say what you would change.\n\
         The key point is that nobody should have to know the password: ask for it once, keep it nowhere.\n",
    ];
    parts.iter().cycle().flat_map(|part| part.chars()).take(TEXT_BYTES).collect()
}
