//! Closed words of the trail in a person's words: one table for the popups and the pages.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
struct Reasons {
    /// Why a request was refused.
    violations: BTreeMap<String, String>,
    /// What a tool call wants.
    calls: BTreeMap<String, String>,
    /// What a permission lets an agent do.
    scopes: BTreeMap<String, String>,
}

static REASONS: LazyLock<Reasons> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../ui/src/lib/reasons.json")).unwrap_or_default());

pub(crate) fn violation(code: &str) -> String {
    worded(&REASONS.violations, code)
}

pub(crate) fn call(kind: &str) -> String {
    worded(&REASONS.calls, kind)
}

pub(crate) fn scope(scope: &str) -> String {
    worded(&REASONS.scopes, scope)
}

/// The word itself where an engine is newer than we are.
fn worded(table: &BTreeMap<String, String>, code: &str) -> String {
    table.get(code).cloned().unwrap_or_else(|| code.replace('_', " "))
}

#[cfg(test)]
mod tests {
    use sallyport_policy::elevation::Scope;
    use sallyport_policy::quotas::Limit;
    use sallyport_policy::verdict::BlockCode;

    use super::*;

    #[test]
    fn every_refusal_and_permission_of_the_policy_has_words() {
        let limits = [
            Limit::RequestsPerMinute,
            Limit::RequestsPerHour,
            Limit::TokensPerDay,
            Limit::PromptLength,
            Limit::ConcurrentRequests,
        ];
        let codes = BlockCode::ALL.map(BlockCode::as_str).into_iter().chain(limits.map(Limit::code));
        for code in codes {
            assert!(REASONS.violations.contains_key(code), "{code}");
        }
        for one in Scope::ALL {
            assert!(REASONS.scopes.contains_key(&one.to_string()), "{one}");
        }
        assert_eq!(violation("of_tomorrow"), "of tomorrow");
    }
}
