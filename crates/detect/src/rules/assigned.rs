//! Values that stand behind a name: is this a secret, or a word, a name, a piece of code?
//!
//! Name, shape and place are judged together; each alone would be loud in real code.

use super::validators::{Seen, named_token, plain_secret};
use crate::shape;

/// `name = value` in code or configuration.
pub(super) fn assigned(seen: &Seen<'_>) -> bool {
    shape::names_secret(seen.name())
        && (seen.is_quoted() || is_dense(seen.value()))
        && is_credible(seen.value())
}

pub(super) fn assigned_word(seen: &Seen<'_>) -> bool {
    let value = seen.value();
    shape::names_secret(seen.name())
        && !shape::is_stand_in(value)
        && !shape::is_place(value)
        && !is_markup(value)
}

/// The value of a `NAME=value` line of a shell or an environment file.
pub(super) fn env_value(seen: &Seen<'_>) -> bool {
    let (name, value) = (seen.name(), seen.value());
    let shouted = !name.bytes().any(|byte| byte.is_ascii_lowercase());
    // Small letters are also how programs name arguments: only a line that begins so counts.
    let first = seen.name_start().checked_sub(1).and_then(|at| seen.text.get(at)).copied();
    let open = first.is_none_or(|byte| byte.is_ascii_whitespace() || b";&|(\"'`{,?:".contains(&byte));
    let placed = if shouted { open } else { seen.begins_line() };
    // A query goes on after the value.
    let in_query = !seen.is_quoted()
        && (first.is_some_and(|byte| matches!(byte, b'?' | b'&'))
            || value.split_once('&').is_some_and(|(_, next)| next.contains('=')));
    let value = if in_query { value.split('&').next().unwrap_or(value) } else { value };
    let enough = if shouted { value.len() >= 6 } else { seen.is_quoted() || is_dense(value) };
    placed
        && enough
        && !value.contains("</")
        && is_env_name(name)
        && is_credible(value)
        && !is_shown(name, value, seen.after())
}

/// A password by its look alone, where a word or a number may stand as well: three kinds of characters, hardly a word.
pub(super) fn dense_password(seen: &Seen<'_>) -> bool {
    let value = seen.value();
    let has = |class: fn(&u8) -> bool| usize::from(value.bytes().any(|byte| class(&byte)));
    let kinds = has(u8::is_ascii_digit)
        + has(u8::is_ascii_uppercase)
        + has(u8::is_ascii_lowercase)
        + has(u8::is_ascii_punctuation);
    kinds >= 3
        && shape::explained(value) * 3 <= value.len()
        && is_dense(value)
        && is_credible(value)
        && !shape::is_spelt_default(value)
}

/// A password in a sentence, where only its look can tell it from a word: it is dense, or a word with a digit and a mark
/// that joins no words.
pub(super) fn told_password(seen: &Seen<'_>) -> bool {
    let value = seen.value();
    let rest = value.get(1..).unwrap_or_default();
    // What ends a sentence says nothing at the end.
    let inner = rest.trim_end_matches(['!', '?', '=', '~']);
    let marked = value.len() >= 8
        && inner.bytes().any(|byte| b"!#$%^&*+=?~@".contains(&byte))
        && value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !value.contains(['/', '|'])
        // An address of mail.
        && !value.split_once('@').is_some_and(|(_, host)| host.contains('.'))
        && !value.contains("==")
        && shape::distinct(value) >= 6
        && is_credible(value)
        && !shape::is_spelt_default(value);
    // `SHA512-gehasht`
    let joined = value.split(['-', '_', '.', '/']);
    let worded =
        joined.into_iter().any(|part| part.len() >= 6 && part.bytes().all(|byte| byte.is_ascii_lowercase()));
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let random = value.len() >= 20 && digits >= 4 && shape::is_random(value) && is_credible(value);
    marked || random || !worded && dense_password(seen)
}

/// The same where a device's configuration says `0` for a password in clear and `7` for one that is merely turned.
pub(super) fn device_password(seen: &Seen<'_>) -> bool {
    let lead = seen.text.get(seen.whole.start..seen.span.start).unwrap_or_default();
    let turned = lead.ends_with(b" 7 ") && shape::distinct(seen.value()) >= 5;
    let clear = lead.ends_with(b" 0 ")
        || [b"requirepass", &b"masterauth"[..]].iter().any(|word| lead.starts_with(word));
    let lower = seen.value().to_ascii_lowercase();
    let says_itself = ["password", "secret"].iter().any(|word| lower.contains(word));
    turned || clear && !says_itself && plain_secret(seen) || told_password(seen)
}

/// What documentation shows: a word or a few, `s3cr3t`, a value that is cut short, the number of a public key.
fn is_shown(name: &str, value: &str, after: Option<u8>) -> bool {
    let lower = name.to_ascii_lowercase();
    let words = value
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || b"-_,".contains(&byte) || byte.is_ascii_digit())
        && shape::parts(value).all(|part| part.len() <= 2 || shape::is_wordlike(part));
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let one = digits == 0 && value.len() <= 8 || digits <= 1 && value.contains(['-', '_']);
    let spelt = shape::is_spelt_default(value) && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let signs = ["gpg", "pgp"].iter().any(|kind| lower.contains(kind))
        && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    let short = value.len() <= 9 && value.bytes().all(|byte| byte.is_ascii_lowercase());
    let mine = digits <= 1 && ["my-", "my_"].iter().any(|begin| value.starts_with(begin));
    // `verysecret`
    let said = ["passw", "secret"].iter().any(|word| value.contains(word))
        && value.len() <= 14
        && value.bytes().all(|byte| byte.is_ascii_lowercase());
    words && one
        || said
        || short
        || mine
        || spelt
        || value.ends_with("...")
        || value.ends_with('…')
        || after == Some(b'`')
        || signs
}

/// The words that the specification names for environment variables, and what else the name says.
fn is_env_name(name: &str) -> bool {
    const WORDS: [&str; 9] =
        ["_key", "accesskey", "apikey", "credential", "passwd", "password", "privatekey", "secret", "token"];
    let lower = name.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.contains(word)) && shape::names_secret(name)
}

/// A name that says secret and a value that looks random, both.
pub(super) fn secret_named(seen: &Seen<'_>) -> bool {
    let value = seen.value();
    shape::names_secret(seen.name()) && shape::is_random(value) && named_token(seen) && is_credible(value)
}

pub(super) fn user_and_password(seen: &Seen<'_>) -> bool {
    seen.value().split_once(':').is_some_and(|(user, password)| {
        // `curl -u TOKEN:` sends a key and no password.
        if password.is_empty() {
            return is_dense(user) && !shape::is_stand_in(user) && !shape::is_place(user);
        }
        let password = password.trim_matches(['"', '\'', '{', '}']);
        let only_letters =
            password.bytes().all(|byte| byte.is_ascii_lowercase()) || shape::is_all_words(password);
        password.len() >= 4
            && !names_a_secret(password)
            && !only_letters
            && !shape::is_stand_in(password)
            && !shape::is_place(password)
            && !password.starts_with('$')
    })
}

/// What stands where a password belongs and names one instead: `refresh_token`, `TOKEN_EXPIRED`, a scheme, a year.
pub(super) fn names_a_secret(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let scheme = ["bearer", "basic", "digest"].contains(&lower.as_str());
    let number = value.len() <= 4 && value.bytes().all(|byte| byte.is_ascii_digit());
    let mentions = ["password", "passwd", "token", "secret"].iter().any(|word| lower.contains(word));
    scheme
        || number
        || is_constant(value)
        || mentions && value.contains(['_', '.', '-']) && shape::is_all_words(value)
}

/// A value without quotes in code is a name as a rule; a secret has digits and no structure.
pub(super) fn is_dense(value: &str) -> bool {
    value.len() >= 8
        && value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
        && shape::distinct(value) >= 6
        && shape::explained(value) * 2 <= value.len()
}

pub(super) fn is_credible(value: &str) -> bool {
    let number = value.bytes().all(|byte| byte.is_ascii_digit() || b".-+x_".contains(&byte));
    !number
        && value.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && !shape::is_stand_in(value)
        && !shape::is_place(value)
        && !value.contains("://")
        && !value.starts_with("/^")
        && !value.starts_with(['\\', '=', '(', '&', '|', ',', ')', '<', '{', '['])
        && !is_prose(value)
        && !is_identifier(value)
        && !is_constant(value)
        && !is_markup(value)
}

/// `WIN32_ERROR`: how programs spell constants.
pub(super) fn is_constant(value: &str) -> bool {
    value.contains('_')
        && value
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"_+".contains(&byte))
        && value.split('_').any(|part| part.len() >= 3 && shape::is_wordlike(part))
}

pub(super) fn is_prose(value: &str) -> bool {
    value.split_ascii_whitespace().count() >= 3
        && value
            .split_ascii_whitespace()
            .filter(|word| shape::is_wordlike(word.trim_matches(|c: char| !c.is_ascii_alphabetic())))
            .count()
            >= 2
}

/// A name of the program rather than a value: words joined as programmers join them.
pub(super) fn is_identifier(value: &str) -> bool {
    is_plain(value) && is_name_of_words(value, &shape::Reading::of(value))
}

fn is_plain(value: &str) -> bool {
    let joins = |byte| matches!(byte, b'_' | b'-' | b'.' | b':' | b'$' | b'@' | b'/' | b'#' | b' ');
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || joins(byte))
}

/// The same of a value that is read already.
pub(super) fn is_read_identifier(value: &str, reading: &shape::Reading) -> bool {
    is_name_of_words(value, reading) && is_plain(value)
}

fn is_name_of_words(value: &str, reading: &shape::Reading) -> bool {
    reading.explained * 10 >= value.len() * 6 || reading.all_words || reading.camel_case
}

/// Patterns, templates, code.
pub(super) fn is_markup(value: &str) -> bool {
    let is_mark =
        |byte: &u8| matches!(byte, b'<' | b'>' | b'{' | b'}' | b'(' | b')' | b'[' | b']' | b'|' | b'\\');
    let marks = value.bytes().filter(is_mark).count();
    marks * 4 > value.len()
        || value
            .as_bytes()
            .array_windows()
            .any(|two| [b"()", b"=>", b"=="].contains(&two) || two == b"\\n" && marks > 1)
}
