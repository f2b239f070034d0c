//! What a grant reaches: path globs, commands, domains, names of secrets. What can't be understood reaches nothing.

use std::fmt;

use globset::GlobBuilder;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::Scope;

/// Longer patterns are no pattern of a person.
const MAX_LENGTH: usize = 1_024;

/// A pattern. What it means depends on the scope that it stands under.
///
/// - `filesystem:write`: an absolute path glob, `/workspace/src/**`
/// - `shell:execute`: the words of one command, `git push origin *`; a `*` at the end stands for any further words
/// - `network:external`: a domain, `api.example.com` or `*.example.com`
/// - `secrets:read`: the name of a secret, `*` within it for any characters
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(transparent)]
pub struct Resource(String);

/// Why a text is no pattern of its scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no resource of {scope}: expected {expected}")]
pub struct BadResource {
    pub text: String,
    pub scope: Scope,
    pub expected: &'static str,
}

/// One concrete thing that is about to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target<'a> {
    /// A path to write, absolute and without `.` and `..`.
    File(&'a str),
    /// The words of one simple command, quotes and variables resolved.
    Command(&'a [String]),
    /// A host to reach.
    Domain(&'a str),
    /// The name of a secret to read.
    Secret(&'a str),
}

impl Target<'_> {
    pub fn scope(&self) -> Scope {
        match self {
            Target::File(_) => Scope::FilesystemWrite,
            Target::Command(_) => Scope::ShellExecute,
            Target::Domain(_) => Scope::NetworkExternal,
            Target::Secret(_) => Scope::SecretsRead,
        }
    }

    /// The narrowest resource that reaches this: what a request made in an agent's stead asks for.
    pub fn as_resource(&self) -> Option<Resource> {
        let text = match self {
            // A path may hold what a glob would read as a pattern.
            Target::File(path) => globset::escape(path),
            // A star or a blank inside a word would read as more than this one command.
            Target::Command(words) if words.iter().any(|w| w.is_empty() || w.contains([' ', '*', '\t'])) => {
                return None;
            }
            Target::Command(words) => words.join(" "),
            Target::Domain(text) | Target::Secret(text) => (*text).to_owned(),
        };
        Resource::parse(self.scope(), &text).ok()
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Command(words) => f.write_str(&words.join(" ")),
            Target::File(text) | Target::Domain(text) | Target::Secret(text) => f.write_str(text),
        }
    }
}

impl Resource {
    pub fn parse(scope: Scope, text: &str) -> Result<Resource, BadResource> {
        let text = text.trim();
        let printable = !text.is_empty() && text.len() <= MAX_LENGTH && !text.chars().any(misleads);
        let (good, expected) = match scope {
            Scope::FilesystemWrite => {
                (is_path_glob(text), "an absolute path without `..`, such as /workspace/src/**")
            }
            Scope::ShellExecute => (
                !text.contains(SHELL_SYNTAX) && !text.starts_with('*'),
                "one plain command, such as `git push origin *`, without quotes, pipes and substitutions",
            ),
            Scope::NetworkExternal => (is_domain(text), "a domain, such as api.example.com or *.example.com"),
            Scope::SecretsRead => (!text.contains(char::is_whitespace), "the name of a secret"),
        };
        match printable && good {
            true => Ok(Resource(text.to_owned())),
            false => Err(BadResource { text: text.chars().take(80).collect(), scope, expected }),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this reaches the target. Read as the target's scope asks; the scopes were compared before.
    pub(super) fn reaches(&self, target: &Target<'_>) -> bool {
        if Resource::parse(target.scope(), &self.0).is_err() {
            return false;
        }
        match target {
            Target::File(path) => is_plain_path(path) && glob(&self.0, path),
            Target::Command(words) => command(&self.0, words),
            Target::Domain(host) => domain(&self.0, host),
            Target::Secret(name) => wildcard(self.0.as_bytes(), name.as_bytes()),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Characters that show a person another text than the one that counts: controls, and what is not seen or turns the
/// direction of writing.
pub(super) fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// With any of these a text is more than one plain command.
const SHELL_SYNTAX: [char; 15] =
    ['|', '&', ';', '<', '>', '$', '`', '(', ')', '{', '}', '\'', '"', '\\', '\n'];

fn is_path_glob(text: &str) -> bool {
    text.starts_with('/')
        && !text.split('/').any(|part| part == "..")
        && GlobBuilder::new(text).literal_separator(true).build().is_ok()
}

fn is_plain_path(path: &str) -> bool {
    path.starts_with('/') && !path.split('/').any(|part| matches!(part, "." | ".."))
}

fn is_domain(text: &str) -> bool {
    let label = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*'))
    };
    // At least the last two labels are named, so that nobody grants a whole top-level domain.
    let labels: Vec<&str> = text.split('.').collect();
    labels.iter().all(|part| label(part))
        && (labels.len() == 1 || labels.iter().rev().take(2).all(|part| !part.contains('*')))
        && (labels.len() > 1 || !text.contains('*'))
}

fn glob(pattern: &str, path: &str) -> bool {
    let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
    glob.is_ok_and(|glob| glob.compile_matcher().is_match(path))
}

fn command(pattern: &str, words: &[String]) -> bool {
    let mut pattern: Vec<&str> = pattern.split_whitespace().collect();
    let open = pattern.last() == Some(&"*");
    if open {
        pattern.pop();
    }
    let enough = if open { words.len() >= pattern.len() } else { words.len() == pattern.len() };
    enough && pattern.iter().zip(words).all(|(p, word)| wildcard(p.as_bytes(), word.as_bytes()))
}

fn domain(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.to_ascii_lowercase(), host.trim_end_matches('.').to_ascii_lowercase());
    // A leading star stands for one label or more, any other for a part of one.
    let (pattern, host) = match pattern.strip_prefix("*.") {
        Some(rest) => {
            let labels = rest.split('.').count();
            let all: Vec<&str> = host.split('.').collect();
            if all.len() <= labels {
                return false;
            }
            (rest.to_owned(), all[all.len() - labels..].join("."))
        }
        None => (pattern, host),
    };
    let (pattern, host): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), host.split('.').collect());
    pattern.len() == host.len()
        && pattern.iter().zip(&host).all(|(p, label)| wildcard(p.as_bytes(), label.as_bytes()))
}

/// `*` stands for any bytes, everything else for itself.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star, from)) = retry {
            p = star + 1;
            t = from + 1;
            retry = Some((star, from + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}
