//! Walks a key-value engine, version 1 or 2: LIST gives the names of one folder, folders end in a slash.

use futures_util::stream::{self, StreamExt};
use serde_json::Value;

use super::Place;
use super::client::{Answer, Client, Refusal};
use crate::SecretValue;
use crate::collect::Collector;
use crate::json;
use crate::report::{ProblemCode, SourceError};
use crate::value::clean_name;

const MAX_DEPTH: usize = 24;
const MAX_SECRETS: usize = 20_000;
const MAX_FOLDERS: usize = 5_000;
/// Calls in flight: quick, and no burden on the server.
const AT_ONCE: usize = 8;
/// The field that needs no name of its own when it stands alone.
const PLAIN_FIELD: &str = "value";

pub(super) async fn read_all(
    client: &Client,
    version: u8,
    place: &Place,
    collector: &mut Collector,
    dated: &mut Vec<(String, String)>,
    warnings: &mut Vec<SourceError>,
) -> Result<(), SourceError> {
    let engine = Engine { client, version, place };
    let (secrets, mut denied) = engine.find(warnings).await?;

    // Gathered first: a closure over borrowed names would not be general enough for a task that may move.
    let mut calls = Vec::with_capacity(secrets.len());
    for name in &secrets {
        calls.push(engine.read(name));
    }
    let mut reads = stream::iter(calls).buffer_unordered(AT_ONCE);
    while let Some(read) = reads.next().await {
        match read? {
            Read::Found(name, mut value, written) => {
                dated.extend(written.map(|written| (clean_name(name), written)));
                collect(name, &value, collector);
                json::wipe(&mut value);
            }
            Read::Denied => denied += 1,
            Read::Gone => {}
        }
    }
    if denied > 0 {
        let shown = format!("{denied} path(s) under {place} may not be read with this token.");
        let hint = engine.policy_hint();
        if collector.len() == 0 {
            return Err(SourceError::new(ProblemCode::VaultDenied, shown, hint));
        }
        warnings.push(SourceError::new(ProblemCode::VaultDenied, shown, hint));
    }
    Ok(())
}

/// The one value of this name: a secret that holds a single value, or one field of a secret.
pub(super) async fn read_one(
    client: &Client,
    version: u8,
    place: &Place,
    name: &str,
) -> Result<Option<SecretValue>, SourceError> {
    let engine = Engine { client, version, place };
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Ok(None);
    }
    let (parent, field) = match name.rsplit_once('/') {
        Some((parent, field)) => (Some(parent), field),
        None => (None, name),
    };
    for (secret, field) in [(Some(name), PLAIN_FIELD), (parent, field)] {
        let Some(secret) = secret else { continue };
        match engine.read(secret).await? {
            Read::Found(_, mut fields, _) => {
                let value = fields.get(field).and_then(Value::as_str).map(SecretValue::new);
                json::wipe(&mut fields);
                if value.is_some() {
                    return Ok(value);
                }
            }
            Read::Gone => {}
            Read::Denied => return Err(engine.explain_denied().await),
        }
    }
    Ok(None)
}

struct Engine<'a> {
    client: &'a Client,
    version: u8,
    place: &'a Place,
}

enum Read<'a> {
    /// With when this version was written, where the engine keeps versions.
    Found(&'a str, Value, Option<String>),
    /// Deleted meanwhile, or its newest version is.
    Gone,
    Denied,
}

enum Listed {
    Names(Vec<String>),
    Denied,
}

impl Engine<'_> {
    /// All names under the path, relative to it, and how many folders were denied.
    async fn find(&self, warnings: &mut Vec<SourceError>) -> Result<(Vec<String>, usize), SourceError> {
        let mut secrets = Vec::new();
        let mut denied = 0;
        let mut folders_seen = 1;
        let mut level = vec![String::new()];
        let mut truncated = false;
        for depth in 0.. {
            if level.is_empty() {
                break;
            }
            if depth >= MAX_DEPTH {
                truncated = true;
                break;
            }
            let mut below = Vec::new();
            let mut calls = Vec::with_capacity(level.len());
            for folder in &level {
                calls.push(self.list_folder(folder));
            }
            let mut lists = stream::iter(calls).buffer_unordered(AT_ONCE);
            while let Some((folder, listed)) = lists.next().await {
                let names = match listed? {
                    Listed::Names(names) => names,
                    Listed::Denied => {
                        denied += 1;
                        continue;
                    }
                };
                for name in names {
                    let bare = name.trim_end_matches('/');
                    // No path of ours may lead up or nowhere.
                    if bare.is_empty() || bare == "." || bare == ".." {
                        continue;
                    }
                    let path = format!("{folder}{name}");
                    match name.ends_with('/') {
                        true => below.push(path),
                        false => secrets.push(path),
                    }
                }
            }
            drop(lists);
            folders_seen += below.len();
            truncated |= secrets.len() > MAX_SECRETS || folders_seen > MAX_FOLDERS;
            if truncated {
                break;
            }
            level = below;
        }
        secrets.sort();
        secrets.truncate(MAX_SECRETS);
        if truncated {
            warnings.push(SourceError::new(
                ProblemCode::Truncated,
                format!("{} was read in part only: it is too deep or holds too many secrets.", self.place),
                "Point `path` under `secrets.vaults` at the part that matters; name several vaults if need be.",
            ));
        }
        Ok((secrets, denied))
    }

    async fn list_folder<'n>(&self, folder: &'n str) -> (&'n str, Result<Listed, SourceError>) {
        (folder, self.list(folder).await)
    }

    async fn list(&self, folder: &str) -> Result<Listed, SourceError> {
        let path = self.path("metadata", folder);
        match self.client.list(&path).await? {
            Answer::Ok(answer) => answer
                .pointer("/data/keys")
                .and_then(Value::as_array)
                .map(|keys| Listed::Names(keys.iter().filter_map(Value::as_str).map(str::to_owned).collect()))
                .ok_or_else(|| self.client.malformed("a list of names holds no names")),
            // Below the top a folder may just have lost its last secret.
            Answer::NotFound(_) if !folder.is_empty() => Ok(Listed::Names(Vec::new())),
            Answer::Denied(_) if !folder.is_empty() => Ok(Listed::Denied),
            Answer::NotFound(refusal) => self.explain_empty(&refusal).await,
            Answer::Denied(_) => Err(self.explain_denied().await),
            Answer::Rejected(refusal) => Err(self.rejected(&refusal)),
        }
    }

    async fn read<'n>(&self, name: &'n str) -> Result<Read<'n>, SourceError> {
        match self.client.read(&self.path("data", name)).await? {
            Answer::Ok(mut answer) => {
                let written = answer.pointer("/data/metadata/created_time").and_then(Value::as_str);
                let written = written.filter(|_| self.version != 1).map(str::to_owned);
                let pointer = if self.version == 1 { "/data" } else { "/data/data" };
                match answer.pointer_mut(pointer).map(Value::take) {
                    Some(value @ Value::Object(_)) => Ok(Read::Found(name, value, written)),
                    Some(Value::Null) => Ok(Read::Gone),
                    _ => Err(self.client.malformed("a secret holds no fields")),
                }
            }
            Answer::NotFound(_) => Ok(Read::Gone),
            Answer::Denied(_) => Ok(Read::Denied),
            Answer::Rejected(refusal) => Err(self.rejected(&refusal)),
        }
    }

    fn path(&self, part: &str, name: &str) -> String {
        let Place { mount, path, .. } = self.place;
        match self.version {
            1 => format!("{mount}/{path}/{name}"),
            _ => format!("{mount}/{part}/{path}/{name}"),
        }
    }

    /// The top folder is not there: nothing is in it, or the engine is not what the configuration says.
    async fn explain_empty(&self, refusal: &Refusal) -> Result<Listed, SourceError> {
        let Place { server, mount, .. } = self.place;
        let no_engine = || {
            SourceError::new(
                ProblemCode::VaultMount,
                format!("{server} has no key-value engine at {mount}/."),
                "Correct `mount` (and `namespace`) under `secrets.vaults`.",
            )
        };
        if refusal.words.contains("no handler for route") {
            return Err(no_engine());
        }
        // Readable for every token that may use the mount at all; where it is not, an empty folder is believed.
        let Answer::Ok(about) = self.client.read(&format!("sys/internal/ui/mounts/{mount}")).await? else {
            return Ok(Listed::Names(Vec::new()));
        };
        let kind = about.pointer("/data/type").and_then(Value::as_str).unwrap_or_default();
        if !["kv", "generic"].contains(&kind) {
            return Err(no_engine());
        }
        let version = about.pointer("/data/options/version").and_then(Value::as_str).unwrap_or("1");
        if version != self.version.to_string() {
            return Err(SourceError::new(
                ProblemCode::VaultKvVersion,
                format!("The engine at {mount}/ of {server} has version {version}, not {}.", self.version),
                format!("Set `kv: {version}` under `secrets.vaults`."),
            ));
        }
        Ok(Listed::Names(Vec::new()))
    }

    /// The server says no to expired tokens and to missing rights alike; asking about the token itself tells them
    /// apart, since every living token may.
    async fn explain_denied(&self) -> SourceError {
        let server = &self.place.server;
        match self.client.read("auth/token/lookup-self").await {
            Ok(Answer::Ok(_)) => SourceError::new(
                ProblemCode::VaultDenied,
                format!("The token for {server} may not list {}/{}.", self.place.mount, self.place.path),
                self.policy_hint(),
            ),
            Ok(_) => SourceError::new(
                ProblemCode::VaultTokenInvalid,
                format!("The token for {server} has expired, was revoked, or belongs to another namespace."),
                "Put a new token into the token file, or use AppRole, which gets its own.",
            ),
            Err(e) => e,
        }
    }

    fn policy_hint(&self) -> String {
        let Place { mount, path, .. } = self.place;
        match self.version {
            1 => format!("Grant `read` and `list` on {mount}/{path}/* in the token's policy."),
            _ => format!(
                "Grant `read` on {mount}/data/{path}/* and `list` on {mount}/metadata/{path}/* in the token's policy."
            ),
        }
    }

    fn rejected(&self, refusal: &Refusal) -> SourceError {
        SourceError::new(
            ProblemCode::VaultFailed,
            format!("{} rejected a request: {}.", self.place.server, refusal.words),
            "Check `address`, `mount`, `path`, `kv` and `namespace` under `secrets.vaults`.",
        )
    }
}

/// Every text of one secret: `path` when `value` is its only field, else `path/field`.
fn collect(name: &str, fields: &Value, collector: &mut Collector) {
    let members = fields.as_object().map_or(0, serde_json::Map::len);
    if members == 1
        && let Some(text) = fields.get(PLAIN_FIELD).and_then(Value::as_str)
    {
        take(name, text, collector);
        return;
    }
    json::leaves(name, fields, &mut |name, text| take(name, text, collector));
}

fn take(name: &str, text: &str, collector: &mut Collector) {
    collector.add(name, text.as_bytes());
    // Keys of service accounts are often kept as one JSON text: what is secret in it stands alone in other places.
    if text.trim_start().starts_with('{')
        && let Ok(mut inner) = serde_json::from_str::<Value>(text)
    {
        json::leaves("", &inner, &mut |key, text| collector.add_if_secret(name, key, text, &[]));
        json::wipe(&mut inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tests::{judge, pairs};
    use serde_json::json;

    fn collected(name: &str, fields: &Value) -> Vec<(String, String)> {
        let mut collector = Collector::new(judge());
        collect(name, fields, &mut collector);
        pairs(collector)
    }

    #[test]
    fn one_plain_value_bears_the_name_of_its_secret() {
        assert_eq!(
            collected("db/password", &json!({"value": "made-up-value"})),
            [("db/password".to_owned(), "made-up-value".to_owned())]
        );
    }

    #[test]
    fn several_fields_bear_their_own() {
        let fields = json!({"value": "made-up-value", "user": "made-up-user", "port": 5432, "nested": {"pin": 1234567890}});
        let names: Vec<String> = collected("db", &fields).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["db/nested/pin", "db/user", "db/value"]);
        let number = collected("n", &json!({"value": 1234567890}));
        assert_eq!(number, [("n/value".to_owned(), "1234567890".to_owned())]);
    }

    #[test]
    fn json_kept_as_text_is_opened() {
        let account = r#"{"type": "service_account", "private_key": "made-up-private-key"}"#;
        let found = collected("gcp", &json!({"value": account}));
        assert_eq!(found[0], ("gcp".to_owned(), account.to_owned()));
        assert_eq!(found[1], ("gcp/private_key".to_owned(), "made-up-private-key".to_owned()));
        assert_eq!(found.len(), 2);
    }
}
