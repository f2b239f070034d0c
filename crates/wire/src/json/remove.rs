//! Takes members or elements out of a list without leaving a comma too many.

use std::ops::Range;

/// Ranges to cut for the items that go. `items`: each with whether it goes, in order.
pub(crate) fn removals(items: impl IntoIterator<Item = (bool, Range<usize>)>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut kept: Option<usize> = None;
    let mut run: Option<Range<usize>> = None;
    for (goes, range) in items {
        if goes {
            run = Some(run.map_or(range.start, |run| run.start)..range.end);
        } else {
            ranges.extend(run.take().map(|run| run.start..range.start));
            kept = Some(range.end);
        }
    }
    ranges.extend(run.map(|run| kept.unwrap_or(run.start)..run.end));
    ranges
}
