//! Each verdict in plain and in streaming form, in both families, as real SDKs meet it: taken out, refused, led to a
//! second provider in the house.

use std::fs;

use anyhow::{Context, Result, ensure};
use sallyport_tests::aimock::{ANSWER, Aimock};
use sallyport_tests::front::Onward;
use sallyport_tests::{Front, Stage};
use serde_json::{Value, json};

use crate::common::{Family, Providers};

const SECRET: &str = "kX9vQ2mT7pLw4Zr8hB3n";
const CLASSES: &str = include_str!("../../assets/policies/examples/data-classification-policy.yaml");
const HOUSE_KEY: &str = "the-house-key-111";
/// Told apart from what the public provider says, and long enough to come in pieces.
const HOUSE_ANSWER: &str =
    "This comes from the model server in the house, and nobody else has read the question.";

/// The public providers, the model server in the house with an emulator of its own, and an engine between them.
struct House {
    stage: Stage,
    public: Providers,
    house: Front,
    _emulator: Aimock,
}

impl House {
    fn new(on_violation: &str) -> Result<House> {
        let public = Providers::emulated()?;
        let emulator = Aimock::with_fixtures(
            &json!({"fixtures": [{"match": {}, "response": {"content": HOUSE_ANSWER}}]}).to_string(),
        )?;
        let house = Front::start(&public.root, &["llm.corp.example"])?;
        house.forward(Onward::Emulator(emulator.address));
        let mut stage = public
            .stage()?
            .behind(&house, &public.root)
            .with_secret_file(&format!("DB_PASSWORD={SECRET}\n"))?;
        let key = stage.path("house.key");
        fs::write(&key, HOUSE_KEY)?;
        let policies = stage.path("config/policies");
        fs::create_dir_all(&policies)?;
        fs::write(policies.join("classes.yaml"), CLASSES)?;
        let house_rules = json!({
            "apiVersion": "sallyport/v1", "kind": "SallyportPolicy", "metadata": {"name": "house"},
            "spec": {
                "onViolation": on_violation,
                "classification": {"labels": {"COMPANY CONFIDENTIAL": "confidential"}},
                "providers": [{"name": "corp-llm", "title": "Our model server", "hosts": ["llm.corp.example"],
                    "agreement": "self_hosted", "auth": {"headers": ["authorization"]}, "endpoints": [
                        {"path": "/v1/chat/completions", "family": "openai_chat"},
                        {"path": "/v1/messages", "family": "anthropic_messages"}]}],
                "rerouteTo": {"provider": "corp-llm", "keyFile": key},
            },
        });
        fs::write(policies.join("house.yaml"), house_rules.to_string())?;
        stage.start()?;
        stage.wait_for_secrets(1)?;
        Ok(House { stage, public, house, _emulator: emulator })
    }

    /// One exchange of the vendor's SDK with these words of the user.
    fn say(&self, family: Family, mode: &str, words: &str) -> Result<Value> {
        let mut arguments = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": words}]});
        let vendor = match family {
            Family::OpenAi => "openai",
            Family::Anthropic => {
                arguments["model"] = "claude-sonnet-4-5".into();
                arguments["max_tokens"] = 200.into();
                "anthropic"
            }
        };
        let outcome = self.stage.client()?.python("sdk.py", &[vendor, mode], &arguments.to_string())?.ok()?;
        serde_json::from_str(&outcome.stdout).with_context(|| format!("{outcome:?}"))
    }
}

/// Every way of asking.
fn ways() -> impl Iterator<Item = (Family, &'static str)> {
    Family::BOTH.into_iter().flat_map(|family| [(family, "plain"), (family, "stream")])
}

#[test]
fn redact_in_both_forms() -> Result<()> {
    let house = House::new("redact")?;
    for (family, mode) in ways() {
        let answer = house.say(family, mode, &format!("the password is {SECRET}, is it good?"))?;
        ensure!(answer["text"] == ANSWER, "{family:?} {mode}: {answer}");
        ensure!(mode == "plain" || answer["pieces"].as_u64() > Some(3), "it came at once: {answer}");
        let [seen] = &house.public.front.take()[..] else { anyhow::bail!("not one request") };
        let sent = String::from_utf8_lossy(&seen.body).into_owned();
        ensure!(sent.contains("the password is [SECRET:DB_PASSWORD") && !sent.contains(SECRET), "{sent}");
        ensure!(seen.json()?["stream"].as_bool().unwrap_or_default() == (mode == "stream"), "{sent}");
    }
    ensure!(house.house.requests().is_empty());
    house.stage.verified()
}

#[test]
fn block_in_both_forms() -> Result<()> {
    let house = House::new("block")?;
    for (family, mode) in ways() {
        for (words, why) in [
            (format!("the password is {SECRET}"), "DB_PASSWORD"),
            ("COMPANY CONFIDENTIAL: the plan".to_owned(), "COMPANY CONFIDENTIAL"),
        ] {
            let answer = house.say(family, mode, &words)?;
            ensure!(answer["status"] == 400, "{family:?} {mode}: {answer}");
            let said = answer["error"].as_str().unwrap_or_default();
            ensure!(said.contains(why) && said.contains("/messages/0/content"), "{said}");
            ensure!(!said.contains(SECRET), "{said}");
            // The SDK sees a refusal, not a failure: it does not try again.
            ensure!(answer["sent"].as_array().map(Vec::len) == Some(1), "{answer}");
        }
        let answer = house.say(family, mode, "hello")?;
        ensure!(answer["text"] == ANSWER, "{family:?} {mode}: {answer}");
        ensure!(house.public.front.take().len() == 1, "a refused request went on");
    }
    ensure!(house.house.requests().is_empty());
    house.stage.verified()
}

#[test]
fn reroute_in_both_forms() -> Result<()> {
    let house = House::new("reroute")?;
    for (family, mode) in ways() {
        let answer = house.say(family, mode, "COMPANY CONFIDENTIAL: the plan")?;
        ensure!(answer["text"] == HOUSE_ANSWER, "{family:?} {mode}: {answer}");
        ensure!(mode == "plain" || answer["pieces"].as_u64() > Some(3), "it came at once: {answer}");
        ensure!(
            house.public.front.take().is_empty(),
            "{family:?} {mode}: the first provider received something"
        );
        let [seen] = &house.house.take()[..] else { anyhow::bail!("{family:?} {mode}: not one request") };
        ensure!(seen.target == family.path(), "{}", seen.target);
        ensure!(seen.header("authorization") == Some(format!("Bearer {HOUSE_KEY}")), "{:?}", seen.headers);
        ensure!(seen.header("x-api-key").is_none(), "the first provider's key went along");
        let answer = house.say(family, mode, "hello")?;
        ensure!(answer["text"] == ANSWER, "{family:?} {mode}: {answer}");
        ensure!(house.public.front.take().len() == 1 && house.house.requests().is_empty());
    }
    house.stage.verified()
}
