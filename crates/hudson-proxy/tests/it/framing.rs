//! Where messages begin and end: lengths, chunks, bodies that must not be there, and requests that try to be two.

use bytes::Bytes;
use http::{Response, header};
use http_body_util::BodyExt;
use hudson_proxy::{Body, Gathered};

use crate::support::client::Line;
use crate::support::within;
use crate::support::{API, Script};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

/// An intercepted client and the server it talks to, after a first exchange.
async fn pair(script: Script) -> (Line<client::TlsStream<TcpStream>>, Line<server::TlsStream<TcpStream>>) {
    let (origin, rig) = script.start_before_raw().await;
    let mut client = rig.h1(API).await;
    client.say("GET /first HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    let mut server = origin.next_tls().await;
    server.hear_head().await;
    server.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.hear_head().await;
    (client, server)
}

#[tokio::test]
async fn responses_without_a_body_stay_as_they_are() {
    let (mut client, mut server) = pair(Script::default()).await;
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: x\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nETag: x\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nETag: x\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\nETag: x\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let request = format!("{method} / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n");
        client.say(&request).await;
        server.hears(&request).await;
        server.say(answer).await;
        client.hears(answer).await;
    }
}

#[tokio::test]
async fn interim_responses_do_not_disturb_the_final_one() {
    let (mut client, mut server) = pair(Script::default()).await;
    client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    server.hear_head().await;
    server.say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    server.say(answer).await;
    client.hears(answer).await;
}

#[tokio::test]
async fn chunks_stay_chunks_and_a_body_up_to_the_end_becomes_chunks() {
    let (mut client, mut server) = pair(Script::default()).await;
    client
        .say("POST / HTTP/1.1\r\nHost: api.ai.test\r\nTransfer-ENCODING: chunked\r\nX: y\r\n\r\n3\r\nabc\r\n")
        .await;
    server
        .hears(
            "POST / HTTP/1.1\r\nHost: api.ai.test\r\nTransfer-ENCODING: chunked\r\nX: y\r\n\r\n3\r\nabc\r\n",
        )
        .await;
    client.say("2\r\nde\r\n0\r\n\r\n").await;
    server.hears("2\r\nde\r\n0\r\n\r\n").await;
    server.say("HTTP/1.1 200 OK\r\ntransfer-ENCODING: chunked\r\nX: y\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
    client.hears("HTTP/1.1 200 OK\r\ntransfer-ENCODING: chunked\r\nX: y\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
    client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    server.hear_head().await;
    server.say("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end").await;
    server.stream.shutdown().await.unwrap();
    client.hears("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nA\r\nto the end\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn a_replaced_body_has_its_own_length() {
    let script = Script::default().exchange(|_, request, mut upstream| async move {
        upstream.prepare();
        let (parts, body) = request.into_parts();
        let Gathered::Whole { data, .. } = body.gather(1 << 20).await.unwrap() else {
            panic!("within the limit")
        };
        let changed = String::from_utf8_lossy(&data).replace("secret", "[REDACTED]");
        let response = upstream.send(http::Request::from_parts(parts, Body::from(changed))).await.unwrap();
        let (parts, body) = response.into_parts();
        let data = body.collect().await.unwrap().to_bytes();
        Response::from_parts(parts, Body::from([&data[..], b"!"].concat()))
    });
    let (mut client, mut server) = pair_after(script).await;
    client.say("POST / HTTP/1.1\r\nHost: api.ai.test\r\nContent-Length: 8\r\nX: y\r\n\r\na secret").await;
    server
        .hears("POST / HTTP/1.1\r\nHost: api.ai.test\r\nContent-Length: 12\r\nX: y\r\n\r\na [REDACTED]")
        .await;
    server.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nok").await;
    client.hears("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\nok!").await;
    // Unchanged, the head is the client's own.
    client.say("POST / HTTP/1.1\r\nHost: api.ai.test\r\nContent-Length: 2\r\n\r\nno").await;
    server.hears("POST / HTTP/1.1\r\nHost: api.ai.test\r\nContent-Length: 2\r\n\r\nno").await;
    server.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
    client.hears("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok!\r\n0\r\n\r\n").await;
    // A chunked request whose whole is known stays chunked.
    client
        .say("POST / HTTP/1.1\r\nHost: api.ai.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n")
        .await;
    server
        .hears(
            "POST / HTTP/1.1\r\nHost: api.ai.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
        )
        .await;
}

/// [`pair`] for handlers that change the first exchange too.
async fn pair_after(
    script: Script,
) -> (Line<client::TlsStream<TcpStream>>, Line<server::TlsStream<TcpStream>>) {
    let (mut client, server) = pair(script).await;
    client.hears("!").await;
    (client, server)
}

#[tokio::test]
async fn a_streamed_body_of_unknown_length_drops_a_stale_one() {
    let script = Script::default().exchange(|_, request, mut upstream| async move {
        let response =
            upstream.send(request.map(|body| Body::new(body.map_err(|error| error)))).await.unwrap();
        response.map(|body| {
            let frames =
                [Ok::<_, hudson_proxy::BoxError>(http_body::Frame::data(Bytes::from_static(b"longer")))];
            drop(body);
            Body::new(http_body_util::StreamBody::new(futures_util::stream::iter(frames)))
        })
    });
    let (origin, rig) = script.start_before_raw().await;
    let mut client = rig.h1(API).await;
    client.say("POST / HTTP/1.1\r\nHost: api.ai.test\r\nContent-Length: 2\r\n\r\nhi").await;
    let mut server = origin.next_tls().await;
    // A mapped body that still knows its length keeps it.
    server.hears("POST / HTTP/1.1\r\nHost: api.ai.test\r\nContent-Length: 2\r\n\r\nhi").await;
    server.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    client.hears("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nlonger\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn a_request_that_could_be_two_arrives_as_one() {
    // RFC 9112 6.3: with both, the length is not to be believed, must not be passed on, and the connection ends.
    for lines in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
    ] {
        let (mut client, mut server) = pair(Script::default()).await;
        client
            .say(format!(
                "POST / HTTP/1.1\r\nHost: api.ai.test\r\n{lines}\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"
            ))
            .await;
        let head = server.hear_head().await;
        assert_eq!(head, "POST / HTTP/1.1\r\nHost: api.ai.test\r\nTransfer-Encoding: chunked\r\n\r\n");
        server.hears("0\r\n\r\n").await;
        server.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        assert!(client.hear_rest().await.starts_with("HTTP/1.1 200 OK\r\n"));
        assert_eq!(server.hear_rest().await, "");
    }
    for bad in [
        "Content-Length: 6\r\nContent-Length: 7\r\n\r\n",
        "Content-Length: +6\r\n\r\n",
        "Content-Length: 6, 7\r\n\r\n",
        "Content-Length : 6\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n",
        "Transfer-Encoding: gzip\r\n\r\n",
        "X: a\rb\r\n\r\n",
        "X: a\0b\r\n\r\n",
        " X: folded\r\n\r\n",
    ] {
        let (mut client, _server) = pair(Script::default()).await;
        client.say(format!("POST / HTTP/1.1\r\nHost: api.ai.test\r\n{bad}")).await;
        let answer = client.hear_rest().await;
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.is_empty(), "{bad:?} gave {answer:?}");
    }
    let (mut client, _server) = pair(Script::default()).await;
    client
        .say("POST / HTTP/1.1\r\nHost: api.ai.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")
        .await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 501 Not Implemented\r\n"));
}

#[tokio::test]
async fn a_response_with_both_lengths_is_passed_on_with_one() {
    let (mut client, mut server) = pair(Script::default()).await;
    client.say("GET / HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    server.hear_head().await;
    server
        .say(
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        )
        .await;
    client.hears("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it_once_the_body_is_wanted() {
    let (mut client, mut server) = pair(Script::default()).await;
    client
        .say("POST / HTTP/1.1\r\nHost: api.ai.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        .await;
    client.hears("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.say("hi").await;
    server
        .hears("POST / HTTP/1.1\r\nHost: api.ai.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi")
        .await;
    server.say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.hears("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_can_be_refused_instead() {
    let script = Script::default().exchange(|_, _, _| async {
        let mut response = Response::new(Body::from("no"));
        *response.status_mut() = http::StatusCode::BAD_REQUEST;
        response.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
        response
    });
    let rig = script.start().await;
    let mut client = rig.h1(API).await;
    client
        .say("POST / HTTP/1.1\r\nHost: api.ai.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        .await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 400 Bad Request\r\n"));
}

#[tokio::test]
async fn trailers_cross_h1_both_ways() {
    let (mut client, mut server) = pair(Script::default()).await;
    client
        .say("POST / HTTP/1.1\r\nHost: api.ai.test\r\nTE: trailers\r\nConnection: TE\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n")
        .await;
    let head = server.hear_head().await;
    for line in ["TE: trailers\r\n", "Connection: TE\r\n", "Trailer: X-Sum\r\n"] {
        assert!(head.contains(line), "{head}");
    }
    let body = server.hear_to("\r\n0\r\n").await + &server.hear_head().await;
    assert_eq!(body.to_ascii_lowercase(), "2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n");
    server
        .say("HTTP/1.1 200 OK\r\nTrailer: X-End\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-End: 8\r\n\r\n")
        .await;
    client.hear_head().await;
    let body = client.hear_to("\r\n0\r\n").await + &client.hear_head().await;
    assert_eq!(body.to_ascii_lowercase(), "2\r\nok\r\n0\r\nx-end: 8\r\n\r\n");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let script = Script::default()
        .exchange(|_, request, _| async move { Response::new(Body::from(request.uri().path().to_owned())) });
    let rig = script.start().await;
    let mut client = rig.h1(API).await;
    client
        .say("GET /1 HTTP/1.1\r\nHost: api.ai.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: api.ai.test\r\n\r\n")
        .await;
    for path in ["/1", "/2"] {
        client.hears(&format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{path}")).await;
    }
}

#[tokio::test]
async fn an_http_10_client_is_served() {
    let (mut client, mut server) = pair(Script::default()).await;
    client.say("GET / HTTP/1.0\r\n\r\n").await;
    server.hears("GET / HTTP/1.1\r\nhost: api.ai.test\r\n\r\n").await;
    server.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
    let answer = within(client.hear_rest()).await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
}
