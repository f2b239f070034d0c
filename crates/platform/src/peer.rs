//! Who is at the other end of a local socket, and who we are.

#[cfg(unix)]
use crate::Error;

/// The process that opened the other end of a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    pub uid: u32,
    pub gid: u32,
    /// `None` where the system does not tell.
    pub pid: Option<u32>,
}

/// Credentials as the kernel recorded them when the peer connected.
#[cfg(unix)]
pub fn credentials(stream: &impl std::os::fd::AsFd) -> Result<Credentials, Error> {
    crate::imp::peer_credentials(stream.as_fd())
}

/// The effective user of this process. Windows has no such number: there it is 0, and everything that would compare
/// it answers [`crate::Error::Unsupported`] first.
pub fn current_uid() -> u32 {
    crate::imp::current_uid()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn knows_the_peer_of_a_socket_pair() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().expect("pair");
        let peer = super::credentials(&one).expect("credentials");
        assert_eq!(peer.uid, super::current_uid());
        assert_eq!(peer.pid, Some(std::process::id()));
    }
}
