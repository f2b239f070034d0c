//! What a stream asks: may the end of this text be the beginning of a known value?
//!
//! Answered from hashes and character classes alone. Eight bytes or more are compared with the
//! openings of all patterns; fewer by their classes, which holds back a few characters at most.

use std::collections::HashSet;

use super::index::SecretIndex;
use super::key::WINDOW;
use super::set::{Pattern, classes};
use super::variants::{Form, is_base64};
use super::views::Views;
use crate::table::Table;

#[derive(Default)]
pub(crate) struct Openings {
    table: Table,
    /// Class strings of one to seven characters that begin some pattern.
    short: HashSet<(u8, u32)>,
    /// Some pattern shares bits with the character before it.
    leads: bool,
}

impl Openings {
    pub(super) fn new<'p>(table: Table, patterns: impl Iterator<Item = &'p Pattern>) -> Openings {
        let (mut short, mut leads) = (HashSet::new(), false);
        for pattern in patterns {
            for len in 1..WINDOW as u8 {
                short.insert((len, pattern.classes & !(u32::MAX << (4 * len))));
            }
            leads |= matches!(pattern.form, Form::Base64 { lead: true, .. });
        }
        Openings { table, short, leads }
    }
}

impl SecretIndex {
    /// The first place in `text[from..]` from which a known value may begin that the text does
    /// not hold whole yet. Beginnings further back than `reach` are given up.
    pub(crate) fn first_opening(
        &self,
        text: &[u8],
        from: usize,
        views: &Views,
        reach: usize,
    ) -> Option<usize> {
        if self.is_empty() {
            return None;
        }
        let area = text.get(from..).unwrap_or_default();
        let limit = text.len().saturating_sub(reach).max(from) - from;
        let plain = self.opening_in(area, limit);
        let decoded = views.iter().filter_map(|(number, view)| {
            let open = self.opening_in(view.settled(), views.decoded_start(number, limit));
            let open = open.map(|at| views.raw_start(number, at));
            let cut = view.unfinished().map(|at| view.below.map_or(at, |below| views.raw_start(below, at)));
            open.into_iter().chain(cut).filter(|at| *at >= limit).min()
        });
        plain.into_iter().chain(decoded).min().map(|at| at + from)
    }

    fn opening_in(&self, bytes: &[u8], limit: usize) -> Option<usize> {
        let last_space = bytes.iter().rposition(u8::is_ascii_whitespace);
        let open = (limit..bytes.len()).find(|at| self.opens(bytes, *at, last_space));
        // Base64 shares bits with the character before it, which must wait as well.
        let lead = |at: usize| {
            let shared =
                at.checked_sub(1).and_then(|before| bytes.get(before)).is_some_and(|byte| is_base64(*byte));
            if self.openings.leads && shared { at - 1 } else { at }
        };
        let first = lead(open.unwrap_or(bytes.len()));
        (first < bytes.len()).then_some(first)
    }

    fn opens(&self, bytes: &[u8], at: usize, last_space: Option<usize>) -> bool {
        let tail = bytes.get(at..).unwrap_or_default();
        if tail.len() < WINDOW {
            return self.openings.short.contains(&(tail.len() as u8, classes(tail)));
        }
        let Some(print) = self.window_print(tail, 0) else { return false };
        if !self.openings.table.maybe(print) {
            return false;
        }
        self.openings.table.patterns(print).filter_map(|number| self.pattern(number)).any(|(pattern, _)| {
            // A pattern that ends here may still share bits with the next character.
            let trail = matches!(pattern.form, Form::Base64 { trail: true, .. });
            let unfinished = pattern.len as usize + usize::from(trail) > tail.len();
            let spaced = !pattern.spaces && last_space.is_some_and(|space| space >= at);
            let window = self.window_print(tail, usize::from(pattern.at));
            unfinished && !spaced && window.is_none_or(|print| print == pattern.window)
        })
    }
}
