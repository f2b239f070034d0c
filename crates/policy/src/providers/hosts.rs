//! Host names and paths, compared the way a careful server would.

use std::borrow::Cow;

/// Below these every customer of a cloud has names, so no wildcard is ever allowed under them.
const NO_WILDCARD_BELOW: &[&str] =
    &["amazonaws.com", "amazonaws.com.cn", "googleapis.com", "google.com", "cloudfront.net", "windows.net"];

/// Suffixes that belong to nobody, or to everybody. Longer ones under them may be a provider's own.
const SHARED_SUFFIXES: &[&str] = &[
    "ai.azure.com",
    "azure.com",
    "azurewebsites.net",
    "cloudflare.com",
    "co.jp",
    "co.kr",
    "co.nz",
    "co.uk",
    "co.za",
    "com.au",
    "com.br",
    "com.cn",
    "com.mx",
    "com.sg",
    "com.tr",
    "fastly.net",
    "fly.dev",
    "github.com",
    "github.io",
    "githubusercontent.com",
    "herokuapp.com",
    "hf.space",
    "huggingface.co",
    "microsoft.com",
    "netlify.app",
    "ngrok.app",
    "ngrok.io",
    "onrender.com",
    "pages.dev",
    "vercel.app",
    "web.app",
    "workers.dev",
];

/// Lower case, without a final dot or brackets.
pub(super) fn normal(host: &str) -> Cow<'_, str> {
    let bare = host.strip_suffix('.').unwrap_or(host);
    let bare = bare.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(bare);
    if bare.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(bare.to_ascii_lowercase())
    } else {
        Cow::Borrowed(bare)
    }
}

/// Why a host of a row can't be used, if it can't.
pub(super) fn fault(host: &str) -> Option<String> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    if name.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    let labels: Vec<&str> = name.split('.').collect();
    let sound = |label: &&str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !labels.iter().all(sound) {
        return Some(format!(
            "`{host}` is no host name: expected lower-case `name.example` or `*.name.example`"
        ));
    }
    if host.starts_with("*.") && broad(name) {
        return Some(format!("`{host}` takes in hosts of others: name the provider's own hosts one by one"));
    }
    None
}

/// Whether a wildcard over this suffix would take in hosts of others.
pub(super) fn broad(suffix: &str) -> bool {
    !suffix.contains('.')
        || SHARED_SUFFIXES.contains(&suffix)
        || NO_WILDCARD_BELOW.iter().any(|shared| {
            suffix == *shared || suffix.strip_suffix(shared).is_some_and(|rest| rest.ends_with('.'))
        })
}

/// Whether a server might resolve this path to another one than it reads like.
pub(super) fn ambiguous(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    lower.contains('\\')
        || ["%2e", "%2f", "%5c", "%00"].iter().any(|escape| lower.contains(escape))
        || lower.split('/').any(|segment| segment == "." || segment == ".." || segment.contains(';'))
}
