//! Secrets that were not changed for longer than their class allows: from the vault's own dates to health items.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::documents::{SecretClass, SecretStorage};

use crate::engine::Engine;
use crate::health::Condition;
use crate::loader::Loaded;

/// A secret that is due, and since when.
#[derive(Debug, PartialEq)]
struct Overdue<'a> {
    name: &'a str,
    class: &'a SecretClass,
    written: Timestamp,
}

/// Brings the health items in line with what a load found.
pub(crate) fn report(engine: &Engine, loaded: &[Loaded], now: Timestamp) {
    let policy = engine.policy();
    // The newest date counts where two vaults hold one name.
    let mut dated: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for (name, written) in loaded.iter().flat_map(|source| &source.dated) {
        if let Ok(written) = written.parse::<Timestamp>() {
            let newest = dated.entry(name).or_insert(written);
            *newest = written.max(*newest);
        }
    }
    let overdue = overdue(&policy.snapshot.secret_classes, &dated, now);
    for due in &overdue {
        let rotation = due.class.rotation.map(|span| span.to_string()).unwrap_or_default();
        let days = now.duration_since(due.written).as_hours() / 24;
        engine.health.raise(
            Condition::RotationOverdue,
            due.name,
            format!(
                "{} was last changed {days} days ago; secrets of the class {} are to be changed every {rotation}.",
                due.name, due.class.name
            ),
            format!("Issue a new value, store it in the vault under {}, and run `sallyport secrets sync`.", due.name),
        );
    }
    let names: Vec<_> = overdue.iter().map(|due| due.name.to_owned()).collect();
    engine.health.retain(Condition::RotationOverdue, &names);
}

/// The class of a secret is the first folder of its name.
fn overdue<'a>(
    classes: &'a [SecretClass],
    dated: &BTreeMap<&'a str, Timestamp>,
    now: Timestamp,
) -> Vec<Overdue<'a>> {
    let late = dated.iter().filter_map(|(name, written)| {
        let (folder, _) = name.split_once('/')?;
        let class = classes.iter().find(|class| class.name == folder)?;
        if class.storage.is_some_and(|storage| storage != SecretStorage::Vault) {
            return None;
        }
        let allowed = SignedDuration::from_secs(i64::try_from(class.rotation?.seconds()).ok()?);
        (now.duration_since(*written) > allowed).then_some(Overdue { name, class, written: *written })
    });
    late.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_its_class_allows_is_due() {
        let text = include_str!("../../../assets/policies/examples/ai-secrets-architecture.yaml");
        let document = sallyport_policy::documents::parse(text, "p.yaml").unwrap().remove(0);
        let sallyport_policy::documents::DocumentBody::AiSecrets(body) = document.body else {
            panic!("kind")
        };
        let now: Timestamp = "2026-03-31T12:00:00Z".parse().unwrap();
        let ago = |hours: i64| now - SignedDuration::from_hours(hours);
        let dated = BTreeMap::from([
            ("ai-provider-keys/openai", ago(31 * 24)),
            ("ai-provider-keys/fresh", ago(29 * 24)),
            ("user-tokens/ann", ago(25)),
            ("user-tokens/bob", ago(23)),
            ("db/password", ago(9_999)),
        ]);
        let due = overdue(&body.secret_classes, &dated, now);
        assert_eq!(
            due.iter().map(|due| due.name).collect::<Vec<_>>(),
            ["ai-provider-keys/openai", "user-tokens/ann"]
        );
    }
}
