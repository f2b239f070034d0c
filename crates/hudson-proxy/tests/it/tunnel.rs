//! Hosts that are not intercepted.

use std::time::Duration;

use hudson_proxy::{ProxyKind, TunnelEnd, TunnelKind};
use tokio::io::AsyncWriteExt;

use crate::support::client::{Line, handshake};
use crate::support::origin::RawOrigin;
use crate::support::pki::Pki;
use crate::support::{Script, until, upstream, within};

#[tokio::test]
async fn bytes_pass_as_they_are_and_each_side_ends_by_itself() {
    let origin = RawOrigin::plain().await;
    let rig = Script::default().resolve("ssh.test:22", origin.address).start().await;
    let mut client = rig.connect("ssh.test:22").await;
    let mut server = origin.next().await;
    // A protocol in which the server speaks first.
    server.say("SSH-2.0-x\r\n").await;
    client.hears("SSH-2.0-x\r\n").await;
    client.say(b"\0\xff\x16\x03GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(server.hear_exact(22).await, b"\0\xff\x16\x03GET / HTTP/1.1\r\n\r\n");
    client.stream.shutdown().await.unwrap();
    assert_eq!(server.hear_rest().await, "");
    // The client has finished, the server has not.
    server.say("late").await;
    client.hears("late").await;
    drop(server);
    assert_eq!(client.hear_rest().await, "");
    let closed = until(|| rig.seen.tunnels.lock().unwrap().first().cloned()).await;
    assert_eq!((closed.kind, closed.end), (TunnelKind::Connect, TunnelEnd::Finished));
    assert_eq!((closed.sent, closed.received), (22, 15));
    assert_eq!(closed.target.to_string(), "ssh.test:22");
}

#[tokio::test]
async fn megabytes_pass_both_ways_at_once() {
    let origin = RawOrigin::plain().await;
    let rig = Script::default().resolve("bulk.test:9", origin.address).start().await;
    let client = rig.connect("bulk.test:9").await;
    let server = origin.next().await;
    let bytes: Vec<u8> = (0..4_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let exchange = |line: Line<tokio::net::TcpStream>, bytes: Vec<u8>| async move {
        let (mut read, mut write) = tokio::io::split(line.stream);
        let sent = bytes.clone();
        let writing = tokio::spawn(async move {
            write.write_all(&sent).await.unwrap();
            write.shutdown().await.unwrap();
        });
        let mut heard = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut read, &mut heard).await.unwrap();
        writing.await.unwrap();
        assert!(heard == bytes, "{} bytes came", heard.len());
    };
    within(async { tokio::join!(exchange(client, bytes.clone()), exchange(server, bytes.clone())) }).await;
    let closed = until(|| rig.seen.tunnels.lock().unwrap().first().cloned()).await;
    assert_eq!((closed.sent, closed.received), (4_000_000, 4_000_000));
}

#[tokio::test]
async fn the_client_sees_the_servers_own_certificate() {
    let pki = Pki::new();
    let config = pki.server("bank.test", &["h2"]);
    let distrustful = pki.distrustful_client();
    let origin = RawOrigin::tls(config).await;
    let rig = Script::default().resolve("bank.test:443", origin.address).start_with(pki).await;
    let line = rig.connect("bank.test:443").await;
    let (client, server) =
        tokio::join!(handshake(distrustful, "bank.test:443", line.stream), origin.next_tls());
    let (mut client, mut server) = (Line::new(client.unwrap()), server);
    client.say("hello").await;
    server.hears("hello").await;
    assert!(rig.seen.contexts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn bytes_sent_along_with_connect_are_not_lost() {
    let origin = RawOrigin::plain().await;
    let rig = Script::default().resolve("t.test:1", origin.address).start().await;
    let mut client = rig.dial().await;
    client.say("CONNECT t.test:1 HTTP/1.1\r\nHost: t.test:1\r\n\r\nearly").await;
    let mut server = origin.next().await;
    server.hears("early").await;
    assert_eq!(client.hear_head().await, "HTTP/1.1 200 OK\r\n\r\n");
}

#[tokio::test]
async fn a_dead_port_is_said_in_the_answer_to_connect() {
    let gone = RawOrigin::plain().await.address;
    let rig = Script::default().resolve("gone.test:443", gone).start().await;
    let mut client = rig.dial().await;
    client.say("CONNECT gone.test:443 HTTP/1.1\r\nHost: gone.test:443\r\n\r\n").await;
    let head = client.hear_head().await;
    assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains("content-type: text/plain"), "{head}");
    client.hears("gone.test:443 could not be reached: ").await;
    let mut client = rig.dial().await;
    client.say("CONNECT no-such-host.invalid:443 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
}

#[tokio::test]
async fn a_dial_that_does_not_end_is_a_timeout() {
    // A chained proxy that takes the connection and says nothing.
    let silent = RawOrigin::plain().await;
    let mut script = Script::default().limits(|limits| limits.connect = Duration::from_millis(100));
    script.dialer.upstream_proxy = Some(upstream(ProxyKind::Http, silent.address, None));
    let rig = script.start().await;
    let mut client = rig.dial().await;
    client.say("CONNECT x.test:443 HTTP/1.1\r\nHost: x.test:443\r\n\r\n").await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"));
}

#[tokio::test]
async fn a_silent_tunnel_is_closed() {
    let origin = RawOrigin::plain().await;
    let script = Script::default().limits(|limits| limits.tunnel_idle = Duration::from_millis(100));
    let rig = script.resolve("idle.test:1", origin.address).start().await;
    let mut client = rig.connect("idle.test:1").await;
    let mut server = origin.next().await;
    client.say("x").await;
    server.hears("x").await;
    assert_eq!(client.hear_rest().await, "");
    assert_eq!(server.hear_rest().await, "");
    let closed = until(|| rig.seen.tunnels.lock().unwrap().first().cloned()).await;
    assert_eq!((closed.end, closed.sent), (TunnelEnd::Idle, 1));
}

#[tokio::test]
async fn connect_in_http_10_works_as_old_clients_send_it() {
    let origin = RawOrigin::plain().await;
    let rig = Script::default().resolve("t.test:1", origin.address).start().await;
    let mut client = rig.dial().await;
    client.say("CONNECT t.test:1 HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.hear_head().await, "HTTP/1.0 200 OK\r\n\r\n");
    client.say("x").await;
    origin.next().await.hears("x").await;
}
