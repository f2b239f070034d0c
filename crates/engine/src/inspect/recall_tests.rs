//! Known values of every alphabet, in every dress, in every place of a request and an answer: the value is gone, and
//! nothing beside it has changed. From a seed, so that a miss can be looked at again; `SALLYPORT_CASES` makes it longer.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use parking_lot::Mutex;
use sallyport_detect::{IndexKey, RuleSet, SecretEntry, SecretIndex, SecretSet};
use sallyport_policy::settings::resolve;
use sallyport_wire::sse::Framing;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::*;
use crate::rewriter::{Lens, Rewriter};

/// Numbers that look like chance, the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

fn cases(usual: u64) -> u64 {
    std::env::var("SALLYPORT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

const ALPHABETS: [&str; 8] = [
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "0123456789abcdef",
    "0123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "abcXYZ019-_.~$@!#^*()",
    "{}[]\":,0123456789 ",
    "ab12\"\\/&+% <>'\t=-\u{e9}\u{1f600}",
    " !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~",
];

fn value(dice: &mut Dice) -> String {
    loop {
        let alphabet: Vec<char> = dice.one(&ALPHABETS).chars().collect();
        let reach = *dice.one(&[1, 8, 40, 193]);
        let length = 8 + dice.below(reach);
        let value: String = (0..length).map(|_| *dice.one(&alphabet)).collect();
        // What is one character over and over, or a blank line, is nobody's secret.
        let different: HashSet<char> = value.chars().collect();
        if different.len() > 4 && value.trim() == value {
            return value;
        }
    }
}

fn in_json(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

fn units(c: char) -> String {
    c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// The value as tools write it.
fn dressed(dice: &mut Dice, value: &str) -> String {
    let bytes = value.as_bytes();
    let percent = |plain: &[u8], space: &str| -> String {
        let one = |byte: &u8| match byte {
            b' ' => space.to_owned(),
            byte if byte.is_ascii_alphanumeric() || plain.contains(byte) => char::from(*byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        bytes.iter().map(one).collect()
    };
    match dice.below(18) {
        0..3 => value.to_owned(),
        3 => BASE64.encode(bytes).trim_end_matches('=').to_owned(),
        4 => BASE64URL_NOPAD.encode(bytes),
        5 => HEXLOWER.encode(bytes),
        6 => HEXUPPER.encode(bytes),
        7 => percent(b"-_.~", "%20"),
        8 => percent(b"-_.*", "+"),
        9 => bytes.iter().map(|byte| format!("%{byte:02x}")).collect(),
        10 => in_json(value),
        11 => in_json(&in_json(value)),
        12 => value.chars().map(units).collect(),
        13 => bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect(),
        14 => value.chars().map(|c| format!("&#{};", u32::from(c))).collect(),
        15 => value.chars().map(|c| format!("&#x{:x};", u32::from(c))).collect(),
        16 => value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;"),
        _ => {
            let coded = HEXLOWER.encode(bytes);
            let lines = coded.as_bytes().chunks(24 + dice.below(50));
            let lines: Vec<&str> = lines.map(|line| std::str::from_utf8(line).unwrap()).collect();
            lines.join(*dice.one(&["\n", "\r\n", "\n    ", "\r\n> "]))
        }
    }
}

/// What stands at once beside a value, and does not change how it is read.
const BESIDE: [&str; 16] =
    ["", " ", "\"", "'", "=", ": ", "(", ">", "\n", "x ", "\u{e9}", ",", "[", "\u{200b}", "\t", "word\n\n"];

struct Case {
    scanner: Scanner,
    before: String,
    dressed: String,
    after: String,
    /// The value as the source writes it.
    value: String,
}

fn case(dice: &mut Dice) -> Case {
    let values: Vec<String> = (0..1 + dice.below(3)).map(|_| value(dice)).collect();
    let key = IndexKey::new([1; 32]);
    let entries = values.iter().map(|value| SecretEntry { name: "s", value: value.as_bytes(), weak: false });
    let set = Arc::new(SecretSet::build(&key, "test", entries));
    let index = SecretIndex::merge(&key, &[set]).unwrap();
    let scanner = Scanner::new(rules(), Arc::new(index));
    let value = dice.one(&values).clone();
    let filling: [&str; 6] =
        ["", "lorem ipsum ", "C:\\dir\\new ", "{\"a\": \"b\"}, ", "5 % of R&D ", "a%20b "];
    let before = [*dice.one(&filling), *dice.one(&BESIDE)].concat();
    let after = [*dice.one(&BESIDE), *dice.one(&filling)].concat();
    Case { scanner, before, dressed: dressed(dice, &value), after, value }
}

fn rules() -> Arc<RuleSet> {
    static RULES: std::sync::LazyLock<Arc<RuleSet>> =
        std::sync::LazyLock::new(|| Arc::new(RuleSet::builtin().unwrap()));
    RULES.clone()
}

/// Bodies with `@` in the place of a text.
fn bodies() -> Vec<(Family, String)> {
    let turn =
        |role: &str, content: Value| json!({"model": "m", "messages": [{"role": role, "content": content}]});
    let at = "@";
    let anthropic = [
        json!({"model": "m", "system": at, "messages": []}),
        json!({"system": [{"type": "text", "text": at, "cache_control": {"type": "ephemeral"}}], "messages": []}),
        turn("user", json!(at)),
        turn("user", json!([{"type": "text", "text": at}])),
        turn("assistant", json!([{"type": "text", "text": at}, {"type": "text", "text": "and more"}])),
        turn(
            "assistant",
            json!([{"type": "tool_use", "id": "t", "name": "Bash", "input": {"a": [{"command": at}]}}]),
        ),
        turn("assistant", json!([{"type": "tool_use", "id": "t", "name": "Bash", "input": {at: 1}}])),
        turn("user", json!([{"type": "tool_result", "tool_use_id": "t", "content": at}])),
        turn(
            "user",
            json!([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": at}]}]),
        ),
        turn("user", json!([{"type": "document", "title": "t", "source": {"type": "text", "data": at}}])),
        turn("user", json!([{"type": "document", "context": at, "source": {"type": "url", "url": "x"}}])),
        json!({"metadata": {"user_id": at}, "messages": []}),
        json!({"tools": [{"name": "n", "description": at, "input_schema": {}}], "messages": []}),
        json!({"tools": [{"name": "n", "input_schema": {"properties": {"p": {"description": at}}}}], "messages": []}),
        json!({"stop_sequences": ["x", at], "messages": []}),
        json!({"messages": [], "some": {"new": [[["thing", at]]]}}),
    ];
    let call = |arguments: Value| json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}]}]});
    let openai = [
        turn("system", json!(at)),
        turn("developer", json!([{"type": "text", "text": at}])),
        turn("user", json!(at)),
        json!({"messages": [{"role": "user", "name": at, "content": "x"}]}),
        turn("user", json!([{"type": "image_url", "image_url": {"url": at}}])),
        call(json!(at)),
        json!({"messages": [{"role": "tool", "tool_call_id": "c", "content": at}]}),
        json!({"tools": [{"type": "function", "function": {"name": "n", "description": at}}], "messages": []}),
        json!({"user": at, "metadata": {"k": "v"}, "messages": []}),
        json!({"metadata": {at: "v"}, "messages": []}),
        json!({"prompt": at}),
        json!({"input": ["a", at]}),
    ];
    let anthropic = anthropic.into_iter().map(|body| (Family::AnthropicMessages, body.to_string()));
    let openai = openai.into_iter().map(|body| (Family::OpenAiChat, body.to_string()));
    anthropic.chain(openai).collect()
}

fn look(scanner: &Scanner, family: Family, content_type: &str, body: &[u8]) -> Option<Vec<u8>> {
    let memory = ScanMemory::new(Arc::new(Zeroizing::new([3; 32])));
    let generations = Generations { scanner: scanner.generation(), policy: 1 };
    let conduct = crate::conduct::Memory::default();
    let snapshot = resolve(&Default::default()).unwrap();
    let options = ScanOptions { kinds: Kinds::NONE.with(FindingKind::KnownSecret), ..ScanOptions::default() };
    Parsed::read(family, Some(content_type), body, &Limits::default())
        .inspect(
            scanner,
            &options,
            &Remembered { memory: &memory, generations },
            &InjectionGuard::new(&conduct, &snapshot, false),
            FromFiles::default(),
            &mut Placeholders::new([2; 32]),
        )
        .redacted
}

#[test]
fn in_every_place_of_a_request_the_value_goes_and_all_else_stays() {
    let bodies = bodies();
    for seed in 0..cases(250) {
        let mut dice = Dice(seed);
        let Case { scanner, before, dressed, after, value } = case(&mut dice);
        let (family, body) = dice.one(&bodies);
        let (head, tail) = body.split_once('@').unwrap();
        let (head, tail) = (head.to_owned() + &in_json(&before), in_json(&after) + tail);
        let body = format!("{head}{}{tail}", in_json(&dressed));
        let new = look(&scanner, *family, "application/json", body.as_bytes());
        let new = String::from_utf8(new.unwrap_or_default()).unwrap();
        assert_eq!(new, format!("{head}[SECRET:s]{tail}"), "seed {seed}, {value:?} in {body}");
        let text = format!("{before}{dressed}{after}");
        let new = look(&scanner, Family::Generic, "text/plain", text.as_bytes());
        assert_eq!(
            new.unwrap_or_default(),
            format!("{before}[SECRET:s]{after}").into_bytes(),
            "seed {seed}, {text:?}"
        );
    }
}

#[test]
fn however_an_answer_is_cut_up_the_value_goes_and_all_else_stays() {
    let snapshot = resolve(&Default::default()).unwrap();
    for seed in 0..cases(60) {
        let mut dice = Dice(seed);
        let Case { scanner, before, dressed, after, value } = case(&mut dice);
        let calls = dice.below(2) == 0;
        let (before, dressed, after) = match calls {
            true => (format!("{{\"a\":\"{}", in_json(&before)), in_json(&dressed), in_json(&after) + "\"}"),
            false => (before, dressed, after),
        };
        let text = format!("{before}{dressed}{after}");
        let family = *dice.one(&[Family::AnthropicMessages, Family::OpenAiChat]);
        let most = *dice.one(&[1, 2, 9, 60]);
        let mut events = vec![begin(family, calls)];
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.ceil_char_boundary(1 + dice.below(most)));
            events.push(delta(family, calls, piece));
            rest = after;
        }
        events.extend(end(family));
        let stream: String = events
            .iter()
            .map(|event| match event["type"].as_str() {
                Some(name) => format!("event: {name}\ndata: {event}\n\n"),
                None => format!("data: {event}\n\n"),
            })
            .collect();
        let lens = Lens {
            scanner: Arc::new(scanner),
            options: ScanOptions {
                kinds: Kinds::NONE.with(FindingKind::KnownSecret),
                ..ScanOptions::default()
            },
            placeholders: Arc::new(Mutex::new(Placeholders::new([2; 32]))),
            output: crate::output::Output::of(&snapshot),
            known: crate::words::tests::known(0, 0),
        };
        let guard = Guard::new(snapshot.agents.clone(), "x".into(), None, "/".into(), Arc::new(|_| {}));
        let mut rewriter = Rewriter::new(family, Framing::Events, &Limits::default(), lens, Arc::new(guard));
        let mut out = Vec::new();
        let chunk = 1 + dice.below(400);
        for chunk in stream.as_bytes().chunks(chunk) {
            rewriter.push(chunk, &mut out).unwrap();
        }
        rewriter.finish(&mut out).unwrap();
        let said = said(std::str::from_utf8(&out).unwrap());
        assert_eq!(said, format!("{before}[SECRET:s]{after}"), "seed {seed}, {value:?} in {text:?}");
    }
}

fn begin(family: Family, calls: bool) -> Value {
    match (family, calls) {
        (Family::AnthropicMessages, true) => {
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}})
        }
        (Family::AnthropicMessages, false) => {
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        }
        (_, true) => {
            json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": ""}}]}}]})
        }
        (_, false) => json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}),
    }
}

fn delta(family: Family, calls: bool, piece: &str) -> Value {
    match (family, calls) {
        (Family::AnthropicMessages, true) => {
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": piece}})
        }
        (Family::AnthropicMessages, false) => {
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}})
        }
        (_, true) => {
            json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}}]})
        }
        (_, false) => json!({"choices": [{"index": 0, "delta": {"content": piece}}]}),
    }
}

fn end(family: Family) -> Vec<Value> {
    match family {
        Family::AnthropicMessages => vec![
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
            json!({"type": "message_stop"}),
        ],
        _ => vec![json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})],
    }
}

/// What the client puts together.
fn said(stream: &str) -> String {
    let places = [
        "/delta/text",
        "/delta/partial_json",
        "/choices/0/delta/content",
        "/choices/0/delta/tool_calls/0/function/arguments",
    ];
    let events =
        stream.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    events
        .flat_map(|event| {
            places.map(|place| event.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned())
        })
        .collect()
}

#[test]
fn empty_blocks_between_two_halves_hide_nothing_and_cost_little() {
    let secret = "tr0ub4dor-and-horse-7";
    let key = IndexKey::new([1; 32]);
    let set =
        SecretSet::build(&key, "test", [SecretEntry { name: "s", value: secret.as_bytes(), weak: false }]);
    let scanner = Scanner::new(rules(), Arc::new(SecretIndex::merge(&key, &[Arc::new(set)]).unwrap()));
    let empty = r#"{"type":"text","text":""},"#.repeat(40_000);
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"tr0ub4dor-an"}},{empty}{{"type":"text","text":"d-horse-7"}}]}}]}}"#
    );
    let new = look(&scanner, Family::AnthropicMessages, "application/json", body.as_bytes()).unwrap();
    let new = String::from_utf8(new).unwrap();
    assert!(new.contains("[SECRET:s]") && !new.contains("d-horse-7") && !new.contains("tr0ub"));
}
