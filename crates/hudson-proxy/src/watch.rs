//! Times a client's HTTP connection: how long a request head may take to arrive, and how long the connection may lie
//! idle. hyper has one timer for both. Must not cost anything while an exchange runs.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use crate::body::{Body, BodyError};

/// What a connection does between requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The first request is due now.
    Awaited,
    /// The first request may take as long as any later one.
    Idle,
    /// HTTP/2: bytes between requests are no sign of a request.
    Multiplexed,
}

pub(crate) struct Watch {
    head: Duration,
    idle: Duration,
    multiplexed: bool,
    /// Whether the next byte read begins a request head.
    between: AtomicBool,
    phase: Mutex<Phase>,
}

struct Phase {
    running: usize,
    in_head: bool,
    since: Instant,
}

impl Watch {
    pub(crate) fn new(start: Start, head: Duration, idle: Duration) -> Arc<Self> {
        let in_head = start == Start::Awaited;
        Arc::new(Self {
            head,
            idle,
            multiplexed: start == Start::Multiplexed,
            between: AtomicBool::new(!in_head),
            phase: Mutex::new(Phase { running: 0, in_head, since: Instant::now() }),
        })
    }

    /// A request head has arrived; the exchange lasts until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        let mut phase = self.phase();
        phase.running += 1;
        phase.in_head = false;
        self.between.store(false, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Ends when the connection has been idle, or inside a head, for too long.
    pub(crate) async fn expired(&self) {
        loop {
            let now = Instant::now();
            let due = {
                let phase = self.phase();
                match (phase.running, phase.in_head) {
                    (0, true) => Some(phase.since + self.head),
                    (0, false) => Some(phase.since + self.idle),
                    _ => None,
                }
            };
            if due.is_some_and(|due| due <= now) {
                return;
            }
            // A head may begin meanwhile, so no look is further away than its limit.
            let latest = now + self.head;
            sleep_until(due.map_or(latest, |due| due.min(latest))).await;
        }
    }

    fn bytes_came(&self) {
        if self.multiplexed || !self.between.load(Ordering::Relaxed) {
            return;
        }
        let mut phase = self.phase();
        if phase.running == 0 && !phase.in_head {
            phase.in_head = true;
            phase.since = Instant::now();
        }
        self.between.store(false, Ordering::Relaxed);
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An exchange that runs.
pub(crate) struct Busy(Arc<Watch>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut phase = self.0.phase();
        phase.running = phase.running.saturating_sub(1);
        if phase.running == 0 {
            phase.since = Instant::now();
            self.0.between.store(true, Ordering::Relaxed);
        }
    }
}

/// A response body that keeps its connection busy.
pub(crate) struct Served {
    pub(crate) body: Body,
    pub(crate) _busy: Busy,
}

impl HttpBody for Served {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that tells its watch when bytes come.
pub(crate) struct Watched<S> {
    stream: S,
    watch: Arc<Watch>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, watch: Arc<Watch>) -> Self {
        Self { stream, watch }
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.watch.bytes_came();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(30);
    const IDLE: Duration = Duration::from_secs(300);

    async fn lasts(watch: &Watch) -> Duration {
        let begin = Instant::now();
        watch.expired().await;
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn heads_and_idleness_have_limits_of_their_own_and_exchanges_none() {
        let watch = Watch::new(Start::Awaited, HEAD, IDLE);
        assert_eq!(lasts(&watch).await, HEAD);
        let busy = watch.begin();
        assert!(tokio::time::timeout(IDLE * 10, watch.expired()).await.is_err());
        drop(busy);
        assert_eq!(lasts(&watch).await, IDLE);
        let watch = Watch::new(Start::Idle, HEAD, IDLE);
        watch.bytes_came();
        assert_eq!(lasts(&watch).await, HEAD);
        let watch = Watch::new(Start::Multiplexed, HEAD, IDLE);
        watch.bytes_came();
        assert_eq!(lasts(&watch).await, IDLE);
    }
}
