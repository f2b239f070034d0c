//! The Secret Service (gnome-keyring, KWallet, KeePassXC) over D-Bus.

use std::sync::Arc;

use keyring_core::{CredentialStore, Entry};
use secret_service::EncryptionType;
use secret_service::blocking::SecretService;
use zbus_secret_service_keyring_store::{Store, cred::Wrapper};

use crate::keychain::{KeychainError, KeychainErrorCode, KeyringState, OWN_SERVICE, SECRET_SERVICE};

pub(crate) fn credential_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(Store::new()?)
}

/// Asks without a prompt; reading or writing a locked keyring would show one.
pub(crate) fn keyring_state() -> Result<KeyringState, KeychainError> {
    const TRIED: &str = "open the keychain";
    // No value travels on this connection, so it needs no encryption.
    let service = SecretService::connect(EncryptionType::Plain).map_err(|e| KeychainError {
        code: KeychainErrorCode::NoService,
        tried: TRIED,
        detail: detail_of(&e),
    })?;
    let locked = service.get_default_collection().and_then(|c| c.is_locked()).map_err(|e| KeychainError {
        code: code_of(&e).unwrap_or(KeychainErrorCode::Failed),
        tried: TRIED,
        detail: detail_of(&e),
    })?;
    Ok(if locked { KeyringState::Locked } else { KeyringState::Ready })
}

pub(crate) fn explain_keychain_failure(error: &keyring_core::Error) -> Option<KeychainErrorCode> {
    use keyring_core::Error as E;
    match error {
        E::PlatformFailure(cause) | E::NoStorageAccess(cause) => {
            code_of(cause.downcast_ref::<secret_service::Error>()?)
        }
        _ => None,
    }
}

/// What the code does not say already.
fn detail_of(error: &secret_service::Error) -> Option<String> {
    code_of(error).is_none().then(|| error.to_string())
}

fn code_of(error: &secret_service::Error) -> Option<KeychainErrorCode> {
    use secret_service::Error as E;
    Some(match error {
        E::Unavailable => KeychainErrorCode::NoService,
        E::NoResult => KeychainErrorCode::NoKeyring,
        E::Locked | E::Prompt | E::PromptDisconnected => KeychainErrorCode::Locked,
        _ => return None,
    })
}

/// What tells a found item apart, and its label.
pub(crate) fn found_item(entry: &Entry) -> (Option<String>, Option<String>) {
    match entry.as_any().downcast_ref::<Wrapper>() {
        Some(item) => (Some(item.get_path()), item.get_label().ok()),
        None => (None, None),
    }
}

pub(crate) fn user_secret_queries() -> &'static [&'static [(&'static str, &'static str)]] {
    &[&[("service", SECRET_SERVICE)], &[("application", "sallyport")]]
}

/// The label a person sees in the keyring's own window.
pub(crate) fn item_modifiers(service: &str, name: &str) -> Vec<(&'static str, String)> {
    let label = match service {
        SECRET_SERVICE => format!("Sallyport: secret {name}"),
        s if s.starts_with(OWN_SERVICE) => format!("Sallyport: key {name}"),
        _ => return Vec::new(),
    };
    vec![("label", label)]
}
