//! Bytes from one side to the other and back, unread. Each direction ends by itself (half-close). Must not keep more
//! than its two buffers.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::sleep;

use crate::authority::Authority;
use crate::connection::Session;
use crate::handler::{TunnelClosed, TunnelEnd, TunnelKind};

/// Large enough for throughput, small enough for a hundred idle tunnels.
const BUFFER: usize = 32 * 1024;

pub(crate) async fn run<C, U>(session: &Session, target: Authority, kind: TunnelKind, client: C, upstream: U)
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let (sent, received) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut report = Report {
        session,
        target,
        kind,
        sent: sent.clone(),
        received: received.clone(),
        begin: Instant::now(),
        end: TunnelEnd::Stopped,
    };
    let mut client = Counted { stream: client, read: sent };
    let mut upstream = Counted { stream: upstream, read: received };
    report.end = copy(&mut client, &mut upstream, session.limits().tunnel_idle).await;
}

async fn copy<C, U>(client: &mut Counted<C>, upstream: &mut Counted<U>, idle: Duration) -> TunnelEnd
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let (sent, received) = (client.read.clone(), upstream.read.clone());
    let mut copying = pin!(copy_bidirectional_with_sizes(client, upstream, BUFFER, BUFFER));
    let mut seen = 0;
    loop {
        tokio::select! {
            biased;
            outcome = &mut copying => {
                return if outcome.is_ok() { TunnelEnd::Finished } else { TunnelEnd::Broken };
            }
            () = sleep(idle) => {
                let moved = sent.load(Ordering::Relaxed) + received.load(Ordering::Relaxed);
                if moved == seen {
                    return TunnelEnd::Idle;
                }
                seen = moved;
            }
        }
    }
}

/// Says what was moved when the tunnel ends, also when its task is stopped.
struct Report<'a> {
    session: &'a Session,
    target: Authority,
    kind: TunnelKind,
    sent: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
    begin: Instant,
    end: TunnelEnd,
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        self.session.handler().tunnel_closed(&TunnelClosed {
            peer: self.session.peer.clone(),
            connection: self.session.info,
            target: self.target.clone(),
            kind: self.kind,
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            duration: self.begin.elapsed(),
            end: self.end,
        });
    }
}

struct Counted<S> {
    stream: S,
    read: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        let came = buf.filled().len() - before;
        if came > 0 {
            this.read.fetch_add(came as u64, Ordering::Relaxed);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
