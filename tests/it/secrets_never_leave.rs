//! What vault and keychain hold does not leave: in no form, from no client, in no part of a request. Everything else
//! arrives byte for byte.

use std::fs;

use anyhow::{Context, Result, ensure};
use data_encoding::{BASE64, HEXLOWER};
use sallyport_tests::aimock::{ANSWER, Aimock};
use sallyport_tests::clients::Client;
use sallyport_tests::encodings::{self, Form};
use sallyport_tests::expect::{Template, nothing_leaked};
use sallyport_tests::front::{Onward, PROVIDER_NAMES, Recorded};
use sallyport_tests::keychain::Keychain;
use sallyport_tests::relay::TunnelToOne;
use sallyport_tests::secrets::{self, Secret};
use sallyport_tests::vault::Vault;
use sallyport_tests::{Front, Stage};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::common::{Family, Providers};

/// An engine that knows 50 secrets of a vault and 5 of a keychain.
struct House {
    stage: Stage,
    secrets: Vec<Secret>,
    providers: Providers,
    _vault: Vault,
    _keychain: Keychain,
}

impl House {
    fn open(providers: Providers) -> Result<House> {
        let vault = Vault::start()?;
        let (new, old) = (secrets::some("key", 40, 11, true), secrets::some("legacy", 10, 12, true));
        vault.store(&new, 2)?;
        vault.store(&old, 1)?;
        let keychain = Keychain::start()?;
        let ring = secrets::some("ring", 5, 13, false);
        keychain.store(&ring)?;
        let mut stage = providers
            .stage()?
            .set("/secrets/keychain", json!(true))
            .set("/secrets/vaults", vault.config(&vault.token_file("30m")?))
            .with_environment(keychain.environment());
        stage.start()?;
        stage.wait_for_secrets(55)?;
        Ok(House { stage, secrets: [new, old, ring].concat(), providers, _vault: vault, _keychain: keychain })
    }

    /// Every secret in every form that `wanted` accepts.
    fn places(&self, wanted: impl Fn(Form) -> bool) -> Vec<(usize, Form)> {
        let forms: Vec<_> = Form::ALL.into_iter().filter(|f| wanted(*f)).collect();
        (0..self.secrets.len()).flat_map(|s| forms.iter().map(move |f| (s, *f))).collect()
    }
}

#[test]
fn in_any_form_in_any_coding_by_curl() -> Result<()> {
    let house = House::open(Providers::emulated()?)?;
    let client = house.stage.client()?;
    let places = house.places(|_| true);
    let mut hashes = Vec::new();
    for family in Family::BOTH {
        let body = family.body(&house.secrets, &places);
        ensure!(body.places() == 55 * 12 * 3);
        let mut first = None;
        for coding in ["identity", "gzip", "zstd", "br", "deflate"] {
            let sent = encodings::encode(coding, &body.bytes())?;
            let coding_header = format!("content-encoding: {coding}");
            let mut headers = family.headers().to_vec();
            if coding != "identity" {
                headers.push(&coding_header);
            }
            let answer = client.curl_post(&family.url(), &headers, &sent)?.ok()?.stdout;
            ensure!(answer.contains(ANSWER), "{family:?} {coding}: {answer}");
            let [seen] = &house.providers.front.take()[..] else { anyhow::bail!("not one request") };
            nothing_leaked(seen, &house.secrets).with_context(|| format!("{family:?} {coding}"))?;
            let placeholders =
                body.check(&seen.body, &house.secrets).with_context(|| format!("{family:?} {coding}"))?;
            ensure!(coding == "identity" || seen.header("content-encoding").as_deref() == Some(coding));
            ensure!(
                *first.get_or_insert(placeholders.clone()) == placeholders,
                "placeholders differ by coding"
            );
            hashes.push(HEXLOWER.encode(&Sha256::digest(&seen.body)));
        }
        // Words that stand in the trail as they are said.
        let plain: Vec<_> =
            house.secrets.iter().filter(|s| s.value.bytes().all(|b| b.is_ascii_alphanumeric())).collect();
        let [model, agent, ..] = &plain[..] else { anyhow::bail!("no secret fits into a header") };
        let body =
            json!({"model": model.value, "messages": [{"role": "user", "content": "hello"}]}).to_string();
        let agent = format!("user-agent: tool/1 {}", agent.value);
        let headers = [&family.headers()[..], &[&agent]].concat();
        client.curl_post(&family.url(), &headers, body.as_bytes())?.ok()?;
        let [seen] = &house.providers.front.take()[..] else { anyhow::bail!("not one request") };
        nothing_leaked(seen, &house.secrets).with_context(|| format!("{family:?}: model and program"))?;
    }
    let events = house.stage.settled_events()?;
    let told = |what: &str| {
        events.iter().filter(|e| e.pointer(what).is_some_and(|v| v.to_string().contains("[SECRET:"))).count()
    };
    ensure!(
        told("/ai_provider/model") >= 2 && told("/actor/user_agent") >= 2,
        "the trail misses their names"
    );
    for hash in hashes {
        let row = events.iter().find(|e| e["request"]["prompt_hash"] == hash.as_str());
        let row = row.with_context(|| format!("no audit row has the hash {hash} of what was sent"))?;
        let redactions =
            row["request"]["redactions_applied"].as_array().context("no redactions in the row")?;
        ensure!(!redactions.is_empty(), "a row without redactions: {row}");
    }
    let trail = fs::read(house.stage.path("state/audit.db"))?;
    let wal = fs::read(house.stage.path("state/audit.db-wal")).unwrap_or_default();
    let kept = sallyport_tests::expect::search(&[trail, wal].concat(), &house.secrets);
    ensure!(kept.is_empty(), "the trail holds {kept:?}");
    let said = sallyport_tests::expect::search(house.stage.output().as_bytes(), &house.secrets);
    ensure!(said.is_empty(), "the log holds {said:?}");
    house.stage.verified()
}

#[test]
fn from_the_sdks() -> Result<()> {
    let house = House::open(Providers::emulated()?)?;
    let client = house.stage.client()?;
    // The SDKs write their own JSON: an escape given to them is undone before it is sent.
    let places = house.places(|form| form != Form::Unicode);
    let text = |from: usize| -> String {
        let each = places.iter().enumerate().skip(from).step_by(3);
        each.map(|(n, &(secret, form))| {
            let escaped = form.in_json(&house.secrets[secret].value);
            let plain: String = serde_json::from_str(&format!("\"{escaped}\"")).unwrap_or(escaped);
            format!("<{n}: {plain} :{n}> ")
        })
        .collect()
    };
    let (system, user, result) = (text(0), text(1), text(2));
    let openai = json!({"model": "gpt-4o", "messages": [
        {"role": "system", "content": system},
        {"role": "user", "content": user},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "read_file", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": result},
    ]});
    let anthropic = json!({"model": "claude-sonnet-4-5", "max_tokens": 100, "system": system, "messages": [
        {"role": "user", "content": user},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": result}]},
    ]});
    for (vendor, arguments) in [("openai", openai), ("anthropic", anthropic)] {
        for mode in ["plain", "stream"] {
            let case = format!("{vendor} {mode}");
            let outcome = client.python("sdk.py", &[vendor, mode], &arguments.to_string())?.ok()?;
            let answer: Value = serde_json::from_str(&outcome.stdout)?;
            ensure!(answer["text"] == ANSWER, "{case}: {answer}");
            let sent = answer["sent"][0].as_str().context("nothing sent")?;
            let expected = Template::from_sent(&BASE64.decode(sent.as_bytes())?, &places)?;
            ensure!(expected.places() == places.len(), "{case}: only {} places were sent", expected.places());
            let [seen] = &house.providers.front.take()[..] else { anyhow::bail!("{case}: not one request") };
            nothing_leaked(seen, &house.secrets).with_context(|| case.clone())?;
            expected.check(&seen.body, &house.secrets).context(case)?;
        }
    }
    house.stage.verified()
}

/// Claude Code, with a tap between it and the engine that records what it sent.
struct Tapped {
    tap: Front,
    client: Client,
    _tunnel: TunnelToOne,
}

impl Tapped {
    fn new(house: &House) -> Result<Tapped> {
        let tap = Front::start(&house.providers.root, &PROVIDER_NAMES)?;
        tap.forward(Onward::Proxy { proxy: house.stage.proxy()?, trust: house.stage.trust()? });
        let tunnel = TunnelToOne::start(tap.address())?;
        let client = Client::new(tunnel.address, &house.providers.root.pem())?;
        Ok(Tapped { tap, client, _tunnel: tunnel })
    }
}

/// What was sent beside what arrived, for requests with a body. Requests overlap, so each is paired by its path and its
/// own order on that path.
fn pairs(sent: Vec<Recorded>, arrived: &[Recorded]) -> Result<Vec<(Recorded, Recorded)>> {
    let mut pairs = Vec::new();
    let mut left: Vec<_> = arrived.iter().collect();
    for one in sent.into_iter().filter(|r| !r.raw.is_empty()) {
        // The engine may finish two requests in the other order; the same length is the better guess.
        let same_path = |r: &&Recorded| r.target == one.target;
        let exact = left.iter().position(|r| same_path(r) && r.raw == one.raw);
        let at = exact.or_else(|| left.iter().position(same_path));
        let at = at.with_context(|| format!("{} did not arrive", one.target))?;
        pairs.push((one, left.remove(at).clone()));
    }
    Ok(pairs)
}

#[test]
fn from_claude_code() -> Result<()> {
    let project = tempfile::tempdir()?;
    let notes = project.path().join("notes.txt");
    let fixtures = json!({"fixtures": [
        {"match": {"userMessage": "Please read the notes", "hasToolResult": false},
         "response": {"content": "Reading.", "toolCalls": [{"name": "Read", "arguments": {"file_path": notes}}]}},
        {"match": {}, "response": {"content": ANSWER}},
    ]});
    let house = House::open(Providers::behind(Aimock::with_fixtures(&fixtures.to_string())?)?)?;
    let tapped = Tapped::new(&house)?;
    // Claude Code writes JSON itself, so an escape in a text would be sent as a doubled backslash.
    let places = house.places(|form| form != Form::Unicode);
    let line = |n: usize| -> Result<String> {
        let (secret, form) = places[n];
        let plain: String =
            serde_json::from_str(&format!("\"{}\"", form.in_json(&house.secrets[secret].value)))?;
        Ok(format!("<{n}: {plain} :{n}>"))
    };
    // One-line values only where the client numbers or trims lines.
    let one_line = |n: &usize| !house.secrets[places[*n].0].value.contains('\n') || places[*n].1 != Form::Raw;
    let all: Vec<usize> = (0..places.len()).filter(one_line).collect();
    let (in_prompt, rest) = all.split_at(60);
    let (in_memory, in_file) = rest.split_at(120);
    let text = |of: &[usize], gap: &str| -> Result<String> {
        Ok(of.iter().map(|n| line(*n)).collect::<Result<Vec<_>>>()?.join(gap))
    };
    fs::write(&notes, text(in_file, "\n")?)?;
    fs::write(tapped.client.home().join("project/CLAUDE.md"), text(in_memory, "\n")?)?;
    let prompt = format!("Please read the notes: {}", text(in_prompt, " ")?);
    let arguments = ["--allowedTools", "Read", "--add-dir", &project.path().display().to_string()];
    let outcome = tapped.client.claude_with(&prompt, &arguments)?.ok()?;
    let answer: Value = serde_json::from_str(&outcome.stdout).with_context(|| outcome.stdout.clone())?;
    ensure!(answer["result"] == ANSWER, "{answer}");

    let arrived = house.providers.front.take();
    let turns = arrived.iter().filter(|r| r.path() == "/v1/messages").count();
    ensure!(turns >= 2, "Claude Code made {turns} model requests, so no tool result was sent");
    for request in &arrived {
        nothing_leaked(request, &house.secrets)?;
    }
    let mut seen = 0;
    for (sent, got) in pairs(tapped.tap.take(), &arrived)? {
        if sent.path() == "/v1/messages" {
            let expected = Template::from_sent(&sent.body, &places)?;
            expected.check(&got.body, &house.secrets).context("/v1/messages")?;
            seen += expected.places();
        }
    }
    ensure!(seen >= all.len(), "only {seen} of {} places were sent", all.len());
    house.stage.verified()
}

#[test]
fn and_claude_codes_own_requests_pass_untouched() -> Result<()> {
    let house = House::open(Providers::emulated()?)?;
    let tapped = Tapped::new(&house)?;
    let outcome = tapped.client.claude("Say one word.")?.ok()?;
    ensure!(outcome.stdout.contains(ANSWER), "{outcome:?}");
    let pairs = pairs(tapped.tap.take(), &house.providers.front.take())?;
    let model: Vec<_> = pairs.iter().filter(|(s, _)| s.path() == "/v1/messages").collect();
    ensure!(!model.is_empty(), "no model request");
    for (sent, got) in model {
        ensure!(sent.raw == got.raw, "the body of {} bytes changed", sent.raw.len());
        let skip = ["host", "content-length", "connection", "transfer-encoding", "accept-encoding"];
        for (name, value) in sent.headers.iter().filter(|(n, _)| !skip.contains(&n.as_str())) {
            ensure!(got.headers.contains(&(name.clone(), value.clone())), "the header {name} changed");
        }
    }
    // And straight through, as a person would run it.
    let outcome = house.stage.client()?.claude("Say one word.")?.ok()?;
    ensure!(outcome.stdout.contains(ANSWER), "{outcome:?}");
    Ok(())
}
