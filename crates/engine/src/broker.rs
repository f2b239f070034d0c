//! The key broker: a tool sends `sallyport:NAME` where its key belongs, and the real one goes on from here.
//!
//! Who may send which key where is decided in `policy::broker`. A value is kept for a minute on locked pages and is
//! wiped then; nothing of it reaches a log, the trail or the tool.

mod leases;
mod places;

use http::request::Parts;
use sallyport_policy::broker;
use sallyport_policy::providers::AuthNames;

use crate::accounts::ServiceAccount;
use crate::engine::Engine;
use crate::policy::Policy;
use crate::record::ControlAction;
use crate::respond::Refusal;

pub(crate) use leases::Leases;

/// Puts real keys where the head of a request names brokered ones, and tells whether it put any. A key that may not be
/// sent stops the request.
pub(crate) async fn insert(
    engine: &Engine,
    policy: &Policy,
    auth: &AuthNames,
    host: &str,
    account: &ServiceAccount,
    parts: &mut Parts,
) -> Result<bool, Refusal> {
    let places = places::find(parts, auth);
    for place in &places {
        let class = account.session.then_some(account.class.as_str());
        let key = broker::choose(&policy.snapshot.broker.value, place.key(), host, class).map_err(|why| {
            Refusal::new(
                "key_not_brokered",
                format!(
                    "Sallyport stopped this request: {why}. `sallyport policy show` lists the keys under `broker`; \
                     start the tool with `sallyport exec --agent CLASS -- CMD`."
                ),
            )
        })?;
        let value = engine.leases.value(engine, policy, key).await?;
        let target = format!("{} for {host}", key.name);
        engine
            .record_control_on(ControlAction::KeyInserted, &account.name, &target, "inserted", false)
            .await
            .map_err(|_| Refusal::trail_unavailable())?;
        place.fill(parts, &value).ok_or_else(|| {
            Refusal::new(
                "key_unavailable",
                format!("The key `{}` can't stand in a request's head.", key.name),
            )
        })?;
    }
    Ok(!places.is_empty())
}
