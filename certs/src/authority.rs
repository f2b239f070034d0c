//! The authority over its life: created, loaded, reissued, retired.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;

use crate::constraints::HostName;
use crate::files::{Folder, INTERMEDIATE, PREVIOUS_INTERMEDIATE, PREVIOUS_ROOT, ROOT};
use crate::issue::{DAY, issue, sha256_hex};
use crate::leaf::LeafCache;
use crate::loaded::{Issuing, Pair};
use crate::{CertError, Constraints, KeyStore};

/// A new root is made this long before the old one ends, so that there is time to trust it.
const RENEW_BEFORE: u64 = 30 * DAY;

/// Mints leaves for the intercepted hosts. Share it in an `Arc`.
///
/// After a reissue the previous authority goes on serving the hosts it may speak for until
/// [`CertAuthority::retire_previous`]: programs that are running trust the old root, not yet the new one.
pub struct CertAuthority {
    dir: PathBuf,
    current: Box<Issuing>,
    previous: RwLock<Option<Arc<Issuing>>>,
    fingerprint: String,
    leaves: LeafCache,
    clock: fn() -> SystemTime,
}

/// What `open_or_create` had to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaOutcome {
    Created,
    Loaded,
    /// A new root was made and has to be trusted before the old one is retired.
    Reissued {
        reason: ReissueReason,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReissueReason {
    #[error("the old root may not speak for {}", hosts.join(", "))]
    HostsOutsideConstraints { hosts: Vec<String> },
    #[error("the old root expires within 30 days")]
    ExpiresSoon,
    #[error("the old root is not valid yet by the system clock")]
    NotYetValid,
    #[error("the key store no longer holds the key")]
    KeyMissing,
    #[error("the key in the key store is not the certificate's")]
    KeyMismatch,
    #[error("{file} was missing")]
    FileMissing { file: &'static str },
    #[error("the certificate files were damaged ({problem}) and were kept as *.corrupt")]
    FileCorrupt { problem: &'static str },
    #[error("it was asked for")]
    Requested,
}

impl CertAuthority {
    /// Loads the authority from `dir`, or makes one that may speak for `hosts` (exact names, `*.suffix`, IP
    /// literals). `keys` keeps the intermediate's key. Nothing is reissued because a key store didn't answer.
    pub fn open_or_create(
        dir: &Path,
        keys: &dyn KeyStore,
        hosts: &[String],
        now: SystemTime,
    ) -> Result<(CertAuthority, CaOutcome), CertError> {
        let wanted = Constraints::from_hosts(hosts)?;
        let folder = Folder::open(dir)?;
        let now = unix_seconds(now);
        match find(&folder, keys, &wanted, now)? {
            Found::Nothing => {
                let current = create(&folder, keys, &wanted, now)?;
                Ok((CertAuthority::new(dir, current, None), CaOutcome::Created))
            }
            Found::Usable(current) => {
                let previous = load_previous(&folder, keys, now)?;
                Ok((CertAuthority::new(dir, current, previous), CaOutcome::Loaded))
            }
            Found::Unusable { old, reason } => {
                let authority = replace(dir, &folder, keys, &wanted, now, old)?;
                Ok((authority, CaOutcome::Reissued { reason }))
            }
        }
    }

    /// Makes a new root and intermediate whatever state the old ones are in (`ca rotate`).
    pub fn reissue(
        dir: &Path,
        keys: &dyn KeyStore,
        hosts: &[String],
        now: SystemTime,
    ) -> Result<(CertAuthority, CaOutcome), CertError> {
        let wanted = Constraints::from_hosts(hosts)?;
        let folder = Folder::open(dir)?;
        let now = unix_seconds(now);
        let old = match find(&folder, keys, &wanted, now)? {
            Found::Nothing => Old::None,
            Found::Usable(current) => Old::Issuing(current),
            Found::Unusable { old, .. } => old,
        };
        let authority = replace(dir, &folder, keys, &wanted, now, old)?;
        Ok((authority, CaOutcome::Reissued { reason: ReissueReason::Requested }))
    }

    fn new(dir: &Path, current: Box<Issuing>, previous: Option<Box<Issuing>>) -> CertAuthority {
        CertAuthority {
            dir: dir.to_owned(),
            fingerprint: sha256_hex(&current.pair.root_der),
            current,
            previous: RwLock::new(previous.map(Arc::from)),
            leaves: LeafCache::default(),
            clock: SystemTime::now,
        }
    }

    /// A key and chain (leaf, intermediate) for this host, which must lie within the constraints.
    pub async fn certified_key(&self, host: &str) -> Result<Arc<CertifiedKey>, CertError> {
        self.certified_key_now(host)
    }

    /// The same for callers that can't await; minting takes well under a millisecond and does no I/O.
    pub fn certified_key_now(&self, host: &str) -> Result<Arc<CertifiedKey>, CertError> {
        let now = unix_seconds((self.clock)());
        self.leaves.leaf(&HostName::parse(host)?, now, |name| {
            let previous = self.previous();
            let by: &Issuing = match &previous {
                Some(old) if old.pair.constraints.permits_name(name) && old.pair.valid_at(now) => old,
                _ => &self.current,
            };
            crate::leaf::mint(by, name, now)
        })
    }

    pub fn root_pem(&self) -> &str {
        &self.current.pair.root_pem
    }

    pub fn root_der(&self) -> &CertificateDer<'static> {
        &self.current.pair.root_der
    }

    /// The intermediate, then the root.
    pub fn chain_pem(&self) -> String {
        format!("{}{}", self.current.pair.intermediate_pem, self.current.pair.root_pem)
    }

    /// Where the root lies as PEM, for variables that want a path.
    pub fn root_path(&self) -> PathBuf {
        self.dir.join(ROOT)
    }

    /// SHA-256 of the root's DER in lowercase hex.
    pub fn fingerprint_sha256(&self) -> &str {
        &self.fingerprint
    }

    pub fn not_after(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.current.pair.not_after)
    }

    pub fn constraints(&self) -> &Constraints {
        &self.current.pair.constraints
    }

    /// The root that still serves beside the new one; it belongs into every trust bundle until it is retired.
    pub fn previous_root_pem(&self) -> Option<String> {
        self.previous().map(|old| old.pair.root_pem.clone())
    }

    /// Ends the overlap: the new root is trusted, the old key goes. Its root stays as `root.previous.pem`, so
    /// that it can be taken out of trust stores.
    pub fn retire_previous(&self, keys: &dyn KeyStore) -> Result<(), CertError> {
        let folder = Folder::open(&self.dir)?;
        if let Some(old) = self.previous() {
            forget(keys, &old.pair)?;
            folder.remove(PREVIOUS_INTERMEDIATE)?;
            *self.previous.write().unwrap_or_else(PoisonError::into_inner) = None;
            self.leaves.clear();
        }
        Ok(())
    }

    /// Takes everything back: the keys first, so that nothing can be signed whatever happens to the files. Serves on
    /// from memory until it is dropped.
    pub fn remove(&self, keys: &dyn KeyStore) -> Result<(), CertError> {
        let folder = Folder::open(&self.dir)?;
        if let Some(old) = self.previous() {
            forget(keys, &old.pair)?;
        }
        forget(keys, &self.current.pair)?;
        for file in [INTERMEDIATE, ROOT, PREVIOUS_INTERMEDIATE, PREVIOUS_ROOT] {
            folder.remove(file)?;
        }
        Ok(())
    }

    fn previous(&self) -> Option<Arc<Issuing>> {
        self.previous.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for CertAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertAuthority")
            .field("dir", &self.dir)
            .field("root_sha256", &self.fingerprint)
            .field("constraints", self.constraints())
            .finish_non_exhaustive()
    }
}

pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

enum Found {
    Nothing,
    Usable(Box<Issuing>),
    Unusable { old: Old, reason: ReissueReason },
}

/// What a reissue leaves behind.
enum Old {
    None,
    /// Certificates without a usable key: they can't serve, but must stay known.
    Keyless(Box<Pair>),
    Issuing(Box<Issuing>),
}

fn find(folder: &Folder, keys: &dyn KeyStore, wanted: &Constraints, now: u64) -> Result<Found, CertError> {
    let (root, intermediate) = match (folder.read(ROOT)?, folder.read(INTERMEDIATE)?) {
        (None, None) => return Ok(Found::Nothing),
        (Some(root), Some(intermediate)) => (root, intermediate),
        (root, _) => {
            let file = if root.is_none() { ROOT } else { INTERMEDIATE };
            return Ok(Found::Unusable { old: Old::None, reason: ReissueReason::FileMissing { file } });
        }
    };
    let pair = match Pair::parse(root, intermediate) {
        Ok(pair) => pair,
        Err(problem) => {
            return Ok(Found::Unusable { old: Old::None, reason: ReissueReason::FileCorrupt { problem } });
        }
    };
    let unusable = |old, reason| Ok(Found::Unusable { old, reason });
    let current = match unlock(keys, pair)? {
        Unlocked::Issuing(current) => current,
        Unlocked::NoKey(pair) => return unusable(Old::Keyless(pair), ReissueReason::KeyMissing),
        Unlocked::OtherKey(pair) => return unusable(Old::Keyless(pair), ReissueReason::KeyMismatch),
    };
    if now < current.pair.not_before {
        return unusable(Old::Issuing(current), ReissueReason::NotYetValid);
    }
    if now + RENEW_BEFORE > current.pair.not_after {
        return unusable(Old::Issuing(current), ReissueReason::ExpiresSoon);
    }
    let hosts = current.pair.constraints.missing(wanted);
    if !hosts.is_empty() {
        return unusable(Old::Issuing(current), ReissueReason::HostsOutsideConstraints { hosts });
    }
    Ok(Found::Usable(current))
}

enum Unlocked {
    Issuing(Box<Issuing>),
    NoKey(Box<Pair>),
    OtherKey(Box<Pair>),
}

fn unlock(keys: &dyn KeyStore, pair: Pair) -> Result<Unlocked, CertError> {
    let key = keys.load(&pair.key_name).map_err(|source| CertError::KeyStore { action: "load", source })?;
    Ok(match key {
        None => Unlocked::NoKey(Box::new(pair)),
        Some(key) => match pair.unlock(keys.hold(key)) {
            Ok(issuing) => Unlocked::Issuing(issuing),
            Err(pair) => Unlocked::OtherKey(pair),
        },
    })
}

/// A previous authority that can still serve; one that can't is no reason to fail.
fn load_previous(folder: &Folder, keys: &dyn KeyStore, now: u64) -> Result<Option<Box<Issuing>>, CertError> {
    let (Some(root), Some(intermediate)) = (folder.read(PREVIOUS_ROOT)?, folder.read(PREVIOUS_INTERMEDIATE)?)
    else {
        return Ok(None);
    };
    let Ok(pair) = Pair::parse(root, intermediate) else { return Ok(None) };
    if !pair.valid_at(now) {
        return Ok(None);
    }
    match unlock(keys, pair)? {
        Unlocked::Issuing(issuing) => Ok(Some(issuing)),
        Unlocked::NoKey(_) | Unlocked::OtherKey(_) => Ok(None),
    }
}

/// New key first, then the certificates: a crash between leaves the old authority or a pair that doesn't
/// match, which the next start sets aside.
fn create(
    folder: &Folder,
    keys: &dyn KeyStore,
    wanted: &Constraints,
    now: u64,
) -> Result<Box<Issuing>, CertError> {
    let issued = issue(wanted, now)?;
    let pair = Pair::parse(issued.root_pem, issued.intermediate_pem).map_err(unfit)?;
    keys.store(&pair.key_name, &issued.key)
        .map_err(|source| CertError::KeyStore { action: "store", source })?;
    folder.write(INTERMEDIATE, &pair.intermediate_pem)?;
    folder.write(ROOT, &pair.root_pem)?;
    pair.unlock(keys.hold(issued.key)).map_err(|_| unfit("its key does not fit"))
}

fn unfit(problem: &'static str) -> CertError {
    tracing::error!(problem, "a freshly made certificate authority failed its own check");
    CertError::Sign(rcgen::Error::CouldNotParseCertificate)
}

fn replace(
    dir: &Path,
    folder: &Folder,
    keys: &dyn KeyStore,
    wanted: &Constraints,
    now: u64,
    old: Old,
) -> Result<CertAuthority, CertError> {
    // The oldest root not yet retired is the one that programs trust; one that came and went between need not
    // be kept.
    let overlapping = load_previous(folder, keys, now)?;
    let (previous, discarded) = match (overlapping, old) {
        (overlapping, Old::None) => {
            folder.set_aside(ROOT)?;
            folder.set_aside(INTERMEDIATE)?;
            (overlapping, None)
        }
        (Some(previous), Old::Issuing(middle)) => (Some(previous), Some(middle)),
        (Some(previous), Old::Keyless(_)) => (Some(previous), None),
        (None, Old::Issuing(old)) => {
            folder.write(PREVIOUS_INTERMEDIATE, &old.pair.intermediate_pem)?;
            folder.write(PREVIOUS_ROOT, &old.pair.root_pem)?;
            (old.pair.valid_at(now).then_some(old), None)
        }
        (None, Old::Keyless(pair)) => {
            folder.remove(PREVIOUS_INTERMEDIATE)?;
            folder.write(PREVIOUS_ROOT, &pair.root_pem)?;
            (None, None)
        }
    };
    let current = create(folder, keys, wanted, now)?;
    if let Some(middle) = discarded {
        forget(keys, &middle.pair)?;
    }
    Ok(CertAuthority::new(dir, current, previous))
}

fn forget(keys: &dyn KeyStore, pair: &Pair) -> Result<(), CertError> {
    keys.delete(&pair.key_name).map_err(|source| CertError::KeyStore { action: "delete", source })
}
