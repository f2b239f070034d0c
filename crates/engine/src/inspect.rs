//! One request body, looked at and rewritten: segments, findings, placeholders, splice.
//!
//! Pure: bytes, a scanner and the conversation's placeholders in; facts and a new body out. It does not decide.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use sallyport_detect::{Fingerprint, Kinds, Placeholders, ScanOptions, Scanner};
use sallyport_policy::classification::{ClassificationRules, Mark};
use sallyport_policy::verdict::{BodyNature, Edit as Editable};
use sallyport_policy::{Finding, FindingKind, RuleId};
use sallyport_wire::{
    Edit, EditError, Family, Limits, Nature, ReadError, RequestDocument, Role, Segment, read_as_bytes,
    read_as_text, read_request, splice,
};

use crate::allow::{AllowedFiles, Passages};
use crate::classify;
use crate::conduct::{InjectionGuard, Outcome, Spoken, Written, overlay};
use crate::guard::{Guard, HiddenLines, Withheld};
use crate::quotas::Asked;
use crate::scan_memory::{Generations, Print, ScanMemory, Weight};

/// How far a known secret may reach over the seam between two blocks, on either side.
const JOIN_REACH: usize = 512;
/// As many bytes of a body hold it, however they are written: six to a byte.
const JOIN_RAW: usize = 6 * JOIN_REACH;
/// No escape is longer: two `\uXXXX` in a row.
const ESCAPE_REACH: usize = 12;

/// What one block holds, as the memory keeps it.
pub(crate) type Found = Arc<[Finding]>;

impl Weight for Found {
    fn bytes(&self) -> usize {
        self.len() * size_of::<Finding>()
    }
}

/// The memory of blocks, and under which rules and values it is asked.
pub(crate) struct Remembered<'a> {
    pub(crate) memory: &'a ScanMemory<Found>,
    pub(crate) generations: Generations,
}

/// What stands where, for the decision, the trail and the person. Never the value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    pub(crate) finding: Finding,
    /// Whether it can be taken out.
    pub(crate) edit: Editable,
    /// For people, such as `/messages/3/content`.
    pub(crate) place: String,
    /// By which a person can say that it is none.
    pub(crate) fingerprint: Option<Fingerprint>,
}

impl Placed {
    /// The rule, and the fingerprint by which a person can say that it is none.
    pub(crate) fn for_the_trail(&self) -> Option<(RuleId, Fingerprint)> {
        Some((self.finding.rule.clone(), self.fingerprint?))
    }

    /// As the trail names it.
    pub(crate) fn redaction(&self) -> String {
        redaction_name(&self.finding)
    }
}

/// Of what a rule took for a credential. Known values can't be allowed from a row, and numbers of people and addresses
/// are too few to stand in the trail even under a key.
pub(crate) fn fingerprint(scanner: &Scanner, finding: &Finding, value: &str) -> Option<Fingerprint> {
    matches!(finding.kind, FindingKind::Secret | FindingKind::EnvAssignment)
        .then(|| scanner.fingerprint(value))
        .flatten()
}

/// As the trail names a redaction: the rule, or the secret.
pub(crate) fn redaction_name(finding: &Finding) -> String {
    match finding.kind {
        FindingKind::KnownSecret => format!("secret:{}", finding.rule),
        _ => finding.rule.to_string(),
    }
}

/// What a look at the body brought.
#[derive(Debug)]
pub(crate) struct Inspected {
    pub(crate) nature: BodyNature,
    pub(crate) found: Vec<Placed>,
    /// Words that want to be instructions, and what was done about them.
    pub(crate) spoken: Vec<Spoken>,
    /// The body with every finding replaced; none if nothing was found or nothing could be replaced.
    pub(crate) redacted: Option<Vec<u8>>,
    pub(crate) model: Option<String>,
    pub(crate) stream: bool,
    pub(crate) opaque_bytes: usize,
    /// Results whose content does not go on, as the trail names them.
    pub(crate) withheld: Vec<String>,
    /// For quotas.
    pub(crate) asked: Asked,
}

/// Results in a body that policy or a person has something to say of, because of the file that a tool read.
#[derive(Default)]
pub(crate) struct FromFiles {
    /// Their content does not go on.
    pub(crate) withheld: Vec<Withheld>,
    /// Some of their lines do not.
    pub(crate) hidden: Vec<HiddenLines>,
    /// Their findings are none.
    pub(crate) allowed: Passages,
}

/// A body that was taken apart, before anything is looked for in it.
pub(crate) struct Parsed<'b> {
    body: &'b [u8],
    document: Option<RequestDocument>,
    nature: BodyNature,
}

impl<'b> Parsed<'b> {
    /// `body`: after content decoding.
    pub(crate) fn read(family: Family, content_type: Option<&str>, body: &'b [u8], limits: &Limits) -> Self {
        let (document, nature) = match read_request(family, content_type, body, limits) {
            Ok(document) => {
                let nature = match document.nature {
                    Nature::Empty => BodyNature::Empty,
                    Nature::Json => BodyNature::Json,
                    Nature::Text => BodyNature::Text,
                    Nature::Form => BodyNature::Form,
                    Nature::Multipart => BodyNature::Multipart,
                    Nature::Opaque => BodyNature::Opaque,
                };
                (Some(document), nature)
            }
            Err(ReadError::TooLarge { .. }) => (None, BodyNature::TooLarge),
            // It claims to be JSON and is not: its raw text is looked at instead.
            Err(_) => match read_as_text(family, body, limits) {
                Ok(document) => (Some(document), BodyNature::Malformed),
                Err(_) => (read_as_bytes(family, body, limits).ok(), BodyNature::Opaque),
            },
        };
        Parsed { body, document, nature }
    }

    /// The words a conversation opens with: they come again with every turn.
    pub(crate) fn opening(&self) -> String {
        let Some(document) = &self.document else { return String::new() };
        let first = document
            .segments
            .iter()
            .find(|segment| segment.role == Role::User && !segment.key)
            .or_else(|| document.segments.iter().find(|segment| segment.role == Role::System));
        first.map(|segment| segment.text(self.body)).map_or_else(String::new, |text| {
            text.get(..text.floor_char_boundary(4_096)).unwrap_or_default().to_owned()
        })
    }

    /// What raises its level besides findings.
    pub(crate) fn marks(
        &self,
        rules: &ClassificationRules,
        scanner: &Scanner,
        options: &ScanOptions,
    ) -> Vec<Mark> {
        let plain = |key: &str| scanner.scan(key, options).is_empty();
        let marks = self.document.as_ref().map(|document| classify::marks(document, self.body, rules, plain));
        marks.unwrap_or_default()
    }

    /// Results of earlier calls that must not go on, and lines of others.
    pub(crate) fn withheld(&self, guard: &Guard) -> (Vec<Withheld>, Vec<HiddenLines>) {
        self.document.as_ref().map(|document| guard.withheld(document, self.body)).unwrap_or_default()
    }

    /// What came from files whose findings a person allowed.
    pub(crate) fn allowed(&self, guard: &Guard, files: &AllowedFiles) -> Passages {
        let document = self.document.as_ref();
        document.map(|document| guard.passages(files, document, self.body)).unwrap_or_default()
    }

    /// Looks for findings and replaces them; what is withheld is not looked at, as it does not go on.
    pub(crate) fn inspect(
        &self,
        scanner: &Scanner,
        options: &ScanOptions,
        remembered: &Remembered<'_>,
        instructions: &InjectionGuard<'_>,
        FromFiles { withheld, hidden, allowed }: FromFiles,
        placeholders: &mut Placeholders,
    ) -> Inspected {
        let known = ScanOptions { kinds: Kinds::NONE.with(FindingKind::KnownSecret), ..options.clone() };
        let mut look = Look {
            allowed: &allowed,
            hidden: &hidden,
            hid: Vec::new(),
            scanner,
            options,
            known: &known,
            remembered,
            instructions,
            placeholders,
            body: self.body,
            clean: HashSet::new(),
            found: Vec::new(),
            spoken: Vec::new(),
            edits: Vec::new(),
        };
        let mut rules = Vec::with_capacity(withheld.len());
        if let Some(document) = &self.document {
            look.document(document, &withheld);
        }
        for one in withheld {
            look.edits.push(one.edit);
            rules.push(one.rule);
        }
        rules.append(&mut look.hid);
        let edits = std::mem::take(&mut look.edits);
        let edited = !rules.is_empty()
            || look.found.iter().any(|placed| placed.edit == Editable::Possible)
            || look.spoken.iter().any(|spoken| spoken.outcome == Outcome::Neutralised);
        // Most bodies go on as they are, and need no copy.
        let redacted = match edited.then(|| splice(self.body, edits)).transpose() {
            Ok(redacted) => redacted,
            // Two views of one attachment disagree: neither can be trusted.
            Err(_) => {
                look.found.iter_mut().for_each(|placed| placed.edit = Editable::Impossible);
                None
            }
        };
        let document = self.document.as_ref();
        Inspected {
            nature: self.nature,
            found: look.found,
            spoken: look.spoken,
            redacted,
            model: document.and_then(|document| document.model.clone()),
            stream: document.is_some_and(|document| document.stream),
            opaque_bytes: document.map_or(self.body.len(), |document| document.opaque_bytes),
            withheld: rules,
            asked: Asked::of(document, self.body),
        }
    }
}

struct Look<'a> {
    scanner: &'a Scanner,
    options: &'a ScanOptions,
    /// Known secrets alone.
    known: &'a ScanOptions,
    remembered: &'a Remembered<'a>,
    instructions: &'a InjectionGuard<'a>,
    allowed: &'a Passages,
    hidden: &'a [HiddenLines],
    /// Of which lines were taken out, as the trail names it.
    hid: Vec<String>,
    placeholders: &'a mut Placeholders,
    body: &'a [u8],
    /// Short texts of this body that hold nothing, and how they read: names of members and words of the protocol come
    /// again and again.
    clean: HashSet<(&'a [u8], u8)>,
    found: Vec<Placed>,
    spoken: Vec<Spoken>,
    edits: Vec<Edit>,
}

/// A segment, and its text and its hash, which are made when somebody asks for them.
struct Block<'d, 'b> {
    segment: &'d Segment,
    body: &'b [u8],
    text: OnceCell<Cow<'b, str>>,
    print: OnceCell<Print>,
}

impl<'d, 'b> Block<'d, 'b> {
    fn raw(&self) -> &'b [u8] {
        self.body.get(self.segment.raw.clone()).unwrap_or_default()
    }

    fn print(&self, memory: &ScanMemory<Found>) -> Print {
        *self.print.get_or_init(|| memory.print(self.raw()))
    }

    fn text(&self) -> &str {
        self.text.get_or_init(|| self.segment.text(self.body))
    }

    /// The last of the text, at least as far as a seam needs it, and whether it is all of it.
    fn tail(&self) -> (Cow<'_, str>, bool) {
        let raw = &self.segment.raw;
        let far = raw.end.saturating_sub(JOIN_RAW);
        let start =
            (raw.start..=far.max(raw.start)).rev().find(|at| self.may_be_cut(*at)).unwrap_or(raw.start);
        (self.part(start..raw.end), start == raw.start)
    }

    fn head(&self) -> Cow<'_, str> {
        let raw = &self.segment.raw;
        let near = (raw.start + JOIN_RAW).min(raw.end);
        let end = (near..raw.end).find(|at| self.may_be_cut(*at)).unwrap_or(raw.end);
        self.part(raw.start..end)
    }

    fn part(&self, raw: Range<usize>) -> Cow<'_, str> {
        if self.text.get().is_some() || raw == self.segment.raw || self.segment.is_decoded_view() {
            return Cow::Borrowed(self.text());
        }
        let mut part = self.segment.clone();
        part.raw = raw;
        part.text(self.body)
    }

    /// Whether no escape and no character lies across a place.
    fn may_be_cut(&self, at: usize) -> bool {
        let before = self.body.get(at.saturating_sub(ESCAPE_REACH)..at).unwrap_or_default();
        let next = self.body.get(at).copied().unwrap_or(b' ');
        !before.iter().any(|byte| matches!(byte, b'\\' | b'%' | b'\r' | b'\n')) && next & 0xc0 != 0x80
    }
}

/// What the end of one block and the start of the next are joined by: the earlier block and what is taken out of it.
type Before<'d, 'b> = (Block<'d, 'b>, Taken);

/// A stretch at the end or the start of a segment's text that a joint finding takes.
type Taken = Vec<(Range<usize>, String)>;

impl<'a> Look<'a> {
    fn document(&mut self, document: &RequestDocument, withheld: &[Withheld]) {
        let joins = !self.scanner.index().is_empty();
        let mut open: Vec<Before<'_, 'a>> = Vec::new();
        let mut withheld = withheld.iter().map(Withheld::range).peekable();
        for segment in &document.segments {
            // Both are in the order of the body.
            while withheld.next_if(|range| range.end <= segment.raw.start).is_some() {}
            if withheld.peek().is_some_and(|range| range.start <= segment.raw.start) {
                continue;
            }
            let block = Block { segment, body: self.body, text: OnceCell::new(), print: OnceCell::new() };
            let mut replacements = self.segment(document, &block);
            if !speaks(segment) {
                self.replace(segment, &replacements);
                continue;
            }
            let goes_on = open.last().is_some_and(|(before, _)| before.segment.role == segment.role);
            // Any number of empty blocks may stand between two halves.
            if goes_on && segment.raw.is_empty() {
                continue;
            }
            if !joins || !goes_on || segment.locked {
                self.close(open.drain(..));
            }
            if !open.is_empty() {
                self.join(document, &mut open, (&block, &mut replacements));
            }
            if segment.locked {
                self.replace(segment, &replacements);
                continue;
            }
            open.push((block, replacements));
            let kept = reached(&open);
            self.close(open.drain(..kept));
        }
        self.close(open.drain(..));
    }

    /// Blocks that nothing reaches any more.
    fn close<'d, 'b>(&mut self, blocks: impl Iterator<Item = Before<'d, 'b>>) {
        for (block, taken) in blocks {
            self.replace(block.segment, &taken);
        }
    }

    /// Findings within one segment.
    fn segment(&mut self, document: &RequestDocument, block: &Block<'_, 'a>) -> Taken {
        let findings = self.findings(block);
        let mut replacements = Taken::with_capacity(findings.len());
        let place = block.segment.raw.start;
        let is_allowed = |finding: &Finding| {
            finding.kind != FindingKind::KnownSecret && self.allowed.allow(&finding.rule, place)
        };
        for finding in findings.iter().filter(|finding| !is_allowed(finding)) {
            let value = block.text().get(finding.span.clone()).unwrap_or_default();
            let placeholder = self.placeholders.placeholder(finding, value);
            replacements.push((finding.span.clone(), placeholder));
            self.note(document, block.segment, finding.clone(), value);
        }
        if block.segment.is_bytes() {
            self.between_zeros(document, block, &replacements);
        } else if !block.segment.key {
            self.injected(document, block, &mut replacements);
        }
        if let Some(hidden) = self.hidden.iter().find(|one| one.segment == place) {
            overlay(&mut replacements, hidden.notices.iter().cloned());
            self.hid.push(hidden.rule.clone());
        }
        replacements
    }

    /// UTF-16 has zeros between the letters. What is encoded there can be seen, but not taken out.
    fn between_zeros(&mut self, document: &RequestDocument, block: &Block<'_, '_>, taken: &Taken) {
        let text = block.text();
        if !text.contains('\0') {
            return;
        }
        let mut letters = String::with_capacity(text.len());
        let mut left = 0;
        for (span, _) in taken {
            letters.extend(text.get(left..span.start).into_iter().chain(["*"]));
            left = span.end;
        }
        letters.push_str(text.get(left..).unwrap_or_default());
        letters.retain(|letter| letter != '\0');
        for finding in self.scanner.scan(&letters, self.known) {
            let place = self.place(document, block.segment);
            self.found.push(Placed { finding, edit: Editable::Impossible, place, fingerprint: None });
        }
    }

    /// From memory where the block was looked at before.
    fn findings(&mut self, block: &Block<'_, 'a>) -> Found {
        let segment = block.segment;
        let raw = block.raw();
        let Remembered { memory, generations } = *self.remembered;
        let id = memory
            .block(generations, [segment.role as u8, segment.reading()], raw.len(), || block.print(memory));
        let short = (raw, segment.reading());
        match &id {
            Some(id) => {
                if let Some(found) = memory.recall(id) {
                    return found;
                }
            }
            None if self.clean.contains(&short) => return Found::default(),
            None => {}
        }
        let found: Found = match segment.is_bytes() {
            // What looks like a credential comes about by chance in bytes.
            true => self.scanner.scan(block.text(), self.known).into(),
            false => self.scanner.scan(block.text(), self.options).into(),
        };
        if let Some(id) = id {
            memory.remember(id, found.clone());
        } else if found.is_empty() {
            self.clean.insert(short);
        }
        found
    }

    /// Words of one segment that want to be instructions.
    fn injected(&mut self, document: &RequestDocument, block: &Block<'_, '_>, replacements: &mut Taken) {
        let segment = block.segment;
        let written = Written {
            raw: block.raw(),
            reading: segment.reading(),
            print: &|| block.print(self.remembered.memory),
            text: &|| block.text(),
        };
        let stretches = self.instructions.look(segment.role, segment.locked, &written);
        if stretches.is_empty() {
            return;
        }
        let place = self.place(document, segment);
        self.spoken.extend(stretches.iter().map(|stretch| Spoken {
            rule: stretch.rule,
            place: place.clone(),
            outcome: stretch.outcome,
            fresh: stretch.fresh,
        }));
        overlay(replacements, stretches.into_iter().filter_map(|one| Some((one.span, one.replacement?))));
    }

    fn place(&self, document: &RequestDocument, segment: &Segment) -> String {
        document.place(self.body, segment, |key| self.scanner.scan(key, self.options).is_empty())
    }

    /// A known secret that starts in one block and ends in a later one of the same speaker.
    fn join(
        &mut self,
        document: &RequestDocument,
        open: &mut [Before<'_, '_>],
        (block, replacements): (&Block<'_, '_>, &mut Taken),
    ) {
        // The ends of the earlier blocks, back to one that is not in it whole.
        let mut tails: Vec<Cow<'_, str>> = Vec::new();
        let mut length = 0;
        for (before, _) in open.iter().rev() {
            let (tail, whole) = before.tail();
            let cut = floor(&tail, tail.len().saturating_sub(JOIN_REACH - length));
            length += tail.len() - cut;
            tails.push(match tail {
                Cow::Borrowed(tail) => Cow::Borrowed(tail.get(cut..).unwrap_or_default()),
                Cow::Owned(tail) => Cow::Owned(tail.get(cut..).unwrap_or_default().to_owned()),
            });
            if !whole || cut > 0 || length >= JOIN_REACH {
                break;
            }
        }
        let first = open.len() - tails.len();
        let mut joint = String::new();
        // Where each stands.
        let mut parts: Vec<Range<usize>> = Vec::with_capacity(tails.len());
        for tail in tails.iter().rev() {
            parts.push(joint.len()..joint.len() + tail.len());
            joint.push_str(tail);
        }
        drop(tails);
        let seam = joint.len();
        let head = block.head();
        joint.push_str(head.get(..floor(&head, JOIN_REACH)).unwrap_or_default());
        for finding in self.scanner.scan(&joint, self.known) {
            let Range { start, end } = finding.span.clone();
            if !(start < seam && end > seam) {
                continue;
            }
            let to = end - seam;
            // What of it stands in each of the earlier blocks.
            let cuts: Vec<(usize, Range<usize>)> = parts
                .iter()
                .enumerate()
                .filter(|(_, part)| part.end > start && !part.is_empty())
                .filter_map(|(number, part)| {
                    let number = first + number;
                    let length = open.get(number)?.0.text().len();
                    Some((number, length - (part.end - start.max(part.start))..length))
                })
                .collect();
            let free = |(number, range): &(usize, Range<usize>)| {
                open.get(*number)
                    .is_some_and(|(_, taken)| taken.iter().all(|(other, _)| other.end <= range.start))
            };
            if !cuts.iter().all(free) || replacements.iter().any(|(range, _)| range.start < to) {
                continue;
            }
            let value = joint.get(start..end).unwrap_or_default();
            let mut placeholder = self.placeholders.placeholder(&finding, value);
            let begins = cuts.first().map(|(number, _)| *number);
            for (number, range) in cuts {
                let Some((_, taken)) = open.get_mut(number) else { continue };
                taken.push((range, std::mem::take(&mut placeholder)));
            }
            replacements.insert(0, (0..to, String::new()));
            if let Some((before, _)) = begins.and_then(|number| open.get(number)) {
                self.note(document, before.segment, finding, value);
            }
        }
    }

    fn note(&mut self, document: &RequestDocument, segment: &Segment, finding: Finding, value: &str) {
        let place = self.place(document, segment);
        let edit = if segment.locked { Editable::SignedText } else { Editable::Possible };
        let fingerprint = fingerprint(self.scanner, &finding, value);
        self.found.push(Placed { finding, edit, place, fingerprint });
    }

    fn replace(&mut self, segment: &Segment, replacements: &Taken) {
        if replacements.is_empty() {
            return;
        }
        match segment.edits(self.body, replacements) {
            Ok(edits) => self.edits.extend(edits),
            // The decision has seen that this finding can't be taken out.
            Err(EditError::Locked) => {}
            Err(_) => self.found.iter_mut().for_each(|placed| placed.edit = Editable::Impossible),
        }
    }
}

/// How many of the first blocks are too far away for what comes next: those behind them are long enough.
fn reached(open: &[Before<'_, '_>]) -> usize {
    let mut behind = 0;
    let near = open.iter().rev().take_while(|(block, _)| {
        let reaches = behind < JOIN_REACH;
        behind += block.segment.raw.len().div_ceil(6);
        reaches
    });
    open.len() - near.count()
}

fn speaks(segment: &Segment) -> bool {
    !segment.key && segment.role != Role::Other
}

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod recall_tests;
#[cfg(test)]
mod tests;
