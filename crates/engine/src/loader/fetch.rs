//! Values by name, over the child's standard output into locked memory: for the key broker and `exec --with-secrets`.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use data_encoding::BASE64;
use sallyport_platform::LockedBytes;
use sallyport_platform::paths::Paths;
use sallyport_policy::config::SecretsConfig;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{CHILD_ARGUMENT, Fetched, JUDGE, Order, Wanted};

/// More is no key and no class of keys.
const MAX_ANSWER: usize = 1 << 20;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer<'a> {
    Values(#[serde(borrow)] Vec<Named<'a>>),
    Failed { message: String, hint: String },
}

#[derive(Serialize, Deserialize)]
struct Named<'a> {
    name: String,
    /// Base64 holds no character that JSON would escape, so it is never copied out.
    value: &'a str,
}

/// The child's side.
pub(super) async fn hand_over(secrets: &SecretsConfig, paths: &Paths, wanted: &Wanted) -> Result<(), String> {
    let found = match wanted {
        Wanted::One(source) => sallyport_secrets::fetch(secrets, paths, JUDGE, source)
            .await
            .map(|value| value.map(|value| (source.name.clone(), value)).into_iter().collect()),
        Wanted::Class { place, class } => {
            let class = sallyport_secrets::fetch_class(secrets, paths, JUDGE, *place, class).await;
            class.map(|found| found.into_iter().map(|secret| (secret.name, secret.value)).collect::<Vec<_>>())
        }
    };
    let encoded: Vec<(String, Zeroizing<String>)>;
    let answer = match found {
        Ok(values) => {
            let encode = |bytes: &[u8]| Zeroizing::new(BASE64.encode(bytes));
            encoded = values.into_iter().map(|(name, value)| (name, encode(value.as_bytes()))).collect();
            Answer::Values(
                encoded
                    .iter()
                    .map(|(name, value)| Named { name: name.clone(), value: value.as_str() })
                    .collect(),
            )
        }
        Err(error) => Answer::Failed { message: error.message, hint: error.hint },
    };
    let line = Zeroizing::new(serde_json::to_vec(&answer).map_err(|error| error.to_string())?);
    std::io::stdout().write_all(&line).map_err(|error| format!("whoever asked went away: {error}"))
}

/// Asks a child for values. Blocks until its source has answered, which has time limits of its own.
pub fn fetch(secrets: SecretsConfig, wanted: Wanted) -> Result<Fetched, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let order = Order { key: String::new(), secrets, wanted: Some(wanted) };
    let order = Zeroizing::new(serde_json::to_vec(&order).map_err(|error| error.to_string())?);
    let mut child = Command::new(program)
        .arg(CHILD_ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(&order));
    // Room beforehand: a vector that grows leaves copies behind.
    let mut answer = Zeroizing::new(Vec::with_capacity(MAX_ANSWER + 1));
    let read = child.stdout.take().map(|stdout| stdout.take(MAX_ANSWER as u64).read_to_end(&mut answer));
    let status = child.wait().map_err(|error| error.to_string())?;
    match (written, read) {
        (Some(Ok(())), Some(Ok(_))) if status.success() => parse(&answer),
        _ => Err(format!("the process that reads secrets ended with {status}")),
    }
}

fn parse(answer: &[u8]) -> Result<Fetched, String> {
    match serde_json::from_slice(answer) {
        Ok(Answer::Values(named)) => {
            let values = named.into_iter().map(|named| Some((named.name, decoded(named.value)?)));
            let values = values.collect::<Option<Vec<_>>>().ok_or("a value could not be kept")?;
            Ok(Fetched::Values(values))
        }
        Ok(Answer::Failed { message, hint }) => Ok(Fetched::Failed { message, hint }),
        Err(_) => Err("the answer of the process that reads secrets is malformed".into()),
    }
}

fn decoded(value: &str) -> Option<LockedBytes> {
    let bytes = BASE64.decode(value.as_bytes()).ok()?;
    LockedBytes::from_vec(Zeroizing::new(bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_over_and_are_never_shown() {
        let text =
            format!(r#"{{"values":[{{"name":"openai","value":"{}"}}]}}"#, BASE64.encode(b"made-up-key"));
        let Ok(Fetched::Values(values)) = parse(text.as_bytes()) else { panic!("values") };
        assert_eq!((values[0].0.as_str(), &values[0].1[..]), ("openai", &b"made-up-key"[..]));
        assert!(!format!("{:?}", values[0].1).contains("made"));
        let failed = br#"{"failed":{"message":"m","hint":"h"}}"#;
        assert!(matches!(parse(failed), Ok(Fetched::Failed { .. })));
        for bad in [&b"{}"[..], b"", br#"{"values":[{"name":"x","value":"%%"}]}"#] {
            assert!(parse(bad).is_err());
        }
    }
}
