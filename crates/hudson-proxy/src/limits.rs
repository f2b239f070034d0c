//! Every bound in one table. Must not be read from anywhere but the builder.

use std::time::Duration;

/// What hyper holds on the stack when it is not told a count.
pub(crate) const HYPER_HEADER_COUNT: usize = 100;

/// Bounds on time, number and size. `Default` fits a workstation.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections served at once; more wait in the kernel's backlog.
    pub connections: usize,
    /// From a client's first byte of a request head to the head's end, and from accept to the first head.
    pub header_read: Duration,
    /// The longest request or response head, in bytes.
    pub header_bytes: usize,
    /// The most header fields in a head.
    pub header_count: usize,
    /// From CONNECT's answer to the end of the client's TLS handshake, and the same upstream.
    pub handshake: Duration,
    /// Name lookup, TCP and a chained proxy's answer together.
    pub connect: Duration,
    /// From the start of sending a request to the head of its response. Models may think for minutes.
    pub response_header: Duration,
    /// The longest pause inside a request body.
    pub request_idle: Duration,
    /// The longest pause inside a response body. Models may think for minutes here too.
    pub response_idle: Duration,
    /// How long a client's connection may lie idle between requests.
    pub client_idle: Duration,
    /// How long an upstream connection is kept for reuse. Below what servers grant, so that they rarely close first.
    pub upstream_idle: Duration,
    /// How long a tunnel or a WebSocket may be silent both ways.
    pub tunnel_idle: Duration,
    /// Streams at once on one HTTP/2 client connection.
    pub h2_streams: u32,
    /// Streams a client may reset before they were looked at (rapid reset, CVE-2023-44487).
    pub h2_pending_resets: usize,
    /// How much may be in flight to us on one HTTP/2 stream before its reader has caught up.
    pub h2_stream_window: u32,
    /// The same for all streams of a connection together.
    pub h2_connection_window: u32,
    /// At shutdown: how long running exchanges and tunnels may take to end by themselves.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            header_read: Duration::from_secs(30),
            header_bytes: 128 * 1024,
            header_count: 100,
            handshake: Duration::from_secs(15),
            connect: Duration::from_secs(20),
            response_header: Duration::from_secs(600),
            request_idle: Duration::from_secs(120),
            response_idle: Duration::from_secs(600),
            client_idle: Duration::from_secs(300),
            upstream_idle: Duration::from_secs(45),
            tunnel_idle: Duration::from_secs(3600),
            h2_streams: 128,
            h2_pending_resets: 20,
            h2_stream_window: 1 << 20,
            h2_connection_window: 4 << 20,
            drain: Duration::from_secs(10),
        }
    }
}
