//! `exec --with-secrets`: a process gets the secrets of a class as variables once a human has granted them; nobody else
//! does, and what it was given is taken out of its prompts.

use std::fs;
use std::thread;

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64;
use sallyport_tests::process::Outcome;
use sallyport_tests::secrets::Secret;
use sallyport_tests::vault::Vault;
use sallyport_tests::{Stage, memory, wait};
use serde_json::{Value, json};

use crate::common::{Family, Providers, prompt};

/// The source's document, unchanged.
const POLICY: &str = include_str!("../../assets/policies/examples/ai-secrets-architecture.yaml");

const KEY: &str = "sk-made-up-Qx82\"Ld0\\Vn5Wb7TyRc4";
const TOKEN: &str = "made-up-token-7Gk2Jd9Xs4Wq";

struct Desk {
    providers: Providers,
    stage: Stage,
    vault: Vault,
}

fn secret(path: &str, value: &str) -> Secret {
    Secret { path: path.into(), field: "value", value: value.into() }
}

impl Desk {
    fn new() -> Result<Desk> {
        let vault = Vault::start()?;
        vault.store(&[secret("other/thing", "made-up-other-3Fh6Kq1")], 2)?;
        let providers = Providers::emulated()?;
        let configured = json!([vault.config(&vault.token_file("10m")?)[0]]);
        let mut stage = providers.stage()?.set("/secrets/vaults", configured);
        fs::create_dir_all(stage.path("config/policies"))?;
        fs::write(stage.path("config/policies/secrets.yaml"), POLICY)?;
        stage.start()?;
        stage.wait_for_secrets(1)?;
        // Newer than what the engine has read: nothing but the handover can make them known.
        vault
            .store(&[secret("ai-provider-keys/openai-api-key", KEY), secret("user-tokens/ann", TOKEN)], 2)?;
        Ok(Desk { providers, stage, vault })
    }

    /// Runs a shell line with the secrets of a class; whoever is asked answers with this verb.
    fn with_secrets(&self, agent: &[&str], class: &str, line: &str, answer: Option<&str>) -> Result<Outcome> {
        let arguments = [&["exec"][..], agent, &["--with-secrets", class, "--", "sh", "-c", line]].concat();
        thread::scope(|scope| {
            let running = scope.spawn(|| self.stage.cli(&arguments));
            if let Some(verb) = answer {
                let id = wait::until("the request", || {
                    let all = self.stage.json(&["elevate", "list", "--json"]).ok()?;
                    let pending = all.as_array()?.iter().find(|request| request["state"] == "pending")?;
                    pending["id"].as_u64()
                })?;
                self.stage.cli(&["elevate", verb, &id.to_string()])?.ok()?;
            }
            running.join().map_err(|_| anyhow::anyhow!("the command's thread"))?
        })
    }

    fn rows(&self, action: &str) -> Result<Vec<Value>> {
        let rows = self.stage.audit_events()?;
        Ok(rows.into_iter().filter(|row| row["actions"][0]["action_type"] == action).collect())
    }
}

const AGENT: [&str; 2] = ["--agent", "coding-assistant"];

#[test]
fn the_process_gets_the_variable_and_nobody_else_does() -> Result<()> {
    let desk = Desk::new()?;
    // What any process of this user can see of it by `ps`, and of the one that started it.
    let line = "printf '%s' \"$OPENAI_API_KEY\"; tr '\\0' ' ' </proc/$$/cmdline >&2; tr '\\0' ' ' </proc/$PPID/environ >&2";
    let outcome = desk.with_secrets(&AGENT, "ai-provider-keys", line, Some("approve"))?.ok()?;
    ensure!(outcome.stdout == KEY, "{outcome:?}");
    ensure!(
        !outcome.stderr.contains(KEY) && outcome.stderr.contains("secrets:read ai-provider-keys/*"),
        "{outcome:?}"
    );

    // Neither as it is, nor as it came from the loader or went over the socket.
    let encoded = BASE64.encode(KEY.as_bytes());
    let escaped = KEY.replace('\\', "\\\\").replace('"', "\\\"");
    let needles = [KEY, encoded.as_str(), escaped.as_str(), "sallyport"].map(|text| text.as_bytes().to_vec());
    let (found, _) = memory::count(desk.stage.pid()?, &needles)?;
    ensure!(found[..3] == [0, 0, 0] && found[3] > 0, "the engine keeps it: {found:?}");

    let [row] = &desk.rows("secrets_handed_over")?[..] else { anyhow::bail!("not one row") };
    let target = row["actions"][0]["target"].as_str().unwrap_or_default();
    ensure!(
        target.starts_with("ai-provider-keys to process ") && target.ends_with(": OPENAI_API_KEY"),
        "{target}"
    );
    let account = row["actor"]["service_account"].as_str().unwrap_or_default();
    ensure!(account.starts_with("agent-coding-assistant-"), "{account}");
    for action in ["elevation_requested", "elevation_granted", "elevation_used"] {
        ensure!(desk.rows(action)?.len() == 1, "{action}");
    }
    ensure!(!serde_json::to_string(&desk.stage.audit_events()?)?.contains(KEY));
    ensure!(!desk.stage.output().contains(KEY));
    for file in files(&desk.stage.path("state"))? {
        let bytes = fs::read(&file)?;
        for needle in &needles[..3] {
            ensure!(memchr::memmem::find(&bytes, needle).is_none(), "it lies in {}", file.display());
        }
    }
    desk.stage.verified()
}

fn files(folder: &std::path::Path) -> Result<Vec<std::path::PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => all.extend(files(&path)?),
            false => all.push(path),
        }
    }
    Ok(all)
}

#[test]
fn what_was_handed_over_is_taken_out_of_prompts() -> Result<()> {
    let desk = Desk::new()?;
    let body = prompt(Family::OpenAi, "my token is @", false);
    let send = format!(
        "printf '%s' '{body}' | sed \"s/@/$ANN/\" | curl -sS -H 'content-type: application/json' --data-binary @- {}",
        Family::OpenAi.url()
    );
    desk.with_secrets(&AGENT, "user-tokens", &send, Some("approve"))?.ok()?;
    let [seen] = &desk.providers.front.take()[..] else { anyhow::bail!("not one request") };
    let sent = String::from_utf8_lossy(&seen.body).into_owned();
    ensure!(!sent.contains(TOKEN) && sent.contains("my token is [SECRET:user-tokens/ANN"), "{sent}");
    Ok(())
}

#[test]
fn a_class_is_refused_with_a_sentence_and_the_command_never_starts() -> Result<()> {
    let desk = Desk::new()?;
    let mark = desk.stage.path("started");
    let line = format!("touch {}", mark.display());
    let cases = [
        (
            &AGENT[..],
            "workspace-secrets",
            None,
            "`aiAccess: denied` for secrets of the class `workspace-secrets`",
        ),
        (
            &[][..],
            "ai-provider-keys",
            None,
            "are for agents with a service account, and this process has none",
        ),
        (
            &AGENT[..],
            "no-such-class",
            None,
            "no AISecretsPolicy has a class of secrets called `no-such-class`",
        ),
        (&AGENT[..], "ai-provider-keys", Some("deny"), "is denied: the command was not started"),
    ];
    for (agent, class, answer, said) in cases {
        let outcome = desk.with_secrets(agent, class, &line, answer)?;
        ensure!(
            outcome.code == 1 && outcome.stderr.to_lowercase().contains(&said.to_lowercase()),
            "{said}: {outcome:?}"
        );
        ensure!(outcome.stderr.contains("hint: "), "{outcome:?}");
    }
    ensure!(!mark.exists(), "a command ran");
    ensure!(desk.rows("secrets_refused")?.len() == 3 && desk.rows("secrets_handed_over")?.is_empty());

    // A class that holds nothing.
    let nothing = POLICY.replace("name: ai-provider-keys", "name: empty");
    let version = || Some(desk.stage.status().ok()?["policy"]["version"].clone());
    let before = version();
    fs::write(desk.stage.path("config/policies/secrets.yaml"), nothing)?;
    wait::until("the changed policy", || (version() != before).then_some(()))?;
    let outcome = desk.with_secrets(&AGENT, "empty", &line, Some("approve"))?;
    ensure!(
        outcome.code == 1 && outcome.stderr.contains("There are no secrets of the class `empty`"),
        "{outcome:?}"
    );
    ensure!(!mark.exists(), "a command ran");
    Ok(())
}

#[test]
fn a_grant_for_a_class_of_agents_lasts_and_one_for_a_session_ends_with_it() -> Result<()> {
    let desk = Desk::new()?;
    for resource in ["ai-provider-keys/*", "user-tokens/*"] {
        let asked = ["elevate", "request", "--scope", "secrets:read", "--resource", resource];
        let asked = [&asked[..], &["--account", "coding-assistant", "--json"]].concat();
        let id = desk.stage.json(&asked)?["id"].as_u64().context("no number")?;
        desk.stage.cli(&["elevate", "approve", &id.to_string()])?.ok()?;
    }
    for _ in 0..2 {
        let outcome =
            desk.with_secrets(&AGENT, "ai-provider-keys", "printf %s \"$OPENAI_API_KEY\"", None)?.ok()?;
        ensure!(outcome.stdout == KEY && outcome.stderr.is_empty(), "{outcome:?}");
    }
    // `per-session`: the grant for the class of agents does not count, and each session is asked for anew.
    for _ in 0..2 {
        let outcome =
            desk.with_secrets(&AGENT, "user-tokens", "printf %s \"$ANN\"", Some("approve"))?.ok()?;
        ensure!(outcome.stdout == TOKEN && outcome.stderr.contains("waits for a human"), "{outcome:?}");
    }
    Ok(())
}

#[test]
fn a_vault_that_is_gone_hands_over_nothing() -> Result<()> {
    let mut desk = Desk::new()?;
    desk.vault.stop();
    let outcome = desk.with_secrets(&AGENT, "ai-provider-keys", "echo ran", Some("approve"))?;
    ensure!(outcome.code == 1 && outcome.stdout.is_empty(), "{outcome:?}");
    ensure!(
        outcome.stderr.contains("could not be fetched") && outcome.stderr.contains("hint: "),
        "{outcome:?}"
    );
    Ok(())
}
