//! Leaves: minted once per host however many connections ask, kept in a bounded cache, renewed in time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{
    Certificate, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroize;

use crate::CertError;
use crate::constraints::HostName;
use crate::issue::{DAY, serial, set_validity, subject};
use crate::loaded::Issuing;

/// For clients whose clock is behind.
const BACKDATE: u64 = 60 * 60;
/// Seven days; both ends of a validity count, hence the second less.
const LIFETIME: u64 = 7 * DAY - 1;
/// A workstation talks to a few dozen AI hosts; a client that walks through subdomains must not fill memory.
const CACHED: usize = 512;

/// A certificate with its own key, ready for TLS.
pub(crate) struct Leaf {
    pub(crate) key: Arc<CertifiedKey>,
    valid: std::ops::Range<u64>,
}

/// The certificate and its PKCS #8 key, before TLS takes them. `mint` wipes the key; tests may look at it.
pub(crate) struct Minted {
    pub(crate) certificate: Certificate,
    pub(crate) key: KeyPair,
    valid: std::ops::Range<u64>,
}

impl Drop for Minted {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

pub(crate) fn mint(by: &Issuing, name: &HostName, now: u64) -> Result<Leaf, CertError> {
    if !by.pair.constraints.permits_name(name) {
        let host = match name {
            HostName::Dns(name) => name.clone(),
            HostName::Ip(ip) => ip.to_string(),
        };
        return Err(CertError::OutsideConstraints { host });
    }
    let minted = sign(by, name, now)?;
    let mut der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(minted.key.serialize_der()));
    let signing = rustls::crypto::ring::sign::any_ecdsa_type(&der);
    der.zeroize();
    let chain = vec![minted.certificate.der().clone(), by.pair.intermediate_der.clone()];
    let key = Arc::new(CertifiedKey::new(chain, signing.map_err(CertError::Tls)?));
    Ok(Leaf { key, valid: minted.valid.clone() })
}

/// Signs whatever it is asked to: only `mint` may call it.
fn sign(by: &Issuing, name: &HostName, now: u64) -> Result<Minted, CertError> {
    if !by.pair.valid_at(now) {
        return Err(CertError::NotValidNow);
    }
    let not_before = now.saturating_sub(BACKDATE).max(by.pair.not_before);
    let not_after = (not_before + LIFETIME).min(by.pair.not_after);
    let mut params = CertificateParams::default();
    // No common name: OpenSSL would hold an address in it against the DNS constraints.
    params.distinguished_name = subject(None);
    params.subject_alt_names = vec![match name {
        HostName::Dns(name) => SanType::DnsName(name.as_str().try_into().map_err(CertError::Sign)?),
        HostName::Ip(ip) => SanType::IpAddress(*ip),
    }];
    params.serial_number = Some(serial()?);
    set_validity(&mut params, not_before, not_after);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().map_err(CertError::Sign)?;
    let certificate = params.signed_by(&key, &by.issuer).map_err(CertError::Sign)?;
    // Renewed with a seventh of its life left, so a connection that starts now outlives no certificate.
    let renew = now + (not_after - now) / 7 * 6;
    Ok(Minted { certificate, key, valid: not_before..renew.max(now + 1) })
}

/// Least-recently-used leaves by host. A host's slot is locked while its leaf is minted (some 50 µs), so
/// concurrent handshakes for one host mint once and those for others don't wait.
#[derive(Default)]
pub(crate) struct LeafCache {
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    by_host: HashMap<HostName, Slot>,
    tick: u64,
}

#[derive(Default)]
struct Slot {
    leaf: Arc<Mutex<Option<Leaf>>>,
    used: u64,
}

impl LeafCache {
    pub(crate) fn leaf(
        &self,
        name: &HostName,
        now: u64,
        mint: impl FnOnce(&HostName) -> Result<Leaf, CertError>,
    ) -> Result<Arc<CertifiedKey>, CertError> {
        let cell = self.cell(name);
        let mut leaf = held(&cell);
        match leaf.as_ref() {
            Some(known) if known.valid.contains(&now) => Ok(known.key.clone()),
            _ => Ok(leaf.insert(mint(name)?).key.clone()),
        }
    }

    pub(crate) fn clear(&self) {
        held(&self.slots).by_host.clear();
    }

    fn cell(&self, name: &HostName) -> Arc<Mutex<Option<Leaf>>> {
        let mut slots = held(&self.slots);
        slots.tick += 1;
        let tick = slots.tick;
        if !slots.by_host.contains_key(name) && slots.by_host.len() >= CACHED {
            let oldest = slots.by_host.iter().min_by_key(|(_, slot)| slot.used).map(|(host, _)| host.clone());
            oldest.and_then(|host| slots.by_host.remove(&host));
        }
        let slot = slots.by_host.entry(name.clone()).or_default();
        slot.used = tick;
        slot.leaf.clone()
    }
}

/// The cache holds nothing that a panic elsewhere could leave half-changed.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(valid: std::ops::Range<u64>) -> Leaf {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let signing = rustls::crypto::ring::sign::any_ecdsa_type(&key).unwrap();
        Leaf { key: Arc::new(CertifiedKey::new(vec![made.cert.der().clone()], signing)), valid }
    }

    fn host(n: usize) -> HostName {
        HostName::Dns(format!("h{n}.a.example"))
    }

    #[test]
    fn renews_in_time_and_when_the_clock_goes_back() {
        let cache = LeafCache::default();
        let mut minted = 0;
        for (now, expected) in [(100, 1), (150, 1), (199, 1), (200, 2), (150, 3), (249, 3), (250, 4)] {
            let mut mint = |_: &HostName| {
                minted += 1;
                Ok(leaf(now..now + 100))
            };
            cache.leaf(&host(1), now, &mut mint).unwrap();
            assert_eq!(minted, expected, "at {now}");
        }
    }

    #[test]
    fn keeps_the_leaves_that_are_used() {
        let (cache, shared) = (LeafCache::default(), leaf(0..10));
        let (mut minted, again) = (Vec::new(), || Leaf { key: shared.key.clone(), valid: 0..10 });
        for n in 0..2 * CACHED {
            for wanted in [n, 0] {
                let mint = |_: &HostName| {
                    minted.push(wanted);
                    Ok(again())
                };
                cache.leaf(&host(wanted), 1, mint).unwrap();
            }
        }
        assert_eq!(held(&cache.slots).by_host.len(), CACHED);
        assert_eq!(minted, (0..2 * CACHED).collect::<Vec<_>>(), "the one in use was never minted again");
    }

    #[test]
    fn a_failure_is_not_cached() {
        let cache = LeafCache::default();
        assert!(cache.leaf(&host(1), 1, |_| Err(CertError::NotValidNow)).is_err());
        assert!(cache.leaf(&host(1), 1, |_| Ok(leaf(0..10))).is_ok());
    }
}
