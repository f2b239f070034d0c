//! Takes this installation's certificate back: its keys go, its files go, and the engine ends, since without it nothing can be
//! intercepted. The bundle stays, so that shells that are open go on trusting the system's roots (decision 7).

use std::sync::Arc;

use sallyport_ipc::{ControlError, ErrorCode};

use crate::control::trail_failed;
use crate::engine::Engine;
use crate::keys::KeyRing;
use crate::record::ControlAction;

pub(crate) async fn remove(engine: &Arc<Engine>) -> Result<(), ControlError> {
    let outcome = format!("removed {}", engine.authority.fingerprint_sha256());
    // The row first, as with everything that weakens.
    engine.record_control(ControlAction::CaRemoved, &outcome).await.map_err(trail_failed)?;
    let owner = engine.clone();
    let removing = tokio::task::spawn_blocking(move || {
        owner.keys.with_store(|store| owner.authority.remove(&KeyRing::new(store)))
    });
    match removing.await {
        Ok(Some(Ok(()))) => Ok(()),
        Ok(Some(Err(error))) => Err(failed(&error.to_string())),
        Ok(None) | Err(_) => Err(failed("the key store is closed")),
    }
}

fn failed(why: &str) -> ControlError {
    ControlError::new(ErrorCode::Unavailable, format!("The certificate could not be removed: {why}."))
        .with_hint(
            "Unlock the key store and try again; nothing was half done that a second try does not finish.",
        )
}
