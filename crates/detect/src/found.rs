//! What a detector of behaviour saw: a rule, how bad, and where. Never the words.

use std::ops::Range;

use sallyport_policy::Severity;

/// One suspicious stretch. `span` counts bytes of the text that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub rule: &'static str,
    pub severity: Severity,
    pub span: Range<usize>,
}

/// Sorted; of two that overlap the more severe one stays, widened to both.
pub(crate) fn apart(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by_key(|one| (one.span.start, one.span.end));
    let mut out: Vec<Found> = Vec::new();
    for one in found {
        match out.last_mut() {
            Some(last) if one.span.start < last.span.end => {
                last.span.end = last.span.end.max(one.span.end);
                if one.severity > last.severity {
                    last.rule = one.rule;
                    last.severity = one.severity;
                }
            }
            _ => out.push(one),
        }
    }
    out
}
