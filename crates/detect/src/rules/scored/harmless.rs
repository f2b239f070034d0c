//! Values that stand behind a telling name and are something else by their form: hashes, public keys, times,
//! labels of a form, what an editor's grammar calls a token.

use super::features::Pair;
use crate::rules::assigned::is_dense;
use crate::shape::{self, Needles};

pub(super) fn is_harmless(pair: &Pair<'_>) -> bool {
    let value = pair.value;
    let bare = !pair.glue.ends_with(['"', '\'', '`']);
    let has_digit = value.bytes().any(|byte| byte.is_ascii_digit());
    is_shortened(value)
        || is_password_hash(value)
        || is_public(value)
        || is_time(value)
        || is_hexadecimal_number(value)
        || counts_bytes(value)
        || value.len() <= 8 && shape::is_sequence(value)
        || value.strip_prefix("0x").is_some_and(shape::is_sequence)
        || counts_in_pieces(value)
        || says_only_foo(value)
        || [".com", ".net", ".org"].iter().any(|end| value.ends_with(end))
        || value.contains("%2F") && shape::is_place(&value.replace("%2F", "/"))
        || is_hex_of_fillers(value)
        || is_name_in_code(pair, bare)
        || is_alphabet(pair.name)
        || !has_digit && is_label(value)
        || !has_digit && is_small_word(pair)
        || !has_digit && pair.glue.contains(',') && is_words_of_code(value)
        || pair.name.eq_ignore_ascii_case("token") && is_scope(value)
        || bare && (value.trim_end_matches('=').contains("==") || !has_digit && pair.glue.contains('\n'))
        || value.contains("[&#")
        || value.starts_with("Basic ")
        || value.contains("***")
        || value.starts_with("urn:")
        || is_picture(value)
        || is_escaped_label(value)
        || is_of_doubles(value)
        || is_made_for_development(value)
        || value.to_ascii_lowercase().contains("deadbeef")
        || bare && is_code(pair)
        || says_its_name(pair)
}

/// `unicode/3299.png?v8`
fn is_picture(value: &str) -> bool {
    let path = value.split('?').next().unwrap_or(value).to_ascii_lowercase();
    [".gif", ".ico", ".jpg", ".jpeg", ".png", ".svg", ".webp", ".woff2"]
        .iter()
        .any(|kind| path.ends_with(kind))
}

/// `M\\u00e4rks\\u00f5nad`: a word of another language, as a catalogue of texts escapes it.
fn is_escaped_label(value: &str) -> bool {
    let mut parts = value.split("\\u");
    let first = parts.next().unwrap_or_default();
    let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphabetic() || b" .:-".contains(&byte));
    let mut escapes = parts.map(|part| part.split_at_checked(4)).peekable();
    escapes.peek().is_some()
        && letters(first)
        && escapes.all(|part| {
            part.is_some_and(|(number, rest)| {
                let letter = u32::from_str_radix(number, 16).ok().and_then(char::from_u32);
                letter.is_some_and(char::is_alphabetic) && letters(rest)
            })
        })
}

/// What only code has where a value could stand: `pass:components.pass||"",`, `"password"===t.method`, a pattern, what
/// goes to a pointer, a variable that is called as the thing is.
fn is_code(pair: &Pair<'_>) -> bool {
    let value = pair.value;
    let has_digit = value.bytes().any(|byte| byte.is_ascii_digit());
    let name = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    value.contains("||")
        || value.contains("&&")
        || value.starts_with("/^")
        || value.starts_with('$') && value.ends_with('+')
        || !has_digit && pair.glue.contains("==") && value.contains('.')
        || !has_digit && pair.lead.ends_with('*')
        || ["password", "passphrase"].iter().any(|word| value.starts_with(word)) && name(value)
}

/// `aabbccddeeff0011`: every byte writes one digit twice.
fn is_of_doubles(value: &str) -> bool {
    let (pairs, rest) = value.as_bytes().as_chunks::<2>();
    value.len() >= 12 && rest.is_empty() && pairs.iter().all(|[a, b]| a == b && a.is_ascii_hexdigit())
}

/// `acme-default-kek-passphrase-for-development-only`: what a program falls back to says so.
fn is_made_for_development(value: &str) -> bool {
    value.matches('-').count() >= 4
        && value.contains("development")
        && value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// `("apiKey", "addApiKeyWithHTTPInfo")`: letters alone, with the name among them.
fn says_its_name(pair: &Pair<'_>) -> bool {
    let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphabetic());
    // `Password=myPassword` may be somebody's.
    let of_password = pair.name.to_ascii_lowercase().contains("pass");
    pair.name.len() >= 5
        && !of_password
        && letters(pair.value)
        && letters(pair.name)
        && pair.value.len() > pair.name.len()
        && pair.value.to_ascii_lowercase().contains(&pair.name.to_ascii_lowercase())
}

/// Names and pieces of code that stand where a value could.
fn is_name_in_code(pair: &Pair<'_>, bare: bool) -> bool {
    let value = pair.value;
    let has_digit = value.bytes().any(|byte| byte.is_ascii_digit());
    let of_password = ["pass", "pwd"].iter().any(|word| pair.name.to_ascii_lowercase().contains(word));
    shape::is_file_name(pair.name)
        || is_hash_of_file(pair)
        || value.starts_with(['/', '.', '~']) && shape::is_place(value)
        || pair.glue.starts_with('>') && value.starts_with('@')
        || pair.lead.ends_with("//")
        || bare && value.starts_with(['*', '&'])
        || bare && !has_digit && value.contains('.') && value.trim_end_matches('=').contains('=')
        || bare && is_in_sentence(pair) && !is_more_than_a_name(value)
        || bare && value.len() <= 7 && value.bytes().all(|byte| byte.is_ascii_lowercase())
        || !of_password && (value.contains(".*") || value.ends_with(".+"))
        || !bare && is_in_list(pair) && !is_dense(value)
        || !has_digit && (is_dotted_name(value, of_password) || shape::is_camel_case(value) && is_word(value))
        || !of_password
            && (is_title(value) || is_snake_case(value) || is_slug(value) || is_hyphened(value) && bare)
        || is_default_password(value)
        || is_slug(value) && says_what_it_is(value)
        || !has_digit
            && (value.starts_with("test") || value.ends_with("test") && value.len() <= 12)
            && value.bytes().all(|byte| byte.is_ascii_alphabetic())
        || bare && !of_password && value.split('.').count() >= 3 && value.split('.').all(is_short_or_word)
}

/// `UNICODE_TOKEN = "dbapiunicode"`: no service makes a key of a few small letters; a person makes passwords of them.
fn is_small_word(pair: &Pair<'_>) -> bool {
    let of_password =
        ["pass", "pwd", "secret"].iter().any(|word| pair.name.to_ascii_lowercase().contains(word));
    !of_password && pair.value.len() <= 14 && pair.value.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// `passphrase-for-development-only`
fn says_what_it_is(value: &str) -> bool {
    static SAID: Needles<8> =
        Needles::new(["change", "default", "development", "pass", "password", "secret", "token", "use"]);
    SAID.any_in(value)
}

fn is_word(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}

/// A part of a dotted key: `zyxel.4728f.contact`
fn is_short_or_word(part: &str) -> bool {
    let small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=6).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        || part.len() <= 12 && part.bytes().all(small)
        || shape::is_wordlike(part)
}

/// `how do we pass AbortError?`: nothing but a blank, and no option of a command, joins both.
fn is_in_sentence(pair: &Pair<'_>) -> bool {
    let option = pair.lead.ends_with('-') || pair.lead.ends_with("ENV ") || pair.lead.ends_with("set ");
    pair.glue.chars().all(|c| c == ' ' || c == '\t') && !option
}

/// What stands behind a blank is a word, a constant or a version as a rule: `force_zip64`, `DISPID_KEY+2`,
/// `1:4.13+dfsg1-1`.
fn is_more_than_a_name(value: &str) -> bool {
    let count = |class: fn(&u8) -> bool| value.bytes().filter(class).count();
    let (digits, upper, lower) =
        (count(u8::is_ascii_digit), count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase));
    let version =
        value.split_once(':').is_some_and(|(epoch, _)| epoch.bytes().all(|byte| byte.is_ascii_digit()));
    let constant = value.contains('_') && lower == 0;
    !version && !constant && digits > 0 && (digits >= 3 || upper > 0 && lower > 0)
}

/// `onboarding.formBody.signUp`
fn is_dotted_name(value: &str, of_password: bool) -> bool {
    let word = |part: &str| part.len() >= 3 && part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let humps =
        value.as_bytes().array_windows().any(|[a, b]| a.is_ascii_lowercase() && b.is_ascii_uppercase());
    value.contains('.') && value.split('.').all(word) && (humps || !of_password)
}

/// `trusted_jwks_url`
fn is_snake_case(value: &str) -> bool {
    value.matches('_').count() >= 2 && value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// `authentication-with-a-long-name-2`
fn is_slug(value: &str) -> bool {
    let lower = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase());
    let number = |part: &str| part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = value.split('-');
    value.matches('-').count() >= 3
        && parts.all(|part| number(part) || lower(part) && (part.len() <= 3 || shape::is_wordlike(part)))
}

/// `Atom-toegangssleutel`
fn is_hyphened(value: &str) -> bool {
    let mut parts = value.split('-');
    let capital = |part: &str| part.bytes().skip(1).all(|byte| byte.is_ascii_lowercase());
    value.contains('-')
        && parts.all(|part| part.len() >= 3 && part.is_ascii() && capital(part))
        && value.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
}

/// `p@ssw0rd`, `P@55w0rd!`, `p@ss(word)`: the word itself, however spelt, with nothing of its owner's behind it.
fn is_default_password(value: &str) -> bool {
    let word: String =
        value.trim_end_matches(['!', '.', '?', '#']).chars().filter(|c| !"()[]".contains(*c)).collect();
    let word = word.as_str();
    word.len() == "password".len() && shape::is_spelt_default(word)
}

/// `sk-...xyz123`: documentation leaves the middle or the end out.
fn is_shortened(value: &str) -> bool {
    value.contains("...") || value.contains('…')
}

/// `$6$salt$…`, `$2y$10$…`: another rule knows these.
fn is_password_hash(value: &str) -> bool {
    let scheme = value.strip_prefix('$').and_then(|rest| Some(rest.split_once('$')?.0)).unwrap_or_default();
    // MySQL's, `*2470C0C0…`.
    let mysql = value.strip_prefix('*').is_some_and(|hash| {
        hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'A'..=b'F'))
    });
    mysql
        || ["1", "5", "6", "y", "gy", "apr1", "scrypt"].contains(&scheme)
        || scheme.len() == 2 && scheme.starts_with('2')
        || scheme.starts_with("argon2")
        || scheme.starts_with("pbkdf2")
}

/// A public key as SSH writes it, or the groups of four in which a fingerprint is read aloud.
fn is_public(value: &str) -> bool {
    let ssh =
        ["ssh-rsa ", "ssh-dss ", "ssh-ed25519 ", "ecdsa-sha2-", "SHA256:", "sha256-", "sha384-", "sha512-"]
            .iter()
            .any(|kind| value.starts_with(kind));
    let four = |part: &str| part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    ssh || value.split_ascii_whitespace().count() >= 4 && value.split_ascii_whitespace().all(four)
}

/// `2016-11-06T15:32:17`
fn is_time(value: &str) -> bool {
    let form = b"0000-00-00T00:00";
    value.len() >= form.len()
        && value.bytes().zip(form).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            b'T' => byte == b'T' || byte == b' ',
            mark => byte == *mark,
        })
}

/// `0x8028001D`, `0x20L`, `0xC000090A_u32`
fn is_hexadecimal_number(value: &str) -> bool {
    let number = value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")).unwrap_or_default();
    let digits = number.bytes().take_while(u8::is_ascii_hexdigit).count();
    let suffix = number.get(digits..).unwrap_or_default();
    (1..=16).contains(&digits)
        && suffix.len() <= 6
        && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `"src/secret.asm": "9f86d081…"`
fn is_hash_of_file(pair: &Pair<'_>) -> bool {
    pair.lead.ends_with('/')
        && pair.glue.starts_with(['"', '\''])
        && pair.value.len() >= 32
        && pair.value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `000102030405…`: bytes that count, in hexadecimal.
fn counts_bytes(value: &str) -> bool {
    if value.len() < 16 || !value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return false;
    }
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(value.as_bytes()).unwrap_or_default();
    let pairs = bytes.array_windows().filter(|[a, b]| *b == a.wrapping_add(1)).count();
    pairs * 10 >= bytes.len().max(1) * 8
}

/// `7f1b0264000000000000cccccccccccc`: a vector of a test.
fn is_hex_of_fillers(value: &str) -> bool {
    let same = |eight: &[u8; 8]| eight.iter().all(|byte| Some(byte) == eight.first());
    value.len() >= 16
        && value.bytes().all(|byte| byte.is_ascii_hexdigit())
        && value.as_bytes().array_windows().any(same)
}

/// `abc123def456ghi789`
fn counts_in_pieces(value: &str) -> bool {
    let rises = |part: &str| part.as_bytes().array_windows().all(|[a, b]| *b == a.wrapping_add(1));
    let pieces = shape::parts(value).filter(|part| part.len() == 3).count();
    pieces >= 4 && shape::parts(value).all(rises)
}

/// `foo$bar`
fn says_only_foo(value: &str) -> bool {
    static FOO: Needles<10> =
        Needles::new(["bar", "baz", "eggs", "foo", "foobar", "my", "qux", "spam", "test", "user"]);
    let letters = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let mut parts = shape::parts(value).filter(|part| letters(part)).peekable();
    value.bytes().filter(u8::is_ascii_digit).count() <= 1
        && parts.peek().is_some()
        && parts.all(|part| FOO.has(part.as_bytes()))
}

/// `["basic", "apiKey", "oauth2"]`: the name is one of several words.
fn is_in_list(pair: &Pair<'_>) -> bool {
    let before = pair.lead.trim_end_matches(['"', '\'']).trim_end();
    pair.glue.starts_with(['"', '\''])
        && pair.glue.contains(',')
        && (before.ends_with(['[', ',', '{']) || before.ends_with("(("))
}

/// `Top Secret: Confidentiel`
fn is_title(value: &str) -> bool {
    let mut letters = value.chars();
    letters.next().is_some_and(char::is_uppercase) && value.len() <= 20 && letters.all(char::is_lowercase)
}

/// The letters that a program draws from.
fn is_alphabet(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    ["alphabet", "charset"].iter().any(|word| lower.ends_with(word))
}

/// What a form says beside a field, in any language: letters beyond English, an abbreviation and its noun, a sentence.
fn is_label(value: &str) -> bool {
    let letters = |text: &str| !text.is_empty() && text.chars().all(char::is_alphabetic);
    let plain =
        value.chars().all(|c| c.is_alphabetic() || c.is_whitespace() || "-.,:。：、・ー」「".contains(c));
    let noun = value.split_once('-').is_some_and(|(short, noun)| {
        (2..=4).contains(&short.len())
            && short.bytes().all(|byte| byte.is_ascii_uppercase())
            && noun.len() >= 5
            && noun.chars().all(char::is_lowercase)
    });
    let sentence = value.strip_suffix('.').is_some_and(|text| {
        text.split(' ').count() >= 4 && text.split(' ').all(letters) && text.starts_with(char::is_uppercase)
    });
    plain && (!value.is_ascii() || noun || sentence)
}

/// `get("api_auth", "jwt_issuer")`: names that are given to a call.
fn is_words_of_code(value: &str) -> bool {
    value.contains('_')
        && value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && shape::is_all_words(value)
        || is_said_alone(value)
}

/// `jwt_issuer`: an abbreviation and a word.
fn is_said_alone(value: &str) -> bool {
    value.split_once('_').is_some_and(|(short, rest)| {
        let word = |part: &str| part.len() >= 4 && part.bytes().all(|byte| byte.is_ascii_lowercase());
        (2..=4).contains(&short.len())
            && short.bytes().all(|byte| byte.is_ascii_lowercase())
            && rest.split('_').all(word)
    })
}

/// `markup.heading.1`: what a grammar of an editor calls a token.
fn is_scope(value: &str) -> bool {
    let word =
        |part: &str| part.len() >= 3 && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let mut parts = value.split('.');
    value.contains('.') && parts.next().is_some_and(word) && parts.all(|part| word(part) || part.len() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_other_things() {
        for value in ["sk-...xyz1234", "9cbaf023786cd7...", "ya29.a0Af…"] {
            assert!(is_shortened(value), "{value}");
        }
        for value in ["$6$j212wezy$7H/1LT4f9", "$2y$10$8BQjxjVByHA", "$argon2id$v=19$m=65536"] {
            assert!(is_password_hash(value), "{value}");
        }
        for value in ["ssh-rsa AAAAB3NzaC1yc2EAAAAD", "110E 21D8 B0E2 A1F0 243A  F682 0856 F197"] {
            assert!(is_public(value), "{value}");
        }
        assert!(is_time("2016-11-06T15:32:17.000000"));
        assert!(
            counts_bytes("0102030405060708090A0B0C0D0E0F00")
                && !counts_bytes("9c1f04b7e2a85d3370c6f1be02d94a8e")
        );
        assert!(is_password_hash("*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"));
        assert!(is_of_doubles("aabbccddeeff0011") && !is_of_doubles("aabbccddeeff001f"));
        assert!(is_made_for_development("acme-default-kek-passphrase-for-development-only"));
        assert!(!is_made_for_development("correct-horse-battery-staple-and-more"));
        assert!(is_picture("unicode/3299.png?v8") && !is_picture("kx82-vmQp1"));
        assert!(is_escaped_label("M\\u00e4rks\\u00f5nad") && !is_escaped_label("k8\\u00e4Q-vm"));
        assert!(!is_escaped_label("Maerksonad") && !is_escaped_label("\\u00"));
        assert!(is_title("Huippusalainen") && !is_title("Xqzvkw9t"));
        assert!(is_hexadecimal_number("0xC000090A_u32"));
        assert!(is_hex_of_fillers("7f1b0264000000000000cccccccccccc"));
        assert!(!is_more_than_a_name("force_zip64") && !is_more_than_a_name("1:4.13+dfsg1-1+deb12u1"));
        assert!(
            !is_more_than_a_name("DISPID_STORAGE_1234+6") && is_more_than_a_name("4kQz8vLm2XwTn7RbYp3sHd9c")
        );
        assert!(counts_in_pieces("abc123def456ghi789") && !counts_in_pieces("abc123xqw456ghi789"));
        assert!(says_only_foo("foo$bar") && !says_only_foo("foo$Kx9w"));
        assert!(is_snake_case("trusted_jwks_url") && is_dotted_name("onboarding.formBody.signUp", true));
        assert!(is_default_password("p@ss(word)"));
        assert!(is_default_password("P@55w0rd!") && !is_default_password("P@ssw0rd123"));
        assert!(is_slug("authentication-with-a-long-name-2") && !is_slug("castle-ocean-0388"));
        assert!(is_hexadecimal_number("0x8028001D") && is_hexadecimal_number("0x0020L"));
        assert!(!is_hexadecimal_number("0x4c0883a69102937d6231471b5dbb6204fe512961"));
        assert!(is_alphabet("ACCESS_KEY_ALPHABET"));
        for value in [
            "API-Zugriffsschlüssel",
            "GUI-wachtwoord",
            "APIアクセスキー",
            "Het wachtwoord van bovenstaande gebruiker.",
        ] {
            assert!(is_label(value), "{value}");
        }
        assert!(is_words_of_code("jwt_expiration_time") && is_scope("markup.heading.1"));
    }

    #[test]
    fn secrets_are_none_of_these() {
        for value in [
            "pa$$w0rd",
            "$ecret$tuff",
            "Xk9!vQ-kx82",
            "correct horse battery staple",
            "GUI-x7Kq",
            "k8s.prod.9fK2",
        ] {
            assert!(
                !(is_shortened(value)
                    || is_password_hash(value)
                    || is_public(value)
                    || is_time(value)
                    || is_hexadecimal_number(value)
                    || counts_bytes(value)
                    || is_title(value)
                    || is_label(value)
                    || is_words_of_code(value)),
                "{value}"
            );
        }
    }
}
