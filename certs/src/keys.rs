//! Where the intermediate's key lives between starts, and the root's key that lives for one signature.

use std::error::Error;
use std::fmt;

use p256::ecdsa::signature::Signer;
use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};
use zeroize::Zeroizing;

use crate::CertError;

/// A place for private keys, such as the OS keychain. Names are short and safe for file names.
pub trait KeyStore: Send + Sync {
    /// `Ok(None)` means that the store answered and has no such key. A store that can't answer is an error.
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyStoreError>;
    fn store(&self, name: &str, key: &[u8]) -> Result<(), KeyStoreError>;
    /// Deleting a key that isn't there is fine.
    fn delete(&self, name: &str) -> Result<(), KeyStoreError>;
}

/// Whatever the store had to say; transparent, so its message and causes stay readable.
#[derive(Debug)]
pub struct KeyStoreError(Box<dyn Error + Send + Sync>);

impl KeyStoreError {
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> KeyStoreError {
        KeyStoreError(cause.into())
    }

    /// For a caller that knows its store's own error type (locked, denied, absent).
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl fmt::Display for KeyStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for KeyStoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// The root's key. It signs the root and one intermediate, then is wiped: p256 zeroises its scalar on drop,
/// which ring's key pairs don't.
pub(crate) struct RootKey {
    key: p256::ecdsa::SigningKey,
    public: Vec<u8>,
}

impl RootKey {
    pub(crate) fn generate() -> Result<RootKey, CertError> {
        let mut scalar = Zeroizing::new([0_u8; 32]);
        loop {
            getrandom::fill(&mut *scalar).map_err(CertError::Random)?;
            // One draw in 2^32 lies outside the group's order.
            if let Ok(key) = p256::ecdsa::SigningKey::from_slice(&*scalar) {
                let public = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
                return Ok(RootKey { key, public });
            }
        }
    }
}

impl PublicKeyData for RootKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for RootKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: p256::ecdsa::DerSignature =
            self.key.try_sign(message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(signature.as_bytes().to_vec())
    }
}
