//! Named checks that a regex can't make: checksums, ranges, and the look of a value.
//!
//! A validator sees the match and at most [`LOOK_BEHIND`] bytes before it, so that a stream which
//! has released older text judges as a whole scan would.

use std::ops::Range;

use data_encoding::BASE64_NOPAD;

use super::assigned::{
    assigned, assigned_word, dense_password, device_password, env_value, is_constant, secret_named,
    told_password, user_and_password,
};
use super::connection::connection;
use super::fixture::in_fixture;
use super::jwt::jwt;
use super::pem::{pem, pem_anywhere, pem_in_base64};
use super::scored::{fallback, scored, told};
use super::slugs;
use crate::shape;

/// How far before a match a validator may look.
pub(crate) const LOOK_BEHIND: usize = 256;

/// A match on its way to become a finding.
pub(crate) struct Seen<'t> {
    pub(crate) text: &'t [u8],
    pub(crate) whole: Range<usize>,
    pub(crate) span: Range<usize>,
    /// What stands under the span; nothing if that is no UTF-8.
    value: &'t str,
}

pub(crate) type Validator = fn(&Seen<'_>) -> bool;

const ALL: &[(&str, Validator)] = &[
    ("assigned", assigned),
    ("assigned_word", assigned_word),
    ("aws_key", aws_key),
    ("aws_secret", aws_secret),
    ("basic_auth", basic_auth),
    ("connection", connection),
    ("dense_password", dense_password),
    ("dense_token", dense_token),
    ("device_password", device_password),
    ("env_value", env_value),
    ("fallback", fallback),
    ("held_password", held_password),
    ("internal_host", internal_host),
    ("joined_token", joined_token),
    ("jwt", jwt),
    ("kubernetes_data", kubernetes_data),
    ("lone_token", lone_token),
    ("named_token", named_token),
    ("pem", pem),
    ("pem_anywhere", pem_anywhere),
    ("pem_in_base64", pem_in_base64),
    ("plain_secret", plain_secret),
    ("private_ipv4", private_ipv4),
    ("scored", scored),
    ("secret_named", secret_named),
    ("service_key", service_key),
    ("slack_token", slack_token),
    ("ssn", ssn),
    ("token", token),
    ("told", told),
    ("told_password", told_password),
    ("used_dense_token", used_dense_token),
    ("used_token", used_token),
    ("user_and_password", user_and_password),
    ("webhook", webhook),
];

fn all() -> impl Iterator<Item = &'static (&'static str, Validator)> {
    ALL.iter().chain(super::checksums::ALL).chain(super::identity::ALL).chain(super::wallets::ALL)
}

pub(crate) fn named(name: &str) -> Option<Validator> {
    all().find(|(known, _)| *known == name).map(|(_, check)| *check)
}

/// The name as this table spells it.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    all().find(|(known, _)| *known == name).map(|(known, _)| *known)
}

pub(crate) fn names() -> String {
    all().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

impl<'t> Seen<'t> {
    pub(super) fn of(text: &'t [u8], whole: &Range<usize>, span: &Range<usize>) -> Seen<'t> {
        let value = text.get(span.clone()).unwrap_or_default();
        let value = std::str::from_utf8(value).unwrap_or_default();
        Seen { text, whole: whole.clone(), span: span.clone(), value }
    }

    #[inline(always)]
    pub(super) fn value(&self) -> &'t str {
        self.value
    }

    /// The text on the same line before the value.
    fn line_before(&self) -> &'t [u8] {
        let start = self.whole.start.saturating_sub(LOOK_BEHIND);
        let before = self.text.get(start..self.span.start).unwrap_or_default();
        let line = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        before.get(line..).unwrap_or_default()
    }

    /// The text on the same line before the whole match.
    pub(super) fn lead(&self) -> &'t str {
        let start = self.whole.start.saturating_sub(LOOK_BEHIND);
        let before = self.text.get(start..self.whole.start).unwrap_or_default();
        let line = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let line = before.get(line..).unwrap_or_default();
        // The cut may stand inside a character.
        let from = line.iter().position(|byte| byte & 0xc0 != 0x80).unwrap_or(0);
        line.get(from..).and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default()
    }

    /// The text before the whole match, over line breaks too.
    pub(super) fn text_before(&self) -> std::borrow::Cow<'t, str> {
        let start = self.whole.start.saturating_sub(LOOK_BEHIND);
        String::from_utf8_lossy(self.text.get(start..self.whole.start).unwrap_or_default())
    }

    pub(super) fn before(&self) -> Option<u8> {
        self.span.start.checked_sub(1).and_then(|at| self.text.get(at)).copied()
    }

    /// The byte after the value. A stream waits for it before it calls a validator for good.
    pub(super) fn after(&self) -> Option<u8> {
        self.text.get(self.span.end).copied()
    }

    /// Whether the match saw that the value goes on.
    fn is_continued(&self) -> bool {
        self.whole.end > self.span.end
    }

    /// Where the name of an assignment begins, after the spaces and words before it.
    pub(super) fn name_start(&self) -> usize {
        let lead = self.text.get(self.whole.start..self.span.start).unwrap_or_default();
        let end = lead.iter().rposition(|byte| is_name(*byte)).map_or(0, |at| at + 1);
        let name = lead.get(..end).unwrap_or_default();
        self.whole.start + name.iter().rposition(|byte| !is_name(*byte)).map_or(0, |at| at + 1)
    }

    pub(super) fn name(&self) -> &'t str {
        let lead = self.text.get(self.name_start()..self.span.start).unwrap_or_default();
        let end = lead.iter().position(|byte| !is_name(*byte)).unwrap_or(lead.len());
        lead.get(..end).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
    }

    /// Whether the name stands at the start of a line.
    pub(super) fn begins_line(&self) -> bool {
        self.name_start().checked_sub(1).and_then(|at| self.text.get(at)).is_none_or(|byte| *byte == b'\n')
    }

    pub(super) fn is_quoted(&self) -> bool {
        self.before().is_some_and(|byte| matches!(byte, b'"' | b'\''))
    }
}

pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Bits per byte.
pub(crate) fn shannon(value: &[u8]) -> f32 {
    let mut counts = [0u32; 256];
    let mut seen = [0u64; 4];
    for byte in value {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
        if let Some(seen) = seen.get_mut(usize::from(*byte >> 6)) {
            *seen |= 1 << (byte & 63);
        }
    }
    let all = value.len().max(1) as f32;
    let mut bits = 0.0;
    for (seen, first) in seen.into_iter().zip([0, 64, 128, 192]) {
        let mut seen = seen;
        while seen != 0 {
            let count = counts.get(first + seen.trailing_zeros() as usize).copied().unwrap_or(1);
            let share = count as f32 / all;
            bits += -share * share.log2();
            seen &= seen - 1;
        }
    }
    bits
}

/// Behind a name, or a sign that joins the two.
fn joined_token(seen: &Seen<'_>) -> bool {
    let named = match seen.text.get(..seen.whole.start).unwrap_or_default() {
        [.., name, b'-' | b'_' | b'.' | b' '] | [.., name] => name.is_ascii_alphanumeric(),
        [] => false,
    };
    named && token(seen)
}

/// A provider token's body: not filler, not an example made of words.
pub(super) fn token(seen: &Seen<'_>) -> bool {
    let value = seen.value();
    let body = value.rsplit(['_', '-', '.']).find(|part| part.len() >= 8).unwrap_or(value);
    let lower = value.to_ascii_lowercase();
    let filler = ["xxxx", "****", "....", "0000000", "example", "placeholder", "your_", "your-", "yourtoken"];
    !filler.iter().any(|mark| lower.contains(mark))
        && shape::distinct(body) >= 5.min(body.len() / 2)
        && (!shape::is_sequence(body) || is_counted(value))
        && shape::explained(value) * 2 < value.len()
}

/// Whether a value counts at the length of a key, as people make one up where a service's own form is asked for:
/// `1234567890abcdef…`. One character over and over stands for a key and is none.
fn is_counted(value: &str) -> bool {
    counts(value, 28, 8)
}

fn counts(value: &str, least: usize, kinds: usize) -> bool {
    let bytes = value.as_bytes();
    let repeats = bytes.array_windows().any(|[a, b, c, d]| a == b && b == c && c == d);
    value.len() >= least && shape::distinct(value) >= kinds && !repeats
}

/// The same behind a service's name and a word for a key, where people write `abcdef…` of the key's own length.
fn is_counted_for_key(seen: &Seen<'_>, value: &str) -> bool {
    const TELLING: [&str; 5] = ["key", "token", "secret", "private", "access"];
    let lead = lead_of(seen);
    let lead = String::from_utf8_lossy(lead).to_ascii_lowercase();
    TELLING.iter().any(|word| lead.contains(word))
        && counts(value, 20, 6)
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        && !in_fixture(seen)
}

/// A stand-in by what it says or refers to; one that only counts is none where nothing but a key can stand.
fn is_said_to_stand_in(value: &str) -> bool {
    shape::is_stand_in(value)
        && !(is_counted(value) && !shape::is_example(value) && !shape::is_reference(value))
}

/// A value that only its neighbourhood makes a token: its own look must be random.
pub(super) fn named_token(seen: &Seen<'_>) -> bool {
    let value = seen.value();
    token(seen)
        && !is_said_to_stand_in(value)
        && !shape::is_place(value)
        && !is_name_of_many(seen)
        && (value.bytes().any(|byte| byte.is_ascii_digit())
            || is_mixed_up(value) && value.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

/// Letters of both cases that spell nothing: no digit has to stand among them.
fn is_mixed_up(value: &str) -> bool {
    value.bytes().any(|byte| byte.is_ascii_uppercase())
        && value.bytes().any(|byte| byte.is_ascii_lowercase())
        && (shape::is_random(value)
            || value.len() >= 12
                && shape::odd_letters(value) > 0.5
                // A long one holds a short word by chance.
                && shape::explained(value) * 6 < value.len().saturating_sub(18).max(1))
}

/// `secret-key-3c0c3965368a…`: the rest of the service's name stands before the key, joined to it as its own
/// parts are. Only where what remains is hexadecimal or a UUID, which no name is.
fn without_rest_of_name(value: &str) -> &str {
    const REST: [&str; 8] = ["access", "api", "auth", "key", "private", "secret", "tok", "token"];
    const LEAST: usize = 20;
    let mut rest = value;
    while let Some((word, behind)) = rest.split_once(['-', '.', '_'])
        && REST.iter().any(|known| word.eq_ignore_ascii_case(known))
    {
        rest = behind;
    }
    let digits = rest.bytes().filter(u8::is_ascii_digit).count();
    let hexadecimal = rest.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if rest.len() >= LEAST && hexadecimal && digits >= 4 { rest } else { value }
}

/// A value beside the name of a service that hardly stands in a text by chance: made-up keys of
/// documentation pass, words, code and blanked values don't.
fn service_key(seen: &Seen<'_>) -> bool {
    let value = without_rest_of_name(seen.value());
    let joined = value.len() < seen.value().len();
    let lower = value.to_ascii_lowercase();
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    let mixed = is_mixed_up(value);
    // A call, or a key whose rest is blanked.
    let called = seen.after().is_some_and(|byte| b"([*".contains(&byte));
    // Six letters over and over, behind a beginning that is the service's own.
    let begun = seen.whole.start == seen.span.start;
    let counted =
        begun && is_counted(value) || !begun && shape::is_sequence(value) && is_counted_for_key(seen, value);
    (digits >= 2 && letters >= 1 || digits >= 10 && digits == value.len() || mixed || counted)
        && !called
        && (joined || is_named_beside(seen))
        && shape::distinct(value) >= 5
        && !shape::is_reference(value)
        && !shape::is_place(value)
        && !(shape::is_camel_case(value) && shape::explained(value) * 3 >= value.len())
        && !is_constant(value)
        && (joined || !is_name_of_many(seen))
        && !["xxxx", "***", "...", "your"].iter().any(|mark| lower.contains(mark))
        && !lower.starts_with("0x")
        // A cell of a table beside another.
        && !value.contains("||")
        && (begun || !slugs::is_slug(value) && !slugs::names_another(lead_of(seen), value))
        && !shape::is_file_name(value)
        && shape::explained(value) * 2 < value.len() + digits
}

/// What stands between the start of the match and the value.
fn lead_of<'t>(seen: &Seen<'t>) -> &'t [u8] {
    seen.text.get(seen.whole.start..seen.span.start).unwrap_or_default()
}

/// A name of a program or of documentation that only looks mixed: words and numbers joined by marks, the
/// service's own name in it, a version, a setting of a number.
fn is_name_of_many(seen: &Seen<'_>) -> bool {
    let value = seen.value();
    let lower = value.to_ascii_lowercase();
    let parts: Vec<&str> = shape::parts(value).collect();
    let marks = value.bytes().filter(|byte| b"-_.+".contains(byte)).count();
    let is_letters = |part: &&&str| part.bytes().all(|byte| byte.is_ascii_alphabetic());
    // What is all hexadecimal may be an identifier of bytes.
    let beyond_hex = |part: &&&str| part.bytes().any(|byte| !byte.is_ascii_hexdigit());
    let words = parts.iter().filter(is_letters).filter(beyond_hex);
    let words = words.filter(|part| part.len() >= 3 && shape::is_wordlike(part));
    let readable = parts.iter().filter(is_letters).all(|part| part.len() <= 3 || shape::is_wordlike(part));
    let count = words.count();
    // `JS-MINIMIST-2429795`
    let numbered = !value.bytes().any(|byte| byte.is_ascii_lowercase())
        && parts.len() <= 5
        && parts.last().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    let slug = marks >= 2 && readable && (count >= 2 || count == 1 && numbered) && parts.len() <= 14;
    let lead = lead_of(seen);
    let service = lead.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(lead.len());
    let service = String::from_utf8_lossy(lead.get(..service).unwrap_or_default()).to_ascii_lowercase();
    let reads =
        shape::explained(value) * 4 >= value.len() || !value.bytes().any(|byte| byte.is_ascii_digit());
    let says_service = service.len() >= 5 && lower.contains(&service) && reads;
    let version = lower.strip_prefix('v').is_some_and(|rest| {
        let dots = rest.bytes().filter(|byte| *byte == b'.').count();
        rest.starts_with(|c: char| c.is_ascii_digit()) && dots >= 2
    });
    let setting = value.split_once('=').is_some_and(|(name, number)| {
        let digits = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let name = name.bytes().all(|byte| byte.is_ascii_alphabetic() || b"_-".contains(&byte));
        !number.is_empty() && digits && name
    });
    slug || says_service || version || setting
}

/// Whether the service's name is a word of its own and what follows it speaks of a key, or of nothing.
fn is_named_beside(seen: &Seen<'_>) -> bool {
    // A rule of token beginnings has no name beside the value.
    if seen.whole.start == seen.span.start {
        return true;
    }
    let lead = lead_of(seen);
    let first_is_lower = lead.first().is_some_and(u8::is_ascii_lowercase);
    let before = seen.whole.start.checked_sub(1).and_then(|at| seen.text.get(at)).copied().unwrap_or(b' ');
    let run = |bytes: &mut dyn Iterator<Item = &u8>| {
        bytes.take_while(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(byte)).count()
    };
    let behind = seen.text.get(..seen.whole.start).unwrap_or_default();
    // Base64 spells any short name now and then.
    if run(&mut behind.iter().rev().take(LOOK_BEHIND)) + run(&mut lead.iter()) >= 40 {
        return false;
    }
    let option = seen.text.get(..seen.whole.start).is_some_and(|text| text.ends_with(b"-D"));
    let part_of_word = if first_is_lower {
        before.is_ascii_alphabetic() && !option
    } else {
        before.is_ascii_uppercase() && lead.get(1).is_some_and(u8::is_ascii_uppercase)
    };
    let lower = String::from_utf8_lossy(lead).to_ascii_lowercase();
    let telling = [
        "key", "token", "secret", "access", "private", "auth", "api", "pass", "cred", "pwd", "client",
        "license", "login",
    ];
    let rest =
        lead.iter().position(|byte| !is_name(*byte)).and_then(|end| lead.get(end..)).unwrap_or_default();
    let only_marks = !rest.iter().any(u8::is_ascii_alphanumeric);
    let told = telling.iter().any(|word| lower.contains(word));
    // `".codecov.yml": "9f86d081…"` says what a file holds.
    if name_of_file(lead) {
        return false;
    }
    // `ovhcloud_vps_model_name` and `onedrive-and-sharepoint-` speak of something that the service has.
    let name = lead.get(..lead.len() - rest.len()).and_then(|name| std::str::from_utf8(name).ok());
    let long = name.is_some_and(|name| shape::parts(name).count() >= 4);
    !part_of_word && (only_marks && !long || told)
}

/// Whether a quoted name of a file stands before the value.
fn name_of_file(lead: &[u8]) -> bool {
    let end = lead.iter().rposition(|byte| is_name(*byte)).map_or(0, |at| at + 1);
    let name = lead.get(..end).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
    lead.get(end).is_some_and(|byte| b"\"'".contains(byte)) && shape::is_file_name(name)
}

/// A token of a kind that tests and documentation are full of.
fn used_token(seen: &Seen<'_>) -> bool {
    token(seen) && !in_fixture(seen)
}

/// The same of one that has no form of its own.
fn used_dense_token(seen: &Seen<'_>) -> bool {
    dense_token(seen) && !in_fixture(seen)
}

/// A token that only its randomness tells from a name: all classes of characters, no words.
fn dense_token(seen: &Seen<'_>) -> bool {
    let value = seen.value();
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    // Of 24 letters and digits every fourth token has two digits or fewer. Base64 spells any short beginning.
    let short =
        value.len() < 40 && ![seen.before(), seen.after()].into_iter().flatten().any(|b| b"+/".contains(&b));
    let dense = digits >= 3 || digits >= 1 && short && is_mixed_up(value);
    token(seen) && dense && shape::explained(value) * 4 < value.len()
}

/// A token whose form has no boundary of its own: nothing like it may stand on either side.
fn lone_token(seen: &Seen<'_>) -> bool {
    let joined =
        |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_~.-".contains(&byte));
    dense_token(seen) && !joined(seen.before()) && !joined(seen.after())
}

/// The path of a webhook: its last part is the secret.
fn webhook(seen: &Seen<'_>) -> bool {
    let secret = seen.value().rsplit('/').next().unwrap_or_default();
    !is_said_to_stand_in(secret) && shape::distinct(secret) >= 8
}

fn slack_token(seen: &Seen<'_>) -> bool {
    let value = seen.value();
    token(seen) && value.bytes().filter(u8::is_ascii_digit).count() >= 4 && !is_said_to_stand_in(value)
}

fn aws_key(seen: &Seen<'_>) -> bool {
    let value = seen.value();
    let body = value.get(4..).unwrap_or_default();
    shape::distinct(body.trim_end_matches("EXAMPLE")) >= 5
        && !shape::is_sequence(body)
        && !(body.ends_with("EXAMPLE") && (in_fixture(seen) || in_sentence(seen)))
}

/// Whether the line before reads like a sentence: documentation shows what a key looks like.
fn in_sentence(seen: &Seen<'_>) -> bool {
    let words = seen.lead().split_ascii_whitespace();
    words.filter(|word| word.len() >= 3 && shape::is_wordlike(word)).count() >= 3
}

/// Forty base64 characters with all classes mixed; a hash, a path or a name is none.
fn aws_secret(seen: &Seen<'_>) -> bool {
    let value = seen.value();
    let count = |class: fn(&u8) -> bool| value.as_bytes().iter().filter(|byte| class(byte)).count();
    let (upper, lower, digits) =
        (count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase), count(u8::is_ascii_digit));
    let named = {
        let before = String::from_utf8_lossy(seen.line_before()).to_ascii_lowercase();
        before.contains("secret") || before.contains("aws")
    };
    let mixed = upper >= 6 && lower >= 6 && digits >= 3;
    let hex = value.bytes().all(|byte| byte.is_ascii_hexdigit());
    let worded = shape::explained(value);
    // A slash now and then is base64; segments that read are a path.
    let path = value.split('/').filter(|part| part.len() >= 3 && shape::is_wordlike(part)).count() >= 2;
    let entropy = shannon(seen.value().as_bytes());
    let joined = |byte: u8, marks: &[u8]| byte.is_ascii_alphanumeric() || marks.contains(&byte);
    let part_of_more = seen.before().is_some_and(|byte| joined(byte, b"+/_-"))
        || [b"sha1:".as_slice(), b"sha256:", b"sha384:", b"sha512:"]
            .iter()
            .any(|hash| seen.line_before().ends_with(hash))
        || seen.after().is_some_and(|byte| joined(byte, b"+/=_-"));
    let shown = value.contains("EXAMPLE") && (in_fixture(seen) || in_sentence(seen));
    if hex
        || path
        || shown
        || part_of_more
        || is_text_in_base64(value)
        || shape::is_sequence(value)
        || !named && (ends_base64(seen) || value.contains("EXAMPLE"))
    {
        return false;
    }
    if named {
        upper >= 2 && lower >= 2 && digits >= 1 && worded <= 16 && entropy >= 4.0
    } else {
        mixed && worded <= 8 && entropy >= 4.5
    }
}

/// `PHNjcmlwdD5hbGVydCgn…`: no thirty bytes that were drawn at random are all printable.
fn is_text_in_base64(value: &str) -> bool {
    let text =
        |bytes: Vec<u8>| bytes.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    BASE64_NOPAD.decode(value.as_bytes()).is_ok_and(text)
}

/// Whether the line before goes on in this value: the last line of a PEM block, say.
fn ends_base64(seen: &Seen<'_>) -> bool {
    let start = seen.span.start.saturating_sub(32);
    let before = seen.text.get(start..seen.span.start).unwrap_or_default();
    let end = before.iter().rposition(|byte| !b"\r\n\t \"'+,`/\\#*".contains(byte)).map_or(0, |at| at + 1);
    let before = before.get(..end).unwrap_or_default();
    let before = before.strip_suffix(b"\\n").unwrap_or(before);
    let before = before.strip_suffix(b"\\r").or_else(|| before.strip_suffix(b"\\")).unwrap_or(before);
    let last = before.get(before.len().saturating_sub(16)..).unwrap_or_default();
    last.len() == 16
        && end < seen.span.start - start
        && last.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// Names that every container or cloud has are no secret of a house.
fn internal_host(seen: &Seen<'_>) -> bool {
    let lower = seen.value().to_ascii_lowercase();
    let common = [
        "docker.internal",
        "containers.internal",
        "metadata.google.internal",
        "cluster.local",
        "example.local",
        "foo.local",
    ];
    !common.iter().any(|host| lower.ends_with(host)) && !seen.is_continued()
}

/// Lines `key: value`, of which one holds more than a stand-in, encoded or not.
fn kubernetes_data(seen: &Seen<'_>) -> bool {
    let lines = seen.value().lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(':').map_or(line, |(_, value)| value)).any(|value| {
        let value = value.trim().trim_matches(['"', '\'']);
        let decoded = BASE64_NOPAD.decode(value.trim_end_matches('=').as_bytes()).ok();
        let plain = decoded.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or(value);
        let plain = plain.trim();
        // What was encoded for a cluster is used there, however weak it is.
        let encoded = decoded.is_some() && value.len() >= 12 && value.len() % 4 == 0;
        let lower = plain.to_ascii_lowercase();
        let masked = ["${", "{{", "<", "xxxx"].iter().any(|mark| lower.contains(mark));
        let held = plain.len() >= 6 && !shape::is_stand_in(plain) || encoded && plain.len() >= 8 && !masked;
        held && !shape::is_stand_in(value)
    })
}

fn basic_auth(seen: &Seen<'_>) -> bool {
    const LONG: usize = 40;
    let value = seen.value_no_padding();
    let Ok(decoded) = BASE64_NOPAD.decode(value.as_bytes()) else { return false };
    // A long one may hold bytes that are no text; a short one that does is some other word.
    let text = match std::str::from_utf8(&decoded) {
        Ok(text) => std::borrow::Cow::Borrowed(text),
        Err(_) if value.len() >= LONG => String::from_utf8_lossy(&decoded),
        Err(_) => return false,
    };
    text.split_once(':').is_some_and(|(user, password)| {
        let lower = password.to_ascii_lowercase();
        let says_itself = ["password", "secret"].iter().any(|word| lower.contains(word))
            && (lower.contains('%') || shape::is_all_words(password));
        let foreign = !password.is_ascii() && password.chars().all(char::is_alphabetic);
        let shows_form = user.contains("user") && password.contains("pass") || says_itself || foreign;
        password.len() >= 3
            && !text.chars().any(char::is_control)
            && !shape::is_stand_in(password)
            && !shows_form
    })
}

impl<'t> Seen<'t> {
    pub(super) fn value_no_padding(&self) -> &'t str {
        self.value().trim_end_matches('=')
    }
}

/// A password where only a password can stand: no reference, no stand-in, no bare word.
pub(super) fn plain_secret(seen: &Seen<'_>) -> bool {
    let value = seen.value();
    let only_letters = value.bytes().all(|byte| byte.is_ascii_lowercase()) || shape::is_all_words(value);
    // The password of a story that everybody knows.
    let told = value.trim_end_matches(|c: char| c.is_ascii_digit()).eq_ignore_ascii_case("hunter");
    // `docker run -p 8080:80`
    let ports = value.contains(':') && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    !shape::is_stand_in(value)
        && !shape::is_place(value)
        && !is_constant(value)
        && !only_letters
        && !ports
        && !told
}

/// A password in the field of a program that keeps passwords there: words too, if they don't stand in for one.
fn held_password(seen: &Seen<'_>) -> bool {
    let value = seen.value();
    !shape::is_stand_in(value) && !shape::is_place(value) && !shape::is_spelt_default(value)
}

/// Number ranges that the Social Security Administration has issued.
fn ssn(seen: &Seen<'_>) -> bool {
    let value = seen.value();
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    let part = |span: std::ops::Range<usize>| digits.get(span).and_then(|part| part.parse::<u32>().ok());
    let (Some(area), Some(group), Some(serial)) = (part(0..3), part(3..5), part(5..9)) else {
        return false;
    };
    // Two numbers that were printed in advertisements, for everyone to use.
    let published = ["078051120", "219099999"].contains(&digits.as_str());
    let one_digit = shape::distinct(&digits) <= 1;
    let joined = |byte: Option<u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let alone = !joined(seen.before()) && !joined(seen.after());
    alone && area != 0 && area != 666 && area < 900 && group != 0 && serial != 0 && !published && !one_digit
}

/// Four octets of a private network, and no version number.
fn private_ipv4(seen: &Seen<'_>) -> bool {
    let octets: Vec<Option<u16>> = seen
        .value()
        .split('.')
        .map(|octet| if octet.len() > 1 && octet.starts_with('0') { None } else { octet.parse().ok() })
        .collect();
    let private = match octets.as_slice() {
        [Some(10), Some(b), Some(c), Some(d)] => [b, c, d].iter().all(|octet| **octet <= 255),
        [Some(172), Some(16..=31), Some(c), Some(d)] | [Some(192), Some(168), Some(c), Some(d)] => {
            *c <= 255 && *d <= 255
        }
        _ => false,
    };
    let (last, next) = (seen.before().unwrap_or(b' '), seen.after().unwrap_or(b' '));
    // More numbers, a network's mask, or a dotted name: not one host's address.
    let part_of_more = seen.is_continued()
        || matches!(last, b'.' | b'-' | b'_')
        || next == b'/' && seen.value().ends_with(".0");
    let before = String::from_utf8_lossy(seen.line_before()).to_ascii_lowercase();
    let before = before.trim_end_matches([' ', ':', '=', '"', '\'', '(', '@', '/', '^', '~', '>', '<']);
    private
        && !part_of_more
        && !["version", "ver", "release", " v", "build"].iter().any(|word| before.ends_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_in_bits() {
        assert_eq!(shannon(b"aaaa"), 0.0);
        assert_eq!(shannon(b"abcd"), 2.0);
        assert_eq!(shannon(b""), 0.0);
    }

    #[test]
    fn names_are_sorted_for_people() {
        assert!(ALL.is_sorted_by_key(|(name, _)| *name));
        assert!(crate::rules::checksums::ALL.is_sorted_by_key(|(name, _)| *name));
        assert!(crate::rules::identity::ALL.is_sorted_by_key(|(name, _)| *name));
        assert!(crate::rules::wallets::ALL.is_sorted_by_key(|(name, _)| *name));
    }
}
