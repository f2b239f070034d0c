//! A refused request is shown by real clients, once, in their own words.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::common::Providers;

#[test]
fn clients_show_a_block_after_one_request() -> Result<()> {
    let providers = Providers::emulated()?;
    let mut stage = providers.stage()?;
    fs::create_dir_all(stage.path("config/policies"))?;
    let house = json!({
        "apiVersion": "sallyport/v1", "kind": "SallyportPolicy", "metadata": {"name": "house"},
        "spec": {"approvedProviders": ["ollama"], "shadowAi": "block"},
    });
    fs::write(stage.path("config/policies/house.yaml"), house.to_string())?;
    stage.start()?;
    let refused = || -> Result<usize> {
        let events = stage.audit_events()?;
        Ok(events.iter().filter(|event| event["event_type"] == "policy_violation").count())
    };
    let client = stage.client()?;
    let messages = json!([{"role": "user", "content": "hello"}]);
    for vendor in ["openai", "anthropic"] {
        let arguments = match vendor {
            "openai" => json!({"model": "gpt-4o", "messages": messages}),
            _ => json!({"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": messages}),
        };
        for mode in ["plain", "stream"] {
            let outcome = client.python("sdk.py", &[vendor, mode, "2"], &arguments.to_string())?;
            let answer: Value = serde_json::from_str(&outcome.ok()?.stdout)?;
            let said = answer["error"].as_str().unwrap_or_default();
            ensure!(
                answer["status"] == 400 && said.contains("Sallyport stopped this request"),
                "{vendor} {mode}: {answer}"
            );
        }
    }
    ensure!(refused()? == 4, "an SDK tried again in vain: {}", refused()?);
    let outcome = client.claude("hello")?;
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    ensure!(said.contains("Sallyport stopped this request"), "{outcome:?}");
    let generating: Vec<_> =
        providers.front.take().into_iter().filter(|r| r.path().contains("messages")).collect();
    ensure!(generating.is_empty(), "a refused request went upstream");
    Ok(())
}
