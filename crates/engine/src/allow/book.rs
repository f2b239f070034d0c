//! The allowlist as it lies in the configuration folder: each entry under a seal that only this installation's key
//! makes, so that whoever can write the file can take entries away, and add none.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use sallyport_detect::HeldKey;
use serde::{Deserialize, Serialize};

const MAX_FILE: u64 = 4 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    pub(crate) reason: String,
    pub(crate) added_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) seal: String,
}

impl Entry {
    /// As the trail and people name it.
    pub(crate) fn target(&self) -> String {
        match (&self.fingerprint, &self.rule, &self.path) {
            (Some(fingerprint), ..) => format!("fingerprint {fingerprint}"),
            (None, Some(rule), Some(path)) => format!("rule {rule} in {path}"),
            (None, Some(rule), None) => format!("rule {rule}"),
            (None, None, path) => format!("path {}", path.as_deref().unwrap_or("none")),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    entries: Vec<Entry>,
}

/// What tells that the file was changed.
pub(super) type Stamp = (u64, SystemTime);

pub(super) struct File {
    path: PathBuf,
    key: HeldKey<32>,
}

impl File {
    pub(super) fn new(path: PathBuf, key: HeldKey<32>) -> File {
        File { path, key }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn stamp(&self) -> Option<Stamp> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        Some((metadata.len(), metadata.modified().ok()?))
    }

    /// The entries as they are written; whether a seal is good is asked apart.
    pub(super) fn read(&self) -> Result<Vec<Entry>, String> {
        match sallyport_platform::fs::read_bounded(&self.path, MAX_FILE) {
            Ok(Some(bytes)) => {
                let written: Written = serde_json::from_slice(&bytes)
                    .map_err(|error| format!("it is not what was written ({error})"))?;
                Ok(written.entries)
            }
            Ok(None) if self.path.exists() => Err("it is too large, or no file".into()),
            Err(error) if self.path.exists() => Err(format!("it can't be read ({error})")),
            Ok(None) | Err(_) => Ok(Vec::new()),
        }
    }

    pub(super) fn write(&self, entries: &[Entry]) -> Result<(), String> {
        let text = serde_json::to_vec_pretty(&Written { entries: entries.to_vec() });
        let text = text.map_err(|error| error.to_string())?;
        sallyport_platform::fs::write_private_atomic(&self.path, &text, 0o600)
            .map_err(|error| error.to_string())
    }

    pub(super) fn seal(&self, entry: &mut Entry) {
        entry.seal = self.seal_of(entry).to_hex().to_string();
    }

    pub(super) fn sealed(&self, entry: &Entry) -> bool {
        let given = data_encoding::HEXLOWER.decode(entry.seal.as_bytes()).ok();
        let given = given.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(blake3::Hash::from);
        // Compares in constant time.
        given == Some(self.seal_of(entry))
    }

    /// Over all that an entry says, each part with its length before it.
    fn seal_of(&self, entry: &Entry) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        let (added, expires) = (entry.added_at.to_string(), entry.expires_at.map(|end| end.to_string()));
        let parts = [
            &entry.fingerprint,
            &entry.rule,
            &entry.path,
            &Some(entry.reason.clone()),
            &Some(added),
            &expires,
        ];
        hasher.update(&entry.id.to_le_bytes());
        for part in parts {
            let length = part.as_ref().map_or(u64::MAX, |part| part.len() as u64);
            hasher.update(&length.to_le_bytes());
            hasher.update(part.as_deref().unwrap_or_default().as_bytes());
        }
        hasher.finalize()
    }
}
