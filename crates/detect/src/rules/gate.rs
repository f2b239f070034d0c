//! Byte gates: where a rule without a telling keyword is worth trying.

/// A cheap test that every match of its rule passes somewhere inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gate {
    /// A fixed shape such as `ddd-dd-dddd`, where `d` is a digit and all else itself.
    Shape { shape: Vec<u8>, anchor: usize },
    /// Exactly `len` base64 characters in a row, no more.
    Base64Run { len: usize },
}

impl Gate {
    /// `shape ddd-dd-dddd` or `base64 40`.
    pub(crate) fn parse(text: &str) -> Result<Gate, String> {
        let unknown = || format!("the gate {text:?} is neither `shape …` nor `base64 LENGTH`");
        match text.split_once(' ') {
            Some(("shape", shape)) => {
                let shape = shape.as_bytes().to_vec();
                let anchor = shape.iter().position(|byte| *byte != b'd');
                let anchor = anchor.ok_or_else(|| format!("the shape in {text:?} has no fixed character"))?;
                Ok(Gate::Shape { shape, anchor })
            }
            Some(("base64", len)) => {
                let len = len.parse().ok().filter(|len| *len >= 8).ok_or_else(unknown)?;
                Ok(Gate::Base64Run { len })
            }
            _ => Err(unknown()),
        }
    }

    /// Calls `hit` with the start and end of every place that passes, in order.
    pub(crate) fn each(&self, text: &[u8], hit: impl FnMut(usize, usize)) {
        match self {
            Gate::Shape { shape, anchor } => each_shape(text, shape, *anchor, hit),
            Gate::Base64Run { len } => each_run(text, *len, hit),
        }
    }
}

fn each_shape(text: &[u8], shape: &[u8], anchor: usize, mut hit: impl FnMut(usize, usize)) {
    let Some(fixed) = shape.get(anchor) else { return };
    for at in memchr::memchr_iter(*fixed, text) {
        let Some(start) = at.checked_sub(anchor) else { continue };
        let Some(place) = text.get(start..start + shape.len()) else { continue };
        let fits =
            |(byte, wanted): (&u8, &u8)| if *wanted == b'd' { byte.is_ascii_digit() } else { byte == wanted };
        if place.iter().zip(shape).all(fits) {
            hit(start, start + shape.len());
        }
    }
}

/// Looks at eight bytes in every `len - 7` only: a run of that length covers one such stretch whole.
fn each_run(text: &[u8], len: usize, mut hit: impl FnMut(usize, usize)) {
    const STRETCH: usize = 8;
    let in_run = |at: usize| text.get(at).is_some_and(|byte| is_base64(*byte));
    let stride = len + 1 - STRETCH;
    let mut probe = 0;
    // Runs that end here or before are done with.
    let mut done = 0;
    while let Some(stretch) = text.get(probe..).and_then(|rest| rest.first_chunk::<STRETCH>()) {
        if !may_be_base64(*stretch) || !stretch.iter().all(|byte| is_base64(*byte)) {
            probe += stride;
            continue;
        }
        let mut start = probe;
        while start > done && probe - start < len && in_run(start - 1) {
            start -= 1;
        }
        let mut end = probe + STRETCH;
        while end - start <= len && in_run(end) {
            end += 1;
        }
        if end - start == len {
            hit(start, end);
        }
        // A longer run is skipped whole.
        if end - start > len {
            while in_run(end) {
                end += 1;
            }
        }
        done = end;
        probe = (probe + stride).max(end);
    }
}

/// Most stretches of other text hold a space or a quote: one test for all eight bytes.
#[inline(always)]
fn may_be_base64(stretch: [u8; 8]) -> bool {
    let bytes = u64::from_le_bytes(stretch);
    let outside = bytes.wrapping_sub(0x2b2b_2b2b_2b2b_2b2b) | bytes.wrapping_add(0x0505_0505_0505_0505);
    outside & 0x8080_8080_8080_8080 == 0
}

#[inline(always)]
fn is_base64(byte: u8) -> bool {
    BASE64.get(usize::from(byte)).copied().unwrap_or(false)
}

/// One load a byte: most bytes of a text are asked for.
static BASE64: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = byte as u8;
        #[allow(clippy::indexing_slicing, reason = "evaluated when the crate is compiled")]
        {
            table[byte] = value.is_ascii_alphanumeric() || value == b'+' || value == b'/';
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(gate: &str, text: &str) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        Gate::parse(gate).unwrap().each(text.as_bytes(), |start, end| all.push((start, end)));
        all
    }

    #[test]
    fn shapes() {
        assert_eq!(hits("shape ddd-dd-dddd", "a 123-45-6789 b 12-34 -123-45-6789"), [(2, 13), (23, 34)]);
        assert!(hits("shape ddd-dd-dddd", "-12 123-45-678").is_empty());
    }

    #[test]
    fn runs_of_exactly_the_length_are_found_wherever_they_stand() {
        for before in 0..30 {
            for run in 6..30 {
                let text = format!("{}{}{}", "- ".repeat(before), "a".repeat(run), " .".repeat(20));
                let expected = if run == 8 { vec![(before * 2, before * 2 + 8)] } else { vec![] };
                assert_eq!(hits("base64 8", &text), expected, "{text}");
            }
        }
        assert_eq!(hits("base64 8", "aaaaaaaa bbbbbbbb"), [(0, 8), (9, 17)]);
        assert_eq!(hits("base64 8", "aaaaaaaaaaaaaaaaaaaaa bbbbbbbb"), [(22, 30)]);
    }

    #[test]
    fn unknown_gates_are_refused() {
        assert!(
            Gate::parse("base64 x").is_err()
                && Gate::parse("shape ddd").is_err()
                && Gate::parse("x").is_err()
        );
    }
}
