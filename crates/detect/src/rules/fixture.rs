//! What the text before a value says of it: made for a test, or shown as an example.
//!
//! Words of prose alone say nothing ("why does the test fail with this key?"): what counts is how code
//! and documentation name their fixtures.

use super::validators::Seen;
use crate::shape::{self, Needles};

/// Words that make a fixture of the name that they are part of, or of the call that they are.
static JOINED: Needles<10> = Needles::new([
    "assert", "example", "examples", "expect", "expected", "fixture", "sample", "test", "testing", "tests",
]);

/// Words that nobody writes of a thing that is in use.
static ALONE: Needles<5> = Needles::new(["demonstration", "dummy", "fake", "mock", "mocked"]);

/// What may follow a word of [`JOINED`] in a comment: `test vector`, `example private key`.
static THINGS: Needles<8> =
    Needles::new(["data", "fixture", "key", "keys", "keypair", "private", "vector", "vectors"]);

/// Whether the last lines before the match belong to a test or an example.
pub(super) fn in_fixture(seen: &Seen<'_>) -> bool {
    is_fixture(&seen.text_before())
}

/// The same, of the text itself.
pub(super) fn is_fixture(before: &str) -> bool {
    let mut parts = shape::parts(before);
    while let Some(part) = parts.next() {
        if makes_fixture(before, part, &parts) {
            return true;
        }
    }
    false
}

/// Whether lines of something else stand before the match. What is shown alone was pasted, and may be tried.
pub(super) fn in_file(before: &str) -> bool {
    before.lines().filter(|line| !line.trim().is_empty()).count() >= 3
}

/// Whether a part of the text says so. `after`: what follows it.
pub(super) fn makes_fixture(before: &str, part: &str, after: &shape::Parts<'_>) -> bool {
    if ALONE.has(part.as_bytes()) {
        return true;
    }
    if !JOINED.has(part.as_bytes()) {
        return false;
    }
    let bytes = before.as_bytes();
    let (start, end) = (after.end() - part.len(), after.end());
    let joins = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || b"_-".contains(b));
    let next = bytes.get(end);
    joins(next)
        || joins(start.checked_sub(1).and_then(|last| bytes.get(last)))
        || next.is_some_and(|byte| b"(!:]".contains(byte))
        || after.clone().next().is_some_and(|word| THINGS.has(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_documentation_name_their_fixtures() {
        for before in [
            "static const char kTestKey[] = \"",
            "EXPECT_TRUE(cert);\n  const char key[] = \"",
            "#[test]\nfn reads() { let key = \"",
            "// C.1. Example Private Key\n\"",
            "const SAMPLE: &str = \"",
            "\"project_id\": \"example-project\",\n \"private_key\": \"",
            "# fake keys to look for\nKEY = \"",
            "def test_reads():\n    key = \"",
        ] {
            assert!(is_fixture(before), "{before}");
        }
        for before in [
            "why does the test fail with this key?\n",
            "for example, mine is ",
            "the latest contest, attested: ",
            "private_key: ",
            "",
        ] {
            assert!(!is_fixture(before), "{before}");
        }
    }
}
