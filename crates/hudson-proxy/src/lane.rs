//! One upstream HTTP connection. An HTTP/1 connection has no task of its own: whoever waits for its response drives
//! it, so an exchange costs no switch between tasks. Must not dial.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use crate::body::{Body, BodyError, Idle};
use crate::leg::Leg;
use crate::limits::Limits;
use crate::one_go::OneGo;

/// The mutex is never locked; it makes the bodies that hold a lane `Sync`.
type H1Connection = Mutex<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>;

/// How a lane that reached the server over a forwarding HTTP proxy has to speak.
#[derive(Clone)]
pub(crate) struct Forwarding {
    pub(crate) authorization: Option<HeaderValue>,
}

pub(crate) enum Lane {
    H1(H1Lane),
    H2(H2Lane),
}

/// An HTTP/1 connection that carries one exchange at a time.
pub(crate) struct H1Lane {
    sender: http1::SendRequest<Outgoing>,
    driver: Driver,
    /// The connection and who waits for what comes over it wake each other, and both are polled here.
    go: OneGo,
    pub(crate) forwarding: Option<Forwarding>,
    /// It has carried an exchange, or has waited for one: the server may have closed it meanwhile.
    pub(crate) used: bool,
    pub(crate) since: Instant,
}

/// A shared HTTP/2 connection.
#[derive(Clone)]
pub(crate) struct H2Lane {
    pub(crate) sender: http2::SendRequest<Outgoing>,
}

enum Driver {
    Ours(H1Connection),
    Task,
    Done,
}

/// A request that did not leave, or an exchange that broke.
pub(crate) struct SendFailure {
    pub(crate) error: hyper::Error,
    /// The request, when not a byte of it was used.
    pub(crate) request: Option<Box<Request<Body>>>,
}

/// Where an HTTP/1 lane goes when its exchange is over.
pub(crate) trait Home: Send + Sync + 'static {
    fn take_back(&self, lane: H1Lane);
}

impl H1Lane {
    pub(crate) async fn open(
        leg: Leg,
        limits: &Limits,
        forwarding: Option<Forwarding>,
    ) -> hyper::Result<Self> {
        let mut builder = http1::Builder::new();
        builder.preserve_header_case(true).max_header_size(limits.header_bytes);
        if limits.header_count != crate::limits::HYPER_HEADER_COUNT {
            builder.max_headers(limits.header_count);
        }
        let (sender, connection) = builder.handshake(TokioIo::new(leg)).await?;
        let mut lane = Self {
            sender,
            driver: Driver::Ours(Mutex::new(Box::pin(connection.with_upgrades()))),
            go: OneGo::new(),
            forwarding,
            used: false,
            since: Instant::now(),
        };
        lane.settle();
        Ok(lane)
    }

    /// Whether a request can be sent over it now, as far as is known here.
    pub(crate) fn is_open(&mut self) -> bool {
        self.settle();
        self.sender.is_ready()
    }

    /// Lets the connection notice what has happened to it, without waiting.
    fn settle(&mut self) {
        let _ = self.driver.poll(&mut Context::from_waker(Waker::noop()));
    }

    pub(crate) async fn send(
        mut self,
        request: Request<Body>,
        home: Weak<dyn Home>,
        idle: Duration,
    ) -> Result<Response<Body>, SendFailure> {
        let sent = (!request.body().is_at_hand()).then(|| Arc::new(AtomicBool::new(false)));
        let request = request.map(|body| Outgoing { body, sent: sent.clone() });
        let response = {
            let mut answer = pin!(self.sender.try_send_request(request));
            let (driver, go) = (&mut self.driver, &self.go);
            poll_fn(|cx| driver.poll_for(go, cx, |cx| answer.as_mut().poll(cx))).await
        };
        let response = response.map_err(|mut failure| SendFailure {
            request: failure.take_message().map(|request| Box::new(request.map(Outgoing::into_body))),
            error: failure.into_error(),
        })?;
        self.used = true;
        let uploading = sent.is_some_and(|sent| !sent.load(Ordering::Acquire));
        if uploading || response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // The client need not read the response to go on sending, and an upgrade ends the HTTP connection.
            self.driver.detach();
        }
        Ok(response.map(|body| {
            let driven = Driven { body, lane: Some(self), home, idle: Idle::new(idle) };
            if driven.body.is_end_stream() {
                drop(driven);
                Body::empty()
            } else {
                Body::driven(Box::new(driven))
            }
        }))
    }
}

impl H2Lane {
    pub(crate) async fn open(leg: Leg, limits: &Limits) -> hyper::Result<Self> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(limits.h2_stream_window)
            .initial_connection_window_size(limits.h2_connection_window)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(limits.upstream_idle)
            .keep_alive_timeout(limits.handshake)
            .handshake(TokioIo::new(leg))
            .await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(kind = %Kind(&error), "an upstream HTTP/2 connection broke");
            }
        });
        Ok(Self { sender })
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(crate) async fn send(
        mut self,
        request: Request<Body>,
        idle: Duration,
    ) -> Result<Response<Body>, SendFailure> {
        let request = request.map(|body| Outgoing { body, sent: None });
        match self.sender.try_send_request(request).await {
            Ok(response) => Ok(response.map(|body| Body::incoming(body, idle))),
            Err(mut failure) => Err(SendFailure {
                request: failure.take_message().map(|request| Box::new(request.map(Outgoing::into_body))),
                error: failure.into_error(),
            }),
        }
    }
}

impl Driver {
    /// Polls `taker`, and the connection until it brings something for it or waits itself.
    fn poll_for<T>(
        &mut self,
        go: &OneGo,
        cx: &mut Context<'_>,
        mut taker: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if !matches!(self, Self::Ours(_)) {
            return taker(cx);
        }
        go.poll(cx, |cx| {
            let taken = taker(cx);
            if taken.is_ready() {
                return taken;
            }
            // Whom the taker may have woken is polled now.
            go.forget_wakes();
            match self.poll(cx) {
                Poll::Ready(()) => taker(cx),
                Poll::Pending => Poll::Pending,
            }
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self::Ours(connection) = self else { return Poll::Ready(()) };
        let connection = connection.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Poll::Ready(end) = connection.as_mut().poll(cx) else { return Poll::Pending };
        if let Err(error) = end {
            tracing::debug!(kind = %Kind(&error), "an upstream HTTP/1 connection broke");
        }
        *self = Self::Done;
        Poll::Ready(())
    }

    fn detach(&mut self) {
        if let Self::Ours(connection) = std::mem::replace(self, Self::Task) {
            tokio::spawn(connection.into_inner().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// A response body that drives the connection it comes over.
pub(crate) struct Driven {
    body: Incoming,
    lane: Option<H1Lane>,
    home: Weak<dyn Home>,
    idle: Idle,
}

impl Driven {
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { body, lane, idle, .. } = self;
        let polled = idle.watch(cx, |cx| match lane {
            Some(H1Lane { driver, go, .. }) => {
                driver.poll_for(go, cx, |cx| Pin::new(&mut *body).poll_frame(cx))
            }
            None => Pin::new(body).poll_frame(cx),
        });
        match &polled {
            Poll::Ready(None) => self.release(),
            Poll::Ready(Some(Err(_))) => self.lane = None,
            _ => {}
        }
        polled
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn release(&mut self) {
        let (Some(mut lane), Some(home)) = (self.lane.take(), self.home.upgrade()) else { return };
        if lane.is_open() {
            lane.since = Instant::now();
            home.take_back(lane);
        }
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        // A body whose length was announced is not polled beyond it. One that is dropped earlier takes its
        // connection with it, so that the server learns that nobody listens.
        if self.body.is_end_stream() {
            self.release();
        }
    }
}

/// A request body on its way out.
pub(crate) struct Outgoing {
    body: Body,
    sent: Option<Arc<AtomicBool>>,
}

impl Outgoing {
    fn into_body(mut self) -> Body {
        std::mem::take(&mut self.body)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(sent) = &self.sent {
            sent.store(true, Ordering::Release);
        }
    }
}

impl HttpBody for Outgoing {
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

/// Says what kind of HTTP error it was, without anything from the message.
pub(crate) struct Kind<'a>(pub(crate) &'a hyper::Error);

impl std::fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let error = self.0;
        f.write_str(if error.is_parse() {
            "not HTTP"
        } else if error.is_incomplete_message() {
            "cut short"
        } else if error.is_timeout() {
            "timed out"
        } else if error.is_user() {
            "our side"
        } else if error.is_canceled() || error.is_closed() {
            "closed"
        } else {
            "connection"
        })
    }
}

/// Idle HTTP/1 lanes.
#[derive(Default)]
pub(crate) struct Stable(Mutex<Vec<H1Lane>>);

impl Stable {
    pub(crate) fn put(&self, lane: H1Lane, most: usize) {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() < most {
            lanes.push(lane);
        }
    }

    /// The lane that was used last, if it is still open. Those that are not are dropped.
    pub(crate) fn take(&self, idle: Duration) -> Option<H1Lane> {
        loop {
            let mut lane = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if lane.since.elapsed() < idle && lane.is_open() {
                lane.used = true;
                return Some(lane);
            }
        }
    }
}
