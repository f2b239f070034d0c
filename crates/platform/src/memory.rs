//! Memory that is neither swapped nor dumped, for keys. Limits for locked memory are small, so values of secrets in
//! bulk do not belong here (they are not kept at all).

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// What [`harden_process`] achieved. A failure is a health item, not an error: the engine runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardening {
    /// The core size limit is 0.
    pub no_core_files: Result<(), String>,
    /// Other processes of this user may not attach or read our memory, and no handler gets a core.
    pub not_dumpable: Result<(), String>,
}

/// Turns core dumps off and hides this process's memory from other processes of the same user.
pub fn harden_process() -> Hardening {
    crate::imp::harden_process()
}

/// Has the allocator keep what is freed for what comes next, up to `bytes` a pool: what comes from the system and goes back
/// to it with each request costs a page fault for each of its pages. What is as large as `large` does all the same: kept among
/// small things it would pin theirs. There are as many pools as cores: threads come and go, and each had one of its own, eight to
/// a core. To be called before there are other threads.
pub fn keep_freed(bytes: i32, large: i32) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        // SAFETY: settings of the allocator, which takes any number.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, large);
            libc::mallopt(libc::M_TRIM_THRESHOLD, bytes);
            libc::mallopt(libc::M_ARENA_MAX, i32::try_from(cores).unwrap_or(i32::MAX));
        }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = (bytes, large);
}

/// Gives pages back to the system that the allocator keeps after much was freed. For rare moments: it walks the heap.
pub fn give_back_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the allocator locks its own arenas, and nothing that is in use moves.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lets go of the program's own pages, such as those that its start alone needed: what is used again comes back from
/// the system's copy of the file, sixteen pages at a time. For rare moments.
pub fn give_back_program() {
    #[cfg(target_os = "linux")]
    crate::imp::give_back_program();
}

/// Whether the pages are held in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockState {
    Locked,
    /// Used all the same; the reason makes a health item.
    Unlocked(String),
}

/// A fixed number of bytes on pages of their own, between two guard pages, locked where the system allows, left out
/// of dumps and child processes, and overwritten when dropped. `Debug` shows the length only.
pub struct LockedBytes {
    pages: crate::imp::LockedPages,
    len: usize,
}

impl LockedBytes {
    /// `len` zero bytes.
    pub fn zeroed(len: usize) -> Result<LockedBytes, crate::Error> {
        Ok(LockedBytes { pages: crate::imp::LockedPages::new(len)?, len })
    }

    /// Moves `source` in and wipes it.
    pub fn from_wiped(source: &mut [u8]) -> Result<LockedBytes, crate::Error> {
        let mut bytes = LockedBytes::zeroed(source.len())?;
        bytes.copy_from_slice(source);
        source.zeroize();
        Ok(bytes)
    }

    /// Takes the bytes over and wipes the vector.
    pub fn from_vec(source: Zeroizing<Vec<u8>>) -> Result<LockedBytes, crate::Error> {
        let mut source = source;
        LockedBytes::from_wiped(&mut source)
    }

    pub fn lock_state(&self) -> &LockState {
        self.pages.lock_state()
    }
}

impl std::ops::Deref for LockedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.pages.bytes()[..self.len]
    }
}

impl std::ops::DerefMut for LockedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.pages.bytes_mut()[..self.len]
    }
}

impl AsRef<[u8]> for LockedBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for LockedBytes {
    fn drop(&mut self) {
        self.pages.bytes_mut().zeroize();
    }
}

impl fmt::Debug for LockedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LockedBytes({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_and_wipes() {
        let mut source = *b"correct horse battery staple";
        let bytes = LockedBytes::from_wiped(&mut source).expect("pages");
        assert_eq!(&bytes[..], b"correct horse battery staple");
        assert_eq!(source, [0; 28]);
        assert_eq!(format!("{bytes:?}"), "LockedBytes(28 bytes)");
        assert!(LockedBytes::zeroed(0).expect("empty").is_empty());
        assert_eq!(LockedBytes::zeroed(10_000).expect("three pages").len(), 10_000);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn pages_are_locked_and_left_out_of_dumps() {
        let bytes = LockedBytes::zeroed(64).expect("pages");
        assert_eq!(bytes.lock_state(), &LockState::Locked);
        let start = format!("{:x}-", bytes.as_ptr().addr());
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("smaps");
        let flags = smaps
            .lines()
            .skip_while(|l| !l.starts_with(&start))
            .find(|l| l.starts_with("VmFlags:"))
            .expect("flags of our mapping");
        for flag in ["lo", "dd", "dc"] {
            assert!(flags.split(' ').any(|f| f == flag), "{flag} missing in {flags}");
        }
    }
}
