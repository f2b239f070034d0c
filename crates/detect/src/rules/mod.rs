//! Detection rules: their files, the set they make, and the proof that each does what it says.

mod assigned;
mod carried;
mod check;
mod checksums;
mod connection;
mod effort;
mod engine;
mod file;
mod fixture;
mod gate;
mod identity;
mod jwt;
mod keywords;
mod named;
mod opening;
mod pem;
mod program;
mod reader;
mod rows;
mod scored;
mod slugs;
mod starts;
mod validators;
mod wallets;

use std::collections::HashMap;
use std::sync::OnceLock;

use sallyport_policy::RuleId;

pub use check::RuleProblem;
pub use file::{Example, Rule, RuleError};
pub use scored::Judged;
pub(crate) use validators::LOOK_BEHIND;

use file::Pattern;
use gate::Gates;
use keywords::Keywords;
use opening::Openings;
use program::Set;

/// All rules in force, ready to scan in one pass.
pub struct RuleSet {
    rules: Vec<Rule>,
    by_id: HashMap<RuleId, usize>,
    keywords: Keywords,
    /// For each keyword, the rules that wait for it.
    waiting: Vec<Waiting>,
    gates: Gates,
    openings: OnceLock<Openings>,
}

/// The rules that wait for one keyword.
#[derive(Default)]
struct Waiting {
    /// Rules with a regex of their own, and which of their keywords it is.
    rules: Vec<(u32, u32)>,
    /// The same, each with what may stand behind the keyword: made when the keyword is first seen.
    ready: OnceLock<Vec<Ready>>,
    /// Rules that go on behind the keyword as others do, likewise.
    named: Vec<(u32, u32)>,
}

struct Ready {
    rule: u32,
    behind: Set,
}

impl std::fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleSet").field("len", &self.rules.len()).finish_non_exhaustive()
    }
}

macro_rules! builtin {
    ($($name:literal),* $(,)?) => {
        const BUILTIN: &[(&str, &str)] =
            &[$((concat!("assets/rules/", $name), include_str!(concat!("../../../../assets/rules/", $name)))),*];
    };
}

builtin![
    "addresses.yaml",
    "ai.yaml",
    "assignments.yaml",
    "checked.yaml",
    "cloud.yaml",
    "command_lines.yaml",
    "commerce.yaml",
    "core.yaml",
    "formats.yaml",
    "forms.yaml",
    "git.yaml",
    "headers.yaml",
    "messaging.yaml",
    "packages.yaml",
    "pii.yaml",
    "services_ai.yaml",
    "services_cloud.yaml",
    "services_code.yaml",
    "services_data.yaml",
    "services_money.yaml",
    "services_talk.yaml",
    "services_watch.yaml",
    "services_web.yaml",
    "work.yaml",
];

impl RuleSet {
    /// Reads rule files, given as name and text. An id may stand once over all files.
    pub fn compile(files: &[(&str, &str)]) -> Result<RuleSet, RuleError> {
        RuleSet::read(&[], files)
    }

    /// The rules that ship with the product.
    pub fn builtin() -> Result<RuleSet, RuleError> {
        RuleSet::read(BUILTIN, &[])
    }

    /// The rules that ship with the product, and a person's own.
    pub fn builtin_with(files: &[(&str, &str)]) -> Result<RuleSet, RuleError> {
        RuleSet::read(BUILTIN, files)
    }

    /// Builds what a first answer would otherwise wait for: best done off the path of an exchange. A rule's
    /// own regex is built when its keyword is first followed by what it looks for, which most never are.
    pub fn warm(&self) {
        self.openings();
    }

    /// `trusted` files are known to compile, since a test compiles them; all others do it here.
    fn read(trusted: &[(&str, &str)], own: &[(&str, &str)]) -> Result<RuleSet, RuleError> {
        let mut rules = Vec::new();
        let mut by_id = HashMap::new();
        let files = trusted.iter().map(|file| (file, false)).chain(own.iter().map(|file| (file, true)));
        for ((file, yaml), compiled_now) in files {
            for rule in file::read(file, yaml, compiled_now)? {
                if by_id.insert(rule.id.clone(), rules.len()).is_some() {
                    let message = format!("the rule {} stands here a second time", rule.id);
                    return Err(RuleError::at_line(file, yaml, line_of(yaml, &rule.id), message));
                }
                rules.push(rule);
            }
        }
        Ok(RuleSet::assemble(rules, by_id))
    }

    fn assemble(rules: Vec<Rule>, by_id: HashMap<RuleId, usize>) -> RuleSet {
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let (mut words, mut waiting) = (Vec::new(), Vec::<Waiting>::new());
        for (rule, number) in rules.iter().zip(0u32..) {
            for (keyword, name) in rule.keywords.iter().zip(0u32..) {
                let word = keyword.to_ascii_lowercase();
                let at = *numbers.entry(word.clone()).or_insert_with(|| {
                    words.push(word);
                    waiting.push(Waiting::default());
                    waiting.len() - 1
                });
                match (waiting.get_mut(at), &rule.pattern) {
                    (Some(waiting), Pattern::Own(_)) => waiting.rules.push((number, name)),
                    (Some(waiting), Pattern::Named(_)) => waiting.named.push((number, name)),
                    (None, _) => {}
                }
            }
        }
        let keywords = Keywords::new(words);
        let gated = rules.iter().zip(0..).filter_map(|(rule, number)| Some((number, rule.gate.clone()?)));
        let gates = Gates::of(gated);
        RuleSet { rules, by_id, keywords, waiting, gates, openings: OnceLock::new() }
    }

    pub fn len(&self) -> usize {
        self.rules.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.by_id.get(&RuleId::new(id)).and_then(|at| self.rules.get(*at))
    }
}

fn line_of(yaml: &str, id: &RuleId) -> u64 {
    let stands = |line: &str| {
        line.trim_start_matches([' ', '-']).strip_prefix("id:").map(str::trim) == Some(id.as_str())
    };
    yaml.lines().zip(1..).filter(|(line, _)| stands(line)).last().map_or(0, |(_, number)| number)
}

#[cfg(test)]
mod adverse_tests;
#[cfg(test)]
pub(crate) mod equivalence;
#[cfg(test)]
mod tests;
