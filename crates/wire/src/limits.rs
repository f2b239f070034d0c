//! How much of a body we are willing to look at. Beyond a limit there is a typed error, never a
//! silent skip: the caller then treats the body as its policy treats what cannot be read.

/// Limits for reading one body or one stream event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nesting of arrays and objects. Providers refuse far less; the walker itself is not recursive.
    pub max_depth: usize,
    /// Keys, values and containers of one body. Short numbers and words in arrays do not count.
    pub max_strings: usize,
    /// Size of one body, after content decoding.
    pub max_bytes: usize,
    /// Size of one event of a stream.
    pub max_event_bytes: usize,
    /// Texts, each of which goes on from event to event, in one stream. Something is kept for each of them.
    pub max_channels: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_depth: 512,
            max_strings: 1_000_000,
            max_bytes: 64 * 1024 * 1024,
            max_event_bytes: 16 * 1024 * 1024,
            max_channels: 4_096,
        }
    }
}
