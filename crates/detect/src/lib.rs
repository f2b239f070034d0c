//! Finds what must not leave: known values without keeping them, and what looks like a secret.
//!
//! Pure: text and options in, findings out. No clock, no file, no socket; nothing here may hold a
//! value longer than the call that looks at it.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

#[cfg(test)]
mod any_text_tests;
mod fingerprint;
mod found;
pub mod injection;
pub mod output;
mod placeholder;
mod resolve;
mod rules;
mod scanner;
mod secrets;
pub mod shape;
pub mod shell;
mod stream;
#[cfg(test)]
mod stream_tests;
mod table;
pub mod tools;

pub use fingerprint::{AllowList, Fingerprint, Fingerprinter, NoFingerprint};
pub use found::Found;
pub use placeholder::{Placeholders, TagKey, redact};
pub use rules::{Example, Judged, Rule, RuleError, RuleProblem, RuleSet};
pub use scanner::{Kinds, RulesOff, ScanOptions, Scanner};
pub use secrets::{
    HeldKey, IndexKey, KeyMemory, MAX_VALUE, OrdinaryMemory, SecretEntry, SecretHit, SecretIndex, SecretSet,
    SetError, Variant,
};
pub use stream::{LONGEST_HOLD, Released, StreamSanitiser};
