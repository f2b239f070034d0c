//! The allowlist as the control socket sees it. Each change is in the trail before it counts; a value never is.

use jiff::{SignedDuration, Timestamp};
use sallyport_detect::{Fingerprint, Placeholders, redact};
use sallyport_ipc::types::{AllowAnswer, AllowDraft, AllowEntry, AllowQuestion, AllowRemoval};
use sallyport_ipc::{ControlError, ErrorCode, Proof};
use sallyport_policy::allowlist::AllowedPath;
use sallyport_policy::settings::{KnownValues, OwnEntries};

use super::Entry;
use crate::control::trail_failed;
use crate::engine::Engine;
use crate::record::ControlAction;

/// More entries are a policy, not exceptions from one.
const MAX_ENTRIES: usize = 1_000;
const LONGEST_REASON: usize = 200;
const LONGEST_VALUE: usize = 64 << 10;
const LONGEST_TIME: u64 = 10 * 366 * 86_400;

fn wrong(message: impl Into<String>, hint: &str) -> ControlError {
    ControlError::new(ErrorCode::BadRequest, message).with_hint(hint)
}

impl Engine {
    pub(crate) fn allow_forbidden(&self) -> Option<ControlError> {
        let setting = &self.policy().snapshot.detection.allowlist;
        (setting.value == OwnEntries::Forbid).then(|| {
            let whose = if setting.locked { " of whoever manages this machine" } else { "" };
            ControlError::new(
                ErrorCode::NotPermitted,
                format!("Policy{whose} forbids entries on the allowlist."),
            )
            .with_hint("`sallyport policy show` says where `detection.allowlist` comes from.")
        })
    }

    pub(crate) fn allow_entries(&self) -> Vec<AllowEntry> {
        self.refresh_allowlist();
        self.allow.entries().iter().map(|entry| self.allow_view(entry)).collect()
    }

    fn allow_view(&self, entry: &Entry) -> AllowEntry {
        let state = self.allow.state(entry, &self.policy().snapshot.detection, self.elevation.now());
        AllowEntry {
            id: entry.id,
            fingerprint: entry.fingerprint.clone(),
            rule: entry.rule.clone(),
            path: entry.path.clone(),
            reason: entry.reason.clone(),
            added_at: entry.added_at,
            expires_at: entry.expires_at,
            state,
        }
    }

    pub(crate) async fn allow_add_entry(
        &self,
        draft: AllowDraft,
        proof: Proof,
    ) -> Result<AllowEntry, ControlError> {
        if let Some(error) = self.allow_forbidden() {
            return Err(error);
        }
        let advisory = match proof {
            Proof::Authenticated => false,
            Proof::Advisory => true,
            Proof::NotNeeded => {
                return Err(ControlError::new(ErrorCode::NotPermitted, "Nobody was asked to allow this."));
            }
        };
        self.allow_unknown(&draft)?;
        let mut entry = self.allow_checked(&draft)?;
        let _turn = self.allow.turn.lock().await;
        self.refresh_allowlist();
        let mut entries = self.allow.entries();
        if entries.len() >= MAX_ENTRIES {
            return Err(wrong(
                format!("The allowlist has {MAX_ENTRIES} entries already."),
                "Remove some, or turn a rule off by policy (`disabledRules`).",
            ));
        }
        entry.id = entries.iter().map(|entry| entry.id).max().unwrap_or(0) + 1;
        self.allow.file.seal(&mut entry);
        let until = entry.expires_at.map_or_else(|| "it is removed".to_owned(), |end| end.to_string());
        let how = if advisory { "; nobody could be asked who is at the desk" } else { "" };
        let outcome = format!("allowed until {until}; reason: {}{how}", entry.reason);
        self.record_control_on(ControlAction::AllowlistAdded, "none", &entry.target(), &outcome, advisory)
            .await
            .map_err(trail_failed)?;
        entries.push(entry.clone());
        self.allow_write(&entries)?;
        Ok(self.allow_view(&entry))
    }

    pub(crate) async fn allow_remove_entry(&self, removal: AllowRemoval) -> Result<AllowEntry, ControlError> {
        let _turn = self.allow.turn.lock().await;
        self.refresh_allowlist();
        let mut entries = self.allow.entries();
        let Some(at) = entries.iter().position(|entry| entry.id == removal.id) else {
            return Err(ControlError::new(
                ErrorCode::NotFound,
                format!("The allowlist has no entry {}.", removal.id),
            )
            .with_hint("`sallyport allow list` shows their numbers."));
        };
        let entry = entries.remove(at);
        let seen = self.allow_view(&entry);
        // It makes nothing weaker, so it counts even where the trail is away.
        self.allow_write(&entries)?;
        self.record_control_on(ControlAction::AllowlistRemoved, "none", &entry.target(), "removed", false)
            .await
            .map_err(trail_failed)?;
        Ok(seen)
    }

    pub(crate) fn allow_answer(&self, question: &AllowQuestion) -> AllowAnswer {
        let scanner = self.scanner();
        AllowAnswer { allowed: question.values.iter().map(|value| scanner.allows(value)).collect() }
    }

    fn allow_write(&self, entries: &[Entry]) -> Result<(), ControlError> {
        self.allow.file.write(entries).map_err(|error| {
            let place = self.allow.file.path().display();
            ControlError::new(ErrorCode::Unavailable, format!("{place} could not be written: {error}"))
        })?;
        self.refresh_allowlist();
        Ok(())
    }

    /// Whether the entry could be made, known secrets aside: before a person has answered for it, this must not tell which
    /// values those are.
    pub(crate) fn allow_sensible(&self, draft: &AllowDraft) -> Result<(), ControlError> {
        match self.allow_forbidden() {
            Some(error) => Err(error),
            None => self.allow_checked(draft).map(drop),
        }
    }

    /// Refuses a value that a source holds.
    fn allow_unknown(&self, draft: &AllowDraft) -> Result<(), ControlError> {
        let protects = self.policy().snapshot.detection.known_values.value == KnownValues::Protect;
        let Some(value) = draft.value.as_deref().filter(|_| protects) else { return Ok(()) };
        if value.len() > LONGEST_VALUE || self.scanner().index().find(value.as_bytes()).is_empty() {
            return Ok(());
        }
        let error = ControlError::new(
            ErrorCode::NotPermitted,
            "That value is a known secret of a vault, a keychain or a file, which stays protected.",
        );
        Err(error.with_hint("Take it out of its source, or let policy allow it (`detection.knownValues`)."))
    }

    /// An entry without number and seal.
    fn allow_checked(&self, draft: &AllowDraft) -> Result<Entry, ControlError> {
        let scanner = self.scanner();
        let policy = self.policy();
        let names_value = draft.fingerprint.is_some() || draft.value.is_some();
        let names_place = draft.rule.is_some() || draft.path.is_some();
        if names_value == names_place || (draft.fingerprint.is_some() && draft.value.is_some()) {
            return Err(wrong(
                "An entry names a fingerprint or a value, or a rule, a path, or a rule and a path.",
                "`sallyport allow add --help` shows each.",
            ));
        }
        let fingerprint = match (&draft.fingerprint, &draft.value) {
            (Some(text), _) => {
                let print: Fingerprint = text.parse().map_err(|_| {
                    wrong(
                        "That is no fingerprint: one has 32 hexadecimal digits.",
                        "`sallyport audit show` names it in the action `finding:RULE` of a row.",
                    )
                })?;
                Some(print)
            }
            (None, Some(value)) => {
                if value.is_empty() || value.len() > LONGEST_VALUE {
                    return Err(wrong(
                        "A value has 1 to 65,536 bytes.",
                        "Give the value alone, without its name.",
                    ));
                }
                scanner.fingerprint(value)
            }
            (None, None) => None,
        };
        if let Some(rule) = draft.rule.as_deref().filter(|rule| scanner.rules().rule(rule).is_none()) {
            return Err(wrong(
                format!("No rule is called {:?}.", printable(rule)),
                "`sallyport rules list` names them all; known secrets have none.",
            ));
        }
        if let Some(path) = &draft.path {
            AllowedPath::parse(path, Some(&self.allow.home)).map_err(|error| {
                wrong(
                    format!("{}.", printable(&error.to_string())),
                    "Say which files, such as `tests/fixtures/**`.",
                )
            })?;
        }
        let reason: String = draft.reason.chars().filter(|c| !c.is_control()).take(LONGEST_REASON).collect();
        if reason.trim().is_empty() {
            return Err(wrong(
                "An entry needs a reason.",
                "Say why it is no finding: `--reason \"made up\"`.",
            ));
        }
        // People explain with the value at hand.
        let reason =
            redact(&reason, &scanner.scan(&reason, &policy.request), &mut Placeholders::new([0; 32]));
        if draft.for_seconds.is_some_and(|seconds| seconds == 0 || seconds > LONGEST_TIME) {
            return Err(wrong(
                "An entry lasts one second to ten years.",
                "Leave the time out to keep it until you remove it.",
            ));
        }
        let now = self.elevation.now();
        let after = |seconds: u64| now + SignedDuration::from_secs(seconds.cast_signed());
        Ok(Entry {
            id: 0,
            fingerprint: fingerprint.map(|print| print.to_string()),
            rule: draft.rule.clone(),
            path: draft.path.clone(),
            reason,
            added_at: Timestamp::now(),
            expires_at: draft.for_seconds.map(after),
            seal: String::new(),
        })
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
