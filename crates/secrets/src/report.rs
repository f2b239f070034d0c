//! What one source gave, and what went wrong, in words a person can act on.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::value::NamedSecret;

/// Names a source, the same in every run: its kind and its place. Never holds a credential.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceId(String);

impl SourceId {
    pub(crate) fn new(kind: SourceKind, place: &str) -> SourceId {
        match place {
            "" => SourceId(kind.as_str().into()),
            place => SourceId(format!("{}:{place}", kind.as_str())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    Keychain,
    Vault,
    File,
    Workspace,
    WellKnown,
}

impl SourceKind {
    pub fn as_str(self) -> &'static str {
        match self {
            SourceKind::Keychain => "keychain",
            SourceKind::Vault => "vault",
            SourceKind::File => "file",
            SourceKind::Workspace => "workspace",
            SourceKind::WellKnown => "well_known",
        }
    }
}

/// What one source gave.
#[derive(Debug)]
pub struct SourceReport {
    pub id: SourceId,
    pub kind: SourceKind,
    /// Where it is, for people; never holds a credential.
    pub location: String,
    /// Sorted by name. An error means that nothing is known of the source now; what was known stays in force.
    pub result: Result<Vec<NamedSecret>, SourceError>,
    /// Values of less than [`crate::MIN_LENGTH`] bytes, which are not indexed.
    pub skipped_short: usize,
    /// When a vault says that its secrets were last written: name and RFC 3339 time.
    pub dated: Vec<(String, String)>,
    /// What was left out, although the source as a whole was read.
    pub warnings: Vec<SourceError>,
}

impl SourceReport {
    /// How many secrets the source holds, pieces not counted.
    pub fn count(&self) -> usize {
        self.names().count()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.result.iter().flatten().filter(|s| !s.part).map(|s| s.name.as_str())
    }
}

/// A failure or a warning: a code for programs, a sentence, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    pub code: ProblemCode,
    pub message: String,
    pub hint: String,
}

impl SourceError {
    pub(crate) fn new(code: ProblemCode, message: impl Into<String>, hint: impl Into<String>) -> SourceError {
        SourceError { code, message: message.into(), hint: hint.into() }
    }
}

macro_rules! problem_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// Every way in which a source can fail or be incomplete. The text is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum ProblemCode {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl ProblemCode {
            pub const ALL: &[ProblemCode] = &[$(ProblemCode::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(ProblemCode::$variant => $text,)*
                }
            }
        }
    };
}

problem_codes! {
    KeychainUnavailable = "keychain_unavailable",
    KeychainMissing = "keychain_missing",
    KeychainLocked = "keychain_locked",
    KeychainDenied = "keychain_denied",
    KeychainTimeout = "keychain_timeout",
    KeychainFailed = "keychain_failed",
    VaultAddress = "vault_address",
    /// Not loopback and not TLS: the token and the secrets would travel in clear.
    VaultInsecure = "vault_insecure",
    VaultUnreachable = "vault_unreachable",
    VaultTimeout = "vault_timeout",
    VaultTls = "vault_tls",
    VaultSealed = "vault_sealed",
    VaultUninitialised = "vault_uninitialised",
    /// The token has expired or was revoked.
    VaultTokenInvalid = "vault_token_invalid",
    /// AppRole or userpass was refused.
    VaultLoginRefused = "vault_login_refused",
    /// The token is good, but its policies do not allow this.
    VaultDenied = "vault_denied",
    VaultMount = "vault_mount",
    VaultKvVersion = "vault_kv_version",
    VaultMalformed = "vault_malformed",
    VaultFailed = "vault_failed",
    /// A file with a token, a password or a CA is missing, empty or unreadable.
    CredentialFile = "credential_file",
    /// Other users of this machine can read a file with a credential.
    CredentialFileOpen = "credential_file_open",
    /// A value that could not be taken out of texts, so it is not handed to a tool either.
    ValueTooShort = "value_too_short",
    FileMissing = "file_missing",
    FileUnreadable = "file_unreadable",
    FileMalformed = "file_malformed",
    WorkspaceMissing = "workspace_missing",
    /// A limit was reached: depth, number or size.
    Truncated = "truncated",
    /// A defect of ours.
    Internal = "internal",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_what_serde_writes() {
        for code in ProblemCode::ALL {
            let written = serde_json::to_string(code).expect("json");
            assert_eq!(written, format!("\"{}\"", code.as_str()));
        }
    }
}
