//! The Linux side of the façade.

mod folders;
mod keyring;
mod panel;
mod polkit;
mod process;
mod program;
mod sock_diag;
mod trust;
mod turns;

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::process::DumpableBehavior;

use crate::Error;
use crate::memory::Hardening;
use crate::paths::BaseDirs;
use crate::peer::Credentials;

pub(crate) use crate::unix::{
    LockedPages, current_uid, free_space, hostname, raise_open_file_limit, user_name,
};
pub(crate) use folders::FolderWatch;
pub(crate) use keyring::{
    credential_store, explain_keychain_failure, found_item, item_modifiers, keyring_state,
    user_secret_queries,
};
pub(crate) use panel::{Panel, close_popup, popup_number};
pub(crate) use polkit::{authenticate, authentication_available, process_started};
pub(crate) use process::{ProcessHold, describe_process, find_socket_holder, process_environment};
pub(crate) use program::give_back_program;
pub(crate) use sock_diag::{connection_owner, listener_owner};
pub(crate) use trust::{bundle_text, roots_file, trust_stores};
pub(crate) use turns::take_short_turns;

pub(crate) fn managed_dir() -> PathBuf {
    "/etc/sallyport".into()
}

pub(crate) fn base_dirs(home: &Path, absolute: &dyn Fn(&str) -> Option<PathBuf>) -> BaseDirs {
    let base = |variable: &str, default: &str| absolute(variable).unwrap_or_else(|| home.join(default));
    BaseDirs {
        config: base("XDG_CONFIG_HOME", ".config").join("sallyport"),
        state: base("XDG_STATE_HOME", ".local/state").join("sallyport"),
        run: absolute("XDG_RUNTIME_DIR").map(|dir| dir.join("sallyport")),
    }
}

pub(crate) fn peer_credentials(fd: BorrowedFd<'_>) -> Result<Credentials, Error> {
    let (uid, gid, pid) = crate::unix::effective_peer(fd)?;
    Ok(Credentials { uid, gid, pid: Some(pid) })
}

pub(crate) fn harden_process() -> Hardening {
    Hardening {
        no_core_files: crate::unix::disable_core_files(),
        not_dumpable: rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(|e| e.to_string()),
    }
}

/// # Safety
/// `start..start+size` must be whole pages of one mapping of the caller's.
pub(crate) unsafe fn leave_out_of_dumps(start: *mut u8, size: usize) {
    use rustix::mm::Advice;
    for advice in [Advice::LinuxDontDump, Advice::LinuxDontFork] {
        // SAFETY: the caller vouches for the range; both pieces of advice leave its contents alone. A kernel without
        // them ignores the call, and core dumps are off for the process anyway.
        let _ = unsafe { rustix::mm::madvise(start.cast(), size, advice) };
    }
}
