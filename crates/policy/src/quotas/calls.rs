//! Which requests are counted: those that make a model generate something.

/// The last word of the paths under which models generate, over all wire families.
const GENERATING: [&str; 20] = [
    "chat",
    "complete",
    "completion",
    "completions",
    "conversation",
    "converse",
    "converse-stream",
    "edits",
    "generate",
    "generateContent",
    "generations",
    "invoke",
    "invoke-with-response-stream",
    "messages",
    "predict",
    "rawPredict",
    "realtime",
    "responses",
    "streamGenerateContent",
    "streamRawPredict",
];

/// Whether a request to a model host is a generation call. `upgrade`: it asks for a WebSocket.
pub fn is_generation(method: &str, path: &str, upgrade: bool) -> bool {
    let last = path.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
    (method == "POST" || upgrade) && GENERATING.contains(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_calls_of_each_family_are_known() {
        for path in [
            "/v1/chat/completions",
            "/openai/deployments/x/chat/completions",
            "/v1/messages",
            "/v1/responses",
            "/backend-api/codex/responses",
            "/v1beta/models/gemini-3-pro:streamGenerateContent",
            "/v1internal:generateContent",
            "/model/anthropic.claude/converse-stream",
            "/model/anthropic.claude/invoke",
            "/api/chat",
            "/api/generate",
            "/v2/chat",
        ] {
            assert!(is_generation("POST", path, false), "{path}");
            assert!(!is_generation("GET", path, false), "{path}");
        }
        assert!(is_generation("GET", "/v1/responses", true));
    }

    #[test]
    fn what_generates_nothing_is_not_counted() {
        for path in [
            "/v1/models",
            "/v1/messages/count_tokens",
            "/v1/embeddings",
            "/v1beta/models/gemini-3-pro:countTokens",
            "/v1/files",
            "/v1/messages/batches",
            "/",
        ] {
            assert!(!is_generation("POST", path, false), "{path}");
        }
    }
}
