//! Bodies on their way: nothing is held back, nothing piles up, and an end is told to the other side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::support::client::ClientBody;
use crate::support::origin::{HttpOrigin, RawOrigin};
use crate::support::pki::Pki;
use crate::support::{API, Script, until, within};

#[tokio::test]
async fn each_event_arrives_before_the_next_is_made_over_h1() {
    let (origin, rig) = Script::default().start_before_raw().await;
    let mut client = rig.h1(API).await;
    client.say("POST / HTTP/1.1\r\nHost: api.ai.test\r\nContent-Length: 2\r\n\r\n{}").await;
    let mut server = origin.next_tls().await;
    server.hear_to("{}").await;
    server.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.hear_head().await;
    for n in 0..5 {
        server.say(format!("b\r\ndata: {n:03}\n\n\r\n")).await;
        client.hears(&format!("B\r\ndata: {n:03}\n\n\r\n")).await;
    }
    server.say("0\r\n\r\n").await;
    client.hears("0\r\n\r\n").await;
    // And up: each piece of a request as it is written.
    client.say("POST / HTTP/1.1\r\nHost: api.ai.test\r\nContent-Length: 6\r\n\r\n").await;
    server.hear_head().await;
    for piece in ["ab", "cd", "ef"] {
        client.say(piece).await;
        server.hears(piece).await;
    }
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_made_over_h2() {
    let pki = Pki::new();
    let (event, events) = mpsc::unbounded_channel::<Bytes>();
    let events = Arc::new(tokio::sync::Mutex::new(Some(events)));
    let origin = HttpOrigin::tls(pki.server("api.ai.test", &["h2"]), move |_| {
        let events = events.clone();
        async move {
            let events = events.lock().await.take().unwrap();
            Response::new(stream_of(events))
        }
    })
    .await;
    let rig = Script::default().resolve(API, origin.address).start_with(pki).await;
    let client = rig.h2(API).await;
    let request = Request::get("https://api.ai.test/").body(crate::support::client::nothing()).unwrap();
    let mut body = client.send(request).await.unwrap().into_body();
    for n in 0..5 {
        let made = Bytes::from(format!("data: {n}\n\n"));
        event.send(made.clone()).unwrap();
        let frame = within(body.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), made);
    }
    drop(event);
    assert!(within(body.collect()).await.unwrap().to_bytes().is_empty());
}

fn stream_of(events: mpsc::UnboundedReceiver<Bytes>) -> ClientBody {
    let stream = futures_util::stream::unfold(events, |mut events| async move {
        events.recv().await.map(|event| (Ok::<_, hyper::Error>(Frame::data(event)), events))
    });
    StreamBody::new(stream).boxed()
}

/// Writes until nobody takes it any more; gives what was taken.
async fn flood(stream: &mut (impl AsyncWriteExt + Unpin)) -> usize {
    let piece = vec![b'x'; 16 * 1024];
    let taken = AtomicUsize::new(0);
    let pour = async {
        loop {
            stream.write_all(&piece).await.unwrap();
            taken.fetch_add(piece.len(), Ordering::Relaxed);
        }
    };
    let watch = async {
        let mut before = usize::MAX;
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = taken.load(Ordering::Relaxed);
            if now == before {
                return now;
            }
            before = now;
        }
    };
    within(async {
        tokio::select! { () = pour => unreachable!(), all = watch => all }
    })
    .await
}

/// The kernel's buffers on two connections, and little of our own.
const HELD_AT_MOST: usize = 24 << 20;

#[tokio::test]
async fn a_response_that_is_not_read_is_not_fetched() {
    let (origin, rig) = Script::default().start_before_raw().await;
    let mut client = rig.h1(API).await;
    client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    let mut server = origin.next_tls().await;
    server.hear_head().await;
    server.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
    client.hear_head().await;
    let taken = flood(&mut server.stream).await;
    assert!(taken < HELD_AT_MOST, "{taken}");
    // And goes on once it is read.
    let (heard, flushed) = tokio::join!(client.hear_exact(taken), server.stream.flush());
    flushed.unwrap();
    assert_eq!(heard.len(), taken);
}

#[tokio::test]
async fn a_request_that_is_not_read_is_not_taken() {
    let (origin, rig) = Script::default().start_before_raw().await;
    let mut client = rig.h1(API).await;
    client.say("POST / HTTP/1.1\r\nHost: api.ai.test\r\nContent-Length: 1000000000\r\n\r\n").await;
    let mut server = origin.next_tls().await;
    server.hear_head().await;
    let taken = flood(&mut client.stream).await;
    assert!(taken < HELD_AT_MOST, "{taken}");
    let (heard, flushed) = tokio::join!(server.hear_exact(taken), client.stream.flush());
    flushed.unwrap();
    assert_eq!(heard.len(), taken);
}

#[tokio::test]
async fn an_h2_stream_that_is_not_read_does_not_hold_up_another() {
    let pki = Pki::new();
    let origin = HttpOrigin::tls(pki.server("api.ai.test", &["h2"]), |request| async move {
        if request.uri().path() == "/small" {
            return Response::new(crate::support::client::full("small"));
        }
        let frames =
            futures_util::stream::repeat_with(|| Ok(Frame::data(Bytes::from(vec![0_u8; 16 * 1024]))));
        Response::new(StreamBody::new(frames).boxed())
    })
    .await;
    let rig = Script::default().resolve(API, origin.address).start_with(pki).await;
    let client = rig.h2(API).await;
    let request = Request::get("https://api.ai.test/big").body(crate::support::client::nothing()).unwrap();
    let big = client.send(request).await.unwrap();
    for _ in 0..3 {
        assert_eq!(client.get("https://api.ai.test/small").await.1, "small");
    }
    drop(big);
    assert_eq!(client.get("https://api.ai.test/small").await.1, "small");
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_exchange_upstream() {
    let (origin, rig) = Script::default().start_before_raw().await;
    // While the server thinks.
    let mut client = rig.h1(API).await;
    client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    let mut server = origin.next_tls().await;
    server.hear_head().await;
    drop(client);
    assert_eq!(server.hear_rest().await, "");
    // In the middle of the response.
    let mut client = rig.h1(API).await;
    client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    let mut server = origin.next_tls().await;
    server.hear_head().await;
    server.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n").await;
    client.hear_to("x\r\n").await;
    drop(client);
    assert_eq!(server.hear_rest().await, "");
    // Over HTTP/2, one stream alone.
    let client = rig.h2(API).await;
    let request = Request::get("https://api.ai.test/").body(crate::support::client::nothing()).unwrap();
    let asked = tokio::time::timeout(Duration::from_millis(50), client.send(request));
    let (_, mut server) = tokio::join!(asked, origin.next_tls());
    assert!(server.hear_rest().await.starts_with("GET / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_server_that_breaks_off_breaks_the_response_off() {
    let (origin, rig) = Script::default().start_before_raw().await;
    let mut client = rig.h1(API).await;
    client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    let mut server = origin.next_tls().await;
    server.hear_head().await;
    server.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n").await;
    client.hear_to("part\r\n").await;
    drop(server);
    // No end of the body is made up.
    assert_eq!(client.hear_rest().await, "");
}

#[tokio::test]
async fn a_response_may_begin_before_the_request_has_ended() {
    let (origin, rig) = Script::default().start_before_raw().await;
    let mut client = rig.h1(API).await;
    client.say("POST / HTTP/1.1\r\nHost: api.ai.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
    let mut server = origin.next_tls().await;
    server.hear_to("a\r\n").await;
    server.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n").await;
    client.hear_head().await;
    client.hears("1\r\n1\r\n").await;
    client.say("1\r\nb\r\n").await;
    server.hears("1\r\nb\r\n").await;
    server.say("1\r\n2\r\n").await;
    client.hears("1\r\n2\r\n").await;
    client.say("0\r\n\r\n").await;
    server.hears("0\r\n\r\n").await;
    server.say("0\r\n\r\n").await;
    client.hears("0\r\n\r\n").await;
}

#[tokio::test]
async fn a_pause_beyond_the_limit_ends_a_response() {
    let pki = Pki::new();
    let origin = RawOrigin::tls(pki.server("api.ai.test", &["http/1.1"])).await;
    let script = Script::default().limits(|limits| limits.response_idle = Duration::from_millis(100));
    let rig = script.resolve(API, origin.address).start_with(pki).await;
    let mut client = rig.h1(API).await;
    client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    let mut server = origin.next_tls().await;
    server.hear_head().await;
    server.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab").await;
    client.hear_to("ab").await;
    assert_eq!(client.hear_rest().await, "");
    assert_eq!(server.hear_rest().await, "");
}

#[tokio::test]
async fn a_pause_beyond_the_limit_ends_a_request() {
    let script = Script::default()
        .limits(|limits| limits.request_idle = Duration::from_millis(100))
        .exchange(|_, request, _| async move {
            let outcome = request.into_body().gather(100).await;
            Response::new(hudson_proxy::Body::from(outcome.unwrap_err().to_string()))
        });
    let rig = script.start().await;
    let mut client = rig.h1(API).await;
    client.say("POST / HTTP/1.1\r\nHost: api.ai.test\r\nContent-Length: 5\r\n\r\nab").await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    client.hears("nothing came for 0 s in the middle of the body").await;
}

#[tokio::test]
async fn the_count_of_open_upstream_connections_stays_at_one_for_one_client() {
    let pki = Pki::new();
    let origin = HttpOrigin::tls(pki.server("api.ai.test", &["http/1.1"]), |request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(crate::support::client::full(body))
    })
    .await;
    let rig = Script::default().resolve(API, origin.address).start_with(pki).await;
    let mut client = rig.h1(API).await;
    for n in 0..50 {
        let body = "x".repeat(n * 997);
        client
            .say(format!(
                "POST / HTTP/1.1\r\nHost: api.ai.test\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
        client.hear_head().await;
        client.hears(&body).await;
    }
    until(|| (origin.connections() == 1).then_some(())).await;
}

#[tokio::test]
async fn a_client_that_is_still_sending_reads_its_refusal_and_goes_on() {
    let script = Script::default().exchange(|_, request, _| async move {
        let mut response = Response::new(hudson_proxy::Body::from("too much"));
        if request.method() == http::Method::POST {
            *response.status_mut() = http::StatusCode::BAD_REQUEST;
        }
        response
    });
    let rig = script.start().await;
    let mut client = rig.h1(API).await;
    let body = vec![b'x'; 20 << 20];
    client
        .say(format!("POST / HTTP/1.1\r\nHost: api.ai.test\r\nContent-Length: {}\r\n\r\n", body.len()))
        .await;
    within(client.say(&body)).await;
    client.hears("HTTP/1.1 400 Bad Request\r\ncontent-length: 8\r\n\r\ntoo much").await;
    client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    client.hears("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\ntoo much").await;
}
