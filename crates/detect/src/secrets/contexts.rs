//! Which of the characters that texts mostly escape stand in some known value, and between what.
//!
//! Most escapes are line breaks and quotes of code and JSON, and no value holds one there: around
//! those no reading needs to be made. Kept as coarse classes, for all values of a source together.

/// A row of bits for each escaped character: which classes stand before it, and after it. The last row says whether some
/// value holds a backslash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Contexts([u64; ROWS]);

pub(super) const ROWS: usize = 9;
const CARRIAGE: usize = ROWS - 2;
const BACKSLASH: usize = ROWS - 1;
const CLASSES: usize = 8;

impl Contexts {
    pub(super) fn add(&mut self, pattern: &[u8]) {
        let neighbours = |byte: Option<&u8>| byte.map_or(0..CLASSES, |byte| class(*byte)..class(*byte) + 1);
        if pattern.contains(&b'\\')
            && let Some(row) = self.0.get_mut(BACKSLASH)
        {
            *row = u64::MAX;
        }
        for (at, byte) in pattern.iter().enumerate() {
            // A line may end otherwise elsewhere.
            let other = if *byte == b'\n' { Some(CARRIAGE) } else { None };
            for row in row(*byte).into_iter().chain(other) {
                let Some(row) = self.0.get_mut(row) else { continue };
                // Anything may stand before the first and after the last.
                for before in neighbours(at.checked_sub(1).and_then(|before| pattern.get(before))) {
                    for after in neighbours(pattern.get(at + 1)) {
                        *row |= 1 << (before * CLASSES + after);
                    }
                }
            }
        }
    }

    /// A slash before the first, or after the last, that carries bits of the pattern together with others'.
    pub(super) fn add_shared(&mut self, pattern: &[u8], lead: bool, trail: bool) {
        let Some(row) = row(b'/').and_then(|row| self.0.get_mut(row)) else { return };
        let (first, last) =
            (pattern.first().map(|byte| class(*byte)), pattern.last().map(|byte| class(*byte)));
        for other in 0..CLASSES {
            if let Some(first) = first.filter(|_| lead) {
                *row |= 1 << (other * CLASSES + first);
            }
            if let Some(last) = last.filter(|_| trail) {
                *row |= 1 << (last * CLASSES + other);
            }
        }
    }

    pub(super) fn join(&mut self, other: &Contexts) {
        self.0.iter_mut().zip(other.0).for_each(|(row, others)| *row |= others);
    }

    pub(super) fn hold(&self, byte: u8) -> bool {
        row(byte).and_then(|row| self.0.get(row)).is_none_or(|row| *row != 0)
    }

    pub(super) fn hold_backslash(&self) -> bool {
        self.0.get(BACKSLASH).is_none_or(|row| *row != 0)
    }

    /// Whether some value may hold `byte` between the other two.
    pub(super) fn may_hold(&self, before: u8, byte: u8, after: u8) -> bool {
        row(byte)
            .and_then(|row| self.0.get(row))
            .is_none_or(|row| row >> (class(before) * CLASSES + class(after)) & 1 != 0)
    }

    pub(super) fn rows(&self) -> [u64; ROWS] {
        self.0
    }

    pub(super) fn from_rows(rows: [u64; ROWS]) -> Contexts {
        Contexts(rows)
    }
}

/// None for characters that may stand in values everywhere, as far as this knows, and for those that
/// begin an escape themselves.
fn row(byte: u8) -> Option<usize> {
    match byte {
        b'\n' => Some(0),
        b'\t' => Some(1),
        b'"' => Some(2),
        b'\'' => Some(3),
        b'/' => Some(4),
        b'<' | b'>' => Some(5),
        b' ' => Some(6),
        b'\r' => Some(CARRIAGE),
        _ => None,
    }
}

#[inline(always)]
fn class(byte: u8) -> usize {
    usize::from(CLASS.get(usize::from(byte)).copied().unwrap_or(0))
}

/// One load a byte: what stands beside an escape can't be foreseen.
static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::indexing_slicing, reason = "evaluated when the crate is compiled")]
        {
            table[byte] = class_of(byte as u8);
        }
        byte += 1;
    }
    table
};

const fn class_of(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' => 0,
        b'0'..=b'9' => 1,
        b'-' | b'_' => 2,
        b'+' | b'/' | b'=' => 3,
        b'.' | b',' | b':' | b';' => 4,
        b' ' | b'\t' | b'\n' => 5,
        // Alone, so that values with both ends of lines do not stand for indented lines.
        b'\r' => 7,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_a_value_holds_is_never_denied(value in "[ -~\n\r\t\u{e9}]{1,30}", before: u8, after: u8) {
            let mut contexts = Contexts::default();
            contexts.add(value.as_bytes());
            let text = [&[before][..], value.as_bytes(), &[after]].concat();
            for three in text.array_windows::<3>() {
                prop_assert!(contexts.may_hold(three[0], three[1], three[2]));
            }
            prop_assert_eq!(contexts.hold_backslash(), value.contains('\\'));
        }
    }

    #[test]
    fn other_places_are_denied() {
        let mut contexts = Contexts::default();
        contexts.add(b"-----BEGIN KEY-----\nMIIabc0\nxyz/9\n-----END");
        assert!(contexts.may_hold(b'-', b'\n', b'M') && contexts.may_hold(b'7', b'\r', b'q'));
        for (before, byte, after) in
            [(b';', b'\n', b' '), (b'a', b'"', b','), (b'}', b'\n', b'"'), (b':', b'/', b'/')]
        {
            assert!(!contexts.may_hold(before, byte, after), "{byte}");
        }
        assert!(contexts.may_hold(b'a', b'\\', b'n') && contexts.may_hold(b'{', b'x', b'{'));
    }
}
