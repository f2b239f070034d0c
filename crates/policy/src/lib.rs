//! The vocabulary that every other crate speaks, the policy documents, and the settings they resolve to.
//!
//! Pure: no clock, no file, no socket. Paths and working directories arrive as inputs.

pub mod allowlist;
pub mod assessment;
pub mod broker;
pub mod bundle;
pub mod classification;
pub mod config;
pub mod documents;
pub mod elevation;
pub mod error;
pub mod finding;
pub mod handover;
pub mod level;
mod ordered;
pub mod permissions;
pub mod providers;
mod public_key;
pub mod quotas;
pub mod scenario;
pub mod schema;
pub mod settings;
pub mod shell;
pub mod verdict;
mod written;
pub mod yaml;

pub use config::Config;
pub use error::{DocumentError, DocumentErrors};
pub use finding::{Finding, FindingKind, RuleId, Severity};
pub use level::Level;
pub use public_key::PublicKey;

/// SHA-256, for telling one input from another.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}
