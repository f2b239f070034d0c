//! A client that asks the proxy for an address and names an AI host in its TLS: guarded as if it had asked for the host.

use anyhow::{Context, Result, ensure};
use sallyport_tests::{Answer, Front, Stage, TestRoot, wait};
use serde_json::{Value, json};

use crate::common::{Family, Providers, prompt};

const SECRET: &str = "kX9vQ2mT7pLw4Zr8hB3n";

fn started(providers: &Providers) -> Result<Stage> {
    let mut stage = providers.stage()?.with_secret_file(&format!("DB_PASSWORD={SECRET}\n"))?;
    stage.start()?;
    stage.wait_for_secrets(1)?;
    Ok(stage)
}

#[test]
fn a_tunnel_to_an_address_is_guarded_when_its_tls_names_an_ai_host() -> Result<()> {
    let providers = Providers::scripted()?;
    providers.front.answer(|_| Answer::json(200, &json!({"id": "1", "choices": []})));
    let stage = started(&providers)?;
    let client = stage.client()?;
    let address = providers.front.address();
    let file = client.home().join("body");
    std::fs::write(&file, prompt(Family::OpenAi, &format!("the password is {SECRET}"), false))?;
    let (url, data) = (Family::OpenAi.url(), format!("@{}", file.display()));
    // CONNECT names the address alone; the host stands in the TLS hello and in the request.
    let lead = format!("::{address}");
    for version in ["--http1.1", "--http2"] {
        let arguments = [version, "--connect-to", &lead, "--data-binary", &data, &url];
        client.curl(&[&arguments[..], &["--header", "content-type: application/json"]].concat())?.ok()?;
        let seen = providers.front.take().pop().context("nothing arrived")?;
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        ensure!(!body.contains(SECRET) && body.contains("[SECRET:DB_PASSWORD]"), "{version}: {body}");
        ensure!(seen.server_name == Family::OpenAi.host(), "{}", seen.server_name);
    }
    let row = wait::until("the row", || {
        stage.audit_events().ok()?.into_iter().find(|event| event["event_type"] == "prompt_sent")
    })?;
    ensure!(row["ai_provider"]["endpoint"] == "api.openai.com/v1/chat/completions", "{row}");
    let named =
        row["actions"].as_array().into_iter().flatten().find(|a| a["action_type"] == "host_named_in_tls");
    ensure!(named.is_some_and(|action: &Value| action["target"] == address.to_string()), "{row}");
    Ok(())
}

#[test]
fn the_server_at_the_address_must_prove_to_be_the_host() -> Result<()> {
    let providers = Providers::scripted()?;
    providers.front.answer(|_| Answer::json(200, &json!({})));
    let stage = started(&providers)?;
    let (root, client) = (TestRoot::new()?, stage.client()?);
    // Another's server, under a root that the engine does not know.
    let relay = Front::start(&root, &["api.openai.com"])?;
    relay.answer(|_| Answer::json(200, &json!({"id": "1", "choices": []})));
    let lead = format!("::{}", relay.address());
    let url = Family::OpenAi.url();
    let status = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    let outcome = client.curl(&[&status[..], &["--connect-to", &lead, "--data", "{}", &url]].concat())?;
    ensure!(outcome.stdout.starts_with('5'), "{outcome:?}");
    ensure!(relay.requests().is_empty(), "a request reached a server that proved nothing");
    Ok(())
}
