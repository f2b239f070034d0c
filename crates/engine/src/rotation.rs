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
        let allowed = due.class.rotation.map(|span| worded(span.seconds())).unwrap_or_default();
        let age = worded(now.duration_since(due.written).as_secs().unsigned_abs());
        engine.health.raise(
            Condition::RotationOverdue,
            due.name,
            format!(
                "{} was last changed {age} ago; secrets of the class {} are to be changed every {allowed}.",
                due.name, due.class.name
            ),
            format!(
                "Issue a new value, store it in the vault under {}, and run `sallyport secrets sync`.",
                due.name
            ),
        );
    }
    let names: Vec<_> = overdue.iter().map(|due| due.name.to_owned()).collect();
    engine.health.retain(Condition::RotationOverdue, &names);
}

/// The largest unit that holds two of it: `31 days`, `25 hours`, `90 seconds`.
fn worded(seconds: u64) -> String {
    let units = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    let (each, unit) = units.into_iter().find(|(each, _)| seconds >= 2 * each).unwrap_or((1, "seconds"));
    match seconds / each {
        1 => "1 second".into(),
        count => format!("{count} {unit}"),
    }
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
    fn an_age_is_told_in_the_largest_unit_that_fits() {
        let words = [1, 90, 120, 86_400, 90_000, 30 * 86_400].map(worded);
        assert_eq!(words, ["1 second", "90 seconds", "2 minutes", "24 hours", "25 hours", "30 days"]);
    }

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
