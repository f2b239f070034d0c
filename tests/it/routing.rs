//! Who may see what: a request goes where policy lets its class go, to another provider, or nowhere. What a provider
//! receives and what the client is told are both looked at.

use std::fs;

use anyhow::{Context, Result, ensure};
use sallyport_tests::{Answer, Front, Stage, TestRoot, wait};
use serde_json::{Value, json};

use crate::common::Family;

const SECRET: &str = "kX9vQ2mT7pLw4Zr8hB3n";
/// Confidential, and with a finding that is less than that.
const LABELLED: &str = "COMPANY CONFIDENTIAL: the plan for 10.20.30.41";
const OWN_KEY: &str = "the-clients-own-key-000";
const HOUSE_KEY: &str = "the-house-key-111";

const CLASSES: &str = include_str!("../../assets/policies/examples/data-classification-policy.yaml");

/// A provider out there, a model server in the house, and an engine between them.
struct House {
    public: Front,
    house: Front,
    stage: Stage,
    _root: TestRoot,
}

impl House {
    fn new(spec: &str) -> Result<House> {
        let root = TestRoot::new()?;
        let public = Front::start(&root, &["api.openai.com", "api.anthropic.com", "poe.com"])?;
        let house = Front::start(&root, &["llm.corp.example"])?;
        for front in [&public, &house] {
            let name = front.names()[0].clone();
            front.answer(move |_| {
                Answer::json(200, &json!({"choices": [{"message": {"role": "assistant", "content": name}}]}))
            });
        }
        let mut stage = Stage::new()?
            .behind(&public, &root)
            .behind(&house, &root)
            .with_secret_file(&format!("DB_PASSWORD={SECRET}\n"))?;
        let key = stage.path("house.key");
        fs::write(&key, format!("{HOUSE_KEY}\n"))?;
        let spec = spec.replace("KEYFILE", &key.display().to_string());
        policies(&stage, &spec)?;
        stage.start()?;
        stage.wait_for_secrets(1)?;
        Ok(House { public, house, stage, _root: root })
    }

    /// One chat completion with these words; gives status and body.
    fn say(&self, words: &str) -> Result<(String, Value)> {
        self.say_to(&Family::OpenAi.url(), words)
    }

    fn say_to(&self, url: &str, words: &str) -> Result<(String, Value)> {
        let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": words}]});
        let authorization = format!("authorization: Bearer {OWN_KEY}");
        let client = self.stage.client()?;
        let headers = [authorization.as_str(), "openai-organization: org-mine"];
        let file = client.home().join("body");
        fs::write(&file, body.to_string())?;
        let data = format!("@{}", file.display());
        let mut arguments = vec!["--data-binary", &data, "--write-out", "\n%{http_code}"];
        arguments.extend(["--header", "content-type: application/json"]);
        arguments.extend(headers.iter().flat_map(|header| ["--header", header]));
        arguments.push(url);
        let outcome = client.curl(&arguments)?.ok()?;
        let (body, status) = outcome.stdout.rsplit_once('\n').context("no status")?;
        Ok((status.to_owned(), serde_json::from_str(body).with_context(|| format!("no JSON: {body}"))?))
    }

    fn last(&self, event_type: &str) -> Result<Value> {
        let event = wait::until(event_type, || {
            self.stage.settled_events().ok()?.into_iter().rev().find(|e| e["event_type"] == event_type)
        });
        event.with_context(|| format!("{:?}", self.stage.audit_events()))
    }
}

fn policies(stage: &Stage, spec: &str) -> Result<()> {
    let folder = stage.path("config/policies");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("classes.yaml"), CLASSES)?;
    let header = "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {name: house}\nspec:\n";
    fs::write(folder.join("house.yaml"), format!("{header}{spec}"))?;
    Ok(())
}

const HOUSE: &str = "  providers:
    - {name: corp-llm, title: Our model server, hosts: [llm.corp.example], agreement: self_hosted, residency: eu,
       auth: {headers: [authorization]}, endpoints: [{path: /v1/chat/completions, family: openai_chat}]}
  rerouteTo: {provider: corp-llm, model: llama-3.3, keyFile: KEYFILE}
  classification: {labels: {COMPANY CONFIDENTIAL: confidential, TOP SECRET: restricted}}
";

#[test]
fn by_default_what_is_left_after_redaction_decides() -> Result<()> {
    let house = House::new(HOUSE)?;
    let (status, _) = house.say(&format!("the password is {SECRET}"))?;
    ensure!(status == "200", "{status}");
    let sent = house.public.take();
    ensure!(sent.len() == 1 && house.house.requests().is_empty());
    ensure!(!String::from_utf8_lossy(&sent[0].everything()).contains(SECRET));
    let row = house.last("prompt_sent")?;
    ensure!(row["request"]["classification"] == "public", "{row}");
    let actions = row["actions"].as_array().into_iter().flatten();
    let both = actions.clone().find(|action| action["action_type"] == "classified").context("one level")?;
    // Where a known secret stands nothing may go by policy; here it was taken out first.
    ensure!(both["target"] == "restricted" && both["outcome"] == "public", "{row}");

    let (status, answer) = house.say("COMPANY CONFIDENTIAL: the plan")?;
    ensure!(status == "400", "{status}");
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    for part in ["confidential", "OpenAI", "COMPANY CONFIDENTIAL", "/messages/0/content", "self-hosted"] {
        ensure!(message.contains(part), "{part} is not said: {message}");
    }
    ensure!(house.public.requests().is_empty() && house.house.requests().is_empty());
    let row = house.last("policy_violation")?;
    ensure!(row["violation_type"] == "provider_not_allowed", "{row}");
    ensure!(row["request"]["classification"] == "confidential", "{row}");
    house.stage.verified()
}

#[test]
fn block_judges_what_was_written() -> Result<()> {
    let house = House::new(&format!("  onViolation: block\n{HOUSE}"))?;
    ensure!(house.say("hello")?.0 == "200");
    house.public.take();
    let (status, answer) = house.say(&format!("the password is {SECRET}"))?;
    ensure!(status == "400", "{status}");
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("DB_PASSWORD") && message.contains("/messages/0/content"), "{message}");
    ensure!(!message.contains(SECRET));
    ensure!(house.public.requests().is_empty());
    Ok(())
}

#[test]
fn reroute_leads_to_the_house_with_the_houses_key() -> Result<()> {
    let house = House::new(&format!("  onViolation: reroute\n{HOUSE}"))?;
    ensure!(house.say("hello")?.1["choices"][0]["message"]["content"] == "api.openai.com");
    house.public.take();

    let (status, answer) = house.say(LABELLED)?;
    ensure!(status == "200", "{status} {answer}");
    ensure!(answer["choices"][0]["message"]["content"] == "llm.corp.example", "{answer}");
    ensure!(house.public.requests().is_empty(), "the first provider received something");
    let received = house.house.take().pop().context("the house received nothing")?;
    ensure!(received.server_name == "llm.corp.example" && received.authority == "llm.corp.example");
    ensure!(received.target == "/v1/chat/completions", "{}", received.target);
    ensure!(received.header("authorization") == Some(format!("Bearer {HOUSE_KEY}")));
    ensure!(received.header("openai-organization").is_none());
    let everything = String::from_utf8_lossy(&received.everything()).into_owned();
    ensure!(!everything.contains(OWN_KEY), "the first provider's key went along");
    ensure!(!everything.contains("10.20.30.41"), "a finding went along");
    ensure!(received.json()?["model"] == "llama-3.3");

    let row = house.last("prompt_sent")?;
    ensure!(row["ai_provider"]["name"] == "corp-llm", "{row}");
    ensure!(row["ai_provider"]["endpoint"] == "llm.corp.example/v1/chat/completions", "{row}");
    ensure!(row["ai_provider"]["model"] == "llama-3.3", "{row}");
    ensure!(row["compliance"]["data_residency"] == "eu", "{row}");
    let rerouted =
        row["actions"].as_array().into_iter().flatten().find(|a| a["action_type"] == "request_rerouted");
    ensure!(rerouted.is_some_and(|a| a["target"] == "api.openai.com"), "{row}");

    for words in ["TOP SECRET plans".to_owned(), format!("the password is {SECRET}")] {
        let (status, _) = house.say(&words)?;
        ensure!(status == "400", "what no provider may see is not led elsewhere: {status}");
    }
    ensure!(house.house.requests().is_empty() && house.public.requests().is_empty());

    fs::remove_file(house.stage.path("house.key"))?;
    let (status, answer) = house.say(LABELLED)?;
    ensure!(status == "400", "{status}");
    ensure!(answer["error"]["message"].as_str().is_some_and(|m| m.contains("house.key")), "{answer}");
    ensure!(house.house.requests().is_empty() && house.public.requests().is_empty());
    house.stage.verified()
}

#[test]
fn an_unapproved_host_is_refused_inside_tls_and_a_tenant_is_named() -> Result<()> {
    let house =
        House::new("  shadowAi: block\n  tenants: [{provider: openai, allow: [org-house, org-lab]}]\n")?;
    let (status, answer) = house.say_to("https://poe.com/v1/chat/completions", "hello")?;
    ensure!(status == "400", "{status}");
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("Poe") && message.contains("approvedProviders"), "{message}");
    ensure!(house.public.requests().is_empty());
    ensure!(house.last("policy_violation")?["violation_type"] == "shadow_ai");

    house.public.answer(|_| Answer::json(403, &json!({"error": {"message": "not your organization"}})));
    ensure!(house.say("hello")?.0 == "403", "the provider's own answer is handed on");
    let received = house.public.take().pop().context("nothing arrived")?;
    ensure!(received.header("openai-allowed-organization-ids").as_deref() == Some("org-house,org-lab"));
    let row = wait::until("the other tenant in the trail", || {
        let events = house.stage.audit_events().ok()?;
        events.into_iter().find(|event| event["violation_type"] == "other_tenant")
    })?;
    ensure!(row["actions"][0]["requires_review"] == true, "{row}");
    Ok(())
}
