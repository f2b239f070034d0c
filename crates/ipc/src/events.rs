//! Server-sent events, written and read: one JSON object in each `data:` line.

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::error::ClientError;
use crate::types::Event;

/// No event of ours is longer; more without a line end is somebody else's protocol.
const MAX_LINE: usize = 4 << 20;
const ROUTE: &str = "/v1/events";

/// A comment, sent now and then so that a dead client is noticed.
pub(crate) const HEARTBEAT: &[u8] = b":\n\n";

pub(crate) fn encode(event: &Event) -> Bytes {
    match serde_json::to_string(event) {
        Ok(json) => Bytes::from(format!("data: {json}\n\n")),
        Err(error) => {
            tracing::warn!(%error, "an event could not be written");
            Bytes::from_static(HEARTBEAT)
        }
    }
}

/// What happens, from the moment of the call on. Ends when the engine goes away.
pub struct Events {
    body: Incoming,
    buffer: BytesMut,
}

impl Events {
    pub(crate) fn new(body: Incoming) -> Events {
        Events { body, buffer: BytesMut::new() }
    }

    /// The next event; none when the engine has gone. Kinds that this version does not know are skipped.
    pub async fn next(&mut self) -> Option<Result<Event, ClientError>> {
        loop {
            while let Some(line) = self.line() {
                let Some(json) = line.strip_prefix(b"data: ") else { continue };
                match serde_json::from_slice::<serde_json::Value>(json) {
                    Ok(value) => match serde_json::from_value(value) {
                        Ok(event) => return Some(Ok(event)),
                        Err(error) => tracing::debug!(%error, "an event of another version was skipped"),
                    },
                    Err(source) => {
                        return Some(Err(ClientError::Garbled { route: ROUTE, source: source.into() }));
                    }
                }
            }
            if self.buffer.len() > MAX_LINE {
                let source = "an event without end".into();
                return Some(Err(ClientError::Garbled { route: ROUTE, source }));
            }
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Err(source) => return Some(Err(ClientError::Broken { route: ROUTE, source: source.into() })),
            }
        }
    }

    fn line(&mut self) -> Option<BytesMut> {
        let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
        let line = self.buffer.split_to(end);
        self.buffer.advance(1);
        Some(line)
    }
}
