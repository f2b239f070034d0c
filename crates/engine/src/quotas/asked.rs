//! What a request asks of a model, as far as quotas look at it.

use sallyport_policy::quotas::estimate;
use sallyport_wire::{RequestDocument, Role};

use super::repeats::Calls;

/// Facts of one request body; never its words.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Characters of the newest user turn.
    pub(crate) prompt_length: u64,
    /// Tokens, before anybody has counted them.
    pub(crate) input_estimate: u64,
    pub(crate) max_tokens: Option<u64>,
    /// The tool calls of the history.
    pub(crate) calls: Calls,
}

impl Asked {
    pub(crate) fn of(document: Option<&RequestDocument>, body: &[u8]) -> Asked {
        let nothing = Asked {
            prompt_length: 0,
            input_estimate: estimate(body.len()),
            max_tokens: None,
            calls: Calls::default(),
        };
        let Some(document) = document else { return nothing };
        // Pictures and files are billed by rules of their own, which have little to do with their bytes.
        let spoken = document.segments.iter().filter(|segment| segment.role != Role::Attachment);
        let bytes: usize = spoken.map(|segment| segment.raw.len()).sum();
        Asked {
            prompt_length: u64::try_from(document.newest_user_chars).unwrap_or(u64::MAX),
            input_estimate: estimate(bytes),
            max_tokens: document.max_tokens,
            calls: calls(document, body),
        }
    }
}

/// How many tool calls the history holds, and what the newest says. The parts of one call stand together; between two
/// there is always something that belongs to neither.
fn calls(document: &RequestDocument, body: &[u8]) -> Calls {
    let (mut count, mut newest, mut within) = (0, 0..0, false);
    for (number, segment) in document.segments.iter().enumerate() {
        // Names of members tell nothing: `name` and `input` belong to the protocol, and stand within a call.
        if segment.key && segment.role != Role::ToolCall {
            continue;
        }
        let is_call = segment.role == Role::ToolCall;
        match (is_call, within) {
            (true, false) => (count, newest) = (count + 1, number..number + 1),
            (true, true) => newest.end = number + 1,
            _ => {}
        }
        within = is_call;
    }
    if count == 0 {
        return Calls::default();
    }
    let mut hasher = blake3::Hasher::new();
    for segment in document.segments.get(newest).unwrap_or_default() {
        hasher.update(body.get(segment.raw.clone()).unwrap_or_default());
        hasher.update(&[0]);
    }
    Calls { count, newest: Some(hasher.finalize()) }
}

#[cfg(test)]
mod tests {
    use sallyport_wire::{Family, Limits, read_request};
    use serde_json::{Value, json};

    use super::*;

    fn asked(family: Family, body: &Value) -> Asked {
        let body = body.to_string();
        let document =
            read_request(family, Some("application/json"), body.as_bytes(), &Limits::default()).unwrap();
        Asked::of(Some(&document), body.as_bytes())
    }

    fn openai(calls: &[(&str, &str)]) -> Value {
        let calls: Vec<_> = calls
            .iter()
            .enumerate()
            .map(|(n, (name, arguments))| {
                json!({"role": "assistant", "tool_calls": [{"id": format!("c{n}"), "type": "function",
                    "function": {"name": name, "arguments": arguments}}]})
            })
            .collect();
        let mut messages = vec![json!({"role": "user", "content": "Grüße"})];
        messages.extend(calls);
        json!({"model": "m", "max_tokens": 9, "messages": messages})
    }

    #[test]
    fn the_newest_user_turn_and_the_limits_are_read() {
        let asked = asked(Family::OpenAiChat, &openai(&[]));
        assert_eq!((asked.prompt_length, asked.max_tokens), (5, Some(9)));
        assert!(asked.input_estimate > 3);
        assert_eq!(asked.calls.count, 0);
    }

    #[test]
    fn calls_are_told_apart_by_what_they_do_and_not_by_their_ids() {
        let one = asked(Family::OpenAiChat, &openai(&[("read", "{\"p\":1}")])).calls;
        let twice = asked(Family::OpenAiChat, &openai(&[("read", "{\"p\":1}"), ("read", "{\"p\":1}")])).calls;
        let other = asked(Family::OpenAiChat, &openai(&[("read", "{\"p\":1}"), ("read", "{\"p\":2}")])).calls;
        assert_eq!((one.count, twice.count, other.count), (1, 2, 2));
        assert_eq!(one.newest, twice.newest);
        assert_ne!(twice.newest, other.newest);

        let anthropic = |inputs: &[i32]| {
            let blocks: Vec<_> = inputs
                .iter()
                .enumerate()
                .map(|(n, input)| {
                    json!({"role": "assistant", "content": [
                        {"type": "tool_use", "id": format!("t{n}"), "name": "read", "input": {"p": input.to_string()}}]})
                })
                .collect();
            asked(Family::AnthropicMessages, &json!({"model": "m", "messages": blocks})).calls
        };
        assert_eq!(anthropic(&[1, 1]).count, 2);
        assert_eq!(anthropic(&[1]).newest, anthropic(&[1, 1]).newest);
        assert_ne!(anthropic(&[1, 1]).newest, anthropic(&[1, 2]).newest);
    }

    #[test]
    fn pictures_weigh_nothing() {
        let picture = "A".repeat(40_000);
        let body = json!({"model": "m", "messages": [{"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{picture}")}}]}]});
        assert!(asked(Family::OpenAiChat, &body).input_estimate < 100);
    }
}
