//! Brokered keys for a short while, so that not every request of a conversation asks the vault: on locked pages, wiped
//! after [`LEASE`], and sent no more once policy changed, sources were read again, or a provider refused one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sallyport_platform::LockedBytes;
use sallyport_policy::broker::{BrokeredKey, SecretRef};
use tokio::sync::Mutex;

use crate::engine::Engine;
use crate::loader::{self, Fetched, Wanted};
use crate::policy::Policy;
use crate::respond::Refusal;

/// Long enough for the requests of one turn; a key that was taken back is sent no longer than this.
const LEASE: Duration = Duration::from_secs(60);

/// A key, and the state of the world in which it was fetched.
struct Lease {
    value: Arc<LockedBytes>,
    until: Instant,
    policy: u64,
    loads: u64,
}

/// A place is locked while its key is fetched: those who ask for the same one meanwhile wait for that answer.
type Slot = Arc<Mutex<Option<Lease>>>;

/// By source.
#[derive(Default)]
pub(crate) struct Leases(parking_lot::Mutex<HashMap<SecretRef, Slot>>);

impl Leases {
    pub(super) async fn value(
        &self,
        engine: &Engine,
        policy: &Policy,
        key: &BrokeredKey,
    ) -> Result<Arc<LockedBytes>, Refusal> {
        let (generation, loads) = (policy.generation, *engine.loads.borrow());
        let slot = self.0.lock().entry(key.source.clone()).or_default().clone();
        let mut lease = slot.lock().await;
        let good = |lease: &&Lease| {
            lease.policy == generation && lease.loads == loads && Instant::now() < lease.until
        };
        if let Some(lease) = lease.as_ref().filter(good) {
            return Ok(lease.value.clone());
        }
        *lease = None;
        let value = Arc::new(fetch(policy, key).await?);
        let until = Instant::now() + LEASE;
        *lease = Some(Lease { value: value.clone(), until, policy: generation, loads });
        drop(lease);
        tokio::spawn(wipe(slot, until));
        Ok(value)
    }

    /// Forgets all: a provider did not take one.
    pub(crate) fn end(&self) {
        self.0.lock().clear();
    }
}

/// Whether or not anybody asks again.
async fn wipe(slot: Slot, until: Instant) {
    tokio::time::sleep_until(until.into()).await;
    let mut lease = slot.lock().await;
    if lease.as_ref().is_some_and(|lease| lease.until <= until) {
        *lease = None;
    }
}

async fn fetch(policy: &Policy, key: &BrokeredKey) -> Result<LockedBytes, Refusal> {
    let unavailable = |why: &str| {
        Refusal::new(
            "key_unavailable",
            format!(
                "Sallyport stopped this request: the key `{}` could not be fetched from {}: {why}",
                key.name, key.source
            ),
        )
    };
    let secrets = policy.snapshot.secrets_config();
    let wanted = Wanted::One(key.source.clone());
    let fetching = tokio::task::spawn_blocking(move || loader::fetch(secrets, wanted));
    match fetching.await {
        Ok(Ok(Fetched::Values(mut values))) => match values.pop() {
            Some((_, value)) => Ok(value),
            None => Err(unavailable("there is no such secret. `sallyport secrets list` shows the names.")),
        },
        Ok(Ok(Fetched::Failed { message, hint })) => Err(unavailable(&format!("{message} {hint}"))),
        Ok(Err(why)) => Err(unavailable(&format!("{why}."))),
        Err(_) => Err(unavailable("the process that reads it failed.")),
    }
}
