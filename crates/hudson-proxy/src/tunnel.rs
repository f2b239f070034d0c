//! Bytes from one side to the other and back, unread but for the host that a TLS client names. Each direction ends by
//! itself (half-close). Must not keep more than its two buffers.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::authority::Authority;
use crate::connection::Session;
use crate::handler::{Named, TunnelClosed, TunnelEnd, TunnelKind};
use crate::hello::{self, Opening};
use crate::leg::{Leg, Prefixed};

/// Large enough for throughput, small enough for a hundred idle tunnels.
const BUFFER: usize = 32 * 1024;

/// What CONNECT asked for, to a host that is not intercepted. Gives the client back where its TLS names one that is.
pub(crate) async fn connect(
    session: &Session,
    target: &Authority,
    proxy_auth: Option<&HeaderValue>,
    mut client: Prefixed<TcpStream>,
    leg: Leg,
) -> Option<(Prefixed<TcpStream>, Authority)> {
    let mut leg = Prefixed::new(Bytes::new(), leg);
    let mut report = Report::new(session, target.clone(), TunnelKind::Connect);
    let limits = session.limits();
    match timeout(limits.tunnel_idle, hello::listen(&mut client, &mut leg, limits.handshake)).await {
        Ok(Opening::Named(name)) => {
            let named = Authority::new(&name, target.port()).ok().filter(|named| named != target);
            if let Some(named) = named
                && session.handler().named(&session.peer, target, &named, proxy_auth).await
                    == Named::Intercept
            {
                report.session = None;
                return Some((client, named));
            }
            report.pass(client, leg).await;
        }
        Ok(Opening::Other) => report.pass(client, leg).await,
        Ok(Opening::Stalled) => report.end = TunnelEnd::Stalled,
        Err(_) => report.end = TunnelEnd::Idle,
    }
    None
}

pub(crate) async fn run<C, U>(session: &Session, target: Authority, kind: TunnelKind, client: C, upstream: U)
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    Report::new(session, target, kind).pass(client, upstream).await;
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
    /// None when it turned out to be no tunnel.
    session: Option<&'a Session>,
    target: Authority,
    kind: TunnelKind,
    sent: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
    begin: Instant,
    end: TunnelEnd,
}

impl<'a> Report<'a> {
    fn new(session: &'a Session, target: Authority, kind: TunnelKind) -> Self {
        Self {
            session: Some(session),
            target,
            kind,
            sent: Arc::default(),
            received: Arc::default(),
            begin: Instant::now(),
            end: TunnelEnd::Stopped,
        }
    }

    async fn pass<C, U>(&mut self, client: C, upstream: U)
    where
        C: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(session) = self.session else { return };
        let mut client = Counted { stream: client, read: self.sent.clone() };
        let mut upstream = Counted { stream: upstream, read: self.received.clone() };
        self.end = copy(&mut client, &mut upstream, session.limits().tunnel_idle).await;
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        let Some(session) = self.session else { return };
        session.handler().tunnel_closed(&TunnelClosed {
            peer: session.peer.clone(),
            connection: session.info,
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
