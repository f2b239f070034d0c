//! The Linux side of the façade.

mod keyring;
mod polkit;
mod process;
mod sock_diag;
mod trust;

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
pub(crate) use keyring::{
    credential_store, explain_keychain_failure, found_item, item_modifiers, keyring_state,
    user_secret_queries,
};
pub(crate) use polkit::{authenticate, authentication_available, process_started};
pub(crate) use process::{ProcessHold, describe_process, find_socket_holder};
pub(crate) use sock_diag::{connection_owner, listener_owner};
pub(crate) use trust::{bundle_text, roots_file, trust_stores};

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

/// Unmaps what of the program's file stands in memory unchanged: code and tables, not what was relocated or written.
pub(crate) fn unmap_program_pages() {
    // SAFETY: the callback is called during this call alone, with an object that lives as long as the call.
    unsafe { libc::dl_iterate_phdr(Some(unmap_first), std::ptr::null_mut()) };
}

/// # Safety
/// To be called by `dl_iterate_phdr`.
unsafe extern "C" fn unmap_first(
    object: *mut libc::dl_phdr_info,
    _: libc::size_t,
    _: *mut libc::c_void,
) -> libc::c_int {
    /// Any but 0 ends the iteration: the program comes first, then its libraries.
    const ENOUGH: libc::c_int = 1;
    let page = rustix::param::page_size();
    // SAFETY: the caller hands over a valid object with as many headers as it says.
    let (object, headers) = unsafe {
        let object = &*object;
        if object.dlpi_phdr.is_null() {
            return ENOUGH;
        }
        (object, std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)))
    };
    for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD) {
        if header.p_flags & libc::PF_W != 0 {
            continue;
        }
        let (Ok(offset), Ok(size)) = (usize::try_from(header.p_vaddr), usize::try_from(header.p_filesz))
        else {
            continue;
        };
        let Ok(base) = usize::try_from(object.dlpi_addr) else { continue };
        let start = (base + offset).next_multiple_of(page);
        let end = (base + offset + size) / page * page;
        if start < end {
            let pages = std::ptr::with_exposed_provenance_mut(start);
            // SAFETY: the range is a part of a private mapping of the program's file that nobody may write to and no
            // relocation changed, since those need a segment that can be written: its contents are the file's, and
            // are mapped from it again at the next access.
            let _ = unsafe { rustix::mm::madvise(pages, end - start, rustix::mm::Advice::LinuxDontNeed) };
        }
    }
    ENOUGH
}
