use std::path::Path;

use super::*;

fn fails(text: &str) -> String {
    let error = parse(text, "config.yaml").unwrap_err();
    format!("{error} | {}", error.hint().unwrap_or_default())
}

/// The example of the specification, word for word but for the `…`.
const FULL: &str = r#"
listen: 127.0.0.1:8877          # port 0 picks one
upstream:
  resolve: {"api.openai.com:443": "127.0.0.1:9443"}   # like curl --resolve
  extra_roots: [/path/to/root.pem]                    # added to the platform's
  proxy: http://proxy.corp.example:3128               # or socks5://, or none
secrets:
  keychain: true
  vaults:
    - {address: "https://127.0.0.1:8200", ca: /path/ca.pem, mount: secret, kv: 2, path: ai-protected/, auth: {method: token, token_file: /path}}
    - {address: "https://127.0.0.1:8200", auth: {method: approle, role_id: x, secret_id_file: /s}}
    - {address: "https://127.0.0.1:8200", auth: {method: userpass, username: u, password_file: /p}}
  files: [/path/secrets.env]     # NAME=value lines
  workspaces: [~/src]
  well_known_files: true
  client_environment: false
audit: {durability: strict, retention_days: 90, content: public}
policies: [policies/]
profile: balanced
identity: {tier: developer}
quotas: {on_exceed: block}
agents: {default_class: coding-assistant, default_tier: execute-commands, workspace: ~/src}
"#;

#[test]
fn every_key_of_the_specification_is_read() {
    let config = parse(FULL, "config.yaml").unwrap();
    let key = HostPort::new("api.openai.com", 443);
    assert_eq!(config.upstream.resolve[&key], "127.0.0.1:9443".parse().unwrap());
    assert_eq!(config.secrets.vaults.len(), 3);
    assert_eq!(config.secrets.vaults[1].path, "ai-protected/");
    assert_eq!(config.quotas.on_exceed, Some(OnExceed::Block));
}

#[test]
fn nothing_at_all_is_the_default() {
    for text in ["", "# only a comment\n", "---\n", "upstream:\nsecrets:\n"] {
        assert_eq!(parse(text, "config.yaml").unwrap(), Config::default(), "{text:?}");
    }
}

#[test]
fn the_shown_file_is_the_default_and_its_comments_parse() {
    assert_eq!(parse(DEFAULT_CONFIG_YAML, "default.yaml").unwrap(), Config::default());
    let uncommented: String = DEFAULT_CONFIG_YAML
        .lines()
        .filter(|line| !line.starts_with("# ") || line.starts_with("#  "))
        .map(|line| format!("{}\n", line.strip_prefix('#').unwrap_or(line)))
        .collect();
    let layer = parse_layer(&uncommented, "default.yaml").unwrap();
    let shown = serde_json::to_value(Config::default()).unwrap();
    for (section, value) in shown.as_object().unwrap() {
        assert!(layer.sets(section), "{section} is not taught");
        for key in value.as_object().into_iter().flat_map(|map| map.keys()) {
            assert!(layer.sets(&format!("{section}.{key}")), "{section}.{key} is not taught");
        }
    }
}

#[test]
fn a_mistake_is_named_with_its_place() {
    assert_eq!(
        fails("listen: 127.0.0.1:1\nprofil: strict\n"),
        "config.yaml:2:1: `profil` is not a key here | did you mean `profile`? Known here: `listen`, \
         `upstream`, `secrets`, `audit`, `policies`, `profile`, `bundles`, `identity`, `quotas`, `agents`"
    );
    let table = [
        ("listen: 0.0.0.0:8877\n", "config.yaml:1:9: expected a loopback address and port"),
        ("listen: 127.0.0.1\n", "config.yaml:1:9: expected a loopback address"),
        ("upstream:\n  resolve: {api.openai.com: \"1.2.3.4:1\"}\n", "config.yaml:2:13: expected `host:port`"),
        (
            "upstream:\n  resolve: {\"a.b:443\": localhost}\n",
            "config.yaml:2:24: expected an address and port",
        ),
        ("upstream: {proxy: \"ftp://x:1\"}\n", "config.yaml:1:19: expected `http://host:port`"),
        ("audit: {retention_days: 0}\n", "config.yaml:1:25: expected at least 1 day"),
        ("audit: {retention_days: -1}\n", "config.yaml:1:25: expected a whole number"),
        ("audit: {durability: lax}\n", "config.yaml:1:21: expected `strict` or `relaxed`"),
        ("quotas: {store: mysql}\n", "config.yaml:1:17: expected `sqlite`"),
        (
            "secrets:\n  vaults:\n    - {address: \"http://vault.corp:8200\", auth: {}}\n",
            "config.yaml:3:17: expected an address",
        ),
        (
            "secrets:\n  vaults:\n    - address: \"https://v:1\"\n      kv: 3\n      auth: {}\n",
            "config.yaml:4:11: expected 1 or 2",
        ),
        (
            "secrets:\n  vaults:\n    - {address: \"https://v:1\"}\n",
            "config.yaml:3:7: the key `auth` is missing",
        ),
        (
            "secrets:\n  vaults:\n    - {address: \"https://v:1\", auth: {method: token}}\n",
            "config.yaml:3:38: the key `token_file` is missing",
        ),
        ("secrets: {files: /one}\n", "config.yaml:1:18: expected a list, found text"),
        ("secrets: yes\n", "config.yaml:1:10: expected a mapping, found text"),
    ];
    for (text, expected) in table {
        let got = fails(text);
        assert!(got.starts_with(expected), "{text}\n  got      {got}\n  expected {expected}");
    }
}

#[test]
fn a_pasted_credential_is_never_repeated() {
    let text = "secrets:\n  vaults:\n    - {address: hvs.abcdefsecret, auth: {method: hvs.abcdefsecret}}\n";
    assert!(!fails(text).contains("abcdefsecret"));
    assert!(!fails("audit: {retention_days: hvs.abcdefsecret}\n").contains("abcdefsecret"));
    assert!(!fails("listen: hvs.abcdefsecret\n").contains("abcdefsecret"));
}

#[test]
fn unset_and_empty_differ() {
    let layer = parse_layer("policies: []\nsecrets: {files: , keychain: false}\n", "c").unwrap();
    assert!(layer.sets("policies") && layer.sets("secrets.keychain"));
    assert!(!layer.sets("secrets.files") && !layer.sets("listen"));
    assert!(layer.config.policies.is_empty());
}

#[test]
fn paths_become_absolute() {
    let mut config = parse(FULL, "config.yaml").unwrap();
    resolve_paths(&mut config, Path::new("/home/ann"), Path::new("/home/ann/.config/sallyport"));
    assert_eq!(config.policies, [PathBuf::from("/home/ann/.config/sallyport/policies/")]);
    assert_eq!(config.secrets.workspaces, [PathBuf::from("/home/ann/src")]);
    assert_eq!(config.upstream.extra_roots, [PathBuf::from("/path/to/root.pem")]);
    assert_eq!(config.agents.workspace, Some(PathBuf::from("/home/ann/src")));
}
