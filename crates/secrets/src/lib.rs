//! Where the values come from that must never leave: keychain, Vault or OpenBao, files.
//!
//! Loading happens in a short-lived process that turns the values into fingerprints and ends, so nothing here keeps
//! a value longer than its caller does, and no message, log or `Debug` shows one. What a value looks like is judged
//! by the caller ([`Judge`]).

mod address;
mod collect;
mod env_file;
mod environment;
mod fetch;
mod files;
mod json;
pub mod keychain;
mod load;
mod pem;
mod report;
mod value;
mod vault;
mod well_known;
pub mod workspace;

pub use environment::of_environment;
pub use fetch::{fetch, fetch_class};
pub use load::load;
pub use report::{ProblemCode, SourceError, SourceId, SourceKind, SourceReport};
pub use value::{MIN_LENGTH, NamedSecret, SecretValue};

/// Judges values by their look. The caller supplies it: this crate knows sources, not shapes.
#[derive(Debug, Clone, Copy)]
pub struct Judge {
    /// Whether a pair found in a workspace is worth indexing.
    pub looks_secret: fn(name: &str, value: &str) -> bool,
    /// Whether a value is too common to be searched for everywhere: then it counts beside its name only.
    pub is_common: fn(value: &str) -> bool,
}
