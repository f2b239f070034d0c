//! Zstandard, with the window that RFC 9659 allows for content codings.

use std::io;

use ::zstd::stream::raw::{self, DParameter, InBuffer, Operation, OutBuffer};

use super::{Sink, Stage};
use crate::CodingError;

const ZSTD: &str = "zstd";
/// 8 MiB.
const MAX_WINDOW_LOG: u32 = 23;

pub(super) fn encode(bytes: &[u8]) -> io::Result<Vec<u8>> {
    ::zstd::bulk::compress(bytes, 3)
}

pub(super) struct Decoder {
    raw: raw::Decoder<'static>,
    /// Between two frames, and at least one was read.
    complete: bool,
}

impl Decoder {
    pub(super) fn new() -> Result<Self, CodingError> {
        let setup = |source| CodingError::Setup { coding: ZSTD, source };
        let mut raw = raw::Decoder::new().map_err(setup)?;
        raw.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG)).map_err(setup)?;
        Ok(Self { raw, complete: false })
    }
}

impl Stage for Decoder {
    fn push(&mut self, input: &[u8], sink: &mut Sink<'_>) -> Result<(), CodingError> {
        let mut scratch = [0u8; 16 * 1024];
        let mut input = InBuffer::around(input);
        loop {
            let at = input.pos;
            let left = input.src.len() - at;
            if left == 0 && self.complete {
                return Ok(());
            }
            let mut output = OutBuffer::around(scratch.as_mut_slice());
            let after_a_frame = self.complete;
            let hint = self.raw.run(&mut input, &mut output).map_err(|_| match after_a_frame {
                true => CodingError::Trailing { coding: ZSTD },
                false => CodingError::Corrupt { coding: ZSTD },
            })?;
            let given = output.pos();
            sink.take(scratch.get(..given).unwrap_or_default())?;
            self.complete = hint == 0;
            if input.pos == at && given == 0 {
                return Ok(());
            }
        }
    }

    fn finish(&mut self) -> Result<(), CodingError> {
        if self.complete { Ok(()) } else { Err(CodingError::Truncated { coding: ZSTD }) }
    }
}
