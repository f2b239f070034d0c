//! Through another proxy.

use http::{Response, StatusCode};
use hudson_proxy::{NoProxy, ProxyKind};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use crate::support::client::{Line, full, handshake};
use crate::support::origin::{HttpOrigin, RawOrigin};
use crate::support::pki::Pki;
use crate::support::{API, Rig, Script, upstream};

const LOGIN: Option<(&str, &str)> = Some(("me", "pw"));

async fn through(
    kind: ProxyKind,
    address: impl std::fmt::Display,
    login: Option<(&str, &str)>,
    pki: Pki,
) -> Rig {
    let mut script = Script::default();
    script.dialer.upstream_proxy = Some(upstream(kind, address, login));
    script.start_with(pki).await
}

#[tokio::test]
async fn intercepted_hosts_and_tunnels_go_through_an_http_proxy() {
    let pki = Pki::new();
    let origin =
        HttpOrigin::tls(pki.server("api.ai.test", &["h2"]), |_| async { Response::new(full("x")) }).await;
    let corporate = RawOrigin::plain().await;
    let rig = through(ProxyKind::Http, corporate.address, LOGIN, pki).await;
    let to = origin.address;
    let play = tokio::spawn(async move {
        for target in [API, "other.test:22"] {
            let mut line = corporate.next().await;
            line.hears(&format!(
                "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Basic bWU6cHc=\r\n\r\n"
            ))
            .await;
            line.say("HTTP/1.1 200 Connection established\r\n\r\n").await;
            if target == API {
                tokio::spawn(async move {
                    let mut onward = TcpStream::connect(to).await.unwrap();
                    let _ = copy_bidirectional(&mut line.stream, &mut onward).await;
                });
            } else {
                line.say("SSH-2.0").await;
            }
        }
    });
    let (response, body) = rig.h2(API).await.get("https://api.ai.test/").await;
    assert_eq!((response.status(), body.as_ref()), (StatusCode::OK, b"x".as_slice()));
    let mut tunnel = rig.connect("other.test:22").await;
    tunnel.hears("SSH-2.0").await;
    play.await.unwrap();
}

#[tokio::test]
async fn plain_http_is_put_to_an_http_proxy_in_absolute_form() {
    let corporate = RawOrigin::plain().await;
    let rig = through(ProxyKind::Http, corporate.address, LOGIN, Pki::new()).await;
    for host in ["other.test", "api.ai.test"] {
        let mut client = rig.dial().await;
        client.say(format!("GET http://{host}/p?q HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: Basic bWluZQ==\r\n\r\n")).await;
        let mut line = corporate.next().await;
        let head = line.hear_head().await;
        assert_eq!(
            head.to_ascii_lowercase(),
            format!(
                "get http://{host}/p?q http/1.1\r\nhost: {host}\r\nproxy-authorization: basic bwu6chc=\r\n\r\n"
            )
        );
        line.say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").await;
        client.hears("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").await;
    }
}

#[tokio::test]
async fn a_websocket_over_plain_http_asks_the_proxy_for_a_tunnel() {
    let corporate = RawOrigin::plain().await;
    let rig = through(ProxyKind::Http, corporate.address, None, Pki::new()).await;
    let mut client = rig.dial().await;
    client.say("GET http://api.ai.test/ws HTTP/1.1\r\nHost: api.ai.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    let mut line = corporate.next().await;
    line.hears("CONNECT api.ai.test:80 HTTP/1.1\r\nHost: api.ai.test:80\r\n\r\n").await;
    line.say("HTTP/1.1 200 OK\r\n\r\n").await;
    assert!(line.hear_head().await.starts_with("GET /ws HTTP/1.1\r\n"));
}

#[tokio::test]
async fn an_https_proxy_is_verified_and_spoken_to_in_tls() {
    let pki = Pki::new();
    let corporate = RawOrigin::tls(pki.server("proxy.test", &[])).await;
    let distrustful = pki.distrustful_client();
    let bank = std::sync::Arc::new(pki.server("bank.test", &[]));
    let mut script = Script::default();
    script.dialer.upstream_proxy = Some(upstream(ProxyKind::Https, "proxy.test:443", None));
    let rig = script.resolve("proxy.test:443", corporate.address).start_with(pki).await;
    let play = tokio::spawn(async move {
        let mut line = corporate.next_tls().await;
        line.hears("CONNECT bank.test:443 HTTP/1.1\r\nHost: bank.test:443\r\n\r\n").await;
        line.say("HTTP/1.1 200 OK\r\n\r\n").await;
        // TLS in TLS.
        let mut inner = Line::new(tokio_rustls::TlsAcceptor::from(bank).accept(line.stream).await.unwrap());
        inner.hears("hello").await;
    });
    let line = rig.connect("bank.test:443").await;
    let mut client = Line::new(handshake(distrustful, "bank.test:443", line.stream).await.unwrap());
    client.say("hello").await;
    play.await.unwrap();
}

#[tokio::test]
async fn socks5_carries_names_to_the_proxy() {
    let corporate = RawOrigin::plain().await;
    let rig = through(ProxyKind::Socks5, corporate.address, None, Pki::new()).await;
    let play = tokio::spawn(async move {
        let mut line = corporate.next().await;
        line.hears("\u{5}\u{1}\0").await;
        line.say([5, 0]).await;
        assert_eq!(line.hear_exact(17).await, b"\x05\x01\x00\x03\x0aother.test\x00\x16");
        line.say([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await;
        line.say("SSH-2.0").await;
    });
    let mut tunnel = rig.connect("other.test:22").await;
    tunnel.hears("SSH-2.0").await;
    play.await.unwrap();
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_in_the_answer() {
    let corporate = RawOrigin::plain().await;
    let rig = through(ProxyKind::Http, corporate.address, None, Pki::new()).await;
    let mut client = rig.dial().await;
    client.say("CONNECT other.test:22 HTTP/1.1\r\nHost: other.test:22\r\n\r\n").await;
    let mut line = corporate.next().await;
    line.hear_head().await;
    line.say("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
    client
        .hears(&format!(
            "the upstream proxy {} could not be used for other.test:22: it asks for other credentials\n",
            corporate.address
        ))
        .await;
}

#[tokio::test]
async fn exceptions_and_resolved_names_go_past_the_proxy() {
    let origin = RawOrigin::plain().await;
    let mut script = Script::default().resolve("mapped.test:22", origin.address);
    script.dialer.upstream_proxy = Some(upstream(ProxyKind::Http, "no-such-host.invalid:80", None));
    script.dialer.no_proxy = NoProxy::parse("127.0.0.0/8");
    let rig = script.start().await;
    for target in ["mapped.test:22".to_owned(), origin.address.to_string()] {
        let mut client = rig.connect(&target).await;
        client.say("x").await;
        origin.next().await.hears("x").await;
    }
}

#[tokio::test]
async fn a_proxy_that_is_ourselves_is_a_loop() {
    // The environment of a shell that `env` has set up names this very proxy.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut script = Script::default();
    script.dialer.upstream_proxy = Some(upstream(ProxyKind::Http, own, None));
    let rig = script.start_on(tokio::net::TcpListener::from_std(listener).unwrap(), Pki::new()).await;
    let mut client = rig.dial().await;
    client.say("CONNECT other.test:22 HTTP/1.1\r\nHost: other.test:22\r\n\r\n").await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 508 Loop Detected\r\n"));
}
