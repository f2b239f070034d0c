//! The typed client: one method for each route. CLI, desktop and tests share it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use sallyport_platform::peer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::error::{ClientError, ControlError, ErrorCode};
use crate::events::Events;
use crate::routes::{Call, Route};
use crate::transport;
use crate::types::{
    Activity, ActivityRequest, AgentSessionRequest, AllowAnswer, AllowDraft, AllowEntry, AllowQuestion,
    AllowRemoval, AssessmentAnswer, AssessmentApproval, AssessmentDraft, AssessmentView, AuditFilter,
    AuditPage, CaView, ContentRequest, Counters, Done, ElevationAnswer, ElevationDraft, ElevationToken,
    ElevationView, Flow, Handover, HandoverRequest, HealthItem, IssuedSession, KeptContent, OffRequest,
    PolicyView, QuotaHistory, QuotaView, RuleView, SelfTestReport, SourceStatus, Status, TrailProof,
};

/// Beyond the server's own patience, so that its answer about the timeout still arrives.
const GRACE: Duration = Duration::from_secs(5);

/// A caller of one engine. Each call is a connection of its own, so a client never goes stale.
#[derive(Debug, Clone)]
pub struct Client {
    path: PathBuf,
}

impl Client {
    /// `path` of the control socket. Nothing is opened yet.
    pub fn new(path: impl Into<PathBuf>) -> Client {
        Client { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub async fn status(&self) -> Result<Status, ClientError> {
        self.call(Call::Status, &()).await
    }

    pub async fn health(&self) -> Result<Vec<HealthItem>, ClientError> {
        self.call(Call::Health, &()).await
    }

    pub async fn counters(&self) -> Result<Counters, ClientError> {
        self.call(Call::Counters, &()).await
    }

    pub async fn flows(&self) -> Result<Vec<Flow>, ClientError> {
        self.call(Call::Flows, &()).await
    }

    pub async fn on(&self) -> Result<Status, ClientError> {
        self.call(Call::On, &()).await
    }

    pub async fn off(&self, request: &OffRequest) -> Result<Status, ClientError> {
        self.call(Call::Off, request).await
    }

    pub async fn sources(&self) -> Result<Vec<SourceStatus>, ClientError> {
        self.call(Call::Sources, &()).await
    }

    pub async fn secrets_sync(&self) -> Result<Vec<SourceStatus>, ClientError> {
        self.call(Call::SecretsSync, &()).await
    }

    /// The secrets of one class for this process's environment.
    pub async fn secrets_handover(&self, request: &HandoverRequest) -> Result<Handover, ClientError> {
        let route = row(Call::SecretsHandover)?;
        let bytes = self.asked(route, request).await?;
        Handover::parse(&bytes)
            .map_err(|broken| ClientError::Garbled { route: route.label(), source: broken.into() })
    }

    pub async fn ca(&self) -> Result<CaView, ClientError> {
        self.call(Call::Ca, &()).await
    }

    pub async fn policy(&self) -> Result<PolicyView, ClientError> {
        self.call(Call::Policy, &()).await
    }

    pub async fn policy_reload(&self) -> Result<PolicyView, ClientError> {
        self.call(Call::PolicyReload, &()).await
    }

    pub async fn audit_query(&self, filter: &AuditFilter) -> Result<AuditPage, ClientError> {
        self.call(Call::AuditQuery, filter).await
    }

    pub async fn audit_activity(&self, request: &ActivityRequest) -> Result<Activity, ClientError> {
        self.call(Call::AuditActivity, request).await
    }

    pub async fn audit_content(&self, request: &ContentRequest) -> Result<KeptContent, ClientError> {
        self.call(Call::AuditContent, request).await
    }

    pub async fn audit_verify(&self) -> Result<TrailProof, ClientError> {
        self.call(Call::AuditVerify, &()).await
    }

    pub async fn rules(&self) -> Result<Vec<RuleView>, ClientError> {
        self.call(Call::Rules, &()).await
    }

    pub async fn self_test(&self) -> Result<SelfTestReport, ClientError> {
        self.call(Call::SelfTest, &()).await
    }

    /// A service account for this process and what it starts, until it ends.
    pub async fn agent_session(&self, request: &AgentSessionRequest) -> Result<IssuedSession, ClientError> {
        self.call(Call::AgentSession, request).await
    }

    pub async fn quota(&self) -> Result<QuotaView, ClientError> {
        self.call(Call::Quota, &()).await
    }

    pub async fn quota_history(&self) -> Result<QuotaHistory, ClientError> {
        self.call(Call::QuotaHistory, &()).await
    }

    pub async fn elevations(&self) -> Result<Vec<ElevationView>, ClientError> {
        self.call(Call::Elevations, &()).await
    }

    pub async fn elevation_request(&self, draft: &ElevationDraft) -> Result<ElevationView, ClientError> {
        self.call(Call::ElevationRequest, draft).await
    }

    pub async fn elevation_approve(&self, answer: &ElevationAnswer) -> Result<ElevationView, ClientError> {
        self.call(Call::ElevationApprove, answer).await
    }

    pub async fn elevation_redeem(&self, token: &ElevationToken) -> Result<ElevationView, ClientError> {
        self.call(Call::ElevationRedeem, token).await
    }

    pub async fn elevation_deny(&self, answer: &ElevationAnswer) -> Result<ElevationView, ClientError> {
        self.call(Call::ElevationDeny, answer).await
    }

    pub async fn elevation_revoke(&self, answer: &ElevationAnswer) -> Result<ElevationView, ClientError> {
        self.call(Call::ElevationRevoke, answer).await
    }

    pub async fn ca_remove(&self) -> Result<(), ClientError> {
        self.call::<_, Done>(Call::CaRemove, &()).await.map(|_| ())
    }

    pub async fn allowed(&self) -> Result<Vec<AllowEntry>, ClientError> {
        self.call(Call::Allowed, &()).await
    }

    pub async fn allow_add(&self, draft: &AllowDraft) -> Result<AllowEntry, ClientError> {
        self.call(Call::AllowAdd, draft).await
    }

    pub async fn allow_remove(&self, removal: &AllowRemoval) -> Result<AllowEntry, ClientError> {
        self.call(Call::AllowRemove, removal).await
    }

    pub async fn allow_check(&self, question: &AllowQuestion) -> Result<AllowAnswer, ClientError> {
        self.call(Call::AllowCheck, question).await
    }

    pub async fn assessments(&self) -> Result<Vec<AssessmentView>, ClientError> {
        self.call(Call::Assessments, &()).await
    }

    pub async fn assessment_begin(&self, draft: &AssessmentDraft) -> Result<AssessmentView, ClientError> {
        self.call(Call::AssessmentBegin, draft).await
    }

    pub async fn assessment_answer(&self, answer: &AssessmentAnswer) -> Result<AssessmentView, ClientError> {
        self.call(Call::AssessmentAnswer, answer).await
    }

    pub async fn assessment_approve(
        &self,
        approval: &AssessmentApproval,
    ) -> Result<AssessmentView, ClientError> {
        self.call(Call::AssessmentApprove, approval).await
    }

    pub async fn shutdown(&self) -> Result<(), ClientError> {
        self.call::<_, Done>(Call::Shutdown, &()).await.map(|_| ())
    }

    /// What happens from now on.
    pub async fn events(&self) -> Result<Events, ClientError> {
        let route = row(Call::Events)?;
        let late = |_| ClientError::TimedOut { route: route.label(), seconds: route.patience.as_secs() };
        let response = timeout(route.patience, self.send(route, Bytes::new())).await.map_err(late)??;
        if response.status().is_success() {
            return Ok(Events::new(response.into_body()));
        }
        Err(refused(route, &collected(route, response).await?))
    }

    async fn call<Q: Serialize, A: DeserializeOwned>(&self, call: Call, body: &Q) -> Result<A, ClientError> {
        let route = row(call)?;
        let bytes = self.asked(route, body).await?;
        serde_json::from_slice(&bytes)
            .map_err(|source| ClientError::Garbled { route: route.label(), source: source.into() })
    }

    async fn asked<Q: Serialize>(&self, route: &'static Route, body: &Q) -> Result<Bytes, ClientError> {
        let body = match serde_json::to_vec(body) {
            // `()` is `null`: nothing to send.
            Ok(json) if json == b"null" => Bytes::new(),
            Ok(json) => Bytes::from(json),
            Err(source) => return Err(ClientError::Garbled { route: route.label(), source: source.into() }),
        };
        let patience = route.patience + GRACE;
        let answer = async {
            let response = self.send(route, body).await?;
            let status = response.status();
            let bytes = collected(route, response).await?;
            if !status.is_success() {
                return Err(refused(route, &bytes));
            }
            Ok(bytes)
        };
        let late = |_| ClientError::TimedOut { route: route.label(), seconds: patience.as_secs() };
        timeout(patience, answer).await.map_err(late)?
    }

    async fn send(&self, route: &'static Route, body: Bytes) -> Result<Response<Incoming>, ClientError> {
        let unreachable = |source| ClientError::Unreachable { path: self.path.clone(), source };
        let broken =
            |source: hyper::Error| ClientError::Broken { route: route.label(), source: source.into() };
        let stream = transport::connect(&self.path).await.map_err(unreachable)?;
        let server = transport::caller(&stream).map_err(unreachable)?;
        // Root may run an engine for tests or repair; any other stranger must not see what is asked.
        if server.uid != peer::current_uid() && server.uid != 0 {
            return Err(ClientError::Stranger { path: self.path.clone(), uid: server.uid });
        }
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the engine ended early");
            }
        });
        let request = Request::builder()
            .method(route.method.as_str())
            .uri(route.path)
            .header(header::HOST, "sallyport")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|source| ClientError::Garbled { route: route.label(), source: source.into() })?;
        sender.send_request(request).await.map_err(broken)
    }
}

/// Longest answer that is read: a page of audit rows.
const MAX_ANSWER: usize = 256 << 20;

async fn collected(route: &'static Route, response: Response<Incoming>) -> Result<Bytes, ClientError> {
    let limited = http_body_util::Limited::new(response.into_body(), MAX_ANSWER);
    limited
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(|source| ClientError::Broken { route: route.label(), source })
}

fn refused(route: &'static Route, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<ControlError>(body) {
        Ok(error) => ClientError::Refused(error),
        Err(source) => ClientError::Garbled { route: route.label(), source: source.into() },
    }
}

fn row(call: Call) -> Result<&'static Route, ClientError> {
    Route::of(call).ok_or_else(|| {
        ClientError::Refused(ControlError::new(ErrorCode::NotFound, "this version has no such route"))
    })
}
