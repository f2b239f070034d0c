//! Forged leaves for tests that prove the constraints: what a thief of the intermediate's key could make.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::authority::unix_seconds;
use crate::constraints::HostName;
use crate::{CertAuthority, CertError};

/// A leaf that was signed without a look at the constraints.
pub struct UncheckedLeaf {
    pub certified_key: Arc<CertifiedKey>,
    /// Leaf, then intermediate.
    pub chain_pem: String,
    pub key_pem: String,
}

impl CertAuthority {
    /// Signs a leaf for any host at all with the intermediate's key.
    pub fn mint_unchecked(&self, host: &str) -> Result<UncheckedLeaf, CertError> {
        let issuing = self.issuing();
        let minted = crate::leaf::sign(issuing, &HostName::parse(host)?, unix_seconds(SystemTime::now()))?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(minted.key.serialize_der()));
        let signing = rustls::crypto::ring::sign::any_ecdsa_type(&der).map_err(CertError::Tls)?;
        let chain = vec![minted.certificate.der().clone(), issuing.pair.intermediate_der.clone()];
        Ok(UncheckedLeaf {
            chain_pem: format!("{}{}", minted.certificate.pem(), issuing.pair.intermediate_pem),
            key_pem: minted.key.serialize_pem(),
            certified_key: Arc::new(CertifiedKey::new(chain, signing)),
        })
    }
}
