//! Throughput of what listens for attacks and dangers, in MB/s: the median of several rounds, and the best, which a busy
//! machine disturbs least.
//!
//! `cargo bench -p sallyport-detect --bench conduct`

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::hint::black_box;
use std::time::Instant;

use sallyport_detect::injection::{self, Lane};
use sallyport_detect::output::{self, OutputOptions};

const ROUNDS: usize = 15;
const TEXT_BYTES: usize = 1 << 20;

fn main() {
    let text = agent_text();
    let started = Instant::now();
    black_box(injection::find("warm the tables, please", Lane::Tool));
    black_box(output::find("pip install requests && rm -rf build", &OutputOptions::default()));
    println!("{:<42} {:>9.1} ms", "first look", started.elapsed().as_secs_f64() * 1e3);
    for (name, lane) in [("injection, data", Lane::Tool), ("injection, a person's words", Lane::User)] {
        rate(name, text.len(), || {
            black_box(injection::find(black_box(&text), lane));
        });
    }
    rate("the documents' list", text.len(), || {
        black_box(injection::analyse(black_box(&text)));
    });
    rate("output", text.len(), || {
        black_box(output::find(black_box(&text), &OutputOptions::default()));
    });
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

/// What an agent reads: this crate's own sources, prose and configuration, repeated.
fn agent_text() -> String {
    let parts = [
        include_str!("../src/lib.rs"),
        include_str!("../src/injection/mod.rs"),
        include_str!("../src/output/commands.rs"),
        include_str!("../Cargo.toml"),
        include_str!("../../../docs/classifier.md"),
        "Please look at the failing test, find out why the token is refused, and say what you would change.\n",
    ];
    parts.iter().cycle().flat_map(|part| part.chars()).take(TEXT_BYTES).collect()
}
