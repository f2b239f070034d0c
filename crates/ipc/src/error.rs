//! Errors on the control socket, and errors of a client that talks to it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Closed; faces match on it and never on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request's body or path is not what the route takes.
    BadRequest,
    /// The caller is not the owner of this engine.
    Forbidden,
    /// Policy does not let anybody do this here.
    NotPermitted,
    NotFound,
    MethodNotAllowed,
    /// Does not fit the state the engine is in.
    Conflict,
    TooLarge,
    /// A part that this needs, such as the trail or a vault, does not answer.
    Unavailable,
    TimedOut,
    Internal,
}

impl ErrorCode {
    pub const ALL: [ErrorCode; 10] = [
        ErrorCode::BadRequest,
        ErrorCode::Forbidden,
        ErrorCode::NotPermitted,
        ErrorCode::NotFound,
        ErrorCode::MethodNotAllowed,
        ErrorCode::Conflict,
        ErrorCode::TooLarge,
        ErrorCode::Unavailable,
        ErrorCode::TimedOut,
        ErrorCode::Internal,
    ];

    pub fn status(self) -> http::StatusCode {
        use http::StatusCode;
        match self {
            ErrorCode::BadRequest => StatusCode::BAD_REQUEST,
            ErrorCode::Forbidden | ErrorCode::NotPermitted => StatusCode::FORBIDDEN,
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::Conflict => StatusCode::CONFLICT,
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, TS)]
#[error("{message}")]
pub struct ControlError {
    pub code: ErrorCode,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl ControlError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> ControlError {
        ControlError { code, message: message.into(), hint: None }
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> ControlError {
        self.hint = Some(hint.into());
        self
    }
}

/// Why a call of [`crate::Client`] brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens: the engine does not run, or runs for another home.
    #[error("no engine answers at {}", path.display())]
    Unreachable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Somebody else's process listens where this user's engine should.
    #[error("the process at {} belongs to user {uid}, not to you", path.display())]
    Stranger { path: PathBuf, uid: u32 },
    #[error("{0}")]
    Refused(ControlError),
    #[error("the engine did not answer {route} in {seconds} seconds")]
    TimedOut { route: &'static str, seconds: u64 },
    #[error("the connection to the engine broke while calling {route}")]
    Broken {
        route: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the engine's answer to {route} is not what this version understands")]
    Garbled {
        route: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ClientError {
    pub fn is_unreachable(&self) -> bool {
        matches!(self, ClientError::Unreachable { .. })
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            ClientError::Unreachable { .. } => Some("start it with `sallyport daemon`".into()),
            ClientError::Stranger { .. } => {
                Some("remove that socket, then start your own engine with `sallyport daemon`".into())
            }
            ClientError::Refused(error) => error.hint.clone(),
            ClientError::TimedOut { .. } => Some("see `sallyport doctor` for what it waits for".into()),
            ClientError::Broken { .. } => Some("try again; if it repeats, look at the engine's log".into()),
            ClientError::Garbled { .. } => {
                Some("the engine may be of another version: restart it after an upgrade".into())
            }
        }
    }
}

/// Why the control socket can't be offered.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("an engine already runs here: {} answers", path.display())]
    InUse { path: PathBuf },
    #[error("{} is there but is no socket, so it was not replaced", path.display())]
    NotASocket { path: PathBuf },
    #[error("the folder {} belongs to another user", path.display())]
    ForeignFolder { path: PathBuf },
    #[error("could not {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}
