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
    let words = parts(name).filter(|word| !word.bytes().all(|byte| byte.is_ascii_digit()));
    let (mut before, mut last) = (Word::default(), Word::default());
    let mut tells = false;
    for word in words {
        (before, last) = (last, Word::of(word));
        if last.is_one_of(&["public", "hashed", "encrypted", "fake", "dummy", "mock"]) {
            return false;
        }
        tells |= match () {
            () if last.is_key() => before.is_one_of(KEY_OWNERS),
            // Where the next page of a list begins.
            () if last.is_one_of(&["token"]) => {
                !before.is_one_of(&["next", "page", "continuation", "pagination"])
            }
            () => last.is_one_of(TELLING),
        };
    }
    let shouted_key = || last.is_key() && !before.is_empty() && is_shouted(name);
    !last.is_empty() && !last.is_one_of(ABOUT) && (tells || shouted_key())
}

/// A word in lower case, which fits where all words fit that are looked for.
#[derive(Clone, Copy, Default)]
struct Word {
    bytes: [u8; Word::LONGEST],
    len: usize,
}

impl Word {
    const LONGEST: usize = 16;

    fn of(word: &str) -> Word {
        let mut bytes = [0; Word::LONGEST];
        bytes.iter_mut().zip(word.bytes()).for_each(|(slot, byte)| *slot = byte.to_ascii_lowercase());
        Word { bytes, len: word.len() }
    }

    fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn is_key(&self) -> bool {
        self.is_one_of(&["key", "keys"])
    }

    fn is_one_of(&self, words: &[&str]) -> bool {
        let bytes = self.bytes.get(..self.len);
        bytes.is_some_and(|bytes| words.iter().any(|word| word.as_bytes() == bytes))
    }
}

/// How many words a name is made of.
pub(crate) fn name_parts(name: &str) -> usize {
    parts(name).count()
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
