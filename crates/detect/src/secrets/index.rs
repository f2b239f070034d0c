//! All known values in one index: finds them in a text in any variant, holding none of them.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use sallyport_policy::RuleId;

use super::key::{IndexHasher, IndexKey, WINDOW};
use super::opening::Openings;
use super::set::{Pattern, SecretSet, SetError};
use super::table::Table;
use super::variants::{Form, is_base64};
use super::views::{Coding, View, views};

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

    pub(crate) fn views(&self, text: &[u8]) -> Vec<View> {
        if self.patterns.is_empty() { Vec::new() } else { views(text, self.spaces) }
    }

    /// As [`Self::find`] for what begins at `from` or after; the text before is context. `views`
    /// are the readings of `text[from..]`.
    pub(crate) fn find_in(&self, text: &[u8], from: usize, views: &[View]) -> Vec<SecretHit> {
        let mut hits = Vec::new();
        if self.patterns.is_empty() {
            return hits;
        }
        let area = text.get(from..).unwrap_or_default();
        self.probe(area, |span, pattern| {
            let variant = match pattern.form {
                Form::Raw => Variant::Raw,
                Form::Hex => Variant::Hex,
                Form::Base64 { .. } => Variant::Base64,
            };
            self.admit(text, span.start + from..span.end + from, pattern, variant, &mut hits);
        });
        for view in views {
            self.probe(view.bytes(), |span, pattern| {
                let raw = view.raw(span);
                let variant = match (pattern.form, view.coding) {
                    (Form::Hex, _) => Variant::Hex,
                    (Form::Base64 { .. }, _) => Variant::Base64,
                    (Form::Raw, Coding::Percent) => Variant::Percent,
                    (Form::Raw, Coding::Backslash) => Variant::Escaped,
                };
                self.admit(text, raw.start + from..raw.end + from, pattern, variant, &mut hits);
            });
        }
        hits.sort_by(|a, b| {
            let order = |hit: &SecretHit| (hit.span.start, hit.span.end, hit.weak);
            order(a).cmp(&order(b)).then_with(|| a.name.cmp(&b.name)).then(a.variant.cmp(&b.variant))
        });
        hits.dedup_by(|next, held| next.span == held.span && next.name == held.name);
        hits
    }

    /// Calls `matched` for each pattern that stands in `area`.
    fn probe(&self, area: &[u8], mut matched: impl FnMut(Range<usize>, &Pattern)) {
        for (i, window) in area.array_windows::<WINDOW>().enumerate() {
            let print = IndexHasher::print(self.hasher.window(*window));
            if self.windows.maybe(print) {
                self.verify(area, i, print, &mut matched);
            }
        }
    }

    #[cold]
    fn verify(&self, area: &[u8], i: usize, print: u32, matched: &mut impl FnMut(Range<usize>, &Pattern)) {
        for number in self.windows.patterns(print) {
            let Some(pattern) = self.patterns.get(number as usize) else { continue };
            let Some(start) = i.checked_sub(pattern.at as usize) else { continue };
            let mut span = start..start + pattern.len as usize;
            let Some(bytes) = area.get(span.clone()) else { continue };
            let digest = match pattern.form {
                Form::Hex => self.hasher.whole.digest_lower(bytes),
                _ => self.hasher.whole.digest(bytes),
            };
            if digest != pattern.digest {
                continue;
            }
            if let Form::Base64 { lead, trail } = pattern.form {
                let shared =
                    |at: Option<usize>| at.and_then(|at| area.get(at)).is_some_and(|byte| is_base64(*byte));
                if lead && shared(span.start.checked_sub(1)) {
                    span.start -= 1;
                }
                if trail && shared(Some(span.end)) {
                    span.end += 1;
                }
            }
            matched(span, pattern);
        }
    }

    fn admit(
        &self,
        text: &[u8],
        span: Range<usize>,
        pattern: &Pattern,
        variant: Variant,
        hits: &mut Vec<SecretHit>,
    ) {
        let Some(known) = self.entries.get(pattern.entry as usize) else { return };
        if known.weak && !beside_name(text, span.start, &known.folded) {
            return;
        }
        hits.push(SecretHit { span, name: known.name.clone(), variant, weak: known.weak });
    }

    pub(super) fn window_print(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let window: [u8; WINDOW] = bytes.get(at..at + WINDOW)?.try_into().ok()?;
        Some(IndexHasher::print(self.hasher.window(window)))
    }

    pub(super) fn pattern(&self, number: u32) -> Option<&Pattern> {
        self.patterns.get(number as usize)
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
