//! Which header fields belong to one hop and which belong to the message, and how a head is put from one HTTP version
//! into the other. Must not touch any other field.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, Entry, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version};
use http_body::Body as HttpBody;

use crate::authority::{Authority, Scheme};

pub(crate) const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
pub(crate) const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// What was taken out of a request's head.
#[derive(Default)]
pub(crate) struct Hop {
    pub(crate) proxy_auth: Option<HeaderValue>,
    pub(crate) upgrade: bool,
}

/// Takes the `Proxy-Authorization` header out, marked sensitive.
pub(crate) fn take_proxy_auth(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let mut value = headers.remove(PROXY_AUTHORIZATION)?;
    value.set_sensitive(true);
    Some(value)
}

/// Takes out of a request what was meant for us alone (RFC 9110 7.6.1). `Transfer-Encoding` stays: its framing is
/// kept upstream. An upgrade that is passed on keeps its two fields.
pub(crate) fn strip_request(version: Version, headers: &mut HeaderMap) -> Hop {
    let proxy_auth = take_proxy_auth(headers);
    let upgrade = version == Version::HTTP_11 && wants_upgrade(headers);
    let trailers_welcome = te_trailers(headers);
    remove_named(headers, upgrade);
    headers.remove(PROXY_CONNECTION);
    headers.remove(KEEP_ALIVE);
    headers.remove(HTTP2_SETTINGS);
    if trailers_welcome {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    } else {
        headers.remove(TE);
    }
    Hop { proxy_auth, upgrade }
}

/// The same for a response.
pub(crate) fn strip_response(status: StatusCode, headers: &mut HeaderMap) {
    let upgrade = status == StatusCode::SWITCHING_PROTOCOLS || status == StatusCode::UPGRADE_REQUIRED;
    remove_named(headers, upgrade && headers.contains_key(UPGRADE));
    headers.remove(PROXY_CONNECTION);
    headers.remove(PROXY_AUTHENTICATE);
    headers.remove(KEEP_ALIVE);
}

/// Removes `Connection` and the fields it names, except those that only a forger would name there. For an upgrade
/// `Connection` and `Upgrade` stay where they stand.
fn remove_named(headers: &mut HeaderMap, upgrade: bool) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = tokens(headers, CONNECTION)
            .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
            .collect();
        let mut others = false;
        for name in named {
            if name == UPGRADE || name == KEEP_ALIVE {
                continue;
            }
            others = true;
            let end_to_end = name == HOST
                || name == CONTENT_LENGTH
                || name == TRANSFER_ENCODING
                || name == http::header::AUTHORIZATION
                || name == http::header::CONTENT_TYPE
                || name == http::header::CONTENT_ENCODING;
            if !end_to_end {
                headers.remove(name);
            }
        }
        if !upgrade {
            headers.remove(CONNECTION);
        } else if others {
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        }
    }
    if !upgrade {
        headers.remove(UPGRADE);
    }
}

/// The comma-separated words of a field, however many lines it has.
fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

fn wants_upgrade(headers: &HeaderMap) -> bool {
    // h2c would let a client leave the inspected protocol; a server may ignore an upgrade, so it is left out.
    headers.get(UPGRADE).is_some_and(|to| !to.as_bytes().eq_ignore_ascii_case(b"h2c"))
        && tokens(headers, CONNECTION).any(|name| name.eq_ignore_ascii_case("upgrade"))
}

fn te_trailers(headers: &HeaderMap) -> bool {
    headers.contains_key(TE)
        && tokens(headers, TE)
            .any(|coding| coding.split(';').next().unwrap_or(coding).trim().eq_ignore_ascii_case("trailers"))
}

/// Why a request's `Host` or `:authority` is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostProblem {
    Missing,
    Doubled,
    Malformed,
    Other,
}

/// Compares what the request says it is for with what is dialled.
pub(crate) fn check_host<B>(
    request: &Request<B>,
    target: &Authority,
    scheme: Scheme,
) -> Result<(), HostProblem> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(HostProblem::Doubled);
    }
    let written = request.uri().authority().map(http::uri::Authority::as_str);
    if host.is_none() && written.is_none() && request.version() != Version::HTTP_10 {
        return Err(HostProblem::Missing);
    }
    if request.uri().scheme_str().is_some_and(|name| !name.eq_ignore_ascii_case(scheme.as_str())) {
        return Err(HostProblem::Other);
    }
    let host = match host {
        Some(value) => Some(value.to_str().map_err(|_| HostProblem::Malformed)?),
        None => None,
    };
    for text in [host, written].into_iter().flatten() {
        if target.port() == scheme.default_port() && text.eq_ignore_ascii_case(target.host()) {
            continue;
        }
        let named = Authority::parse(text.trim(), Some(scheme.default_port()));
        // Some clients leave the port out although it is not the default one: the host alone then decides.
        let same =
            named.is_ok_and(|named| named == *target || (named.host() == target.host() && portless(text)));
        if !same {
            return Err(if Authority::parse(text.trim(), Some(80)).is_ok() {
                HostProblem::Other
            } else {
                HostProblem::Malformed
            });
        }
    }
    Ok(())
}

fn portless(text: &str) -> bool {
    !text.rsplit(']').next().unwrap_or(text).contains(':')
}

/// [`settle_length`] for a request.
pub(crate) fn settle_request<B: HttpBody>(request: &mut Request<B>) {
    let mut fields = std::mem::take(request.headers_mut());
    settle_length(&mut fields, request.body());
    *request.headers_mut() = fields;
}

/// Makes the length fields agree with the body that is really sent; a stale length truncates, or panics in hyper's
/// debug builds.
pub(crate) fn settle_length<B: HttpBody>(headers: &mut HeaderMap, body: &B) {
    let exact = body.size_hint().exact();
    let claimed = headers.contains_key(CONTENT_LENGTH);
    if headers.contains_key(TRANSFER_ENCODING) {
        match exact {
            // The handler put a body of known length in place of a chunked one and said so.
            Some(_) if claimed => {
                headers.remove(TRANSFER_ENCODING);
            }
            _ => {
                headers.remove(CONTENT_LENGTH);
                return;
            }
        }
    }
    if !claimed {
        return;
    }
    match exact {
        Some(length) => set_length(headers, length),
        None => {
            headers.remove(CONTENT_LENGTH);
        }
    }
}

fn set_length(headers: &mut HeaderMap, length: u64) {
    if let Entry::Occupied(mut entry) = headers.entry(CONTENT_LENGTH) {
        let right = entry.get().to_str().ok().and_then(|text| text.parse::<u64>().ok()) == Some(length);
        if !right || entry.iter().count() > 1 {
            entry.insert(HeaderValue::from(length));
        }
    }
}

/// The path and query of a target in any form; `*` stays.
pub(crate) fn origin_form(uri: &Uri) -> Uri {
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    Uri::from(path)
}

/// Puts a request into the form HTTP/1.1 has on the wire.
pub(crate) fn for_h1<B: HttpBody>(
    request: &mut Request<B>,
    host: &HeaderValue,
    absolute: Option<&Authority>,
) {
    let from_h2 = request.version() == Version::HTTP_2;
    *request.version_mut() = Version::HTTP_11;
    let path = origin_form(request.uri());
    *request.uri_mut() = match absolute {
        Some(target) => absolute_form(target, Scheme::Http, &path).unwrap_or(path),
        None => path,
    };
    let headers = request.headers_mut();
    if !headers.contains_key(HOST) {
        // RFC 9110 7.2: it should stand first.
        let rest = std::mem::take(headers);
        headers.reserve(rest.len() + 1);
        headers.insert(HOST, host.clone());
        headers.extend(rest);
    }
    if from_h2 {
        join_cookies(headers);
    }
    if headers.contains_key(TE) {
        headers.append(CONNECTION, HeaderValue::from_static("TE"));
    }
    let known = request.body().size_hint().exact().is_some();
    let headers = request.headers_mut();
    if !known && !headers.contains_key(TRANSFER_ENCODING) {
        // hyper takes it that GET and HEAD have no body unless told.
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    // hyper leaves an empty body of these methods without any length, which some servers answer with 411.
    let empty = request.body().is_end_stream();
    if from_h2 && empty && matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) {
        request.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
    }
}

/// Puts a request into the form HTTP/2 has.
pub(crate) fn for_h2<B>(
    request: &mut Request<B>,
    target: &Authority,
    scheme: Scheme,
    written: &HeaderValue,
) -> Result<(), http::Error> {
    let path = origin_form(request.uri());
    let authority = written.to_str().ok().map_or_else(|| target.for_scheme(scheme), str::to_owned);
    *request.uri_mut() = Uri::builder()
        .scheme(scheme.as_str())
        .authority(authority)
        .path_and_query(path.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")))
        .build()?;
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.remove(HOST);
    strip_for_h2(headers);
    if headers.contains_key(TE) {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    Ok(())
}

/// Fields that make an HTTP/2 message malformed (RFC 9113 8.2.2).
pub(crate) fn strip_for_h2(headers: &mut HeaderMap) {
    headers.remove(CONNECTION);
    headers.remove(PROXY_CONNECTION);
    headers.remove(KEEP_ALIVE);
    headers.remove(TRANSFER_ENCODING);
    headers.remove(UPGRADE);
}

pub(crate) fn absolute_form(target: &Authority, scheme: Scheme, path: &Uri) -> Option<Uri> {
    Uri::builder()
        .scheme(scheme.as_str())
        .authority(target.for_scheme(scheme))
        .path_and_query(path.path_and_query()?.clone())
        .build()
        .ok()
}

/// HTTP/2 may split cookies into several fields, HTTP/1 may not (RFC 9113 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let Entry::Occupied(mut entry) = headers.entry(COOKIE) else { return };
    if entry.iter().count() < 2 {
        return;
    }
    let parts: Vec<&[u8]> = entry.iter().map(HeaderValue::as_bytes).collect();
    if let Ok(mut joined) = HeaderValue::from_bytes(&parts.join(b"; ".as_slice())) {
        joined.set_sensitive(true);
        entry.insert(joined);
    }
}
