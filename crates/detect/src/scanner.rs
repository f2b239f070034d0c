//! One text in, its findings out: exact values and rules together.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sallyport_policy::config::Profile;
use sallyport_policy::{Finding, FindingKind, Level, RuleId, Severity};

use crate::fingerprint::{AllowList, Fingerprint};
use crate::placeholder::own_placeholders;
use crate::resolve::{Candidate, resolve};
use crate::rules::{Rule, RuleSet};
use crate::secrets::views::Views;
use crate::secrets::{SecretHit, SecretIndex};

/// The shortest text that can hold anything.
const LEAST: usize = 4;

/// A set of finding kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    pub const ALL: Kinds = Kinds(0b1_1111);
    pub const NONE: Kinds = Kinds(0);

    fn bit(kind: FindingKind) -> u8 {
        match kind {
            FindingKind::KnownSecret => 1,
            FindingKind::Secret => 2,
            FindingKind::EnvAssignment => 4,
            FindingKind::Pii => 8,
            FindingKind::Internal => 16,
        }
    }

    #[must_use]
    pub fn with(self, kind: FindingKind) -> Kinds {
        Kinds(self.0 | Kinds::bit(kind))
    }

    #[must_use]
    pub fn without(self, kind: FindingKind) -> Kinds {
        Kinds(self.0 & !Kinds::bit(kind))
    }

    /// Whether this rule is off.
    pub fn contains(self, kind: FindingKind) -> bool {
        self.0 & Kinds::bit(kind) != 0
    }
}

/// What a scan looks for.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    pub kinds: Kinds,
    /// Rules below it are silent. Tool arguments in responses are scanned from
    /// [`Severity::Medium`] up, so that no address in code is rewritten (decision 16).
    pub least_severity: Severity,
    /// Rules that are silent. Known values can't be turned off by name (decision 3).
    pub rules_off: RulesOff,
    /// Some rules speak only in the strict profile.
    pub profile: Profile,
}

impl Default for ScanOptions {
    fn default() -> ScanOptions {
        ScanOptions {
            kinds: Kinds::ALL,
            least_severity: Severity::Low,
            rules_off: RulesOff::default(),
            profile: Profile::Balanced,
        }
    }
}

impl ScanOptions {
    fn wants(&self, rule: &Rule) -> bool {
        rule.severity >= self.least_severity
            && self.kinds.contains(rule.kind)
            && (!rule.strict_only || self.profile == Profile::Strict)
            && !self.rules_off.contains(&rule.id)
    }
}

/// Rules by name; an entry that ends in `*` is all whose names begin as it does.
#[derive(Debug, Clone, Default)]
pub struct RulesOff {
    names: HashSet<RuleId>,
    beginnings: Vec<Box<str>>,
}

impl RulesOff {
    /// Whether this rule is off.
    pub fn contains(&self, rule: &RuleId) -> bool {
        !self.names.is_empty() && self.names.contains(rule)
            || self.beginnings.iter().any(|beginning| rule.as_str().starts_with(&**beginning))
    }
}

impl<'e> FromIterator<&'e str> for RulesOff {
    fn from_iter<I: IntoIterator<Item = &'e str>>(entries: I) -> RulesOff {
        let mut off = RulesOff::default();
        for entry in entries {
            match entry.strip_suffix('*') {
                Some(beginning) => off.beginnings.push(beginning.into()),
                None => drop(off.names.insert(RuleId::new(entry))),
            }
        }
        off
    }
}

/// Rules, known values and allowed values: one immutable generation of what detection knows.
#[derive(Debug)]
pub struct Scanner {
    rules: Arc<RuleSet>,
    index: Arc<SecretIndex>,
    allowed: Option<AllowList>,
    generation: u64,
}

/// Everything a text may hold from some place on, before overlaps are settled.
pub(crate) struct Gathered {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) covered: Vec<Range<usize>>,
    /// Matches that failed their validator: they too decide where a rule looks next.
    pub(crate) rejected: Vec<Range<usize>>,
    /// The whole matches of accepted candidates, context included.
    pub(crate) wholes: Vec<Range<usize>>,
    pub(crate) views: Views,
}

impl Gathered {
    fn new(covered: Vec<Range<usize>>, views: Views) -> Gathered {
        Gathered { candidates: Vec::new(), covered, rejected: Vec::new(), wholes: Vec::new(), views }
    }
}

impl Scanner {
    pub fn new(rules: Arc<RuleSet>, index: Arc<SecretIndex>) -> Scanner {
        Scanner { rules, index, allowed: None, generation: next_generation() }
    }

    /// The same with values that a person has allowed.
    #[must_use]
    pub fn with_allowed(self, allowed: AllowList) -> Scanner {
        Scanner { allowed: Some(allowed), generation: next_generation(), ..self }
    }

    /// A number that no other scanner of this process has: what one found holds for it alone.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The fingerprint by which a person can allow a value; none where there is no allowlist.
    pub fn fingerprint(&self, value: &str) -> Option<Fingerprint> {
        self.allowed.as_ref().map(|allowed| allowed.fingerprinter.of(value))
    }

    /// Whether a value that a rule finds is allowed.
    pub fn allows(&self, value: &str) -> bool {
        self.allowed.as_ref().is_some_and(|allowed| allowed.allows(value))
    }

    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    pub fn index(&self) -> &Arc<SecretIndex> {
        &self.index
    }

    /// All findings in `text`, sorted and apart. The same text gives the same findings.
    pub fn scan(&self, text: &str, options: &ScanOptions) -> Vec<Finding> {
        // No rule matches less, no known value is shorter: the words of a protocol cost nothing.
        if text.len() < LEAST {
            return Vec::new();
        }
        let mut gathered =
            Gathered::new(own_placeholders(text, 0, &self.rules, &self.index), Views::default());
        if options.kinds.contains(FindingKind::KnownSecret) {
            self.take_known(text, self.index.find(text.as_bytes()), &mut gathered);
        }
        self.gather_rules(text, 0, options, &mut gathered);
        resolve(text, gathered.candidates, &gathered.covered)
    }

    pub(crate) fn gather(&self, text: &str, from: usize, options: &ScanOptions) -> Gathered {
        let covered = own_placeholders(text, from, &self.rules, &self.index);
        let mut gathered = Gathered::new(covered, self.index.views(text.as_bytes(), from));
        if options.kinds.contains(FindingKind::KnownSecret) {
            let hits = self.index.find_in(text.as_bytes(), from, &gathered.views);
            self.take_known(text, hits, &mut gathered);
        }
        self.gather_rules(text, from, options, &mut gathered);
        gathered
    }

    fn take_known(&self, text: &str, hits: Vec<SecretHit>, gathered: &mut Gathered) {
        for hit in hits {
            let span = whole_characters(text, hit.span);
            // A name may hold what another source calls a secret; a placeholder stays one.
            let next = gathered.covered.partition_point(|own| own.end < span.end);
            let inside = gathered.covered.get(next).is_some_and(|own| own.start <= span.start);
            let known_too = self.allowed.as_ref().is_some_and(|allowed| allowed.known_too);
            if inside || (known_too && self.is_allowed(text, &span)) {
                continue;
            }
            gathered.candidates.push(Candidate {
                core: span.clone(),
                finding: Finding {
                    rule: hit.name,
                    kind: FindingKind::KnownSecret,
                    severity: Severity::Critical,
                    class: Level::Restricted,
                    span,
                },
            });
        }
    }

    fn gather_rules(&self, text: &str, from: usize, options: &ScanOptions, gathered: &mut Gathered) {
        // The seams between blocks are looked at for known values alone.
        if options.kinds.without(FindingKind::KnownSecret) == Kinds::NONE {
            return;
        }
        let silent =
            |rule: &Rule| self.allowed.as_ref().is_some_and(|allowed| allowed.rules.contains(&rule.id));
        let wanted = |rule: &Rule| options.wants(rule) && !silent(rule);
        for found in self.rules.matches(text.as_bytes(), from, wanted) {
            let Some(rule) = self.rules.rules().get(found.rule) else { continue };
            let whole = whole_characters(text, found.whole);
            let span = whole_characters(text, found.span);
            if !found.accepted || self.is_allowed(text, &span) {
                gathered.rejected.push(whole);
                continue;
            }
            let core = found.core.map_or(span.clone(), |core| whole_characters(text, core));
            gathered.wholes.push(whole);
            gathered.candidates.push(Candidate {
                core,
                finding: Finding {
                    rule: rule.id.clone(),
                    kind: rule.kind,
                    severity: rule.severity,
                    class: rule.class,
                    span,
                },
            });
        }
    }

    fn is_allowed(&self, text: &str, span: &Range<usize>) -> bool {
        text.get(span.clone()).is_some_and(|value| self.allows(value))
    }
}

fn next_generation() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// Widened to character boundaries: a value's bytes may begin inside a character.
fn whole_characters(text: &str, span: Range<usize>) -> Range<usize> {
    text.floor_char_boundary(span.start)..text.ceil_char_boundary(span.end)
}

#[cfg(test)]
mod tests {
    use crate::{Fingerprinter, IndexKey, OrdinaryMemory, Placeholders, SecretEntry, SecretSet, redact};

    use super::*;

    fn scanner(values: &[(&str, &str)]) -> Scanner {
        let key = IndexKey::new([7; 32]);
        let entries =
            values.iter().map(|(name, value)| SecretEntry { name, value: value.as_bytes(), weak: false });
        let set = SecretSet::build(&key, "test", entries);
        let index = SecretIndex::merge(&key, &[Arc::new(set)]).unwrap();
        Scanner::new(Arc::new(RuleSet::builtin().unwrap()), Arc::new(index))
    }

    fn redacted(scanner: &Scanner, text: &str, options: &ScanOptions) -> String {
        redact(text, &scanner.scan(text, options), &mut Placeholders::new([1; 32]))
    }

    fn shown(text: &str) -> String {
        redacted(&scanner(&[("vault/db", "kX9mQ2vL7pR4")]), text, &ScanOptions::default())
    }

    #[test]
    fn each_kind_has_its_placeholder() {
        assert_eq!(shown("pw kX9mQ2vL7pR4!"), "pw [SECRET:vault/db]!");
        assert_eq!(shown("AUTH_TOKEN=u8Gx22ppLw\nx"), "AUTH_TOKEN=[REDACTED]\nx");
        assert_eq!(shown("AUTH_TOKEN=kX9mQ2vL7pR4"), "AUTH_TOKEN=[SECRET:vault/db]");
        assert_eq!(shown("id AKIAQ3EGRIMNV7BZT5XK."), "id [REDACTED_AWS_KEY].");
        assert_eq!(shown("at 10.20.30.40, 536-22-8145"), "at [REDACTED_IP_ADDRESSES], [REDACTED_PII_SSN]");
        assert_eq!(shown("postgres://app:Tq7_rL22@db/x"), "[REDACTED_CONNECTION_STRING]");
        assert_eq!(shown("postgres://app:kX9mQ2vL7pR4@db/x"), "postgres://app:[SECRET:vault/db]@db/x");
    }

    #[test]
    fn a_known_user_name_does_not_uncover_the_password_beside_it() {
        let scanner = scanner(&[("user", "app_user_7731")]);
        let text = redacted(&scanner, "postgres://app_user_7731:Tq7_rL22@db.prod/x", &ScanOptions::default());
        assert!(!text.contains("Tq7_rL22") && text.contains("[SECRET:user]"), "{text}");
    }

    #[test]
    fn options_silence_kinds_severities_and_rules_but_no_known_value_by_name() {
        let scanner = scanner(&[("aws_key", "kX9mQ2vL7pR4")]);
        let text = "kX9mQ2vL7pR4 AKIAQ3EGRIMNV7BZT5XK 10.20.30.40";
        let mut options = ScanOptions { least_severity: Severity::Medium, ..ScanOptions::default() };
        assert_eq!(redacted(&scanner, text, &options), "[SECRET:aws_key] [REDACTED_AWS_KEY] 10.20.30.40");
        for off in ["aws_key", "aws_k*"] {
            options.rules_off = [off].into_iter().collect();
            let shown = redacted(&scanner, text, &options);
            assert_eq!(shown, "[SECRET:aws_key] AKIAQ3EGRIMNV7BZT5XK 10.20.30.40", "{off}");
        }
        options.kinds = Kinds::NONE.with(FindingKind::Secret);
        assert_eq!(redacted(&scanner, text, &options), text);
    }

    #[test]
    fn the_strict_profile_hears_more() {
        let scanner = scanner(&[]);
        let text = "password = \"sunflower\"";
        let strict = ScanOptions { profile: Profile::Strict, ..ScanOptions::default() };
        assert_eq!(redacted(&scanner, text, &ScanOptions::default()), text);
        assert_eq!(redacted(&scanner, text, &strict), "password = \"[REDACTED_PASSWORD_WORDS]\"");
    }

    #[test]
    fn a_token_that_counts_is_found_and_one_that_only_says_where_it_belongs_is_not() {
        let digits = "1234567890abcdef".repeat(4);
        for token in [
            format!("dop_v1_{digits}"),
            format!("sntryu_{}cbad", "cbadef".repeat(10)),
            "sk_live_1234567890abcdefghijklmn".to_owned(),
            "xoxb-123456789012-123456789012-abcdefghijklmnopqrstuvwx".to_owned(),
            "https://discord.com/api/webhooks/123456789012345678/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890abcdef".to_owned(),
        ] {
            assert!(shown(&token).contains("[REDACTED_"), "{token}");
        }
        for token in [
            format!("dop_v1_{}", "x".repeat(64)),
            format!("dop_v1_{}", "0".repeat(64)),
            format!("dop_v1_{}", "a".repeat(64)),
            "sk_live_your-token-here".to_owned(),
            "sk_live_EXAMPLE1234567890abcdefg".to_owned(),
            "sk_live_${STRIPE_KEY}".to_owned(),
            "sk_live_<your live key of 24>".to_owned(),
            "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX".to_owned(),
        ] {
            assert_eq!(shown(&token), token);
        }
    }

    #[test]
    fn keys_that_their_issuer_prints_are_heard_in_the_strict_profile_alone() {
        let scanner = scanner(&[]);
        let strict = ScanOptions { profile: Profile::Strict, ..ScanOptions::default() };
        for text in [
            "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "aws configure set aws_secret_access_key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "\"secret\": \"je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY\"",
        ] {
            assert_eq!(redacted(&scanner, text, &ScanOptions::default()), text);
            assert!(redacted(&scanner, text, &strict).contains("[REDACTED_AWS_PUBLISHED_KEY]"), "{text}");
        }
    }

    #[test]
    fn allowed_values_pass_and_others_do_not() {
        let fingerprinter = Fingerprinter::new(&[4; 32], &OrdinaryMemory);
        let entries: HashSet<_> =
            ["AKIAQ3EGRIMNV7BZT5XK", "kX9mQ2vL7pR4"].map(|value| fingerprinter.of(value)).into();
        let list = |rules: &[&str], known_too| AllowList {
            fingerprinter: fingerprinter.clone(),
            entries: entries.clone(),
            rules: rules.iter().map(|rule| RuleId::new(*rule)).collect(),
            known_too,
        };
        let shown = |list: AllowList| {
            let scanner =
                scanner(&[("db", "kX9mQ2vL7pR4"), ("ip_addresses", "gW5nT8cY1uB6")]).with_allowed(list);
            let text = "AKIAQ3EGRIMNV7BZT5XK kX9mQ2vL7pR4 AKIAQ3EGRIMNV7BZT5XL 10.20.30.40 gW5nT8cY1uB6";
            redacted(&scanner, text, &ScanOptions::default())
        };
        assert_eq!(
            shown(list(&[], false)),
            "AKIAQ3EGRIMNV7BZT5XK [SECRET:db] [REDACTED_AWS_KEY] [REDACTED_IP_ADDRESSES] [SECRET:ip_addresses]"
        );
        assert_eq!(
            shown(list(&["ip_addresses"], true)),
            "AKIAQ3EGRIMNV7BZT5XK kX9mQ2vL7pR4 [REDACTED_AWS_KEY] 10.20.30.40 [SECRET:ip_addresses]"
        );
    }

    #[test]
    fn a_value_dressed_as_a_placeholder_is_found_all_the_same() {
        assert_eq!(shown("[SECRET:kX9mQ2vL7pR4]"), "[SECRET:[SECRET:vault/db]]");
        assert_eq!(shown("[SECRET:AKIAQ3EGRIMNV7BZT5XK]"), "[SECRET:[REDACTED_AWS_KEY]]");
        for own in [
            "[SECRET:vault/db]",
            "[REDACTED_AWS_KEY_3f9a]",
            "password = \"[REDACTED_PASSWORD_ASSIGNMENT]\"",
            "[SECRET:x]",
        ] {
            assert_eq!(shown(own), own);
        }
    }
}
