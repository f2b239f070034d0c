//! The bodies that are sent: source code and prose in turns, no secret. One that is new differs from all before it in
//! each of its messages; one whose history is known ends in a question of its own, as each turn of a chat does.

use bytes::Bytes;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    New,
    Known,
}

pub(crate) struct Bodies {
    size: usize,
    text: Text,
    /// What a known history is made of.
    history: String,
    number: u64,
    body: Bytes,
}

impl Bodies {
    pub(crate) fn new(size: usize, text: Text) -> Bodies {
        let history = messages(size, 1);
        Bodies { size, text, history, number: 1, body: Bytes::new() }
    }

    pub(crate) fn next(&mut self) -> &Bytes {
        self.number += 1;
        let history = match self.text {
            Text::New => &messages(self.size, self.number),
            Text::Known => &self.history,
        };
        let question = format!("And what about line {} of the next file?", self.number);
        let question = serde_json::json!({"role": "user", "content": question});
        self.body = format!(r#"{{"model":"gpt-bench","messages":[{history}{question}]}}"#).into();
        &self.body
    }
}

/// A request for a stream.
pub(crate) fn streamed() -> Bytes {
    let history = messages(2_000, 1);
    let question = serde_json::json!({"role": "user", "content": "Tell me a story."});
    format!(r#"{{"model":"gpt-bench","stream":true,"messages":[{history}{question}]}}"#).into()
}

/// Messages of about `size` bytes, of two speakers in turn, each followed by a comma. Another `seed` gives other words in each line.
fn messages(size: usize, seed: u64) -> String {
    let mut words = Words(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut out = String::with_capacity(size + 8_192);
    let (each, mut turn) = ((size / 2).min(3_600), 0);
    while out.len() < size {
        let mut text = String::new();
        while text.len() < each && out.len() + text.len() < size {
            let (a, b, c) = (words.next(), words.next(), words.next());
            text.push_str(&format!(
                "pub fn {a}_{b}(items: &[u32]) -> u32 {{\n    items.iter().map(|{c}| {c} + {}).sum()\n}}\n\nThe key \
                 idea of {b} is that the token {c} is never copied; see section {} for the password policy.\n",
                words.number(),
                words.number()
            ));
        }
        let role = if turn % 2 == 0 { "user" } else { "assistant" };
        out.push_str(&serde_json::json!({"role": role, "content": text}).to_string());
        out.push(',');
        turn += 1;
    }
    out
}

/// Words that look like identifiers; the same for the same seed.
struct Words(u64);

impl Words {
    fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % 1_000
    }

    fn next(&mut self) -> String {
        const PARTS: [&str; 20] = [
            "sum", "rate", "tree", "line", "open", "node", "path", "list", "read", "part", "view", "walk",
            "left", "edge", "mark", "unit", "fold", "span", "port", "gate",
        ];
        let mut part = || PARTS[self.number() as usize % PARTS.len()];
        format!("{}_{}{}", part(), part(), part())
    }
}
