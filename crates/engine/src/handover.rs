//! Secrets for tools: the values of one class, for the process that `exec --with-secrets` is about to become.
//!
//! Who may have a class is decided in `policy::handover`, and a human grants it (`secrets:read`). Values lie in locked
//! memory, are known to the index before they leave, and reach neither a log nor the trail; their names do.

use std::collections::BTreeSet;

use sallyport_detect::{SecretEntry, SecretSet, shape};
use sallyport_ipc::types::{ElevationDraft, Handover, HandoverRequest, Variable};
use sallyport_ipc::{Caller, ControlError, ErrorCode};
use sallyport_platform::memory::LockState;
use sallyport_platform::process::Process;
use sallyport_platform::{LockedBytes, current_uid};
use sallyport_policy::elevation::{Scope, Target};
use sallyport_policy::handover::{self, NotHandedOver};

use crate::accounts::ServiceAccount;
use crate::control::trail_failed;
use crate::engine::Engine;
use crate::loader::{self, Fetched, Wanted};
use crate::policy::Policy;
use crate::record::ControlAction;

/// Hands the secrets of a class to the caller, or files the request that a human must grant first.
pub(crate) async fn hand_over(
    engine: &Engine,
    caller: &Caller,
    request: HandoverRequest,
) -> Result<Handover, ControlError> {
    let policy = engine.policy();
    let account = account(engine, &policy, caller).await;
    let class = request.class;
    let has_vault = !policy.snapshot.secrets.vaults.value.is_empty();
    let rules = match handover::handover(&policy.snapshot.secret_classes, &class, account.session, has_vault)
    {
        Ok(rules) => rules,
        Err(why) => {
            let shown: String = class.chars().filter(|c| !c.is_control()).take(80).collect();
            engine
                .record_control_on(ControlAction::SecretsRefused, &account.name, &shown, word(&why), false)
                .await
                .map_err(trail_failed)?;
            return Err(refused(&why));
        }
    };
    let resource = handover::resource(&class);
    let mut accounts = vec![account.name.as_str()];
    if !rules.per_session && account.class != account.name {
        accounts.push(&account.class);
    }
    if !is_granted(engine, &resource, &accounts).await? {
        let draft = ElevationDraft {
            scope: Some(Scope::SecretsRead),
            resources: vec![resource],
            account: Some(account.name),
            justification: request.justification,
            for_seconds: None,
        };
        return engine.elevation_by_hand(draft).await.map(|view| Handover::Waits(Box::new(view)));
    }

    let wanted = Wanted::Class { place: rules.place, class: class.clone() };
    let values = fetch(&policy, &class, wanted).await?;
    let variables = variables(&class, values, policy.snapshot.memory_protection.value)?;
    remember(engine, &class, &variables);
    let names: Vec<_> = variables.iter().map(|variable| variable.name.as_str()).collect();
    let pid = caller.pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
    let target = format!("{class} to process {pid}: {}", names.join(", "));
    engine
        .record_control_on(ControlAction::SecretsHandedOver, &account.name, &target, "handed over", false)
        .await
        .map_err(trail_failed)?;
    Ok(Handover::Granted(variables))
}

/// On whose behalf the calling process acts: its session's, else what the configuration says.
async fn account(engine: &Engine, policy: &Policy, caller: &Caller) -> ServiceAccount {
    let process = match caller.pid {
        Some(pid) if caller.uid == current_uid() => {
            tokio::task::spawn_blocking(move || Process::by_pid(pid)).await.ok().flatten()
        }
        _ => None,
    };
    let session = process.and_then(|process| engine.sessions.of_process(&process));
    session.unwrap_or_else(|| policy.account.clone())
}

async fn is_granted(engine: &Engine, resource: &str, accounts: &[&str]) -> Result<bool, ControlError> {
    for account in accounts {
        let used = engine.elevation_use(&Target::Secret(resource), account).await.map_err(|error| {
            ControlError::new(ErrorCode::Unavailable, format!("The grant could not be used: {error}."))
                .with_hint("`sallyport doctor` says why.")
        })?;
        if used.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn fetch(
    policy: &Policy,
    class: &str,
    wanted: Wanted,
) -> Result<Vec<(String, LockedBytes)>, ControlError> {
    let failed = |why: String| {
        ControlError::new(
            ErrorCode::Unavailable,
            format!("The secrets of the class `{class}` could not be fetched: {why}"),
        )
    };
    let secrets = policy.snapshot.secrets_config();
    match tokio::task::spawn_blocking(move || loader::fetch(secrets, wanted)).await {
        Ok(Ok(Fetched::Values(values))) if values.is_empty() => Err(ControlError::new(
            ErrorCode::NotFound,
            format!("There are no secrets of the class `{class}`."),
        )
        .with_hint(format!(
            "Store them in the vault below `{class}/`, in the path that config.yaml names, or in the keychain as `{class}/NAME`."
        ))),
        Ok(Ok(Fetched::Values(values))) => Ok(values),
        Ok(Ok(Fetched::Failed { message, hint })) => Err(failed(message).with_hint(hint)),
        Ok(Err(why)) => Err(failed(format!("{why}."))),
        Err(_) => Err(failed("the process that reads them failed.".into())),
    }
}

fn variables(
    class: &str,
    values: Vec<(String, LockedBytes)>,
    locked_only: bool,
) -> Result<Vec<Variable>, ControlError> {
    let unfit = |name: &str, why: &str| {
        ControlError::new(
            ErrorCode::Conflict,
            format!("The secret `{class}/{name}` can't be a variable: {why}."),
        )
        .with_hint("Give it another name, or move it out of this class.")
    };
    let mut names = BTreeSet::new();
    let mut variables = Vec::with_capacity(values.len());
    for (name, value) in values {
        let variable = handover::variable(&name)
            .ok_or_else(|| unfit(&name, "its name is none, or one by which programs are led elsewhere"))?;
        if !names.insert(variable.clone()) {
            return Err(unfit(&name, &format!("{variable} stands for another secret already")));
        }
        if value.contains(&0) {
            return Err(unfit(&name, "its value holds a NUL byte"));
        }
        if let (true, LockState::Unlocked(why)) = (locked_only, value.lock_state()) {
            return Err(ControlError::new(
                ErrorCode::Unavailable,
                format!("Policy asks for `memoryProtection`, and memory could not be locked: {why}."),
            )
            .with_hint(
                "Raise the limit of locked memory for this user (ulimit -l), and restart Sallyport.",
            ));
        }
        variables.push(Variable { name: variable, value });
    }
    Ok(variables)
}

/// Makes sure that values are recognised from now on, also those that are newer than the last load.
fn remember(engine: &Engine, class: &str, variables: &[Variable]) {
    let names: Vec<_> = variables.iter().map(|variable| format!("{class}/{}", variable.name)).collect();
    let entries = names.iter().zip(variables).map(|(name, variable)| SecretEntry {
        name,
        value: &variable.value,
        weak: std::str::from_utf8(&variable.value).is_ok_and(shape::is_common_word),
    });
    let set = SecretSet::build(engine.sources.key(), "handed over", entries);
    engine.remember(set);
}

fn word(why: &NotHandedOver) -> &'static str {
    match why {
        NotHandedOver::Unknown(_) => "refused: unknown class",
        NotHandedOver::Denied(_) => "refused: aiAccess denied",
        NotHandedOver::NoAccount(_) => "refused: no service account",
    }
}

fn refused(why: &NotHandedOver) -> ControlError {
    let (code, hint) = match why {
        NotHandedOver::Unknown(_) => (
            ErrorCode::NotFound,
            "`sallyport policy show` lists the documents; the class stands under `secretClasses`.",
        ),
        NotHandedOver::Denied(_) => (
            ErrorCode::NotPermitted,
            "Keep what a tool needs in a class of its own, without `aiAccess: denied`.",
        ),
        NotHandedOver::NoAccount(_) => (
            ErrorCode::NotPermitted,
            "Start it with `sallyport exec --agent CLASS --with-secrets CLASS -- CMD`.",
        ),
    };
    let text = why.to_string();
    let mut letters = text.chars();
    let sentence: String =
        letters.next().map(|c| c.to_uppercase().chain(letters).collect()).unwrap_or_default();
    ControlError::new(code, format!("{sentence}.")).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn values(pairs: &[(&str, &[u8])]) -> Vec<(String, LockedBytes)> {
        let locked = |value: &[u8]| LockedBytes::from_vec(Zeroizing::new(value.to_vec())).unwrap();
        pairs.iter().map(|(name, value)| ((*name).to_owned(), locked(value))).collect()
    }

    #[test]
    fn values_become_variables_or_nothing_is_handed_over() {
        let good =
            variables("keys", values(&[("openai-key", b"made-up-1"), ("b/c", b"made-up-2")]), true).unwrap();
        let names: Vec<_> = good.iter().map(|variable| variable.name.as_str()).collect();
        assert_eq!(names, ["OPENAI_KEY", "B_C"]);
        for (pairs, said) in [
            (&[("ld-preload", &b"made-up-1"[..])][..], "led elsewhere"),
            (&[("a-b", b"made-up-1"), ("a_b", b"made-up-2")], "A_B stands for another"),
            (&[("a", b"made\0up-1")], "NUL"),
        ] {
            let error = variables("keys", values(pairs), false).unwrap_err();
            assert!(error.message.contains(said), "{error}");
            assert!(!error.message.contains("made"), "{error}");
        }
    }
}
