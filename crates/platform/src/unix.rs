//! What Linux and macOS share.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
use rustix::process::{Resource, Rlimit};

use crate::Error;
use crate::memory::LockState;

pub(crate) fn current_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

pub(crate) fn hostname() -> Option<String> {
    rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
}

pub(crate) fn user_name() -> Option<String> {
    let mut buffer = vec![0_u8; 16 * 1024];
    let mut entry = std::mem::MaybeUninit::<libc::passwd>::uninit();
    let mut found = std::ptr::null_mut();
    // SAFETY: `entry`, `buffer` and `found` are valid for writes of the sizes given and outlive the call.
    let code = unsafe {
        libc::getpwuid_r(
            current_uid(),
            entry.as_mut_ptr(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            &raw mut found,
        )
    };
    if code != 0 || found.is_null() {
        return None;
    }
    // SAFETY: the call succeeded and found an entry, so `entry` is initialised and `pw_name` points to a
    // NUL-terminated string inside `buffer`, which is still alive.
    let name = unsafe { std::ffi::CStr::from_ptr(entry.assume_init_ref().pw_name) };
    name.to_str().ok().map(str::to_owned)
}

pub(crate) fn free_space(path: &Path) -> Result<u64, Error> {
    let stat = rustix::fs::statvfs(path)
        .map_err(|e| Error::io(format!("ask for the free space at {}", path.display()), e))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

pub(crate) fn raise_open_file_limit() -> Result<u64, Error> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // macOS says "unlimited" and then refuses more than OPEN_MAX.
    let wanted = match limit.maximum {
        Some(maximum) => maximum,
        None => 10_240.max(limit.current.unwrap_or(0)),
    };
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    rustix::process::setrlimit(Resource::Nofile, raised)
        .map_err(|e| Error::io("raise the limit of open files", e))?;
    Ok(wanted)
}

pub(crate) fn disable_core_files() -> Result<(), String> {
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(|e| e.to_string())
}

/// Anonymous pages between two pages that cannot be touched.
pub(crate) struct LockedPages {
    base: std::ptr::NonNull<u8>,
    /// Bytes of the whole mapping, both guards included.
    mapped: usize,
    page: usize,
    state: LockState,
}

// SAFETY: the mapping belongs to this value alone and has no thread affinity; access follows the borrow rules of
// `bytes` and `bytes_mut`.
unsafe impl Send for LockedPages {}
// SAFETY: as above; `&LockedPages` only allows reading.
unsafe impl Sync for LockedPages {}

impl LockedPages {
    pub(crate) fn new(len: usize) -> Result<LockedPages, Error> {
        let page = rustix::param::page_size();
        let tried = "map memory for a key";
        let inner =
            len.max(1).checked_next_multiple_of(page).ok_or_else(|| Error::io(tried, Errno::NOMEM))?;
        let mapped = inner.checked_add(2 * page).ok_or_else(|| Error::io(tried, Errno::NOMEM))?;
        // SAFETY: a fresh private anonymous mapping at an address of the kernel's choice aliases nothing.
        let base = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), mapped, ProtFlags::empty(), MapFlags::PRIVATE)
        }
        .map_err(|e| Error::io(tried, e))?;
        let base = std::ptr::NonNull::new(base.cast::<u8>()).ok_or_else(|| Error::io(tried, Errno::NOMEM))?;
        let mut pages = LockedPages { base, mapped, page, state: LockState::Locked };

        let (start, size) = (pages.start(), pages.size());
        // SAFETY: `start..start+size` lies inside the mapping made above, and nothing refers to it yet.
        unsafe {
            rustix::mm::mprotect(start.cast(), size, MprotectFlags::READ | MprotectFlags::WRITE)
                .map_err(|e| Error::io(tried, e))?;
            if let Err(errno) = rustix::mm::mlock(start.cast(), size) {
                pages.state = LockState::Unlocked(errno.to_string());
            }
            crate::imp::leave_out_of_dumps(start, size);
        }
        Ok(pages)
    }

    fn start(&self) -> *mut u8 {
        self.base.as_ptr().wrapping_add(self.page)
    }

    fn size(&self) -> usize {
        self.mapped - 2 * self.page
    }

    pub(crate) fn lock_state(&self) -> &LockState {
        &self.state
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the inner pages are mapped, readable, initialised (zero-filled by the kernel) and live as long as
        // `self`; writes need `&mut self`.
        unsafe { std::slice::from_raw_parts(self.start(), self.size()) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and the exclusive borrow of `self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.start(), self.size()) }
    }
}

impl Drop for LockedPages {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` and no reference into it outlives `self`. Unmapping unlocks as well.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.mapped) };
    }
}

/// The name of a Unix socket's peer, where the standard call gives only the user and group.
#[cfg(target_os = "macos")]
pub(crate) fn effective_peer(fd: impl AsFd) -> Result<(u32, u32), Error> {
    use std::os::fd::AsRawFd;
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: the descriptor is open for the duration of the call, and both outputs are valid for writes.
    let code = unsafe { libc::getpeereid(fd.as_fd().as_raw_fd(), &raw mut uid, &raw mut gid) };
    match code {
        0 => Ok((uid, gid)),
        _ => Err(Error::io("ask who is at the other end of a socket", std::io::Error::last_os_error())),
    }
}

#[cfg(target_os = "linux")]
pub(crate) fn effective_peer(fd: impl AsFd) -> Result<(u32, u32, u32), Error> {
    let peer = rustix::net::sockopt::socket_peercred(fd)
        .map_err(|e| Error::io("ask who is at the other end of a socket", e))?;
    Ok((peer.uid.as_raw(), peer.gid.as_raw(), peer.pid.as_raw_nonzero().get().unsigned_abs()))
}
