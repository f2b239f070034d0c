//! Real clients are kept waiting while a person decides, with a real polkitd: approved they go on and really make the call,
//! and a no or silence reaches the person in the client's own output.

use std::thread;

use anyhow::{Context, Result, ensure};
use sallyport_tests::aimock::{ANSWER, Aimock};
use sallyport_tests::wait;
use serde_json::{Value, json};

use crate::common::Providers;
use crate::desk::{ACTIONS, Desk, Person};
use crate::hold::{house, permissions};

const COMMAND: &str = "touch made-by-the-agent";

fn providers() -> Result<Providers> {
    let call = json!({"name": "Bash", "arguments": {"command": COMMAND, "description": "x"}});
    let fixtures = json!({"fixtures": [
        {"match": {"userMessage": "make the file", "hasToolResult": false}, "response": {"content": "On it.", "toolCalls": [call]}},
        {"match": {}, "response": {"content": ANSWER}},
    ]});
    Providers::behind(Aimock::with_fixtures(&fixtures.to_string())?)
}

fn desk(providers: &Providers, hold: &str) -> Result<Desk> {
    Desk::with(ACTIONS, &json!({}), &[permissions().to_string(), house(hold).to_string()], Some(providers))
}

/// The newest request, once a client is kept waiting for the answer to it.
fn held(desk: &Desk) -> Result<String> {
    let newest = wait::until("a client that is kept waiting", || {
        let all = desk.json(&["elevate", "list", "--json"]).ok()?;
        let newest = all.as_array()?.first()?.clone();
        (newest["state"] == "pending" && newest["held_until"].is_string()).then_some(newest)
    })?;
    ensure!(newest["resources"] == json!([COMMAND]), "{newest}");
    Ok(newest["id"].to_string())
}

/// What a client says that is kept waiting while `decide` decides.
fn while_it_waits(
    desk: &Desk,
    client: impl FnOnce() -> Result<Value> + Send,
    decide: impl FnOnce(&str) -> Result<()>,
) -> Result<Value> {
    thread::scope(|scope| {
        let client = scope.spawn(client);
        let decided = held(desk).and_then(|id| decide(&id));
        let said = client.join().map_err(|_| anyhow::anyhow!("the client could not be run"))?;
        decided.with_context(|| format!("{said:?}"))?;
        said
    })
}

fn approve(desk: &Desk, id: &str) -> Result<()> {
    let (outcome, asked) = desk.sallyport(&["elevate", "approve", id], Person::Yes)?;
    outcome.ok()?;
    ensure!(asked == 1, "polkit was asked {asked} times");
    Ok(())
}

fn deny(desk: &Desk, id: &str) -> Result<()> {
    desk.sallyport(&["elevate", "deny", id], Person::Absent)?.0.ok().map(drop)
}

fn revoke(desk: &Desk, id: &str) -> Result<()> {
    desk.sallyport(&["elevate", "revoke", id], Person::Absent)?.0.ok().map(drop)
}

fn arguments(vendor: &str) -> Value {
    let messages = json!([{"role": "user", "content": "make the file"}]);
    let schema = json!({"type": "object", "properties": {}});
    match vendor {
        "openai" => json!({"model": "gpt-4o", "messages": messages,
            "tools": [{"type": "function", "function": {"name": "Bash", "parameters": schema}}]}),
        _ => json!({"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": messages,
            "tools": [{"name": "Bash", "input_schema": schema}]}),
    }
}

#[test]
fn claude_code_waits_and_makes_the_call_that_was_approved() -> Result<()> {
    let providers = providers()?;
    let desk = desk(&providers, "60s")?;
    let mark = desk.home.join("user/project/made-by-the-agent");
    let ask = || desk.claude("Please make the file.");

    let said = while_it_waits(&desk, ask, |id| {
        // Whoever is not the person changes nothing: the client waits on.
        let (refused, _) = desk.sallyport(&["elevate", "approve", id], Person::No)?;
        ensure!(refused.code == 1 && held(&desk)? == id, "{refused:?}");
        deny(&desk, id)
    })?;
    let words = said["result"].as_str().unwrap_or_default();
    ensure!(
        words.contains("Sallyport denied the call of `Bash`") && words.contains("said no to it"),
        "{said}"
    );
    ensure!(!mark.exists(), "a denied command ran");

    let said = while_it_waits(&desk, ask, |id| approve(&desk, id))?;
    ensure!(said["result"] == ANSWER, "{said}");
    ensure!(mark.exists(), "the approved command did not run");
    let turns: Vec<_> = providers.front.take().into_iter().filter(|r| r.path() == "/v1/messages").collect();
    let last = turns.last().map(|turn| String::from_utf8_lossy(&turn.body).into_owned()).unwrap_or_default();
    ensure!(last.contains("\"tool_result\"") && last.contains(COMMAND), "{last}");
    for (action, outcome) in
        [("elevation_denied", "denied"), ("elevation_granted", "person"), ("elevation_used", "used")]
    {
        desk.expect(action, outcome)?;
    }
    for outcome in ["held", "denied", "allowed_by_grant"] {
        desk.expect("shell_execute", outcome)?;
    }
    desk.sallyport(&["audit", "verify"], Person::Absent)?.0.ok().map(drop)
}

/// The SDKs that are kept waiting.
#[derive(Debug, Clone, Copy)]
enum Sdk {
    Python,
    Node,
}

impl Sdk {
    const BOTH: [Sdk; 2] = [Sdk::Python, Sdk::Node];

    fn asks(self, desk: &Desk, vendor: &str, mode: &str) -> Result<Value> {
        match self {
            Sdk::Python => desk.sdk(vendor, mode, &arguments(vendor)),
            Sdk::Node => desk.node_sdk(vendor, mode, &arguments(vendor)),
        }
    }
}

fn the_sdks_wait_and_get_the_call_that_was_approved(sdk: Sdk) -> Result<()> {
    let providers = providers()?;
    let desk = desk(&providers, "60s")?;
    for vendor in ["openai", "anthropic"] {
        for mode in ["stream", "plain"] {
            let case = format!("{vendor} {mode} in {sdk:?}");
            let ask = || sdk.asks(&desk, vendor, mode);
            let mut granted = String::new();
            let said = while_it_waits(&desk, ask, |id| {
                granted = id.to_owned();
                approve(&desk, id)
            })
            .with_context(|| case.clone())?;
            let call = json!(["Bash", {"command": COMMAND, "description": "x"}]);
            ensure!(said["calls"] == json!([call]) && said["text"] == "On it.", "{case}: {said}");
            revoke(&desk, &granted)?;

            let said = while_it_waits(&desk, ask, |id| deny(&desk, id)).with_context(|| case.clone())?;
            let words = said["text"].as_str().unwrap_or_default();
            ensure!(said["calls"] == json!([]) && words.contains("said no to it"), "{case}: {said}");
        }
    }
    Ok(())
}

#[test]
fn the_python_sdks_wait_and_get_the_call_that_was_approved() -> Result<()> {
    the_sdks_wait_and_get_the_call_that_was_approved(Sdk::Python)
}

#[test]
fn the_node_sdks_wait_and_get_the_call_that_was_approved() -> Result<()> {
    the_sdks_wait_and_get_the_call_that_was_approved(Sdk::Node)
}

#[test]
fn who_gets_no_answer_is_told_how_to_ask_again() -> Result<()> {
    let providers = providers()?;
    let desk = desk(&providers, "2s")?;
    let mark = desk.home.join("user/project/made-by-the-agent");
    let mut told = Vec::new();
    let said = desk.claude("Please make the file.")?;
    told.push(("Claude Code".to_owned(), said["result"].as_str().unwrap_or_default().to_owned()));
    for sdk in Sdk::BOTH {
        for vendor in ["openai", "anthropic"] {
            for mode in ["stream", "plain"] {
                let said = sdk.asks(&desk, vendor, mode)?;
                ensure!(said["calls"] == json!([]), "{said}");
                let words = said["text"].as_str().unwrap_or_default().to_owned();
                told.push((format!("{vendor} {mode} in {sdk:?}"), words));
            }
        }
    }
    for (client, words) in told {
        ensure!(
            words.contains("Request 1 for it waits") && words.contains("`sallyport elevate approve 1`"),
            "{client}: {words}"
        );
    }
    ensure!(!mark.exists(), "a command ran that nobody approved");
    // The answer that came too late lets the retry pass.
    approve(&desk, "1")?;
    let said = desk.claude("Please make the file.")?;
    ensure!(said["result"] == ANSWER && mark.exists(), "{said}");
    Ok(())
}
