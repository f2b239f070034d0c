//! Values that stand behind a telling name, judged by name, shape and context together.
//!
//! A logistic model over features that a person can read; its weights are made by
//! `examples/accuracy --train` from labelled texts and real files, and are all that is kept of them.

mod closer;
mod encoded;
mod features;
mod harmless;
mod notation;
mod weights;

use std::ops::Range;

use sallyport_policy::RuleId;

use super::RuleSet;
use super::jwt;
use super::reader::Part;
use super::validators::{LOOK_BEHIND, Seen, is_name};
use crate::shape::{self, Needles};
use features::Pair;

/// A value that a scored rule looks at, for the one who trains and measures.
#[derive(Debug, Clone)]
pub struct Judged {
    pub rule: RuleId,
    pub span: Range<usize>,
    pub features: Vec<f32>,
}

/// What was made of the last value: several rules find the same one behind the same name.
#[derive(Default)]
pub(super) struct Verdicts(Option<((usize, usize, usize), bool)>);

impl Verdicts {
    /// The same as [`scored`].
    pub(super) fn scored(&mut self, seen: &Seen<'_>) -> bool {
        let key = (name_start(seen), seen.span.start, seen.span.end);
        if let Some((_, likely)) = self.0.filter(|(known, _)| *known == key) {
            return likely;
        }
        let likely = scored(seen);
        self.0 = Some((key, likely));
        likely
    }
}

/// Whether the value is more likely a secret than the threshold asks for.
pub(super) fn scored(seen: &Seen<'_>) -> bool {
    is_likely(&pair(seen))
}

/// The same of a value whose name the form of the text tells, whatever stands between the two.
pub(super) fn told(seen: &Seen<'_>) -> bool {
    let pair = pair(seen);
    is_told(pair.name, pair.value, pair.before)
}

/// The same of what stands in for a variable; in braces only behind `${`.
pub(super) fn fallback(seen: &Seen<'_>) -> bool {
    let bare = !seen.is_quoted();
    let begun = || {
        let before = seen.text.get(..name_start(seen)).unwrap_or_default();
        before.ends_with(b"${") || before.ends_with(b"#{")
    };
    (!bare || begun()) && told(seen)
}

/// The same of a part of a larger match.
pub(super) fn is_secret_part(text: &[u8], whole: &Range<usize>, part: &Part) -> bool {
    let before = text.get(whole.start.saturating_sub(AROUND)..whole.start).unwrap_or_default();
    let value = text.get(part.span.clone()).and_then(|value| std::str::from_utf8(value).ok());
    value.is_some_and(|value| !names_one(&part.name, value) && is_told(&part.name, value, before))
}

/// What a column or a list under such a name holds as often as secrets, the names and numbers of some: `tls-cert-2031`,
/// the beginning of a hash. Nobody calls a password so.
fn names_one(name: &str, value: &str) -> bool {
    let word = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_digit())
            || part.bytes().all(|byte| byte.is_ascii_alphabetic())
                && (part.len() <= 3 || shape::is_wordlike(part))
    };
    let slug =
        || value.contains(['-', '_', '.', '/', ':']) && value.split(['-', '_', '.', '/', ':']).all(word);
    let short = || value.len() < 24 && value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let lower = name.to_ascii_lowercase();
    !["pass", "pwd"].iter().any(|word| lower.contains(word)) && (slug() || short())
}

/// As if the value stood behind its name, quoted: what a form tells is no less.
fn is_told(name: &str, value: &str, before: &[u8]) -> bool {
    let pair = Pair { name, glue: ": \"", value, lead: "", before, after: Some(b'"') };
    shape::names_secret(name) && is_likely(&pair)
}

fn is_likely(pair: &Pair<'_>) -> bool {
    if is_hopeless(pair) {
        return false;
    }
    let score = weights::BIAS + features::of(pair).weighed(weights::WEIGHTS) - weights::THRESHOLD;
    // Most values are far from what a closer look could change.
    closer::lift(score, weights::CLOSER, pair)
}

/// What no secret is, told without looking closer: most candidates end here. What costs least is asked first.
fn is_hopeless(pair: &Pair<'_>) -> bool {
    let value = pair.value;
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let named = || pair.is_named();
    static OPEN: Needles<12> = Needles::new([
        "cache",
        "checksum",
        "commit",
        "digest",
        "fingerprint",
        "foreign",
        "hash",
        "key_id",
        "partition",
        "primary",
        "public",
        "sort",
    ]);
    let open = || OPEN.any_in(pair.name);
    let bare = !pair.glue.ends_with(['"', '\'', '`']);
    !value.bytes().any(|byte| byte.is_ascii_alphanumeric())
        || digits == value.len() && value.len() < 6
        || shape::distinct(value) <= 3
        || shape::is_reference(value)
        || shape::is_published(value)
        || bare && pair.after.is_some_and(|byte| b"([".contains(&byte))
        || value.starts_with("--")
        // `$self->{password}`
        || value.starts_with('$') && value.ends_with('-') && pair.after == Some(b'>')
        || value.as_bytes().array_windows().any(|two| two == b"[]")
        || value.len() == 36 && pair.lead.contains("GUID(")
        || pair.name.eq_ignore_ascii_case("pass") && pair.glue.ends_with('`') && digits < 2
        || value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && value.contains('.')
        || digits == value.len() && shape::is_sequence(value)
        || pair.is_scheme() && is_other_scheme(value)
        || pair.name.eq_ignore_ascii_case("token") && is_cursor(pair.lead)
        || is_fingerprint(pair)
        || !named() && (value.len() < 12 || digits < 2 || open())
        || value.contains('@') && shape::is_place(value)
        || shape::is_example(value)
        || harmless::is_harmless(pair)
        || notation::is_of_another_notation(pair)
        || encoded::says_nothing(value)
        || jwt::is_shown(value, || pair.is_in_file())
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

/// `Release GPG key: DD8F2338BAE7501E3DD5AC78C273792F7D83545D`
fn is_fingerprint(pair: &Pair<'_>) -> bool {
    let lead = pair.lead.trim_end_matches([' ', '_', '-']).as_bytes();
    lead.last_chunk::<3>()
        .is_some_and(|kind| kind.eq_ignore_ascii_case(b"gpg") || kind.eq_ignore_ascii_case(b"pgp"))
        && matches!(pair.value.len(), 16 | 40)
        && pair.value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The rule begins at the telling word: the rest of the name stands before it.
fn pair<'t>(seen: &Seen<'t>) -> Pair<'t> {
    let start = name_start(seen);
    let lead = seen.lead();
    let lead = lead.get(..lead.len().saturating_sub(seen.whole.start - start)).unwrap_or_default();
    let before = seen.text.get(start..seen.span.start).and_then(|text| std::str::from_utf8(text).ok());
    let named = before.unwrap_or_default();
    let (name, glue) = named.split_at(named.bytes().position(|byte| !is_name(byte)).unwrap_or(named.len()));
    let name = name.trim_start_matches('-');
    let before = seen.text.get(start.saturating_sub(AROUND)..start).unwrap_or_default();
    // A query or a form goes on after the value.
    let value = match seen.value().split_once('&') {
        Some((field, rest)) if rest.contains('=') && !glue.ends_with(['"', '\'', '`']) => field,
        _ => seen.value(),
    };
    Pair { name, glue, value, lead, before, after: seen.after() }
}

const LONGEST_NAME: usize = 60;
/// A stream keeps so much before a match that this, before the name, is always there.
const AROUND: usize = LOOK_BEHIND - LONGEST_NAME - 1;

/// Where the name begins that the match begins in.
fn name_start(seen: &Seen<'_>) -> usize {
    let before = seen.text.get(..seen.whole.start).unwrap_or_default();
    let begun = before.iter().rev().take(LONGEST_NAME).take_while(|byte| is_name(**byte)).count();
    seen.whole.start - begun
}

impl RuleSet {
    /// What each feature of [`Judged`] is called; crosses of two features stand between both lists.
    pub fn feature_names() -> [&'static [&'static str]; 2] {
        [&features::NAMES, &closer::NAMES]
    }

    /// Every value in `text` that a scored rule looks at, whatever comes of it.
    pub fn judged(&self, text: &str) -> Vec<Judged> {
        let scored = |rule: &super::Rule| rule.validator.as_deref() == Some("scored");
        let matches = self.matches(text.as_bytes(), 0, scored);
        let judged = matches.into_iter().filter_map(|found| {
            let rule = self.rules().get(found.rule)?;
            let seen = Seen::of(text.as_bytes(), &found.whole, &found.span);
            let pair = pair(&seen);
            (!is_hopeless(&pair)).then(|| Judged {
                rule: rule.id.clone(),
                span: found.span,
                features: [features::of(&pair).all(), closer::of(&pair).to_vec()].concat(),
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
        assert_eq!(weights::WEIGHTS.len(), features::COUNT, "train anew");
        assert_eq!(weights::CLOSER.len(), closer::COUNT, "train anew");
    }
}
