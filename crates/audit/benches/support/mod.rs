//! What the benches start a trail with.

use std::sync::Mutex;

use sallyport_audit::{KeyStore, KeyStoreError};
use zeroize::Zeroizing;

/// Keeps keys in memory.
#[derive(Default)]
pub(crate) struct Keys(Mutex<Option<Vec<u8>>>);

impl KeyStore for Keys {
    fn load(&self, _: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyStoreError> {
        Ok(self.0.lock().map_err(|e| KeyStoreError::new(e.to_string()))?.clone().map(Zeroizing::new))
    }

    fn store(&self, _: &str, key: &[u8]) -> Result<(), KeyStoreError> {
        *self.0.lock().map_err(|e| KeyStoreError::new(e.to_string()))? = Some(key.to_vec());
        Ok(())
    }
}
