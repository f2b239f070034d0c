//! What raises the class of a text besides findings: content rules, paths and labels of policy documents.
//!
//! Pure. Rules only ever raise, so a further document never widens what may be sent.

use std::collections::{BTreeMap, BTreeSet};

use globset::{Glob, GlobBuilder, GlobMatcher};
use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Finding, Level};

/// A compiled rule that is larger than this was not written for text that people send.
const MAX_COMPILED: usize = 1 << 20;
/// All rules together.
const MAX_SET: usize = 16 << 20;
/// A path in a text is no longer than this.
const MAX_PATH: usize = 1024;

/// What a `SallyportPolicy` says of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClassificationRow {
    /// The class of what a rule finds, where it is to be higher than the rule's own.
    pub findings: BTreeMap<String, Level>,
    /// Texts that match.
    pub content: Vec<ContentRule>,
    /// Files that a tool reads, writes or attaches.
    pub paths: Vec<PathRule>,
    /// Marks that authors put on documents, whatever their case.
    pub labels: BTreeMap<String, Level>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContentRule {
    pub name: String,
    /// A regular expression, without look-around.
    pub pattern: String,
    pub level: Level,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathRule {
    /// Globs such as `**/finance/**`.
    pub paths: Vec<String>,
    pub level: Level,
}

/// What is wrong with a row by itself: the fields below `classification`, and a sentence for each.
pub(crate) fn faults(row: &ClassificationRow) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    for (index, rule) in row.content.iter().enumerate() {
        let message = match compiled(&rule.pattern) {
            Err(error) => {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
                format!("this is no regular expression that can be used: {reason}")
            }
            Ok(pattern) if pattern.is_match("") => {
                "this expression matches every text: name the words that it is about".to_owned()
            }
            Ok(_) => continue,
        };
        faults.push((format!("content.{index}.pattern"), message));
    }
    for (index, rule) in row.paths.iter().enumerate() {
        for (n, path) in rule.paths.iter().enumerate() {
            if let Err(error) = glob(path) {
                let message = format!("`{path}` is no path pattern: {}", error.kind());
                faults.push((format!("paths.{index}.paths.{n}"), message));
            }
        }
    }
    for label in row.labels.keys().filter(|label| label.trim().is_empty()) {
        faults.push((format!("labels.{label}"), "expected a label of at least one word".into()));
    }
    faults
}

fn compiled(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build()
}

fn glob(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern).literal_separator(true).case_insensitive(true).build()
}

/// What raised a level, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// For people: `content rule "atlas"`, `label "COMPANY CONFIDENTIAL"`, `path **/finance/**`.
    pub rule: String,
    /// Where in the request.
    pub place: String,
    pub level: Level,
}

/// The rules of all documents, compiled.
#[derive(Debug, Clone, Default)]
pub struct ClassificationRules {
    findings: BTreeMap<String, Level>,
    texts: Texts,
    paths: Vec<(String, Level, GlobMatcher)>,
}

#[derive(Debug, Clone)]
struct Texts {
    set: RegexSet,
    rules: Vec<(String, Level)>,
}

impl Default for Texts {
    fn default() -> Texts {
        Texts { set: RegexSet::empty(), rules: Vec::new() }
    }
}

impl ClassificationRules {
    /// The union of the rows. Each has been found sound by itself; together they may still be too large.
    pub(crate) fn of<'a>(
        rows: impl IntoIterator<Item = &'a ClassificationRow>,
    ) -> Result<ClassificationRules, String> {
        let mut findings = BTreeMap::new();
        let mut content = BTreeSet::new();
        let mut labels: BTreeMap<&str, Level> = BTreeMap::new();
        let mut paths: BTreeMap<&str, Level> = BTreeMap::new();
        for row in rows {
            for (rule, level) in &row.findings {
                raise(&mut findings, rule.clone(), *level);
            }
            content.extend(&row.content);
            row.labels.iter().for_each(|(label, level)| raise(&mut labels, label.as_str(), *level));
            for rule in &row.paths {
                rule.paths.iter().for_each(|path| raise(&mut paths, path.as_str(), rule.level));
            }
        }
        let mut rules = Vec::new();
        let mut patterns = Vec::new();
        for rule in content {
            rules.push((format!("content rule \"{}\"", rule.name), rule.level));
            patterns.push(rule.pattern.clone());
        }
        for (label, level) in labels {
            rules.push((format!("label \"{label}\""), level));
            patterns.push(label_pattern(label));
        }
        let set = RegexSetBuilder::new(&patterns)
            .size_limit(MAX_SET)
            .build()
            .map_err(|error| format!("the content rules can't be used together: {error}"))?;
        let paths = paths.into_iter().map(|(path, level)| {
            let matcher = glob(path).map_err(|error| error.to_string())?.compile_matcher();
            Ok((format!("path {path}"), level, matcher))
        });
        Ok(ClassificationRules {
            findings,
            texts: Texts { set, rules },
            paths: paths.collect::<Result<_, String>>()?,
        })
    }

    /// The class of a finding: its own, or a higher one that policy gives to its rule.
    pub fn of_finding(&self, finding: &Finding) -> Level {
        match self.findings.get(finding.rule.as_str()) {
            Some(level) => finding.class.max(*level),
            None => finding.class,
        }
    }

    /// Whether texts need to be looked at.
    pub fn reads_text(&self) -> bool {
        !self.texts.rules.is_empty()
    }

    /// Whether paths need to be looked at.
    pub fn reads_paths(&self) -> bool {
        !self.paths.is_empty()
    }

    /// The rules and labels that a text matches.
    pub fn of_text<'r>(&'r self, text: &str) -> impl Iterator<Item = (&'r str, Level)> {
        let matched = self.texts.set.matches(text);
        matched.into_iter().filter_map(|index| {
            let (name, level) = self.texts.rules.get(index)?;
            Some((name.as_str(), *level))
        })
    }

    /// The path rules that anything like a path in a text matches: the text as a whole, and its words.
    pub fn of_paths_in<'r>(&'r self, text: &str) -> Vec<(&'r str, Level)> {
        let words = text.split(|c: char| c.is_whitespace() || "\"'`=,;()[]{}<>|&".contains(c));
        let whole = (text.len() <= MAX_PATH && !text.contains('\n')).then_some(text);
        let mut found = Vec::new();
        for path in whole.into_iter().chain(words) {
            let path = path.trim_start_matches('@').trim_end_matches(['.', ':', '?', '!']);
            if path.is_empty() || path.len() > MAX_PATH || !path.contains(['/', '\\', '.']) {
                continue;
            }
            let plain = path.replace('\\', "/");
            for (name, level, glob) in &self.paths {
                if glob.is_match(&plain) && !found.contains(&(name.as_str(), *level)) {
                    found.push((name.as_str(), *level));
                }
            }
        }
        found
    }

    /// For `policy show`: each rule with its level.
    pub fn listed(&self) -> BTreeMap<String, Level> {
        let findings = self.findings.iter().map(|(rule, level)| (format!("finding {rule}"), *level));
        let texts = self.texts.rules.iter().cloned();
        let paths = self.paths.iter().map(|(name, level, _)| (name.clone(), *level));
        findings.chain(texts).chain(paths).collect()
    }
}

fn raise<K: Ord>(map: &mut BTreeMap<K, Level>, key: K, level: Level) {
    let entry = map.entry(key).or_insert(level);
    *entry = level.max(*entry);
}

/// A label stands by itself: `INTERNAL` is none in `INTERNALS`.
fn label_pattern(label: &str) -> String {
    let label = label.trim();
    let edge = |c: Option<char>| if c.is_some_and(|c| c.is_alphanumeric() || c == '_') { r"\b" } else { "" };
    let words: Vec<_> = label.split_whitespace().map(regex::escape).collect();
    let (before, after) = (edge(label.chars().next()), edge(label.chars().next_back()));
    format!("(?i){before}{}{after}", words.join(r"\s+"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn rules(text: &str) -> ClassificationRules {
        let row: ClassificationRow = yaml::from_str(text).unwrap();
        assert_eq!(faults(&row), []);
        ClassificationRules::of([&row]).unwrap()
    }

    fn levels<'r>(found: impl IntoIterator<Item = (&'r str, Level)>) -> Vec<Level> {
        found.into_iter().map(|(_, level)| level).collect()
    }

    #[test]
    fn labels_stand_by_themselves_in_any_case() {
        let rules = rules("labels: {\"COMPANY CONFIDENTIAL\": confidential, \"[internal]\": internal}\n");
        for (text, expected) in [
            ("Company  confidential: the plan", vec![Level::Confidential]),
            ("x [INTERNAL] y", vec![Level::Internal]),
            ("company confidentiality", vec![]),
            ("internal", vec![]),
        ] {
            assert_eq!(levels(rules.of_text(text)), expected, "{text}");
        }
    }

    #[test]
    fn paths_are_found_as_a_whole_and_as_words() {
        let rules = rules("paths: [{paths: [\"**/finance/**\", \"**/*.xlsx\"], level: confidential}]\n");
        for (text, hits) in [
            ("/home/ann/finance/q3.csv", 1),
            ("cat ./finance/q3.csv | head", 1),
            ("look at @docs/plan.xlsx, please", 1),
            ("C:\\Users\\ann\\finance\\q3.csv", 1),
            ("finance is fun", 0),
            ("/src/main.rs", 0),
        ] {
            assert_eq!(rules.of_paths_in(text).len(), hits, "{text}");
        }
    }

    #[test]
    fn unsound_rules_are_named() {
        for (text, expected) in [
            ("content: [{name: a, pattern: \"(\", level: internal}]\n", "content.0.pattern"),
            ("content: [{name: a, pattern: \"a*\", level: internal}]\n", "content.0.pattern"),
            ("content: [{name: a, pattern: \"(?=x)\", level: internal}]\n", "content.0.pattern"),
            ("content: [{name: a, pattern: \"\\\\w{9000}\", level: internal}]\n", "content.0.pattern"),
            ("paths: [{paths: [\"a[\"], level: internal}]\n", "paths.0.paths.0"),
            ("labels: {\" \": internal}\n", "labels. "),
        ] {
            let row: ClassificationRow = yaml::from_str(text).unwrap();
            assert_eq!(faults(&row).first().map(|(path, _)| path.as_str()), Some(expected), "{text}");
        }
    }

    #[test]
    fn two_documents_raise_and_never_lower() {
        let one: ClassificationRow =
            yaml::from_str("findings: {jwt: restricted}\nlabels: {x-ray: internal}\n").unwrap();
        let two: ClassificationRow =
            yaml::from_str("findings: {jwt: public}\nlabels: {x-ray: restricted}\n").unwrap();
        for rows in [[&one, &two], [&two, &one]] {
            let rules = ClassificationRules::of(rows).unwrap();
            assert_eq!(rules.findings["jwt"], Level::Restricted);
            assert_eq!(levels(rules.of_text("an X-Ray")), [Level::Restricted]);
        }
    }
}
