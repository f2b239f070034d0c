//! Assessments of tools, one file for each in the state folder. An approval is sealed, so that whoever can write the file
//! can take it away, and give none. What it changes is policy's to say.

mod desk;
mod files;

use sallyport_detect::HeldKey;
use sallyport_policy::assessment::AssessmentRecord;

use crate::health::{Condition, Health};

/// One change after the other.
#[derive(Default)]
pub(crate) struct Turn(tokio::sync::Mutex<()>);

/// Makes and knows the seals of this installation.
pub(crate) struct Seals(HeldKey<32>);

impl Seals {
    pub(crate) fn new(key: HeldKey<32>) -> Seals {
        Seals(key)
    }

    fn seal(&self, record: &mut AssessmentRecord) {
        let seal = self.seal_of(record).map(|seal| seal.to_hex().to_string());
        if let Some(approval) = &mut record.approval {
            approval.seal = seal;
        }
    }

    /// Whether the approval was given here, for these very answers.
    pub(crate) fn holds(&self, record: &AssessmentRecord) -> bool {
        let given = record.approval.as_ref().and_then(|approval| approval.seal.as_deref());
        let given = given.and_then(|seal| blake3::Hash::from_hex(seal).ok());
        // Compares in constant time.
        given.is_some() && given == self.seal_of(record)
    }

    /// Over all that the record says. Its maps are in order and its fields stand as they are declared, so that the same
    /// record is always the same text.
    fn seal_of(&self, record: &AssessmentRecord) -> Option<blake3::Hash> {
        let mut bare = record.clone();
        if let Some(approval) = &mut bare.approval {
            approval.seal = None;
        }
        let text = serde_json::to_vec(&bare).ok()?;
        Some(blake3::keyed_hash(&self.0, &text))
    }
}

/// Says which files claim an approval that nobody gave.
pub(crate) fn note_discounted(health: &Health, files: &[String]) {
    if files.is_empty() {
        return health.clear(Condition::AssessmentUnsealed, "assessments");
    }
    health.raise(
        Condition::AssessmentUnsealed,
        "assessments",
        format!("The approval in {} was not given through Sallyport and does not count.", files.join(" and ")),
        "Find out who wrote it; `sallyport assess approve TOOL` asks who is at the desk and approves it anew.".into(),
    );
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sallyport_policy::assessment;
    use zeroize::Zeroizing;

    use super::*;

    const APPROVED: &str = "tool: cursor\nproviders: [cursor]\ntemplate: t\ncreated: 2026-11-26\n\
        answers: {a: {answer: 'no'}}\napproval: {by: ann, on: 2026-11-26, until: 2027-11-26}\n";

    #[test]
    fn a_seal_is_good_for_the_very_record_and_installation() {
        let seals = |byte| Seals::new(Arc::new(Zeroizing::new([byte; 32])));
        let mut record = assessment::parse(APPROVED, "a.yaml").unwrap();
        assert!(!seals(1).holds(&record), "nobody sealed it");
        seals(1).seal(&mut record);
        assert!(seals(1).holds(&record));
        assert!(!seals(2).holds(&record), "another installation's");
        let again = serde_json::to_string(&record).unwrap();
        assert!(seals(1).holds(&assessment::parse(&again, "a.yaml").unwrap()), "as it is read back");
        for (from, to) in
            [("\"no\"", "\"yes\""), ("2027-11-26", "2037-11-26"), ("[\"cursor\"]", "[\"openai\"]")]
        {
            let changed = again.replace(from, to);
            assert_ne!(changed, again);
            assert!(!seals(1).holds(&assessment::parse(&changed, "a.yaml").unwrap()), "{to}");
        }
        record.approval = None;
        assert!(!seals(1).holds(&record));
    }
}
