//! Small facts about this machine and this account, and its limits.

use std::path::Path;

use crate::Error;

/// Fills `bytes` from the system's random source.
pub fn random(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|e| Error::io("read the system's random source", std::io::Error::other(e)))
}

/// This machine's name; `localhost` when it has none.
pub fn hostname() -> String {
    crate::imp::hostname().filter(|n| !n.is_empty()).unwrap_or_else(|| "localhost".into())
}

/// The account's login name; the number of the user when there is none.
pub fn user_name() -> String {
    crate::imp::user_name().unwrap_or_else(|| crate::current_uid().to_string())
}

/// Bytes that an ordinary user may still write where `path` is.
pub fn free_space(path: &Path) -> Result<u64, Error> {
    crate::imp::free_space(path)
}

/// Raises the limit of open files to the most this process may have; returns the limit now in force.
pub fn raise_open_file_limit() -> Result<u64, Error> {
    crate::imp::raise_open_file_limit()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn facts_are_there() {
        let mut bytes = [0_u8; 32];
        random(&mut bytes).expect("random");
        assert_ne!(bytes, [0; 32]);
        assert!(!hostname().is_empty());
        assert!(!user_name().is_empty());
        assert!(free_space(Path::new("/")).expect("space") > 0);
        assert!(raise_open_file_limit().expect("limit") >= 256);
    }
}
