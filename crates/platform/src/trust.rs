//! Certificates the machine trusts, the bundle for variables that replace them, and where our root is trusted.
//!
//! Reads the system's own lists only: `SSL_CERT_FILE` and its like are not consulted where that can be helped, since
//! in a shell of ours they name our own bundle. Installing into stores is not done here yet.

use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::{Error, Paths, fs};

/// The machine's trusted roots, and what could not be read.
#[derive(Debug, Default)]
pub struct SystemRoots {
    pub certificates: Vec<CertificateDer<'static>>,
    /// One sentence for each file or certificate that was left out.
    pub problems: Vec<String>,
}

impl SystemRoots {
    /// Without one certificate: ours, which must never vouch for an upstream.
    pub fn without(mut self, root: &[u8]) -> SystemRoots {
        self.certificates.retain(|c| c.as_ref() != root);
        self
    }
}

/// The roots that programs on this machine trust.
pub fn system_roots() -> SystemRoots {
    let loaded = match crate::imp::roots_file() {
        Some(file) => rustls_native_certs::load_certs_from_paths(Some(&file), None),
        None => rustls_native_certs::load_native_certs(),
    };
    let mut problems: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
    if loaded.certs.is_empty() {
        problems.push("no trusted root certificate was found on this machine".into());
    }
    SystemRoots { certificates: loaded.certs, problems }
}

/// The same roots as PEM text.
pub fn system_bundle_pem() -> String {
    crate::imp::bundle_text()
        .unwrap_or_else(|| system_roots().certificates.iter().map(|c| certificate_pem(c)).collect())
}

/// Writes system roots + ours to [`Paths::bundle_file`]. `true` when the file changed.
pub fn write_bundle(paths: &Paths, root_pem: &str) -> Result<bool, Error> {
    let file = paths.bundle_file();
    let mut text = system_bundle_pem();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str("# Sallyport's own root, limited to the hosts that it intercepts\n");
    text.push_str(root_pem.trim_end());
    text.push('\n');
    if std::fs::read(&file).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(false);
    }
    if let Some(dir) = file.parent() {
        fs::ensure_private_dir(dir)?;
    }
    // Readable for programs that run as someone else on the user's behalf; it is public anyway.
    fs::write_private_atomic(&file, text.as_bytes(), 0o644)?;
    Ok(true)
}

/// One certificate as PEM.
pub fn certificate_pem(der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    let mut pem = String::with_capacity(base64.len() + base64.len() / 64 + 64);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in base64.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// The machine's own list, used by curl, git and most programs.
    System,
    /// An NSS database: Chromium, or a profile of Firefox.
    Nss,
    /// Our bundle, for variables that replace the system's list.
    Bundle,
}

impl StoreKind {
    pub fn as_str(self) -> &'static str {
        match self {
            StoreKind::System => "system",
            StoreKind::Nss => "nss",
            StoreKind::Bundle => "bundle",
        }
    }
}

/// One place where a root may be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStatus {
    pub kind: StoreKind,
    /// For people, such as "Firefox profile abc.default".
    pub name: String,
    pub location: PathBuf,
    /// Whether the root is in it. For an NSS database that is not yet to say that it is marked as trusted.
    pub holds_root: bool,
}

/// Every store on this machine that we know of and that exists, and whether `root` (DER) is in it. Only reads.
pub fn status(paths: &Paths, root: &[u8]) -> Vec<StoreStatus> {
    let mut stores = vec![StoreStatus {
        kind: StoreKind::Bundle,
        name: "Sallyport's bundle".into(),
        location: paths.bundle_file(),
        holds_root: pem_file_holds(&paths.bundle_file(), root),
    }];
    stores.extend(crate::imp::trust_stores(paths.user_home(), root));
    stores
}

pub(crate) fn pem_file_holds(file: &Path, root: &[u8]) -> bool {
    CertificateDer::pem_file_iter(file)
        .is_ok_and(|certificates| certificates.flatten().any(|c| c.as_ref() == root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_roots_and_they_become_text() {
        let roots = system_roots();
        assert!(!roots.certificates.is_empty(), "{:?}", roots.problems);
        let one = roots.certificates[0].clone();
        let pem = certificate_pem(&one);
        assert_eq!(CertificateDer::from_pem_slice(pem.as_bytes()).expect("pem"), one);
        let count = roots.certificates.len();
        let left = roots.without(&one);
        assert!(left.certificates.len() < count);
        assert!(!left.certificates.contains(&one));
    }

    #[test]
    fn the_bundle_holds_the_systems_roots_and_ours() {
        let dir = tempfile::tempdir().expect("temp");
        let paths = Paths::under(dir.path());
        let ours = certificate_pem(b"not a certificate, but bytes");
        assert!(write_bundle(&paths, &ours).expect("write"));
        assert!(!write_bundle(&paths, &ours).expect("again"), "unchanged");
        let text = std::fs::read_to_string(paths.bundle_file()).expect("read");
        let blocks = CertificateDer::pem_slice_iter(text.as_bytes()).flatten().count();
        assert_eq!(blocks, system_roots().certificates.len() + 1);
        let status = status(&paths, b"not a certificate, but bytes");
        assert!(status[0].holds_root);
        assert!(status.iter().skip(1).all(|s| !s.holds_root), "{status:?}");
    }
}
