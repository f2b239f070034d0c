//! Leading a request to a self-hosted provider instead of the one that may not see it: another host, another path,
//! another key, perhaps another model. Nothing that authenticated the client to the first provider goes along.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::request;
use hudson_proxy::{Authority, Scheme, Upstream};
use sallyport_platform::fs::read_bounded;
use sallyport_policy::providers::Registry;
use sallyport_policy::settings::RerouteTarget;
use sallyport_wire::{Limits, with_model};
use zeroize::Zeroizing;

use crate::respond::Refusal;

/// Name the account at the first provider, beside the credentials that the registry knows.
const ACCOUNT_HEADERS: [&str; 5] = [
    "chatgpt-account-id",
    "openai-organization",
    "openai-project",
    "x-goog-user-project",
    "proxy-authorization",
];

/// Longer files are no key.
const MAX_KEY: u64 = 16 * 1024;

/// The way to the other provider, with the head of the request made fit for it.
pub(crate) async fn lead(
    target: &RerouteTarget,
    registry: &Registry,
    parts: &mut request::Parts,
    upstream: &Upstream,
) -> Result<Upstream, Refusal> {
    strip_credentials(registry, parts);
    let to = &target.to;
    let query = parts.uri.query().map(|query| without_credentials(registry, query)).unwrap_or_default();
    let whole = if query.is_empty() { target.path.clone() } else { format!("{}?{query}", target.path) };
    let uri = whole.parse();
    let authority = Authority::new(to.host.as_str(), to.port);
    let (Ok(uri), Ok(authority)) = (uri, authority) else {
        return Err(unusable(target, "its address can't be used"));
    };
    parts.uri = uri;
    // The proxy writes the new host's name.
    parts.headers.remove(header::HOST);
    if let Some(file) = &to.key_file {
        let key = key(file).await.map_err(|reason| unusable(target, &reason))?;
        let name = HeaderName::try_from(to.key_header.as_str());
        let bearer = to.key_header == "authorization" && !key.contains(' ');
        let written = Zeroizing::new(if bearer { format!("Bearer {}", &*key) } else { key.to_string() });
        match (name, HeaderValue::try_from(written.as_str())) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                parts.headers.insert(name, value);
            }
            _ => return Err(unusable(target, "its key can't stand in a header")),
        }
    }
    let scheme = if to.plain { Scheme::Http } else { Scheme::Https };
    Ok(upstream.towards(scheme, &authority))
}

/// The body for the model that policy names there; as it is where policy names none.
pub(crate) fn body(target: &RerouteTarget, plain: &[u8], limits: &Limits) -> Option<Bytes> {
    with_model(plain, target.to.model.as_deref()?, limits).map(Bytes::from)
}

/// Every header that any provider takes for a credential: a client may send more than its own needs.
fn strip_credentials(registry: &Registry, parts: &mut request::Parts) {
    let known = registry.providers().iter().flat_map(|provider| &provider.auth.headers);
    for name in known.map(String::as_str).chain(ACCOUNT_HEADERS).chain(["cookie"]) {
        parts.headers.remove(name);
    }
}

fn without_credentials(registry: &Registry, query: &str) -> String {
    let secret = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        registry.providers().iter().any(|provider| provider.auth.exempts_query(name))
    };
    query.split('&').filter(|pair| !secret(pair)).collect::<Vec<_>>().join("&")
}

async fn key(file: &std::path::Path) -> Result<Zeroizing<String>, String> {
    let unreadable =
        |error: &dyn std::fmt::Display| format!("its key file {} can't be read: {error}", file.display());
    let named = file.to_owned();
    let read = tokio::task::spawn_blocking(move || read_bounded(&named, MAX_KEY)).await;
    let bytes = read.map_err(|error| unreadable(&error))?.map_err(|error| unreadable(&error))?;
    let Some(bytes) = bytes else {
        return Err(format!(
            "its key file {} is missing, no ordinary file, or too long for a key",
            file.display()
        ));
    };
    let key = std::str::from_utf8(&bytes).map_err(|error| unreadable(&error))?.trim();
    if key.is_empty() {
        return Err(format!("its key file {} is empty", file.display()));
    }
    Ok(Zeroizing::new(key.to_owned()))
}

fn unusable(target: &RerouteTarget, reason: &str) -> Refusal {
    Refusal::new(
        "reroute_failed",
        format!(
            "Sallyport stopped this request: policy leads it to {}, and {reason}. Mend `rerouteTo` in the SallyportPolicy document.",
            target.to.provider
        ),
    )
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn no_credential_of_any_provider_goes_along() {
        let registry = Registry::builtin();
        let request = Request::get("/v1/x?key=AIza&alt=sse&api-key=k")
            .header("authorization", "Bearer sk")
            .header("x-api-key", "sk")
            .header("cookie", "session=1")
            .header("chatgpt-account-id", "1")
            .header("x-goog-api-key", "AIza")
            .header("content-type", "application/json")
            .header("anthropic-version", "2023-06-01");
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        strip_credentials(&registry, &mut parts);
        let mut left: Vec<_> = parts.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["anthropic-version", "content-type"]);
        assert_eq!(without_credentials(&registry, parts.uri.query().unwrap()), "alt=sse");
    }
}
