//! The Windows side of the façade. The owner of a socket, processes and locked memory come with the Windows part;
//! until then they are refused or said to be missing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyring_core::{CredentialStore, Entry};
use zeroize::Zeroizing;

use crate::Error;
use crate::authenticate::{Action, Answer, Missing, Subject};
use crate::keychain::{KeychainError, KeychainErrorCode, KeyringState};
use crate::memory::{Hardening, LockState};
use crate::paths::BaseDirs;
use crate::process::Process;
use crate::socket_owner::SocketOwner;
use crate::trust::StoreStatus;

pub(crate) use crate::linux_alone::{FolderWatch, process_environment};

pub(crate) fn managed_dir() -> PathBuf {
    std::env::var_os("ProgramData").map_or_else(|| r"C:\ProgramData".into(), PathBuf::from).join("Sallyport")
}

pub(crate) fn base_dirs(home: &Path, absolute: &dyn Fn(&str) -> Option<PathBuf>) -> BaseDirs {
    let local = absolute("LOCALAPPDATA").unwrap_or_else(|| home.join(r"AppData\Local")).join("Sallyport");
    BaseDirs { config: local.join("config"), state: local.join("state"), run: None }
}

pub(crate) fn current_uid() -> u32 {
    0
}

pub(crate) fn hostname() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

pub(crate) fn user_name() -> Option<String> {
    std::env::var("USERNAME").ok()
}

pub(crate) fn free_space(_: &Path) -> Result<u64, Error> {
    Err(Error::Unsupported { what: "asking for free disk space" })
}

/// Windows sets no such limit for handles.
pub(crate) fn raise_open_file_limit() -> Result<u64, Error> {
    Ok(u64::MAX)
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
    let missing = || Err("not available on Windows yet".to_owned());
    Hardening { no_core_files: missing(), not_dumpable: missing() }
}

/// Ordinary memory: wiped when dropped, but neither locked nor guarded, and it says so.
pub(crate) struct LockedPages {
    bytes: Zeroizing<Vec<u8>>,
    state: LockState,
}

impl LockedPages {
    pub(crate) fn new(len: usize) -> Result<LockedPages, Error> {
        Ok(LockedPages {
            bytes: Zeroizing::new(vec![0; len]),
            state: LockState::Unlocked("locked memory is not available on Windows yet".into()),
        })
    }

    pub(crate) fn lock_state(&self) -> &LockState {
        &self.state
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

pub(crate) fn credential_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(windows_native_keyring_store::Store::new()?)
}

pub(crate) fn keyring_state() -> Result<KeyringState, KeychainError> {
    Ok(KeyringState::Ready)
}

pub(crate) fn explain_keychain_failure(_: &keyring_core::Error) -> Option<KeychainErrorCode> {
    None
}

pub(crate) fn found_item(entry: &Entry) -> (Option<String>, Option<String>) {
    (entry.get_attributes().ok().and_then(|a| a.get("target_name").cloned()), None)
}

/// Items are named `user.service`; the pattern is a regular expression on that name, with `SECRET_SERVICE` in it.
pub(crate) fn user_secret_queries() -> &'static [&'static [(&'static str, &'static str)]] {
    &[&[("pattern", r"\.sallyport-secret$")]]
}

pub(crate) fn item_modifiers(_: &str, _: &str) -> Vec<(&'static str, String)> {
    Vec::new()
}

/// The certificate store is the list; there is no file.
pub(crate) fn roots_file() -> Option<PathBuf> {
    None
}

pub(crate) fn bundle_text() -> Option<String> {
    None
}

pub(crate) fn trust_stores(_: &Path, _: &[u8]) -> Vec<StoreStatus> {
    Vec::new()
}
