//! Byte gates: where a rule without a telling keyword is worth trying.

use memchr::memmem::Finder;
use wide::{i8x16, u8x16};

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

    /// Whether no match that is `longest` bytes at most can hold more than a place that passes.
    pub(super) fn is_all_of(&self, longest: usize) -> bool {
        matches!(self, Gate::Base64Run { len } if *len == longest)
    }

    /// What stands at every place that passes, if that is always the same.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Gate::Shape { shape, .. } if !shape.contains(&b'd') => String::from_utf8(shape.clone()).ok(),
            _ => None,
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

/// The gates of all rules. Shapes whose anchor joins two digits share one pass: spaces and hyphens are everywhere,
/// digits on both sides of one are not.
#[derive(Default)]
pub(super) struct Gates {
    joints: [u8; 2],
    joined: Vec<(u32, Vec<u8>, usize)>,
    /// Shapes that stand for themselves, each with its rules.
    texts: Vec<(Vec<u32>, Finder<'static>)>,
    others: Vec<(u32, Gate)>,
}

impl Gates {
    pub(super) fn of(gates: impl IntoIterator<Item = (u32, Gate)>) -> Gates {
        let mut all = Gates::default();
        for (rule, gate) in gates {
            match gate {
                Gate::Shape { shape, anchor } if all.joins(&shape, anchor) => {
                    all.joined.push((rule, shape, anchor));
                }
                Gate::Shape { shape, .. } if shape.len() > 1 && !shape.contains(&b'd') => {
                    match all.texts.iter_mut().find(|(_, text)| text.needle() == shape) {
                        Some((rules, _)) => rules.push(rule),
                        None => all.texts.push((vec![rule], Finder::new(&shape).into_owned())),
                    }
                }
                gate => all.others.push((rule, gate)),
            }
        }
        all
    }

    /// Whether the anchor stands between digits and is, or becomes, one of the joints.
    fn joins(&mut self, shape: &[u8], anchor: usize) -> bool {
        let around = anchor.checked_sub(1).and_then(|before| shape.get(before..anchor + 2));
        let Some([b'd', joint, b'd']) = around else { return false };
        let free = |held: &&mut u8| **held == *joint || **held == 0;
        self.joints.iter_mut().find(free).map(|held| *held = *joint).is_some()
    }

    /// Calls `hit` with a rule and the start and end of a place that passes its gate; each rule's in order.
    pub(super) fn each(&self, text: &[u8], mut hit: impl FnMut(u32, usize, usize)) {
        each_joint(text, self.joints, |at| {
            for (rule, shape, anchor) in &self.joined {
                let start = (at + 1).checked_sub(*anchor);
                if let Some(start) = start.filter(|start| fits(text, *start, shape)) {
                    hit(*rule, start, start + shape.len());
                }
            }
        });
        for (rules, finder) in &self.texts {
            let mut from = 0;
            while let Some(at) = text.get(from..).and_then(|rest| finder.find(rest)) {
                let start = from + at;
                rules.iter().for_each(|rule| hit(*rule, start, start + finder.needle().len()));
                from = start + 1;
            }
        }
        for (rule, gate) in &self.others {
            gate.each(text, |start, end| hit(*rule, start, end));
        }
    }
}

/// Every place of a digit behind which stand a joint and another digit.
fn each_joint(text: &[u8], joints: [u8; 2], mut each: impl FnMut(usize)) {
    const BLOCK: usize = 64;
    let mut look = |at: usize| {
        let behind = text.get(at + 1..).and_then(|rest| rest.first_chunk());
        if behind.is_some_and(|[joint, digit]| digit.is_ascii_digit() && joints.contains(joint)) {
            each(at);
        }
    };
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    for (block, at) in blocks.iter().zip((0..).step_by(BLOCK)) {
        let digits = digits(block);
        // Two places apart, or perhaps so.
        let mut some = digits & (digits >> 2 | 0b11 << (BLOCK - 2));
        while some != 0 {
            look(at + some.trailing_zeros() as usize);
            some &= some - 1;
        }
    }
    let last = rest.iter().zip(text.len() - rest.len()..);
    last.filter(|(byte, _)| byte.is_ascii_digit()).for_each(|(_, at)| look(at));
}

/// A bit for each digit.
#[inline(always)]
fn digits(block: &[u8; 64]) -> u64 {
    const LAST: i8 = i8::MAX - b'9' as i8;
    let lanes = block.as_chunks::<16>().0.iter().zip((0..).step_by(16));
    lanes.fold(0, |all, (lane, at)| {
        // The ten digits become the greatest of signed bytes.
        let moved = (u8x16::from(*lane) + u8x16::splat(LAST as u8)).cast_signed();
        all | u64::from(moved.simd_gt(i8x16::splat(i8::MAX - 10)).to_bitmask()) << at
    })
}

fn fits(text: &[u8], start: usize, shape: &[u8]) -> bool {
    let fits =
        |(byte, wanted): (&u8, &u8)| if *wanted == b'd' { byte.is_ascii_digit() } else { byte == wanted };
    text.get(start..start + shape.len()).is_some_and(|place| place.iter().zip(shape).all(fits))
}

fn each_shape(text: &[u8], shape: &[u8], anchor: usize, mut hit: impl FnMut(usize, usize)) {
    let Some(fixed) = shape.get(anchor) else { return };
    for at in memchr::memchr_iter(*fixed, text) {
        let Some(start) = at.checked_sub(anchor) else { continue };
        if fits(text, start, shape) {
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
    fn together_they_say_what_each_says_alone() {
        let gates =
            ["shape ddd-dd-dddd", "shape dddd dddd", "shape ddd-dddd", "shape d.d", "shape @", "base64 8"];
        let gates = gates.map(|gate| Gate::parse(gate).unwrap());
        let all = Gates::of((0..).zip(gates.clone()));
        assert_eq!((all.joined.len(), all.others.len()), (3, 3));
        let text = "1234 5678 9012 345-6789 123-45-6789-1 a@b 1.2 1-2-3 12345678 ".repeat(9);
        for cut in 0..text.len() {
            let text = &text.as_bytes()[cut..];
            let (mut together, mut alone) = (Vec::new(), Vec::new());
            all.each(text, |rule, start, end| together.push((rule, start, end)));
            for (rule, gate) in (0..).zip(&gates) {
                gate.each(text, |start, end| alone.push((rule, start, end)));
            }
            together.sort_unstable();
            assert_eq!(together, alone);
        }
    }

    #[test]
    fn shapes_that_stand_for_themselves_are_looked_for_once_and_found_everywhere() {
        let gates = ["shape <<<<", "shape ab", "shape <<<<"].map(|gate| Gate::parse(gate).unwrap());
        let all = Gates::of((0..).zip(gates.clone()));
        assert_eq!((all.texts.len(), all.others.len()), (2, 0));
        for text in ["", "<<<", "<<<<", "<<<<<<ab<<<<ab", "a<<<<b ab"] {
            let (mut together, mut alone) = (Vec::new(), Vec::new());
            all.each(text.as_bytes(), |rule, start, end| together.push((rule, start, end)));
            for (rule, gate) in (0..).zip(&gates) {
                gate.each(text.as_bytes(), |start, end| alone.push((rule, start, end)));
            }
            together.sort_unstable();
            assert_eq!(together, alone, "{text}");
        }
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
