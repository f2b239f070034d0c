//! Words of clients and providers that stand in the trail as they were said: a model's name, a program's, a version. None may
//! carry a secret there, nor make a row large.

use sallyport_detect::{Placeholders, ScanOptions, Scanner, redact};

/// More of such a word tells nobody anything.
const LONGEST: usize = 256;
/// What is looked at, so that no secret is cut in two where the word ends.
const LOOKED_AT: usize = 4 * 1024;

pub(crate) fn in_the_trail(word: &str, scanner: &Scanner, options: &ScanOptions) -> String {
    let word = word.get(..word.floor_char_boundary(LOOKED_AT)).unwrap_or_default();
    let findings = scanner.scan(word, options);
    let clean = redact(word, &findings, &mut Placeholders::new([0; 32]));
    clean.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sallyport_detect::{IndexKey, RuleSet, SecretEntry, SecretIndex, SecretSet};

    use super::*;

    #[test]
    fn a_word_carries_no_secret_and_has_an_end() {
        let key = IndexKey::new([1; 32]);
        let entry = SecretEntry { name: "db", value: b"tr0ub4dor-and-horse-7", weak: false };
        let index = SecretIndex::merge(&key, &[Arc::new(SecretSet::build(&key, "test", [entry]))]).unwrap();
        let scanner = Scanner::new(Arc::new(RuleSet::builtin().unwrap()), Arc::new(index));
        let told = |word: &str| in_the_trail(word, &scanner, &ScanOptions::default());
        assert_eq!(told("claude-sonnet-4-5-20250929"), "claude-sonnet-4-5-20250929");
        assert_eq!(
            told("anthropic.claude-3-5-sonnet-20241022-v2:0"),
            "anthropic.claude-3-5-sonnet-20241022-v2:0"
        );
        assert_eq!(told("tool/1 tr0ub4dor-and-horse-7"), "tool/1 [SECRET:db]");
        assert!(!told("AKIAQ3EGRTXM5WZDL2PV").contains("AKIA"));
        let across = format!("{} tr0ub4dor-and-horse-7", "ä".repeat(LONGEST - 9));
        assert!(!told(&across).contains("tr0ub"));
        assert_eq!(told(&"ä".repeat(3_000_000)).chars().count(), LONGEST);
    }
}
