//! Content codings: undone before a body is read, done again before it is sent on. Decoders are
//! bounded, since a body of a few kilobytes can claim to hold gigabytes.

mod brotli;
mod deflate;
mod zstd;

use std::fmt;

use crate::CodingError;

/// More than this many codings on one body is an attack or a mistake.
const MAX_STACKED: usize = 4;
/// Ratios are only judged beyond this size: small bodies may be all repetition.
const RATIO_FLOOR: usize = 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The codings of a `Content-Encoding` header in the order they were applied; `identity` is none.
pub fn parse(header: &str) -> Result<Vec<Coding>, CodingError> {
    let mut codings = Vec::new();
    for name in header.split(',').map(str::trim) {
        codings.push(match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Coding::Gzip,
            "deflate" => Coding::Deflate,
            "br" => Coding::Brotli,
            "zstd" => Coding::Zstd,
            "identity" | "" => continue,
            _ => return Err(CodingError::Unknown),
        });
    }
    if codings.len() > MAX_STACKED {
        return Err(CodingError::TooMany { limit: MAX_STACKED });
    }
    Ok(codings)
}

/// How much a coded body may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes after decoding, for each of stacked codings.
    pub max_out: usize,
    /// Bytes out for each byte in, judged beyond the first megabyte.
    pub max_ratio: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { max_out: 64 * 1024 * 1024, max_ratio: 400 }
    }
}

impl Bounds {
    /// For streams, which may run for hours: only the ratio counts.
    pub fn streaming() -> Self {
        Self { max_out: usize::MAX, ..Self::default() }
    }
}

/// Undoes all codings of a body.
pub fn decode(codings: &[Coding], bytes: &[u8], bounds: &Bounds) -> Result<Vec<u8>, CodingError> {
    let mut decoder = StreamDecoder::new(codings, *bounds)?;
    let mut out = Vec::with_capacity(bytes.len().saturating_mul(4).min(bounds.max_out).min(1 << 20));
    decoder.push(bytes, &mut out)?;
    decoder.finish(&mut out)?;
    Ok(out)
}

/// Does the codings in their order. Fast levels: the body leaves at once, and the next hop is near.
pub fn encode(codings: &[Coding], bytes: &[u8]) -> Result<Vec<u8>, CodingError> {
    let mut current = bytes.to_vec();
    for coding in codings {
        current = match coding {
            Coding::Gzip => deflate::gzip(&current),
            Coding::Deflate => deflate::zlib(&current),
            Coding::Brotli => brotli::encode(&current),
            Coding::Zstd => zstd::encode(&current),
        }
        .map_err(|source| CodingError::Setup { coding: coding.name(), source })?;
    }
    Ok(current)
}

/// Undoes codings piece by piece.
pub struct StreamDecoder {
    /// In the order of decoding: the coding applied last comes first.
    stages: Vec<(Box<dyn Stage>, Meter)>,
}

impl StreamDecoder {
    pub fn new(codings: &[Coding], bounds: Bounds) -> Result<Self, CodingError> {
        let stages = codings.iter().rev().map(|coding| {
            let stage: Box<dyn Stage> = match coding {
                Coding::Gzip => Box::new(deflate::Gunzip::default()),
                Coding::Deflate => Box::new(deflate::Inflate::default()),
                Coding::Brotli => Box::new(brotli::Decoder::new()),
                Coding::Zstd => Box::new(zstd::Decoder::new()?),
            };
            Ok((stage, Meter { coding: coding.name(), bounds, taken: 0, given: 0 }))
        });
        Ok(Self { stages: stages.collect::<Result<_, CodingError>>()? })
    }

    /// Decodes the next piece of the body and appends to `out` what can be told by now.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), CodingError> {
        self.run(Some(piece), out)
    }

    /// Checks that the body was complete. Nothing may be pushed afterwards.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), CodingError> {
        self.run(None, out)
    }

    fn run(&mut self, piece: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), CodingError> {
        let last = self.stages.len().wrapping_sub(1);
        if self.stages.is_empty() {
            out.extend_from_slice(piece.unwrap_or_default());
            return Ok(());
        }
        let mut carried: Option<Vec<u8>> = None;
        for (number, (stage, meter)) in self.stages.iter_mut().enumerate() {
            let mut between = Vec::new();
            let target = if number == last { &mut *out } else { &mut between };
            let input = carried.as_deref().or(piece).unwrap_or_default();
            meter.taken += input.len();
            let mut sink = Sink { out: target, meter };
            stage.push(input, &mut sink)?;
            if piece.is_none() {
                stage.finish()?;
            }
            carried = Some(between);
        }
        Ok(())
    }
}

impl fmt::Debug for StreamDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.stages.iter().map(|(_, meter)| meter.coding)).finish()
    }
}

/// One coding being undone.
trait Stage: Send + Sync {
    fn push(&mut self, input: &[u8], sink: &mut Sink<'_>) -> Result<(), CodingError>;
    fn finish(&mut self) -> Result<(), CodingError>;
}

struct Meter {
    coding: &'static str,
    bounds: Bounds,
    taken: usize,
    given: usize,
}

/// Takes decoded bytes as long as they stay within bounds.
struct Sink<'o> {
    out: &'o mut Vec<u8>,
    meter: &'o mut Meter,
}

impl Sink<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), CodingError> {
        let Meter { coding, bounds, taken, given } = self.meter;
        *given += bytes.len();
        if *given > bounds.max_out {
            return Err(CodingError::TooLarge { coding, limit: bounds.max_out });
        }
        if *given > RATIO_FLOOR && *given / (*taken).max(1) >= bounds.max_ratio {
            return Err(CodingError::Bomb { coding, limit: bounds.max_ratio });
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
