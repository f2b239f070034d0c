//! An isolated home with the real binary in it: configuration, start, kill, restart, and the CLI against it.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients::Client;
use crate::front::Front;
use crate::process::{self, Background, Outcome, run_with_input};
use crate::roots::TestRoot;
use crate::{tools, wait};

/// The exit codes of the CLI.
pub const OK: i32 = 0;
pub const NEGATIVE: i32 = 1;
pub const USAGE: i32 = 2;
pub const UNREACHABLE: i32 = 3;

/// `rules check` compiles some 1,500 regular expressions: half a minute in an unoptimised build on a busy machine.
const CLI_LIMIT: Duration = Duration::from_secs(180);

pub struct Stage {
    // Ended before its home goes.
    engine: Option<Background>,
    home: TempDir,
    config: Value,
    environment: Vec<(String, String)>,
    proxy: Option<SocketAddr>,
    pid: Option<u32>,
    starts: usize,
}

impl Stage {
    /// A home with a free port and no source of secrets; nothing runs yet.
    pub fn new() -> Result<Stage> {
        let home = tempfile::Builder::new().prefix("sp").tempdir()?;
        for part in ["config", "user"] {
            fs::create_dir_all(home.path().join(part))?;
        }
        let config = json!({
            "listen": "127.0.0.1:0",
            "secrets": {"keychain": false, "well_known_files": false},
        });
        Ok(Stage { engine: None, home, config, environment: Vec::new(), proxy: None, pid: None, starts: 0 })
    }

    /// Leads the front's names to the front, and trusts its root.
    pub fn behind(mut self, front: &Front, root: &TestRoot) -> Stage {
        for name in front.names() {
            let target = front.address().to_string();
            self.config["upstream"]["resolve"][format!("{name}:443")] = json!(target);
        }
        self.config["upstream"]["extra_roots"] = json!([root.pem()]);
        self
    }

    /// Sets one key of `config.yaml`, given as a JSON pointer such as `/audit/durability`.
    pub fn set(mut self, pointer: &str, value: Value) -> Stage {
        let mut place = &mut self.config;
        for key in pointer.trim_start_matches('/').split('/') {
            place = &mut place[key];
        }
        *place = value;
        self
    }

    /// Writes a `NAME=value` file and names it as a source of secrets.
    pub fn with_secret_file(self, lines: &str) -> Result<Stage> {
        let path = self.home().join("secrets.env");
        fs::write(&path, lines)?;
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(self.set("/secrets/files", json!([path])))
    }

    /// Adds to the environment of the engine and of every CLI call.
    pub fn with_environment(mut self, variables: Vec<(String, String)>) -> Stage {
        self.environment.extend(variables);
        self
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A path below the home, such as `state/audit.db`.
    pub fn path(&self, part: &str) -> PathBuf {
        self.home().join(part)
    }

    /// Starts the engine, and waits until it has its keys and its trail.
    pub fn start(&mut self) -> Result<()> {
        self.start_with(Vec::new())
    }

    /// Starts the engine under another command, such as a tracer.
    pub fn start_with(&mut self, wrapper: Vec<String>) -> Result<()> {
        // JSON is YAML.
        self.start_raw(&serde_json::to_string_pretty(&self.config)?, wrapper)?;
        // Control answers before these are there.
        let files =
            ["ca/root.pem", "ca/bundle.pem", "audit.db", "audit.pub"].map(|f| self.path("state").join(f));
        let ready = wait::until("the engine's files", || files.iter().all(|f| f.exists()).then_some(()));
        ready.with_context(|| self.output())
    }

    /// Starts the engine with a configuration file of these very bytes.
    pub fn start_raw(&mut self, config: &str, wrapper: Vec<String>) -> Result<()> {
        self.spawn(config, wrapper)?;
        match self.answering() {
            Ok(status) => {
                self.proxy = status["listen"].as_str().and_then(|l| l.parse().ok());
                self.pid = status["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
                Ok(())
            }
            Err(e) => bail!("the engine did not come up: {e:#}\n--- its output\n{}", self.output()),
        }
    }

    /// Starts the engine and does not wait: for tests of what it says when it cannot come up.
    pub fn spawn(&mut self, config: &str, wrapper: Vec<String>) -> Result<()> {
        fs::write(self.path("config/config.yaml"), config)?;
        self.starts += 1;
        let binary = tools::sallyport()?.display().to_string();
        let words: Vec<String> = wrapper.into_iter().chain([binary, "daemon".into()]).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        let log = self.path(&format!("engine-{}.log", self.starts));
        self.engine = Some(Background::start(self.prepared(command), &log)?);
        Ok(())
    }

    fn answering(&mut self) -> Result<Value> {
        let deadline = std::time::Instant::now() + wait::PATIENCE;
        loop {
            let outcome = self.cli(&["status", "--json"])?;
            if let Ok(status) = serde_json::from_str::<Value>(&outcome.stdout)
                && status["listen"].is_string()
            {
                return Ok(status);
            }
            if let Some(status) = self.engine.as_mut().and_then(Background::exited) {
                bail!("it ended with {status}");
            }
            if std::time::Instant::now() > deadline {
                bail!("`status --json` said {outcome:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn prepared(&self, mut command: Command) -> Command {
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("user")).env("SALLYPORT_HOME", self.home());
        command.env("LANG", "C.UTF-8").envs(self.environment.iter().cloned());
        command
    }

    /// Where clients find the proxy.
    pub fn proxy(&self) -> Result<SocketAddr> {
        self.proxy.context("the engine is not running")
    }

    /// The engine itself, also where a tracer stands around it.
    pub fn pid(&self) -> Result<u32> {
        self.pid.context("the engine is not running")
    }

    /// What the engine printed since its latest start.
    pub fn output(&self) -> String {
        self.engine.as_ref().map(Background::output).unwrap_or_default()
    }

    pub fn engine(&mut self) -> Result<&mut Background> {
        self.engine.as_mut().context("the engine is not running")
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut engine) = self.engine.take() {
            engine.kill();
        }
    }

    /// Asks the engine to end, and fails if it does not or if it ends badly.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut engine) = self.engine.take() else { return Ok(()) };
        process::signal(self.pid()?, Signal::TERM);
        let status = engine.wait(wait::PATIENCE)?;
        ensure!(status.success(), "the engine ended with {status}\n{}", engine.output());
        Ok(())
    }

    /// Runs `sallyport` with these arguments, to its end.
    pub fn cli(&self, arguments: &[&str]) -> Result<Outcome> {
        self.cli_with_input(arguments, b"")
    }

    pub fn cli_with_input(&self, arguments: &[&str], input: &[u8]) -> Result<Outcome> {
        let mut command = Command::new(tools::sallyport()?);
        command.args(arguments);
        run_with_input(self.prepared(command), input, CLI_LIMIT)
    }

    /// What a command prints that is no text.
    pub fn cli_bytes(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let mut command = Command::new(tools::sallyport()?);
        command.args(arguments);
        Ok(self.prepared(command).output()?.stdout)
    }

    /// The JSON that a reading command prints; 0 and 1 are both answers.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let outcome = self.cli(arguments)?;
        ensure!(outcome.code <= NEGATIVE, "sallyport {arguments:?}: {outcome:?}");
        serde_json::from_str(&outcome.stdout).with_context(|| format!("sallyport {arguments:?}: {outcome:?}"))
    }

    /// One JSON value per line.
    pub fn json_lines(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let outcome = self.cli(arguments)?;
        ensure!(outcome.code <= NEGATIVE, "sallyport {arguments:?}: {outcome:?}");
        let lines = outcome.stdout.lines().filter(|l| !l.trim().is_empty());
        lines
            .map(|l| serde_json::from_str(l).with_context(|| format!("sallyport {arguments:?}: {l}")))
            .collect()
    }

    pub fn status(&self) -> Result<Value> {
        self.json(&["status", "--json"])
    }

    /// The health items that hold, wherever `doctor` puts them.
    pub fn health(&self) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        with_code(&self.json(&["doctor", "--json"])?, &mut items);
        Ok(items)
    }

    /// Waits for a health item, and fails unless it says what happened and what to do.
    pub fn health_item(&self, code: &str) -> Result<Value> {
        let item = wait::until(&format!("the health item {code}"), || {
            self.health().ok()?.into_iter().find(|i| i["code"] == code)
        });
        let item = item.with_context(|| format!("there are {:?}", self.health()))?;
        for part in ["sentence", "fix"] {
            let said = item[part].as_str().unwrap_or("");
            ensure!(said.len() > 10, "{code} has no {part}: {item}");
        }
        Ok(item)
    }

    /// The root certificate that clients must trust, as `ca export` prints it, in a file.
    pub fn trust(&self) -> Result<PathBuf> {
        let path = self.path("exported-root.pem");
        let printed = wait::until("the root certificate", || {
            self.cli(&["ca", "export", "--pem"]).and_then(Outcome::ok).ok()
        })?;
        let printed = printed.stdout;
        ensure!(printed.contains("BEGIN CERTIFICATE"), "ca export printed {printed:?}");
        fs::write(&path, printed)?;
        Ok(path)
    }

    /// A client of this engine, with a home of its own.
    pub fn client(&self) -> Result<Client> {
        Client::new(self.proxy()?, &self.trust()?)
    }

    /// Waits until `count` sources of secrets were read; the first load runs beside the start.
    pub fn wait_for_secrets(&self, count: usize) -> Result<Value> {
        wait::until(&format!("{count} secrets to be known"), || {
            let list = self.json(&["secrets", "list", "--json"]).ok()?;
            (secrets_in(&list) >= count).then_some(list)
        })
        .with_context(|| format!("`secrets list` says {:?}", self.cli(&["secrets", "list", "--json"])))
    }

    /// The trail as it stands now, exchanges under way included.
    pub fn audit_events(&self) -> Result<Vec<Value>> {
        self.json_lines(&["audit", "query", "--json"])
    }

    /// The trail once every exchange in it has ended: a client has the last byte of an answer before the trail has
    /// its row.
    pub fn settled_events(&self) -> Result<Vec<Value>> {
        wait::until("the ends of all exchanges in the trail", || {
            self.audit_events().ok().filter(|events| all_ended(events))
        })
        .with_context(|| format!("{:?}", self.audit_events()))
    }

    /// Fails unless the trail is whole.
    pub fn verified(&self) -> Result<()> {
        self.cli(&["audit", "verify"])?.ok().context("audit verify").map(drop)
    }
}

fn all_ended(events: &[Value]) -> bool {
    let of = |types: &[&str]| -> HashSet<&str> {
        let some = events.iter().filter(|event| types.iter().any(|one| event["event_type"] == *one));
        some.filter_map(|event| event["exchange_id"].as_str()).collect()
    };
    of(&["prompt_sent"]).is_subset(&of(&["completion_received", "error", "policy_violation"]))
}

/// How many names a `secrets list --json` holds, over all sources.
pub fn secrets_in(list: &Value) -> usize {
    match list {
        Value::Array(items) => items.iter().map(secrets_in).sum(),
        Value::Object(fields) => match fields.get("names").or_else(|| fields.get("secrets")) {
            Some(Value::Array(names)) => names.len(),
            _ => fields.values().map(secrets_in).sum(),
        },
        _ => 0,
    }
}

fn with_code(json: &Value, out: &mut Vec<Value>) {
    match json {
        Value::Object(fields) if fields.get("code").is_some_and(Value::is_string) => out.push(json.clone()),
        Value::Object(fields) => fields.values().for_each(|v| with_code(v, out)),
        Value::Array(items) => items.iter().for_each(|v| with_code(v, out)),
        _ => {}
    }
}
