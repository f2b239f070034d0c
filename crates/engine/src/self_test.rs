//! Proof on demand: a canary secret walks through the real listener to a loopback provider, which must never see it.
//!
//! The provider stands on this machine, under a name that nobody can own, with a certificate of an authority that
//! lives as long as the engine and may speak for that name alone.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use http::header;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, ServerName};
use sallyport_audit::Filter;
use sallyport_certs::CertAuthority;
use sallyport_detect::{SecretEntry, SecretSet};
use sallyport_ipc::types::{SelfTestCheck, SelfTestReport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zeroize::Zeroizing;

use crate::engine::Engine;
use crate::record::ControlAction;

/// The loopback provider's name; in the registry like any other host.
pub(crate) const HOST: &str = "self-test.sallyport.invalid";
pub(crate) const PORT: u16 = 443;
const NAME: &str = "self-test-canary";
const PATH: &str = "/v1/chat/completions";

/// The loopback provider.
pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    pub(crate) root: CertificateDer<'static>,
    received: Arc<Mutex<Vec<Bytes>>>,
    /// What the provider says next; set by each run.
    answer: Arc<Mutex<Bytes>>,
    /// One run at a time.
    running: tokio::sync::Mutex<()>,
}

/// Why a step of the test could not be taken.
type Step<T> = Result<T, String>;

impl Stage {
    pub(crate) async fn open() -> Step<Stage> {
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let keys = MemoryKeys::default();
        let (authority, _) =
            CertAuthority::open_or_create(folder.path(), &keys, &[HOST.to_owned()], SystemTime::now())
                .map_err(|error| error.to_string())?;
        let key = authority.certified_key_now(HOST).map_err(|error| error.to_string())?;
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)));
        let stage = Stage {
            address,
            root: authority.root_der().clone(),
            received: Arc::default(),
            answer: Arc::default(),
            running: tokio::sync::Mutex::default(),
        };
        tokio::spawn(provide(listener, Arc::new(config), stage.received.clone(), stage.answer.clone()));
        Ok(stage)
    }
}

/// Answers every request with what the run has put there, in two pieces.
async fn provide(
    listener: TcpListener,
    config: Arc<rustls::ServerConfig>,
    received: Arc<Mutex<Vec<Bytes>>>,
    answer: Arc<Mutex<Bytes>>,
) {
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    while let Ok((socket, _)) = listener.accept().await {
        let (acceptor, received, answer) = (acceptor.clone(), received.clone(), answer.clone());
        tokio::spawn(async move {
            let Ok(tls) = acceptor.accept(socket).await else { return };
            let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                let (received, answer) = (received.clone(), answer.clone());
                async move {
                    if let Ok(body) = request.into_body().collect().await {
                        received.lock().push(body.to_bytes());
                    }
                    let mut response = Response::new(Full::new(answer.lock().clone()));
                    response
                        .headers_mut()
                        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
                    Ok::<_, Infallible>(response)
                }
            });
            let _ =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tls), service).await;
        });
    }
}

/// Runs the test and says what was tried and what was seen.
pub(crate) async fn run(engine: &Engine) -> SelfTestReport {
    let _alone = engine.self_test.running.lock().await;
    let started = Instant::now();
    let mut checks = Vec::new();
    if let Err(sentence) = walk(engine, &mut checks).await {
        checks.push(SelfTestCheck { name: "run".into(), passed: false, sentence });
    }
    *engine.self_test.answer.lock() = Bytes::new();
    engine.sources.set_extra(None);
    engine.rebuild_scanner();
    let passed = !checks.is_empty() && checks.iter().all(|check| check.passed);
    let outcome = if passed { "passed" } else { "failed" };
    if engine.record_control(ControlAction::SelfTest, outcome).await.is_err() {
        checks.push(check("audit", false, "The result of this test could not be recorded."));
    }
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    SelfTestReport { passed: passed && checks.iter().all(|check| check.passed), checks, took_ms }
}

fn check(name: &str, passed: bool, sentence: impl Into<String>) -> SelfTestCheck {
    SelfTestCheck { name: name.into(), passed, sentence: sentence.into() }
}

async fn walk(engine: &Engine, checks: &mut Vec<SelfTestCheck>) -> Step<()> {
    if engine.switch.is_off() {
        return Err("Protection is off; switch it on first: sallyport on".into());
    }
    let canary = canary()?;
    let entry = SecretEntry { name: NAME, value: canary.as_bytes(), weak: false };
    engine.sources.set_extra(Some(SecretSet::build(engine.sources.key(), "self-test", [entry])));
    engine.rebuild_scanner();
    let trail = engine.trail.load_full().ok_or("The audit trail is not open.")?;
    let before = trail.reader().and_then(|reader| reader.last_seq()).map_err(|error| error.to_string())?;

    let forms = forms(&canary);
    let prompt = forms.iter().map(|form| format!("<{form}>")).collect::<Vec<_>>().join(" and ");
    let body = request_body(&prompt);
    let expected = request_body(&vec![format!("<[SECRET:{NAME}]>"); forms.len()].join(" and "));
    engine.self_test.received.lock().clear();
    *engine.self_test.answer.lock() = answer(&canary);

    let said = send(engine, body.into()).await?;
    checks.push(check(
        "interception",
        true,
        format!("A client that trusts only our root reached {HOST} through {} over TLS.", engine.listen),
    ));

    let received = engine.self_test.received.lock().pop().ok_or("the loopback provider received nothing")?;
    let leaked = forms.iter().filter(|form| holds(&received, form.as_bytes())).count();
    let sentence = match leaked {
        0 => {
            format!("A canary secret was sent in {} forms; the provider received none of them.", forms.len())
        }
        n => format!("The provider received the canary secret in {n} of {} forms.", forms.len()),
    };
    checks.push(check("redaction", leaked == 0, sentence));
    let same = received == expected.as_bytes();
    let sentence = if same {
        format!("All other bytes of the request arrived as they were sent ({} bytes).", received.len())
    } else {
        "Bytes that were no part of the canary arrived changed.".to_owned()
    };
    checks.push(check("bytes", same, sentence));

    let clean = !holds(&said, canary.as_bytes()) && holds(&said, format!("[SECRET:{NAME}]").as_bytes());
    let sentence = if clean {
        "A streamed answer that held the canary over two events came back without it."
    } else {
        "A streamed answer brought the canary back, or lost its text."
    };
    checks.push(check("answer", clean, sentence));

    trail.settle().await;
    let rows = trail
        .reader()
        .and_then(|reader| reader.query(&Filter { after_seq: Some(before), ..Filter::default() }))
        .map_err(|error| error.to_string())?;
    let row = rows.iter().find(|row| {
        row.event.request.as_ref().is_some_and(|request| {
            request.redactions_applied.contains(&format!("secret:{NAME}"))
                && request.prompt_hash.as_deref() == Some(&crate::record::sha256_hex(&received))
        })
    });
    let sentence = match row {
        Some(row) => {
            format!("Row {} of the audit trail holds the SHA-256 of what the provider received.", row.seq)
        }
        None => "The audit trail has no row for what the provider received.".to_owned(),
    };
    checks.push(check("audit", row.is_some(), sentence));
    Ok(())
}

fn canary() -> Step<Zeroizing<String>> {
    let mut random = Zeroizing::new([0_u8; 15]);
    sallyport_platform::host::random(&mut *random).map_err(|error| error.to_string())?;
    Ok(Zeroizing::new(format!("canary/{}", BASE64.encode(&*random))))
}

/// The ways in which a secret is written most often.
fn forms(canary: &str) -> Vec<String> {
    let percent: String = canary.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let escaped: String = canary.chars().map(|c| format!("\\u{:04x}", c as u32)).collect();
    vec![
        canary.to_owned(),
        BASE64.encode(canary.as_bytes()),
        HEXLOWER.encode(canary.as_bytes()),
        percent,
        escaped,
    ]
}

fn request_body(prompt: &str) -> String {
    let prompt = serde_json::Value::from(prompt);
    format!(
        "{{\"model\":\"self-test\", \"stream\":true,\n \"messages\":[{{\"role\":\"user\",\"content\":{prompt}}}]}}"
    )
}

fn answer(canary: &str) -> Bytes {
    let (one, two) = canary.split_at(canary.len() / 2);
    let delta = |text: &str| {
        let text = serde_json::Value::from(text);
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}}}}]}}\n\n")
    };
    let end =
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    Bytes::from(delta(&format!("it was {one}")) + &delta(&format!("{two}, wasn't it?")) + end)
}

fn holds(text: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(text, needle).is_some()
}

/// Sends one request as a client would: CONNECT, TLS with our root alone, HTTP/1.1.
async fn send(engine: &Engine, body: Bytes) -> Step<Bytes> {
    let mut socket = TcpStream::connect(engine.listen)
        .await
        .map_err(|error| format!("The listener at {} did not answer: {error}", engine.listen))?;
    let connect = format!("CONNECT {HOST}:{PORT} HTTP/1.1\r\nHost: {HOST}:{PORT}\r\n\r\n");
    socket.write_all(connect.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 4096 {
        head.push(socket.read_u8().await.map_err(|error| format!("CONNECT was not answered: {error}"))?);
    }
    if !head.starts_with(b"HTTP/1.1 200") {
        return Err("CONNECT was refused.".into());
    }
    let mut roots = RootCertStore::empty();
    roots.add(engine.authority.root_der().clone()).map_err(|error| error.to_string())?;
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
    let name = ServerName::try_from(HOST).map_err(|error| error.to_string())?;
    let tls = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
        .map_err(|error| format!("TLS with our own certificate failed: {error}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let request = Request::post(PATH)
        .header(header::HOST, HOST)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("sallyport-self-test/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(body))
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    if !status.is_success() {
        return Err(format!("The request was answered with {status}: {}", String::from_utf8_lossy(&body)));
    }
    Ok(body)
}

/// Keys of an authority that dies with the engine.
#[derive(Default)]
struct MemoryKeys(Mutex<std::collections::HashMap<String, Zeroizing<Vec<u8>>>>);

impl sallyport_certs::KeyStore for MemoryKeys {
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, sallyport_certs::KeyStoreError> {
        Ok(self.0.lock().get(name).cloned())
    }

    fn store(&self, name: &str, key: &[u8]) -> Result<(), sallyport_certs::KeyStoreError> {
        self.0.lock().insert(name.to_owned(), Zeroizing::new(key.to_vec()));
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<(), sallyport_certs::KeyStoreError> {
        self.0.lock().remove(name);
        Ok(())
    }
}
