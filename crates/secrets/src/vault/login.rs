//! Gets a token: from a file, by AppRole, by user name and password, or for a token of somebody else's (JWT, Kubernetes).
//! A token that a login made is revoked when the source has been read, so that refreshes do not pile up leases on the
//! server; one that was given is renewed before it ends, where it can be.

use std::path::Path;

use sallyport_platform::Paths;
use sallyport_policy::config::VaultAuth;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::{Answer, Client};
use crate::files::credential;
use crate::report::{ProblemCode, SourceError};

/// How long the token lives.
pub(super) enum Session {
    /// The user's own token.
    Given,
    /// Made by our login: ours to end.
    Made,
}

impl Session {
    pub(super) async fn end(self, client: &Client) {
        if let Session::Made = self {
            // Not worth a warning: the token expires by itself, and batch tokens cannot be revoked.
            let _ = client.post("auth/token/revoke-self", json!({})).await;
        }
    }
}

pub(super) async fn log_in(
    client: &mut Client,
    auth: &VaultAuth,
    paths: &Paths,
    warnings: &mut Vec<SourceError>,
) -> Result<Session, SourceError> {
    match auth {
        VaultAuth::Token { token_file } => {
            let token = credential(&paths.expand(token_file), "Vault token", warnings)?;
            client.use_token(&token)?;
            renew(client).await;
            Ok(Session::Given)
        }
        VaultAuth::Approle { role_id, secret_id_file } => {
            let secret_id = credential(&paths.expand(secret_id_file), "AppRole secret id", warnings)?;
            let body = json!({ "role_id": role_id, "secret_id": secret_id.as_str() });
            exchange(client, "auth/approle/login", body, "AppRole", "role_id and the secret id").await
        }
        VaultAuth::Userpass { username, password_file } => {
            let password = credential(&paths.expand(password_file), "Vault password", warnings)?;
            let body = json!({ "password": password.as_str() });
            let path = format!("auth/userpass/login/{username}");
            exchange(client, &path, body, "userpass", "username and the password").await
        }
        VaultAuth::Jwt { role, jwt_file, mount } => {
            let role = role.as_deref();
            foreign(client, "JWT", (mount, role, jwt_file), paths, warnings).await
        }
        VaultAuth::Kubernetes { role, jwt_file, mount } => {
            foreign(client, "Kubernetes", (mount, Some(role), jwt_file), paths, warnings).await
        }
    }
}

/// Shows a token that somebody else has issued. Such files are written anew all the time, so each login reads them.
async fn foreign(
    client: &mut Client,
    method: &str,
    (mount, role, jwt_file): (&str, Option<&str>, &Path),
    paths: &Paths,
    warnings: &mut Vec<SourceError>,
) -> Result<Session, SourceError> {
    let jwt = credential(&paths.expand(jwt_file), &format!("{method} token"), warnings)?;
    let mut body = json!({ "jwt": jwt.as_str() });
    if let Some(role) = role {
        body["role"] = role.into();
    }
    let path = format!("auth/{}/login", mount.trim_matches('/'));
    exchange(client, &path, body, method, "role, mount and jwt_file").await
}

/// Prolongs a given token whose second half of life has begun. What can't be renewed ends when it ends, and the health
/// item says so then.
async fn renew(client: &Client) {
    let Ok(Answer::Ok(found)) = client.read("auth/token/lookup-self").await else { return };
    let number = |name: &str| found.pointer(name).and_then(Value::as_u64).unwrap_or(0);
    let renewable = found.pointer("/data/renewable").and_then(Value::as_bool) == Some(true);
    if renewable && number("/data/ttl") * 2 < number("/data/creation_ttl") {
        let _ = client.post("auth/token/renew-self", json!({})).await;
    }
}

async fn exchange(
    client: &mut Client,
    path: &str,
    body: Value,
    method: &str,
    check: &str,
) -> Result<Session, SourceError> {
    let refused = |server: &str, words: &str| {
        SourceError::new(
            ProblemCode::VaultLoginRefused,
            format!("{server} refused the {method} login: {words}."),
            format!(
                "Check {check} under `secrets.vaults`, and that the {method} method is enabled on the server."
            ),
        )
    };
    let mut answer = match client.post(path, body).await? {
        Answer::Ok(answer) => answer,
        Answer::NotFound(r) | Answer::Denied(r) | Answer::Rejected(r) => {
            return Err(refused(&client.server, &r.words));
        }
    };
    let token = answer.pointer("/auth/client_token").and_then(Value::as_str).map(str::to_owned);
    crate::json::wipe(&mut answer);
    match token.map(Zeroizing::new) {
        Some(token) => {
            client.use_token(&token)?;
            Ok(Session::Made)
        }
        // A second factor is asked for, or this is no Vault.
        None => Err(refused(
            &client.server,
            "it gave no token; logins with a second factor are not possible here",
        )),
    }
}
