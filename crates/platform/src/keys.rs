//! Where our own private keys rest: in the keychain, or, where there is none, in files for the owner alone. Which of
//! the two was chosen is remembered, so that a keychain that is locked today does not make us start anew with files.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::keychain::{Keychain, KeychainError, Unlock};
use crate::{Error, Paths, fs};

/// A place for private keys, by name.
pub trait KeyStore: Send + Sync {
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyStoreError>;
    fn store(&self, name: &str, key: &[u8]) -> Result<(), KeyStoreError>;
    /// The key may be gone already.
    fn delete(&self, name: &str) -> Result<(), KeyStoreError>;
    /// One phrase for people, such as "the system keychain".
    fn describe(&self) -> String;
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyStoreError {
    #[error(transparent)]
    Keychain(#[from] KeychainError),
    #[error(transparent)]
    File(#[from] Error),
    #[error(
        "a key is named by lower-case letters, digits, dots, dashes and underscores, which {name:?} is not"
    )]
    BadName { name: String },
    /// Keys were kept in the keychain before, and it cannot be used now.
    #[error("the keys rest in the keychain, which cannot be used now")]
    KeychainLost { source: KeychainError },
}

impl KeyStoreError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            KeyStoreError::Keychain(e) | KeyStoreError::KeychainLost { source: e } => e.hint().into(),
            KeyStoreError::File(Error::UnsafePath { path, .. }) => {
                format!("Make {} a file or folder of your own that no other user can read.", path.display())
            }
            KeyStoreError::File(_) => "Check the disk and the permissions of the state folder.".into(),
            KeyStoreError::BadName { .. } => "Report this as a defect.".into(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStoreKind {
    Keychain,
    /// Weaker: whoever reads the user's files reads the keys.
    File,
}

/// The key store of one instance.
pub struct Keys {
    pub store: Box<dyn KeyStore>,
    pub kind: KeyStoreKind,
    /// Why the keychain is not used, where files are.
    pub no_keychain: Option<KeychainError>,
}

impl Keys {
    /// The keychain if it works, files if it never did. Fails with [`KeyStoreError::KeychainLost`] when the keys of
    /// this instance are in a keychain that cannot be used now: falling back would make a new authority that nobody
    /// trusts. May take as long as `unlock` allows; call it where blocking is allowed.
    pub fn open(paths: &Paths, unlock: Unlock) -> Result<Keys, KeyStoreError> {
        let marker = Marker(paths.state_dir().join("keystore"));
        let used_before = marker.read()?;
        if used_before == Some(KeyStoreKind::File) {
            return Keys::in_files(paths);
        }
        match Keychain::open_for(paths.instance_tag().as_deref(), unlock) {
            Ok(keychain) => {
                marker.write(KeyStoreKind::Keychain)?;
                Ok(Keys { store: Box::new(keychain), kind: KeyStoreKind::Keychain, no_keychain: None })
            }
            Err(source) if used_before == Some(KeyStoreKind::Keychain) => {
                Err(KeyStoreError::KeychainLost { source })
            }
            Err(error) => {
                let mut keys = Keys::in_files(paths)?;
                marker.write(KeyStoreKind::File)?;
                keys.no_keychain = Some(error);
                Ok(keys)
            }
        }
    }

    /// Files, whatever the keychain says.
    pub fn in_files(paths: &Paths) -> Result<Keys, KeyStoreError> {
        let store = KeyFile::open(&paths.keys_dir())?;
        Ok(Keys { store: Box::new(store), kind: KeyStoreKind::File, no_keychain: None })
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("kind", &self.kind).field("no_keychain", &self.no_keychain).finish()
    }
}

/// Remembers where the keys of this instance are.
struct Marker(PathBuf);

impl Marker {
    fn read(&self) -> Result<Option<KeyStoreKind>, Error> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => match text.trim() {
                "keychain" => Ok(Some(KeyStoreKind::Keychain)),
                "file" => Ok(Some(KeyStoreKind::File)),
                _ => Err(Error::Malformed { about: "where the keys are (state/keystore)" }),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io(format!("read {}", self.0.display()), e)),
        }
    }

    fn write(&self, kind: KeyStoreKind) -> Result<(), Error> {
        if self.read()? == Some(kind) {
            return Ok(());
        }
        if let Some(dir) = self.0.parent() {
            fs::ensure_private_dir(dir)?;
        }
        let word: &[u8] = match kind {
            KeyStoreKind::Keychain => b"keychain\n",
            KeyStoreKind::File => b"file\n",
        };
        fs::write_private_atomic(&self.0, word, 0o600)
    }
}

impl KeyStore for Keychain {
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyStoreError> {
        Ok(Keychain::load(self, checked(name)?)?)
    }

    fn store(&self, name: &str, key: &[u8]) -> Result<(), KeyStoreError> {
        Ok(Keychain::store(self, checked(name)?, key)?)
    }

    fn delete(&self, name: &str) -> Result<(), KeyStoreError> {
        Ok(Keychain::delete(self, checked(name)?)?)
    }

    fn describe(&self) -> String {
        "the system keychain".into()
    }
}

/// One file for each key, mode 0600, in a folder with mode 0700.
#[derive(Debug)]
pub struct KeyFile {
    dir: PathBuf,
}

impl KeyFile {
    pub fn open(dir: &Path) -> Result<KeyFile, Error> {
        fs::ensure_private_dir(dir)?;
        Ok(KeyFile { dir: dir.to_owned() })
    }

    fn path(&self, name: &str) -> Result<PathBuf, KeyStoreError> {
        Ok(self.dir.join(format!("{}.key", checked(name)?)))
    }
}

impl KeyStore for KeyFile {
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyStoreError> {
        Ok(read_private(&self.path(name)?)?)
    }

    fn store(&self, name: &str, key: &[u8]) -> Result<(), KeyStoreError> {
        Ok(fs::write_private_atomic(&self.path(name)?, key, 0o600)?)
    }

    fn delete(&self, name: &str) -> Result<(), KeyStoreError> {
        let path = self.path(name)?;
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(Error::io(format!("delete {}", path.display()), e).into()),
        }
    }

    fn describe(&self) -> String {
        format!("files in {}", self.dir.display())
    }
}

/// The whole file, unless it is a symlink or others could have read or written it.
fn read_private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let tried = || format!("read {}", path.display());
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    }
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io(tried(), e)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let metadata = file.metadata().map_err(|e| Error::io(tried(), e))?;
        let reason = match () {
            () if !metadata.is_file() => Some("it is not a file".to_owned()),
            () if metadata.uid() != crate::current_uid() => {
                Some(format!("it belongs to user {}", metadata.uid()))
            }
            () if metadata.mode() & 0o077 != 0 => {
                Some(format!("its mode is {:o}, and only the owner may have access", metadata.mode() & 0o777))
            }
            () => None,
        };
        if let Some(reason) = reason {
            return Err(Error::UnsafePath { path: path.to_owned(), reason });
        }
    }
    // Room beforehand: a vector that grows leaves copies behind.
    let size = file.metadata().map(|m| m.len()).unwrap_or(0);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1));
    file.read_to_end(&mut bytes).map_err(|e| Error::io(tried(), e))?;
    Ok(Some(bytes))
}

fn checked(name: &str) -> Result<&str, KeyStoreError> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.bytes().all(good) {
        return Err(KeyStoreError::BadName { name: name.chars().take(100).collect() });
    }
    Ok(name)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn keeps_keys_in_private_files() {
        let dir = tempfile::tempdir().expect("temp");
        let keys = KeyFile::open(&dir.path().join("keys")).expect("open");
        assert!(keys.load("ca-intermediate").expect("load").is_none());
        keys.store("ca-intermediate", b"\x00\x01\xff").expect("store");
        assert_eq!(keys.load("ca-intermediate").expect("load").expect("key").as_slice(), b"\x00\x01\xff");
        let file = dir.path().join("keys/ca-intermediate.key");
        assert_eq!(std::fs::metadata(&file).expect("stat").mode() & 0o777, 0o600);

        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("loosen");
        let error = keys.load("ca-intermediate").expect_err("loose");
        assert!(matches!(error, KeyStoreError::File(Error::UnsafePath { .. })), "{error}");

        keys.delete("ca-intermediate").expect("delete");
        keys.delete("ca-intermediate").expect("delete twice");
        for name in ["", "../x", "a/b", ".hidden", "A", "x y"] {
            assert!(matches!(keys.load(name), Err(KeyStoreError::BadName { .. })), "{name}");
        }
    }

    #[test]
    fn remembers_where_keys_were() {
        let dir = tempfile::tempdir().expect("temp");
        let paths = Paths::under(dir.path());
        paths.create_private_dirs().expect("folders");
        let marker = Marker(paths.state_dir().join("keystore"));
        assert_eq!(marker.read().expect("read"), None);
        marker.write(KeyStoreKind::File).expect("write");
        let keys = Keys::open(&paths, Unlock::Never).expect("files again");
        assert_eq!(keys.kind, KeyStoreKind::File);
        std::fs::write(&marker.0, "elsewhere").expect("spoil");
        assert!(Keys::open(&paths, Unlock::Never).is_err());
    }
}
