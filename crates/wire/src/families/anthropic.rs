//! Anthropic Messages, requests and answers. Legacy text completions ride along.

use super::{Marks, RequestFacts, ResponseFacts, Turns};
use crate::Api;
use crate::json::{Dom, Kind};
use crate::response::{ToolArguments, ToolCall, ToolResult, Usage};
use crate::segment::Role;

pub(crate) fn request(dom: &Dom<'_>, root: usize, marks: &mut Marks) -> RequestFacts {
    for system in dom.all(root, "system") {
        content(dom, system, Role::System, marks, &mut Vec::new());
    }
    let mut turns = Turns::default();
    let (mut calls, mut results) = (Vec::new(), Vec::new());
    for messages in dom.all(root, "messages") {
        for message in dom.elements(messages) {
            let role = match dom.member_text(message, "role").as_deref() {
                Some("user") => Role::User,
                Some("assistant") => Role::Assistant,
                Some("system") => Role::System,
                _ => Role::Other,
            };
            let mut texts = Vec::new();
            for value in dom.all(message, "content") {
                content(dom, value, role, marks, &mut texts);
                for block in dom.elements(value) {
                    calls.extend(tool_call(dom, block));
                    results.extend(tool_results(dom, block));
                }
            }
            turns.push(role == Role::User, texts);
        }
    }
    for tools in dom.all(root, "tools") {
        marks.paint_free(dom, tools, Role::ToolDefinition);
    }
    marks.paint_member(dom, root, "prompt", Role::User);
    let chat = dom.get(root, "messages").is_some();
    let prompt = dom.get(root, "prompt");
    RequestFacts {
        api: match (chat, prompt) {
            (true, _) => Api::Chat,
            (false, Some(_)) => Api::TextCompletion,
            _ => Api::Other,
        },
        model: dom.member_text(root, "model").map(Into::into),
        stream: dom.get(root, "stream").is_some_and(|at| dom.kind(at) == Some(Kind::True)),
        max_tokens: dom
            .member_unsigned(root, "max_tokens")
            .or_else(|| dom.member_unsigned(root, "max_tokens_to_sample")),
        newest_user_chars: match prompt {
            Some(prompt) if !chat => dom.characters(prompt),
            _ => turns.newest_user_chars(dom),
        },
        tool_calls: calls,
        tool_results: results,
    }
}

/// What a block brings that answers a call of the client's own tools. Every `content` counts.
fn tool_results(dom: &Dom<'_>, block: usize) -> Vec<ToolResult> {
    let call = dom.member_text(block, "tool_use_id");
    let Some(call) = call.filter(|_| dom.member_is(block, "type", "tool_result")) else { return Vec::new() };
    let contents = dom.all(block, "content").filter_map(|at| dom.node(at));
    contents.map(|node| ToolResult { call: call.clone().into_owned(), content: node.outer() }).collect()
}

/// Marks a string or a list of blocks. Blocks nest (results and documents hold blocks), so the work
/// is kept in a list of its own rather than on the stack.
fn content(dom: &Dom<'_>, value: usize, role: Role, marks: &mut Marks, texts: &mut Vec<usize>) {
    let mut left = vec![(value, role)];
    while let Some((value, role)) = left.pop() {
        if dom.kind(value) == Some(Kind::String) {
            marks.paint(dom, value, role);
            texts.extend((role == Role::User).then_some(value));
        }
        let single = (dom.kind(value) == Some(Kind::Object)).then_some(value);
        for block in dom.elements(value).chain(single) {
            if dom.kind(block) == Some(Kind::String) {
                left.push((block, role));
            } else {
                self::block(dom, block, role, marks, &mut left);
            }
        }
    }
}

fn block(dom: &Dom<'_>, block: usize, role: Role, marks: &mut Marks, left: &mut Vec<(usize, Role)>) {
    let kind = dom.member_text(block, "type").unwrap_or_default();
    match kind.as_ref() {
        "thinking" | "redacted_thinking" => {
            marks.paint_member(dom, block, "thinking", role);
            marks.paint_member(dom, block, "data", role);
        }
        "tool_use" | "server_tool_use" | "mcp_tool_use" => {
            marks.paint_member(dom, block, "name", Role::ToolCall);
            for input in dom.all(block, "input") {
                marks.paint_free(dom, input, Role::ToolCall);
            }
        }
        "image" | "document" | "file" => attachment(dom, block, marks, left),
        kind if kind.ends_with("_result") => {
            for name in ["content", "title", "source"] {
                left.extend(dom.all(block, name).map(|at| (at, Role::ToolResult)));
            }
            // Results of code execution carry their output beside `content`.
            for name in ["stdout", "stderr"] {
                marks.paint_member(dom, block, name, Role::ToolResult);
            }
        }
        // Text, and blocks of kinds that are not known yet.
        _ => {
            for name in ["text", "content"] {
                left.extend(dom.all(block, name).map(|at| (at, role)));
            }
        }
    }
}

fn attachment(dom: &Dom<'_>, block: usize, marks: &mut Marks, left: &mut Vec<(usize, Role)>) {
    for name in ["title", "context"] {
        marks.paint_member(dom, block, name, Role::Attachment);
    }
    for source in dom.all(block, "source") {
        for (key, value) in dom.members(source) {
            if dom.is(key, "content") {
                left.push((value, Role::Attachment));
            } else if dom.is_any(key, &["data", "url"]) {
                marks.paint(dom, value, Role::Attachment);
            }
        }
    }
}

pub(crate) fn response(dom: &Dom<'_>, root: usize, marks: &mut Marks) -> ResponseFacts {
    for value in dom.all(root, "content") {
        content(dom, value, Role::Assistant, marks, &mut Vec::new());
    }
    marks.paint_member(dom, root, "completion", Role::Assistant);
    let blocks = dom.all(root, "content").flat_map(|content| dom.elements(content));
    ResponseFacts {
        model: dom.member_text(root, "model").map(Into::into),
        usage: dom.get(root, "usage").map(|at| usage(dom, at)).unwrap_or_default(),
        finish_reason: dom.member_text(root, "stop_reason").map(Into::into),
        tool_calls: blocks.filter_map(|block| tool_call(dom, block)).collect(),
        error: dom.member_is(root, "type", "error"),
    }
}

fn tool_call(dom: &Dom<'_>, block: usize) -> Option<ToolCall> {
    let kind = dom.get(block, "type")?;
    dom.is_any(kind, &["tool_use", "server_tool_use", "mcp_tool_use"]).then(|| ToolCall {
        id: dom.member_text(block, "id").map(Into::into),
        name: dom.member_text(block, "name").map(Into::into),
        arguments: dom
            .get(block, "input")
            .and_then(|at| dom.node(at))
            .map(|node| ToolArguments::Json(node.outer())),
        by_provider: !dom.is(kind, "tool_use"),
    })
}

pub(crate) fn usage(dom: &Dom<'_>, usage: usize) -> Usage {
    Usage {
        input: dom.member_unsigned(usage, "input_tokens"),
        output: dom.member_unsigned(usage, "output_tokens"),
        cache_read: dom.member_unsigned(usage, "cache_read_input_tokens"),
        cache_write: dom.member_unsigned(usage, "cache_creation_input_tokens"),
    }
}
