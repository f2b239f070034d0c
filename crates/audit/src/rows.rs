//! Which of a segment's rows: a set of places in it. A segment is small enough that each set has one fixed size,
//! so sets are joined and intersected without allocating.

/// Rows of a segment.
pub(crate) const ROWS: u64 = 4096;
const WORDS: usize = ROWS as usize / 64;
/// Up to here places one by one take less room than a bit for each row.
const FEW: usize = ROWS as usize / 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowSet([u64; WORDS]);

impl RowSet {
    pub(crate) const EMPTY: RowSet = RowSet([0; WORDS]);

    pub(crate) fn insert(&mut self, place: u16) {
        if let Some(word) = self.0.get_mut(usize::from(place) / 64) {
            *word |= 1 << (place % 64);
        }
    }

    pub(crate) fn contains(&self, place: u16) -> bool {
        self.0.get(usize::from(place) / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    pub(crate) fn add(&mut self, other: &RowSet) {
        self.each(other, |a, b| a | b);
    }

    pub(crate) fn keep(&mut self, other: &RowSet) {
        self.each(other, |a, b| a & b);
    }

    pub(crate) fn drop_those(&mut self, other: &RowSet) {
        self.each(other, |a, b| a & !b);
    }

    fn each(&mut self, other: &RowSet, join: impl Fn(u64, u64) -> u64) {
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            *a = join(*a, *b);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Ascending; from the other end descending.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = u16> + '_ {
        (0..ROWS as u16).filter(|place| self.contains(*place))
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let len = self.len();
        out.extend_from_slice(&(len as u16).to_le_bytes());
        if len <= FEW {
            self.iter().for_each(|place| out.extend_from_slice(&place.to_le_bytes()));
        } else {
            self.0.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        }
    }

    /// The encoded set at the front of `bytes`, without looking at it, and what follows.
    pub(crate) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let (len, _) = bytes.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_le_bytes(*len));
        bytes.split_at_checked(2 + if len <= FEW { 2 * len } else { 8 * WORDS })
    }

    /// A set as `split` cut it out.
    pub(crate) fn decode(encoded: &[u8]) -> RowSet {
        let mut rows = RowSet::EMPTY;
        let Some((len, body)) = encoded.split_first_chunk::<2>() else { return rows };
        if usize::from(u16::from_le_bytes(*len)) <= FEW {
            body.as_chunks::<2>().0.iter().for_each(|place| rows.insert(u16::from_le_bytes(*place)));
        } else {
            for (word, bytes) in rows.0.iter_mut().zip(body.as_chunks::<8>().0) {
                *word = u64::from_le_bytes(*bytes);
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_survives_encoding_whether_few_or_many() {
        for step in [1, 2, 15, 16, 17, 700, 4096] {
            let mut rows = RowSet::EMPTY;
            (0..ROWS as u16).step_by(step).for_each(|place| rows.insert(place));
            let mut bytes = Vec::new();
            rows.encode(&mut bytes);
            assert!(bytes.len() <= 2 + 8 * WORDS);
            bytes.push(7);
            let (encoded, rest) = RowSet::split(&bytes).unwrap();
            assert_eq!((RowSet::decode(encoded), rest), (rows.clone(), &[7_u8][..]));
            assert_eq!(rows.iter().count(), rows.len());
            assert!(RowSet::split(&bytes[..bytes.len() - 2]).is_none());
        }
    }

    #[test]
    fn sets_join_and_part() {
        let of = |places: &[u16]| {
            let mut rows = RowSet::EMPTY;
            places.iter().for_each(|place| rows.insert(*place));
            rows
        };
        let mut rows = of(&[1, 63, 64, 4095]);
        rows.add(&of(&[2]));
        rows.keep(&of(&[1, 2, 4095, 9]));
        rows.drop_those(&of(&[1]));
        assert_eq!(rows.iter().rev().collect::<Vec<_>>(), [4095, 2]);
        assert!(!rows.is_empty() && RowSet::EMPTY.is_empty());
    }
}
