//! The vocabulary that every other crate speaks, the policy documents, and the settings they resolve to.
//!
//! Pure: no clock, no file, no socket. Paths and working directories arrive as inputs.

pub mod config;
pub mod finding;
pub mod level;

pub use config::Config;
pub use finding::{Finding, FindingKind, RuleId, Severity};
pub use level::Level;
