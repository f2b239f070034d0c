//! Where known values may lie in a text, asked at a few places only.
//!
//! A value of 20 bytes holds a window of 8 at one multiple of 13, wherever it stands; one of 15 bytes at one
//! multiple of 8; one of 8 bytes holds a window of 5 at one multiple of 4. So all windows of a value go into a filter, and a text
//! is asked on that grid. A filter has three bits per hash: it says *perhaps*, and keeps no order.

use super::key::{FirstFive, WINDOW, WindowHash};

/// Values shorter than this are looked for on the middle or the fine grid.
pub(super) const LONG: usize = COARSE + WINDOW - 1;
/// Values shorter than this are looked for on the fine grid, and where there is one, all others too.
pub(super) const MIDDLING: usize = MIDDLE + WINDOW - 1;
/// The coarse grid: windows of eight bytes, thirteen apart.
pub(super) const COARSE: usize = 13;
/// The middle grid: windows of eight bytes, eight apart.
pub(super) const MIDDLE: usize = 8;
/// The fine grid: windows of five bytes, four apart.
pub(super) const FINE: usize = 4;
const FINE_WINDOW: usize = 5;

/// Bits of a hash that a filter can use; more are not kept.
const PLACE_BITS: u32 = 31;

const FOLD: u64 = 0x2020_2020_2020_2020;

/// What is kept of a window: bits of its hash, and whether it could stand inside a token.
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
    fn fine(hasher: FirstFive, [first, second]: [[u8; FINE]; 2]) -> Print {
        let window = u64::from(u32::from_le_bytes(first)) | u64::from(u32::from_le_bytes(second)) << 32;
        let folded = window | FOLD;
        Print { hash: hasher.folded(folded), token: outside(folded) & 0x80_8080_8080 == 0 }
    }

    #[inline(always)]
    fn of(hasher: WindowHash, folded: u64) -> Print {
        Print { hash: hasher.folded(folded), token: outside(folded) & 0x8080_8080_8080_8080 == 0 }
    }

    fn code(self) -> u32 {
        ((self.hash >> (64 - PLACE_BITS)) as u32) << 1 | u32::from(self.token)
    }

    fn of_code(code: u32) -> Print {
        Print { hash: u64::from(code >> 1) << (64 - PLACE_BITS), token: code & 1 != 0 }
    }

    /// Its word in a filter of `N`. Ordinary text has a space or a quote in most windows: in a filter that is larger than
    /// the processor's nearer caches these stand in the first few words, which stay there.
    #[inline(always)]
    fn word<const N: usize>(self, few: usize) -> usize {
        let word = (self.hash >> (64 - N.trailing_zeros())) as usize;
        if N <= NEAR || self.token { word } else { word & few }
    }

    /// The bits of a window in its word.
    #[inline(always)]
    fn bits<const N: usize>(self) -> u64 {
        let choice = (self.hash >> (64 - N.trailing_zeros() - CHOICE_BITS)) as usize;
        CHOICES.get(choice % CHOICES.len()).copied().unwrap_or(0)
    }
}

/// A byte below `+` sets its top bit. A borrow may set one more, and some bytes beyond ASCII none; it is the same
/// for the same window, which is all that counts.
#[inline(always)]
fn outside(folded: u64) -> u64 {
    folded.wrapping_sub(0x2b2b_2b2b_2b2b_2b2b)
}

/// Bits of a hash that choose the bits in a word: those below the ones that choose the word.
const CHOICE_BITS: u32 = 9;

/// Which three bits of a word a window may have. From a table, since a processor can load more at once than it can shift.
static CHOICES: [u64; 1 << CHOICE_BITS] = {
    let mut choices = [0u64; 1 << CHOICE_BITS];
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = 0;
    while next < choices.len() {
        let mut bits = 0u64;
        while bits.count_ones() < 3 {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            bits |= 1 << (state >> 58);
        }
        #[allow(clippy::indexing_slicing, reason = "evaluated when the crate is compiled")]
        {
            choices[next] = bits;
        }
        next += 1;
    }
    choices
};

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
            let bits = u32::from(byte & 0x7f);
            if shift > 28 || shift == 28 && bits > 0xf {
                return false;
            }
            distance |= bits << shift;
            shift += 7;
            if byte & 0x80 != 0 {
                continue;
            }
            let Some(next) = code.checked_add(distance) else { return false };
            code = next;
            each(code);
            (distance, shift) = (0, 0);
        }
        shift == 0
    }
}

/// What values put into the filters, a list for each: places or, while a set is built, their codes.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Grids<P> {
    pub(super) coarse: P,
    pub(super) middle: P,
    pub(super) fine: P,
    /// What all longer ones put on the fine grid, if there is one.
    pub(super) spare: P,
}

impl<P> Grids<P> {
    pub(super) fn map<Q>(self, each: impl Fn(P) -> Q) -> Grids<Q> {
        let Grids { coarse, middle, fine, spare } = self;
        Grids { coarse: each(coarse), middle: each(middle), fine: each(fine), spare: each(spare) }
    }

    pub(super) fn all(&self) -> [&P; 4] {
        [&self.coarse, &self.middle, &self.fine, &self.spare]
    }
}

/// Adds what a value's bytes put into the filters. `at`: where the window begins that is looked up afterwards.
pub(super) fn print(hasher: WindowHash, bytes: &[u8], at: usize, grids: &mut Grids<Vec<u32>>) {
    let own = bytes.get(at..).unwrap_or_default();
    let windows = |apart| {
        let windows = own.array_windows::<WINDOW>().take(apart);
        windows.map(|window| Print::coarse(hasher, *window).code())
    };
    match bytes.len() {
        LONG.. => grids.coarse.extend(windows(COARSE)),
        MIDDLING..LONG => grids.middle.extend(windows(MIDDLE)),
        _ => {}
    }
    let fine = if bytes.len() >= MIDDLING { &mut grids.spare } else { &mut grids.fine };
    for start in 0..FINE {
        let mut window = [[0; FINE]; 2];
        let from = own.iter().skip(start).take(FINE_WINDOW);
        window.as_flattened_mut().iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        fine.push(Print::fine(hasher.first_five(), window).code());
        zeroize::Zeroize::zeroize(window.as_flattened_mut());
    }
}

/// What a walk over the grids finds.
#[derive(Default)]
pub(super) struct Walk {
    /// Places of each grid at which a window is known.
    pub(super) coarse: Vec<usize>,
    pub(super) middle: Vec<usize>,
    pub(super) fine: Vec<usize>,
}

#[derive(Default)]
pub(super) struct Grid {
    coarse: Filter,
    middle: Filter,
    fine: Filter,
}

impl Grid {
    /// A text that has to be asked on the fine grid is asked on no other.
    pub(super) fn new<'p>(all: impl Iterator<Item = &'p Grids<Places>> + Clone) -> Grid {
        if all.clone().any(|grids| grids.fine.count > 0) {
            let fine = Filter::new(all.flat_map(|grids| [&grids.fine, &grids.spare]));
            return Grid { coarse: Filter::Empty, middle: Filter::Empty, fine };
        }
        let coarse = Filter::new(all.clone().map(|grids| &grids.coarse));
        Grid { coarse, middle: Filter::new(all.map(|grids| &grids.middle)), fine: Filter::Empty }
    }

    /// Asks for the windows that begin at `from` or after.
    pub(super) fn walk(&self, hasher: WindowHash, text: &[u8], from: usize) -> Walk {
        let text = text.get(from..).unwrap_or_default();
        let mut walk = Walk::default();
        self.coarse.eights::<COARSE>(hasher, text, &mut walk.coarse);
        self.middle.eights::<MIDDLE>(hasher, text, &mut walk.middle);
        match &self.fine {
            Filter::Empty => {}
            Filter::Small(bits) => fine(bits, hasher.first_five(), text, &mut walk.fine),
            Filter::Medium(bits) => fine(bits, hasher.first_five(), text, &mut walk.fine),
            Filter::Large(bits) => fine(bits, hasher.first_five(), text, &mut walk.fine),
            Filter::Huge(bits) => fine(bits, hasher.first_five(), text, &mut walk.fine),
        }
        let places = walk.coarse.iter_mut().chain(&mut walk.middle).chain(&mut walk.fine);
        places.for_each(|place| *place += from);
        walk
    }
}

/// Windows that are asked for before one branch is taken for all of them.
const BATCH: usize = 8;

/// Windows of eight bytes, so far apart.
fn eights<const N: usize, const APART: usize>(
    bits: &Bits<N>,
    hasher: WindowHash,
    text: &[u8],
    places: &mut Vec<usize>,
) {
    let Some(bits) = bits.fixed() else { return };
    let known =
        |cell: &[u8]| cell.first_chunk().is_some_and(|window| bits.has(Print::coarse(hasher, *window)));
    let (cells, rest) = text.as_chunks::<APART>();
    let (batches, last) = cells.as_chunks::<BATCH>();
    for (batch, at) in batches.iter().zip((0..).step_by(BATCH * APART)) {
        if batch.iter().fold(false, |any, cell| any | known(cell)) {
            each_known(batch.iter().map(|cell| known(cell)), at, APART, places);
        }
    }
    let at = batches.len() * BATCH * APART;
    let last = last.iter().map(|cell| known(cell)).chain([known(rest)]);
    places.extend(last.zip((at..).step_by(APART)).filter(|(known, _)| *known).map(|(_, at)| at));
}

fn fine<const N: usize>(bits: &Bits<N>, hasher: FirstFive, text: &[u8], places: &mut Vec<usize>) {
    let Some(bits) = bits.fixed() else { return };
    let known = |window: &[[u8; FINE]; 2]| bits.has(Print::fine(hasher, *window));
    let (mut rest, mut at) = (text, 0);
    while let Some(block) = rest.first_chunk::<{ (BATCH + 1) * FINE }>() {
        let windows = block.as_chunks::<FINE>().0.array_windows::<2>();
        if windows.clone().fold(false, |any, window| any | known(window)) {
            each_known(windows.map(known), at, FINE, places);
        }
        rest = rest.get(BATCH * FINE..).unwrap_or_default();
        at += BATCH * FINE;
    }
    while let Some(two) = rest.first_chunk::<{ 2 * FINE }>() {
        let is_known = two.as_chunks().0.first_chunk().is_some_and(known);
        places.extend(is_known.then_some(at));
        rest = rest.get(FINE..).unwrap_or_default();
        at += FINE;
    }
    if rest.len() >= FINE_WINDOW {
        let mut window = [[0; FINE]; 2];
        window.as_flattened_mut().iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        places.extend(known(&window).then_some(at));
        zeroize::Zeroize::zeroize(window.as_flattened_mut());
    }
}

/// Of a batch in which a window is known, those that are.
#[cold]
fn each_known(known: impl Iterator<Item = bool>, at: usize, apart: usize, places: &mut Vec<usize>) {
    places.extend(known.zip((at..).step_by(apart)).filter(|(known, _)| *known).map(|(_, at)| at));
}

/// Bits of a filter for each window in it, three of which say that it is there.
const SPARSE: u64 = 16;

/// A filter as large as its content needs, of a number of words that the compiler knows.
#[derive(Default)]
enum Filter {
    #[default]
    Empty,
    Small(Bits<{ 1 << 12 }>),
    Medium(Bits<{ 1 << 15 }>),
    Large(Bits<{ 1 << 18 }>),
    Huge(Bits<{ 1 << 21 }>),
}

impl Filter {
    fn eights<const APART: usize>(&self, hasher: WindowHash, text: &[u8], places: &mut Vec<usize>) {
        match self {
            Filter::Empty => {}
            Filter::Small(bits) => eights::<_, APART>(bits, hasher, text, places),
            Filter::Medium(bits) => eights::<_, APART>(bits, hasher, text, places),
            Filter::Large(bits) => eights::<_, APART>(bits, hasher, text, places),
            Filter::Huge(bits) => eights::<_, APART>(bits, hasher, text, places),
        }
    }

    fn new<'p>(all: impl Iterator<Item = &'p Places> + Clone) -> Filter {
        let count: u64 = all.clone().map(|places| u64::from(places.count)).sum();
        match count * SPARSE / 64 {
            _ if count == 0 => Filter::Empty,
            0..=0x1000 => Filter::Small(Bits::new(all)),
            0x1001..=0x8000 => Filter::Medium(Bits::new(all)),
            0x8001..=0x4_0000 => Filter::Large(Bits::new(all)),
            _ => Filter::Huge(Bits::new(all)),
        }
    }
}

/// Words of the largest filter that a processor's own caches hold.
const NEAR: usize = 1 << 15;

/// `N` words, a power of two. A bit that is not set is one that some window has.
struct Bits<const N: usize> {
    words: Vec<u64>,
    /// The last of the words for windows outside tokens.
    few: usize,
}

impl<const N: usize> Bits<N> {
    fn new<'p>(all: impl Iterator<Item = &'p Places> + Clone) -> Bits<N> {
        let mut outside = 0;
        for places in all.clone() {
            places.each(|code| outside += u64::from(!Print::of_code(code).token));
        }
        // As many again stand there anyway.
        let few = (2 * outside * SPARSE / 64).next_power_of_two().clamp(1 << 9, N as u64) as usize - 1;
        let mut bits = Bits { words: vec![u64::MAX; N], few };
        for places in all {
            places.each(|code| {
                let print = Print::of_code(code);
                if let Some(word) = bits.words.get_mut(print.word::<N>(few)) {
                    *word &= !print.bits::<N>();
                }
            });
        }
        bits
    }

    /// For one walk.
    fn fixed(&self) -> Option<Fixed<'_, N>> {
        Some(Fixed { words: self.words.first_chunk()?, few: self.few })
    }
}

#[derive(Clone, Copy)]
struct Fixed<'b, const N: usize> {
    words: &'b [u64; N],
    few: usize,
}

impl<const N: usize> Fixed<'_, N> {
    #[inline(always)]
    fn has(self, print: Print) -> bool {
        let word = self.words.get(print.word::<N>(self.few)).copied().unwrap_or(u64::MAX);
        word & print.bits::<N>() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::IndexKey;
    use super::*;

    #[test]
    fn places_come_back_and_damage_is_noticed() {
        let codes = vec![0, 1, 127, 128, 300, 20_000, u32::MAX];
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
        assert!(Places::from_bytes(vec![0xff, 0xff, 0xff, 0xff, 0x10], 1).is_none());
    }

    #[test]
    fn a_value_of_any_length_is_on_the_grid_wherever_it_stands() {
        let hasher = IndexKey::new([3; 32]).hasher().windows();
        let letters: Vec<u8> = (0..40).map(|i| if i < 26 { b'a' + i } else { b'0' + i - 26 }).collect();
        for len in 8..40 {
            let value = &letters[..len];
            let last = match len {
                LONG.. => len - LONG,
                MIDDLING..LONG => len - MIDDLING,
                _ => len - WINDOW,
            };
            for (at, with_short) in (0..=last).flat_map(|at| [(at, false), (at, true)]) {
                let mut grids = Grids::default();
                print(hasher, value, at, &mut grids);
                if with_short {
                    print(hasher, b"#a short#", 0, &mut grids);
                }
                let grids = grids.map(Places::new);
                let grid = Grid::new([&grids].into_iter());
                for before in 0..80 {
                    let text = [&vec![b'-'; before][..], value, b"---------"].concat();
                    let walk = grid.walk(hasher, &text, 0);
                    let window = before + at;
                    let near = |places: &[usize], apart| {
                        places.iter().any(|at| (window..window + apart).contains(at))
                    };
                    let seen = match len {
                        _ if with_short => near(&walk.fine, FINE),
                        LONG.. => near(&walk.coarse, COARSE),
                        MIDDLING..LONG => near(&walk.middle, MIDDLE),
                        _ => near(&walk.fine, FINE),
                    };
                    assert!(seen, "{len} {at} {before}");
                    assert!(walk.fine.is_empty() || with_short || len < MIDDLING);
                    assert!(walk.coarse.is_empty() && walk.middle.is_empty() || !with_short);
                }
            }
        }
    }
}
