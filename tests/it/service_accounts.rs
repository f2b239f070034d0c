//! Who acts on whose behalf: credentials of sessions, descent, and what is refused.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use sallyport_tests::aimock::ANSWER;
use sallyport_tests::stage::USAGE;
use sallyport_tests::{Stage, wait};
use serde_json::{Value, json};

use crate::common::{Family, Providers, prompt};

fn stage(providers: &Providers) -> Result<Stage> {
    let agents = json!({"default_class": "coding-assistant", "default_tier": "execute-commands"});
    let mut stage = providers.stage()?.set("/agents", agents);
    stage.start()?;
    Ok(stage)
}

/// curl as `sh` words; it finds the proxy and the roots in its environment.
fn curl(body: &str) -> String {
    format!("curl -sS -H 'content-type: application/json' --data-binary '{body}' {}", Family::OpenAi.url())
}

fn accounts(stage: &Stage, event_type: &str) -> Result<Vec<String>> {
    let events = stage.settled_events()?;
    let of_type = events.iter().filter(|e| e["event_type"] == event_type);
    Ok(of_type.filter_map(|e| e["actor"]["service_account"].as_str().map(str::to_owned)).collect())
}

#[test]
fn every_event_names_the_account_of_its_flow() -> Result<()> {
    let providers = Providers::emulated()?;
    let stage = stage(&providers)?;
    let body = prompt(Family::OpenAi, "hello", false);
    stage.cli(&["exec", "--", "sh", "-c", &curl(&body)])?.ok()?;
    // A child that forgot its credential is still known by descent; one that has it by that.
    let plain = format!("HTTPS_PROXY=http://{} {}", stage.proxy()?, curl(&body));
    let both = format!("{} && {plain} && exit 7", curl(&body));
    let outcome = stage.cli(&["exec", "--agent", "reviewer", "--", "sh", "-c", &both])?;
    ensure!(outcome.code == 7 && outcome.stdout.matches(ANSWER).count() == 2, "{outcome:?}");
    stage.cli(&["exec", "--agent", "reviewer", "--", "sh", "-c", &curl(&body)])?.ok()?;

    for event_type in ["prompt_sent", "completion_received"] {
        let accounts = accounts(&stage, event_type)?;
        ensure!(accounts.len() == 4 && accounts[0] == "coding-assistant", "{accounts:?}");
        ensure!(accounts[1].starts_with("agent-reviewer-") && accounts[1] == accounts[2], "{accounts:?}");
        ensure!(accounts[3].starts_with("agent-reviewer-") && accounts[3] != accounts[1], "{accounts:?}");
    }
    let ended = wait::until("the ends of both sessions in the trail", || {
        let events = stage.audit_events().ok()?;
        let ends = events.iter().flat_map(|e| e["actions"].as_array().cloned().unwrap_or_default());
        let ends: Vec<Value> = ends.filter(|a| a["action_type"] == "agent_session_ended").collect();
        (ends.len() == 2).then_some(ends)
    })?;
    ensure!(ended.iter().all(|a| a["outcome"].as_str().is_some_and(|o| o.starts_with("agent-reviewer-"))));
    for request in providers.front.take() {
        let told = request.headers.iter().find(|(name, _)| name.to_lowercase().contains("proxy"));
        ensure!(told.is_none(), "a proxy header went on: {told:?}");
    }
    stage.verified()
}

#[test]
fn a_credential_that_counts_for_nothing_is_refused_inside_tls() -> Result<()> {
    let providers = Providers::emulated()?;
    let stage = stage(&providers)?;
    // The session prints its own credential and ends.
    let outcome = stage.cli(&["exec", "--agent", "reviewer", "--", "printenv", "HTTPS_PROXY"])?.ok()?;
    let ended = outcome.stdout.trim().to_owned();
    let proxy: SocketAddr = stage.proxy()?;
    ensure!(ended.ends_with(&format!("@{proxy}")), "{ended}");
    let unknown = format!("http://agent-reviewer-000000:none@{proxy}");
    let client = stage.client()?;
    let body = prompt(Family::OpenAi, "hello", false);
    for credential in [ended.as_str(), unknown.as_str()] {
        let answer = client.curl(&[
            "--proxy",
            credential,
            "-w",
            "\n%{http_code}",
            "-H",
            "content-type: application/json",
            "--data-binary",
            &body,
            &Family::OpenAi.url(),
        ])?;
        let (json, code) = answer.stdout.rsplit_once('\n').context("no status")?;
        let json: Value = serde_json::from_str(json)?;
        ensure!(code == "400" && json["error"]["code"] == "agent_credential", "{answer:?}");
        let message = json["error"]["message"].as_str().context("no message")?;
        ensure!(message.contains("agent-reviewer-") && message.contains("exec --agent"), "{message}");
        ensure!(!answer.stdout.contains("none@"), "{answer:?}");
    }
    // Somebody else's proxy credential says nothing here.
    let login = format!("http://ann:pw@{proxy}");
    let plain = ["--proxy", &login, "-H", "content-type: application/json", "--data-binary", &body];
    let answer = client.curl(&[&plain[..], &[&Family::OpenAi.url()]].concat())?.ok()?;
    ensure!(answer.stdout.contains(ANSWER), "{answer:?}");
    ensure!(providers.front.take().len() == 1, "a refused request went upstream");
    let violations: Vec<_> =
        stage.audit_events()?.into_iter().filter(|e| e["event_type"] == "policy_violation").collect();
    ensure!(violations.len() == 2);
    ensure!(violations.iter().all(|v| v["violation_type"] == "agent_credential"), "{violations:?}");
    Ok(())
}

#[test]
fn running_agents_and_their_flows_are_shown() -> Result<()> {
    let providers = Providers::emulated()?;
    let stage = stage(&providers)?;
    let look =
        format!("'{0}' status --json && '{0}' flows --json", sallyport_tests::tools::sallyport()?.display());
    let outcome = stage.cli(&["exec", "--agent", "reviewer", "--", "sh", "-c", &look])?.ok()?;
    let mut values = serde_json::Deserializer::from_str(&outcome.stdout).into_iter::<Value>();
    let status = values.next().context("no status")??;
    let agents = status["agents"].as_array().context("no agents")?;
    ensure!(agents.len() == 1 && agents[0]["class"] == "reviewer", "{status}");
    ensure!(agents[0]["tier"] == "execute-commands", "{status}");
    ensure!(values.next().context("no flows")??.is_array());
    ensure!(stage.status()?["agents"] == json!([]));
    let known = stage.cli(&["exec", "--agent", "coding-assistant", "--", "true"])?.ok()?;
    ensure!(!known.stderr.contains("class"), "{known:?}");
    let unknown = stage.cli(&["exec", "--agent", "coding-asistant", "--", "true"])?.ok()?;
    ensure!(
        unknown.stderr.contains("warning: ") && unknown.stderr.contains("did you mean `coding-assistant`?"),
        "{unknown:?}"
    );
    let refused = stage.cli(&["exec", "--agent", "no such class", "--", "true"])?;
    ensure!(refused.code == USAGE && refused.stderr.contains("class"), "{refused:?}");
    Ok(())
}
