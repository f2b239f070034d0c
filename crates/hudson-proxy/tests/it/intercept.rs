//! TLS termination, and what binds an intercepted connection to its host.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hudson_proxy::{Body, ClientTlsFailure, Ingress, Scheme, UpstreamError};
use rustls::HandshakeKind;
use tokio::sync::Notify;

use crate::support::client::{Line, full, handshake, nothing, whole};
use crate::support::origin::{HttpOrigin, RawOrigin};
use crate::support::pki::Pki;
use crate::support::{API, Script, until, within};

fn echo_host() -> Script {
    Script::default().exchange(|context, request, _| async move {
        Response::new(Body::from(format!("{} {}", context.target, request.uri())))
    })
}

#[tokio::test]
async fn header_case_order_and_reason_survive_byte_for_byte() {
    let (origin, rig) = Script::default().start_before_raw().await;
    let mut client = rig.h1(API).await;
    let request = "POST /v1/messages?beta=true HTTP/1.1\r\nhOst: api.ai.test\r\nx-API-key: k\r\nAccept: */*\r\nCONTENT-length: 4\r\nX-Empty:\r\n\r\nbody";
    client.say(request).await;
    let mut server = origin.next_tls().await;
    server.hears(request).await;
    let answer = "HTTP/1.1 200 Alright Then\r\nContent-Type: text/plain\r\nREQUEST-id: 7\r\nSet-Cookie: b=1\r\nSet-Cookie: a=1\r\nContent-Length: 2\r\n\r\nok";
    server.say(answer).await;
    client.hears(answer).await;
    let contexts = rig.seen.contexts.lock().unwrap();
    assert_eq!((contexts[0].ingress, contexts[0].scheme), (Ingress::Connect, Scheme::Https));
}

#[tokio::test]
async fn a_request_for_another_host_than_the_connected_one_is_misdirected() {
    let rig = echo_host().start().await;
    for (host, status) in [
        ("api.ai.test", "200"),
        ("API.AI.TEST:443", "200"),
        ("api.ai.test.", "200"),
        ("api.ai.test:444", "421"),
        ("evil.test", "421"),
        ("api.ai.test@evil.test", "400"),
        ("api.ai.test evil.test", "400"),
        ("", "400"),
    ] {
        let mut client = rig.h1(API).await;
        client.say(format!("GET /p HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        let head = client.hear_head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{host:?} gave {head:?}");
    }
    for (lines, status) in [
        ("Host: api.ai.test\r\nHost: api.ai.test\r\n", "400"),
        ("Host: api.ai.test\r\nHost: evil.test\r\n", "400"),
        ("X: y\r\n", "400"),
    ] {
        let mut client = rig.h1(API).await;
        client.say(format!("GET /p HTTP/1.1\r\n{lines}\r\n")).await;
        let head = client.hear_head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{lines:?} gave {head:?}");
    }
    for (target, status) in
        [("https://api.ai.test/p", "200"), ("https://evil.test/p", "421"), ("http://api.ai.test/p", "421")]
    {
        let mut client = rig.h1(API).await;
        client.say(format!("GET {target} HTTP/1.1\r\nHost: api.ai.test\r\n\r\n")).await;
        let head = client.hear_head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{target:?} gave {head:?}");
    }
}

#[tokio::test]
async fn an_h2_request_for_another_authority_is_misdirected() {
    let rig = echo_host().start().await;
    let client = rig.h2(API).await;
    for (authority, status) in [
        ("api.ai.test", StatusCode::OK),
        ("API.ai.test:443", StatusCode::OK),
        ("api.ai.test:8443", StatusCode::MISDIRECTED_REQUEST),
        ("evil.test", StatusCode::MISDIRECTED_REQUEST),
    ] {
        let (response, body) = client.get(&format!("https://{authority}/p?q")).await;
        assert_eq!(response.status(), status, "{authority}");
        if status == StatusCode::OK {
            assert_eq!(body, "api.ai.test:443 /p?q");
        }
    }
    let request = Request::get("https://api.ai.test/").header("host", "evil.test").body(nothing()).unwrap();
    assert_eq!(client.send(request).await.unwrap().status(), StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn a_port_other_than_the_default_is_part_of_the_host() {
    let rig = echo_host().start().await;
    for (host, status) in [("api.ai.test:8443", "200"), ("api.ai.test", "200"), ("api.ai.test:443", "421")] {
        let mut client = rig.h1("api.ai.test:8443").await;
        client.say(format!("GET /p HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        let head = client.hear_head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{host:?} gave {head:?}");
    }
}

#[tokio::test]
async fn connect_inside_tls_is_not_allowed() {
    let rig = echo_host().start().await;
    let mut client = rig.h1(API).await;
    client.say("CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n").await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
    let client = rig.h2(API).await;
    let request = Request::connect("evil.test:443").body(nothing()).unwrap();
    // Refused by status or by resetting the stream; the connection lives on either way.
    if let Ok(response) = client.send(request).await {
        assert!(response.status().is_client_error());
    }
    assert_eq!(client.get("https://api.ai.test/").await.0.status(), StatusCode::OK);
}

#[tokio::test]
async fn plain_http_inside_connect_is_an_exchange_without_tls() {
    let origin = RawOrigin::plain().await;
    let rig = Script::default().resolve("api.ai.test:80", origin.address).start().await;
    let mut client = rig.connect("api.ai.test:80").await;
    client.say("GET /p HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    let mut server = origin.next().await;
    server.hears("GET /p HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    server.say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!").await;
    client.hears("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!").await;
    assert_eq!(rig.seen.contexts.lock().unwrap()[0].scheme, Scheme::Http);
}

#[tokio::test]
async fn a_client_hello_sent_along_with_connect_is_not_lost() {
    let rig = echo_host().start().await;
    let mut line = rig.dial().await;
    // The first bytes of a handshake in the same segment as the CONNECT, the rest after the answer.
    let config = Arc::new(rig.pki.client(&["http/1.1"]));
    let mut tls = rustls::ClientConnection::new(config, "api.ai.test".try_into().unwrap()).unwrap();
    let mut first = format!("CONNECT {API} HTTP/1.1\r\nHost: {API}\r\n\r\n").into_bytes();
    tls.write_tls(&mut first).unwrap();
    line.say(first).await;
    assert_eq!(line.hear_head().await, "HTTP/1.1 200 OK\r\n\r\n");
    // A ServerHello comes back: handshake record, message type 2.
    let start = line.hear_exact(6).await;
    assert_eq!((start[0], start[5]), (0x16, 2));
}

#[tokio::test]
async fn what_is_neither_tls_nor_http_is_closed_and_counted() {
    let rig = echo_host().start().await;
    let mut client = rig.connect(API).await;
    client.say(b"\x00\x01\x02 not a protocol").await;
    assert_eq!(client.hear_rest().await, "");
    let mut client = rig.connect(API).await;
    client.say(b"\x16\x03\x01\x00\x05 garbage that begins like TLS").await;
    client.hear_rest().await;
    until(|| {
        let failures = rig.seen.tls_failures.lock().unwrap();
        let all = failures.iter().filter(|failed| failed.failure == ClientTlsFailure::Protocol).count();
        (all == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_waits_for_the_server_to_speak_is_closed_in_time() {
    let rig =
        echo_host().limits(|limits| limits.handshake = std::time::Duration::from_millis(50)).start().await;
    let mut client = rig.connect(API).await;
    assert_eq!(client.hear_rest().await, "");
    until(|| rig.seen.tls_failures.lock().unwrap().first().map(|failed| failed.failure))
        .await
        .eq(&ClientTlsFailure::TimedOut)
        .then_some(())
        .unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_trust_us_is_told_apart() {
    let rig = echo_host().start().await;
    let line = rig.connect(API).await;
    assert!(handshake(rig.pki.distrustful_client(), API, line.stream).await.is_err());
    let failed = until(|| rig.seen.tls_failures.lock().unwrap().first().cloned()).await;
    assert_eq!((failed.failure, failed.target.to_string()), (ClientTlsFailure::Rejected, API.to_owned()));
}

#[tokio::test]
async fn a_host_without_a_certificate_fails_by_itself() {
    let rig = echo_host().start().await;
    let line = rig.connect("unmintable.ai.test:443").await;
    assert!(handshake(rig.pki.client(&[]), "unmintable.ai.test:443", line.stream).await.is_err());
    let failed = until(|| rig.seen.tls_failures.lock().unwrap().first().cloned()).await;
    assert_eq!(failed.failure, ClientTlsFailure::NoCertificate);
    assert_eq!(rig.h2(API).await.get("https://api.ai.test/").await.0.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_address_is_intercepted_with_a_leaf_for_it() {
    let rig = echo_host().start().await;
    let mut client = rig.h1("127.0.0.2:443").await;
    client.say("GET /p HTTP/1.1\r\nHost: 127.0.0.2\r\n\r\n").await;
    client.hear_head().await;
    client.hears("127.0.0.2:443 /p").await;
}

#[tokio::test]
async fn tls_sessions_are_resumed_on_both_legs() {
    let pki = Pki::new();
    let origin = RawOrigin::tls(pki.server("api.ai.test", &["http/1.1"])).await;
    let config = pki.client(&["http/1.1"]);
    let rig = Script::default().resolve(API, origin.address).start_with(pki).await;
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let line = rig.connect(API).await;
        let mut client = Line::new(handshake(config.clone(), API, line.stream).await.unwrap());
        client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
        let mut server = origin.next_tls().await;
        server.hear_head().await;
        server.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        client.hear_head().await;
        kinds.push((client.stream.get_ref().1.handshake_kind(), server.stream.get_ref().1.handshake_kind()));
    }
    assert_eq!(kinds[0], (Some(HandshakeKind::Full), Some(HandshakeKind::Full)));
    assert_eq!(kinds[1], (Some(HandshakeKind::Resumed), Some(HandshakeKind::Resumed)));
}

#[tokio::test]
async fn a_server_that_does_not_verify_is_not_spoken_to() {
    let pki = Pki::new();
    // One under a root nobody trusts, one with another host's certificate.
    for config in [Pki::new().server("api.ai.test", &["http/1.1"]), pki.server("other.test", &["http/1.1"])] {
        let origin = HttpOrigin::tls(config, |_| async { Response::new(full("never")) }).await;
        let script = Script::default().exchange(|_, request, mut upstream| async move {
            match upstream.send(request).await {
                Err(error @ UpstreamError::Certificate { .. }) => error.response(),
                other => panic!("{other:?}"),
            }
        });
        let rig = script.resolve(API, origin.address).start().await;
        let (response, text) = rig.h2(API).await.get("https://api.ai.test/").await;
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        let text = String::from_utf8_lossy(&text);
        assert!(text.starts_with("the certificate of api.ai.test:443 could not be verified: "), "{text}");
        assert_eq!(origin.connections(), 0);
    }
}

#[tokio::test]
async fn a_dial_that_is_prepared_runs_before_the_request_is_sent() {
    let pki = Pki::new();
    let origin =
        HttpOrigin::tls(pki.server("api.ai.test", &[]), |_| async { Response::new(full("x")) }).await;
    let connected = Arc::new(Notify::new());
    let go = connected.clone();
    let script = Script::default().exchange(move |_, request, mut upstream| {
        let go = go.clone();
        async move {
            upstream.prepare();
            within(go.notified()).await;
            upstream.send(request).await.unwrap()
        }
    });
    let rig = script.resolve(API, origin.address).start_with(pki).await;
    let client = rig.h2(API).await;
    let asked = tokio::spawn(async move { client.get("https://api.ai.test/").await });
    until(|| (origin.connections() == 1).then_some(())).await;
    connected.notify_one();
    assert_eq!(within(asked).await.unwrap().1, "x");
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn a_prepared_connection_that_was_not_needed_serves_the_next_exchange() {
    let pki = Pki::new();
    let origin =
        HttpOrigin::tls(pki.server("api.ai.test", &[]), |_| async { Response::new(full("x")) }).await;
    let connections = Arc::new(origin);
    let watched = connections.clone();
    let script = Script::default().exchange(move |_, request, mut upstream| {
        let watched = watched.clone();
        async move {
            upstream.prepare();
            until(|| (watched.connections() == 1).then_some(())).await;
            if request.uri().path() == "/refused" {
                return Response::new(Body::from("no"));
            }
            upstream.send(request).await.unwrap()
        }
    });
    let rig = script.resolve(API, connections.address).start_with(pki).await;
    let client = rig.h2(API).await;
    assert_eq!(client.get("https://api.ai.test/refused").await.1, "no");
    assert_eq!(client.get("https://api.ai.test/refused").await.1, "no");
    assert_eq!(client.get("https://api.ai.test/").await.1, "x");
    assert_eq!(connections.connections(), 1);
}

#[tokio::test]
async fn h2_waits_for_nothing_but_the_server() {
    let pki = Pki::new();
    let origin = HttpOrigin::tls(pki.server("api.ai.test", &["h2"]), |request| async move {
        let (_, body) = whole(Response::new(request.into_body())).await;
        Response::new(full(body))
    })
    .await;
    let rig = Script::default().resolve(API, origin.address).start_with(pki).await;
    let client = rig.h2(API).await;
    client.get("https://api.ai.test/").await;
    let mut took = Vec::new();
    for _ in 0..21 {
        let begin = std::time::Instant::now();
        let request = Request::post("https://api.ai.test/").body(full("x".repeat(2000))).unwrap();
        whole(client.send(request).await.unwrap()).await;
        took.push(begin.elapsed());
    }
    took.sort();
    // Without TCP_NODELAY on either leg this is 40 ms and more.
    assert!(took[10] < std::time::Duration::from_millis(20), "{:?}", took[10]);
}
