//! From positions in decoded text back to positions in the bytes it was decoded from.

use std::borrow::Cow;
use std::ops::Range;

/// A stretch of text with the stretch of bytes it came from. Equal lengths mean that the two run
/// side by side; otherwise the unit is an escape and cannot be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) decoded: usize,
    pub(crate) raw: usize,
}

/// Maps sorted, disjoint decoded ranges to raw ranges, widened to whole escapes. Offsets past the
/// end map to the end.
pub(crate) fn spans(units: impl Iterator<Item = Unit>, ranges: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut found = Vec::with_capacity(ranges.len());
    let mut wanted = ranges.iter();
    let Some(mut range) = wanted.next() else { return found };
    let (mut decoded, mut raw) = (0usize, 0usize);
    let mut start: Option<usize> = None;
    for unit in units {
        let (decoded_end, raw_end) = (decoded + unit.decoded, raw + unit.raw);
        let side_by_side = unit.decoded == unit.raw;
        loop {
            let from = match start {
                Some(from) => from,
                None if range.start < decoded_end => {
                    let from = if side_by_side { raw + range.start.saturating_sub(decoded) } else { raw };
                    start = Some(from);
                    from
                }
                None => break,
            };
            if range.end > decoded_end {
                break;
            }
            let to = if range.end <= range.start {
                from
            } else if side_by_side {
                raw + range.end.saturating_sub(decoded)
            } else {
                raw_end
            };
            found.push(from..to.max(from));
            start = None;
            match wanted.next() {
                Some(next) => range = next,
                None => return found,
            }
        }
        (decoded, raw) = (decoded_end, raw_end);
    }
    found.push(start.unwrap_or(raw)..raw);
    found.extend(wanted.map(|_| raw..raw));
    found
}

/// Units of bytes read as UTF-8 with U+FFFD for whatever is none.
pub(crate) fn lossy_units(bytes: &[u8]) -> impl Iterator<Item = Unit> + '_ {
    bytes.utf8_chunks().flat_map(|chunk| {
        let valid = Unit { decoded: chunk.valid().len(), raw: chunk.valid().len() };
        let invalid = (!chunk.invalid().is_empty())
            .then_some(Unit { decoded: char::REPLACEMENT_CHARACTER.len_utf8(), raw: chunk.invalid().len() });
        std::iter::once(valid).chain(invalid)
    })
}

/// Bytes as text, with U+FFFD for whatever is no UTF-8. The plain check comes first, since it is
/// several times faster than looking for what is broken.
pub(crate) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Moves both ends of a raw range outwards to whole UTF-8 characters.
pub(crate) fn widen_to_characters(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    let Range { mut start, mut end } = range;
    if start == end {
        return start..end;
    }
    while start > 0 && inside(start) {
        start -= 1;
    }
    while inside(end) {
        end += 1;
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units() -> Vec<Unit> {
        // ab \n c \u00e9 -> 2+1+1+2 decoded, 2+2+1+6 raw
        [(2, 2), (1, 2), (1, 1), (2, 6)].map(|(decoded, raw)| Unit { decoded, raw }).to_vec()
    }

    fn map(ranges: &[Range<usize>]) -> Vec<Range<usize>> {
        spans(units().into_iter(), ranges)
    }

    #[test]
    fn plain_stretches_map_one_to_one() {
        assert_eq!(map(&[0..1, 1..2]), [0..1, 1..2]);
    }

    #[test]
    fn escapes_are_taken_whole() {
        assert_eq!(map(&[2..3]), [2..4]);
        assert_eq!(map(&[1..3, 3..4, 4..5]), [1..4, 4..5, 5..11]);
        assert_eq!(map(&[5..6]), [5..11]);
    }

    #[test]
    fn empty_ranges_stay_empty_and_ends_are_clamped() {
        assert_eq!(map(&[2..2, 3..3]), [2..2, 4..4]);
        assert_eq!(map(&[6..6]), [11..11]);
        assert_eq!(map(&[5..99, 99..120]), [5..11, 11..11]);
    }

    #[test]
    fn lossy_units_cover_broken_utf8() {
        let bytes = b"a\xffb\xe2\x82";
        let text = String::from_utf8_lossy(bytes);
        let at = text.find('b').unwrap();
        let found = spans(lossy_units(bytes), &[at..at + 1]);
        assert_eq!(found, [2..3]);
    }
}
