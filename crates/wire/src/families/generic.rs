//! Any other JSON: no roles, but what nearly every provider names alike is picked up.

use super::{Marks, RequestFacts, ResponseFacts, anthropic, openai};
use crate::Api;
use crate::json::{Dom, Kind};
use crate::response::Usage;

pub(crate) fn request(dom: &Dom<'_>, root: usize) -> RequestFacts {
    let config = dom.get(root, "generationConfig").or_else(|| dom.get(root, "options")).unwrap_or(root);
    RequestFacts {
        api: Api::Other,
        model: dom.member_text(root, "model").map(Into::into),
        stream: dom.get(root, "stream").is_some_and(|at| dom.kind(at) == Some(Kind::True)),
        max_tokens: ["max_output_tokens", "max_completion_tokens", "max_tokens"]
            .iter()
            .find_map(|name| dom.member_unsigned(root, name))
            .or_else(|| dom.member_unsigned(config, "maxOutputTokens"))
            .or_else(|| dom.member_unsigned(config, "num_predict")),
        newest_user_chars: newest_user_chars(dom, root),
        ..RequestFacts::default()
    }
}

/// Characters of the newest user turn by whichever of the common names it goes: a prompt, or the last turn of a list
/// that a user speaks. Turns of a list are told by their role; Gemini leaves the user's out.
fn newest_user_chars(dom: &Dom<'_>, root: usize) -> usize {
    // Code Assist wraps the request.
    let root = dom.get(root, "request").filter(|at| dom.kind(*at) == Some(Kind::Object)).unwrap_or(root);
    let list = ["contents", "input", "messages"].iter().find_map(|name| dom.get(root, name));
    let Some(list) = list else {
        let prompt = dom.get(root, "prompt").or_else(|| dom.get(root, "message"));
        return prompt.map_or(0, |prompt| dom.strings(prompt).map(|text| dom.characters(text)).sum());
    };
    if dom.kind(list) == Some(Kind::String) {
        return dom.characters(list);
    }
    let turns: Vec<usize> = dom.elements(list).collect();
    let spoken = turns.iter().rev().find(|turn| {
        dom.kind(**turn) == Some(Kind::Object)
            && dom.get(**turn, "role").is_none_or(|role| dom.is(role, "user"))
            && dom.get(**turn, "type").is_none_or(|kind| dom.is(kind, "message"))
    });
    let Some(turn) = spoken else { return 0 };
    let mut chars = 0;
    for content in ["content", "parts"].iter().flat_map(|name| dom.all(*turn, name)) {
        if dom.kind(content) == Some(Kind::String) {
            chars += dom.characters(content);
        }
        for part in dom.elements(content) {
            chars += dom.all(part, "text").map(|text| dom.characters(text)).sum::<usize>();
        }
    }
    chars
}

pub(crate) fn response(dom: &Dom<'_>, root: usize, _marks: &mut Marks) -> ResponseFacts {
    let response = dom.get(root, "response").filter(|at| dom.kind(*at) == Some(Kind::Object)).unwrap_or(root);
    ResponseFacts {
        model: dom
            .member_text(response, "model")
            .or_else(|| dom.member_text(response, "modelVersion"))
            .map(Into::into),
        usage: usage(dom, response).unwrap_or_default(),
        finish_reason: ["finish_reason", "stop_reason", "done_reason", "finishReason"]
            .iter()
            .find_map(|name| dom.member_text(response, name))
            .map(Into::into),
        tool_calls: Vec::new(),
        error: dom.get(root, "error").is_some_and(|at| dom.kind(at) != Some(Kind::Null)),
    }
}

/// Usage by whichever of the common names it goes.
pub(crate) fn usage(dom: &Dom<'_>, object: usize) -> Option<Usage> {
    if let Some(metadata) = dom.get(object, "usageMetadata") {
        let cached = dom.member_unsigned(metadata, "cachedContentTokenCount");
        let output = dom.member_unsigned(metadata, "candidatesTokenCount");
        let thoughts = dom.member_unsigned(metadata, "thoughtsTokenCount");
        return Some(Usage {
            input: dom
                .member_unsigned(metadata, "promptTokenCount")
                .map(|prompt| prompt.saturating_sub(cached.unwrap_or(0))),
            output: output.or(thoughts).map(|_| output.unwrap_or(0) + thoughts.unwrap_or(0)),
            cache_read: cached,
            cache_write: None,
        });
    }
    if let Some(usage) = dom.get(object, "usage").filter(|at| dom.kind(*at) == Some(Kind::Object)) {
        let cached =
            dom.path(usage, &["input_tokens_details", "cached_tokens"]).and_then(|at| dom.unsigned(at));
        let mut found = anthropic::usage(dom, usage);
        if let Some(cached) = cached {
            found.cache_read = Some(cached);
            found.input = found.input.map(|input| input.saturating_sub(cached));
        }
        return Some(if found == Usage::default() { openai::usage(dom, usage) } else { found });
    }
    let found = Usage {
        input: dom.member_unsigned(object, "prompt_eval_count"),
        output: dom.member_unsigned(object, "eval_count"),
        ..Usage::default()
    };
    (found != Usage::default()).then_some(found)
}
