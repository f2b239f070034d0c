//! A root and its intermediate as read from files, checked against each other, and joined with the key.

use rcgen::{Issuer, PublicKeyData};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use crate::Constraints;
use crate::issue::sha256_hex;
use crate::keys::{HeldKey, MintKey};

/// Two certificates that belong together: the intermediate is signed by the root, both are critically
/// constrained to the same names.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) root_pem: String,
    pub(crate) root_der: CertificateDer<'static>,
    pub(crate) intermediate_pem: String,
    pub(crate) intermediate_der: CertificateDer<'static>,
    pub(crate) constraints: Constraints,
    /// Seconds since 1970 in which both are valid.
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
    /// Where the key store keeps the intermediate's key.
    pub(crate) key_name: String,
    public_key: Vec<u8>,
}

impl Pair {
    /// `Err` says what is wrong with the files.
    pub(crate) fn parse(root_pem: String, intermediate_pem: String) -> Result<Pair, &'static str> {
        let root_der = CertificateDer::from_pem_slice(root_pem.as_bytes())
            .map_err(|_| "the root's file holds no certificate")?;
        let intermediate_der = CertificateDer::from_pem_slice(intermediate_pem.as_bytes())
            .map_err(|_| "the intermediate's file holds no certificate")?;
        let (_, root) = X509Certificate::from_der(&root_der).map_err(|_| "the root can't be parsed")?;
        let (_, intermediate) =
            X509Certificate::from_der(&intermediate_der).map_err(|_| "the intermediate can't be parsed")?;
        if root.verify_signature(None).is_err() {
            return Err("the root's own signature is wrong");
        }
        if intermediate.issuer() != root.subject()
            || intermediate.verify_signature(Some(root.public_key())).is_err()
        {
            return Err("the intermediate is not signed by the root");
        }
        if path_length(&root) != Some(1) || path_length(&intermediate) != Some(0) {
            return Err("the certificates are not a root and its last intermediate");
        }
        let constraints = Constraints::read(&root).ok_or("the root is not constrained as it should be")?;
        if Constraints::read(&intermediate).as_ref() != Some(&constraints) {
            return Err("the intermediate is not constrained as its root is");
        }
        let seconds = |t: i64| u64::try_from(t).unwrap_or(0);
        let (r, i) = (root.validity(), intermediate.validity());
        let not_before = seconds(r.not_before.timestamp().max(i.not_before.timestamp()));
        let not_after = seconds(r.not_after.timestamp().min(i.not_after.timestamp()));
        let public_key = intermediate.public_key().raw.to_vec();
        let fingerprint = sha256_hex(&public_key);
        let key_name = format!("ca-intermediate-{}", fingerprint.get(..16).unwrap_or(&fingerprint));
        Ok(Pair {
            root_pem,
            root_der,
            intermediate_pem,
            intermediate_der,
            constraints,
            not_before,
            not_after,
            key_name,
            public_key,
        })
    }

    pub(crate) fn valid_at(&self, now: u64) -> bool {
        (self.not_before..self.not_after).contains(&now)
    }

    /// Joins the pair with its key; hands it back if the key is another's or unreadable.
    pub(crate) fn unlock(self, key: HeldKey) -> Result<Box<Issuing>, Box<Pair>> {
        let Some(key) = MintKey::open(key) else { return Err(Box::new(self)) };
        if key.subject_public_key_info() != self.public_key {
            return Err(Box::new(self));
        }
        match Issuer::from_ca_cert_der(&self.intermediate_der, key) {
            Ok(issuer) => Ok(Box::new(Issuing { pair: self, issuer })),
            Err(_) => Err(Box::new(self)),
        }
    }
}

fn path_length(certificate: &X509Certificate<'_>) -> Option<u32> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::BasicConstraints(basic) if basic.ca && extension.critical => {
            basic.path_len_constraint
        }
        _ => None,
    })
}

/// A pair that can mint.
pub(crate) struct Issuing {
    pub(crate) pair: Pair,
    pub(crate) issuer: Issuer<'static, MintKey>,
}
