//! HTTP/1.1 and HTTP/2 on either side.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hudson_proxy::UpstreamError;
use tokio::sync::Barrier;

use crate::support::client::{ClientBody, full, whole};
use crate::support::origin::{HttpOrigin, RawOrigin, version_name};
use crate::support::pki::Pki;
use crate::support::{API, Script, within};

async fn echo(request: Request<hyper::body::Incoming>) -> Response<ClientBody> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let mut response = Response::new(full(body));
    response.headers_mut().insert("x-version", version_name(parts.version).parse().unwrap());
    response.headers_mut().insert("x-uri", parts.uri.to_string().parse().unwrap());
    for name in ["host", "cookie", "te", "connection", "transfer-encoding", "content-length"] {
        for value in parts.headers.get_all(name) {
            response.headers_mut().append(
                http::HeaderName::from_bytes(format!("x-got-{name}").as_bytes()).unwrap(),
                value.clone(),
            );
        }
    }
    response
}

fn field<'a>(response: &'a Response<()>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn h2_to_h2_shares_one_connection() {
    let pki = Pki::new();
    let together = Arc::new(Barrier::new(8));
    let origin = HttpOrigin::tls(pki.server("api.ai.test", &["h2", "http/1.1"]), move |request| {
        let together = together.clone();
        async move {
            together.wait().await;
            echo(request).await
        }
    })
    .await;
    let rig = Script::default().resolve(API, origin.address).start_with(pki).await;
    let client = rig.h2(API).await;
    let asked = (0..8).map(|n| {
        let request = Request::post(format!("https://api.ai.test/{n}"))
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("te", "trailers")
            .body(full(format!("body {n}")))
            .unwrap();
        let client = &client;
        async move { whole(client.send(request).await.unwrap()).await }
    });
    for (n, (response, body)) in join_all(asked).await.into_iter().enumerate() {
        assert_eq!(body, format!("body {n}"));
        assert_eq!(field(&response, "x-version"), Some("h2"));
        assert_eq!(field(&response, "x-uri"), Some(format!("https://api.ai.test/{n}").as_str()));
        assert_eq!(field(&response, "x-got-te"), Some("trailers"));
        assert_eq!(response.headers().get_all("x-got-cookie").iter().count(), 2);
        assert_eq!(field(&response, "x-got-host"), None);
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn h2_to_h1_has_a_connection_for_each_running_stream_and_reuses_them() {
    let pki = Pki::new();
    let together = Arc::new(Barrier::new(4));
    let origin = HttpOrigin::tls(pki.server("api.ai.test", &["http/1.1"]), move |request| {
        let together = together.clone();
        async move {
            together.wait().await;
            echo(request).await
        }
    })
    .await;
    let rig = Script::default().resolve(API, origin.address).start_with(pki).await;
    let client = rig.h2(API).await;
    for _ in 0..3 {
        let asked = (0..4).map(|n| {
            let request = Request::post(format!("https://api.ai.test/{n}"))
                .header("cookie", "a=1")
                .header("cookie", "b=2")
                .body(full(format!("body {n}")))
                .unwrap();
            let client = &client;
            async move { whole(client.send(request).await.unwrap()).await }
        });
        for (n, (response, body)) in join_all(asked).await.into_iter().enumerate() {
            assert_eq!(body, format!("body {n}"));
            assert_eq!(field(&response, "x-version"), Some("http/1.1"));
            assert_eq!(field(&response, "x-got-host"), Some("api.ai.test"));
            assert_eq!(field(&response, "x-got-cookie"), Some("a=1; b=2"));
            assert_eq!(field(&response, "x-got-content-length"), Some("6"));
            assert_eq!(field(&response, "x-uri"), Some(format!("/{n}").as_str()));
        }
    }
    assert_eq!(origin.connections(), 4);
}

#[tokio::test]
async fn h1_to_a_server_that_speaks_h2_only() {
    let pki = Pki::new();
    let origin = HttpOrigin::tls(pki.server("api.ai.test", &["h2"]), echo).await;
    let rig = Script::default().resolve(API, origin.address).start_with(pki).await;
    let mut client = rig.h1(API).await;
    for _ in 0..2 {
        client
            .say("POST /p HTTP/1.1\r\nHost: api.ai.test\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
            .await;
        let head = client.hear_head().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("x-version: h2\r\n"), "{head}");
        assert!(head.contains("x-uri: https://api.ai.test/p\r\n"), "{head}");
        assert!(!head.contains("x-got-connection") && !head.contains("x-got-transfer-encoding"), "{head}");
        client.hears("hi").await;
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn an_upgrade_cannot_be_asked_of_a_server_that_speaks_h2_only() {
    let pki = Pki::new();
    let origin = HttpOrigin::tls(pki.server("api.ai.test", &["h2"]), echo).await;
    let script = Script::default().exchange(|context, request, mut upstream| async move {
        assert!(context.upgrade);
        let error = upstream.send(request).await.unwrap_err();
        assert!(matches!(error, UpstreamError::NoUpgrade { .. }), "{error:?}");
        error.response()
    });
    let rig = script.resolve(API, origin.address).start_with(pki).await;
    let mut client = rig.h1(API).await;
    client
        .say("GET / HTTP/1.1\r\nHost: api.ai.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
}

#[tokio::test]
async fn trailers_cross_h2_both_ways() {
    let pki = Pki::new();
    let origin = HttpOrigin::tls(pki.server("api.ai.test", &["h2"]), |request| async move {
        let collected = request.into_body().collect().await.unwrap();
        let mut trailers = collected.trailers().cloned().unwrap_or_default();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let frames = vec![Ok(Frame::data(collected.to_bytes())), Ok(Frame::trailers(trailers))];
        Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed())
    })
    .await;
    let rig = Script::default().resolve(API, origin.address).start_with(pki).await;
    let client = rig.h2(API).await;
    let mut sent = HeaderMap::new();
    sent.insert("x-sum", "42".parse().unwrap());
    let frames = vec![Ok(Frame::data(Bytes::from_static(b"payload"))), Ok(Frame::trailers(sent))];
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed();
    let response = client.send(Request::post("https://api.ai.test/").body(body).unwrap()).await.unwrap();
    let collected = within(response.into_body().collect()).await.unwrap();
    let trailers = collected.trailers().unwrap();
    assert_eq!((trailers["x-sum"].to_str().unwrap(), trailers["grpc-status"].to_str().unwrap()), ("42", "0"));
    assert_eq!(collected.to_bytes(), "payload");
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_is_replaced_without_an_error() {
    let (origin, rig) = Script::default().start_before_raw().await;
    let mut client = rig.h1(API).await;
    for _ in 0..3 {
        client.say("POST / HTTP/1.1\r\nHost: api.ai.test\r\nContent-Length: 4\r\n\r\nbody").await;
        let mut server = origin.next_tls().await;
        server.hears("POST / HTTP/1.1\r\nHost: api.ai.test\r\nContent-Length: 4\r\n\r\nbody").await;
        server.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        client.hears("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        drop(server);
    }
}

#[tokio::test]
async fn a_request_that_was_sent_is_not_sent_again() {
    let (origin, rig) = Script::default().start_before_raw().await;
    let mut client = rig.h1(API).await;
    client.say("POST / HTTP/1.1\r\nHost: api.ai.test\r\nContent-Length: 4\r\n\r\nbody").await;
    let mut server = origin.next_tls().await;
    server.hears("POST / HTTP/1.1\r\nHost: api.ai.test\r\nContent-Length: 4\r\n\r\nbody").await;
    drop(server);
    let head = client.hear_head().await;
    assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{head}");
    assert!(origin.is_untouched().await);
}

#[tokio::test]
async fn a_response_that_does_not_come_is_a_timeout() {
    let pki = Pki::new();
    let origin = RawOrigin::tls(pki.server("api.ai.test", &["http/1.1"])).await;
    let script = Script::default().limits(|limits| limits.response_header = Duration::from_millis(100));
    let rig = script.resolve(API, origin.address).start_with(pki).await;
    let mut client = rig.h1(API).await;
    client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    let mut server = origin.next_tls().await;
    server.hear_head().await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"));
    // The server learns that nobody waits any more.
    assert_eq!(server.hear_rest().await, "");
}

#[tokio::test]
async fn a_server_that_is_gone_is_said_in_a_response() {
    let gone = RawOrigin::plain().await.address;
    let rig = Script::default().resolve(API, gone).start().await;
    let (response, text) = rig.h2(API).await.get("https://api.ai.test/").await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert!(text.starts_with(b"api.ai.test:443 could not be reached: "), "{text:?}");
}
