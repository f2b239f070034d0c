//! Judging a value by its look alone: word or secret, placeholder or real thing.
//!
//! Pure functions over text. They decide which workspace and environment values are worth
//! indexing, which vault values are too common to be searched for everywhere (decision 17), and
//! which matches of a rule are examples or references.

mod names;
mod needles;
mod stand_in;
mod words;

pub(crate) use names::name_parts;
pub use names::names_secret;
pub(crate) use needles::{Marks, Needles};
pub use stand_in::is_stand_in;
pub(crate) use stand_in::{is_example, is_published, is_reference};
pub use words::is_wordlike;
pub(crate) use words::{
    Parts, Reading, distinct, explained, is_all_words, is_camel_case, is_sequence, is_spelt_default,
    is_wordlike_part, odd_letters, parts,
};

/// Whether `value` is too common to be searched for in every text: a word or two, a host, a path,
/// a number, one character repeated. Such a value counts only beside its name.
pub fn is_common_word(value: &str) -> bool {
    let value = value.trim();
    is_common(value, || is_place(value))
}

/// The same of a value without blanks around it, of which is known whether it is a place.
pub(crate) fn is_common(value: &str, is_place: impl Fn() -> bool) -> bool {
    let short_word = value.len() < 8 && value.bytes().all(|byte| byte.is_ascii_alphabetic());
    short_word || is_worn(value) || is_number(value) || is_place() || words::is_few_words(value)
}

/// Whether the pair of a workspace file or an environment is worth indexing: the name says secret
/// or the value's shape does, and the value is no word, place, reference or stand-in.
pub fn looks_secret(name: &str, value: &str) -> bool {
    let value = value.trim();
    if value.len() < 8 || is_common_word(value) || is_stand_in(value) {
        return false;
    }
    names_secret(name) || has_url_credentials(value) || is_random(value)
}

/// A token's look: one run of mixed characters that no word explains.
pub fn is_random(value: &str) -> bool {
    is_mixed(value) && !is_place(value) && words::explained(value) * 2 < value.len()
}

/// Of all that makes a value random, what its characters tell.
pub(crate) fn is_mixed(value: &str) -> bool {
    let bytes = value.as_bytes();
    if bytes.len() < 16 || !bytes.iter().all(|byte| byte.is_ascii_graphic()) {
        return false;
    }
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let upper = bytes.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    let lower = bytes.iter().filter(|byte| byte.is_ascii_lowercase()).count();
    let kinds = [digits, upper, lower].into_iter().filter(|count| *count > 0).count();
    let turns = bytes
        .windows(2)
        .filter(|pair| matches!(pair, [a, b] if a.is_ascii_uppercase() != b.is_ascii_uppercase()));
    let mixed = digits >= 2 || turns.count() * 4 >= bytes.len();
    kinds >= 2 && mixed
}

/// `scheme://user:password@host`, where the password is no reference.
pub fn has_url_credentials(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let Some((user, _host)) = authority.rsplit_once('@') else { return false };
    user.split_once(':').is_some_and(|(_, password)| !password.is_empty() && !is_stand_in(password))
}

/// One or two characters over and over, a keyboard row, the alphabet.
fn is_worn(value: &str) -> bool {
    distinct(value) <= 2 || is_sequence(value)
}

fn is_number(value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let rest_is_marks = value.bytes().all(|byte| byte.is_ascii_digit() || b"+-.,:/ TZ_()".contains(&byte));
    digits > 0 && rest_is_marks && digits <= 14
}

/// A path, a host, an address, an e-mail address, or a URL without credentials.
pub(crate) fn is_place(value: &str) -> bool {
    if let Some((scheme, _)) = value.split_once("://") {
        return !scheme.is_empty()
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && !has_url_credentials(value)
            && !value.contains(['?', '#']);
    }
    is_path(value) || is_host(value) || is_email(value)
}

fn is_path(value: &str) -> bool {
    // All that begins so, and all that has two parts, holds one.
    if !value.bytes().any(|byte| matches!(byte, b'/' | b'\\')) {
        return false;
    }
    let rooted = ["/", "./", "../", "~/", "\\\\", "$HOME/"].iter().any(|root| value.starts_with(root))
        || matches!(value.as_bytes(), [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic());
    let parts: Vec<&str> = value.split(['/', '\\']).filter(|part| !part.is_empty()).collect();
    let plain = |part: &&str| {
        part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@ *+$".contains(&byte))
            && (part.len() <= 3 || words::explained(part) * 2 >= part.len() || part.contains('.'))
    };
    if rooted {
        // Base64 may begin with a slash: what follows must read like names.
        return parts.iter().filter(|part| plain(part)).count() * 2 >= parts.len().max(1);
    }
    // `github.com/spf13/cobra`
    let begins_with_host = parts.first().is_some_and(|first| first.contains('.') && is_host(first));
    parts.len() >= 2 && (begins_with_host || parts.iter().all(plain))
}

/// `dist/nodes/Home.node.js`: what a program or its documentation is made of.
pub(crate) fn is_file_name(value: &str) -> bool {
    const KINDS: [&str; 24] = [
        "c", "cc", "cpp", "cs", "css", "go", "h", "html", "java", "js", "json", "md", "mjs", "php", "py",
        "rb", "rs", "sh", "tgz", "toml", "ts", "txt", "yaml", "yml",
    ];
    value.rsplit_once('.').is_some_and(|(_, kind)| KINDS.contains(&kind))
}

fn is_host(value: &str) -> bool {
    if !value.as_bytes().contains(&b'.') && !value.starts_with("localhost") {
        return false;
    }
    let (host, port) = value.rsplit_once(':').unwrap_or((value, "0"));
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let labels: Vec<&str> = host.split('.').collect();
    let label = |label: &&str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let last_is_name = labels.last().is_some_and(|last| {
        (2..=14).contains(&last.len()) && last.bytes().all(|byte| byte.is_ascii_lowercase())
    });
    let readable =
        || labels.iter().all(|label| label.len() <= 12 || words::explained(label) * 2 >= label.len());
    host == "localhost" || (labels.len() >= 2 && labels.iter().all(label) && last_is_name && readable())
}

fn is_email(value: &str) -> bool {
    value.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty()
            && user.bytes().all(|b| b.is_ascii_alphanumeric() || b"._%+-".contains(&b))
            && is_host(host)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_values_are_known() {
        for value in [
            "password",
            "production",
            "localhost",
            "localhost:5432",
            "true",
            "aaaaaaaaaa",
            "12345678",
            "abcdefgh",
            "qwertyuiop",
            "/usr/local/bin",
            "./config/app.yaml",
            "~/src/project",
            "C:\\Users\\me",
            "postgres",
            "db.example.com",
            "db.prod.internal:5432",
            "github.com/spf13/cobra",
            "user@example.com",
            "https://example.com/path",
            "2024-01-31T10:00:00Z",
            "10.0.0.1:8080",
            "us-east-1",
            "production-database",
            "ProductionDatabase",
            "app_user_prod",
            "changeme",
            "password123",
            "Password1!",
            "kubernetes",
            "-1234567",
            "xxxxxxxx",
            "basketball",
        ] {
            assert!(is_common_word(value), "{value}");
        }
    }

    #[test]
    fn secrets_are_no_words() {
        for value in [
            "hunter2-Xk9!vQ",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "sk-ant-api03-aB3dE5fG7hI9",
            "qwzkdmvbxp",
            "correct-horse-battery-staple",
            "postgres://app:s3cr3tpw@db:5432/x",
            "8f14e45fceea167a5a36dedd4bea2543",
            "Tr0ub4dor&3",
            "/9j4AAQSkZJRgABAQEAYABgAAD2wBDAAg",
            "p@ssw0rd-of-mine-77",
            "550e8400-e29b-41d4-a716-446655440000",
            "aB3$kL9#mN2@",
        ] {
            assert!(!is_common_word(value), "{value}");
        }
    }

    #[test]
    fn names_and_shapes_make_a_workspace_value_a_secret() {
        assert!(looks_secret("DB_PASSWORD", "kx82-vmQp1"));
        assert!(looks_secret("DATABASE_URL", "postgres://app:kx82vmQp1@db/app"));
        assert!(looks_secret("WHATEVER", "ghx_9fK2mQ7vL4pR8wN1xZ6cB3dY5"));
        assert!(!looks_secret("DATABASE_URL", "postgres://db.example.com/app"));
        assert!(!looks_secret("DB_PASSWORD", "changeme"));
        assert!(!looks_secret("DB_PASSWORD", "${DB_PASSWORD}"));
        assert!(!looks_secret("API_KEY_FILE", "/run/secrets/api_key"));
        assert!(!looks_secret("GREETING", "hello there friend of mine"));
        assert!(!looks_secret("APP_NAME", "my-shiny-application"));
    }
}
