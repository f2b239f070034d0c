//! How fast bodies are read. Prints MB/s, best and median of several rounds.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Instant;

use sallyport_wire::sse::{Decoder, Framing};
use sallyport_wire::stream::Reader;
use sallyport_wire::{Family, Limits, read_request};

fn main() {
    let limits = Limits::default();
    let only = std::env::args().nth(1).filter(|argument| !argument.starts_with('-')).unwrap_or_default();
    for (name, body) in [
        ("1 MB chat, code with escapes", chat(&code(), 1 << 20)),
        ("1 MB chat, prose", chat(&"The quick brown fox jumps over the lazy dog. ".repeat(40), 1 << 20)),
        ("100 KB chat, code with escapes", chat(&code(), 100 << 10)),
        ("1 MB of small members", members(1 << 20)),
        ("50 KB of small members", members(50 << 10)),
        ("1 MB of floats", floats(1 << 20)),
    ] {
        if !name.contains(&only) {
            continue;
        }
        let bytes = body.as_bytes();
        measure(&format!("{name}: read_request"), bytes.len(), || {
            black_box(read_request(Family::OpenAiChat, None, black_box(bytes), &limits).unwrap());
        });
        let document = read_request(Family::OpenAiChat, None, bytes, &limits).unwrap();
        measure(&format!("{name}: texts of all segments"), bytes.len(), || {
            for segment in &document.segments {
                black_box(segment.text(black_box(bytes)));
            }
        });
    }
    let event = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-5\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"finish_reason\":null}]}\n\n";
    let stream = event.repeat(1000);
    let start = Instant::now();
    let mut decoder = Decoder::new(Framing::Events, &limits);
    let mut reader = Reader::new(Family::OpenAiChat, &limits);
    decoder.push(stream.as_bytes());
    while let Some(event) = decoder.next_event().unwrap() {
        black_box(reader.feed(&event));
    }
    println!("{:60} {:8.2} µs each", "stream events", start.elapsed().as_secs_f64() * 1e6 / 1000.0);
}

fn measure(name: &str, size: usize, mut work: impl FnMut()) {
    let mut rates: Vec<f64> = (0..101)
        .map(|_| {
            let start = Instant::now();
            work();
            size as f64 / start.elapsed().as_secs_f64() / 1e6
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    println!("{name:60} {:8.0} MB/s median {:8.0} best", rates[50], rates[100]);
}

fn code() -> String {
    let source = include_str!("../src/segment.rs");
    source.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn chat(text: &str, size: usize) -> String {
    let mut body = String::from(
        "{\"model\":\"gpt-5\",\"stream\":true,\"messages\":[{\"role\":\"system\",\"content\":\"s\"}",
    );
    for role in ["user", "assistant"].into_iter().cycle() {
        if body.len() >= size {
            break;
        }
        body.push_str(",{\"role\":\"");
        body.push_str(role);
        body.push_str("\",\"content\":[{\"type\":\"text\",\"text\":\"");
        body.push_str(text);
        body.push_str("\"}]}");
    }
    body.push_str("]}");
    body
}

fn members(size: usize) -> String {
    let mut body = String::from("{\"a\":[{}");
    while body.len() < size {
        body.push_str(",{\"type\":\"x\",\"name\":\"value\",\"n\":12,\"ok\":true}");
    }
    body.push_str("]}");
    body
}

fn floats(size: usize) -> String {
    let mut body = String::from("{\"a\":[0");
    while body.len() < size {
        body.push_str(",-0.0123456789");
    }
    body.push_str("]}");
    body
}
