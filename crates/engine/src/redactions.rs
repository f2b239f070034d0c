//! What was taken out of a text, as the trail names it: each value by its rule, and how many there were. Must not grow with
//! a text that holds ever more of them.

use std::collections::HashMap;

use sallyport_audit::Action;
use sallyport_policy::Finding;

use crate::inspect::redaction_name;

/// How often one text names the same rule. More is a file full of it, or somebody who wants the trail to grow; what
/// other rules took out is named all the same.
const NAMED: usize = 100;

#[derive(Debug, Clone, Default)]
pub(crate) struct Redactions {
    names: Vec<String>,
    times: HashMap<String, usize>,
    all: usize,
}

impl Redactions {
    fn add(&mut self, name: String) {
        self.all += 1;
        match self.times.get_mut(&name) {
            Some(times) if *times >= NAMED => return,
            Some(times) => *times += 1,
            None => {
                self.times.insert(name.clone(), 1);
            }
        }
        self.names.push(name);
    }

    /// How many values were taken out.
    pub(crate) fn all(&self) -> usize {
        self.all
    }

    /// One name for each value, in their order, but for the many of one rule.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Says how many there were where not each is named.
    pub(crate) fn counted(&self) -> Option<Action> {
        (self.all > self.names.len()).then(|| Action {
            action_type: "redactions_counted".into(),
            target: None,
            outcome: Some(self.all.to_string()),
            requires_review: Some(false),
        })
    }
}

impl Extend<Finding> for Redactions {
    fn extend<T: IntoIterator<Item = Finding>>(&mut self, findings: T) {
        findings.into_iter().for_each(|finding| self.add(redaction_name(&finding)));
    }
}

impl<'n> FromIterator<&'n String> for Redactions {
    fn from_iter<T: IntoIterator<Item = &'n String>>(names: T) -> Redactions {
        let mut redactions = Redactions::default();
        names.into_iter().for_each(|name| redactions.add(name.clone()));
        redactions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_rule_hides_no_other_and_is_counted() {
        let flood = vec!["password_assignment".to_owned(); 5_000];
        let rest = ["jwt".to_owned(), "secret:db".to_owned()];
        let redactions: Redactions = flood.iter().chain(&rest).collect();
        assert_eq!(redactions.names().len(), NAMED + 2);
        assert!(redactions.names().ends_with(&rest));
        assert_eq!(redactions.all(), 5_002);
        assert_eq!(redactions.counted().unwrap().outcome.as_deref(), Some("5002"));
    }

    #[test]
    fn few_are_named_each() {
        let names = ["jwt".to_owned(), "aws_key".to_owned(), "jwt".to_owned()];
        let redactions: Redactions = names.iter().collect();
        assert_eq!(redactions.names(), names);
        assert!(redactions.counted().is_none());
    }
}
