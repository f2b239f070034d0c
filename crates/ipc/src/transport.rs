//! The local socket behind a small face, so that another system's transport can stand in its place.
//!
//! A transport offers a listener that only the owner can reach, a stream, and the caller's credentials as
//! the system vouches for them.

#[cfg(unix)]
#[path = "transport/unix.rs"]
mod imp;
#[cfg(not(unix))]
#[path = "transport/missing.rs"]
mod imp;

pub use imp::ControlListener;
pub(crate) use imp::{Stream, caller, connect};
