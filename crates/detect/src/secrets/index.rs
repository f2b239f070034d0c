//! All known values in one index: finds them in a text in any variant, holding none of them.

use std::ops::Range;
use std::sync::Arc;

use sallyport_policy::RuleId;

use super::contexts::Contexts;
use super::grid::{COARSE, FINE, Grid, LONG, MIDDLE, Walk};
use super::key::{IndexHasher, IndexKey, WINDOW, WindowHash};
use super::opening::Openings;
use super::set::{Entry, Pattern, SecretSet, SetError};
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
    Utf16,
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

/// One source's fingerprints, as the source holds them.
struct Part {
    set: Arc<SecretSet>,
    /// The number of its first pattern among all.
    first: u32,
}

/// See the module's text. Immutable; a change of the sources builds a new one.
pub struct SecretIndex {
    hasher: IndexHasher,
    parts: Vec<Part>,
    /// Part and entry of each value, by name.
    names: Vec<(u32, u32)>,
    grid: Grid,
    windows: Table,
    pub(super) openings: Openings,
    contexts: Contexts,
    /// Some value holds a space: only then is `+` read as one.
    spaces: bool,
}

impl std::fmt::Debug for SecretIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretIndex").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl SecretIndex {
    /// Joins the sets of all sources. A set made under another key is refused: it would look
    /// loaded and find nothing.
    pub fn merge(key: &IndexKey, sets: &[Arc<SecretSet>]) -> Result<SecretIndex, SetError> {
        let (mut parts, mut contexts, mut count) = (Vec::new(), Contexts::default(), 0);
        for set in sets {
            if !set.is_under(key) {
                return Err(SetError::OtherKey { source_name: set.source().to_owned() });
            }
            contexts.join(&set.contexts);
            parts.push(Part { set: set.clone(), first: count });
            count += set.patterns.len() as u32;
        }
        let patterns = || sets.iter().flat_map(|set| &set.patterns);
        let numbered = |print: fn(&Pattern) -> u32| -> Vec<(u32, u32)> {
            let mut rows = Vec::with_capacity(count as usize);
            rows.extend(patterns().zip(0..).map(|(pattern, number)| (print(pattern), number)));
            rows
        };
        let mut index = SecretIndex {
            grid: Grid::new(sets.iter().map(|set| &set.grids)),
            windows: Table::new(numbered(|pattern| pattern.window)),
            openings: Openings::new(Table::new(numbered(|pattern| pattern.opening)), patterns()),
            contexts,
            spaces: patterns().any(|pattern| pattern.form == Form::Raw && pattern.spaces),
            names: Vec::with_capacity(sets.iter().map(|set| set.len()).sum()),
            hasher: key.hasher().clone(),
            parts,
        };
        for (set, part) in sets.iter().zip(0..) {
            index.names.extend((0..set.len() as u32).map(|entry| (part, entry)));
        }
        let mut names = std::mem::take(&mut index.names);
        names.sort_unstable_by_key(|place| index.name(*place));
        index.names = names;
        Ok(index)
    }

    /// An index that knows nothing and costs nothing.
    pub fn empty() -> SecretIndex {
        let hasher = IndexKey::new([0; 32]).hasher().clone();
        SecretIndex {
            hasher,
            parts: Vec::new(),
            names: Vec::new(),
            grid: Grid::default(),
            windows: Table::default(),
            openings: Openings::default(),
            contexts: Contexts::default(),
            spaces: false,
        }
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether a known value has this name; tells our own placeholders from look-alikes.
    pub fn has_name(&self, name: &str) -> bool {
        self.names.binary_search_by_key(&name, |place| self.name(*place)).is_ok()
    }

    fn name(&self, (part, entry): (u32, u32)) -> &str {
        let entries = self.parts.get(part as usize).map(|part| &part.set.entries);
        entries.and_then(|entries| entries.get(entry as usize)).map_or("", |entry| &entry.name)
    }

    /// Every known value in `text`, sorted by place, each place and name once.
    ///
    /// Readings are made around escapes only; where one might hold a value, of as much text as
    /// tells for sure.
    pub fn find(&self, text: &[u8]) -> Vec<SecretHit> {
        if self.is_empty() {
            return Vec::new();
        }
        let walk = self.grid.walk(self.hasher.windows(), text, 0);
        let zones = Zones::of(text, self.spaces, &self.contexts);
        let mut hits = Vec::new();
        let mut looked: Vec<Range<usize>> = Vec::new();
        let plain = Views::default();
        let mut search = Search::new(self, text, 0, &plain);
        let mut doubtful = Vec::new();
        self.each_window(text, &walk, |at, print| search.verify_plain(at, print, &zones, &mut doubtful));
        hits.append(&mut search.hits);
        for zone in doubtful {
            self.look(text, zone, &zones, |search| search.everywhere(), &mut looked, &mut hits);
        }
        // What stands there as it is was seen just now.
        for zone in zones.iter() {
            self.look(text, zone, &zones, |search| search.in_readings(), &mut looked, &mut hits);
        }
        sorted(hits)
    }

    /// Searches a stretch of the text in all its readings, and more of it if that leaves a doubt.
    fn look(
        &self,
        text: &[u8],
        zone: Range<usize>,
        zones: &Zones,
        search_in: impl Fn(&mut Search<'_>),
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
            search_in(&mut search);
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
        if self.is_empty() {
            return Views::default();
        }
        let (before, area) = text.split_at_checked(from).unwrap_or_default();
        Views::of(before, area, self.spaces)
    }

    /// As [`Self::find`] for what begins at `from` or after; the text before is context. `views`
    /// are the readings of `text[from..]`.
    pub(crate) fn find_in(&self, text: &[u8], from: usize, views: &Views) -> Vec<SecretHit> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut search = Search::new(self, text, from, views);
        search.everywhere();
        sorted(search.hits)
    }

    /// Calls `each` for every window that the grids point to and that may be a pattern's.
    fn each_window(&self, bytes: &[u8], walk: &Walk, mut each: impl FnMut(usize, u32)) {
        let hash = self.hasher.windows();
        for (places, apart) in [(&walk.coarse, COARSE), (&walk.middle, MIDDLE), (&walk.fine, FINE)] {
            for place in places {
                for at in (place + 1).saturating_sub(apart)..=*place {
                    let window = bytes.get(at..).and_then(|rest| rest.first_chunk::<WINDOW>());
                    let print = window.map(|window| WindowHash::print(hash.window(*window)));
                    if let Some(print) = print.filter(|print| self.windows.maybe(*print)) {
                        each(at, print);
                    }
                }
            }
        }
    }

    pub(super) fn window_print(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let window: [u8; WINDOW] = bytes.get(at..at + WINDOW)?.try_into().ok()?;
        Some(WindowHash::print(self.hasher.windows().window(window)))
    }

    /// A pattern, and the value it belongs to.
    pub(super) fn pattern(&self, number: u32) -> Option<(&Pattern, &Entry)> {
        let part = self.parts.partition_point(|part| part.first <= number).checked_sub(1)?;
        let part = self.parts.get(part)?;
        let pattern = part.set.patterns.get((number - part.first) as usize)?;
        Some((pattern, part.set.entries.get(pattern.entry as usize)?))
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
        let (index, area) = (self.index, self.area);
        let walk = index.grid.walk(index.hasher.windows(), area, 0);
        index.each_window(area, &walk, |at, print| self.verify(None, at, print));
        self.in_readings();
    }

    fn in_readings(&mut self) {
        let (index, views) = (self.index, self.views);
        let hash = index.hasher.windows();
        // A value whose places on the grid no escape touches was seen in the text itself, or in the
        // reading below.
        for (number, view) in views.iter() {
            let Some(touched) = view.touched() else { continue };
            let first = touched.start.saturating_sub(LONG - 1);
            let bytes = view.bytes().get(..touched.end + LONG - 1).unwrap_or(view.bytes());
            let walk = index.grid.walk(hash, bytes, first);
            index.each_window(bytes, &walk, |at, print| self.verify(Some(number), at, print));
        }
    }

    /// Looks at a window of the text itself. Where an escape stands inside the value's length, the
    /// readings decide.
    #[cold]
    fn verify_plain(&mut self, at: usize, print: u32, zones: &Zones, doubtful: &mut Vec<Range<usize>>) {
        for number in self.index.windows.patterns(print) {
            let Some((pattern, entry)) = self.index.pattern(number) else { continue };
            if let Ok(span) = self.index.stands(self.area, at, pattern, (false, false)) {
                self.admit(None, span, pattern, entry);
            }
            let start = at.saturating_sub(usize::from(pattern.at));
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
            let Some((pattern, entry)) = self.index.pattern(number) else { continue };
            match self.index.stands(bytes, at, pattern, self.cut) {
                Ok(span) => self.admit(reading, span, pattern, entry),
                Err(Absent { sure }) => self.doubt |= !sure,
            }
        }
        for (number, view) in self.views.iter().filter(|(_, view)| view.below == reading) {
            if let Some(at) = view.unchanged(at..at + WINDOW) {
                self.verify(Some(number), at, print);
            }
        }
    }

    fn admit(&mut self, reading: Option<usize>, span: Range<usize>, pattern: &Pattern, entry: &Entry) {
        let span = reading.map_or(span.clone(), |number| self.views.raw(number, span));
        let span = span.start + self.from..span.end + self.from;
        if entry.weak && !beside_name(self.text, span.start, &entry.name) {
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
            (Form::Raw, Some(Coding::Utf16)) => Variant::Utf16,
        };
        self.hits.push(SecretHit { span, name: RuleId::new(&*entry.name), variant, weak: entry.weak });
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
        let start = at.checked_sub(usize::from(pattern.at)).ok_or(Absent { sure: !cut.0 })?;
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

fn fold_name(name: &[u8]) -> Vec<u8> {
    name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect()
}

/// Whether the whole name or its last part stands before `start`: `ai-protected/db#password` is also
/// `password`.
fn beside_name(text: &[u8], start: usize, name: &str) -> bool {
    let before = text.get(start.saturating_sub(NAME_REACH)..start).unwrap_or_default();
    let line = memchr::memrchr2(b'\n', b'\r', before).map_or(0, |at| at + 1);
    let folded = fold_name(before.get(line..).unwrap_or_default());
    let last = name.rsplit(['/', '#', ':', '.']).next().unwrap_or(name);
    [name, last]
        .iter()
        .map(|spelling| fold_name(spelling.as_bytes()))
        .any(|spelling| spelling.len() >= 2 && memchr::memmem::find(&folded, &spelling).is_some())
}
