//! All known values in one index: finds them in a text in any variant, holding none of them.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use sallyport_policy::RuleId;

use super::grid::{COARSE, FINE, Grid, LONG, Walk};
use super::key::{IndexHasher, IndexKey, WINDOW, WindowHash};
use super::opening::Openings;
use super::set::{Pattern, SecretSet, SetError};
use super::variants::{Form, is_base64};
use super::views::{Coding, Views};
use super::zones::Zones;
use crate::table::Table;

/// How far before a weak value its name may stand, on the same line.
const NAME_REACH: usize = 64;

/// In which dress a known value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    Raw,
    Escaped,
    Percent,
    Entity,
    Wrapped,
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
    grid: Grid,
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
        let hasher = key.hasher().clone();
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
            grid: Grid::new(sets.iter().map(|set| &set.coarse), sets.iter().map(|set| &set.fine)),
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
        let hasher = IndexKey::new([0; 32]).hasher().clone();
        SecretIndex {
            hasher,
            entries: Vec::new(),
            patterns: Vec::new(),
            grid: Grid::default(),
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
    ///
    /// Readings are made around escapes only; where one might hold a value, of as much text as
    /// tells for sure.
    pub fn find(&self, text: &[u8]) -> Vec<SecretHit> {
        if self.patterns.is_empty() {
            return Vec::new();
        }
        let walk = self.grid.walk(self.hasher.windows(), text);
        let zones = Zones::of(text, self.spaces, &walk.ends);
        let mut hits = Vec::new();
        let mut looked: Vec<Range<usize>> = Vec::new();
        let plain = Views::default();
        let mut search = Search::new(self, text, 0, &plain);
        let mut doubtful = Vec::new();
        self.each_window(text, &walk, |at, print| search.verify_plain(at, print, &zones, &mut doubtful));
        hits.append(&mut search.hits);
        for zone in doubtful.into_iter().chain(zones.iter()) {
            self.look(text, zone, &zones, &mut looked, &mut hits);
        }
        sorted(hits)
    }

    /// Searches a stretch of the text in all its readings, and more of it if that leaves a doubt.
    fn look(
        &self,
        text: &[u8],
        zone: Range<usize>,
        zones: &Zones,
        looked: &mut Vec<Range<usize>>,
        hits: &mut Vec<SecretHit>,
    ) {
        let mut zone = zones.widened(zone);
        loop {
            if looked.iter().rev().take(4).any(|done| done.start <= zone.start && zone.end <= done.end) {
                return;
            }
            let (until, before) = (text.get(..zone.end), text.get(..zone.start));
            let (until, before) = (until.unwrap_or(text), before.unwrap_or_default());
            let area = until.get(zone.start..).unwrap_or_default();
            let views = Views::of(before, area, self.spaces);
            let mut search = Search::new(self, until, zone.start, &views);
            search.cut = (zone.start > 0, zone.end < text.len());
            search.everywhere();
            if !search.doubt {
                hits.append(&mut search.hits);
                looked.push(zone);
                return;
            }
            let more = 4 * zone.len();
            zone = zones.widened(zone.start.saturating_sub(more)..(zone.end + more).min(text.len()));
        }
    }

    pub(crate) fn views(&self, text: &[u8], from: usize) -> Views {
        if self.patterns.is_empty() {
            return Views::default();
        }
        let (before, area) = text.split_at_checked(from).unwrap_or_default();
        Views::of(before, area, self.spaces)
    }

    /// As [`Self::find`] for what begins at `from` or after; the text before is context. `views`
    /// are the readings of `text[from..]`.
    pub(crate) fn find_in(&self, text: &[u8], from: usize, views: &Views) -> Vec<SecretHit> {
        if self.patterns.is_empty() {
            return Vec::new();
        }
        let mut search = Search::new(self, text, from, views);
        search.everywhere();
        sorted(search.hits)
    }

    /// Calls `each` for every window that the grids point to and that may be a pattern's.
    fn each_window(&self, bytes: &[u8], walk: &Walk, mut each: impl FnMut(usize, u32)) {
        for (places, apart) in [(&walk.coarse, COARSE), (&walk.fine, FINE)] {
            for place in places {
                for at in (place + 1).saturating_sub(apart)..=*place {
                    if let Some(print) =
                        self.window_print(bytes, at).filter(|print| self.windows.maybe(*print))
                    {
                        each(at, print);
                    }
                }
            }
        }
    }

    /// Calls `maybe` for each window that begins in `starts` and may be a pattern's.
    #[inline]
    fn probe(&self, bytes: &[u8], starts: Range<usize>, mut maybe: impl FnMut(usize, u32)) {
        /// Windows that are looked up before one branch is taken for all of them.
        const BATCH: usize = 8;
        let end = starts.end.saturating_add(WINDOW - 1).min(bytes.len());
        let hash = self.hasher.windows();
        let mut rest = bytes.get(starts.start..end).unwrap_or_default();
        let mut at = starts.start;
        while let Some(batch) = rest.first_chunk::<{ BATCH + WINDOW - 1 }>() {
            let mut prints = [0u32; BATCH];
            for (print, window) in prints.iter_mut().zip(batch.array_windows::<WINDOW>()) {
                *print = WindowHash::print(hash.window(*window));
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
            let print = WindowHash::print(hash.window(*window));
            if self.windows.maybe(print) {
                maybe(at + i, print);
            }
        }
    }

    pub(super) fn window_print(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let window: [u8; WINDOW] = bytes.get(at..at + WINDOW)?.try_into().ok()?;
        Some(WindowHash::print(self.hasher.windows().window(window)))
    }

    pub(super) fn pattern(&self, number: u32) -> Option<&Pattern> {
        self.patterns.get(number as usize)
    }
}

/// By place, each place and name once.
fn sorted(mut hits: Vec<SecretHit>) -> Vec<SecretHit> {
    hits.sort_by(|a, b| {
        let order = |hit: &SecretHit| (hit.span.start, hit.span.end, hit.weak);
        order(a).cmp(&order(b)).then_with(|| a.name.cmp(&b.name)).then(a.variant.cmp(&b.variant))
    });
    hits.dedup_by(|next, held| next.span == held.span && next.name == held.name);
    hits
}

/// One search through a text and its readings.
struct Search<'a> {
    index: &'a SecretIndex,
    text: &'a [u8],
    from: usize,
    area: &'a [u8],
    views: &'a Views,
    hits: Vec<SecretHit>,
    /// Whether more text stands before and after the area, of which nothing is known here.
    cut: (bool, bool),
    /// Some value might stand there in part.
    doubt: bool,
}

impl<'a> Search<'a> {
    fn new(index: &'a SecretIndex, text: &'a [u8], from: usize, views: &'a Views) -> Search<'a> {
        let area = text.get(from..).unwrap_or_default();
        Search { index, text, from, area, views, hits: Vec::new(), cut: (false, false), doubt: false }
    }

    fn everywhere(&mut self) {
        let (index, area, views) = (self.index, self.area, self.views);
        let walk = index.grid.walk(index.hasher.windows(), area);
        index.each_window(area, &walk, |at, print| self.verify(None, at, print));
        // A value whose places on the grid no escape touches was seen in the text itself, or in the
        // reading below.
        for (number, view) in views.iter() {
            let mut done = 0;
            for output in view.outputs() {
                let first = output.start.saturating_sub(LONG - 1).max(done);
                done = output.end.max(first);
                index.probe(view.bytes(), first..done, |at, print| self.verify(Some(number), at, print));
            }
        }
    }

    /// Looks at a window of the text itself. Where an escape stands inside the value's length, the
    /// readings decide.
    #[cold]
    fn verify_plain(&mut self, at: usize, print: u32, zones: &Zones, doubtful: &mut Vec<Range<usize>>) {
        for number in self.index.windows.patterns(print) {
            let Some(pattern) = self.index.patterns.get(number as usize) else { continue };
            if let Ok(span) = self.index.stands(self.area, at, pattern, (false, false)) {
                self.admit(None, span, pattern);
            }
            let start = at.saturating_sub(pattern.at as usize);
            let span = start..at + pattern.len as usize;
            if zones.touches(&span) {
                doubtful.push(start..span.end.min(self.area.len()));
            }
        }
    }

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
            match self.index.stands(bytes, at, pattern, self.cut) {
                Ok(span) => self.admit(reading, span, pattern),
                Err(Absent { sure }) => self.doubt |= !sure,
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
            (Form::Raw, Some(Coding::Entity)) => Variant::Entity,
            (Form::Raw, Some(Coding::Wrapped)) => Variant::Wrapped,
        };
        self.hits.push(SecretHit { span, name: known.name.clone(), variant, weak: known.weak });
    }
}

/// A pattern that does not stand at a place; unsure if bytes were missing to tell.
struct Absent {
    sure: bool,
}

impl SecretIndex {
    /// The span of `pattern` if it stands around the window at `at`. `cut`: whether bytes are missing
    /// on either side.
    fn stands(
        &self,
        bytes: &[u8],
        at: usize,
        pattern: &Pattern,
        cut: (bool, bool),
    ) -> Result<Range<usize>, Absent> {
        let (lead, trail) = match pattern.form {
            Form::Base64 { lead, trail } => (lead, trail),
            _ => (false, false),
        };
        let start = at.checked_sub(pattern.at as usize).ok_or(Absent { sure: !cut.0 })?;
        let mut span = start..start + pattern.len as usize;
        let value = bytes.get(span.clone()).ok_or(Absent { sure: !cut.1 })?;
        let digest = match pattern.form {
            Form::Hex => self.hasher.whole.digest_lower(value),
            _ => self.hasher.whole.digest(value),
        };
        if digest != pattern.digest {
            return Err(Absent { sure: true });
        }
        // Characters that carry bits of the value together with others'.
        let shared = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(|byte| is_base64(*byte));
        if lead && span.start == 0 && cut.0 || trail && span.end == bytes.len() && cut.1 {
            return Err(Absent { sure: false });
        }
        if lead && shared(span.start.checked_sub(1)) {
            span.start -= 1;
        }
        if trail && shared(Some(span.end)) {
            span.end += 1;
        }
        Ok(span)
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
