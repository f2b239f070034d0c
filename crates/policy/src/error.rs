//! The one error of this crate: files that can't be used, with each place and what was expected there.

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

/// Everything that is wrong with a file, or with several together. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct DocumentErrors(pub Vec<DocumentError>);

impl DocumentErrors {
    pub(crate) fn from_faults(file: &str, faults: Vec<Fault>) -> DocumentErrors {
        DocumentErrors(faults.into_iter().map(|fault| DocumentError::from_fault(file, fault)).collect())
    }

    /// What to do about the first one that says it.
    pub fn hint(&self) -> Option<&str> {
        self.0.iter().find_map(|error| error.hint.as_deref())
    }
}

impl From<DocumentError> for DocumentErrors {
    fn from(error: DocumentError) -> DocumentErrors {
        DocumentErrors(vec![error])
    }
}

impl IntoIterator for DocumentErrors {
    type Item = DocumentError;
    type IntoIter = std::vec::IntoIter<DocumentError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

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
