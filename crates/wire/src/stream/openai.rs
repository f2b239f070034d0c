//! Chunks of Chat Completions: `choices[i].delta`, with tool calls by index.

use super::{Channel, ChannelKind, Reading, ToolFragment};
use crate::families::openai::usage;
use crate::json::Kind;

/// Reads one chunk; says whether it may be cloned.
pub(super) fn event(reading: &mut Reading<'_, '_>, root: usize) -> bool {
    let dom = reading.dom;
    reading.found.model = dom.member_text(root, "model").map(Into::into);
    reading.found.usage =
        dom.get(root, "usage").filter(|at| dom.kind(*at) == Some(Kind::Object)).map(|at| usage(&dom, at));
    reading.found.error = dom.get(root, "error").is_some_and(|at| dom.kind(at) != Some(Kind::Null));
    for choices in dom.all(root, "choices") {
        for (position, choice) in dom.elements(choices).enumerate() {
            let group = dom.member_unsigned(choice, "index").unwrap_or(position as u64);
            let text = Channel { kind: ChannelKind::Text, group, index: 0, locked: false };
            // Legacy completions stream their text here.
            reading.member_delta(choice, "text", text);
            for delta in dom.all(choice, "delta") {
                self::delta(reading, delta, text);
            }
            if let Some(reason) = dom.member_text(choice, "finish_reason") {
                reading.found.finish_reason = Some(reason.into());
                reading.end(|_, channel| channel.group == group);
            }
        }
    }
    true
}

fn delta(reading: &mut Reading<'_, '_>, delta: usize, text: Channel) {
    let dom = reading.dom;
    reading.member_delta(delta, "content", text);
    // Mistral streams lists of parts.
    for parts in dom.all(delta, "content") {
        for part in dom.elements(parts) {
            reading.member_delta(part, "text", text);
        }
    }
    reading.member_delta(delta, "refusal", Channel { kind: ChannelKind::Refusal, ..text });
    // Hosts name it either way, some both ways at once.
    for (index, name) in ["reasoning_content", "reasoning"].into_iter().enumerate() {
        let channel = Channel { kind: ChannelKind::Reasoning, index: index as u64, ..text };
        reading.member_delta(delta, name, channel);
    }
    for calls in dom.all(delta, "tool_calls") {
        for (position, call) in dom.elements(calls).enumerate() {
            let index = dom.member_unsigned(call, "index").unwrap_or(position as u64);
            let channel = Channel { kind: ChannelKind::ToolArguments, index, ..text };
            let id = dom.member_text(call, "id").map(Into::into);
            if let Some(function) = dom.get(call, "function").or_else(|| dom.get(call, "custom")) {
                tool_call(reading, function, id, channel);
            }
        }
    }
    if let Some(function) = dom.get(delta, "function_call") {
        let channel = Channel { kind: ChannelKind::ToolArguments, index: u64::MAX, ..text };
        tool_call(reading, function, None, channel);
    }
}

fn tool_call(reading: &mut Reading<'_, '_>, function: usize, id: Option<String>, channel: Channel) {
    let dom = reading.dom;
    if dom.kind(function) != Some(Kind::Object) {
        return;
    }
    reading.marks.paint(&dom, function, channel.kind.role());
    let name = dom.member_text(function, "name").map(Into::into);
    let arguments = reading
        .member_delta(function, "arguments", channel)
        .or_else(|| reading.member_delta(function, "input", channel));
    if id.is_some() || name.is_some() {
        let channel =
            arguments.unwrap_or_else(|| reading.channels.open(super::ChannelName::Plain(channel), channel));
        reading.found.tool_calls.push(ToolFragment { channel, id, name });
    }
}
