//! The handle a handler sends with, and the connections behind it. One client connection has its own upstream
//! connections and never shares them, so nothing that is bound to a connection can cross between clients.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::authority::{Authority, Scheme};
use crate::body::Body;
use crate::dialer::{Dialer, Purpose};
use crate::error::UpstreamError;
use crate::headers;
use crate::lane::{H1Lane, H2Lane, Home, Kind, Lane, SendFailure, Stable};
use crate::limits::Limits;
use crate::tls::{Offer, UpstreamTls, refused_alpn};

/// Targets whose connections one client connection keeps. A client that talks to more loses reuse, nothing else.
const MOST_ORIGINS: usize = 16;
/// Idle HTTP/1 connections kept for one target; an HTTP/2 client may have had as many streams at once.
const MOST_IDLE: usize = 16;

/// A connection that waits longer for its first request may have been closed by the server.
const RECENT: Duration = Duration::from_secs(1);

/// The way out of the process, shared by all connections.
pub(crate) struct Link {
    pub(crate) dialer: Dialer,
    pub(crate) tls: UpstreamTls,
    pub(crate) limits: Limits,
}

/// The upstream connections of one client connection.
#[derive(Clone)]
pub(crate) struct Pool {
    link: Arc<Link>,
    origins: Arc<Mutex<Vec<Arc<Origin>>>>,
}

impl Pool {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self { link, origins: Arc::default() }
    }

    /// `multiplexed` says that the client speaks HTTP/2, so that HTTP/2 is asked for upstream too.
    pub(crate) fn upstream(
        &self,
        way: Way,
        multiplexed: bool,
        upgrade: bool,
        written: HeaderValue,
    ) -> Upstream {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let known = origins.iter().find(|origin| origin.way == way && origin.multiplexed == multiplexed);
        let origin = match known {
            Some(origin) => origin.clone(),
            None => {
                let origin = Arc::new(Origin {
                    link: self.link.clone(),
                    way,
                    multiplexed,
                    idle: Stable::default(),
                    shared: Mutex::default(),
                    first: tokio::sync::Mutex::default(),
                    h1_only: AtomicBool::new(false),
                    h2_only: AtomicBool::new(false),
                });
                if origins.len() >= MOST_ORIGINS {
                    origins.remove(0);
                }
                origins.push(origin.clone());
                origin
            }
        };
        Upstream { pool: self.clone(), origin, written, upgrade, prepared: Prepared::No }
    }
}

/// Who is spoken to, and where.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) scheme: Scheme,
    /// Whose certificate the server must show.
    pub(crate) target: Authority,
    /// Which address or name the connection is opened to.
    pub(crate) dialled: Authority,
}

/// The connections of one way.
struct Origin {
    link: Arc<Link>,
    way: Way,
    multiplexed: bool,
    idle: Stable,
    shared: Mutex<Option<H2Lane>>,
    /// Held while it is not known yet whether streams can share one connection.
    first: tokio::sync::Mutex<()>,
    h1_only: AtomicBool,
    h2_only: AtomicBool,
}

impl Home for Origin {
    fn take_back(&self, lane: H1Lane) {
        self.idle.put(lane, MOST_IDLE);
    }
}

impl Origin {
    /// A lane that is open already.
    fn at_hand(&self, upgrade: bool) -> Option<Lane> {
        if !upgrade {
            let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(lane) = shared.as_ref().filter(|lane| lane.is_open()) {
                return Some(Lane::H2(lane.clone()));
            }
        }
        let lane = self.idle.take(self.link.limits.upstream_idle)?;
        if upgrade && lane.forwarding.is_some() { None } else { Some(Lane::H1(lane)) }
    }

    async fn lane(&self, upgrade: bool) -> Result<Lane, UpstreamError> {
        if let Some(lane) = self.at_hand(upgrade) {
            return Ok(lane);
        }
        if upgrade || !self.multiplexed || self.h1_only.load(Ordering::Relaxed) {
            return self.open(upgrade).await;
        }
        // The first stream dials, the others see what comes of it. If nothing does, they dial side by side.
        let first = self.first.try_lock();
        if first.is_err() {
            drop(self.first.lock().await);
        }
        match self.at_hand(false) {
            Some(lane) => Ok(lane),
            None => self.open(upgrade).await,
        }
    }

    async fn open(&self, upgrade: bool) -> Result<Lane, UpstreamError> {
        match self.way.scheme {
            Scheme::Http => {
                // HTTP/2 without TLS is not tried.
                self.h1_only.store(true, Ordering::Relaxed);
                let purpose = if upgrade { Purpose::Stream } else { Purpose::PlainHttp };
                let dialled = self.link.dialer.dial(&self.way.dialled, purpose).await?;
                let lane = H1Lane::open(dialled.leg, &self.link.limits, dialled.forwarding).await;
                lane.map(Lane::H1).map_err(|source| self.broke(source))
            }
            Scheme::Https if self.multiplexed && !upgrade => self.open_tls(Offer::H2AndH1).await,
            Scheme::Https => {
                if !self.h2_only.load(Ordering::Relaxed) {
                    match self.open_tls(Offer::H1).await {
                        Err(error) if refused_alpn(&error) => self.h2_only.store(true, Ordering::Relaxed),
                        outcome => return outcome,
                    }
                }
                if upgrade {
                    return Err(UpstreamError::NoUpgrade { target: self.way.target.clone() });
                }
                self.open_tls(Offer::H2).await
            }
        }
    }

    async fn open_tls(&self, offer: Offer) -> Result<Lane, UpstreamError> {
        let limits = &self.link.limits;
        let dialled = self.link.dialer.dial(&self.way.dialled, Purpose::Stream).await?;
        let (leg, h2) = self.link.tls.connect(dialled.leg, &self.way.target, offer, limits.handshake).await?;
        if !h2 {
            self.h1_only.store(true, Ordering::Relaxed);
            return H1Lane::open(leg, limits, None).await.map(Lane::H1).map_err(|source| self.broke(source));
        }
        let lane = H2Lane::open(leg, limits).await.map_err(|source| self.broke(source))?;
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(lane.clone());
        Ok(Lane::H2(lane))
    }

    fn broke(&self, source: hyper::Error) -> UpstreamError {
        let target = self.way.target.clone();
        if source.is_user() {
            UpstreamError::RequestBody { target, source }
        } else {
            UpstreamError::Exchange { target, source }
        }
    }
}

enum Prepared {
    No,
    Ready(Lane),
    Dialling(oneshot::Receiver<Result<Lane, UpstreamError>>),
}

/// The way to the one server that an exchange is bound to.
pub struct Upstream {
    pool: Pool,
    origin: Arc<Origin>,
    written: HeaderValue,
    upgrade: bool,
    prepared: Prepared,
}

impl Upstream {
    /// Where [`send`](Self::send) goes, whatever the request says.
    pub fn target(&self) -> &Authority {
        &self.origin.way.target
    }

    /// With TLS or without.
    pub fn scheme(&self) -> Scheme {
        self.origin.way.scheme
    }

    /// The way to another server than the one the exchange is bound to, over connections of the same client connection.
    /// Where a handler sends a request is its own decision; the request's `Host` is then its to remove or to set.
    pub fn towards(&self, scheme: Scheme, target: &Authority) -> Upstream {
        let written = HeaderValue::try_from(target.for_scheme(scheme));
        let written = written.unwrap_or_else(|_| HeaderValue::from_static(""));
        let way = Way { scheme, target: target.clone(), dialled: target.clone() };
        self.pool.upstream(way, self.origin.multiplexed, false, written)
    }

    /// Sees to an open connection, so that dialling overlaps with whatever the handler does before it sends. Returns
    /// at once; an error shows in [`send`](Self::send). Nothing of the request leaves: what is sent is TCP, TLS and, where
    /// that is agreed on, HTTP/2's opening settings.
    pub fn prepare(&mut self) {
        if !matches!(self.prepared, Prepared::No) {
            return;
        }
        let upgrade = self.upgrade;
        if let Some(lane) = self.origin.at_hand(upgrade) {
            self.prepared = Prepared::Ready(lane);
            return;
        }
        let (give, take) = oneshot::channel();
        let origin = self.origin.clone();
        tokio::spawn(async move {
            if let Err(Ok(Lane::H1(lane))) = give.send(origin.lane(upgrade).await) {
                // Nobody waits for it any more: the next exchange may have it.
                origin.take_back(lane);
            }
        });
        self.prepared = Prepared::Dialling(take);
    }

    /// Sends the request and waits for the head of the response.
    ///
    /// The request is sent a second time only when it is certain that not a byte of it was used: a connection kept
    /// for reuse had been closed by the server. Length fields are made to agree with the body. A `Host` is taken as it
    /// stands in the request; without one, the one the client wrote is sent.
    pub async fn send(&mut self, request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        let upgrade = request.headers().contains_key(http::header::UPGRADE);
        let mut lane = self.first_lane(upgrade).await?;
        let mut request = request;
        let mut retried = false;
        loop {
            let kept = match &lane {
                Lane::H1(lane) => lane.used,
                Lane::H2(_) => true,
            };
            let limit = self.origin.link.limits.response_header;
            let answer = timeout(limit, Box::pin(self.send_over(lane, request))).await.map_err(|_| {
                UpstreamError::ResponseTimeout { target: self.target().clone(), after: limit }
            })?;
            match answer {
                Ok(mut response) => {
                    let status = response.status();
                    headers::strip_response(status, response.headers_mut());
                    return Ok(response);
                }
                Err(Failed::Unsendable(error)) => return Err(error),
                Err(Failed::Broke(SendFailure { request: Some(unused), .. })) if kept && !retried => {
                    retried = true;
                    tracing::debug!(
                        host = self.target().host(),
                        "a kept connection was closed, dialling anew"
                    );
                    request = *unused;
                    lane = self.origin.open(upgrade).await?;
                }
                Err(Failed::Broke(failure)) => {
                    tracing::debug!(host = self.target().host(), kind = %Kind(&failure.error), "an exchange broke");
                    return Err(self.origin.broke(failure.error));
                }
            }
        }
    }

    async fn first_lane(&mut self, upgrade: bool) -> Result<Lane, UpstreamError> {
        let prepared = match std::mem::replace(&mut self.prepared, Prepared::No) {
            Prepared::No => None,
            Prepared::Ready(lane) => Some(lane),
            // A dial that was dropped, which happens only when the runtime stops, is made again.
            Prepared::Dialling(lane) => lane.await.ok().transpose()?,
        };
        let limit = self.origin.link.limits.upstream_idle;
        match prepared {
            Some(Lane::H1(mut lane)) => {
                // The handler may have taken its time since.
                let waited = lane.since.elapsed();
                lane.used |= waited > RECENT;
                if waited < limit && lane.is_open() && !(upgrade && lane.forwarding.is_some()) {
                    return Ok(Lane::H1(lane));
                }
            }
            Some(Lane::H2(lane)) if lane.is_open() && !upgrade => return Ok(Lane::H2(lane)),
            _ => {}
        }
        self.origin.lane(upgrade).await
    }

    async fn send_over(&self, lane: Lane, mut request: Request<Body>) -> Result<Response<Body>, Failed> {
        let origin = &self.origin;
        let idle = origin.link.limits.response_idle;
        headers::settle_request(&mut request);
        match lane {
            Lane::H1(lane) => {
                let absolute = lane.forwarding.as_ref().map(|_| &origin.way.target);
                headers::for_h1(&mut request, &self.written, absolute);
                if let Some(login) = lane.forwarding.as_ref().and_then(|way| way.authorization.clone()) {
                    request.headers_mut().insert(http::header::PROXY_AUTHORIZATION, login);
                }
                let home: Weak<Origin> = Arc::downgrade(origin);
                lane.send(request, home, idle).await.map_err(Failed::Broke)
            }
            Lane::H2(lane) => {
                let written = request.headers().get(http::header::HOST).unwrap_or(&self.written).clone();
                headers::for_h2(&mut request, &origin.way.target, origin.way.scheme, &written).map_err(
                    |source| {
                        Failed::Unsendable(UpstreamError::Unsendable {
                            target: origin.way.target.clone(),
                            source,
                        })
                    },
                )?;
                lane.send(request, idle).await.map_err(Failed::Broke)
            }
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let lane = match std::mem::replace(&mut self.prepared, Prepared::No) {
            Prepared::No => return,
            Prepared::Ready(lane) => Some(lane),
            // A dial that ends later finds the way back by itself.
            Prepared::Dialling(mut lane) => {
                lane.close();
                lane.try_recv().ok().and_then(Result::ok)
            }
        };
        if let Some(Lane::H1(lane)) = lane {
            self.origin.take_back(lane);
        }
    }
}

enum Failed {
    Broke(SendFailure),
    Unsendable(UpstreamError),
}
