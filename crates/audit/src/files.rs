//! The files of a trail, and how they are made: for the owner only, and there after a power cut.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::AuditError;

/// Where the parts of a trail lie. The head and the public key stand outside the database on purpose: copy
/// them off the machine, and a rewritten database can't pass for the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailPaths {
    pub database: PathBuf,
    pub head: PathBuf,
    pub public_key: PathBuf,
    pub lock: PathBuf,
}

impl TrailPaths {
    /// `audit.db`, `audit.head`, `audit.pub` and `audit.lock` in one folder.
    pub fn in_folder(folder: &Path) -> TrailPaths {
        TrailPaths {
            database: folder.join("audit.db"),
            head: folder.join("audit.head"),
            public_key: folder.join("audit.pub"),
            lock: folder.join("audit.lock"),
        }
    }
}

pub(crate) fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> AuditError + 'a {
    move |source| AuditError::File { action, path: path.to_owned(), source }
}

/// Opens for reading and writing; a new file is readable by its owner alone from the first moment.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // One that was there before, restored from somewhere perhaps.
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(file)
}

/// Replaces a small file in one step.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> Result<(), AuditError> {
    use std::io::Write;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let write = || {
        let mut file = open_private(&temporary)?;
        file.set_len(0)?;
        file.write_all(contents)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(failed("write", path))?;
    sync_folder_of(path)
}

/// Moves evidence out of the way instead of overwriting it: `NAME.1`, `NAME.2`, …
pub(crate) fn set_aside(path: &Path) -> Result<(), AuditError> {
    if !path.exists() {
        return Ok(());
    }
    for n in 1_u32.. {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{n}"));
        let aside = path.with_file_name(name);
        if !aside.exists() {
            return std::fs::rename(path, aside).map_err(failed("set aside", path));
        }
    }
    Ok(())
}

/// A new file's name is durable only when its folder is.
pub(crate) fn sync_folder_of(path: &Path) -> Result<(), AuditError> {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder).and_then(|f| f.sync_all()).map_err(failed("make the files durable in", folder))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
