//! The platform's key store, in the shape that the authority and the trail each ask for, and the installation's keys.

use parking_lot::Mutex;
use std::ops::Deref;
use std::sync::Arc;

use sallyport_detect::{Fingerprinter, HeldKey, IndexKey, KeyMemory, TagKey};
use sallyport_platform::memory::{LockState, LockedBytes};
use sallyport_platform::{KeyStore as PlatformStore, KeyStoreError as PlatformError, Keys};
use zeroize::Zeroizing;

/// 32 random bytes from which this installation's keys for fingerprints and threads are derived.
const INSTALLATION_KEY: &str = "installation-key";

/// The open key store of an engine. A keychain's connection may not be closed on a thread that runs async tasks, so
/// it is closed on one of its own.
pub(crate) struct OpenKeys(Option<Keys>);

impl OpenKeys {
    pub(crate) fn new(keys: Keys) -> OpenKeys {
        OpenKeys(Some(keys))
    }

    pub(crate) fn with_store<T>(&self, use_it: impl FnOnce(&dyn PlatformStore) -> T) -> Option<T> {
        self.0.as_ref().map(|keys| use_it(keys.store.as_ref()))
    }
}

impl Drop for OpenKeys {
    fn drop(&mut self) {
        if let Some(keys) = self.0.take() {
            let closing = std::thread::spawn(move || drop(keys));
            if closing.join().is_err() {
                tracing::warn!("the key store could not be closed in order");
            }
        }
    }
}

/// Locked pages for keys. Where locking is refused a key stays in ordinary memory, and why is kept for a health item.
#[derive(Default)]
pub(crate) struct LockedMemory {
    refused: Mutex<Option<String>>,
}

impl LockedMemory {
    /// Moves `key` to locked pages. None leaves it where it is.
    fn locked(&self, key: &mut [u8]) -> Option<LockedBytes> {
        match LockedBytes::from_wiped(key) {
            Ok(locked) => {
                if let LockState::Unlocked(reason) = locked.lock_state() {
                    *self.refused.lock() = Some(reason.clone());
                }
                Some(locked)
            }
            Err(error) => {
                *self.refused.lock() = Some(error.to_string());
                None
            }
        }
    }
}

impl KeyMemory for LockedMemory {
    fn hold<const N: usize>(&self, key: Zeroizing<[u8; N]>) -> HeldKey<N> {
        let mut key = key;
        match self.locked(&mut *key) {
            Some(locked) => Arc::new(LockedKey(locked)),
            None => Arc::new(key),
        }
    }
}

/// Locked bytes of a length that is known.
struct LockedKey<const N: usize>(LockedBytes);

impl<const N: usize> Deref for LockedKey<N> {
    type Target = [u8; N];

    fn deref(&self) -> &[u8; N] {
        self.0.first_chunk().expect("it was made of N bytes")
    }
}

/// One store for all who keep keys, and locked memory for what they keep.
pub(crate) struct KeyRing<'k> {
    store: &'k dyn PlatformStore,
    memory: LockedMemory,
}

impl<'k> KeyRing<'k> {
    pub(crate) fn new(store: &'k dyn PlatformStore) -> KeyRing<'k> {
        KeyRing { store, memory: LockedMemory::default() }
    }

    /// Why some key's pages could not be locked; none if all could.
    pub(crate) fn unlocked(&self) -> Option<String> {
        self.memory.refused.lock().clone()
    }

    fn held(&self, key: Zeroizing<Vec<u8>>) -> Box<dyn AsRef<[u8]> + Send + Sync> {
        let mut key = key;
        match self.memory.locked(&mut key) {
            Some(locked) => Box::new(locked),
            None => Box::new(key),
        }
    }
}

impl sallyport_certs::KeyStore for KeyRing<'_> {
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, sallyport_certs::KeyStoreError> {
        self.store.load(name).map_err(sallyport_certs::KeyStoreError::new)
    }

    fn store(&self, name: &str, key: &[u8]) -> Result<(), sallyport_certs::KeyStoreError> {
        self.store.store(name, key).map_err(sallyport_certs::KeyStoreError::new)
    }

    fn delete(&self, name: &str) -> Result<(), sallyport_certs::KeyStoreError> {
        self.store.delete(name).map_err(sallyport_certs::KeyStoreError::new)
    }

    fn hold(&self, key: Zeroizing<Vec<u8>>) -> sallyport_certs::HeldKey {
        self.held(key)
    }
}

impl sallyport_audit::KeyStore for KeyRing<'_> {
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, sallyport_audit::KeyStoreError> {
        self.store.load(name).map_err(sallyport_audit::KeyStoreError::new)
    }

    fn store(&self, name: &str, key: &[u8]) -> Result<(), sallyport_audit::KeyStoreError> {
        self.store.store(name, key).map_err(sallyport_audit::KeyStoreError::new)
    }

    fn hold(&self, key: Zeroizing<Vec<u8>>) -> sallyport_audit::HeldKey {
        self.held(key)
    }
}

/// Keys that belong to this installation, derived from one that the store keeps.
pub(crate) struct Installation {
    pub(crate) index: IndexKey,
    pub(crate) threads: HeldKey<32>,
    pub(crate) tags: TagKey,
    pub(crate) memory: HeldKey<32>,
    /// Seals what was granted.
    pub(crate) elevation: HeldKey<32>,
    /// Seals what a person allowed, and makes fingerprints of it.
    pub(crate) allowlist: HeldKey<32>,
    /// Seals approved assessments of tools.
    pub(crate) assessments: HeldKey<32>,
    pub(crate) fingerprinter: Fingerprinter,
}

impl Installation {
    pub(crate) fn open(ring: &KeyRing<'_>) -> Result<Installation, PlatformError> {
        let (store, memory) = (ring.store, &ring.memory);
        let known = store.load(INSTALLATION_KEY)?.filter(|key| key.len() == 32);
        let key = match known {
            Some(key) => key,
            None => {
                let mut fresh = Zeroizing::new(vec![0; 32]);
                sallyport_platform::host::random(&mut fresh)?;
                store.store(INSTALLATION_KEY, &fresh)?;
                fresh
            }
        };
        let derived = |context, key: &[u8]| Zeroizing::new(blake3::derive_key(context, key));
        let threads = derived("sallyport engine 1: placeholder threads", &key);
        let allowlist = derived("sallyport engine 1: allowlist", &key);
        Ok(Installation {
            index: IndexKey::held(derived("sallyport engine 1: secret fingerprints", &key), memory),
            tags: TagKey::held(&threads, memory),
            memory: memory.hold(derived("sallyport engine 1: scan memory", &*threads)),
            threads: memory.hold(threads),
            elevation: memory.hold(derived("sallyport engine 1: elevation", &key)),
            assessments: memory.hold(derived("sallyport engine 1: assessments", &key)),
            fingerprinter: Fingerprinter::new(&allowlist, memory),
            allowlist: memory.hold(allowlist),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_key_stands_on_locked_pages() {
        let memory = LockedMemory::default();
        let held = memory.hold(Zeroizing::new([7; 32]));
        assert_eq!(**held, [7; 32]);
        // Where the kernel shows a process's own pages.
        if let Ok(smaps) = std::fs::read_to_string("/proc/self/smaps") {
            assert_eq!(*memory.refused.lock(), None);
            let start = format!("{:x}-", held.as_ptr().addr());
            let flags = smaps.lines().skip_while(|line| !line.starts_with(&start));
            let flags = flags.into_iter().find(|line| line.starts_with("VmFlags:")).unwrap();
            assert!(flags.split(' ').any(|flag| flag == "lo"), "{flags}");
        }
    }
}
