//! Through the house's own proxy, as the environment of the engine names it.

use anyhow::{Result, ensure};
use sallyport_tests::Stage;
use sallyport_tests::relay::TunnelToOne;
use serde_json::json;

use crate::common::{Family, Providers, prompt};

/// An engine whose names lead nowhere but through the relay.
fn stage(providers: &Providers, environment: &[(&str, &str)]) -> Result<Stage> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Ok(providers.stage()?.set("/upstream/resolve", json!({})).with_environment(environment.collect()))
}

fn status(stage: &Stage, family: Family) -> Result<String> {
    let client = stage.client()?;
    let (body, headers) = (prompt(family, "hello", false), family.headers());
    let mut arguments = vec!["--output", "/dev/null", "--write-out", "%{http_code}", "--data-binary", &body];
    arguments.extend(headers.iter().chain(&["content-type: application/json"]).flat_map(|h| ["--header", h]));
    let url = family.url();
    arguments.push(&url);
    Ok(client.curl(&arguments)?.ok()?.stdout)
}

#[test]
fn https_proxy_of_the_environment_is_the_way_out() -> Result<()> {
    let providers = Providers::emulated()?;
    let relay = TunnelToOne::start(providers.front.address())?;
    let proxy = format!("http://{}", relay.address);
    let mut stage =
        stage(&providers, &[("HTTPS_PROXY", &proxy), ("NO_PROXY", "anthropic.com,192.0.2.0/24")])?;
    stage.start()?;
    ensure!(status(&stage, Family::OpenAi)? == "200");
    ensure!(relay.asked() == ["api.openai.com:443"], "{:?}", relay.asked());
    ensure!(status(&stage, Family::Anthropic)? == "502", "what NO_PROXY names goes past it");
    ensure!(relay.asked().len() == 1 && providers.front.take().len() == 1);
    stage.cli(&["self-test"])?.ok()?;
    Ok(())
}

#[test]
fn the_configuration_counts_over_it_and_what_is_no_proxy_is_told() -> Result<()> {
    let providers = Providers::emulated()?;
    let relay = TunnelToOne::start(providers.front.address())?;
    let proxy = format!("http://{}", relay.address);
    let mut configured = stage(&providers, &[("HTTPS_PROXY", &proxy)])?.set("/upstream/proxy", "none".into());
    configured.start()?;
    ensure!(status(&configured, Family::OpenAi)? == "502" && relay.asked().is_empty());

    let mut odd = stage(&providers, &[("https_proxy", "gopher://me:hush@proxy.corp:70")])?;
    odd.spawn("listen: 127.0.0.1:0\n", Vec::new())?;
    let ended = odd.engine()?.wait(sallyport_tests::wait::PATIENCE)?;
    let said = odd.output();
    ensure!(!ended.success() && said.contains("https_proxy names no proxy that is understood"), "{said}");
    ensure!(!said.contains("hush"), "{said}");
    Ok(())
}
