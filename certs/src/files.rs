//! The certificate files: written whole or not at all, and moved aside rather than lost.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::CertError;

pub(crate) const ROOT: &str = "root.pem";
pub(crate) const INTERMEDIATE: &str = "intermediate.pem";
pub(crate) const PREVIOUS_ROOT: &str = "root.previous.pem";
pub(crate) const PREVIOUS_INTERMEDIATE: &str = "intermediate.previous.pem";

/// The folder, locked against a second process that opens the same authority at the same moment.
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    pub(crate) fn open(path: &Path) -> Result<Folder, CertError> {
        let fail = |action, path: &Path| {
            let path = path.to_owned();
            move |source| CertError::File { action, path, source }
        };
        fs::create_dir_all(path).map_err(fail("create the folder", path))?;
        let lock_path = path.join(".lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        // Others who could open it could hold it, whatever the umask.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(&lock_path).map_err(fail("open", &lock_path))?;
        lock.lock().map_err(fail("lock", &lock_path))?;
        Ok(Folder { path: path.to_owned(), _lock: lock })
    }

    /// `None` if there is no such file. Bytes that are no text are a corrupt file, so they come back garbled.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, CertError> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CertError::File { action: "read", path, source }),
        }
    }

    /// Replaces the file in one step; after a crash it is the old or the new one.
    pub(crate) fn write(&self, name: &str, contents: &str) -> Result<(), CertError> {
        let (path, temporary) = (self.path.join(name), self.path.join(format!(".{name}.new")));
        let write = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(contents.as_bytes())?;
            readable_by_all(&file)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            self.sync()
        };
        write().map_err(|source| CertError::File { action: "write", path, source })
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), CertError> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(CertError::File { action: "remove", path, source }),
        }
    }

    /// Moves an unusable file to `NAME.corrupt` (or `.corrupt.1`, …), so that nothing is overwritten unseen.
    pub(crate) fn set_aside(&self, name: &str) -> Result<(), CertError> {
        let path = self.path.join(name);
        if !path.exists() {
            return Ok(());
        }
        let aside = (0_u32..)
            .map(|n| match n {
                0 => self.path.join(format!("{name}.corrupt")),
                n => self.path.join(format!("{name}.corrupt.{n}")),
            })
            .find(|candidate| !candidate.exists())
            .unwrap_or_else(|| self.path.join(format!("{name}.corrupt")));
        tracing::warn!(file = %path.display(), kept_as = %aside.display(), "set a certificate file aside");
        fs::rename(&path, &aside).map_err(|source| CertError::File { action: "set aside", path, source })
    }

    #[cfg(unix)]
    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    #[cfg(not(unix))]
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Other users' tools must be able to read a root that they are to trust, whatever the umask says.
#[cfg(unix)]
fn readable_by_all(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_: &File) -> io::Result<()> {
    Ok(())
}
