//! What the proxy adds to a connection's opening, and to a request over keep-alive HTTP/1.1 in TLS: direct, tunnelled
//! and intercepted without a look at the bytes, in one interleaved run. `cargo bench -p hudson-proxy`; `-- ROUNDS` for
//! more rounds.

#![allow(clippy::print_stdout)]

#[path = "../tests/it/support/pki.rs"]
#[allow(dead_code)]
mod pki;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hudson_proxy::{
    Authority, Body, ConnectionInfo, DialerConfig, ExchangeContext, Gathered, Handler, LocalContext,
    LocalReply, Peer, Proxy, Refused, Route, Upstream,
};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

const SIZES: [(&str, usize, usize); 3] =
    [("2 KB", 2 << 10, 400), ("100 KB", 100 << 10, 200), ("1 MB", 1 << 20, 60)];
const ANSWER: usize = 2 << 10;
const OPENINGS: usize = 200;

struct PassOn;

#[async_trait]
impl Handler for PassOn {
    async fn accept(&self, _: &ConnectionInfo) -> Result<Peer, Refused> {
        Ok(Arc::new(()))
    }

    async fn route(&self, _: &Peer, target: &Authority, _: Option<&HeaderValue>) -> Route {
        if target.host() == "tunnel.test" { Route::Tunnel } else { Route::Intercept }
    }

    async fn local(&self, _: LocalContext, _: Request<Body>) -> LocalReply {
        LocalReply::Respond(Response::new(Body::empty()))
    }

    /// Reads the whole, as one that inspects does.
    async fn exchange(
        &self,
        _: ExchangeContext,
        request: Request<Body>,
        mut upstream: Upstream,
    ) -> Response<Body> {
        upstream.prepare();
        let (parts, body) = request.into_parts();
        let body = match body.gather(64 << 20).await {
            Ok(Gathered::Whole { data, .. }) => Body::from(data),
            Ok(Gathered::TooLong(body)) => body,
            Err(_) => return Response::new(Body::empty()),
        };
        upstream.send(Request::from_parts(parts, body)).await.unwrap_or_else(|error| error.response())
    }
}

fn main() {
    let rounds = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(5);
    let pki = pki::Pki::new();
    let hosts = ["direct.test", "tunnel.test", "intercepted.test"];
    let servers = runtime(1);
    let origins: Vec<SocketAddr> =
        hosts.iter().map(|host| servers.block_on(origin(pki.server(host, &["http/1.1"])))).collect();
    let proxies = runtime(2);
    let listener = proxies.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let proxy = listener.local_addr().unwrap();
    let resolve = hosts
        .iter()
        .zip(&origins)
        .map(|(host, origin)| (Authority::new(host, 443).unwrap(), vec![*origin]))
        .collect();
    let built = Proxy::builder(Arc::new(PassOn), pki.leaves())
        .roots(pki.server_roots())
        .dialer(DialerConfig { resolve, ..DialerConfig::default() })
        .build()
        .unwrap();
    proxies.spawn(built.serve(listener, CancellationToken::new()));
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    client.block_on(async {
        let mut ways = Vec::new();
        for (host, origin) in hosts.iter().zip(&origins) {
            let via = (*host != "direct.test").then_some(proxy);
            ways.push((*host, connect(&pki, host, *origin, via).await));
        }
        let mut took = vec![Vec::new(); ways.len()];
        for opening in 0..=rounds * OPENINGS {
            for ((host, origin), took) in hosts.iter().zip(&origins).zip(&mut took) {
                let via = (*host != "direct.test").then_some(proxy);
                let begin = Instant::now();
                drop(connect(&pki, host, *origin, via).await);
                if opening >= OPENINGS / 10 {
                    took.push(begin.elapsed());
                }
            }
        }
        tell("opening", &hosts, &mut took);
        for (name, size, times) in SIZES {
            let body = Bytes::from(vec![b'x'; size]);
            let mut took = vec![Vec::new(); ways.len()];
            for round in 0..=rounds {
                for ((host, sender), took) in ways.iter_mut().zip(&mut took) {
                    for _ in 0..times {
                        let one = post(sender, host, body.clone()).await;
                        // The first round warms up.
                        if round > 0 {
                            took.push(one);
                        }
                    }
                }
            }
            tell(name, &hosts, &mut took);
        }
    });
}

/// What the first way took, and what the others took beyond it.
fn tell(name: &str, ways: &[&str], took: &mut [Vec<Duration>]) {
    let figures: Vec<_> = took
        .iter_mut()
        .map(|all| {
            all.sort();
            let middle = |part: f64| all[((all.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
            (middle(0.5), middle(0.99))
        })
        .collect();
    let (p50, p99) = figures[0];
    println!("{name:>7}  direct        p50 {p50:8.1} µs  p99 {p99:8.1} µs");
    for (way, (a, b)) in ways.iter().zip(&figures).skip(1) {
        println!("{:7}  {:12}  p50 {:+8.1} µs  p99 {:+8.1} µs", "", &way[..way.len() - 5], a - p50, b - p99);
    }
}

fn runtime(threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
}

async fn origin(config: rustls::ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.unwrap();
                let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
                    let _ = request.into_body().collect().await;
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(&[b'y'; ANSWER]))))
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

async fn connect(
    pki: &pki::Pki,
    host: &str,
    origin: SocketAddr,
    via: Option<SocketAddr>,
) -> SendRequest<Full<Bytes>> {
    let mut stream = TcpStream::connect(via.unwrap_or(origin)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    if via.is_some() {
        stream
            .write_all(format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
    }
    let name = rustls_pki_types::ServerName::try_from(host.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::new(pki.client(&["http/1.1"]))).connect(name, stream).await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn post(sender: &mut SendRequest<Full<Bytes>>, host: &str, body: Bytes) -> Duration {
    sender.ready().await.unwrap();
    let begin = Instant::now();
    let request = Request::post("/v1/messages")
        .header("host", host)
        .header("content-type", "application/json")
        .header("x-api-key", "key")
        .body(Full::new(body))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert!(response.status().is_success());
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), ANSWER);
    begin.elapsed()
}
