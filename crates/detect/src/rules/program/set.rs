//! A set of bytes, and whether the end of the text may stand in their place.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rules) struct Set {
    bits: [u64; 4],
    end: bool,
}

impl Set {
    pub(in crate::rules) const NONE: Set = Set { bits: [0; 4], end: false };
    pub(in crate::rules) const ALL: Set = Set { bits: [u64::MAX; 4], end: true };

    pub(in crate::rules) fn of(ranges: impl IntoIterator<Item = (u8, u8)>) -> Set {
        let mut set = Set::NONE;
        for (from, to) in ranges {
            (from..=to).for_each(|byte| set.insert(byte));
        }
        set
    }

    pub(in crate::rules) const fn of_bytes(bytes: &[u8]) -> Set {
        let mut set = Set::NONE;
        let mut at = 0;
        #[allow(clippy::indexing_slicing, reason = "evaluated when the crate is compiled")]
        while at < bytes.len() {
            set.bits[(bytes[at] >> 6) as usize] |= 1 << (bytes[at] & 63);
            at += 1;
        }
        set
    }

    #[inline(always)]
    pub(in crate::rules) fn insert(&mut self, byte: u8) {
        if let Some(word) = self.bits.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    #[inline(always)]
    pub(in crate::rules) fn has(&self, byte: u8) -> bool {
        self.bits.get(usize::from(byte >> 6)).copied().unwrap_or(0) >> (byte & 63) & 1 != 0
    }

    /// Whether what stands at `at` belongs, be it a byte or the text's end.
    #[inline(always)]
    pub(in crate::rules) fn may(&self, text: &[u8], at: usize) -> bool {
        text.get(at).map_or(self.end, |byte| self.has(*byte))
    }

    pub(in crate::rules) fn and(mut self, other: &Set) -> Set {
        self.bits.iter_mut().zip(other.bits).for_each(|(word, more)| *word &= more);
        self.end &= other.end;
        self
    }

    pub(in crate::rules) fn with(mut self, other: &Set) -> Set {
        self.bits.iter_mut().zip(other.bits).for_each(|(word, more)| *word |= more);
        self.end |= other.end;
        self
    }

    pub(in crate::rules) fn is_apart_from(&self, other: &Set) -> bool {
        self.bits.iter().zip(other.bits).all(|(a, b)| a & b == 0)
    }

    /// Its bytes if there are no more than `most`.
    pub(super) fn few(&self, most: usize) -> Option<Vec<u8>> {
        let count: u32 = self.bits.iter().map(|word| word.count_ones()).sum();
        (count as usize <= most).then(|| (0..=u8::MAX).filter(|byte| self.has(*byte)).collect())
    }
}
