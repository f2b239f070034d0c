//! AWS, Google Cloud, Kubernetes.

use data_encoding::BASE64;
use serde_json::Value;
use zeroize::Zeroizing;

use super::ini;
use crate::collect::Collector;
use crate::{json, pem};

const AWS_KEYS: [&str; 3] = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
const GCLOUD_KEYS: [&str; 5] =
    ["client_secret", "refresh_token", "private_key", "private_key_id", "access_token"];
const KUBE_KEYS: [&str; 7] =
    ["token", "password", "client-key-data", "access-token", "id-token", "refresh-token", "client-secret"];

/// `~/.aws/credentials` and `~/.aws/config`.
pub(super) fn aws(text: &str, collector: &mut Collector) {
    for (section, key, value) in ini(text) {
        let profile = section.strip_prefix("profile ").unwrap_or(section).trim();
        if AWS_KEYS.contains(&key) {
            collector.add(&format!("aws/{profile}/{key}"), value.as_bytes());
        }
    }
}

/// Application default credentials: of a user, a service account, or a federation of both.
pub(super) fn gcloud(text: &str, collector: &mut Collector) {
    let Some(mut value) = json::from_yaml(text) else { return };
    json::leaves("gcloud", &value, &mut |name, value| {
        if GCLOUD_KEYS.iter().any(|key| name.rsplit('/').next() == Some(key)) {
            collector.add(name, value.as_bytes());
        }
    });
    json::wipe(&mut value);
}

/// `~/.kube/config`: the credentials of each user, and of older sign-in plug-ins.
pub(super) fn kube(text: &str, collector: &mut Collector) {
    let Some(mut value) = json::from_yaml(text) else { return };
    for entry in value.get("users").and_then(Value::as_array).into_iter().flatten() {
        let user = entry.get("name").and_then(Value::as_str).unwrap_or("user");
        let Some(credentials) = entry.get("user") else { continue };
        json::leaves(&format!("kube/{user}"), credentials, &mut |name, value| {
            let Some(key) = name.rsplit('/').next().filter(|key| KUBE_KEYS.contains(key)) else { return };
            collector.add(name, value.as_bytes());
            if key == "client-key-data"
                && let Ok(decoded) = BASE64.decode(value.trim().as_bytes())
            {
                let decoded = Zeroizing::new(decoded);
                for key in pem::private_keys(std::str::from_utf8(&decoded).unwrap_or_default()) {
                    collector.add(&format!("{name}/pem"), key.as_bytes());
                }
            }
        });
    }
    json::wipe(&mut value);
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

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect()
    }

    #[test]
    fn aws_profiles() {
        let text = "[default]\naws_access_key_id=AKIAMADEUPMADEUP1234\naws_secret_access_key = made/up+secret==\nregion = eu-central-1\n[profile ops]\naws_session_token=session-made-up\n";
        assert_eq!(
            parsed(aws, text),
            owned(&[
                ("aws/default/aws_access_key_id", "AKIAMADEUPMADEUP1234"),
                ("aws/default/aws_secret_access_key", "made/up+secret=="),
                ("aws/ops/aws_session_token", "session-made-up"),
            ])
        );
    }

    #[test]
    fn gcloud_credentials() {
        let text = r#"{"client_id": "764.apps.example", "client_secret": "made-up-secret", "refresh_token": "1//made-up-refresh", "type": "authorized_user"}"#;
        assert_eq!(
            parsed(gcloud, text),
            owned(&[
                ("gcloud/client_secret", "made-up-secret"),
                ("gcloud/refresh_token", "1//made-up-refresh")
            ])
        );
        assert!(parsed(gcloud, "{broken").is_empty());
    }

    #[test]
    fn kube_users() {
        let key = "-----BEGIN EC PRIVATE KEY-----\nmadeup\n-----END EC PRIVATE KEY-----";
        let data = BASE64.encode(key.as_bytes());
        let text = format!(
            "apiVersion: v1\nclusters: [{{name: c, cluster: {{server: https://k8s.example, certificate-authority-data: bm90IHNlY3JldA==}}}}]\nusers:\n- name: ada\n  user:\n    token: made-up-token\n    client-certificate-data: bm90IHNlY3JldA==\n    client-key-data: {data}\n- name: bob\n  user: {{auth-provider: {{config: {{id-token: made-up-id-token, idp-issuer-url: https://i.example}}}}}}\n"
        );
        assert_eq!(
            parsed(kube, &text),
            owned(&[
                ("kube/ada/client-key-data", &data),
                ("kube/ada/client-key-data/pem", key),
                ("kube/ada/token", "made-up-token"),
                ("kube/bob/auth-provider/config/id-token", "made-up-id-token"),
            ])
        );
        assert!(parsed(kube, "users: 7").is_empty());
    }
}
