//! Conditions that a person should know of: one object each, with a code, a sentence and a fix.
//!
//! The table of codes is closed; faces match on the code alone. Nothing here decides what traffic may do.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use sallyport_ipc::types::{HealthItem, HealthSeverity};

/// Every condition the engine can raise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Condition {
    AgentLoop,
    AllowlistUnsealed,
    ApprovalAdvisory,
    AssessmentUnsealed,
    AuditBehindHead,
    AuditUnavailable,
    CaReissued,
    ConfigMalformed,
    ElevationFile,
    KeysInFile,
    KeysUnavailable,
    MemoryNotLocked,
    NoKeychain,
    PolicyBundle,
    PolicyMalformed,
    PolicyName,
    PolicyNeedsRestart,
    PortMoved,
    RotationOverdue,
    QuotaStore,
    RulesMalformed,
    SecretsNeverLoaded,
    SecretsStale,
    ShadowAi,
    SourceUnavailable,
    UpstreamRoots,
    WeakSecret,
}

impl Condition {
    #[cfg(test)]
    pub(crate) const ALL: [Condition; 27] = [
        Condition::AgentLoop,
        Condition::AllowlistUnsealed,
        Condition::ApprovalAdvisory,
        Condition::AssessmentUnsealed,
        Condition::AuditBehindHead,
        Condition::AuditUnavailable,
        Condition::CaReissued,
        Condition::ConfigMalformed,
        Condition::ElevationFile,
        Condition::KeysInFile,
        Condition::KeysUnavailable,
        Condition::MemoryNotLocked,
        Condition::NoKeychain,
        Condition::PolicyBundle,
        Condition::PolicyMalformed,
        Condition::PolicyName,
        Condition::PolicyNeedsRestart,
        Condition::PortMoved,
        Condition::RotationOverdue,
        Condition::QuotaStore,
        Condition::RulesMalformed,
        Condition::SecretsNeverLoaded,
        Condition::SecretsStale,
        Condition::ShadowAi,
        Condition::SourceUnavailable,
        Condition::UpstreamRoots,
        Condition::WeakSecret,
    ];

    fn row(self) -> (&'static str, HealthSeverity, &'static str) {
        use HealthSeverity::{Critical, Info, Warning};
        match self {
            Condition::AllowlistUnsealed => {
                ("allowlist-unsealed", Warning, "Somebody else wrote on the allowlist")
            }
            Condition::AgentLoop => ("agent-loop", Warning, "An agent goes round in a circle"),
            Condition::ApprovalAdvisory => {
                ("approval-advisory", Info, "Pausing and approving are not guarded here")
            }
            Condition::AssessmentUnsealed => {
                ("assessment-unsealed", Warning, "Somebody else approved an AI tool")
            }
            Condition::ElevationFile => ("elevation-file", Warning, "The file of permissions was changed"),
            Condition::AuditBehindHead => ("audit-behind-head", Critical, "The audit trail lost rows"),
            Condition::AuditUnavailable => {
                ("audit-unavailable", Critical, "The audit trail can't be written")
            }
            Condition::CaReissued => ("ca-reissued", Warning, "The root certificate was replaced"),
            Condition::RulesMalformed => {
                ("rules-malformed", Warning, "Your own detection rules can't be used")
            }
            Condition::ConfigMalformed => ("config-malformed", Warning, "config.yaml can't be read"),
            Condition::KeysInFile => ("keys-in-file", Info, "Keys are kept in a file, not in a keychain"),
            Condition::KeysUnavailable => {
                ("keys-unavailable", Critical, "AI traffic waits for the key store")
            }
            Condition::MemoryNotLocked => ("memory-not-locked", Info, "Key memory could be swapped out"),
            Condition::NoKeychain => ("no-keychain", Info, "There is no keychain to read secrets from"),
            Condition::PolicyBundle => {
                ("policy-bundle", Warning, "The policy bundle can't be brought up to date")
            }
            Condition::PolicyMalformed => ("policy-malformed", Warning, "A policy document can't be read"),
            Condition::PolicyName => {
                ("policy-name", Warning, "Policy names something that it does not describe")
            }
            Condition::PolicyNeedsRestart => {
                ("policy-needs-restart", Warning, "A part of the policy waits for a restart")
            }
            Condition::PortMoved => ("port-moved", Warning, "The wished port is taken"),
            Condition::QuotaStore => ("quota-store", Warning, "Quotas can't be counted where they should"),
            Condition::RotationOverdue => ("rotation-overdue", Warning, "A secret is due for a change"),
            Condition::SecretsNeverLoaded => {
                ("secrets-never-loaded", Critical, "AI traffic waits for a secret source")
            }
            Condition::SecretsStale => ("secrets-stale", Warning, "Known secrets are not up to date"),
            Condition::ShadowAi => ("shadow-ai", Info, "An AI service that is not approved was used"),
            Condition::SourceUnavailable => ("source-unavailable", Warning, "A secret source can't be read"),
            Condition::UpstreamRoots => ("upstream-roots", Warning, "A root certificate can't be read"),
            Condition::WeakSecret => ("weak-secret", Info, "A stored secret is a common word"),
        }
    }

    pub(crate) fn code(self) -> &'static str {
        self.row().0
    }
}

/// The conditions that hold right now. A condition may hold once for each subject (a source, a file).
#[derive(Default)]
pub(crate) struct Health {
    items: Mutex<BTreeMap<(Condition, String), HealthItem>>,
}

impl Health {
    /// States that a condition holds. An unchanged condition keeps its first date.
    pub(crate) fn raise(&self, condition: Condition, subject: &str, sentence: String, fix: String) {
        let (code, severity, title) = condition.row();
        let mut items = self.items.lock();
        let key = (condition, subject.to_owned());
        let since = items.get(&key).map_or_else(jiff::Timestamp::now, |item| item.since);
        if !items.contains_key(&key) {
            match severity {
                HealthSeverity::Info => tracing::info!(code, %sentence, "health"),
                _ => tracing::warn!(code, %sentence, "health"),
            }
        }
        items.insert(
            key,
            HealthItem { code: code.to_owned(), severity, title: title.to_owned(), sentence, fix, since },
        );
    }

    /// States that a condition no longer holds.
    pub(crate) fn clear(&self, condition: Condition, subject: &str) {
        if self.items.lock().remove(&(condition, subject.to_owned())).is_some() {
            tracing::info!(code = condition.code(), "health: mended");
        }
    }

    /// States that a condition no longer holds for any subject but those named.
    pub(crate) fn retain(&self, condition: Condition, subjects: &[String]) {
        self.items.lock().retain(|(c, subject), _| *c != condition || subjects.contains(subject));
    }

    pub(crate) fn holds_for(&self, condition: Condition, subject: &str) -> bool {
        self.items.lock().contains_key(&(condition, subject.to_owned()))
    }

    /// Whether anything needs a person: infos do not.
    pub(crate) fn needs_attention(&self) -> bool {
        self.items.lock().values().any(|item| item.severity > HealthSeverity::Info)
    }

    /// Most severe first.
    pub(crate) fn items(&self) -> Vec<HealthItem> {
        let mut items: Vec<_> = self.items.lock().values().cloned().collect();
        items.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.code.cmp(&b.code)));
        items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_in_kebab_case() {
        let mut codes: Vec<_> = Condition::ALL.iter().map(|c| c.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Condition::ALL.len());
        assert!(codes.iter().all(|c| c.chars().all(|x| x.is_ascii_lowercase() || x == '-')));
    }

    #[test]
    fn a_condition_keeps_its_date_until_it_is_mended() {
        let health = Health::default();
        health.raise(Condition::WeakSecret, "a", "first".into(), String::new());
        let since = health.items()[0].since;
        health.raise(Condition::WeakSecret, "a", "second".into(), String::new());
        assert_eq!(health.items()[0].since, since);
        assert_eq!(health.items()[0].sentence, "second");
        health.clear(Condition::WeakSecret, "a");
        assert!(health.items().is_empty());
    }
}
