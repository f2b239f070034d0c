//! The macOS side of the façade. The owner of a socket and processes come with the macOS part; until then they are
//! refused, which closes the listener rather than leaving it open.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyring_core::{CredentialStore, Entry};

use crate::Error;
use crate::authenticate::{Action, Answer, Missing, Subject};
use crate::keychain::{KeychainError, KeychainErrorCode, KeyringState, SECRET_SERVICE};
use crate::memory::Hardening;
use crate::paths::BaseDirs;
use crate::peer::Credentials;
use crate::process::Process;
use crate::socket_owner::SocketOwner;
use crate::trust::StoreStatus;

pub(crate) use crate::linux_alone::{FolderWatch, process_environment};
pub(crate) use crate::unix::{
    LockedPages, current_uid, free_space, hostname, raise_open_file_limit, user_name,
};

pub(crate) fn managed_dir() -> PathBuf {
    "/etc/sallyport".into()
}

/// The same places as on Linux, since tools and tests look there; the runtime folder is the private one of the user.
pub(crate) fn base_dirs(home: &Path, absolute: &dyn Fn(&str) -> Option<PathBuf>) -> BaseDirs {
    let base = |variable: &str, default: &str| absolute(variable).unwrap_or_else(|| home.join(default));
    BaseDirs {
        config: base("XDG_CONFIG_HOME", ".config").join("sallyport"),
        state: base("XDG_STATE_HOME", ".local/state").join("sallyport"),
        run: absolute("XDG_RUNTIME_DIR").map(|dir| dir.join("sallyport")),
    }
}

pub(crate) fn peer_credentials(fd: BorrowedFd<'_>) -> Result<Credentials, Error> {
    let (uid, gid) = crate::unix::effective_peer(fd)?;
    Ok(Credentials { uid, gid, pid: None })
}

pub(crate) fn connection_owner(_: SocketAddr, _: SocketAddr) -> Result<SocketOwner, Error> {
    Err(Error::Unsupported { what: "looking up who owns a connection" })
}

pub(crate) fn listener_owner(_: SocketAddr) -> Result<SocketOwner, Error> {
    Err(Error::Unsupported { what: "looking up who listens on a port" })
}

pub(crate) fn find_socket_holder(_: u64, _: u32, _: &[u32]) -> Option<u32> {
    None
}

/// Taken by nobody yet: sessions of agents need it, and say that they are not to be had here.
#[derive(Debug)]
pub(crate) enum ProcessHold {}

impl ProcessHold {
    pub(crate) fn take(_: u32) -> Result<ProcessHold, Error> {
        Err(Error::Unsupported { what: "watching a process for its end" })
    }

    pub(crate) fn is_over(&self) -> bool {
        match *self {}
    }
}

pub(crate) fn authenticate(_: Action, _: &Subject, _: std::time::Duration) -> Answer {
    Answer::Unavailable(Missing::Implementation)
}

pub(crate) fn authentication_available() -> Result<(), Missing> {
    Err(Missing::Implementation)
}

/// Nobody is asked yet, so no process needs to be told from another.
pub(crate) fn process_started(_: u32) -> Option<u64> {
    None
}

pub(crate) fn describe_process(_: u32) -> Option<Process> {
    None
}

pub(crate) fn harden_process() -> Hardening {
    Hardening {
        no_core_files: crate::unix::disable_core_files(),
        not_dumpable: Err("hiding memory from other processes needs the hardened runtime on macOS".into()),
    }
}

/// # Safety
/// None needed: macOS has no such advice, and core files are off.
pub(crate) unsafe fn leave_out_of_dumps(_: *mut u8, _: usize) {}

pub(crate) fn credential_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(apple_native_keyring_store::keychain::Store::new()?)
}

/// Known only when it is used: the system shows its own prompt.
pub(crate) fn keyring_state() -> Result<KeyringState, KeychainError> {
    Ok(KeyringState::Ready)
}

pub(crate) fn explain_keychain_failure(error: &keyring_core::Error) -> Option<KeychainErrorCode> {
    match error {
        keyring_core::Error::NoStorageAccess(_) => Some(KeychainErrorCode::Denied),
        _ => None,
    }
}

pub(crate) fn found_item(_: &Entry) -> (Option<String>, Option<String>) {
    (None, None)
}

pub(crate) fn user_secret_queries() -> &'static [&'static [(&'static str, &'static str)]] {
    &[&[("service", SECRET_SERVICE)]]
}

pub(crate) fn item_modifiers(_: &str, _: &str) -> Vec<(&'static str, String)> {
    Vec::new()
}

/// The keychain is the list; there is no file.
pub(crate) fn roots_file() -> Option<PathBuf> {
    None
}

pub(crate) fn bundle_text() -> Option<String> {
    None
}

pub(crate) fn trust_stores(_: &Path, _: &[u8]) -> Vec<StoreStatus> {
    Vec::new()
}
