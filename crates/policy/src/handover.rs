//! Secrets for tools: which class of an `AISecretsPolicy` may be handed to a process, from where, and under which
//! names of variables. Pure; values are never seen here.

use crate::broker::SecretPlace;
use crate::documents::{AccessPattern, AiAccess, SecretClass, SecretStorage};

/// A class that may be handed over, once a human has granted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handover {
    pub place: SecretPlace,
    /// A grant counts for the one session that asked, not for every session of that class of agents.
    pub per_session: bool,
}

/// Why a class is not handed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotHandedOver {
    #[error("no AISecretsPolicy has a class of secrets called `{0}`")]
    Unknown(String),
    #[error("policy says `aiAccess: denied` for secrets of the class `{0}`: no tool gets them")]
    Denied(String),
    #[error("secrets of the class `{0}` are for agents with a service account, and this process has none")]
    NoAccount(String),
}

/// Holds a class against policy, for a process with or without a session of its own.
pub fn handover(
    classes: &[SecretClass],
    name: &str,
    session: bool,
    has_vault: bool,
) -> Result<Handover, NotHandedOver> {
    const LONGEST_SHOWN: usize = 80;
    let class = classes
        .iter()
        .find(|class| class.name == name)
        .ok_or_else(|| NotHandedOver::Unknown(name.chars().take(LONGEST_SHOWN).collect()))?;
    if class.ai_access == Some(AiAccess::Denied) {
        return Err(NotHandedOver::Denied(name.to_owned()));
    }
    // Both patterns speak of a session; only one of them lets the next session in on the same grant.
    if class.access_pattern.is_some() && !session {
        return Err(NotHandedOver::NoAccount(name.to_owned()));
    }
    let place = match class.storage {
        Some(SecretStorage::Vault) => SecretPlace::Vault,
        Some(SecretStorage::Keychain) => SecretPlace::Keychain,
        Some(SecretStorage::File) => SecretPlace::File,
        None if has_vault => SecretPlace::Vault,
        None => SecretPlace::Keychain,
    };
    Ok(Handover { place, per_session: class.access_pattern == Some(AccessPattern::PerSession) })
}

/// What a request and a grant for a whole class name.
pub fn resource(class: &str) -> String {
    format!("{class}/*")
}

/// The variable for a secret of a class: `openai-api-key` becomes `OPENAI_API_KEY`. None where no sound name comes
/// out, or one that would change which programs run or where their traffic goes.
pub fn variable(name: &str) -> Option<String> {
    const LONGEST: usize = 128;
    let variable: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    let sound = variable.starts_with(|c: char| c.is_ascii_uppercase()) && variable.len() <= LONGEST;
    (sound && !is_reserved(&variable)).then_some(variable)
}

fn is_reserved(variable: &str) -> bool {
    const NAMES: [&str; 21] = [
        "BASH_ENV",
        "ENV",
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "HOME",
        "IFS",
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "LOGNAME",
        "NODE_OPTIONS",
        "NODE_PATH",
        "PATH",
        "PERL5LIB",
        "PERL5OPT",
        "PWD",
        "RUBYLIB",
        "RUBYOPT",
        "SHELL",
        "TMPDIR",
        "USER",
        "XDG_RUNTIME_DIR",
    ];
    const BEGINNINGS: [&str; 5] = ["LD_", "DYLD_", "PYTHON", "SALLYPORT_", "SSL_CERT_"];
    const ENDS: [&str; 4] = ["_PROXY", "_CA_BUNDLE", "_CA_CERTS", "_CA_CERTIFICATE"];
    NAMES.contains(&variable)
        || BEGINNINGS.iter().any(|start| variable.starts_with(start))
        || ENDS.iter().any(|end| variable.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Vec<SecretClass> {
        let text = include_str!("../../../assets/policies/examples/ai-secrets-architecture.yaml");
        let document = crate::documents::parse(text, "p.yaml").unwrap().remove(0);
        let crate::documents::DocumentBody::AiSecrets(body) = document.body else { panic!("kind") };
        body.secret_classes
    }

    #[test]
    fn the_source_document_says_who_gets_what() {
        let classes = source();
        let asked = |name, session| handover(&classes, name, session, true);
        assert_eq!(
            asked("ai-provider-keys", true),
            Ok(Handover { place: SecretPlace::Vault, per_session: false })
        );
        assert!(asked("user-tokens", true).unwrap().per_session);
        for class in ["ai-provider-keys", "user-tokens"] {
            assert_eq!(asked(class, false), Err(NotHandedOver::NoAccount(class.into())));
        }
        for session in [true, false] {
            assert!(matches!(asked("workspace-secrets", session), Err(NotHandedOver::Denied(_))));
            assert!(matches!(asked("other", session), Err(NotHandedOver::Unknown(_))));
        }
    }

    #[test]
    fn a_class_without_a_pattern_is_for_any_process_from_where_secrets_are() {
        let mut class = source().remove(0);
        (class.access_pattern, class.storage) = (None, None);
        let classes = [class];
        let place = |vault| handover(&classes, "ai-provider-keys", false, vault).unwrap().place;
        assert_eq!((place(true), place(false)), (SecretPlace::Vault, SecretPlace::Keychain));
    }

    #[test]
    fn variables_have_sound_names_and_none_that_programs_trust() {
        for (name, expected) in [
            ("openai", "OPENAI"),
            ("openai-api-key", "OPENAI_API_KEY"),
            ("billing/api_key", "BILLING_API_KEY"),
            ("db.primary:9", "DB_PRIMARY_9"),
        ] {
            assert_eq!(variable(name).as_deref(), Some(expected));
        }
        for name in [
            "",
            "9lives",
            "-x",
            "path",
            "ld-preload",
            "https_proxy",
            "node/options",
            "pythonstartup",
            "bash_env",
        ] {
            assert_eq!(variable(name), None, "{name}");
        }
    }
}
