//! Where the intermediate's key lives between starts, and the root's key that lives for one signature.

use std::error::Error;
use std::fmt;

use p256::ecdsa::signature::Signer;
use p256::pkcs8::DecodePrivateKey;
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
    /// Memory for a key that stays for as long as the authority serves: locked against swapping where that is possible.
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

/// The intermediate's key: only its serialised form is held, the key itself lives for one signature. p256 zeroises its
/// scalar on drop, which ring's key pairs don't.
pub(crate) struct MintKey {
    pkcs8: HeldKey,
    public: Vec<u8>,
}

impl MintKey {
    /// None if the bytes are no P-256 key in PKCS #8.
    pub(crate) fn open(pkcs8: HeldKey) -> Option<MintKey> {
        let public = parse((*pkcs8).as_ref())?.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Some(MintKey { pkcs8, public })
    }
}

fn parse(pkcs8: &[u8]) -> Option<p256::ecdsa::SigningKey> {
    p256::ecdsa::SigningKey::from_pkcs8_der(pkcs8).ok()
}

impl PublicKeyData for MintKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for MintKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let key = parse((*self.pkcs8).as_ref()).ok_or(rcgen::Error::CouldNotParseKeyPair)?;
        signature(&key, message)
    }
}

fn signature(key: &p256::ecdsa::SigningKey, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
    let signature: p256::ecdsa::DerSignature =
        key.try_sign(message).map_err(|_| rcgen::Error::RemoteKeyError)?;
    Ok(signature.as_bytes().to_vec())
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
        signature(&self.key, message)
    }
}
