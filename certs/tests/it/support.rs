//! A key store in memory and the ways to look at a chain.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sallyport_certs::{CaOutcome, CertAuthority, CertError, KeyStore, KeyStoreError};
use zeroize::Zeroizing;

#[derive(Default)]
pub(crate) struct MemoryKeys {
    pub(crate) keys: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) locked: AtomicBool,
}

impl MemoryKeys {
    fn check(&self) -> Result<(), KeyStoreError> {
        match self.locked.load(Ordering::Relaxed) {
            true => Err(KeyStoreError::new("the keychain is locked")),
            false => Ok(()),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.keys.lock().unwrap().len()
    }
}

impl KeyStore for MemoryKeys {
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyStoreError> {
        self.check()?;
        Ok(self.keys.lock().unwrap().get(name).cloned().map(Zeroizing::new))
    }

    fn store(&self, name: &str, key: &[u8]) -> Result<(), KeyStoreError> {
        self.check()?;
        self.keys.lock().unwrap().insert(name.into(), key.to_vec());
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<(), KeyStoreError> {
        self.check()?;
        self.keys.lock().unwrap().remove(name);
        Ok(())
    }
}

/// What somebody can do who has read the key store and the certificates' folder.
pub(crate) struct Thief {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    intermediate: CertificateDer<'static>,
}

impl Thief {
    pub(crate) fn steal(folder: &Path, keys: &MemoryKeys) -> Thief {
        let pkcs8 = keys.keys.lock().unwrap().values().next().unwrap().clone();
        let key = rcgen::KeyPair::try_from(pkcs8).unwrap();
        let intermediate = std::fs::read_to_string(folder.join("intermediate.pem")).unwrap();
        let intermediate = ders(&intermediate).remove(0);
        Thief { issuer: rcgen::Issuer::from_ca_cert_der(&intermediate, key).unwrap(), intermediate }
    }

    /// A chain (leaf first) for any host at all, in the form of our own leaves.
    pub(crate) fn forge(&self, host: &str) -> Vec<CertificateDer<'static>> {
        let mut params = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.is_ca = rcgen::IsCa::ExplicitNoCa;
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&rcgen::KeyPair::generate().unwrap(), &self.issuer).unwrap();
        vec![leaf.der().clone(), self.intermediate.clone()]
    }
}

pub(crate) fn hosts(hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(|h| (*h).to_owned()).collect()
}

pub(crate) fn open(
    dir: &Path,
    keys: &MemoryKeys,
    names: &[&str],
) -> Result<(CertAuthority, CaOutcome), CertError> {
    CertAuthority::open_or_create(dir, keys, &hosts(names), SystemTime::now())
}

pub(crate) fn pem(der: &CertificateDer<'_>) -> String {
    let text = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

pub(crate) fn ders(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(|c| c.unwrap()).collect()
}

/// What rustls thinks of a chain (leaf first) for a name.
pub(crate) fn rustls_accepts(
    root_pem: &str,
    chain: &[CertificateDer<'_>],
    name: &str,
) -> Result<(), rustls::Error> {
    use rustls::client::danger::ServerCertVerifier;
    let mut roots = rustls::RootCertStore::empty();
    for root in ders(root_pem) {
        roots.add(root).unwrap();
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
    let name = rustls_pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let now = rustls_pki_types::UnixTime::now();
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], now).map(|_| ())
}

/// What a program says about a leaf, an intermediate and a root in files.
pub(crate) struct Files {
    pub(crate) folder: tempfile::TempDir,
}

impl Files {
    pub(crate) fn new(root_pem: &str, chain: &[CertificateDer<'_>]) -> Files {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("root.pem", root_pem);
        write("leaf.pem", &pem(&chain[0]));
        write("intermediate.pem", &pem(&chain[1]));
        write("chain.pem", &format!("{}{}{}", pem(&chain[0]), pem(&chain[1]), root_pem));
        Files { folder }
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(program).args(arguments).current_dir(self.folder.path()).output().unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), text)
    }

    pub(crate) fn openssl_accepts(&self, name: &str) -> (bool, String) {
        let check = if name.parse::<std::net::IpAddr>().is_ok() { "-verify_ip" } else { "-verify_hostname" };
        let arguments = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "root.pem"];
        let more = ["-no-CApath", "-no-CAstore", check, name, "-untrusted", "intermediate.pem", "leaf.pem"];
        self.run("openssl", &[&arguments[..], &more[..]].concat())
    }

    /// `None` where GnuTLS is not installed.
    pub(crate) fn gnutls_accepts(&self, name: &str) -> Option<(bool, String)> {
        if Command::new("certtool").arg("--version").output().is_err() {
            eprintln!("skipped: certtool (gnutls-bin) is not installed");
            return None;
        }
        let hostname = format!("--verify-hostname={name}");
        let arguments = [
            "--verify",
            "--load-ca-certificate=root.pem",
            "--infile=chain.pem",
            "--verify-purpose=1.3.6.1.5.5.7.3.1",
        ];
        Some(self.run("certtool", &[&arguments[..], &[hostname.as_str()]].concat()))
    }
}
