//! No exchange goes upstream before its row is on the disk: shown by killing the engine under load, and by the order of
//! its system calls.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use data_encoding::HEXLOWER;
use sallyport_tests::raw::Channel;
use sallyport_tests::secrets::Noise;
use sallyport_tests::{Answer, Front, TestRoot, trace, wait};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::common::{Family, Providers, prompt};

const KILLS: usize = 20;
const CLIENTS: usize = 6;

fn answer() -> Answer {
    Answer::json(
        200,
        &json!({"id": "1", "object": "chat.completion", "model": "gpt-4o", "choices": [{"index": 0,
        "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}}),
    )
}

#[test]
fn kill_9_under_load_loses_no_row() -> Result<()> {
    let providers = Providers::scripted()?;
    providers.front.answer(|_| answer());
    let mut stage = providers.stage()?;
    let mut noise = Noise(4);
    let sent = AtomicUsize::new(0);
    let mut arrived = HashSet::new();
    for round in 0..KILLS {
        stage.start().with_context(|| format!("start after {round} kills"))?;
        stage.verified().with_context(|| format!("after {round} kills"))?;
        let (proxy, trust) = (stage.proxy()?, stage.trust()?);
        let over = AtomicBool::new(false);
        let wanted = 20 + noise.word() as usize % 60;
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        // A broken connection is what a kill looks like from here.
                        let _ = talk(proxy, &trust, &sent, &over);
                    }
                });
            }
            let loaded = wait::until("the load to flow", || {
                (providers.front.requests().len() >= wanted).then_some(())
            });
            // Some hundred microseconds more or less, so that the kill falls anywhere in an exchange.
            let end = std::time::Instant::now() + Duration::from_micros(noise.word() % 3000);
            while std::time::Instant::now() < end {}
            stage.kill();
            over.store(true, Ordering::Relaxed);
            loaded
        })?;
        arrived.extend(providers.front.take().iter().map(|r| HEXLOWER.encode(&Sha256::digest(&r.body))));
    }
    stage.start()?;
    stage.verified()?;
    let events = stage.audit_events()?;
    let recorded: HashSet<_> = events.iter().filter_map(|e| e["request"]["prompt_hash"].as_str()).collect();
    let lost: Vec<_> = arrived.iter().filter(|hash| !recorded.contains(hash.as_str())).collect();
    ensure!(arrived.len() > KILLS * 20, "only {} requests arrived", arrived.len());
    ensure!(lost.is_empty(), "{} of {} requests that arrived have no row", lost.len(), arrived.len());
    println!("{KILLS} kills, {} requests arrived, {} events, none lost", arrived.len(), events.len());
    Ok(())
}

fn talk(
    proxy: std::net::SocketAddr,
    trust: &std::path::Path,
    sent: &AtomicUsize,
    over: &AtomicBool,
) -> Result<()> {
    let mut channel = Channel::through(proxy, Family::OpenAi.host(), 443, trust)?;
    while !over.load(Ordering::Relaxed) {
        let text = format!("request number {}", sent.fetch_add(1, Ordering::Relaxed));
        let body = prompt(Family::OpenAi, &text, false);
        let headers = [("host", Family::OpenAi.host()), ("content-type", "application/json")];
        channel.request("POST", Family::OpenAi.path(), &headers, body.as_bytes())?;
        ensure!(channel.response()?.status == 200);
    }
    Ok(())
}

#[test]
fn the_sync_returns_before_the_first_upstream_byte() -> Result<()> {
    let root = TestRoot::new()?;
    // TLS 1.2, where a record's first byte tells a handshake from a request.
    let front = Front::legible(&root, &["api.openai.com"])?;
    front.answer(|_| answer());
    let traces = tempfile::tempdir()?;
    let mut stage = sallyport_tests::Stage::new()?.behind(&front, &root);
    stage.start_with(trace::wrapper(traces.path())?)?;
    let mut channel = Channel::through(stage.proxy()?, "api.openai.com", 443, &stage.trust()?)?;
    let mut begins = Vec::new();
    for n in 0..10 {
        let body = prompt(Family::OpenAi, &format!("traced request {n}"), false);
        begins.push(now());
        let headers = [("host", "api.openai.com"), ("content-type", "application/json")];
        channel.request("POST", "/v1/chat/completions", &headers, body.as_bytes())?;
        ensure!(channel.response()?.status == 200);
    }
    begins.push(now());
    stage.stop()?;
    let calls = trace::calls(traces.path())?;
    let port = front.address().port();
    for (n, window) in begins.windows(2).enumerate() {
        let upstream = calls
            .iter()
            .find(|c| c.began >= window[0] && c.began < window[1] && c.sent_records_to(port))
            .with_context(|| format!("request {n}: no upstream bytes in the trace"))?;
        let synced = calls
            .iter()
            .find(|c| c.began >= window[0] && c.returned <= upstream.began && c.synced("audit.db-wal"));
        ensure!(
            synced.is_some(),
            "request {n}: upstream bytes went out before the trail was synced: {upstream:?}"
        );
    }
    Ok(())
}

fn now() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0.0, |d| d.as_secs_f64())
}
