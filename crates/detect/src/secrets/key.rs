//! The key under which values become fingerprints.
//!
//! Everything that is derived from a value goes through here, so that no other module can keep a
//! value by accident. Hashing masks its input first: what a hash function leaves behind on the
//! stack is then no plaintext (decision 20 searches all readable memory).

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use zeroize::Zeroizing;

/// Bytes in the window that a scan looks up; the shortest value that can be indexed.
pub(crate) const WINDOW: usize = 8;

/// Key material in whatever memory its owner chose; the engine's is locked against swapping.
pub type HeldKey<const N: usize> = Arc<dyn Deref<Target = [u8; N]> + Send + Sync>;

/// Chooses the memory that keys live in.
pub trait KeyMemory {
    fn hold<const N: usize>(&self, key: Zeroizing<[u8; N]>) -> HeldKey<N>;
}

/// Memory that is wiped when dropped and nothing more, for a look that is over soon.
#[derive(Debug, Clone, Copy)]
pub struct OrdinaryMemory;

impl KeyMemory for OrdinaryMemory {
    fn hold<const N: usize>(&self, key: Zeroizing<[u8; N]>) -> HeldKey<N> {
        Arc::new(key)
    }
}

/// Thirty-two random bytes that never leave the machine, and what the hashes of an index derive from
/// them. Without it a [`super::SecretSet`] says nothing about the values it was built from.
#[derive(Clone)]
pub struct IndexKey {
    key: HeldKey<32>,
    hasher: IndexHasher,
}

impl IndexKey {
    pub fn new(bytes: [u8; 32]) -> IndexKey {
        IndexKey::held(Zeroizing::new(bytes), &OrdinaryMemory)
    }

    pub fn held(bytes: Zeroizing<[u8; 32]>, memory: &impl KeyMemory) -> IndexKey {
        IndexKey { hasher: IndexHasher::derive(&bytes, memory), key: memory.hold(bytes) }
    }

    /// For handing the key to the process that loads the values.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.key
    }

    pub(crate) fn hasher(&self) -> &IndexHasher {
        &self.hasher
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexKey(..)")
    }
}

const KEY: usize = 32;
const MASK: usize = 64;

/// A keyed hash with a masked input. One per purpose: the label keeps purposes apart.
#[derive(Clone)]
pub(crate) struct MaskedHash(HeldKey<{ KEY + MASK }>);

impl MaskedHash {
    pub(crate) fn new(key: &[u8; 32], label: &str, memory: &impl KeyMemory) -> MaskedHash {
        let mut derive = blake3::Hasher::new_derive_key(label);
        derive.update(key);
        let mut material = Zeroizing::new([0; KEY + MASK]);
        derive.finalize_xof().fill(&mut *material);
        MaskedHash(memory.hold(material))
    }

    pub(crate) fn digest(&self, value: &[u8]) -> [u8; 16] {
        self.digest_by(&[], value, |byte| byte)
    }

    /// As [`Self::digest`], for those alone who ask under the same `salt`.
    pub(crate) fn salted(&self, salt: &[u8; 32], value: &[u8]) -> [u8; 16] {
        self.digest_by(salt, value, |byte| byte)
    }

    /// As [`Self::digest`] of the value in lower case, without making that copy.
    pub(crate) fn digest_lower(&self, value: &[u8]) -> [u8; 16] {
        self.digest_by(&[], value, |byte| byte.to_ascii_lowercase())
    }

    fn digest_by(&self, salt: &[u8], value: &[u8], fold: impl Fn(u8) -> u8) -> [u8; 16] {
        let mut key = Zeroizing::new([0; KEY]);
        key.iter_mut().zip(self.0.iter()).for_each(|(to, from)| *to = *from);
        let mut hasher = blake3::Hasher::new_keyed(&key);
        hasher.update(salt);
        hasher.update(&(value.len() as u64).to_le_bytes());
        let mut block = [0u8; MASK];
        for chunk in value.chunks(MASK) {
            for ((masked, byte), mask) in block.iter_mut().zip(chunk).zip(self.0.iter().skip(KEY)) {
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
#[derive(Clone)]
pub(crate) struct IndexHasher {
    windows: HeldKey<16>,
    pub(crate) whole: MaskedHash,
    /// Tells whether two sets were made under the same key.
    pub(crate) check: [u8; 8],
}

impl IndexHasher {
    fn derive(key: &[u8; 32], memory: &impl KeyMemory) -> IndexHasher {
        let derived = Zeroizing::new(blake3::derive_key("sallyport detect 1: windows", key));
        let mut windows = Zeroizing::new([0; 16]);
        windows.iter_mut().zip(derived.iter()).for_each(|(to, from)| *to = *from);
        let mut check = [0; 8];
        let derived = blake3::derive_key("sallyport detect 1: key check", key);
        check.iter_mut().zip(derived).for_each(|(to, from)| *to = from);
        IndexHasher {
            windows: memory.hold(windows),
            whole: MaskedHash::new(key, "sallyport detect 1: whole values", memory),
            check,
        }
    }

    /// For one walk through a text: where it is read from would cost as much as the hash itself.
    pub(crate) fn windows(&self) -> WindowHash {
        let bits = u128::from_le_bytes(**self.windows);
        WindowHash { add: bits as u64, multiply: (bits >> 64) as u64 | 1 }
    }
}

/// The hash of a window.
#[derive(Clone, Copy)]
pub(crate) struct WindowHash {
    add: u64,
    multiply: u64,
}

impl WindowHash {
    /// Blind to ASCII case so that hex in any case needs no second pass.
    ///
    /// An index keeps at most 32 bits of it: with the key at hand the full 64 could be inverted.
    #[inline(always)]
    pub(crate) fn window(self, bytes: [u8; WINDOW]) -> u64 {
        self.folded(u64::from_le_bytes(bytes) | 0x2020_2020_2020_2020)
    }

    #[inline(always)]
    pub(crate) fn folded(self, folded: u64) -> u64 {
        (folded ^ self.add).wrapping_mul(self.multiply)
    }

    /// The hash of windows of which only the first five bytes count.
    pub(crate) fn first_five(self) -> FirstFive {
        FirstFive {
            add: self.add >> CUT,
            multiply: self.multiply << CUT,
            rest: (FILL ^ self.add & !(u64::MAX << CUT)).wrapping_mul(self.multiply),
        }
    }

    /// The kept part of a window's hash: the upper half, which every byte of the window reaches.
    #[inline(always)]
    pub(crate) fn print(hash: u64) -> u32 {
        (hash >> 32) as u32
    }
}

/// Bits of a window that do not count among its first five bytes, and what stands there instead.
const CUT: u32 = 24;
const FILL: u64 = 0x0040_4040;

/// See [`WindowHash::first_five`].
#[derive(Clone, Copy)]
pub(crate) struct FirstFive {
    add: u64,
    multiply: u64,
    rest: u64,
}

impl FirstFive {
    /// What [`WindowHash::folded`] says of `folded << CUT | FILL`, without a shift for each window.
    #[inline(always)]
    pub(crate) fn folded(self, folded: u64) -> u64 {
        (folded ^ self.add).wrapping_mul(self.multiply).wrapping_add(self.rest)
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
    fn the_first_five_bytes_are_hashed_as_all_eight_would_be() {
        let hash = IndexKey::new([5; 32]).hasher().windows();
        for window in [0, 1, u64::MAX, 0x6162_6364_6566_6768, 0x2d5f_3031_3233_ff00] {
            assert_eq!(hash.first_five().folded(window), hash.folded(window << CUT | FILL));
        }
    }

    #[test]
    fn digests_depend_on_key_length_and_label() {
        let one = MaskedHash::new(&[1; 32], "a", &OrdinaryMemory);
        assert_eq!(one.digest(b"value"), MaskedHash::new(&[1; 32], "a", &OrdinaryMemory).digest(b"value"));
        assert_ne!(one.digest(b"value"), MaskedHash::new(&[2; 32], "a", &OrdinaryMemory).digest(b"value"));
        assert_ne!(one.digest(b"value"), MaskedHash::new(&[1; 32], "b", &OrdinaryMemory).digest(b"value"));
        assert_ne!(one.digest(b"\0"), one.digest(b"\0\0"));
        assert_eq!(one.digest_lower(b"VaLuE"), one.digest(b"value"));
        assert_ne!(one.salted(&[1; 32], b"value"), one.salted(&[2; 32], b"value"));
        let long = vec![b'x'; 1000];
        assert_ne!(one.digest(&long), one.digest(long.get(..999).unwrap()));
    }
}
