//! Keeps the bundle current that managed configuration names an address for. What comes counts like a bundle in a file:
//! signed by a trusted key, and never older than the last. A failure leaves the last good one in force.

use std::sync::Arc;
use std::time::Duration;

use sallyport_policy::bundle::{self, NotAccepted};
use sallyport_policy::config::BundleUrl;
use sallyport_policy::settings::Snapshot;
use tokio_util::sync::CancellationToken;

use super::fetch::fetch_bundle;
use crate::engine::Engine;
use crate::foyer::Foyer;
use crate::health::Condition;
use crate::reload;

/// After a failure.
const AGAIN: Duration = Duration::from_secs(60);
/// How soon a new address counts.
const LOOK: Duration = Duration::from_secs(1);

/// Fetches at the start, whenever the address changes, and as often as policy says, until `stop`.
pub(crate) async fn keep_current(engine: Arc<Engine>, foyer: Arc<Foyer>, stop: CancellationToken) {
    loop {
        let policy = engine.policy();
        let bundles = policy.snapshot.bundles.clone();
        let mut rest = Duration::from_secs(bundles.refresh.value.seconds());
        match &bundles.url.value {
            None => engine.health.clear(Condition::PolicyBundle, "bundle"),
            Some(url) => match take(&engine, &foyer, &policy.snapshot, url).await {
                Ok(()) => engine.health.clear(Condition::PolicyBundle, "bundle"),
                Err((why, fix)) => {
                    rest = rest.min(AGAIN);
                    let sentence = format!("{why}. What policy said before stays in force.");
                    engine.health.raise(Condition::PolicyBundle, "bundle", sentence, fix);
                }
            },
        }
        let over = tokio::time::Instant::now() + rest;
        let unchanged = || engine.policy().snapshot.bundles == bundles;
        while unchanged() && (bundles.url.value.is_none() || tokio::time::Instant::now() < over) {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

/// One look. What is wrong, and what to do.
async fn take(
    engine: &Arc<Engine>,
    foyer: &Foyer,
    policy: &Snapshot,
    url: &BundleUrl,
) -> Result<(), (String, String)> {
    let text = fetch_bundle(&engine.paths, policy, url).await.map_err(|error| {
        (format!("The policy bundle could not be fetched: {error}"), error.hint().to_owned())
    })?;
    let at = super::fetched(&engine.paths);
    if std::fs::read_to_string(&at).is_ok_and(|known| known == text) {
        return Ok(());
    }
    let refused = |why: String| {
        (
            format!("The policy bundle at {url} is not taken: {why}"),
            "Find out who put it there; sign what is to count with a trusted key and a higher version."
                .to_owned(),
        )
    };
    let found =
        bundle::open(&text, &policy.bundles.trusted_keys.value).map_err(|e| refused(e.to_string()))?;
    match super::acceptable(&engine.paths, &found) {
        // It waits in its file for its time.
        Ok(()) | Err(NotAccepted::NotYet { .. }) => {}
        Err(error) => return Err(refused(error.to_string())),
    }
    sallyport_platform::fs::write_private_atomic(&at, text.as_bytes(), 0o600)
        .map_err(|error| (format!("{} could not be written: {error}", at.display()), "Free space.".into()))?;
    tracing::info!(version = found.version, "a policy bundle was fetched");
    if let Err(error) = reload::now(engine, foyer).await {
        tracing::warn!(%error, "a change of policy could not be recorded");
    }
    Ok(())
}
