//! The fingerprints of one source's values: what a loading process hands to the engine.
//!
//! A set holds names, lengths, keyed hashes and coarse character classes, and for all values together
//! between which classes a quote or a line break stands and whether any holds a backslash; never a value, a part of one, or anything
//! a value can be read back from.

use std::collections::HashSet;

use zeroize::Zeroize;

use super::contexts::{self, Contexts};
use super::grid::{self, Grids, LONG, MIDDLING, Places};
use super::key::{IndexHasher, IndexKey, WINDOW, WindowHash};
use super::variants::{self, Form};

/// Values longer than this are not indexed; such a file is not one secret.
pub const MAX_VALUE: usize = 64 * 1024;

/// One value to be fingerprinted. `weak`: a common word, which counts only beside its name
/// (decision 17); [`crate::shape::is_common_word`] tells.
#[derive(Clone, Copy)]
pub struct SecretEntry<'a> {
    pub name: &'a str,
    pub value: &'a [u8],
    pub weak: bool,
}

/// What stopped a set from being read or merged.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SetError {
    #[error("the bytes are not a set of secret fingerprints")]
    NotASet,
    #[error("the fingerprint set has format {found}; this version reads format {FORMAT}")]
    Format { found: u8 },
    #[error("the fingerprint set ends early or is damaged")]
    Damaged,
    #[error("the fingerprint set of {source_name} was made under another key")]
    OtherKey { source_name: String },
}

const MAGIC: &[u8; 7] = b"SLYPSET";
const FORMAT: u8 = 7;

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Box<str>,
    pub(crate) weak: bool,
    pub(crate) digest: [u8; 16],
}

/// One byte form of one entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) entry: u32,
    pub(crate) form: Form,
    pub(crate) len: u32,
    /// Where the window stands that is looked up.
    pub(crate) at: u8,
    pub(crate) window: u32,
    /// The print of the first window: tells a stream whether its tail may become this pattern.
    pub(crate) opening: u32,
    /// Character classes of the first window, four bits each.
    pub(crate) classes: u32,
    pub(crate) spaces: bool,
    pub(crate) digest: [u8; 16],
}

/// See the module's text. Cheap to share behind an `Arc`; equal input gives equal bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretSet {
    pub(crate) check: [u8; 8],
    source: String,
    pub(crate) entries: Vec<Entry>,
    pub(crate) patterns: Vec<Pattern>,
    /// What all patterns put on the grids of a text.
    pub(super) grids: Grids<Places>,
    pub(super) contexts: Contexts,
    skipped: u32,
}

impl std::fmt::Debug for SecretSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretSet").field("source", &self.source).field("len", &self.len()).finish()
    }
}

impl SecretSet {
    /// Fingerprints every value of 8 bytes to [`MAX_VALUE`]; line breaks at the end are not part
    /// of a value. Names lose what would break a `[SECRET:name]` placeholder.
    pub fn build<'a>(
        key: &IndexKey,
        source: &str,
        entries: impl IntoIterator<Item = SecretEntry<'a>>,
    ) -> SecretSet {
        let hasher = key.hasher();
        let mut set = SecretSet {
            check: hasher.check,
            source: source.to_owned(),
            entries: Vec::new(),
            patterns: Vec::new(),
            grids: Grids::default(),
            contexts: Contexts::default(),
            skipped: 0,
        };
        let mut grids = Grids::default();
        for entry in entries {
            set.add(hasher, entry, &mut grids);
        }
        set.grids = grids.map(Places::new);
        set.entries.shrink_to_fit();
        set.patterns.shrink_to_fit();
        set
    }

    fn add(&mut self, hasher: &IndexHasher, entry: SecretEntry<'_>, grids: &mut Grids<Vec<u32>>) {
        let value = without_final_breaks(entry.value);
        if !(WINDOW..=MAX_VALUE).contains(&value.len()) {
            self.skipped += 1;
            return;
        }
        let new = Entry {
            name: safe_name(entry.name).into(),
            weak: entry.weak,
            digest: hasher.whole.digest(value),
        };
        if self.entries.contains_name_and_value(&new) {
            return;
        }
        let number = self.entries.len() as u32;
        self.entries.push(new);
        variants::each(value, |form, bytes| {
            if let Some(pattern) = Pattern::of(hasher, number, form, bytes) {
                self.contexts.add(bytes);
                if let Form::Base64 { lead, trail } = form {
                    self.contexts.add_shared(bytes, lead, trail);
                }
                grid::print(hasher.windows(), bytes, pattern.at as usize, grids);
                self.patterns.push(pattern);
            }
        });
    }

    /// Whether it was made under this key: under another one it finds nothing.
    pub fn is_under(&self, key: &IndexKey) -> bool {
        self.check == key.hasher().check
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Values that were too short or too long to be indexed.
    pub fn skipped(&self) -> usize {
        self.skipped as usize
    }

    /// The names, as placeholders show them, and whether each is weak.
    pub fn names(&self) -> impl Iterator<Item = (&str, bool)> {
        self.entries.iter().map(|entry| (&*entry.name, entry.weak))
    }

    /// The entries whose value `newer` no longer holds: what left a source by rotation stays
    /// indexed for a while, since old values are still in histories (decision 13).
    pub fn entries_missing_from(&self, newer: &SecretSet) -> SecretSet {
        let kept: HashSet<[u8; 16]> = newer.entries.iter().map(|entry| entry.digest).collect();
        let mut missing = SecretSet {
            check: self.check,
            source: self.source.clone(),
            entries: Vec::new(),
            patterns: Vec::new(),
            // Places and contexts have no tie to their values: those of the values that stay only cost a second look.
            grids: self.grids.clone(),
            contexts: self.contexts,
            skipped: 0,
        };
        let mut numbers = vec![None; self.entries.len()];
        for (entry, number) in self.entries.iter().zip(&mut numbers) {
            if !kept.contains(&entry.digest) {
                *number = Some(missing.entries.len() as u32);
                missing.entries.push(entry.clone());
            }
        }
        for pattern in &self.patterns {
            if let Some(Some(number)) = numbers.get(pattern.entry as usize) {
                missing.patterns.push(Pattern { entry: *number, ..*pattern });
            }
        }
        missing.entries.shrink_to_fit();
        missing.patterns.shrink_to_fit();
        missing
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.push(FORMAT);
        out.extend_from_slice(&self.check);
        put_text(&mut out, &self.source);
        put(&mut out, self.skipped);
        put(&mut out, self.entries.len() as u32);
        for entry in &self.entries {
            put_text(&mut out, &entry.name);
            out.push(u8::from(entry.weak));
            out.extend_from_slice(&entry.digest);
        }
        put(&mut out, self.patterns.len() as u32);
        for pattern in &self.patterns {
            pattern.write(&mut out);
        }
        for places in self.grids.all() {
            let (bytes, count) = places.parts();
            put(&mut out, count);
            put(&mut out, bytes.len() as u32);
            out.extend_from_slice(bytes);
        }
        self.contexts.rows().iter().for_each(|row| out.extend_from_slice(&row.to_le_bytes()));
        out
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<SecretSet, SetError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(SetError::NotASet)?;
        let (format, rest) = rest.split_first().ok_or(SetError::NotASet)?;
        if *format != FORMAT {
            return Err(SetError::Format { found: *format });
        }
        let mut reader = Reader(rest);
        let set = reader.set().ok_or(SetError::Damaged)?;
        if reader.0.is_empty() { Ok(set) } else { Err(SetError::Damaged) }
    }
}

trait HoldsEntry {
    fn contains_name_and_value(&self, entry: &Entry) -> bool;
}

impl HoldsEntry for Vec<Entry> {
    fn contains_name_and_value(&self, entry: &Entry) -> bool {
        // Sources repeat a value next to itself at most (one file read twice); looking back a few
        // entries keeps building linear.
        self.iter().rev().take(16).any(|held| held == entry)
    }
}

impl Pattern {
    fn of(hasher: &IndexHasher, entry: u32, form: Form, bytes: &[u8]) -> Option<Pattern> {
        let (at, windows) = (telling_window(bytes), hasher.windows());
        let window: [u8; WINDOW] = bytes.get(at..at + WINDOW)?.try_into().ok()?;
        let mut first: [u8; WINDOW] = bytes.get(..WINDOW)?.try_into().ok()?;
        let pattern = Pattern {
            entry,
            form,
            len: bytes.len() as u32,
            at: u8::try_from(at).ok()?,
            window: WindowHash::print(windows.window(window)),
            opening: WindowHash::print(windows.window(first)),
            classes: classes(&first),
            spaces: bytes.iter().any(u8::is_ascii_whitespace),
            digest: hasher.whole.digest(bytes),
        };
        first.zeroize();
        Some(pattern)
    }

    fn write(&self, out: &mut Vec<u8>) {
        for number in [self.entry, self.len, self.window, self.opening, self.classes] {
            put(out, number);
        }
        out.push(self.at);
        out.push(self.form.code());
        out.push(u8::from(self.spaces));
        out.extend_from_slice(&self.digest);
    }
}

/// Bytes that must follow the place of the window, so that it is found on its grid.
fn need(len: usize) -> usize {
    match len {
        LONG.. => LONG,
        MIDDLING..LONG => MIDDLING,
        _ => WINDOW,
    }
}

/// The window least likely to stand in other text: many different characters, digits among
/// letters. Taken near the start, so that a stream learns early that a tail is harmless.
fn telling_window(bytes: &[u8]) -> usize {
    const REACH: usize = 96;
    let mut counts = [0u8; 256];
    let (mut distinct, mut plain, mut best) = (0i32, 0i32, (i32::MIN, 0));
    let worth = |byte: u8| i32::from(byte.is_ascii_digit()) + i32::from(byte.is_ascii_alphanumeric());
    let room = bytes.len().saturating_sub(need(bytes.len()) - WINDOW);
    for (end, byte) in bytes.iter().enumerate().take(room.min(REACH + WINDOW - 1)) {
        if let Some(count) = counts.get_mut(usize::from(byte.to_ascii_lowercase())) {
            distinct += i32::from(*count == 0);
            *count += 1;
        }
        plain += worth(*byte);
        let Some(start) = (end + 1).checked_sub(WINDOW) else { continue };
        let score = 2 * distinct + plain;
        if score > best.0 {
            best = (score, start);
        }
        let Some(first) = bytes.get(start) else { continue };
        if let Some(count) = counts.get_mut(usize::from(first.to_ascii_lowercase())) {
            *count -= 1;
            distinct -= i32::from(*count == 0);
        }
        plain -= worth(*first);
    }
    counts.zeroize();
    best.1
}

/// Eight classes of four bits; letters are one class, so that case and spelling stay unknown.
pub(crate) fn classes(bytes: &[u8]) -> u32 {
    bytes.iter().take(WINDOW).enumerate().fold(0, |all, (i, byte)| all | class(*byte) << (4 * i))
}

fn class(byte: u8) -> u32 {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        b' ' | b'\t' => 3,
        b'\n' | b'\r' => 4,
        b'-' | b'_' => 5,
        b'+' | b'/' | b'=' => 6,
        b'.' | b',' | b':' | b';' => 7,
        0x80.. => 8,
        _ => 9,
    }
}

fn without_final_breaks(value: &[u8]) -> &[u8] {
    let mut value = value;
    while let [rest @ .., b'\n' | b'\r'] = value {
        value = rest;
    }
    value
}

fn safe_name(name: &str) -> String {
    let safe = |c: char| if c.is_control() || matches!(c, '[' | ']') { '_' } else { c };
    name.chars().map(safe).take(200).collect()
}

fn put(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u32);
    out.extend_from_slice(text.as_bytes());
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn set(&mut self) -> Option<SecretSet> {
        let check = self.array()?;
        let source = self.text()?;
        let skipped = self.number()?;
        let mut entries = Vec::new();
        for _ in 0..self.number()? {
            entries.push(Entry { name: self.text()?.into(), weak: self.flag()?, digest: self.array()? });
        }
        let mut patterns = Vec::new();
        for _ in 0..self.number()? {
            let pattern = self.pattern()?;
            let sound = (pattern.entry as usize) < entries.len()
                && usize::from(pattern.at) + need(pattern.len as usize) <= pattern.len as usize
                && pattern.len as usize <= 4 * MAX_VALUE;
            patterns.push(sound.then_some(pattern)?);
        }
        entries.shrink_to_fit();
        patterns.shrink_to_fit();
        let (coarse, middle) = (self.places()?, self.places()?);
        let (fine, spare) = (self.places()?, self.places()?);
        let grids = Grids { coarse, middle, fine, spare };
        let mut rows = [0; contexts::ROWS];
        for row in &mut rows {
            *row = self.array().map(u64::from_le_bytes)?;
        }
        let contexts = Contexts::from_rows(rows);
        Some(SecretSet { check, source, entries, patterns, grids, contexts, skipped })
    }

    fn places(&mut self) -> Option<Places> {
        let (count, len) = (self.number()?, self.number()? as usize);
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Places::from_bytes(bytes.to_vec(), count)
    }

    fn pattern(&mut self) -> Option<Pattern> {
        Some(Pattern {
            entry: self.number()?,
            len: self.number()?,
            window: self.number()?,
            opening: self.number()?,
            classes: self.number()?,
            at: self.array::<1>()?[0],
            form: Form::from_code(self.array::<1>()?[0])?,
            spaces: self.flag()?,
            digest: self.array()?,
        })
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.array::<1>()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        let len = self.number()? as usize;
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        String::from_utf8(head.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(entries: &[(&str, &str)]) -> SecretSet {
        let entries =
            entries.iter().map(|(name, value)| SecretEntry { name, value: value.as_bytes(), weak: false });
        SecretSet::build(&IndexKey::new([3; 32]), "test", entries)
    }

    #[test]
    fn bytes_come_back_and_damage_is_noticed() {
        let set = set(&[("a", "value-one-1"), ("b", "line one\nline two\n"), ("short", "1234567")]);
        assert_eq!((set.len(), set.skipped()), (2, 1));
        let bytes = set.to_bytes();
        assert_eq!(SecretSet::from_bytes(&bytes), Ok(set));
        for cut in 0..bytes.len() {
            assert!(SecretSet::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(SecretSet::from_bytes(&longer), Err(SetError::Damaged));
        let mut other = bytes;
        other[7] = 9;
        assert_eq!(SecretSet::from_bytes(&other), Err(SetError::Format { found: 9 }));
        assert_eq!(SecretSet::from_bytes(b"hello"), Err(SetError::NotASet));
    }

    #[test]
    fn no_value_and_no_part_of_one_is_in_the_bytes() {
        let value = "xK9#mQ2$vL7@pR4!wN8&";
        let bytes = set(&[("name", value)]).to_bytes();
        for part in value.as_bytes().windows(4) {
            assert!(memchr::memmem::find(&bytes, part).is_none());
        }
    }

    #[test]
    fn rotated_values_are_kept_apart() {
        let old = set(&[("a", "old-value-of-a"), ("b", "value-of-b")]);
        let new = set(&[("a", "new-value-of-a"), ("b2", "value-of-b")]);
        let missing = old.entries_missing_from(&new);
        assert_eq!(missing.names().collect::<Vec<_>>(), [("a", false)]);
        assert_eq!(missing.patterns.len(), set(&[("a", "old-value-of-a")]).patterns.len());
        assert!(missing.entries_missing_from(&old).is_empty());
    }

    #[test]
    fn names_cannot_break_a_placeholder() {
        assert_eq!(set(&[("a]b\n", "long-enough")]).names().next(), Some(("a_b_", false)));
    }
}
