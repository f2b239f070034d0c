//! Roles, facts and locks of whole requests and answers.

use serde_json::json;

use crate::*;

pub(crate) fn request(family: Family, body: &serde_json::Value) -> (RequestDocument, Vec<u8>) {
    let body = serde_json::to_vec(body).unwrap();
    let document = read_request(family, Some("application/json"), &body, &Limits::default()).unwrap();
    (document, body)
}

/// Role and lock of the first segment that is no key and reads `text`.
fn found(document: &RequestDocument, body: &[u8], text: &str) -> (Role, bool) {
    let segment = document.segments.iter().find(|segment| !segment.key && segment.text(body) == text);
    let segment = segment.unwrap_or_else(|| panic!("{text} is no segment"));
    (segment.role, segment.locked)
}

fn roles(document: &RequestDocument, body: &[u8], expected: &[(&str, Role)]) {
    for (text, role) in expected {
        assert_eq!(found(document, body, text), (*role, false), "{text}");
    }
}

#[test]
fn openai_chat_requests() {
    let (document, body) = request(
        Family::OpenAiChat,
        &json!({
            "model": "gpt-5", "stream": true, "max_completion_tokens": 77, "user": "alice",
            "metadata": {"ticket": "T-1"},
            "messages": [
                {"role": "system", "content": "sys"},
                {"role": "developer", "content": [{"type": "text", "text": "dev"}]},
                {"role": "user", "content": "first question"},
                {"role": "assistant", "content": null, "refusal": "no", "reasoning_content": "hm", "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "read", "arguments": "{\"path\":\".env\"}"}}
                ]},
                {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "KEY=1"}]},
                {"role": "function", "name": "f", "content": "old result"},
                {"role": "user", "content": [
                    {"type": "text", "text": "h\u{e9}llo"},
                    {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                    {"type": "mystery", "extra": "unknown part"}
                ]},
                {"role": "user", "content": "more"}
            ],
            "tools": [{"type": "function", "function": {"name": "read", "description": "reads a file",
                "parameters": {"type": "object", "properties": {"encrypted_content": {"type": "string"}}}}}],
            "prediction": {"type": "content", "content": "predicted"},
            "response_format": {"type": "json_schema", "json_schema": {"name": "shape"}},
            "brand_new_field": {"deep": ["unknown"]}
        }),
    );
    assert_eq!(document.api, Api::Chat);
    assert_eq!(document.nature, Nature::Json);
    assert_eq!(document.model.as_deref(), Some("gpt-5"));
    assert!(document.stream);
    assert_eq!(document.max_tokens, Some(77));
    assert_eq!(document.newest_user_chars, 5 + 4);
    roles(
        &document,
        &body,
        &[
            ("sys", Role::System),
            ("dev", Role::System),
            ("first question", Role::User),
            ("no", Role::Assistant),
            ("hm", Role::Assistant),
            ("{\"path\":\".env\"}", Role::ToolCall),
            ("call_1", Role::Other),
            ("KEY=1", Role::ToolResult),
            ("old result", Role::ToolResult),
            ("h\u{e9}llo", Role::User),
            ("https://x/y.png", Role::Attachment),
            ("unknown part", Role::Other),
            ("reads a file", Role::ToolDefinition),
            ("predicted", Role::Assistant),
            ("alice", Role::Other),
            ("T-1", Role::Other),
            ("shape", Role::Other),
            ("unknown", Role::Other),
        ],
    );
    assert_eq!(document.texts(&body, Role::System).collect::<Vec<_>>(), ["sys", "dev"]);
    let arguments = document.segments.iter().find(|segment| segment.text(&body).contains(".env")).unwrap();
    assert_eq!(document.place(&body, arguments, |_| true), "/messages/3/tool_calls/0/function/arguments");
    assert_eq!(
        document.place(&body, arguments, |key| key != "function"),
        "/messages/3/tool_calls/0/*/arguments"
    );
}

#[test]
fn anthropic_requests() {
    let text = data_encoding::BASE64.encode(b"a document with a secret");
    let (document, body) = request(
        Family::AnthropicMessages,
        &json!({
            "model": "claude", "max_tokens": 5, "stream": false,
            "system": [{"type": "text", "text": "sys", "cache_control": {"type": "ephemeral"}}],
            "metadata": {"user_id": "u-1"},
            "tools": [{"name": "bash", "description": "runs", "input_schema": {"type": "object"}}],
            "messages": [
                {"role": "user", "content": "question"},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "deep thought", "signature": "c2ln"},
                    {"type": "redacted_thinking", "data": "ZW5j"},
                    {"type": "text", "text": "answer"},
                    {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"type": "thinking", "thinking": "free"}},
                    {"type": "tool_use", "id": "toolu_2", "name": "bash", "input": {"command": "ls"}}
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "listing"},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": [
                        {"type": "text", "text": "nested"},
                        {"type": "document", "title": "a title", "source": {"type": "text", "media_type": "text/plain", "data": "plain document"}}
                    ]},
                    {"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": text}},
                    {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "in blocks"}]}},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
                ]}
            ]
        }),
    );
    assert_eq!(document.api, Api::Chat);
    assert!(!document.stream);
    assert_eq!(document.max_tokens, Some(5));
    // The newest message holds results alone: the user last spoke before.
    assert_eq!(document.newest_user_chars, 8);
    roles(
        &document,
        &body,
        &[
            ("sys", Role::System),
            ("question", Role::User),
            ("answer", Role::Assistant),
            ("ls", Role::ToolCall),
            ("free", Role::ToolCall),
            ("listing", Role::ToolResult),
            ("nested", Role::ToolResult),
            ("a title", Role::Attachment),
            ("plain document", Role::Attachment),
            ("a document with a secret", Role::Attachment),
            ("in blocks", Role::Attachment),
            ("iVBORw0KGgo=", Role::Attachment),
            ("runs", Role::ToolDefinition),
            ("u-1", Role::Other),
        ],
    );
    for text in ["deep thought", "c2ln", "ZW5j"] {
        assert!(found(&document, &body, text).1, "{text} must be locked");
    }
}

#[test]
fn sealed_fields_are_locked_in_every_family() {
    for family in [Family::OpenAiChat, Family::AnthropicMessages, Family::Generic] {
        let (document, body) = request(
            family,
            &json!({
                "contents": [{"parts": [{"text": "t", "thoughtSignature": "s1"}]}],
                "input": [{"type": "reasoning", "encrypted_content": "s2", "summary": []}],
                "messages": [{"role": "assistant", "extra_content": {"google": {"thought_signature": "s3"}}}]
            }),
        );
        for text in ["s1", "s2", "s3"] {
            assert!(found(&document, &body, text).1, "{family} {text}");
        }
        assert!(!found(&document, &body, "t").1);
        let sealed = document.segments.iter().find(|segment| segment.text(&body) == "s2").unwrap();
        assert_eq!(sealed.edits(&body, &[(0..1, "x".into())]), Err(EditError::Locked));
    }
}

#[test]
fn generic_requests_have_no_speakers_but_miss_nothing() {
    let (document, body) = request(
        Family::Generic,
        &json!({
            "model": "m", "contents": [{"role": "user", "parts": [
                {"text": "hi"},
                {"inlineData": {"mimeType": "text/csv", "data": data_encoding::BASE64.encode(b"a,b\n1,2\n")}}
            ]}],
            "generationConfig": {"maxOutputTokens": 9}
        }),
    );
    assert_eq!(document.max_tokens, Some(9));
    assert_eq!(document.model.as_deref(), Some("m"));
    roles(&document, &body, &[("hi", Role::Other), ("a,b\n1,2\n", Role::Attachment)]);
    assert_eq!(document.newest_user_chars, 2);
}

#[test]
fn duplicate_and_escaped_keys_are_all_read() {
    let body = br#"{"mess\u0061ges":[{"role":"user","content":"one"}],"messages":[{"role":"user","content":"two","content":"three"}]}"#;
    let document = read_request(Family::OpenAiChat, None, body, &Limits::default()).unwrap();
    for text in ["one", "two", "three"] {
        assert_eq!(found(&document, body, text).0, Role::User);
    }
}

#[test]
fn a_million_equal_keys_take_no_longer_than_others() {
    for member in ["\"data\":\"x\",", "\"type\":\"thinking\",", "\"content\":\"x\",", "\"mimeType\":\"x\","] {
        let body = format!(
            "{{\"messages\":[{{{}\"z\":1}}],{}\"z\":1}}",
            member.repeat(100_000),
            member.repeat(100_000)
        );
        for family in [Family::OpenAiChat, Family::AnthropicMessages, Family::Generic] {
            assert!(read_request(family, None, body.as_bytes(), &Limits::default()).is_ok());
        }
    }
}

#[test]
fn openai_answers() {
    let body = serde_json::to_vec(&json!({
        "id": "chatcmpl-1", "model": "gpt-5", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "h\u{e9}", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":\"b\"}"}}]}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 60}}
    }))
    .unwrap();
    let document = read_response(Family::OpenAiChat, None, &body, &Limits::default()).unwrap();
    assert_eq!(
        document.usage,
        Usage { input: Some(40), output: Some(7), cache_read: Some(60), cache_write: None }
    );
    assert_eq!(document.finish_reason.as_deref(), Some("tool_calls"));
    assert_eq!(document.model.as_deref(), Some("gpt-5"));
    assert_eq!(document.completion_chars, 2);
    assert_eq!(document.tool_calls.len(), 1);
    assert_eq!(document.tool_calls[0].name.as_deref(), Some("f"));
    assert_eq!(document.tool_calls[0].arguments_text(&body), "{\"a\":\"b\"}");
    assert!(!document.error);
}

#[test]
fn anthropic_answers() {
    let body = serde_json::to_vec(&json!({
        "type": "message", "model": "claude", "stop_reason": "tool_use", "content": [
            {"type": "text", "text": "abc"},
            {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": "ls"}}],
        "usage": {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 6}
    }))
    .unwrap();
    let document = read_response(Family::AnthropicMessages, None, &body, &Limits::default()).unwrap();
    let usage = Usage { input: Some(3), output: Some(4), cache_read: Some(5), cache_write: Some(6) };
    assert_eq!(document.usage, usage);
    assert_eq!(document.finish_reason.as_deref(), Some("tool_use"));
    assert_eq!(document.completion_chars, 3);
    assert_eq!(document.tool_calls[0].arguments_text(&body), "{\"command\":\"ls\"}");
    let error = br#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#;
    assert!(read_response(Family::AnthropicMessages, None, error, &Limits::default()).unwrap().error);
}

#[test]
fn the_newest_user_turn_of_other_families_is_measured() {
    for (body, chars) in [
        (json!({"model": "m", "input": "Gr\u{fc}\u{df}e"}), 5),
        (
            json!({"input": [
                {"role": "user", "content": [{"type": "input_text", "text": "first"}]},
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "second!"}]},
                {"type": "function_call", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "output": "a long result"}]}),
            7,
        ),
        (
            json!({"contents": [{"role": "user", "parts": [{"text": "abc"}]}, {"role": "model", "parts": [{"text": "x"}]},
                {"parts": [{"text": "de"}, {"inlineData": {"data": "AAAA"}}, {"text": "f"}]}]}),
            3,
        ),
        (json!({"model": "m", "request": {"contents": [{"role": "user", "parts": [{"text": "four"}]}]}}), 4),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": "abcd"}, {"role": "tool", "content": "x"}]}),
            4,
        ),
        (json!({"model": "m", "prompt": "abcdef"}), 6),
        (json!({"model": "m"}), 0),
    ] {
        let text = body.to_string();
        let document = read_request(Family::Generic, None, text.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(document.newest_user_chars, chars, "{text}");
    }
}

#[test]
fn generic_answers_report_usage_by_any_name() {
    for (body, input, output) in [
        (
            json!({"usageMetadata": {"promptTokenCount": 9, "cachedContentTokenCount": 4, "candidatesTokenCount": 2, "thoughtsTokenCount": 1}}),
            5,
            3,
        ),
        (json!({"usage": {"input_tokens": 5, "output_tokens": 3}}), 5, 3),
        (json!({"usage": {"prompt_tokens": 5, "completion_tokens": 3}}), 5, 3),
        (json!({"prompt_eval_count": 5, "eval_count": 3}), 5, 3),
        (
            json!({"response": {"usage": {"input_tokens": 8, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 3}}}}),
            5,
            3,
        ),
    ] {
        let body = serde_json::to_vec(&body).unwrap();
        let usage = read_response(Family::Generic, None, &body, &Limits::default()).unwrap().usage;
        assert_eq!((usage.input, usage.output), (Some(input), Some(output)));
    }
}
