//! A call that lacks a permission waits for the person: the answer stays open and alive, and goes on as it was once the
//! permission is given. Whoever says no, or nothing, or goes away, leaves no call behind and no place taken.

use std::fs;
use std::thread;

use anyhow::{Context, Result, ensure};
use sallyport_tests::front::Answer;
use sallyport_tests::raw::{Channel, Response, find};
use sallyport_tests::{Stage, wait};
use serde_json::{Value, json};

use crate::common::{Family, Providers, prompt};

const COMMAND: &str = "git push origin main";

/// An enforcing engine whose agents may run `npm test`, and ask for more.
pub(crate) fn permissions() -> Value {
    json!({
        "apiVersion": "security.platform/v1", "kind": "AgentPermissionPolicy", "metadata": {"name": "agents"},
        "spec": {"agentClass": "coding-assistant", "tiers": [{"name": "work", "permissions":
            {"shell": [{"action": "execute", "allowlist": ["npm test"]}]}}]},
    })
}

/// What the house says: permissions are enforced, and answers are held for so long.
pub(crate) fn house(hold: &str) -> Value {
    json!({
        "apiVersion": "sallyport/v1", "kind": "SallyportPolicy", "metadata": {"name": "house"},
        "spec": {"agents": {"mode": "enforce"}, "elevation": {"hold": hold}},
    })
}

fn stage(providers: &Providers, hold: &str) -> Result<Stage> {
    let mut stage = providers.stage()?;
    let folder = stage.path("config/policies");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("agents.yaml"), permissions().to_string())?;
    fs::write(folder.join("house.yaml"), house(hold).to_string())?;
    stage.start()?;
    Ok(stage)
}

/// A streamed answer with a call in it: what comes before it, the call, and the end.
struct Call {
    opening: String,
    call: String,
    closing: String,
}

fn call(family: Family, command: &str) -> Call {
    let arguments = json!({"command": command, "description": "x"}).to_string();
    let (first, second) = arguments.split_at(arguments.len() / 2);
    match family {
        Family::OpenAi => {
            let chunk = |delta: Value, finish: Value| {
                let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
                let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [choice]});
                format!("data: {chunk}\n\n")
            };
            let piece = |more: Value| chunk(json!({ "tool_calls": [more] }), Value::Null);
            Call {
                opening: chunk(json!({"role": "assistant", "content": "On it, "}), Value::Null),
                call: [
                    piece(json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "bash", "arguments": first}})),
                    piece(json!({"index": 0, "function": {"arguments": second}})),
                    // Only this says that nothing more comes for the call.
                    chunk(json!({}), json!("tool_calls")),
                ]
                .concat(),
                closing: "data: [DONE]\n\n".to_owned(),
            }
        }
        Family::Anthropic => {
            let event = |event: Value| {
                format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
            };
            let delta = |piece: &str| {
                event(
                    json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": piece}}),
                )
            };
            Call {
                opening: [
                    event(json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
                        "content": [], "model": "claude-sonnet-4-5", "stop_reason": null, "usage": {"input_tokens": 7, "output_tokens": 1}}})),
                    event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
                    event(json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "On it, "}})),
                    event(json!({"type": "content_block_stop", "index": 0})),
                ]
                .concat(),
                call: [
                    event(json!({"type": "content_block_start", "index": 1,
                        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}})),
                    delta(first),
                    delta(second),
                    event(json!({"type": "content_block_stop", "index": 1})),
                ]
                .concat(),
                closing: [
                    event(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}})),
                    event(json!({"type": "message_stop"})),
                ]
                .concat(),
            }
        }
    }
}

fn sign_of_life(family: Family) -> &'static str {
    match family {
        Family::OpenAi => ": keep-alive\n\n",
        Family::Anthropic => "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    }
}

fn ask(stage: &Stage, family: Family) -> Result<Channel> {
    let mut channel = Channel::through(stage.proxy()?, family.host(), 443, &stage.trust()?)?;
    let headers =
        [("host", family.host()), ("content-type", "application/json"), ("accept", "text/event-stream")];
    channel.request("POST", family.path(), &headers, prompt(family, "Release it.", true).as_bytes())?;
    Ok(channel)
}

/// The newest request, once a client is kept waiting for the answer to it.
fn held(stage: &Stage) -> Result<u64> {
    wait::until("a client that is kept waiting", || {
        let all = stage.json(&["elevate", "list", "--json"]).ok()?;
        let newest = all.as_array()?.first()?;
        (newest["state"] == "pending" && newest["held_until"].is_string()).then(|| newest["id"].as_u64())?
    })
}

fn see(channel: &mut Channel, wanted: &str) -> Result<()> {
    channel.read_until(wanted, |bytes| find(bytes, wanted.as_bytes()).is_some()).map(drop)
}

/// What a client makes of a stream: texts and arguments joined, and what else is said but signs of life. Where a text is
/// cut is nobody's business.
fn told(stream: &str) -> Result<(String, String, Vec<Value>)> {
    let (mut text, mut arguments, mut rest) = (String::new(), String::new(), Vec::new());
    for data in stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]")
    {
        let event: Value = serde_json::from_str(data).with_context(|| data.to_owned())?;
        let said = |place: &str| event.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned();
        text += &(said("/choices/0/delta/content") + &said("/delta/text"));
        arguments +=
            &(said("/choices/0/delta/tool_calls/0/function/arguments") + &said("/delta/partial_json"));
        let names = [
            "/choices/0/delta/tool_calls/0/function/name",
            "/content_block/name",
            "/choices/0/finish_reason",
            "/delta/stop_reason",
        ];
        rest.extend(
            names.iter().filter_map(|place| event.pointer(place)).filter(|said| said.is_string()).cloned(),
        );
    }
    Ok((text, arguments, rest))
}

/// What the trail says of the calls of answers, oldest first.
fn outcomes(stage: &Stage) -> Result<Vec<String>> {
    let events = stage.audit_events()?;
    let calls = events
        .iter()
        .filter(|event| event["event_type"] == "action_executed" && event["exchange_id"].is_string());
    let actions = calls.flat_map(|event| event["actions"].as_array().into_iter().flatten());
    Ok(actions.map(|action| action["outcome"].as_str().unwrap_or_default().to_owned()).collect())
}

fn ends_with(stage: &Stage, expected: &[&str]) -> Result<()> {
    wait::until("the outcomes in the trail", || {
        let told = outcomes(stage).ok()?;
        told.ends_with(&expected.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>()).then_some(())
    })
    .with_context(|| format!("{:?}", outcomes(stage)))
}

#[test]
fn an_approved_call_goes_on_as_it_was() -> Result<()> {
    let providers = Providers::scripted()?;
    let stage = stage(&providers, "2m")?;
    for family in Family::BOTH {
        let script = call(family, COMMAND);
        let feed = providers.front.answer_by_feed(Some("text/event-stream"));
        let mut channel = ask(&stage, family)?;
        feed.send(script.opening.clone())?;
        see(&mut channel, "On it,").with_context(|| format!("{family:?}"))?;
        feed.send(script.call.clone())?;
        let id = held(&stage)?;
        let alive = sign_of_life(family);
        see(&mut channel, alive).with_context(|| format!("{family:?}: no sign of life"))?;
        // More than is taken in meanwhile: the provider has to wait, and nothing of it is lost.
        let comment = format!(": {}\n\n", "x".repeat(1000));
        let more = comment.repeat(3000);
        feed.send(more.clone())?;
        feed.send(script.closing.clone())?;
        feed.end();
        let so_far = channel.read_until("another sign of life", |bytes| {
            bytes.windows(alive.len()).filter(|window| *window == alive.as_bytes()).count() >= 2
        })?;
        ensure!(find(&so_far, b"git push").is_none(), "{family:?}: the call came before it was allowed");

        stage.cli(&["elevate", "approve", &id.to_string()])?.ok()?;
        let answer = channel.response().with_context(|| format!("{family:?}"))?;
        let expected = [script.opening, script.call, script.closing.clone()].concat();
        let (came, sent) = (told(&answer.text())?, told(&expected)?);
        ensure!(came == sent, "{family:?}: {came:?} instead of {sent:?}");
        ensure!(answer.text().matches(&comment).count() == 3000, "{family:?}: something of the rest is lost");
        ensure!(answer.text().ends_with(&script.closing), "{family:?}: the end of the stream changed");
        ends_with(&stage, &["held", "allowed_by_grant"])?;
        let list = stage.json(&["elevate", "list", "--json"])?;
        ensure!(list[0]["held_until"].is_null() && list[0]["uses"] == 1, "{list}");
        stage.cli(&["elevate", "revoke", &id.to_string()])?.ok()?;
    }
    stage.verified()
}

#[test]
fn a_no_and_silence_put_words_in_the_place_of_the_call() -> Result<()> {
    let providers = Providers::scripted()?;
    let stage = stage(&providers, "4s")?;
    let finish = |family: Family, decide: &dyn Fn(u64) -> Result<()>| -> Result<Response> {
        let script = call(family, COMMAND);
        let feed = providers.front.answer_by_feed(Some("text/event-stream"));
        let mut channel = ask(&stage, family)?;
        feed.send([script.opening, script.call, script.closing].concat())?;
        feed.end();
        decide(held(&stage)?)?;
        channel.response().with_context(|| format!("{family:?}"))
    };
    for family in Family::BOTH {
        let answer =
            finish(family, &|id| stage.cli(&["elevate", "deny", &id.to_string()])?.ok().map(drop))?.text();
        ensure!(answer.contains("the person said no to it"), "{family:?}: {answer}");
        ensure!(!answer.contains("tool_use") && !answer.contains("tool_calls"), "{family:?}: {answer}");
        ends_with(&stage, &["held", "denied"])?;

        let answer = finish(family, &|_| Ok(()))?.text();
        let list = stage.json(&["elevate", "list", "--json"])?;
        let id = list[0]["id"].as_u64().context("no request")?;
        ensure!(answer.contains(&format!("Request {id} for it waits")), "{family:?}: {answer}");
        ensure!(
            answer.contains("make the same call again") && !answer.contains("git push origin"),
            "{answer}"
        );
        ensure!(list[0]["state"] == "pending" && list[0]["held_until"].is_null(), "{list}");
        ends_with(&stage, &["held", "denied"])?;

        // A grant that is given later lets the retry pass at once.
        stage.cli(&["elevate", "approve", &id.to_string()])?.ok()?;
        let script = call(family, COMMAND);
        let feed = providers.front.answer_by_feed(Some("text/event-stream"));
        let mut channel = ask(&stage, family)?;
        let whole = [script.opening, script.call, script.closing].concat();
        feed.send(whole.clone())?;
        feed.end();
        let answer = channel.response()?.text();
        ensure!(told(&answer)? == told(&whole)?, "{family:?}: a granted call was changed: {answer}");
        stage.cli(&["elevate", "revoke", &id.to_string()])?.ok()?;
    }
    stage.verified()
}

#[test]
fn a_plain_answer_waits_before_its_first_byte() -> Result<()> {
    let providers = Providers::scripted()?;
    let stage = stage(&providers, "2m")?;
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [{"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": COMMAND}}],
        "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 7, "output_tokens": 9},
    });
    let sent = answer.clone();
    providers.front.answer(move |_| Answer::json(200, &sent));
    let family = Family::Anthropic;
    let client = stage.client()?;
    let curl = || client.curl_post(&family.url(), &family.headers(), prompt(family, "Go.", false).as_bytes());
    thread::scope(|scope| {
        let waiting = scope.spawn(curl);
        let id = held(&stage)?;
        stage.cli(&["elevate", "approve", &id.to_string()])?.ok()?;
        let outcome = waiting.join().map_err(|_| anyhow::anyhow!("curl could not be run"))??.ok()?;
        let unchanged = answer.to_string();
        ensure!(outcome.stdout == unchanged, "{}", outcome.stdout);
        ends_with(&stage, &["held", "allowed_by_grant"])?;
        stage.cli(&["elevate", "revoke", &id.to_string()])?.ok()?;
        anyhow::Ok(())
    })?;
    thread::scope(|scope| {
        let waiting = scope.spawn(curl);
        let id = held(&stage)?;
        stage.cli(&["elevate", "deny", &id.to_string()])?.ok()?;
        let outcome = waiting.join().map_err(|_| anyhow::anyhow!("curl could not be run"))??.ok()?;
        ensure!(outcome.stdout.contains("the person said no to it"), "{}", outcome.stdout);
        stage.verified()
    })
}

#[test]
fn who_goes_away_leaves_no_place_taken_and_a_stop_waits_for_nobody() -> Result<()> {
    let providers = Providers::scripted()?;
    let mut stage = stage(&providers, "2m")?;
    let family = Family::Anthropic;
    let begin = || -> Result<Channel> {
        let script = call(family, COMMAND);
        let feed = providers.front.answer_by_feed(Some("text/event-stream"));
        let mut channel = ask(&stage, family)?;
        feed.send([script.opening, script.call, script.closing].concat())?;
        feed.end();
        see(&mut channel, "On it,")?;
        Ok(channel)
    };
    let channel = begin()?;
    let id = held(&stage)?;
    drop(channel);
    wait::until("the place to be free", || {
        let list = stage.json(&["elevate", "list", "--json"]).ok()?;
        (list[0]["held_until"].is_null()).then_some(())
    })?;
    ends_with(&stage, &["held", "abandoned"])?;
    let list = stage.json(&["elevate", "list", "--json"])?;
    ensure!(list[0]["state"] == "pending", "the request stays for the retry: {list}");

    let mut channel = begin()?;
    ensure!(held(&stage)? == id, "the retry asks for the same");
    stage.stop()?;
    let answer = channel.response()?.text();
    ensure!(answer.contains(&format!("Request {id} for it waits")), "{answer}");
    ensure!(answer.contains("end_turn") && answer.contains("message_stop"), "{answer}");
    Ok(())
}

#[test]
fn all_that_a_call_lacks_is_asked_for_in_one_request() -> Result<()> {
    let providers = Providers::scripted()?;
    let stage = stage(&providers, "2m")?;
    let line = "git fetch origin && npm test && git push origin main; cargo publish";
    for (family, approves) in [(Family::Anthropic, true), (Family::OpenAi, false)] {
        let script = call(family, line);
        let feed = providers.front.answer_by_feed(Some("text/event-stream"));
        let mut channel = ask(&stage, family)?;
        let whole = [script.opening, script.call, script.closing].concat();
        feed.send(whole.clone())?;
        feed.end();
        let id = held(&stage)?;
        let list = stage.json(&["elevate", "list", "--json"])?;
        let pending = || list.as_array().into_iter().flatten().filter(|one| one["state"] == "pending");
        ensure!(pending().count() == 1, "{list}");
        ensure!(
            list[0]["resources"] == json!(["git fetch origin", "git push origin main", "cargo publish"]),
            "{list}"
        );
        let verb = if approves { "approve" } else { "deny" };
        stage.cli(&["elevate", verb, &id.to_string()])?.ok()?;
        let answer = channel.response()?.text();
        if approves {
            ensure!(told(&answer)? == told(&whole)?, "{family:?}: {answer}");
            ends_with(&stage, &["held", "allowed_by_grant"])?;
            stage.cli(&["elevate", "revoke", &id.to_string()])?.ok()?;
        } else {
            ensure!(answer.contains("the person said no to it"), "{family:?}: {answer}");
            ends_with(&stage, &["held", "denied"])?;
        }
    }
    // What no grant can allow is not asked about.
    let script = call(Family::Anthropic, "git push origin main; $(cat x) y");
    let feed = providers.front.answer_by_feed(Some("text/event-stream"));
    let mut channel = ask(&stage, Family::Anthropic)?;
    feed.send([script.opening, script.call, script.closing].concat())?;
    feed.end();
    let answer = channel.response()?.text();
    ensure!(answer.contains("Sallyport denied the call"), "{answer}");
    let list = stage.json(&["elevate", "list", "--json"])?;
    let states: Vec<_> = list.as_array().into_iter().flatten().map(|one| one["state"].clone()).collect();
    ensure!(states == [json!("denied"), json!("revoked")], "{list}");
    stage.verified()
}
