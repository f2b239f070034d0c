//! The steps of a request's life: asked, granted or denied, used, expired, revoked.

use std::sync::Arc;
use std::time::Duration;

use sallyport_ipc::types::Event;
use sallyport_policy::elevation::{
    BadToken, Draft, Grant, Grantor, Refused, Resource, State, Target, Token, Way, judge,
};
use tokio_util::sync::CancellationToken;

use super::{Record, desk};
use crate::engine::{Engine, Unrecorded};
use crate::record::ControlAction;

/// More that waits for one person is a flood.
const MAX_PENDING: usize = 32;

/// How often expiry is looked for.
const TICK: Duration = Duration::from_secs(1);
/// How often the time is written down while a grant holds.
const NOTE_TIME: u32 = 30;

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Rules(#[from] Refused),
    #[error("the request itself holds a secret; name resources and reasons without one")]
    HoldsSecret,
    #[error("{MAX_PENDING} requests wait for an answer already")]
    TooMany,
    #[error("there is no request {0}")]
    Unknown(u64),
    #[error("request {id} is {}", .state.as_str())]
    Settled { id: u64, state: State },
    #[error("the token approves nothing: {0}")]
    Token(#[from] BadToken),
    #[error("the audit trail could not be used: {0}")]
    Trail(#[from] Unrecorded),
    #[error("no randomness")]
    Random,
}

impl Engine {
    /// Files a request; asking again for what waits already gives the one that waits. Where policy grants it, it is
    /// granted at once.
    pub(crate) async fn elevation_ask(&self, draft: &Draft) -> Result<Record, Refusal> {
        let elevation = &self.elevation;
        let terms = self.policy().snapshot.elevation.terms();
        let _turn = elevation.turn.lock().await;
        let now = elevation.now();
        let (request, way) = judge(draft, elevation.book.lock().next + 1, &terms, now)?;
        let said = request.resources.iter().map(Resource::as_str).chain([request.justification.as_str()]);
        if said.into_iter().any(|text| self.holds_secret(text)) {
            return Err(Refusal::HoldsSecret);
        }
        {
            let book = elevation.book.lock();
            let waiting: Vec<_> =
                book.records.iter().filter(|record| record.at(now).state == State::Pending).collect();
            let same = |record: &&&Record| {
                let known = &record.request;
                known.scope == request.scope
                    && known.resources == request.resources
                    && known.account == request.account
            };
            if let Some(known) = waiting.iter().find(same) {
                return Ok((*known).clone());
            }
            if waiting.len() >= MAX_PENDING {
                return Err(Refusal::TooMany);
            }
        }
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|_| Refusal::Random)?;
        let mut record = Record {
            nonce: data_encoding::HEXLOWER.encode(&nonce),
            state: State::Pending,
            grant: None,
            uses: 0,
            decided_at: None,
            request,
        };
        self.record_elevation(ControlAction::ElevationRequested, &record, "pending", false).await?;
        if way == Way::GrantedByPolicy {
            record.grant = Some(record.request.grant(Grantor::Policy, record.request.seconds, &terms, now));
            record.decided_at = Some(now);
            self.record_elevation(ControlAction::ElevationGranted, &record, "policy", false).await?;
            record.state = State::Approved;
        }
        let mut book = elevation.book.lock();
        book.add(record.clone());
        elevation.save(&mut book);
        drop(book);
        self.tell_of(&record);
        Ok(record)
    }

    /// Grants a request for as long as asked, or shorter.
    pub(crate) async fn elevation_approve(
        &self,
        id: u64,
        by: Grantor,
        seconds: Option<u64>,
    ) -> Result<Record, Refusal> {
        let _turn = self.elevation.turn.lock().await;
        self.grant(id, by, seconds.unwrap_or(u64::MAX)).await
    }

    /// Grants a request by a named approver's signature, which needs nobody at this desk.
    pub(crate) async fn elevation_redeem(&self, text: &str) -> Result<Record, Refusal> {
        let token = Token::parse(text)?;
        let id = token.statement.request;
        let terms = self.policy().snapshot.elevation.terms();
        let _turn = self.elevation.turn.lock().await;
        let record = self.pending(id)?;
        let now = self.elevation.now();
        let verified = token.verify(&self.elevation.question(&record), &terms.approvers, now);
        let approver = match verified {
            Ok(approver) => approver.name.clone(),
            Err(why) => {
                self.record_elevation(ControlAction::ElevationTokenRefused, &record, &why.to_string(), false)
                    .await?;
                return Err(why.into());
            }
        };
        let left = token.statement.expires_at.duration_since(now).as_secs();
        self.grant(id, Grantor::Approver(approver), u64::try_from(left).unwrap_or(0)).await
    }

    async fn grant(&self, id: u64, by: Grantor, seconds: u64) -> Result<Record, Refusal> {
        let terms = self.policy().snapshot.elevation.terms();
        let mut record = self.pending(id)?;
        let now = self.elevation.now();
        let (said, advisory) = (by.to_string(), by == Grantor::Advisory);
        record.grant = Some(record.request.grant(by, seconds, &terms, now));
        self.record_elevation(ControlAction::ElevationGranted, &record, &said, advisory).await?;
        record.state = State::Approved;
        record.decided_at = Some(now);
        self.put(record)
    }

    pub(crate) async fn elevation_deny(&self, id: u64) -> Result<Record, Refusal> {
        let _turn = self.elevation.turn.lock().await;
        let mut record = self.pending(id)?;
        self.record_elevation(ControlAction::ElevationDenied, &record, "denied", false).await?;
        record.state = State::Denied;
        record.decided_at = Some(self.elevation.now());
        self.put(record)
    }

    pub(crate) async fn elevation_revoke(&self, id: u64) -> Result<Record, Refusal> {
        let _turn = self.elevation.turn.lock().await;
        let mut record = self.elevation.get(id).ok_or(Refusal::Unknown(id))?;
        if !record.state.is_granted() {
            return Err(Refusal::Settled { id, state: record.state });
        }
        self.record_elevation(ControlAction::ElevationRevoked, &record, "revoked", false).await?;
        record.state = State::Revoked;
        self.put(record)
    }

    /// Uses a grant, if one covers this: the use is in the trail before it happens.
    pub(crate) async fn elevation_use(
        &self,
        target: &Target<'_>,
        account: &str,
    ) -> Result<Option<Grant>, Refusal> {
        if self.elevation.permits(target, account).is_none() {
            return Ok(None);
        }
        let _turn = self.elevation.turn.lock().await;
        let Some(grant) = self.elevation.permits(target, account) else { return Ok(None) };
        let mut record = self.elevation.get(grant.id).ok_or(Refusal::Unknown(grant.id))?;
        self.record_elevation(ControlAction::ElevationUsed, &record, "used", false).await?;
        record.state = State::Used;
        record.uses += 1;
        self.put(record)?;
        Ok(Some(grant))
    }

    pub(super) fn pending(&self, id: u64) -> Result<Record, Refusal> {
        let record = self.elevation.get(id).ok_or(Refusal::Unknown(id))?;
        match record.state {
            State::Pending => Ok(record),
            state => Err(Refusal::Settled { id, state }),
        }
    }

    fn put(&self, record: Record) -> Result<Record, Refusal> {
        let id = record.request.id;
        let mut book = self.elevation.book.lock();
        *book.find_mut(id).ok_or(Refusal::Unknown(id))? = record.clone();
        self.elevation.save(&mut book);
        drop(book);
        self.tell_of(&record);
        Ok(record)
    }

    fn tell_of(&self, record: &Record) {
        self.elevation.steps.send_modify(|step| *step += 1);
        let request = Box::new(desk::view(self, record));
        let _ = self.events.send(Event::Approval { request });
    }

    async fn record_elevation(
        &self,
        action: ControlAction,
        record: &Record,
        outcome: &str,
        review: bool,
    ) -> Result<(), Unrecorded> {
        let request = &record.request;
        let resources: Vec<_> = request.resources.iter().map(Resource::as_str).collect();
        let target = format!("request {}: {} {}", request.id, request.scope, resources.join(", "));
        self.record_control_on(action, &request.account, &target, outcome, review).await
    }

    fn holds_secret(&self, text: &str) -> bool {
        use sallyport_policy::FindingKind::{KnownSecret, Secret};
        let found = self.scanner().scan(text, &self.policy().request);
        found.iter().any(|finding| matches!(finding.kind, KnownSecret | Secret))
    }

    /// Requests and grants whose time is over: each is told of once.
    async fn elevation_expire(&self) {
        let now = self.elevation.now();
        let is_due = |record: &Record| !record.is_over() && record.at(now).state == State::Expired;
        if !self.elevation.book.lock().records.iter().any(is_due) {
            return;
        }
        let _turn = self.elevation.turn.lock().await;
        let due: Vec<_> = self.elevation.book.lock().records.iter().filter(|r| is_due(r)).cloned().collect();
        for mut record in due {
            let outcome = if record.state == State::Pending { "unanswered" } else { "over" };
            let written =
                self.record_elevation(ControlAction::ElevationExpired, &record, outcome, false).await;
            // Without a trail it has expired all the same; the row is tried again with the next tick.
            if let Err(error) = written {
                tracing::warn!(%error, "an expiry could not be recorded");
                continue;
            }
            record.state = State::Expired;
            let _ = self.put(record);
        }
    }
}

/// Lets requests and grants end on time, and keeps the time across restarts while one holds.
pub(crate) async fn keep_time(engine: Arc<Engine>, stop: CancellationToken) {
    let mut ticks = 0_u32;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
        engine.elevation_expire().await;
        ticks = ticks.wrapping_add(1);
        if ticks.is_multiple_of(NOTE_TIME) {
            let mut book = engine.elevation.book.lock();
            if book.records.iter().any(|record| !record.is_over()) {
                engine.elevation.save(&mut book);
            }
        }
    }
}
