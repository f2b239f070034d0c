//! Clients: raw dialogues, and hyper's HTTP/2.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Rig, within};

/// One side of a raw dialogue.
pub(crate) struct Line<S> {
    pub(crate) stream: S,
    heard: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, heard: Vec::new() }
    }

    pub(crate) async fn say(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Everything up to and including `end`.
    pub(crate) async fn hear_to(&mut self, end: &str) -> String {
        let found = within(async {
            loop {
                if let Some(at) = self.heard.windows(end.len()).position(|part| part == end.as_bytes()) {
                    return at + end.len();
                }
                let read = self.stream.read_buf(&mut self.heard).await.unwrap_or_else(|error| {
                    panic!("{error} after {:?}", String::from_utf8_lossy(&self.heard))
                });
                assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&self.heard));
            }
        })
        .await;
        String::from_utf8(self.heard.drain(..found).collect()).unwrap()
    }

    pub(crate) async fn hear_head(&mut self) -> String {
        self.hear_to("\r\n\r\n").await
    }

    pub(crate) async fn hear_exact(&mut self, length: usize) -> Vec<u8> {
        within(async {
            while self.heard.len() < length {
                assert!(self.stream.read_buf(&mut self.heard).await.unwrap() > 0, "closed too early");
            }
        })
        .await;
        self.heard.drain(..length).collect()
    }

    /// Hears exactly this.
    pub(crate) async fn hears(&mut self, expected: &str) {
        let heard = self.hear_exact(expected.len()).await;
        assert_eq!(String::from_utf8_lossy(&heard), expected);
    }

    /// What is left until the other side closes. A reset counts as closing.
    pub(crate) async fn hear_rest(&mut self) -> String {
        within(async { while self.stream.read_buf(&mut self.heard).await.unwrap_or(0) > 0 {} }).await;
        String::from_utf8_lossy(&std::mem::take(&mut self.heard)).into_owned()
    }
}

impl Rig {
    pub(crate) async fn dial(&self) -> Line<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Line::new(stream)
    }

    /// A connection that CONNECT has led to `target`.
    pub(crate) async fn connect(&self, target: &str) -> Line<TcpStream> {
        let mut line = self.dial().await;
        line.say(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")).await;
        assert_eq!(line.hear_head().await, "HTTP/1.1 200 OK\r\n\r\n");
        line
    }

    pub(crate) async fn tls(&self, target: &str, alpn: &[&str]) -> Line<TlsStream<TcpStream>> {
        let line = self.connect(target).await;
        Line::new(handshake(self.pki.client(alpn), target, line.stream).await.unwrap())
    }

    /// An HTTP/1 connection inside intercepted TLS.
    pub(crate) async fn h1(&self, target: &str) -> Line<TlsStream<TcpStream>> {
        self.tls(target, &["http/1.1"]).await
    }

    /// An HTTP/2 connection inside intercepted TLS.
    pub(crate) async fn h2(&self, target: &str) -> H2Client {
        let line = self.tls(target, &["h2", "http/1.1"]).await;
        assert_eq!(line.stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        H2Client::over(line.stream).await
    }
}

pub(crate) async fn handshake(
    config: ClientConfig,
    target: &str,
    stream: TcpStream,
) -> std::io::Result<TlsStream<TcpStream>> {
    let host = target.rsplit_once(':').unwrap().0.to_owned();
    within(TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(host).unwrap(), stream)).await
}

pub(crate) type ClientBody = BoxBody<Bytes, hyper::Error>;

pub(crate) struct H2Client {
    sender: http2::SendRequest<ClientBody>,
    pub(crate) ended: tokio::task::JoinHandle<hyper::Result<()>>,
}

impl H2Client {
    pub(crate) async fn over(stream: TlsStream<TcpStream>) -> Self {
        let (sender, connection) =
            http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await.unwrap();
        Self { sender, ended: tokio::spawn(connection) }
    }

    pub(crate) async fn send(&self, request: Request<ClientBody>) -> hyper::Result<Response<Incoming>> {
        let mut sender = self.sender.clone();
        within(async {
            sender.ready().await?;
            sender.send_request(request).await
        })
        .await
    }

    pub(crate) async fn get(&self, url: &str) -> (Response<()>, Bytes) {
        whole(self.send(Request::get(url).body(nothing()).unwrap()).await.unwrap()).await
    }
}

pub(crate) fn nothing() -> ClientBody {
    Empty::new().map_err(|never| match never {}).boxed()
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> ClientBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

pub(crate) async fn whole(response: Response<Incoming>) -> (Response<()>, Bytes) {
    let (parts, body) = response.into_parts();
    (Response::from_parts(parts, ()), within(body.collect()).await.unwrap().to_bytes())
}
