//! The one error of this crate: a file that can't be used, with the place and what was expected there.

use serde::{Deserialize, Serialize};

use crate::yaml::{Fault, Mark};

/// A configuration or policy file that can't be used. Never repeats a value of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{file}:{line}:{column}: {message}")]
pub struct DocumentError {
    pub file: String,
    pub line: u32,
    pub column: u32,
    /// What was expected, or what was found instead.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

pub type ConfigError = DocumentError;

impl DocumentError {
    pub fn new(file: &str, mark: Mark, message: impl Into<String>, hint: Option<String>) -> DocumentError {
        DocumentError {
            file: file.into(),
            line: mark.line,
            column: mark.column,
            message: message.into(),
            hint,
        }
    }

    pub(crate) fn from_fault(file: &str, fault: Fault) -> DocumentError {
        DocumentError::new(file, fault.mark, fault.message, fault.hint)
    }
}
