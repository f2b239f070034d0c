//! What stands behind a service's name in code and pages and is none of its keys: an address's path, the version of
//! a library, a module, the name of an id.

/// Whether the value is written as such names are, in small letters with marks between them, or names an archive:
/// a registry's notes on a package say `tmp/coveralls-2.11.7.tgz_1456514022949_0.0990238478407`.
pub(super) fn is_slug(value: &str) -> bool {
    is_path(value)
        || is_version(value)
        || is_module(value)
        || is_declaration(value)
        || is_commit(value)
        || value.contains(".tgz")
}

fn is_name(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

fn is_number(part: &str) -> bool {
    part.len() <= 6 && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// `posts/2010/octobre/15/unbelievable/`, `openapi-python-sdk/issues/61`
fn is_path(value: &str) -> bool {
    let parts: Vec<&str> = value.split('/').filter(|part| !part.is_empty()).collect();
    parts.len() >= 3
        && parts.iter().all(|part| is_name(part) || is_number(part))
        && parts.iter().filter(|part| part.len() >= 3 && is_name(part)).count() >= 2
}

/// `sdk-nodejs/4.1.2`
fn is_version(value: &str) -> bool {
    value.rsplit_once('/').is_some_and(|(name, version)| {
        version.contains('.')
            && version.split('.').all(|part| !part.is_empty() && is_number(part))
            && is_name(name)
    })
}

/// `aliyunsdksts.request.v20150401`
fn is_module(value: &str) -> bool {
    let mut parts = value.split('.').rev().peekable();
    let is_dated =
        |part: &str| part.strip_prefix('v').is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()));
    parts.next_if(|part| is_dated(part)).is_some() && parts.peek().is_some() && parts.all(is_name)
}

/// `background-position:-52px`: what a style sheet says of the service's icon.
fn is_declaration(value: &str) -> bool {
    value.split_once(':').is_some_and(|(property, value)| {
        property.contains('-')
            && is_name(property)
            && ["%", "em", "pt", "px"].iter().any(|unit| {
                value.strip_suffix(unit).is_some_and(|number| {
                    number.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte))
                })
            })
    })
}

/// `apify-ts/commit/4c0e5e3e7377536a449bb7b205132348ad3b0fe9`
fn is_commit(value: &str) -> bool {
    ["/blob/", "/commit/", "/tree/"].iter().any(|kind| value.contains(kind))
}

/// Whether what stands between the service's name and the value says that it is something else than its key.
pub(super) fn names_another(lead: &[u8], value: &str) -> bool {
    names_an_id(lead) || names_a_fingerprint(lead, value) || names_a_type(lead, value)
}

/// `GITHUB_CLI_ARCHIVE_GPG_KEY=C99B11DEB97541F0`
fn names_a_fingerprint(lead: &[u8], value: &str) -> bool {
    let of_gpg = lead
        .array_windows()
        .any(|three: &[u8; 3]| three.eq_ignore_ascii_case(b"gpg") || three.eq_ignore_ascii_case(b"pgp"));
    of_gpg && matches!(value.len(), 8 | 16 | 40) && value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `export type AzureCosmosDbNode = AzureCosmosDbV1Node`: code says the service's name on both sides.
fn names_a_type(lead: &[u8], value: &str) -> bool {
    const SAME: usize = 8;
    let same = lead.iter().zip(value.bytes()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    same >= SAME && value.bytes().filter(u8::is_ascii_digit).count() <= 2
}

/// `appveyor_id": "`: the service's name and a word for what is no secret, nothing else. `CLIENT_ID` is half of a pair.
fn names_an_id(lead: &[u8]) -> bool {
    let end = lead.iter().rposition(u8::is_ascii_alphanumeric).map_or(0, |at| at + 1);
    let name = lead.get(..end).unwrap_or_default().to_ascii_lowercase();
    // `confluent client_id=`
    if name.iter().any(|byte| !byte.is_ascii_alphanumeric() && !b"_-".contains(byte)) {
        return false;
    }
    let mut parts = name.split(|byte| b"_-".contains(byte)).skip(1);
    let only = parts.next().filter(|_| parts.next().is_none());
    only.is_some_and(|word| [b"id".as_slice(), b"identifier", b"shortname", b"url"].contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_code_and_pages_are_no_keys() {
        for value in [
            "posts/2011/avril/20/a-markdown-powered-article/",
            "posts/2010/octobre/20/oh-yeah/",
            "openapi-python-sdk/issues/61",
            "sdk-nodejs/4.1.2",
            "aliyunsdksts.request.v20150401",
            "background-position:-52px",
            "apify-ts/commit/4c0e5e3e7377536a449bb7b205132348ad3b0fe9",
            "2.11.7.tgz_1456514022949_0.09902384784072638",
        ] {
            assert!(is_slug(value), "{value}");
        }
        for value in [
            "9f2c7be1/a8d04c53/e61b",
            "k8s/Xv9/prod",
            "app-key:9fK2mQ7v",
            "abcd/efgh",
            "q8v3x1.kz90.v2",
            "sdk-7f3a9c0be1d24685",
            "",
            "/",
            "v1",
        ] {
            assert!(!is_slug(value), "{value}");
        }
    }

    #[test]
    fn a_name_says_that_it_is_an_id() {
        for lead in ["appveyor_id\": \"", "disqus_identifier = '", "DISQUS_SHORTNAME="] {
            assert!(names_an_id(lead.as_bytes()), "{lead}");
        }
        for lead in [
            "appveyor_token: ",
            "auth0_client_id_secret=",
            "android=",
            "RAMP_CLIENT_ID=",
            "confluent client_id=",
            "=",
        ] {
            assert!(!names_an_id(lead.as_bytes()), "{lead}");
        }
    }

    #[test]
    fn fingerprints_and_types_are_no_keys() {
        assert!(names_another(b"GITHUB_CLI_ARCHIVE_GPG_KEY=", "C99B11DEB97541F0"));
        assert!(!names_another(b"GITHUB_TOKEN=", "C99B11DEB97541F0"));
        assert!(names_another(b"AzureCosmosDbNode = ", "AzureCosmosDbV1Node"));
        assert!(!names_another(b"datadog_api_key = ", "datadog_a9f0c4b7e2a85d33"));
    }
}
