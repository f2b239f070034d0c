//! Elevation as the control socket sees it.

use sallyport_ipc::types::{ElevationAnswer, ElevationDraft, ElevationToken, ElevationView};
use sallyport_ipc::{ControlError, ErrorCode, Proof};
use sallyport_policy::elevation::{Draft, Grantor};

use super::{Record, Refusal};
use crate::engine::Engine;

/// What is asked for where nothing is said.
const USUAL: u64 = 1_800;

pub(crate) fn view(engine: &Engine, record: &Record) -> ElevationView {
    ElevationView {
        question: engine.elevation.question(record),
        state: record.state,
        grant: record.grant.clone(),
        uses: record.uses,
        decided_at: record.decided_at,
        held_until: engine.holds.until(record.request.id),
    }
}

impl Engine {
    pub(crate) fn elevation_list(&self) -> Vec<ElevationView> {
        self.elevation.list().iter().map(|record| view(self, record)).collect()
    }

    pub(crate) async fn elevation_by_hand(
        &self,
        draft: ElevationDraft,
    ) -> Result<ElevationView, ControlError> {
        let policy = self.policy();
        let Some(scope) = draft.scope else {
            return Err(ControlError::new(ErrorCode::BadRequest, "A request names a scope.")
                .with_hint("Scopes: filesystem:write, shell:execute, network:external, secrets:read."));
        };
        let draft = Draft {
            scope,
            resources: draft.resources,
            account: draft.account.unwrap_or_else(|| policy.account.name.clone()),
            justification: draft.justification,
            seconds: draft.for_seconds.unwrap_or(USUAL.min(policy.snapshot.elevation.max_duration.value)),
        };
        self.shown(self.elevation_ask(&draft).await)
    }

    /// Whether there is something to approve.
    pub(crate) fn elevation_sensible(&self, answer: &ElevationAnswer) -> Result<(), ControlError> {
        self.pending(answer.id).map(drop).map_err(|refusal| explain(&refusal))
    }

    pub(crate) async fn elevation_approve_by(
        &self,
        answer: &ElevationAnswer,
        proof: Proof,
    ) -> Result<ElevationView, ControlError> {
        let by = match proof {
            Proof::Authenticated => Grantor::Person,
            Proof::Advisory => Grantor::Advisory,
            Proof::NotNeeded => {
                return Err(ControlError::new(ErrorCode::NotPermitted, "Nobody was asked to approve this."));
            }
        };
        self.shown(self.elevation_approve(answer.id, by, answer.for_seconds).await)
    }

    pub(crate) async fn elevation_by_token(
        &self,
        token: &ElevationToken,
    ) -> Result<ElevationView, ControlError> {
        self.shown(self.elevation_redeem(&token.token).await)
    }

    pub(crate) async fn elevation_denied(
        &self,
        answer: &ElevationAnswer,
    ) -> Result<ElevationView, ControlError> {
        self.shown(self.elevation_deny(answer.id).await)
    }

    pub(crate) async fn elevation_revoked(
        &self,
        answer: &ElevationAnswer,
    ) -> Result<ElevationView, ControlError> {
        self.shown(self.elevation_revoke(answer.id).await)
    }

    fn shown(&self, outcome: Result<Record, Refusal>) -> Result<ElevationView, ControlError> {
        match outcome {
            Ok(record) => Ok(view(self, &record)),
            Err(refusal) => Err(explain(&refusal)),
        }
    }
}

fn explain(refusal: &Refusal) -> ControlError {
    let (code, hint) = match refusal {
        Refusal::Rules(_) => {
            (ErrorCode::BadRequest, "`sallyport policy show` lists the rules under `elevation`.")
        }
        Refusal::HoldsSecret => (ErrorCode::BadRequest, "Name the secret by its name, never by its value."),
        Refusal::TooMany => (ErrorCode::Conflict, "Deny or approve some: `sallyport elevate list`."),
        Refusal::Unknown(_) => (ErrorCode::NotFound, "`sallyport elevate list` shows all."),
        Refusal::Settled { .. } => (ErrorCode::Conflict, "Ask anew: `sallyport elevate request`."),
        Refusal::Token(_) => {
            (ErrorCode::NotPermitted, "Sign the request as `sallyport elevate list --json` shows it now.")
        }
        Refusal::Trail(_) | Refusal::Random => (ErrorCode::Unavailable, "`sallyport doctor` says why."),
    };
    let text = refusal.to_string();
    let mut letters = text.chars();
    let sentence: String =
        letters.next().map(|c| c.to_uppercase().chain(letters).collect()).unwrap_or_default();
    ControlError::new(code, format!("{sentence}.")).with_hint(hint)
}
