//! Values that belong to another notation than the name before them seems to say: a piece of a program, a selector
//! of a style sheet, the next setting of a line, a word as HTML or an address escapes it, a file that holds the key.

use super::features::Pair;
use crate::rules::assigned::is_dense;
use crate::shape;

pub(super) fn is_of_another_notation(pair: &Pair<'_>) -> bool {
    let value = pair.value;
    let bare = !pair.glue.ends_with(['"', '\'', '`']);
    bare && (is_code(pair) || is_next_setting(pair))
        || is_branch(pair)
        || is_expanded_keyword(value)
        || is_html_label(value)
        || is_encoded_words(pair)
        || is_file_of_key(value)
        || (repeats(value) || spells_alphabet(value)) && pair.is_in_file()
        || !pair.is_named() && ends_in_a_word(pair.name)
}

fn has_digit(value: &str) -> bool {
    value.bytes().any(|byte| byte.is_ascii_digit())
}

fn is_identifier(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `config->password`, `strdup (value)`, `return!1`, `Password::$callback`, and a selector's
/// `input[type="password"]:first-child`.
fn is_code(pair: &Pair<'_>) -> bool {
    let value = pair.value;
    let arrow = value.ends_with('-') && pair.after == Some(b'>');
    let keyword = ["await", "new", "return", "throw", "typeof"].iter().any(|word| {
        value
            .strip_prefix(word)
            .and_then(|rest| rest.bytes().next())
            .is_some_and(|next| !next.is_ascii_alphanumeric() && next != b'-' && next != b'_')
    });
    let selector = pair.glue.ends_with("]:")
        && value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        && pair.lead.contains('[');
    // A call, as some write it: the bracket behind a blank.
    let called = pair.after == Some(b' ')
        && !has_digit(value)
        && is_identifier(value)
        && (value.trim_matches('_').contains('_') && value.len() >= 6 || begins_like_a_call(value));
    arrow || keyword || selector || called || value.starts_with(":$") || value.starts_with("::")
}

/// `getpwuid`, `strdupdelim`
fn begins_like_a_call(value: &str) -> bool {
    ["get", "mem", "read", "str", "xstr"].iter().any(|verb| value.starts_with(verb)) && value.len() >= 6
}

/// `password= auth_user=`: nothing was set here, and a blank leads to what is.
fn is_next_setting(pair: &Pair<'_>) -> bool {
    pair.name.to_ascii_lowercase().contains("pass")
        && pair.glue.contains('=')
        && pair.glue.ends_with([' ', '\t'])
        && pair.value.split_once('=').is_some_and(|(name, rest)| {
            name.len() >= 3
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
                && !rest.starts_with('=')
        })
}

/// `kind ? "password" : "text"`: one of two words that a condition chooses.
fn is_branch(pair: &Pair<'_>) -> bool {
    let quoted = pair.lead.strip_suffix(['"', '\'', '`']);
    quoted.is_some_and(|lead| lead.trim_end().ends_with('?'))
        && pair.glue.starts_with(['"', '\'', '`'])
        && pair.glue.contains(':')
        && !has_digit(pair.value)
}

/// `$Id: e54591c708b08a5f $`: what a version control writes into a file.
fn is_expanded_keyword(value: &str) -> bool {
    value.starts_with('$') && value.ends_with('$') && value.contains(": ")
}

/// `Contrase&ntilde;a`
fn is_html_label(value: &str) -> bool {
    let mut parts = value.split('&');
    let letters = |text: &str| text.chars().all(|c| c.is_alphabetic() || " .:-".contains(c));
    let first = parts.next().unwrap_or_default();
    let mut escapes = parts.map(|part| part.split_once(';')).peekable();
    escapes.peek().is_some()
        && letters(first)
        && escapes.all(|part| {
            part.is_some_and(|(entity, rest)| {
                (2..=8).contains(&entity.len())
                    && entity.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'#')
                    && letters(rest)
            })
        })
}

/// `token=IBM%20OS%20PKCS%2311`: a title in an address; what is no password has no blanks.
fn is_encoded_words(pair: &Pair<'_>) -> bool {
    let of_password = pair.name.to_ascii_lowercase().contains("pass");
    !of_password && pair.value.contains("%20")
}

/// `pkcs11:myKey.yaml`, `server-key.pem`: where the key is, and not the key.
fn is_file_of_key(value: &str) -> bool {
    const KINDS: [&str; 8] = ["cer", "crt", "jks", "key", "keystore", "p12", "pem", "pfx"];
    value.rsplit_once('.').is_some_and(|(stem, kind)| {
        let known = shape::is_file_name(value) || KINDS.contains(&kind);
        let plain = stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:/@".contains(&byte));
        let name = stem.rsplit(['/', ':']).next().unwrap_or(stem);
        known && plain && (!is_dense(name) || name.to_ascii_lowercase().ends_with("key"))
    })
}

/// `136020D511BF136020D511BF`: drawn at random, no key comes back to its beginning.
fn repeats(value: &str) -> bool {
    const SHORTEST: usize = 16;
    let bytes = value.as_bytes();
    bytes.len() >= SHORTEST
        && (2..=bytes.len() / 2)
            .any(|period| bytes.iter().zip(bytes.iter().skip(period)).all(|(a, b)| a == b))
}

/// `ABCDEFGHIJKLMNOPQRSTUVWXYZabc…+/=`: the letters of an encoding, in their order.
fn spells_alphabet(value: &str) -> bool {
    const LETTERS: usize = 20;
    let (longest, _) = value.as_bytes().array_windows().fold((1usize, 1usize), |(longest, run), [a, b]| {
        let run = if *b == a.wrapping_add(1) { run + 1 } else { 1 };
        (longest.max(run), run)
    });
    longest >= LETTERS
}

/// `Monkey`, `compass`: a word that only ends as such names do.
fn ends_in_a_word(name: &str) -> bool {
    const WORDS: [&str; 12] = [
        "bypass",
        "compass",
        "donkey",
        "encompass",
        "hockey",
        "jockey",
        "monkey",
        "surpass",
        "trespass",
        "turkey",
        "underpass",
        "whiskey",
    ];
    WORDS.iter().any(|word| name.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(line: &str) -> bool {
        let at = line.find('«').unwrap_or_default();
        let (head, rest) = line.split_at(at);
        let (value, after) = rest.trim_start_matches('«').split_once('»').unwrap_or_default();
        let start = head.find('~').map_or(0, |at| at + 1);
        let shown = if head[..start].contains('¶') { "a\nb\nc\n" } else { "" };
        let (lead, named) = (head[..start].trim_end_matches('~'), &head[start..]);
        let end = named.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(named.len());
        let (name, glue) = named.split_at(end);
        let before = shown.as_bytes();
        is_of_another_notation(&Pair { name, glue, value, lead, before, after: after.bytes().next() })
    }

    #[test]
    fn other_notations_hold_no_secret() {
        for line in [
            "config.~password = «krbconf-»>password;",
            "priv->~password = «g_strdup» (password)",
            "~password_entry = «getpwuid» ((uid_t)",
            "~password`:«return!1»}",
            "~Password:«:$defaultCallback» = null",
            "form input[type=\"~password\"]:«first-child»,#x",
            "user= ~password= «auth_user=»\n",
            "client_~auth_passthrough = «port=6666» host=x",
            "e?\"~reset_password\":\"«signup»\"",
            "RCSIDH(~auth_wbclient_h, \"«$Id: e54591c708b08a5f76b48beb8c21b2838ac5c8b4 $»\")",
            "\"~passwd\" => \"«Contrase&ntilde;a»\",",
            "serial=93;~token=«IBM%20OS%20PKCS%2311»'",
            "--encryption-~key «pkcs11:myPkcs11Key.yaml» oci",
            "--~secret «certs/server-key.pem» x",
            "¶~apikey>«136020D511BF136020D511BF136020D511BF»<",
            "¶~keyStr = \"«ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=»\"",
            "~Monkey «Pot#MonkfruiXlTW4j#0.90#896#fruits» x",
        ] {
            assert!(judged(line), "{line}");
        }
    }

    #[test]
    fn secrets_stay() {
        for line in [
            "~password = «correct_horse»\n",
            "~password = \"«a&b;c9»\"",
            "~password= «kV8=zq2Lm9»\n",
            "~token = «get9vQmX2kLr» ",
            "fastly~Token = «tlb=ov0t9l4bg2tsfxnf3z7jpe244bcb»\n",
            "~apikey=«136020D511BF136020D511BF136020D511BF»",
            "~password: «new-Xk9!vQ» ",
            "~secret = \"«9c1f04b7e2a85d3370c6f1be02d94a8e»\"",
            "~password=«my%20pass%20Xk9»&",
            "~key: «q8v3x1Kz90Lm2b7f.pem» ",
            "~password: \"«$ecret: tuff9»\"",
            "~apiKey ? x : \"«kV82mQp1zXw»\"",
        ] {
            assert!(!judged(line), "{line}");
        }
    }
}
