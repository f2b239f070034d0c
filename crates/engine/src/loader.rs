//! The short-lived process that reads secret sources and hands fingerprints to the engine (ADR 2).
//!
//! Only this process ever holds a value. It takes one JSON line on standard input, writes one JSON line
//! to standard output and exits; it logs nothing.

use std::io::{Read, Write};
use std::process::ExitCode;

use crate::keys::LockedMemory;
use data_encoding::{BASE64, HEXLOWER};
use sallyport_detect::{IndexKey, SecretEntry, SecretSet, shape};
use sallyport_platform::LockedBytes;
use sallyport_platform::paths::Paths;
use sallyport_policy::broker::{SecretPlace, SecretRef};
use sallyport_policy::config::SecretsConfig;
use sallyport_secrets::Judge;
use serde::{Deserialize, Serialize};
use zeroize::{ZeroizeOnDrop, Zeroizing};

mod fetch;

pub use fetch::fetch;

/// Hidden argument under which the binary starts itself as a loader.
pub const CHILD_ARGUMENT: &str = "load-secrets-child";

/// Longer input is nothing that the engine wrote.
const MAX_INPUT: u64 = 1 << 20;

pub(crate) const JUDGE: Judge = Judge { looks_secret: shape::looks_secret, is_common: shape::is_common_word };

/// What the engine tells its child.
#[derive(Serialize, Deserialize, ZeroizeOnDrop)]
pub(crate) struct Order {
    pub(crate) key: String,
    #[zeroize(skip)]
    pub(crate) secrets: SecretsConfig,
    /// Instead of fingerprints of everything: these values, for whoever started the child.
    #[zeroize(skip)]
    #[serde(default)]
    pub(crate) wanted: Option<Wanted>,
}

/// Values that are asked for by name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    One(SecretRef),
    Class { place: SecretPlace, class: String },
}

/// What was asked for by name: in locked memory, or why it could not be had.
pub enum Fetched {
    Values(Vec<(String, LockedBytes)>),
    Failed { message: String, hint: String },
}

/// What the child found in one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) location: String,
    /// When a vault's secrets were last written, by name.
    #[serde(default)]
    pub(crate) dated: Vec<(String, String)>,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Base64 of the fingerprints; the names that people know; how many values were too short to be told from
    /// other text.
    Set {
        fingerprints: String,
        names: Vec<Name>,
        skipped: usize,
    },
    Failed {
        code: String,
        message: String,
        hint: String,
    },
}

/// A secret's name, and whether its value is a common word that counts beside its name only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) weak: bool,
}

/// Body of the child process: 0 and an answer, or 2 and a sentence on standard error.
pub fn run_child() -> ExitCode {
    let _ = sallyport_platform::memory::harden_process();
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            let _ = writeln!(std::io::stderr(), "{sentence}");
            ExitCode::from(2)
        }
    }
}

fn answer() -> Result<(), String> {
    let mut input = Zeroizing::new(Vec::new());
    std::io::stdin()
        .take(MAX_INPUT)
        .read_to_end(&mut input)
        .map_err(|error| format!("the loader got no order: {error}"))?;
    let order: Order =
        serde_json::from_slice(&input).map_err(|_| "the loader's order is malformed".to_owned())?;
    let paths = Paths::from_env().map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the loader has no runtime: {error}"))?;
    if let Some(wanted) = &order.wanted {
        return runtime.block_on(fetch::hand_over(&order.secrets, &paths, wanted));
    }
    let loaded = runtime.block_on(load(&order, &paths))?;
    let line = serde_json::to_vec(&loaded).map_err(|error| error.to_string())?;
    std::io::stdout().write_all(&line).map_err(|error| format!("the engine went away: {error}"))
}

/// Reads every source and fingerprints what it holds. Runs in the child; in tests also in process.
pub(crate) async fn load(order: &Order, paths: &Paths) -> Result<Vec<Loaded>, String> {
    let key = decode_key(&order.key)?;
    let reports = sallyport_secrets::load(&order.secrets, paths, JUDGE).await;
    Ok(reports
        .into_iter()
        .map(|report| Loaded {
            id: report.id.to_string(),
            kind: report.kind.as_str().to_owned(),
            location: report.location.clone(),
            dated: report.dated.clone(),
            outcome: match &report.result {
                Ok(secrets) => {
                    let entries = secrets.iter().map(|secret| SecretEntry {
                        name: &secret.name,
                        value: secret.value.as_bytes(),
                        weak: secret.weak,
                    });
                    let set = SecretSet::build(&key, report.id.as_str(), entries);
                    let known = secrets.iter().filter(|secret| !secret.part);
                    Outcome::Set {
                        names: known.map(|s| Name { name: s.name.clone(), weak: s.weak }).collect(),
                        skipped: report.skipped_short,
                        fingerprints: BASE64.encode(&set.to_bytes()),
                    }
                }
                Err(error) => Outcome::Failed {
                    code: error.code.as_str().to_owned(),
                    message: error.message.clone(),
                    hint: error.hint.clone(),
                },
            },
        })
        .collect())
}

fn decode_key(hex: &str) -> Result<IndexKey, String> {
    let malformed = "the loader's key is malformed";
    let decoded = Zeroizing::new(HEXLOWER.decode(hex.as_bytes()).map_err(|_| malformed)?);
    let key = Zeroizing::new(<[u8; 32]>::try_from(&decoded[..]).map_err(|_| malformed)?);
    // Where locking is refused the engine, under the same limits, has said so.
    Ok(IndexKey::held(key, &LockedMemory::default()))
}
