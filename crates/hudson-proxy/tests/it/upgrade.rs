//! WebSockets and other upgrades of intercepted hosts.

use http::{Response, StatusCode};
use hudson_proxy::{Body, TunnelEnd, TunnelKind};

use crate::support::origin::RawOrigin;
use crate::support::{API, Script, until};

const OPENING: &str = "GET /realtime?model=x HTTP/1.1\r\nHost: api.ai.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 101 Web Socket Protocol Handshake\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: permessage-deflate\r\nUPGRADE: websocket\r\nconnection: Upgrade\r\nX-Request-Id: 7\r\n\r\n";

#[tokio::test]
async fn the_servers_own_answer_is_passed_on_and_then_its_bytes() {
    let (origin, rig) = Script::default().start_before_raw().await;
    let mut client = rig.h1(API).await;
    // A first exchange, so that the upgrade takes place on a connection in use.
    client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    let mut server = origin.next_tls().await;
    server.hear_head().await;
    server.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.hear_head().await;
    client.say(OPENING).await;
    server.hears(OPENING).await;
    // The server's first frame comes in the same segment as its answer.
    server.say(format!("{ANSWER}\u{1}first")).await;
    client.hears(ANSWER).await;
    client.hears("\u{1}first").await;
    for round in 0..3 {
        client.say(format!("ping {round}\0")).await;
        server.hears(&format!("ping {round}\0")).await;
        server.say(format!("pong {round}\0")).await;
        client.hears(&format!("pong {round}\0")).await;
    }
    assert!(rig.seen.contexts.lock().unwrap()[1].upgrade);
    drop(client);
    assert_eq!(server.hear_rest().await, "");
    drop(server);
    let closed = until(|| rig.seen.tunnels.lock().unwrap().first().cloned()).await;
    assert_eq!((closed.kind, closed.sent, closed.received), (TunnelKind::Upgrade, 21, 27));
    assert_eq!(closed.target.to_string(), API);
    assert!(matches!(closed.end, TunnelEnd::Finished | TunnelEnd::Broken));
}

#[tokio::test]
async fn a_handler_can_refuse_and_the_connection_lives_on() {
    let script = Script::default().exchange(|context, _, _| async move {
        let mut response = Response::new(Body::from("blocked"));
        if context.upgrade {
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
        response
    });
    let rig = script.start().await;
    let mut client = rig.h1(API).await;
    client.say(OPENING).await;
    client.hears("HTTP/1.1 400 Bad Request\r\ncontent-length: 7\r\n\r\nblocked").await;
    client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    client.hears("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nblocked").await;
}

#[tokio::test]
async fn a_server_can_refuse() {
    let (origin, rig) = Script::default().start_before_raw().await;
    let mut client = rig.h1(API).await;
    client.say(OPENING).await;
    let mut server = origin.next_tls().await;
    server.hear_head().await;
    server.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    client.hears("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    server.hears("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
}

#[tokio::test]
async fn an_upgrade_over_plain_http_works_in_either_form() {
    let origin = RawOrigin::plain().await;
    let rig = Script::default()
        .resolve("api.ai.test:80", origin.address)
        .resolve("other.test:80", origin.address)
        .start()
        .await;
    for host in ["api.ai.test", "other.test"] {
        let mut client = rig.dial().await;
        client
            .say(format!("GET http://{host}/ws HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n\r\n"))
            .await;
        let mut server = origin.next().await;
        server.hears(&format!("GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n\r\n")).await;
        server.say(ANSWER).await;
        client.hears(ANSWER).await;
        client.say("a").await;
        server.hears("a").await;
        server.say("b").await;
        client.hears("b").await;
    }
}

#[tokio::test]
async fn h2c_is_not_offered_on() {
    let origin = RawOrigin::plain().await;
    let rig = Script::default().resolve("api.ai.test:80", origin.address).start().await;
    let mut client = rig.dial().await;
    client
        .say("GET http://api.ai.test/ HTTP/1.1\r\nHost: api.ai.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
        .await;
    let mut server = origin.next().await;
    server.hears("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
}

#[tokio::test]
async fn a_server_that_switches_without_being_asked_is_refused() {
    let origin = RawOrigin::plain().await;
    let rig = Script::default().resolve("api.ai.test:80", origin.address).start().await;
    let mut client = rig.dial().await;
    client.say("GET http://api.ai.test/ HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    let mut server = origin.next().await;
    server.hear_head().await;
    server.say(ANSWER).await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
}
