//! A generic intercepting HTTP proxy: CONNECT and absolute-form requests, TLS terminated with minted leaves for the
//! hosts that its [`Handler`] names, everything else tunnelled unread. HTTP/1.1 and HTTP/2 on both sides.
//!
//! It knows nothing of what it carries and decides nothing: routes, answers and certificates come through the seam in
//! [`handler`]. No URL, path, header or body is ever logged, since credentials live there.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod authority;
mod body;
mod chain;
mod connection;
mod dialer;
mod error;
mod exchange;
mod front;
pub mod handler;
mod headers;
mod hello;
mod lane;
mod leg;
mod limits;
mod noproxy;
mod one_go;
mod proxy;
mod room;
mod tls;
mod tunnel;
mod upstream;
mod watch;

pub use authority::{Authority, AuthorityError, Scheme};
pub use body::{Body, BodyError, Gathered};
pub use chain::{ProxyKind, UnusableProxy, UpstreamProxy};
pub use dialer::DialerConfig;
pub use error::{BuildError, ChainFailure, UpstreamError};
pub use handler::{
    BoxError, CertSource, ClientTlsFailed, ClientTlsFailure, ConnectionInfo, ExchangeContext, Handler,
    Ingress, LocalContext, LocalReply, Named, Peer, Refused, Route, TargetForm, TunnelClosed, TunnelEnd,
    TunnelKind,
};
pub use limits::Limits;
pub use noproxy::NoProxy;
pub use proxy::{Drained, Proxy, ProxyBuilder};
pub use room::give_back_room;
pub use upstream::Upstream;
