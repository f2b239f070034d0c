//! Secrets that a user entrusts to us by `sallyport secrets add`, in the system's keychain.

use sallyport_platform::{FoundItem, Keychain, KeychainError, KeychainErrorCode};

use crate::collect::Collector;
use crate::report::{ProblemCode, SourceError, SourceId, SourceKind, SourceReport};
use crate::{Judge, MIN_LENGTH};

/// What was not kept, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    #[error("a secret needs a name of 1 to 100 characters without control characters")]
    BadName,
    #[error("the value has fewer than {MIN_LENGTH} bytes and would be found everywhere")]
    TooShort,
    #[error(transparent)]
    Keychain(#[from] KeychainError),
}

impl AddError {
    pub fn hint(&self) -> &'static str {
        match self {
            AddError::BadName => "Choose a short name, such as `billing/api-key`.",
            AddError::TooShort => "Protect short values by a rule instead.",
            AddError::Keychain(e) => e.hint(),
        }
    }
}

/// Keeps a secret under `name`, in place of an earlier one.
pub fn add(keychain: &Keychain, name: &str, value: &[u8]) -> Result<(), AddError> {
    check_name(name)?;
    if value.trim_ascii().len() < MIN_LENGTH {
        return Err(AddError::TooShort);
    }
    Ok(keychain.add_user_secret(name, value.trim_ascii())?)
}

/// Removes what [`add`] kept; `false` when there was none of this name.
pub fn remove(keychain: &Keychain, name: &str) -> Result<bool, AddError> {
    check_name(name)?;
    Ok(keychain.remove_user_secret(name)?)
}

/// The names of all secrets in the keychain that are ours to recognise, sorted.
pub fn names(keychain: &Keychain) -> Result<Vec<String>, KeychainError> {
    Ok(keychain.user_secrets()?.into_iter().map(|item| item.name).collect())
}

fn check_name(name: &str) -> Result<(), AddError> {
    let good = !name.trim().is_empty() && name.chars().count() <= 100 && !name.chars().any(char::is_control);
    good.then_some(()).ok_or(AddError::BadName)
}

/// Reads the keychain; blocks for as long as its time limits allow.
pub(crate) fn load(judge: Judge) -> SourceReport {
    let found = Keychain::open().and_then(|keychain| keychain.user_secrets());
    report(found, judge)
}

fn report(found: Result<Vec<FoundItem>, KeychainError>, judge: Judge) -> SourceReport {
    let mut collector = Collector::new(judge);
    let result = found.map(|items| {
        for item in &items {
            collector.add(&item.name, &item.value);
        }
    });
    let (secrets, skipped_short) = collector.finish();
    SourceReport {
        dated: Vec::new(),
        id: SourceId::new(SourceKind::Keychain, ""),
        kind: SourceKind::Keychain,
        location: "the system keychain".into(),
        result: result.map(|()| secrets).map_err(|e| problem(&e)),
        skipped_short,
        warnings: Vec::new(),
    }
}

pub(crate) fn problem(error: &KeychainError) -> SourceError {
    let code = match error.code {
        KeychainErrorCode::NoService => ProblemCode::KeychainUnavailable,
        KeychainErrorCode::NoKeyring => ProblemCode::KeychainMissing,
        KeychainErrorCode::Locked => ProblemCode::KeychainLocked,
        KeychainErrorCode::Denied => ProblemCode::KeychainDenied,
        KeychainErrorCode::Timeout => ProblemCode::KeychainTimeout,
        _ => ProblemCode::KeychainFailed,
    };
    SourceError::new(code, capitalised(&error.to_string()), error.hint())
}

fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters.next().map(|c| c.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["", "  ", "a\nb", &"x".repeat(101)] {
            assert!(matches!(check_name(name), Err(AddError::BadName)), "{name:?}");
        }
        assert!(check_name("billing/API key").is_ok());
    }
}
