//! A proxy under test, with a handler that each test scripts.

pub(crate) mod client;
pub(crate) mod origin;
pub(crate) mod pki;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderValue, Request, Response};
use hudson_proxy::{
    Authority, Body, ClientTlsFailed, ConnectionInfo, DialerConfig, Drained, ExchangeContext, Handler,
    Limits, LocalContext, LocalReply, Named, Peer, Proxy, ProxyKind, Refused, Route, TunnelClosed, Upstream,
    UpstreamProxy,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use origin::RawOrigin;
use pki::Pki;

/// A host that the proxies under test intercept.
pub(crate) const API: &str = "api.ai.test:443";

/// Longer than anything here takes, shorter than a person's patience.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy to go through.
pub(crate) fn upstream(
    kind: ProxyKind,
    address: impl std::fmt::Display,
    login: Option<(&str, &str)>,
) -> UpstreamProxy {
    let address = Authority::parse(&address.to_string(), None).unwrap();
    UpstreamProxy::new(kind, address, login.map(|(user, password)| (user.as_bytes(), password.as_bytes())))
        .unwrap()
}

pub(crate) type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type ExchangeFn = dyn Fn(ExchangeContext, Request<Body>, Upstream) -> Later<Response<Body>> + Send + Sync;
type LocalFn = dyn Fn(LocalContext, Request<Body>) -> LocalReply + Send + Sync;
type RouteFn = dyn Fn(&Authority, Option<&HeaderValue>) -> Route + Send + Sync;
type AcceptFn = dyn Fn(&ConnectionInfo) -> Result<Peer, Refused> + Send + Sync;

/// What a test wants of its proxy.
pub(crate) struct Script {
    pub(crate) exchange: Box<ExchangeFn>,
    pub(crate) local: Box<LocalFn>,
    pub(crate) route: Box<RouteFn>,
    pub(crate) accept: Box<AcceptFn>,
    pub(crate) limits: Limits,
    pub(crate) dialer: DialerConfig,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            exchange: Box::new(|_, request, mut upstream| {
                Box::pin(async move {
                    upstream.prepare();
                    upstream.send(request).await.unwrap_or_else(|error| error.response())
                })
            }),
            local: Box::new(|_, _| LocalReply::Respond(Response::new(Body::from("local")))),
            route: Box::new(|target, _| {
                if target.host().ends_with(".ai.test") || target.host() == "127.0.0.2" {
                    Route::Intercept
                } else {
                    Route::Tunnel
                }
            }),
            accept: Box::new(|_| Ok(Arc::new(()))),
            limits: Limits::default(),
            dialer: DialerConfig::default(),
        }
    }
}

impl Script {
    /// Answers each exchange with `answer` instead of passing it on.
    pub(crate) fn exchange<F, Fut>(mut self, answer: F) -> Self
    where
        F: Fn(ExchangeContext, Request<Body>, Upstream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        self.exchange =
            Box::new(move |context, request, upstream| Box::pin(answer(context, request, upstream)));
        self
    }

    pub(crate) fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Leads a name and port to a test server.
    pub(crate) fn resolve(mut self, target: &str, to: SocketAddr) -> Self {
        self.dialer.resolve.insert(Authority::parse(target, None).unwrap(), vec![to]);
        self
    }

    pub(crate) async fn start(self) -> Rig {
        self.start_with(Pki::new()).await
    }

    /// Starts before a server of [`API`] that the test plays byte by byte, over HTTP/1.1.
    pub(crate) async fn start_before_raw(self) -> (RawOrigin, Rig) {
        let pki = Pki::new();
        let origin = RawOrigin::tls(pki.server("api.ai.test", &["http/1.1"])).await;
        let rig = self.resolve(API, origin.address).start_with(pki).await;
        (origin, rig)
    }

    pub(crate) async fn start_with(self, pki: Pki) -> Rig {
        self.start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), pki).await
    }

    pub(crate) async fn start_on(mut self, listener: TcpListener, pki: Pki) -> Rig {
        let (limits, dialer) = (self.limits.clone(), std::mem::take(&mut self.dialer));
        let seen = Arc::new(Seen::default());
        let address = listener.local_addr().unwrap();
        let proxy = Proxy::builder(Arc::new(Scripted { script: self, seen: seen.clone() }), pki.leaves())
            .roots(pki.server_roots())
            .dialer(dialer)
            .limits(limits)
            .build()
            .unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(proxy.serve(listener, stop.clone()));
        Rig { address, seen, stop, serving, pki }
    }
}

/// What the handler was told.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) tunnels: Mutex<Vec<TunnelClosed>>,
    pub(crate) tls_failures: Mutex<Vec<ClientTlsFailed>>,
    pub(crate) contexts: Mutex<Vec<ExchangeContext>>,
    /// What CONNECT named, and what the client's TLS named instead.
    pub(crate) named: Mutex<Vec<(Authority, Authority)>>,
}

struct Scripted {
    script: Script,
    seen: Arc<Seen>,
}

#[async_trait]
impl Handler for Scripted {
    async fn accept(&self, connection: &ConnectionInfo) -> Result<Peer, Refused> {
        (self.script.accept)(connection)
    }

    async fn route(&self, _: &Peer, target: &Authority, proxy_auth: Option<&HeaderValue>) -> Route {
        (self.script.route)(target, proxy_auth)
    }

    async fn named(
        &self,
        _: &Peer,
        dialled: &Authority,
        named: &Authority,
        proxy_auth: Option<&HeaderValue>,
    ) -> Named {
        self.seen.named.lock().unwrap().push((dialled.clone(), named.clone()));
        match (self.script.route)(named, proxy_auth) {
            Route::Intercept => Named::Intercept,
            Route::Tunnel | Route::Refuse(_) => Named::Tunnel,
        }
    }

    async fn local(&self, context: LocalContext, request: Request<Body>) -> LocalReply {
        (self.script.local)(context, request)
    }

    async fn exchange(
        &self,
        context: ExchangeContext,
        request: Request<Body>,
        upstream: Upstream,
    ) -> Response<Body> {
        self.seen.contexts.lock().unwrap().push(context.clone());
        (self.script.exchange)(context, request, upstream).await
    }

    fn tunnel_closed(&self, tunnel: &TunnelClosed) {
        self.seen.tunnels.lock().unwrap().push(tunnel.clone());
    }

    fn client_tls_failed(&self, failed: &ClientTlsFailed) {
        self.seen.tls_failures.lock().unwrap().push(failed.clone());
    }
}

/// A running proxy.
pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    pub(crate) stop: CancellationToken,
    serving: JoinHandle<Drained>,
    pub(crate) pki: Pki,
}

impl Rig {
    pub(crate) async fn stopped(self) -> Drained {
        self.stop.cancel();
        within(self.serving).await.unwrap()
    }
}

/// Fails a test that hangs.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("this should have happened by now")
}

/// Waits until `look` finds something.
pub(crate) async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    within(async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
}
