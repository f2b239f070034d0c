//! Package registries, forges and `.netrc`.

use data_encoding::{BASE64, BASE64_NOPAD};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use zeroize::Zeroizing;

use super::ini;
use crate::collect::Collector;
use crate::json;

/// `machine HOST login USER password WORD`, in any layout, with quotes; `default`; macros end at an empty line.
pub(super) fn netrc(text: &str, collector: &mut Collector) {
    let mut machine = "default".to_owned();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut words = netrc_words(line).into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "machine" => machine = words.next().map(|w| w.to_string()).unwrap_or_default(),
                "default" => machine = "default".into(),
                "login" | "account" => {
                    words.next();
                }
                "password" => {
                    if let Some(password) = words.next() {
                        collector.add(&format!("netrc/{machine}"), password.as_bytes());
                    }
                }
                "macdef" => {
                    lines.by_ref().take_while(|line| !line.trim().is_empty()).for_each(drop);
                    break;
                }
                comment if comment.starts_with('#') => break,
                _ => {}
            }
        }
    }
}

fn netrc_words(line: &str) -> Vec<Zeroizing<String>> {
    let mut words = Vec::new();
    let mut characters = line.chars().peekable();
    while let Some(first) = characters.peek().copied() {
        if first.is_whitespace() {
            characters.next();
            continue;
        }
        let quoted = first == '"';
        if quoted {
            characters.next();
        }
        let mut word = Zeroizing::new(String::with_capacity(line.len()));
        while let Some(character) = characters.next() {
            match character {
                '"' if quoted => break,
                '\\' => word.extend(characters.next()),
                c if c.is_whitespace() && !quoted => break,
                c => word.push(c),
            }
        }
        words.push(word);
    }
    words
}

/// `//registry.example/:_authToken=…`; `_auth` and `_password` are base64.
pub(super) fn npmrc(text: &str, collector: &mut Collector) {
    for (_, key, value) in ini(text) {
        let (registry, setting) = key.rsplit_once(':').unwrap_or(("", key));
        let value = value.trim_matches('"');
        // A reference to the environment is no secret.
        if value.contains("${") {
            continue;
        }
        let registry = registry.trim_matches('/');
        let place = if registry.is_empty() { "npm".into() } else { format!("npm/{registry}") };
        match setting {
            "_authToken" => collector.add(&format!("{place}/{setting}"), value.as_bytes()),
            "_auth" | "_password" => {
                collector.add(&format!("{place}/{setting}"), value.as_bytes());
                if let Some(decoded) = base64(value) {
                    let password = if setting == "_auth" { after_colon(&decoded) } else { &decoded[..] };
                    collector.add(&format!("{place}/password"), password);
                }
            }
            _ => {}
        }
    }
}

/// `[section] password = …`, and addresses with a password in them.
pub(super) fn pypirc(text: &str, collector: &mut Collector) {
    for (section, key, value) in ini(text) {
        match key {
            "password" | "token" => collector.add(&format!("pypi/{section}/{key}"), value.as_bytes()),
            _ => url_password(&format!("pypi/{section}"), value, collector),
        }
    }
}

/// One address with user and password on each line.
pub(super) fn git_credentials(text: &str, collector: &mut Collector) {
    for line in text.lines() {
        url_password("git", line.trim(), collector);
    }
}

/// Any addresses with a password in a file of settings.
pub(super) fn urls(text: &str, collector: &mut Collector) {
    for word in text.split_whitespace() {
        url_password("pip", word.trim_start_matches("index-url="), collector);
    }
}

fn url_password(prefix: &str, url: &str, collector: &mut Collector) {
    let Some((_, rest)) = url.split_once("://") else { return };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let Some((credentials, host)) = authority.rsplit_once('@') else { return };
    // A token may stand in the place of the user.
    let secret = match credentials.split_once(':') {
        Some((_, password)) if !password.is_empty() && password != "x-oauth-basic" => password,
        Some((user, _)) => user,
        None if credentials.len() >= 20 => credentials,
        None => return,
    };
    let decoded = Zeroizing::new(percent_decode_str(secret).collect::<Vec<u8>>());
    collector.add_spelt(&format!("{prefix}/{host}"), &decoded, &[secret.as_bytes()]);
}

/// GitHub's command line: a token for each host, and for each user of it.
pub(super) fn gh(text: &str, collector: &mut Collector) {
    let Some(mut value) = json::from_yaml(text) else { return };
    json::leaves("gh", &value, &mut |name, value| {
        if let Some(owner) = name.strip_suffix("/oauth_token") {
            collector.add(owner, value.as_bytes());
        }
    });
    json::wipe(&mut value);
}

/// `auths.HOST.auth` is base64 of `user:password`.
pub(super) fn docker(text: &str, collector: &mut Collector) {
    let Some(mut value) = json::from_yaml(text) else { return };
    for (host, entry) in value.get("auths").and_then(Value::as_object).into_iter().flatten() {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let auth = text("auth");
        let name = format!("docker/{host}");
        match base64(auth) {
            Some(decoded) if !after_colon(&decoded).is_empty() => {
                collector.add_spelt(&name, after_colon(&decoded), &[auth.as_bytes()]);
            }
            _ => collector.add(&name, auth.as_bytes()),
        }
        for key in ["password", "identitytoken", "registrytoken"] {
            collector.add(&format!("{name}/{key}"), text(key).as_bytes());
        }
    }
    json::wipe(&mut value);
}

/// `[registries.NAME] token = "…"`.
pub(super) fn cargo(text: &str, collector: &mut Collector) {
    for (section, key, value) in ini(text) {
        if key == "token" {
            let registry = section.strip_prefix("registries.").unwrap_or("crates.io");
            collector.add(&format!("cargo/{registry}"), value.trim_matches(['"', '\'']).as_bytes());
        }
    }
}

fn base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = text.trim().trim_end_matches('=');
    if text.is_empty() {
        return None;
    }
    let decoded = BASE64_NOPAD.decode(text.as_bytes());
    decoded.or_else(|_| BASE64.decode(text.as_bytes())).ok().map(Zeroizing::new)
}

fn after_colon(bytes: &[u8]) -> &[u8] {
    bytes.iter().position(|b| *b == b':').map_or(&[], |at| &bytes[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tests::{judge, pairs};

    fn parsed(parse: super::super::Parse, text: &str) -> Vec<(String, String)> {
        let mut collector = Collector::new(judge());
        parse(text, &mut collector);
        pairs(collector)
    }

    fn assert_parsed(parse: super::super::Parse, text: &str, expected: &[(&str, &str)]) {
        let expected: Vec<(String, String)> =
            expected.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        assert_eq!(parsed(parse, text), expected);
    }

    #[test]
    fn netrc_layouts() {
        assert_parsed(
            netrc,
            "# password in-a-comment\nmachine a.example login ada password first-pass\nmachine b.example\n  login bob\n  password \"second pass\\\"word\"\nmacdef init\npassword not-this-one\n\ndefault login x password third-pass\n",
            &[
                ("netrc/a.example", "first-pass"),
                ("netrc/b.example", "second pass\"word"),
                ("netrc/default", "third-pass"),
            ],
        );
        assert_parsed(netrc, "machine x password", &[]);
    }

    #[test]
    fn npm_registries() {
        let auth = BASE64.encode(b"ada:made-up-pass");
        assert_parsed(
            npmrc,
            &format!(
                "registry=https://registry.example/\n//registry.example/:_authToken=npm_made_up\n//two.example/npm/:_auth={auth}\n//three.example/:_authToken=${{NPM_TOKEN}}\n_authToken=legacy-made-up\n"
            ),
            &[
                ("npm/_authToken", "legacy-made-up"),
                ("npm/registry.example/_authToken", "npm_made_up"),
                ("npm/two.example/npm/_auth", &auth),
                ("npm/two.example/npm/password", "made-up-pass"),
            ],
        );
    }

    #[test]
    fn pypi_sections() {
        assert_parsed(
            pypirc,
            "[distutils]\nindex-servers = pypi\n[pypi]\nusername = __token__\npassword = pypi-made-up\n[corp]\nrepository = https://ada:url-password@pypi.example/simple\n",
            &[("pypi/corp/pypi.example", "url-password"), ("pypi/pypi/password", "pypi-made-up")],
        );
    }

    #[test]
    fn git_lines() {
        assert_parsed(
            git_credentials,
            "https://ada:p%40ss-made-up@git.example\nhttps://made-up-token-in-users-place@two.example\nhttps://ada@three.example\nhttps://ghp_made_up_token:x-oauth-basic@four.example\nnot a line\n",
            &[
                ("git/four.example", "ghp_made_up_token"),
                ("git/git.example", "p@ss-made-up"),
                ("git/two.example", "made-up-token-in-users-place"),
            ],
        );
    }

    #[test]
    fn gh_hosts() {
        assert_parsed(
            gh,
            "github.com:\n    users:\n        ada:\n            oauth_token: gho_made_up_one\n    user: ada\n    oauth_token: gho_made_up_two\n",
            &[("gh/github.com", "gho_made_up_two"), ("gh/github.com/users/ada", "gho_made_up_one")],
        );
    }

    #[test]
    fn docker_auths() {
        let auth = BASE64.encode(b"ada:dckr:made-up");
        assert_parsed(
            docker,
            &format!(
                "{{\"auths\": {{\"https://index.example/v1/\": {{\"auth\": \"{auth}\"}}, \"two.example\": {{\"identitytoken\": \"made-up-identity\", \"auth\": \"\"}}}}, \"credsStore\": \"secretservice\"}}"
            ),
            &[
                ("docker/https://index.example/v1", "dckr:made-up"),
                ("docker/two.example/identitytoken", "made-up-identity"),
            ],
        );
    }

    #[test]
    fn cargo_tokens() {
        assert_parsed(
            cargo,
            "[registry]\ntoken = \"cio_made_up\"\n[registries.corp]\ntoken = 'Bearer made-up'\n",
            &[("cargo/corp", "Bearer made-up"), ("cargo/crates.io", "cio_made_up")],
        );
    }

    #[test]
    fn pip_addresses() {
        assert_parsed(
            urls,
            "[global]\nindex-url = https://ada:pip-made-up@pypi.example/simple\nextra-index-url = https://pypi.org/simple\n",
            &[("pip/pypi.example", "pip-made-up")],
        );
    }
}
