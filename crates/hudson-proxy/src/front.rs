//! Requests on a connection as the client opened it: CONNECT, absolute-form, and those for the proxy itself. Must not
//! look into anything it tunnels.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;

use crate::authority::{Authority, Scheme};
use crate::body::Body;
use crate::connection::{Next, Session};
use crate::dialer::Purpose;
use crate::error::{UpstreamError, plain};
use crate::exchange::{self, Bound, Shape};
use crate::handler::{Ingress, LocalContext, LocalReply, Route, TargetForm};
use crate::headers::{self, HostProblem};

pub(crate) async fn answer(session: &Arc<Session>, request: Request<Body>) -> Response<Body> {
    let shape = Shape::of(&request);
    if request.method() == Method::CONNECT {
        return connect(session, request).await;
    }
    if request.uri().scheme().is_some() {
        return absolute(session, request, &shape).await;
    }
    if request.uri().authority().is_some() {
        return shape.finish(plain(
            StatusCode::BAD_REQUEST,
            "The request names a host and port where a path or a whole URL is expected.",
        ));
    }
    local(session, request, TargetForm::Origin, &shape).await
}

async fn connect(session: &Arc<Session>, mut request: Request<Body>) -> Response<Body> {
    let proxy_auth = headers::take_proxy_auth(request.headers_mut());
    let named = request.uri().authority().map(|authority| Authority::parse(authority.as_str(), None));
    let Some(Ok(target)) = named else {
        return plain(
            StatusCode::BAD_REQUEST,
            "CONNECT needs a host and a port, as in CONNECT example.com:443.",
        );
    };
    if request.headers().contains_key(CONTENT_LENGTH) || request.headers().contains_key(TRANSFER_ENCODING) {
        return plain(StatusCode::BAD_REQUEST, "A CONNECT request can't have a body.");
    }
    let Some(client) = request.extensions_mut().remove::<OnUpgrade>() else {
        return plain(StatusCode::BAD_REQUEST, "CONNECT is not possible on this connection.");
    };
    if session.link().dialer.is_own(&target) {
        return UpstreamError::Loop { target }.response();
    }
    let next = match session.handler().route(&session.peer, &target, proxy_auth.as_ref()).await {
        Route::Refuse(response) => return *response,
        Route::Intercept => Next::Intercept { client, target, proxy_auth },
        // The target answers first, so that a dead port is told as such and not as a broken connection.
        Route::Tunnel => match session.link().dialer.dial(&target, Purpose::Stream).await {
            Ok(dialled) => Next::Tunnel { client, leg: dialled.leg, target, proxy_auth },
            Err(error) => {
                tracing::debug!(host = target.host(), code = error.code(), "a tunnel could not be dialled");
                return error.response();
            }
        },
    };
    session.then(next);
    Response::new(Body::empty())
}

async fn absolute(session: &Arc<Session>, mut request: Request<Body>, shape: &Shape) -> Response<Body> {
    let scheme = match request.uri().scheme_str() {
        Some(name) if name.eq_ignore_ascii_case("http") => Scheme::Http,
        Some(name) if name.eq_ignore_ascii_case("https") => Scheme::Https,
        _ => {
            return shape.finish(plain(
                StatusCode::BAD_REQUEST,
                "Only http:// and https:// URLs can be asked of this proxy.",
            ));
        }
    };
    let named = request
        .uri()
        .authority()
        .map(|authority| Authority::parse(authority.as_str(), Some(scheme.default_port())));
    let Some(Ok(target)) = named else {
        return shape
            .finish(plain(StatusCode::BAD_REQUEST, "The request's URL has no usable host and port."));
    };
    if session.link().dialer.is_own(&target) {
        *request.uri_mut() = headers::origin_form(request.uri());
        return local(session, request, TargetForm::Absolute, shape).await;
    }
    let proxy_auth = headers::take_proxy_auth(request.headers_mut());
    let handled = match session.handler().route(&session.peer, &target, proxy_auth.as_ref()).await {
        Route::Refuse(response) => return shape.finish(*response),
        Route::Intercept => true,
        Route::Tunnel => false,
    };
    match headers::check_host(&request, &target, scheme) {
        Ok(()) => {}
        // RFC 9112 3.2.2: what the URL says stands. Policy wants a mismatch to be seen, where there is a policy.
        Err(HostProblem::Missing | HostProblem::Other | HostProblem::Malformed) if !handled => {}
        Err(problem) => return shape.finish(exchange::host_problem(problem, &target)),
    }
    if !handled {
        set_host(&mut request, &target, scheme);
    }
    let dialled = target.clone();
    let bound = Bound { target, dialled, scheme, ingress: Ingress::Absolute, proxy_auth, handled };
    exchange::run(session, bound, request).await
}

async fn local(
    session: &Arc<Session>,
    mut request: Request<Body>,
    form: TargetForm,
    shape: &Shape,
) -> Response<Body> {
    let proxy_auth = headers::take_proxy_auth(request.headers_mut());
    let context = LocalContext {
        peer: session.peer.clone(),
        connection: session.info,
        form,
        proxy_auth: proxy_auth.clone(),
    };
    match session.handler().local(context, request).await {
        LocalReply::Respond(response) => shape.finish(response),
        LocalReply::Exchange { target, scheme, mut request } => {
            if session.link().dialer.is_own(&target) {
                return shape.finish(UpstreamError::Loop { target }.response());
            }
            set_host(&mut request, &target, scheme);
            let dialled = target.clone();
            let bound = Bound { target, dialled, scheme, ingress: Ingress::Local, proxy_auth, handled: true };
            exchange::run(session, bound, request).await
        }
    }
}

fn set_host(request: &mut Request<Body>, target: &Authority, scheme: Scheme) {
    if let Ok(host) = HeaderValue::try_from(target.for_scheme(scheme)) {
        request.headers_mut().insert(HOST, host);
    }
}
