//! Makes a root and the one intermediate it ever signs. The root's key dies here.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SerialNumber,
};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::keys::RootKey;
use crate::{CertError, Constraints};

pub(crate) const DAY: u64 = 24 * 60 * 60;
/// Long enough to be no nuisance, short enough that a forgotten root dies by itself.
const LIFETIME: u64 = 730 * DAY;
/// Covers machines whose clock is behind, and leaves the backdated leaves inside the issuer's validity.
const BACKDATE: u64 = 2 * DAY;
/// 2020-01-01 and 2200-01-01: outside of these a clock has lost its battery, not its minutes.
const PLAUSIBLE: std::ops::Range<u64> = 1_577_836_800..7_258_118_400;

/// A fresh pair of certificates with the key of the intermediate (PKCS #8).
pub(crate) struct Issued {
    pub(crate) root_pem: String,
    pub(crate) intermediate_pem: String,
    pub(crate) key: Zeroizing<Vec<u8>>,
}

pub(crate) fn issue(constraints: &Constraints, now: u64) -> Result<Issued, CertError> {
    if !PLAUSIBLE.contains(&now) {
        return Err(CertError::Clock);
    }
    // Subjects must differ between installs and reissues: verifiers look issuers up by subject.
    let id = hex(&random::<8>()?);
    let mut root_params = authority_params(&format!("Sallyport local root {id}"), 1, constraints, now)?;
    root_params.use_authority_key_identifier_extension = false;
    let root = CertifiedIssuer::self_signed(root_params, RootKey::generate()?).map_err(CertError::Sign)?;

    let mut params = authority_params(&format!("Sallyport local issuer {id}"), 0, constraints, now)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let mut key = KeyPair::generate().map_err(CertError::Sign)?;
    let intermediate = params.signed_by(&key, &root).map_err(CertError::Sign)?;
    let serialized = Zeroizing::new(key.serialize_der());
    key.zeroize();
    Ok(Issued { root_pem: root.pem(), intermediate_pem: intermediate.pem(), key: serialized })
}

fn authority_params(
    name: &str,
    path_length: u8,
    constraints: &Constraints,
    now: u64,
) -> Result<CertificateParams, CertError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(Some(name));
    params.serial_number = Some(serial()?);
    set_validity(&mut params, now - BACKDATE, now + LIFETIME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(constraints.to_extension());
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

pub(crate) fn subject(common_name: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Sallyport");
    if let Some(common_name) = common_name {
        name.push(DnType::CommonName, common_name);
    }
    name
}

/// A positive number of 127 random bits, never with a leading zero byte.
pub(crate) fn serial() -> Result<SerialNumber, CertError> {
    let mut bytes = random::<16>()?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

/// Both in seconds since 1970.
pub(crate) fn set_validity(params: &mut CertificateParams, not_before: u64, not_after: u64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(not_before);
    params.not_after = epoch + Duration::from_secs(not_after);
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn random<const N: usize>() -> Result<[u8; N], CertError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(CertError::Random)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
