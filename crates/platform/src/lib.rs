//! Everything that depends on the operating system: paths, the owner of a socket, processes, the keychain, locked
//! memory, trusted roots. All `cfg(target_os)`, FFI and `unsafe` of the product live here, behind one façade.
//!
//! It must not know anything of AI, policy or the proxy. Where an operating system has no implementation yet, the
//! answer is [`Error::Unsupported`], never a guess.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as imp;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as imp;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as imp;

pub mod authenticate;
pub mod desktop;
mod error;
pub mod folders;
pub mod fs;
pub mod host;
pub mod keychain;
pub mod keys;
#[cfg(not(target_os = "linux"))]
mod linux_alone;
pub mod memory;
pub mod paths;
pub mod peer;
pub mod process;
pub mod socket_owner;
pub mod trust;
pub mod turns;
#[cfg(unix)]
mod unix;

pub use error::Error;
pub use keychain::{FoundItem, Keychain, KeychainError, KeychainErrorCode, Unlock};
pub use keys::{KeyFile, KeyStore, KeyStoreError, KeyStoreKind, Keys};
pub use memory::LockedBytes;
pub use paths::Paths;
pub use peer::current_uid;
pub use socket_owner::{SocketOwner, owner_of};
