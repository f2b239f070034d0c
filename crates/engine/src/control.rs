//! The engine as the control socket sees it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};
use sallyport_audit::{EventType, Filter, Order, Reader};
use sallyport_ipc::types::{
    Activity, ActivityRequest, AgentSessionRequest, AllowAnswer, AllowDraft, AllowEntry, AllowQuestion,
    AllowRemoval, AssessmentAnswer, AssessmentApproval, AssessmentDraft, AssessmentView, AuditFilter,
    AuditHead, AuditPage, CaView, ContentRequest, Counters, ElevationAnswer, ElevationDraft, ElevationToken,
    ElevationView, Event, Flow, Handover, HandoverRequest, HealthItem, IssuedSession, KeptContent,
    OffRequest, PolicyRef, PolicyView, QuotaHistory, QuotaView, RuleView, SecretTotals, SelfTestReport,
    SourceFailure, SourceState, SourceStatus, State, Status, TrailProof,
};
use sallyport_ipc::{Access, Caller, Control, ControlError, ErrorCode, EventStream, Proof, Route};
use sallyport_policy::settings::{OffPolicy, ReasonPolicy};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::accounts::NoSession;
use crate::engine::Engine;
use crate::foyer::Foyer;
use crate::record::ControlAction;
use crate::switch::Position;
use crate::{handover, quotas, refresh, reload, self_test, trail_views, undo_ca};

/// The longest pause; longer ones are `off`.
const MAX_PAUSE: u64 = 24 * 3600;

/// Rows of one page.
const MAX_ROWS: usize = 10_000;

/// How long a sync may take before its caller is told so.
const SYNC: Duration = Duration::from_secs(100);

pub(crate) struct EngineControl {
    pub(crate) foyer: Arc<Foyer>,
    pub(crate) engine: OnceLock<Arc<Engine>>,
    pub(crate) stop: CancellationToken,
}

impl EngineControl {
    fn engine(&self) -> Result<&Arc<Engine>, ControlError> {
        self.engine.get().ok_or_else(|| {
            ControlError::new(ErrorCode::Unavailable, "Sallyport is starting, or waits for its key store.")
                .with_hint("`sallyport doctor` says what it waits for.")
        })
    }

    fn state(&self) -> (State, Timestamp, Option<Timestamp>) {
        let needy = self.foyer.health.needs_attention();
        let Some(engine) = self.engine.get() else {
            return (State::Attention, self.foyer.started, None);
        };
        match engine.switch.at(Timestamp::now()) {
            (Position::Off, since) => (State::Off, since, None),
            (Position::OffUntil(until), since) => (State::Paused, since, Some(until)),
            (Position::On, since) => (if needy { State::Attention } else { State::Protected }, since, None),
        }
    }

    fn announce(&self, engine: &Engine) {
        let (state, since, paused_until) = self.state();
        let _ = engine.events.send(Event::State { state, since, paused_until });
    }

    fn status_now(&self) -> Status {
        let (state, since, paused_until) = self.state();
        let engine = self.engine.get();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            listen: self.foyer.listen.to_string(),
            state,
            since,
            paused_until,
            owner_uid: self.foyer.identity.uid,
            counters: engine.map(|engine| engine.counters.read(engine.holds.count())).unwrap_or_default(),
            health: self.foyer.health.items(),
            secrets: engine.map_or_else(SecretTotals::default, |engine| refresh::totals(engine)),
            audit: engine.and_then(|engine| head(engine)).unwrap_or_default(),
            policy: engine.map_or_else(PolicyRef::default, |engine| {
                let policy = engine.policy();
                PolicyRef {
                    version: policy.snapshot.version.clone(),
                    profile: format!("{:?}", policy.snapshot.profile.value).to_lowercase(),
                    forbids_off: policy.snapshot.protection.off.value == OffPolicy::Forbid,
                    asks_reason: policy.snapshot.protection.reason.value == ReasonPolicy::Required,
                }
            }),
            agents: engine.map(|engine| engine.sessions.running()).unwrap_or_default(),
        }
    }
}

fn head(engine: &Engine) -> Option<AuditHead> {
    let trail = engine.trail.load_full()?;
    let reader = trail.reader().ok()?;
    let filter = Filter { limit: Some(1), order: Order::Descending, ..Filter::default() };
    let row = reader.query(&filter).ok()?.pop()?;
    Some(AuditHead { seq: row.seq, hash: data_encoding::HEXLOWER.encode(&row.hash) })
}

pub(crate) fn trail_failed(error: impl std::fmt::Display) -> ControlError {
    ControlError::new(ErrorCode::Unavailable, format!("The audit trail could not be used: {error}"))
        .with_hint("`sallyport doctor` says why.")
}

fn sources_of(engine: &Engine) -> Vec<SourceStatus> {
    let states = engine.sources.states();
    states
        .into_iter()
        .map(|source| SourceStatus {
            state: match (&source.failure, source.loaded_at) {
                (None, _) => SourceState::Loaded,
                (Some(_), Some(_)) => SourceState::Stale,
                (Some(_), None) => SourceState::Failed,
            },
            weak_names: source.names.iter().filter(|name| name.weak).map(|name| name.name.clone()).collect(),
            names: source.names.into_iter().map(|name| name.name).collect(),
            id: source.id,
            kind: source.kind,
            location: source.location,
            skipped: source.skipped as u64,
            loaded_at: source.loaded_at,
            error: source.failure.map(|failure| SourceFailure {
                code: failure.code,
                message: failure.message,
                hint: failure.hint,
            }),
        })
        .collect()
}

#[async_trait]
impl Control for EngineControl {
    async fn authorise(&self, caller: &Caller, route: &Route) -> Result<Proof, ControlError> {
        match self.engine.get() {
            Some(engine) if route.access == Access::Admin => engine.may_weaken(caller, route).await,
            // Before the engine stands there is nothing to weaken: AI traffic is refused.
            _ => Ok(Proof::NotNeeded),
        }
    }

    async fn status(&self) -> Result<Status, ControlError> {
        Ok(self.status_now())
    }

    async fn health(&self) -> Result<Vec<HealthItem>, ControlError> {
        Ok(self.foyer.health.items())
    }

    async fn counters(&self) -> Result<Counters, ControlError> {
        let engine = self.engine()?;
        Ok(engine.counters.read(engine.holds.count()))
    }

    async fn flows(&self) -> Result<Vec<Flow>, ControlError> {
        let engine = self.engine()?;
        Ok(engine.flows.open(&engine.sessions).await)
    }

    async fn on(&self) -> Result<Status, ControlError> {
        let engine = self.engine()?;
        engine.switch.set(Position::On, Timestamp::now());
        engine.record_control(ControlAction::ProtectionOn, "on").await.map_err(trail_failed)?;
        self.announce(engine);
        Ok(self.status_now())
    }

    async fn off(&self, request: OffRequest) -> Result<Status, ControlError> {
        let engine = self.engine()?;
        let now = Timestamp::now();
        let position = match request.for_seconds {
            None => Position::Off,
            Some(seconds) if (1..=MAX_PAUSE).contains(&seconds) => {
                Position::OffUntil(now + SignedDuration::from_secs(seconds.cast_signed()))
            }
            Some(_) => {
                return Err(ControlError::new(ErrorCode::BadRequest, "A pause lasts 1 second to 24 hours.")
                    .with_hint("Leave the duration out to switch off until you switch on again."));
            }
        };
        let seconds =
            request.for_seconds.map_or_else(|| "until switched on".into(), |s| format!("for {s} s"));
        let reason = request.reason.unwrap_or_default();
        if reason.trim().is_empty()
            && engine.policy().snapshot.protection.reason.value == ReasonPolicy::Required
        {
            return Err(ControlError::new(ErrorCode::BadRequest, "Policy asks for a reason.")
                .with_hint("Say why: `sallyport off --for 15m --reason \"…\"`."));
        }
        let reason: String = reason.chars().filter(|c| !c.is_control()).take(200).collect();
        let reason = sallyport_detect::redact(
            &reason,
            &engine.scanner().scan(&reason, &engine.policy().request),
            &mut sallyport_detect::Placeholders::new([0; 32]),
        );
        let outcome =
            format!("off {seconds}; reason: {}", if reason.is_empty() { "none given" } else { &reason });
        // The row first: protection never goes off unrecorded.
        engine.record_control(ControlAction::ProtectionOff, &outcome).await.map_err(trail_failed)?;
        engine.switch.set(position, now);
        self.announce(engine);
        Ok(self.status_now())
    }

    async fn sources(&self) -> Result<Vec<SourceStatus>, ControlError> {
        Ok(sources_of(self.engine()?))
    }

    async fn secrets_sync(&self) -> Result<Vec<SourceStatus>, ControlError> {
        let engine = self.engine()?;
        let mut loads = engine.loads.subscribe();
        // A load that is under way may have read a source before it changed: wait for one that began later.
        let under_way = u64::from(engine.loading.load(std::sync::atomic::Ordering::Acquire));
        let wanted = *loads.borrow_and_update() + 1 + under_way;
        engine.reload.notify_one();
        let in_time = tokio::time::timeout(SYNC, loads.wait_for(|done| *done >= wanted)).await.is_ok();
        if !in_time {
            return Err(ControlError::new(ErrorCode::TimedOut, "A source did not answer in time.")
                .with_hint("`sallyport secrets list` shows which; the others are up to date."));
        }
        let states = sources_of(engine);
        let names: usize = states.iter().map(|state| state.names.len()).sum();
        let outcome = format!("{names} secrets of {} sources", states.len());
        engine.record_control(ControlAction::SecretsSynced, &outcome).await.map_err(trail_failed)?;
        Ok(states)
    }

    async fn secrets_handover(
        &self,
        caller: &Caller,
        request: HandoverRequest,
    ) -> Result<Handover, ControlError> {
        handover::hand_over(self.engine()?, caller, request).await
    }

    async fn ca(&self) -> Result<CaView, ControlError> {
        let engine = self.engine()?;
        let bundle = engine.paths.bundle_file();
        Ok(CaView {
            root_pem: engine.authority.root_pem().to_owned(),
            fingerprint_sha256: engine.authority.fingerprint_sha256().to_owned(),
            not_after: Timestamp::try_from(engine.authority.not_after()).unwrap_or(Timestamp::MAX),
            constraints: engine.authority.constraints().dns_names().to_vec(),
            key_store: engine.key_store,
            bundle: bundle.is_file().then_some(bundle),
        })
    }

    async fn policy(&self) -> Result<PolicyView, ControlError> {
        let policy = self.engine()?.policy();
        Ok(PolicyView {
            version: policy.snapshot.version.clone(),
            settings: policy.snapshot.rows(),
            documents: policy.snapshot.documents.clone(),
            problems: self.foyer.problems.lock().clone(),
        })
    }

    async fn policy_reload(&self) -> Result<PolicyView, ControlError> {
        let engine = self.engine()?;
        reload::now(engine, &self.foyer).await.map_err(trail_failed)?;
        self.policy().await
    }

    async fn audit_query(&self, filter: AuditFilter) -> Result<AuditPage, ControlError> {
        let trail = self.engine()?.trail.load_full().ok_or_else(|| trail_failed("it is not open"))?;
        let filter = filter_of(filter)?;
        tokio::task::spawn_blocking(move || page(&trail.reader().map_err(trail_failed)?, filter))
            .await
            .map_err(|_| ControlError::new(ErrorCode::Internal, "The query failed."))?
    }

    async fn audit_activity(&self, request: ActivityRequest) -> Result<Activity, ControlError> {
        let trail = self.engine()?.trail.load_full().ok_or_else(|| trail_failed("it is not open"))?;
        trail_views::activity(trail, request).await
    }

    async fn audit_content(&self, request: ContentRequest) -> Result<KeptContent, ControlError> {
        let trail = self.engine()?.trail.load_full().ok_or_else(|| trail_failed("it is not open"))?;
        trail_views::content(trail, request.seq).await
    }

    async fn audit_verify(&self) -> Result<TrailProof, ControlError> {
        let trail = self.engine()?.trail.load_full().ok_or_else(|| trail_failed("it is not open"))?;
        trail_views::verify(trail).await
    }

    async fn rules(&self) -> Result<Vec<RuleView>, ControlError> {
        Ok(trail_views::rules(self.engine()?.scanner().rules()))
    }

    async fn self_test(&self) -> Result<SelfTestReport, ControlError> {
        Ok(self_test::run(self.engine()?).await)
    }

    async fn allow_add_sensible(&self, draft: &AllowDraft) -> Result<(), ControlError> {
        self.engine()?.allow_sensible(draft)
    }

    async fn elevation_approve_sensible(&self, answer: &ElevationAnswer) -> Result<(), ControlError> {
        self.engine()?.elevation_sensible(answer)
    }

    async fn agent_session(
        &self,
        caller: &Caller,
        request: AgentSessionRequest,
    ) -> Result<IssuedSession, ControlError> {
        let engine = self.engine()?;
        let pid = caller.pid.ok_or_else(|| {
            ControlError::new(ErrorCode::Unavailable, "The system does not tell which process calls.")
        })?;
        let policy = engine.policy();
        let tier = policy.snapshot.agents.tier(&request.class);
        let mut issued = engine.sessions.begin(&request.class, tier, pid).map_err(|error| {
            let code = match error {
                NoSession::Class => ErrorCode::BadRequest,
                NoSession::TooMany => ErrorCode::Conflict,
                NoSession::Process(_) | NoSession::Random => ErrorCode::Unavailable,
            };
            ControlError::new(code, format!("No session could be begun: {error}."))
        })?;
        let account = &issued.session.account;
        engine.record_control(ControlAction::AgentSessionStarted, account).await.map_err(trail_failed)?;
        issued.remark = policy.snapshot.class_remark(&request.class);
        Ok(issued)
    }

    async fn quota(&self) -> Result<QuotaView, ControlError> {
        Ok(quotas::view(self.engine()?).await)
    }

    async fn quota_history(&self) -> Result<QuotaHistory, ControlError> {
        quotas::history(self.engine()?).await.map_err(|error| {
            ControlError::new(ErrorCode::Unavailable, format!("The history could not be read: {error}"))
        })
    }

    async fn elevations(&self) -> Result<Vec<ElevationView>, ControlError> {
        Ok(self.engine()?.elevation_list())
    }

    async fn elevation_request(&self, draft: ElevationDraft) -> Result<ElevationView, ControlError> {
        self.engine()?.elevation_by_hand(draft).await
    }

    async fn elevation_approve(
        &self,
        answer: ElevationAnswer,
        proof: Proof,
    ) -> Result<ElevationView, ControlError> {
        self.engine()?.elevation_approve_by(&answer, proof).await
    }

    async fn elevation_redeem(&self, token: ElevationToken) -> Result<ElevationView, ControlError> {
        self.engine()?.elevation_by_token(&token).await
    }

    async fn elevation_deny(&self, answer: ElevationAnswer) -> Result<ElevationView, ControlError> {
        self.engine()?.elevation_denied(&answer).await
    }

    async fn elevation_revoke(&self, answer: ElevationAnswer) -> Result<ElevationView, ControlError> {
        self.engine()?.elevation_revoked(&answer).await
    }

    async fn ca_remove(&self) -> Result<(), ControlError> {
        undo_ca::remove(self.engine()?).await?;
        self.stop.cancel();
        Ok(())
    }

    async fn allowed(&self) -> Result<Vec<AllowEntry>, ControlError> {
        Ok(self.engine()?.allow_entries())
    }

    async fn allow_add(&self, draft: AllowDraft, proof: Proof) -> Result<AllowEntry, ControlError> {
        self.engine()?.allow_add_entry(draft, proof).await
    }

    async fn allow_remove(&self, removal: AllowRemoval) -> Result<AllowEntry, ControlError> {
        self.engine()?.allow_remove_entry(removal).await
    }

    async fn allow_check(&self, question: AllowQuestion) -> Result<AllowAnswer, ControlError> {
        Ok(self.engine()?.allow_answer(&question))
    }

    async fn assessments(&self) -> Result<Vec<AssessmentView>, ControlError> {
        self.engine()?.assessment_list(&self.foyer)
    }

    async fn assessment_begin(&self, draft: AssessmentDraft) -> Result<AssessmentView, ControlError> {
        self.engine()?.assessment_begun(&self.foyer, draft).await
    }

    async fn assessment_answer(&self, answer: AssessmentAnswer) -> Result<AssessmentView, ControlError> {
        self.engine()?.assessment_answered(&self.foyer, answer).await
    }

    async fn assessment_approve(
        &self,
        approval: AssessmentApproval,
        proof: Proof,
    ) -> Result<AssessmentView, ControlError> {
        self.engine()?.assessment_approved(&self.foyer, approval, proof).await
    }

    async fn shutdown(&self) -> Result<(), ControlError> {
        self.stop.cancel();
        Ok(())
    }

    fn events(&self) -> EventStream {
        let Some(engine) = self.engine.get() else { return Box::pin(stream::empty()) };
        let receiver = engine.events.subscribe();
        Box::pin(stream::unfold(receiver, |mut receiver| async move {
            match receiver.recv().await {
                Ok(event) => Some((event, receiver)),
                Err(broadcast::error::RecvError::Lagged(events)) => {
                    Some((Event::Missed { events }, receiver))
                }
                Err(broadcast::error::RecvError::Closed) => None,
            }
        }))
    }
}

fn filter_of(filter: AuditFilter) -> Result<Filter, ControlError> {
    let wrong = |what: &str, hint: &str| ControlError::new(ErrorCode::BadRequest, what).with_hint(hint);
    let event_type = match filter.event_type.as_deref() {
        None => None,
        Some(word) => Some(EventType::parse(word).ok_or_else(|| {
            let words: Vec<_> = EventType::ALL.iter().map(|t| t.as_str()).collect();
            wrong(
                &format!("No event type is called {word:?}."),
                &format!("Event types: {}.", words.join(", ")),
            )
        })?),
    };
    let exchange_id = match filter.exchange_id.as_deref() {
        None => None,
        Some(id) => {
            let parsed = id.parse();
            Some(parsed.map_err(|_| {
                wrong(
                    "That is no exchange id.",
                    "An exchange id is a UUID, as `audit query --json` shows it.",
                )
            })?)
        }
    };
    Ok(Filter {
        since: filter.since,
        until: filter.until,
        event_type,
        exchange_id,
        provider: filter.provider,
        model: filter.model,
        classification: filter.classification.map(|level| level.to_string()),
        user: filter.user,
        agent: filter.agent,
        rule: filter.rule,
        text: filter.text,
        redacted: filter.redacted,
        after_seq: filter.after_seq,
        before_seq: filter.before_seq,
        limit: Some(filter.limit.map_or(MAX_ROWS, |limit| (limit as usize).min(MAX_ROWS))),
        order: if filter.newest_first { Order::Descending } else { Order::Ascending },
        ..Filter::default()
    })
}

fn page(reader: &Reader, mut filter: Filter) -> Result<AuditPage, ControlError> {
    let limit = filter.limit.unwrap_or(MAX_ROWS);
    filter.limit = Some(limit + 1);
    let mut rows = reader.query(&filter).map_err(trail_failed)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let rows = rows.iter().map(|row| serde_json::from_str(&row.json)).collect::<Result<_, _>>();
    Ok(AuditPage { rows: rows.map_err(trail_failed)?, more })
}
