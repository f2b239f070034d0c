//! How long a page of a large trail takes, by kind of question, each on a connection of its own as the engine
//! opens it. Run with `cargo bench -p sallyport-audit --bench query`; `-- 100000` for fewer rows than a million.
#![allow(clippy::print_stdout, reason = "figures are this program's output")]

mod support;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use sallyport_audit::{
    Action, Actor, AiProvider, Event, EventType, Filter, Order, Reader, Request, Trail, TrailOptions,
    TrailPaths,
};
use uuid::Uuid;

use support::Keys;

const RUNS: usize = 200;
const PAGE: usize = 200;
/// Thirty days before this the trail begins.
const END: i64 = 1_790_000_000;
const DAYS: i64 = 30;

/// Spreads numbers without a pattern that an index could profit from.
fn mixed(n: u64) -> u64 {
    let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 32)
}

fn one_of<'a>(words: &[&'a str], n: u64) -> Option<&'a str> {
    words.get((n % words.len() as u64) as usize).copied()
}

fn hash(n: u64) -> String {
    (0..4).map(|part| format!("{:016x}", mixed(n * 4 + part))).collect()
}

fn event(n: u64, rows: u64) -> Event {
    let x = mixed(n);
    let text = |word: Option<&str>| word.map(str::to_owned);
    let actor = Actor {
        agent_id: text(one_of(&["claude-code", "codex", "cursor", "aider", "gemini-cli"], x >> 3)),
        ip_address: text(Some("127.0.0.1")),
        service_account: None,
        user_agent: Some(format!("claude-cli/2.1.{} (external, cli)", (x >> 7) % 40)),
        user_id: text(Some("dev")),
    };
    let (name, model) = match (x >> 11) % 100 {
        0..60 => ("anthropic", "claude-sonnet-4-5"),
        60..95 => ("openai", "gpt-5"),
        _ => ("google", "gemini-2.5-pro"),
    };
    let provider = AiProvider {
        api_version: None,
        endpoint: Some(format!("https://api.{name}.example/v1/messages")),
        model: text(Some(model)),
        name: text(Some(name)),
    };
    let kind = match (x >> 17) % 100 {
        0..48 => EventType::PromptSent,
        48..96 => EventType::CompletionReceived,
        96..98 => EventType::ActionExecuted,
        98 => EventType::PolicyViolation,
        _ => EventType::Error,
    };
    let micros = (END - DAYS * 86_400) * 1_000_000 + DAYS * 86_400 * 1_000_000 / rows as i64 * n as i64;
    let at = Timestamp::from_microsecond(micros).unwrap_or_default();
    let mut event = Event::new(kind, at, actor, provider);
    event.exchange_id = Some(Uuid::from_u128(u128::from(mixed(n / 2)) << 64 | u128::from(n / 2)));
    let redacted = (x >> 23).is_multiple_of(20);
    let rules = ["aws_key", "jwt", "github_token", "email", "private_key"];
    event.request = Some(Request {
        classification: text(one_of(&["public", "public", "internal", "internal", "confidential"], x >> 29)),
        contains_code: Some(true),
        prompt_hash: Some(hash(n)),
        prompt_length: Some(x % 100_000),
        redactions_applied: one_of(&rules, x >> 31)
            .filter(|_| redacted)
            .map(str::to_owned)
            .into_iter()
            .collect(),
    });
    if kind == EventType::ActionExecuted {
        event.actions.push(Action {
            action_type: "tool_call".into(),
            outcome: text(one_of(&["allowed", "denied"], x >> 37)),
            requires_review: Some(false),
            target: Some(format!("file:read src/module-{}/part-{n}.rs", x % 500)),
        });
    }
    event
}

fn fill(paths: &TrailPaths, rows: u64) -> Result<(), Box<dyn std::error::Error>> {
    let (trail, _) = Trail::open(paths, &Keys::default(), TrailOptions::default())?;
    let start = Instant::now();
    for first in (0..rows).step_by(8000) {
        let receipts: Vec<_> =
            (first..(first + 8000).min(rows)).map(|n| trail.append(event(n, rows))).collect();
        for receipt in receipts {
            receipt.wait()?;
        }
    }
    // Closing finishes the index.
    drop(trail);
    println!(
        "{rows} rows in {:.0} s, {} bytes a row in the file",
        start.elapsed().as_secs_f64(),
        std::fs::metadata(&paths.database)?.len() / rows
    );
    Ok(())
}

fn measure(
    name: &str,
    paths: &TrailPaths,
    ask: impl Fn(&Reader) -> Result<usize, Box<dyn std::error::Error>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut times = Vec::with_capacity(RUNS);
    let mut found = 0;
    for _ in 0..RUNS {
        let start = Instant::now();
        found = ask(&Reader::open(&paths.database)?)?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let at = |percent: usize| {
        times
            .get((RUNS * percent / 100).min(RUNS - 1))
            .map_or(0.0, |time: &Duration| time.as_secs_f64() * 1000.0)
    };
    println!("| {name} | {found} | {:.1} ms | {:.1} ms |", at(50), at(99));
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let folder = std::env::var_os("BENCH_FOLDER").map_or_else(tempfile::tempdir, tempfile::tempdir_in)?;
    let paths = TrailPaths::in_folder(folder.path());
    fill(&paths, rows)?;
    let word = |text: &str| Filter { text: Some(text.into()), ..Filter::default() };
    let provider = |name: &str| Filter { provider: Some(name.into()), ..Filter::default() };
    let day = |day: i64| Timestamp::from_second(END - day * 86_400).ok();
    let last = event(rows / 3, rows);
    let is_act = |n: &u64| event(*n, rows).event_type == EventType::ActionExecuted;
    let acted = (0..rows).find(is_act).unwrap_or_default();
    let exchange = last.exchange_id.map(|id| id.to_string()).unwrap_or_default();
    println!("| page of {PAGE}, newest first | rows | p50 | p99 |\n| --- | ---: | ---: | ---: |");
    for (name, filter) in [
        ("no filter", Filter::default()),
        ("one filter", provider("google")),
        ("two filters that many rows meet", Filter { agent: Some("codex".into()), ..provider("openai") }),
        (
            "three filters that few rows meet",
            Filter {
                event_type: Some(EventType::PolicyViolation),
                rule: Some("private_key".into()),
                ..provider("google")
            },
        ),
        ("two filters that no row meets", Filter { model: Some("gpt-5".into()), ..provider("anthropic") }),
        ("a word of many rows", word("sonnet")),
        ("a word of one row", word(&format!("/part-{acted}.rs"))),
        ("a word of no row", word("nowhere")),
        ("two words and a filter", Filter { redacted: Some(true), ..word("violation google") }),
        ("a filter, far down", Filter { before_seq: Some(rows / 100), ..provider("google") }),
        ("a day and a filter", Filter { since: day(20), until: day(19), ..provider("google") }),
        ("an exchange's id", word(&exchange)),
        ("the beginning of a hash", word(&hash(rows / 2)[..12])),
    ] {
        let filter = Filter { limit: Some(PAGE), order: Order::Descending, ..filter };
        measure(name, &paths, |reader| Ok(reader.query(&filter)?.len()))?;
    }
    for (name, since) in [("counts of a day in 48 parts", 1), ("counts of thirty days in 48 parts", DAYS)] {
        let (since, until) = (day(since).unwrap_or_default(), day(0).unwrap_or_default());
        measure(name, &paths, |reader| Ok(reader.activity(since, until, 48)?.total.prompts as usize))?;
    }
    Ok(())
}
