//! The one place that turns a refusal or an internal error into an answer, in the provider's own error shape.
//!
//! Status 400 for a refusal: clients show it to the person after one request, while 401, 403 and 5xx read as a
//! login failure or are retried.

use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use hudson_proxy::{Body, UpstreamError};
use sallyport_policy::providers::{ErrorShape, Provider};
use sallyport_wire::{Family, refusal};

/// Why an exchange did not go upstream, in words for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    /// Closed word; also the trail's `violation_type` or outcome.
    pub(crate) code: &'static str,
    /// What happened, where, and what to do.
    pub(crate) message: String,
    pub(crate) status: StatusCode,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into(), status: StatusCode::BAD_REQUEST }
    }

    pub(crate) fn trail_unavailable() -> Refusal {
        Refusal::new(
            "audit_unavailable",
            "Sallyport stopped this request: its audit trail can't be written, and nothing leaves unrecorded. \
             `sallyport doctor` says why and what to do.",
        )
    }

    pub(crate) fn sources_awaited(sources: &[String]) -> Refusal {
        Refusal::new(
            "secrets_not_loaded",
            format!(
                "Sallyport stopped this request: it has never been able to read the secrets of {}, so it can't \
                 take them out. `sallyport doctor` says why; policy `failMode: open` would let requests pass.",
                sources.join(", ")
            ),
        )
    }

    /// The answer, with a header that stops SDKs from trying again in vain.
    pub(crate) fn response(&self, family: Family) -> Response<Body> {
        let (content_type, body) = refusal::body(family, &self.message, self.code, self.status.as_u16());
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("x-should-retry", HeaderValue::from_static("false"));
        headers.insert("x-sallyport-code", HeaderValue::from_static(self.code));
        response
    }
}

/// In whose words to answer: a path that is not understood still belongs to a provider whose clients expect its shape.
pub(crate) fn shape(provider: &Provider, family: Family) -> Family {
    match (family, provider.error_shape) {
        (Family::Generic, ErrorShape::OpenAi) => Family::OpenAiChat,
        (Family::Generic, ErrorShape::Anthropic) => Family::AnthropicMessages,
        (family, _) => family,
    }
}

/// An upstream failure keeps its gateway status: clients are right to try again.
pub(crate) fn upstream_failed(family: Family, error: &UpstreamError) -> Response<Body> {
    let message = format!("Sallyport could not reach the provider: {}", error.explain());
    let (content_type, body) = refusal::body(family, &message, error.code(), error.status().as_u16());
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = error.status();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A plain answer to a request for the proxy's own address.
pub(crate) fn plain(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut text: String = text.into();
    text.push('\n');
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refusal_has_the_providers_shape() {
        let refusal = Refusal::new("opaque_body", "Nothing of it could be read.");
        for (family, pointer) in [
            (Family::OpenAiChat, "/error/message"),
            (Family::AnthropicMessages, "/error/message"),
            (Family::Generic, "/error/message"),
        ] {
            let response = refusal.response(family);
            assert_eq!(response.status(), 400);
            let hudson_proxy::Gathered::Whole { data, .. } =
                response.into_body().gather(10_000).await.unwrap()
            else {
                panic!("a short body")
            };
            let json: serde_json::Value = serde_json::from_slice(&data).unwrap();
            assert_eq!(json.pointer(pointer).unwrap(), "Nothing of it could be read.");
        }
    }
}
