//! The control API: what faces (CLI, desktop) and the engine say to each other over a local socket.
//!
//! HTTP/1.1 with JSON, and server-sent events for what happens. Only the owner of the engine gets a word in.
//! Knows nothing of how the engine does what it is asked: that is behind [`Control`].

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod client;
mod control;
pub mod error;
mod events;
pub mod routes;
mod server;
mod transport;
pub mod types;

pub use client::Client;
pub use control::{Caller, Control, EventStream, Proof};
pub use error::{BindError, ClientError, ControlError, ErrorCode};
pub use events::Events;
pub use routes::{Access, Call, ROUTES, Route};
pub use server::{ServerLimits, serve, serve_with};
pub use transport::ControlListener;

#[cfg(test)]
mod bindings;
#[cfg(all(test, unix))]
mod tests;
