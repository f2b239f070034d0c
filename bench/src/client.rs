//! One kept-alive connection to the provider, by one of the ways.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::upstream::{EVENTS, SENT, Upstream, since_start};

/// A request that takes longer has stalled.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Way {
    pub(crate) name: String,
    host: &'static str,
    address: SocketAddr,
    connect: bool,
    root: CertificateDer<'static>,
}

impl Way {
    pub(crate) fn direct(name: String, upstream: &Upstream) -> Way {
        Way {
            name,
            host: "api.openai.com",
            address: upstream.address,
            connect: false,
            root: upstream.root.clone(),
        }
    }

    pub(crate) fn through(
        name: String,
        host: &'static str,
        address: SocketAddr,
        root: &CertificateDer<'static>,
    ) -> Way {
        Way { name, host, address, connect: true, root: root.clone() }
    }
}

pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: &'static str,
}

impl Connection {
    pub(crate) async fn open(way: &Way) -> Result<Connection> {
        let mut socket = TcpStream::connect(way.address).await?;
        socket.set_nodelay(true)?;
        if way.connect {
            let line = format!("CONNECT {0}:443 HTTP/1.1\r\nHost: {0}:443\r\n\r\n", way.host);
            socket.write_all(line.as_bytes()).await?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.read_u8().await?);
            }
            ensure!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
        }
        let mut roots = RootCertStore::empty();
        roots.add(way.root.clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let tls = connector.connect(ServerName::try_from(way.host)?, socket).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
        tokio::spawn(connection);
        Ok(Connection { sender, host: way.host })
    }

    /// From the request's first byte to the answer's last.
    pub(crate) async fn request(&mut self, body: &Bytes) -> Result<Duration> {
        let request = request(self.host, body)?;
        self.sender.ready().await?;
        let started = Instant::now();
        let exchange = async {
            let response = self.sender.send_request(request).await?;
            ensure!(response.status().is_success(), "status {}", response.status());
            response.into_body().collect().await?;
            Ok(started.elapsed())
        };
        tokio::time::timeout(PATIENCE, exchange).await?
    }

    /// From the request's first byte to the answer's first; and of each event, how long after it was sent it came.
    pub(crate) async fn stream(&mut self, body: &Bytes) -> Result<(Duration, Vec<Duration>)> {
        let request = request(self.host, body)?;
        self.sender.ready().await?;
        let started = Instant::now();
        let exchange = async {
            let response = self.sender.send_request(request).await?;
            ensure!(response.status().is_success(), "status {}", response.status());
            let mut body = response.into_body();
            let (mut first, mut late, mut rest) = (None, Vec::with_capacity(EVENTS), Vec::new());
            while let Some(frame) = body.frame().await {
                let now = since_start();
                first.get_or_insert_with(|| started.elapsed());
                rest.extend_from_slice(frame?.data_ref().map_or(&[][..], |data| data));
                let whole = memchr::memmem::rfind(&rest, b"\n\n").map_or(0, |at| at + 2);
                late.extend(memchr::memmem::find_iter(&rest[..whole], SENT).filter_map(|at| {
                    let digits = rest[at + SENT.len()..].split(|byte| !byte.is_ascii_digit()).next()?;
                    let sent = std::str::from_utf8(digits).ok()?.parse().ok()?;
                    Some(now.saturating_sub(Duration::from_nanos(sent)))
                }));
                rest.drain(..whole);
            }
            ensure!(late.len() == EVENTS, "{} of {EVENTS} events came", late.len());
            Ok((first.unwrap_or_default(), late))
        };
        tokio::time::timeout(PATIENCE, exchange).await?
    }
}

fn request(host: &str, body: &Bytes) -> Result<Request<Full<Bytes>>> {
    Ok(Request::post("/v1/chat/completions")
        .header("host", host)
        .header("content-type", "application/json")
        .header("authorization", "Bearer none")
        .body(Full::new(body.clone()))?)
}
