//! The server and its client over a real socket; every row of the table is walked.

mod wire;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use sallyport_platform::{LockedBytes, peer};
use sallyport_policy::elevation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::routes::{Call, Method};
use crate::types::*;
use crate::{
    Access, BindError, Caller, Client, ClientError, Control, ControlError, ControlListener, ErrorCode,
    EventStream, Proof, ROUTES, Route, ServerLimits, serve_with,
};

/// An engine that answers with examples and remembers what it was asked.
struct Example {
    calls: AtomicUsize,
    refuses_admin: AtomicBool,
    events: broadcast::Sender<Event>,
}

fn moment() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        pid: 4242,
        listen: "127.0.0.1:8877".into(),
        state: State::Attention,
        since: moment(),
        paused_until: None,
        owner_uid: 1000,
        counters: Counters { exchanges: 12, redactions: 3, ..Counters::default() },
        health: vec![HealthItem {
            code: "secrets-stale".into(),
            severity: HealthSeverity::Warning,
            title: "Known secrets are not up to date".into(),
            sentence: "The vault does not answer.".into(),
            fix: "Start the vault.".into(),
            since: moment(),
        }],
        secrets: SecretTotals {
            sources: 2,
            failed_sources: 1,
            secrets: 50,
            weak: 1,
            loaded_at: Some(moment()),
        },
        audit: AuditHead { seq: 24, hash: "00ff".into() },
        policy: PolicyRef {
            version: "0123456789abcdef".into(),
            profile: "balanced".into(),
            ..PolicyRef::default()
        },
        agents: vec![session()],
    }
}

fn session() -> AgentSession {
    AgentSession {
        account: "agent-reviewer-5f3a".into(),
        class: "reviewer".into(),
        tier: Some("read-only".into()),
        pid: 99,
        since: moment(),
    }
}

fn quota() -> QuotaView {
    let gauge = QuotaGauge {
        limit: sallyport_policy::quotas::Limit::RequestsPerMinute,
        size: 20,
        used: 7,
        resets_at: Some(moment()),
    };
    QuotaView {
        subjects: vec![SubjectQuota {
            subject: "ann".into(),
            tier: "developer".into(),
            max_prompt_length: Some(8_000),
            gauges: vec![gauge],
        }],
        on_exceed: sallyport_policy::config::OnExceed::Warn,
        store: "sqlite".into(),
        store_reachable: true,
        today: usage(),
    }
}

fn usage() -> Usage {
    Usage { requests: 9, input: 1_200, output: 300, cost_micros: 6_000, ..Usage::default() }
}

fn history() -> QuotaHistory {
    QuotaHistory {
        hours: vec![UsagePeriod { start: moment(), usage: usage() }],
        days: vec![UsagePeriod { start: moment(), usage: usage() }],
        models: vec![ModelUse { model: Some("gpt-4o".into()), usage: usage() }],
    }
}

fn elevation(state: elevation::State) -> ElevationView {
    let draft = elevation::Draft {
        scope: elevation::Scope::SecretsRead,
        resources: vec!["billing/key".into()],
        account: "coding-assistant".into(),
        justification: "to pay".into(),
        seconds: 1_800,
    };
    let terms = elevation::Terms::default();
    let (request, _) = elevation::judge(&draft, 7, &terms, moment()).unwrap();
    let grant = (state == elevation::State::Approved)
        .then(|| request.grant(elevation::Grantor::Person, 600, &terms, moment()));
    let question = elevation::Question { engine: "e".into(), nonce: "n".into(), request };
    ElevationView { question, state, grant, uses: 0, decided_at: None, held_until: None }
}

impl Example {
    fn counted<T>(&self, value: T) -> Result<T, ControlError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Ok(value)
    }
}

#[async_trait]
impl Control for Example {
    async fn authorise(&self, caller: &Caller, route: &Route) -> Result<Proof, ControlError> {
        assert_eq!(caller.uid, peer::current_uid());
        assert_eq!(caller.pid, Some(std::process::id()));
        if route.access == Access::Admin && self.refuses_admin.load(Ordering::SeqCst) {
            return Err(ControlError::new(
                ErrorCode::NotPermitted,
                "policy does not let this be switched off",
            )
            .with_hint("ask whoever manages this machine"));
        }
        Ok(Proof::Authenticated)
    }

    async fn status(&self) -> Result<Status, ControlError> {
        self.counted(status())
    }
    async fn health(&self) -> Result<Vec<HealthItem>, ControlError> {
        self.counted(status().health)
    }
    async fn counters(&self) -> Result<Counters, ControlError> {
        self.counted(status().counters)
    }
    async fn flows(&self) -> Result<Vec<Flow>, ControlError> {
        self.counted(vec![Flow {
            id: 7,
            host: "api.openai.com".into(),
            port: 443,
            handling: Handling::Intercepted,
            pid: Some(99),
            executable: Some("/usr/bin/curl".into()),
            account: Some("agent-reviewer-5f3a".into()),
            since: moment(),
        }])
    }
    async fn on(&self) -> Result<Status, ControlError> {
        self.counted(status())
    }
    async fn off(&self, request: OffRequest) -> Result<Status, ControlError> {
        let paused_until = request.for_seconds.map(|_| moment());
        let state = if paused_until.is_some() { State::Paused } else { State::Off };
        self.counted(Status { state, paused_until, ..status() })
    }
    async fn sources(&self) -> Result<Vec<SourceStatus>, ControlError> {
        self.counted(vec![SourceStatus {
            id: "vault:0".into(),
            kind: "vault".into(),
            location: "https://127.0.0.1:8200/secret/ai-protected/".into(),
            state: SourceState::Stale,
            names: vec!["db-password".into()],
            weak_names: vec![],
            skipped: 0,
            loaded_at: Some(moment()),
            error: Some(SourceFailure {
                code: "unreachable".into(),
                message: "The vault does not answer.".into(),
                hint: "Start it.".into(),
            }),
        }])
    }
    async fn secrets_sync(&self) -> Result<Vec<SourceStatus>, ControlError> {
        self.sources().await
    }
    async fn secrets_handover(
        &self,
        caller: &Caller,
        request: HandoverRequest,
    ) -> Result<Handover, ControlError> {
        assert!(caller.pid.is_some());
        if request.class == "waits" {
            return self.counted(Handover::Waits(Box::new(elevation(elevation::State::Pending))));
        }
        let value = LockedBytes::from_wiped(&mut request.class.into_bytes()).unwrap();
        self.counted(Handover::Granted(vec![Variable { name: "A_KEY".into(), value }]))
    }
    async fn ca(&self) -> Result<CaView, ControlError> {
        self.counted(CaView {
            root_pem: "-----BEGIN CERTIFICATE-----\n".into(),
            fingerprint_sha256: "AB:CD".into(),
            not_after: moment(),
            constraints: vec!["api.openai.com".into(), "*.openai.azure.com".into()],
            key_store: KeyStoreKind::Keychain,
            bundle: Some("/home/ann/bundle.pem".into()),
        })
    }
    async fn policy(&self) -> Result<PolicyView, ControlError> {
        self.counted(PolicyView {
            version: "0123456789abcdef".into(),
            settings: vec![sallyport_policy::settings::SettingRow {
                key: "opaque".into(),
                value: "warn".into(),
                origin: sallyport_policy::settings::Origin::Default,
                locked: false,
            }],
            documents: vec![],
            problems: vec![],
        })
    }
    async fn policy_reload(&self) -> Result<PolicyView, ControlError> {
        self.policy().await
    }
    async fn audit_query(&self, filter: AuditFilter) -> Result<AuditPage, ControlError> {
        let rows = (0..filter.limit.unwrap_or(1)).map(|seq| serde_json::json!({"seq": seq})).collect();
        self.counted(AuditPage { rows, more: true })
    }
    async fn audit_activity(&self, request: ActivityRequest) -> Result<Activity, ControlError> {
        let part = ActivityPart { since: request.since, counts: ActivityCounts::default() };
        self.counted(Activity {
            total: ActivityCounts::default(),
            parts: vec![part; request.parts as usize],
            tools: Vec::new(),
            providers: Vec::new(),
            rules: Vec::new(),
        })
    }
    async fn audit_content(&self, request: ContentRequest) -> Result<KeptContent, ControlError> {
        self.counted(KeptContent { text: Some(request.seq.to_string()) })
    }
    async fn audit_verify(&self) -> Result<TrailProof, ControlError> {
        self.counted(TrailProof { whole: true, rows: 7, fault: None, took_ms: 1 })
    }
    async fn rules(&self) -> Result<Vec<RuleView>, ControlError> {
        self.counted(Vec::new())
    }
    async fn self_test(&self) -> Result<SelfTestReport, ControlError> {
        let check =
            SelfTestCheck { name: "request".into(), passed: true, sentence: "It never arrived.".into() };
        self.counted(SelfTestReport { passed: true, checks: vec![check], took_ms: 12 })
    }
    async fn agent_session(
        &self,
        caller: &Caller,
        request: AgentSessionRequest,
    ) -> Result<IssuedSession, ControlError> {
        assert_eq!(caller.pid, Some(std::process::id()));
        let session = AgentSession { class: request.class, ..session() };
        self.counted(IssuedSession { session, token: "once".into(), remark: None })
    }
    async fn quota(&self) -> Result<QuotaView, ControlError> {
        self.counted(quota())
    }
    async fn quota_history(&self) -> Result<QuotaHistory, ControlError> {
        self.counted(history())
    }
    async fn elevations(&self) -> Result<Vec<ElevationView>, ControlError> {
        self.counted(vec![elevation(elevation::State::Pending)])
    }
    async fn elevation_request(&self, _: ElevationDraft) -> Result<ElevationView, ControlError> {
        self.counted(elevation(elevation::State::Pending))
    }
    async fn elevation_approve(
        &self,
        _: ElevationAnswer,
        proof: Proof,
    ) -> Result<ElevationView, ControlError> {
        assert_eq!(proof, Proof::Authenticated, "what `authorise` found comes with the call");
        self.counted(elevation(elevation::State::Approved))
    }
    async fn elevation_redeem(&self, _: ElevationToken) -> Result<ElevationView, ControlError> {
        self.counted(elevation(elevation::State::Approved))
    }
    async fn elevation_deny(&self, _: ElevationAnswer) -> Result<ElevationView, ControlError> {
        self.counted(elevation(elevation::State::Denied))
    }
    async fn elevation_revoke(&self, _: ElevationAnswer) -> Result<ElevationView, ControlError> {
        self.counted(elevation(elevation::State::Revoked))
    }
    async fn ca_remove(&self) -> Result<(), ControlError> {
        self.counted(())
    }

    async fn allowed(&self) -> Result<Vec<AllowEntry>, ControlError> {
        self.counted(vec![allowed()])
    }
    async fn allow_add_sensible(&self, draft: &AllowDraft) -> Result<(), ControlError> {
        match draft.rule.as_deref() {
            Some("no-such-rule") => Err(ControlError::new(ErrorCode::BadRequest, "no rule is called so")),
            _ => Ok(()),
        }
    }
    async fn elevation_approve_sensible(&self, _: &ElevationAnswer) -> Result<(), ControlError> {
        Ok(())
    }
    async fn allow_add(&self, draft: AllowDraft, proof: Proof) -> Result<AllowEntry, ControlError> {
        assert_eq!(proof, Proof::Authenticated, "what `authorise` found comes with the call");
        assert!(!format!("{draft:?}").contains("hunter"), "the value is not shown");
        self.counted(allowed())
    }
    async fn allow_remove(&self, _: AllowRemoval) -> Result<AllowEntry, ControlError> {
        self.counted(allowed())
    }
    async fn allow_check(&self, question: AllowQuestion) -> Result<AllowAnswer, ControlError> {
        self.counted(AllowAnswer { allowed: question.values.iter().map(|value| value == "x").collect() })
    }
    async fn assessments(&self) -> Result<Vec<AssessmentView>, ControlError> {
        self.counted(vec![assessment()])
    }
    async fn assessment_begin(&self, _: AssessmentDraft) -> Result<AssessmentView, ControlError> {
        self.counted(assessment())
    }
    async fn assessment_answer(&self, _: AssessmentAnswer) -> Result<AssessmentView, ControlError> {
        self.counted(assessment())
    }
    async fn assessment_approve(
        &self,
        _: AssessmentApproval,
        proof: Proof,
    ) -> Result<AssessmentView, ControlError> {
        assert_eq!(proof, Proof::Authenticated, "what `authorise` found comes with the call");
        self.counted(assessment())
    }
    async fn shutdown(&self) -> Result<(), ControlError> {
        self.counted(())
    }
    fn events(&self) -> EventStream {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let receiver = self.events.subscribe();
        Box::pin(stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.ok().map(|event| (event, receiver))
        }))
    }
}

fn assessment() -> AssessmentView {
    use sallyport_policy::assessment::{AssessmentRecord, Day, Standing};
    AssessmentView {
        record: AssessmentRecord {
            tool: "cursor".into(),
            providers: ["cursor".to_owned()].into(),
            template: "t".into(),
            created: Day::parse("2026-11-26").unwrap(),
            certificates: Default::default(),
            answers: Default::default(),
            approval: None,
        },
        managed: false,
        counts: true,
        standing: Standing::Ready,
        questions: Vec::new(),
        conditions: Vec::new(),
    }
}

fn allowed() -> AllowEntry {
    AllowEntry {
        id: 1,
        fingerprint: None,
        rule: Some("jwt".into()),
        path: Some("tests/**".into()),
        reason: "made up".into(),
        added_at: moment(),
        expires_at: None,
        state: AllowState::InForce,
    }
}

struct Running {
    _home: tempfile::TempDir,
    path: PathBuf,
    engine: Arc<Example>,
    client: Client,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

async fn running_for(owner: u32, limits: ServerLimits) -> Running {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run").join("control.sock");
    let engine = Arc::new(Example {
        calls: AtomicUsize::new(0),
        refuses_admin: AtomicBool::new(false),
        events: broadcast::channel(16).0,
    });
    let shutdown = CancellationToken::new();
    let listener = ControlListener::bind(&path).unwrap();
    let control: Arc<dyn Control> = Arc::clone(&engine) as _;
    let task = tokio::spawn(serve_with(listener, owner, control, shutdown.clone(), limits));
    Running { _home: home, client: Client::new(&path), path, engine, shutdown, task }
}

async fn running() -> Running {
    running_for(peer::current_uid(), ServerLimits::default()).await
}

/// Says something to the socket and returns all that comes back.
async fn raw(path: &std::path::Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    // A server that answers early may close before all is written.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn plain(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn the_table_is_sound() {
    let mut places: Vec<_> = ROUTES.iter().map(|route| (route.path, route.method.as_str())).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), ROUTES.len());
    for route in ROUTES {
        assert_eq!(Route::of(route.call), Some(route), "one row for each call");
        assert!(route.path.starts_with("/v1/") && !route.path.ends_with('/'), "{}", route.path);
        assert!(!route.summary.is_empty() && !route.summary.ends_with('.'), "{}", route.path);
        if route.access != Access::Read {
            assert_eq!(route.method, Method::Post, "{} changes something", route.path);
        }
    }
    let admin: Vec<_> = ROUTES.iter().filter(|r| r.access == Access::Admin).map(|r| r.call).collect();
    assert_eq!(
        admin,
        [
            Call::Off,
            Call::CaRemove,
            Call::Shutdown,
            Call::ElevationApprove,
            Call::AllowAdd,
            Call::AssessmentApprove
        ],
        "what weakens or ends protection"
    );
}

#[tokio::test]
async fn every_route_answers_its_owner() {
    let it = running().await;
    for route in ROUTES.iter().filter(|route| route.call != Call::Events) {
        let answer = raw(&it.path, &plain(route.method.as_str(), route.path, "")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{}: {answer}", route.path);
        assert!(answer.contains("content-type: application/json\r\n"), "{}", route.path);
        let other = if route.method == Method::Get { "POST" } else { "GET" };
        let answer = raw(&it.path, &plain(other, route.path, "")).await;
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("\"method_not_allowed\""), "{answer}");
    }
    let calls = it.engine.calls.load(Ordering::SeqCst);
    assert_eq!(calls, ROUTES.len() - 1, "each route asked the engine once");
}

#[tokio::test]
async fn no_route_answers_another_user() {
    let it = running_for(peer::current_uid() + 1, ServerLimits::default()).await;
    for route in ROUTES {
        let answer = raw(&it.path, &plain(route.method.as_str(), route.path, "")).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 403 Forbidden\r\n"),
            "{}: {answer}",
            route.path
        );
        assert!(answer.is_empty() || answer.contains("\"code\":\"forbidden\""), "{}: {answer}", route.path);
    }
    assert!(it.client.status().await.is_err());
    assert_eq!(it.engine.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_engine_may_refuse_what_weakens() {
    let it = running().await;
    it.engine.refuses_admin.store(true, Ordering::SeqCst);
    for route in ROUTES.iter().filter(|route| route.call != Call::Events) {
        let answer = raw(&it.path, &plain(route.method.as_str(), route.path, "")).await;
        let refused = answer.starts_with("HTTP/1.1 403 ") && answer.contains("\"not_permitted\"");
        assert_eq!(refused, route.access == Access::Admin, "{}: {answer}", route.path);
    }
    // Nobody is asked about what makes no sense.
    let nonsense = AllowDraft { rule: Some("no-such-rule".into()), ..AllowDraft::default() };
    let error = it.client.allow_add(&nonsense).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused(ControlError { code: ErrorCode::BadRequest, .. })));
    let answer = raw(&it.path, &plain("POST", "/v1/off", "{\"for\": 3}")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let error = it.client.off(&OffRequest::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "policy does not let this be switched off");
    assert_eq!(error.hint().as_deref(), Some("ask whoever manages this machine"));
    assert!(matches!(error, ClientError::Refused(ControlError { code: ErrorCode::NotPermitted, .. })));
}

#[tokio::test]
async fn the_client_has_every_call() {
    let it = running().await;
    let client = &it.client;
    assert_eq!(client.status().await.unwrap(), status());
    assert_eq!(client.health().await.unwrap(), status().health);
    assert_eq!(client.counters().await.unwrap().exchanges, 12);
    assert_eq!(client.flows().await.unwrap()[0].port, 443);
    assert_eq!(client.on().await.unwrap().state, State::Attention);
    assert_eq!(client.off(&OffRequest::default()).await.unwrap().state, State::Off);
    let pause = OffRequest { for_seconds: Some(900), reason: Some("a demo".into()) };
    assert_eq!(client.off(&pause).await.unwrap().state, State::Paused);
    assert_eq!(client.sources().await.unwrap()[0].names, ["db-password"]);
    assert_eq!(client.secrets_sync().await.unwrap().len(), 1);
    let class = |class: &str| HandoverRequest { class: class.into(), justification: String::new() };
    let Handover::Granted(handed) = client.secrets_handover(&class("made-up-1")).await.unwrap() else {
        panic!()
    };
    assert_eq!((handed[0].name.as_str(), &handed[0].value[..]), ("A_KEY", &b"made-up-1"[..]));
    assert!(matches!(client.secrets_handover(&class("waits")).await.unwrap(), Handover::Waits(_)));
    assert_eq!(client.ca().await.unwrap().key_store, KeyStoreKind::Keychain);
    assert_eq!(client.policy().await.unwrap().settings[0].key, "opaque");
    assert_eq!(client.policy_reload().await.unwrap().documents, []);
    let filter = AuditFilter { limit: Some(3), ..AuditFilter::default() };
    assert_eq!(client.audit_query(&filter).await.unwrap().rows.len(), 3);
    let stretch = ActivityRequest { since: moment(), until: moment(), parts: 24 };
    assert_eq!(client.audit_activity(&stretch).await.unwrap().parts.len(), 24);
    let kept = client.audit_content(&ContentRequest { seq: 42 }).await.unwrap();
    assert_eq!(kept.text.as_deref(), Some("42"));
    assert_eq!(format!("{kept:?}"), "KeptContent { kept: true }");
    assert!(client.audit_verify().await.unwrap().whole);
    assert!(client.rules().await.unwrap().is_empty());
    assert!(client.self_test().await.unwrap().passed);
    let issued = client.agent_session(&AgentSessionRequest { class: "reviewer".into() }).await.unwrap();
    assert_eq!((issued.session, issued.token.as_str()), (session(), "once"));
    assert_eq!(client.quota().await.unwrap(), quota());
    assert_eq!(client.quota_history().await.unwrap(), history());
    assert_eq!(client.elevations().await.unwrap(), [elevation(elevation::State::Pending)]);
    let asked = client.elevation_request(&ElevationDraft::default()).await.unwrap();
    assert_eq!(asked.question.request.id, 7);
    let answer = ElevationAnswer { id: 7, for_seconds: Some(600) };
    assert!(client.elevation_approve(&answer).await.unwrap().grant.is_some());
    assert!(client.elevation_redeem(&ElevationToken::default()).await.unwrap().grant.is_some());
    assert_eq!(client.elevation_deny(&answer).await.unwrap().state, elevation::State::Denied);
    assert_eq!(client.elevation_revoke(&answer).await.unwrap().state, elevation::State::Revoked);
    client.ca_remove().await.unwrap();
    assert_eq!(client.allowed().await.unwrap(), [allowed()]);
    let draft = AllowDraft { value: Some("hunter22".into()), ..AllowDraft::default() };
    assert_eq!(client.allow_add(&draft).await.unwrap(), allowed());
    assert_eq!(client.allow_remove(&AllowRemoval { id: 1 }).await.unwrap().id, 1);
    assert_eq!(client.assessments().await.unwrap(), [assessment()]);
    let draft = AssessmentDraft { tool: "cursor".into(), ..AssessmentDraft::default() };
    assert_eq!(client.assessment_begin(&draft).await.unwrap(), assessment());
    assert_eq!(client.assessment_answer(&AssessmentAnswer::default()).await.unwrap(), assessment());
    assert_eq!(client.assessment_approve(&AssessmentApproval::default()).await.unwrap(), assessment());
    let question = AllowQuestion { values: vec!["x".into(), "y".into()] };
    assert_eq!(client.allow_check(&question).await.unwrap().allowed, [true, false]);
    client.shutdown().await.unwrap();
}

#[tokio::test]
async fn events_arrive_as_they_happen_and_end_with_the_engine() {
    let limits = ServerLimits { heartbeat: Duration::from_millis(5), ..ServerLimits::default() };
    let it = running_for(peer::current_uid(), limits).await;
    let mut events = it.client.events().await.unwrap();
    let state = Event::State { state: State::Off, since: moment(), paused_until: None };
    let row = Event::Audit { row: serde_json::json!({"text": "line\nbreak \u{2028}"}) };
    for event in [&state, &row] {
        it.engine.events.send(event.clone()).unwrap();
        assert_eq!(events.next().await.unwrap().unwrap(), *event);
    }
    it.shutdown.cancel();
    assert!(events.next().await.is_none());
    it.task.await.unwrap();
    assert!(!it.path.exists(), "the socket goes with its engine");
}

#[tokio::test]
async fn bad_requests_are_answered_and_never_reach_the_engine() {
    let limits = ServerLimits { read: Duration::from_millis(200), ..ServerLimits::default() };
    let it = running_for(peer::current_uid(), limits).await;
    let long = "x".repeat(limits.body_bytes + 1);
    let table = [
        (plain("GET", "/v1/nothing", ""), "404 ", "not_found"),
        (plain("GET", "/", ""), "404 ", "not_found"),
        (plain("POST", "/v1/off", "{"), "400 ", "bad_request"),
        (plain("POST", "/v1/off", "{\"for_secs\": 1}"), "400 ", "bad_request"),
        (plain("POST", "/v1/off", "{\"for_seconds\": -1}"), "400 ", "bad_request"),
        (plain("POST", "/v1/audit/query", "[1]"), "400 ", "bad_request"),
        (plain("POST", "/v1/off", &long), "413 ", "too_large"),
        ("POST /v1/off HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{".to_owned(), "504 ", "timed_out"),
    ];
    for (request, code, word) in table {
        let answer = raw(&it.path, &request).await;
        let start: String = request.chars().take(60).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{start}: {answer}");
        assert!(answer.contains(&format!("\"code\":\"{word}\"")), "{start}: {answer}");
    }
    raw(&it.path, "not http at all\r\n\r\n").await;
    raw(&it.path, "GET /v1/sta").await;
    assert_eq!(it.engine.calls.load(Ordering::SeqCst), 0);
    assert!(it.client.status().await.is_ok(), "it still serves");
}

#[tokio::test]
async fn a_client_says_when_nobody_answers() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("control.sock");
    let client = Client::new(&path);
    assert!(client.status().await.unwrap_err().is_unreachable(), "no socket");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let error = client.status().await.unwrap_err();
    assert!(error.is_unreachable(), "a stale socket");
    assert_eq!(error.to_string(), format!("no engine answers at {}", path.display()));
}

#[tokio::test]
async fn the_socket_is_the_owners_alone() {
    let it = running().await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&it.path), 0o600);
    assert_eq!(mode(it.path.parent().unwrap()), 0o700);
    assert_eq!(std::fs::metadata(&it.path).unwrap().uid(), peer::current_uid());
}

#[tokio::test]
async fn only_a_stale_socket_is_replaced() {
    let it = running().await;
    assert!(
        matches!(ControlListener::bind(&it.path), Err(BindError::InUse { .. })),
        "an engine of ours runs"
    );

    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("control.sock");
    let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert!(matches!(ControlListener::bind(&path), Err(BindError::InUse { .. })), "another program listens");
    drop(other);
    let listener = ControlListener::bind(&path).unwrap();
    drop(listener);
    assert!(!path.exists());

    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(ControlListener::bind(&path), Err(BindError::NotASocket { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_later_engines_socket_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("control.sock");
    let first = ControlListener::bind(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let _second = std::os::unix::net::UnixListener::bind(&path).unwrap();
    drop(first);
    assert!(path.exists());
}

#[tokio::test]
async fn too_many_connections_wait_for_nobody() {
    let limits = ServerLimits { connections: 2, ..ServerLimits::default() };
    let it = running_for(peer::current_uid(), limits).await;
    let held =
        stream::iter(0..2).then(|_| async { it.client.events().await.unwrap() }).collect::<Vec<_>>().await;
    assert!(it.client.status().await.is_err());
    drop(held);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while it.client.status().await.is_err() {
        // A place is free once the server has seen the end of a stream: on its next write at the latest.
        let _ = it.engine.events.send(Event::Missed { events: 1 });
        assert!(std::time::Instant::now() < deadline, "places are given back");
        tokio::task::yield_now().await;
    }
}
