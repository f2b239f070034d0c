//! `config.yaml`: the user's machine settings. Every key is optional; an unknown key is an error that names
//! its line and column.
//!
//! Reads text only: whoever calls it reads the file and knows the home folder.

mod bundle_url;
mod paths;
mod store;
mod values;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::PublicKey;
use crate::error::DocumentErrors;
use crate::yaml::{self, Kind, Mark, Node};

pub use bundle_url::{BundleUrl, Refresh};
pub use paths::resolve_paths;
pub use store::{QuotaStore, RedisAddress};
pub use values::{HostPort, ProxyAddress, ProxyScheme, UpstreamProxy};

/// A `config.yaml` in which every key stands, commented out, with its default and what it does.
pub const DEFAULT_CONFIG_YAML: &str = include_str!("config/default.yaml");

/// Reads a `config.yaml`. An empty text is a valid one: everything at its default.
pub fn parse(text: &str, file: &str) -> Result<Config, DocumentErrors> {
    parse_layer(text, file).map(|layer| layer.config)
}

/// Reads a `config.yaml` as one layer of settings: with the keys that it really sets.
pub fn parse_layer(text: &str, file: &str) -> Result<ConfigLayer, DocumentErrors> {
    let node = yaml::single(text).map_err(|fault| DocumentErrors::from_faults(file, vec![fault]))?;
    let config = node.read_or_all_faults().map_err(|faults| DocumentErrors::from_faults(file, faults))?;
    Ok(ConfigLayer {
        config,
        file: file.to_owned(),
        present: present(&node),
        text_digest: crate::digest(text.as_bytes()),
    })
}

/// One layer of configuration. A key that is absent, or has no value, is unset; `[]` is set and empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConfigLayer {
    pub config: Config,
    file: String,
    /// The keys that have a value, and where each stands.
    present: BTreeMap<String, Mark>,
    pub(crate) text_digest: [u8; 32],
}

impl ConfigLayer {
    /// The file, and where in it this key has a value.
    pub(crate) fn place(&self, key: &str) -> Option<(&str, Mark)> {
        Some((&self.file, *self.present.get(key)?))
    }

    /// Whether the file gives this key, such as `secrets.keychain`, a value.
    pub fn sets(&self, key: &str) -> bool {
        self.present.contains_key(key)
    }
}

fn present(root: &Node) -> BTreeMap<String, Mark> {
    let mut keys = BTreeMap::new();
    let Kind::Map(entries) = &root.kind else { return keys };
    for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
        keys.insert(key.text.clone(), key.mark);
        let Kind::Map(inner) = &value.kind else { continue };
        keys.extend(
            inner
                .iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(k, _)| (format!("{}.{}", key.text, k.text), k.mark)),
        );
    }
    keys
}

/// The whole of `config.yaml` as written, after defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Loopback address of the proxy; port 0 picks a free one.
    #[serde(deserialize_with = "values::loopback")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    pub upstream: UpstreamConfig,
    pub secrets: SecretsConfig,
    pub audit: AuditConfig,
    /// Folders or files with policy documents; relative paths count from the config folder.
    pub policies: Vec<PathBuf>,
    pub profile: Profile,
    pub bundles: BundlesConfig,
    pub identity: IdentityConfig,
    pub quotas: QuotasConfig,
    pub agents: AgentsConfig,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8877)),
            upstream: UpstreamConfig::default(),
            secrets: SecretsConfig::default(),
            audit: AuditConfig::default(),
            policies: vec!["policies/".into()],
            profile: Profile::default(),
            bundles: BundlesConfig::default(),
            identity: IdentityConfig::default(),
            quotas: QuotasConfig::default(),
            agents: AgentsConfig::default(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamConfig {
    /// `host:port` -> `address:port`, like curl's `--resolve`.
    #[serde(deserialize_with = "values::resolve_map")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub resolve: BTreeMap<HostPort, SocketAddr>,
    /// PEM files whose certificates are trusted besides the platform's.
    pub extra_roots: Vec<PathBuf>,
    /// Unset: as the environment says (`HTTPS_PROXY`).
    #[schemars(with = "Option<String>")]
    pub proxy: Option<UpstreamProxy>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecretsConfig {
    pub keychain: bool,
    pub vaults: Vec<VaultConfig>,
    /// Files with `NAME=value` lines.
    pub files: Vec<PathBuf>,
    /// Folders searched for `.env*`, `secrets/` and `*.pem`.
    pub workspaces: Vec<PathBuf>,
    pub well_known_files: bool,
    /// The environment of each tool that is intercepted: variables whose names say secret.
    pub client_environment: bool,
}

impl Default for SecretsConfig {
    fn default() -> Self {
        SecretsConfig {
            keychain: true,
            vaults: Vec::new(),
            files: Vec::new(),
            workspaces: Vec::new(),
            well_known_files: true,
            client_environment: true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VaultConfig {
    #[serde(deserialize_with = "values::vault_address")]
    pub address: String,
    #[serde(default)]
    pub ca: Option<PathBuf>,
    #[serde(default = "default_mount")]
    pub mount: String,
    /// Version of the key-value engine: 1 or 2.
    #[serde(default = "default_kv", deserialize_with = "values::kv_version")]
    pub kv: u8,
    #[serde(default = "default_path")]
    pub path: String,
    #[serde(default)]
    pub namespace: Option<String>,
    pub auth: VaultAuth,
}

fn default_mount() -> String {
    "secret".into()
}

fn default_kv() -> u8 {
    2
}

fn default_path() -> String {
    "ai-protected/".into()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "method", rename_all = "lowercase", deny_unknown_fields)]
pub enum VaultAuth {
    Token {
        token_file: PathBuf,
    },
    Approle {
        role_id: String,
        secret_id_file: PathBuf,
    },
    Userpass {
        username: String,
        password_file: PathBuf,
    },
    /// A token of an identity provider, such as a CI job's. `mount`: where the method is, `jwt` as a rule.
    Jwt {
        #[serde(default)]
        role: Option<String>,
        jwt_file: PathBuf,
        #[serde(default = "jwt_mount")]
        mount: String,
    },
    /// The token of a pod's service account.
    Kubernetes {
        role: String,
        #[serde(default = "pod_token")]
        jwt_file: PathBuf,
        #[serde(default = "kubernetes_mount")]
        mount: String,
    },
}

fn jwt_mount() -> String {
    "jwt".into()
}

fn kubernetes_mount() -> String {
    "kubernetes".into()
}

/// Where Kubernetes puts it.
fn pod_token() -> PathBuf {
    "/var/run/secrets/kubernetes.io/serviceaccount/token".into()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    pub durability: Durability,
    #[serde(deserialize_with = "values::days")]
    pub retention_days: u32,
    pub content: ContentRetention,
}

impl Default for AuditConfig {
    fn default() -> Self {
        AuditConfig { durability: Durability::Strict, retention_days: 90, content: ContentRetention::Public }
    }
}

/// Whether an exchange waits for its row to be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    #[default]
    Strict,
    Relaxed,
}

/// For which class the redacted content may be kept, encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContentRetention {
    None,
    #[default]
    Public,
}

/// Signed policy bundles. Counts in managed configuration only.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BundlesConfig {
    /// Keys that may sign a bundle.
    pub trusted_keys: Vec<PublicKey>,
    /// Where the newest bundle is fetched from.
    pub url: Option<BundleUrl>,
    /// How often.
    pub refresh: Refresh,
}

/// How strict the defaults are. Ordered: the later the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    #[default]
    Balanced,
    Strict,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityConfig {
    pub tier: String,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        IdentityConfig { tier: "developer".into() }
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QuotasConfig {
    pub on_exceed: Option<OnExceed>,
    /// `sqlite`, or a `redis://` or `rediss://` address.
    pub store: Option<QuotaStore>,
    /// Holds the password of the Redis store.
    pub password_file: Option<PathBuf>,
    /// PEM file with the roots that the Redis store is verified with; else the system's.
    pub ca: Option<PathBuf>,
}

/// What happens beyond a limit. Ordered: the later the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum OnExceed {
    /// Passes, and is told.
    Warn,
    Block,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AgentsConfig {
    pub default_class: Option<String>,
    pub default_tier: Option<String>,
    pub workspace: Option<PathBuf>,
}

#[cfg(test)]
mod tests;
