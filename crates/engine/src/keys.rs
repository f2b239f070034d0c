//! The platform's key store, in the shape that the authority and the trail each ask for, and the installation's keys.

use parking_lot::Mutex;
use sallyport_detect::IndexKey;
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

/// One store for all who keep keys, and locked memory for what they keep.
pub(crate) struct KeyRing<'k> {
    store: &'k dyn PlatformStore,
    unlocked: Mutex<Option<String>>,
}

impl<'k> KeyRing<'k> {
    pub(crate) fn new(store: &'k dyn PlatformStore) -> KeyRing<'k> {
        KeyRing { store, unlocked: Mutex::new(None) }
    }

    /// Why some key's pages could not be locked; none if all could.
    pub(crate) fn unlocked(&self) -> Option<String> {
        self.unlocked.lock().clone()
    }

    fn held(&self, key: Zeroizing<Vec<u8>>) -> Box<dyn AsRef<[u8]> + Send + Sync> {
        let mut key = key;
        match LockedBytes::from_wiped(&mut key) {
            Ok(locked) => {
                if let LockState::Unlocked(reason) = locked.lock_state() {
                    *self.unlocked.lock() = Some(reason.clone());
                }
                Box::new(locked)
            }
            Err(error) => {
                *self.unlocked.lock() = Some(error.to_string());
                Box::new(key)
            }
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
    pub(crate) threads: [u8; 32],
    /// Seals what was granted.
    pub(crate) elevation: Zeroizing<[u8; 32]>,
}

impl Installation {
    pub(crate) fn open(store: &dyn PlatformStore) -> Result<Installation, PlatformError> {
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
        Ok(Installation {
            index: IndexKey::new(blake3::derive_key("sallyport engine 1: secret fingerprints", &key)),
            threads: blake3::derive_key("sallyport engine 1: placeholder threads", &key),
            elevation: Zeroizing::new(blake3::derive_key("sallyport engine 1: elevation", &key)),
        })
    }
}
