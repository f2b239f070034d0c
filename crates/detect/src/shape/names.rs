//! What a variable's name says about its value.

use super::words::parts;

/// Words that make a name a secret's name.
const TELLING: [u128; 18] = letters([
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
]);

/// Words that make `key` a secret's name when they stand before it.
const KEY_OWNERS: [u128; 25] = letters([
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
]);

/// Words at the end of a name that say: about a secret, not the secret.
const ABOUT: [u128; 88] = letters([
    "age",
    "alg",
    "algorithm",
    "arn",
    "attempts",
    "bits",
    "box",
    "button",
    "class",
    "column",
    "count",
    "desc",
    "description",
    "dir",
    "directory",
    "domain",
    "enabled",
    "encryption",
    "endpoint",
    "env",
    "error",
    "expiration",
    "expires",
    "expiry",
    "field",
    "file",
    "filename",
    "form",
    "format",
    "hash",
    "header",
    "hint",
    "host",
    "icon",
    "id",
    "ids",
    "index",
    "input",
    "issuer",
    "label",
    "len",
    "length",
    "lifetime",
    "limit",
    "link",
    "manager",
    "max",
    "mechanism",
    "message",
    "method",
    "methods",
    "min",
    "mode",
    "msg",
    "name",
    "names",
    "page",
    "param",
    "path",
    "pattern",
    "placeholder",
    "policy",
    "port",
    "prefix",
    "prompt",
    "protected",
    "protection",
    "provider",
    "realm",
    "ref",
    "regex",
    "region",
    "required",
    "scheme",
    "scope",
    "scopes",
    "size",
    "strength",
    "suffix",
    "text",
    "timeout",
    "title",
    "ttl",
    "type",
    "uri",
    "url",
    "verification",
    "version",
]);

/// Whether `name` announces a credential: `DB_PASSWORD`, `apiKey`, `auth-token`; not
/// `PUBLIC_KEY`, `MAX_TOKENS`, `TOKEN_TTL`, `SECRET_NAME`.
pub fn names_secret(name: &str) -> bool {
    const NOT_ITSELF: [u128; 6] = letters(["public", "hashed", "encrypted", "fake", "dummy", "mock"]);
    const TOKEN: u128 = letters_of("token");
    // Where the next page of a list begins.
    const PAGES: [u128; 4] = letters(["next", "page", "continuation", "pagination"]);
    let words = parts(name).filter(|word| !word.bytes().all(|byte| byte.is_ascii_digit()));
    let (mut before, mut last) = (Word::default(), Word::default());
    let mut tells = false;
    for word in words {
        (before, last) = (last, Word::of(word));
        if last.is_one_of(&NOT_ITSELF) {
            return false;
        }
        tells |= match () {
            () if last.is_key() => before.is_one_of(&KEY_OWNERS),
            () if last.letters == TOKEN => !before.is_one_of(&PAGES),
            () => last.is_one_of(&TELLING),
        };
    }
    let shouted_key = || last.is_key() && !before.is_empty() && is_shouted(name);
    !last.is_empty() && (tells || shouted_key()) && !last.is_one_of(&ABOUT)
}

/// A word in lower case.
#[derive(Clone, Copy, Default)]
struct Word {
    /// As [`letters_of`] has them, and [`Word::OTHER`] where there are more than any word has that is looked for.
    letters: u128,
}

impl Word {
    const LONGEST: usize = 16;
    const OTHER: u128 = u128::MAX;

    fn of(word: &str) -> Word {
        if word.len() > Word::LONGEST {
            return Word { letters: Word::OTHER };
        }
        let mut bytes = [0; Word::LONGEST];
        bytes.iter_mut().zip(word.bytes()).for_each(|(slot, byte)| *slot = byte.to_ascii_lowercase());
        Word { letters: u128::from_le_bytes(bytes) }
    }

    fn is_empty(&self) -> bool {
        self.letters == 0
    }

    fn is_key(&self) -> bool {
        const KEYS: [u128; 2] = letters(["key", "keys"]);
        self.is_one_of(&KEYS)
    }

    /// All are compared, which costs less than to leave at the first that is the same.
    fn is_one_of<const N: usize>(&self, words: &[u128; N]) -> bool {
        words.iter().fold(false, |any, word| any | (*word == self.letters))
    }
}

/// Words as numbers, to be compared in one step each.
const fn letters<const N: usize>(words: [&str; N]) -> [u128; N] {
    let mut all = [0; N];
    let mut at = 0;
    while at < N {
        #[allow(clippy::indexing_slicing, reason = "evaluated when the crate is compiled")]
        {
            all[at] = letters_of(words[at]);
        }
        at += 1;
    }
    all
}

const fn letters_of(word: &str) -> u128 {
    let bytes = word.as_bytes();
    assert!(bytes.len() <= Word::LONGEST);
    let (mut letters, mut at) = (0, 0);
    while at < bytes.len() {
        #[allow(clippy::indexing_slicing, reason = "evaluated when the crate is compiled")]
        {
            letters |= (bytes[at] as u128) << (8 * at);
        }
        at += 1;
    }
    letters
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
            "password_encryption",
            "password-protected",
        ] {
            assert!(!names_secret(name), "{name}");
        }
    }
}
