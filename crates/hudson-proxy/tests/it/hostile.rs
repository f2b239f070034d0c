//! Whatever comes, nothing panics and nothing hangs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Response, StatusCode};
use hudson_proxy::Body;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::support::{API, Rig, Script, within};

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// xorshift: the same garbage in each run.
struct Garbage(u64);

impl Garbage {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most as u64).unwrap()
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most);
        (0..length).map(|_| self.next().to_le_bytes()[3]).collect()
    }

    /// Fragments of what is expected here, in any order, with bytes changed.
    fn almost_http(&mut self) -> Vec<u8> {
        const PARTS: [&[u8]; 30] = [
            b"GET ",
            b"POST ",
            b"CONNECT ",
            b"OPTIONS * ",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"/",
            b"http://",
            b"https://",
            b"x.ai.test",
            b":443",
            b":",
            b"[::1]",
            b" HTTP/1.1\r\n",
            b" HTTP/1.0\r\n",
            b"Host: api.ai.test\r\n",
            b"Host:\r\n",
            b"Content-Length: 5\r\n",
            b"Content-Length: 18446744073709551616\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Connection: upgrade, close\r\n",
            b"Upgrade: websocket\r\n",
            b"Expect: 100-continue\r\n",
            b"TE: trailers\r\n",
            b"\r\n",
            b"\r\n\r\n",
            b"5\r\nhello\r\n",
            b"0\r\n\r\n",
            b"ffffffffffffffff\r\n",
            b"\x16\x03\x01\x02\x00\x01",
            b"\0",
        ];
        let mut all = Vec::new();
        for _ in 0..self.below(14) {
            all.extend_from_slice(PARTS[self.below(PARTS.len())]);
        }
        if self.below(3) == 0 && !all.is_empty() {
            let place = self.below(all.len());
            all[place] ^= 1 << self.below(8);
        }
        all
    }
}

async fn throw<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: &[u8]) {
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut heard = Vec::new();
    // Ends because we have closed our side, or by a limit.
    let _ = within(stream.read_to_end(&mut heard)).await;
}

async fn is_well(rig: &Rig) {
    let (response, body) = rig.h2(API).await.get("https://api.ai.test/").await;
    assert_eq!((response.status(), body.as_ref()), (StatusCode::OK, b"well".as_slice()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_at_every_layer_leaves_the_proxy_well() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // Another test of this process makes its handler panic on purpose.
        if info.location().is_none_or(|place| !place.file().contains("tests/it")) {
            PANICS.fetch_add(1, Ordering::SeqCst);
        }
        before(info);
    }));
    let rig = Script::default()
        .limits(|limits| {
            limits.header_read = Duration::from_millis(300);
            limits.handshake = Duration::from_millis(300);
            limits.request_idle = Duration::from_millis(300);
            limits.client_idle = Duration::from_millis(300);
            limits.connect = Duration::from_millis(300);
            limits.drain = Duration::from_secs(5);
        })
        .exchange(|_, request, _| async move {
            let _ = request.into_body().gather(1 << 16).await;
            Response::new(Body::from("well"))
        })
        .start()
        .await;
    let mut garbage = Garbage(0x9e37_79b9_7f4a_7c15);
    for round in 0..150 {
        let bytes = if round % 3 == 0 { garbage.bytes(600) } else { garbage.almost_http() };
        throw(rig.dial().await.stream, &bytes).await;
        throw(rig.connect(API).await.stream, &bytes).await;
        if round % 5 == 0 {
            throw(rig.tls(API, &["http/1.1"]).await.stream, &bytes).await;
            let mut preface =
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec();
            preface.extend_from_slice(&bytes);
            throw(rig.tls(API, &["h2"]).await.stream, &preface).await;
        }
    }
    is_well(&rig).await;
    rig.stopped().await;
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}

/// The error code of the GOAWAY among these frames.
fn goaway(mut frames: &[u8]) -> Option<u32> {
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = frames {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let payload = rest.get(..length)?;
        if *kind == 7 {
            return Some(u32::from_be_bytes(payload.get(4..8)?.try_into().unwrap()));
        }
        frames = &rest[length..];
    }
    None
}

#[tokio::test]
async fn resets_in_quick_succession_end_the_connection_and_nothing_else() {
    let rig = Script::default()
        .exchange(|_, request, _| async move {
            let _ = request.into_body().gather(1 << 16).await;
            Response::new(Body::from("well"))
        })
        .start()
        .await;
    let mut line = rig.tls(API, &["h2"]).await;
    let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec();
    for stream in (1..2001_u32).step_by(2) {
        // HEADERS without END_STREAM: `:method: GET`, `:scheme: https`, `:path: /`, authority as a literal.
        let block = b"\x82\x87\x84\x01\x0bapi.ai.test";
        frames.extend_from_slice(&[0, 0, block.len() as u8, 1, 4]);
        frames.extend_from_slice(&stream.to_be_bytes());
        frames.extend_from_slice(block);
        // RST_STREAM with CANCEL.
        frames.extend_from_slice(&[0, 0, 4, 3, 0]);
        frames.extend_from_slice(&stream.to_be_bytes());
        frames.extend_from_slice(&8_u32.to_be_bytes());
    }
    let _ = line.stream.write_all(&frames).await;
    let _ = line.stream.flush().await;
    let mut heard = Vec::new();
    let _ = within(line.stream.read_to_end(&mut heard)).await;
    assert_eq!(goaway(&heard), Some(11), "ENHANCE_YOUR_CALM");
    is_well(&rig).await;
}

#[tokio::test]
async fn a_handler_that_panics_costs_one_connection() {
    let script = Script::default().exchange(|_, request, _| async move {
        assert!(request.uri().path() != "/panic", "asked for by the test");
        Response::new(Body::from("well"))
    });
    let rig = script.start().await;
    let mut client = rig.h1(API).await;
    client.say("GET /panic HTTP/1.1\r\nHost: api.ai.test\r\n\r\n").await;
    assert_eq!(client.hear_rest().await, "");
    is_well(&rig).await;
}
