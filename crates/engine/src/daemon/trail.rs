//! The trail while the engine runs: opened, opened again where it couldn't be, and its new rows told to whoever listens.

use std::sync::Arc;
use std::time::Duration;

use sallyport_audit::{Tail, Trail, TrailHealth, TrailOptions, TrailPaths};
use sallyport_ipc::types::Event;
use tokio_util::sync::CancellationToken;

use super::{RETRY, explain, not_locked};
use crate::engine::Engine;
use crate::health::Condition;
use crate::keys::KeyRing;

/// How long new rows may gather before they are read back for those who listen: reading one costs as much as writing it.
const TELL: Duration = Duration::from_millis(50);

/// Longer than those of the threads that exchanges run on, so that it gives way to them; short to all other programs.
const WRITERS_TURN: Duration = Duration::from_micros(500);

/// Opens the trail if it isn't open. True when it is.
pub(super) async fn open(engine: &Arc<Engine>) -> bool {
    if engine.trail.load().is_some() {
        return true;
    }
    let opener = engine.clone();
    let opening = tokio::task::spawn_blocking(move || {
        // The thread that writes is begun by this one, and has its turns from it.
        sallyport_platform::turns::take_short_turns(WRITERS_TURN);
        let paths = TrailPaths::in_folder(opener.paths.state_dir());
        let options = TrailOptions {
            durability: opener.policy().snapshot.audit.durability.value,
            ..TrailOptions::default()
        };
        opener.keys.with_store(|store| {
            let ring = KeyRing::new(store);
            let opened = Trail::open(&paths, &ring, options);
            if let Some(reason) = ring.unlocked() {
                not_locked(&opener.health, "the trail's key", &reason);
            }
            opened
        })
    });
    match opening.await {
        Ok(Some(Ok((trail, report)))) => {
            for found in &report.discontinuities {
                engine.health.raise(
                    Condition::AuditBehindHead,
                    found.code(),
                    format!("The audit trail does not continue from where it stopped: {found}."),
                    "Run `sallyport audit verify`; find out who changed the file. New rows go on from here."
                        .into(),
                );
            }
            engine.trail.store(Some(Arc::new(trail)));
            engine.health.clear(Condition::AuditUnavailable, "trail");
            true
        }
        Ok(Some(Err(error))) => {
            unavailable(engine, &explain(&error));
            false
        }
        Ok(None) | Err(_) => {
            unavailable(engine, "opening it failed");
            false
        }
    }
}

fn unavailable(engine: &Engine, why: &str) {
    engine.health.raise(
        Condition::AuditUnavailable,
        "trail",
        format!("The audit trail can't be written: {why}. AI traffic is refused until it can."),
        format!(
            "Free space on the disk of {}, check its permissions, or close the program that holds it; Sallyport tries \
             again by itself.",
            engine.paths.audit_db().display()
        ),
    );
}

/// Tells of new rows, notices when the trail can't be written and when it can again.
pub(super) async fn watch(engine: Arc<Engine>, stop: CancellationToken) {
    loop {
        while !open(&engine).await {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
        let Some(trail) = engine.trail.load_full() else { return };
        let mut health = trail.watch_health();
        let mut latest = trail.latest();
        let mut tail = trail.tail(*latest.borrow());
        drop(trail);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = latest.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    tokio::time::sleep(TELL).await;
                    latest.mark_unchanged();
                    tell(&engine, &mut tail).await;
                }
                changed = health.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    match &*health.borrow_and_update() {
                        TrailHealth::Writing => engine.health.clear(Condition::AuditUnavailable, "trail"),
                        TrailHealth::Failing { trouble, .. } => unavailable(&engine, &trouble.to_string()),
                        _ => {}
                    }
                    let _ = engine.events.send(Event::Health { items: engine.health.items() });
                }
            }
        }
    }
}

/// Tells whoever listens of the rows that are new.
async fn tell(engine: &Engine, tail: &mut Tail) {
    if engine.events.receiver_count() == 0 {
        return tail.pass_over();
    }
    while tail.is_behind() {
        match tail.next().await {
            Ok(rows) => {
                for row in rows.iter().flatten().filter_map(|row| serde_json::from_str(&row.json).ok()) {
                    let _ = engine.events.send(Event::Audit { row });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "new rows could not be read");
                return tokio::time::sleep(RETRY).await;
            }
        }
    }
}
