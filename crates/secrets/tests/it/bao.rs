//! A real OpenBao server in development mode, with TLS and an authority of its own.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sallyport_policy::config::{VaultAuth, VaultConfig};
use serde_json::{Value, json};

const ROOT: &str = "root-token-of-the-test";
const READ_POLICY: &str = r#"
path "secret/data/ai-protected/*" { capabilities = ["read"] }
path "secret/metadata/ai-protected/*" { capabilities = ["list", "read"] }
path "secret/data/ai-protected/closed/*" { capabilities = ["deny"] }
path "kv1/ai-protected/*" { capabilities = ["read", "list"] }
"#;

pub(crate) struct Bao {
    process: Child,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) address: String,
    pub(crate) ca: PathBuf,
    http: reqwest::Client,
}

impl Bao {
    /// Starts a server and waits until it answers.
    pub(crate) async fn start() -> Bao {
        let program = crate::tool("SALLYPORT_BAO", "bao");
        let folder = tempfile::tempdir().expect("temp");
        let port = TcpListener::bind("127.0.0.1:0").expect("port").local_addr().expect("address").port();
        let certs = folder.path().join("tls");
        std::fs::create_dir(&certs).expect("folder");
        let log = std::fs::File::create(folder.path().join("log")).expect("log");
        let process = Command::new(program)
            .args(["server", "-dev", "-dev-no-store-token", "-dev-tls"])
            .arg(format!("-dev-root-token-id={ROOT}"))
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .arg(format!("-dev-tls-cert-dir={}", certs.display()))
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("log"))
            .stderr(log)
            .spawn()
            .expect("start bao");
        let ca = certs.join("vault-ca.pem");
        let mut bao = Bao {
            process,
            address: format!("https://127.0.0.1:{port}"),
            ca,
            http: reqwest::Client::builder()
                .tls_backend_preconfigured(trusting(&[]))
                .build()
                .expect("client"),
            folder,
        };
        bao.wait_until_ready().await;
        bao
    }

    async fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok(pem) = std::fs::read(&self.ca) {
                let tls = trusting(&pem);
                self.http = reqwest::Client::builder()
                    .tls_backend_preconfigured(tls)
                    .no_proxy()
                    .build()
                    .expect("client");
                let health = self.http.get(format!("{}/v1/sys/health", self.address)).send().await;
                if health.is_ok_and(|h| h.status() == StatusCode::OK) {
                    return;
                }
            }
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(self.process.try_wait().expect("status").is_none(), "bao ended: {}", log());
            assert!(Instant::now() < deadline, "bao does not answer: {}", log());
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let response = self
            .http
            .request(method, format!("{}/v1/{path}", self.address))
            .header("x-vault-token", ROOT)
            .body(body.to_string())
            .send()
            .await
            .expect("answer");
        let status = response.status();
        let bytes = response.bytes().await.expect("body");
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(Method::POST, path, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// Puts a secret into the engine of version 2.
    pub(crate) async fn put(&self, path: &str, fields: Value) {
        self.post(&format!("secret/data/{path}"), json!({ "data": fields })).await;
    }

    /// A policy that may read below `ai-protected`, and three ways to get a token with it.
    pub(crate) async fn set_up_logins(&self) -> Logins {
        self.post("sys/mounts/kv1", json!({"type": "kv", "options": {"version": "1"}})).await;
        self.post("sys/policies/acl/ai-read", json!({ "policy": READ_POLICY })).await;
        self.post("sys/auth/userpass", json!({"type": "userpass"})).await;
        self.post("sys/auth/approle", json!({"type": "approle"})).await;
        self.post(
            "auth/userpass/users/ada",
            json!({"password": "pass-of-ada", "token_policies": ["ai-read"]}),
        )
        .await;
        self.post("auth/approle/role/engine", json!({"token_policies": ["ai-read"], "token_ttl": "10m"}))
            .await;
        let text =
            |answer: &Value, at: &str| answer.pointer(at).and_then(Value::as_str).expect("text").to_owned();
        let (_, role) = self.call(Method::GET, "auth/approle/role/engine/role-id", Value::Null).await;
        let secret = self.post("auth/approle/role/engine/secret-id", json!({})).await;
        let token = self.post("auth/token/create", json!({"policies": ["ai-read"], "ttl": "10m"})).await;
        let file = |name: &str, text: &str| crate::private_file(self.folder.path(), name, text);
        Logins {
            token: VaultAuth::Token {
                token_file: file("token", &format!("{}\n", text(&token, "/auth/client_token"))),
            },
            approle: VaultAuth::Approle {
                role_id: text(&role, "/data/role_id"),
                secret_id_file: file("secret-id", &text(&secret, "/data/secret_id")),
            },
            userpass: VaultAuth::Userpass {
                username: "ada".into(),
                password_file: file("password", "pass-of-ada\n"),
            },
        }
    }

    pub(crate) fn config(&self, auth: &VaultAuth) -> VaultConfig {
        VaultConfig {
            address: self.address.clone(),
            ca: Some(self.ca.clone()),
            mount: "secret".into(),
            kv: 2,
            path: "ai-protected/".into(),
            namespace: None,
            auth: auth.clone(),
        }
    }

    pub(crate) fn root_auth(&self) -> VaultAuth {
        VaultAuth::Token { token_file: crate::private_file(self.folder.path(), "root", ROOT) }
    }
}

impl Drop for Bao {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) struct Logins {
    pub(crate) token: VaultAuth,
    pub(crate) approle: VaultAuth,
    pub(crate) userpass: VaultAuth,
}

fn trusting(pem: &[u8]) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
