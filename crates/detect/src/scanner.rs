//! One text in, its findings out: exact values and rules together.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use sallyport_policy::config::Profile;
use sallyport_policy::{Finding, FindingKind, Level, RuleId, Severity};

use crate::fingerprint::AllowList;
use crate::placeholder::own_placeholders;
use crate::resolve::{Candidate, resolve};
use crate::rules::{Rule, RuleSet};
use crate::secrets::SecretIndex;
use crate::secrets::views::View;

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
    pub rules_off: HashSet<RuleId>,
    /// Some rules speak only in the strict profile.
    pub profile: Profile,
}

impl Default for ScanOptions {
    fn default() -> ScanOptions {
        ScanOptions {
            kinds: Kinds::ALL,
            least_severity: Severity::Low,
            rules_off: HashSet::new(),
            profile: Profile::Balanced,
        }
    }
}

impl ScanOptions {
    fn wants(&self, rule: &Rule) -> bool {
        rule.severity >= self.least_severity
            && self.kinds.contains(rule.kind)
            && (!rule.strict_only || self.profile == Profile::Strict)
            && (self.rules_off.is_empty() || !self.rules_off.contains(&rule.id))
    }
}

/// Rules, known values and allowed values: one immutable generation of what detection knows.
#[derive(Debug)]
pub struct Scanner {
    rules: Arc<RuleSet>,
    index: Arc<SecretIndex>,
    allowed: Option<AllowList>,
}

/// Everything a text may hold from some place on, before overlaps are settled.
pub(crate) struct Gathered {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) covered: Vec<Range<usize>>,
    /// Matches that failed their validator: they too decide where a rule looks next.
    pub(crate) rejected: Vec<Range<usize>>,
    /// The whole matches of accepted candidates, context included.
    pub(crate) wholes: Vec<Range<usize>>,
    pub(crate) views: Vec<View>,
}

impl Scanner {
    pub fn new(rules: Arc<RuleSet>, index: Arc<SecretIndex>) -> Scanner {
        Scanner { rules, index, allowed: None }
    }

    /// The same with values that a person has allowed.
    #[must_use]
    pub fn with_allowed(self, allowed: AllowList) -> Scanner {
        Scanner { allowed: Some(allowed), ..self }
    }

    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    pub fn index(&self) -> &Arc<SecretIndex> {
        &self.index
    }

    /// All findings in `text`, sorted and apart. The same text gives the same findings.
    pub fn scan(&self, text: &str, options: &ScanOptions) -> Vec<Finding> {
        let gathered = self.gather(text, 0, options);
        resolve(text, gathered.candidates, &gathered.covered)
    }

    pub(crate) fn gather(&self, text: &str, from: usize, options: &ScanOptions) -> Gathered {
        let bytes = text.as_bytes();
        let covered = own_placeholders(text, from, &self.rules, &self.index);
        let views = self.index.views(bytes.get(from..).unwrap_or_default());
        let mut gathered =
            Gathered { candidates: Vec::new(), covered, rejected: Vec::new(), wholes: Vec::new(), views };
        if options.kinds.contains(FindingKind::KnownSecret) {
            self.gather_known(text, from, &mut gathered);
        }
        self.gather_rules(text, from, options, &mut gathered);
        gathered
    }

    fn gather_known(&self, text: &str, from: usize, gathered: &mut Gathered) {
        for hit in self.index.find_in(text.as_bytes(), from, &gathered.views) {
            let span = whole_characters(text, hit.span);
            // A name may hold what another source calls a secret; a placeholder stays one.
            let inside = gathered.covered.iter().any(|own| own.start <= span.start && span.end <= own.end);
            if inside || self.is_allowed(text, &span) {
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
        for found in self.rules.matches(text.as_bytes(), from, |rule| options.wants(rule)) {
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
        let Some(allowed) = &self.allowed else { return false };
        text.get(span.clone()).is_some_and(|value| allowed.allows(value))
    }
}

/// Widened to character boundaries: a value's bytes may begin inside a character.
fn whole_characters(text: &str, span: Range<usize>) -> Range<usize> {
    text.floor_char_boundary(span.start)..text.ceil_char_boundary(span.end)
}
