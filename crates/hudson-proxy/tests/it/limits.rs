//! Bounds.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use hudson_proxy::Body;
use tokio::sync::Semaphore;

use crate::support::{API, Script, until};

fn hello() -> Script {
    Script::default().exchange(|_, _, _| async { Response::new(Body::from("x")) })
}

#[tokio::test]
async fn heads_that_are_too_long_or_have_too_many_fields_are_refused() {
    let rig = hello()
        .limits(|limits| {
            limits.header_bytes = 4096;
            limits.header_count = 20;
        })
        .start()
        .await;
    let mut client = rig.h1(API).await;
    client.say(format!("GET / HTTP/1.1\r\nHost: api.ai.test\r\nX: {}\r\n\r\n", "y".repeat(5000))).await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 431 "));
    let mut client = rig.h1(API).await;
    client.say(format!("GET / HTTP/1.1\r\nHost: api.ai.test\r\n{}\r\n", "X: y\r\n".repeat(30))).await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 431 "));
    let client = rig.h2(API).await;
    let request = http::Request::get("https://api.ai.test/")
        .header("x", "y".repeat(5000))
        .body(crate::support::client::nothing())
        .unwrap();
    // By status or by reset.
    if let Ok(response) = client.send(request).await {
        assert_eq!(response.status(), http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    let mut client = rig.h1(API).await;
    client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_head_that_does_not_end_and_a_connection_that_says_nothing_are_closed() {
    let rig = hello()
        .limits(|limits| {
            limits.header_read = Duration::from_millis(100);
            limits.client_idle = Duration::from_secs(3600);
        })
        .start()
        .await;
    let mut silent = rig.dial().await;
    let mut half = rig.dial().await;
    half.say("GET / HT").await;
    let mut inside = rig.h1(API).await;
    inside.say("GET / HTTP/1.1\r\nHost: ap").await;
    assert_eq!(silent.hear_rest().await, "");
    assert_eq!(half.hear_rest().await, "");
    assert_eq!(inside.hear_rest().await, "");
}

#[tokio::test]
async fn an_idle_connection_is_closed_but_not_one_at_work() {
    let rig = Script::default()
        .limits(|limits| {
            limits.header_read = Duration::from_millis(50);
            limits.client_idle = Duration::from_millis(100);
        })
        .exchange(|_, _, _| async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            Response::new(Body::from("slow"))
        })
        .start()
        .await;
    let mut h1 = rig.h1(API).await;
    h1.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    h1.hear_to("slow").await;
    assert_eq!(h1.hear_rest().await, "");
    let h2 = rig.h2(API).await;
    assert_eq!(h2.get("https://api.ai.test/").await.1, "slow");
    crate::support::within(h2.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let rig = hello().limits(|limits| limits.connections = 2).start().await;
    let first = rig.connect(API).await;
    let _second = rig.connect(API).await;
    let mut third = rig.dial().await;
    third.say("GET http://x.ai.test/ HTTP/1.1\r\nHost: x.ai.test\r\n\r\n").await;
    let early = tokio::time::timeout(Duration::from_millis(100), third.stream.readable()).await;
    assert!(early.is_err(), "the third was served beside the first two");
    drop(first);
    third.hear_to("\r\n\r\nx").await;
}

#[tokio::test]
async fn an_h2_client_has_no_more_streams_than_it_is_granted() {
    let (running, most) = (Arc::new(Semaphore::new(0)), 4);
    let gate = running.clone();
    let script = Script::default().limits(|limits| limits.h2_streams = most).exchange(move |_, _, _| {
        let gate = gate.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            Response::new(Body::from("x"))
        }
    });
    let rig = script.start().await;
    let client = Arc::new(rig.h2(API).await);
    // The server's settings have arrived after a first exchange.
    running.add_permits(1);
    client.get("https://api.ai.test/").await;
    let asked: Vec<_> = (0..10)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("https://api.ai.test/").await.1 })
        })
        .collect();
    let reached = || rig.seen.contexts.lock().unwrap().len();
    until(|| (reached() == 1 + most as usize).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(reached(), 1 + most as usize);
    running.add_permits(10);
    for one in asked {
        assert_eq!(one.await.unwrap(), "x");
    }
}

/// Runs itself again in a process that may open few files.
#[cfg(target_os = "linux")]
#[test]
fn running_out_of_files_delays_connections_and_loses_none() {
    const INSIDE: &str = "HUDSON_PROXY_TEST_FEW_FILES";
    if std::env::var_os(INSIDE).is_none() {
        let name = "limits::running_out_of_files_delays_connections_and_loses_none";
        let ended = std::process::Command::new("sh")
            .args([
                "-c",
                "ulimit -n 64 && exec \"$0\" --exact \"$1\"",
                std::env::current_exe().unwrap().to_str().unwrap(),
                name,
            ])
            .env(INSIDE, "1")
            .status()
            .unwrap();
        assert!(ended.success());
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let rig = hello().start().await;
        let mut hoard: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
        // The client's end takes the one that is left, so that there is none for ours.
        hoard.pop();
        let mut client = rig.dial().await;
        client.say("GET http://x.ai.test/ HTTP/1.1\r\nHost: x.ai.test\r\n\r\n").await;
        let early = tokio::time::timeout(Duration::from_millis(250), client.stream.readable()).await;
        assert!(early.is_err(), "there was a file left");
        hoard.clear();
        client.hear_to("\r\n\r\nx").await;
    });
}
