//! A refused request is shown by real clients, once, in their own words.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::common::{Providers, sdks_are_refused};

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
    sdks_are_refused(&client, 400, "Sallyport stopped this request")?;
    ensure!(refused()? == 8, "an SDK tried again in vain: {}", refused()?);
    let outcome = client.claude("hello")?;
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    ensure!(said.contains("Sallyport stopped this request"), "{outcome:?}");
    let generating: Vec<_> =
        providers.front.take().into_iter().filter(|r| r.path().contains("messages")).collect();
    ensure!(generating.is_empty(), "a refused request went upstream");
    Ok(())
}
