//! The control socket as a Unix socket: mode 0600 in a folder of mode 0700, one listener at a time.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sallyport_platform::peer;
use tokio::net::UnixListener;
pub(crate) use tokio::net::UnixStream as Stream;

use crate::control::Caller;
use crate::error::BindError;

/// The engine's end of the control socket. The socket goes away when this does.
#[derive(Debug)]
pub struct ControlListener {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
    /// Held as long as the listener lives: of two engines that start at once, one gets it.
    _lock: File,
}

impl ControlListener {
    /// Offers the socket at `path`, mode 0600 in a folder of mode 0700. A socket that nobody answers on is
    /// replaced; one that somebody answers on never is.
    pub fn bind(path: &Path) -> Result<ControlListener, BindError> {
        let failed = |action| {
            let path = path.to_owned();
            move |source| BindError::Io { action, path, source }
        };
        if let Some(folder) = path.parent() {
            private_folder(folder)?;
        }
        let lock = lock(path)?;
        match std::fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => {
                return Err(BindError::NotASocket { path: path.to_owned() });
            }
            Ok(_) => {
                // The lock says that no engine of ours runs; another program may still listen here.
                if std::os::unix::net::UnixStream::connect(path).is_ok() {
                    return Err(BindError::InUse { path: path.to_owned() });
                }
                std::fs::remove_file(path).map_err(failed("remove the stale socket"))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("look at")(error)),
        }
        // Between bind and chmod the folder's mode keeps others out.
        let listener = UnixListener::bind(path).map_err(failed("listen at"))?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed("restrict"))?;
        let inode = std::fs::symlink_metadata(path).map_err(failed("look at"))?.ino();
        Ok(ControlListener { listener, path: path.to_owned(), inode, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for ControlListener {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == self.inode);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "the control socket stays behind");
        }
    }
}

/// Who is at the other end, as the kernel says.
pub(crate) fn caller(stream: &Stream) -> io::Result<Caller> {
    let peer = peer::credentials(stream).map_err(io::Error::other)?;
    Ok(Caller { uid: peer.uid, pid: peer.pid })
}

pub(crate) async fn connect(path: &Path) -> io::Result<Stream> {
    Stream::connect(path).await
}

fn private_folder(folder: &Path) -> Result<(), BindError> {
    let failed = |action| {
        let path = folder.to_owned();
        move |source| BindError::Io { action, path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("create the folder"))?;
    let there = std::fs::metadata(folder).map_err(failed("look at"))?;
    if there.uid() != peer::current_uid() {
        return Err(BindError::ForeignFolder { path: folder.to_owned() });
    }
    if there.mode() & 0o077 != 0 {
        std::fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(failed("restrict"))?;
    }
    Ok(())
}

fn lock(socket: &Path) -> Result<File, BindError> {
    let path = socket.with_extension("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|source| BindError::Io { action: "open", path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(BindError::InUse { path: socket.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(BindError::Io { action: "lock", path, source }),
    }
}
