//! Replaces stretches of a body and leaves every other byte as it was.

use std::fmt;
use std::ops::Range;

use crate::SpliceError;

/// New bytes for a range of a body, already escaped as the place needs it.
#[derive(Clone, PartialEq, Eq)]
pub struct Edit {
    pub range: Range<usize>,
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Edit({:?} -> {} bytes)", self.range, self.bytes.len())
    }
}

/// Applies edits in any order. Overlapping edits are an error, since one of them would silently
/// bring back what the other took out.
pub fn splice(body: &[u8], mut edits: Vec<Edit>) -> Result<Vec<u8>, SpliceError> {
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let grown: usize = edits.iter().map(|edit| edit.bytes.len()).sum();
    let mut out = Vec::with_capacity(body.len() + grown);
    let mut at = 0;
    for edit in &edits {
        let Range { start, end } = edit.range;
        if start < at {
            return Err(SpliceError::Overlap { at: start });
        }
        let kept = body.get(at..start).filter(|_| start <= end && end <= body.len());
        let Some(kept) = kept else {
            return Err(SpliceError::OutOfRange { start, end, size: body.len() });
        };
        out.extend_from_slice(kept);
        out.extend_from_slice(&edit.bytes);
        at = end;
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(range: Range<usize>, text: &str) -> Edit {
        Edit { range, bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn applies_in_any_order() {
        let edited = splice(b"one two three", vec![edit(8..13, "3"), edit(0..3, "1")]);
        assert_eq!(edited.unwrap(), b"1 two 3");
        assert_eq!(splice(b"same", vec![]).unwrap(), b"same");
        assert_eq!(splice(b"ab", vec![edit(1..1, "-")]).unwrap(), b"a-b");
    }

    #[test]
    fn refuses_what_it_cannot_do() {
        let overlap = splice(b"abcdef", vec![edit(0..3, ""), edit(2..4, "")]);
        assert_eq!(overlap, Err(SpliceError::Overlap { at: 2 }));
        let outside = splice(b"abc", vec![edit(1..9, "")]);
        assert_eq!(outside, Err(SpliceError::OutOfRange { start: 1, end: 9, size: 3 }));
        #[allow(clippy::reversed_empty_ranges)]
        let backwards = splice(b"abc", vec![edit(2..1, "")]);
        assert!(backwards.is_err());
    }

    #[test]
    fn debug_hides_the_bytes() {
        assert!(!format!("{:?}", edit(0..1, "hunter2")).contains("hunter2"));
    }
}
