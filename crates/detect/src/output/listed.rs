//! The eight patterns of the policy documents and their two checks by context, exactly as given.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex_automata::meta::Regex;
use sallyport_policy::Severity;

use crate::found::Found;

pub(super) const FILE_TYPE: &str = "file_type_not_allowed";
pub(super) const EXECUTION: &str = "code_execution_not_permitted";

/// The patterns, in any case.
pub const DANGEROUS: [&str; 8] = [
    r"rm\s+-rf\s+/",
    r"chmod\s+777",
    r"curl.*\|\s*bash",
    r"wget.*\|\s*sh",
    r"eval\s*\(",
    r"__import__",
    r"subprocess\.call.*shell\s*=\s*True",
    r"os\.system\s*\(",
];

static COMPILED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let patterns: Vec<String> = DANGEROUS.iter().map(|pattern| format!("(?i){pattern}")).collect();
    Regex::new_many(&patterns).ok()
});

static FILE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\w./]+\.\w+").ok());

pub(super) fn find(text: &str, found: &mut Vec<Found>) {
    let Some(pattern) = &*COMPILED else { return };
    for hit in pattern.find_iter(text) {
        found.push(Found { rule: "dangerous_pattern", severity: Severity::High, span: hit.range() });
    }
}

pub(super) fn extensions(text: &str, allowed: &BTreeSet<String>, found: &mut Vec<Found>) {
    let Some(pattern) = &*FILE else { return };
    for hit in pattern.find_iter(text) {
        let name = text.get(hit.range()).unwrap_or_default();
        let extension = name.rsplit('.').next().unwrap_or_default();
        if !allowed.contains(extension) {
            found.push(Found { rule: FILE_TYPE, severity: Severity::Medium, span: hit.range() });
        }
    }
}

pub(super) fn execution(text: &str, found: &mut Vec<Found>) {
    const WORD: &str = "code_execution";
    let lower = text.to_ascii_lowercase();
    for (at, _) in lower.match_indices(WORD) {
        let span = at..at + WORD.len();
        found.push(Found { rule: EXECUTION, severity: Severity::Medium, span });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_patterns_compile() {
        assert!(COMPILED.is_some() && FILE.is_some());
    }
}
