//! `config.yaml`: the user's machine settings. Every key is optional; an unknown key is an error.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The whole of `config.yaml` as written, after defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Loopback address of the proxy; port 0 picks a free one.
    pub listen: String,
    pub upstream: UpstreamConfig,
    pub secrets: SecretsConfig,
    pub audit: AuditConfig,
    /// Folders or files with policy documents; relative paths count from the config folder.
    pub policies: Vec<PathBuf>,
    pub profile: Profile,
    pub identity: IdentityConfig,
    pub quotas: QuotasConfig,
    pub agents: AgentsConfig,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: "127.0.0.1:8877".into(),
            upstream: UpstreamConfig::default(),
            secrets: SecretsConfig::default(),
            audit: AuditConfig::default(),
            policies: vec!["policies/".into()],
            profile: Profile::default(),
            identity: IdentityConfig::default(),
            quotas: QuotasConfig::default(),
            agents: AgentsConfig::default(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamConfig {
    /// `host:port` -> `address:port`, like curl's `--resolve`.
    pub resolve: BTreeMap<String, String>,
    /// PEM files whose certificates are trusted besides the platform's.
    pub extra_roots: Vec<PathBuf>,
    /// `http://host:port`, `https://host:port`, `socks5://host:port`, or `none`.
    pub proxy: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecretsConfig {
    pub keychain: bool,
    pub vaults: Vec<VaultConfig>,
    /// Files with `NAME=value` lines.
    pub files: Vec<PathBuf>,
    /// Folders searched for `.env*`, `secrets/` and `*.pem`.
    pub workspaces: Vec<PathBuf>,
    pub well_known_files: bool,
}

impl Default for SecretsConfig {
    fn default() -> Self {
        SecretsConfig {
            keychain: true,
            vaults: Vec::new(),
            files: Vec::new(),
            workspaces: Vec::new(),
            well_known_files: true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultConfig {
    pub address: String,
    #[serde(default)]
    pub ca: Option<PathBuf>,
    #[serde(default = "default_mount")]
    pub mount: String,
    /// Version of the key-value engine: 1 or 2.
    #[serde(default = "default_kv")]
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

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase", deny_unknown_fields)]
pub enum VaultAuth {
    Token { token_file: PathBuf },
    Approle { role_id: String, secret_id_file: PathBuf },
    Userpass { username: String, password_file: PathBuf },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    pub durability: Durability,
    pub retention_days: u32,
    pub content: ContentRetention,
}

impl Default for AuditConfig {
    fn default() -> Self {
        AuditConfig {
            durability: Durability::Strict,
            retention_days: 90,
            content: ContentRetention::Public,
        }
    }
}

/// Whether an exchange waits for its row to be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    #[default]
    Strict,
    Relaxed,
}

/// For which class the redacted content may be kept, encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentRetention {
    None,
    #[default]
    Public,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    #[default]
    Balanced,
    Strict,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityConfig {
    pub tier: String,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        IdentityConfig { tier: "developer".into() }
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuotasConfig {
    pub on_exceed: Option<OnExceed>,
    /// `sqlite`, or a `redis://` or `rediss://` address.
    pub store: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExceed {
    Block,
    Warn,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentsConfig {
    pub default_class: Option<String>,
    pub default_tier: Option<String>,
    pub workspace: Option<PathBuf>,
}
