//! One value, or all of one class, for a key broker: fetched when it is needed, by the same short-lived process.

use sallyport_platform::{Keychain, Paths};
use sallyport_policy::broker::{SecretPlace, SecretRef};
use sallyport_policy::config::SecretsConfig;

use crate::report::{ProblemCode, SourceError};
use crate::value::NamedSecret;
use crate::{Judge, MIN_LENGTH, SecretValue, files, keychain, vault};

/// The value that `wanted` names, as `sallyport secrets list` shows the name. `None`: its source answered, and has no
/// such secret. Values of any length count here: nothing is searched for.
pub async fn fetch(
    config: &SecretsConfig,
    paths: &Paths,
    judge: Judge,
    wanted: &SecretRef,
) -> Result<Option<SecretValue>, SourceError> {
    match wanted.place {
        SecretPlace::Vault => {
            for vault in &config.vaults {
                if let Some(value) = vault::fetch(vault, paths, &wanted.name).await? {
                    return Ok(Some(value));
                }
            }
            Ok(None)
        }
        SecretPlace::Keychain => Ok(of_keychain(&wanted.name)?.into_iter().next().map(|secret| secret.value)),
        SecretPlace::File => {
            for file in &config.files {
                let found = files::load(&paths.expand(file), judge).result?;
                if let Some(secret) =
                    found.into_iter().find(|secret| secret.name == wanted.name && !secret.part)
                {
                    return Ok(Some(secret.value));
                }
            }
            Ok(None)
        }
    }
}

/// Every secret whose name begins with the class, `CLASS/NAME`, by its name without the class.
pub async fn fetch_class(
    config: &SecretsConfig,
    paths: &Paths,
    judge: Judge,
    place: SecretPlace,
    class: &str,
) -> Result<Vec<NamedSecret>, SourceError> {
    match place {
        SecretPlace::Vault => {
            let mut all = Vec::new();
            for vault in &config.vaults {
                let folder = format!("{}/{class}", vault.path.trim_end_matches('/'));
                let vault = sallyport_policy::config::VaultConfig { path: folder, ..vault.clone() };
                let report = vault::load(&vault, paths, judge).await;
                let found = report.result?;
                // Half an environment would be worse than none; so would a value that nobody recognises.
                let partial = [ProblemCode::VaultDenied, ProblemCode::Truncated];
                if let Some(unread) = report.warnings.into_iter().find(|w| partial.contains(&w.code)) {
                    return Err(unread);
                }
                if report.skipped_short > 0 {
                    return Err(too_short(class, report.skipped_short));
                }
                all.extend(found.into_iter().filter(|secret| !secret.part));
            }
            Ok(all)
        }
        SecretPlace::Keychain => {
            let all = of_keychain(&format!("{class}/"))?;
            match all.iter().filter(|secret| secret.value.as_bytes().len() < MIN_LENGTH).count() {
                0 => Ok(all),
                short => Err(too_short(class, short)),
            }
        }
        SecretPlace::File => Err(SourceError::new(
            ProblemCode::FileMalformed,
            "Files hold no classes of secrets.",
            "Keep the secrets of this class in Vault or in the keychain.",
        )),
    }
}

fn too_short(class: &str, count: usize) -> SourceError {
    SourceError::new(
        ProblemCode::ValueTooShort,
        format!(
            "{count} value(s) of the class have fewer than {MIN_LENGTH} bytes, so they could not be taken out of prompts."
        ),
        format!("Change them to longer ones, or move them out of `{class}/`."),
    )
}

/// The item of exactly this name; for a name that ends in a slash all below it.
fn of_keychain(name: &str) -> Result<Vec<NamedSecret>, SourceError> {
    let items =
        Keychain::open().and_then(|keychain| keychain.user_secrets()).map_err(|e| keychain::problem(&e))?;
    let wanted = items.into_iter().filter_map(|item| {
        let short = match name.ends_with('/') {
            true => item.name.strip_prefix(name)?.to_owned(),
            false if item.name == name => item.name.clone(),
            false => return None,
        };
        Some(NamedSecret { name: short, value: SecretValue::from(item.value), weak: false, part: false })
    });
    Ok(wanted.collect())
}
