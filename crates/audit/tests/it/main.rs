//! The trail from outside: through its public API, and through the hands of somebody with a database editor
//! and no signing key.
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that skips or a child that is done says so"
)]

mod support;

mod append;
mod content;
mod crash;
mod opening;
mod query;
mod tamper;
mod trouble;
