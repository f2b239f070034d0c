//! What an engine must be able to answer.

use std::pin::Pin;

use async_trait::async_trait;
use futures_util::Stream;

use crate::error::ControlError;
use crate::routes::Route;
use crate::types::{
    Activity, ActivityRequest, AgentSessionRequest, AllowAnswer, AllowDraft, AllowEntry, AllowQuestion,
    AllowRemoval, AssessmentAnswer, AssessmentApproval, AssessmentDraft, AssessmentView, AuditFilter,
    AuditPage, CaView, ContentRequest, Counters, ElevationAnswer, ElevationDraft, ElevationToken,
    ElevationView, Event, Flow, Handover, HandoverRequest, HealthItem, IssuedSession, KeptContent,
    OffRequest, PolicyView, QuotaHistory, QuotaView, RuleView, SelfTestReport, SourceStatus, Status,
    TrailProof,
};

/// The process that calls; the server has made sure that it belongs to the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub uid: u32,
    pub pid: Option<u32>,
}

/// How it was made sure that a person wants what a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The route weakens nothing.
    NotNeeded,
    /// The operating system authenticated the person.
    Authenticated,
    /// There is nothing here to ask with; the caller's word counts, and is recorded as such.
    Advisory,
}

pub type EventStream = Pin<Box<dyn Stream<Item = Event> + Send>>;

/// The engine, as seen from the control socket. One method for each row of [`crate::ROUTES`].
#[async_trait]
pub trait Control: Send + Sync + 'static {
    /// Called before each route with the access that it declares. The owner may do everything unless the
    /// engine, for instance by policy, says otherwise here.
    async fn authorise(&self, _caller: &Caller, _route: &Route) -> Result<Proof, ControlError> {
        Ok(Proof::NotNeeded)
    }

    /// Called before a person is asked to weaken something: whether there would be a point in asking. It must tell nothing
    /// that only they may know.
    async fn allow_add_sensible(&self, draft: &AllowDraft) -> Result<(), ControlError>;
    /// The same for an approval.
    async fn elevation_approve_sensible(&self, answer: &ElevationAnswer) -> Result<(), ControlError>;

    async fn status(&self) -> Result<Status, ControlError>;
    async fn health(&self) -> Result<Vec<HealthItem>, ControlError>;
    async fn counters(&self) -> Result<Counters, ControlError>;
    async fn flows(&self) -> Result<Vec<Flow>, ControlError>;
    async fn on(&self) -> Result<Status, ControlError>;
    async fn off(&self, request: OffRequest) -> Result<Status, ControlError>;
    async fn sources(&self) -> Result<Vec<SourceStatus>, ControlError>;
    /// Reads every source again; answers when that is done.
    async fn secrets_sync(&self) -> Result<Vec<SourceStatus>, ControlError>;
    /// Values for the environment of the calling process, if a human has granted them.
    async fn secrets_handover(
        &self,
        caller: &Caller,
        request: HandoverRequest,
    ) -> Result<Handover, ControlError>;
    async fn ca(&self) -> Result<CaView, ControlError>;
    /// Deletes the certificate and its key, and begins to drain: without it nothing can be intercepted.
    async fn ca_remove(&self) -> Result<(), ControlError>;
    async fn policy(&self) -> Result<PolicyView, ControlError>;
    /// Reads configuration and documents again; the last good ones stay if the new ones can't be used.
    async fn policy_reload(&self) -> Result<PolicyView, ControlError>;
    async fn audit_query(&self, filter: AuditFilter) -> Result<AuditPage, ControlError>;
    async fn audit_activity(&self, request: ActivityRequest) -> Result<Activity, ControlError>;
    async fn audit_content(&self, request: ContentRequest) -> Result<KeptContent, ControlError>;
    /// Reads the whole trail; takes seconds for a large one.
    async fn audit_verify(&self) -> Result<TrailProof, ControlError>;
    async fn rules(&self) -> Result<Vec<RuleView>, ControlError>;
    async fn self_test(&self) -> Result<SelfTestReport, ControlError>;
    /// Gives the caller a service account of its own; it lasts as long as the calling process.
    async fn agent_session(
        &self,
        caller: &Caller,
        request: AgentSessionRequest,
    ) -> Result<IssuedSession, ControlError>;
    async fn quota(&self) -> Result<QuotaView, ControlError>;
    async fn quota_history(&self) -> Result<QuotaHistory, ControlError>;
    /// Newest first.
    async fn elevations(&self) -> Result<Vec<ElevationView>, ControlError>;
    async fn elevation_request(&self, draft: ElevationDraft) -> Result<ElevationView, ControlError>;
    async fn elevation_approve(
        &self,
        answer: ElevationAnswer,
        proof: Proof,
    ) -> Result<ElevationView, ControlError>;
    async fn elevation_redeem(&self, token: ElevationToken) -> Result<ElevationView, ControlError>;
    async fn elevation_deny(&self, answer: ElevationAnswer) -> Result<ElevationView, ControlError>;
    async fn elevation_revoke(&self, answer: ElevationAnswer) -> Result<ElevationView, ControlError>;
    async fn allowed(&self) -> Result<Vec<AllowEntry>, ControlError>;
    async fn allow_add(&self, draft: AllowDraft, proof: Proof) -> Result<AllowEntry, ControlError>;
    async fn allow_remove(&self, removal: AllowRemoval) -> Result<AllowEntry, ControlError>;
    async fn allow_check(&self, question: AllowQuestion) -> Result<AllowAnswer, ControlError>;
    async fn assessments(&self) -> Result<Vec<AssessmentView>, ControlError>;
    async fn assessment_begin(&self, draft: AssessmentDraft) -> Result<AssessmentView, ControlError>;
    async fn assessment_answer(&self, answer: AssessmentAnswer) -> Result<AssessmentView, ControlError>;
    async fn assessment_approve(
        &self,
        approval: AssessmentApproval,
        proof: Proof,
    ) -> Result<AssessmentView, ControlError>;
    /// Begins to drain; answers before the engine is gone.
    async fn shutdown(&self) -> Result<(), ControlError>;
    /// Everything from now on. A slow reader is told of its gaps by [`Event::Missed`].
    fn events(&self) -> EventStream;
}
