//! The TLS front: a server under the providers' real names that keeps every request as it arrived, and then answers
//! by a script of the test or passes the request on to the emulator.
//!
//! It must not repair anything: what the engine sent is what is recorded. Only towards the emulator, which reads no
//! compressed bodies, a body goes on decoded.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::{Mutex, RwLock};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::roots::{TestRoot, client_trusting};
use crate::wait;

/// The model hosts, and the hosts that real clients talk to on the side.
pub const PROVIDER_NAMES: [&str; 3] =
    ["api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com"];

/// One request as the front received it.
#[derive(Clone)]
pub struct Recorded {
    /// When its head had arrived.
    pub at: SystemTime,
    /// Name of the server asked for in the TLS handshake.
    pub server_name: String,
    pub protocol: http::Version,
    pub method: String,
    /// Path and query.
    pub target: String,
    pub authority: String,
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body as transferred.
    pub raw: Bytes,
    /// The body after its content codings were undone.
    pub body: Bytes,
}

impl Recorded {
    pub fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, v)| String::from_utf8_lossy(v).into_owned())
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or("")
    }

    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("the body of {} is not JSON", self.target))
    }

    /// Head and body in one, for searches.
    pub fn everything(&self) -> Vec<u8> {
        let mut all = format!("{} {} {}\n", self.method, self.target, self.authority).into_bytes();
        for (name, value) in &self.headers {
            all.extend_from_slice(name.as_bytes());
            all.extend_from_slice(b": ");
            all.extend_from_slice(value);
            all.push(b'\n');
        }
        all.extend_from_slice(&self.raw);
        all.push(b'\n');
        all.extend_from_slice(&self.body);
        all
    }
}

/// What to do with a request.
pub enum Answer {
    Reply { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    Stream { status: u16, headers: Vec<(String, String)>, body: mpsc::UnboundedReceiver<Bytes> },
    Forward(Onward),
}

impl Answer {
    pub fn json(status: u16, body: &serde_json::Value) -> Answer {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Answer::Reply { status, headers, body: body.to_string().into_bytes() }
    }
}

/// Where a request goes on to.
#[derive(Clone)]
pub enum Onward {
    /// Plain HTTP to the emulator.
    Emulator(SocketAddr),
    /// By CONNECT through a proxy, inside TLS that is verified with the roots in `trust`.
    Proxy { proxy: SocketAddr, trust: PathBuf },
}

/// The test's end of a streamed answer: what it sends is what the client side may see next.
pub struct Feed(mpsc::UnboundedSender<Bytes>);

impl Feed {
    pub fn send(&self, bytes: impl Into<Bytes>) -> Result<()> {
        self.0.send(bytes.into()).ok().context("nobody reads the answer any more")
    }

    /// Ends the body.
    pub fn end(self) {}
}

type Script = Arc<dyn Fn(&Recorded) -> Answer + Send + Sync>;

struct Shared {
    log: Mutex<Vec<Recorded>>,
    script: RwLock<Script>,
    connections: AtomicUsize,
}

pub struct Front {
    address: SocketAddr,
    names: Vec<String>,
    shared: Arc<Shared>,
    // Dropped last: its tasks end with it.
    runtime: Option<Runtime>,
}

impl Front {
    /// A front for `names` that offers HTTP/2 and HTTP/1.1 and answers 404 until it is told otherwise.
    pub fn start(root: &TestRoot, names: &[&str]) -> Result<Front> {
        Front::with(root, names, &["h2", "http/1.1"], false)
    }

    /// A front that speaks HTTP/1.1 over TLS 1.2 only, so that a trace can tell handshake from request.
    pub fn legible(root: &TestRoot, names: &[&str]) -> Result<Front> {
        Front::with(root, names, &["http/1.1"], true)
    }

    fn with(root: &TestRoot, names: &[&str], alpn: &[&str], tls12: bool) -> Result<Front> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(root.server(&names, alpn, tls12)?));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let nothing: Script = Arc::new(|_: &Recorded| Answer::Reply {
            status: 404,
            headers: Vec::new(),
            body: b"no script".to_vec(),
        });
        let shared = Arc::new(Shared {
            log: Mutex::default(),
            script: RwLock::new(nothing),
            connections: AtomicUsize::new(0),
        });
        runtime.spawn(accept(listener, acceptor, shared.clone()));
        Ok(Front { address, names, shared, runtime: Some(runtime) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub fn answer(&self, script: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) {
        *self.shared.script.write() = Arc::new(script);
    }

    pub fn forward(&self, onward: Onward) {
        self.answer(move |_| Answer::Forward(onward.clone()));
    }

    /// The next request is answered with a stream whose pieces the test sends; later ones get a 500.
    pub fn answer_by_feed(&self, content_type: Option<&str>) -> Feed {
        let (sender, receiver) = mpsc::unbounded_channel();
        let receiver = Mutex::new(Some(receiver));
        let headers: Vec<_> =
            content_type.iter().map(|t| ("content-type".to_owned(), (*t).to_owned())).collect();
        self.answer(move |_| match receiver.lock().take() {
            Some(body) => Answer::Stream { status: 200, headers: headers.clone(), body },
            None => Answer::Reply { status: 500, headers: Vec::new(), body: b"fed already".to_vec() },
        });
        Feed(sender)
    }

    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.log.lock().clone()
    }

    /// The requests so far; the record starts anew.
    pub fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut *self.shared.log.lock())
    }

    pub fn wait_for(&self, count: usize) -> Result<Vec<Recorded>> {
        wait::until(&format!("{count} requests at the front"), || {
            let log = self.shared.log.lock();
            (log.len() >= count).then(|| log.clone())
        })
    }

    /// TCP connections accepted so far, requests or not.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    while let Ok((socket, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let (acceptor, shared) = (acceptor.clone(), shared.clone());
        tokio::spawn(async move {
            let _ = socket.set_nodelay(true);
            let Ok(tls) = acceptor.accept(socket).await else { return };
            let name = tls.get_ref().1.server_name().unwrap_or("").to_owned();
            let service = service_fn(move |request| exchange(request, name.clone(), shared.clone()));
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection_with_upgrades(TokioIo::new(tls), service).await;
        });
    }
}

type Body = BoxBody<Bytes, hyper::Error>;

async fn exchange(
    request: Request<Incoming>,
    server_name: String,
    shared: Arc<Shared>,
) -> Result<Response<Body>, Infallible> {
    let at = SystemTime::now();
    let (head, body) = request.into_parts();
    // A client that went away mid-body leaves no complete request to record.
    let Ok(body) = body.collect().await else { return Ok(reply(400, &[], Bytes::new())) };
    let raw = body.to_bytes();
    let authority = head.uri.authority().map(ToString::to_string);
    let host = || head.headers.get("host").map(|h| String::from_utf8_lossy(h.as_bytes()).into_owned());
    let coding = head.headers.get("content-encoding").and_then(|v| v.to_str().ok()).unwrap_or("");
    let recorded = Recorded {
        at,
        server_name,
        protocol: head.version,
        method: head.method.to_string(),
        target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        authority: authority.or_else(host).unwrap_or_default(),
        headers: head.headers.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect(),
        body: crate::encodings::decode(coding, &raw).map_or_else(|_| raw.clone(), Bytes::from),
        raw,
    };
    shared.log.lock().push(recorded.clone());
    let script = shared.script.read().clone();
    let answer = match script(&recorded) {
        Answer::Reply { status, headers, body } => reply(status, &headers, body.into()),
        Answer::Stream { status, headers, body } => stream(status, &headers, body),
        Answer::Forward(onward) => match forward(&recorded, onward).await {
            Ok(answer) => answer,
            Err(e) => reply(502, &[], Bytes::from(format!("the front could not forward: {e:#}"))),
        },
    };
    Ok(answer)
}

fn head(status: u16, headers: &[(String, String)]) -> http::response::Builder {
    headers.iter().fold(Response::builder().status(status), |b, (n, v)| b.header(n, v))
}

fn reply(status: u16, headers: &[(String, String)], body: Bytes) -> Response<Body> {
    let body = Full::new(body).map_err(|e| match e {}).boxed();
    head(status, headers).body(body).unwrap_or_complaint()
}

fn stream(
    status: u16,
    headers: &[(String, String)],
    mut pieces: mpsc::UnboundedReceiver<Bytes>,
) -> Response<Body> {
    let frames = futures_util::stream::poll_fn(move |cx| {
        pieces.poll_recv(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    });
    head(status, headers).body(BodyExt::boxed(StreamBody::new(frames))).unwrap_or_complaint()
}

trait OrBadScript {
    fn unwrap_or_complaint(self) -> Response<Body>;
}

impl OrBadScript for Result<Response<Body>, http::Error> {
    fn unwrap_or_complaint(self) -> Response<Body> {
        self.unwrap_or_else(|e| {
            let body = Full::new(Bytes::from(format!("bad script: {e}"))).map_err(|e| match e {}).boxed();
            let mut response = Response::new(body);
            *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }
}

async fn forward(recorded: &Recorded, onward: Onward) -> Result<Response<Body>> {
    let decoded = matches!(onward, Onward::Emulator(_));
    let mut request = Request::builder().method(recorded.method.as_str()).uri(&recorded.target);
    for (name, value) in &recorded.headers {
        let hop = matches!(name.as_str(), "connection" | "transfer-encoding" | "content-length" | "host");
        let undone = decoded && name == "content-encoding";
        if !hop && !undone {
            request = request.header(name, value.as_slice());
        }
    }
    let body = if decoded { recorded.body.clone() } else { recorded.raw.clone() };
    let request = request.header("host", &recorded.authority).body(Full::new(body))?;
    let response = match onward {
        Onward::Emulator(address) => send(TcpStream::connect(address).await?, request).await?,
        Onward::Proxy { proxy, trust } => {
            let name = recorded.server_name.clone();
            let socket = crate::raw::connect_through(proxy, &name, 443).await?;
            let tls = TlsConnector::from(Arc::new(client_trusting(&trust, &["http/1.1"])?));
            send(tls.connect(name.try_into()?, socket).await?, request).await?
        }
    };
    Ok(response.map(BodyExt::boxed))
}

async fn send<S>(io: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}
