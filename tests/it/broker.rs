//! A tool holds a placeholder; the provider gets the real key, for the right account and host alone; and nobody else
//! ever sees it.

use std::fs;

use anyhow::{Context, Result, ensure};
use sallyport_tests::aimock::ANSWER;
use sallyport_tests::vault::Vault;
use sallyport_tests::{Answer, Stage, secrets, tools, wait};
use serde_json::{Value, json};

use crate::common::{Family, Providers, prompt};

const KEY: &str = "sk-made-up-Zk31xQ8vTn5Lw2Rb7Yc";

fn stage(providers: &Providers, source: &str) -> Result<Stage> {
    let mut stage = providers.stage()?.with_secret_file(&format!("TEAM_KEY={KEY}\n"))?;
    fs::create_dir_all(stage.path("config/policies"))?;
    let policy = json!({
        "apiVersion": "sallyport/v1", "kind": "SallyportPolicy", "metadata": {"name": "house"},
        "spec": {"broker": [{"name": "openai", "source": source, "hosts": ["api.openai.com"],
            "accounts": ["coding-assistant"]}]},
    });
    fs::write(stage.path("config/policies/house.yaml"), policy.to_string())?;
    stage.start()?;
    stage.wait_for_secrets(1)?;
    Ok(stage)
}

#[test]
fn the_python_sdk_holds_a_placeholder_and_the_provider_gets_the_key() -> Result<()> {
    let providers = Providers::emulated()?;
    let stage = stage(&providers, "file:TEAM_KEY")?;
    let input = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}).to_string();
    let (python, script) = (tools::python()?, tools::sources().join("clients/sdk.py"));
    let (python, script) = (python.display().to_string(), script.display().to_string());
    // The tool's own environment is looked at from inside.
    let look = "tr \"\\0\" \"\\n\" </proc/self/environ >&2; exec \"$@\"";
    let arguments = ["exec", "--agent", "coding-assistant", "--", "env", "OPENAI_API_KEY=sallyport:openai"];
    let arguments = [&arguments[..], &["sh", "-c", look, "sh", &python, &script, "openai", "plain"]].concat();
    let outcome = stage.cli_with_input(&arguments, input.as_bytes())?.ok()?;
    let answer: Value = serde_json::from_str(&outcome.stdout)?;
    ensure!(answer["text"] == ANSWER, "{answer}");
    ensure!(outcome.stderr.contains("OPENAI_API_KEY=sallyport:openai") && !outcome.stderr.contains(KEY));
    let [seen] = &providers.front.take()[..] else { anyhow::bail!("not one request") };
    ensure!(seen.header("authorization").as_deref() == Some(&format!("Bearer {KEY}")), "{:?}", seen.headers);

    let events = stage.settled_events()?;
    let inserted = events.iter().find(|e| e["actions"][0]["action_type"] == "key_inserted");
    let account = inserted.context("no row")?["actor"]["service_account"].as_str().unwrap_or_default();
    ensure!(account.starts_with("agent-coding-assistant-"), "{account}");
    ensure!(!serde_json::to_string(&events)?.contains(KEY) && !stage.output().contains(KEY));
    for file in ["audit.db", "audit.db-wal"] {
        let bytes = fs::read(stage.path("state").join(file)).unwrap_or_default();
        ensure!(memchr::memmem::find(&bytes, KEY.as_bytes()).is_none(), "the key is in {file}");
    }
    Ok(())
}

#[test]
fn another_host_account_or_name_gets_no_key() -> Result<()> {
    let providers = Providers::emulated()?;
    let stage = stage(&providers, "file:TEAM_KEY")?;
    let curl = |family: Family, header: &str| {
        let body = prompt(family, "hello", false);
        let url = family.url();
        format!(
            "curl -sS -w ' %{{http_code}}' -H '{header}' -H 'content-type: application/json' --data-binary '{body}' {url}"
        )
    };
    let good = "authorization: Bearer sallyport:openai";
    let cases = [
        (
            vec!["--agent", "coding-assistant"],
            curl(Family::Anthropic, "x-api-key: sallyport:openai"),
            "is not for api.anthropic.com",
        ),
        (vec!["--agent", "reviewer"], curl(Family::OpenAi, good), "not for agents of the class `reviewer`"),
        (vec![], curl(Family::OpenAi, good), "this process does not"),
        (
            vec!["--agent", "coding-assistant"],
            curl(Family::OpenAi, "authorization: Bearer sallyport:other"),
            "no brokered key called",
        ),
    ];
    for (agent, command, said) in cases {
        let arguments = [&["exec"][..], &agent, &["--", "sh", "-c", &command]].concat();
        let outcome = stage.cli(&arguments)?.ok()?;
        ensure!(outcome.stdout.ends_with(" 400") && outcome.stdout.contains(said), "{said}: {outcome:?}");
        ensure!(outcome.stdout.contains("\"error\""), "in the provider's shape: {outcome:?}");
    }
    ensure!(providers.front.take().is_empty(), "a refused request went on");
    Ok(())
}

/// A vault with one key, a front, and an engine that brokers it to the hosts.
fn with_vault(host: &str) -> Result<(Vault, Providers, Stage, String)> {
    let vault = Vault::start()?;
    let stored = secrets::some("ai-provider-keys/openai", 1, 5, false);
    vault.store(&stored, 2)?;
    let providers = Providers::emulated()?;
    let named = match stored[0].field {
        "value" => format!("vault:{}", stored[0].path),
        field => format!("vault:{}/{field}", stored[0].path),
    };
    let configured = json!([vault.config(&vault.token_file("10m")?)[0]]);
    let mut stage = providers.stage()?.set("/secrets/vaults", configured);
    fs::create_dir_all(stage.path("config/policies"))?;
    let policy = json!({
        "apiVersion": "sallyport/v1", "kind": "SallyportPolicy", "metadata": {"name": "house"},
        "spec": {"broker": [{"name": "openai", "source": named, "hosts": [host], "accounts": ["a"]}]},
    });
    fs::write(stage.path("config/policies/house.yaml"), policy.to_string())?;
    stage.start()?;
    stage.wait_for_secrets(1)?;
    Ok((vault, providers, stage, stored[0].value.clone()))
}

/// A request with the placeholder in its header, from a session; gives status and body.
fn ask(stage: &Stage) -> Result<String> {
    let body = prompt(Family::OpenAi, "hello", false);
    let command = format!(
        "curl -sS -w ' %{{http_code}}' -H 'authorization: Bearer sallyport:openai' -H 'content-type: application/json' \
         --data-binary '{body}' {}",
        Family::OpenAi.url()
    );
    Ok(stage.cli(&["exec", "--agent", "a", "--", "sh", "-c", &command])?.ok()?.stdout)
}

#[test]
fn a_key_comes_from_the_vault_and_is_kept_for_a_moment() -> Result<()> {
    let (mut vault, providers, stage, key) = with_vault("api.openai.com")?;
    let sent =
        || providers.front.take().iter().filter_map(|seen| seen.header("authorization")).collect::<Vec<_>>();
    ensure!(ask(&stage)?.ends_with(" 200"));
    ensure!(sent() == [format!("Bearer {key}")]);

    // The vault is not asked again at once, but it is once policy changed.
    vault.stop();
    ensure!(ask(&stage)?.ends_with(" 200"));
    ensure!(sent() == [format!("Bearer {key}")]);
    let version = || Some(stage.status().ok()?["policy"]["version"].clone());
    let before = version();
    let other =
        "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {name: b}\nspec: {opaque: warn}\n";
    fs::write(stage.path("config/policies/other.yaml"), other)?;
    wait::until("the changed policy", || (version() != before).then_some(()))?;
    let refused = ask(&stage)?;
    ensure!(refused.ends_with(" 400") && refused.contains("could not be fetched from vault:"), "{refused}");
    ensure!(sent().is_empty() && !refused.contains(&key));
    Ok(())
}

#[test]
fn a_key_that_a_provider_refuses_is_fetched_anew() -> Result<()> {
    let (vault, providers, stage, old) = with_vault("api.openai.com")?;
    let new = "sk-made-up-after-rotation-5Tg8";
    providers.front.answer(move |seen| {
        let good = seen.header("authorization") == Some(format!("Bearer {new}"));
        Answer::json(
            if good { 200 } else { 401 },
            &json!({"choices": [], "error": {"message": "no such key"}}),
        )
    });
    ensure!(ask(&stage)?.ends_with(" 401"));
    let mut stored = secrets::some("ai-provider-keys/openai", 1, 5, false);
    stored[0].value = new.into();
    vault.store(&stored, 2)?;
    ensure!(ask(&stage)?.ends_with(" 200"));
    let sent: Vec<_> =
        providers.front.take().iter().filter_map(|seen| seen.header("authorization")).collect();
    ensure!(sent == [format!("Bearer {old}"), format!("Bearer {new}")]);
    Ok(())
}

#[test]
fn a_key_goes_into_a_url_where_the_provider_takes_it_there() -> Result<()> {
    let host = "generativelanguage.googleapis.com";
    let (_vault, providers, stage, key) = with_vault(host)?;
    providers.front.answer(|_| Answer::json(200, &json!({"candidates": []})));
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]});
    let path = "/v1beta/models/gemini-2.5-flash:generateContent";
    for (query, sent) in [("key=sallyport%3Aopenai&alt=json", true), ("alt=sallyport:openai", false)] {
        let command = format!(
            "curl -sS -w ' %{{http_code}}' -H 'content-type: application/json' --data-binary '{body}' 'https://{host}{path}?{query}'"
        );
        let outcome = stage.cli(&["exec", "--agent", "a", "--", "sh", "-c", &command])?.ok()?;
        ensure!(outcome.stdout.ends_with(" 200"), "{outcome:?}");
        let [seen] = &providers.front.take()[..] else { anyhow::bail!("not one request") };
        let expected = match sent {
            true => format!("{path}?key={key}&alt=json"),
            false => format!("{path}?{query}"),
        };
        ensure!(seen.target == expected, "{}", seen.target);
    }
    let refused = format!("curl -sS -d '{body}' 'https://{host}{path}?key=sallyport:openai'");
    let outcome = stage.cli(&["exec", "--agent", "b", "--", "sh", "-c", &refused])?.ok()?;
    ensure!(outcome.stdout.contains("not for agents of the class `b`"), "{outcome:?}");
    ensure!(providers.front.take().is_empty());
    ensure!(
        !serde_json::to_string(&stage.settled_events()?)?.contains(&key) && !stage.output().contains(&key)
    );
    Ok(())
}
