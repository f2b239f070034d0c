//! The key broker: a tool sends `sallyport:NAME` where its key belongs, and the real one goes on from here.
//!
//! Who may send which key where is decided in `policy::broker`. A value is fetched for one exchange, lies in locked
//! memory, and is wiped with the request's head; nothing of it reaches a log, the trail or the tool.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use sallyport_platform::LockedBytes;
use sallyport_policy::broker::{self, BrokeredKey};
use sallyport_policy::providers::AuthNames;

use crate::accounts::ServiceAccount;
use crate::engine::Engine;
use crate::head;
use crate::loader::{self, Fetched, Wanted};
use crate::policy::Policy;
use crate::record::ControlAction;
use crate::respond::Refusal;

/// A key for one header of one exchange.
struct Place {
    header: HeaderName,
    /// Around the placeholder, such as `Bearer `.
    before: Vec<u8>,
    after: Vec<u8>,
    name: String,
}

/// Puts real keys where the head of a request names brokered ones. A key that may not be sent stops the request.
pub(crate) async fn insert(
    engine: &Engine,
    policy: &Policy,
    auth: &AuthNames,
    host: &str,
    account: &ServiceAccount,
    headers: &mut HeaderMap,
) -> Result<(), Refusal> {
    for place in places(headers, auth) {
        let class = account.session.then_some(account.class.as_str());
        let key = broker::choose(&policy.snapshot.broker.value, &place.name, host, class).map_err(|why| {
            Refusal::new(
                "key_not_brokered",
                format!(
                    "Sallyport stopped this request: {why}. `sallyport policy show` lists the keys under `broker`; \
                     start the tool with `sallyport exec --agent CLASS -- CMD`."
                ),
            )
        })?;
        let value = fetch(policy, key).await?;
        let target = format!("{} for {host}", key.name);
        engine
            .record_control_on(ControlAction::KeyInserted, &account.name, &target, "inserted", false)
            .await
            .map_err(|_| Refusal::trail_unavailable())?;
        headers.insert(place.header.clone(), header(&place, &value)?);
    }
    Ok(())
}

fn places(headers: &HeaderMap, auth: &AuthNames) -> Vec<Place> {
    let credentials = headers.iter().filter(|(name, _)| head::is_credential(auth, name));
    credentials
        .filter_map(|(name, value)| {
            let text = value.to_str().ok()?;
            let (range, key) = broker::named_in(text)?;
            Some(Place {
                header: name.clone(),
                before: text[..range.start].into(),
                after: text[range.end..].into(),
                name: key.to_owned(),
            })
        })
        .collect()
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

/// The header's value in locked memory, which is wiped when the last copy of the head is gone.
fn header(place: &Place, value: &[u8]) -> Result<HeaderValue, Refusal> {
    let broken =
        || Refusal::new("key_unavailable", format!("The key `{}` can't stand in a header.", place.name));
    let mut locked = LockedBytes::zeroed(place.before.len() + value.len() + place.after.len())
        .map_err(|_| Refusal::new("key_unavailable", "There is no memory for a key."))?;
    let mut at = 0;
    for part in [&place.before[..], value, &place.after[..]] {
        locked[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(locked)).map_err(|_| broken())?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth() -> AuthNames {
        AuthNames { headers: ["x-api-key".to_owned()].into_iter().collect(), ..AuthNames::default() }
    }

    #[test]
    fn placeholders_are_looked_for_in_credentials_alone() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Bearer sallyport:openai"));
        headers.insert("x-api-key", HeaderValue::from_static("sallyport:anthropic"));
        headers.insert("x-note", HeaderValue::from_static("sallyport:other"));
        let mut names: Vec<_> = places(&headers, &auth()).into_iter().map(|place| place.name).collect();
        names.sort();
        assert_eq!(names, ["anthropic", "openai"]);
    }

    #[test]
    fn a_key_keeps_what_stands_around_it_and_is_never_shown() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Bearer sallyport:openai"));
        let place = places(&headers, &auth()).remove(0);
        let value = header(&place, b"made-up-key").unwrap();
        assert_eq!(value, "Bearer made-up-key");
        assert!(!format!("{value:?}").contains("made-up"));
        assert!(header(&place, b"two\nlines").is_err());
    }
}
