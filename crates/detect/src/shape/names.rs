//! What a variable's name says about its value.

use super::words::parts;

/// Words that make a name a secret's name.
const TELLING: &[&str] = &[
    "apikey",
    "apitoken",
    "auth",
    "credential",
    "credentials",
    "creds",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "pwd",
    "secret",
    "secretkey",
    "secrets",
    "token",
    "pass",
    "accesskey",
    "privatekey",
];

/// Words that make `key` a secret's name when they stand before it.
const KEY_OWNERS: &[&str] = &[
    "access",
    "account",
    "admin",
    "api",
    "app",
    "auth",
    "client",
    "crypto",
    "deploy",
    "encryption",
    "hmac",
    "integration",
    "jwt",
    "license",
    "master",
    "private",
    "secret",
    "service",
    "session",
    "shared",
    "signing",
    "storage",
    "subscription",
    "webhook",
    "write",
];

/// Words at the end of a name that say: about a secret, not the secret.
const ABOUT: &[&str] = &[
    "age",
    "alg",
    "algorithm",
    "arn",
    "attempts",
    "bits",
    "class",
    "column",
    "count",
    "dir",
    "directory",
    "enabled",
    "endpoint",
    "env",
    "expiration",
    "expires",
    "expiry",
    "field",
    "file",
    "filename",
    "format",
    "hash",
    "header",
    "hint",
    "host",
    "id",
    "ids",
    "index",
    "label",
    "len",
    "length",
    "lifetime",
    "limit",
    "max",
    "min",
    "mode",
    "name",
    "names",
    "param",
    "path",
    "pattern",
    "placeholder",
    "policy",
    "port",
    "prefix",
    "prompt",
    "ref",
    "regex",
    "region",
    "required",
    "size",
    "suffix",
    "timeout",
    "ttl",
    "type",
    "uri",
    "url",
    "version",
];

/// Whether `name` announces a credential: `DB_PASSWORD`, `apiKey`, `auth-token`; not
/// `PUBLIC_KEY`, `MAX_TOKENS`, `TOKEN_TTL`, `SECRET_NAME`.
pub fn names_secret(name: &str) -> bool {
    let words: Vec<String> = parts(name).into_iter().map(str::to_ascii_lowercase).collect();
    let meaning: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| !word.bytes().all(|byte| byte.is_ascii_digit()))
        .collect();
    if meaning.last().is_none_or(|last| ABOUT.contains(last))
        || meaning
            .iter()
            .any(|word| ["public", "hashed", "encrypted", "fake", "dummy", "mock"].contains(word))
    {
        return false;
    }
    meaning.iter().enumerate().any(|(at, word)| {
        let before = at.checked_sub(1).and_then(|before| meaning.get(before)).copied().unwrap_or("");
        match *word {
            "key" | "keys" => {
                KEY_OWNERS.contains(&before)
                    || at + 1 == meaning.len() && is_shouted(name) && !before.is_empty()
            }
            "tokens" => false,
            // Where the next page of a list begins.
            "token" => !["next", "page", "continuation", "pagination"].contains(&before),
            word => TELLING.contains(&word),
        }
    })
}

/// How many words a name is made of.
pub(crate) fn name_parts(name: &str) -> usize {
    parts(name).len()
}

/// An environment variable's spelling, where a bare `..._KEY` is likely a credential.
fn is_shouted(name: &str) -> bool {
    let plain = !["PRIMARY", "FOREIGN", "CACHE", "SORT", "PARTITION", "HOT", "MONKEY"]
        .iter()
        .any(|word| name.contains(word));
    plain && !name.bytes().any(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in [
            "DB_PASSWORD",
            "apiKey",
            "auth-token",
            "AWS_SECRET_ACCESS_KEY",
            "OPENAI_API_KEY",
            "client_secret",
            "STRIPE_KEY",
            "githubToken",
            "PGPASSWORD2_PASS",
            "MY_CREDENTIALS",
            "smtp.password",
            "session_key",
        ] {
            assert!(names_secret(name), "{name}");
        }
        for name in [
            "PUBLIC_KEY",
            "MAX_TOKENS",
            "TOKEN_TTL",
            "SECRET_NAME",
            "API_KEY_FILE",
            "KEYBOARD_LAYOUT",
            "primary_key",
            "sortKey",
            "PRIMARY_KEY",
            "token_count",
            "HOME",
            "key",
            "",
            "password_hash",
            "AWS_ACCESS_KEY_ID",
            "nextToken",
            "next_page_token",
        ] {
            assert!(!names_secret(name), "{name}");
        }
    }
}
