//! The local certificate authority: a constrained root that is used once, a constrained intermediate that
//! mints, and leaves with keys of their own.
//!
//! The only code that ever sees a root's key, and it forgets it before `open_or_create` returns. It decides
//! nothing about which hosts are intercepted and installs nothing into trust stores.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod authority;
mod constraints;
mod error;
mod files;
mod issue;
mod keys;
mod leaf;
mod loaded;

pub use authority::{CaOutcome, CertAuthority, ReissueReason};
pub use constraints::Constraints;
pub use error::CertError;
pub use keys::{HeldKey, KeyStore, KeyStoreError};
