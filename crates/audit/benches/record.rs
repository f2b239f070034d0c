//! What recording costs whom: processor time of one who records relaxed events with two kilobytes of content, and of the
//! thread that writes, for each row. Run with `cargo bench -p sallyport-audit --bench record` (Linux).
#![allow(clippy::print_stdout, reason = "figures are this program's output")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use sallyport_audit::{
    Action, Actor, AiProvider, Compliance, Entry, Event, EventType, Request, Trail, TrailOptions, TrailPaths,
};
use sallyport_policy::config::Durability;
use support::Keys;

const ROWS: u64 = 20_000;
const ROUNDS: usize = 5;
/// Rows of a moment; a pause follows, as between the exchanges of a busy client.
const BURST: u64 = 200;
const PAUSE: Duration = Duration::from_millis(15);
/// How far the thread that writes may be behind: fewer than make a receipt wait.
const BEHIND: u64 = 2_000;

fn event(n: u64) -> Event {
    let text = |s: &str| Some(s.to_owned());
    let actor = Actor {
        agent_id: text("claude-code"),
        ip_address: text("127.0.0.1"),
        service_account: text("unassigned"),
        user_agent: text("claude-cli/2.1.330 (external, cli)"),
        user_id: text("dev"),
    };
    let provider = AiProvider {
        api_version: text("2023-06-01"),
        endpoint: text("api.anthropic.com/v1/messages"),
        model: text("claude-sonnet-4-5"),
        name: text("anthropic"),
    };
    let mut event = Event::new(EventType::PromptSent, Timestamp::now(), actor, provider);
    event.exchange_id = Some(event.event_id);
    event.request = Some(Request {
        classification: text("public"),
        contains_code: Some(true),
        prompt_hash: Some("ab".repeat(32)),
        prompt_length: Some(n),
        redactions_applied: vec!["aws_key".into()],
    });
    event.compliance = Some(Compliance {
        consent_verified: Some(false),
        data_residency: text("us"),
        retention_policy: text("90d"),
    });
    event.actions.push(Action { action_type: "classified".into(), ..Action::default() });
    event
}

/// Processor time of this process's threads of a name.
fn ran(name: &str) -> Duration {
    let mut nanos = 0;
    for task in std::fs::read_dir("/proc/self/task").expect("Linux").flatten() {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").trim() == name {
            let first = |text: String| text.split(' ').next().and_then(|ran| ran.parse::<u64>().ok());
            nanos += first(read("schedstat")).unwrap_or_default();
        }
    }
    Duration::from_nanos(nanos)
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = Keys::default();
    let options = TrailOptions { durability: Durability::Relaxed, ..TrailOptions::default() };
    let (trail, _) = Trail::open(&TrailPaths::in_folder(folder.path()), &keys, options).expect("a trail");
    let own = std::fs::read_to_string("/proc/self/comm").expect("Linux");
    let prose: Vec<u8> =
        (0u32..).flat_map(|n| format!("line {n} of a file; ").into_bytes()).take(2_000).collect();
    let (mut recorded, mut written) = (Vec::new(), Vec::new());
    let mut appended = 0;
    for _ in 0..ROUNDS {
        let (records, writes) = (ran(own.trim()), ran("audit-writer"));
        for n in 0..ROWS {
            drop(trail.append_relaxed(Entry::with_content(event(n), Some(Bytes::from(prose.clone())))));
            appended += 1;
            if n % BURST == 0 {
                std::thread::sleep(PAUSE);
            }
            while *trail.latest().borrow() + BEHIND < appended {
                std::thread::sleep(PAUSE);
            }
        }
        let each = |before: Duration, now: Duration| (now - before).as_nanos() as f64 / ROWS as f64 / 1e3;
        recorded.push(each(records, ran(own.trim())));
        written.push(each(writes, ran("audit-writer")));
    }
    for (name, mut each) in [("who records", recorded), ("the thread that writes", written)] {
        each.sort_by(f64::total_cmp);
        println!("{name:<24} {:>6.2} µs a row, {:>6.2} at best", each[ROUNDS / 2], each[0]);
    }
}
