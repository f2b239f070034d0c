//! What policy says of where a request goes, as far as it shows: remarks in the trail, the tenant's header.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use hudson_proxy::ExchangeContext;
use sallyport_policy::providers::Provider;
use sallyport_policy::settings::ShadowAi;
use sallyport_policy::verdict::{Decision, ReasonCode};

use crate::policy::Policy;
use crate::record::Remark;

/// What the trail is told of a decision beside its findings.
pub(crate) fn remarks(
    policy: &Policy,
    provider: &Provider,
    context: &ExchangeContext,
    decision: &Decision,
) -> Vec<Remark> {
    let host = context.target.host();
    let told = policy.snapshot.shadow_ai.value >= ShadowAi::Warn;
    let remark = |action, target: &str, outcome| Some(Remark { action, target: target.to_owned(), outcome });
    let remarks = decision.reasons.iter().filter_map(|reason| match reason.code {
        ReasonCode::Rerouted => remark("request_rerouted", host, "rerouted"),
        ReasonCode::PassedShadowAi if told => remark("shadow_ai_seen", host, "passed"),
        ReasonCode::PassedUnapprovedTool => remark("unapproved_tool_seen", &provider.name, "passed"),
        _ => None,
    });
    let elsewhere = (context.dialled != context.target).then(|| Remark {
        action: "host_named_in_tls",
        target: context.dialled.to_string(),
        outcome: "intercepted",
    });
    elsewhere.into_iter().chain(remarks).collect()
}

/// Adds the header by which the provider lets only the company's workspaces in; a client's own does not count.
/// Gives its name where there is one.
pub(crate) fn restrict_tenant<'p>(
    policy: &Policy,
    provider: &'p Provider,
    headers: &mut HeaderMap,
) -> Option<&'p str> {
    let (name, value) = policy.snapshot.tenant_header(provider)?;
    // Both were checked when the documents were read.
    let header = HeaderName::try_from(name).ok()?;
    headers.insert(header, HeaderValue::try_from(value).ok()?);
    Some(name)
}
