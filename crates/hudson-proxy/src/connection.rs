//! One client connection from accept to close, in one task: HTTP as it was opened, then whatever a CONNECT or an
//! upgrade made of it. Must not hold anything that outlives it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::EXPECT;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::authority::{Authority, Scheme};
use crate::body::Body;
use crate::error::plain;
use crate::exchange::{self, Bound, Shape};
use crate::front;
use crate::handler::{
    ClientTlsFailed, ClientTlsFailure, ConnectionInfo, Handler, Ingress, Peer, Refused, TunnelKind,
};
use crate::headers;
use crate::lane::Kind;
use crate::leg::{Leg, Prefixed};
use crate::limits::Limits;
use crate::one_go::InOneGo;
use crate::tls::{ClientTls, H2, HANDSHAKE_RECORD};
use crate::tunnel;
use crate::upstream::{Link, Pool, Way};
use crate::watch::{Served, Start, Watch, Watched};

/// How long a client that is not served may take to say something, and to read its answer.
const REFUSAL: Duration = Duration::from_secs(2);
/// How long an idle connection may take to close after it was told to.
const FAREWELL: Duration = Duration::from_secs(2);

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) link: Arc<Link>,
    pub(crate) client_tls: ClientTls,
    /// Finish what runs, then close.
    pub(crate) stop: CancellationToken,
    /// Close now.
    pub(crate) kill: CancellationToken,
}

/// One client connection.
pub(crate) struct Session {
    shared: Arc<Shared>,
    pub(crate) info: ConnectionInfo,
    pub(crate) peer: Peer,
    pub(crate) pool: Pool,
    next: Mutex<Option<Next>>,
}

/// What becomes of a connection when its HTTP has ended.
pub(crate) enum Next {
    Tunnel { client: OnUpgrade, leg: Leg, target: Authority, proxy_auth: Option<HeaderValue> },
    Intercept { client: OnUpgrade, target: Authority, proxy_auth: Option<HeaderValue> },
    Splice { client: OnUpgrade, upstream: OnUpgrade, target: Authority },
}

/// What requests on a connection are for.
enum Role {
    Front,
    Inside(Bound),
}

type FrontIo = TokioIo<Watched<Prefixed<TcpStream>>>;

impl Session {
    pub(crate) fn handler(&self) -> &dyn Handler {
        &*self.shared.handler
    }

    pub(crate) fn link(&self) -> &Link {
        &self.shared.link
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.link.limits
    }

    /// Says what comes after the response that is about to be sent.
    pub(crate) fn then(&self, next: Next) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
    }

    fn take_next(&self) -> Option<Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

pub(crate) async fn run(shared: Arc<Shared>, socket: TcpStream, info: ConnectionInfo) {
    let peer = match shared.handler.accept(&info).await {
        Ok(peer) => peer,
        Err(refused) => {
            let _ = timeout(REFUSAL, refuse(socket, &refused)).await;
            return;
        }
    };
    let pool = Pool::new(shared.link.clone());
    let session = Arc::new(Session { shared, info, peer, pool, next: Mutex::default() });
    let stream = Prefixed::new(Bytes::new(), socket);
    Box::pin(serve_h1(&session, Role::Front, stream, Start::Awaited)).await;
    match session.take_next() {
        Some(Next::Tunnel { client, leg, target, proxy_auth }) => {
            let Some(client) = regain(client).await else { return };
            let passed = Box::pin(tunnel::connect(&session, &target, proxy_auth.as_ref(), client, leg)).await;
            if let Some((client, named)) = passed {
                let way = Way { scheme: Scheme::Https, target: named, dialled: target };
                Box::pin(intercept(&session, client, way, proxy_auth)).await;
                splice(&session).await;
            }
        }
        Some(Next::Intercept { client, target, proxy_auth }) => {
            if let Some(client) = regain(client).await {
                let way = Way { scheme: Scheme::Https, dialled: target.clone(), target };
                Box::pin(intercept(&session, client, way, proxy_auth)).await;
                splice(&session).await;
            }
        }
        Some(next @ Next::Splice { .. }) => {
            session.then(next);
            splice(&session).await;
        }
        None => {}
    }
}

/// The socket behind an upgraded connection, with the bytes that were read ahead.
async fn regain(client: OnUpgrade) -> Option<Prefixed<TcpStream>> {
    let parts = client.await.ok()?.downcast::<FrontIo>().ok()?;
    Some(parts.io.into_inner().into_inner().refill(parts.read_buf))
}

/// Answers plain HTTP with a 403; anything else is closed.
async fn refuse(mut socket: TcpStream, refused: &Refused) -> std::io::Result<()> {
    let mut heard = BytesMut::with_capacity(4096);
    socket.read_buf(&mut heard).await?;
    if heard.first().is_some_and(u8::is_ascii_uppercase) {
        let text = format!("{refused}\n");
        let head = format!(
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
            text.len()
        );
        socket.write_all(head.as_bytes()).await?;
        socket.write_all(text.as_bytes()).await?;
        socket.shutdown().await?;
        // Closing with unread bytes would reset the connection before the answer is read.
        while socket.read_buf(&mut heard).await? > 0 {
            heard.clear();
        }
    }
    Ok(())
}

async fn intercept(
    session: &Arc<Session>,
    mut client: Prefixed<TcpStream>,
    Way { target, dialled, .. }: Way,
    proxy_auth: Option<HeaderValue>,
) {
    let limit = session.limits().handshake;
    let first = session.shared.stop.run_until_cancelled(timeout(limit, client.peek())).await;
    let failed = |failure: ClientTlsFailure| {
        tracing::debug!(host = target.host(), ?failure, "TLS with a client failed");
        session.handler().client_tls_failed(&ClientTlsFailed {
            peer: session.peer.clone(),
            connection: session.info,
            target: target.clone(),
            failure,
        });
    };
    let bound = |scheme| {
        Role::Inside(Bound {
            target: target.clone(),
            dialled: dialled.clone(),
            scheme,
            ingress: Ingress::Connect,
            proxy_auth: proxy_auth.clone(),
            handled: true,
        })
    };
    match first {
        Some(Ok(Ok(Some(HANDSHAKE_RECORD)))) => {
            let accepted = Box::pin(session.shared.client_tls.accept(client, &target, limit)).await;
            match accepted {
                Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(H2) => {
                    serve_h2(session, bound(Scheme::Https), stream).await;
                }
                Ok(stream) => serve_h1(session, bound(Scheme::Https), stream, Start::Idle).await,
                Err(failure) => failed(failure),
            }
        }
        // A WebSocket client may ask for CONNECT to speak plain HTTP through it.
        Some(Ok(Ok(Some(byte)))) if byte.is_ascii_uppercase() => {
            serve_h1(session, bound(Scheme::Http), client, Start::Idle).await;
        }
        Some(Ok(Ok(Some(_)))) => failed(ClientTlsFailure::Protocol),
        // The client waits for the server to speak first, which an intercepted host never does.
        Some(Err(_)) => failed(ClientTlsFailure::TimedOut),
        // Closed without a word: a connection opened ahead that was not needed. Or we are stopping.
        Some(Ok(Ok(None) | Err(_))) | None => {}
    }
}

async fn splice(session: &Arc<Session>) {
    let Some(Next::Splice { client, upstream, target }) = session.take_next() else { return };
    let (Ok(client), Ok(upstream)) = (client.await, upstream.await) else { return };
    let (client, upstream): (TokioIo<Upgraded>, TokioIo<Upgraded>) =
        (TokioIo::new(client), TokioIo::new(upstream));
    Box::pin(tunnel::run(session, target, TunnelKind::Upgrade, client, upstream)).await;
}

async fn answer(session: &Arc<Session>, role: &Role, request: Request<Incoming>) -> Response<Body> {
    let idle = session.limits().request_idle;
    // A client that waits for 100-continue is not invited to send what nobody wants.
    let lingers = request.version() != Version::HTTP_2 && !request.headers().contains_key(EXPECT);
    let request = request.map(|body| match lingers {
        true => Body::lingering(body, idle),
        false => Body::incoming(body, idle),
    });
    match role {
        Role::Front => front::answer(session, request).await,
        Role::Inside(bound) => {
            let shape = Shape::of(&request);
            if request.method() == Method::CONNECT {
                return shape.finish(plain(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "CONNECT is not possible inside a connection that is already open.",
                ));
            }
            if let Err(problem) = headers::check_host(&request, &bound.target, bound.scheme) {
                return shape.finish(exchange::host_problem(problem, &bound.target));
            }
            exchange::run(session, bound.clone(), request).await
        }
    }
}

async fn serve_h1<S>(session: &Arc<Session>, role: Role, stream: S, start: Start)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = session.limits();
    let watch = Watch::new(start, limits.header_read, limits.client_idle);
    let mut builder = http1::Builder::new();
    builder
        .preserve_header_case(true)
        .auto_date_header(false)
        .max_header_size(limits.header_bytes)
        .header_read_timeout(None);
    if limits.header_count != crate::limits::HYPER_HEADER_COUNT {
        builder.max_headers(limits.header_count);
    }
    let role = Arc::new(role);
    let service = {
        let (session, watch) = (session.clone(), watch.clone());
        service_fn(move |request| {
            let (session, role, busy) = (session.clone(), role.clone(), watch.begin());
            async move {
                let response = answer(&session, &role, request).await;
                Ok::<_, Infallible>(response.map(|body| Served { body, _busy: busy }))
            }
        })
    };
    let io = TokioIo::new(Watched::new(stream, watch.clone()));
    let connection = pin!(builder.serve_connection(io, service).with_upgrades());
    see_through(session, &watch, connection, |connection| connection.graceful_shutdown()).await;
}

async fn serve_h2<S>(session: &Arc<Session>, role: Role, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = session.limits();
    let watch = Watch::new(Start::Multiplexed, limits.header_read, limits.client_idle);
    let mut builder = http2::Builder::new(UntilKilled(session.shared.kill.clone()));
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.h2_pending_resets)
        .initial_stream_window_size(limits.h2_stream_window)
        .initial_connection_window_size(limits.h2_connection_window);
    let role = Arc::new(role);
    let service = {
        let (session, watch) = (session.clone(), watch.clone());
        service_fn(move |request| {
            let (session, role, busy) = (session.clone(), role.clone(), watch.begin());
            async move {
                let response = answer(&session, &role, request).await;
                Ok::<_, Infallible>(response.map(|body| Served { body, _busy: busy }))
            }
        })
    };
    let io = TokioIo::new(Watched::new(stream, watch.clone()));
    let connection = pin!(builder.serve_connection(io, service));
    see_through(session, &watch, connection, |connection| connection.graceful_shutdown()).await;
}

/// Drives a client's HTTP connection to its end, which `leave` brings nearer: when the proxy stops, and when the
/// connection has been idle for too long.
async fn see_through<C>(
    session: &Session,
    watch: &Watch,
    mut connection: Pin<&mut C>,
    leave: impl Fn(Pin<&mut C>),
) where
    C: Future<Output = hyper::Result<()>>,
{
    let mut stop = pin!(session.shared.stop.cancelled());
    let mut expired = pin!(watch.expired());
    let mut stopping = false;
    loop {
        tokio::select! {
            biased;
            end = connection.as_mut() => {
                if let Err(error) = end {
                    tracing::debug!(kind = %Kind(&error), "a client connection broke");
                }
                return;
            }
            () = stop.as_mut(), if !stopping => {
                stopping = true;
                leave(connection.as_mut());
            }
            () = expired.as_mut() => {
                leave(connection.as_mut());
                let _ = timeout(FAREWELL, connection).await;
                return;
            }
        }
    }
}

/// Runs HTTP/2 streams, which have tasks of their own, no longer than the proxy.
#[derive(Clone)]
struct UntilKilled(CancellationToken);

impl<F> hyper::rt::Executor<F> for UntilKilled
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let kill = self.0.clone();
        tokio::spawn(async move { kill.run_until_cancelled(InOneGo::new(Box::pin(future))).await });
    }
}
