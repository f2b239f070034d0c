//! How long the verdict on the tool calls of one request takes: 1 MB of history with 200 calls, each mapped to what it
//! does, its command line parsed, and judged by the source's own policy.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result};
use sallyport_detect::tools::ToolTable;
use sallyport_policy::documents;
use sallyport_policy::permissions::{Permissions, Places, UnknownTools, Who};
use sallyport_wire::{Family, Limits, read_request};
use serde_json::{Value, json};

const SOURCE: &str = include_str!("../../assets/policies/examples/agent-rbac-policy.yaml");
const SECRETS: &str = include_str!("../../assets/policies/examples/ai-secrets-architecture.yaml");
const ROUNDS: usize = 200;

fn main() -> Result<()> {
    let mut documents = documents::parse(SOURCE, "agents.yaml")?;
    documents.extend(documents::parse(SECRETS, "secrets.yaml")?);
    let permissions = Permissions::of(documents.iter(), UnknownTools::Allow);
    let places = Places {
        workspaces: vec!["/w/p".into()],
        cwd: "/w/p".into(),
        home: "/home/ann".into(),
        ..Places::default()
    };
    let who = Who { class: "coding-assistant", tier: Some("execute-commands") };
    let body = history(200, 1 << 20);
    let limits = Limits::default();
    let read = || read_request(Family::AnthropicMessages, Some("application/json"), body.as_bytes(), &limits);
    let document = read().context("the body could not be read")?;
    let (mut verdicts, mut reading) = (Vec::new(), Vec::new());
    let mut denied = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        black_box(read()).context("the body could not be read")?;
        reading.push(start.elapsed());
        let start = Instant::now();
        denied = 0;
        for call in &document.tool_calls {
            let name = call.name.as_deref().unwrap_or_default();
            let done = ToolTable::builtin().call(name, &call.arguments_text(body.as_bytes()));
            let allowed = done
                .actions
                .iter()
                .all(|action| permissions.judge(who, &|_| false, action, &places).is_allowed());
            denied += usize::from(!allowed);
        }
        verdicts.push(start.elapsed());
    }
    verdicts.sort_unstable();
    reading.sort_unstable();
    let at = |times: &[std::time::Duration], share: usize| times[(times.len() - 1) * share / 100];
    println!("{} calls in {} bytes, {denied} denied", document.tool_calls.len(), body.len());
    println!(
        "verdicts    p50 {:?}  p95 {:?}  p99 {:?}",
        at(&verdicts, 50),
        at(&verdicts, 95),
        at(&verdicts, 99)
    );
    println!(
        "read whole  p50 {:?}  p95 {:?}  p99 {:?}",
        at(&reading, 50),
        at(&reading, 95),
        at(&reading, 99)
    );
    Ok(())
}

/// A conversation of so many calls and so many bytes.
fn history(calls: usize, size: usize) -> String {
    let inputs = [
        ("Bash", json!({"command": "cd /w/p && npm test 2>&1 | tail -20"})),
        ("Read", json!({"file_path": "/w/p/src/a/b/c.rs"})),
        (
            "Bash",
            json!({"command": "git add -A && git commit -m \"$(cat <<'EOF'\nFix it\n\nBecause.\nEOF\n)\""}),
        ),
        ("Edit", json!({"file_path": "src/a.rs", "old_string": "a", "new_string": "b"})),
        ("Grep", json!({"pattern": "fn main", "path": "src", "glob": "*.rs"})),
        ("WebFetch", json!({"url": "https://docs.python.com/3/library", "prompt": "x"})),
        ("Bash", json!({"command": "for f in $(ls src); do grep -n x \"$f\" || true; done"})),
    ];
    let filler = "The quick brown fox jumps over the lazy dog.\n".repeat(size / calls / 47 + 1);
    let messages: Vec<Value> = (0..calls)
        .flat_map(|n| {
            let (name, input) = &inputs[n % inputs.len()];
            let id = format!("toolu_{n:04}");
            [
                json!({"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": name, "input": input}]}),
                json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": filler}]}),
            ]
        })
        .collect();
    json!({"model": "m", "max_tokens": 9, "messages": messages}).to_string()
}
