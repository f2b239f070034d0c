//! Overlapping candidates become findings that are apart and cover all that must go.
//!
//! A known value wins, then the graver rule, then the longer match. What a loser covers beyond the
//! winner is kept as a finding of its own, unless the winner already covers the loser's core: a
//! known user name inside a URL must not let the password beside it pass.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use sallyport_policy::{Finding, FindingKind};

/// A finding that has not met the others yet.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) finding: Finding,
    /// The part that must not stay. The whole span where a rule names none.
    pub(crate) core: Range<usize>,
}

/// `covered`: stretches that are placeholders of ours already.
pub(crate) fn resolve(text: &str, mut candidates: Vec<Candidate>, covered: &[Range<usize>]) -> Vec<Finding> {
    if candidates.is_empty() {
        return Vec::new();
    }
    candidates.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.finding.rule.cmp(&b.finding.rule)));
    let mut taken: Taken = covered.iter().map(|span| (span.start, (span.end, None))).collect();
    for candidate in candidates {
        let free = uncovered(&candidate.finding.span, &taken);
        if free.len() == 1 && free.first() == Some(&candidate.finding.span) {
            insert(&mut taken, candidate.finding.span.clone(), candidate.finding);
            continue;
        }
        if uncovered(&candidate.core, &taken).is_empty() {
            continue;
        }
        for span in free.into_iter().filter(|span| matters(text, span)) {
            insert(&mut taken, span.clone(), Finding { span, ..candidate.finding.clone() });
        }
    }
    taken.into_values().filter_map(|(_, finding)| finding).collect()
}

/// What is taken so far, by its start: its end, and the finding that it became. They are apart.
type Taken = BTreeMap<usize, (usize, Option<Finding>)>;

fn rank(candidate: &Candidate) -> (bool, Reverse<sallyport_policy::Severity>, Reverse<usize>, usize, bool) {
    let finding = &candidate.finding;
    let guessed = finding.kind != FindingKind::KnownSecret;
    // The same value by two rules: an environment's line keeps its own form of placeholder.
    let no_line = finding.kind != FindingKind::EnvAssignment;
    (guessed, Reverse(finding.severity), Reverse(finding.span.len()), finding.span.start, no_line)
}

fn uncovered(span: &Range<usize>, taken: &Taken) -> Vec<Range<usize>> {
    let mut free = Vec::new();
    let mut from = span.start;
    let before = taken.range(..=span.start).next_back();
    let first = before.map_or(span.start, |(start, _)| *start);
    for (start, (end, _)) in taken.range(first..span.end.max(first)) {
        if from < *start {
            free.push(from..*start);
        }
        from = from.max(*end);
    }
    if from < span.end {
        free.push(from..span.end);
    }
    free
}

fn insert(taken: &mut Taken, span: Range<usize>, finding: Finding) {
    taken.insert(span.start, (span.end, Some(finding)));
}

/// A quote, a separator or a bracket left over is no leak.
fn matters(text: &str, span: &Range<usize>) -> bool {
    let rest = text.get(span.clone()).unwrap_or_default();
    rest.chars().filter(|c| c.is_alphanumeric()).count() >= 4
}

#[cfg(test)]
mod tests {
    use sallyport_policy::{Level, RuleId, Severity};

    use super::*;

    fn candidate(
        rule: &str,
        kind: FindingKind,
        severity: Severity,
        span: Range<usize>,
        core: Range<usize>,
    ) -> Candidate {
        Candidate {
            finding: Finding { rule: RuleId::new(rule), kind, severity, class: Level::Restricted, span },
            core,
        }
    }

    fn shown(candidates: Vec<Candidate>, covered: &[Range<usize>]) -> Vec<(String, Range<usize>)> {
        let text = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
        let found = resolve(text, candidates, covered);
        found.into_iter().map(|finding| (finding.rule.to_string(), finding.span)).collect()
    }

    #[test]
    fn a_known_value_wins_and_the_rest_of_the_loser_stays_covered() {
        use FindingKind::{KnownSecret, Secret};
        let known = candidate("user", KnownSecret, Severity::Critical, 10..18, 10..18);
        let url = candidate("url", Secret, Severity::High, 0..40, 20..30);
        let parts = shown(vec![url.clone(), known], &[]);
        assert_eq!(parts, [("url".into(), 0..10), ("user".into(), 10..18), ("url".into(), 18..40)]);
        let password = candidate("password", KnownSecret, Severity::Critical, 20..30, 20..30);
        assert_eq!(shown(vec![url, password], &[]), [("password".into(), 20..30)]);
    }

    #[test]
    fn graver_then_longer_then_earlier() {
        use FindingKind::Secret;
        let low = candidate("low", Secret, Severity::Low, 0..20, 0..20);
        let high = candidate("high", Secret, Severity::High, 0..10, 0..10);
        let long = candidate("long", Secret, Severity::High, 0..12, 0..12);
        assert_eq!(
            shown(vec![low.clone(), high.clone(), long], &[]),
            [("long".into(), 0..12), ("low".into(), 12..20)]
        );
        assert_eq!(shown(vec![low, high.clone()], &[0..30, 40..50]), []);
        assert_eq!(shown(vec![high], std::slice::from_ref(&(2..9))), []);
    }
}
