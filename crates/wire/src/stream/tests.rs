//! Streams as providers send them, read, changed and continued.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::sse::{Decoder, Framing};

fn events(framing: Framing, stream: &str) -> Vec<Event> {
    let mut decoder = Decoder::new(framing, &Limits::default());
    decoder.push(stream.as_bytes());
    let mut events = Vec::new();
    while let Some(event) = decoder.next_event().unwrap() {
        events.push(event);
    }
    events.extend(decoder.finish());
    events
}

fn sse(values: &[Value]) -> String {
    values.iter().map(|value| format!("data: {value}\n\n")).collect()
}

fn named(values: &[Value]) -> String {
    let event = |value: &Value| format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap());
    values.iter().map(event).collect()
}

fn value(event: &Event) -> Value {
    serde_json::from_slice(&event.data()).unwrap()
}

/// The texts of each channel, put together.
#[derive(Default)]
struct Heard {
    texts: BTreeMap<ChannelId, String>,
    ends: Vec<ChannelId>,
    calls: Vec<ToolFragment>,
    finish: Option<String>,
    done: bool,
}

fn hear(reader: &mut Reader, events: &[Event]) -> Heard {
    let mut heard = Heard::default();
    for event in events {
        let read = reader.feed(event);
        for delta in &read.deltas {
            heard.texts.entry(delta.channel).or_default().push_str(&delta.text(event));
        }
        heard.ends.extend(read.ends);
        heard.calls.extend(read.tool_calls);
        heard.finish = read.finish_reason.or(heard.finish);
        heard.done |= read.done;
    }
    heard.ends.extend(reader.finish());
    heard
}

fn by_kind(reader: &Reader, heard: &Heard) -> Vec<(ChannelKind, u64, String)> {
    let known = |id: &ChannelId| *reader.channel(*id).unwrap();
    heard.texts.iter().map(|(id, text)| (known(id).kind, known(id).index, text.clone())).collect()
}

fn openai_stream() -> Vec<Value> {
    let chunk = |delta: Value, finish: Value| json!({"id": "c", "object": "chat.completion.chunk", "model": "gpt-5", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    vec![
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(json!({"content": "Hel"}), Value::Null),
        chunk(json!({"content": "lo"}), Value::Null),
        chunk(
            json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
            Value::Null,
        ),
        chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":"}}]}), Value::Null),
        chunk(
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}, {"index": 1, "id": "call_2", "function": {"name": "g", "arguments": "{}"}}]}),
            Value::Null,
        ),
        chunk(json!({}), json!("tool_calls")),
        json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}}),
    ]
}

#[test]
fn openai_streams() {
    let stream = sse(&openai_stream()) + "data: [DONE]\n\n";
    let mut reader = Reader::new(Family::OpenAiChat, &Limits::default());
    let heard = hear(&mut reader, &events(Framing::Events, &stream));
    assert_eq!(
        by_kind(&reader, &heard),
        [
            (ChannelKind::Text, 0, "Hello".to_owned()),
            (ChannelKind::ToolArguments, 0, "{\"a\":1}".to_owned()),
            (ChannelKind::ToolArguments, 1, "{}".to_owned()),
        ]
    );
    assert_eq!(heard.ends.len(), 3);
    assert_eq!(heard.finish.as_deref(), Some("tool_calls"));
    assert!(heard.done);
    let names: Vec<_> = heard.calls.iter().map(|call| call.name.clone().unwrap()).collect();
    assert_eq!(names, ["f", "g"]);
    assert_eq!(
        reader.usage(),
        Usage { input: Some(6), output: Some(5), cache_read: Some(4), cache_write: None }
    );
}

fn anthropic_stream() -> Vec<Value> {
    vec![
        json!({"type": "message_start", "message": {"id": "m", "model": "claude", "content": [], "usage": {"input_tokens": 9, "cache_read_input_tokens": 2, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"signature": "", "thinking": "", "type": "thinking"}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hel"}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "lo"}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {}}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{\"a\":"}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "\"b\"}"}}),
        json!({"type": "content_block_stop", "index": 2}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 20}}),
        json!({"type": "message_stop"}),
    ]
}

#[test]
fn anthropic_streams() {
    let events = events(Framing::Events, &named(&anthropic_stream()));
    let mut reader = Reader::new(Family::AnthropicMessages, &Limits::default());
    let heard = hear(&mut reader, &events);
    assert_eq!(
        by_kind(&reader, &heard),
        [
            (ChannelKind::Signature, 0, "c2ln".to_owned()),
            (ChannelKind::Reasoning, 0, "hm".to_owned()),
            (ChannelKind::Text, 1, "Hello".to_owned()),
            (ChannelKind::ToolArguments, 2, "{\"a\":\"b\"}".to_owned()),
        ]
    );
    let locked = heard.texts.keys().map(|id| reader.channel(*id).unwrap().locked);
    assert_eq!(locked.collect::<Vec<_>>(), [true, true, false, false]);
    assert_eq!(heard.ends.len(), 4);
    assert_eq!(heard.finish.as_deref(), Some("tool_use"));
    assert!(heard.done);
    assert_eq!(heard.calls[0].id.as_deref(), Some("toolu_1"));
    assert_eq!(
        reader.usage(),
        Usage { input: Some(9), output: Some(20), cache_read: Some(2), cache_write: None }
    );
    let thinking = reader.feed(&events[3]);
    assert_eq!(thinking.deltas[0].replace("x"), None);
    assert_eq!(reader.synthesise(thinking.deltas[0].channel, "x"), None);
    let error = self::events(
        Framing::Events,
        &named(&[json!({"type": "error", "error": {"type": "overloaded_error", "message": "m"}})]),
    );
    assert!(reader.feed(&error[0]).error);
}

#[test]
fn rewriting_touches_nothing_but_the_text() {
    let stream = "event: x\r\nid: 7\r\ndata: {\"type\" : \"content_block_delta\", \"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\\u0041b\"} }\r\n\r\n";
    let event = &events(Framing::Events, stream)[0];
    let mut reader = Reader::new(Family::AnthropicMessages, &Limits::default());
    let read = reader.feed(event);
    assert_eq!(read.deltas[0].text(event), "aAb");
    let edit = read.deltas[0].replace("new \"text\"\n").unwrap();
    let rewritten = rewrite(event, vec![edit]).unwrap();
    assert_eq!(rewritten, stream.replace("a\\u0041b", "new \\\"text\\\"\\n"));
    assert_eq!(rewrite(event, vec![]).unwrap(), event.raw);
}

#[test]
fn json_over_several_data_lines_keeps_its_positions() {
    let stream = "data: {\"choices\":[{\"index\":0,\ndata: \"delta\":{\"content\":\"secret\"}}]}\n\n";
    let event = &events(Framing::Events, stream)[0];
    let read = Reader::new(Family::OpenAiChat, &Limits::default()).feed(event);
    let rewritten = rewrite(event, vec![read.deltas[0].replace("[X]").unwrap()]).unwrap();
    assert_eq!(rewritten, stream.replace("secret", "[X]"));
}

#[test]
fn a_stream_of_ever_new_texts_is_told_and_not_kept() {
    let limits = Limits { max_channels: 3, ..Limits::default() };
    for (family, of) in [
        (
            Family::OpenAiChat,
            (|n| json!({"choices": [{"index": n, "delta": {"content": "x"}}]})) as fn(u64) -> Value,
        ),
        (
            Family::AnthropicMessages,
            |n| json!({"type": "content_block_delta", "index": n, "delta": {"type": "text_delta", "text": "x"}}),
        ),
        (Family::Generic, |n| json!({"type": "output_text.delta", "item_id": n, "delta": "x"})),
    ] {
        let mut reader = Reader::new(family, &limits);
        for n in [0, 1, 2, 1, 0] {
            reader.feed(&events(Framing::Events, &sse(&[of(n)]))[0]);
        }
        assert_eq!(reader.check(), Ok(()), "{family:?}");
        for n in 3..50 {
            reader.feed(&events(Framing::Events, &sse(&[of(n)]))[0]);
        }
        assert_eq!(reader.check(), Err(StreamError::TooManyTexts { limit: 3 }), "{family:?}");
        assert_eq!(reader.finish().len(), 3, "{family:?}");
    }
}

#[test]
fn openai_clones_bring_one_text_and_repeat_nothing() {
    let mut stream = openai_stream();
    stream.truncate(6);
    stream.push(json!({"choices": [
        {"index": 0, "delta": {"role": "assistant", "content": "end", "refusal": "r"}, "logprobs": {"content": [{"token": "end"}]}, "finish_reason": "stop"},
        {"index": 1, "delta": {"content": "other choice"}, "finish_reason": null}],
        "usage": {"prompt_tokens": 1}}));
    let events = events(Framing::Events, &sse(&stream));
    let mut reader = Reader::new(Family::OpenAiChat, &Limits::default());
    let mut clones = Vec::new();
    for event in &events {
        for delta in reader.feed(event).deltas {
            clones.push(reader.synthesise(delta.channel, "held \"back\"").unwrap());
        }
    }
    let values: Vec<Value> = clones
        .iter()
        .map(|clone| value(&self::events(Framing::Events, std::str::from_utf8(clone).unwrap())[0]))
        .collect();
    // The first chunk had a role, which some clients would append.
    assert_eq!(values[0]["choices"][0]["delta"], json!({"content": "held \"back\""}));
    // The first chunk of a call had its id, type and name.
    assert_eq!(
        values[3]["choices"][0]["delta"],
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "held \"back\""}}]})
    );
    // Two calls in one chunk: the other one's text must not come twice.
    assert_eq!(
        values[6]["choices"][0]["delta"]["tool_calls"],
        json!([
            {"index": 0, "function": {"arguments": ""}},
            {"index": 1, "function": {"arguments": "held \"back\""}}
        ])
    );
    let last = &values[7];
    assert_eq!(
        last["choices"][0],
        json!({"index": 0, "delta": {"content": "held \"back\"", "refusal": ""}, "logprobs": null, "finish_reason": null})
    );
    assert_eq!(last["choices"][1]["delta"], json!({"content": ""}));
    assert_eq!(last["usage"], Value::Null);
}

#[test]
fn anthropic_clones_and_deltas_from_nothing() {
    let events = events(Framing::Events, &named(&anthropic_stream()[6..8]));
    let mut reader = Reader::new(Family::AnthropicMessages, &Limits::default());
    let start = reader.feed(&events[0]).deltas[0].channel;
    let expected =
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "x\n"}});
    let made = reader.synthesise(start, "x\n").unwrap();
    let made = &self::events(Framing::Events, std::str::from_utf8(&made).unwrap())[0];
    assert_eq!((made.name(), value(made)), (Some("content_block_delta"), expected.clone()));
    assert_eq!(reader.feed(&events[1]).deltas[0].channel, start);
    let cloned = reader.synthesise(start, "x\n").unwrap();
    let cloned = &self::events(Framing::Events, std::str::from_utf8(&cloned).unwrap())[0];
    assert_eq!((cloned.name(), value(cloned)), (Some("content_block_delta"), expected));
}

#[test]
fn held_text_can_be_released_up_to_the_end_and_not_beyond() {
    let events = events(Framing::Events, &named(&anthropic_stream()[7..11]));
    let mut reader = Reader::new(Family::AnthropicMessages, &Limits::default());
    let channel = reader.feed(&events[0]).deltas[0].channel;
    reader.feed(&events[1]);
    assert_eq!(reader.feed(&events[2]).ends, [channel]);
    assert!(reader.synthesise(channel, "rest").is_some());
    reader.feed(&events[3]);
    assert!(reader.finish().is_empty() || !reader.finish().contains(&channel));
}

#[test]
fn generic_streams_of_known_makes() {
    let responses = named(&[
        json!({"type": "response.created", "response": {"id": "r", "model": "gpt-5", "output": []}}),
        json!({"type": "response.output_text.delta", "item_id": "i1", "output_index": 0, "content_index": 0, "delta": "Hel"}),
        json!({"type": "response.output_text.delta", "item_id": "i1", "output_index": 0, "content_index": 0, "delta": "lo"}),
        json!({"type": "response.function_call_arguments.delta", "item_id": "i2", "output_index": 1, "delta": "{}"}),
        json!({"type": "response.output_text.done", "item_id": "i1", "output_index": 0, "content_index": 0, "text": "Hello"}),
        json!({"type": "response.completed", "response": {"usage": {"input_tokens": 4, "output_tokens": 2}, "output": [{"content": [{"text": "Hello"}]}]}}),
    ]);
    let gemini = sse(&[
        json!({"candidates": [{"content": {"parts": [{"text": "think", "thought": true}]}}]}),
        json!({"candidates": [{"content": {"parts": [{"text": "Hel"}]}}]}),
        json!({"candidates": [{"content": {"parts": [{"text": "lo"}]}, "finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2}}),
    ]);
    let ollama = "{\"model\":\"m\",\"created_at\":\"t\",\"message\":{\"content\":\"Hel\"},\"done\":false}\n\
        {\"model\":\"m\",\"message\":{\"content\":\"lo\"},\"done\":false}\n\
        {\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":4,\"eval_count\":2}\n";
    for (framing, stream, others) in [
        (Framing::Events, responses.as_str(), vec!["{}"]),
        (Framing::Events, gemini.as_str(), vec!["think"]),
        (Framing::Lines, ollama, vec![]),
    ] {
        let mut reader = Reader::new(Family::Generic, &Limits::default());
        let heard = hear(&mut reader, &events(framing, stream));
        let mut texts: Vec<&str> = heard.texts.values().map(String::as_str).collect();
        texts.retain(|text| !others.contains(text));
        assert_eq!(texts, ["Hello"], "{stream}");
        assert_eq!(heard.ends.len(), heard.texts.len());
        assert_eq!((reader.usage().input, reader.usage().output), (Some(4), Some(2)));
    }
}

#[test]
fn generic_clones_keep_names_and_drop_ends() {
    let line = "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"lo\"},\"done\":true,\"done_reason\":\"stop\"}\n";
    let event = &events(Framing::Lines, line)[0];
    let mut reader = Reader::new(Family::Generic, &Limits::default());
    let delta = &reader.feed(event).deltas[0];
    let clone = reader.synthesise(delta.channel, "x").unwrap();
    assert_eq!(clone, line.replace("\"lo\"", "\"x\"").replace("true", "false").replace("\"stop\"", "null"));
}

#[test]
fn data_that_is_no_json_is_still_shown() {
    for stream in ["data: plain words\n\n", "data: {\"cut\": \"off\n\n", ": a comment\n\n", "id: secret\n\n"]
    {
        for family in [Family::OpenAiChat, Family::AnthropicMessages, Family::Generic] {
            let event = &events(Framing::Events, stream)[0];
            let read = Reader::new(family, &Limits::default()).feed(event);
            assert_eq!(read.segments.len(), 1, "{stream}");
            assert!(stream.contains(read.segments[0].text(&event.raw).as_ref()));
        }
    }
    let event = &events(Framing::Events, "data: old\n\n")[0];
    let read = Reader::new(Family::Generic, &Limits::default()).feed(event);
    let edit = read.segments[0].replace("two\nlines").unwrap();
    assert_eq!(rewrite(event, vec![edit]).unwrap(), "data: two\ndata: lines\n\n");
}

#[test]
fn deltas_are_whole_whatever_they_look_like() {
    let url = "data:text/plain;base64,aGVsbG8gaGVsbG8=";
    let stream = sse(&[
        json!({"choices": [{"index": 0, "delta": {"content": url}}, {"index": 1, "delta": {"content": [{"text": "part"}]}}]}),
    ]);
    let event = &events(Framing::Events, &format!("id: 7\n{stream}"))[0];
    let read = Reader::new(Family::OpenAiChat, &Limits::default()).feed(event);
    let texts: Vec<_> = read.deltas.iter().map(|delta| delta.text(event)).collect();
    assert_eq!(texts, [url, "part"]);
    assert!(read.segments.iter().any(|segment| segment.text(&event.raw) == "id: 7"));
}

#[test]
fn every_string_of_an_event_is_seen() {
    for family in [Family::OpenAiChat, Family::AnthropicMessages, Family::Generic] {
        for stream in [openai_stream(), anthropic_stream()] {
            let mut reader = Reader::new(family, &Limits::default());
            for event in events(Framing::Events, &sse(&stream)) {
                let read = reader.feed(&event);
                let seen = read.deltas.len() + read.segments.iter().filter(|segment| !segment.key).count();
                let mut strings = 0;
                count(&value(&event), &mut strings);
                assert_eq!(seen, strings, "{family}");
            }
        }
    }
}

fn count(value: &Value, strings: &mut usize) {
    match value {
        Value::String(_) => *strings += 1,
        Value::Array(values) => values.iter().for_each(|value| count(value, strings)),
        Value::Object(members) => members.values().for_each(|value| count(value, strings)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn rewritten_texts_arrive_and_the_rest_stays(old in "\\PC{0,12}", new in "[\\PC\n\r\"\\\\]{0,12}", family in 0usize..3) {
        let (family, body) = [
            (Family::OpenAiChat, json!({"choices": [{"index": 0, "delta": {"content": old}}], "id": "x"})),
            (Family::AnthropicMessages, json!({"type": "content_block_delta", "index": 3, "delta": {"type": "text_delta", "text": old}})),
            (Family::Generic, json!({"message": {"content": old}, "n": 1})),
        ][family].clone();
        let event = &events(Framing::Events, &sse(&[body]))[0];
        let mut reader = Reader::new(family, &Limits::default());
        let read = reader.feed(event);
        prop_assert_eq!(read.deltas[0].text(event), old.as_str());
        let rewritten = rewrite(event, vec![read.deltas[0].replace(&new).unwrap()]).unwrap();
        let segment = &read.deltas[0].segment;
        let tail = &event.raw[segment.raw.end..];
        prop_assert_eq!(&rewritten[..segment.raw.start], &event.raw[..segment.raw.start]);
        prop_assert_eq!(&rewritten[rewritten.len() - tail.len()..], tail);
        let again = &events(Framing::Events, std::str::from_utf8(&rewritten).unwrap())[0];
        let read = Reader::new(family, &Limits::default()).feed(again);
        prop_assert_eq!(read.deltas[0].text(again), new.as_str());
        let clone = reader.synthesise(read.deltas[0].channel, &new).unwrap();
        let cloned = &events(Framing::Events, std::str::from_utf8(&clone).unwrap())[0];
        let read = Reader::new(family, &Limits::default()).feed(cloned);
        prop_assert_eq!(read.deltas[0].text(cloned), new.as_str());
    }

    #[test]
    fn arbitrary_events_never_panic(text in "(data: |event: |\\{|\\}|\"choices\"|\"delta\"|\"type\"|:|,|\\[|\\]|\"index\"|1|\n|\"text\"){0,40}", family in 0usize..3) {
        let family = [Family::OpenAiChat, Family::AnthropicMessages, Family::Generic][family];
        let mut reader = Reader::new(family, &Limits::default());
        for event in events(Framing::Events, &text) {
            let read = reader.feed(&event);
            for delta in &read.deltas {
                let _ = reader.synthesise(delta.channel, "x");
            }
        }
    }
}
