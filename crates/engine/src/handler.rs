//! The engine as the proxy's handler: who may come in, which hosts are looked into, what our own address answers.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode};
use hudson_proxy::{
    Authority, Body, BoxError, CertSource, ClientTlsFailed, ClientTlsFailure, ConnectionInfo,
    ExchangeContext, Handler, LocalContext, LocalReply, Named, Peer, Refused, Route, Scheme, TunnelClosed,
    TunnelKind, Upstream,
};
use rustls::sign::CertifiedKey;
use sallyport_certs::CertAuthority;
use sallyport_ipc::types::Handling;

use crate::engine::Engine;
use crate::flow::Flow;
use crate::{exchange, local, respond, shadow};

/// Binds the engine to the address it listens on.
pub(crate) struct EngineHandler {
    pub(crate) engine: Arc<Engine>,
    pub(crate) listen: SocketAddr,
}

#[async_trait]
impl Handler for EngineHandler {
    async fn accept(&self, connection: &ConnectionInfo) -> Result<Peer, Refused> {
        let flow = Flow::identify(connection, self.engine.identity.uid, &self.engine.processes)?;
        self.engine.flows.add(&flow);
        Ok(flow)
    }

    async fn route(&self, peer: &Peer, target: &Authority, auth: Option<&HeaderValue>) -> Route {
        let reads = self.reads(target);
        if let Some(flow) = peer.downcast_ref::<Flow>() {
            flow.heads_for(target, if reads { Handling::Intercepted } else { Handling::Tunnelled }, auth);
        }
        if reads { Route::Intercept } else { Route::Tunnel }
    }

    async fn named(
        &self,
        peer: &Peer,
        _: &Authority,
        named: &Authority,
        auth: Option<&HeaderValue>,
    ) -> Named {
        if !self.reads(named) {
            return Named::Tunnel;
        }
        if let Some(flow) = peer.downcast_ref::<Flow>() {
            flow.heads_for(named, Handling::Intercepted, auth);
        }
        Named::Intercept
    }

    async fn local(&self, context: LocalContext, request: Request<Body>) -> LocalReply {
        if let Err(foreign) = local::admit(request.method(), request.headers(), self.listen) {
            let text = format!("Sallyport refused this request: {}.", foreign.sentence());
            return LocalReply::Respond(respond::plain(StatusCode::FORBIDDEN, text));
        }
        if matches!(request.uri().path(), "/proxy.pac" | "/wpad.dat") {
            return LocalReply::Respond(self.pac());
        }
        let reply = self.ingress(request);
        if let (LocalReply::Exchange { target, .. }, Some(flow)) =
            (&reply, context.peer.downcast_ref::<Flow>())
        {
            flow.heads_for(target, Handling::Local, context.proxy_auth.as_ref());
        }
        reply
    }

    async fn exchange(
        &self,
        context: ExchangeContext,
        request: Request<Body>,
        upstream: Upstream,
    ) -> Response<Body> {
        exchange::walk(&self.engine, context, request, upstream).await
    }

    fn tunnel_closed(&self, tunnel: &TunnelClosed) {
        if tunnel.kind == TunnelKind::Connect {
            self.engine.counters.tunnelled();
        }
    }

    fn client_tls_failed(&self, failed: &ClientTlsFailed) {
        if matches!(failed.failure, ClientTlsFailure::Rejected | ClientTlsFailure::HungUp) {
            self.engine.counters.pinned();
        }
        tracing::info!(host = failed.target.host(), failure = ?failed.failure, "a client's TLS handshake failed");
    }
}

impl EngineHandler {
    /// Whether what goes to this host is looked into.
    fn reads(&self, target: &Authority) -> bool {
        let reads = !self.engine.switch.is_off() && self.engine.intercepts(target.host(), target.port());
        if !reads {
            shadow::tunnelled(&self.engine, target.host(), target.port());
        }
        reads
    }

    fn pac(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.engine.pac(self.listen)));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ns-proxy-autoconfig"));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// `/anthropic/v1/messages` and the like: clients that take a base URL instead of a proxy.
    fn ingress(&self, mut request: Request<Body>) -> LocalReply {
        let policy = self.engine.policy();
        let whole = request.uri().path_and_query().map_or("/", |whole| whole.as_str());
        let Some(ingress) = policy.snapshot.providers.ingress(whole) else {
            let names: Vec<_> = policy
                .snapshot
                .providers
                .ingress_names()
                .into_iter()
                .map(|(name, _)| format!("/{name}"))
                .collect();
            let text = format!(
                "This is Sallyport's proxy. It serves /proxy.pac and, for tools that take a base URL, {}.",
                names.join(", ")
            );
            return LocalReply::Respond(respond::plain(StatusCode::NOT_FOUND, text));
        };
        let target = Authority::new(ingress.host, ingress.port);
        let (Ok(target), Ok(uri)) = (target, ingress.path.parse()) else {
            return LocalReply::Respond(respond::plain(
                StatusCode::BAD_REQUEST,
                "That path can't be sent on.",
            ));
        };
        let scheme = if ingress.plain { Scheme::Http } else { Scheme::Https };
        *request.uri_mut() = uri;
        LocalReply::Exchange { target, scheme, request }
    }
}

/// The local authority as the proxy's source of leaves.
pub(crate) struct Leaves(pub(crate) Arc<CertAuthority>);

#[async_trait]
impl CertSource for Leaves {
    async fn certified_key(&self, host: &str) -> Result<Arc<CertifiedKey>, BoxError> {
        Ok(self.0.certified_key(host).await?)
    }
}
