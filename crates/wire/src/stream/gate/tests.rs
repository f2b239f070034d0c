//! Dialogues: a stream goes in, some calls are denied, and a client's own reading of what comes out.

use serde_json::{Value, json};

use super::*;

/// Other arguments, JSON text.
const NEW: &str = "{\"text\":\"a \\\"quoted\\\" \u{e9}\"}";

/// Passes a stream through, each call denied whose name begins with `bad`, and given other arguments whose name is `new`.
fn passed(family: Family, stream: &str, limits: &Limits) -> (String, Vec<HeldCall>) {
    let mut gate = Gate::new(family, Framing::Events, limits);
    let mut out = Vec::new();
    let mut asked = Vec::new();
    let mut answer = |gate: &mut Gate, out: &mut Vec<u8>| {
        while let Some(calls) = gate.ready() {
            let answers: Vec<_> = calls
                .iter()
                .map(|call| match call.name.as_str() {
                    bad if bad.starts_with("bad") => CallVerdict::Denied(format!("no {bad}")),
                    "new" => CallVerdict::Rewritten(NEW.to_owned().into()),
                    _ => CallVerdict::Passes,
                })
                .collect();
            asked.extend(calls);
            gate.resolve(&answers, out);
        }
    };
    for event in events(Framing::Events, limits, stream.as_bytes()) {
        gate.push(&event.raw, &mut out);
        answer(&mut gate, &mut out);
    }
    gate.close();
    answer(&mut gate, &mut out);
    (String::from_utf8(out).unwrap(), asked)
}

fn datas(stream: &str) -> Vec<Value> {
    stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}

fn sse(events: &[Value]) -> String {
    events
        .iter()
        .map(|event| match event.get("type").and_then(Value::as_str) {
            Some(name) => format!("event: {name}\ndata: {event}\n\n"),
            None => format!("data: {event}\n\n"),
        })
        .collect()
}

fn block(index: u64, name: &str, pieces: &[&str]) -> Vec<Value> {
    let mut events = vec![
        json!({"type": "content_block_start", "index": index, "content_block": {"type": "tool_use", "id": format!("t{index}"), "name": name, "input": {}}}),
    ];
    events.extend(pieces.iter().map(|piece| json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": piece}})));
    events.push(json!({"type": "content_block_stop", "index": index}));
    events
}

fn messages(blocks: Vec<Vec<Value>>) -> String {
    let mut events = vec![json!({"type": "message_start", "message": {"id": "m", "content": []}})];
    events.extend(blocks.into_iter().flatten());
    events.push(
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}}),
    );
    events.push(json!({"type": "message_stop"}));
    sse(&events)
}

/// The blocks and the reason as an SDK would have them.
fn message(stream: &str) -> (Vec<(String, String)>, String) {
    let (mut blocks, mut reason) = (Vec::<(String, String)>::new(), String::new());
    for event in datas(stream) {
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!(event["index"], blocks.len(), "indexes are positions");
                let block = &event["content_block"];
                let what = block["name"].as_str().unwrap_or_else(|| block["type"].as_str().unwrap());
                blocks.push((what.to_owned(), String::new()));
            }
            "content_block_delta" => {
                let at = usize::try_from(event["index"].as_u64().unwrap()).unwrap();
                let delta = &event["delta"];
                let piece = delta["text"].as_str().or_else(|| delta["partial_json"].as_str()).unwrap();
                blocks[at].1.push_str(piece);
            }
            "message_delta" => reason = event["delta"]["stop_reason"].as_str().unwrap().to_owned(),
            _ => {}
        }
    }
    (blocks, reason)
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[test]
fn an_allowed_block_goes_on_byte_for_byte() {
    let stream = messages(vec![block(0, "good", &["{\"a\"", ":1}"]), block(1, "fine", &[])]);
    let (out, asked) = passed(Family::AnthropicMessages, &stream, &Limits::default());
    assert_eq!(out, stream);
    assert_eq!(asked[0].arguments, "{\"a\":1}");
    assert_eq!(asked[0].id.as_deref(), Some("t0"));
    assert_eq!(asked.len(), 2);
}

#[test]
fn a_denied_block_becomes_text_and_others_survive() {
    let stream = messages(vec![block(0, "bad", &["{}"]), block(1, "good", &["{\"a\":1}"])]);
    let (out, _) = passed(Family::AnthropicMessages, &stream, &Limits::default());
    assert_eq!(message(&out), (pairs(&[("text", "no bad"), ("good", "{\"a\":1}")]), "tool_use".into()));
    let stream = messages(vec![block(0, "bad", &["{}"]), block(1, "bad2", &[])]);
    let (out, _) = passed(Family::AnthropicMessages, &stream, &Limits::default());
    assert_eq!(message(&out), (pairs(&[("text", "no bad"), ("text", "no bad2")]), "end_turn".into()));
}

#[test]
fn a_long_block_is_kept_alive_while_it_is_held() {
    let stream = messages(vec![block(0, "good", &["x"; 100])]);
    let (out, _) = passed(Family::AnthropicMessages, &stream, &Limits::default());
    assert_eq!(out.matches("\"type\": \"ping\"").count(), 4);
    assert_eq!(message(&out).0, pairs(&[("good", &"x".repeat(100))]));
}

#[test]
fn a_block_beyond_the_limit_is_judged_as_such() {
    let limits = Limits { max_event_bytes: 2_000, ..Limits::default() };
    for (name, expected) in [("bad", "no bad".to_owned()), ("good", "x".repeat(100))] {
        let (out, asked) =
            passed(Family::AnthropicMessages, &messages(vec![block(0, name, &["x"; 100])]), &limits);
        assert!(asked[0].doubt == Some(Doubt::TooLong) && asked.len() == 1);
        let (blocks, _) = message(&out);
        assert_eq!(blocks[0].1, expected);
    }
}

#[test]
fn what_never_ended_is_judged_at_the_end() {
    let stream = sse(&block(0, "bad", &["{}"])[..2]);
    let (out, asked) = passed(Family::AnthropicMessages, &stream, &Limits::default());
    assert_eq!(asked.len(), 1);
    assert!(!out.contains("tool_use") && out.contains("no bad"));
}

fn chunk(delta: &Value, reason: Option<&str>) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
}

fn call(index: u64, name: &str) -> Vec<Value> {
    vec![
        chunk(
            &json!({"tool_calls": [{"index": index, "id": format!("t{index}"), "type": "function", "function": {"name": name, "arguments": ""}}]}),
            None,
        ),
        chunk(&json!({"tool_calls": [{"index": index, "function": {"arguments": "{\"n\":"}}]}), None),
        chunk(
            &json!({"tool_calls": [{"index": index, "function": {"arguments": format!("{index}}}")}}]}),
            None,
        ),
    ]
}

fn completion(mut chunks: Vec<Value>) -> String {
    chunks.insert(0, chunk(&json!({"role": "assistant", "content": null}), None));
    chunks.push(chunk(&json!({}), Some("tool_calls")));
    chunks.push(json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}));
    sse(&chunks) + "data: [DONE]\n\n"
}

/// Text, calls by position, and the reason, as an SDK would have them.
fn completed(stream: &str) -> (String, Vec<(String, String)>, String) {
    let (mut text, mut calls, mut reason) = (String::new(), Vec::<(String, String)>::new(), String::new());
    for chunk in datas(stream) {
        let Some(choice) = chunk["choices"].get(0) else { continue };
        text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let at = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            assert!(at <= calls.len(), "indexes are positions");
            if at == calls.len() {
                calls.push((call["function"]["name"].as_str().unwrap().to_owned(), String::new()));
            }
            calls[at].1.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
        }
        if let Some(finish) = choice["finish_reason"].as_str() {
            reason = finish.to_owned();
        }
    }
    (text, calls, reason)
}

#[test]
fn allowed_calls_of_a_list_go_on_byte_for_byte() {
    let stream = completion([call(0, "good"), call(1, "fine")].concat());
    let (out, asked) = passed(Family::OpenAiChat, &stream, &Limits::default());
    assert_eq!(out, stream);
    assert_eq!(
        asked.iter().map(|call| call.arguments.as_str()).collect::<Vec<_>>(),
        ["{\"n\":0}", "{\"n\":1}"]
    );
}

#[test]
fn denied_calls_leave_the_list_and_the_rest_moves_up() {
    for (names, left, reason) in [
        (["bad", "good", "fine"], vec![("good", "{\"n\":1}"), ("fine", "{\"n\":2}")], "tool_calls"),
        (["good", "bad", "fine"], vec![("good", "{\"n\":0}"), ("fine", "{\"n\":2}")], "tool_calls"),
        (["bad", "bad", "fine"], vec![("fine", "{\"n\":2}")], "tool_calls"),
        (["bad", "bad", "bad"], vec![], "stop"),
    ] {
        let chunks: Vec<Value> = (0..).zip(names).flat_map(|(index, name)| call(index, name)).collect();
        let (out, _) = passed(Family::OpenAiChat, &completion(chunks), &Limits::default());
        let (text, calls, end) = completed(&out);
        assert_eq!(text, "\n\nno bad".repeat(names.iter().filter(|name| **name == "bad").count()));
        assert_eq!(calls, pairs(&left));
        assert_eq!(end, reason);
        assert!(out.ends_with("data: [DONE]\n\n") && out.contains("prompt_tokens"));
    }
}

/// Words that were held back until the end stand before what is said instead of a call.
#[test]
fn what_the_model_says_is_not_torn_apart() {
    let mut chunks = vec![chunk(&json!({"content": "I "}), None)];
    chunks.extend(call(0, "bad"));
    chunks.push(chunk(&json!({"content": "will."}), None));
    let (out, _) = passed(Family::OpenAiChat, &completion(chunks), &Limits::default());
    assert_eq!(completed(&out), ("I will.\n\nno bad".into(), vec![], "stop".into()));
    assert!(out.find("no bad") < out.find("\"stop\""));
}

#[test]
fn one_chunk_may_bring_everything() {
    let both = json!({"role": "assistant", "tool_calls": [
        {"index": 0, "id": "a", "function": {"name": "bad", "arguments": "{}"}},
        {"index": 1, "id": "b", "function": {"name": "good", "arguments": "{}"}}]});
    let stream = sse(&[chunk(&both, Some("tool_calls"))]) + "data: [DONE]\n\n";
    let (out, _) = passed(Family::OpenAiChat, &stream, &Limits::default());
    assert_eq!(completed(&out), ("\n\nno bad".into(), pairs(&[("good", "{}")]), "tool_calls".into()));
    let old =
        sse(&[chunk(&json!({"function_call": {"name": "bad", "arguments": "{}"}}), Some("function_call"))]);
    let (out, _) = passed(Family::OpenAiChat, &old, &Limits::default());
    assert_eq!(completed(&out), ("\n\nno bad".into(), vec![], "stop".into()));
}

#[test]
fn without_a_reason_the_end_of_the_stream_counts() {
    let stream = sse(&call(0, "bad")) + "data: [DONE]\n\n";
    let (out, asked) = passed(Family::OpenAiChat, &stream, &Limits::default());
    assert_eq!(asked.len(), 1);
    assert_eq!(completed(&out).0, "\n\nno bad");
    let cut = sse(&call(0, "bad"));
    assert_eq!(completed(&passed(Family::OpenAiChat, &cut, &Limits::default()).0).0, "\n\nno bad");
}

#[test]
fn a_stream_without_calls_is_never_held() {
    let stream = sse(&[chunk(&json!({"content": "a"}), None)]) + ": comment\n\n";
    let mut gate = Gate::new(Family::OpenAiChat, Framing::Events, &Limits::default());
    let mut out = Vec::new();
    gate.push(stream.as_bytes(), &mut out);
    assert_eq!(out, stream.as_bytes());
    assert!(!gate.is_engaged());
}

#[test]
fn a_call_goes_on_with_other_arguments_however_they_were_cut_up() {
    for pieces in [&["{\"te", "xt\":\"x\"}"][..], &["{\"text\":\"x\"}"], &[]] {
        let stream = messages(vec![block(0, "new", pieces), block(1, "good", &["{}"]), block(2, "bad", &[])]);
        let (out, _) = passed(Family::AnthropicMessages, &stream, &Limits::default());
        let expected = pairs(&[("new", NEW), ("good", "{}"), ("text", "no bad")]);
        assert_eq!(message(&out), (expected, "tool_use".into()));
    }
    let chunks = [call(0, "bad"), call(1, "new"), call(2, "good")].concat();
    let (out, _) = passed(Family::OpenAiChat, &completion(chunks), &Limits::default());
    let (text, calls, _) = completed(&out);
    assert_eq!(text, "\n\nno bad");
    assert_eq!(calls, pairs(&[("new", NEW), ("good", "{\"n\":2}")]));
    let old =
        sse(&[chunk(&json!({"function_call": {"name": "new", "arguments": "{}"}}), Some("function_call"))]);
    let (out, _) = passed(Family::OpenAiChat, &old, &Limits::default());
    assert_eq!(datas(&out)[0]["choices"][0]["delta"]["function_call"]["arguments"], NEW);
}

/// Some hosts send a block with its whole input, or arguments as an object.
#[test]
fn other_arguments_take_the_form_of_the_first() {
    let new: Value = serde_json::from_str(NEW).unwrap();
    let mut whole = block(0, "new", &[]);
    whole[0]["content_block"]["input"] = json!({"text": "x"});
    let (out, _) = passed(Family::AnthropicMessages, &messages(vec![whole]), &Limits::default());
    let begun = datas(&out).into_iter().find(|event| event["type"] == "content_block_start").unwrap();
    assert_eq!(begun["content_block"]["input"], new);
    let object = json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "new", "arguments": {"text": "x"}}}]});
    let stream = sse(&[chunk(&object, Some("tool_calls"))]);
    let (out, _) = passed(Family::OpenAiChat, &stream, &Limits::default());
    assert_eq!(datas(&out)[0]["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"], new);
}

/// Calls the client would make of a stream, as SDKs do: blocks one behind the other, pieces by their index.
fn by_place(stream: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::<(String, String)>::new();
    for event in datas(stream) {
        match event["type"].as_str() {
            Some("content_block_start") => {
                blocks.push((
                    event["content_block"]["name"].as_str().unwrap_or_default().into(),
                    String::new(),
                ));
            }
            Some("content_block_delta") => {
                let at = event["index"].as_u64().unwrap_or_default() as usize;
                let piece = event["delta"]["partial_json"].as_str().unwrap_or_default();
                if let Some(block) = blocks.get_mut(at) {
                    block.1.push_str(piece);
                }
            }
            _ => {}
        }
    }
    blocks
}

fn piece(index: &Value, text: &str) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": text}})
}

#[test]
fn nothing_is_added_to_a_call_that_was_judged() {
    let mut late = block(0, "run", &[]);
    late.push(piece(&json!(0), "{\"command\":\"rm\"}"));
    let (out, asked) = passed(Family::AnthropicMessages, &messages(vec![late]), &Limits::default());
    assert_eq!((asked.len(), asked[0].arguments.as_str()), (1, ""));
    assert_eq!(by_place(&out), pairs(&[("run", "")]));
    // The same index for a new block is a new call.
    let again = [block(0, "run", &["{}"]), block(0, "walk", &["{\"a\":1}"])].concat();
    let (_, asked) = passed(Family::AnthropicMessages, &messages(vec![again]), &Limits::default());
    assert_eq!(asked.iter().map(|call| call.arguments.as_str()).collect::<Vec<_>>(), ["{}", "{\"a\":1}"]);

    let mut chunks = call(0, "run");
    chunks.push(chunk(&json!({}), Some("tool_calls")));
    let whole = sse(&chunks);
    chunks.push(chunk(&json!({"tool_calls": [{"index": 0, "function": {"arguments": ";rm"}}]}), None));
    let (out, asked) = passed(Family::OpenAiChat, &sse(&chunks), &Limits::default());
    assert_eq!((out, asked.len()), (whole, 1));
}

#[test]
fn pieces_that_clients_count_otherwise_are_dropped_or_doubted() {
    // The second block of the message, by the number seven.
    let mut jump = block(0, "note", &["{}"]);
    jump.extend([block(7, "run", &[]).remove(0), piece(&json!(1), "{\"command\":\"rm\"}")]);
    let (out, _) = passed(Family::AnthropicMessages, &messages(vec![jump]), &Limits::default());
    assert!(!out.contains("rm"), "{out}");
    let first = block(0, "note", &["{}"]);
    let seventh = vec![block(7, "run", &[]).remove(0)];
    let stream = messages(vec![first, seventh, block(1, "note", &["{\"command\":\"rm\"}"])]);
    let (_, asked) = passed(Family::AnthropicMessages, &stream, &Limits::default());
    let doubted = |asked: &[HeldCall]| {
        asked.iter().any(|call| call.arguments.contains("rm") && call.doubt == Some(Doubt::Ambiguous))
    };
    assert!(doubted(&asked), "{asked:?}");
    // A call of the provider's own goes on piece by piece, under its own number.
    let mut server = block(0, "search", &["{\"q\":1}"]);
    server[0]["content_block"]["type"] = json!("server_tool_use");
    let stream = messages(vec![server]);
    assert_eq!(passed(Family::AnthropicMessages, &stream, &Limits::default()), (stream.clone(), vec![]));
}

#[test]
fn what_can_be_read_in_two_ways_is_doubted() {
    let ambiguous = |family, stream: &str| {
        let (_, asked) = passed(family, stream, &Limits::default());
        assert!(!asked.is_empty(), "{stream}");
        asked.iter().any(|call| call.doubt == Some(Doubt::Ambiguous))
    };
    let anthropic = |stream: &str| ambiguous(Family::AnthropicMessages, stream);
    let plain = messages(vec![block(0, "run", &["{\"command\":", "\"ls\"}"])]);
    assert!(!anthropic(&plain));
    // Some clients go by the name of an event, some by its data.
    assert!(anthropic(&plain.replacen("event: content_block_delta", "event: x", 1)));
    assert!(anthropic(&plain.replacen("event: content_block_delta\n", "\u{feff}", 1)));
    assert!(anthropic(&plain.replacen("\"index\":0", "\"index\":0,\"index\":1", 2)));
    for index in ["1.0", "\"1\"", "-1", "9007199254740993"] {
        let odd = plain.replace("\"index\":0", &format!("\"index\":{index}"));
        assert!(anthropic(&odd), "{index}");
    }
    let mut chunks = call(0, "run");
    chunks.push(chunk(&json!({}), Some("tool_calls")));
    let plain = sse(&chunks);
    let openai = |stream: &str| ambiguous(Family::OpenAiChat, stream);
    assert!(!openai(&plain));
    let piece = plain.find("\"tool_calls\":").expect("a call");
    let twice = format!(
        "{}\"tool_calls\":[{{\"index\":0,\"function\":{{\"arguments\":\"\\\\\"}}}}],{}",
        &plain[..piece],
        &plain[piece..]
    );
    assert!(openai(&twice));
}

#[test]
fn an_event_may_be_named_by_its_line_alone() {
    let plain = messages(vec![block(0, "bad", &["{\"command\":", "\"rm\"}"])]);
    let mut nameless = plain;
    for kind in ["content_block_start", "content_block_delta", "content_block_stop"] {
        nameless = nameless
            .replace(&format!(",\"type\":\"{kind}\""), "")
            .replace(&format!("\"type\":\"{kind}\","), "");
    }
    let (out, asked) = passed(Family::AnthropicMessages, &nameless, &Limits::default());
    assert_eq!(asked.len(), 1);
    assert!(!out.contains("rm"), "{out}");
}
