//! Vault as a source, against the real server.

use std::path::PathBuf;

use reqwest::Method;
use sallyport_platform::Paths;
use sallyport_policy::config::{SecretsConfig, VaultAuth, VaultConfig};
use sallyport_secrets::{ProblemCode, SourceReport, load};
use serde_json::{Value, json};

use crate::bao::Bao;

async fn read(bao: &Bao, config: VaultConfig) -> SourceReport {
    let secrets = SecretsConfig {
        keychain: false,
        well_known_files: false,
        vaults: vec![config],
        ..SecretsConfig::default()
    };
    let paths = Paths::under(bao.folder.path());
    let mut reports = load(&secrets, &paths, crate::judge()).await;
    assert_eq!(reports.len(), 1);
    reports.remove(0)
}

async fn code(bao: &Bao, config: VaultConfig) -> ProblemCode {
    let report = read(bao, config).await;
    let error = report.result.expect_err("an error");
    assert!(!error.message.is_empty() && !error.hint.is_empty());
    println!("{}: {} | {}", error.code.as_str(), error.message, error.hint);
    error.code
}

fn values(report: &SourceReport) -> Vec<(String, String)> {
    report
        .result
        .as_ref()
        .unwrap_or_else(|e| panic!("{}: {e}", e.code.as_str()))
        .iter()
        .filter(|s| !s.part)
        .map(|s| (s.name.clone(), s.value.as_str().expect("text").to_owned()))
        .collect()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect()
}

#[tokio::test]
async fn reads_everything_below_the_path_by_every_login() {
    let bao = Bao::start().await;
    let logins = bao.set_up_logins().await;
    bao.put("ai-protected/openai", json!({"value": "made-up-openai-key"})).await;
    bao.put(
        "ai-protected/db/main",
        json!({"user": "billing-user", "password": "made-up-password", "port": 5432}),
    )
    .await;
    bao.put("ai-protected/db/a/b/c/deep one", json!({"value": "made-up-deep-value"})).await;
    bao.put("ai-protected/db/host", json!({"value": "postgres-server"})).await;
    bao.put("ai-protected/short", json!({"value": "1234567"})).await;
    bao.put("ai-protected/rotated", json!({"value": "made-up-version-1"})).await;
    bao.put("ai-protected/rotated", json!({"value": "made-up-version-2"})).await;
    bao.put("ai-protected/deleted", json!({"value": "made-up-deleted-value"})).await;
    bao.call(Method::DELETE, "secret/data/ai-protected/deleted", Value::Null).await;
    bao.put("elsewhere/other", json!({"value": "not-for-us-at-all"})).await;

    let expected = owned(&[
        ("db/a/b/c/deep_one", "made-up-deep-value"),
        ("db/host", "postgres-server"),
        ("db/main/password", "made-up-password"),
        ("db/main/user", "billing-user"),
        ("openai", "made-up-openai-key"),
        ("rotated", "made-up-version-2"),
    ]);
    for auth in [&logins.token, &logins.approle, &logins.userpass] {
        let report = read(&bao, bao.config(auth)).await;
        assert_eq!(values(&report), expected);
        assert_eq!(report.skipped_short, 1);
        assert_eq!(report.count(), 6);
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        let address = &bao.address;
        assert_eq!(report.location, format!("{address}/secret/ai-protected"));
        assert_eq!(report.id.as_str(), format!("vault:{address}/secret/ai-protected"));
        let weak: Vec<_> =
            report.result.iter().flatten().filter(|s| s.weak).map(|s| s.name.as_str()).collect();
        assert_eq!(weak, ["db/host"]);
    }

    // what a login made is revoked again: only the root's token and the given one are left
    let (_, accessors) = bao.call(Method::GET, "auth/token/accessors?list=true", Value::Null).await;
    assert_eq!(
        accessors.pointer("/data/keys").and_then(Value::as_array).map(Vec::len),
        Some(2),
        "{accessors}"
    );

    // paths that policy closes are left out and named
    bao.put("ai-protected/closed/one", json!({"value": "made-up-closed-value"})).await;
    let report = read(&bao, bao.config(&logins.token)).await;
    assert_eq!(values(&report), expected);
    assert_eq!(report.warnings[0].code, ProblemCode::VaultDenied);

    // version 1
    bao.post("kv1/ai-protected/legacy/pair", json!({"user": "legacy-user", "pin": 1234567890})).await;
    bao.post("kv1/ai-protected/plain", json!({"value": "made-up-plain-value"})).await;
    let version_1 = VaultConfig { mount: "kv1/".into(), kv: 1, ..bao.config(&logins.approle) };
    assert_eq!(
        values(&read(&bao, version_1).await),
        owned(&[
            ("legacy/pair/pin", "1234567890"),
            ("legacy/pair/user", "legacy-user"),
            ("plain", "made-up-plain-value"),
        ])
    );
}

/// Tokens that somebody else has issued: an identity provider's, and a pod's, which the server shows to its cluster.
#[tokio::test]
async fn a_token_of_somebody_elses_opens_the_vault() {
    let encoded = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
    let bao = Bao::start().await;
    bao.set_up_logins().await;
    bao.put("ai-protected/one", json!({"value": "made-up-value-1"})).await;
    let key = p256::ecdsa::SigningKey::from_slice(&[5; 32]).expect("a key");
    let signed = |claims: Value| {
        use p256::ecdsa::{Signature, signature::Signer};
        let head = encoded(json!({"alg": "ES256", "typ": "JWT"}).to_string().as_bytes());
        let text = format!("{head}.{}", encoded(claims.to_string().as_bytes()));
        let signature: Signature = key.sign(text.as_bytes());
        format!("{text}.{}", encoded(&signature.to_bytes()))
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("time").as_secs();
    // What says that a point of P-256 follows.
    let kind = data_encoding::HEXLOWER.decode(b"3059301306072a8648ce3d020106082a8648ce3d030107034200");
    let public =
        [kind.expect("hexadecimal"), key.verifying_key().to_sec1_point(false).as_bytes().to_vec()].concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        data_encoding::BASE64.encode(&public)
    );
    bao.post("sys/auth/corp", json!({"type": "jwt"})).await;
    bao.post(
        "auth/corp/config",
        json!({"jwt_validation_pubkeys": [pem], "jwt_supported_algs": ["ES256"], "default_role": "dev"}),
    )
    .await;
    bao.post(
        "auth/corp/role/dev",
        json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": ["ai-read"]}),
    )
    .await;
    let claims = |audience: &str| json!({"sub": "ada", "aud": audience, "iat": now, "exp": now + 600});
    let file = |name: &str, text: &str| crate::private_file(bao.folder.path(), name, text);
    let jwt = |name: &str, audience: &str, role: Option<&str>| VaultAuth::Jwt {
        role: role.map(str::to_owned),
        jwt_file: file(name, &signed(claims(audience))),
        mount: "corp".into(),
    };
    for role in [Some("dev"), None] {
        let report = read(&bao, bao.config(&jwt("good", "vault", role))).await;
        assert_eq!(values(&report), owned(&[("one", "made-up-value-1")]));
    }
    let other = bao.config(&jwt("other", "elsewhere", Some("dev")));
    assert_eq!(code(&bao, other).await, ProblemCode::VaultLoginRefused);

    // Its address is plain, but the server wants one all the same.
    let authority = std::fs::read_to_string(&bao.ca).expect("a certificate");
    let cluster = crate::cluster::Cluster::start().await;
    bao.post("sys/auth/kubernetes", json!({"type": "kubernetes"})).await;
    let config = json!({"kubernetes_host": cluster.address, "token_reviewer_jwt": "reviewer", "kubernetes_ca_cert": authority});
    bao.post("auth/kubernetes/config", config).await;
    bao.post(
        "auth/kubernetes/role/workspace",
        json!({"bound_service_account_names": ["editor"], "bound_service_account_namespaces": ["dev"], "token_policies": ["ai-read"]}),
    )
    .await;
    let pod = |account: &str| VaultAuth::Kubernetes {
        role: "workspace".into(),
        jwt_file: file(
            account,
            &signed(
                json!({"sub": format!("system:serviceaccount:dev:{account}"), "iat": now, "exp": now + 600,
            "kubernetes.io": {"namespace": "dev", "serviceaccount": {"name": account, "uid": "u-1"}}}),
            ),
        ),
        mount: "kubernetes".into(),
    };
    let report = read(&bao, bao.config(&pod("editor"))).await;
    assert_eq!(values(&report), owned(&[("one", "made-up-value-1")]));
    assert_eq!(code(&bao, bao.config(&pod("stranger"))).await, ProblemCode::VaultLoginRefused);
}

/// A renewable token lives on while it is used: it is renewed once half of its time is over.
#[tokio::test]
async fn a_given_token_is_renewed_before_it_ends() {
    let bao = Bao::start().await;
    bao.set_up_logins().await;
    bao.put("ai-protected/one", json!({"value": "made-up-value-1"})).await;
    let made = json!({"policies": ["ai-read", "default"], "ttl": "6s", "explicit_max_ttl": "10m"});
    let made = bao.post("auth/token/create", made).await;
    let token = made.pointer("/auth/client_token").and_then(Value::as_str).expect("token").to_owned();
    let config =
        bao.config(&VaultAuth::Token { token_file: crate::private_file(bao.folder.path(), "short", &token) });
    let ends = || async {
        let (_, found) = bao.call(Method::POST, "auth/token/lookup", json!({"token": token})).await;
        found.pointer("/data/expire_time").and_then(Value::as_str).map(str::to_owned)
    };
    let first = ends().await.expect("a lifetime");
    let started = std::time::Instant::now();
    // Longer than the token would have lived.
    while ends().await.as_ref() == Some(&first) || started.elapsed().as_secs() < 7 {
        assert_eq!(read(&bao, config.clone()).await.count(), 1, "{:?}", started.elapsed());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn each_failure_has_a_code_a_sentence_and_a_way_out() {
    let bao = Bao::start().await;
    let logins = bao.set_up_logins().await;
    bao.put("ai-protected/one", json!({"value": "made-up-value-1"})).await;
    bao.put("elsewhere/other", json!({"value": "made-up-value-2"})).await;
    let good = || bao.config(&logins.token);
    let folder = bao.folder.path();
    let token =
        |name: &str, text: &str| VaultAuth::Token { token_file: crate::private_file(folder, name, text) };

    // the server and the way to it
    assert_eq!(code(&bao, VaultConfig { ca: None, ..good() }).await, ProblemCode::VaultTls);
    let closed = VaultConfig { address: "https://127.0.0.1:9".into(), ..good() };
    assert_eq!(code(&bao, closed).await, ProblemCode::VaultUnreachable);
    let plain = VaultConfig { address: bao.address.replace("https", "http"), ..good() };
    assert_eq!(code(&bao, plain).await, ProblemCode::VaultFailed, "TLS is expected there");
    let clear = VaultConfig { address: "http://vault.example:8200".into(), ..good() };
    assert_eq!(code(&bao, clear).await, ProblemCode::VaultInsecure);
    let nowhere = VaultConfig { ca: Some(folder.join("none.pem")), ..good() };
    assert_eq!(code(&bao, nowhere).await, ProblemCode::CredentialFile);

    // tokens
    let missing = VaultAuth::Token { token_file: PathBuf::from("/nonexistent/token") };
    assert_eq!(code(&bao, bao.config(&missing)).await, ProblemCode::CredentialFile);
    assert_eq!(code(&bao, bao.config(&token("empty", " \n"))).await, ProblemCode::CredentialFile);
    let expired = bao.config(&token("wrong", "hvs.never-was-a-token"));
    assert_eq!(code(&bao, expired).await, ProblemCode::VaultTokenInvalid);
    let other = VaultConfig { path: "elsewhere/".into(), ..good() };
    assert_eq!(code(&bao, other).await, ProblemCode::VaultDenied);
    let wrong_secret_id = match &logins.approle {
        VaultAuth::Approle { role_id, .. } => VaultAuth::Approle {
            role_id: role_id.clone(),
            secret_id_file: crate::private_file(folder, "wrong-id", "00000000-0000-0000-0000-000000000000"),
        },
        _ => unreachable!("an approle"),
    };
    assert_eq!(code(&bao, bao.config(&wrong_secret_id)).await, ProblemCode::VaultLoginRefused);
    let wrong_password = VaultAuth::Userpass {
        username: "ada".into(),
        password_file: crate::private_file(folder, "wrong-password", "wrong-password"),
    };
    assert_eq!(code(&bao, bao.config(&wrong_password)).await, ProblemCode::VaultLoginRefused);

    // the engine
    let root = bao.root_auth();
    let no_mount = VaultConfig { mount: "nothing".into(), ..bao.config(&root) };
    assert_eq!(code(&bao, no_mount).await, ProblemCode::VaultMount);
    let no_kv = VaultConfig { mount: "sys".into(), ..bao.config(&root) };
    assert!(matches!(code(&bao, no_kv).await, ProblemCode::VaultMount | ProblemCode::VaultFailed));
    let is_1 = VaultConfig { mount: "kv1".into(), kv: 2, ..bao.config(&root) };
    assert_eq!(code(&bao, is_1).await, ProblemCode::VaultKvVersion);
    let is_2 = VaultConfig { kv: 1, ..bao.config(&root) };
    assert_eq!(code(&bao, is_2).await, ProblemCode::VaultKvVersion);
    let empty = VaultConfig { path: "nothing/here".into(), ..bao.config(&root) };
    assert_eq!(values(&read(&bao, empty).await), []);

    // a token that others can read is used, and mentioned
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open = folder.join("root");
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).expect("mode");
        let report = read(&bao, bao.config(&VaultAuth::Token { token_file: open })).await;
        assert_eq!(report.count(), 1);
        assert_eq!(report.warnings[0].code, ProblemCode::CredentialFileOpen);
    }

    // no server, and one that is sealed
    bao.call(Method::PUT, "sys/seal", json!({})).await;
    assert_eq!(code(&bao, good()).await, ProblemCode::VaultSealed);
    assert_eq!(code(&bao, bao.config(&logins.approle)).await, ProblemCode::VaultSealed);
}

#[tokio::test]
async fn a_server_that_is_no_vault_makes_no_sense() {
    let bao = Bao::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = format!("http://{}", listener.local_addr().expect("address"));
    let server = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\n<html/>")
                .await;
        }
    });
    let config = VaultConfig { address, ..bao.config(&bao.root_auth()) };
    assert_eq!(code(&bao, config).await, ProblemCode::VaultMalformed);
    server.abort();
}

#[tokio::test]
async fn many_secrets_are_read_side_by_side() {
    let bao = Bao::start().await;
    for number in 0..200 {
        bao.put(
            &format!("ai-protected/{}/{number}", number % 10),
            json!({ "value": format!("made-up-{number:08}") }),
        )
        .await;
    }
    let start = std::time::Instant::now();
    let report = read(&bao, bao.config(&bao.root_auth())).await;
    println!("200 secrets in {:?}", start.elapsed());
    assert_eq!(report.count(), 200);
}
