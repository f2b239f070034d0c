//! The operating system's keychain: our own keys, and the secrets a user keeps for us to recognise.
//!
//! A keychain may be missing, locked, or waiting for a person who is not there. So it is proven by a real write when
//! it is opened, every call runs on a thread of its own with a time limit, and each failure has a code.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use keyring_core::{CredentialStore, Entry};
use zeroize::Zeroizing;

/// Under this service our own keys are filed.
pub const OWN_SERVICE: &str = "sallyport";
/// Under this service `sallyport secrets add` files what a user entrusts to us.
pub const SECRET_SERVICE: &str = "sallyport-secret";

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// A search reads every item it finds, one after the other.
const SEARCH_PATIENCE: Duration = Duration::from_secs(15);
/// More calls than this stuck at once mean that the keychain does not answer.
const MAX_STUCK: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeychainErrorCode {
    /// No keychain service runs in this session.
    NoService,
    /// The service runs and holds no keyring yet.
    NoKeyring,
    /// The keyring is locked.
    Locked,
    /// The system refused access.
    Denied,
    /// No answer in time.
    Timeout,
    /// A write did not come back as written, or another failure of the keychain itself.
    Failed,
    /// A name or value that the keychain cannot hold.
    Unstorable,
}

impl KeychainErrorCode {
    pub fn as_str(self) -> &'static str {
        match self {
            KeychainErrorCode::NoService => "keychain_unavailable",
            KeychainErrorCode::NoKeyring => "keychain_missing",
            KeychainErrorCode::Locked => "keychain_locked",
            KeychainErrorCode::Denied => "keychain_denied",
            KeychainErrorCode::Timeout => "keychain_timeout",
            KeychainErrorCode::Failed => "keychain_failed",
            KeychainErrorCode::Unstorable => "keychain_unstorable",
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            KeychainErrorCode::NoService => {
                "Start a keychain for this session (on Linux: install gnome-keyring or KWallet and log in again), or name a file \
                 of NAME=value lines under `secrets.files` in config.yaml."
            }
            KeychainErrorCode::NoKeyring => {
                "Create a default keyring, for instance with Passwords and Keys (seahorse), or log in graphically once."
            }
            KeychainErrorCode::Locked => "Unlock the keyring, then run `sallyport doctor` again.",
            KeychainErrorCode::Denied => "Allow Sallyport to use the keychain in the system's settings.",
            KeychainErrorCode::Timeout => {
                "The keychain service hangs or waits for its own prompt: answer the prompt, or restart the service."
            }
            KeychainErrorCode::Failed => {
                "Look at the keychain with the system's own tool; it may be damaged."
            }
            KeychainErrorCode::Unstorable => "Choose a shorter name without control characters.",
        }
    }
}

/// Never carries a value: the cause is kept as text, without what was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not {tried}: {}{}", code_sentence(*code), detail.as_deref().map(|d| format!(" ({d})")).unwrap_or_default())]
pub struct KeychainError {
    pub code: KeychainErrorCode,
    pub tried: &'static str,
    pub detail: Option<String>,
}

impl KeychainError {
    pub(crate) fn new(code: KeychainErrorCode, tried: &'static str) -> KeychainError {
        KeychainError { code, tried, detail: None }
    }

    pub fn hint(&self) -> &'static str {
        self.code.hint()
    }

    fn from_keyring(tried: &'static str, error: &keyring_core::Error) -> KeychainError {
        use keyring_core::Error as E;
        let code = crate::imp::explain_keychain_failure(error).unwrap_or(match error {
            E::NoStorageAccess(_) => KeychainErrorCode::Locked,
            E::TooLong(..) | E::Invalid(..) => KeychainErrorCode::Unstorable,
            _ => KeychainErrorCode::Failed,
        });
        // Only these two carry a platform's sentence; others may carry what was stored.
        let detail = match error {
            E::PlatformFailure(e) | E::NoStorageAccess(e) => Some(e.to_string()),
            _ => None,
        };
        KeychainError { code, tried, detail }
    }
}

fn code_sentence(code: KeychainErrorCode) -> &'static str {
    match code {
        KeychainErrorCode::NoService => "no keychain service runs in this session",
        KeychainErrorCode::NoKeyring => "the keychain service holds no default keyring",
        KeychainErrorCode::Locked => "the keyring is locked",
        KeychainErrorCode::Denied => "the system refused access to the keychain",
        KeychainErrorCode::Timeout => "the keychain did not answer in time",
        KeychainErrorCode::Failed => "the keychain failed",
        KeychainErrorCode::Unstorable => "the keychain cannot hold an item of this name or size",
    }
}

/// Whether a locked keyring may ask the person at the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlock {
    /// Never shows a prompt: a locked keyring is [`KeychainErrorCode::Locked`] at once.
    Never,
    /// Shows the system's prompt and waits this long for an answer.
    Ask { wait: Duration },
}

/// How the default keyring stands, as far as can be told without a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyringState {
    Ready,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    Locked,
}

/// An open keychain that has been seen to work.
#[derive(Clone)]
pub struct Keychain {
    store: Arc<CredentialStore>,
    /// Service name of our own keys: one per instance.
    service: Arc<str>,
    stuck: Arc<AtomicUsize>,
}

impl fmt::Debug for Keychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keychain").field("service", &self.service).finish_non_exhaustive()
    }
}

/// An item found by [`Keychain::search`].
pub struct FoundItem {
    /// From the attribute `name` or `username`, else the label.
    pub name: String,
    pub value: Zeroizing<Vec<u8>>,
    /// Tells items apart that carry the same name.
    identity: String,
}

impl fmt::Debug for FoundItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoundItem").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Keychain {
    /// Opens the keychain of this session without any prompt, and proves that it can be written and read.
    pub fn open() -> Result<Keychain, KeychainError> {
        Keychain::open_for(None, Unlock::Never)
    }

    /// As [`Keychain::open`]; keys are kept apart for each `instance` (see [`crate::Paths::instance_tag`]).
    pub fn open_for(instance: Option<&str>, unlock: Unlock) -> Result<Keychain, KeychainError> {
        const TRIED: &str = "open the keychain";
        let service: Arc<str> = match instance {
            None => OWN_SERVICE.into(),
            Some(tag) => format!("{OWN_SERVICE}:{tag}").into(),
        };
        let stuck = Arc::new(AtomicUsize::new(0));
        let wait = match unlock {
            Unlock::Never => PATIENCE,
            Unlock::Ask { wait } => wait.max(PATIENCE),
        };
        let prober = service.clone();
        let locked_meanwhile = Arc::new(AtomicUsize::new(0));
        let locked_seen = locked_meanwhile.clone();
        let opened = bounded(&stuck, TRIED, wait, move || {
            if crate::imp::keyring_state()? == KeyringState::Locked {
                locked_seen.store(1, Ordering::Relaxed);
                if unlock == Unlock::Never {
                    return Err(KeychainError::new(KeychainErrorCode::Locked, TRIED));
                }
            }
            let store = crate::imp::credential_store().map_err(|e| KeychainError::from_keyring(TRIED, &e))?;
            probe(&*store, &prober)?;
            Ok(store)
        });
        match opened {
            Ok(store) => Ok(Keychain { store, service, stuck }),
            // Nobody answered the prompt.
            Err(e)
                if e.code == KeychainErrorCode::Timeout && locked_meanwhile.load(Ordering::Relaxed) == 1 =>
            {
                Err(KeychainError { code: KeychainErrorCode::Locked, ..e })
            }
            Err(e) => Err(e),
        }
    }

    /// One of our own keys.
    pub fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeychainError> {
        const TRIED: &str = "read a key from the keychain";
        let stored = self.read(TRIED, &self.service, name)?;
        stored
            .map(|text| {
                data_encoding::BASE64
                    .decode(&text)
                    .map(Zeroizing::new)
                    .map_err(|_| KeychainError::new(KeychainErrorCode::Failed, TRIED))
            })
            .transpose()
    }

    /// Keeps one of our own keys. Stored as base64, since some keychains hold text only.
    pub fn store(&self, name: &str, key: &[u8]) -> Result<(), KeychainError> {
        let text = Zeroizing::new(data_encoding::BASE64.encode(key).into_bytes());
        self.write("keep a key in the keychain", &self.service, name, text)
    }

    /// Removes one of our own keys; it may be gone already.
    pub fn delete(&self, name: &str) -> Result<(), KeychainError> {
        self.remove("delete a key from the keychain", &self.service, name).map(|_| ())
    }

    /// Keeps a secret of the user's, so that it is recognised.
    pub fn add_user_secret(&self, name: &str, value: &[u8]) -> Result<(), KeychainError> {
        self.write("keep a secret in the keychain", SECRET_SERVICE, name, Zeroizing::new(value.to_vec()))
    }

    /// Removes a secret that [`Keychain::add_user_secret`] kept; `false` when there was none.
    pub fn remove_user_secret(&self, name: &str) -> Result<bool, KeychainError> {
        self.remove("delete a secret from the keychain", SECRET_SERVICE, name)
    }

    /// The secrets a user keeps for us: what `sallyport secrets add` stored, and on Linux every item with the
    /// attribute `application=sallyport`. Sorted by name.
    pub fn user_secrets(&self) -> Result<Vec<FoundItem>, KeychainError> {
        let mut found: Vec<FoundItem> = Vec::new();
        for query in crate::imp::user_secret_queries() {
            for item in self.search(query)? {
                if !found.iter().any(|f| f.identity == item.identity) {
                    found.push(item);
                }
            }
        }
        found.sort_by(|a, b| (&a.name, &a.identity).cmp(&(&b.name, &b.identity)));
        Ok(found)
    }

    /// Items with all of these attributes. What they mean differs by system: attributes on Linux, `service` and
    /// `user` on macOS, a `pattern` on Windows.
    pub fn search(&self, attributes: &[(&str, &str)]) -> Result<Vec<FoundItem>, KeychainError> {
        const TRIED: &str = "search the keychain";
        let store = self.store.clone();
        let query: HashMap<String, String> =
            attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        bounded(&self.stuck, TRIED, SEARCH_PATIENCE, move || {
            let query = query.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            let entries = store.search(&query).map_err(|e| KeychainError::from_keyring(TRIED, &e))?;
            let mut items = Vec::with_capacity(entries.len());
            for entry in entries {
                match found(&entry) {
                    Ok(item) => items.push(item),
                    // Deleted between the search and the read.
                    Err(keyring_core::Error::NoEntry) => {}
                    Err(e) => return Err(KeychainError::from_keyring(TRIED, &e)),
                }
            }
            Ok(items)
        })
    }

    fn read(
        &self,
        tried: &'static str,
        service: &str,
        name: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, KeychainError> {
        self.on_entry(tried, service, name, |entry| match entry.get_secret() {
            Ok(value) => Ok(Some(Zeroizing::new(value))),
            Err(keyring_core::Error::NoEntry) => Ok(None),
            Err(e) => Err(e),
        })
    }

    fn write(
        &self,
        tried: &'static str,
        service: &str,
        name: &str,
        value: Zeroizing<Vec<u8>>,
    ) -> Result<(), KeychainError> {
        self.on_entry(tried, service, name, move |entry| entry.set_secret(&value))
    }

    fn remove(&self, tried: &'static str, service: &str, name: &str) -> Result<bool, KeychainError> {
        self.on_entry(tried, service, name, |entry| match entry.delete_credential() {
            Ok(()) => Ok(true),
            Err(keyring_core::Error::NoEntry) => Ok(false),
            Err(e) => Err(e),
        })
    }

    fn on_entry<T: Send + 'static>(
        &self,
        tried: &'static str,
        service: &str,
        name: &str,
        act: impl FnOnce(&Entry) -> keyring_core::Result<T> + Send + 'static,
    ) -> Result<T, KeychainError> {
        let (store, service, name) = (self.store.clone(), service.to_owned(), name.to_owned());
        bounded(&self.stuck, tried, PATIENCE, move || {
            entry(&*store, &service, &name)
                .and_then(|entry| act(&entry))
                .map_err(|e| KeychainError::from_keyring(tried, &e))
        })
    }
}

fn entry(store: &CredentialStore, service: &str, name: &str) -> keyring_core::Result<Entry> {
    let modifiers = crate::imp::item_modifiers(service, name);
    let modifiers: HashMap<&str, &str> = modifiers.iter().map(|(k, v)| (*k, v.as_str())).collect();
    store.build(service, name, (!modifiers.is_empty()).then_some(&modifiers))
}

fn found(entry: &Entry) -> keyring_core::Result<FoundItem> {
    let attributes = entry.get_attributes()?;
    let value = Zeroizing::new(entry.get_secret()?);
    let (identity, label) = crate::imp::found_item(entry);
    let name = ["name", "username", "account"]
        .iter()
        .find_map(|key| attributes.get(*key).filter(|v| !v.is_empty()).cloned())
        .or_else(|| entry.get_specifiers().map(|(_, user)| user))
        .or(label)
        .unwrap_or_else(|| "unnamed".into());
    let identity = identity.unwrap_or_else(|| name.clone());
    Ok(FoundItem { name, value, identity })
}

/// Writes an item of its own, reads it back, and removes it: an open session alone proves nothing.
fn probe(store: &CredentialStore, service: &str) -> Result<(), KeychainError> {
    const TRIED: &str = "write to the keychain";
    let failed = |e: keyring_core::Error| KeychainError::from_keyring(TRIED, &e);
    let mut tag = [0_u8; 8];
    crate::host::random(&mut tag).map_err(|_| KeychainError::new(KeychainErrorCode::Failed, TRIED))?;
    let name = format!("probe-{}", data_encoding::HEXLOWER.encode(&tag));
    let entry = entry(store, service, &name).map_err(failed)?;
    entry.set_secret(name.as_bytes()).map_err(failed)?;
    let read = entry.get_secret().map_err(failed);
    let removed = entry.delete_credential().map_err(failed);
    if read? != name.as_bytes() {
        return Err(KeychainError::new(KeychainErrorCode::Failed, TRIED));
    }
    removed
}

/// Runs `act` on a thread of its own and waits for a limited time. A thread that is stuck in the keychain is left
/// behind (it cannot be stopped), but only so many of them.
fn bounded<T: Send + 'static>(
    stuck: &Arc<AtomicUsize>,
    tried: &'static str,
    wait: Duration,
    act: impl FnOnce() -> Result<T, KeychainError> + Send + 'static,
) -> Result<T, KeychainError> {
    let timeout = || KeychainError::new(KeychainErrorCode::Timeout, tried);
    if stuck.load(Ordering::Acquire) >= MAX_STUCK {
        return Err(timeout());
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let running = Running::begin(stuck);
    std::thread::Builder::new()
        .name("keychain".into())
        .spawn(move || {
            let result = act();
            drop(running);
            let _ = sender.send(result);
        })
        .map_err(|e| KeychainError { detail: Some(e.to_string()), ..timeout() })?;
    match receiver.recv_timeout(wait) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(timeout()),
        // The thread panicked: the keychain's library has a defect.
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(KeychainError::new(KeychainErrorCode::Failed, tried))
        }
    }
}

/// Counts a call for as long as it runs, however it ends.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn begin(count: &Arc<AtomicUsize>) -> Running {
        count.fetch_add(1, Ordering::AcqRel);
        Running(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hanging_call_ends_in_time_and_is_counted() {
        let stuck = Arc::new(AtomicUsize::new(0));
        let (release, gate) = mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        for _ in 0..MAX_STUCK {
            let gate = gate.clone();
            let error = bounded(&stuck, "test", Duration::from_millis(20), move || {
                let _ = gate.lock().expect("gate").recv();
                Ok(())
            })
            .expect_err("hangs");
            assert_eq!(error.code, KeychainErrorCode::Timeout);
        }
        // no fifth thread is even started
        let error = bounded(&stuck, "test", Duration::from_secs(60), || Ok(())).expect_err("refused");
        assert_eq!(error.code, KeychainErrorCode::Timeout);
        for _ in 0..MAX_STUCK {
            release.send(()).expect("release");
        }
        while stuck.load(Ordering::Acquire) > 0 {
            std::thread::yield_now();
        }
        assert_eq!(bounded(&stuck, "test", Duration::from_secs(60), || Ok(7)), Ok(7));
    }

    #[test]
    fn a_panic_in_the_library_is_an_error() {
        let stuck = Arc::new(AtomicUsize::new(0));
        let result: Result<(), _> =
            bounded(&stuck, "test", Duration::from_secs(60), || panic!("on purpose, in a test"));
        assert_eq!(result.expect_err("error").code, KeychainErrorCode::Failed);
        assert_eq!(stuck.load(Ordering::Acquire), 0);
    }

    #[test]
    fn stored_bytes_never_reach_a_message() {
        let error = keyring_core::Error::BadEncoding(b"hunter2hunter2".to_vec());
        let error = KeychainError::from_keyring("read", &error);
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert!(!format!("{error:?}").contains("104, 117"));
    }
}
