//! How much less, or more, the model must be sure of a value that a hand-made measure tells: the model learns from
//! tests and documentation, where passwords are made up, and hears of no header and no fixture.

use super::features::Pair;
use crate::rules::assigned::{is_credible, is_dense};
use crate::rules::fixture::is_fixture;
use crate::shape;

const DENSE_PASSWORD: f32 = 1.5;
const MIXED: f32 = 1.0;
const HUMAN: f32 = 0.75;
const HEADER: f32 = 4.0;
/// A telling name alone.
const NAMED: f32 = 0.75;
const IN_FIXTURE: f32 = -2.0;
const SPELT_DEFAULT: f32 = -5.0;

/// No margin is larger.
pub(super) const MOST: f32 = HEADER;
/// A score above the threshold by so much stands whatever the margin.
pub(super) const LEAST: f32 = -SPELT_DEFAULT;

pub(super) fn of(pair: &Pair<'_>) -> f32 {
    let value = pair.value;
    if !pair.is_named() || !is_believable(value) {
        return 0.0;
    }
    let lower = pair.name.to_ascii_lowercase();
    let of_password = lower.contains("pass") || lower.contains("pwd");
    match () {
        // `P@ssw0rd123` is what people choose, `p4ssw0rd` what tests do.
        () if shape::is_spelt_default(value) && value.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            SPELT_DEFAULT
        }
        () if is_fixture(&String::from_utf8_lossy(pair.before)) => IN_FIXTURE,
        () if of_password && is_dense(value) && is_credible(value) => DENSE_PASSWORD,
        () if pair.is_in_header() && (is_human(value) || is_mixed(value)) => HEADER,
        () if is_mixed(value) => MIXED,
        () if of_password && is_human(value) => HUMAN,
        () => NAMED,
    }
}

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
