//! The bytes that are hashed: JSON with sorted keys, no spaces, no floats, and the shortest escapes, as
//! RFC 8785 has it. They are stored, exported and verified as they stand and never made a second time.

use rusqlite::types::{ToSqlOutput, ValueRef};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::event::{Action, Actor, AiProvider, Compliance, Event, EventType, Request, Response};

pub(crate) type Hash = [u8; 32];

/// What the first row of a trail refers to: rows of one database don't fit into another.
pub(crate) fn genesis(database: &Uuid) -> Hash {
    Sha256::new().chain_update(b"sallyport audit trail\0").chain_update(database.as_bytes()).finalize().into()
}

pub(crate) fn row_hash(previous: &Hash, body: &[u8]) -> Hash {
    Sha256::new().chain_update(previous).chain_update(body).finalize().into()
}

/// An event's canonical text but for its place in the chain, which is known only when it is written: whoever records an
/// event makes the text, and the thread that writes has nothing to take apart. Used again and again.
#[derive(Default)]
pub(crate) struct Draft {
    /// The text, and behind it what else is kept with the row.
    bytes: Vec<u8>,
    /// Where `prev_hash` belongs, where `seq` does, and where the text ends.
    cuts: [usize; 3],
}

/// Fields in alphabetical order, as everywhere in `event`: what comes before `prev_hash`,
#[derive(Serialize)]
struct Front<'a> {
    #[serde(skip_serializing_if = "<[Action]>::is_empty")]
    actions: &'a [Action],
    actor: &'a Actor,
    ai_provider: &'a AiProvider,
    #[serde(skip_serializing_if = "Option::is_none")]
    compliance: &'a Option<Compliance>,
    event_id: &'a Uuid,
    event_type: EventType,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange_id: &'a Option<Uuid>,
}

/// between it and `seq`,
#[derive(Serialize)]
struct Middle<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    request: &'a Option<Request>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: &'a Option<Response>,
}

/// and behind that.
#[derive(Serialize)]
struct Back<'a> {
    timestamp: std::fmt::Arguments<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    violation_type: &'a Option<String>,
}

impl Draft {
    pub(crate) fn of(event: &Event) -> Result<Draft, serde_json::Error> {
        let mut draft = Draft::default();
        draft.write(event, &[])?;
        Ok(draft)
    }

    /// In place of what was in it. `kept`: bytes that go with the row.
    pub(crate) fn write(&mut self, event: &Event, kept: &[u8]) -> Result<(), serde_json::Error> {
        self.bytes.clear();
        self.add(&Front {
            actions: &event.actions,
            actor: &event.actor,
            ai_provider: &event.ai_provider,
            compliance: &event.compliance,
            event_id: &event.event_id,
            event_type: event.event_type,
            exchange_id: &event.exchange_id,
        })?;
        let front = self.bytes.len();
        self.add(&Middle { request: &event.request, response: &event.response })?;
        let middle = self.bytes.len();
        self.add(&Back {
            timestamp: format_args!("{:.6}", event.timestamp),
            violation_type: &event.violation_type,
        })?;
        self.bytes.push(b'}');
        self.cuts = [front, middle, self.bytes.len()];
        self.bytes.extend_from_slice(kept);
        Ok(())
    }

    /// Adds the members of an object, which go on where others left off.
    fn add(&mut self, members: &impl Serialize) -> Result<(), serde_json::Error> {
        let from = self.bytes.len();
        serde_json::to_writer(&mut self.bytes, members)?;
        self.bytes.pop();
        if from > 0 {
            self.bytes[from] = b',';
            if self.bytes.len() == from + 1 {
                self.bytes.truncate(from);
            }
        }
        Ok(())
    }

    /// Makes `body` the canonical text of row `seq` after a row with hash `previous`.
    pub(crate) fn place(&self, seq: u64, previous: &Hash, body: &mut Vec<u8>) {
        let [front, middle, end] = self.cuts;
        body.clear();
        body.extend_from_slice(&self.bytes[..front]);
        body.extend_from_slice(b",\"prev_hash\":\"");
        body.extend_from_slice(hex(previous).as_bytes());
        body.push(b'"');
        body.extend_from_slice(&self.bytes[front..middle]);
        body.extend_from_slice(b",\"seq\":");
        body.extend_from_slice(seq.to_string().as_bytes());
        body.extend_from_slice(&self.bytes[middle..end]);
    }

    /// What is kept with the row.
    pub(crate) fn kept(&self) -> &[u8] {
        &self.bytes[self.cuts[2]..]
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

/// A body for a statement.
pub(crate) fn text(body: &[u8]) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(body))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

/// Whether `text` is the hex of `bytes`, without writing it down.
pub(crate) fn is_hex_of(text: &str, bytes: &[u8]) -> bool {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    text.len() == bytes.len() * 2
        && bytes
            .iter()
            .zip(text.as_bytes().chunks_exact(2))
            .all(|(b, pair)| pair == [digit(b >> 4), digit(b & 15)])
}

pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |d: u8| match d {
        b'0'..=b'9' => Some(d - b'0'),
        b'a'..=b'f' => Some(d - b'a' + 10),
        _ => None,
    };
    let text = text.as_bytes();
    if text.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;
    use serde_json::Value;

    /// A second, slow canonicaliser written from the RFC.
    fn reference(value: &Value, out: &mut String) {
        match value {
            Value::Null => out.push_str("null"),
            Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Value::Number(n) => {
                assert!(n.is_u64() || n.is_i64(), "a float");
                out.push_str(&n.to_string());
            }
            Value::String(s) => string(s, out),
            Value::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    reference(item, out);
                }
                out.push(']');
            }
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by_key(|(k, _)| k.encode_utf16().collect::<Vec<_>>());
                out.push('{');
                for (i, (key, item)) in entries.into_iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    string(key, out);
                    out.push(':');
                    reference(item, out);
                }
                out.push('}');
            }
        }
    }

    fn string(s: &str, out: &mut String) {
        out.push('"');
        for c in s.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\u{8}' => out.push_str("\\b"),
                '\u{9}' => out.push_str("\\t"),
                '\u{a}' => out.push_str("\\n"),
                '\u{c}' => out.push_str("\\f"),
                '\u{d}' => out.push_str("\\r"),
                c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
                c => out.push(c),
            }
        }
        out.push('"');
    }

    fn text() -> impl Strategy<Value = Option<String>> {
        proptest::option::of(any::<String>())
    }

    prop_compose! {
        fn parts()(strings in proptest::collection::vec(text(), 18), numbers in proptest::collection::vec(proptest::option::of(0u64..1 << 53), 5),
            flags in proptest::collection::vec(proptest::option::of(any::<bool>()), 4), redactions in proptest::collection::vec(any::<String>(), 0..4),
            kind in 0usize..5, nanos in 0i64..4_000_000_000_000_000_000, present in any::<[bool; 4]>(), seq in 1u64..1 << 53, previous in any::<[u8; 32]>())
            -> (Event, u64, Hash) {
            let mut s = strings.into_iter();
            let mut next = move || s.next().flatten();
            let event = Event {
                actions: if present[0] { vec![Action { action_type: next().unwrap_or_default(), outcome: next(), requires_review: flags[0], target: next() }] } else { vec![] },
                actor: Actor { agent_id: next(), ip_address: next(), service_account: next(), user_agent: next(), user_id: next() },
                ai_provider: AiProvider { api_version: next(), endpoint: next(), model: next(), name: next() },
                compliance: present[1].then(|| Compliance { consent_verified: flags[1], data_residency: next(), retention_policy: next() }),
                event_id: Uuid::from_u128(nanos as u128), event_type: EventType::ALL[kind],
                exchange_id: present[0].then(|| Uuid::from_u128(seq.into())),
                request: present[2].then(|| Request { classification: next(), contains_code: flags[2], prompt_hash: next(), prompt_length: numbers[0], redactions_applied: redactions }),
                response: present[3].then(|| Response { completion_hash: next(), completion_length: numbers[1], finish_reason: next(), latency_ms: numbers[2], tokens_used: numbers[3] }),
                timestamp: Timestamp::from_nanosecond(nanos.into()).unwrap(), violation_type: next(),
            };
            (event, seq, previous)
        }
    }

    proptest! {
        #[test]
        fn is_what_the_rfc_says((event, seq, previous) in parts()) {
            let mut draft = Draft::of(&Event::control(event.timestamp, Actor::default(), Action::default())).unwrap();
            draft.write(&event, b"kept").unwrap();
            prop_assert_eq!(draft.kept(), b"kept");
            let mut body = b"an earlier row".to_vec();
            draft.place(seq, &previous, &mut body);
            let body = String::from_utf8(body).unwrap();
            let value: Value = serde_json::from_str(&body).unwrap();
            let mut expected = String::new();
            reference(&value, &mut expected);
            prop_assert_eq!(&body, &expected);
            prop_assert_eq!(value["seq"].as_u64(), Some(seq));
            prop_assert_eq!(value["prev_hash"].as_str().and_then(unhex::<32>), Some(previous));
            // Read back, it is the same event to the microsecond.
            let read: Event = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(read.timestamp.as_microsecond(), event.timestamp.as_microsecond());
            prop_assert_eq!(Event { timestamp: event.timestamp, ..read }, event);
        }
    }

    #[test]
    fn hex_goes_both_ways() {
        assert_eq!(hex(&[0, 0x9f, 0xff]), "009fff");
        assert_eq!(unhex("009fff"), Some([0, 0x9f, 0xff]));
        assert!(is_hex_of("009fff", &[0, 0x9f, 0xff]));
        for wrong in ["009ff", "009FFF", "009f f", "", "zz9fff"] {
            assert_eq!(unhex::<3>(wrong), None, "{wrong}");
            assert!(!is_hex_of(wrong, &[0, 0x9f, 0xff]), "{wrong}");
        }
    }
}
