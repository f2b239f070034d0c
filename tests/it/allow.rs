//! The allowlist on the real binary: what a person allows goes on, in force at once and until it is taken back; known
//! secrets stay, somebody else's entries are none, and policy has the last word.

use std::fs;

use anyhow::{Context, Result, ensure};
use sallyport_tests::stage::{NEGATIVE, OK, USAGE};
use sallyport_tests::{Answer, Front, Stage, TestRoot, wait};
use serde_json::{Value, json};

use crate::common::Family;

const KNOWN: &str = "kX9vQ2mT7pLw4Zr8hB3n";
const FOUND: &str = "AKIAQ3EGRVX7T5OMKL2P";

struct Desk {
    front: Front,
    stage: Stage,
    _root: TestRoot,
}

impl Desk {
    fn new() -> Result<Desk> {
        let root = TestRoot::new()?;
        let front = Front::start(&root, &["api.openai.com", "api.anthropic.com"])?;
        front.answer(|_| {
            Answer::json(200, &json!({"choices": [{"message": {"role": "assistant", "content": "ok"}}]}))
        });
        let mut stage =
            Stage::new()?.behind(&front, &root).with_secret_file(&format!("DB_PASSWORD={KNOWN}\n"))?;
        stage.start()?;
        stage.wait_for_secrets(1)?;
        Ok(Desk { front, stage, _root: root })
    }

    /// What arrives of a request in which a tool read a fixture with the same words as the user's.
    fn sent(&self) -> Result<(String, String)> {
        self.sent_with(&format!("mine is {FOUND} and {KNOWN}"))
    }

    fn sent_words(&self, words: &str) -> Result<String> {
        Ok(self.sent_with(words)?.0)
    }

    fn sent_with(&self, words: &str) -> Result<(String, String)> {
        let body = json!({"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [
            {"role": "user", "content": words},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "t1", "name": "Read", "input": {"file_path": "/w/app/fixtures/keys.txt"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": words}]}]});
        let client = self.stage.client()?;
        let file = client.home().join("body");
        fs::write(&file, body.to_string())?;
        let data = format!("@{}", file.display());
        let mut arguments = vec!["--data-binary", &data, "--header", "content-type: application/json"];
        arguments.extend(Family::Anthropic.headers().iter().flat_map(|header| ["--header", header]));
        let url = Family::Anthropic.url();
        arguments.push(&url);
        self.front.take();
        client.curl(&arguments)?.ok()?;
        let arrived = self.front.wait_for(1)?[0].json()?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
        Ok((
            text(&arrived["messages"][0]["content"])?,
            text(&arrived["messages"][2]["content"][0]["content"])?,
        ))
    }

    fn until(&self, what: &str, is: impl Fn(&str, &str) -> bool) -> Result<()> {
        let seen = wait::until(what, || self.sent().ok().filter(|(mine, read)| is(mine, read)));
        seen.with_context(|| format!("{:?}", self.sent())).map(drop)
    }

    fn add(&self, what: &[&str]) -> Result<Value> {
        let arguments = [&["allow", "add", "--reason", "made up", "--json"], what].concat();
        self.stage.json(&arguments)
    }
}

/// As a rule's finding and the known secret stand in text that arrived.
const BOTH_OUT: &str = "mine is [REDACTED_AWS_KEY] and [SECRET:DB_PASSWORD]";
const ONE_OUT: &str = "mine is AKIAQ3EGRVX7T5OMKL2P and [SECRET:DB_PASSWORD]";

#[test]
fn a_value_allowed_from_the_trail_goes_on_until_it_is_taken_back() -> Result<()> {
    let desk = Desk::new()?;
    ensure!(desk.sent()? == (BOTH_OUT.into(), BOTH_OUT.into()), "{:?}", desk.sent());
    let row = wait::until("a row", || {
        desk.stage.audit_events().ok()?.into_iter().find(|event| event["event_type"] == "prompt_sent")
    })?;
    let findings: Vec<_> = row["actions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|action| action["action_type"].as_str().is_some_and(|word| word.starts_with("finding:")))
        .collect();
    ensure!(findings.len() == 1 && findings[0]["action_type"] == "finding:aws_key", "{row}");
    let print = findings[0]["target"].as_str().context("no fingerprint")?;

    let file = desk.stage.path("user/keys.txt");
    fs::write(&file, format!("key {FOUND}\n"))?;
    let scan =
        |desk: &Desk| Ok::<_, anyhow::Error>(desk.stage.cli(&["scan", &file.display().to_string()])?.code);
    ensure!(scan(&desk)? == NEGATIVE);
    let entry = desk.add(&["--fingerprint", print])?;
    ensure!(entry["state"] == "in_force" && entry["expires_at"].is_string(), "{entry}");
    ensure!(desk.sent()? == (ONE_OUT.into(), ONE_OUT.into()), "{:?}", desk.sent());
    ensure!(scan(&desk)? == OK);
    let said = desk.stage.cli(&["scan", &file.display().to_string()])?.ok()?.stdout;
    ensure!(said.contains("Left out, since `sallyport allow` allows it: 1 finding."), "{said}");
    let id = entry["id"].to_string();
    desk.stage.cli(&["allow", "remove", &id])?.ok()?;
    ensure!(desk.sent()? == (BOTH_OUT.into(), BOTH_OUT.into()), "{:?}", desk.sent());
    ensure!(scan(&desk)? == NEGATIVE);
    ensure!(desk.stage.cli(&["allow", "remove", &id])?.code == NEGATIVE);

    let events = desk.stage.settled_events()?;
    let done = |word: &str| {
        let actions = events.iter().flat_map(|event| event["actions"].as_array().into_iter().flatten());
        actions.filter(|action| action["action_type"] == word).cloned().collect::<Vec<_>>()
    };
    let (added, removed) = (done("allowlist_added"), done("allowlist_removed"));
    ensure!(added.len() == 1 && added[0]["target"] == format!("fingerprint {print}"), "{added:?}");
    ensure!(
        added[0]["outcome"].as_str().is_some_and(|outcome| outcome.contains("reason: made up")),
        "{added:?}"
    );
    ensure!(removed.len() == 1, "{removed:?}");
    ensure!(!serde_json::to_string(&events)?.contains(FOUND));
    desk.stage.verified()
}

#[test]
fn a_value_from_stdin_and_a_rule_in_files_but_no_known_secret() -> Result<()> {
    let desk = Desk::new()?;
    let stdin = ["allow", "add", "--stdin", "--reason", "mine"];
    let refused = desk.stage.cli_with_input(&stdin, format!("{KNOWN}\n").as_bytes())?;
    ensure!(refused.code == NEGATIVE && refused.stderr.contains("known secret"), "{refused:?}");
    for wrong in [
        &["--fingerprint", "abc"][..],
        &["--rule", "no_such_rule"],
        &["--path", "**"],
        &["--rule", "aws_key", "--fingerprint", "8f0c7a51d2e94b6690ab3cd41e57f802"],
        &[],
    ] {
        let outcome = desk.stage.cli(&[&["allow", "add", "--reason", "x"], wrong].concat())?;
        ensure!([NEGATIVE, USAGE].contains(&outcome.code), "{wrong:?}: {outcome:?}");
    }
    // Nobody was asked who they are for what can't be done; for the known value somebody was.
    let asked = desk.stage.settled_events()?;
    let asked = asked.iter().filter(|row| row["actions"][0]["action_type"] == "authentication_asked").count();
    ensure!(asked == 1, "{asked} questions");
    let entry = desk.add(&["--rule", "aws_key", "--path", "fixtures/**"])?;
    ensure!(desk.sent()? == (BOTH_OUT.into(), ONE_OUT.into()), "{:?}", desk.sent());
    let folder = desk.stage.path("user/fixtures");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("a.txt"), format!("key {FOUND}\n"))?;
    ensure!(desk.stage.cli(&["scan", &folder.display().to_string()])?.code == OK);
    desk.stage.cli(&["allow", "remove", &entry["id"].to_string()])?.ok()?;

    desk.stage.cli_with_input(&stdin, format!("{FOUND}\n").as_bytes())?.ok()?;
    ensure!(desk.sent()? == (ONE_OUT.into(), ONE_OUT.into()), "{:?}", desk.sent());
    let file = fs::read_to_string(desk.stage.path("config/allowlist.json"))?;
    ensure!(!file.contains(FOUND), "{file}");
    let list = desk.stage.cli(&["allow", "list"])?.ok()?;
    ensure!(list.stdout.contains("in force") && list.stdout.contains("mine"), "{list:?}");

    // Whoever can write the file can take away, and add nothing.
    let mut written: Value = serde_json::from_str(&file)?;
    written["entries"][0]["rule"] = json!("aws_key");
    written["entries"][0].as_object_mut().context("no entry")?.remove("fingerprint");
    fs::write(desk.stage.path("config/allowlist.json"), written.to_string())?;
    desk.until("the forged entry to count for nothing", |mine, _| mine == BOTH_OUT)?;
    desk.stage.health_item("allowlist-unsealed")?;
    fs::write(desk.stage.path("config/allowlist.json"), &file)?;
    desk.until("the file's change to be taken", |mine, _| mine == ONE_OUT)?;

    let policy = "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {name: h}\nspec: {detection: {allowlist: forbid}}\n";
    fs::create_dir_all(desk.stage.path("config/policies"))?;
    fs::write(desk.stage.path("config/policies/h.yaml"), policy)?;
    desk.until("policy to forbid it", |mine, _| mine == BOTH_OUT)?;
    let refused = desk.stage.cli(&["allow", "add", "--rule", "jwt", "--reason", "x"])?;
    ensure!(refused.code == NEGATIVE && refused.stderr.contains("forbids"), "{refused:?}");
    let list = desk.stage.json(&["allow", "list", "--json"])?;
    ensure!(list[0]["state"] == "forbidden", "{list}");
    Ok(())
}

/// A rule of a person's own, as the documentation writes it.
const OWN: &str = "tokens: |\n  acme_ticket | Acme ticket | ACME-[0-9A-F]{12}\n  + open {{ACME-09AF3C71D2E8}} now\n  + id={{ACME-5B7D90E1C3A2}}\n  - ACME-12\n  - the ACME-format\n";

#[test]
fn own_rules_are_read_at_once_and_a_broken_file_changes_nothing() -> Result<()> {
    let desk = Desk::new()?;
    let folder = desk.stage.path("config/rules");
    fs::create_dir_all(&folder)?;
    let file = folder.join("acme.yaml");
    fs::write(&file, OWN)?;
    let checked = desk.stage.cli(&["rules", "check", &file.display().to_string()])?;
    ensure!(checked.code == OK, "{checked:?}");
    let listed = desk.stage.json(&["rules", "list", "--json"])?;
    ensure!(listed.as_array().is_some_and(|rules| rules.iter().any(|rule| rule["id"] == "acme_ticket")));
    let ticket = "ticket ACME-7C41F0B92D5E";
    let scan = || desk.stage.cli_with_input(&["scan"], format!("{ticket}\n").as_bytes());
    ensure!(scan()?.code == NEGATIVE);
    let is_out = || desk.sent_words(ticket).is_ok_and(|words| words == "ticket [REDACTED_ACME_TICKET]");
    wait::until("the rule to be in force", || is_out().then_some(()))?;

    fs::write(&file, OWN.replace("{12}", "{12"))?;
    let item = desk.stage.health_item("rules-malformed")?;
    let sentence = item["sentence"].as_str().context("no sentence")?;
    ensure!(sentence.contains("acme.yaml, line 2, column 3: "), "{sentence}");
    ensure!(is_out(), "the last good rule stays");
    let broken = scan()?;
    ensure!(broken.code == NEGATIVE && broken.stderr.contains("acme.yaml:2:3: "), "{broken:?}");

    let policy = "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {name: h}\nspec: {detection: {ownRules: forbid}}\n";
    fs::create_dir_all(desk.stage.path("config/policies"))?;
    fs::write(desk.stage.path("config/policies/h.yaml"), policy)?;
    wait::until("policy to forbid it", || desk.sent_words(ticket).ok().filter(|words| words == ticket))?;
    Ok(())
}
