//! Takes tool calls out of an answer that came whole: a text stands in their place, and the reason why the answer
//! ended fits what is left. Calls may go on with other arguments, too.

use std::ops::Range;

use zeroize::Zeroizing;

use crate::families::Family;
use crate::json::remove::removals;
use crate::json::text::{escaped, quoted};
use crate::json::{self, Dom, Kind};
use crate::{Edit, Limits, ReadError, ResponseDocument, splice};

/// What becomes of a tool call in an answer.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum CallVerdict {
    #[default]
    Passes,
    /// This sentence stands in its place.
    Denied(String),
    /// It goes on with these arguments: JSON text, or the raw text of a tool that takes such.
    Rewritten(Zeroizing<String>),
}

impl CallVerdict {
    /// What is said in the call's place.
    pub fn denial(&self) -> Option<&str> {
        match self {
            CallVerdict::Denied(sentence) => Some(sentence),
            _ => None,
        }
    }
}

impl std::fmt::Debug for CallVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CallVerdict::Passes => f.write_str("Passes"),
            CallVerdict::Denied(sentence) => f.debug_tuple("Denied").field(sentence).finish(),
            CallVerdict::Rewritten(arguments) => write!(f, "Rewritten({} bytes)", arguments.len()),
        }
    }
}

/// Does with each call what was said of it. `verdicts`: one for each of the document's `tool_calls`, in order. Where the
/// family's calls are not known none is taken out.
pub fn settle_calls(
    document: &ResponseDocument,
    body: &[u8],
    limits: &Limits,
    verdicts: &[CallVerdict],
) -> Result<Vec<u8>, ReadError> {
    let tape = json::parse(body, limits)?;
    let dom = Dom::new(body, &tape);
    let rewritten = document.tool_calls.iter().zip(verdicts).filter_map(|(call, verdict)| match verdict {
        CallVerdict::Rewritten(arguments) => call.with_arguments(arguments),
        _ => None,
    });
    let mut edits: Vec<Edit> = rewritten.collect();
    if let Some(root) = dom.root() {
        let mut answers = verdicts.iter().map(CallVerdict::denial);
        let family = document.family;
        match family {
            Family::OpenAiChat => openai(&dom, root, &mut answers, &mut edits),
            Family::AnthropicMessages => anthropic(&dom, root, &mut answers, &mut edits),
            Family::Generic => {}
        }
    }
    splice(body, edits).map_err(|_| ReadError::TooLarge { size: body.len(), limit: limits.max_bytes })
}

fn anthropic<'a>(
    dom: &Dom<'_>,
    root: usize,
    answers: &mut impl Iterator<Item = Option<&'a str>>,
    edits: &mut Vec<Edit>,
) {
    let (mut left, mut denied) = (0, 0);
    for block in dom.all(root, "content").flat_map(|content| dom.elements(content)) {
        let Some(kind) = dom.get(block, "type") else { continue };
        if !dom.is_any(kind, &["tool_use", "server_tool_use", "mcp_tool_use"]) {
            continue;
        }
        match (answers.next().flatten(), dom.node(block)) {
            (Some(sentence), Some(node)) => {
                denied += 1;
                let mut bytes = b"{\"type\":\"text\",\"text\":".to_vec();
                bytes.extend(quoted(sentence));
                bytes.push(b'}');
                edits.push(Edit { range: node.outer(), bytes });
            }
            _ => left += usize::from(dom.is(kind, "tool_use")),
        }
    }
    if denied > 0 && left == 0 {
        edits.extend(reason(dom, root, "stop_reason", &["tool_use"], "end_turn"));
    }
}

fn openai<'a>(
    dom: &Dom<'_>,
    root: usize,
    answers: &mut impl Iterator<Item = Option<&'a str>>,
    edits: &mut Vec<Edit>,
) {
    for choice in dom.all(root, "choices").flat_map(|choices| dom.elements(choices)) {
        for message in dom.all(choice, "message") {
            if let Some(emptied) = message_calls(dom, message, answers, edits).then_some(choice) {
                edits.extend(reason(dom, emptied, "finish_reason", &["tool_calls", "function_call"], "stop"));
            }
        }
    }
}

/// Says whether calls were denied and none is left.
fn message_calls<'a>(
    dom: &Dom<'_>,
    message: usize,
    answers: &mut impl Iterator<Item = Option<&'a str>>,
    edits: &mut Vec<Edit>,
) -> bool {
    let mut sentences: Vec<&str> = Vec::new();
    let mut gone: Vec<usize> = Vec::new();
    let mut left = 0;
    let mut cuts = Vec::new();
    for list in dom.all(message, "tool_calls") {
        let items: Vec<(bool, Range<usize>)> = dom
            .elements(list)
            .filter_map(|call| {
                let function = dom.get(call, "function").or_else(|| dom.get(call, "custom")).unwrap_or(call);
                let answer = is_call(dom, function).then(|| answers.next().flatten()).flatten();
                sentences.extend(answer);
                left += usize::from(answer.is_none());
                dom.node(call).map(|node| (answer.is_some(), node.outer()))
            })
            .collect();
        match items.iter().all(|(goes, _)| *goes) && !items.is_empty() {
            true => gone.push(list),
            false => cuts.extend(removals(items)),
        }
    }
    if let Some(function) = dom.get(message, "function_call").filter(|at| is_call(dom, *at)) {
        match answers.next().flatten() {
            Some(sentence) => {
                sentences.push(sentence);
                gone.push(function);
            }
            None => left += 1,
        }
    }
    if sentences.is_empty() {
        return false;
    }
    cuts.extend(removals(dom.members(message).filter_map(|(key, value)| {
        Some((gone.contains(&value), dom.node(key)?.outer().start..dom.node(value)?.outer().end))
    })));
    edits.extend(cuts.into_iter().map(|range| Edit { range, bytes: Vec::new() }));
    let others = dom.members(message).any(|(_, value)| !gone.contains(&value));
    edits.extend(say(dom, message, &sentences.join("\n\n"), others));
    left == 0
}

/// As the reader of answers counts them.
fn is_call(dom: &Dom<'_>, function: usize) -> bool {
    dom.member_text(function, "name").is_some()
        || ["arguments", "input"].iter().any(|name| dom.get(function, name).is_some())
}

/// Adds to what a message says. `others`: something is left beside it.
fn say(dom: &Dom<'_>, message: usize, sentence: &str, others: bool) -> Option<Edit> {
    let Some(content) = dom.get(message, "content") else {
        let start = dom.node(message)?.outer().start + 1;
        let comma: &[u8] = if others { b"," } else { b"" };
        return Some(Edit {
            range: start..start,
            bytes: [b"\"content\":", &*quoted(sentence), comma].concat(),
        });
    };
    let node = dom.node(content)?;
    Some(match node.kind {
        Kind::String if node.raw().is_empty() => Edit { range: node.raw(), bytes: escaped(sentence) },
        Kind::String => {
            let end = node.raw().end;
            Edit { range: end..end, bytes: escaped(&format!("\n\n{sentence}")) }
        }
        Kind::Array => {
            let end = node.outer().end - 1;
            let comma: &[u8] = if dom.elements(content).next().is_some() { b"," } else { b"" };
            let part = [comma, b"{\"type\":\"text\",\"text\":", &*quoted(sentence), b"}"].concat();
            Edit { range: end..end, bytes: part }
        }
        _ => Edit { range: node.outer(), bytes: quoted(sentence) },
    })
}

/// Another reason in the place of one of `from`.
pub(crate) fn reason(dom: &Dom<'_>, object: usize, name: &str, from: &[&str], to: &str) -> Option<Edit> {
    let at = dom.get(object, name).filter(|at| dom.is_any(*at, from))?;
    Some(Edit { range: dom.node(at)?.raw(), bytes: to.as_bytes().to_vec() })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::read_response;

    fn denied(family: Family, body: &Value, which: &[usize]) -> Value {
        let text = body.to_string();
        let document =
            read_response(family, Some("application/json"), text.as_bytes(), &Limits::default()).unwrap();
        let verdict = |n: usize| match which.contains(&n) {
            true => CallVerdict::Denied(format!("no \"{n}\"")),
            false => CallVerdict::Passes,
        };
        let verdicts: Vec<_> = (0..document.tool_calls.len()).map(verdict).collect();
        let new = settle_calls(&document, text.as_bytes(), &Limits::default(), &verdicts).unwrap();
        serde_json::from_slice(&new).unwrap()
    }

    #[test]
    fn a_call_goes_on_with_other_arguments_beside_one_that_is_denied() {
        let new = r#"{"command":"say \"é\""}"#;
        for (family, mut body) in
            [(Family::AnthropicMessages, blocks()), (Family::OpenAiChat, choices(&Value::Null))]
        {
            let text = body.to_string();
            let document =
                read_response(family, Some("application/json"), text.as_bytes(), &Limits::default()).unwrap();
            let mut verdicts = vec![CallVerdict::Passes; document.tool_calls.len()];
            verdicts[2] = CallVerdict::Rewritten(Zeroizing::new(new.to_owned()));
            let only = settle_calls(&document, text.as_bytes(), &Limits::default(), &verdicts).unwrap();
            match family {
                Family::OpenAiChat => {
                    body["choices"][0]["message"]["tool_calls"][2]["function"]["arguments"] = new.into();
                }
                _ => body["content"][3]["input"] = serde_json::from_str(new).unwrap(),
            }
            assert_eq!(serde_json::from_slice::<Value>(&only).unwrap(), body);
            verdicts[0] = CallVerdict::Denied("no".into());
            let both = settle_calls(&document, text.as_bytes(), &Limits::default(), &verdicts).unwrap();
            let both = String::from_utf8(both).unwrap();
            assert!(both.contains("say") && both.contains("\"no\""), "{both}");
            serde_json::from_str::<Value>(&both).unwrap();
        }
    }

    fn blocks() -> Value {
        let call =
            |id: &str| json!({"type": "tool_use", "id": id, "name": "Bash", "input": {"command": "x"}});
        json!({"content": [{"type": "text", "text": "a"}, call("1"), {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, call("2")],
            "stop_reason": "tool_use"})
    }

    #[test]
    fn a_block_becomes_a_text_in_its_place() {
        let one = denied(Family::AnthropicMessages, &blocks(), &[0]);
        assert_eq!(one["content"][1], json!({"type": "text", "text": "no \"0\""}));
        assert_eq!(one["content"][3], blocks()["content"][3]);
        assert_eq!(one["stop_reason"], "tool_use");
        let both = denied(Family::AnthropicMessages, &blocks(), &[0, 2]);
        assert_eq!(both["stop_reason"], "end_turn");
        assert_eq!(both["content"].as_array().unwrap().len(), 4);
        let mut cut = blocks();
        cut["stop_reason"] = "max_tokens".into();
        assert_eq!(denied(Family::AnthropicMessages, &cut, &[0, 2])["stop_reason"], "max_tokens");
    }

    fn choices(content: &Value) -> Value {
        let call =
            |id: &str| json!({"id": id, "type": "function", "function": {"name": "bash", "arguments": "{}"}});
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": content, "tool_calls": [call("1"), call("2"), call("3")]},
            "finish_reason": "tool_calls"}]})
    }

    #[test]
    fn calls_leave_the_list_and_the_message_says_why() {
        for which in [&[0][..], &[1], &[2], &[0, 2], &[1, 2]] {
            let new = denied(Family::OpenAiChat, &choices(&Value::Null), which);
            let message = &new["choices"][0]["message"];
            assert_eq!(message["tool_calls"].as_array().unwrap().len(), 3 - which.len());
            assert!(message["content"].as_str().unwrap().starts_with("no "));
            assert_eq!(new["choices"][0]["finish_reason"], "tool_calls");
        }
        let all = denied(Family::OpenAiChat, &choices(&"so".into()), &[0, 1, 2]);
        let message = &all["choices"][0]["message"];
        assert_eq!(message.get("tool_calls"), None);
        assert_eq!(message["content"], "so\n\nno \"0\"\n\nno \"1\"\n\nno \"2\"");
        assert_eq!(all["choices"][0]["finish_reason"], "stop");
        let parts = denied(Family::OpenAiChat, &choices(&json!([])), &[0, 1, 2]);
        assert_eq!(parts["choices"][0]["message"]["content"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn the_older_function_call_goes_too() {
        let body = json!({"choices": [{"message": {"function_call": {"name": "f", "arguments": "{}"}, "role": "assistant"}, "finish_reason": "function_call"}]});
        let new = denied(Family::OpenAiChat, &body, &[0]);
        assert_eq!(
            new,
            json!({"choices": [{"message": {"role": "assistant", "content": "no \"0\""}, "finish_reason": "stop"}]})
        );
        let bare = json!({"choices": [{"message": {"function_call": {"name": "f", "arguments": "{}"}}}]});
        assert_eq!(
            denied(Family::OpenAiChat, &bare, &[0]),
            json!({"choices": [{"message": {"content": "no \"0\""}}]})
        );
    }

    #[test]
    fn without_a_denial_every_byte_stays() {
        let text = " { \"content\" : [ {\"type\":\"tool_use\",\"id\":\"1\",\"name\":\"x\",\"input\":{}} ] } ";
        let (json, limits) = (Some("application/json"), Limits::default());
        let document = read_response(Family::AnthropicMessages, json, text.as_bytes(), &limits).unwrap();
        let new = settle_calls(&document, text.as_bytes(), &limits, &[CallVerdict::Passes]).unwrap();
        assert_eq!(new, text.as_bytes());
    }
}
