//! Bytes of AI protocols to segments, tool calls and usage, and back again.
//!
//! Pure: bytes in, positions out. It never re-serialises, so that whatever nobody edits stays the
//! client's own bytes; it opens no socket, reads no file, knows no policy and decides nothing.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]
// Tests compare lists of one range, which clippy takes for a slip.
#![cfg_attr(test, allow(clippy::single_range_in_vec_init))]

mod body;
pub mod coding;
mod denial;
mod error;
mod families;
mod json;
mod limits;
mod mapping;
pub mod refusal;
mod request;
mod response;
mod segment;
mod splice;
pub mod sse;
pub mod stream;
#[cfg(test)]
mod tests;

pub use denial::{CallVerdict, settle_calls};
pub use error::{CodingError, EditError, Malformed, ReadError, SpliceError, StreamError};
pub use families::Family;
pub use limits::Limits;
pub use request::{Api, Nature, RequestDocument, read_as_bytes, read_as_text, read_request, with_model};
pub use response::{ResponseDocument, ToolArguments, ToolCall, ToolResult, Usage, read_response};
pub use segment::{Role, Segment};
pub use splice::{Edit, splice};
