//! Files that hold something private: written whole or not at all, never through a symlink, readable by the owner.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::Error;

/// Replaces `path` by `bytes` in one step: a reader sees the old file or the new one, and so does a machine that
/// lost power. `mode` is the permission (0o600 and the like); the folder must exist.
pub fn write_private_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let tried = || format!("write {}", path.display());
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name() else {
        return Err(Error::io(tried(), io::Error::from(io::ErrorKind::InvalidInput)));
    };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    // Where process numbers come again, as in a container, what a crash left must not be in the way for good.
    let mut number = [0; 8];
    crate::host::random(&mut number)?;
    temporary.push(format!(".{:016x}.tmp", u64::from_le_bytes(number)));
    let temporary = Temporary(folder.join(temporary));

    let mut file = create_new(&temporary.0, mode).map_err(|e| Error::io(tried(), e))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&temporary.0, path))
        .and_then(|()| sync_dir(folder))
        .map_err(|e| Error::io(tried(), e))
}

/// Removes the half-written file when a step fails; after the rename there is nothing left to remove.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Makes the folder (and its parents) if it is missing, for the owner alone. Refuses a symlink, something that is
/// no folder, and a folder of another user; takes away the access of others from our own.
pub fn ensure_private_dir(dir: &Path) -> Result<(), Error> {
    let unsafe_path = |reason: &str| Error::UnsafePath { path: dir.to_owned(), reason: reason.into() };
    let metadata = match std::fs::symlink_metadata(dir) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            create_dir_all(dir).map_err(|e| Error::io(format!("create the folder {}", dir.display()), e))?;
            std::fs::symlink_metadata(dir)
                .map_err(|e| Error::io(format!("look at the folder {}", dir.display()), e))?
        }
        Err(e) => return Err(Error::io(format!("look at the folder {}", dir.display()), e)),
    };
    if metadata.file_type().is_symlink() {
        return Err(unsafe_path("it is a symbolic link; put a real folder in its place"));
    }
    if !metadata.is_dir() {
        return Err(unsafe_path("it is not a folder"));
    }
    check_owner(dir, &metadata)
}

/// Makes the file if it is missing, for the owner alone, and takes away the access of others from one that is there.
/// Refuses a symlink and what is no file.
pub fn ensure_private_file(path: &Path) -> Result<(), Error> {
    let tried = || format!("make the file {} private", path.display());
    match create_new(path, 0o600) {
        Ok(_) => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(Error::io(tried(), e)),
    }
    let metadata = std::fs::symlink_metadata(path).map_err(|e| Error::io(tried(), e))?;
    if !metadata.is_file() {
        return Err(Error::UnsafePath { path: path.to_owned(), reason: "it is no ordinary file".into() });
    }
    make_private(path, &metadata).map_err(|e| Error::io(tried(), e))
}

/// The bytes of an ordinary file of at most `limit` bytes. `None` when there is no such file, or it is something else
/// (a folder, a pipe that would never end, a device) or larger.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let tried = || format!("read {}", path.display());
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Opening a pipe would otherwise wait for its writer.
        options.custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    }
    let file = match options.open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(Error::io(tried(), e)),
    };
    let metadata = file.metadata().map_err(|e| Error::io(tried(), e))?;
    if !metadata.is_file() || metadata.len() > limit {
        return Ok(None);
    }
    // Room beforehand: a vector that grows leaves copies behind.
    let room = usize::try_from(metadata.len()).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| Error::io(tried(), e))?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// Whether users other than the owner may read this file; `None` where the system cannot tell.
pub fn readable_by_others(path: &Path) -> Option<bool> {
    readable_by_others_imp(path)
}

#[cfg(unix)]
fn readable_by_others_imp(path: &Path) -> Option<bool> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|m| m.mode() & 0o044 != 0)
}

#[cfg(unix)]
fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // `mode` above passes through the umask, which may have taken bits away.
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    Ok(file)
}

#[cfg(unix)]
fn make_private(path: &Path, metadata: &std::fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    if metadata.mode() & 0o077 == 0 {
        return Ok(());
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

#[cfg(unix)]
fn create_dir_all(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(unix)]
fn check_owner(dir: &Path, metadata: &std::fs::Metadata) -> Result<(), Error> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    if metadata.uid() != crate::current_uid() {
        return Err(Error::UnsafePath {
            path: dir.to_owned(),
            reason: format!("it belongs to user {}, not to user {}", metadata.uid(), crate::current_uid()),
        });
    }
    if metadata.mode() & 0o077 != 0 {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
            .map_err(|e| Error::io(format!("make {} private", dir.display()), e))?;
    }
    Ok(())
}

#[cfg(unix)]
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

// On Windows a user's profile is private by its inherited access list, and folders cannot be synced.
#[cfg(windows)]
fn readable_by_others_imp(_: &Path) -> Option<bool> {
    None
}

#[cfg(windows)]
fn create_new(path: &Path, _: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(windows)]
fn make_private(_: &Path, _: &std::fs::Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(windows)]
fn create_dir_all(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)
}

#[cfg(windows)]
fn check_owner(_: &Path, _: &std::fs::Metadata) -> Result<(), Error> {
    Ok(())
}

#[cfg(windows)]
pub(crate) fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn replaces_a_file_and_keeps_the_mode() {
        let dir = tempfile::tempdir().expect("temp");
        let path = dir.path().join("key");
        std::fs::write(&path, b"old").expect("old");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("mode");
        write_private_atomic(&path, b"new", 0o600).expect("write");
        assert_eq!(std::fs::read(&path).expect("read"), b"new");
        assert_eq!(std::fs::metadata(&path).expect("stat").mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 1, "no temporary file stays");
    }

    #[test]
    fn replaces_a_symlink_rather_than_its_target() {
        let dir = tempfile::tempdir().expect("temp");
        let target = dir.path().join("elsewhere");
        std::fs::write(&target, b"untouched").expect("target");
        let path = dir.path().join("key");
        std::os::unix::fs::symlink(&target, &path).expect("link");
        write_private_atomic(&path, b"new", 0o600).expect("write");
        assert_eq!(std::fs::read(&target).expect("read"), b"untouched");
        assert!(!std::fs::symlink_metadata(&path).expect("stat").file_type().is_symlink());
    }

    #[test]
    fn reads_ordinary_files_up_to_a_limit() {
        let dir = tempfile::tempdir().expect("temp");
        let file = dir.path().join("file");
        std::fs::write(&file, b"12345678").expect("file");
        assert_eq!(read_bounded(&file, 8).expect("read").expect("bytes").as_slice(), b"12345678");
        assert!(read_bounded(&file, 7).expect("read").is_none(), "too large");
        assert!(read_bounded(dir.path(), 100).expect("folder").is_none());
        assert!(read_bounded(&dir.path().join("none"), 100).expect("missing").is_none());
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        assert!(read_bounded(&pipe, 100).expect("pipe").is_none());
    }

    #[test]
    fn private_files_are_made_tightened_or_refused() {
        let dir = tempfile::tempdir().expect("temp");
        let file = dir.path().join("counters.db");
        ensure_private_file(&file).expect("fresh");
        assert_eq!(std::fs::metadata(&file).expect("stat").mode() & 0o777, 0o600);
        std::fs::write(&file, b"kept").expect("write");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).expect("loosen");
        ensure_private_file(&file).expect("tighten");
        assert_eq!(std::fs::metadata(&file).expect("stat").mode() & 0o777, 0o600);
        assert_eq!(std::fs::read(&file).expect("read"), b"kept");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).expect("link");
        for no_file in [link.as_path(), dir.path()] {
            assert!(matches!(ensure_private_file(no_file), Err(Error::UnsafePath { .. })));
        }
    }

    #[test]
    fn private_folders_are_made_tightened_or_refused() {
        let dir = tempfile::tempdir().expect("temp");
        let fresh = dir.path().join("a/b");
        ensure_private_dir(&fresh).expect("fresh");
        assert_eq!(std::fs::metadata(&fresh).expect("stat").mode() & 0o777, 0o700);

        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755)).expect("loosen");
        ensure_private_dir(&fresh).expect("tighten");
        assert_eq!(std::fs::metadata(&fresh).expect("stat").mode() & 0o777, 0o700);

        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&fresh, &link).expect("link");
        assert!(matches!(ensure_private_dir(&link), Err(Error::UnsafePath { .. })));

        let file = dir.path().join("file");
        std::fs::write(&file, b"").expect("file");
        assert!(matches!(ensure_private_dir(&file), Err(Error::UnsafePath { .. })));

        if crate::current_uid() == 0 {
            let foreign = dir.path().join("foreign");
            std::fs::create_dir(&foreign).expect("mkdir");
            std::os::unix::fs::chown(&foreign, Some(65534), None).expect("chown");
            assert!(matches!(ensure_private_dir(&foreign), Err(Error::UnsafePath { .. })));
        }
    }
}
