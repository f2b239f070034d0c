//! Coming to an end.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use hudson_proxy::{Body, Drained, TunnelEnd};
use tokio::sync::Notify;

use crate::support::origin::RawOrigin;
use crate::support::{API, Rig, Script, until, within};

/// A proxy whose exchanges wait until they are let go.
async fn held() -> (Rig, Arc<Notify>) {
    let go = Arc::new(Notify::new());
    let wait = go.clone();
    let script = Script::default().exchange(move |_, _, _| {
        let wait = wait.clone();
        async move {
            wait.notified().await;
            Response::new(Body::from("done"))
        }
    });
    (script.start().await, go)
}

#[tokio::test]
async fn idle_connections_close_at_once() {
    let rig = Script::default().exchange(|_, _, _| async { Response::new(Body::from("x")) }).start().await;
    let mut fresh = rig.dial().await;
    let mut plain = rig.dial().await;
    plain.say("GET http://x.ai.test/ HTTP/1.1\r\nHost: x.ai.test\r\n\r\n").await;
    plain.hear_to("\r\n\r\nx").await;
    let mut tls = rig.h1(API).await;
    tls.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    tls.hear_to("\r\n\r\nx").await;
    let h2 = rig.h2(API).await;
    h2.get("https://api.ai.test/").await;
    let mut waiting = rig.connect(API).await;
    assert_eq!(rig.stopped().await, Drained { cut: 0 });
    assert_eq!(fresh.hear_rest().await, "");
    assert_eq!(plain.hear_rest().await, "");
    assert_eq!(tls.hear_rest().await, "");
    assert_eq!(waiting.hear_rest().await, "");
    within(h2.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_running_exchange_is_finished_and_then_the_connection_closed() {
    let (rig, go) = held().await;
    let mut h1 = rig.h1(API).await;
    h1.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    let h2 = Arc::new(rig.h2(API).await);
    let client = h2.clone();
    let asked = tokio::spawn(async move { client.get("https://api.ai.test/").await.1 });
    until(|| (rig.seen.contexts.lock().unwrap().len() == 2).then_some(())).await;
    let address = rig.address;
    let stopping = tokio::spawn(rig.stopped());
    // Nobody new is let in.
    until(|| std::net::TcpStream::connect(address).is_err().then_some(())).await;
    assert!(!stopping.is_finished());
    go.notify_waiters();
    let answer = h1.hear_rest().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("done"), "{answer}");
    assert_eq!(within(asked).await.unwrap(), "done");
    assert_eq!(within(stopping).await.unwrap(), Drained { cut: 0 });
    within(Arc::into_inner(h2).unwrap().ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_does_not_end_is_cut_at_the_deadline() {
    let origin = RawOrigin::plain().await;
    let script = Script::default()
        .limits(|limits| limits.drain = Duration::from_millis(100))
        .exchange(|_, _, _| std::future::pending());
    let rig = script.resolve("t.test:1", origin.address).start().await;
    let mut tunnel = rig.connect("t.test:1").await;
    let mut server = origin.next().await;
    let mut h1 = rig.h1(API).await;
    h1.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    let h2 = Arc::new(rig.h2(API).await);
    let client = h2.clone();
    tokio::spawn(async move {
        let request =
            http::Request::get("https://api.ai.test/").body(crate::support::client::nothing()).unwrap();
        client.send(request).await
    });
    until(|| (rig.seen.contexts.lock().unwrap().len() == 2).then_some(())).await;
    let seen = rig.seen.clone();
    assert_eq!(rig.stopped().await, Drained { cut: 3 });
    assert_eq!(tunnel.hear_rest().await, "");
    assert_eq!(server.hear_rest().await, "");
    assert_eq!(h1.hear_rest().await, "");
    assert_eq!(seen.tunnels.lock().unwrap()[0].end, TunnelEnd::Stopped);
}
