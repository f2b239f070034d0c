//! Which tool speaks, told from its user agent and its process. A name for reports: it authenticates nobody.

use sallyport_platform::process::Process;

/// Openings of user agents, and the tools that send them.
const KNOWN: [(&str, &str); 16] = [
    ("claude-cli/", "claude-code"),
    ("codex_exec/", "codex"),
    ("codex_cli_rs/", "codex"),
    ("codex_vscode/", "codex"),
    ("GeminiCLI", "gemini-cli"),
    ("opencode/", "opencode"),
    ("QwenCode/", "qwen-code"),
    ("litellm/", "aider"),
    ("OpenAI/Python", "openai-python"),
    ("AsyncOpenAI/Python", "openai-python"),
    ("Anthropic/Python", "anthropic-python"),
    ("AsyncAnthropic/Python", "anthropic-python"),
    ("OpenAI/JS", "openai-node"),
    ("Anthropic/JS", "anthropic-node"),
    ("Boto3/", "boto3"),
    ("curl/", "curl"),
];

/// A short name of the tool: from its user agent, else its executable, else `unknown`.
pub(crate) fn name(user_agent: Option<&str>, process: Option<&Process>) -> String {
    let by_agent = user_agent
        .and_then(|agent| KNOWN.iter().find(|(start, _)| agent.starts_with(start)))
        .map(|(_, name)| (*name).to_owned());
    by_agent.or_else(|| process.map(|process| process.name.clone())).unwrap_or_else(|| "unknown".to_owned())
}

/// The provider's API version: its own header, else the version in the path, else `unversioned`.
pub(crate) fn api_version(header: Option<&str>, path: &str) -> String {
    let in_path = path.split('/').find(|part| {
        part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    header.or(in_path).unwrap_or("unversioned").chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_known_by_their_user_agent() {
        assert_eq!(name(Some("claude-cli/2.1.330 (external, cli)"), None), "claude-code");
        assert_eq!(name(Some("OpenAI/Python 2.4.0"), None), "openai-python");
        assert_eq!(name(Some("something/1"), None), "unknown");
        assert_eq!(name(None, None), "unknown");
    }

    #[test]
    fn versions_come_from_header_or_path() {
        assert_eq!(api_version(Some("2023-06-01"), "/v1/messages"), "2023-06-01");
        assert_eq!(api_version(None, "/v1/chat/completions"), "v1");
        assert_eq!(api_version(None, "/v1beta/models"), "v1beta");
        assert_eq!(api_version(None, "/version/x"), "unversioned");
    }
}
