//! Line breaks inside long tokens, where a value may have been wrapped.

use wide::{i8x16, u8x16};

use super::escapes::WRAPPED;

const BLOCK: usize = 64;

/// Calls `each` with the place of every line break before which a long token may end.
pub(super) fn each(text: &[u8], mut each: impl FnMut(usize)) {
    let mut all = |block: &[u8; BLOCK], at: usize| {
        let mut breaks = breaks(block);
        while breaks != 0 {
            each(at + breaks.trailing_zeros() as usize);
            breaks &= breaks - 1;
        }
    };
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    for (block, at) in blocks.iter().zip((0..).step_by(BLOCK)) {
        all(block, at);
    }
    let mut last = [0; BLOCK];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    all(&last, blocks.len() * BLOCK);
    last.fill(0);
    std::hint::black_box(&mut last);
}

/// One bit for each line break before which a long token ends, as far as the block shows it: what stands
/// before the block may be one.
#[inline(always)]
fn breaks(block: &[u8; BLOCK]) -> u64 {
    let (mut tokens, mut breaks) = (0, 0);
    for (i, lane) in block.as_chunks::<16>().0.iter().enumerate() {
        let lane = u8x16::from(*lane);
        // As `escapes::is_token` has it.
        let token = (lane | u8x16::splat(0x20)).cast_signed().simd_gt(i8x16::splat(b'+' as i8 - 1));
        tokens |= u64::from(token.to_bitmask()) << (16 * i);
        breaks |= u64::from(lane.simd_eq(u8x16::splat(b'\n')).to_bitmask()) << (16 * i);
    }
    // How many places before a byte belong to a token: 1, 2, 4, 8, 16, 24.
    let one = tokens << 1 | 1;
    let two = one & (one << 1 | 1);
    let four = two & (two << 2 | 0b11);
    let eight = four & (four << 4 | 0xf);
    let sixteen = eight & (eight << 8 | 0xff);
    const { assert!(WRAPPED == 24) };
    breaks & sixteen & (eight << 16 | 0xffff)
}

#[cfg(test)]
mod tests {
    use super::super::escapes::wrap;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_wrapped_line_is_overlooked(text in r"([a-zA-Z0-9+/=]{0,40}(\r?\n|[ *\u{e9}\x00])){0,20}") {
            let text = text.as_bytes();
            let mut seen = Vec::new();
            each(text, |at| seen.push(at));
            for at in memchr::memchr_iter(b'\n', text) {
                prop_assert!(wrap(b"", text, at).is_none() || seen.contains(&at), "{at}");
            }
            // And few others: where a block begins after less than a token's length.
            for at in seen {
                let own = &text[at.saturating_sub(24).max(at / 64 * 64)..at];
                prop_assert!(text[at] == b'\n' && own.iter().all(|byte| (b'+'..0x80).contains(&(byte | 0x20))));
            }
        }
    }
}
