//! Each rule's proof: its examples hit, its near misses miss, and its keywords are enough.

use std::ops::Range;

use sallyport_policy::RuleId;

use super::RuleSet;
use super::file::Rule;

/// A rule that does not do what its file says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rule {rule}: {message}")]
pub struct RuleProblem {
    pub rule: RuleId,
    pub message: String,
}

impl RuleSet {
    /// Runs every rule alone on its own examples and near misses.
    pub fn check(&self) -> Vec<RuleProblem> {
        self.check_some(0..self.rules.len())
    }

    /// The same for the rules of these numbers: each is proved alone, so that a caller may share the work out.
    pub fn check_some(&self, numbers: Range<usize>) -> Vec<RuleProblem> {
        self.rules.get(numbers).unwrap_or_default().iter().flat_map(|rule| self.check_rule(rule)).collect()
    }

    fn check_rule(&self, rule: &Rule) -> Vec<RuleProblem> {
        let problem = |message: String| RuleProblem { rule: rule.id.clone(), message };
        let finds = |text: &str| -> Vec<String> {
            let matches = self.matches(text.as_bytes(), 0, |candidate| candidate.id == rule.id);
            let accepted = matches.into_iter().filter(|found| found.accepted);
            accepted.filter_map(|found| text.get(found.span).map(str::to_owned)).collect()
        };
        let mut problems = Vec::new();
        for example in &rule.examples {
            let found = finds(&example.text);
            match &example.finds {
                _ if found.is_empty() => {
                    problems.push(problem(format!("nothing is found in {:?}", example.text)))
                }
                Some(wanted) if !found.contains(wanted) => {
                    problems.push(problem(format!("{found:?} is found where {wanted:?} stands")));
                }
                _ => {}
            }
        }
        for near_miss in &rule.near_misses {
            if let Some(found) = finds(near_miss).first() {
                problems.push(problem(format!("{found:?} is found in the near miss {near_miss:?}")));
            }
        }
        problems
    }
}
