//! The key that signs checkpoints, and its public half that verifiers pin.

use std::error::Error;
use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::AuditError;
use crate::canonical::{hex, unhex};

/// The name under which the signing key lies in the key store.
pub const SIGNING_KEY: &str = "audit-signing-key";

/// Bytes of an Ed25519 seed.
const SEED: usize = 32;

/// A place for the signing key, such as the OS keychain.
pub trait KeyStore: Send + Sync {
    /// `Ok(None)` means that the store answered and has no such key. A store that can't answer is an error.
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyStoreError>;
    fn store(&self, name: &str, key: &[u8]) -> Result<(), KeyStoreError>;
    /// Memory for a key that stays for as long as the trail is open: locked against swapping where that is possible.
    fn hold(&self, key: Zeroizing<Vec<u8>>) -> HeldKey {
        Box::new(key)
    }
}

/// A key's bytes in memory, wiped on drop.
pub type HeldKey = Box<dyn AsRef<[u8]> + Send + Sync>;

/// Whatever the store had to say; transparent, so its message and causes stay readable.
#[derive(Debug)]
pub struct KeyStoreError(Box<dyn Error + Send + Sync>);

impl KeyStoreError {
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> KeyStoreError {
        KeyStoreError(cause.into())
    }

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

/// An Ed25519 public key; as text it is 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    pub fn from_hex(text: &str) -> Option<PublicKey> {
        VerifyingKey::from_bytes(&unhex(text.trim())?).ok().map(PublicKey)
    }

    pub fn to_hex(self) -> String {
        hex(self.0.as_bytes())
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.to_hex())
    }
}

/// The key of that name; a new one where the store has none of that length.
pub(crate) fn random_key(
    keys: &dyn KeyStore,
    name: &str,
    len: usize,
) -> Result<Zeroizing<Vec<u8>>, AuditError> {
    let stored = keys.load(name).map_err(|source| AuditError::KeyStore { action: "load", source })?;
    if let Some(key) = stored.filter(|key| key.len() == len) {
        return Ok(key);
    }
    let mut key = Zeroizing::new(vec![0; len]);
    getrandom::fill(&mut key).map_err(AuditError::Random)?;
    keys.store(name, &key).map_err(|source| AuditError::KeyStore { action: "store", source })?;
    Ok(key)
}

/// The private half: its seed alone is held, the key that follows from it lives for one signature.
pub(crate) struct Signing {
    seed: HeldKey,
    public: PublicKey,
}

impl Signing {
    pub(crate) fn load_or_create(keys: &dyn KeyStore) -> Result<Signing, AuditError> {
        Ok(Signing::held(keys.hold(random_key(keys, SIGNING_KEY, SEED)?)))
    }

    fn held(seed: HeldKey) -> Signing {
        let public = PublicKey(key((*seed).as_ref()).verifying_key());
        Signing { seed, public }
    }

    pub(crate) fn public(&self) -> PublicKey {
        self.public
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        key((*self.seed).as_ref()).sign(message).to_bytes()
    }

    #[cfg(test)]
    pub(crate) fn from_seed(seed: [u8; SEED]) -> Signing {
        Signing::held(Box::new(Zeroizing::new(seed.to_vec())))
    }
}

/// The key of a seed; it wipes itself when dropped.
fn key(seed: &[u8]) -> SigningKey {
    let mut bytes = Zeroizing::new([0; SEED]);
    bytes.iter_mut().zip(seed).for_each(|(to, from)| *to = *from);
    SigningKey::from_bytes(&bytes)
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signing")
    }
}
