//! The key under which values become fingerprints.
//!
//! Everything that is derived from a value goes through here, so that no other module can keep a
//! value by accident. Hashing masks its input first: what a hash function leaves behind on the
//! stack is then no plaintext (decision 20 searches all readable memory).

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes in the window that a scan looks up; the shortest value that can be indexed.
pub(crate) const WINDOW: usize = 8;

/// Thirty-two random bytes that never leave the machine. Without them a [`super::SecretSet`] says
/// nothing about the values it was built from.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct IndexKey([u8; 32]);

impl IndexKey {
    pub fn new(bytes: [u8; 32]) -> IndexKey {
        IndexKey(bytes)
    }

    /// For handing the key to the process that loads the values.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexKey(..)")
    }
}

/// A keyed hash with a masked input. One per purpose: the label keeps purposes apart.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct MaskedHash {
    key: [u8; 32],
    mask: [u8; 64],
}

impl MaskedHash {
    pub(crate) fn new(key: &[u8; 32], label: &str) -> MaskedHash {
        let mut derive = blake3::Hasher::new_derive_key(label);
        derive.update(key);
        let mut reader = derive.finalize_xof();
        let mut out = MaskedHash { key: [0; 32], mask: [0; 64] };
        reader.fill(&mut out.key);
        reader.fill(&mut out.mask);
        out
    }

    pub(crate) fn digest(&self, value: &[u8]) -> [u8; 16] {
        self.digest_by(value, |byte| byte)
    }

    /// As [`Self::digest`] of the value in lower case, without making that copy.
    pub(crate) fn digest_lower(&self, value: &[u8]) -> [u8; 16] {
        self.digest_by(value, |byte| byte.to_ascii_lowercase())
    }

    fn digest_by(&self, value: &[u8], fold: impl Fn(u8) -> u8) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&(value.len() as u64).to_le_bytes());
        let mut block = [0u8; 64];
        for chunk in value.chunks(64) {
            for ((masked, byte), mask) in block.iter_mut().zip(chunk).zip(&self.mask) {
                *masked = fold(*byte) ^ mask;
            }
            hasher.update(block.get(..chunk.len()).unwrap_or_default());
        }
        let mut out = [0u8; 16];
        hasher.finalize_xof().fill(&mut out);
        out
    }
}

/// The hashes an index is made of, derived from one [`IndexKey`].
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct IndexHasher {
    add: u64,
    multiply: u64,
    pub(crate) whole: MaskedHash,
    /// Tells whether two sets were made under the same key.
    pub(crate) check: [u8; 8],
}

impl IndexHasher {
    pub(crate) fn new(key: &IndexKey) -> IndexHasher {
        let windows = Zeroizing::new(blake3::derive_key("sallyport detect 1: windows", key.as_bytes()));
        let check = blake3::derive_key("sallyport detect 1: key check", key.as_bytes());
        let word = |at: usize, from: &[u8; 32]| {
            let mut bytes = [0u8; 8];
            bytes.copy_from_slice(from.get(at..at + 8).unwrap_or(&[0; 8]));
            bytes
        };
        IndexHasher {
            add: u64::from_le_bytes(word(0, &windows)),
            multiply: u64::from_le_bytes(word(8, &windows)) | 1,
            whole: MaskedHash::new(key.as_bytes(), "sallyport detect 1: whole values"),
            check: word(0, &check),
        }
    }

    /// The hash of one window, blind to ASCII case so that hex in any case needs no second pass.
    ///
    /// An index keeps at most 32 bits of it: with the key at hand the full 64 could be inverted.
    #[inline(always)]
    pub(crate) fn window(&self, bytes: [u8; WINDOW]) -> u64 {
        self.folded(u64::from_le_bytes(bytes) | 0x2020_2020_2020_2020)
    }

    #[inline(always)]
    pub(crate) fn folded(&self, folded: u64) -> u64 {
        (folded ^ self.add).wrapping_mul(self.multiply)
    }

    /// The kept part of a window's hash: the upper half, which every byte of the window reaches.
    #[inline(always)]
    pub(crate) fn print(hash: u64) -> u32 {
        (hash >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_not_printed() {
        assert_eq!(format!("{:?}", IndexKey::new([7; 32])), "IndexKey(..)");
    }

    #[test]
    fn digests_depend_on_key_length_and_label() {
        let one = MaskedHash::new(&[1; 32], "a");
        assert_eq!(one.digest(b"value"), MaskedHash::new(&[1; 32], "a").digest(b"value"));
        assert_ne!(one.digest(b"value"), MaskedHash::new(&[2; 32], "a").digest(b"value"));
        assert_ne!(one.digest(b"value"), MaskedHash::new(&[1; 32], "b").digest(b"value"));
        assert_ne!(one.digest(b"\0"), one.digest(b"\0\0"));
        assert_eq!(one.digest_lower(b"VaLuE"), one.digest(b"value"));
        let long = vec![b'x'; 1000];
        assert_ne!(one.digest(&long), one.digest(long.get(..999).unwrap()));
    }
}
