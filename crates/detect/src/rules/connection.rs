//! Credentials in an address: `postgres://user:password@host`, and what only shows how such an address is written.

use super::assigned::names_a_secret;
use super::fixture::in_file;
use super::validators::Seen;
use crate::shape;

/// The credentials of a connection string are there and are no template.
pub(super) fn connection(seen: &Seen<'_>) -> bool {
    let value = seen.value();
    let Some((_, rest)) = value.split_once("://") else { return false };
    let Some((credentials, host)) = rest.rsplit_once('@') else { return false };
    let Some((user, password)) = credentials.split_once(':') else { return false };
    let lower = password.to_ascii_lowercase();
    let taught =
        ["mypass", "mypassword", "dbpass", "db_password", "dbpassword", "opensesame", "foobared", "tiger"];
    let site = host.split(['/', '?']).next().unwrap_or(host).to_ascii_lowercase();
    let site = site.rsplit_once(':').map_or(site.as_str(), |(site, _)| site);
    let shown = ["localhost", "127.0.0.1", "host", "hostname", "server"];
    let in_example = shown.contains(&site) || is_reserved(site);
    // `user:pass%20word` shows how a password is written, not which.
    let escaped = password.contains('%');
    // A word for the password in another language.
    let foreign = !password.is_ascii() && password.chars().all(char::is_alphabetic);
    let typed = password.bytes().any(|byte| byte.is_ascii_digit()) && !shape::is_common_word(password);
    let only_says_password = lower.contains("password") && shape::explained(password) + 4 >= password.len();
    let plain = percent_encoding::percent_decode_str(password).decode_utf8_lossy();
    let short_in_example = in_example && password.len() <= 6;
    let shown_to_all = only_says_password
        || short_in_example
        || foreign
        || names_a_secret(&plain)
        || shape::is_place(&plain) && plain.contains('/')
        || taught.contains(&lower.as_str())
        || in_example && (!typed || shape::is_spelt_default(&plain))
        || escaped && shape::is_spelt_default(&plain) && !plain.ends_with(|c: char| c.is_ascii_digit())
        || plain.bytes().filter(u8::is_ascii_alphanumeric).count() < 3;
    let taught_user = ["user", "username", "foo", "user^", "my%20user", "name"]
        .contains(&user.to_ascii_lowercase().as_str());
    // `http://127.0.0.1:(\\d+)!` is a pattern, and `SSH://j.random:jRaY@HST` what a test of addresses makes up.
    let pattern =
        ["\\d", "(\\", "[^", "(?:"].iter().any(|mark| password.contains(mark)) || user.contains('[');
    // `app:D1fficult@localhost`: a word with a digit in it, on nobody's machine but the reader's.
    let weak = in_example && shape::explained(&plain) * 2 >= plain.len() && in_file(&seen.text_before());
    let plain_host = !site.contains(['.', ':']) && password.len() < 6;
    let made_up = plain_host && password.bytes().all(|byte| byte.is_ascii_alphabetic());
    // `bbuser:bbpasswd`
    let same = ["passwd", "pass"].iter().any(|word| {
        lower
            .strip_suffix(word)
            .is_some_and(|who| user.to_ascii_lowercase().strip_suffix("user") == Some(who))
    });
    let shows_form = pattern
        || made_up
        || weak
        || same
        || ["pass", "secret"].iter().any(|word| lower.contains(word)) && taught_user
        || lower.contains("pass") && escaped
        || escaped && shape::distinct(password) < 8
        || user.contains('%') && escaped;
    password.len() >= 4 && !shows_form && !shown_to_all && !shape::is_stand_in(password)
}

/// A domain that nobody can own: documentation and tests use it.
pub(super) fn is_reserved(site: &str) -> bool {
    let mut labels = site.rsplit('.');
    let (top, second) = (labels.next().unwrap_or_default(), labels.next());
    ["test", "example", "invalid", "localhost"].contains(&top)
        || second == Some("example") && ["com", "org", "net"].contains(&top)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_found(address: &str) -> bool {
        let span = 0..address.len();
        connection(&Seen::of(address.as_bytes(), &span, &span))
    }

    #[test]
    fn what_shows_the_form_is_no_credential() {
        for address in [
            "mysql://bbuser:bbpasswd@dbhost/bbdb",
            "postgresql://scott:tiger@192.168.0.199/test",
            "redis://alice:foobared@awesome.redis.server:6380",
            "postgres://username:top%20secret@hostname.remote:1234/database",
            "http://token:a2b2c3@localhost:3000/",
            "ssh://j.random:jRaY@HST/BaR",
            r"http://127.0.0.1:(\\d+)!.match(@events",
            r"ftp://[a-z0-9:%./_@]*\\[[a-f0-9:]@x",
        ] {
            assert!(!is_found(address), "{address}");
        }
        let file = "services:\n  app:\n    environment:\n      URL: ";
        let address = "mongodb://myDatabaseUser:D1fficult@localhost/database";
        let shown = format!("{file}{address}");
        let span = file.len()..shown.len();
        assert!(!connection(&Seen::of(shown.as_bytes(), &span, &span)));
        for address in [
            address,
            "postgres://app:kV82mQp1z@db:5432/app",
            "redis://:Tq7_rL22xW@10.1.2.3:6379",
            "mysql://root:squ1ddy9@db.acme.dev/x",
        ] {
            assert!(is_found(address), "{address}");
        }
    }
}
