//! The authority as the world sees it: through rustls' verifier, OpenSSL and GnuTLS.
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that skips or a child that is done says so"
)]

mod support;

mod life;
mod verifiers;
