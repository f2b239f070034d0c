//! Values that stand in for a secret: references, templates, examples, our own placeholders.

use super::needles::Needles;
use super::words::{distinct, is_default, is_sequence};

/// Words that documentation puts where a secret belongs.
static MARKS: Needles<19> = Needles::new([
    "changeme",
    "changeit",
    "dummy",
    "example",
    "fake",
    "goes",
    "insert",
    "mock",
    "notreal",
    "placeholder",
    "redacted",
    "replace",
    "sample",
    "todo",
    "xxx",
    "xxxx",
    "xxxxx",
    "yourself",
    "your",
]);

/// Whole values that mean "none" or name the thing instead of being it.
static EMPTY: Needles<17> = Needles::new([
    "false",
    "hidden",
    "key",
    "masked",
    "n/a",
    "nil",
    "none",
    "null",
    "omitted",
    "secret",
    "string",
    "text",
    "token",
    "true",
    "undefined",
    "unset",
    "value",
]);

/// Tokens that a standard or a service's own documentation prints, and client secrets that ship in every copy of a
/// public program.
const PUBLISHED: &[&str] = &[
    "AKIAI44QH8DHBEXAMPLE",
    "AKIAIOSFODNN7EXAMPLE",
    "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "45ghiukldjahdnhzdauz",
    "9djdj82h48djs9d2",
    "ad180jjd733klru7",
    "dpf43f3p2l4k3l03",
    "hdhd0244k9j7ao03",
    "hh5s93j4hdidpola",
    "kd94hf93k423kf44",
    "kkk9d7dh3k39sjv7",
    "mF_9.B5f-4.1JqM",
    "nnch734d00sl2jdk",
    "pfkkdhi9sl3r4s00",
    "2YotnFZFEjr1zCsicMWpAA",
    "7Fjfp0ZBr1KtDRbnfVdmIw",
    "SplxlOBeZQQYbYS6WxSbIA",
    "ZmssLNjJy2998hD4CTg2ejr2",
    "czZCaGRSa3F0MzpnWDFmQmF0M2JW",
    "czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3",
    "d-FL95Q19q7MQmFpd7hHD0Ty",
    "dXNlcjpwYXNz",
    "dXNlcm5hbWU6cGFzc3dvcmQ=",
    // The account that every copy of Azure's emulators has.
    "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    "tGzv3JOkF0XG5Qx2TlKWIA",
];

/// Whether the value is one that everybody may read in a standard or a public program.
pub(crate) fn is_published(value: &str) -> bool {
    PUBLISHED.contains(&value)
}

/// Whether `value` is a reference (`$NAME`, `${…}`, `{{ … }}`, `<…>`, `os.environ[…]`, a call), an
/// example (`changeme`, `xxxx`, `your-token-here`), or a placeholder of ours.
pub fn is_stand_in(value: &str) -> bool {
    if value.starts_with('`') && is_reference(value) {
        return true;
    }
    let value = value.trim_matches(['"', '\'', '`', ' ', ',', ';']);
    value.is_empty() || is_reference(value) || is_masked(value) || is_example(value)
}

/// `$NAME`, `${…}`, `{{ … }}`, `<…>`, a call: something else yields the value.
pub(crate) fn is_reference(value: &str) -> bool {
    // A shell's command in backticks.
    if value.starts_with('`') && value.contains([' ', '/']) {
        return true;
    }
    // Most values hold none of the marks that all of these have.
    if !value.bytes().any(|byte| b"$%#{}<>()[]:._".contains(&byte)) {
        return false;
    }
    let enclosed = [
        ("<", ">"),
        ("{{", "}}"),
        ("${", "}"),
        ("$(", ")"),
        ("%", "%"),
        ("[", "]"),
        ("#{", "}"),
        ("{", "}"),
        ("__", "__"),
    ];
    if enclosed.iter().any(|(open, close)| {
        value.starts_with(open) && value.ends_with(close) && value.len() >= open.len() + close.len()
    }) {
        return true;
    }
    if (0..value.len()).any(|at| begins_reference(value.as_bytes().get(at..).unwrap_or_default())) {
        return true;
    }
    let name = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let variable = value.strip_prefix('$').is_some_and(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (variable, after) = rest.split_at(end);
        let spelled = name(variable) && !variable.starts_with(|c: char| c.is_ascii_digit());
        spelled && (after.is_empty() || !variable.bytes().any(|byte| byte.is_ascii_lowercase()) && end >= 3)
    });
    variable || is_call(value)
}

/// What tells a reference or a format wherever it stands in a value.
fn begins_reference(rest: &[u8]) -> bool {
    let begins = |marks: &[&[u8]]| marks.iter().any(|mark| rest.starts_with(mark));
    match rest.first() {
        Some(b'$') => begins(&[b"${", b"$(", b"$ENV"]),
        Some(b'{') => begins(&[b"{{", b"{}", b"{0}"]),
        Some(b'%') => begins(&[b"%{", b"%s", b"%d", b"%v"]),
        Some(b'#') => begins(&[b"#{"]),
        Some(b'<') => begins(&[b"<%"]),
        Some(b'p') => begins(&[b"process.env"]),
        Some(b'o') => begins(&[b"os.environ", b"os.getenv"]),
        Some(b'e') => begins(&[b"env."]),
        Some(b'E') => begins(&[b"ENV["]),
        Some(b's') => begins(&[b"secrets."]),
        Some(b'v') => begins(&[b"vault:"]),
        Some(b'f') => begins(&[b"file:"]),
        Some(b'a') => begins(&[b"arn:aws:"]),
        _ => false,
    }
}

/// `name(…)`, `a.b[…]`, `a->b`, `A::b`: code that yields a value.
fn is_call(value: &str) -> bool {
    let end = value.find(['(', '[']).unwrap_or(value.len());
    let (head, rest) = value.split_at(end);
    let path = !head.is_empty()
        && head.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:&!*>-".contains(&byte));
    let bracketed = !rest.is_empty() && (rest.ends_with([')', ']']) || rest.contains(['(']));
    path && (bracketed || head.contains("::"))
}

/// Stars, dots, one or two characters over and over, a keyboard row.
fn is_masked(value: &str) -> bool {
    let filler = value
        .bytes()
        .filter(|byte| matches!(byte, b'*' | b'.' | b'x' | b'X' | b'#' | b'?' | b'-' | b'_'))
        .count();
    let filled = || {
        filler * 3 > value.len() * 2
            || value.as_bytes().array_windows().any(|three| three == b"..." || three == b"***")
            || value.as_bytes().array_windows().any(|four: &[u8; 4]| four.eq_ignore_ascii_case(b"xxxx"))
    };
    distinct(value) <= 2 && value.len() >= 3
        || filler > 0 && filled()
        || !value.is_ascii() && value.contains(['…', '•'])
        || is_sequence(value)
}

/// A word that documentation puts where a secret belongs, or none at all.
pub(crate) fn is_example(value: &str) -> bool {
    if EMPTY.has(value.as_bytes()) || is_default(value.trim_end_matches(|c: char| c.is_ascii_digit())) {
        return true;
    }
    let bytes = value.as_bytes();
    let mut words = bytes.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    words.any(|word| MARKS.has(word))
        || bytes.iter().enumerate().any(|(at, byte)| tells_example(*byte, bytes, at))
}

/// Whether one of the marks that count inside a word too begins at `at`.
fn tells_example(first: u8, bytes: &[u8], at: usize) -> bool {
    let marks: &[&str] = match first.to_ascii_lowercase() {
        b'c' => &["changeme", "change_me", "change-me"],
        b'e' => &["example"],
        b'o' => &["open sesame", "opensesame"],
        b'p' => &["placeholder"],
        b'r' => &["redacted"],
        _ => return false,
    };
    marks.iter().any(|mark| {
        bytes.get(at..at + mark.len()).is_some_and(|found| found.eq_ignore_ascii_case(mark.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins() {
        for value in [
            "",
            "$TOKEN",
            "${DB_PASSWORD}",
            "{{ secret }}",
            "<password>",
            "%PASSWORD%",
            "os.environ['X']",
            "process.env.KEY",
            "getPassword()",
            "config.get(\"pw\")",
            "xxxxxxxx",
            "********",
            "changeme",
            "your-api-key-here",
            "YOUR_TOKEN",
            "example-secret",
            "[SECRET:db]",
            "[REDACTED]",
            "null",
            "password",
            "1234567890",
            "abc...xyz",
            "secrets.TOKEN",
            "Self::default_token",
            "%s",
            "__TOKEN__",
        ] {
            assert!(is_stand_in(value), "{value}");
        }
    }

    #[test]
    fn real_values() {
        for value in
            ["hunter2-Xk9!vQ", "s3cr3tpw", "kx82-vmQp1", "$2b$12$abcd8Kq", "p@ss(word)9k", "sk-live-9fK2mQ7v"]
        {
            assert!(!is_stand_in(value), "{value}");
        }
    }
}
