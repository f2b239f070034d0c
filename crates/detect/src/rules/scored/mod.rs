//! Values that stand behind a telling name, judged by name, shape and context together.
//!
//! A logistic model over features that a person can read; its weights are made by
//! `examples/accuracy --train` from labelled texts and real files, and are all that is kept of them.

mod encoded;
mod features;
mod margin;
mod weights;

use std::collections::HashMap;
use std::ops::Range;

use sallyport_policy::RuleId;

use super::RuleSet;
use super::validators::{LOOK_BEHIND, Seen};
use crate::shape;
use features::Pair;

/// A value that a scored rule looks at, for the one who trains and measures.
#[derive(Debug, Clone)]
pub struct Judged {
    pub rule: RuleId,
    pub span: Range<usize>,
    pub features: Vec<f32>,
}

/// What was made of the values of one text: several rules find the same value behind the same name.
#[derive(Default)]
pub(super) struct Verdicts(HashMap<(usize, usize, usize), bool>);

impl Verdicts {
    /// The same as [`scored`].
    pub(super) fn scored(&mut self, seen: &Seen<'_>) -> bool {
        let (pair, start) = pair(seen);
        *self.0.entry((start, seen.span.start, seen.span.end)).or_insert_with(|| is_likely(&pair))
    }
}

/// Whether the value is more likely a secret than the threshold asks for.
pub(super) fn scored(seen: &Seen<'_>) -> bool {
    is_likely(&pair(seen).0)
}

fn is_likely(pair: &Pair<'_>) -> bool {
    if is_hopeless(pair) {
        return false;
    }
    let score = score(&features::of(pair)) - weights::THRESHOLD;
    // Most values are far from what any margin could change.
    score >= -margin::MOST && (score >= margin::LEAST || score >= -margin::of(pair))
}

fn score(features: &[f32; features::COUNT]) -> f32 {
    weights::BIAS
        + features.iter().zip(weights::WEIGHTS).map(|(feature, weight)| feature * weight).sum::<f32>()
}

/// What no secret is, told without looking closer: most candidates end here.
fn is_hopeless(pair: &Pair<'_>) -> bool {
    let value = pair.value;
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let named = pair.is_named();
    let open = || {
        let lower = pair.name.to_ascii_lowercase();
        ["public", "hash", "digest", "checksum", "fingerprint"].iter().any(|word| lower.contains(word))
    };
    let bare = !pair.glue.ends_with(['"', '\'', '`']);
    !named && (value.len() < 12 || digits < 2 || open())
        || bare && pair.after.is_some_and(|byte| b"([".contains(&byte))
        || value.starts_with("--")
        || value.contains("[]")
        || value.contains('@') && shape::is_place(value)
        || pair.lead.contains("GUID(") && value.len() == 36
        || pair.name.eq_ignore_ascii_case("pass") && pair.glue.ends_with('`') && digits < 2
        || pair.is_scheme() && is_other_scheme(value)
        || pair.name.eq_ignore_ascii_case("token") && is_cursor(pair.lead)
        || value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && value.contains('.')
        || digits == value.len() && shape::is_sequence(value)
        || encoded::says_nothing(value)
        || !value.bytes().any(|byte| byte.is_ascii_alphanumeric())
        || digits == value.len() && value.len() < 6
        || shape::distinct(value) <= 3
        || shape::is_published(value)
        || shape::is_example(value)
        || shape::is_reference(value)
}

/// A header that begins with a scheme which another rule knows, or with the name of one that signs.
fn is_other_scheme(value: &str) -> bool {
    let scheme = value.split(' ').next().unwrap_or_default();
    let known = ["basic", "bearer", "digest", "negotiate", "ntlm", "token"];
    let named = scheme.contains('-')
        && !scheme.bytes().any(|byte| byte.is_ascii_lowercase())
        && scheme
            .split('-')
            .any(|part| part.len() >= 3 && part.bytes().all(|byte| byte.is_ascii_uppercase()));
    known.iter().any(|known| scheme.eq_ignore_ascii_case(known)) || named
}

/// `Next page token: …` tells where a list goes on.
fn is_cursor(lead: &str) -> bool {
    let lower = lead.trim_end().to_ascii_lowercase();
    ["next", "page", "continuation"].iter().any(|word| lower.ends_with(word))
}

/// The rule begins at the telling word: the rest of the name stands before it. Tells where that is.
fn pair<'t>(seen: &Seen<'t>) -> (Pair<'t>, usize) {
    const LONGEST_NAME: usize = 60;
    // A stream keeps so much before a match that this, before the name, is always there.
    const AROUND: usize = LOOK_BEHIND - LONGEST_NAME - 1;
    let lead = seen.lead();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let begun = lead.char_indices().rev().take(LONGEST_NAME).take_while(|(_, c)| is_name(*c)).last();
    let (lead, _) = lead.split_at(begun.map_or(lead.len(), |(at, _)| at));
    let start = seen.whole.start - (seen.lead().len() - lead.len());
    let before = seen.text.get(start..seen.span.start).and_then(|text| std::str::from_utf8(text).ok());
    let named = before.unwrap_or_default();
    let (name, glue) = named.split_at(named.find(|c| !is_name(c)).unwrap_or(named.len()));
    let name = name.trim_start_matches('-');
    let before = seen.text.get(start.saturating_sub(AROUND)..start).unwrap_or_default();
    let pair = Pair { name, glue, value: seen.value(), lead, before, after: seen.after() };
    (pair, start)
}

impl RuleSet {
    /// What each feature of [`Judged`] is called.
    pub fn feature_names() -> &'static [&'static str] {
        &features::NAMES
    }

    /// Every value in `text` that a scored rule looks at, whatever comes of it.
    pub fn judged(&self, text: &str) -> Vec<Judged> {
        let scored = |rule: &super::Rule| rule.validator.as_deref() == Some("scored");
        let matches = self.matches(text.as_bytes(), 0, scored);
        let judged = matches.into_iter().filter_map(|found| {
            let rule = self.rules().get(found.rule)?;
            let value = text.as_bytes().get(found.span.clone())?;
            let seen = Seen { text: text.as_bytes(), whole: found.whole, span: found.span.clone(), value };
            let (pair, _) = pair(&seen);
            (!is_hopeless(&pair)).then(|| Judged {
                rule: rule.id.clone(),
                span: found.span,
                features: features::of(&pair).to_vec(),
            })
        });
        judged.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_has_its_weight() {
        assert_eq!(weights::WEIGHTS.len(), features::COUNT, "train anew: make weights");
    }
}
