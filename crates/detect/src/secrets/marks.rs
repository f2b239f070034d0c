//! One look over a text for all places around which its readings may differ: escapes, and line breaks inside long
//! tokens. Says where they may be, in blocks; whoever asks reads on from there.

use wide::{i8x16, u8x16};

use super::escapes::WRAPPED;

const BLOCK: usize = 64;

/// Kinds of escapes of two characters, by the second of them; [`Kinds::NONE`] where there are fewer.
pub(super) struct Kinds {
    /// Those that are line breaks.
    pub(super) breaks: [u8; 2],
    pub(super) others: [u8; 3],
    /// Behind more than one backslash they are quiet, too; line feeds behind two.
    pub(super) deep: bool,
}

impl Kinds {
    /// What stands for a kind that is not quiet: no text has it, and it escapes nothing.
    pub(super) const NONE: u8 = 0xff;
}

/// A bit for each place in a block.
#[derive(Clone, Copy)]
pub(super) struct Marks {
    /// Where an escape may begin.
    pub(super) escapes: u64,
    /// Those of them that are not of the quiet kinds, or stand where a long token ends.
    pub(super) loud: u64,
    /// Line breaks where a long token may end.
    pub(super) breaks: u64,
}

/// Calls `each` for all blocks that hold something, with their places.
pub(super) fn each(text: &[u8], quiet: &Kinds, mut each: impl FnMut(usize, Marks)) {
    let mut runs = Runs::default();
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    for (block, at) in blocks.iter().zip((0..).step_by(BLOCK)) {
        let (tokens, slashes, others) = first_look(block);
        let ends = runs.ends(tokens);
        if slashes | others | ends.breaks != 0 {
            each(at, Marks::of(block, slashes, others, ends, quiet));
        }
    }
    // Where an entity may be cut off by the text's end, the block shows one.
    let mut last = [b';'; BLOCK];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let (tokens, slashes, others) = first_look(&last);
    each(blocks.len() * BLOCK, Marks::of(&last, slashes, others, runs.ends(tokens), quiet));
    last.fill(0);
    std::hint::black_box(&mut last);
}

/// What tokens are made of, and where escapes may begin: with a backslash, or otherwise.
#[inline(always)]
fn first_look(block: &[u8; BLOCK]) -> (u64, u64, u64) {
    // As `escapes::is_token` has it.
    let tokens = places(block, |lane| {
        let folded = (lane | u8x16::splat(0x20)).cast_signed();
        folded.simd_gt(i8x16::splat(b'+' as i8 - 1)).cast_unsigned()
    });
    let slashes = places(block, |lane| is(lane, b'\\'));
    (tokens, slashes, places(block, |lane| is(lane, b'%') | is(lane, b'&')))
}

#[inline(always)]
fn places(block: &[u8; BLOCK], which: impl Fn(u8x16) -> u8x16) -> u64 {
    let lanes = block.as_chunks::<16>().0.iter().zip((0..).step_by(16));
    lanes.fold(0, |all, (lane, at)| all | u64::from(which(u8x16::from(*lane)).to_bitmask()) << at)
}

#[inline(always)]
fn is(lane: u8x16, byte: u8) -> u8x16 {
    lane.simd_eq(u8x16::splat(byte))
}

/// Follows the runs of token bytes from block to block.
#[derive(Default)]
struct Runs {
    /// Those of the block before.
    tokens: u64,
    /// A bit for each eighth of the block before: it and the one before it are of a token.
    pairs: u64,
    /// A long token stands before its last place.
    ended: bool,
}

/// Where long tokens end: at these places, and at line breaks at these or, of two bytes, those.
#[derive(Clone, Copy)]
struct Ends {
    here: u64,
    breaks: u64,
}

impl Runs {
    /// The places before which a token of [`WRAPPED`] bytes stands.
    ///
    /// Two whole eighths of a block lie within such a one, and not nine bytes behind them it is at its end: few blocks are
    /// looked at further.
    #[inline(always)]
    fn ends(&mut self, tokens: u64) -> Ends {
        const { assert!(WRAPPED >= 7 + 16) };
        const LOW: u64 = 0x0101_0101_0101_0101;
        // The highest bit of each byte of `tokens` that is all ones, and of few others.
        let full = (!tokens).wrapping_sub(LOW) & tokens & LOW << 7;
        let pairs = full & (full << 8 | u64::from(self.tokens >> 56 == 0xff) << 7);
        let may_end = pairs | self.pairs != 0;
        let here = if may_end { long_before(self.tokens, tokens) } else { 0 };
        let breaks = here | here << 1 | u64::from(self.ended);
        *self = Runs { tokens, pairs, ended: here >> 63 != 0 };
        Ends { here, breaks }
    }
}

#[inline(never)]
fn long_before(before: u64, tokens: u64) -> u64 {
    const { assert!(WRAPPED == 24) };
    // A place stands where the first byte before it stood that counts, then those from which 2, 4, 8, 24 belong to a token.
    let one = u128::from(tokens) << WRAPPED | u128::from(before >> (u64::BITS as usize - WRAPPED));
    let two = one & one >> 1;
    let four = two & two >> 2;
    let eight = four & four >> 4;
    (eight & eight >> 8 & eight >> 16) as u64
}

impl Marks {
    #[inline(always)]
    fn of(block: &[u8; BLOCK], slashes: u64, others: u64, ends: Ends, quiet: &Kinds) -> Marks {
        let [a, b, c] = quiet.others;
        let [feed, carriage] = quiet.breaks;
        let escapes = slashes | others;
        let mut marks = Marks { escapes, loud: escapes, breaks: 0 };
        if slashes != 0 {
            let kinds = places(block, |lane| {
                is(lane, feed) | is(lane, carriage) | is(lane, a) | is(lane, b) | is(lane, c)
            });
            // The kind of the last one stands in the next block.
            let mut calm = slashes & kinds >> 1;
            if quiet.deep && slashes & slashes >> 1 != 0 {
                calm = in_runs(calm, slashes, calm & places(block, |lane| is(lane, b'n')) >> 1);
            }
            marks.loud &= !calm;
            marks.loud |= slashes & ends.here & !(slashes << 1);
        }
        if others != 0 {
            marks.loud &= !places(block, |lane| is(lane, b'&')) | entities(block);
        }
        if ends.breaks != 0 {
            marks.breaks = places(block, |lane| is(lane, b'\n')) & ends.breaks;
        }
        marks
    }
}

/// The backslashes of runs that end in `calm` ones. Of runs longer than eight those before are loud; of those before an `n`,
/// `feeds`, all that are longer than two: the backslash that is left may join two lines.
#[inline(always)]
fn in_runs(calm: u64, slashes: u64, feeds: u64) -> u64 {
    let second = feeds & slashes << 1;
    let feeds_of_two = second & !(slashes << 2);
    let feeds = feeds & !second | feeds_of_two | feeds_of_two >> 1;
    let one = calm & !(second | feeds);
    let two = one | slashes & one >> 1;
    let run = slashes & slashes >> 1;
    let four = two | run & two >> 2;
    let run = run & run >> 2;
    four | run & four >> 4 | feeds
}

/// The places that have what follows the `&` of an entity, or may have it in the next block.
#[inline(always)]
fn entities(block: &[u8; BLOCK]) -> u64 {
    const REACH: u32 = 7;
    let ends = places(block, |lane| is(lane, b';'));
    let named = (2..=REACH).fold(0, |all, apart| all | ends >> apart);
    let numbered = places(block, |lane| is(lane, b'#')) >> 1;
    named | numbered | u64::MAX << (BLOCK as u32 - REACH)
}

#[cfg(test)]
mod tests {
    use super::super::escapes::wrap;
    use super::*;
    use proptest::prelude::*;

    const NONE: Kinds = Kinds { breaks: [Kinds::NONE; 2], others: [Kinds::NONE; 3], deep: false };

    proptest! {
        #[test]
        fn no_wrapped_line_is_overlooked(text in r"([a-zA-Z0-9+/=]{0,40}(\r?\n|[ *\u{e9}\x00])){0,20}") {
            let text = text.as_bytes();
            let mut seen = Vec::new();
            each(text, &NONE, |block, marks| {
                seen.extend((0..BLOCK).filter(|i| marks.breaks >> i & 1 != 0).map(|i| block + i));
            });
            for at in memchr::memchr_iter(b'\n', text) {
                prop_assert!(wrap(b"", text, at).is_none() || seen.contains(&at), "{at}");
            }
            let is_long = |end: usize| {
                let own = end.checked_sub(WRAPPED).map(|start| &text[start..end]);
                own.is_some_and(|own| own.iter().all(|byte| (b'+'..0x80).contains(&(byte | 0x20))))
            };
            for at in seen {
                prop_assert!(text[at] == b'\n' && (is_long(at) || is_long(at - 1)));
            }
        }
    }

    #[test]
    fn quiet_escapes_are_told_from_loud_ones() {
        let kinds = |deep| Kinds { breaks: [b'n', b'r'], others: [b't', b'"', Kinds::NONE], deep };
        let loud_of = |text: &str, deep: bool| {
            let mut places = Vec::new();
            each(text.as_bytes(), &kinds(deep), |block, marks| {
                assert_eq!(marks.loud & !marks.escapes, 0);
                places.extend((0..BLOCK).filter(|i| marks.loud >> i & 1 != 0).map(|i| block + i));
            });
            places
        };
        let loud = |text: &str| loud_of(text, false);
        assert_eq!(loud(r#"a\nb\"c\t"#), [0; 0]);
        assert_eq!(loud(r"a\'b\\c\u0041"), [1, 4, 5, 7]);
        assert_eq!(loud("%20 & a &b; &#1; &long_name;"), [0, 4, 8, 12]);
        assert_eq!(loud(&format!("{}\\n", "a".repeat(24))), [24]);
        assert_eq!(loud(&format!(" {}\\n", "a".repeat(23))), [0; 0]);
        assert_eq!(loud(&format!("{}\\n", " ".repeat(63))), [63]);
        assert_eq!(loud(&format!("{}&", " ".repeat(80))), [80]);
        for slashes in 1..20usize {
            let run = "\\".repeat(slashes);
            assert_eq!(loud_of(&format!("a{run}t"), true).len(), slashes.saturating_sub(8), "{slashes}");
            assert_eq!(loud_of(&format!("a{run}n"), true).is_empty(), slashes < 3, "{slashes}");
            let two = loud_of(&format!("{run}t{run}'"), true);
            assert_eq!(two.last(), Some(&(2 * slashes)), "{slashes}");
        }
    }
}
