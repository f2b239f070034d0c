//! A client that hides nothing: CONNECT, TLS and HTTP/1.1 by hand, for tests that look at single bytes and at when
//! they come.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, StreamOwned};

use crate::roots::client_trusting;

const SILENCE: Duration = Duration::from_secs(20);

/// Opens a tunnel through a proxy; the error tells what the proxy said instead.
pub fn tunnel(proxy: SocketAddr, host: &str, port: u16) -> Result<TcpStream> {
    let mut socket =
        TcpStream::connect(proxy).with_context(|| format!("connecting to the proxy at {proxy}"))?;
    socket.set_read_timeout(Some(SILENCE))?;
    socket.set_nodelay(true)?;
    socket.write_all(connect_head(host, port).as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        if socket.read(&mut byte)? == 0 {
            bail!("the proxy closed the connection after {:?}", String::from_utf8_lossy(&answer));
        }
        answer.push(byte[0]);
    }
    expect_established(&answer)?;
    Ok(socket)
}

/// The same for async code.
pub async fn connect_through(proxy: SocketAddr, host: &str, port: u16) -> Result<tokio::net::TcpStream> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(proxy).await?;
    socket.write_all(connect_head(host, port).as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(socket.read_u8().await?);
    }
    expect_established(&answer)?;
    Ok(socket)
}

fn connect_head(host: &str, port: u16) -> String {
    format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")
}

fn expect_established(answer: &[u8]) -> Result<()> {
    if !answer.starts_with(b"HTTP/1.1 200") && !answer.starts_with(b"HTTP/1.0 200") {
        bail!("the proxy refused: {:?}", String::from_utf8_lossy(answer));
    }
    Ok(())
}

trait ReadWrite: Read + Write + Send {}
impl<T: Read + Write + Send> ReadWrite for T {}

/// A connection to a server, with or without TLS.
pub struct Channel {
    stream: Box<dyn ReadWrite>,
    certificates: Vec<CertificateDer<'static>>,
    read: Vec<u8>,
}

impl Channel {
    pub fn plain(socket: TcpStream) -> Result<Channel> {
        socket.set_read_timeout(Some(SILENCE))?;
        Ok(Channel { stream: Box::new(socket), certificates: Vec::new(), read: Vec::new() })
    }

    /// TLS over an open socket, verified with the certificates in `trust`.
    pub fn tls(mut socket: TcpStream, host: &str, trust: &Path) -> Result<Channel> {
        let config = Arc::new(client_trusting(trust, &["http/1.1"])?);
        let mut tls = ClientConnection::new(config, host.to_owned().try_into()?)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).with_context(|| format!("TLS handshake with {host}"))?;
        }
        let certificates = tls.peer_certificates().unwrap_or_default();
        let certificates = certificates.iter().map(|c| c.clone().into_owned()).collect();
        let stream = Box::new(StreamOwned::new(tls, socket));
        Ok(Channel { stream, certificates, read: Vec::new() })
    }

    /// Through a proxy to a TLS server.
    pub fn through(proxy: SocketAddr, host: &str, port: u16, trust: &Path) -> Result<Channel> {
        Channel::tls(tunnel(proxy, host, port)?, host, trust)
    }

    /// The chain that the server presented, leaf first.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)?;
        Ok(self.stream.flush()?)
    }

    /// Sends a request with a body of known length.
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<()> {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || method == "POST" {
            head += &format!("content-length: {}\r\n", body.len());
        }
        self.send(&[head.as_bytes(), b"\r\n", body].concat())
    }

    /// Reads on until the bytes so far satisfy `enough`; returns all of them and leaves them in place.
    pub fn read_until(&mut self, what: &str, mut enough: impl FnMut(&[u8]) -> bool) -> Result<Vec<u8>> {
        let deadline = Instant::now() + SILENCE;
        loop {
            if enough(&self.read) {
                return Ok(self.read.clone());
            }
            let mut piece = [0; 16 * 1024];
            let came = match self.stream.read(&mut piece) {
                Ok(0) => bail!("the connection ended before {what}; so far: {}", self.so_far()),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    return Err(e).with_context(|| format!("waiting for {what}; so far: {}", self.so_far()));
                }
            };
            self.read.extend_from_slice(&piece[..came]);
            if Instant::now() > deadline {
                bail!("{what} did not come; so far: {}", self.so_far());
            }
        }
    }

    /// Reads one whole response.
    pub fn response(&mut self) -> Result<Response> {
        let mut parsed = None;
        self.read_until("a whole response", |bytes| {
            parsed = Response::parse(bytes);
            parsed.is_some()
        })?;
        let (response, used) = parsed.context("no response")?;
        self.read.drain(..used);
        Ok(response)
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.read[..self.read.len().min(2000)]).into_owned()
    }
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (n, v) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| v.trim())
        })
    }

    /// A complete response at the start of `bytes`, and how many bytes it took.
    fn parse(bytes: &[u8]) -> Option<(Response, usize)> {
        let end = find(bytes, b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut response = Response { status, head, body: Vec::new() };
        if response.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            let used = unchunk(&bytes[end..], &mut response.body)?;
            return Some((response, end + used));
        }
        let length = response.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0usize);
        response.body = bytes.get(end..end + length)?.to_vec();
        Some((response, end + length))
    }
}

/// Undoes the chunked coding; `None` while the last chunk is not there.
pub fn unchunk(bytes: &[u8], body: &mut Vec<u8>) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = find(bytes.get(at..)?, b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        at += line + 2;
        if size == 0 {
            // No server here sends trailers to this client.
            return bytes.get(at..at + 2).map(|_| at + 2);
        }
        body.extend_from_slice(bytes.get(at..at + size)?);
        at += size + 2;
    }
}

pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}
