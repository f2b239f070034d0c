//! All known values in one index: finds them in a text in any variant, holding none of them.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use sallyport_policy::RuleId;

use super::key::{IndexHasher, IndexKey, WINDOW};
use super::opening::Openings;
use super::set::{Pattern, SecretSet, SetError};
use super::variants::{Form, is_base64};
use super::views::{Coding, Views};
use crate::table::Table;

/// How far before a weak value its name may stand, on the same line.
const NAME_REACH: usize = 64;

/// In which dress a known value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    Raw,
    Escaped,
    Percent,
    Base64,
    Hex,
}

/// One known value in a text. The span covers every byte that carries a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHit {
    pub span: Range<usize>,
    pub name: RuleId,
    pub variant: Variant,
    pub weak: bool,
}

struct Known {
    name: RuleId,
    weak: bool,
    /// Spellings of the name that make a weak value count.
    folded: Vec<Vec<u8>>,
}

/// See the module's text. Immutable; a change of the sources builds a new one.
pub struct SecretIndex {
    hasher: IndexHasher,
    entries: Vec<Known>,
    patterns: Vec<Pattern>,
    windows: Table,
    pub(super) openings: Openings,
    /// Some value holds a space: only then is `+` read as one.
    spaces: bool,
    names: HashSet<RuleId>,
}

impl std::fmt::Debug for SecretIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretIndex").field("len", &self.entries.len()).finish_non_exhaustive()
    }
}

impl SecretIndex {
    /// Joins the sets of all sources. A set made under another key is refused: it would look
    /// loaded and find nothing.
    pub fn merge(key: &IndexKey, sets: &[Arc<SecretSet>]) -> Result<SecretIndex, SetError> {
        let hasher = IndexHasher::new(key);
        let (mut entries, mut patterns) = (Vec::new(), Vec::new());
        for set in sets {
            if set.check != hasher.check {
                return Err(SetError::OtherKey { source_name: set.source().to_owned() });
            }
            let offset = entries.len() as u32;
            entries.extend(set.entries.iter().map(|entry| Known {
                name: RuleId::new(entry.name.as_str()),
                weak: entry.weak,
                folded: name_spellings(&entry.name),
            }));
            patterns.extend(set.patterns.iter().map(|p| Pattern { entry: p.entry + offset, ..*p }));
        }
        let numbered = |print: fn(&Pattern) -> u32| -> Vec<(u32, u32)> {
            patterns.iter().zip(0..).map(|(pattern, number)| (print(pattern), number)).collect()
        };
        Ok(SecretIndex {
            windows: Table::new(numbered(|pattern| pattern.window)),
            openings: Openings::new(Table::new(numbered(|pattern| pattern.opening)), &patterns),
            spaces: patterns.iter().any(|pattern| pattern.form == Form::Raw && pattern.spaces),
            names: entries.iter().map(|entry| entry.name.clone()).collect(),
            hasher,
            entries,
            patterns,
        })
    }

    /// An index that knows nothing and costs nothing.
    pub fn empty() -> SecretIndex {
        let hasher = IndexHasher::new(&IndexKey::new([0; 32]));
        SecretIndex {
            hasher,
            entries: Vec::new(),
            patterns: Vec::new(),
            windows: Table::default(),
            openings: Openings::new(Table::default(), &[]),
            spaces: false,
            names: HashSet::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a known value has this name; tells our own placeholders from look-alikes.
    pub fn has_name(&self, name: &str) -> bool {
        self.names.contains(&RuleId::new(name))
    }

    /// Every known value in `text`, sorted by place, each place and name once.
    pub fn find(&self, text: &[u8]) -> Vec<SecretHit> {
        if self.patterns.is_empty() {
            return Vec::new();
        }
        self.find_in(text, 0, &self.views(text))
    }

    pub(crate) fn views(&self, text: &[u8]) -> Views {
        if self.patterns.is_empty() { Views::default() } else { Views::of(text, self.spaces) }
    }

    /// As [`Self::find`] for what begins at `from` or after; the text before is context. `views`
    /// are the readings of `text[from..]`.
    pub(crate) fn find_in(&self, text: &[u8], from: usize, views: &Views) -> Vec<SecretHit> {
        if self.patterns.is_empty() {
            return Vec::new();
        }
        let area = text.get(from..).unwrap_or_default();
        let mut search = Search { index: self, text, from, area, views, hits: Vec::new() };
        self.probe(area, 0..area.len(), |at, print| search.verify(None, at, print));
        // A window that no escape touches was seen in the text itself, or in the reading below.
        for (number, view) in views.iter() {
            let mut done = 0;
            for output in view.outputs() {
                let first = output.start.saturating_sub(WINDOW - 1).max(done);
                done = output.end.max(first);
                self.probe(view.bytes(), first..done, |at, print| search.verify(Some(number), at, print));
            }
        }
        let mut hits = search.hits;
        hits.sort_by(|a, b| {
            let order = |hit: &SecretHit| (hit.span.start, hit.span.end, hit.weak);
            order(a).cmp(&order(b)).then_with(|| a.name.cmp(&b.name)).then(a.variant.cmp(&b.variant))
        });
        hits.dedup_by(|next, held| next.span == held.span && next.name == held.name);
        hits
    }

    /// Calls `maybe` for each window that begins in `starts` and may be a pattern's.
    #[inline]
    fn probe(&self, bytes: &[u8], starts: Range<usize>, mut maybe: impl FnMut(usize, u32)) {
        /// Windows that are looked up before one branch is taken for all of them.
        const BATCH: usize = 8;
        let end = starts.end.saturating_add(WINDOW - 1).min(bytes.len());
        let mut rest = bytes.get(starts.start..end).unwrap_or_default();
        let mut at = starts.start;
        while let Some(batch) = rest.first_chunk::<{ BATCH + WINDOW - 1 }>() {
            let mut prints = [0u32; BATCH];
            for (print, window) in prints.iter_mut().zip(batch.array_windows::<WINDOW>()) {
                *print = IndexHasher::print(self.hasher.window(*window));
            }
            if prints.iter().fold(false, |any, print| any | self.windows.maybe(*print)) {
                for (i, print) in prints.iter().enumerate().filter(|(_, print)| self.windows.maybe(**print)) {
                    maybe(at + i, *print);
                }
            }
            rest = rest.get(BATCH..).unwrap_or_default();
            at += BATCH;
        }
        for (i, window) in rest.array_windows::<WINDOW>().enumerate() {
            let print = IndexHasher::print(self.hasher.window(*window));
            if self.windows.maybe(print) {
                maybe(at + i, print);
            }
        }
    }

    pub(super) fn window_print(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let window: [u8; WINDOW] = bytes.get(at..at + WINDOW)?.try_into().ok()?;
        Some(IndexHasher::print(self.hasher.window(window)))
    }

    pub(super) fn pattern(&self, number: u32) -> Option<&Pattern> {
        self.patterns.get(number as usize)
    }
}

/// One search through a text and its readings.
struct Search<'a> {
    index: &'a SecretIndex,
    text: &'a [u8],
    from: usize,
    area: &'a [u8],
    views: &'a Views,
    hits: Vec<SecretHit>,
}

impl Search<'_> {
    /// Looks at a window of one reading, and at the same window in the readings above: the value
    /// around it may stand behind escapes that do not touch the window.
    #[cold]
    fn verify(&mut self, reading: Option<usize>, at: usize, print: u32) {
        if !self.index.windows.contains(print) {
            return;
        }
        let bytes = reading.and_then(|number| self.views.view(number)).map_or(self.area, |view| view.bytes());
        for number in self.index.windows.patterns(print) {
            let Some(pattern) = self.index.patterns.get(number as usize) else { continue };
            if let Some(span) = self.index.stands(bytes, at, pattern) {
                self.admit(reading, span, pattern);
            }
        }
        for (number, view) in self.views.iter().filter(|(_, view)| view.below == reading) {
            if let Some(at) = view.unchanged(at..at + WINDOW) {
                self.verify(Some(number), at, print);
            }
        }
    }

    fn admit(&mut self, reading: Option<usize>, span: Range<usize>, pattern: &Pattern) {
        let span = reading.map_or(span.clone(), |number| self.views.raw(number, span));
        let span = span.start + self.from..span.end + self.from;
        let Some(known) = self.index.entries.get(pattern.entry as usize) else { return };
        if known.weak && !beside_name(self.text, span.start, &known.folded) {
            return;
        }
        let coding = reading.and_then(|number| self.views.view(number)).map(|view| view.coding);
        let variant = match (pattern.form, coding) {
            (Form::Hex, _) => Variant::Hex,
            (Form::Base64 { .. }, _) => Variant::Base64,
            (Form::Raw, None) => Variant::Raw,
            (Form::Raw, Some(Coding::Percent)) => Variant::Percent,
            (Form::Raw, Some(Coding::Backslash)) => Variant::Escaped,
        };
        self.hits.push(SecretHit { span, name: known.name.clone(), variant, weak: known.weak });
    }
}

impl SecretIndex {
    /// The span of `pattern` if it stands around the window at `at`.
    fn stands(&self, bytes: &[u8], at: usize, pattern: &Pattern) -> Option<Range<usize>> {
        let start = at.checked_sub(pattern.at as usize)?;
        let mut span = start..start + pattern.len as usize;
        let value = bytes.get(span.clone())?;
        let digest = match pattern.form {
            Form::Hex => self.hasher.whole.digest_lower(value),
            _ => self.hasher.whole.digest(value),
        };
        if digest != pattern.digest {
            return None;
        }
        if let Form::Base64 { lead, trail } = pattern.form {
            let shared =
                |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(|byte| is_base64(*byte));
            if lead && shared(span.start.checked_sub(1)) {
                span.start -= 1;
            }
            if trail && shared(Some(span.end)) {
                span.end += 1;
            }
        }
        Some(span)
    }
}

/// The whole name and its last part, folded: `ai-protected/db#password` is also `password`.
fn name_spellings(name: &str) -> Vec<Vec<u8>> {
    let last = name.rsplit(['/', '#', ':', '.']).next().unwrap_or(name);
    let mut spellings = vec![fold_name(name.as_bytes()), fold_name(last.as_bytes())];
    spellings.retain(|spelling| spelling.len() >= 2);
    spellings.dedup();
    spellings
}

fn fold_name(name: &[u8]) -> Vec<u8> {
    name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect()
}

fn beside_name(text: &[u8], start: usize, spellings: &[Vec<u8>]) -> bool {
    let before = text.get(start.saturating_sub(NAME_REACH)..start).unwrap_or_default();
    let line = memchr::memrchr2(b'\n', b'\r', before).map_or(0, |at| at + 1);
    let folded = fold_name(before.get(line..).unwrap_or_default());
    spellings.iter().any(|spelling| memchr::memmem::find(&folded, spelling).is_some())
}
