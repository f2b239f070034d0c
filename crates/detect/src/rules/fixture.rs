//! What the text before a value says of it: made for a test, or shown as an example.
//!
//! Words of prose alone say nothing ("why does the test fail with this key?"): what counts is how code
//! and documentation name their fixtures.

use super::validators::Seen;
use crate::shape;

/// Words that make a fixture of the name that they are part of, or of the call that they are.
const JOINED: &[&str] =
    &["assert", "example", "examples", "expect", "expected", "fixture", "sample", "test", "testing", "tests"];

/// Words that nobody writes of a thing that is in use.
const ALONE: &[&str] = &["demonstration", "dummy", "fake", "mock", "mocked"];

/// What may follow a word of [`JOINED`] in a comment: `test vector`, `example private key`.
const THINGS: &[&str] = &["data", "fixture", "key", "keys", "keypair", "private", "vector", "vectors"];

/// Whether the last lines before the match belong to a test or an example.
pub(super) fn in_fixture(seen: &Seen<'_>) -> bool {
    is_fixture(&seen.text_before())
}

/// The same, of the text itself.
pub(super) fn is_fixture(before: &str) -> bool {
    let mut from = 0;
    let parts: Vec<&str> = shape::parts(before).collect();
    parts.iter().enumerate().any(|(at, part)| {
        let start = before.get(from..).and_then(|rest| rest.find(part)).map_or(from, |found| from + found);
        let end = start + part.len();
        from = end;
        let lower = part.to_ascii_lowercase();
        if ALONE.contains(&lower.as_str()) {
            return true;
        }
        let joins = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || b"_-".contains(b));
        let bytes = before.as_bytes();
        let next = bytes.get(end);
        JOINED.contains(&lower.as_str())
            && (joins(next)
                || joins(start.checked_sub(1).and_then(|last| bytes.get(last)))
                || next.is_some_and(|byte| b"(!:]".contains(byte))
                || parts.get(at + 1).is_some_and(|word| THINGS.contains(&word.to_ascii_lowercase().as_str())))
    })
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
