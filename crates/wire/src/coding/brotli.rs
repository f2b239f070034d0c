//! Brotli. The large-window extension is off: no HTTP peer may use it.

use std::io;

use brotli::enc::BrotliEncoderParams;
use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};

use super::{Sink, Stage};
use crate::CodingError;

const BR: &str = "br";

pub(super) fn encode(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let params = BrotliEncoderParams { quality: 4, lgwin: 22, ..BrotliEncoderParams::default() };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut &*bytes, &mut out, &params)?;
    Ok(out)
}

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

pub(super) struct Decoder {
    state: Box<State>,
    total: usize,
    ended: bool,
}

impl Decoder {
    pub(super) fn new() -> Self {
        let alloc = StandardAlloc::default;
        let state = Box::new(BrotliState::new_strict(alloc(), alloc(), alloc()));
        Self { state, total: 0, ended: false }
    }
}

impl Stage for Decoder {
    fn push(&mut self, input: &[u8], sink: &mut Sink<'_>) -> Result<(), CodingError> {
        if self.ended {
            return if input.is_empty() { Ok(()) } else { Err(CodingError::Trailing { coding: BR }) };
        }
        let mut scratch = [0u8; 16 * 1024];
        let (mut available_in, mut offset_in) = (input.len(), 0);
        loop {
            let (mut available_out, mut offset_out) = (scratch.len(), 0);
            let result = BrotliDecompressStream(
                &mut available_in,
                &mut offset_in,
                input,
                &mut available_out,
                &mut offset_out,
                &mut scratch,
                &mut self.total,
                &mut self.state,
            );
            sink.take(scratch.get(..offset_out).unwrap_or_default())?;
            match result {
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::ResultFailure => return Err(CodingError::Corrupt { coding: BR }),
                BrotliResult::ResultSuccess if available_in > 0 => {
                    return Err(CodingError::Trailing { coding: BR });
                }
                BrotliResult::ResultSuccess => {
                    self.ended = true;
                    return Ok(());
                }
            }
        }
    }

    fn finish(&mut self) -> Result<(), CodingError> {
        if self.ended { Ok(()) } else { Err(CodingError::Truncated { coding: BR }) }
    }
}
