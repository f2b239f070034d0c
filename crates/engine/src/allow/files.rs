//! Findings in files that a person allowed: the results of a tool that read such a file, and nothing else.

use std::collections::HashMap;
use std::ops::Range;

use sallyport_policy::RuleId;
use sallyport_policy::allowlist::AllowedPath;

use super::Entry;

/// Files in which all findings, or those of one rule, are allowed.
#[derive(Debug, Default)]
pub(crate) struct AllowedFiles(Vec<(AllowedPath, Option<RuleId>)>);

impl AllowedFiles {
    pub(super) fn of(live: &[Entry], home: &str) -> AllowedFiles {
        let paths = live.iter().filter_map(|entry| {
            let path = AllowedPath::parse(entry.path.as_deref()?, Some(home)).ok()?;
            Some((path, entry.rule.as_deref().map(RuleId::new)))
        });
        AllowedFiles(paths.collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Which rules are allowed in a file: none, some, or all.
    fn at(&self, path: &str) -> Option<Allowed> {
        let mut rules = Vec::new();
        for (_, rule) in self.0.iter().filter(|(allowed, _)| allowed.holds(path)) {
            match rule {
                None => return Some(Allowed::All),
                Some(rule) => rules.push(rule.clone()),
            }
        }
        (!rules.is_empty()).then_some(Allowed::Rules(rules))
    }
}

#[derive(Debug, Clone)]
enum Allowed {
    All,
    Rules(Vec<RuleId>),
}

/// Stretches of one body that came from allowed files.
#[derive(Debug, Default)]
pub(crate) struct Passages(Vec<(Range<usize>, Allowed)>);

impl Passages {
    /// `reads`: by call, the one file that it read. `results`: by call, where its content stands.
    pub(crate) fn of<'c>(
        files: &AllowedFiles,
        reads: &HashMap<&'c str, String>,
        results: impl Iterator<Item = (&'c str, Range<usize>)>,
    ) -> Passages {
        let allowed = results.filter_map(|(call, range)| Some((range, files.at(reads.get(call)?)?)));
        Passages(allowed.collect())
    }

    /// Whether a finding of this rule at this place of the body is allowed.
    pub(crate) fn allow(&self, rule: &RuleId, place: usize) -> bool {
        self.0.iter().any(|(range, allowed)| {
            range.contains(&place)
                && match allowed {
                    Allowed::All => true,
                    Allowed::Rules(rules) => rules.contains(rule),
                }
        })
    }

    #[cfg(test)]
    pub(crate) fn in_one(range: Range<usize>, rule: Option<&str>) -> Passages {
        let allowed = rule.map_or(Allowed::All, |rule| Allowed::Rules(vec![RuleId::new(rule)]));
        Passages(vec![(range, allowed)])
    }
}
