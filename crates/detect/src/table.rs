//! A static table from 32-bit prints to patterns, made to be asked once per byte of text.

/// Prints of one kind (windows, openings, keywords) with the patterns that have them.
#[derive(Default)]
pub(crate) struct Table {
    /// One bit per hash, so that nearly every byte of a text costs one load.
    bits: Vec<u64>,
    shift: u32,
    /// Where in `rows` the prints with the same top bits begin.
    starts: Vec<u32>,
    start_shift: u32,
    /// Sorted by print.
    rows: Vec<(u32, u32)>,
}

impl Table {
    /// `rows`: print and pattern number.
    pub(crate) fn new(mut rows: Vec<(u32, u32)>) -> Table {
        rows.sort_unstable();
        rows.dedup();
        rows.shrink_to_fit();
        if rows.is_empty() {
            return Table::default();
        }
        // Sparse enough that the table behind is asked for about one byte in 64 to 128; one in 16 to 32 where the
        // bits would be larger than the processor's nearer caches.
        let bits_wanted = (rows.len() * 64).min(1 << 22).max(rows.len() * 16);
        let bit_count = bits_wanted.next_power_of_two().clamp(1 << 15, 1 << 28);
        let shift = 32 - bit_count.trailing_zeros();
        let mut bits = vec![0u64; bit_count / 64];
        for (print, _) in &rows {
            let bit = (print >> shift) as usize;
            if let Some(word) = bits.get_mut(bit / 64) {
                *word |= 1 << (bit % 64);
            }
        }
        let start_bits = (rows.len() / 4).next_power_of_two().trailing_zeros().clamp(4, 24);
        let start_shift = 32 - start_bits;
        let starts = (0..=1u64 << start_bits)
            .map(|top| rows.partition_point(|(print, _)| u64::from(*print) < top << start_shift) as u32)
            .collect();
        Table { bits, shift, starts, start_shift, rows }
    }

    #[inline(always)]
    pub(crate) fn maybe(&self, print: u32) -> bool {
        let bit = print >> self.shift;
        self.bits.get((bit / 64) as usize).copied().unwrap_or(0) >> (bit % 64) & 1 != 0
    }

    pub(crate) fn contains(&self, print: u32) -> bool {
        self.patterns(print).next().is_some()
    }

    /// The numbers of the patterns with this print.
    pub(crate) fn patterns(&self, print: u32) -> impl Iterator<Item = u32> + '_ {
        let top = (print >> self.start_shift) as usize;
        let range = match (self.starts.get(top), self.starts.get(top + 1)) {
            (Some(start), Some(end)) => *start as usize..*end as usize,
            _ => 0..0,
        };
        let rows = self.rows.get(range).unwrap_or_default();
        rows.iter().filter(move |(held, _)| *held == print).map(|(_, pattern)| *pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_print_is_found_with_its_patterns() {
        for count in [1u32, 2, 15, 16, 17, 5_000] {
            let print = |i: u32| (i / 2).wrapping_mul(0x9e37_79b9) ^ 0xffff_0000;
            let table = Table::new((0..count).map(|i| (print(i), i)).collect());
            for i in 0..count {
                assert!(table.maybe(print(i)));
                assert!(table.patterns(print(i)).any(|pattern| pattern == i));
            }
        }
        let extremes = Table::new(vec![(0, 1), (u32::MAX, 2)]);
        assert_eq!(extremes.patterns(0).collect::<Vec<_>>(), [1]);
        assert_eq!(extremes.patterns(u32::MAX).collect::<Vec<_>>(), [2]);
        assert!(!Table::default().maybe(7));
    }
}
