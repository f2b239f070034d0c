//! The seam: what a program must say to get a proxy. It decides which hosts are intercepted, answers or changes
//! exchanges and mints certificates; sockets, TLS and HTTP framing stay on this side.
//!
//! Must not know what the bytes mean.

use std::any::Any;
use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderValue, Request, Response, Version};
use rustls::sign::CertifiedKey;

use crate::authority::{Authority, Scheme};
use crate::body::Body;
use crate::upstream::Upstream;

/// An error of the embedding program.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What [`Handler::accept`] found out about the other end of a connection. It travels with each request of it.
pub type Peer = Arc<dyn Any + Send + Sync>;

/// One accepted TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Counts up from 1 in this process.
    pub id: u64,
    /// The client's end.
    pub peer: SocketAddr,
    /// Our end, as the kernel reports it.
    pub local: SocketAddr,
}

/// Why a connection is not served. Plain HTTP is told so with a 403; anything else is closed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// One sentence for a person.
    pub reason: String,
}

impl Refused {
    /// A refusal with its reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// What happens to a CONNECT or absolute-form target.
#[derive(Debug)]
pub enum Route {
    /// TLS is terminated with a leaf from [`CertSource`]; each request goes through [`Handler::exchange`].
    Intercept,
    /// Bytes are passed on unread. An absolute-form request is forwarded as it is.
    Tunnel,
    /// Answered with this response; nothing is dialled.
    Refuse(Box<Response<Body>>),
}

/// What happens to a tunnel in which a client's TLS names another host than CONNECT did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// As if CONNECT had named that host: TLS is terminated with its leaf, and the server is dialled where CONNECT said
    /// and verified as that host.
    Intercept,
    /// Bytes are passed on unread.
    Tunnel,
}

/// How a request reached [`Handler::exchange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingress {
    /// Inside a CONNECT, after TLS was terminated or as plain HTTP.
    Connect,
    /// `GET http://host/path` sent to the proxy.
    Absolute,
    /// [`Handler::local`] asked for it.
    Local,
}

/// The form of a request's target as the client wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// `GET /path`: sent to us as to a server.
    Origin,
    /// `GET http://our-own-address/path`: sent to us as to a proxy, for ourselves.
    Absolute,
}

/// What is known about a request for the proxy's own address.
#[derive(Clone)]
pub struct LocalContext {
    /// From [`Handler::accept`].
    pub peer: Peer,
    /// The connection it came on.
    pub connection: ConnectionInfo,
    /// How the target was written.
    pub form: TargetForm,
    /// The `Proxy-Authorization` header, taken out of the request.
    pub proxy_auth: Option<HeaderValue>,
}

/// The answer to a request for the proxy's own address.
pub enum LocalReply {
    /// Answered here.
    Respond(Response<Body>),
    /// Sent on to `target` through [`Handler::exchange`]; `Host` is rewritten to it.
    Exchange {
        /// Where to.
        target: Authority,
        /// With TLS or without.
        scheme: Scheme,
        /// What; its URI is the path and query for the target.
        request: Request<Body>,
    },
}

/// What is known about an exchange beside its request.
#[derive(Clone)]
pub struct ExchangeContext {
    /// From [`Handler::accept`].
    pub peer: Peer,
    /// The connection it came on.
    pub connection: ConnectionInfo,
    /// The host and port that are really spoken to. `Host` and `:authority` were checked against it, and so is the
    /// server's certificate.
    pub target: Authority,
    /// Where the connection leads: the target, or what CONNECT named where the client's TLS named the target.
    pub dialled: Authority,
    /// Whether the upstream leg speaks TLS.
    pub scheme: Scheme,
    /// How the request came in.
    pub ingress: Ingress,
    /// The HTTP version the client speaks.
    pub version: Version,
    /// The `Proxy-Authorization` header of the CONNECT or of the request, marked sensitive.
    pub proxy_auth: Option<HeaderValue>,
    /// The request asks for a protocol upgrade (WebSocket). A response other than upstream's own 101 refuses it.
    pub upgrade: bool,
}

/// What kind of bytes were passed on unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelKind {
    /// A CONNECT to a host that is not intercepted.
    Connect,
    /// An upgraded (WebSocket) connection of an intercepted host.
    Upgrade,
}

/// Why a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelEnd {
    /// Both sides closed.
    Finished,
    /// Nothing moved for the idle limit.
    Idle,
    /// One side broke.
    Broken,
    /// The client began TLS and did not end its first message within the bounds.
    Stalled,
    /// The proxy was stopped and its drain deadline passed.
    Stopped,
}

/// A tunnel that has ended.
#[derive(Clone)]
pub struct TunnelClosed {
    /// From [`Handler::accept`].
    pub peer: Peer,
    /// The connection it came on.
    pub connection: ConnectionInfo,
    /// Where it went.
    pub target: Authority,
    /// What it was.
    pub kind: TunnelKind,
    /// Bytes from the client to the target.
    pub sent: u64,
    /// Bytes from the target to the client.
    pub received: u64,
    /// From the first byte that could pass to the end.
    pub duration: Duration,
    /// Why it ended.
    pub end: TunnelEnd,
}

/// Why TLS with a client failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientTlsFailure {
    /// The client sent an alert about our certificate: it does not trust our root, or it pins another.
    Rejected,
    /// The client hung up during the handshake, which is how some pinned clients refuse.
    HungUp,
    /// [`CertSource`] gave no certificate for the host.
    NoCertificate,
    /// The handshake took too long, or the client waited for the server to speak first.
    TimedOut,
    /// What came was neither TLS nor HTTP, or TLS that could not be agreed on.
    Protocol,
}

/// A client TLS handshake that failed.
#[derive(Clone)]
pub struct ClientTlsFailed {
    /// From [`Handler::accept`].
    pub peer: Peer,
    /// The connection it came on.
    pub connection: ConnectionInfo,
    /// The CONNECT target, or the host that its TLS named instead.
    pub target: Authority,
    /// Why.
    pub failure: ClientTlsFailure,
}

/// The program around the proxy.
///
/// A request handed over keeps the client's header order and case in its extensions, so change it in place (or use
/// `into_parts`/`from_parts`) instead of building another. Hop-by-hop headers are already gone.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Called once for each accepted connection, before a byte is read.
    async fn accept(&self, connection: &ConnectionInfo) -> Result<Peer, Refused>;

    /// Called for each CONNECT and each absolute-form request.
    async fn route(&self, peer: &Peer, target: &Authority, proxy_auth: Option<&HeaderValue>) -> Route;

    /// Called when a client opens TLS in a tunnel to `dialled` and names another host in it. The name is read from the
    /// hello as it stands there in clear; an encrypted one is not seen.
    async fn named(
        &self,
        peer: &Peer,
        dialled: &Authority,
        named: &Authority,
        proxy_auth: Option<&HeaderValue>,
    ) -> Named {
        let _ = (peer, dialled, named, proxy_auth);
        Named::Tunnel
    }

    /// Called for a request to the proxy's own address. All of its headers are there, hop-by-hop ones too; whether
    /// `Host` and `Origin` are acceptable is for the handler to say.
    async fn local(&self, context: LocalContext, request: Request<Body>) -> LocalReply;

    /// Called for each exchange with an intercepted host. `upstream` is bound to the context's target.
    ///
    /// When the client goes away the future is dropped where it waits, or the response body is, so whatever must be
    /// settled has to be settled by a guard.
    async fn exchange(
        &self,
        context: ExchangeContext,
        request: Request<Body>,
        upstream: Upstream,
    ) -> Response<Body>;

    /// Called when bytes that were passed on unread have come to their end.
    fn tunnel_closed(&self, tunnel: &TunnelClosed) {
        let _ = tunnel;
    }

    /// Called when a client's TLS handshake failed.
    fn client_tls_failed(&self, failed: &ClientTlsFailed) {
        let _ = failed;
    }
}

/// Where leaf certificates come from. The source caches; it is asked for each TLS connection.
#[async_trait]
pub trait CertSource: Send + Sync + 'static {
    /// The key and chain to show to a client that connected to `host`: a lower-case name without its final dot, or an
    /// IP address without brackets. The key must sign with the ring provider.
    async fn certified_key(&self, host: &str) -> Result<Arc<CertifiedKey>, BoxError>;
}
