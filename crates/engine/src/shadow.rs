//! AI hosts that policy has not approved, seen as they pass: counted, told once, never read.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use sallyport_policy::settings::ShadowAi;

use crate::engine::Engine;
use crate::health::Condition;
use crate::record::ControlAction;

/// More different hosts than this need not be told one by one.
const MAX_TOLD: usize = 64;

/// Hosts that a person was told of since the engine started.
#[derive(Default)]
pub(crate) struct Told(Mutex<BTreeSet<String>>);

impl Told {
    fn first(&self, host: &str) -> bool {
        let mut told = self.0.lock();
        told.len() < MAX_TOLD && told.insert(host.to_owned())
    }
}

/// Notes a connection to a host that is listed, not approved and passed on unread.
pub(crate) fn tunnelled(engine: &Arc<Engine>, host: &str, port: u16) {
    let policy = engine.policy();
    let Some(provider) = policy.snapshot.providers.lookup(host, port).filter(|provider| provider.shadow)
    else {
        return;
    };
    engine.counters.shadow_ai();
    if policy.snapshot.shadow_ai.value < ShadowAi::Warn || !engine.shadow_told.first(host) {
        return;
    }
    let title = &provider.title;
    engine.health.raise(
        Condition::ShadowAi,
        host,
        format!("{title} ({host}) was used; policy has not approved it, and what was sent there was not looked at."),
        format!(
            "Add `{}` to `approvedProviders` to have it inspected like the others, or set `shadowAi: block`.",
            provider.name
        ),
    );
    let (engine, host) = (engine.clone(), host.to_owned());
    tokio::spawn(async move {
        if let Err(error) = engine.record_control(ControlAction::ShadowAiSeen, &host).await {
            tracing::warn!(%error, "a host that is not approved could not be recorded");
        }
    });
}
