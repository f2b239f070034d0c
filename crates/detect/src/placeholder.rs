//! What stands in a text instead of a finding: the same for the same value in every turn.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use sallyport_policy::{Finding, FindingKind, RuleId};

use crate::rules::RuleSet;
use crate::secrets::{KeyMemory, MaskedHash, OrdinaryMemory, SecretIndex};

/// What tags are made under, one for all threads: each thread salts it with its own number.
#[derive(Clone)]
pub struct TagKey(MaskedHash);

impl TagKey {
    pub fn held(key: &[u8; 32], memory: &impl KeyMemory) -> TagKey {
        TagKey(MaskedHash::new(key, "sallyport detect 1: placeholder tags", memory))
    }
}

impl std::fmt::Debug for TagKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TagKey(..)")
    }
}

/// The placeholders of one thread. Holds keyed hashes of the values it has seen, no values.
///
/// Values must be shown in the order of the thread: the first value of a rule has no tag, so a
/// thread that is read again from its start gets the same placeholders.
pub struct Placeholders {
    tags: TagKey,
    thread: [u8; 32],
    seen: HashMap<RuleId, Seen>,
    issued: HashSet<String>,
}

/// The values of one rule.
#[derive(Default)]
struct Seen {
    /// The length of each value's tag; none for the first.
    lengths: HashMap<[u8; 16], usize>,
    tags: HashSet<String>,
}

const SHORTEST_TAG: usize = 4;

/// More different placeholders in one thread are not remembered one by one.
const MOST_ISSUED: usize = 100_000;

impl std::fmt::Debug for Placeholders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Placeholders(..)")
    }
}

impl Placeholders {
    /// Of a text that is looked at once.
    pub fn new(key: [u8; 32]) -> Placeholders {
        Placeholders::of(TagKey::held(&key, &OrdinaryMemory), [0; 32])
    }

    /// Tags depend on the thread: they tell nothing across threads and can't be guessed at (decision 3).
    pub fn of(tags: TagKey, thread: [u8; 32]) -> Placeholders {
        Placeholders { tags, thread, seen: HashMap::new(), issued: HashSet::new() }
    }

    /// The placeholder for `value`, which is the text under the finding's span.
    pub fn placeholder(&mut self, finding: &Finding, value: &str) -> String {
        let placeholder = self.make(finding, value);
        if !self.issued.contains(&placeholder) && self.issued.len() < MOST_ISSUED {
            self.issued.insert(placeholder.clone());
        }
        placeholder
    }

    /// Where placeholders stand in a text that this thread was given.
    pub fn issued_in<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        let text = if self.issued.is_empty() { "" } else { text };
        memchr::memchr_iter(b'[', text.as_bytes()).filter_map(move |start| {
            let rest = text.get(start..)?;
            OPENINGS.iter().any(|opening| rest.starts_with(opening)).then_some(())?;
            let close = rest.bytes().take(LONGEST).position(|byte| byte == b']')?;
            let placeholder = rest.get(..=close)?;
            self.issued.contains(placeholder).then(|| start..start + placeholder.len())
        })
    }

    /// The known secret that a placeholder stands for; none where it stands for what a rule found.
    pub fn name_in(placeholder: &str) -> Option<&str> {
        placeholder.strip_prefix(OPENINGS[0])?.strip_suffix(']')
    }

    fn make(&mut self, finding: &Finding, value: &str) -> String {
        match finding.kind {
            FindingKind::KnownSecret => format!("[SECRET:{}]", finding.rule),
            FindingKind::EnvAssignment => "[REDACTED]".to_owned(),
            FindingKind::Secret | FindingKind::Pii | FindingKind::Internal => {
                let name = finding.rule.as_str().to_ascii_uppercase();
                match self.tag(&finding.rule, value) {
                    Some(tag) => format!("[REDACTED_{name}_{tag}]"),
                    None => format!("[REDACTED_{name}]"),
                }
            }
        }
    }

    fn tag(&mut self, rule: &RuleId, value: &str) -> Option<String> {
        let digest = self.tags.0.salted(&self.thread, value.as_bytes());
        let seen = self.seen.entry(rule.clone()).or_default();
        let hex = data_encoding::HEXLOWER.encode(&digest);
        let tag = |len: usize| hex.get(..len).filter(|tag| !tag.is_empty()).map(str::to_owned);
        if let Some(held) = seen.lengths.get(&digest) {
            return tag(*held);
        }
        let free = |len: &usize| hex.get(..*len).is_some_and(|tag| !seen.tags.contains(tag));
        let length = match seen.lengths.is_empty() {
            true => 0,
            false => (SHORTEST_TAG..hex.len()).find(free).unwrap_or(hex.len()),
        };
        seen.lengths.insert(digest, length);
        let tag = tag(length);
        seen.tags.extend(tag.clone());
        tag
    }
}

/// `text` with each finding replaced. Findings must be sorted and apart, as
/// [`crate::Scanner::scan`] gives them.
pub fn redact(text: &str, findings: &[Finding], placeholders: &mut Placeholders) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for finding in findings {
        let Some(value) = text.get(finding.span.clone()) else { continue };
        out.push_str(text.get(done..finding.span.start).unwrap_or_default());
        out.push_str(&placeholders.placeholder(finding, value));
        done = finding.span.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// The longest placeholder that is recognised; names are cut at 200 characters of up to 4 bytes.
const LONGEST: usize = 900;

const OPENINGS: [&str; 2] = ["[SECRET:", "[REDACTED"];

/// Where our own placeholders stand: known names only, so that nobody can hide a value by
/// dressing it as one.
pub(crate) fn own_placeholders(
    text: &str,
    from: usize,
    rules: &RuleSet,
    index: &SecretIndex,
) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = from;
    while let Some(open) = memchr::memchr(b'[', text.as_bytes().get(at..).unwrap_or_default()) {
        let start = at + open;
        at = start + 1;
        let rest = text.get(start..).unwrap_or_default();
        if !OPENINGS.iter().any(|opening| rest.starts_with(opening)) {
            continue;
        }
        let Some(close) = rest.bytes().take(LONGEST).position(|byte| byte == b']') else { continue };
        let inside = rest.get(1..close).unwrap_or_default();
        let own = match inside.strip_prefix("SECRET:") {
            Some(name) => index.has_name(name),
            None => is_own_redaction(inside, rules),
        };
        if own {
            at = start + close + 1;
            found.push(start..at);
        }
    }
    found
}

fn is_own_redaction(inside: &str, rules: &RuleSet) -> bool {
    if inside == "REDACTED" {
        return true;
    }
    let Some(name) = inside.strip_prefix("REDACTED_") else { return false };
    let known = |name: &str| {
        !name.bytes().any(|byte| byte.is_ascii_lowercase())
            && rules.rule(&name.to_ascii_lowercase()).is_some()
    };
    let tag = |tag: &str| {
        (SHORTEST_TAG..=32).contains(&tag.len())
            && tag.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    known(name) || name.rsplit_once('_').is_some_and(|(name, end)| known(name) && tag(end))
}

/// The first place at `from` or after where a placeholder may have begun that is not closed yet.
pub(crate) fn placeholder_opening(text: &str, from: usize) -> Option<usize> {
    let from = from.max(text.len().saturating_sub(LONGEST));
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'[', bytes.get(from..).unwrap_or_default()).map(|at| from + at).find(|at| {
        let rest = bytes.get(*at..).unwrap_or_default();
        let begun = OPENINGS.iter().any(|opening| {
            let opening = opening.as_bytes();
            let common = opening.len().min(rest.len());
            rest.get(..common) == opening.get(..common)
        });
        begun && !rest.contains(&b']')
    })
}

#[cfg(test)]
mod tests {
    use sallyport_policy::{Level, Severity};

    use super::*;

    fn finding(rule: &str, kind: FindingKind) -> Finding {
        Finding {
            rule: RuleId::new(rule),
            kind,
            severity: Severity::High,
            class: Level::Restricted,
            span: 0..1,
        }
    }

    #[test]
    fn the_first_value_has_no_tag_and_further_ones_have_their_own() {
        let jwt = finding("jwt", FindingKind::Secret);
        let mut thread = Placeholders::new([1; 32]);
        assert_eq!(thread.placeholder(&jwt, "one"), "[REDACTED_JWT]");
        let two = thread.placeholder(&jwt, "two");
        assert_eq!(two.len(), "[REDACTED_JWT_3f9a]".len());
        assert_eq!(thread.placeholder(&finding("aws_key", FindingKind::Secret), "two"), "[REDACTED_AWS_KEY]");
        assert_eq!(thread.placeholder(&jwt, "two"), two);
        assert_eq!(thread.placeholder(&jwt, "one"), "[REDACTED_JWT]");
        let mut again = Placeholders::new([1; 32]);
        assert_eq!(again.placeholder(&jwt, "one"), "[REDACTED_JWT]");
        assert_eq!(again.placeholder(&jwt, "two"), two);
        let mut other = Placeholders::new([2; 32]);
        other.placeholder(&jwt, "one");
        assert_ne!(other.placeholder(&jwt, "two"), two);
    }

    #[test]
    fn tags_grow_rather_than_collide() {
        let jwt = finding("jwt", FindingKind::Secret);
        let mut thread = Placeholders::new([1; 32]);
        let tags: std::collections::HashSet<String> =
            (0..30_000).map(|i| thread.placeholder(&jwt, &format!("value {i}"))).collect();
        assert_eq!(tags.len(), 30_000, "and it takes no time to speak of");
        assert!(tags.iter().any(|tag| tag.len() > "[REDACTED_JWT_3f9a]".len()));
    }
}
