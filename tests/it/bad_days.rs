//! Bad days: what is missing, full, locked or garbled. Each has a health item with a way out, nothing panics, and
//! nothing is sent that was not looked at.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sallyport_tests::keychain::Keychain;
use sallyport_tests::process::run;
use sallyport_tests::secrets::{self, Secret};
use sallyport_tests::vault::Vault;
use sallyport_tests::{Answer, Stage, expect, tools, wait};
use serde_json::{Value, json};

use crate::common::{Family, Providers, prompt};

fn providers() -> Result<Providers> {
    let providers = Providers::scripted()?;
    providers.front.answer(|_| Answer::json(200, &json!({"id": "1", "choices": []})));
    Ok(providers)
}

/// Sends a prompt that holds `secret`; returns the status and the body of the answer.
fn send(stage: &Stage, secret: &str) -> Result<(u16, String)> {
    let body = prompt(Family::OpenAi, &format!("the key is {secret}, keep it"), false);
    let arguments = ["--write-out", "\n%{http_code}"];
    let client = stage.client()?;
    let file = client.home().join("body");
    fs::write(&file, body)?;
    let data = format!("@{}", file.display());
    let url = Family::OpenAi.url();
    let outcome = client.curl(
        &[&arguments[..], &["--data-binary", &data, "-H", "content-type: application/json", &url]].concat(),
    )?;
    let (text, status) = outcome.stdout.rsplit_once('\n').with_context(|| format!("{outcome:?}"))?;
    Ok((status.parse()?, text.to_owned()))
}

/// A refusal that tells a person what to do, in the provider's own shape.
fn refused_clearly((status, body): &(u16, String)) -> Result<()> {
    ensure!((400..600).contains(status), "not refused: {status} {body}");
    let error: Value = serde_json::from_str(body).with_context(|| format!("not JSON: {body}"))?;
    let message = error["error"]["message"].as_str().unwrap_or("");
    ensure!(message.len() > 20, "it explains nothing: {body}");
    Ok(())
}

fn no_panic(stage: &Stage) -> Result<()> {
    let output = stage.output();
    ensure!(!output.contains("panicked at"), "the engine panicked: {output}");
    Ok(())
}

fn nothing_raw(providers: &Providers, secrets: &[Secret]) -> Result<()> {
    for request in providers.front.requests() {
        expect::nothing_leaked(&request, secrets)?;
    }
    Ok(())
}

#[test]
fn the_vault_is_down_at_the_start() -> Result<()> {
    let providers = providers()?;
    let mut vault = Vault::start()?;
    let known = secrets::some("key", 3, 41, false);
    vault.store(&known, 2)?;
    let config = json!([vault.config(&vault.token_file("30m")?)[0]]);
    vault.stop();
    let mut stage = providers.stage()?.set("/secrets/vaults", config);
    stage.start()?;
    stage.health_item("secrets-never-loaded")?;
    refused_clearly(&send(&stage, &known[0].value)?)?;
    ensure!(providers.front.requests().is_empty(), "it was sent although no secret is known");
    ensure!(stage.status()?["state"] == "attention", "{}", stage.status()?);
    no_panic(&stage)
}

#[test]
fn the_vault_goes_down_later() -> Result<()> {
    let providers = providers()?;
    let mut vault = Vault::start()?;
    let known = secrets::some("key", 3, 42, false);
    vault.store(&known, 2)?;
    let config = json!([vault.config(&vault.token_file("30m")?)[0]]);
    let mut stage = providers.stage()?.set("/secrets/vaults", config);
    stage.start()?;
    stage.wait_for_secrets(3)?;
    vault.stop();
    // What was read before still counts, now and after a restart.
    for case in ["later", "after a restart"] {
        stage.cli(&["secrets", "sync"])?;
        stage.health_item("secrets-stale").context(case)?;
        let (status, body) = send(&stage, &known[0].value)?;
        ensure!(status == 200, "{case}: {status} {body}");
        let seen = providers.front.requests();
        let last = String::from_utf8_lossy(&seen.last().context("no request")?.body).into_owned();
        ensure!(last.contains("[SECRET:"), "{case}: {last}");
        nothing_raw(&providers, &known)?;
        no_panic(&stage)?;
        stage.stop()?;
        stage.start()?;
    }
    Ok(())
}

#[test]
fn the_vault_token_has_expired() -> Result<()> {
    let providers = providers()?;
    let vault = Vault::start()?;
    let known = secrets::some("key", 3, 43, false);
    vault.store(&known, 2)?;
    let token = vault.token_file("30m")?;
    vault.revoke(&token)?;
    let mut stage = providers.stage()?.set("/secrets/vaults", json!([vault.config(&token)[0]]));
    stage.start()?;
    let item = stage.health_item("secrets-never-loaded")?;
    ensure!(item.to_string().to_lowercase().contains("token"), "it does not speak of the token: {item}");
    refused_clearly(&send(&stage, &known[0].value)?)?;
    ensure!(providers.front.requests().is_empty(), "it was sent although no secret is known");
    // A new token in the same file is all that is needed.
    fs::copy(vault.token_file("30m")?, &token)?;
    stage.cli(&["secrets", "sync"])?;
    stage.wait_for_secrets(3)?;
    let (status, body) = send(&stage, &known[0].value)?;
    ensure!(status == 200, "{status} {body}");
    nothing_raw(&providers, &known)?;
    no_panic(&stage)
}

#[test]
fn every_way_to_log_in_works_and_a_wrong_password_is_named() -> Result<()> {
    let vault = Vault::start()?;
    vault.store(&secrets::some("key", 4, 44, true), 2)?;
    let (role_id, secret_id_file) = vault.approle()?;
    let (username, password_file) = vault.userpass()?;
    for auth in [
        json!({"method": "approle", "role_id": role_id, "secret_id_file": secret_id_file}),
        json!({"method": "userpass", "username": username, "password_file": password_file}),
    ] {
        let mut entry = vault.config(Path::new("/nonexistent"))[0].clone();
        entry["auth"] = auth.clone();
        let mut stage = Stage::new()?.set("/secrets/vaults", json!([entry]));
        stage.start()?;
        stage.wait_for_secrets(4).with_context(|| auth.to_string())?;
    }
    fs::write(&password_file, "not the password")?;
    let mut entry = vault.config(Path::new("/nonexistent"))[0].clone();
    entry["auth"] = json!({"method": "userpass", "username": username, "password_file": password_file});
    let mut stage = Stage::new()?.set("/secrets/vaults", json!([entry]));
    stage.start()?;
    let item = stage.health_item("secrets-never-loaded")?.to_string();
    ensure!(!item.contains("not the password"), "the password is shown: {item}");
    no_panic(&stage)
}

#[test]
fn the_keychain_is_locked() -> Result<()> {
    let providers = providers()?;
    let keychain = Keychain::start()?;
    let ring = secrets::some("ring", 3, 45, false);
    keychain.store(&ring)?;
    let mut stage =
        providers.stage()?.set("/secrets/keychain", json!(true)).with_environment(keychain.environment());
    stage.start()?;
    stage.wait_for_secrets(3)?;
    keychain.lock()?;
    stage.cli(&["secrets", "sync"])?;
    let item = stage.health_item("secrets-stale")?.to_string().to_lowercase();
    ensure!(item.contains("lock"), "it does not say that the keychain is locked: {item}");
    let (status, body) = send(&stage, &ring[0].value)?;
    ensure!(status == 200, "{status} {body}");
    ensure!(providers.front.requests().len() == 1);
    nothing_raw(&providers, &ring)?;
    no_panic(&stage)
}

#[test]
fn the_keychain_is_locked_from_the_start() -> Result<()> {
    let providers = providers()?;
    let keychain = Keychain::start()?;
    keychain.lock()?;
    let mut stage =
        providers.stage()?.set("/secrets/keychain", json!(true)).with_environment(keychain.environment());
    stage.start()?;
    let item = stage.health_item("secrets-never-loaded")?.to_string().to_lowercase();
    ensure!(item.contains("lock"), "it does not say that the keychain is locked: {item}");
    stage.health_item("keys-in-file")?;
    // What the keychain holds is not known, so nothing goes out.
    let (status, body) = send(&stage, "hello")?;
    ensure!(status == 400, "{status} {body}");
    ensure!(providers.front.requests().is_empty(), "it was sent although the keychain was never read");
    no_panic(&stage)
}

#[test]
fn the_port_is_in_use() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let mut stage = Stage::new()?.set("/listen", json!(address));
    stage.start()?;
    let item = stage.health_item("port-moved")?.to_string();
    ensure!(item.contains(&taken.local_addr()?.port().to_string()), "it does not name the port: {item}");
    let status = stage.status()?;
    ensure!(status["listen"] != address.as_str(), "{status}");
    let (listen, own) =
        (status["listen"].as_str().unwrap_or(""), stage.cli(&["env", "--json"])?.ok()?.stdout);
    ensure!(own.contains(listen), "`env` leads elsewhere: {own}");
    no_panic(&stage)
}

/// A small file system in memory, gone with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Result<SmallDisk> {
        fs::create_dir_all(at)?;
        as_root(&[
            "mount",
            "-t",
            "tmpfs",
            "-o",
            &format!("size={size},mode=0700"),
            "tmpfs",
            &at.display().to_string(),
        ])?;
        Ok(SmallDisk(at.to_owned()))
    }

    /// Leaves not a byte.
    fn fill(&self) -> Result<PathBuf> {
        let file = self.0.join("ballast");
        let mut size = 1 << 16;
        let mut out = fs::File::create(&file)?;
        while size > 0 {
            if std::io::Write::write_all(&mut out, &vec![b'x'; size]).is_err() {
                size /= 2;
            }
        }
        Ok(file)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = as_root(&["umount", "--lazy", &self.0.display().to_string()]);
    }
}

fn as_root(words: &[&str]) -> Result<()> {
    let words: Vec<String> =
        tools::as_root()?.into_iter().chain(words.iter().map(|w| (*w).to_owned())).collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    run(command, wait::PATIENCE)?.ok().with_context(|| format!("{words:?}")).map(drop)
}

#[test]
fn the_disk_is_full() -> Result<()> {
    let providers = providers()?;
    let mut stage = providers.stage()?;
    let disk = SmallDisk::mount(&stage.path("state"), "6m")?;
    stage.start()?;
    ensure!(send(&stage, "nothing")?.0 == 200);
    let ballast = disk.fill()?;
    providers.front.take();
    // What still fits may pass, with its row. Then AI traffic stops, with a clear word.
    let mut passed = 0;
    let refusal = loop {
        let answer = send(&stage, &format!("number {passed}"))?;
        if answer.0 != 200 {
            break answer;
        }
        passed += 1;
        ensure!(passed < 2000, "a full disk stops nothing");
    };
    refused_clearly(&refusal)?;
    ensure!(providers.front.requests().len() == passed, "a refused request was sent");
    stage.health_item("audit-unavailable")?;
    fs::remove_file(ballast)?;
    wait::until("AI traffic to flow again", || (send(&stage, "again").ok()?.0 == 200).then_some(()))?;
    stage.verified()?;
    let events = stage.audit_events()?;
    let sent = events.iter().filter(|e| e["event_type"] == "prompt_sent").count();
    ensure!(
        sent >= providers.front.requests().len(),
        "{sent} rows for {} requests",
        providers.front.requests().len()
    );
    no_panic(&stage)?;
    stage.stop()
}

#[test]
fn the_configuration_is_malformed() -> Result<()> {
    let providers = providers()?;
    let mut stage = providers.stage()?;
    let text = "listen: 127.0.0.1:0\nsecrets:\n  keychain: false\n  kechain: true\n";
    stage.start_raw(text, Vec::new())?;
    let item = stage.health_item("config-malformed")?.to_string();
    for part in ["config.yaml", "kechain", "4"] {
        ensure!(item.contains(part), "it does not name {part}: {item}");
    }
    no_panic(&stage)?;
    stage.stop()?;
    // After a good start, the last good configuration stays in force.
    stage.start()?;
    fs::write(stage.path("config/config.yaml"), "listen: [\n")?;
    stage.cli(&["policy", "show"])?;
    let before = stage.status()?["listen"].clone();
    let (code, body) = send(&stage, "nothing")?;
    ensure!(code == 200, "traffic stopped: {code} {body}");
    ensure!(stage.status()?["listen"] == before);
    no_panic(&stage)
}

#[test]
fn a_malformed_policy_leaves_the_last_good_one_in_force() -> Result<()> {
    let providers = providers()?;
    let mut stage = providers.stage()?;
    let folder = stage.path("config/policies");
    fs::create_dir_all(&folder)?;
    fs::write(
        folder.join("broken.yaml"),
        "apiVersion: sallyport/v1\nkind: SallyportPolicy\nspec:\n  opaqe: block\n",
    )?;
    stage.start()?;
    let item = stage.health_item("policy-malformed")?.to_string();
    for part in ["broken.yaml", "opaqe", "4"] {
        ensure!(item.contains(part), "it does not name {part}: {item}");
    }
    let (code, body) = send(&stage, "nothing")?;
    ensure!(code == 200, "traffic stopped: {code} {body}");
    let checked = stage.cli(&["policy", "check", &folder.join("broken.yaml").display().to_string()])?;
    ensure!(checked.code == 1, "{checked:?}");
    no_panic(&stage)
}

#[test]
fn a_body_that_is_no_json_is_looked_at_all_the_same() -> Result<()> {
    let providers = providers()?;
    let secret = "Yc5-wE8tUoI2pAs6.dF1gHjK4";
    let mut stage = providers.stage()?.with_secret_file(&format!("GARBLED_TOKEN={secret}\n"))?;
    stage.start()?;
    stage.wait_for_secrets(1)?;
    let client = stage.client()?;
    let url = Family::OpenAi.url();
    // Whole, but not JSON; cut off; a bomb; a coding that lies about itself.
    client.curl_post(&url, &[], br#"{"model": "gpt-4o", "messages": [}"#)?.ok()?;
    ensure!(providers.front.take()[0].body.as_ref() == br#"{"model": "gpt-4o", "messages": [}"#);
    for body in [format!("{{\"model\": \"{secret}\", oops"), secret.to_owned(), format!("\"{secret}")] {
        client.curl_post(&url, &[], body.as_bytes())?;
    }
    let bomb = sallyport_tests::encodings::encode("gzip", &vec![b' '; 200 << 20])?;
    let answer = client.curl_post(&url, &["content-encoding: gzip"], &bomb)?;
    ensure!(answer.stdout.contains("error"), "a bomb of 200 MiB was not refused: {answer:?}");
    client.curl_post(&url, &["content-encoding: zstd"], format!("{{\"a\":\"{secret}\"}}").as_bytes())?;
    for request in providers.front.requests() {
        let all = String::from_utf8_lossy(&request.everything()).into_owned();
        ensure!(!all.contains(secret), "the secret was sent: {all}");
    }
    no_panic(&stage)
}
