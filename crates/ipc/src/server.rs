//! The engine's end: accepts, checks who calls, finds the route, answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::control::{Caller, Control, Proof};
use crate::error::{ControlError, ErrorCode};
use crate::events;
use crate::routes::{Call, ROUTES, Route};
use crate::transport::{self, ControlListener, Stream};
use crate::types::{AssessmentApproval, Done, OffRequest};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What a caller may ask of the server.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Longest body of a request.
    pub body_bytes: usize,
    /// Connections at once; further ones are closed.
    pub connections: usize,
    /// For the head of a request, and then for its body.
    pub read: Duration,
    /// Between signs of life on an event stream.
    pub heartbeat: Duration,
    /// For answers under way when the engine stops.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        ServerLimits {
            body_bytes: 64 << 10,
            connections: 64,
            read: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
            drain: Duration::from_secs(3),
        }
    }
}

/// Serves until `shutdown`. Whoever is not `owner_uid` is turned away before a byte is read.
pub async fn serve(
    listener: ControlListener,
    owner_uid: u32,
    control: Arc<dyn Control>,
    shutdown: CancellationToken,
) {
    serve_with(listener, owner_uid, control, shutdown, ServerLimits::default()).await;
}

pub async fn serve_with(
    listener: ControlListener,
    owner_uid: u32,
    control: Arc<dyn Control>,
    shutdown: CancellationToken,
    limits: ServerLimits,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let stream = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: a pause lets some be closed.
                    tracing::warn!(%error, "the control socket could not accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let caller = match transport::caller(&stream) {
            Ok(caller) if caller.uid == owner_uid => caller,
            Ok(caller) => {
                tracing::warn!(uid = caller.uid, pid = caller.pid, "another user was turned away");
                connections.spawn(turn_away(stream));
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "a caller without credentials was turned away");
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!("too many connections on the control socket");
            continue;
        };
        let session = Session { caller, control: Arc::clone(&control), shutdown: shutdown.clone(), limits };
        connections.spawn(async move {
            session.run(stream).await;
            drop(place);
        });
    }
    drop(listener);
    let drained = timeout(limits.drain, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        connections.shutdown().await;
    }
}

/// Says why, without reading what was asked.
async fn turn_away(mut stream: Stream) {
    use tokio::io::AsyncWriteExt;
    let error = ControlError::new(ErrorCode::Forbidden, "this engine belongs to another user");
    let body = serde_json::to_string(&error).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let write = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    };
    if let Ok(Err(error)) = timeout(Duration::from_secs(1), write).await {
        tracing::debug!(%error, "the caller was gone already");
    }
}

struct Session {
    caller: Caller,
    control: Arc<dyn Control>,
    shutdown: CancellationToken,
    limits: ServerLimits,
}

impl Session {
    async fn run(self, stream: Stream) {
        let session = Arc::new(self);
        let service = {
            let session = Arc::clone(&session);
            service_fn(move |request| {
                let session = Arc::clone(&session);
                async move { Ok::<_, Infallible>(session.answer(request).await) }
            })
        };
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(session.limits.read)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = session.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a control connection ended early");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match self.routed(request).await {
            Ok(response) => response,
            Err(error) => json(error.code.status(), &error),
        }
    }

    async fn routed(&self, request: Request<Incoming>) -> Result<Response<Body>, ControlError> {
        let route = find(request.method().as_str(), request.uri().path())?;
        if route.call == Call::Events {
            self.control.authorise(&self.caller, route).await?;
            return Ok(self.events());
        }
        let body = self.body(request).await?;
        self.sensible(route, &body).await?;
        let proof = self.control.authorise(&self.caller, route).await?;
        timeout(route.patience, self.call(route, &body, proof)).await.unwrap_or_else(|_| {
            let message = format!("{} took longer than {} s", route.path, route.patience.as_secs());
            Err(ControlError::new(ErrorCode::TimedOut, message))
        })
    }

    /// Nobody is asked who they are for something that can't be done.
    async fn sensible(&self, route: &Route, body: &[u8]) -> Result<(), ControlError> {
        match route.call {
            Call::AllowAdd => self.control.allow_add_sensible(&parsed(body)?).await,
            Call::ElevationApprove => self.control.elevation_approve_sensible(&parsed(body)?).await,
            Call::AssessmentApprove => parsed::<AssessmentApproval>(body).map(drop),
            Call::Off => parsed::<OffRequest>(body).map(drop),
            _ => Ok(()),
        }
    }

    async fn call(&self, route: &Route, body: &[u8], proof: Proof) -> Result<Response<Body>, ControlError> {
        let control = &self.control;
        match route.call {
            Call::Status => ok(&control.status().await?),
            Call::Health => ok(&control.health().await?),
            Call::Counters => ok(&control.counters().await?),
            Call::Flows => ok(&control.flows().await?),
            Call::On => ok(&control.on().await?),
            Call::Off => ok(&control.off(parsed(body)?).await?),
            Call::Sources => ok(&control.sources().await?),
            Call::SecretsSync => ok(&control.secrets_sync().await?),
            Call::SecretsHandover => {
                let handed = control.secrets_handover(&self.caller, parsed(body)?).await?;
                let bytes = handed
                    .to_bytes()
                    .map_err(|broken| ControlError::new(ErrorCode::Internal, format!("{broken}")))?;
                Ok(answer(StatusCode::OK, Bytes::from_owner(bytes)))
            }
            Call::Ca => ok(&control.ca().await?),
            Call::Policy => ok(&control.policy().await?),
            Call::PolicyReload => ok(&control.policy_reload().await?),
            Call::AuditQuery => ok(&control.audit_query(parsed(body)?).await?),
            Call::AuditActivity => ok(&control.audit_activity(parsed(body)?).await?),
            Call::AuditContent => ok(&control.audit_content(parsed(body)?).await?),
            Call::AuditVerify => ok(&control.audit_verify().await?),
            Call::Rules => ok(&control.rules().await?),
            Call::SelfTest => ok(&control.self_test().await?),
            Call::AgentSession => ok(&control.agent_session(&self.caller, parsed(body)?).await?),
            Call::Quota => ok(&control.quota().await?),
            Call::QuotaHistory => ok(&control.quota_history().await?),
            Call::Elevations => ok(&control.elevations().await?),
            Call::ElevationRequest => ok(&control.elevation_request(parsed(body)?).await?),
            Call::ElevationApprove => ok(&control.elevation_approve(parsed(body)?, proof).await?),
            Call::ElevationRedeem => ok(&control.elevation_redeem(parsed(body)?).await?),
            Call::ElevationDeny => ok(&control.elevation_deny(parsed(body)?).await?),
            Call::ElevationRevoke => ok(&control.elevation_revoke(parsed(body)?).await?),
            Call::Allowed => ok(&control.allowed().await?),
            Call::AllowAdd => ok(&control.allow_add(parsed(body)?, proof).await?),
            Call::AllowRemove => ok(&control.allow_remove(parsed(body)?).await?),
            Call::AllowCheck => ok(&control.allow_check(parsed(body)?).await?),
            Call::Assessments => ok(&control.assessments().await?),
            Call::AssessmentBegin => ok(&control.assessment_begin(parsed(body)?).await?),
            Call::AssessmentAnswer => ok(&control.assessment_answer(parsed(body)?).await?),
            Call::AssessmentApprove => ok(&control.assessment_approve(parsed(body)?, proof).await?),
            Call::Events => Ok(self.events()),
            Call::CaRemove => {
                control.ca_remove().await?;
                ok(&Done { done: true })
            }
            Call::Shutdown => {
                control.shutdown().await?;
                ok(&Done { done: true })
            }
        }
    }

    async fn body(&self, request: Request<Incoming>) -> Result<Bytes, ControlError> {
        let limited = Limited::new(request.into_body(), self.limits.body_bytes);
        match timeout(self.limits.read, limited.collect()).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let message = format!("a request may have {} bytes", self.limits.body_bytes);
                Err(ControlError::new(ErrorCode::TooLarge, message))
            }
            Ok(Err(_)) => Err(ControlError::new(ErrorCode::BadRequest, "the request broke off")),
            Err(_) => Err(ControlError::new(ErrorCode::TimedOut, "the request did not arrive in time")),
        }
    }

    fn events(&self) -> Response<Body> {
        let heartbeat = self.limits.heartbeat;
        let source = self.control.events();
        let frames = stream::unfold(source, move |mut source| async move {
            let bytes = match timeout(heartbeat, source.next()).await {
                Ok(Some(event)) => events::encode(&event),
                Ok(None) => return None,
                Err(_) => Bytes::from_static(events::HEARTBEAT),
            };
            Some((Ok::<_, Infallible>(Frame::data(bytes)), source))
        });
        let until = self.shutdown.clone().cancelled_owned();
        // The first bytes go out at once, so that a client knows that it listens.
        let hello = stream::once(async { Ok(Frame::data(Bytes::from_static(events::HEARTBEAT))) });
        let body = StreamBody::new(hello.chain(frames.take_until(until)));
        let mut response = Response::new(BodyExt::boxed_unsync(body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        response
    }
}

fn find(method: &str, path: &str) -> Result<&'static Route, ControlError> {
    let mut allowed = ROUTES.iter().filter(|route| route.path == path).peekable();
    if allowed.peek().is_none() {
        let hint = "the caller may be of another version than the engine";
        return Err(ControlError::new(ErrorCode::NotFound, "there is no such route").with_hint(hint));
    }
    allowed.find(|route| route.method.as_str() == method).ok_or_else(|| {
        ControlError::new(ErrorCode::MethodNotAllowed, format!("{path} does not take {method}"))
    })
}

/// An empty body is one in which nothing is set.
fn parsed<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, ControlError> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        ControlError::new(
            ErrorCode::BadRequest,
            format!("the request's JSON is not what is expected ({place})"),
        )
    })
}

fn ok<T: Serialize>(value: &T) -> Result<Response<Body>, ControlError> {
    Ok(json(StatusCode::OK, value))
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    let (status, bytes) = match serde_json::to_vec(value) {
        Ok(bytes) => (status, bytes),
        Err(error) => {
            tracing::warn!(%error, "an answer could not be written");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                br#"{"code":"internal","message":"the answer could not be written"}"#.to_vec(),
            )
        }
    };
    answer(status, Bytes::from(bytes))
}

fn answer(status: StatusCode, json: Bytes) -> Response<Body> {
    let mut response = Response::new(BodyExt::boxed_unsync(Full::new(json)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
