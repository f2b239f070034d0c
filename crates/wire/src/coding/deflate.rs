//! gzip and deflate. gzip frames are taken apart here, so that what follows a member is seen.

use std::io::{self, Write};

use flate2::{Compression, Crc, Decompress, FlushDecompress, Status, write};

use super::{Sink, Stage};
use crate::CodingError;

/// Headers carry a file name and a comment of any length; ours is shorter.
const MAX_HEADER: usize = 64 * 1024;

pub(super) fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = write::GzEncoder::new(Vec::new(), Compression::new(4));
    encoder.write_all(bytes)?;
    encoder.finish()
}

pub(super) fn zlib(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = write::ZlibEncoder::new(Vec::new(), Compression::new(4));
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Feeds `input` to the decompressor; returns what is left of it and whether the stream has ended.
fn inflate<'i>(
    raw: &mut Decompress,
    mut input: &'i [u8],
    coding: &'static str,
    mut give: impl FnMut(&[u8]) -> Result<(), CodingError>,
) -> Result<(&'i [u8], bool), CodingError> {
    let mut scratch = [0u8; 16 * 1024];
    loop {
        let (taken, given) = (raw.total_in(), raw.total_out());
        let status = raw.decompress(input, &mut scratch, FlushDecompress::None);
        let status = status.map_err(|_| CodingError::Corrupt { coding })?;
        let taken = usize::try_from(raw.total_in() - taken).unwrap_or(usize::MAX);
        let given = usize::try_from(raw.total_out() - given).unwrap_or(usize::MAX);
        input = input.get(taken..).unwrap_or_default();
        give(scratch.get(..given).unwrap_or_default())?;
        match status {
            Status::StreamEnd => return Ok((input, true)),
            _ if taken == 0 && given == 0 => return Ok((input, false)),
            _ => {}
        }
    }
}

/// `deflate` is zlib by the standard and bare deflate by old habit; the first two bytes tell.
#[derive(Default)]
pub(super) struct Inflate {
    start: Vec<u8>,
    raw: Option<Decompress>,
    ended: bool,
}

impl Stage for Inflate {
    fn push(&mut self, input: &[u8], sink: &mut Sink<'_>) -> Result<(), CodingError> {
        let coding = "deflate";
        if self.ended {
            return if input.is_empty() { Ok(()) } else { Err(CodingError::Trailing { coding }) };
        }
        if let Some(raw) = &mut self.raw {
            let (rest, ended) = inflate(raw, input, coding, |bytes| sink.take(bytes))?;
            self.ended = ended;
            return if rest.is_empty() { Ok(()) } else { Err(CodingError::Trailing { coding }) };
        }
        self.start.extend_from_slice(input);
        let zlib = match self.start.as_slice() {
            [first, second, ..] => {
                first & 0x0F == 8 && (u16::from(*first) * 256 + u16::from(*second)).is_multiple_of(31)
            }
            _ => return Ok(()),
        };
        self.raw = Some(Decompress::new(zlib));
        let start = std::mem::take(&mut self.start);
        self.push(&start, sink)
    }

    fn finish(&mut self) -> Result<(), CodingError> {
        if self.ended { Ok(()) } else { Err(CodingError::Truncated { coding: "deflate" }) }
    }
}

enum Step {
    Header,
    Body,
    Trailer,
}

/// One or more gzip members.
pub(super) struct Gunzip {
    step: Step,
    members: usize,
    /// A header or trailer that has not arrived whole yet.
    pending: Vec<u8>,
    raw: Decompress,
    crc: Crc,
}

impl Default for Gunzip {
    fn default() -> Self {
        Self {
            step: Step::Header,
            members: 0,
            pending: Vec::new(),
            raw: Decompress::new(false),
            crc: Crc::new(),
        }
    }
}

const GZIP: &str = "gzip";

impl Stage for Gunzip {
    fn push(&mut self, mut input: &[u8], sink: &mut Sink<'_>) -> Result<(), CodingError> {
        loop {
            if matches!(self.step, Step::Body) {
                let crc = &mut self.crc;
                let (rest, ended) = inflate(&mut self.raw, input, GZIP, |bytes| {
                    crc.update(bytes);
                    sink.take(bytes)
                })?;
                if !ended {
                    return Ok(());
                }
                input = rest;
                self.step = Step::Trailer;
            }
            self.pending.extend_from_slice(input);
            let taken = match self.step {
                Step::Header => self.header()?,
                _ => self.trailer()?,
            };
            let Some(taken) = taken else { return Ok(()) };
            let pending = std::mem::take(&mut self.pending);
            let left = pending.len() - taken;
            input = input.get(input.len().saturating_sub(left)..).unwrap_or_default();
        }
    }

    fn finish(&mut self) -> Result<(), CodingError> {
        let between = matches!(self.step, Step::Header) && self.pending.is_empty();
        if between && self.members > 0 { Ok(()) } else { Err(CodingError::Truncated { coding: GZIP }) }
    }
}

impl Gunzip {
    /// The length of a complete header, or nothing yet.
    fn header(&mut self) -> Result<Option<usize>, CodingError> {
        let magic = [0x1F, 0x8B, 8];
        let same = self.pending.iter().zip(magic).all(|(have, want)| *have == want);
        if !same {
            return Err(if self.members == 0 {
                CodingError::Corrupt { coding: GZIP }
            } else {
                CodingError::Trailing { coding: GZIP }
            });
        }
        let length = header_length(&self.pending);
        if length.is_none() && self.pending.len() > MAX_HEADER {
            return Err(CodingError::Corrupt { coding: GZIP });
        }
        if length.is_some() {
            self.raw.reset(false);
            self.crc.reset();
            self.step = Step::Body;
        }
        Ok(length)
    }

    fn trailer(&mut self) -> Result<Option<usize>, CodingError> {
        let Some(trailer) = self.pending.first_chunk::<8>() else { return Ok(None) };
        let [a, b, c, d, e, f, g, h] = *trailer;
        let sum = u32::from_le_bytes([a, b, c, d]);
        let length = u32::from_le_bytes([e, f, g, h]);
        if sum != self.crc.sum() || length != self.crc.amount() {
            return Err(CodingError::Corrupt { coding: GZIP });
        }
        self.members += 1;
        self.step = Step::Header;
        Ok(Some(8))
    }
}

/// RFC 1952: ten bytes, then what the flags announce.
fn header_length(header: &[u8]) -> Option<usize> {
    let flags = *header.get(3)?;
    let mut at = 10;
    if flags & 4 != 0 {
        let [low, high] = *header.get(at..)?.first_chunk::<2>()?;
        at += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            at += 1 + memchr::memchr(0, header.get(at..)?)?;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    (at <= header.len()).then_some(at)
}
