//! The handler while keys can't be opened: AI traffic is refused, all else is tunnelled.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::HeaderValue;
use http::{Request, Response, StatusCode};
use hudson_proxy::{
    Authority, Body, BoxError, CertSource, ConnectionInfo, ExchangeContext, Handler, LocalContext,
    LocalReply, Peer, Refused, Route, Upstream,
};
use rustls::sign::CertifiedKey;
use sallyport_platform::process::Processes;
use sallyport_policy::providers::Registry;

use crate::flow::Flow;
use crate::respond;

pub(crate) struct WaitingHandler {
    pub(crate) uid: u32,
    pub(crate) providers: Arc<Registry>,
    pub(crate) processes: Arc<Processes>,
}

const SENTENCE: &str =
    "Sallyport waits for its key store, so AI traffic is refused; `sallyport doctor` says what to do.";

fn refusal() -> Response<Body> {
    respond::plain(StatusCode::SERVICE_UNAVAILABLE, SENTENCE)
}

#[async_trait]
impl Handler for WaitingHandler {
    async fn accept(&self, connection: &ConnectionInfo) -> Result<Peer, Refused> {
        let flow = Flow::identify(connection, self.uid, &self.processes)?;
        Ok(flow)
    }

    async fn route(&self, _: &Peer, target: &Authority, _: Option<&HeaderValue>) -> Route {
        match self.providers.intercepted(target.host(), target.port()) {
            // Without its key no certificate can be made, so this can't be said inside TLS.
            Some(_) => Route::Refuse(Box::new(refusal())),
            None => Route::Tunnel,
        }
    }

    async fn local(&self, _: LocalContext, _: Request<Body>) -> LocalReply {
        LocalReply::Respond(refusal())
    }

    async fn exchange(&self, _: ExchangeContext, _: Request<Body>, _: Upstream) -> Response<Body> {
        refusal()
    }
}

#[async_trait]
impl CertSource for WaitingHandler {
    async fn certified_key(&self, _: &str) -> Result<Arc<CertifiedKey>, BoxError> {
        Err(SENTENCE.into())
    }
}
