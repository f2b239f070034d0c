//! A model edits the file in which a secret stands without ever seeing it: what it writes as a placeholder arrives as
//! the value, in that file alone.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sallyport_tests::aimock::{ANSWER, Aimock};
use serde_json::{Value, json};

use crate::common::Providers;

const VALUE: &str = "tr1cky/\\value+\"with\"-quotes-7781";
const SHOWN: &str = "[SECRET:HARBOUR_TOKEN]";

#[test]
fn claude_code_edits_a_file_whose_secret_it_never_sees() -> Result<()> {
    let call = |turn: usize, name: &str, arguments: Value| {
        json!({"match": {"userMessage": "raise the limit", "turnIndex": turn},
            "response": {"content": "On it.", "toolCalls": [{"name": name, "arguments": arguments}]}})
    };
    let (old, new) = (format!("TOKEN='{SHOWN}'\nLIMIT=1"), format!("TOKEN='{SHOWN}'\nLIMIT=2"));
    let fixtures = json!({"fixtures": [
        call(0, "Read", json!({"file_path": "PROJECT/.env"})),
        call(1, "Edit", json!({"file_path": "PROJECT/.env", "old_string": old, "new_string": new})),
        call(2, "Write", json!({"file_path": "PROJECT/copy.txt", "content": new})),
        {"match": {}, "response": {"content": ANSWER}},
    ]});
    let project = tempfile::tempdir()?;
    let folder = project.path().canonicalize()?;
    let fixtures = fixtures.to_string().replace("PROJECT", &folder.display().to_string());
    let providers = Providers::behind(Aimock::with_fixtures(&fixtures)?)?;
    let mut stage = providers
        .stage()?
        .with_secret_file(&format!("HARBOUR_TOKEN='{VALUE}'\n"))?
        .set("/agents/workspace", json!(folder));
    let policies = stage.path("config/policies");
    fs::create_dir_all(&policies)?;
    fs::write(
        policies.join("restore.yaml"),
        "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {name: r}\nspec: {restore: [HARBOUR_TOKEN]}\n",
    )?;
    ensure!(Command::new("git").args(["init", "-q"]).arg(&folder).status()?.success(), "git init");
    fs::write(folder.join(".gitignore"), ".env\n")?;
    fs::write(folder.join(".env"), format!("TOKEN='{VALUE}'\nLIMIT=1\n"))?;
    stage.start()?;
    stage.wait_for_secrets(1)?;

    let client = stage.client()?;
    let arguments = ["--allowedTools", "Read,Edit,Write", "--add-dir", &folder.display().to_string()];
    let outcome = client.claude_with("Please raise the limit.", &arguments)?.ok()?;
    let answer: Value = serde_json::from_str(&outcome.stdout).with_context(|| outcome.stdout.clone())?;
    let said = answer["result"].as_str().unwrap_or_default();
    // A copy would be a new place for the value.
    for part in ["Sallyport denied the call of `Write`", SHOWN, "the file is not there"] {
        ensure!(said.contains(part), "{answer}");
    }
    ensure!(fs::read_to_string(folder.join(".env"))? == format!("TOKEN='{VALUE}'\nLIMIT=2\n"));
    ensure!(!folder.join("copy.txt").exists(), "a value was written beside its file");

    let arrived = providers.front.take();
    let turns: Vec<_> = arrived.iter().filter(|request| request.path() == "/v1/messages").collect();
    ensure!(turns.len() >= 3, "{} turns", turns.len());
    let spelt = serde_json::to_string(VALUE)?;
    for turn in &turns {
        let body = String::from_utf8_lossy(&turn.body);
        ensure!(!body.contains(VALUE) && !body.contains(spelt.trim_matches('"')), "the value left");
    }
    let last = String::from_utf8_lossy(&turns[turns.len() - 1].body).into_owned();
    ensure!(last.matches(SHOWN).count() >= 3, "history does not say the same in every turn: {last}");

    let events = stage.settled_events()?;
    let outcomes: Vec<&str> = events
        .iter()
        .flat_map(|event| event["actions"].as_array().into_iter().flatten())
        .filter_map(|action| action["outcome"].as_str())
        .collect();
    ensure!(outcomes.contains(&"restored") && outcomes.contains(&"denied"), "{outcomes:?}");
    let completions = events.iter().filter(|event| event["event_type"] == "completion_received");
    let unhashed = completions.filter(|event| event["response"]["completion_hash"].is_null()).count();
    ensure!(unhashed == 1, "one answer carried a value, {unhashed} have no hash");
    ensure!(!serde_json::to_string(&events)?.contains("tr1cky"), "the value is in the trail");
    stage.verified()?;
    stage.stop()
}
