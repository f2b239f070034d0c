//! The real clients, each started with an empty environment and a home of its own: what they need to find the proxy
//! and to trust it is given, and nothing else of this machine reaches them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::process::{Outcome, run, run_with_input};
use crate::tools;

const LIMIT: Duration = Duration::from_secs(120);
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What `clients/sdk.mjs` needs to find its packages and the engine.
pub fn node_sdk(proxy: SocketAddr) -> Result<Vec<(&'static str, String)>> {
    let key = || "no-key-needed".to_owned();
    Ok(vec![
        ("SALLYPORT_TEST_NPM", tools::node_packages()?.display().to_string()),
        ("OPENAI_BASE_URL", format!("http://{proxy}/openai/v1")),
        ("ANTHROPIC_BASE_URL", format!("http://{proxy}/anthropic")),
        ("OPENAI_API_KEY", key()),
        ("ANTHROPIC_API_KEY", key()),
    ])
}

pub struct Client {
    home: TempDir,
    proxy: SocketAddr,
    trust: PathBuf,
}

impl Client {
    /// A client that goes through `proxy` and trusts the roots in the PEM file `trust`, and no others.
    pub fn new(proxy: SocketAddr, trust: &Path) -> Result<Client> {
        let home = tempfile::tempdir()?;
        fs::create_dir(home.path().join("project"))?;
        Ok(Client { home, proxy, trust: trust.to_owned() })
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    fn prepared(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", SYSTEM_PATH).env("HOME", self.home.path()).env("LANG", "C.UTF-8");
        command.env("TERM", "dumb").env("HTTPS_PROXY", format!("http://{}", self.proxy));
        command.current_dir(self.home.path().join("project"));
        command
    }

    /// curl through the proxy. Output is the response's body.
    pub fn curl(&self, arguments: &[&str]) -> Result<Outcome> {
        let mut command = self.prepared(&tools::required("curl")?);
        command.args(["--silent", "--show-error", "--cacert"]).arg(&self.trust).args(arguments);
        run(command, LIMIT)
    }

    /// POSTs a body as it is.
    pub fn curl_post(&self, url: &str, headers: &[&str], body: &[u8]) -> Result<Outcome> {
        let file = self.home.path().join("body");
        fs::write(&file, body)?;
        let data = format!("@{}", file.display());
        let mut arguments = vec!["--data-binary", &data, "--header", "content-type: application/json"];
        arguments.extend(headers.iter().flat_map(|h| ["--header", h]));
        arguments.push(url);
        self.curl(&arguments)
    }

    /// A script of `tests/clients` in the interpreter that has the SDKs; `input` is its standard input.
    pub fn python(&self, script: &str, arguments: &[&str], input: &str) -> Result<Outcome> {
        let mut command = self.prepared(&tools::python()?);
        command.arg(tools::sources().join("clients").join(script)).args(arguments);
        command.env("SSL_CERT_FILE", &self.trust);
        command.env("OPENAI_API_KEY", "no-key-needed").env("ANTHROPIC_API_KEY", "no-key-needed");
        run_with_input(command, input.as_bytes(), LIMIT)
    }

    /// The Node SDKs know no proxy: they are led by their base URL. `input` is the call's arguments.
    pub fn node_sdk(&self, arguments: &[&str], input: &str) -> Result<Outcome> {
        let mut command = self.prepared(&tools::required("node")?);
        command.arg(tools::sources().join("clients/sdk.mjs")).args(arguments);
        command.envs(node_sdk(self.proxy)?).env_remove("HTTPS_PROXY");
        run_with_input(command, input.as_bytes(), LIMIT)
    }

    /// Claude Code without its screen: one prompt, one answer. Its telemetry stays on, since that is traffic too.
    pub fn claude(&self, prompt: &str) -> Result<Outcome> {
        self.claude_with(prompt, &[])
    }

    pub fn claude_with(&self, prompt: &str, arguments: &[&str]) -> Result<Outcome> {
        let mut command = self.prepared(&tools::claude()?);
        command.args(["--print", "--output-format", "json", prompt]).args(arguments);
        command.env("ANTHROPIC_API_KEY", "no-key-needed").env("NODE_EXTRA_CA_CERTS", &self.trust);
        command.env("DISABLE_AUTOUPDATER", "1");
        run(command, LIMIT)
    }

    /// A script of `tests/clients` in Node.
    pub fn node(&self, script: &str, arguments: &[&str]) -> Result<Outcome> {
        let mut command = self.prepared(&tools::required("node")?);
        command.arg(tools::sources().join("clients").join(script)).args(arguments);
        command.env("NODE_EXTRA_CA_CERTS", &self.trust);
        run(command, LIMIT)
    }
}
