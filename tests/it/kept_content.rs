//! What was said in public exchanges is kept where policy says so: redacted, sealed in the file, shown to its owner.

use anyhow::{Context, Result, ensure};
use sallyport_tests::stage::Stage;
use sallyport_tests::{Answer, wait};
use serde_json::{Value, json};

use crate::common::{Family, Providers, prompt};

const QUESTION: &str = "Where does the harbour pilot come aboard?";
const ANSWER: &str = "By the northern lightship, at dawn.";
const SECRET: &str = "kX9mQ2vL7pR4wT8zB3nD";

/// Rows of one kind, oldest first: their number and class.
fn rows(stage: &Stage, kind: &str) -> Result<Vec<(u64, Option<String>)>> {
    let mut rows = stage.settled_events()?;
    rows.retain(|row| row["event_type"] == kind);
    let row = |row: &Value| {
        let class = row.pointer("/request/classification").and_then(Value::as_str).map(str::to_owned);
        Some((row.get("seq")?.as_u64()?, class))
    };
    rows.iter().map(|one| row(one).context("a row without a number")).collect()
}

fn shown(stage: &Stage, seq: u64) -> Result<String> {
    Ok(stage.cli(&["audit", "show", &seq.to_string()])?.ok()?.stdout)
}

fn ask(stage: &Stage, text: &str) -> Result<()> {
    let client = stage.client()?;
    client.curl_post(&Family::OpenAi.url(), &[], prompt(Family::OpenAi, text, false).as_bytes())?.ok()?;
    Ok(())
}

/// No file of the state folder holds one of these.
fn nothing_in_clear(stage: &Stage, words: &[&str]) -> Result<()> {
    for entry in std::fs::read_dir(stage.path("state"))? {
        let path = entry?.path();
        if path.is_file() {
            let bytes = std::fs::read(&path)?;
            for word in words {
                let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
                ensure!(!found, "{word:?} stands in {}", path.display());
            }
        }
    }
    Ok(())
}

#[test]
fn public_exchanges_are_kept_sealed_and_shown_to_their_owner() -> Result<()> {
    let providers = Providers::scripted()?;
    providers.front.answer(|_| {
        Answer::json(
            200,
            &json!({"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}]}),
        )
    });
    let mut stage = providers.stage()?.with_secret_file(&format!("HARBOUR_KEY={SECRET}\n"))?;
    stage.start()?;
    stage.wait_for_secrets(1)?;
    ask(&stage, &format!("{QUESTION} The key is {SECRET}."))?;
    let prompts = rows(&stage, "prompt_sent")?;
    let (first, class) = prompts.last().context("no prompt")?;
    ensure!(class.as_deref() == Some("public"), "{prompts:?}");
    let text = wait::until("the kept question", || {
        shown(&stage, *first).ok().filter(|text| text.contains("harbour pilot"))
    })?;
    ensure!(text.contains("[SECRET:HARBOUR_KEY]") && !text.contains(SECRET), "{text}");
    let (answered, _) = *rows(&stage, "completion_received")?.last().context("no answer")?;
    wait::until("the kept answer", || {
        shown(&stage, answered).ok().filter(|text| text.contains("lightship"))
    })?;
    nothing_in_clear(&stage, &["harbour pilot", "lightship", SECRET])?;

    // The engine's key opens it, so without an engine the event alone is shown.
    stage.stop()?;
    nothing_in_clear(&stage, &["harbour pilot", "lightship", SECRET])?;
    ensure!(!shown(&stage, *first)?.contains("harbour pilot"));
    stage.start()?;
    ensure!(shown(&stage, *first)?.contains("harbour pilot"));
    stage.verified()
}

#[test]
fn policy_may_keep_nothing() -> Result<()> {
    let providers = Providers::scripted()?;
    providers.front.answer(|_| Answer::json(200, &json!({"choices": []})));
    let mut stage = providers.stage()?.set("/audit/content", json!("none"));
    stage.start()?;
    ask(&stage, QUESTION)?;
    stage.stop()?;
    let database = rusqlite::Connection::open(stage.path("state/audit.db"))?;
    let kept: u64 = database.query_row("SELECT count(*) FROM content", [], |row| row.get(0))?;
    ensure!(kept == 0, "{kept} bodies are kept");
    stage.verified()
}

#[test]
fn a_class_that_is_not_public_is_not_kept() -> Result<()> {
    let providers = Providers::scripted()?;
    providers.front.answer(|_| Answer::json(200, &json!({"choices": []})));
    let mut stage = providers.stage()?;
    let policies = stage.path("config/policies");
    std::fs::create_dir_all(&policies)?;
    let policy = "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {name: harbour}\nspec: {defaultLevel: internal}\n";
    std::fs::write(policies.join("harbour.yaml"), policy)?;
    stage.start()?;
    ask(&stage, QUESTION)?;
    let prompts = rows(&stage, "prompt_sent")?;
    let (_, class) = prompts.last().context("no prompt")?;
    ensure!(class.as_deref() == Some("internal"), "{prompts:?}");
    stage.stop()?;
    let database = rusqlite::Connection::open(stage.path("state/audit.db"))?;
    let kept: u64 = database.query_row("SELECT count(*) FROM content", [], |row| row.get(0))?;
    ensure!(kept == 0, "{kept} bodies are kept");
    stage.verified()
}
