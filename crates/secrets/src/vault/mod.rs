//! HashiCorp Vault and OpenBao: every string under a path of a key-value engine.
//!
//! A thin client of our own: four calls are needed, and errors must be told apart (sealed, expired, denied, wrong
//! engine), while values must stay out of every log. A failure part-way fails the whole source, so that what was known
//! of it before stays in force; paths that policy denies are left out with a warning.

mod client;
mod kv;
mod login;

use std::time::Duration;

use sallyport_platform::Paths;
use sallyport_policy::config::VaultConfig;

use crate::collect::Collector;
use crate::report::{ProblemCode, SourceError, SourceId, SourceKind, SourceReport};
use crate::{Judge, SecretValue};
use client::Client;

/// The whole of one source, however large.
const PATIENCE: Duration = Duration::from_secs(120);
/// One value, which an exchange waits for.
const FETCH_PATIENCE: Duration = Duration::from_secs(15);

pub(crate) async fn load(config: &VaultConfig, paths: &Paths, judge: Judge) -> SourceReport {
    let place = Place::of(config);
    let mut warnings = Vec::new();
    let mut collector = Collector::new(judge);
    let mut dated = Vec::new();
    let result = match tokio::time::timeout(
        PATIENCE,
        read(config, &place, paths, &mut collector, &mut dated, &mut warnings),
    )
    .await
    {
        Ok(result) => result,
        Err(_) => Err(SourceError::new(
            ProblemCode::VaultTimeout,
            format!("{place} was not read within {} seconds.", PATIENCE.as_secs()),
            "Point `path` at a smaller part, or look at the server's load.",
        )),
    };
    let (secrets, skipped_short) = collector.finish();
    SourceReport {
        id: SourceId::new(SourceKind::Vault, &place.to_string()),
        kind: SourceKind::Vault,
        location: place.to_string(),
        result: result.map(|()| secrets),
        dated,
        skipped_short,
        warnings,
    }
}

async fn read(
    config: &VaultConfig,
    place: &Place,
    paths: &Paths,
    collector: &mut Collector,
    dated: &mut Vec<(String, String)>,
    warnings: &mut Vec<SourceError>,
) -> Result<(), SourceError> {
    let mut client = Client::connect(config, paths, place.server.clone())?;
    let session = login::log_in(&mut client, &config.auth, paths, warnings).await?;
    let result = kv::read_all(&client, config.kv, place, collector, dated, warnings).await;
    session.end(&client).await;
    result
}

/// One value by its name, without looking at any other.
pub(crate) async fn fetch(
    config: &VaultConfig,
    paths: &Paths,
    name: &str,
) -> Result<Option<SecretValue>, SourceError> {
    let place = Place::of(config);
    let reading = async {
        let mut client = Client::connect(config, paths, place.server.clone())?;
        let session = login::log_in(&mut client, &config.auth, paths, &mut Vec::new()).await?;
        let value = kv::read_one(&client, config.kv, &place, name).await;
        session.end(&client).await;
        value
    };
    tokio::time::timeout(FETCH_PATIENCE, reading).await.unwrap_or_else(|_| {
        Err(SourceError::new(
            ProblemCode::VaultTimeout,
            format!("{place} did not answer within {} seconds.", FETCH_PATIENCE.as_secs()),
            "Look at the server's load.",
        ))
    })
}

/// Where a source is, without credentials.
pub(crate) struct Place {
    pub(crate) server: String,
    /// Without slashes at its ends.
    pub(crate) mount: String,
    pub(crate) path: String,
}

impl Place {
    fn of(config: &VaultConfig) -> Place {
        let trimmed = |text: &str| text.trim_matches('/').to_owned();
        Place {
            server: client::shown_address(&config.address),
            mount: trimmed(&config.mount),
            path: trimmed(&config.path),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.server, self.mount, self.path)
    }
}
