//! Events of any other JSON stream. Names, ids and times must arrive as they are, so only members
//! that are named like running text are taken to continue from event to event; all other strings
//! stand for themselves.

use super::{Channel, ChannelKind, ChannelName, Reading};
use crate::families::generic::usage;
use crate::json::{Dom, Kind};

/// Members that carry running text with some provider or other.
const TEXTS: [&str; 15] = [
    "text",
    "content",
    "delta",
    "response",
    "completion",
    "output_text",
    "generated_text",
    "token",
    "thinking",
    "reasoning",
    "reasoning_content",
    "refusal",
    "partial_json",
    "arguments",
    "transcript",
];
/// Ends of event types that repeat or frame what was said before.
const FRAMES: [&str; 11] = [
    "done",
    "completed",
    "complete",
    "end",
    "stop",
    "start",
    "created",
    "added",
    "in_progress",
    "failed",
    "incomplete",
];

/// Reads one event; says whether it may be cloned.
pub(super) fn event(reading: &mut Reading<'_, '_>, root: usize) -> bool {
    let dom = reading.dom;
    let response = dom.get(root, "response").filter(|at| dom.kind(*at) == Some(Kind::Object)).unwrap_or(root);
    reading.found.model = dom
        .member_text(response, "model")
        .or_else(|| dom.member_text(response, "modelVersion"))
        .map(Into::into);
    reading.found.usage = usage(&dom, response);
    reading.found.error = dom.get(root, "error").is_some_and(|at| dom.kind(at) != Some(Kind::Null))
        || dom.member_is(root, "type", "error");
    let kind = dom.member_text(root, "type").unwrap_or_default();
    let frame = FRAMES.iter().find_map(|frame| without_last_word(&kind, frame));
    let stem = frame.or_else(|| without_last_word(&kind, "delta")).unwrap_or(&kind);
    let stem = format!("{stem} {}", item(&dom, root));
    if frame.is_some() {
        reading.end(|name, _| matches!(name, ChannelName::Placed { stem: open, .. } if *open == stem));
    } else {
        texts(reading, root, &stem);
    }
    if let Some(reason) = finish(&dom, root) {
        reading.found.finish_reason = Some(reason);
        reading.end(|_, _| true);
    } else if dom.get(root, "done").is_some_and(|at| dom.kind(at) == Some(Kind::True)) {
        reading.end(|_, _| true);
    }
    frame.is_none()
}

/// `a.b` for `a.b.last` and `last`; hosts part the words of a type with dots, dashes or underscores.
fn without_last_word<'k>(kind: &'k str, last: &str) -> Option<&'k str> {
    let rest = kind.strip_suffix(last)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_suffix(['.', '-', '_']) }
}

fn texts(reading: &mut Reading<'_, '_>, root: usize, stem: &str) {
    let dom = reading.dom;
    for at in dom.strings(root) {
        let Some(node) = dom.node(at) else { continue };
        let key = node.slot as usize;
        if dom.kind(node.parent as usize) != Some(Kind::Object) || !dom.is_any(key, &TEXTS) {
            continue;
        }
        let kind = match dom.text(key).unwrap_or_default().as_ref() {
            "thinking" | "reasoning" | "reasoning_content" => ChannelKind::Reasoning,
            "partial_json" | "arguments" => ChannelKind::ToolArguments,
            "refusal" => ChannelKind::Refusal,
            _ => ChannelKind::Text,
        };
        // Gemini tells thoughts from words by a flag beside them.
        let thought =
            dom.get(node.parent as usize, "thought").is_some_and(|at| dom.kind(at) == Some(Kind::True));
        let kind = if thought { ChannelKind::Reasoning } else { kind };
        let place = dom.pointer(at, &mut |_| true);
        let channel = Channel { kind, group: 0, index: 0, locked: false };
        reading.delta(at, ChannelName::Placed { place, stem: stem.to_owned(), kind }, channel);
    }
}

/// Which of several texts under way an event belongs to.
fn item(dom: &Dom<'_>, root: usize) -> String {
    let mut item = String::new();
    for name in ["item_id", "output_index", "content_index", "summary_index", "index"] {
        if let Some(at) = dom.get(root, name) {
            item.push_str(&String::from_utf8_lossy(dom.raw(at)));
        }
        item.push('/');
    }
    item
}

fn finish(dom: &Dom<'_>, root: usize) -> Option<String> {
    let choice = ["candidates", "choices"]
        .iter()
        .filter_map(|name| dom.get(dom.get(root, "response").unwrap_or(root), name))
        .find_map(|choices| dom.elements(choices).next());
    [Some(root), choice].into_iter().flatten().find_map(|at| {
        ["finish_reason", "finishReason", "stop_reason", "done_reason"]
            .iter()
            .find_map(|name| dom.member_text(at, name))
            .map(Into::into)
    })
}
