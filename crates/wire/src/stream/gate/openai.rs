//! Calls of Chat Completions: entries of a list in each choice's delta, known by their index; several may be
//! under way at once, and only the choice's end says that they are whole.

use std::ops::Range;

use super::{Ends, Fragment, Gate, Key, Piece, Said, Told};
use crate::Edit;
use crate::denial::reason;
use crate::json::remove::removals;
use crate::json::text::{escaped, quoted};
use crate::json::{Dom, Kind, Place};

/// The older single call stands outside of the list.
const FUNCTION_CALL: u64 = u64::MAX;
/// Calls with an index that clients read in different ways.
const ODD: u64 = u64::MAX - 1;

pub(super) fn tell(dom: &Dom<'_>, root: usize) -> Told {
    let mut told = Told::default();
    for (group, choice) in choices(dom, root) {
        for delta in dom.all(choice, "delta") {
            let odd = group == ODD
                || dom.repeats(root, &["choices"])
                || dom.repeats(choice, &["index", "delta"])
                || dom.repeats(delta, &["tool_calls", "function_call"]);
            for (index, call) in calls(dom, delta) {
                let id = dom.member_text(call, "id");
                let mut fragment = fragment(dom, (group, index), id, function_of(dom, call));
                fragment.odd |= odd
                    || index == ODD
                    || dom.repeats(call, &["index", "function", "custom"])
                    || dom.get(call, "function").is_some() && dom.get(call, "custom").is_some();
                told.fragments.push(fragment);
            }
            let function = dom.get(delta, "function_call").filter(|at| dom.kind(*at) == Some(Kind::Object));
            told.fragments.extend(function.map(|at| {
                let fragment = fragment(dom, (group, FUNCTION_CALL), None, at);
                Fragment { odd: odd || fragment.odd, ..fragment }
            }));
        }
        if dom.member_text(choice, "finish_reason").is_some() {
            told.ends.push(Ends::Group(group));
        }
    }
    if dom.get(root, "error").is_some_and(|at| dom.kind(at) != Some(Kind::Null)) {
        told.ends.push(Ends::All);
    }
    told
}

fn choices<'d>(dom: &'d Dom<'_>, root: usize) -> impl Iterator<Item = (u64, usize)> + 'd {
    dom.all(root, "choices")
        .flat_map(|choices| dom.elements(choices).enumerate())
        .map(|(position, choice)| (place(dom, choice, position), choice))
}

fn calls<'d>(dom: &'d Dom<'_>, delta: usize) -> impl Iterator<Item = (u64, usize)> + 'd {
    dom.all(delta, "tool_calls")
        .flat_map(|calls| dom.elements(calls).enumerate())
        .map(|(position, call)| (place(dom, call, position), call))
}

/// By its index; where none is said by where it stands.
fn place(dom: &Dom<'_>, object: usize, position: usize) -> u64 {
    match dom.member_place(object, "index") {
        Place::At(index) => index,
        Place::Unsaid => position as u64,
        Place::Odd => ODD,
    }
}

fn function_of(dom: &Dom<'_>, call: usize) -> usize {
    dom.get(call, "function").or_else(|| dom.get(call, "custom")).unwrap_or(call)
}

fn arguments_of(dom: &Dom<'_>, function: usize) -> Option<usize> {
    dom.get(function, "arguments").or_else(|| dom.get(function, "input"))
}

/// The other arguments of a call, whole in the first of its pieces that has any; the rest is emptied.
fn other_arguments(said: &mut Said<'_>, dom: &Dom<'_>, key: Key, function: usize) -> Option<Edit> {
    let arguments = *said.arguments.get(&key)?;
    let node = dom.node(arguments_of(dom, function)?)?;
    let first = said.placed.insert(key);
    let text = if first { arguments } else { "" };
    match node.kind {
        Kind::String => Some(Edit { range: node.raw(), bytes: escaped(text) }),
        Kind::Object => {
            Some(Edit { range: node.outer(), bytes: if first { text.into() } else { b"{}".into() } })
        }
        _ => {
            said.placed.remove(&key);
            None
        }
    }
}

fn fragment(dom: &Dom<'_>, key: Key, id: Option<std::borrow::Cow<'_, str>>, function: usize) -> Fragment {
    let text = arguments_of(dom, function).map(|at| match dom.text(at) {
        Some(text) => text.into_owned(),
        // Not a string: some hosts send the whole object.
        None => dom
            .node(at)
            .filter(|node| node.kind == Kind::Object)
            .and_then(|node| dom.bytes.get(node.outer()))
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .unwrap_or_default(),
    });
    Fragment {
        key,
        id: id.map(Into::into),
        name: dom.member_text(function, "name").map(Into::into),
        text: text.unwrap_or_default(),
        odd: dom.repeats(function, &["name", "arguments", "input"])
            || dom.get(function, "arguments").is_some() && dom.get(function, "input").is_some(),
        begins: false,
    }
}

pub(super) fn rewrite(gate: &Gate, dom: &Dom<'_>, root: usize, said: &mut Said<'_>) -> Vec<Piece> {
    let mut edits = Vec::new();
    let mut pieces = Vec::new();
    let mut worth = false;
    let mut touched = false;
    for (group, choice) in choices(dom, root) {
        for delta in dom.all(choice, "delta") {
            let mut gone: Vec<usize> = Vec::new();
            for list in dom.all(delta, "tool_calls") {
                let mut items: Vec<(bool, Range<usize>)> = Vec::new();
                for (position, call) in dom.elements(list).enumerate() {
                    let index = place(dom, call, position);
                    let denied = gate.swallow.contains(&(group, index));
                    if !denied {
                        edits.extend(renumbered(gate, dom, call, group, index));
                        let function = function_of(dom, call);
                        edits.extend(other_arguments(said, dom, (group, index), function));
                    }
                    items.extend(dom.node(call).map(|node| (denied, node.outer())));
                }
                touched |= items.iter().any(|(denied, _)| *denied);
                match !items.is_empty() && items.iter().all(|(denied, _)| *denied) {
                    true => gone.push(list),
                    false => edits.extend(removals(items).into_iter().map(cut)),
                }
            }
            let function = dom.get(delta, "function_call").filter(|at| dom.kind(*at) == Some(Kind::Object));
            if let Some(function) = function.filter(|_| gate.swallow.contains(&(group, FUNCTION_CALL))) {
                gone.push(function);
                touched = true;
            } else if let Some(function) = function {
                edits.extend(other_arguments(said, dom, (group, FUNCTION_CALL), function));
            }
            let members = || dom.members(delta);
            worth |= members().any(|(_, value)| !gone.contains(&value) && says_something(dom, value));
            let ranges = members().filter_map(|(key, value)| {
                Some((gone.contains(&value), dom.node(key)?.outer().start..dom.node(value)?.outer().end))
            });
            edits.extend(removals(ranges).into_iter().map(cut));
        }
        if dom.member_text(choice, "finish_reason").is_some() {
            worth = true;
            // What is said instead comes before the end.
            let ended: Vec<Key> = said.unsaid.keys().filter(|key| key.0 == group).copied().collect();
            let sentences = ended.iter().filter_map(|key| said.unsaid.remove(key));
            pieces
                .extend(sentences.map(|text| Piece::New { name: None, data: chunk(dom, root, group, text) }));
            if gate.emptied(group) {
                edits.extend(reason(dom, choice, "finish_reason", &["tool_calls", "function_call"], "stop"));
            }
        }
    }
    worth |= !touched || dom.get(root, "usage").is_some_and(|at| dom.kind(at) == Some(Kind::Object));
    pieces.extend(worth.then_some(Piece::Event(edits)));
    pieces
}

fn cut(range: Range<usize>) -> Edit {
    Edit { range, bytes: Vec::new() }
}

/// Clients take the index for a position in their list: what is left moves up.
fn renumbered(gate: &Gate, dom: &Dom<'_>, call: usize, group: u64, index: u64) -> Option<Edit> {
    let before = gate.swallow.range((group, 0)..(group, index)).count() as u64;
    let at = dom.get(call, "index").filter(|_| before > 0)?;
    Some(Edit { range: dom.node(at)?.outer(), bytes: (index - before).to_string().into_bytes() })
}

/// Whether a client would miss it.
fn says_something(dom: &Dom<'_>, value: usize) -> bool {
    match dom.kind(value) {
        Some(Kind::Null) | None => false,
        Some(Kind::String) => !dom.raw(value).is_empty(),
        _ => true,
    }
}

/// One more chunk of the same answer that says something, apart from what was said before.
pub(super) fn chunk(dom: &Dom<'_>, root: usize, group: u64, sentence: &str) -> Vec<u8> {
    let mut out = b"{".to_vec();
    for (key, value) in dom.members(root) {
        if dom.is_any(key, &["choices", "usage", "obfuscation"]) {
            continue;
        }
        let range =
            dom.node(key).zip(dom.node(value)).map(|(key, value)| key.outer().start..value.outer().end);
        out.extend_from_slice(range.and_then(|range| dom.bytes.get(range)).unwrap_or_default());
        out.push(b',');
    }
    out.extend_from_slice(format!("\"choices\":[{{\"index\":{group},\"delta\":{{\"content\":").as_bytes());
    out.extend(quoted(&format!("\n\n{sentence}")));
    out.extend_from_slice(b"},\"finish_reason\":null}]}");
    out
}
