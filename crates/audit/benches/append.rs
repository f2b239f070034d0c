//! Durable events a second with sixteen producers, the wait of each, and rows verified a second, beside what
//! one `fdatasync` costs on the same disk in the same minute. Run with `cargo bench -p sallyport-audit`,
//! on a machine that does nothing else; set
//! `BENCH_FOLDER` to choose the disk.
#![allow(clippy::print_stdout, reason = "figures are this program's output")]

mod support;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sallyport_audit::{
    Actor, AiProvider, Compliance, Event, EventType, Request, Response, Trail, TrailOptions, TrailPaths,
    verify,
};

use support::Keys;

const PRODUCERS: u64 = 16;
const ROUNDS: usize = 5;
const EACH: Duration = Duration::from_secs(3);
const VERIFIED: u64 = 1_000_000;

fn event(n: u64) -> Event {
    let text = |s: &str| Some(s.to_owned());
    let actor = Actor {
        agent_id: text("claude-code"),
        ip_address: text("127.0.0.1"),
        service_account: None,
        user_agent: text("claude-cli/2.1.330 (external, cli)"),
        user_id: text("dev"),
    };
    let provider = AiProvider {
        api_version: text("2023-06-01"),
        endpoint: text("https://api.anthropic.com/v1/messages"),
        model: text("claude-sonnet-4-5"),
        name: text("anthropic"),
    };
    let kind = if n.is_multiple_of(2) { EventType::PromptSent } else { EventType::CompletionReceived };
    let mut event = Event::new(kind, Timestamp::now(), actor, provider);
    event.exchange_id = Some(event.event_id);
    event.request = Some(Request {
        classification: text("internal"),
        contains_code: Some(true),
        prompt_hash: Some("ab".repeat(32)),
        prompt_length: Some(n),
        redactions_applied: vec!["aws_key".into()],
    });
    if n % 2 == 1 {
        event.response = Some(Response {
            completion_hash: Some("cd".repeat(32)),
            completion_length: Some(n),
            finish_reason: text("end_turn"),
            latency_ms: Some(900),
            tokens_used: Some(1200),
        });
    }
    event.compliance = Some(Compliance {
        consent_verified: Some(false),
        data_residency: text("us"),
        retention_policy: text("90d"),
    });
    event
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// What a group commit can't beat: sixteen kilobytes written and synced, as often as it goes.
fn fdatasync(folder: &Path) -> std::io::Result<Vec<Duration>> {
    let path = folder.join("fdatasync");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let mut times = Vec::new();
    for n in 0..400_u64 {
        file.write_all_at(&[b'x'; 16384], n * 16384)?;
        let start = Instant::now();
        file.sync_data()?;
        times.push(start.elapsed());
    }
    std::fs::remove_file(path)?;
    times.sort_unstable();
    Ok(times)
}

/// Waits of all events, sorted, and the time it took.
fn append(folder: &Path) -> Result<(Vec<Duration>, Duration), Box<dyn std::error::Error>> {
    let (trail, _) = Trail::open(&TrailPaths::in_folder(folder), &Keys::default(), TrailOptions::default())?;
    let trail = Arc::new(trail);
    let start = Instant::now();
    let threads: Vec<_> = (0..PRODUCERS)
        .map(|_| {
            let trail = trail.clone();
            std::thread::spawn(move || {
                let mut waits = Vec::new();
                while start.elapsed() < EACH {
                    let began = Instant::now();
                    if trail.append(event(waits.len() as u64)).wait().is_ok() {
                        waits.push(began.elapsed());
                    }
                }
                waits
            })
        })
        .collect();
    let mut waits: Vec<Duration> = threads.into_iter().flat_map(|t| t.join().unwrap_or_default()).collect();
    let took = start.elapsed();
    waits.sort_unstable();
    Ok((waits, took))
}

fn folder() -> std::io::Result<tempfile::TempDir> {
    std::env::var_os("BENCH_FOLDER").map_or_else(tempfile::tempdir, tempfile::tempdir_in)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo bench -p sallyport-audit -- verify` runs that part alone.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let runs = |part: &str| wanted.is_empty() || wanted.iter().any(|w| w == part);
    if runs("append") {
        bench_append()?;
    }
    if runs("verify") {
        bench_verify()?;
    }
    Ok(())
}

fn bench_append() -> Result<(), Box<dyn std::error::Error>> {
    let mut figures = Vec::new();
    for round in 1..=ROUNDS {
        let folder = folder()?;
        let sync = fdatasync(folder.path())?;
        let (waits, took) = append(folder.path())?;
        let rate = waits.len() as f64 / took.as_secs_f64();
        let (sync_p50, sync_p99) = (percentile(&sync, 50), percentile(&sync, 99));
        let (p50, p99) = (percentile(&waits, 50), percentile(&waits, 99));
        println!(
            "round {round}: {rate:.0} durable events/s, p50 {:.2} ms, p99 {:.2} ms; fdatasync p50 {:.2} ms, p99 {:.2} ms",
            ms(p50),
            ms(p99),
            ms(sync_p50),
            ms(sync_p99)
        );
        figures.push((rate, ms(p50), ms(p99), ms(sync_p50), ms(sync_p99)));
    }
    let median = |pick: fn(&(f64, f64, f64, f64, f64)) -> f64| {
        let mut all: Vec<f64> = figures.iter().map(pick).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    println!(
        "append: {:.0} durable events/s with {PRODUCERS} producers, p50 {:.2} ms, p99 {:.2} ms (one fdatasync: p50 \
         {:.2} ms, p99 {:.2} ms)",
        median(|f| f.0),
        median(|f| f.1),
        median(|f| f.2),
        median(|f| f.3),
        median(|f| f.4)
    );
    Ok(())
}

fn bench_verify() -> Result<(), Box<dyn std::error::Error>> {
    let folder = folder()?;
    let paths = TrailPaths::in_folder(folder.path());
    let (trail, _) = Trail::open(&paths, &Keys::default(), TrailOptions::default())?;
    for first in (0..VERIFIED).step_by(8000) {
        let receipts: Vec<_> = (first..first + 8000).map(|n| trail.append(event(n))).collect();
        for receipt in receipts {
            receipt.wait()?;
        }
    }
    let key = trail.public_key();
    drop(trail);
    let mut rates = Vec::new();
    for round in 1..=ROUNDS {
        let start = Instant::now();
        let report = verify(&paths.database, &paths.head, &key)?;
        assert!(report.is_whole(), "{report:?}");
        rates.push(report.rows as f64 / start.elapsed().as_secs_f64());
        println!("round {round}: {:.0} rows/s", rates.last().copied().unwrap_or_default());
    }
    rates.sort_by(f64::total_cmp);
    let size = std::fs::metadata(&paths.database)?.len() / VERIFIED;
    println!(
        "verify: {:.0} rows/s over {VERIFIED} rows (median of {ROUNDS}; {size} bytes a row in the file)",
        rates.get(rates.len() / 2).copied().unwrap_or_default()
    );
    Ok(())
}
