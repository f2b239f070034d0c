//! What can go wrong upstream and while building. Messages name hosts and stages, never paths, headers or bodies:
//! credentials live there.

use std::io;
use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};

use crate::authority::Authority;
use crate::body::Body;
use crate::handler::BoxError;

/// A proxy that can't be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The TLS provider lacks a protocol version or cipher suite it should have.
    #[error("TLS could not be set up")]
    Tls(#[source] rustls::Error),
    /// The ticket keys could not be made.
    #[error("keys for TLS session tickets could not be made")]
    Tickets(#[source] rustls::Error),
}

/// Why an exchange or a tunnel got nothing from upstream.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The name has no address, or the resolver failed.
    #[error("the name {host} could not be resolved")]
    Resolve {
        /// The name.
        host: String,
        /// Why, if the resolver gave a reason.
        #[source]
        source: Option<io::Error>,
    },
    /// No address of the target took the connection.
    #[error("{target} could not be reached")]
    Connect {
        /// Where to.
        target: Authority,
        /// The last address's answer.
        #[source]
        source: io::Error,
    },
    /// The dial took too long.
    #[error("{target} did not answer within {} s", after.as_secs())]
    ConnectTimeout {
        /// Where to.
        target: Authority,
        /// The limit.
        after: Duration,
    },
    /// The target is this proxy itself.
    #[error("{target} is this proxy's own address, so the request would go round in a circle")]
    Loop {
        /// Where to.
        target: Authority,
    },
    /// The chained proxy could not be used.
    #[error("the upstream proxy {proxy} could not be used for {target}: {reason}")]
    Chain {
        /// The chained proxy.
        proxy: Authority,
        /// Where to.
        target: Authority,
        /// What it did.
        reason: ChainFailure,
        /// The socket's or TLS's own word.
        #[source]
        source: Option<BoxError>,
    },
    /// The server's certificate does not verify.
    #[error("the certificate of {target} could not be verified")]
    Certificate {
        /// Where to.
        target: Authority,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
    /// TLS failed for another reason.
    #[error("TLS with {target} failed")]
    Tls {
        /// Where to.
        target: Authority,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The TLS handshake took too long.
    #[error("the TLS handshake with {target} did not end within {} s", after.as_secs())]
    TlsTimeout {
        /// Where to.
        target: Authority,
        /// The limit.
        after: Duration,
    },
    /// The request went out, no response head came in time.
    #[error("{target} sent no response within {} s", after.as_secs())]
    ResponseTimeout {
        /// Where to.
        target: Authority,
        /// The limit.
        after: Duration,
    },
    /// The request's own body broke while it was being sent.
    #[error("the request to {target} broke off while its body was being sent")]
    RequestBody {
        /// Where to.
        target: Authority,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// The connection broke, or what came was no HTTP.
    #[error("the connection to {target} broke before a response came")]
    Exchange {
        /// Where to.
        target: Authority,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// The server speaks HTTP/2 only, so a protocol upgrade can't be asked of it.
    #[error("{target} speaks HTTP/2 only, which has no protocol upgrade")]
    NoUpgrade {
        /// Where to.
        target: Authority,
    },
    /// The request can't be put into the version that the server speaks.
    #[error("the request could not be put into the form that {target} speaks")]
    Unsendable {
        /// Where to.
        target: Authority,
        /// Why.
        #[source]
        source: http::Error,
    },
}

/// What a chained proxy did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFailure {
    /// TLS with an `https://` proxy failed.
    #[error("TLS with it failed")]
    Tls,
    /// It answered CONNECT with another status than 2xx.
    #[error("it answered CONNECT with status {0}")]
    Status(u16),
    /// It wants a user and password, or others than those given (407, or SOCKS5 method refusal).
    #[error("it asks for other credentials")]
    Credentials,
    /// A SOCKS5 reply code other than success.
    #[error("it answered with SOCKS5 code {0}")]
    Socks(u8),
    /// What it said is not the protocol it was configured for.
    #[error("its answer is not in the protocol it is configured for")]
    Protocol,
    /// It hung up.
    #[error("it closed the connection")]
    Closed,
}

impl UpstreamError {
    /// 502, 504 or 508.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::ConnectTimeout { .. } | Self::TlsTimeout { .. } | Self::ResponseTimeout { .. } => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::Loop { .. } => StatusCode::LOOP_DETECTED,
            Self::RequestBody { .. } | Self::Unsendable { .. } => StatusCode::BAD_REQUEST,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// A short stable name for counting and matching.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Resolve { .. } => "resolve",
            Self::Connect { .. } => "connect",
            Self::ConnectTimeout { .. } => "connect_timeout",
            Self::Loop { .. } => "loop",
            Self::Chain { .. } => "upstream_proxy",
            Self::Certificate { .. } => "certificate",
            Self::Tls { .. } => "tls",
            Self::TlsTimeout { .. } => "tls_timeout",
            Self::ResponseTimeout { .. } => "response_timeout",
            Self::RequestBody { .. } => "request_body",
            Self::Exchange { .. } => "exchange",
            Self::NoUpgrade { .. } => "no_upgrade",
            Self::Unsendable { .. } => "unsendable",
        }
    }

    /// Whether the request never left: no server has seen a byte of it.
    pub fn is_before_send(&self) -> bool {
        !matches!(self, Self::ResponseTimeout { .. } | Self::RequestBody { .. } | Self::Exchange { .. })
    }

    /// A plain-text response that says what happened.
    pub fn response(&self) -> Response<Body> {
        plain(self.status(), self.explain())
    }

    /// The message and its causes in one sentence.
    pub fn explain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// A short answer of the proxy's own.
pub(crate) fn plain(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut text = text.into();
    text.push('\n');
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
