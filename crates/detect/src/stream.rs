//! Response text that arrives in pieces: each channel is sanitised as if it had come whole.
//!
//! Text is held back only while its end may still become a finding, and never more than
//! [`LONGEST_HOLD`] bytes of it. However the text is cut, what comes out is the same.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use sallyport_policy::Finding;
use zeroize::Zeroizing;

use crate::placeholder::{Placeholders, placeholder_opening, redact};
use crate::resolve::resolve;
use crate::rules::LOOK_BEHIND;
use crate::scanner::{Gathered, ScanOptions, Scanner};

/// The most text that waits for its end; room for a private key. A longer secret may pass in part.
pub const LONGEST_HOLD: usize = 16 * 1024;

/// Sanitises one channel: a text block, a tool call's arguments. Keeps a little released text as
/// context and wipes it afterwards.
pub struct StreamSanitiser {
    scanner: Arc<Scanner>,
    options: ScanOptions,
    /// Context already released, then what is held back.
    buffer: Zeroizing<String>,
    /// Where in the buffer the held part begins.
    held_from: usize,
    /// Bytes of the channel that are no longer in the buffer.
    dropped: usize,
}

/// What a piece of text set free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released<'t> {
    pub text: Cow<'t, str>,
    /// Spans count bytes of the channel's own text from its start.
    pub findings: Vec<Finding>,
}

impl std::fmt::Debug for StreamSanitiser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamSanitiser").field("held", &self.held()).finish_non_exhaustive()
    }
}

impl StreamSanitiser {
    pub fn new(scanner: Arc<Scanner>, options: ScanOptions) -> StreamSanitiser {
        StreamSanitiser { scanner, options, buffer: Zeroizing::default(), held_from: 0, dropped: 0 }
    }

    /// Bytes that wait for more text.
    pub fn held(&self) -> usize {
        self.buffer.len() - self.held_from
    }

    /// Takes the channel's next text and gives what can no longer become a finding.
    pub fn push<'t>(&mut self, text: &'t str, placeholders: &mut Placeholders) -> Released<'t> {
        if text.is_empty() {
            return Released { text: Cow::Borrowed(text), findings: Vec::new() };
        }
        let nothing_held = self.held() == 0;
        self.append(text);
        let gathered = self.scanner.gather(&self.buffer, self.held_from, &self.options);
        let cut = self.cut(&gathered);
        let findings = self.findings_before(cut, gathered);
        if nothing_held && findings.is_empty() && cut == self.buffer.len() {
            self.release(cut);
            return Released { text: Cow::Borrowed(text), findings };
        }
        self.give(cut, findings, placeholders)
    }

    /// The channel has ended: gives all that was held back.
    pub fn finish(&mut self, placeholders: &mut Placeholders) -> Released<'static> {
        let gathered = self.scanner.gather(&self.buffer, self.held_from, &self.options);
        let end = self.buffer.len();
        let findings = self.findings_before(end, gathered);
        self.give(end, findings, placeholders)
    }

    /// The last place before which everything is settled.
    fn cut(&self, gathered: &Gathered) -> usize {
        let (text, from) = (&self.buffer, self.held_from);
        let (rules, index) = (self.scanner.rules(), self.scanner.index());
        let open = [
            rules.first_opening(text.as_bytes(), from, LONGEST_HOLD),
            index.first_opening(text.as_bytes(), from, &gathered.views, LONGEST_HOLD),
            placeholder_opening(text, from),
        ];
        let mut cut = open.into_iter().flatten().min().unwrap_or(text.len());
        let spans = gathered.candidates.iter().map(|candidate| candidate.finding.span.clone());
        let others = [&gathered.wholes, &gathered.rejected, &gathered.covered].into_iter().flatten().cloned();
        let solids: Vec<Range<usize>> = spans.chain(others).collect();
        let limit = text.len().saturating_sub(LONGEST_HOLD).max(from);
        // A match, an escape or a character is never cut in two: each of them, seen in part, would
        // read differently.
        loop {
            let before = cut;
            for solid in &solids {
                if solid.start < cut && cut < solid.end {
                    cut = solid.start;
                }
            }
            cut = from + gathered.views.boundary_before(cut - from);
            cut = text.floor_char_boundary(cut).max(from);
            if cut < limit {
                return self.forced_cut(limit, &solids);
            }
            if cut == before {
                return cut;
            }
        }
    }

    /// The first place at `limit` or after that cuts no match; what still grows there is given up.
    fn forced_cut(&self, limit: usize, solids: &[Range<usize>]) -> usize {
        let mut cut = self.buffer.ceil_char_boundary(limit);
        while let Some(solid) = solids.iter().find(|solid| solid.start < cut && cut < solid.end) {
            cut = solid.end;
        }
        cut
    }

    fn findings_before(&self, cut: usize, gathered: Gathered) -> Vec<Finding> {
        let mut candidates = gathered.candidates;
        candidates.retain(|candidate| candidate.finding.span.end <= cut);
        resolve(&self.buffer, candidates, &gathered.covered)
    }

    fn give(
        &mut self,
        cut: usize,
        findings: Vec<Finding>,
        placeholders: &mut Placeholders,
    ) -> Released<'static> {
        let start = self.held_from;
        let local: Vec<Finding> = findings
            .iter()
            .map(|found| Finding { span: found.span.start - start..found.span.end - start, ..found.clone() })
            .collect();
        let released = self.buffer.get(start..cut).unwrap_or_default();
        let text = redact(released, &local, placeholders);
        let dropped = self.dropped;
        let findings = findings
            .into_iter()
            .map(|found| Finding { span: found.span.start + dropped..found.span.end + dropped, ..found })
            .collect();
        self.release(cut);
        Released { text: Cow::Owned(text), findings }
    }

    /// Grows by moving to a new buffer, so that the old one is wiped.
    fn append(&mut self, text: &str) {
        let needed = self.buffer.len() + text.len();
        if needed > self.buffer.capacity() {
            let mut larger = Zeroizing::new(String::with_capacity(needed.next_power_of_two().max(1024)));
            larger.push_str(&self.buffer);
            self.buffer = larger;
        }
        self.buffer.push_str(text);
    }

    fn release(&mut self, cut: usize) {
        self.held_from = cut;
        // Moving the rest to the front costs as much as it frees, so it waits for a full load.
        let keep = self.buffer.floor_char_boundary(cut.saturating_sub(LOOK_BEHIND));
        if keep >= 4 * LOOK_BEHIND {
            self.buffer.drain(..keep);
            self.held_from -= keep;
            self.dropped += keep;
        }
    }
}
