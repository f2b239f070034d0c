//! OpenAI Chat Completions and the hosts that speak it, requests and answers. Legacy completions
//! and embeddings ride along, as they share hosts and most fields.

use super::{Marks, RequestFacts, ResponseFacts, Turns};
use crate::Api;
use crate::json::{Dom, Kind};
use crate::response::{ToolArguments, ToolCall, ToolResult, Usage};
use crate::segment::Role;

pub(crate) fn request(dom: &Dom<'_>, root: usize, marks: &mut Marks) -> RequestFacts {
    let mut turns = Turns::default();
    let (mut calls, mut results) = (Vec::new(), Vec::new());
    for messages in dom.all(root, "messages") {
        for message in dom.elements(messages) {
            turn(dom, message, marks, &mut turns);
            tool_calls(dom, message, &mut calls);
            results.extend(tool_results(dom, message));
        }
    }
    for definitions in ["tools", "functions"] {
        for value in dom.all(root, definitions) {
            marks.paint_free(dom, value, Role::ToolDefinition);
        }
    }
    marks.paint_member(dom, root, "instructions", Role::System);
    marks.paint_member(dom, root, "prediction", Role::Assistant);
    for prompt in ["prompt", "suffix", "input"] {
        marks.paint_member(dom, root, prompt, Role::User);
    }
    let chat = dom.get(root, "messages").is_some();
    let prompt = dom.get(root, "prompt");
    let newest_user_chars = match prompt {
        Some(prompt) if !chat => dom.strings(prompt).map(|text| dom.characters(text)).sum(),
        _ => turns.newest_user_chars(dom),
    };
    RequestFacts {
        api: match (chat, prompt) {
            (true, _) => Api::Chat,
            (false, Some(_)) => Api::TextCompletion,
            _ => Api::Other,
        },
        model: dom.member_text(root, "model").map(Into::into),
        stream: dom.get(root, "stream").is_some_and(|at| dom.kind(at) == Some(Kind::True)),
        max_tokens: dom
            .member_unsigned(root, "max_completion_tokens")
            .or_else(|| dom.member_unsigned(root, "max_tokens")),
        newest_user_chars,
        tool_calls: calls,
        tool_results: results,
    }
}

/// What a message of the role `tool` brings, if it answers a call. Every `content` counts.
fn tool_results(dom: &Dom<'_>, message: usize) -> Vec<ToolResult> {
    let call = dom.member_text(message, "tool_call_id");
    let Some(call) = call.filter(|_| dom.member_is(message, "role", "tool")) else { return Vec::new() };
    let contents = dom.all(message, "content").filter_map(|at| dom.node(at));
    contents.map(|node| ToolResult { call: call.clone().into_owned(), content: node.outer() }).collect()
}

fn turn(dom: &Dom<'_>, message: usize, marks: &mut Marks, turns: &mut Turns) {
    let role = match dom.member_text(message, "role").as_deref() {
        Some("system" | "developer") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool" | "function") => Role::ToolResult,
        _ => Role::Other,
    };
    let texts = self::message(dom, message, role, marks);
    turns.push(role == Role::User, texts);
}

/// Marks one message, of a request or an answer; returns its texts.
pub(crate) fn message(dom: &Dom<'_>, message: usize, role: Role, marks: &mut Marks) -> Vec<usize> {
    let mut texts = Vec::new();
    for (key, value) in dom.members(message) {
        if dom.is(key, "content") {
            content(dom, value, role, marks, &mut texts);
        } else if dom.is_any(key, &["refusal", "reasoning_content", "reasoning", "text"]) {
            marks.paint(dom, value, role);
        } else if dom.is(key, "tool_calls") {
            for call in dom.elements(value) {
                for kind in ["function", "custom"] {
                    for call in dom.all(call, kind) {
                        marks.paint_free(dom, call, Role::ToolCall);
                    }
                }
            }
        } else if dom.is(key, "function_call") {
            marks.paint_free(dom, value, Role::ToolCall);
        } else if dom.is_any(key, &["audio", "images"]) {
            marks.paint(dom, value, Role::Attachment);
        }
    }
    texts
}

fn content(dom: &Dom<'_>, value: usize, role: Role, marks: &mut Marks, texts: &mut Vec<usize>) {
    if dom.kind(value) == Some(Kind::String) {
        marks.paint(dom, value, role);
        texts.push(value);
    }
    for part in dom.elements(value) {
        if dom.kind(part) == Some(Kind::String) {
            marks.paint(dom, part, role);
            texts.push(part);
        }
        for (key, value) in dom.members(part) {
            if dom.is_any(key, &["text", "refusal", "thinking"]) {
                marks.paint(dom, value, role);
                texts.extend((dom.kind(value) == Some(Kind::String)).then_some(value));
            } else if dom.is_any(key, &["image_url", "input_audio", "file", "file_data", "video_url"]) {
                marks.paint(dom, value, Role::Attachment);
            }
        }
    }
}

pub(crate) fn response(dom: &Dom<'_>, root: usize, marks: &mut Marks) -> ResponseFacts {
    let mut facts = ResponseFacts {
        model: dom.member_text(root, "model").map(Into::into),
        usage: dom.get(root, "usage").map(|at| usage(dom, at)).unwrap_or_default(),
        error: dom.get(root, "error").is_some_and(|at| dom.kind(at) != Some(Kind::Null)),
        ..ResponseFacts::default()
    };
    for choices in dom.all(root, "choices") {
        for choice in dom.elements(choices) {
            facts.finish_reason =
                facts.finish_reason.or_else(|| dom.member_text(choice, "finish_reason").map(Into::into));
            marks.paint_member(dom, choice, "text", Role::Assistant);
            for message in dom.all(choice, "message") {
                self::message(dom, message, Role::Assistant, marks);
                tool_calls(dom, message, &mut facts.tool_calls);
            }
        }
    }
    facts
}

fn tool_calls(dom: &Dom<'_>, message: usize, found: &mut Vec<ToolCall>) {
    let calls = dom.all(message, "tool_calls").flat_map(|calls| dom.elements(calls));
    for call in calls {
        let function = dom.get(call, "function").or_else(|| dom.get(call, "custom")).unwrap_or(call);
        found.extend(tool_call(dom, function, dom.member_text(call, "id").map(Into::into)));
    }
    found.extend(dom.get(message, "function_call").and_then(|function| tool_call(dom, function, None)));
}

fn tool_call(dom: &Dom<'_>, function: usize, id: Option<String>) -> Option<ToolCall> {
    let arguments = dom.get(function, "arguments").or_else(|| dom.get(function, "input"));
    let arguments = arguments.and_then(|at| dom.node(at)).map(|node| match node.kind {
        Kind::String => ToolArguments::JsonText(node.raw()),
        _ => ToolArguments::Json(node.outer()),
    });
    let name = dom.member_text(function, "name").map(Into::into);
    (name.is_some() || arguments.is_some()).then_some(ToolCall { id, name, arguments, by_provider: false })
}

/// `prompt_tokens` counts cached tokens too; ours does not.
pub(crate) fn usage(dom: &Dom<'_>, usage: usize) -> Usage {
    let cached = dom
        .path(usage, &["prompt_tokens_details", "cached_tokens"])
        .and_then(|at| dom.unsigned(at))
        .or_else(|| dom.member_unsigned(usage, "prompt_cache_hit_tokens"));
    let prompt = dom.member_unsigned(usage, "prompt_tokens");
    Usage {
        input: prompt.map(|prompt| prompt.saturating_sub(cached.unwrap_or(0))),
        output: dom.member_unsigned(usage, "completion_tokens"),
        cache_read: cached,
        cache_write: None,
    }
}
