//! The detectors that the modes ask for, on one text. What a mode does not need is not loaded.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use sallyport_detect::injection::{self, Lane, ThreatLevel};
use sallyport_detect::output::{self, OutputOptions};
use sallyport_detect::{Found, Kinds, Placeholders, ScanOptions, Scanner, SecretIndex, redact};
use sallyport_policy::config::Profile;
use sallyport_policy::{Finding, FindingKind, RuleId, Severity};

use super::Mode;
use super::allowed::Allowed;
use crate::commands::rules;
use crate::exit::Failure;

/// One finding of any detector.
pub(super) struct Seen {
    pub(super) rule: Cow<'static, str>,
    pub(super) kind: &'static str,
    pub(super) span: Range<usize>,
    pub(super) severity: Severity,
    /// A value that must not be shown.
    pub(super) secret: bool,
}

pub(super) struct Looker {
    scanner: Option<(Scanner, ScanOptions, Allowed)>,
    injection: Option<Lane>,
    output: Option<OutputOptions>,
    strict: bool,
}

impl Looker {
    pub(super) fn new(modes: &[Mode], lane: Lane, profile: Profile) -> Result<Looker, Failure> {
        let wants = |mode: Mode| modes.contains(&mode);
        let mut kinds = Kinds::NONE;
        if wants(Mode::Secrets) {
            kinds = kinds.with(FindingKind::Secret).with(FindingKind::EnvAssignment);
        }
        if wants(Mode::Pii) {
            kinds = kinds.with(FindingKind::Pii).with(FindingKind::Internal);
        }
        let scanner = if kinds == Kinds::NONE {
            None
        } else {
            let scanner = Scanner::new(Arc::new(rules::in_force()?), Arc::new(SecretIndex::empty()));
            let allowed = Allowed::of_engine()?;
            let rules_off = allowed.rules().iter().map(RuleId::as_str).collect();
            Some((scanner, ScanOptions { kinds, profile, rules_off, ..ScanOptions::default() }, allowed))
        };
        let strict = profile == Profile::Strict;
        Ok(Looker {
            scanner,
            injection: wants(Mode::Injection).then_some(lane),
            output: wants(Mode::Output).then(|| OutputOptions { listed: strict, ..OutputOptions::default() }),
            strict,
        })
    }

    pub(super) fn is_strict(&self) -> bool {
        self.strict
    }

    /// What a rule finds, in words; none for what is no rule of values.
    pub(super) fn description(&self, rule: &str) -> Option<&str> {
        let (scanner, ..) = self.scanner.as_ref()?;
        let rule = scanner.rules().rules().iter().find(|one| one.id.as_str() == rule)?;
        Some(&rule.description)
    }

    /// What the allowlist left out so far.
    pub(super) fn allowed(&self) -> Option<String> {
        self.scanner.as_ref().and_then(|(_, _, allowed)| allowed.told())
    }

    /// All findings, in the order of the text.
    pub(super) fn look(&self, text: &str, file: Option<&Path>) -> Vec<Seen> {
        let mut seen: Vec<Seen> = self.values(text, file).into_iter().map(Seen::of_value).collect();
        seen.extend(self.behaviour(text));
        seen.sort_by_key(|one| (one.span.start, one.span.end));
        seen
    }

    fn values(&self, text: &str, file: Option<&Path>) -> Vec<Finding> {
        let Some((scanner, options, allowed)) = &self.scanner else { return Vec::new() };
        allowed.without(scanner.scan(text, options), text, file)
    }

    fn behaviour(&self, text: &str) -> Vec<Seen> {
        let mut seen = Vec::new();
        if let Some(lane) = self.injection {
            seen.extend(
                injection::find(text, lane).into_iter().map(|found| Seen::of_found(found, "injection")),
            );
            if self.strict {
                seen.extend(injection::analyse_undisguised(text).found.into_iter().map(Seen::of_listed));
            }
        }
        if let Some(options) = &self.output {
            seen.extend(output::find(text, options).into_iter().map(|found| Seen::of_found(found, "output")));
        }
        seen
    }

    /// The text with every finding taken out, and how many there were.
    pub(super) fn redacted(&self, text: &str, file: Option<&Path>) -> (String, usize) {
        let values = self.values(text, file);
        let mut out = redact(text, &values, &mut Placeholders::new([0; 32]));
        let mut behaviour = self.behaviour(&out);
        behaviour.sort_by_key(|one| one.span.start);
        let mut end = out.len();
        for one in behaviour.iter().rev() {
            // Of two that overlap, the later in the text has been taken out already.
            if one.span.end <= end && out.get(one.span.clone()).is_some() {
                out.replace_range(one.span.clone(), &injection::notice(&one.rule));
                end = one.span.start;
            }
        }
        (out, values.len() + behaviour.len())
    }
}

impl Seen {
    fn of_value(finding: Finding) -> Seen {
        let kind = match finding.kind {
            FindingKind::KnownSecret => "known_secret",
            FindingKind::Secret => "secret",
            FindingKind::EnvAssignment => "env_assignment",
            FindingKind::Pii => "pii",
            FindingKind::Internal => "internal",
        };
        let rule = Cow::Owned(finding.rule.as_str().to_owned());
        Seen { rule, kind, span: finding.span, severity: finding.severity, secret: true }
    }

    fn of_found(found: Found, kind: &'static str) -> Seen {
        Seen { rule: found.rule.into(), kind, span: found.span, severity: found.severity, secret: false }
    }

    fn of_listed(listed: injection::Listed) -> Seen {
        let severity = match listed.level {
            ThreatLevel::Critical => Severity::Critical,
            ThreatLevel::High => Severity::High,
            ThreatLevel::Medium => Severity::Medium,
            ThreatLevel::Low | ThreatLevel::None => Severity::Low,
        };
        Seen { rule: listed.rule.into(), kind: "injection", span: listed.span, severity, secret: false }
    }
}
