//! A desk: an engine, its callers and its clients as a plain user, on a system with polkit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sallyport_tests::clients::node_sdk;
use sallyport_tests::polkit::{Polkit, give};
use sallyport_tests::process::{Background, Outcome, run_with_input};
use sallyport_tests::{tools, wait};
use serde_json::{Value, json};

use crate::common::Providers;

pub(crate) const ACTIONS: &str = include_str!("../../assets/polkit/org.sallyport.policy");

/// An engine and its callers as a plain user, on a system with polkit.
pub(crate) struct Desk {
    pub(crate) engine: Option<Background>,
    polkit: Polkit,
    pub(crate) home: PathBuf,
    binary: PathBuf,
    starts: usize,
}

/// What the person answers when asked.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Person {
    Yes,
    No,
    /// No agent runs, so nobody can be asked.
    Absent,
}

impl Desk {
    /// `policy`: the `spec` of a SallyportPolicy.
    pub(crate) fn new(actions: &str, policy: Option<&str>) -> Result<Desk> {
        let house = policy.map(|spec| {
            format!(
                "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: house}}\nspec: {spec}\n"
            )
        });
        Desk::with(actions, &json!({}), house.as_slice(), None)
    }

    /// With these settings and documents, and with these providers.
    pub(crate) fn with(
        actions: &str,
        settings: &Value,
        documents: &[String],
        providers: Option<&Providers>,
    ) -> Result<Desk> {
        let polkit = Polkit::start(actions)?;
        let home = polkit.home()?;
        for folder in ["config/policies", "user/project"] {
            fs::create_dir_all(home.join(folder))?;
        }
        let mut config =
            json!({"listen": "127.0.0.1:0", "secrets": {"keychain": false, "well_known_files": false}});
        for (key, value) in settings.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        if let Some(providers) = providers {
            let root = home.join("root.pem");
            fs::copy(providers.root.pem(), &root)?;
            let target = json!(providers.front.address().to_string());
            for name in providers.front.names() {
                config["upstream"]["resolve"][format!("{name}:443")] = target.clone();
            }
            config["upstream"]["extra_roots"] = json!([root]);
        }
        fs::write(home.join("config/config.yaml"), config.to_string())?;
        for (n, document) in documents.iter().enumerate() {
            fs::write(home.join(format!("config/policies/{n}.yaml")), document)?;
        }
        // Where it was built, another user may not be let in.
        let binary = home.join("sallyport");
        fs::copy(tools::sallyport()?, &binary)?;
        give(&home)?;
        let mut desk = Desk { engine: None, polkit, home, binary, starts: 0 };
        desk.start()?;
        Ok(desk)
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        self.starts += 1;
        let wrapper = self.polkit.wrapper();
        let mut command = Command::new(&wrapper[0]);
        command.args(&wrapper[1..]).arg(&self.binary).arg("daemon").env_clear();
        command.env("SALLYPORT_HOME", &self.home).env("HOME", &self.home);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let log = self.home.join(format!("engine-{}.log", self.starts));
        let engine = Background::start(command, &log)?;
        wait::until("the engine", || {
            let status = self.sallyport(&["status", "--json"], Person::Absent).ok()?.0;
            (status.code == 0).then_some(())
        })
        .with_context(|| engine.output())?;
        self.engine = Some(engine);
        Ok(())
    }

    /// `kill -9`, and up again.
    pub(crate) fn restart(&mut self) -> Result<()> {
        if let Some(mut engine) = self.engine.take() {
            engine.kill();
        }
        self.start()
    }

    pub(crate) fn sallyport(&self, arguments: &[&str], person: Person) -> Result<(Outcome, usize)> {
        let mut command = Command::new(&self.binary);
        command.args(arguments);
        self.run(command, person)
    }

    fn run(&self, mut command: Command, person: Person) -> Result<(Outcome, usize)> {
        command.env("SALLYPORT_HOME", &self.home).env("HOME", &self.home);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let answer = match person {
            Person::Yes => Some(true),
            Person::No => Some(false),
            Person::Absent => None,
        };
        self.polkit.run(&command, answer)
    }

    /// Speaks to the control socket as any program of the user could.
    pub(crate) fn socket(&self, path: &str, body: &Value, person: Person) -> Result<(String, usize)> {
        let mut command = Command::new(tools::required("curl")?);
        command
            .args(["--silent", "--max-time", "30", "--unix-socket"])
            .arg(self.home.join("run/control.sock"));
        command.args(["--data-binary", &body.to_string(), &format!("http://sallyport{path}")]);
        let (outcome, asked) = self.run(command, person)?;
        Ok((outcome.stdout, asked))
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let (outcome, _) = self.sallyport(arguments, Person::Absent)?;
        serde_json::from_str(&outcome.stdout).with_context(|| format!("sallyport {arguments:?}: {outcome:?}"))
    }

    pub(crate) fn request(&self, scope: &str, resource: &str) -> Result<u64> {
        let asked = self.json(&[
            "elevate",
            "request",
            "--scope",
            scope,
            "--resource",
            resource,
            "--for",
            "20m",
            "--justification",
            "refunds",
            "--json",
        ])?;
        asked["id"].as_u64().with_context(|| asked.to_string())
    }

    pub(crate) fn state(&self, id: u64) -> Result<String> {
        let all = self.json(&["elevate", "list", "--json"])?;
        let one = all.as_array().into_iter().flatten().find(|one| one["id"] == id);
        Ok(one.with_context(|| all.to_string())?["state"].as_str().unwrap_or_default().to_owned())
    }

    /// Action type and outcome of every control event.
    pub(crate) fn actions(&self) -> Result<Vec<(String, String, bool)>> {
        let (outcome, _) = self.sallyport(&["audit", "query", "--json"], Person::Absent)?;
        let mut actions = Vec::new();
        for line in outcome.ok()?.stdout.lines() {
            let event: Value = serde_json::from_str(line)?;
            for action in event["actions"].as_array().into_iter().flatten() {
                let text = |name: &str| action[name].as_str().unwrap_or_default().to_owned();
                let review = action["requires_review"] == true;
                actions.push((text("action_type"), text("outcome"), review));
            }
        }
        Ok(actions)
    }

    pub(crate) fn expect(&self, action: &str, outcome: &str) -> Result<()> {
        let actions = self.actions()?;
        let found = actions.iter().any(|(kind, said, _)| kind == action && said.starts_with(outcome));
        ensure!(found, "{action} {outcome} is not among {actions:?}");
        Ok(())
    }

    /// A real client of this user in the user's project folder, sent through the engine; runs to its end. `input` is its
    /// standard input.
    pub(crate) fn client(&self, program: &Path, arguments: &[&str], input: &str) -> Result<Outcome> {
        let status = self.json(&["status", "--json"])?;
        let listen = status["listen"].as_str().context("no address")?;
        let wrapper = self.polkit.wrapper();
        let mut command = Command::new(&wrapper[0]);
        // Whoever enters the namespace stands at its root.
        command.args(&wrapper[1..]).args(["env", "-C"]).arg(self.home.join("user/project"));
        command.arg(program).args(arguments).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.home.join("user"));
        command.env("LANG", "C.UTF-8").env("TERM", "dumb").env("HTTPS_PROXY", format!("http://{listen}"));
        let trust = self.home.join("state/ca/root.pem");
        command.env("SSL_CERT_FILE", &trust).env("NODE_EXTRA_CA_CERTS", &trust);
        command.env("OPENAI_API_KEY", "no-key-needed").env("ANTHROPIC_API_KEY", "no-key-needed");
        command.env("DISABLE_AUTOUPDATER", "1");
        run_with_input(command, input.as_bytes(), Duration::from_secs(120))
    }

    pub(crate) fn claude(&self, prompt: &str) -> Result<Value> {
        let arguments = ["--print", "--output-format", "json", prompt, "--allowedTools", "Bash"];
        let outcome = self.client(&tools::claude()?, &arguments, "")?.ok()?;
        serde_json::from_str(&outcome.stdout).context(outcome.stdout)
    }

    /// The same in Node.
    pub(crate) fn node_sdk(&self, vendor: &str, mode: &str, arguments: &Value) -> Result<Value> {
        let script = self.home.join("sdk.mjs");
        fs::copy(tools::sources().join("clients/sdk.mjs"), &script)?;
        let status = self.json(&["status", "--json"])?;
        let listen = status["listen"].as_str().context("no address")?.parse()?;
        let mut words: Vec<String> =
            node_sdk(listen)?.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        words.push(tools::required("node")?.display().to_string());
        words.extend([script.display().to_string(), vendor.to_owned(), mode.to_owned()]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let outcome = self.client(&tools::required("env")?, &words, &arguments.to_string())?.ok()?;
        serde_json::from_str(&outcome.stdout).context(outcome.stdout)
    }

    pub(crate) fn sdk(&self, vendor: &str, mode: &str, arguments: &Value) -> Result<Value> {
        // Where the sources lie, another user may not be let in.
        let script = self.home.join("sdk.py");
        fs::copy(tools::sources().join("clients/sdk.py"), &script)?;
        let words = [&script.display().to_string(), vendor, mode];
        let outcome = self.client(&tools::python()?, &words, &arguments.to_string())?.ok()?;
        serde_json::from_str(&outcome.stdout).context(outcome.stdout)
    }
}
