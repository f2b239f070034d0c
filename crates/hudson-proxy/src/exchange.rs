//! One request and its response between a client's connection and the handler: what belongs to the hop is taken off,
//! lengths are made to agree, an upgrade is handed on. Must not decide anything about the request.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as HttpBody;
use hyper::upgrade::OnUpgrade;

use crate::authority::{Authority, Scheme};
use crate::body::Body;
use crate::connection::{Next, Session};
use crate::error::plain;
use crate::handler::{ExchangeContext, Ingress};
use crate::headers::{self, HostProblem};
use crate::upstream::Way;

/// Where a request is bound to go.
#[derive(Clone)]
pub(crate) struct Bound {
    pub(crate) target: Authority,
    /// Where it is dialled.
    pub(crate) dialled: Authority,
    pub(crate) scheme: Scheme,
    pub(crate) ingress: Ingress,
    pub(crate) proxy_auth: Option<HeaderValue>,
    /// False for a host that is not intercepted: the handler is passed by.
    pub(crate) handled: bool,
}

/// The answer to a request whose `Host` or `:authority` is not acceptable.
pub(crate) fn host_problem(problem: HostProblem, target: &Authority) -> Response<Body> {
    match problem {
        HostProblem::Other => plain(
            StatusCode::MISDIRECTED_REQUEST,
            format!(
                "This connection leads to {target}, and the request names another host. Open a connection to that host."
            ),
        ),
        HostProblem::Missing => plain(StatusCode::BAD_REQUEST, "The request has no Host header."),
        HostProblem::Doubled => plain(StatusCode::BAD_REQUEST, "The request has more than one Host header."),
        HostProblem::Malformed => {
            plain(StatusCode::BAD_REQUEST, "The request's Host header is no host name.")
        }
    }
}

/// Runs the exchange. The request's host was checked by the caller.
pub(crate) async fn run(session: &Arc<Session>, bound: Bound, mut request: Request<Body>) -> Response<Body> {
    let shape = Shape::of(&request);
    let on_client = request.extensions_mut().remove::<OnUpgrade>();
    let written = written_host(&request, &bound);
    let hop = headers::strip_request(request.version(), request.headers_mut());
    if !plain_chunks(&request) {
        return shape.finish(plain(
            StatusCode::NOT_IMPLEMENTED,
            "The request has a transfer coding other than chunked, which is not passed on.",
        ));
    }
    *request.uri_mut() = headers::origin_form(request.uri());
    let multiplexed = request.version() == Version::HTTP_2;
    let way = Way { scheme: bound.scheme, target: bound.target.clone(), dialled: bound.dialled.clone() };
    let mut upstream = session.pool.upstream(way, multiplexed, hop.upgrade, written);
    let target = bound.target.clone();
    let mut response = if bound.handled {
        let context = ExchangeContext {
            peer: session.peer.clone(),
            connection: session.info,
            target: bound.target,
            dialled: bound.dialled,
            scheme: bound.scheme,
            ingress: bound.ingress,
            version: request.version(),
            proxy_auth: bound.proxy_auth.or(hop.proxy_auth),
            upgrade: hop.upgrade,
        };
        session.handler().exchange(context, request, upstream).await
    } else {
        upstream.send(request).await.unwrap_or_else(|error| error.response())
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        match (hop.upgrade, on_client, response.extensions_mut().remove::<OnUpgrade>()) {
            (true, Some(client), Some(upstream)) => {
                session.then(Next::Splice { client, upstream, target });
                return response.map(|_| Body::empty());
            }
            _ => {
                response = plain(
                    StatusCode::BAD_GATEWAY,
                    format!("{target} switched to another protocol without being asked to."),
                );
            }
        }
    }
    shape.finish(response)
}

/// The `Host` to send when the request has none of its own.
fn written_host(request: &Request<Body>, bound: &Bound) -> HeaderValue {
    if let Some(host) = request.headers().get(HOST) {
        return host.clone();
    }
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    HeaderValue::try_from(authority.unwrap_or_else(|| bound.target.for_scheme(bound.scheme)))
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn plain_chunks(request: &Request<Body>) -> bool {
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(only), None) => only.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

/// What about a request decides how its response is framed.
pub(crate) struct Shape {
    head: bool,
    version: Version,
}

impl Shape {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        Self { head: request.method() == Method::HEAD, version: request.version() }
    }

    /// Makes a response fit for the client's connection.
    pub(crate) fn finish(&self, mut response: Response<Body>) -> Response<Body> {
        let h2 = self.version == Version::HTTP_2;
        *response.version_mut() = if h2 { Version::HTTP_2 } else { Version::HTTP_11 };
        if h2 {
            headers::strip_for_h2(response.headers_mut());
        }
        let status = response.status();
        if status.is_informational() {
            return plain(StatusCode::BAD_GATEWAY, "An interim response came in place of a final one.");
        }
        if self.head {
            let length = response.body().size_hint().exact().filter(|length| *length > 0);
            if let (Some(length), false) = (length, response.headers().contains_key(CONTENT_LENGTH)) {
                response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            return response.map(|_| Body::empty());
        }
        match status {
            StatusCode::NO_CONTENT => {
                response.headers_mut().remove(CONTENT_LENGTH);
                response.map(|_| Body::empty())
            }
            StatusCode::NOT_MODIFIED => {
                let length = response
                    .headers()
                    .get(CONTENT_LENGTH)
                    .and_then(|value| value.to_str().ok()?.parse().ok());
                // hyper drops the length of a response that has no body at all.
                let body = length.filter(|length| *length > 0 && !h2).map_or_else(Body::empty, Body::phantom);
                response.map(|_| body)
            }
            _ => {
                let mut fields = std::mem::take(response.headers_mut());
                headers::settle_length(&mut fields, response.body());
                *response.headers_mut() = fields;
                response
            }
        }
    }
}
