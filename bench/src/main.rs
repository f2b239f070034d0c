//! Added latency of a request: direct, a blind tunnel, Sallyport, mitmproxy with twelve regexes; interleaved in one run.
//!
//! Usage: `latency SALLYPORT MITMDUMP ADDON`. Prints a Markdown table. Figures are differences to the direct way of the
//! same round, since the machine is never quiet.
#![allow(clippy::print_stdout)]

mod client;
mod peers;
mod upstream;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;

use crate::client::{Connection, Way};

const ROUNDS: usize = 7;
const SIZES: [(&str, usize, usize); 3] =
    [("2 KB", 2_000, 150), ("100 KB", 100_000, 60), ("1 MB", 1_000_000, 15)];
/// The slow peer gets fewer requests a round; its median does not move for it.
const SLOW: usize = 8;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let mut next = |what: &str| arguments.next().with_context(|| format!("{what} is missing"));
    let (sallyport, mitmdump, addon) = (next("SALLYPORT")?, next("MITMDUMP")?, next("ADDON")?);

    let upstream = upstream::start().await?;
    let strict = peers::sallyport(&sallyport, &upstream, "strict").await?;
    let relaxed = peers::sallyport(&sallyport, &upstream, "relaxed").await?;
    let mitmproxy = peers::mitmproxy(&mitmdump, &addon, &upstream).await?;
    let ways = [
        Way::direct("direct", &upstream),
        Way::through("blind tunnel", "tunnel.example", strict.address, &upstream.root),
        Way::through("Sallyport, relaxed", "api.openai.com", relaxed.address, &relaxed.root),
        Way::through("Sallyport, strict", "api.openai.com", strict.address, &strict.root),
        Way::through("mitmproxy + 12 regexes", "api.openai.com", mitmproxy.address, &mitmproxy.root),
    ];

    println!("| size | way | p50 | p99 | added p50 | added p99 | CPU a request |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
    for (label, size, count) in SIZES {
        let body = body(size);
        let mut samples: Vec<Vec<Duration>> = vec![Vec::new(); ways.len()];
        let processes = [None, Some(strict.pid), Some(relaxed.pid), Some(strict.pid), Some(mitmproxy.pid)];
        let mut cpu = vec![Duration::ZERO; ways.len()];
        let mut connections = Vec::new();
        for way in &ways {
            let mut connection = Connection::open(way).await.with_context(|| way.name)?;
            connection.request(&body).await.with_context(|| way.name)?;
            connections.push(connection);
        }
        for _ in 0..ROUNDS {
            for (at, connection) in connections.iter_mut().enumerate() {
                let slow = ways[at].name.starts_with("mitmproxy");
                let count = if slow { count.min(SLOW) } else { count };
                let before = processes[at].map(peers::cpu_time).transpose()?;
                for _ in 0..count {
                    if slow {
                        // It stalls after some requests on one connection; opening another is not counted.
                        *connection = Connection::open(&ways[at]).await.with_context(|| ways[at].name)?;
                    }
                    samples[at].push(connection.request(&body).await.with_context(|| ways[at].name)?);
                }
                if let (Some(pid), Some(before)) = (processes[at], before) {
                    cpu[at] += peers::cpu_time(pid)?.saturating_sub(before);
                }
            }
        }
        let direct = summary(&mut samples[0]);
        for (at, way) in ways.iter().enumerate() {
            let (p50, p99) = summary(&mut samples[at]);
            let per_request = cpu[at].as_secs_f64() * 1e3 / samples[at].len() as f64;
            let added = |a: Duration, b: Duration| shown(a.saturating_sub(b));
            let (a50, a99, cpu) = match at {
                0 => ("–".into(), "–".into(), "–".into()),
                _ => (added(p50, direct.0), added(p99, direct.1), format!("{per_request:.2} ms")),
            };
            println!("| {label} | {} | {} | {} | {a50} | {a99} | {cpu} |", way.name, shown(p50), shown(p99));
        }
    }
    Ok(())
}

fn summary(samples: &mut [Duration]) -> (Duration, Duration) {
    samples.sort_unstable();
    let at = |share: f64| samples[((samples.len() - 1) as f64 * share) as usize];
    (at(0.50), at(0.99))
}

fn shown(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    if micros < 1_000.0 { format!("{micros:.0} µs") } else { format!("{:.2} ms", micros / 1e3) }
}

/// A chat of about `size` bytes: source code and prose in turns, no secret.
fn body(size: usize) -> Bytes {
    let code = "pub fn sum(items: &[u32]) -> u32 {\n    items.iter().copied().sum()\n}\n\nThe key idea is that the token \
                stream is never copied; see section 4 for the password policy.\n";
    let mut messages = Vec::new();
    let mut used = 0;
    while used < size {
        let text = code.repeat(((size - used) / code.len()).clamp(1, 20));
        used += text.len() + 40;
        messages.push(serde_json::json!({"role": if messages.len() % 2 == 0 {"user"} else {"assistant"}, "content": text}));
    }
    serde_json::json!({"model": "gpt-bench", "messages": messages}).to_string().into()
}
