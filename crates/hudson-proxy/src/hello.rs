//! How a client opens a tunnel: which host the first message of its TLS names, read ahead and left in its place. Must
//! not answer, change or hold back anything else.

use std::time::Duration;

use rustls::server::Acceptor;
use tokio::io::AsyncRead;
use tokio::time::timeout;

use crate::leg::Prefixed;
use crate::tls::HANDSHAKE_RECORD;

/// What a whole hello has room in. With post-quantum keys and an encrypted inner hello they reach a few kilobytes.
const LONGEST: usize = 64 * 1024;

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// TLS for this host.
    Named(Box<str>),
    /// TLS without a name, another protocol, a server that speaks first, or one side has closed.
    Other,
    /// A hello was begun and not ended within its bounds.
    Stalled,
}

/// Waits for the side that speaks first; the bytes of both stay in their streams.
pub(crate) async fn listen<C, U>(
    client: &mut Prefixed<C>,
    server: &mut Prefixed<U>,
    limit: Duration,
) -> Opening
where
    C: AsyncRead + Unpin,
    U: AsyncRead + Unpin,
{
    tokio::select! {
        biased;
        opening = of_client(client, limit) => opening,
        _ = server.peek() => Opening::Other,
    }
}

async fn of_client<C: AsyncRead + Unpin>(client: &mut Prefixed<C>, limit: Duration) -> Opening {
    match client.peek().await {
        Ok(Some(HANDSHAKE_RECORD)) => timeout(limit, name(client)).await.unwrap_or(Opening::Stalled),
        _ => Opening::Other,
    }
}

/// Records and segments are put together by the TLS library; what it can't read is not for us to judge.
async fn name<C: AsyncRead + Unpin>(client: &mut Prefixed<C>) -> Opening {
    let mut acceptor = Acceptor::default();
    let mut told = 0;
    loop {
        let mut fresh = client.read_ahead().get(told..).unwrap_or_default();
        while !fresh.is_empty() {
            match acceptor.read_tls(&mut fresh).map(|_| acceptor.accept()) {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(accepted))) => {
                    return match accepted.client_hello().server_name() {
                        Some(name) => Opening::Named(name.into()),
                        None => Opening::Other,
                    };
                }
                Ok(Err(_)) | Err(_) => return Opening::Other,
            }
        }
        told = client.read_ahead().len();
        if told > LONGEST {
            return Opening::Stalled;
        }
        if !client.more().await.is_ok_and(|more| more > 0) {
            return Opening::Other;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use rustls_pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn hello(host: &str) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let mut bytes = Vec::new();
        ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut bytes).unwrap();
        bytes
    }

    /// The same handshake message in records of a few bytes each.
    fn in_small_records(hello: &[u8]) -> Vec<u8> {
        let part = |part: &[u8]| [&[0x16, 3, 1, 0, part.len() as u8], part].concat();
        hello[5..].chunks(7).flat_map(part).collect()
    }

    async fn heard(sent: Vec<u8>, piece: usize, limit: Duration, ends: bool) -> Opening {
        let (mut far, near) = duplex(64);
        let mut client = Prefixed::new(Bytes::new(), near);
        let (_silent, server) = duplex(64);
        let mut server = Prefixed::new(Bytes::new(), server);
        let all = sent.clone();
        let sending = tokio::spawn(async move {
            for piece in all.chunks(piece) {
                if far.write_all(piece).await.is_err() {
                    break;
                }
            }
            if ends { None } else { Some(far) }
        });
        let opening = listen(&mut client, &mut server, limit).await;
        // Nothing was taken: what was sent is still there to be read.
        if matches!(opening, Opening::Named(_) | Opening::Other) {
            let mut whole = vec![0; sent.len()];
            client.read_exact(&mut whole).await.unwrap();
            assert!(whole == sent);
            sending.await.unwrap();
        }
        opening
    }

    #[tokio::test]
    async fn a_name_is_found_however_the_hello_is_cut() {
        let whole = hello("api.ai.test");
        for piece in [1, 5, 63, 10_000] {
            let name = Opening::Named("api.ai.test".into());
            assert_eq!(heard(whole.clone(), piece, PATIENCE, false).await, name);
            assert_eq!(heard(in_small_records(&whole), piece, PATIENCE, false).await, name);
        }
        // What comes behind it, as early data does, changes nothing.
        let more = [whole, vec![0x17; 3_000]].concat();
        assert_eq!(heard(more, 10_000, PATIENCE, false).await, Opening::Named("api.ai.test".into()));
    }

    #[tokio::test]
    async fn everything_else_goes_on_at_once() {
        for other in [
            hello("192.0.2.1"),
            b"SSH-2.0-client\r\n".to_vec(),
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            // A handshake record by its first byte, and nothing more.
            b"\x16\x16\x16\x16\x16\x16\x16".to_vec(),
            b"\x16\x03\x01\x00\x04\x02\x00\x00\x00".to_vec(),
        ] {
            assert_eq!(heard(other, 10_000, PATIENCE, false).await, Opening::Other);
        }
        let cut = hello("api.ai.test")[..90].to_vec();
        assert_eq!(heard(cut, 10_000, PATIENCE, true).await, Opening::Other);
        assert_eq!(heard(Vec::new(), 1, PATIENCE, true).await, Opening::Other);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hello_that_does_not_end_is_waited_for_so_long_and_no_longer() {
        let cut = hello("api.ai.test")[..90].to_vec();
        assert_eq!(heard(cut, 10_000, Duration::from_secs(15), false).await, Opening::Stalled);
        let endless = [vec![0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff], vec![0; 70_000]].concat();
        let opening = heard(endless, 10_000, PATIENCE, false).await;
        assert!(matches!(opening, Opening::Stalled | Opening::Other), "{opening:?}");
    }

    #[tokio::test]
    async fn a_server_that_speaks_first_is_not_kept_waiting() {
        let (_far, near) = duplex(64);
        let (mut banner, server) = duplex(64);
        let (mut client, mut server) =
            (Prefixed::new(Bytes::new(), near), Prefixed::new(Bytes::new(), server));
        banner.write_all(b"220 ready\r\n").await.unwrap();
        assert_eq!(listen(&mut client, &mut server, PATIENCE).await, Opening::Other);
        let mut heard = [0; 11];
        server.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"220 ready\r\n");
    }
}
