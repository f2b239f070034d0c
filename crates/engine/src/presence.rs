//! Whoever weakens protection proves to be the person at the desk, where the operating system can ask (decision 1).
//!
//! The same for every caller: the command line, the desktop app, and whoever speaks to the control socket directly. The
//! question and its answer are in the trail before anything is weakened.

use std::time::Duration;

use sallyport_ipc::{Call, Caller, ControlError, ErrorCode, Proof, Route};
use sallyport_platform::authenticate::{self, Action, Answer, Missing, Subject};
use sallyport_policy::settings::{Authentication, OffPolicy};

use crate::engine::Engine;
use crate::health::{Condition, Health};
use crate::record::ControlAction;

/// How long a person may take to answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// One question at a time: a second one on the screen would be answered for the first.
#[derive(Default)]
pub(crate) struct OneQuestion(tokio::sync::Mutex<()>);

/// What a route of access `Admin` weakens.
fn action(call: Call) -> Action {
    match call {
        Call::ElevationApprove => Action::Approve,
        Call::Off | Call::CaRemove | Call::Shutdown => Action::Pause,
        _ => Action::Allow,
    }
}

impl Engine {
    /// Whether the caller may take a route that weakens something. Asks the person where that can be done.
    pub(crate) async fn may_weaken(&self, caller: &Caller, route: &Route) -> Result<Proof, ControlError> {
        let rules = self.policy().snapshot.protection.clone();
        if matches!(route.call, Call::Off | Call::CaRemove) && rules.off.value == OffPolicy::Forbid {
            let locked = if rules.off.locked { " of whoever manages this machine" } else { "" };
            return Err(ControlError::new(
                ErrorCode::NotPermitted,
                format!("Policy{locked} forbids to switch protection off or to pause it."),
            )
            .with_hint("`sallyport policy show` says where `protection.off` comes from."));
        }
        if let Some(error) = self.allow_forbidden().filter(|_| route.call == Call::AllowAdd) {
            return Err(error);
        }
        if let Some(error) = self.approval_not_ours().filter(|_| route.call == Call::AssessmentApprove) {
            return Err(error);
        }
        let answer = self.ask(action(route.call), caller).await;
        let (outcome, review, verdict) = match answer {
            Answer::Authenticated => ("authenticated".to_owned(), false, Ok(Proof::Authenticated)),
            Answer::Refused(why) => {
                let error = ControlError::new(
                    ErrorCode::NotPermitted,
                    format!("This weakens protection, so the operating system asks who is there: {why}."),
                )
                .with_hint("Try again and answer its question yourself.");
                (format!("refused: {why}"), false, Err(error))
            }
            Answer::Unavailable(missing) if rules.authentication.value == Authentication::Required => {
                let error = ControlError::new(
                    ErrorCode::NotPermitted,
                    format!(
                        "Policy requires authentication by the operating system for this, and {missing}."
                    ),
                )
                .with_hint(missing.hint());
                (format!("refused: {missing}"), false, Err(error))
            }
            Answer::Unavailable(missing) => (format!("advisory: {missing}"), true, Ok(Proof::Advisory)),
        };
        let pid = caller.pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
        let target = format!("{} by process {pid}", route.path);
        let account = "none";
        self.record_control_on(ControlAction::AuthenticationAsked, account, &target, &outcome, review)
            .await
            .map_err(|error| {
                ControlError::new(
                    ErrorCode::Unavailable,
                    format!("The audit trail could not be used, so nothing was weakened: {error}"),
                )
                .with_hint("`sallyport doctor` says why.")
            })?;
        verdict
    }

    async fn ask(&self, action: Action, caller: &Caller) -> Answer {
        // Before the wait: a process that has gone meanwhile is not answered in another's name.
        let subject = caller.pid.and_then(|pid| Subject::of(pid, caller.uid));
        let _one = self.one_question.0.lock().await;
        let asked = tokio::task::spawn_blocking(move || match subject {
            Some(subject) => authenticate::authenticate(action, &subject, PATIENCE),
            None => match authenticate::available() {
                Err(missing) => Answer::Unavailable(missing),
                Ok(()) => Answer::Refused("the calling process is gone, or can't be told".into()),
            },
        });
        asked.await.unwrap_or_else(|_| Answer::Refused("asking failed".into()))
    }
}

/// Says in `doctor` where approval is advisory. Blocks for a moment.
pub(crate) fn note_availability(health: &Health) {
    match authenticate::available() {
        Ok(()) => health.clear(Condition::ApprovalAdvisory, "system"),
        Err(missing) => health.raise(
            Condition::ApprovalAdvisory,
            "system",
            format!(
                "The operating system can't be asked who is at this desk, since {missing}: pausing and approving are \
                 recorded, and any process of this user can do both."
            ),
            advice(missing),
        ),
    }
}

fn advice(missing: Missing) -> String {
    format!("{} Policy `protection.authentication: required` refuses both until then.", missing.hint())
}

#[cfg(test)]
mod tests {
    use sallyport_ipc::{Access, ROUTES};

    use super::*;

    #[test]
    fn what_weakens_is_named_for_the_person() {
        for route in ROUTES.iter().filter(|route| route.access == Access::Admin) {
            let expected = match route.path {
                "/v1/off" | "/v1/ca/remove" | "/v1/shutdown" => Action::Pause,
                "/v1/elevation/approve" => Action::Approve,
                _ => Action::Allow,
            };
            assert_eq!(action(route.call), expected, "{}", route.path);
        }
    }
}
