//! A real OpenBao server in its development mode, with TLS, a reader's policy, and the three ways to log in.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::Background;
use crate::raw::Channel;
use crate::secrets::Secret;
use crate::{tools, wait};

const ROOT_TOKEN: &str = "root-token-of-the-test";

pub struct Vault {
    address: SocketAddr,
    // Ended before its folder goes.
    process: Background,
    dir: TempDir,
}

/// May list and read below `ai-protected/` in both key-value stores, and nothing else.
const POLICY: &str = r#"
path "secret/data/ai-protected/*" { capabilities = ["read"] }
path "secret/metadata/ai-protected/*" { capabilities = ["list", "read"] }
path "secret/metadata/ai-protected" { capabilities = ["list"] }
path "secret/metadata/ai-protected/" { capabilities = ["list"] }
path "kv1/ai-protected/*" { capabilities = ["list", "read"] }
path "kv1/ai-protected" { capabilities = ["list"] }
path "kv1/ai-protected/" { capabilities = ["list"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
"#;

impl Vault {
    pub fn start() -> Result<Vault> {
        let dir = tempfile::tempdir()?;
        let certificates = dir.path().join("tls");
        fs::create_dir(&certificates)?;
        // The server cannot pick a port itself; the one found here is free for the moment that it takes.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(tools::bao()?);
        command.args(["server", "-dev", "-dev-tls", "-dev-no-store-token"]);
        command.arg(format!("-dev-root-token-id={ROOT_TOKEN}"));
        command.arg(format!("-dev-listen-address={address}"));
        command.arg(format!("-dev-tls-cert-dir={}", certificates.display()));
        command.env_clear().env("HOME", dir.path());
        let process = Background::start(command, &dir.path().join("bao.log"))?;
        let vault = Vault { address, process, dir };
        let ready = wait::until("OpenBao to be ready", || {
            let mut channel = vault.connect().ok()?;
            let health = call(&mut channel, "GET", "sys/health", None).ok()?;
            (health.get("sealed") == Some(&Value::Bool(false))).then_some(())
        });
        if ready.is_err() {
            bail!("OpenBao did not start: {}", vault.process.output());
        }
        vault.prepare()?;
        Ok(vault)
    }

    fn prepare(&self) -> Result<()> {
        self.put("sys/mounts/kv1", json!({"type": "kv", "options": {"version": "1"}}))?;
        self.put("sys/policies/acl/ai-read", json!({ "policy": POLICY }))?;
        self.put("sys/auth/userpass", json!({"type": "userpass"}))?;
        self.put("sys/auth/approle", json!({"type": "approle"}))?;
        self.put(
            "auth/userpass/users/gate",
            json!({"password": "gate-password-1", "token_policies": ["ai-read"]}),
        )?;
        self.put("auth/approle/role/gate", json!({"token_policies": ["ai-read"], "token_ttl": "10m"}))?;
        Ok(())
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("tls/vault-ca.pem")
    }

    /// Writes secrets below `ai-protected/`, into the version 2 or the version 1 store.
    pub fn store(&self, secrets: &[Secret], version: u8) -> Result<()> {
        let mut channel = self.connect()?;
        for secret in secrets {
            let fields = json!({ secret.field: secret.value });
            let (path, body) = match version {
                1 => (format!("kv1/ai-protected/{}", secret.path), fields),
                _ => (format!("secret/data/ai-protected/{}", secret.path), json!({ "data": fields })),
            };
            call(&mut channel, "POST", &path, Some(body))?;
        }
        Ok(())
    }

    /// A reader's token in a file of its own, and the accessor-free way to end it: [`Vault::revoke`].
    pub fn token_file(&self, ttl: &str) -> Result<PathBuf> {
        let body = json!({"policies": ["ai-read"], "ttl": ttl, "renewable": true});
        let made = self.put("auth/token/create", body)?;
        let token = made["auth"]["client_token"].as_str().context("no token in the answer")?;
        self.file("token", token)
    }

    pub fn revoke(&self, token_file: &Path) -> Result<()> {
        let token = fs::read_to_string(token_file)?;
        self.put("auth/token/revoke", json!({ "token": token.trim() })).map(drop)
    }

    /// A role's id, and the file with its secret id.
    pub fn approle(&self) -> Result<(String, PathBuf)> {
        let mut channel = self.connect()?;
        let role = call(&mut channel, "GET", "auth/approle/role/gate/role-id", None)?;
        let role = role["data"]["role_id"].as_str().context("no role id")?.to_owned();
        let made = self.put("auth/approle/role/gate/secret-id", json!({}))?;
        let secret = made["data"]["secret_id"].as_str().context("no secret id")?;
        Ok((role, self.file("secret-id", secret)?))
    }

    /// The user's name, and the file with the password.
    pub fn userpass(&self) -> Result<(String, PathBuf)> {
        Ok(("gate".into(), self.file("password", "gate-password-1")?))
    }

    /// The configuration entries by which an engine reads both stores with a token.
    pub fn config(&self, token_file: &Path) -> Value {
        let auth = json!({"method": "token", "token_file": token_file});
        let entry = |mount: &str, kv: u8| {
            json!({"address": self.url(), "ca": self.ca(), "mount": mount, "kv": kv,
                   "path": "ai-protected/", "auth": auth})
        };
        json!([entry("secret", 2), entry("kv1", 1)])
    }

    /// Stops the server, as if its machine had gone.
    pub fn stop(&mut self) {
        self.process.kill();
    }

    fn put(&self, path: &str, body: Value) -> Result<Value> {
        call(&mut self.connect()?, "POST", path, Some(body))
    }

    fn connect(&self) -> Result<Channel> {
        Channel::tls(TcpStream::connect(self.address)?, "127.0.0.1", &self.ca())
    }

    fn file(&self, name: &str, content: &str) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path =
            tempfile::Builder::new().prefix(name).tempfile_in(self.dir.path())?.into_temp_path().keep()?;
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }
}

fn call(channel: &mut Channel, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
    let body = body.map(|b| b.to_string()).unwrap_or_default();
    let headers = [("Host", "127.0.0.1"), ("X-Vault-Token", ROOT_TOKEN)];
    channel.request(method, &format!("/v1/{path}"), &headers, body.as_bytes())?;
    let response = channel.response()?;
    ensure!(response.status < 300, "{method} {path}: {} {}", response.status, response.text());
    if response.body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&response.body).with_context(|| format!("{method} {path}: the answer is not JSON"))
}
