//! `DataClassificationPolicy` and `AISecretsPolicy`: what may go to whom, and how secrets are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Level;
use crate::written::written;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataClassification {
    pub classifications: Vec<Classification>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Classification {
    pub level: Level,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub examples: Vec<String>,
    pub ai_provider: AllowedProviders,
    #[serde(default)]
    pub retention: Option<Retention>,
}

/// Which providers may see a level. Ordered: the later the stricter.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AllowedProviders {
    #[default]
    Any,
    EnterpriseAgreementOnly,
    SelfHostedOnly,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retention {
    SessionOnly,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AiSecrets {
    pub secret_classes: Vec<SecretClass>,
    #[serde(default)]
    pub injection_policy: Option<InjectionPolicy>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SecretClass {
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub storage: Option<SecretStorage>,
    #[serde(default)]
    pub rotation: Option<Span>,
    #[serde(default)]
    pub access_pattern: Option<AccessPattern>,
    #[serde(default)]
    pub never_expose: Vec<Channel>,
    /// Globs of files that hold secrets of this class.
    #[serde(default)]
    pub patterns: Vec<String>,
    #[serde(default)]
    pub ai_access: Option<AiAccess>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretStorage {
    Vault,
    Keychain,
    File,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccessPattern {
    ServiceAccountOnly,
    PerSession,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Channel {
    #[serde(rename = "in_prompts")]
    Prompts,
    #[serde(rename = "in_logs")]
    Logs,
    #[serde(rename = "in_completions")]
    Completions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AiAccess {
    Allowed,
    Denied,
}

/// How secrets reach a tool that is started with `exec --with-secrets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct InjectionPolicy {
    pub method: InjectionMethod,
    /// Values are fetched before the tool starts; its environment can't be filled later.
    #[serde(default)]
    pub prefetch: bool,
    /// Values are handed over from locked memory alone.
    #[serde(default)]
    pub memory_protection: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InjectionMethod {
    EnvironmentVariable,
}

/// A length of time as people write it: `90s`, `15m`, `24h`, `30d`, `2w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    seconds: u64,
}

impl Span {
    pub fn parse(text: &str) -> Option<Span> {
        let unit = text.chars().last()?;
        let each = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        let count = text.strip_suffix(unit)?;
        let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
        let count: u64 = if digits { count.parse().ok()? } else { return None };
        count.checked_mul(each).filter(|seconds| *seconds > 0).map(|seconds| Span { seconds })
    }

    pub fn seconds(self) -> u64 {
        self.seconds
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[0-9]+[smhdw]$", "description": "such as `15m`, `24h` or `30d`"})
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [(604_800, 'w'), (86_400, 'd'), (3_600, 'h'), (60, 'm')];
        let (each, unit) =
            units.into_iter().find(|(each, _)| self.seconds.is_multiple_of(*each)).unwrap_or((1, 's'));
        write!(f, "{}{unit}", self.seconds / each)
    }
}

written!(Span, "a length of time such as `15m`, `24h` or `30d`");
