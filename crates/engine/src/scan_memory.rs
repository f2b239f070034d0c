//! What blocks of text were found to hold: each turn of a chat resends its history, and a block that was looked at
//! under the same rules, values and policy need not be looked at again.
//!
//! A pure cache. It holds keyed hashes of blocks and what a look at them gave, never text; a hash that
//! could be made to collide would be an unscanned secret, so it is keyed BLAKE3 in full length.

use hashlink::LruCache;
use parking_lot::Mutex;
use sallyport_detect::HeldKey;

/// Blocks shorter than this are looked at anew: that is as quick.
const SHORTEST: usize = 128;

/// What the memory may weigh, in bytes. A clean block weighs about a hundred.
const MOST_BYTES: usize = 8 << 20;

/// What an entry costs beside its own content.
const ENTRY_BYTES: usize = 136;

/// A memory of one kind of look; `T` is what it gives.
pub(crate) struct ScanMemory<T> {
    key: HeldKey<32>,
    held: Mutex<Held<T>>,
}

struct Held<T> {
    blocks: LruCache<BlockId, (T, usize)>,
    bytes: usize,
}

/// A block's bytes under the key of this run. All memories of blocks ask by it, so that a block is hashed once.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Print([u8; 32]);

/// A block as it was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BlockId {
    print: Print,
    /// Who speaks, and how the bytes become text.
    reading: [u8; 2],
    generations: Generations,
}

/// Everything a look depends on beside the block, as numbers that change whenever what they stand for does: rules,
/// known and allowed values, and policy. Two that differ in anything know nothing of each other's blocks.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Generations {
    pub(crate) scanner: u64,
    pub(crate) policy: u64,
}

/// How heavy a result is, so that the memory stays bounded.
pub(crate) trait Weight {
    fn bytes(&self) -> usize;
}

impl<T: Clone + Weight> ScanMemory<T> {
    /// `key`: 32 bytes that belong to this run; nothing of the memory outlives it.
    pub(crate) fn new(key: HeldKey<32>) -> ScanMemory<T> {
        ScanMemory { key, held: Mutex::new(Held { blocks: LruCache::new_unbounded(), bytes: 0 }) }
    }

    pub(crate) fn print(&self, bytes: &[u8]) -> Print {
        Print(blake3::keyed_hash(&self.key, bytes).into())
    }

    /// None for a block that is not worth remembering. `print` is asked for only where it is.
    pub(crate) fn block(
        &self,
        generations: Generations,
        reading: [u8; 2],
        length: usize,
        print: impl FnOnce() -> Print,
    ) -> Option<BlockId> {
        (length >= SHORTEST).then(|| BlockId { print: print(), reading, generations })
    }

    pub(crate) fn recall(&self, block: &BlockId) -> Option<T> {
        self.held.lock().blocks.get(block).map(|(result, _)| result.clone())
    }

    pub(crate) fn remember(&self, block: BlockId, result: T) {
        let bytes = ENTRY_BYTES + result.bytes();
        let mut held = self.held.lock();
        if let Some((_, old)) = held.blocks.insert(block, (result, bytes)) {
            held.bytes -= old;
        }
        held.bytes += bytes;
        while held.bytes > MOST_BYTES {
            let Some((_, (_, old))) = held.blocks.remove_lru() else { break };
            held.bytes -= old;
        }
    }
}

impl<T> std::fmt::Debug for ScanMemory<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScanMemory(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use zeroize::Zeroizing;

    use super::*;

    impl Weight for Vec<u8> {
        fn bytes(&self) -> usize {
            self.len()
        }
    }

    impl Print {
        pub(crate) fn of_tests(bytes: &[u8]) -> Print {
            memory().print(bytes)
        }
    }

    fn memory() -> ScanMemory<Vec<u8>> {
        ScanMemory::new(Arc::new(Zeroizing::new([3; 32])))
    }

    fn block_of(
        memory: &ScanMemory<Vec<u8>>,
        look: Generations,
        reading: [u8; 2],
        text: &[u8],
    ) -> Option<BlockId> {
        memory.block(look, reading, text.len(), || memory.print(text))
    }

    #[test]
    fn a_block_is_known_under_the_same_key_and_reading_alone() {
        let memory = memory();
        let look = Generations { scanner: 1, policy: 2 };
        let text = [b'x'; 500];
        let block = block_of(&memory, look, [0, 0], &text).unwrap();
        memory.remember(block, vec![7]);
        assert_eq!(
            memory.recall(&block_of(&memory, Generations { scanner: 1, policy: 2 }, [0, 0], &text).unwrap()),
            Some(vec![7])
        );
        assert_eq!(
            memory.recall(&block_of(&memory, Generations { scanner: 1, policy: 3 }, [0, 0], &text).unwrap()),
            None
        );
        assert_eq!(memory.recall(&block_of(&memory, look, [1, 0], &text).unwrap()), None);
        assert_eq!(memory.recall(&block_of(&memory, look, [0, 1], &text).unwrap()), None);
        assert_eq!(memory.recall(&block_of(&memory, look, [0, 0], &text[1..]).unwrap()), None);
        assert!(block_of(&memory, look, [0, 0], &text[..SHORTEST - 1]).is_none());
        let other: ScanMemory<Vec<u8>> = ScanMemory::new(Arc::new(Zeroizing::new([4; 32])));
        assert_eq!(
            memory.recall(&block_of(&other, Generations { scanner: 1, policy: 2 }, [0, 0], &text).unwrap()),
            None
        );
    }

    #[test]
    fn it_forgets_the_oldest_and_stays_bounded() {
        let memory = memory();
        let look = Generations { scanner: 0, policy: 0 };
        let id = |i: u32| block_of(&memory, look, [0, 0], &i.to_le_bytes().repeat(50)).unwrap();
        let heavy = MOST_BYTES / 4;
        for i in 0..10 {
            memory.remember(id(i), vec![0; heavy]);
            // What is asked for stays.
            assert!(memory.recall(&id(0)).is_some());
        }
        assert!(memory.recall(&id(1)).is_none() && memory.recall(&id(9)).is_some());
        assert!(memory.held.lock().bytes <= MOST_BYTES);
        memory.remember(id(0), Vec::new());
        let bytes: usize = memory.held.lock().blocks.iter().map(|(_, (_, bytes))| bytes).sum();
        assert_eq!(memory.held.lock().bytes, bytes);
    }
}
