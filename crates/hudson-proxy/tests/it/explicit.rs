//! Requests on the connection as the client opened it.

use std::sync::Arc;

use http::{Response, StatusCode};
use hudson_proxy::{Authority, Body, Ingress, LocalReply, Refused, Route, Scheme, TargetForm};

use crate::support::Script;
use crate::support::origin::RawOrigin;

#[tokio::test]
async fn an_absolute_form_request_to_another_host_is_forwarded_untouched() {
    let origin = RawOrigin::plain().await;
    let rig = Script::default().resolve("plain.test:80", origin.address).start().await;
    let mut client = rig.dial().await;
    client
        .say("POST http://plain.test/a%20b?q=%2f HTTP/1.1\r\nHost: plain.test\r\nX-oDD: 1\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\naccept: b\r\nACCEPT: c\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    let mut server = origin.next().await;
    server
        .hears("POST /a%20b?q=%2f HTTP/1.1\r\nHost: plain.test\r\nX-oDD: 1\r\naccept: b\r\nACCEPT: c\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    let answer = "HTTP/1.1 299 Very Fine\r\nserver: x\r\nX-Two: b\r\nX-Two: a\r\ncontent-LENGTH: 2\r\n\r\nok";
    server.say(answer).await;
    client.hears(answer).await;
    // The same connections carry the next one.
    client.say("GET http://PLAIN.test:80 HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n").await;
    server.hears("GET / HTTP/1.1\r\nHost: plain.test\r\n\r\n").await;
    server.say("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.hears("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(rig.seen.contexts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_absolute_form_request_to_an_intercepted_host_is_an_exchange() {
    let origin = RawOrigin::plain().await;
    let rig = Script::default().resolve("x.ai.test:8080", origin.address).start().await;
    let mut client = rig.dial().await;
    client
        .say("GET http://x.ai.test:8080/p HTTP/1.1\r\nHost: x.ai.test:8080\r\nProxy-Authorization: Basic eDp5\r\n\r\n")
        .await;
    let mut server = origin.next().await;
    server.hears("GET /p HTTP/1.1\r\nHost: x.ai.test:8080\r\n\r\n").await;
    server.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.hears("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    {
        let contexts = rig.seen.contexts.lock().unwrap();
        assert_eq!(contexts[0].ingress, Ingress::Absolute);
        assert_eq!(contexts[0].scheme, Scheme::Http);
        assert_eq!(contexts[0].target.to_string(), "x.ai.test:8080");
        assert_eq!(contexts[0].proxy_auth.as_ref().unwrap(), "Basic eDp5");
        assert!(!format!("{:?}", contexts[0].proxy_auth).contains("eDp5"));
    }
    client.say("GET http://x.ai.test:8080/p HTTP/1.1\r\nHost: other.test\r\n\r\n").await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 421 Misdirected Request\r\n"));
}

#[tokio::test]
async fn a_request_for_the_proxy_itself_is_local_with_all_its_headers() {
    let script = Script {
        local: Box::new(|context, request| {
            let origin = request.headers()["origin"].to_str().unwrap();
            let host = request.headers()["host"].to_str().unwrap();
            let text = format!("{:?} {} {origin} {host}", context.form, request.uri());
            LocalReply::Respond(Response::new(Body::from(text)))
        }),
        ..Script::default()
    };
    let rig = script.start().await;
    let mut client = rig.dial().await;
    let own = rig.address;
    client
        .say(format!("GET /proxy.pac?x HTTP/1.1\r\nHost: {own}\r\nOrigin: https://evil.test\r\n\r\n"))
        .await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    client.hears(&format!("{:?} /proxy.pac?x https://evil.test {own}", TargetForm::Origin)).await;
    client.say(format!("GET http://{own}/x HTTP/1.1\r\nHost: {own}\r\nOrigin: null\r\n\r\n")).await;
    client.hear_head().await;
    client.hears(&format!("{:?} /x null {own}", TargetForm::Absolute)).await;
    let port = own.port();
    client
        .say(format!("GET http://localhost:{port}/x HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: -\r\n\r\n"))
        .await;
    client.hear_head().await;
    client.hears(&format!("{:?} /x - localhost:{port}", TargetForm::Absolute)).await;
}

#[tokio::test]
async fn a_local_request_can_become_an_exchange_with_another_host() {
    let origin = RawOrigin::plain().await;
    let script = Script {
        local: Box::new(|_, mut request| {
            let path = request.uri().path().strip_prefix("/anthropic").unwrap().to_owned();
            *request.uri_mut() = path.parse().unwrap();
            let target = Authority::new("api.ai.test", 80).unwrap();
            LocalReply::Exchange { target, scheme: Scheme::Http, request }
        }),
        ..Script::default()
    };
    let rig = script.resolve("api.ai.test:80", origin.address).start().await;
    let mut client = rig.dial().await;
    client
        .say(format!(
            "POST /anthropic/v1 HTTP/1.1\r\nHost: {}\r\nX-Key: k\r\nContent-Length: 2\r\n\r\nhi",
            rig.address
        ))
        .await;
    let mut server = origin.next().await;
    server.hears("POST /v1 HTTP/1.1\r\nHost: api.ai.test\r\nX-Key: k\r\nContent-Length: 2\r\n\r\nhi").await;
    server.say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").await;
    client.hears("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").await;
    assert_eq!(rig.seen.contexts.lock().unwrap()[0].ingress, Ingress::Local);
}

#[tokio::test]
async fn a_connection_that_is_refused_is_told_so_in_http_and_closed_otherwise() {
    let script = Script { accept: Box::new(|_| Err(Refused::new("Not your proxy."))), ..Script::default() };
    let rig = script.start().await;
    let mut client = rig.dial().await;
    client.say("CONNECT x.test:443 HTTP/1.1\r\nHost: x.test:443\r\n\r\n").await;
    let answer = client.hear_rest().await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nNot your proxy.\n"), "{answer}");
    let mut other = rig.dial().await;
    other.say([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]).await;
    assert_eq!(other.hear_rest().await, "");
}

#[tokio::test]
async fn a_route_can_refuse_with_any_response_and_sees_the_credentials() {
    let script = Script {
        route: Box::new(|_, auth| match auth {
            Some(auth) if auth == "Basic Z29vZA==" => Route::Tunnel,
            _ => {
                let mut response = Response::new(Body::from("who are you?"));
                *response.status_mut() = StatusCode::PROXY_AUTHENTICATION_REQUIRED;
                response.headers_mut().insert("proxy-authenticate", "Basic realm=\"x\"".parse().unwrap());
                Route::Refuse(Box::new(response))
            }
        }),
        ..Script::default()
    };
    let origin = RawOrigin::plain().await;
    let rig = script.resolve("t.test:1", origin.address).start().await;
    let mut client = rig.dial().await;
    client.say("CONNECT t.test:1 HTTP/1.1\r\nHost: t.test:1\r\n\r\n").await;
    let head = client.hear_head().await;
    assert!(head.starts_with("HTTP/1.1 407 Proxy Authentication Required\r\n"), "{head}");
    assert!(head.contains("proxy-authenticate: Basic realm=\"x\"\r\n"), "{head}");
    client.hears("who are you?").await;
    assert!(origin.is_untouched().await);
    // As clients do: the same connection, now with credentials.
    client
        .say("CONNECT t.test:1 HTTP/1.1\r\nHost: t.test:1\r\nProxy-Authorization: Basic Z29vZA==\r\n\r\n")
        .await;
    assert_eq!(client.hear_head().await, "HTTP/1.1 200 OK\r\n\r\n");
}

#[tokio::test]
async fn what_is_no_proxy_request_is_answered_and_dials_nothing() {
    let rig = Script::default().start().await;
    let own = rig.address;
    for (request, status) in [
        ("CONNECT nowhere HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "400"),
        ("CONNECT u@x.test:443 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "400"),
        ("CONNECT x.test:0 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "400"),
        ("CONNECT x.test:99999 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "400"),
        ("CONNECT x.test:443 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello".to_owned(), "400"),
        (format!("CONNECT {own} HTTP/1.1\r\nHost: {own}\r\n\r\n"), "508"),
        (format!("CONNECT localhost:{} HTTP/1.1\r\nHost: x\r\n\r\n", own.port()), "508"),
        ("GET x.test:80 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "400"),
        ("GET ftp://x.test/ HTTP/1.1\r\nHost: x.test\r\n\r\n".to_owned(), "400"),
        ("GET http://u:p@x.test/ HTTP/1.1\r\nHost: x.test\r\n\r\n".to_owned(), "400"),
        ("GET http://x.test/ HTTP/1.1\r\nHost: x.test\r\nHost: x.test\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(), "400"),
        ("nonsense\r\n\r\n".to_owned(), "400"),
    ] {
        let mut client = rig.dial().await;
        client.say(&request).await;
        let head = client.hear_head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?} gave {head:?}");
    }
}

#[tokio::test]
async fn the_peer_value_travels_with_each_request() {
    let script = Script { accept: Box::new(|info| Ok(Arc::new(info.id))), ..Script::default() };
    let script = script.exchange(|context, _, _| async move {
        let id = context.peer.downcast_ref::<u64>().copied();
        Response::new(Body::from(format!("{:?} {}", id, context.connection.id)))
    });
    let rig = script.start().await;
    for id in 1..=2 {
        let mut client = rig.dial().await;
        client.say("GET http://x.ai.test/ HTTP/1.1\r\nHost: x.ai.test\r\n\r\n").await;
        client.hear_head().await;
        client.hears(&format!("Some({id}) {id}")).await;
    }
}
