//! What a body must look like when it has passed: the same bytes, with placeholders where the secrets stood.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use memchr::memmem;
use regex::bytes::Regex;

use crate::encodings::{Form, traces};
use crate::front::Recorded;
use crate::secrets::Secret;

/// A body under construction: text that must arrive as it is, and places where a secret stands.
#[derive(Default)]
pub struct Template {
    pieces: Vec<Piece>,
    places: usize,
}

enum Piece {
    Text(String),
    Place { secret: usize, form: Form, sent: String },
}

impl Template {
    /// Adds text; it is written as given.
    pub fn text(&mut self, text: &str) -> &mut Template {
        if let Some(Piece::Text(last)) = self.pieces.last_mut() {
            last.push_str(text);
        } else {
            self.pieces.push(Piece::Text(text.to_owned()));
        }
        self
    }

    /// Adds secret number `index` inside a JSON string, between marks that occur once: `<7: … :7>`.
    pub fn secret(&mut self, secrets: &[Secret], index: usize, form: Form) -> &mut Template {
        let sent = form.in_json(&secrets[index].value);
        let number = self.places;
        self.places += 1;
        self.text(&format!("<{number}: "));
        self.pieces.push(Piece::Place { secret: index, form, sent });
        self.text(&format!(" :{number}> "))
    }

    /// The same, from a body that a client wrote: wherever the marks of place `n` stand, in whatever order and however
    /// often, secret and form number `n` of `places` stand between them.
    pub fn from_sent(sent: &[u8], places: &[(usize, Form)]) -> Result<Template> {
        let marks = Regex::new(r"<(\d+): (?s:(.*?)) :(\d+)>")?;
        let mut template = Template::default();
        let mut at = 0;
        for found in marks.captures_iter(sent) {
            let (open, value, close) = (&found[1], found.get(2), &found[3]);
            let number: usize = std::str::from_utf8(open)?.parse()?;
            let (Some(&(secret, form)), Some(value), true) = (places.get(number), value, open == close)
            else {
                continue;
            };
            template.text(std::str::from_utf8(&sent[at..value.start()])?);
            let value_text = std::str::from_utf8(value.as_bytes())?.to_owned();
            template.pieces.push(Piece::Place { secret, form, sent: value_text });
            template.places += 1;
            at = value.end();
        }
        template.text(std::str::from_utf8(&sent[at..])?);
        Ok(template)
    }

    pub fn places(&self) -> usize {
        self.places
    }

    /// The body as the client sends it.
    pub fn bytes(&self) -> Vec<u8> {
        let parts = self.pieces.iter().map(|p| match p {
            Piece::Text(text) => text.as_str(),
            Piece::Place { sent, .. } => sent.as_str(),
        });
        parts.collect::<String>().into_bytes()
    }

    /// Compares what arrived, and returns the placeholders that each secret got.
    pub fn check(&self, received: &[u8], secrets: &[Secret]) -> Result<Placeholders> {
        let mut seen = Placeholders::default();
        let mut complaints = Vec::new();
        let mut rest = received;
        let mut pieces = self.pieces.iter().peekable();
        while let Some(piece) = pieces.next() {
            match piece {
                Piece::Text(text) => {
                    let Some(after) = rest.strip_prefix(text.as_bytes()) else {
                        let common = rest.iter().zip(text.as_bytes()).take_while(|(a, b)| a == b).count();
                        bail!(
                            "the text around the secrets changed:\n  sent     …{}\n  received …{}",
                            clip(&text.as_bytes()[common..]),
                            clip(&rest[common..])
                        );
                    };
                    rest = after;
                }
                Piece::Place { secret, form, sent } => {
                    let end = match pieces.peek() {
                        Some(Piece::Text(next)) => memmem::find(rest, next.as_bytes()),
                        _ => Some(rest.len()),
                    };
                    let Some(end) = end else {
                        bail!("the text after {form:?} of {} is gone", secrets[*secret].path)
                    };
                    let (found, after) = rest.split_at(end);
                    rest = after;
                    match placeholder(found, sent, *form, secrets[*secret].mark()) {
                        Ok(name) => seen.note(*secret, &name),
                        Err(e) => complaints.push(format!("{form:?} of {}: {e:#}", secrets[*secret].path)),
                    }
                }
            }
        }
        ensure!(rest.is_empty(), "bytes were added at the end: {}", clip(rest));
        if !complaints.is_empty() {
            let shown: Vec<_> = complaints.iter().take(20).cloned().collect();
            bail!("{} of {} places are wrong:\n  {}", complaints.len(), self.places, shown.join("\n  "));
        }
        Ok(seen)
    }
}

/// The placeholder in `found`, which stands where `sent` stood.
fn placeholder(found: &[u8], sent: &str, form: Form, mark: &str) -> Result<String> {
    let found = String::from_utf8_lossy(found);
    let (Some(start), Some(end)) = (found.find("[SECRET:"), found.rfind(']')) else {
        bail!("no placeholder, but {}", clip(found.as_bytes()));
    };
    let name = &found[start..=end];
    let plain = |s: &str| s.to_lowercase().replace(['_', '.'], "-");
    ensure!(plain(name).contains(&plain(mark)), "{name} names another secret");
    let (before, after) = (&found[..start], &found[end + 1..]);
    if form.has_company() {
        ensure!(
            sent.starts_with(before) && sent.ends_with(after),
            "text of nobody's in {}",
            clip(found.as_bytes())
        );
    } else {
        ensure!(before.is_empty() && after.is_empty(), "rests of the secret in {}", clip(found.as_bytes()));
    }
    Ok(name.to_owned())
}

fn clip(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(160)]).into_owned();
    if bytes.len() > 160 { format!("{text:?}… ({} bytes)", bytes.len()) } else { format!("{text:?}") }
}

/// Which placeholders stood for which secret.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Placeholders(pub BTreeMap<usize, Vec<String>>);

impl Placeholders {
    fn note(&mut self, secret: usize, name: &str) {
        let names = self.0.entry(secret).or_default();
        if !names.iter().any(|n| n == name) {
            names.push(name.to_owned());
        }
    }
}

/// Fails if any form of any secret is anywhere in a recorded request: its head, its body as transferred, its decoded
/// body, or the strings of that body with their JSON escapes undone.
pub fn nothing_leaked(request: &Recorded, secrets: &[Secret]) -> Result<()> {
    let mut haystack = request.everything();
    if let Ok(json) = request.json() {
        collect_strings(&json, &mut haystack);
    }
    let found = search(&haystack, secrets);
    ensure!(found.is_empty(), "{} {} carried {}", request.method, request.path(), found.join(", "));
    Ok(())
}

/// The secrets found in `haystack`, each with its form.
pub fn search(haystack: &[u8], secrets: &[Secret]) -> Vec<String> {
    let mut found = Vec::new();
    for secret in secrets {
        for (form, needle) in traces(&secret.value) {
            if memmem::find(haystack, &needle).is_some() {
                found.push(format!("{} ({form})", secret.path));
            }
        }
    }
    found
}

fn collect_strings(json: &serde_json::Value, out: &mut Vec<u8>) {
    match json {
        serde_json::Value::String(s) => {
            out.push(b'\n');
            out.extend_from_slice(s.as_bytes());
        }
        serde_json::Value::Array(items) => items.iter().for_each(|v| collect_strings(v, out)),
        serde_json::Value::Object(fields) => fields.iter().for_each(|(k, v)| {
            out.push(b'\n');
            out.extend_from_slice(k.as_bytes());
            collect_strings(v, out);
        }),
        _ => {}
    }
}
