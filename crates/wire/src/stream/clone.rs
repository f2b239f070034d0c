//! Clones an event with another text. What must not happen twice is taken out of the clone: other
//! texts, finish reasons, usage, and the names that open a tool call.

use std::ops::Range;

use bytes::Bytes;

use super::Template;
use crate::families::Family;
use crate::json::remove::removals;
use crate::json::text::escaped;
use crate::json::{self, Dom, Kind};
use crate::{Edit, Limits, splice};

const TEXTS: [&str; 14] = [
    "text",
    "content",
    "delta",
    "refusal",
    "reasoning_content",
    "reasoning",
    "arguments",
    "input",
    "partial_json",
    "thinking",
    "completion",
    "response",
    "output_text",
    "generated_text",
];
const ONCE: [&str; 8] = [
    "finish_reason",
    "finishReason",
    "stop_reason",
    "done_reason",
    "usage",
    "usageMetadata",
    "logprobs",
    "obfuscation",
];

pub(super) fn event(family: Family, template: &Template, text: &str, limits: &Limits) -> Option<Bytes> {
    let Template { event, segment } = template;
    let bytes = event.data_in_place();
    let tape = json::parse(&bytes, limits).ok()?;
    let dom = Dom::new(&bytes, &tape);
    let mut edits = vec![Edit { range: segment.raw.clone(), bytes: escaped(text) }];
    let mut gone: Vec<Range<usize>> = Vec::new();
    if family == Family::OpenAiChat {
        gone = (0..tape.nodes.len()).flat_map(|at| openers(&dom, at)).collect();
        edits.extend(gone.iter().map(|range| Edit { range: range.clone(), bytes: Vec::new() }));
    }
    gone.sort_unstable_by_key(|range| range.start);
    // Keys come in order, so what was passed once needs no second look.
    let (mut gone, mut passed) = (gone.into_iter().peekable(), 0);
    for (key, _) in tape.nodes.iter().enumerate().filter(|(_, node)| node.kind == Kind::Key) {
        let Some(value) = dom.node(key + 1) else { continue };
        let Range { start, end } = value.outer();
        while let Some(range) = gone.next_if(|range| range.start <= start) {
            passed = range.end.max(passed);
        }
        if value.raw() == segment.raw || start < passed {
            continue;
        }
        if dom.is_any(key, &ONCE) && value.kind != Kind::Null {
            passed = end;
            edits.push(Edit { range: value.outer(), bytes: b"null".to_vec() });
        } else if dom.is(key, "done") && value.kind == Kind::True {
            edits.push(Edit { range: value.outer(), bytes: b"false".to_vec() });
        } else if value.kind == Kind::String && dom.is_any(key, &TEXTS) {
            edits.push(Edit { range: value.raw(), bytes: Vec::new() });
        }
    }
    let mut bytes = splice(&event.raw, edits).ok()?;
    // An event that the stream's end cut off gets the line ends it never had.
    if !event.complete {
        bytes.extend_from_slice(b"\n\n");
    }
    Some(Bytes::from(bytes))
}

/// Ranges of the members of `object` that may stand only once in a stream, with just the commas
/// that must go with them.
fn openers(dom: &Dom<'_>, object: usize) -> Vec<Range<usize>> {
    let members: Vec<(bool, Range<usize>)> = dom
        .members(object)
        .filter_map(|(key, value)| {
            let range = dom.node(key)?.outer().start..dom.node(value)?.outer().end;
            Some((opens(dom, key, object), range))
        })
        .collect();
    removals(members)
}

/// Members that only the first chunk of a message or of a tool call has. Some clients append them.
fn opens(dom: &Dom<'_>, key: usize, object: usize) -> bool {
    let named = |at: usize, name: &str| {
        dom.node(at).is_some_and(|node| {
            dom.kind(node.parent as usize) == Some(Kind::Object) && dom.is(node.slot as usize, name)
        })
    };
    let in_list = |at: usize, name: &str| dom.node(at).is_some_and(|node| named(node.parent as usize, name));
    if dom.is(key, "role") {
        return named(object, "delta");
    }
    if dom.is_any(key, &["id", "type"]) {
        return in_list(object, "tool_calls");
    }
    dom.is(key, "name")
        && (named(object, "function") || named(object, "function_call") || named(object, "custom"))
}
