//! Quotas of the whole product: exact counts under many clients, restarts, a shared store, and what clients say.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};
use sallyport_tests::aimock::ANSWER;
use sallyport_tests::process::Background;
use sallyport_tests::{Answer, Stage, tools, wait};
use serde_json::{Value, json};

use crate::common::{Family, Providers, prompt, sdks_are_refused};

const TIER: &str = "requestsPerMinute: 1000, requestsPerHour: 1000, tokensPerDay: 100000000, \
    maxPromptLength: 100000, maxConcurrentRequests: 1000";

/// A tier of our own, with some limits of its own over wide ones.
fn policy(stage: &Stage, limits: &str, rest: &str) -> Result<()> {
    let mut fields: BTreeMap<&str, &str> = BTreeMap::new();
    for field in TIER.split(", ").chain(limits.split(", ")) {
        let (key, value) = field.split_once(": ").context("a field")?;
        fields.insert(key, value);
    }
    let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    let text = format!(
        "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: quotas}}\nspec:\n  quotas:\n    \
         tiers: {{small: {{{}}}}}\n    {rest}\n",
        fields.join(", ")
    );
    std::fs::create_dir_all(stage.path("config/policies"))?;
    std::fs::write(stage.path("config/policies/quotas.yaml"), text)?;
    Ok(())
}

fn stage(providers: &Providers, limits: &str, rest: &str) -> Result<Stage> {
    let stage = providers.stage()?.set("/identity/tier", json!("small"));
    policy(&stage, limits, rest)?;
    Ok(stage)
}

/// A plain answer with these figures of use.
fn scripted(providers: &Providers, input: u64, output: u64) {
    let body = json!({"id": "1", "object": "chat.completion", "model": "gpt-4o", "choices": [{"index": 0,
        "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}],
        "usage": {"prompt_tokens": input, "completion_tokens": output,
            "prompt_tokens_details": {"cached_tokens": input / 2}}});
    providers.front.answer(move |_| Answer::json(200, &body));
}

/// Posts once; gives the status, the headers and the body.
fn post(stage: &Stage, family: Family, words: &str) -> Result<(u16, String, Value)> {
    let client = stage.client()?;
    let body = prompt(family, words, false);
    let headers = family.headers();
    let mut arguments = vec!["-i", "-H", "content-type: application/json", "--data-binary", &body];
    arguments.extend(headers.iter().flat_map(|header| ["-H", header]));
    let url = family.url();
    arguments.push(&url);
    let answer =
        client.curl(&[&["--http1.1", "--suppress-connect-headers"][..], &arguments].concat())?.stdout;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("{answer:?}"))?;
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).context("a status")?;
    Ok((status, head.to_lowercase(), serde_json::from_str(body).unwrap_or(Value::Null)))
}

fn gauge(stage: &Stage, limit: &str) -> Result<(u64, u64)> {
    let view = stage.json(&["quota", "--json"])?;
    let gauges = view["subjects"][0]["gauges"].as_array().with_context(|| format!("{view}"))?;
    let gauge = gauges.iter().find(|g| g["limit"] == limit).with_context(|| format!("{view}"))?;
    Ok((gauge["used"].as_u64().unwrap_or(u64::MAX), gauge["size"].as_u64().unwrap_or(0)))
}

/// `clients` post once each, all at the same time; how many were answered with 200 and how many with 429.
fn storm(stages: &[&Stage], clients: usize) -> Result<(usize, usize)> {
    let trusted: Vec<_> = stages.iter().map(|stage| stage.client()).collect::<Result<_>>()?;
    let body = prompt(Family::OpenAi, "hello", false);
    let codes: Vec<String> = thread::scope(|scope| {
        let running: Vec<_> = (0..clients)
            .map(|n| {
                let (client, body) = (&trusted[n % trusted.len()], &body);
                scope.spawn(move || {
                    let url = Family::OpenAi.url();
                    let post = ["-H", "content-type: application/json", "--data-binary", body, &url];
                    client.curl(&[&["-o", "/dev/null", "-w", "%{http_code}"][..], &post].concat())
                })
            })
            .collect();
        let ended =
            running.into_iter().map(|thread| thread.join().expect("a client")?.ok().map(|o| o.stdout));
        ended.collect::<Result<Vec<_>>>()
    })?;
    let count = |wanted: &str| codes.iter().filter(|code| *code == wanted).count();
    let (passed, stopped) = (count("200"), count("429"));
    ensure!(passed + stopped == clients, "{codes:?}");
    Ok((passed, stopped))
}

#[test]
fn many_clients_get_exactly_the_limit_and_a_restart_forgets_nothing() -> Result<()> {
    let providers = Providers::scripted()?;
    scripted(&providers, 10, 4);
    let mut stage = stage(&providers, "requestsPerHour: 40", "onExceed: block")?;
    stage.start()?;
    ensure!(storm(&[&stage], 30)? == (30, 0));
    // Nobody waits for a disk, and still nothing is lost when the engine is killed.
    let seen = || providers.front.take().len();
    ensure!(seen() == 30);
    wait::until("the counters on disk", || (gauge(&stage, "requests_per_hour").ok()?.0 == 30).then_some(()))?;
    stage.kill();
    stage.start()?;
    ensure!(gauge(&stage, "requests_per_hour")? == (30, 40));
    ensure!(storm(&[&stage], 64)? == (10, 54));
    ensure!(seen() == 10, "the provider saw what was refused");
    stage.stop()?;
    stage.start()?;
    ensure!(storm(&[&stage], 3)? == (0, 3));
    let events = stage.audit_events()?;
    let of = |kind: &str| events.iter().filter(|e| e["event_type"] == kind).count();
    ensure!(of("prompt_sent") == 40 && of("policy_violation") == 57);
    let typed = events.iter().filter(|e| e["violation_type"] == "quota_requests_per_hour").count();
    ensure!(typed == 57, "{typed}");
    stage.verified()
}

#[test]
fn tokens_are_settled_by_what_the_provider_reports() -> Result<()> {
    let providers = Providers::scripted()?;
    scripted(&providers, 600, 50);
    let mut stage = stage(&providers, "tokensPerDay: 5100", "onExceed: block")?;
    stage.start()?;
    // 300 of the 600 came from a cache and do not count.
    for used in [350, 700, 1050] {
        ensure!(post(&stage, Family::OpenAi, "hello")?.0 == 200);
        ensure!(gauge(&stage, "tokens_per_day")?.0 == used, "{:?}", gauge(&stage, "tokens_per_day")?);
    }
    // The reserve of one more (4,096 and its input) does not fit any more.
    let (status, head, body) = post(&stage, Family::OpenAi, "hello")?;
    ensure!(status == 429 && body["error"]["code"] == "insufficient_quota", "{body}");
    ensure!(head.contains("retry-after: ") && head.contains("x-should-retry: false"), "{head}");
    let message = body["error"]["message"].as_str().context("a message")?;
    for part in ["5100 tokens a day", "free again at", "quotas.tiers.small.tokensPerDay", "sallyport quota"] {
        ensure!(message.contains(part), "{part}: {message}");
    }
    let view = stage.json(&["quota", "--json"])?;
    let today = &view["today"];
    ensure!(today["requests"] == 3 && today["refused"] == 1 && today["input"] == 900, "{today}");
    ensure!(today["cache_read"] == 900 && today["output"] == 150, "{today}");
    // gpt-4o: 2.50 for a million in, 1.25 cached, 10 out.
    ensure!(today["cost_micros"] == 900 * 5 / 2 + 900 * 5 / 4 + 150 * 10, "{today}");
    let history = stage.json(&["quota", "history", "--json"])?;
    ensure!(history["models"][0]["model"] == "gpt-4o" && history["days"][0]["requests"] == 3, "{history}");
    Ok(())
}

#[test]
fn streams_are_settled_too_and_slots_come_back() -> Result<()> {
    let providers = Providers::scripted()?;
    let mut stage = stage(&providers, "maxConcurrentRequests: 1", "onExceed: block")?;
    stage.start()?;
    let feed = providers.front.answer_by_feed(Some("text/event-stream"));
    let client = stage.client()?;
    let event = |kind: &str, mut data: Value| {
        data["type"] = json!(kind);
        format!("event: {kind}\ndata: {data}\n\n")
    };
    let body = prompt(Family::Anthropic, "hello", true);
    let answered = thread::scope(|scope| {
        let url = Family::Anthropic.url();
        let (client, body) = (&client, &body);
        let running =
            scope.spawn(move || client.curl_post(&url, &Family::Anthropic.headers(), body.as_bytes()));
        feed.send(event(
            "message_start",
            json!({"message": {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
                "content": [], "usage": {"input_tokens": 70, "cache_read_input_tokens": 1000, "output_tokens": 1}}}),
        ))?;
        wait::until("the slot to be taken", || {
            (gauge(&stage, "concurrent_requests").ok()?.0 == 1).then_some(())
        })?;
        // A second one at once has no slot; its client is told to try again soon.
        let (status, head, refused) = post(&stage, Family::Anthropic, "hello")?;
        ensure!(status == 429 && refused["error"]["type"] == "rate_limit_error", "{refused}");
        ensure!(head.contains("retry-after: 5") && head.contains("x-should-retry: true"), "{head}");
        feed.send(event(
            "message_delta",
            json!({"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 30}}),
        ))?;
        feed.send(event("message_stop", json!({})))?;
        feed.end();
        running.join().expect("curl")?.ok()
    })?;
    ensure!(answered.stdout.contains("message_stop"), "{answered:?}");
    wait::until("the slot to come back", || {
        (gauge(&stage, "concurrent_requests").ok()?.0 == 0).then_some(())
    })?;
    ensure!(gauge(&stage, "tokens_per_day")?.0 == 100, "{:?}", gauge(&stage, "tokens_per_day")?);
    Ok(())
}

#[test]
fn what_never_left_costs_nothing_and_a_warning_lets_pass() -> Result<()> {
    let providers = Providers::scripted()?;
    scripted(&providers, 10, 4);
    let limits = "requestsPerMinute: 1, maxPromptLength: 50";
    let mut stage = stage(&providers, limits, "onExceed: block")?
        .set("/upstream/resolve/api.anthropic.com:443", json!("127.0.0.1:1"));
    stage.start()?;
    ensure!(post(&stage, Family::Anthropic, "hello")?.0 == 502);
    ensure!(gauge(&stage, "requests_per_minute")? == (0, 1));
    let long = "x".repeat(60);
    let (status, _, body) = post(&stage, Family::OpenAi, &long)?;
    let message = body["error"]["message"].as_str().unwrap_or_default();
    ensure!(status == 429 && message.contains("50 characters") && message.contains("60"), "{body}");
    ensure!(post(&stage, Family::OpenAi, "hello")?.0 == 200);
    ensure!(post(&stage, Family::OpenAi, "hello")?.0 == 429);
    // Lists of models are free.
    let models = stage.client()?.curl(&[
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "https://api.openai.com/v1/models",
    ])?;
    ensure!(models.stdout == "200", "{models:?}");

    policy(&stage, limits, "onExceed: warn")?;
    stage.stop()?;
    stage.start()?;
    ensure!(post(&stage, Family::OpenAi, &long)?.0 == 200);
    let events = stage.audit_events()?;
    let warned = events.iter().flat_map(|e| e["actions"].as_array().cloned().unwrap_or_default());
    let warned: Vec<_> = warned.filter(|a| a["action_type"] == "quota_exceeded").collect();
    ensure!(warned.len() == 1 && warned[0]["target"] == "quota_prompt_length", "{warned:?}");
    ensure!(warned[0]["outcome"] == "warned");
    Ok(())
}

#[test]
fn an_unknown_tier_passes_nothing_and_classes_have_their_own() -> Result<()> {
    let providers = Providers::scripted()?;
    scripted(&providers, 10, 4);
    let stage = providers.stage()?.set("/identity/tier", json!("king"));
    policy(&stage, "requestsPerMinute: 2", "agentTiers: {reviewer: small}")?;
    let mut stage = stage;
    stage.start()?;
    let (status, _, body) = post(&stage, Family::OpenAi, "hello")?;
    ensure!(
        status == 429 && body["error"]["message"].as_str().is_some_and(|m| m.contains("`king`")),
        "{body}"
    );
    let curl = format!(
        "curl -s -o /dev/null -w '%{{http_code}} ' -H 'content-type: application/json' --data-binary '{}' {}",
        prompt(Family::OpenAi, "hello", false),
        Family::OpenAi.url()
    );
    let outcome = stage.cli(&["exec", "--agent", "reviewer", "--", "sh", "-c", &curl])?.ok()?;
    ensure!(outcome.stdout.trim() == "200", "{outcome:?}");
    let view = stage.json(&["quota", "--json"])?;
    let own = &view["subjects"][1];
    ensure!(own["subject"].as_str().is_some_and(|s| s.ends_with("/reviewer")), "{view}");
    ensure!(own["gauges"][0]["used"] == 1 && view["subjects"][0]["max_prompt_length"].is_null(), "{view}");
    Ok(())
}

#[test]
fn an_agent_that_goes_round_in_a_circle_is_seen_and_stopped() -> Result<()> {
    let providers = Providers::scripted()?;
    scripted(&providers, 10, 4);
    let mut stage = stage(&providers, "requestsPerMinute: 1000", "repeats: {after: 4, action: block}")?;
    stage.start()?;
    let client = stage.client()?;
    let send = |calls: &[&str]| -> Result<String> {
        let mut messages = vec![json!({"role": "user", "content": "Tidy up."})];
        for (n, path) in calls.iter().enumerate() {
            let id = format!("call_{n}");
            messages.push(json!({"role": "assistant", "tool_calls": [{"id": id, "type": "function",
                "function": {"name": "read_file", "arguments": json!({"path": path}).to_string()}}]}));
            messages.push(json!({"role": "tool", "tool_call_id": id, "content": "not found"}));
        }
        let body = json!({"model": "gpt-4o", "messages": messages}).to_string();
        let arguments = ["-o", "/dev/null", "-w", "%{http_code}", "-H", "content-type: application/json"];
        let url = Family::OpenAi.url();
        Ok(client.curl(&[&arguments[..], &["--data-binary", &body, &url]].concat())?.ok()?.stdout)
    };
    let mut calls = vec!["a", "b"];
    ensure!(send(&calls)? == "200");
    for expected in ["200", "200", "200", "429"] {
        calls.push("c");
        ensure!(send(&calls)? == expected, "after {} calls", calls.len());
    }
    stage.health_item("agent-loop")?;
    calls.push("d");
    ensure!(send(&calls)? == "200");
    ensure!(stage.health()?.iter().all(|item| item["code"] != "agent-loop"));
    Ok(())
}

#[test]
fn a_filling_quota_and_a_loop_are_told_once() -> Result<()> {
    let providers = Providers::scripted()?;
    scripted(&providers, 10, 4);
    let mut stage = stage(&providers, "requestsPerHour: 5", "repeats: {after: 7}")?;
    stage.start()?;
    let mut listen = Command::new(tools::required("curl")?);
    listen.args(["--silent", "--no-buffer", "http://sallyport/v1/events", "--unix-socket"]);
    listen.arg(stage.path("run/control.sock"));
    let listener = Background::start(listen, &stage.path("events.log"))?;
    // The first bytes come at once, so that a client knows that it listens.
    wait::until("the event stream to open", || listener.output().contains(':').then_some(()))?;
    for _ in 0..8 {
        ensure!(post(&stage, Family::OpenAi, "hello")?.0 == 200, "it only warns");
    }
    // The eighth comes after all that the first seven could say.
    wait::until("the loop to be told", || listener.output().contains("\"type\":\"loop\"").then_some(()))?;
    let output = listener.output();
    let events: Vec<Value> = output
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .filter(|event: &Value| event["type"] == "quota" || event["type"] == "loop")
        .collect();
    let said: Vec<_> = events.iter().map(|e| e["percent"].as_u64().or(e["times"].as_u64())).collect();
    ensure!(said == [Some(80), Some(100), Some(7)], "{events:?}");
    ensure!(
        events[0]["gauge"]["limit"] == "requests_per_hour" && events[0]["gauge"]["used"] == 4,
        "{events:?}"
    );
    ensure!(events[2]["account"] == "unassigned" && events[2]["refused"] == false, "{events:?}");
    Ok(())
}

struct Redis {
    process: Child,
    _folder: tempfile::TempDir,
}

impl Redis {
    fn start(port: u16) -> Result<Redis> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(tools::required("redis-server")?);
        command.current_dir(folder.path()).args(["--bind", "127.0.0.1", "--save", "", "--port"]);
        let process = command.arg(port.to_string()).stdout(Stdio::null()).spawn()?;
        wait::until("redis-server", || std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop))?;
        Ok(Redis { process, _folder: folder })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn three_engines_share_one_persons_quota() -> Result<()> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let redis = Redis::start(port)?;
    let providers = Providers::scripted()?;
    scripted(&providers, 10, 4);
    let mut stages = Vec::new();
    for fail_mode in ["closed", "closed", "open"] {
        let rest =
            format!("onExceed: block\n    store: \"redis://127.0.0.1:{port}\"\n    failMode: {fail_mode}");
        let mut stage = stage(&providers, "requestsPerHour: 20", &rest)?;
        stage.start()?;
        stages.push(stage);
    }
    let all: Vec<&Stage> = stages.iter().collect();
    ensure!(storm(&all[..2], 10)? == (10, 0));
    ensure!(storm(&all, 48)? == (10, 38));
    ensure!(providers.front.take().len() == 20, "together they passed more than one may");
    for stage in &all {
        ensure!(gauge(stage, "requests_per_hour")? == (20, 20));
    }

    drop(redis);
    ensure!(post(all[0], Family::OpenAi, "hello")?.0 == 429, "closed");
    let (_, head, _) = post(all[0], Family::OpenAi, "hello")?;
    ensure!(head.contains("x-sallyport-code: quota_store_unavailable"), "{head}");
    ensure!(post(all[2], Family::OpenAi, "hello")?.0 == 200, "open");
    for stage in [all[0], all[2]] {
        stage.health_item("quota-store")?;
        ensure!(stage.json(&["quota", "--json"])?["store_reachable"] == false);
    }

    // It comes back empty, as one without a disk does.
    let _redis = Redis::start(port)?;
    wait::until("the store to be asked again", || {
        (post(all[0], Family::OpenAi, "hello").ok()?.0 == 200).then_some(())
    })?;
    ensure!(all[0].health()?.iter().all(|item| item["code"] != "quota-store"));
    let left = 20 - gauge(all[0], "requests_per_hour")?.0 as usize;
    wait::until("the third engine to ask it again", || {
        (all[2].json(&["quota", "--json"]).ok()?["store_reachable"] == true).then_some(())
    })?;
    ensure!(storm(&all, 40)?.0 == left);
    Ok(())
}

#[test]
fn clients_show_the_limit_after_one_request() -> Result<()> {
    let providers = Providers::emulated()?;
    let mut stage = stage(&providers, "requestsPerHour: 0", "onExceed: block")?;
    stage.start()?;
    let client = stage.client()?;
    sdks_are_refused(&client, 429, "0 requests an hour")?;
    let refused = |stage: &Stage| -> Result<usize> {
        let events = stage.audit_events()?;
        Ok(events.iter().filter(|e| e["violation_type"] == "quota_requests_per_hour").count())
    };
    ensure!(refused(&stage)? == 8, "an SDK tried again in vain: {}", refused(&stage)?);
    let outcome = client.claude("hello")?;
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    ensure!(said.contains("0 requests an hour"), "{outcome:?}");
    let tries = refused(&stage)? - 8;
    ensure!(tries <= 2, "Claude Code tried {tries} times");
    let generating: Vec<_> =
        providers.front.take().into_iter().filter(|r| r.path() == "/v1/messages").collect();
    ensure!(generating.is_empty(), "a refused request went upstream");
    Ok(())
}
