//! Keeps the known secrets current: starts the loading process, takes in what it found, and says what is wrong.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sallyport_ipc::types::{Event, SecretTotals};
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::engine::Engine;
use crate::health::Condition;
use crate::loader::{CHILD_ARGUMENT, Loaded, Order};
use crate::rest;

/// Between two loads when all is well, and after a failure.
const INTERVAL: Duration = Duration::from_secs(300);
const AFTER_FAILURE: Duration = Duration::from_secs(15);

/// A loader that takes longer has met a source that does not answer.
const PATIENCE: Duration = Duration::from_secs(90);

/// An index of 100,000 secrets stays well below this.
const MAX_ANSWER: usize = 512 << 20;

/// Loads at once, then again and again until `stop`.
pub(crate) async fn keep_current(engine: Arc<Engine>, stop: CancellationToken) {
    loop {
        engine.loading.store(true, Ordering::Release);
        let well = load(&engine).await;
        engine.loading.store(false, Ordering::Release);
        engine.first_load.send_replace(true);
        tokio::task::spawn_blocking(rest::give_back);
        engine.loads.send_modify(|loads| *loads += 1);
        let _ = engine.events.send(Event::Secrets { totals: totals(&engine) });
        let pause = if well { INTERVAL } else { AFTER_FAILURE };
        tokio::select! {
            () = stop.cancelled() => return,
            () = engine.reload.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One load. True if every source could be read.
async fn load(engine: &Engine) -> bool {
    match run_child(engine).await {
        Ok(loaded) => {
            crate::rotation::report(engine, &loaded, Timestamp::now());
            engine.sources.absorb(loaded, Timestamp::now());
            engine.health.clear(Condition::SourceUnavailable, "loader");
            engine.rebuild_scanner();
            if let Err(error) = engine.sources.persist() {
                tracing::warn!(%error, "fingerprints could not be written down");
            }
        }
        Err(sentence) => engine.health.raise(
            Condition::SourceUnavailable,
            "loader",
            format!("The process that reads secret sources failed: {sentence}."),
            "Run `sallyport secrets sync`; if it fails again, restart Sallyport.".into(),
        ),
    }
    report(engine)
}

async fn run_child(engine: &Engine) -> Result<Vec<Loaded>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let order = Order {
        key: HEXLOWER.encode(engine.sources.key().as_bytes()),
        secrets: engine.policy().snapshot.secrets_config(),
        wanted: None,
    };
    let order = Zeroizing::new(serde_json::to_vec(&order).map_err(|error| error.to_string())?);
    let mut child = tokio::process::Command::new(program)
        .arg(CHILD_ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&order).await.map_err(|error| error.to_string())?;
    }
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output())
        .await
        .map_err(|_| format!("it took longer than {} s", PATIENCE.as_secs()))?
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("it ended with {}: {}", output.status, said.trim()));
    }
    if output.stdout.len() > MAX_ANSWER {
        return Err("its answer is too long".into());
    }
    serde_json::from_slice(&output.stdout).map_err(|_| "its answer is malformed".into())
}

/// Brings the health items in line with the sources. True if all is well.
fn report(engine: &Engine) -> bool {
    let states = engine.sources.states();
    let mut unavailable = vec!["loader".to_owned()];
    let (mut stale, mut awaited, mut weak, mut no_keychain) = (vec![], vec![], vec![], vec![]);
    for state in &states {
        for name in state.names.iter().filter(|name| name.weak) {
            weak.push(name.name.clone());
            engine.health.raise(
                Condition::WeakSecret,
                &name.name,
                format!(
                    "The value of {} in {} is a common word, so it is taken out only beside its name.",
                    name.name, state.location
                ),
                format!(
                    "Change {} to a random value, or remove it from the source if it is no secret.",
                    name.name
                ),
            );
        }
        let Some(failure) = &state.failure else { continue };
        if state.is_absent_keychain() {
            let sentence = format!("{}.", failure.message);
            engine.health.raise(Condition::NoKeychain, &state.id, sentence, failure.hint.clone());
            no_keychain.push(state.id.clone());
            continue;
        }
        let (condition, list) = match (engine.sources.is_awaited(state), state.loaded_at) {
            (true, _) => (Condition::SecretsNeverLoaded, &mut awaited),
            (false, Some(_)) => (Condition::SecretsStale, &mut stale),
            (false, None) => (Condition::SourceUnavailable, &mut unavailable),
        };
        list.push(state.id.clone());
        let what = match condition {
            Condition::SecretsStale => "What was known before is still taken out.",
            Condition::SecretsNeverLoaded => "Its secrets are not known, so AI traffic waits.",
            _ => "Its secrets are not known.",
        };
        let said = failure.message.trim_end_matches('.');
        let sentence = format!("{}: {said} ({}). {what}", state.location, failure.code);
        engine.health.raise(condition, &state.id, sentence, failure.hint.clone());
    }
    engine.health.retain(Condition::SecretsStale, &stale);
    engine.health.retain(Condition::SourceUnavailable, &unavailable);
    engine.health.retain(Condition::SecretsNeverLoaded, &awaited);
    engine.health.retain(Condition::WeakSecret, &weak);
    engine.health.retain(Condition::NoKeychain, &no_keychain);
    states.iter().all(|state| state.failure.is_none() || state.is_absent_keychain())
        && !engine.health.holds_for(Condition::SourceUnavailable, "loader")
}

pub(crate) fn totals(engine: &Engine) -> SecretTotals {
    let states = engine.sources.states();
    let names = states.iter().flat_map(|state| &state.names);
    let (secrets, weak) = names.fold((0, 0), |(all, weak), name| (all + 1, weak + u64::from(name.weak)));
    SecretTotals {
        sources: states.len() as u64,
        failed_sources: states.iter().filter(|s| s.failure.is_some() && !s.is_absent_keychain()).count()
            as u64,
        secrets,
        weak,
        loaded_at: states.iter().filter_map(|state| state.loaded_at).max(),
    }
}
