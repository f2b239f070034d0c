//! Where the head of a request names a brokered key: in a header or a parameter that the registry knows as credential.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;
use sallyport_platform::LockedBytes;
use sallyport_policy::broker;
use sallyport_policy::providers::AuthNames;

use crate::head;

/// A placeholder, and what is to stand in its place.
pub(super) enum Place {
    Header {
        header: HeaderName,
        /// Around the placeholder, such as `Bearer `.
        before: Vec<u8>,
        after: Vec<u8>,
        key: String,
    },
    /// The value of one parameter of the query.
    Query { parameter: String, key: String },
}

pub(super) fn find(parts: &Parts, auth: &AuthNames) -> Vec<Place> {
    let credentials = parts.headers.iter().filter(|(name, _)| head::is_credential(auth, name));
    let headers = credentials.filter_map(|(name, value)| {
        let text = value.to_str().ok()?;
        let (range, key) = broker::named_in(text)?;
        Some(Place::Header {
            header: name.clone(),
            before: text[..range.start].into(),
            after: text[range.end..].into(),
            key: key.to_owned(),
        })
    });
    let pairs = parts.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let parameters = pairs.filter(|(name, _)| auth.exempts_query(name)).filter_map(|(name, value)| {
        let value = percent_decode_str(value).decode_utf8().ok()?;
        let (range, key) = broker::named_in(&value)?;
        let whole = range == (0..value.len());
        whole.then(|| Place::Query { parameter: name.to_owned(), key: key.to_owned() })
    });
    headers.chain(parameters).collect()
}

impl Place {
    pub(super) fn key(&self) -> &str {
        match self {
            Place::Header { key, .. } | Place::Query { key, .. } => key,
        }
    }

    /// Puts the value there, in locked memory that is wiped when the last copy of the head is gone. None where it can't
    /// stand there.
    pub(super) fn fill(&self, parts: &mut Parts, value: &[u8]) -> Option<()> {
        match self {
            Place::Header { header, before, after, .. } => {
                let whole = joined(&[before, value, after])?;
                let mut filled = HeaderValue::from_maybe_shared(whole).ok()?;
                filled.set_sensitive(true);
                parts.headers.insert(header.clone(), filled);
            }
            Place::Query { parameter, .. } => {
                let whole = parts.uri.path_and_query()?.as_str();
                let start = value_of(whole, parameter)?;
                let end = whole[start..].find('&').map_or(whole.len(), |length| start + length);
                let encoded = encoded(value)?;
                let whole = whole.as_bytes();
                let whole = joined(&[&whole[..start], &encoded, &whole[end..]])?;
                let mut uri = parts.uri.clone().into_parts();
                uri.path_and_query = Some(PathAndQuery::from_maybe_shared(whole).ok()?);
                parts.uri = http::Uri::from_parts(uri).ok()?;
            }
        }
        Some(())
    }
}

/// Where the value of a parameter begins that names a brokered key.
fn value_of(whole: &str, parameter: &str) -> Option<usize> {
    let mut at = whole.find('?')? + 1;
    for pair in whole[at..].split('&') {
        if let Some((name, value)) = pair.split_once('=')
            && name == parameter
            && percent_decode_str(value).decode_utf8().is_ok_and(|value| broker::named_in(&value).is_some())
        {
            return Some(at + name.len() + 1);
        }
        at += pair.len() + 1;
    }
    None
}

fn joined(parts: &[&[u8]]) -> Option<Bytes> {
    let mut locked = LockedBytes::zeroed(parts.iter().map(|part| part.len()).sum()).ok()?;
    let mut at = 0;
    for part in parts {
        locked[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    Some(Bytes::from_owner(locked))
}

/// Percent-encoded where a query needs it; no more bytes than that are touched.
fn encoded(value: &[u8]) -> Option<LockedBytes> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let length = value.iter().map(|byte| if plain(byte) { 1 } else { 3 }).sum();
    let mut encoded = LockedBytes::zeroed(length).ok()?;
    let mut at = 0;
    for byte in value {
        match plain(byte) {
            true => {
                encoded[at] = *byte;
                at += 1;
            }
            false => {
                let digits = [b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                encoded[at..at + 3].copy_from_slice(&digits);
                at += 3;
            }
        }
    }
    Some(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth() -> AuthNames {
        AuthNames {
            headers: ["x-api-key".to_owned()].into_iter().collect(),
            query: ["key".to_owned()].into_iter().collect(),
            ..AuthNames::default()
        }
    }

    fn head(uri: &str, headers: &[(&str, &'static str)]) -> Parts {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn keys(parts: &Parts) -> Vec<String> {
        let mut keys: Vec<_> = find(parts, &auth()).iter().map(|place| place.key().to_owned()).collect();
        keys.sort();
        keys
    }

    #[test]
    fn placeholders_are_looked_for_in_credentials_alone() {
        let headers = [
            ("authorization", "Bearer sallyport:openai"),
            ("x-api-key", "sallyport:anthropic"),
            ("x-note", "sallyport:other"),
        ];
        assert_eq!(keys(&head("/", &headers)), ["anthropic", "openai"]);
        for (uri, found) in [
            ("/v1?alt=sse&key=sallyport:gemini", &["gemini"][..]),
            ("https://h.example/v1?key=sallyport%3Agemini&alt=sse", &["gemini"]),
            ("/v1?note=sallyport:gemini", &[]),
            ("/v1?key=AIza-made-up", &[]),
            ("/v1?key=x-sallyport:gemini", &[]),
            ("/sallyport:gemini", &[]),
        ] {
            assert_eq!(keys(&head(uri, &[])), found, "{uri}");
        }
    }

    #[test]
    fn a_key_keeps_what_stands_around_it_and_is_never_shown() {
        let mut parts = head("/", &[("authorization", "Bearer sallyport:openai")]);
        let [place] = &find(&parts, &auth())[..] else { panic!("one place") };
        place.fill(&mut parts, b"sk-made-up").unwrap();
        let filled = parts.headers["authorization"].clone();
        assert_eq!(filled.as_bytes(), b"Bearer sk-made-up");
        assert!(!format!("{filled:?}").contains("sk-made-up"));
        assert!(place.fill(&mut parts, b"a\nb").is_none());
    }

    #[test]
    fn a_key_in_a_query_is_encoded_and_the_rest_stays() {
        for (uri, filled) in [
            ("/v1/m:go?alt=sse&key=sallyport%3Agemini&x=%20", "/v1/m:go?alt=sse&key=AI%2B%2F%3D%26-~&x=%20"),
            (
                "https://h.example/?key=first&key=sallyport:gemini",
                "https://h.example/?key=first&key=AI%2B%2F%3D%26-~",
            ),
        ] {
            let mut parts = head(uri, &[]);
            let [place] = &find(&parts, &auth())[..] else { panic!("one place") };
            place.fill(&mut parts, b"AI+/=&-~").unwrap();
            assert_eq!(parts.uri.to_string(), filled);
        }
    }
}
