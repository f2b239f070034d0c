//! What can go wrong with the authority, by what was tried.

use std::path::PathBuf;

use crate::KeyStoreError;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    #[error("the host `{host}` can't be intercepted: {why}")]
    Host { host: String, why: &'static str },
    #[error("`{host}` lies outside the names this certificate authority may speak for")]
    OutsideConstraints { host: String },
    #[error("could not {action} {path}")]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The key store did not answer (locked, denied, gone). The certificates stay as they are: a store that is
    /// locked today must not cost the user their trusted root.
    #[error("could not {action} the certificate authority's key")]
    KeyStore {
        action: &'static str,
        #[source]
        source: KeyStoreError,
    },
    #[error("could not draw random bytes from the operating system")]
    Random(#[source] getrandom::Error),
    #[error("could not sign a certificate")]
    Sign(#[source] rcgen::Error),
    #[error("could not use a freshly made certificate key for TLS")]
    Tls(#[source] rustls::Error),
    /// The clock is so far off that any certificate made now would be refused later.
    #[error("the system clock is not plausible, so no certificate was made: set the clock and try again")]
    Clock,
    #[error("the certificate authority is not valid at the time of the system clock")]
    NotValidNow,
}
