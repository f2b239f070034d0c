//! The platform's key store, in the shape that the authority and the trail each ask for, and the installation's keys.

use sallyport_detect::IndexKey;
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

/// One store for all who keep keys.
pub(crate) struct KeyRing<'k>(pub(crate) &'k dyn PlatformStore);

impl sallyport_certs::KeyStore for KeyRing<'_> {
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, sallyport_certs::KeyStoreError> {
        self.0.load(name).map_err(sallyport_certs::KeyStoreError::new)
    }

    fn store(&self, name: &str, key: &[u8]) -> Result<(), sallyport_certs::KeyStoreError> {
        self.0.store(name, key).map_err(sallyport_certs::KeyStoreError::new)
    }

    fn delete(&self, name: &str) -> Result<(), sallyport_certs::KeyStoreError> {
        self.0.delete(name).map_err(sallyport_certs::KeyStoreError::new)
    }
}

impl sallyport_audit::KeyStore for KeyRing<'_> {
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, sallyport_audit::KeyStoreError> {
        self.0.load(name).map_err(sallyport_audit::KeyStoreError::new)
    }

    fn store(&self, name: &str, key: &[u8]) -> Result<(), sallyport_audit::KeyStoreError> {
        self.0.store(name, key).map_err(sallyport_audit::KeyStoreError::new)
    }
}

/// Keys that belong to this installation, derived from one that the store keeps.
pub(crate) struct Installation {
    pub(crate) index: IndexKey,
    pub(crate) threads: [u8; 32],
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
        })
    }
}
