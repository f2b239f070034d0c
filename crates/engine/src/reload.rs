//! Puts a changed policy in force: at once and whole, or not at all. Files are looked at again and again; what can't be
//! used leaves the last good policy standing and raises a health item with its place.

use std::sync::Arc;
use std::time::Duration;

use sallyport_ipc::types::Event;
use sallyport_policy::settings::Snapshot;
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, Unrecorded};
use crate::foyer::Foyer;
use crate::health::Condition;
use crate::policy::{Policy, Stamp};
use crate::record::ControlAction;

/// Files are looked at this often. A change is taken when it is still the same one look later, so that a file that is
/// being written is not read half.
const LOOK: Duration = Duration::from_millis(800);

/// Reads all files and puts what they say in force.
pub(crate) async fn now(engine: &Arc<Engine>, foyer: &Foyer) -> Result<String, Unrecorded> {
    let before = engine.policy();
    let loaded = foyer.load_policy();
    let version = loaded.snapshot.version.clone();
    let changed = before.snapshot.version != version;
    say_what_waits(engine, &loaded);
    let other_sources = before.snapshot.secrets_config() != loaded.snapshot.secrets_config();
    engine.policy.store(Arc::new(loaded));
    if other_sources {
        engine.reload.notify_one();
    }
    if changed {
        tracing::info!(%version, "another policy is in force");
        engine.record_control(ControlAction::PolicyReloaded, &format!("version {version}")).await?;
        let _ = engine.events.send(Event::Policy { version: version.clone() });
    }
    Ok(version)
}

/// Watches the files until `stop`.
pub(crate) async fn watch(engine: Arc<Engine>, foyer: Arc<Foyer>, stop: CancellationToken) {
    let mut last = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        engine.refresh_allowlist();
        engine.refresh_rules().await;
        let policy = engine.policy();
        let seen = look(&engine, &policy).await;
        // Compared with what was there before the files were read, so that a change while they were is seen too.
        let changed = seen.as_ref().is_some_and(|seen| *seen != policy.stamp);
        if changed
            && seen == last
            && let Err(error) = now(&engine, &foyer).await
        {
            tracing::warn!(%error, "a change of policy could not be recorded");
        }
        last = seen;
    }
}

async fn look(engine: &Arc<Engine>, policy: &Arc<Policy>) -> Option<Stamp> {
    let (engine, policy) = (engine.clone(), policy.clone());
    tokio::task::spawn_blocking(move || policy.stamp.again(&engine.paths)).await.ok()
}

/// Settings that the running engine was built with, and hosts that its root certificate does not cover.
fn say_what_waits(engine: &Engine, new: &Policy) {
    let (old, new) = (&engine.started_with, &new.snapshot);
    let mut waits = Vec::new();
    if old.listen.value != new.listen.value {
        waits.push("`listen`");
    }
    if !same_way_out(old, new) {
        waits.push("`upstream`");
    }
    if old.audit.durability.value != new.audit.durability.value {
        waits.push("`audit.durability`");
    }
    raise_or_clear(engine, "settings", !waits.is_empty(), || {
        format!("{} changed and is read when Sallyport starts.", waits.join(", "))
    });
    let constraints = engine.authority.constraints();
    let hosts = new.providers.intercepted_hosts();
    let bare =
        |host: &str| host.strip_prefix("*.").map_or_else(|| host.to_owned(), |name| format!("x.{name}"));
    let uncovered: Vec<_> = hosts.into_iter().filter(|host| !constraints.permits(&bare(host))).collect();
    raise_or_clear(engine, "hosts", !uncovered.is_empty(), || {
        let shown = uncovered.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        format!("The root certificate does not cover {} new AI hosts yet ({shown}).", uncovered.len())
    });
}

fn same_way_out(old: &Snapshot, new: &Snapshot) -> bool {
    let (old, new) = (&old.upstream, &new.upstream);
    old.resolve.value == new.resolve.value
        && old.extra_roots.value == new.extra_roots.value
        && old.proxy.value == new.proxy.value
}

fn raise_or_clear(engine: &Engine, subject: &str, holds: bool, sentence: impl FnOnce() -> String) {
    if holds {
        let fix = "Restart Sallyport: `sallyport daemon`, or its service.".to_owned();
        engine.health.raise(Condition::PolicyNeedsRestart, subject, sentence(), fix);
    } else {
        engine.health.clear(Condition::PolicyNeedsRestart, subject);
    }
}
