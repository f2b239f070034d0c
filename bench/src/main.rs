//! What a proxy adds to a request and to a stream: direct, a blind tunnel, Sallyport, mitmproxy with twelve regexes;
//! interleaved in one run, since the machine is never quiet. Prints Markdown tables; figures are differences to the
//! direct way of the same run.
#![allow(clippy::print_stdout)]

mod bodies;
mod client;
mod peers;
mod upstream;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use crate::bodies::{Bodies, Text};
use crate::client::{Connection, Way};
use crate::peers::Peer;

/// Name, size, what is new in it, requests of one round.
const REQUESTS: [(&str, usize, Text, usize); 6] = [
    ("2 KB, new", 2_000, Text::New, 150),
    ("2 KB, history known", 2_000, Text::Known, 150),
    ("100 KB, new", 100_000, Text::New, 60),
    ("100 KB, history known", 100_000, Text::Known, 60),
    ("1 MB, new", 1_000_000, Text::New, 15),
    ("1 MB, history known", 1_000_000, Text::Known, 15),
];
/// Streams of one round.
const STREAMS: usize = 4;
/// Requests of a megabyte that are under way at once while memory is measured.
const IN_FLIGHT: usize = 16;
/// The slow peer gets fewer requests a round; its median does not move for it.
const SLOW: usize = 8;

/// Measures what the ways to a provider add.
#[derive(Parser)]
struct Args {
    /// Rounds over all ways.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Only ways whose name holds this; direct is always measured.
    #[arg(long, default_value = "")]
    way: String,
    /// Only kinds of request whose name holds this; `stream` names the streams, `memory` the weight of many at once.
    #[arg(long, default_value = "")]
    kind: String,
    /// mitmdump, as a peer.
    #[arg(long, requires = "addon")]
    mitmdump: Option<PathBuf>,
    /// Its twelve regexes.
    #[arg(long)]
    addon: Option<PathBuf>,
    /// The binary; a second one is measured beside it.
    #[arg(required = true, num_args = 1..=2)]
    sallyport: Vec<PathBuf>,
}

/// A way with the process behind it, whose time is counted.
struct Lane {
    way: Way,
    pid: Option<u32>,
    slow: bool,
}

/// Client and provider have a thread each, as they are programs of their own: under one scheduler both may run on one
/// thread, and the direct way would be spared switches that all others have.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let upstream = upstream::start()?;
    let mut peers: Vec<Peer> = Vec::new();
    let mut lanes = vec![Lane { way: Way::direct("direct".into(), &upstream), pid: None, slow: false }];
    let wanted = |name: &str| name.contains(&args.way);
    for (binary, mark) in args.sallyport.iter().zip(["", " (second binary)"]) {
        for durability in ["relaxed", "strict"] {
            let name = format!("Sallyport, {durability}{mark}");
            let tunnel = if durability == "relaxed" { format!("blind tunnel{mark}") } else { String::new() };
            if !wanted(&name) && (tunnel.is_empty() || !wanted(&tunnel)) {
                continue;
            }
            let peer = peers::sallyport(binary, &upstream, durability).await?;
            let mut lane = |name: String, host, root| {
                if wanted(&name) {
                    let way = Way::through(name, host, peer.address, root);
                    lanes.push(Lane { way, pid: Some(peer.pid), slow: false });
                }
            };
            if !tunnel.is_empty() {
                lane(tunnel, "tunnel.example", &upstream.root);
            }
            lane(name, "api.openai.com", &peer.root);
            peers.push(peer);
        }
    }
    if let (Some(mitmdump), Some(addon)) = (&args.mitmdump, &args.addon) {
        let peer = peers::mitmproxy(mitmdump, addon, &upstream).await?;
        let way = Way::through("mitmproxy + 12 regexes".into(), "api.openai.com", peer.address, &peer.root);
        lanes.push(Lane { way, pid: Some(peer.pid), slow: true });
        peers.push(peer);
    }
    ensure!(lanes.len() > 1, "no way is named like {:?}", args.way);

    println!("| request | way | p50 | p99 | added p50 | added p99 | CPU a request |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
    for (label, size, text, count) in REQUESTS {
        if label.contains(&args.kind) {
            requests(&lanes, args.rounds, label, &mut Bodies::new(size, text), count).await?;
        }
    }
    if "stream".contains(&args.kind) {
        println!();
        println!(
            "| stream | first byte p50 | added | an event p50 | p99 | added p50 | added p99 | CPU an event |"
        );
        println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
        streams(&lanes, args.rounds).await?;
    }
    if "memory".contains(&args.kind) {
        println!();
        println!("| {IN_FLIGHT} × 1 MB at once | before | at most | its own at the end |");
        println!("| --- | ---: | ---: | ---: |");
        memory(&lanes, args.rounds).await?;
    }
    Ok(())
}

async fn requests(
    lanes: &[Lane],
    rounds: usize,
    label: &str,
    bodies: &mut Bodies,
    count: usize,
) -> Result<()> {
    let mut samples: Vec<Vec<Duration>> = vec![Vec::new(); lanes.len()];
    let mut cpu = vec![Duration::ZERO; lanes.len()];
    let mut connections = Vec::new();
    for lane in lanes {
        let mut connection = Connection::open(&lane.way).await.context(lane.way.name.clone())?;
        connection.request(bodies.next()).await.context(lane.way.name.clone())?;
        connections.push(connection);
    }
    for _ in 0..rounds {
        for (at, (lane, connection)) in lanes.iter().zip(&mut connections).enumerate() {
            let count = if lane.slow { count.min(SLOW) } else { count };
            let before = lane.pid.map(peers::cpu_time).transpose()?;
            for _ in 0..count {
                if lane.slow {
                    // It stalls after some requests on one connection; opening another is not counted.
                    *connection = Connection::open(&lane.way).await.context(lane.way.name.clone())?;
                }
                let body = bodies.next();
                samples[at].push(connection.request(body).await.context(lane.way.name.clone())?);
            }
            if let (Some(pid), Some(before)) = (lane.pid, before) {
                cpu[at] += peers::cpu_time(pid)?.saturating_sub(before);
            }
        }
    }
    let direct = summary(&mut samples[0]);
    for (at, lane) in lanes.iter().enumerate() {
        let (p50, p99) = summary(&mut samples[at]);
        let (a50, a99, cpu) = match at {
            0 => ("–".into(), "–".into(), "–".into()),
            _ => (added(p50, direct.0), added(p99, direct.1), shown(cpu[at] / samples[at].len() as u32)),
        };
        println!("| {label} | {} | {} | {} | {a50} | {a99} | {cpu} |", lane.way.name, shown(p50), shown(p99));
    }
    Ok(())
}

async fn streams(lanes: &[Lane], rounds: usize) -> Result<()> {
    let body = bodies::streamed();
    let mut firsts: Vec<Vec<Duration>> = vec![Vec::new(); lanes.len()];
    let mut events: Vec<Vec<Duration>> = vec![Vec::new(); lanes.len()];
    let mut cpu = vec![Duration::ZERO; lanes.len()];
    for _ in 0..rounds {
        for (at, lane) in lanes.iter().enumerate() {
            let mut connection = Connection::open(&lane.way).await.context(lane.way.name.clone())?;
            connection.stream(&body).await.context(lane.way.name.clone())?;
            let before = lane.pid.map(peers::cpu_time).transpose()?;
            for _ in 0..STREAMS {
                if lane.slow {
                    connection = Connection::open(&lane.way).await.context(lane.way.name.clone())?;
                }
                let (first, late) = connection.stream(&body).await.context(lane.way.name.clone())?;
                firsts[at].push(first);
                events[at].extend(late);
            }
            if let (Some(pid), Some(before)) = (lane.pid, before) {
                cpu[at] += peers::cpu_time(pid)?.saturating_sub(before);
            }
        }
    }
    let (direct_first, _) = summary(&mut firsts[0]);
    let direct = summary(&mut events[0]);
    for (at, lane) in lanes.iter().enumerate() {
        let (first, _) = summary(&mut firsts[at]);
        let (p50, p99) = summary(&mut events[at]);
        let (a1, a50, a99, cpu) = match at {
            0 => ("–".into(), "–".into(), "–".into(), "–".into()),
            _ => (
                added(first, direct_first),
                added(p50, direct.0),
                added(p99, direct.1),
                shown(cpu[at] / events[at].len() as u32),
            ),
        };
        let (first, p50, p99) = (shown(first), shown(p50), shown(p99));
        println!("| {} | {first} | {a1} | {p50} | {p99} | {a50} | {a99} | {cpu} |", lane.way.name);
    }
    Ok(())
}

/// What a way's process weighs while many requests are held in it.
async fn memory(lanes: &[Lane], rounds: usize) -> Result<()> {
    for lane in lanes.iter().filter(|lane| !lane.slow) {
        let Some(pid) = lane.pid else { continue };
        let before = peers::weight(pid)?;
        let mut connections = Vec::new();
        for _ in 0..IN_FLIGHT {
            connections.push(Connection::open(&lane.way).await.context(lane.way.name.clone())?);
        }
        let mut bodies = Bodies::new(1_000_000, Text::New);
        peers::forget_peak(pid)?;
        for _ in 0..rounds {
            let mut under_way = tokio::task::JoinSet::new();
            for mut connection in connections.drain(..) {
                let body = bodies.next().clone();
                under_way.spawn(async move { connection.request(&body).await.map(|_| connection) });
            }
            while let Some(ended) = under_way.join_next().await {
                connections.push(ended?.context(lane.way.name.clone())?);
            }
        }
        let after = peers::weight(pid)?;
        let mb = |kilobytes: u64| format!("{:.1} MB", kilobytes as f64 / 1024.0);
        println!("| {} | {} | {} | {} |", lane.way.name, mb(before.resident), mb(after.peak), mb(after.own));
    }
    Ok(())
}

fn summary(samples: &mut [Duration]) -> (Duration, Duration) {
    samples.sort_unstable();
    let at = |share: f64| samples[((samples.len() - 1) as f64 * share) as usize];
    (at(0.50), at(0.99))
}

fn added(with: Duration, without: Duration) -> String {
    shown(with.saturating_sub(without))
}

fn shown(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    if micros < 1_000.0 { format!("{micros:.0} µs") } else { format!("{:.2} ms", micros / 1e3) }
}
