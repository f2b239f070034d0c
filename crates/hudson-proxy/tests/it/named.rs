//! Clients whose TLS names another host than their CONNECT did.

use std::time::Duration;

use http::{Request, Response};
use hudson_proxy::{Body, TunnelEnd};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::support::client::{H2Client, Line, handshake};
use crate::support::origin::RawOrigin;
use crate::support::pki::Pki;
use crate::support::{API, Rig, Script, until};

/// Names `name` in TLS, inside a tunnel to `target`.
async fn under_another_name(
    rig: &Rig,
    target: &str,
    name: &str,
    alpn: &[&str],
) -> Line<TlsStream<TcpStream>> {
    let line = rig.connect(target).await;
    Line::new(handshake(rig.pki.client(alpn), name, line.stream).await.unwrap())
}

#[tokio::test]
async fn a_tunnel_to_an_address_is_looked_into_when_its_tls_names_an_intercepted_host() {
    let pki = Pki::new();
    let origin = RawOrigin::tls(pki.server("api.ai.test", &["http/1.1"])).await;
    let rig = Script::default().start_with(pki).await;
    let address = origin.address.to_string();
    let named = format!("api.ai.test:{}", origin.address.port());
    let mut client = under_another_name(&rig, &address, &named, &["http/1.1"]).await;
    client.say(format!("POST /v1 HTTP/1.1\r\nHost: {named}\r\nContent-Length: 5\r\n\r\nhello")).await;
    // The tunnel's own connection was opened before the name was known; nothing is said over it.
    assert_eq!(origin.next().await.hear_rest().await, "");
    let mut server = origin.next_tls().await;
    let head = server.hear_head().await;
    assert!(head.starts_with("POST /v1 HTTP/1.1\r\n"), "{head}");
    server.hears("hello").await;
    server.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    client.hears("ok").await;
    let context = rig.seen.contexts.lock().unwrap().first().cloned().unwrap();
    assert_eq!((context.target.to_string(), context.dialled.to_string()), (named, address));
    assert!(rig.seen.tunnels.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_server_at_the_address_must_be_the_host_that_was_named() {
    let pki = Pki::new();
    let origin = RawOrigin::tls(pki.server("relay.test", &["http/1.1"])).await;
    let rig = Script::default().resolve("relay.test:443", origin.address).start_with(pki).await;
    let mut client = under_another_name(&rig, "relay.test:443", API, &["http/1.1"]).await;
    client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    assert_eq!(origin.next().await.hear_rest().await, "");
    let (head, refused) = tokio::join!(client.hear_head(), origin.try_next_tls());
    assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{head}");
    assert!(refused.is_err(), "a certificate for another host was taken");
}

#[tokio::test]
async fn a_host_inside_that_is_not_the_named_one_is_misdirected() {
    let origin = RawOrigin::plain().await;
    let rig = Script::default().resolve("relay.test:443", origin.address).start().await;
    for host in ["relay.test", "other.ai.test"] {
        let mut client = under_another_name(&rig, "relay.test:443", API, &["http/1.1"]).await;
        client.say(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert!(client.hear_head().await.starts_with("HTTP/1.1 421 "));
    }
    assert!(rig.seen.contexts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn connect_decides_when_tls_names_a_host_that_is_not_intercepted() {
    let script = Script::default().exchange(|context, _: Request<Body>, _| async move {
        Response::new(Body::from(format!("{} {}", context.target, context.dialled)))
    });
    let rig = script.start().await;
    let line = rig.connect(API).await;
    // The name in TLS is another's; the leaf is that of the host which is dialled.
    let outcome = handshake(rig.pki.client(&["http/1.1"]), "front.test:443", line.stream).await;
    assert!(outcome.is_err(), "a leaf for another host was shown");
    let mut client = rig.h1(API).await;
    client.say("GET / HTTP/1.1\r\nHost: front.test\r\n\r\n").await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 421 "));
    let mut client = rig.h1(API).await;
    client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    client.hear_head().await;
    client.hears("api.ai.test:443 api.ai.test:443").await;
}

#[tokio::test]
async fn http2_and_two_hosts_at_one_address_are_kept_apart() {
    let script = Script::default().exchange(|context, _: Request<Body>, upstream| async move {
        Response::new(Body::from(format!("{} {}", context.target.host(), upstream.target().host())))
    });
    let origin = RawOrigin::plain().await;
    let rig = script.resolve("cdn.test:443", origin.address).start().await;
    for name in ["api.ai.test", "other.ai.test"] {
        let line = rig.connect("cdn.test:443").await;
        let target = format!("{name}:443");
        let tls = handshake(rig.pki.client(&["h2"]), &target, line.stream).await.unwrap();
        let (_, said) = H2Client::over(tls).await.get(&format!("https://{name}/")).await;
        assert_eq!(said, format!("{name} {name}"));
    }
    let named: Vec<String> =
        rig.seen.named.lock().unwrap().iter().map(|(_, named)| named.to_string()).collect();
    assert_eq!(named, ["api.ai.test:443", "other.ai.test:443"]);
}

#[tokio::test]
async fn a_hello_that_does_not_end_closes_the_tunnel_and_nothing_of_it_leaves() {
    let origin = RawOrigin::plain().await;
    let script = Script::default().limits(|limits| limits.handshake = Duration::from_millis(100));
    let rig = script.resolve("t.test:443", origin.address).start().await;
    let mut client = rig.connect("t.test:443").await;
    let mut server = origin.next().await;
    client.say(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    assert_eq!(client.hear_rest().await, "");
    assert_eq!(server.hear_rest().await, "");
    let closed = until(|| rig.seen.tunnels.lock().unwrap().first().cloned()).await;
    assert_eq!((closed.end, closed.sent), (TunnelEnd::Stalled, 0));
}

#[tokio::test]
async fn a_client_may_wait_as_long_as_it_likes_before_it_speaks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let script = Script::default().limits(|limits| limits.handshake = Duration::from_millis(20));
    let rig = script.resolve("late.test:1", listener.local_addr().unwrap()).start().await;
    let mut client = rig.connect("late.test:1").await;
    let mut server = Line::new(listener.accept().await.unwrap().0);
    tokio::time::sleep(Duration::from_millis(100)).await;
    client.say("ping").await;
    server.hears("ping").await;
    // And it may end its side without a word.
    let mut silent = rig.connect("late.test:1").await;
    let mut server = Line::new(listener.accept().await.unwrap().0);
    silent.stream.shutdown().await.unwrap();
    assert_eq!(server.hear_rest().await, "");
    server.say("bye").await;
    silent.hears("bye").await;
}
