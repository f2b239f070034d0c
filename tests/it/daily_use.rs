//! What a person does with it on an ordinary day: starts a tool through it, keeps a secret, looks at what happened.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sallyport_tests::aimock::ANSWER;
use sallyport_tests::keychain::Keychain;
use sallyport_tests::process::run;
use sallyport_tests::stage::{NEGATIVE, OK, UNREACHABLE, USAGE};
use sallyport_tests::{Stage, memory, tools, wait};
use serde_json::json;

use crate::common::{Family, Providers, prompt};

#[test]
fn the_self_test_passes_on_embedded_defaults() -> Result<()> {
    let mut stage = Stage::new()?;
    stage.start_raw("listen: 127.0.0.1:0\n", Vec::new())?;
    let report = wait::until("the self-test to pass", || {
        let report = stage.json(&["self-test", "--json"]).ok()?;
        (report["passed"] == true).then_some(report)
    })
    .with_context(|| format!("{:?}\n{}", stage.cli(&["self-test"]), stage.output()))?;
    ensure!(report["checks"].as_array().is_some_and(|c| c.len() >= 2), "{report}");
    stage.stop()
}

#[test]
fn exec_and_env_lead_a_tool_through() -> Result<()> {
    let providers = Providers::emulated()?;
    let secret = "Rn6-vB1xSkD8mQe3.wZ5tLpC9";
    let mut stage = providers.stage()?.with_secret_file(&format!("EXEC_TOKEN={secret}\n"))?;
    stage.start()?;
    stage.wait_for_secrets(1)?;
    let body = stage.path("user/body.json");
    fs::write(&body, prompt(Family::OpenAi, &format!("the token is {secret}"), false))?;
    let data = format!("@{}", body.display());
    let url = Family::OpenAi.url();
    let curl = [
        "curl",
        "--silent",
        "--show-error",
        "-H",
        "content-type: application/json",
        "--data-binary",
        &data,
        &url,
    ];
    let answer = stage.cli(&[&["exec", "--"][..], &curl].concat())?.ok()?;
    ensure!(answer.stdout.contains(ANSWER), "{answer:?}");

    let mut shell = Command::new("/bin/bash");
    let words = format!(
        "eval \"$('{}' env --shell bash)\" && curl -sS -H 'content-type: application/json' --data-binary '{data}' {url}",
        tools::sallyport()?.display()
    );
    shell
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", stage.path("user"))
        .env("SALLYPORT_HOME", stage.home());
    shell.args(["-c", &words]);
    let answer = run(shell, wait::PATIENCE)?.ok()?;
    ensure!(answer.stdout.contains(ANSWER), "{answer:?}");

    let seen = providers.front.take();
    ensure!(seen.len() == 2);
    for request in seen {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        ensure!(!body.contains(secret) && body.contains("[SECRET:EXEC_TOKEN]"), "{body}");
    }
    // The tool's own exit code comes back.
    ensure!(stage.cli(&["exec", "--", "sh", "-c", "exit 7"])?.code == 7);
    Ok(())
}

/// The value stands in no source: the tool itself brings it, in its environment.
#[test]
fn what_a_tools_environment_holds_is_known_before_its_first_request() -> Result<()> {
    let providers = Providers::emulated()?;
    let mut stage = providers.stage()?;
    stage.start()?;
    let secret = "Wq7-jH2mXtR9bLs4.kV6yNcP1";
    let curl = |text: &str, environment: &str| -> Result<String> {
        let body = stage.path("user/body.json");
        fs::write(&body, prompt(Family::OpenAi, text, false))?;
        let data = format!("@{}", body.display());
        let url = Family::OpenAi.url();
        let words = ["exec", "--", "env", environment, "curl", "--silent", "--show-error", "-H"];
        let rest = ["content-type: application/json", "--data-binary", &data, &url];
        stage.cli(&[&words[..], &rest].concat())?.ok()?;
        let seen = providers.front.take();
        Ok(String::from_utf8_lossy(&seen[0].body).into_owned())
    };
    let token = format!("DEPLOY_TOKEN={secret}");
    // Not by its look, and not by a name that says nothing.
    let plain = curl(&format!("see {secret}"), &format!("DEPLOY_NOTE={secret}"))?;
    ensure!(plain.contains(secret), "{plain}");

    // The first request of the tool is clean already; and who only holds the value leaves it nowhere.
    let innocent = "Zt5-pW8nYvK3cGd7.rB1xQfM4";
    curl("nothing to see", &format!("OTHER_SECRET={innocent}"))?;
    let needles = [innocent, "nothing to see"].map(|text| text.as_bytes().to_vec());
    let (found, _) = memory::count(stage.pid()?, &needles)?;
    ensure!(found[0] == 0, "the engine keeps it: {found:?}");
    let clean = curl(&format!("see {secret} and {innocent}"), &token)?;
    ensure!(clean.contains("see [SECRET:env/DEPLOY_TOKEN] and [SECRET:env/OTHER_SECRET]"), "{clean}");

    // It stays known when the tool has ended, for whoever says it next.
    let later = curl(&format!("see {secret}"), "NOTHING=1")?;
    ensure!(later.contains("see [SECRET:env/DEPLOY_TOKEN]"), "{later}");
    stage.stop()
}

/// Minutes before anybody would have read the folder again.
#[test]
fn what_is_written_in_a_workspace_is_known_a_moment_later() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let file = workspace.path().join("secrets.list");
    fs::write(&file, "")?;
    let mut stage = Stage::new()?
        .set("/secrets/workspaces", json!([workspace.path()]))
        .set("/secrets/files", json!([file]));
    stage.start()?;
    stage.wait_for_secrets(0)?;
    let thread = format!("/proc/{}/task", stage.pid()?);
    wait::until("the folders to be watched", || {
        let names = fs::read_dir(&thread).ok()?.flatten();
        names
            .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
            .find(|name| name.trim() == "folders")
    })?;
    let deep = workspace.path().join("new/service");
    fs::create_dir_all(&deep)?;
    fs::write(deep.join(".env"), "DEPLOY_TOKEN=Wq7-jH2mXtR9bLs4.kV6yNcP1\n")?;
    let list = stage.wait_for_secrets(1)?.to_string();
    ensure!(list.contains("new/service/.env/DEPLOY_TOKEN"), "{list}");
    fs::write(&file, "OTHER_TOKEN=Zt5-pW8nYvK3cGd7.rB1xQfM4\n")?;
    let list = stage.wait_for_secrets(2)?.to_string();
    ensure!(list.contains("OTHER_TOKEN"), "{list}");
    fs::remove_dir_all(workspace.path().join("new"))?;
    stage.wait_for_secrets(1)?;
    stage.stop()
}

#[test]
fn a_secret_is_added_listed_and_removed() -> Result<()> {
    let providers = Providers::emulated()?;
    let keychain = Keychain::start()?;
    let mut stage =
        providers.stage()?.set("/secrets/keychain", json!(true)).with_environment(keychain.environment());
    stage.start()?;
    let secret = "Gj2-yT7nUaF4rKx8.cM9oVdQ1";
    stage.cli_with_input(&["secrets", "add", "DAILY_TOKEN"], secret.as_bytes())?.ok()?;
    let list = stage.wait_for_secrets(1)?.to_string();
    ensure!(list.contains("DAILY_TOKEN") && !list.contains(secret), "{list}");
    let body = prompt(Family::Anthropic, &format!("it is {secret}"), false);
    stage.client()?.curl_post(&Family::Anthropic.url(), &[], body.as_bytes())?.ok()?;
    let seen = providers.front.take();
    let body = String::from_utf8_lossy(&seen[0].body).into_owned();
    ensure!(body.contains("it is [SECRET:DAILY_TOKEN]"), "{body}");
    stage.cli(&["secrets", "remove", "DAILY_TOKEN"])?.ok()?;
    ensure!(stage.cli(&["secrets", "remove", "DAILY_TOKEN"])?.code == NEGATIVE);
    Ok(())
}

#[test]
fn keys_rest_in_the_keychain_where_there_is_one() -> Result<()> {
    let keychain = Keychain::start()?;
    let mut stage = Stage::new()?.with_environment(keychain.environment());
    stage.start()?;
    ensure!(stage.json(&["ca", "show", "--json"])?["key_store"] == "keychain");
    let files = fs::read_dir(stage.path("state/keys")).map(|d| d.count()).unwrap_or(0);
    ensure!(files == 0, "{files} key files lie beside the keychain");
    let before = stage.json(&["ca", "show", "--json"])?["fingerprint_sha256"].clone();
    stage.stop()?;
    stage.start()?;
    ensure!(
        stage.json(&["ca", "show", "--json"])?["fingerprint_sha256"] == before,
        "the root changed by a restart"
    );
    Ok(())
}

#[test]
fn scan_says_what_is_where() -> Result<()> {
    let stage = Stage::new()?;
    let text = "first line\naws_access_key_id = AKIAQ3EGRVX7T5OMKL2P\n";
    let file = stage.path("user/notes.txt");
    fs::write(&file, text)?;
    let path = file.display().to_string();
    let found = stage.json_lines(&["scan", "--json", &path])?;
    ensure!(stage.cli(&["scan", "--json", &path])?.code == NEGATIVE);
    let aws =
        found.iter().find(|f| f["rule"] == "aws_key").with_context(|| format!("no aws_key in {found:?}"))?;
    ensure!(aws["path"] == path.as_str() && aws["line"] == 2, "{aws}");
    let (start, end) =
        (aws["start"].as_u64().unwrap_or(0) as usize, aws["end"].as_u64().unwrap_or(0) as usize);
    ensure!(text[start..end].contains("AKIAQ3EGRVX7T5OMKL2P"), "{aws}");
    let clean = stage.cli_with_input(&["scan", "--json"], b"nothing to see\n")?;
    ensure!(clean.code == OK && clean.stdout.is_empty(), "{clean:?}");
    Ok(())
}

#[test]
fn exit_codes_mean_what_they_say() -> Result<()> {
    let stage = Stage::new()?;
    for (arguments, code) in [
        (&["status"][..], UNREACHABLE),
        (&["status", "--json"], UNREACHABLE),
        (&["env"], UNREACHABLE),
        (&["frobnicate"], USAGE),
        (&["rules", "check"], OK),
        (&["--help"], OK),
        (&["doctor", "--json"], NEGATIVE),
    ] {
        let outcome = stage.cli(arguments)?;
        ensure!(outcome.code == code, "{arguments:?}: {outcome:?}");
    }
    Ok(())
}
