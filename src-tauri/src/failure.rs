//! What the window is told when a call brings no answer: a code, a sentence, a way out.

use sallyport_ipc::ClientError;
use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Failure {
        Failure { code: code.into(), message: message.into(), hint: None }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let code = match &error {
            ClientError::Unreachable { .. } => "not_reachable".to_owned(),
            ClientError::Refused(refusal) => serde_json::to_value(refusal.code)
                .ok()
                .and_then(|code| code.as_str().map(str::to_owned))
                .unwrap_or_else(|| "refused".into()),
            _ => "broken".to_owned(),
        };
        let message = match &error {
            ClientError::Unreachable { .. } => "The engine is not running.".to_owned(),
            other => other.to_string(),
        };
        let hint = match &error {
            ClientError::Unreachable { .. } => {
                Some("It is being started. If it stays away, `sallyport doctor` says why.".to_owned())
            }
            other => other.hint(),
        };
        Failure { code, message, hint }
    }
}

#[cfg(test)]
mod tests {
    use sallyport_ipc::{ControlError, ErrorCode};

    use super::*;

    #[test]
    fn a_refusal_keeps_its_code_and_its_way_out() {
        let refusal = ControlError::new(ErrorCode::NotPermitted, "Policy forbids it.").with_hint("Ask Ann.");
        let failure = Failure::from(ClientError::Refused(refusal));
        assert_eq!(failure.code, "not_permitted");
        assert_eq!(failure.message, "Policy forbids it.");
        assert_eq!(failure.hint.as_deref(), Some("Ask Ann."));
    }
}
