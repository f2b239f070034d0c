//! Prompt injection: words in data that want to be instructions, and words of a person that want an assistant to forget
//! its own.
//!
//! Pure: a text and who speaks in it, findings out, the same for the same; so a block's findings can be kept with its
//! hash. System prompts are not for it: instructions are what they are for.

mod classes;
mod decode;
pub mod features;
mod fold;
mod hidden;
mod markup;
mod meanings;
pub mod model;
mod source;

use std::ops::Range;
use std::sync::LazyLock;

use sallyport_policy::Severity;

use crate::found::{Found, apart};
use fold::Folded;
use model::{Model, Window};
pub use source::{Analysis, Listed, ThreatLevel, analyse, sanitised_spans};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// A person, to the assistant.
    User,
    /// A tool's result, a document, a web page: data.
    Tool,
    /// The assistant.
    Assistant,
}

/// From this score on a stretch is a finding; how they were chosen is in `docs/classifier.md`.
const USER_THRESHOLD: f32 = 0.4;
const TOOL_THRESHOLD: f32 = 0.5;
/// An assistant may well speak about attacks, so it must be surer.
const ASSISTANT_THRESHOLD: f32 = 1.0;
/// So much above the threshold a finding is sure.
const SURE: f32 = 3.0;
/// The rule of the assistant's lane.
pub const REPEATED: &str = "repeated_instruction";
/// Words that somebody hid need less to be an instruction. Of 1,255 innocent comments one has 0.49, the next -0.5.
const HIDDEN_THRESHOLD: f32 = 0.0;

static USER: LazyLock<Option<Model>> =
    LazyLock::new(|| Model::read(include_bytes!("../../../../assets/injection/injection-user.bin")));
static TOOL: LazyLock<Option<Model>> =
    LazyLock::new(|| Model::read(include_bytes!("../../../../assets/injection/injection-tool.bin")));

impl Lane {
    fn model(self) -> Option<&'static Model> {
        match self {
            Lane::User => USER.as_ref(),
            Lane::Tool | Lane::Assistant => TOOL.as_ref(),
        }
    }

    /// What is asked of a text of so many blocks of words.
    fn threshold(self, blocks: usize) -> f32 {
        match self {
            Lane::User => USER_THRESHOLD,
            Lane::Tool => TOOL_THRESHOLD - model::lenience(blocks),
            Lane::Assistant => ASSISTANT_THRESHOLD,
        }
    }

    fn rule(self) -> &'static str {
        match self {
            Lane::User => "jailbreak",
            Lane::Tool => "injected_instruction",
            Lane::Assistant => REPEATED,
        }
    }
}

/// What stands in for a stretch that was taken out: the same for the same rule, so that a resent history stays as it was.
pub fn notice(rule: &str) -> String {
    format!("[SALLYPORT_REMOVED_{}: words here read like instructions, not data]", rule.to_ascii_uppercase())
}

/// The suspicious stretches of `text`, sorted and apart.
pub fn find(text: &str, lane: Lane) -> Vec<Found> {
    let mut found = Vec::new();
    if let Some(model) = lane.model() {
        let folded = Folded::of(text);
        let (windows, threshold) = model.windows_above(&folded.text, |blocks| lane.threshold(blocks));
        // What a short text is spared is for the whole of it: a word or two alone are always near.
        let alone = threshold.max(lane.threshold(model::USUAL));
        for window in merged(windows) {
            let span = tightened(text, sentence(text, folded.original(window.span)), alone, model);
            let severity = if window.score >= threshold + SURE { Severity::High } else { Severity::Medium };
            found.push(Found { rule: lane.rule(), severity, span });
        }
        for view in decode::views(&folded.text) {
            if model.highest(&view.text).is_some_and(|score| score >= threshold) {
                let span = folded.original(view.span);
                found.push(Found { rule: "encoded_instruction", severity: Severity::High, span });
            }
        }
    }
    let hears = |words: &str| {
        TOOL.as_ref()
            .and_then(|model| model.highest(&Folded::of(words).text))
            .is_some_and(|s| s >= HIDDEN_THRESHOLD)
    };
    hidden::find(text, &hears, &mut found);
    apart(found)
}

/// How much the most suspicious stretch of `text` looks like an attack: a log-odds; none where there is no word.
pub fn score(text: &str, lane: Lane) -> Option<f32> {
    lane.model()?.highest(&Folded::of(text).text)
}

/// What the list of the policy documents says of `text`, also of what it says without disguise.
pub fn analyse_undisguised(text: &str) -> Analysis {
    let mut analysis = analyse(text);
    let folded = Folded::of(text);
    let mut more = |inner: Analysis, place: &dyn Fn(Range<usize>) -> Range<usize>| {
        for listed in inner.found.into_iter().filter(|listed| listed.level >= ThreatLevel::Medium) {
            analysis.level = analysis.level.max(listed.level);
            analysis.found.push(Listed { span: place(listed.span), ..listed });
        }
    };
    if folded.changed() {
        more(analyse(&folded.text), &|span| folded.original(span));
    }
    for view in decode::views(&folded.text) {
        let span = folded.original(view.span.clone());
        more(analyse(&view.text), &|_| span.clone());
    }
    analysis
}

/// Windows of the smallest size that saw something, joined where they touch; larger ones only where no smaller saw it.
fn merged(windows: Vec<Window>) -> Vec<Window> {
    let mut joined: Vec<Window> = Vec::new();
    for window in windows {
        let touches =
            |other: &Window| window.span.start <= other.span.end && other.span.start <= window.span.end;
        match joined.iter_mut().find(|other| touches(other)) {
            Some(other) if window.span.len() <= 2 * other.span.len() => {
                other.span = other.span.start.min(window.span.start)..other.span.end.max(window.span.end);
                other.score = other.score.max(window.score);
            }
            Some(other) => other.score = other.score.max(window.score),
            None => joined.push(window),
        }
    }
    joined
}

/// How far a window is widened to the ends of its sentences.
const REACH: usize = 160;

/// A sentence so much below the threshold, at an end of a finding, is not what was found.
const QUIET: f32 = 0.75;

/// `span` without the innocent sentences at its ends, so that data beside an instruction stays.
fn tightened(text: &str, span: Range<usize>, threshold: f32, model: &Model) -> Range<usize> {
    let words = text.get(span.clone()).unwrap_or_default();
    let mut loud: Option<Range<usize>> = None;
    let mut start = span.start;
    for part in words.split_inclusive(['.', '!', '?', '\n', '。']) {
        let end = start + part.len();
        let heard = model.highest(&Folded::of(part).text).is_some_and(|score| score >= threshold - QUIET);
        // An address or a number is parted by its dots: what follows at once belongs to it.
        let goes_on = text.get(end..).is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric()));
        if heard || goes_on && loud.as_ref().is_some_and(|loud| loud.end == start) {
            loud = Some(loud.map_or(start, |loud| loud.start)..end);
        } else if let Some(loud) = loud.as_mut().filter(|loud| loud.end == start)
            && text.get(..start).is_some_and(|head| !head.ends_with(char::is_whitespace))
            && part.starts_with(|c: char| c.is_alphanumeric())
        {
            loud.end = end;
        }
        start = end;
    }
    loud.map_or(span, |loud| {
        let words = text.get(loud.clone()).unwrap_or_default();
        loud.start + (words.len() - words.trim_start().len())..loud.end
    })
}

/// `span` widened to where its sentences begin and end.
fn sentence(text: &str, span: Range<usize>) -> Range<usize> {
    let stops = ['\n', '"', '<', '>', '.', '!', '?', '。', '|'];
    let before =
        text.get(text.floor_char_boundary(span.start.saturating_sub(REACH))..span.start).unwrap_or_default();
    let start = match before.rfind(stops) {
        Some(at) => {
            let from = span.start - before.len() + at;
            let kept = text.get(from..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
            let rest = text.get(from + kept..span.start).unwrap_or_default();
            span.start - rest.trim_start().len()
        }
        None if span.start <= REACH => 0,
        None => span.start,
    };
    let after =
        text.get(span.end..text.ceil_char_boundary((span.end + REACH).min(text.len()))).unwrap_or_default();
    let end = match after.find(stops) {
        Some(at) => {
            let stop = after.get(at..).and_then(|rest| rest.chars().next());
            let kept = stop.filter(|stop| matches!(stop, '.' | '!' | '?' | '。')).map_or(0, char::len_utf8);
            span.end + at + kept
        }
        None if text.len() - span.end <= REACH => text.len(),
        None => span.end,
    };
    start.min(span.start)..end.max(span.end)
}

#[cfg(test)]
mod tests;
