//! Controls: the stage without the product. Every client reaches the emulator through a plain tunnel, and the checks
//! of the other modules find a secret that does get through. Without these, a silent stage would prove anything.

use anyhow::{Context, Result, ensure};
use sallyport_tests::aimock::{ANSWER, Aimock};
use sallyport_tests::browser::{Browser, cross_site_page, lead, rebinding_page};
use sallyport_tests::clients::Client;
use sallyport_tests::encodings::{self, Form};
use sallyport_tests::expect::{self, Template};
use sallyport_tests::front::{Onward, PROVIDER_NAMES};
use sallyport_tests::keychain::Keychain;
use sallyport_tests::relay::{Careless, Rebinding, TunnelToOne};
use sallyport_tests::vault::Vault;
use sallyport_tests::{Front, TestRoot, secrets};
use serde_json::{Value, json};

/// Emulator, front and a tunnel to it.
struct Direct {
    root: TestRoot,
    front: Front,
    tunnel: TunnelToOne,
    _aimock: Aimock,
}

impl Direct {
    fn start() -> Result<Direct> {
        let root = TestRoot::new()?;
        let aimock = Aimock::start()?;
        let front = Front::start(&root, &PROVIDER_NAMES)?;
        front.forward(Onward::Emulator(aimock.address));
        let tunnel = TunnelToOne::start(front.address())?;
        Ok(Direct { root, front, tunnel, _aimock: aimock })
    }

    fn client(&self) -> Result<Client> {
        Client::new(self.tunnel.address, &self.root.pem())
    }
}

#[test]
fn curl_reaches_the_emulator_with_every_coding() -> Result<()> {
    let stage = Direct::start()?;
    let client = stage.client()?;
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}).to_string();
    for coding in ["identity", "gzip", "zstd", "br", "deflate"] {
        let sent = encodings::encode(coding, body.as_bytes())?;
        let header = format!("content-encoding: {coding}");
        let url = "https://api.openai.com/v1/chat/completions";
        let answer: Value = serde_json::from_str(&client.curl_post(url, &[&header], &sent)?.ok()?.stdout)?;
        ensure!(answer["choices"][0]["message"]["content"] == ANSWER, "{coding}: {answer}");
        let [seen] = &stage.front.take()[..] else { anyhow::bail!("not one request") };
        ensure!(
            seen.raw == sent && seen.body == body.as_bytes(),
            "{coding}: the record differs from what was sent"
        );
        ensure!(seen.protocol == http::Version::HTTP_2, "curl came by {:?}", seen.protocol);
    }
    Ok(())
}

#[test]
fn the_sdks_reach_the_emulator() -> Result<()> {
    let stage = Direct::start()?;
    let client = stage.client()?;
    let message = json!([{"role": "user", "content": "hello"}]);
    for (vendor, arguments) in [
        ("openai", json!({"model": "gpt-4o", "messages": message})),
        ("anthropic", json!({"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": message})),
    ] {
        for mode in ["plain", "stream"] {
            let outcome = client.python("sdk.py", &[vendor, mode], &arguments.to_string())?.ok()?;
            let answer: Value = serde_json::from_str(&outcome.stdout)?;
            ensure!(answer["text"] == ANSWER, "{vendor} {mode}: {answer}");
            ensure!(
                mode == "plain" || answer["pieces"].as_u64() > Some(3),
                "{vendor} did not stream: {answer}"
            );
            let [seen] = &stage.front.take()[..] else { anyhow::bail!("not one request") };
            let sent = answer["sent"][0].as_str().context("nothing sent")?;
            let sent = data_encoding::BASE64.decode(sent.as_bytes())?;
            ensure!(seen.body == sent, "{vendor} {mode}: the record differs from what was sent");
        }
    }
    Ok(())
}

#[test]
fn claude_code_reaches_the_emulator() -> Result<()> {
    let stage = Direct::start()?;
    let outcome = stage.client()?.claude("Say one word.")?.ok()?;
    let answer: Value = serde_json::from_str(&outcome.stdout).with_context(|| outcome.stdout.clone())?;
    ensure!(answer["result"] == ANSWER, "{answer}");
    let seen = stage.front.requests();
    let model = seen.iter().find(|r| r.path() == "/v1/messages").context("no model request")?;
    ensure!(model.body.len() > 20_000, "its request is only {} bytes", model.body.len());
    if let Some(dir) = std::env::var_os("SALLYPORT_TEST_KEEP") {
        for (i, request) in seen.iter().enumerate() {
            std::fs::write(std::path::Path::new(&dir).join(format!("claude-{i}.txt")), request.everything())?;
        }
    }
    Ok(())
}

#[test]
fn the_check_finds_every_form_of_a_secret_that_gets_through() -> Result<()> {
    let known = secrets::some("key", 20, 1, true);
    for (index, secret) in known.iter().enumerate() {
        for form in Form::ALL {
            let mut body = Template::default();
            body.text("{\"text\":\"x ").secret(&known, index, form).text("\"}");
            let sent = body.bytes();
            serde_json::from_slice::<Value>(&sent)?;
            let found = expect::search(&sent, &known);
            ensure!(found.len() == found.iter().filter(|f| f.starts_with(&secret.path)).count(), "{found:?}");
            ensure!(
                !found.is_empty(),
                "{form:?} of {:?} is not found in {:?}",
                secret.value,
                String::from_utf8(sent)
            );
            ensure!(body.check(&body.bytes(), &known).is_err(), "an untouched body passes");
        }
    }
    Ok(())
}

#[test]
fn the_check_accepts_a_body_with_placeholders_and_no_other_change() -> Result<()> {
    let known = secrets::some("key", 1, 1, true);
    let mut body = Template::default();
    body.text("{\"text\":\"a ").secret(&known, 0, Form::Raw).text("b\"}");
    let good = br#"{"text":"a <0: [SECRET:key-00] :0> b"}"#;
    let seen = body.check(good, &known)?;
    ensure!(seen.0[&0] == ["[SECRET:key-00]"]);
    for bad in [
        &br#"{"text":"a <0: [SECRET:key-00] :0>  b"}"#[..],
        br#"{"text":"a <0: [SECRET:key-00]x :0> b"}"#,
        br#"{"text":"a <0: [SECRET:other] :0> b"}"#,
        br#"{"text":"a <0: [SECRET:key-00] :0> b"} "#,
    ] {
        ensure!(body.check(bad, &known).is_err(), "{} passes", String::from_utf8_lossy(bad));
    }
    Ok(())
}

#[test]
fn the_vault_holds_secrets_for_three_ways_to_log_in() -> Result<()> {
    let vault = Vault::start()?;
    vault.store(&secrets::some("key", 3, 1, true), 2)?;
    vault.store(&secrets::some("old", 2, 2, true), 1)?;
    ensure!(!std::fs::read_to_string(vault.token_file("10m")?)?.is_empty());
    ensure!(!vault.approle()?.0.is_empty());
    ensure!(vault.ca().exists());
    vault.revoke(&vault.token_file("10m")?)
}

#[test]
fn the_keychain_keeps_what_is_stored() -> Result<()> {
    let keychain = Keychain::start()?;
    keychain.store(&secrets::some("ring", 5, 3, false))?;
    ensure!(keychain.lookup("ring-03")? == secrets::some("ring", 5, 3, false)[3].value);
    keychain.lock()?;
    ensure!(keychain.lookup("ring-03").is_err(), "a locked keychain gives its secret");
    Ok(())
}

#[test]
fn a_hostile_page_reaches_a_server_that_does_not_look() -> Result<()> {
    let server = Careless::start()?;
    let paths = vec!["/one".to_owned(), "/two".to_owned()];
    let rebinding = Rebinding::start(rebinding_page(&paths), server.address)?;
    let url = format!("http://evil.example:{}/", server.address.port());
    let page = Browser::new()?.open(&url, &lead("evil.example", rebinding.address))?.ok()?.stdout;
    for line in ["GET /one 200", "POST /two 200", "finished"] {
        ensure!(page.contains(line), "{line} is not in {page}");
    }
    let target = format!("http://{}", server.address);
    let attacker = Rebinding::start(cross_site_page(&target, &paths), server.address)?;
    let browser = Browser::new()?;
    browser.open("http://evil.example/", &lead("evil.example", attacker.address))?.ok()?;
    let seen = browser.responses()?;
    for (method, path) in [("POST", "/one"), ("GET", "/two")] {
        let url = format!("{target}{path}");
        let reached = seen.iter().any(|r| r.method == method && r.url == url && r.status == 200);
        ensure!(reached, "the page did not send {method} {path}: {seen:?}");
    }
    Ok(())
}
