//! One request body, looked at and rewritten: segments, findings, placeholders, splice.
//!
//! Pure: bytes, a scanner and the conversation's placeholders in; facts and a new body out. It does not decide.

use std::borrow::Cow;
use std::ops::Range;

use sallyport_detect::{Kinds, Placeholders, ScanOptions, Scanner};
use sallyport_policy::verdict::{BodyNature, Edit as Editable};
use sallyport_policy::{Finding, FindingKind};
use sallyport_wire::{
    Edit, EditError, Family, Limits, Nature, ReadError, RequestDocument, Role, Segment, read_as_text,
    read_request, splice,
};

use crate::guard::{Guard, Withheld};
use crate::quotas::Asked;

/// How far a known secret may reach over the seam between two blocks, on either side.
const JOIN_REACH: usize = 512;

/// What stands where, for the decision, the trail and the person. Never the value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    pub(crate) finding: Finding,
    /// Whether it can be taken out.
    pub(crate) edit: Editable,
    /// For people, such as `/messages/3/content`.
    pub(crate) place: String,
}

impl Placed {
    /// As the trail names it.
    pub(crate) fn redaction(&self) -> String {
        redaction_name(&self.finding)
    }
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
                Err(_) => (None, BodyNature::Opaque),
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
        first.map(|segment| segment.text(self.body).chars().take(4_096).collect()).unwrap_or_default()
    }

    /// Results of earlier calls that must not go on.
    pub(crate) fn withheld(&self, guard: &Guard) -> Vec<Withheld> {
        self.document.as_ref().map(|document| guard.withheld(document, self.body)).unwrap_or_default()
    }

    /// Looks for findings and replaces them; what is withheld is not looked at, as it does not go on.
    pub(crate) fn inspect(
        &self,
        scanner: &Scanner,
        options: &ScanOptions,
        withheld: Vec<Withheld>,
        placeholders: &mut Placeholders,
    ) -> Inspected {
        let mut look =
            Look { scanner, options, placeholders, body: self.body, found: Vec::new(), edits: Vec::new() };
        let mut rules = Vec::with_capacity(withheld.len());
        if let Some(document) = &self.document {
            look.document(document, &withheld);
        }
        for one in withheld {
            look.edits.push(one.edit);
            rules.push(one.rule);
        }
        let redacted = match splice(self.body, std::mem::take(&mut look.edits)) {
            Ok(redacted) => {
                let edited = look.found.iter().any(|placed| placed.edit == Editable::Possible);
                (edited || !rules.is_empty()).then_some(redacted)
            }
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
    placeholders: &'a mut Placeholders,
    body: &'a [u8],
    found: Vec<Placed>,
    edits: Vec<Edit>,
}

/// What the end of one block and the start of the next are joined by: the earlier block, its text, what is taken out.
type Before<'d, 'b> = (&'d Segment, Cow<'b, str>, Taken);

/// A stretch at the end or the start of a segment's text that a joint finding takes.
type Taken = Vec<(Range<usize>, String)>;

impl Look<'_> {
    fn document(&mut self, document: &RequestDocument, withheld: &[Withheld]) {
        let known = ScanOptions { kinds: Kinds::NONE.with(FindingKind::KnownSecret), ..self.options.clone() };
        let joins = !self.scanner.index().is_empty();
        let mut previous: Option<Before<'_, '_>> = None;
        let mut withheld = withheld.iter().map(Withheld::range).peekable();
        for segment in &document.segments {
            // Both are in the order of the body.
            while withheld.next_if(|range| range.end <= segment.raw.start).is_some() {}
            if withheld.peek().is_some_and(|range| range.start <= segment.raw.start) {
                continue;
            }
            let text = segment.text(self.body);
            let mut replacements = self.segment(document, segment, &text);
            if speaks(segment) {
                if let Some(mut before) = previous.take() {
                    if joins && before.0.role == segment.role {
                        self.join(document, &known, &mut before, (segment, &mut replacements, &text));
                    }
                    self.replace(before.0, &before.2);
                }
                previous = Some((segment, text, replacements));
            } else {
                self.replace(segment, &replacements);
            }
        }
        if let Some((before, _, taken)) = previous {
            self.replace(before, &taken);
        }
    }

    /// Findings within one segment.
    fn segment(&mut self, document: &RequestDocument, segment: &Segment, text: &str) -> Taken {
        let findings = self.scanner.scan(text, self.options);
        let mut replacements = Taken::with_capacity(findings.len());
        for finding in findings {
            let value = text.get(finding.span.clone()).unwrap_or_default();
            let placeholder = self.placeholders.placeholder(&finding, value);
            replacements.push((finding.span.clone(), placeholder));
            self.note(document, segment, finding);
        }
        replacements
    }

    /// A known secret that starts in one block and ends in the next one of the same speaker.
    fn join(
        &mut self,
        document: &RequestDocument,
        known: &ScanOptions,
        (before, left, taken): &mut Before<'_, '_>,
        (segment, replacements, text): (&Segment, &mut Taken, &str),
    ) {
        if before.locked || segment.locked {
            return;
        }
        let tail = left.get(floor(left, left.len().saturating_sub(JOIN_REACH))..).unwrap_or_default();
        let head = text.get(..floor(text, JOIN_REACH)).unwrap_or_default();
        let seam = tail.len();
        let joint = [tail, head].concat();
        for finding in self.scanner.scan(&joint, known) {
            let Range { start, end } = finding.span.clone();
            if !(start < seam && end > seam) {
                continue;
            }
            let from = left.len() - seam + start;
            let to = end - seam;
            let free = taken.iter().all(|(range, _)| range.end <= from)
                && replacements.iter().all(|(range, _)| range.start >= to);
            if !free {
                continue;
            }
            let value = joint.get(start..end).unwrap_or_default();
            taken.push((from..left.len(), self.placeholders.placeholder(&finding, value)));
            replacements.insert(0, (0..to, String::new()));
            self.note(document, before, finding);
        }
    }

    fn note(&mut self, document: &RequestDocument, segment: &Segment, finding: Finding) {
        let scanner = self.scanner;
        let options = self.options;
        let place = document.place(self.body, segment, |key| scanner.scan(key, options).is_empty());
        let edit = if segment.locked { Editable::SignedText } else { Editable::Possible };
        self.found.push(Placed { finding, edit, place });
    }

    fn replace(&mut self, segment: &Segment, replacements: &Taken) {
        match segment.edits(self.body, replacements) {
            Ok(edits) => self.edits.extend(edits),
            // The decision has seen that this finding can't be taken out.
            Err(EditError::Locked) => {}
            Err(_) => self.found.iter_mut().for_each(|placed| placed.edit = Editable::Impossible),
        }
    }
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
mod tests {
    use std::sync::Arc;

    use sallyport_detect::{IndexKey, RuleSet, SecretEntry, SecretIndex, SecretSet};

    use super::*;

    const SECRET: &str = "tr0ub4dor-and-horse-7";

    fn scanner() -> Scanner {
        let key = IndexKey::new([1; 32]);
        let entry = SecretEntry { name: "db/password", value: SECRET.as_bytes(), weak: false };
        let set = Arc::new(SecretSet::build(&key, "test", [entry]));
        let index = SecretIndex::merge(&key, &[set]).unwrap();
        Scanner::new(Arc::new(RuleSet::builtin().unwrap()), Arc::new(index))
    }

    fn inspect(family: Family, content_type: &str, body: &str) -> Inspected {
        let mut placeholders = Placeholders::new([2; 32]);
        let limits = Limits::default();
        Parsed::read(family, Some(content_type), body.as_bytes(), &limits).inspect(
            &scanner(),
            &ScanOptions::default(),
            Vec::new(),
            &mut placeholders,
        )
    }

    fn redacted(inspected: &Inspected) -> &str {
        std::str::from_utf8(inspected.redacted.as_deref().unwrap()).unwrap()
    }

    #[test]
    fn only_the_span_of_a_finding_changes() {
        let body = r#"{ "model":"m",  "x": 1.50, "messages":[{"role":"user","content":"a \u00e9 tr0ub4dor-and-horse-7\n b"}] }"#;
        let inspected = inspect(Family::OpenAiChat, "application/json", body);
        assert_eq!(redacted(&inspected), body.replace(SECRET, "[SECRET:db/password]"));
        assert_eq!(inspected.found[0].place, "/messages/0/content");
        assert_eq!(inspected.found[0].redaction(), "secret:db/password");
        assert_eq!(inspected.model.as_deref(), Some("m"));
    }

    #[test]
    fn a_secret_over_two_blocks_of_one_speaker_is_taken_out_of_both() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":[
            {"type":"text","text":"it is tr0ub4dor-an"},{"type":"text","text":"d-horse-7, you know"}]}]}"#;
        let inspected = inspect(Family::AnthropicMessages, "application/json", body);
        let new = redacted(&inspected);
        assert!(new.contains(r#""it is [SECRET:db/password]"}"#), "{new}");
        assert!(new.contains(r#""text":", you know""#), "{new}");
    }

    #[test]
    fn signed_text_is_not_edited_but_seen() {
        let body = r#"{"messages":[{"role":"assistant","content":[
            {"type":"thinking","thinking":"tr0ub4dor-and-horse-7","signature":"c2ln"}]}]}"#;
        let inspected = inspect(Family::AnthropicMessages, "application/json", body);
        assert!(inspected.redacted.is_none());
        assert_eq!(inspected.found[0].edit, Editable::SignedText);
    }

    #[test]
    fn malformed_json_is_looked_at_as_text() {
        let inspected = inspect(Family::OpenAiChat, "application/json", "{\"a\": tr0ub4dor-and-horse-7");
        assert_eq!(inspected.nature, BodyNature::Malformed);
        assert_eq!(inspected.found.len(), 1);
    }

    #[test]
    fn an_innocent_body_stays_the_clients_own() {
        let inspected = inspect(Family::Generic, "application/json", r#"{"hello":["world",1]}"#);
        assert!(inspected.redacted.is_none() && inspected.found.is_empty());
    }
}
