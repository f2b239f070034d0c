//! Where known values may lie in a text, asked at a few places only.
//!
//! A value of 15 bytes holds a window of 8 at one multiple of 8, wherever it stands; one of 8 bytes
//! holds a window of 5 at one multiple of 4. So all windows of a value go into a filter, and a text
//! is asked on that grid. A filter has one bit per hash: it says *perhaps*, and keeps no order.

use super::escapes::WRAPPED;
use super::key::{WINDOW, WindowHash};

/// Values shorter than this are looked for on the fine grid.
pub(super) const LONG: usize = 15;
/// The coarse grid: windows of eight bytes, eight apart.
pub(super) const COARSE: usize = 8;
/// The fine grid: windows of five bytes, four apart.
pub(super) const FINE: usize = 4;
const FINE_WINDOW: usize = 5;

/// Bits of a hash that a filter can use; more are not kept.
const PLACE_BITS: u32 = 27;

const FOLD: u64 = 0x2020_2020_2020_2020;

/// One window's place in a filter, in the low bit whether it could stand inside a token. Ordinary text
/// has a space or a quote in most windows: these share a small part of the filter, which stays in the
/// processor's nearest cache however many values there are.
#[derive(Clone, Copy)]
struct Print {
    hash: u64,
    token: bool,
}

impl Print {
    #[inline(always)]
    fn coarse(hasher: WindowHash, window: [u8; WINDOW]) -> Print {
        Print::of(hasher, u64::from_le_bytes(window) | FOLD)
    }

    /// The first five of eight bytes.
    #[inline(always)]
    fn fine(hasher: WindowHash, window: [u8; WINDOW]) -> Print {
        Print::of(hasher, (u64::from_le_bytes(window) | FOLD) << 24 | 0x0040_4040)
    }

    #[inline(always)]
    fn of(hasher: WindowHash, folded: u64) -> Print {
        // A byte below `+` or beyond ASCII sets a top bit. A borrow may set one more; that is the same for the same
        // window, which is all that counts.
        let outside = folded.wrapping_sub(0x2b2b_2b2b_2b2b_2b2b) | folded;
        Print { hash: hasher.folded(folded), token: outside & 0x8080_8080_8080_8080 == 0 }
    }

    fn code(self) -> u32 {
        ((self.hash >> (64 - PLACE_BITS)) as u32) << 1 | u32::from(self.token)
    }
}

/// What a set of values puts into the filters: sorted, apart, and without a tie to its value.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Distances, seven bits to a byte.
    bytes: Vec<u8>,
    count: u32,
}

impl Places {
    pub(super) fn new(mut codes: Vec<u32>) -> Places {
        codes.sort_unstable();
        codes.dedup();
        let mut places = Places { bytes: Vec::new(), count: codes.len() as u32 };
        let mut last = 0;
        for code in codes {
            let mut distance = code - last;
            last = code;
            while distance >= 0x80 {
                places.bytes.push(distance as u8 | 0x80);
                distance >>= 7;
            }
            places.bytes.push(distance as u8);
        }
        places.bytes.shrink_to_fit();
        places
    }

    /// None if the bytes are not what [`Self::new`] makes.
    pub(super) fn from_bytes(bytes: Vec<u8>, count: u32) -> Option<Places> {
        let places = Places { bytes, count };
        let mut seen = 0;
        let sound = places.each(|_| seen += 1) && seen == count;
        sound.then_some(places)
    }

    pub(super) fn parts(&self) -> (&[u8], u32) {
        (&self.bytes, self.count)
    }

    fn each(&self, mut each: impl FnMut(u32)) -> bool {
        let (mut code, mut distance, mut shift) = (0u32, 0u32, 0);
        for byte in &self.bytes {
            distance |= u32::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 != 0 {
                if shift > 21 {
                    return false;
                }
                continue;
            }
            match code.checked_add(distance) {
                Some(next) if next >> 1 < 1 << PLACE_BITS => code = next,
                _ => return false,
            }
            each(code);
            (distance, shift) = (0, 0);
        }
        shift == 0
    }
}

/// Adds what a value's bytes put into the filters. `at`: where the window begins that is looked up afterwards.
pub(super) fn print(hasher: WindowHash, bytes: &[u8], at: usize, coarse: &mut Vec<u32>, fine: &mut Vec<u32>) {
    let own = bytes.get(at..).unwrap_or_default();
    if bytes.len() >= LONG {
        let windows = own.array_windows::<WINDOW>().take(COARSE);
        coarse.extend(windows.map(|window| Print::coarse(hasher, *window).code()));
    } else {
        for start in 0..FINE {
            let mut window = [0; WINDOW];
            for (to, from) in window.iter_mut().zip(own.iter().skip(start).take(FINE_WINDOW)) {
                *to = *from;
            }
            fine.push(Print::fine(hasher, window).code());
            zeroize::Zeroize::zeroize(&mut window);
        }
    }
}

/// What a walk over the grids finds.
#[derive(Default)]
pub(super) struct Walk {
    /// Places of the coarse and of the fine grid at which a window is known.
    pub(super) coarse: Vec<usize>,
    pub(super) fine: Vec<usize>,
    /// Stretches of eight bytes before which a long token ends: a line may be wrapped there.
    pub(super) ends: Vec<usize>,
}

#[derive(Default)]
pub(super) struct Grid {
    coarse: Filter,
    fine: Filter,
}

impl Grid {
    pub(super) fn new<'p>(
        coarse: impl Iterator<Item = &'p Places> + Clone,
        fine: impl Iterator<Item = &'p Places> + Clone,
    ) -> Grid {
        Grid { coarse: Filter::new(coarse), fine: Filter::new(fine) }
    }

    pub(super) fn walk(&self, hasher: WindowHash, text: &[u8]) -> Walk {
        let mut walk = Walk::default();
        match &self.coarse {
            Filter::Empty => {}
            Filter::Small(bits) => coarse(bits, hasher, text, &mut walk),
            Filter::Medium(bits) => coarse(bits, hasher, text, &mut walk),
            Filter::Large(bits) => coarse(bits, hasher, text, &mut walk),
            Filter::Huge(bits) => coarse(bits, hasher, text, &mut walk),
        }
        match &self.fine {
            Filter::Empty => {}
            Filter::Small(bits) => fine(bits, hasher, text, &mut walk.fine),
            Filter::Medium(bits) => fine(bits, hasher, text, &mut walk.fine),
            Filter::Large(bits) => fine(bits, hasher, text, &mut walk.fine),
            Filter::Huge(bits) => fine(bits, hasher, text, &mut walk.fine),
        }
        walk
    }
}

fn coarse<const B: u32>(bits: &Bits<B>, hasher: WindowHash, text: &[u8], walk: &mut Walk) {
    const STEP: usize = 8 * COARSE;
    let (blocks, rest) = text.as_chunks::<STEP>();
    // Whether the last two windows of the block before were inside a token, the nearer one in the higher bit.
    let mut before = 0u32;
    for (block, at) in blocks.iter().zip((0..).step_by(STEP)) {
        let (mut known, mut tokens) = (0u32, 0u32);
        for (i, window) in block.as_chunks::<WINDOW>().0.iter().enumerate() {
            let print = Print::coarse(hasher, *window);
            known |= bits.bit(print) << i;
            tokens |= u32::from(print.token) << i;
        }
        let shifted = tokens << 2 | before;
        let ends = !tokens & shifted & shifted >> 1 & 0xff;
        before = tokens >> 6;
        if known | ends != 0 {
            push(known, at, COARSE, &mut walk.coarse);
            push(ends, at, COARSE, &mut walk.ends);
        }
    }
    let at = blocks.len() * STEP;
    for (window, at) in rest.as_chunks::<WINDOW>().0.iter().zip((at..).step_by(COARSE)) {
        if bits.bit(Print::coarse(hasher, *window)) != 0 {
            walk.coarse.push(at);
        }
    }
    // What is too short for a block is looked at anyway, if a token of that length has room.
    if text.len() > WRAPPED {
        walk.ends.extend((at.min(text.len())..text.len()).step_by(COARSE));
    }
}

fn fine<const B: u32>(bits: &Bits<B>, hasher: WindowHash, text: &[u8], places: &mut Vec<usize>) {
    const STEP: usize = 16 * FINE;
    let (mut rest, mut at) = (text, 0);
    while let Some(block) = rest.first_chunk::<{ STEP + FINE }>() {
        let mut known = 0u32;
        for (i, window) in block.array_windows::<WINDOW>().step_by(FINE).enumerate() {
            known |= bits.bit(Print::fine(hasher, *window)) << i;
        }
        if known != 0 {
            push(known, at, FINE, places);
        }
        rest = rest.get(STEP..).unwrap_or_default();
        at += STEP;
    }
    let mut offset = 0;
    while let Some(own) = rest.get(offset..offset + FINE_WINDOW) {
        let mut window = [0; WINDOW];
        for (to, from) in window.iter_mut().zip(own) {
            *to = *from;
        }
        if bits.bit(Print::fine(hasher, window)) != 0 {
            places.push(at + offset);
        }
        offset += FINE;
    }
}

#[cold]
fn push(mut flags: u32, at: usize, step: usize, places: &mut Vec<usize>) {
    while flags != 0 {
        places.push(at + step * flags.trailing_zeros() as usize);
        flags &= flags - 1;
    }
}

/// Bits of a filter for each window in it.
const SPARSE: u64 = 24;

/// A filter as large as its content needs, of a size that the compiler knows.
#[derive(Default)]
enum Filter {
    #[default]
    Empty,
    Small(Bits<18>),
    Medium(Bits<21>),
    Large(Bits<24>),
    Huge(Bits<PLACE_BITS>),
}

impl Filter {
    fn new<'p>(all: impl Iterator<Item = &'p Places> + Clone) -> Filter {
        let count: u64 = all.clone().map(|places| u64::from(places.count)).sum();
        match count * SPARSE {
            0 => Filter::Empty,
            1..=0x4_0000 => Filter::Small(Bits::new(all)),
            0x4_0001..=0x20_0000 => Filter::Medium(Bits::new(all)),
            0x20_0001..=0x100_0000 => Filter::Large(Bits::new(all)),
            _ => Filter::Huge(Bits::new(all)),
        }
    }
}

struct Bits<const B: u32> {
    words: Box<[u64]>,
    /// The places that windows outside tokens share, as a mask.
    shared: usize,
}

impl<const B: u32> Bits<B> {
    fn new<'p>(all: impl Iterator<Item = &'p Places> + Clone) -> Bits<B> {
        let mut outside = 0;
        for places in all.clone() {
            places.each(|code| outside += usize::from(code & 1 == 0));
        }
        let shared = (outside * SPARSE as usize).next_power_of_two().clamp(1 << 17, 1 << B) - 1;
        let mut bits = Bits { words: vec![0u64; 1 << (B - 6)].into_boxed_slice(), shared };
        for places in all {
            places.each(|code| {
                let hash = u64::from(code >> 1) << (64 - PLACE_BITS);
                let place = bits.place(Print { hash, token: code & 1 != 0 });
                if let Some(word) = bits.words.get_mut(place / 64) {
                    *word |= 1 << (place % 64);
                }
            });
        }
        bits
    }

    #[inline(always)]
    fn place(&self, print: Print) -> usize {
        let place = (print.hash >> (64 - B)) as usize;
        if print.token { place } else { place & self.shared }
    }

    #[inline(always)]
    fn bit(&self, print: Print) -> u32 {
        let place = self.place(print);
        (self.words.get(place / 64).copied().unwrap_or(0) >> (place % 64)) as u32 & 1
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::IndexKey;
    use super::*;

    #[test]
    fn places_come_back_and_damage_is_noticed() {
        let codes = vec![0, 1, 127, 128, 300, 20_000, (1 << 28) - 1];
        let places = Places::new(codes.clone());
        let mut read = Vec::new();
        assert!(places.each(|code| read.push(code)));
        assert_eq!(read, codes);
        let (bytes, count) = places.parts();
        assert!(Places::from_bytes(bytes.to_vec(), count).is_some_and(|again| again == places));
        assert!(Places::from_bytes(bytes.to_vec(), count + 1).is_none());
        for cut in 1..bytes.len() {
            assert!(Places::from_bytes(bytes[..cut].to_vec(), count).is_none());
        }
        assert!(Places::from_bytes(vec![0xff, 0xff, 0xff, 0xff, 0x7f], 1).is_none());
    }

    #[test]
    fn a_value_of_any_length_is_on_the_grid_wherever_it_stands() {
        let hasher = IndexKey::new([3; 32]).hasher().windows();
        let letters: Vec<u8> = (0..40).map(|i| if i < 26 { b'a' + i } else { b'0' + i - 26 }).collect();
        for len in 8..40 {
            let value = &letters[..len];
            let last = if len >= LONG { len - LONG } else { len - WINDOW };
            for at in 0..=last {
                let (mut coarse, mut fine) = (Vec::new(), Vec::new());
                print(hasher, value, at, &mut coarse, &mut fine);
                let (coarse, fine) = (Places::new(coarse), Places::new(fine));
                let grid = Grid::new([&coarse].into_iter(), [&fine].into_iter());
                for before in 0..80 {
                    let text = [&vec![b'-'; before][..], value, b"---------"].concat();
                    let walk = grid.walk(hasher, &text);
                    let window = before + at;
                    let seen = match len >= LONG {
                        true => walk.coarse.iter().any(|place| (window..window + COARSE).contains(place)),
                        false => walk.fine.iter().any(|place| (window..window + FINE).contains(place)),
                    };
                    assert!(seen, "{len} {at} {before}");
                }
            }
        }
    }

    #[test]
    fn the_end_of_a_long_token_is_noticed() {
        let hasher = IndexKey::new([3; 32]).hasher().windows();
        let places = Places::new(vec![1]);
        let grid = Grid::new([&places].into_iter(), [].into_iter());
        for before in 0..100 {
            let text = [&vec![b' '; before][..], &[b'a'; 24], b"\nx", &[b' '; 100]].concat();
            let newline = before + 24;
            let walk = grid.walk(hasher, &text);
            assert!(walk.ends.iter().any(|at| (*at..*at + 8).contains(&newline)), "{before}");
        }
    }
}
