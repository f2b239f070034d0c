//! The head of a request: headers, path and query are scanned as the body is, save where the registry says that
//! this host expects a credential.
//!
//! Pure, but for the request parts it edits in place.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sallyport_detect::{Placeholders, ScanOptions, Scanner};
use sallyport_policy::providers::AuthNames;
use sallyport_policy::verdict::Edit;
use sallyport_policy::{Finding, FindingKind};
use sallyport_wire::coding::{self, Coding};

use crate::inspect::{Placed, fingerprint};

/// Headers whose value is framing or negotiation and never a person's text.
const FRAMING: [HeaderName; 12] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::TE,
    header::EXPECT,
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
];

/// Headers that carry a session of their own host: rules would find the client's login there.
const SESSION_WORDS: [&str; 6] = ["cookie", "token", "auth", "session", "csrf", "signature"];

const PLACEHOLDER_IN_URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// The codings of the body. None if there is one that can't be undone here.
pub(crate) fn codings(headers: &HeaderMap) -> Option<Vec<Coding>> {
    let mut codings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        codings.extend(coding::parse(value.to_str().ok()?).ok()?);
    }
    Some(codings)
}

/// Takes findings out of the head. What can't be put back as a header or a URL is reported as locked.
pub(crate) fn redact(
    parts: &mut Parts,
    auth: &AuthNames,
    scanner: &Scanner,
    options: &ScanOptions,
    placeholders: &mut Placeholders,
) -> Vec<Placed> {
    let mut found = redact_fields("header", &mut parts.headers, auth, scanner, options, placeholders);
    found.extend(redact_uri(parts, auth, scanner, options, placeholders));
    found
}

/// The same of header fields alone, or of trailers.
pub(crate) fn redact_fields(
    what: &str,
    fields: &mut HeaderMap,
    auth: &AuthNames,
    scanner: &Scanner,
    options: &ScanOptions,
    placeholders: &mut Placeholders,
) -> Vec<Placed> {
    let mut found = Vec::new();
    for (name, value) in fields {
        if FRAMING.contains(name) || is_credential(auth, name) {
            continue;
        }
        // Most clients write nothing but ASCII here, but none must.
        let text = String::from_utf8_lossy(value.as_bytes());
        let session = SESSION_WORDS.iter().any(|word| name.as_str().contains(word));
        let findings: Vec<_> = scanner
            .scan(&text, options)
            .into_iter()
            .filter(|f| match f.kind {
                FindingKind::KnownSecret => true,
                FindingKind::Secret => !session,
                _ => false,
            })
            .collect();
        if findings.is_empty() {
            continue;
        }
        let print = |finding: &Finding| {
            let value = text.get(finding.span.clone()).unwrap_or_default();
            fingerprint(scanner, finding, value)
        };
        let prints: Vec<_> = findings.iter().map(print).collect();
        let new = sallyport_detect::redact(&text, &findings, placeholders);
        let replaced = HeaderValue::from_bytes(new.as_bytes());
        let edit = if replaced.is_ok() { Edit::Possible } else { Edit::Impossible };
        if let Ok(replaced) = replaced {
            *value = replaced;
        }
        found.extend(findings.into_iter().zip(prints).map(|(finding, fingerprint)| Placed {
            finding,
            edit,
            place: format!("{what} {name}"),
            fingerprint,
        }));
    }
    found
}

pub(crate) fn is_credential(auth: &AuthNames, name: &HeaderName) -> bool {
    *name == header::AUTHORIZATION
        || *name == header::PROXY_AUTHORIZATION
        || auth.exempts_header(name.as_str())
}

fn redact_uri(
    parts: &mut Parts,
    auth: &AuthNames,
    scanner: &Scanner,
    options: &ScanOptions,
    placeholders: &mut Placeholders,
) -> Vec<Placed> {
    let Some(whole) = parts.uri.path_and_query().map(|whole| whole.as_str().to_owned()) else {
        return Vec::new();
    };
    let (path, query) = match whole.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (whole.as_str(), None),
    };
    let mut found = Vec::new();
    let mut redact = |text: &str, place: &str| -> String {
        let mut new = String::with_capacity(text.len());
        let mut at = 0;
        for finding in scanner.scan(text, options) {
            if !matches!(finding.kind, FindingKind::KnownSecret | FindingKind::Secret) {
                continue;
            }
            let value = text.get(finding.span.clone()).unwrap_or_default();
            new.push_str(text.get(at..finding.span.start).unwrap_or_default());
            let placeholder = placeholders.placeholder(&finding, value);
            new.extend(utf8_percent_encode(&placeholder, PLACEHOLDER_IN_URL));
            at = finding.span.end;
            let fingerprint = fingerprint(scanner, &finding, value);
            found.push(Placed { finding, edit: Edit::Possible, place: place.to_owned(), fingerprint });
        }
        new.push_str(text.get(at..).unwrap_or_default());
        new
    };
    let mut rebuilt = redact(path, "URL path");
    if let Some(query) = query {
        rebuilt.push('?');
        for (number, pair) in query.split('&').enumerate() {
            if number > 0 {
                rebuilt.push('&');
            }
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            if auth.exempts_query(name) {
                rebuilt.push_str(pair);
            } else {
                rebuilt.push_str(&redact(pair, "URL query"));
            }
        }
    }
    if found.is_empty() {
        return found;
    }
    let mut uri = parts.uri.clone().into_parts();
    let replaced = rebuilt.parse().ok().and_then(|new| {
        uri.path_and_query = Some(new);
        http::Uri::from_parts(uri).ok()
    });
    match replaced {
        Some(uri) => parts.uri = uri,
        None => found.iter_mut().for_each(|placed| placed.edit = Edit::Impossible),
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sallyport_detect::{IndexKey, RuleSet, SecretEntry, SecretIndex, SecretSet};

    use super::*;

    #[test]
    fn a_field_that_is_no_ascii_is_looked_at_too() {
        let key = IndexKey::new([1; 32]);
        let entry = SecretEntry { name: "db", value: b"tr0ub4dor-and-horse-7", weak: false };
        let index = SecretIndex::merge(&key, &[Arc::new(SecretSet::build(&key, "test", [entry]))]).unwrap();
        let scanner = Scanner::new(Arc::new(RuleSet::builtin().unwrap()), Arc::new(index));
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("x-title", "für tr0ub4dor-and-horse-7".as_bytes()),
            ("x-note", b"f\xfcr tr0ub4dor-and-horse-7"),
            ("authorization", b"Bearer tr0ub4dor-and-horse-7"),
        ] {
            fields.insert(name, HeaderValue::from_bytes(value).unwrap());
        }
        let found = redact_fields(
            "header",
            &mut fields,
            &AuthNames::default(),
            &scanner,
            &ScanOptions::default(),
            &mut Placeholders::new([2; 32]),
        );
        let places: Vec<_> = found.iter().map(|placed| (placed.place.as_str(), placed.edit)).collect();
        assert_eq!(places, [("header x-title", Edit::Possible), ("header x-note", Edit::Possible)]);
        assert_eq!(fields["x-title"].as_bytes(), "für [SECRET:db]".as_bytes());
        assert_eq!(fields["x-note"].as_bytes(), "f\u{fffd}r [SECRET:db]".as_bytes());
        assert_eq!(fields["authorization"], "Bearer tr0ub4dor-and-horse-7");
    }
}
