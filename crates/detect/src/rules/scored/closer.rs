//! What is asked only of a value that the cheap features leave open: how people make passwords, what a test or
//! documentation shows, what a request's header holds.
//!
//! Weighed by the same model as the rest; looking here costs more than all that came before.

use std::cell::OnceCell;

use super::features::{Number, Pair};
use crate::rules::assigned::{is_credible, is_dense};
use crate::rules::fixture::makes_fixture;
use crate::shape::{self, Marks, Needles};

macro_rules! features {
    ($pair:ident, $facts:ident; $($name:ident: $value:expr,)*) => {
        pub(super) const COUNT: usize = [$(stringify!($name)),*].len();

        /// What each is called, for the one who reads the weights.
        pub(super) const NAMES: [&str; COUNT] = [$(stringify!($name)),*];

        pub(super) fn of($pair: &Pair<'_>) -> [f32; COUNT] {
            let $facts = Facts::of($pair);
            [$(Number::number($value)),*]
        }

        /// Whether the score of the cheap features and that of these are at least 0 together. What follows a feature
        /// that has decided is not looked at.
        pub(super) fn lift(score: f32, weights: &[f32], $pair: &Pair<'_>) -> bool {
            let mut open = Open::of(score, weights);
            if let Some(decided) = open.decided() {
                return decided;
            }
            let $facts = Facts::of($pair);
            let mut weights = weights.iter();
            $(
                let weight = weights.next().copied().unwrap_or_default();
                if let Some(decided) = open.take(weight, || $value) {
                    return decided;
                }
            )*
            open.score >= 0.0
        }
    };
}

/// A score, and by how much what is not looked at yet may change it.
struct Open {
    score: f32,
    least: f32,
    most: f32,
}

impl Open {
    /// More than sums of so few numbers lose by rounding.
    const ROUNDING: f32 = 1e-3;

    fn of(score: f32, weights: &[f32]) -> Open {
        let (least, most) = weights.iter().fold((0.0, 0.0), |(least, most): (f32, f32), weight| {
            (least + weight.min(0.0), most + weight.max(0.0))
        });
        Open { score, least, most }
    }

    fn decided(&self) -> Option<bool> {
        match () {
            () if self.score + self.most < -Open::ROUNDING => Some(false),
            () if self.score + self.least > Open::ROUNDING => Some(true),
            () => None,
        }
    }

    #[inline(always)]
    fn take(&mut self, weight: f32, feature: impl FnOnce() -> bool) -> Option<bool> {
        self.least -= weight.min(0.0);
        self.most -= weight.max(0.0);
        if feature() {
            self.score += weight;
        }
        self.decided()
    }
}

features! { pair, facts;
    believable: facts.believable,
    believable_and_named: facts.believable && facts.named,
    // as people and programs make secrets
    mixed: facts.mixed,
    mixed_and_named: facts.mixed && facts.named && facts.believable,
    human: facts.human,
    human_password_believed: facts.human && facts.of_password && facts.believable,
    dense_password: facts.of_password && facts.believable && is_dense(pair.value) && is_credible(pair.value),
    service_beginning: begins_like_a_token(pair.value),
    in_header: facts.in_header,
    believed_in_header: facts.in_header && facts.believable && (facts.human || facts.mixed),
    // as people make up what only looks like one
    spelt_default: shape::is_spelt_default(pair.value) && pair.value.bytes().all(|byte| byte.is_ascii_alphanumeric()),
    mashed: is_mashed(pair.value),
    counts: counts(pair.value) >= 4,
    counts_far: counts(pair.value) >= 6,
    few_characters: shape::distinct(pair.value) * 3 <= pair.value.len() && pair.value.len() <= 32,
    // where it stands
    in_fixture: facts.around().fixture,
    beside_documentation: DOCUMENTATION.any_in(&facts.before),
    beside_people: facts.around().people,
    name_quoted: pair.glue.starts_with(['"', '\'']),
    name_in_brackets: pair.glue.contains(']'),
}

struct Facts<'t> {
    before: std::borrow::Cow<'t, str>,
    named: bool,
    of_password: bool,
    in_header: bool,
    believable: bool,
    mixed: bool,
    human: bool,
    around: OnceCell<Around>,
}

/// What the words before the name say.
struct Around {
    fixture: bool,
    people: bool,
}

impl<'t> Facts<'t> {
    fn of(pair: &Pair<'t>) -> Facts<'t> {
        let lower = pair.name.to_ascii_lowercase();
        Facts {
            before: String::from_utf8_lossy(pair.before),
            named: pair.is_named(),
            of_password: lower.contains("pass") || lower.contains("pwd"),
            in_header: pair.is_in_header(),
            believable: is_believable(pair.value),
            mixed: is_mixed(pair.value),
            human: is_human(pair.value),
            around: OnceCell::new(),
        }
    }

    fn around(&self) -> &Around {
        self.around.get_or_init(|| {
            let mut around = Around { fixture: false, people: false };
            let mut parts = shape::parts(&self.before);
            while let Some(part) = parts.next() {
                around.fixture |= makes_fixture(&self.before, part, &parts);
                around.people |= PEOPLE.has(part.as_bytes());
            }
            around
        })
    }
}

static DOCUMENTATION: Marks<11> = Marks::new([
    "e.g.",
    "xample",
    "such as",
    "sample",
    "```",
    ".. code",
    "::\n",
    "looks like",
    "<code",
    "<pre",
    "@param",
]);
/// Who and what stands in examples.
static PEOPLE: Needles<19> = Needles::new([
    "acme", "alice", "bar", "baz", "bob", "carol", "doe", "foo", "hello", "jane", "joe", "john", "lorem",
    "myapp", "myuser", "smith", "somebody", "someone", "testuser",
]);

/// Not a piece of code, markup or prose.
fn is_believable(value: &str) -> bool {
    value.len() >= 8
        && !value.contains([' ', '(', ')', '[', ']', '{', '}', '<', '>', '\\', ';'])
        && !shape::is_stand_in(value)
        && !shape::is_place(value)
}

/// Three kinds of characters and hardly a word: nobody names anything so.
fn is_mixed(value: &str) -> bool {
    let has = |class: fn(&u8) -> bool| usize::from(value.bytes().any(|byte| class(&byte)));
    let marks =
        has(|byte| byte.is_ascii_graphic() && !byte.is_ascii_alphanumeric() && !b"_-./:".contains(byte));
    let kinds = has(u8::is_ascii_digit) + has(u8::is_ascii_uppercase) + has(u8::is_ascii_lowercase) + marks;
    kinds >= 3
        && shape::explained(value) * 3 <= value.len()
        && shape::distinct(value) >= 6
        && is_credible(value)
}

/// A word or two with digits, as people make passwords: `castle-ocean-0388`, `Banana2025$`.
fn is_human(value: &str) -> bool {
    let parts: Vec<&str> = shape::parts(value).collect();
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let words =
        parts.iter().filter(|part| part.len() >= 4 && part.bytes().all(|byte| byte.is_ascii_alphabetic()));
    (2..=6).contains(&digits) && (1..=2).contains(&words.count()) && parts.len() <= 4 && value.len() <= 24
}

/// `pk_4f…`, `glx-…`: a service's short name before something dense.
fn begins_like_a_token(value: &str) -> bool {
    value.split_once(['_', '-']).is_some_and(|(short, rest)| {
        (2..=5).contains(&short.len())
            && short.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && rest.len() >= 12
            && is_dense(rest)
    })
}

/// Fingers that ran over the middle row: `asdfqwer`, `kjhlkdsjfh`.
fn is_mashed(value: &str) -> bool {
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    let middle = value.bytes().filter(|byte| b"asdfghjkl".contains(&byte.to_ascii_lowercase())).count();
    letters >= 6 && middle * 4 >= letters * 3
}

/// The longest run of characters of which each follows the one before.
fn counts(value: &str) -> usize {
    let follows = |a: u8, b: u8| b == a.wrapping_add(1) || (a, b) == (b'9', b'0');
    let (longest, _) = value.as_bytes().array_windows().fold((0, 0), |(longest, run), [a, b]| {
        let run = if follows(*a, *b) { run + 1 } else { 0 };
        (run.max(longest), run)
    });
    longest
}
