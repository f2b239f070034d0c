//! One exchange, walked once: identify, read, look, decide, rewrite, record, send; and the way back.

mod look;
mod refused;
mod send;
mod taken;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, request};
use hudson_proxy::{Body, ExchangeContext, Upstream};
use sallyport_audit::{Actor, AiProvider};
use sallyport_detect::{Placeholders, Scanner};
use sallyport_platform::process::Process;
use sallyport_policy::Level;
use sallyport_policy::classification::Mark;
use sallyport_policy::config::ContentRetention;
use sallyport_policy::providers::{Endpoint, Provider, TrafficKind, WireFamily};
use sallyport_policy::settings::{RerouteTarget, TelemetryPolicy};
use sallyport_policy::verdict::{self, BodyNature, Decision, Found, RequestFacts, Route};
use sallyport_wire::{Family, Limits};
use uuid::Uuid;

use crate::accounts::{Credential, ServiceAccount};
use crate::agents;
use crate::answer::{self, Return};
use crate::destination;
use crate::engine::Engine;
use crate::flow::Flow;
use crate::guard::{Grants, Guard, Restore};
use crate::head;
use crate::inspect::{Inspected, Placed};
use crate::policy::Policy;
use crate::record::{BodyFacts, Parties, SentFacts};
use crate::reroute;
use crate::respond::{self, Refusal};
use crate::rewriter::Lens;
use crate::threads;
use crate::trail_words::in_the_trail;
use crate::words::Known;
pub(crate) use look::Looks;
use look::{Look, Seen};
use refused::Stop;
use taken::Taken;

/// Walks one exchange to its end.
pub(crate) async fn walk(
    engine: &Arc<Engine>,
    context: ExchangeContext,
    request: Request<Body>,
    mut upstream: Upstream,
) -> Response<Body> {
    let policy = engine.policy();
    let Some(provider) = policy.snapshot.providers.intercepted(context.target.host(), context.target.port())
    else {
        // The host left the registry while this connection was open.
        return forward(upstream, request).await;
    };
    if engine.switch.is_off() {
        return forward(upstream, request).await;
    }
    engine.warm_rules();
    let _under_way = engine.counters.exchange();
    upstream.prepare();
    let started = Instant::now();
    let endpoint = provider.endpoint(request.uri().path());
    let family = wire_family(&endpoint);
    let flow = context.peer.downcast_ref::<Flow>();
    let process = match flow {
        Some(flow) => flow.process().await,
        None => None,
    };
    if let Some(process) = process
        && policy.snapshot.secrets.client_environment.value
    {
        engine.environments.learn(engine, process).await;
    }
    let credential = Credential::read(context.proxy_auth.as_ref());
    let told = engine.sessions.account(credential.as_ref(), process, &policy.account);
    let account = told.as_ref().unwrap_or(&policy.account);
    let parties = parties(engine, &policy, &context, &request, flow, process, account, provider);
    let workspace = process.and_then(|process| process.cwd.clone());
    let exchange = Exchange {
        engine,
        policy: &policy,
        provider,
        endpoint,
        family,
        account,
        parties,
        workspace,
        started,
    };
    let walked = match &told {
        Ok(_) => exchange.run(request, upstream, &context).await,
        Err(rejected) => Err(exchange.reject(rejected).await.into()),
    };
    match walked {
        Ok(response) => response,
        Err(Stop::Refused(refusal)) => {
            engine.counters.blocked();
            refusal.response(respond::shape(provider, family))
        }
        Err(Stop::Answered(response)) => *response,
    }
}

/// Passes an exchange on unread: protection is off.
async fn forward(mut upstream: Upstream, request: Request<Body>) -> Response<Body> {
    match upstream.send(request).await {
        Ok(response) => response,
        Err(error) => error.response(),
    }
}

struct Exchange<'e> {
    engine: &'e Arc<Engine>,
    policy: &'e Arc<Policy>,
    provider: &'e Provider,
    endpoint: Endpoint,
    family: Family,
    account: &'e ServiceAccount,
    parties: Parties,
    /// The folder that the client works in.
    workspace: Option<PathBuf>,
    started: Instant,
}

impl Exchange<'_> {
    async fn run(
        mut self,
        request: Request<Body>,
        mut upstream: Upstream,
        context: &ExchangeContext,
    ) -> Result<Response<Body>, Stop> {
        self.engine.await_sources(self.policy).await?;
        let scanner = self.engine.scanner();
        let limits = self.limits();
        let (mut parts, body) = request.into_parts();
        let mut taken = Taken::read(&parts.headers, body, limits.max_bytes).await?;

        let unread = self.endpoint.kind == TrafficKind::Telemetry
            && self.policy.snapshot.telemetry.value == TelemetryPolicy::Allow;
        let plain = if unread { Bytes::new() } else { taken.plain() };
        let turn = self.engine.looks.turn(plain.len()).await;
        let facts = taken.facts();
        let content_type = match head::codings(&parts.headers) {
            Some(_) => text_of(&parts.headers, "content-type").map(str::to_owned),
            // Whatever it is, it can't be undone: what stands in its bytes is looked for.
            None => Some("application/octet-stream".to_owned()),
        };
        let session = threads::session_header(&parts.headers).map(str::to_owned);
        let guard = self.guard(context.peer.downcast_ref::<Flow>(), &scanner).await;
        let signed = verdict::covered_by_signature(
            text_of(&parts.headers, "authorization"),
            text_of(&parts.headers, "x-amz-content-sha256"),
        );
        let look = Look {
            engine: self.engine,
            policy: self.policy,
            scanner: &scanner,
            guard: &guard,
            family: self.family,
            limits,
            signed,
        };
        let Seen { inspected, marks, placeholders } =
            look.over(&plain, content_type.as_deref(), session.as_deref());
        let generations = look.generations();
        drop(turn);
        let options = &self.policy.request;
        self.parties.provider.model =
            inspected.model.as_deref().map(|model| in_the_trail(model, &scanner, options));

        let mut found = if unread {
            Vec::new()
        } else {
            self.redact_fields(&mut parts, &mut taken, &scanner, &mut placeholders.lock())
        };
        self.parties.provider.endpoint = Some(format!("{}{}", context.target.host(), parts.uri.path()));
        found.extend(inspected.found.iter().cloned());

        let nature = nature(&taken, &inspected, context);
        if matches!(nature, BodyNature::Opaque | BodyNature::TooLarge) {
            self.engine.counters.opaque();
        }
        let asked =
            Circumstances { nature, signed, path: parts.uri.path(), upgrade: context.upgrade, marks: &marks };
        let decision = self.decide(&asked, &found);

        let mut new_plain = inspected.redacted.map(Bytes::from);
        let mut remarks = destination::remarks(self.policy, self.provider, context, &decision);
        if let Route::Reroute(target) = &decision.route {
            upstream = self.reroute(target, &mut parts, &upstream).await?;
            let plain = match (&new_plain, &taken) {
                (Some(plain), _) => plain,
                (None, Taken::Held(held)) => &held.plain,
                (None, Taken::Unread(..)) => &Bytes::new(),
            };
            if let Some(other) = reroute::body(target, plain, &limits) {
                new_plain = Some(other);
            }
        }
        if decision.retention.is_some() {
            self.parties.retention = Some("session_only".to_owned());
        }
        let sent_body = match (&taken, &new_plain) {
            (Taken::Held(_), Some(new)) => BodyFacts::of(new),
            _ => facts.known().await,
        };
        let said = match (&taken, &new_plain) {
            (Taken::Held(held), new) if self.is_kept(&decision, nature) && !unread => {
                Some(new.as_ref().unwrap_or(&held.plain).clone())
            }
            _ => None,
        };
        let keeps = said.is_some();
        let sent = SentFacts {
            body: sent_body,
            level: decision.level_after,
            level_before: decision.level_before,
            redactions: found.iter().map(Placed::redaction).chain(inspected.withheld).collect(),
            findings: found.iter().filter_map(Placed::for_the_trail).collect(),
            spoken: inspected.spoken,
            remarks: std::mem::take(&mut remarks),
        };
        self.may_leave(&sent, &decision, signed).await?;
        crate::injections::tell(self.engine, &self.parties, &sent.spoken);
        let thread = session.as_deref().unwrap_or_default();
        let mut loan = self.admit(&parts, context, thread, &inspected.asked, &sent).await?;
        self.engine.counters.redacted(found.len());

        let body = taken.outgoing(&mut parts.headers, new_plain)?;
        if !context.upgrade && parts.headers.contains_key(header::ACCEPT_ENCODING) {
            // What comes back must be read; a coding would only be undone again.
            parts.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let tenant = destination::restrict_tenant(self.policy, self.provider, &mut parts.headers);
        let head_only = parts.method == Method::HEAD;
        let host = decision.route.host(context.target.host());
        let brokered = self.insert_key(&mut parts, host, &sent).await?;
        self.record(&sent, loan.as_ref().and_then(|loan| loan.warned), said).await?;
        let response = self.send(upstream, Request::from_parts(parts, body), &mut loan).await?;
        if brokered && response.status() == StatusCode::UNAUTHORIZED {
            self.engine.leases.end();
        }
        if let Some(header) = tenant.filter(|_| response.status() == StatusCode::FORBIDDEN) {
            self.engine.record_other_tenant(&self.parties, header);
        }
        let ret = Return {
            engine: self.engine.clone(),
            parties: self.parties,
            family: self.family,
            guard: Arc::new(guard),
            lens: Lens {
                known: Known::new(self.engine.words.clone(), generations),
                scanner,
                options: self.policy.answer.clone(),
                placeholders,
                output: self.policy.output.clone(),
            },
            started: self.started,
            limits,
            streaming: inspected.stream,
            loan,
            keeps,
            status: response.status(),
        };
        if head_only || matches!(response.status().as_u16(), 204 | 304) {
            return Ok(answer::without_body(ret, response));
        }
        Ok(answer::sanitise(ret, response).await)
    }

    /// What holds the tool calls of this exchange against policy.
    async fn guard(&self, flow: Option<&Flow>, scanner: &Arc<Scanner>) -> Guard {
        let process = match flow {
            Some(flow) => flow.process().await,
            None => None,
        };
        let (engine, parties) = (self.engine.clone(), self.parties.clone());
        Guard::new(
            self.policy.snapshot.agents.clone(),
            self.account.class.clone(),
            process.and_then(|process| process.cwd.clone()),
            self.engine.paths.user_home().to_owned(),
            Arc::new(move |actions| engine.record_calls(&parties, actions)),
        )
        .with_grants(Grants::new(
            self.engine.clone(),
            self.account.name.clone(),
            self.parties.actor.agent_id.clone().unwrap_or_default(),
        ))
        .with_output(self.policy.output.clone())
        .with_restore(Restore::of(&self.policy.snapshot, scanner))
    }

    /// Takes out of the head and of the trailers what must not leave.
    fn redact_fields(
        &self,
        parts: &mut request::Parts,
        taken: &mut Taken,
        scanner: &Scanner,
        placeholders: &mut Placeholders,
    ) -> Vec<Placed> {
        let (auth, options) = (&self.provider.auth, &self.policy.request);
        let mut found = head::redact(parts, auth, scanner, options, placeholders);
        if let Some(fields) = taken.trailers() {
            found.extend(head::redact_fields("trailer", fields, auth, scanner, options, placeholders));
        }
        found
    }

    fn limits(&self) -> Limits {
        Limits { max_bytes: self.policy.max_body_bytes(), ..Limits::default() }
    }

    /// Makes the request one for the provider that policy leads it to.
    async fn reroute(
        &mut self,
        target: &RerouteTarget,
        parts: &mut request::Parts,
        upstream: &Upstream,
    ) -> Result<Upstream, Refusal> {
        let registry = &self.policy.snapshot.providers;
        let other = reroute::lead(target, registry, parts, upstream).await?;
        if let Some(provider) = registry.provider(&target.to.provider) {
            self.provider = provider;
            self.parties.residency.clone_from(&provider.residency);
            self.parties.retention.clone_from(&provider.retention);
        }
        self.parties.provider.name = Some(target.to.provider.clone());
        self.parties.provider.endpoint = Some(format!("{}{}", target.to.host, parts.uri.path()));
        if target.to.model.is_some() {
            self.parties.provider.model.clone_from(&target.to.model);
        }
        Ok(other)
    }

    /// Whether policy keeps what is said in this exchange.
    fn is_kept(&self, decision: &Decision, nature: BodyNature) -> bool {
        self.policy.snapshot.audit.content.value == ContentRetention::Public
            && decision.level_after == Level::Public
            && decision.retention.is_none()
            && matches!(nature, BodyNature::Json | BodyNature::Text | BodyNature::Form)
    }

    fn decide(&self, asked: &Circumstances<'_>, found: &[Placed]) -> Decision {
        let findings: Vec<Found<'_>> = found
            .iter()
            .map(|placed| Found { finding: &placed.finding, place: &placed.place, edit: placed.edit })
            .collect();
        let facts = RequestFacts {
            provider: self.provider,
            family: self.endpoint.family,
            path: asked.path,
            upgrade: asked.upgrade,
            workspace: self.workspace.as_deref(),
            marks: asked.marks,
            kind: self.endpoint.kind,
            nature: asked.nature,
            signed: asked.signed,
            findings: &findings,
        };
        verdict::decide(&self.policy.snapshot, &facts)
    }
}

/// What the decision needs to know of a request beside what was found in it.
struct Circumstances<'a> {
    nature: BodyNature,
    signed: bool,
    path: &'a str,
    upgrade: bool,
    marks: &'a [Mark],
}

fn nature(taken: &Taken, inspected: &Inspected, context: &ExchangeContext) -> BodyNature {
    match taken {
        // What is said after an upgrade is not read.
        _ if context.upgrade => BodyNature::Opaque,
        Taken::Unread(_, nature) => *nature,
        // Parts that are no text pass unread, like a whole body that is none.
        Taken::Held(_) if inspected.opaque_bytes > 0 => BodyNature::Opaque,
        Taken::Held(_) => inspected.nature,
    }
}

fn wire_family(endpoint: &Endpoint) -> Family {
    match endpoint.family {
        WireFamily::OpenAiChat => Family::OpenAiChat,
        WireFamily::AnthropicMessages => Family::AnthropicMessages,
        WireFamily::Generic => Family::Generic,
    }
}

/// Who talks to whom, as the trail's schema names it.
#[expect(clippy::too_many_arguments, reason = "each party comes from elsewhere")]
fn parties(
    engine: &Engine,
    policy: &Policy,
    context: &ExchangeContext,
    request: &Request<Body>,
    flow: Option<&Flow>,
    process: Option<&Process>,
    account: &ServiceAccount,
    provider: &Provider,
) -> Parties {
    let scanner = engine.scanner();
    let header = |name: &str| {
        text_of(request.headers(), name).map(|text| in_the_trail(text, &scanner, &policy.request))
    };
    let user_agent = header("user-agent");
    Parties {
        exchange: Uuid::now_v7(),
        actor: Actor {
            user_id: Some(engine.identity.user.clone()),
            agent_id: Some(agents::name(user_agent.as_deref(), process)),
            service_account: Some(account.name.clone()),
            ip_address: flow.map(|flow| flow.peer.ip().to_string()),
            user_agent,
        },
        provider: AiProvider {
            name: Some(provider.name.clone()),
            model: None,
            endpoint: Some(context.target.host().to_owned()),
            api_version: Some(agents::api_version(
                header("anthropic-version").as_deref(),
                request.uri().path(),
            )),
        },
        residency: provider.residency.clone(),
        retention: provider.retention.clone(),
    }
}

fn text_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
