//! What this crate could not do, said so that a person can act on it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{what} is not available on this operating system")]
    Unsupported { what: &'static str },

    #[error("could not {tried}")]
    Io { tried: String, source: io::Error },

    /// A file or folder that somebody else could read, replace or redirect.
    #[error("{} is not safe to use: {reason}", path.display())]
    UnsafePath { path: PathBuf, reason: String },

    /// Neither `SALLYPORT_HOME` nor a home folder is known.
    #[error("no home folder is known; set HOME or SALLYPORT_HOME")]
    NoHome,

    /// No living process holds the other end, or the kernel does not tell.
    #[error("no process owns the connection {peer} -> {local}")]
    NoOwner { local: SocketAddr, peer: SocketAddr },

    #[error("nothing listens on {address}")]
    NoListener { address: SocketAddr },

    #[error("the kernel's answer about {about} made no sense")]
    Malformed { about: &'static str },
}

impl Error {
    pub(crate) fn io(tried: impl Into<String>, source: impl Into<io::Error>) -> Error {
        Error::Io { tried: tried.into(), source: source.into() }
    }
}
