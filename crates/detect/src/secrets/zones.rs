//! The stretches of a text whose readings may differ from it: around escapes and wrapped lines.

use std::ops::Range;

use super::contexts::Contexts;
use super::escapes::{Escaped, MARGIN, Wrap, ends_long_token, escape, wrap};
use super::marks::{self, Kinds, Marks};

/// Escapes that are nearer to each other than this share a stretch.
const APART: usize = 96;
/// How far a stretch reaches before its first escape and past the start of its last: room for every
/// window that an escape of the deepest layer can touch.
const LEAD: usize = 48;
const TRAIL: usize = 64;
/// So near behind an escape that counts, another may be read with it by a deeper layer.
const NEAR: usize = 32;

/// Sorted by place. Between two of them stands no escape, so a reading may begin or end there.
#[derive(Default)]
pub(super) struct Zones(Vec<Range<usize>>);

impl Zones {
    /// `pluses`: as for [`super::views::Views::of`].
    pub(super) fn of(text: &[u8], pluses: bool, contexts: &Contexts) -> Zones {
        let quiet = Quiet::of(contexts);
        let last = Last::default();
        let mut escapes =
            Escapes { text, pluses, contexts, quiet: &quiet, last, near: 0, zones: Zones::default() };
        let mut wrapped = Zones::default();
        marks::each(text, &quiet.kinds(), |block, marks| {
            if marks.loud != 0 || block < escapes.near {
                escapes.look_in(block, marks);
            }
            if marks.breaks != 0 {
                wrapped.add_wraps(text, block, marks.breaks);
            }
        });
        let mut zones = escapes.zones;
        let mut others = Zones::default();
        if pluses {
            memchr::memchr_iter(b'+', text).for_each(|at| others.add(at, text.len()));
        }
        zones.join(others);
        zones.join(wrapped);
        zones.join(Zones::of_wide(text));
        zones
    }

    /// Where every other byte is zero: runs of zeros are no text.
    fn of_wide(text: &[u8]) -> Zones {
        let mut zones = Zones::default();
        let zero = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|byte| *byte == 0);
        for at in memchr::memchr_iter(0, text) {
            if (zero(at.checked_sub(2)) || zero(Some(at + 2))) && !zero(Some(at + 1)) {
                zones.add(at, text.len());
            }
        }
        zones
    }

    /// `breaks`: a bit for each place of a block.
    fn add_wraps(&mut self, text: &[u8], block: usize, breaks: u64) {
        let mut breaks = breaks;
        while breaks != 0 {
            if let Some(Wrap::Is { gap, .. }) = wrap(b"", text, block + breaks.trailing_zeros() as usize) {
                self.add(gap.start, text.len());
                self.add(gap.end, text.len());
            }
            breaks &= breaks - 1;
        }
    }

    fn add(&mut self, at: usize, len: usize) {
        let end = (at + TRAIL).min(len);
        match self.0.last_mut() {
            Some(last) if at + TRAIL <= last.end + APART => last.end = end,
            _ => self.0.push(at.saturating_sub(LEAD)..end),
        }
    }

    fn join(&mut self, others: Zones) {
        if others.0.is_empty() {
            return;
        }
        self.0.extend(others.0);
        self.0.sort_unstable_by_key(|zone| zone.start);
        self.0.dedup_by(|next, held| {
            let near = next.start <= held.end + APART - LEAD;
            if near {
                held.end = held.end.max(next.end);
            }
            near
        });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.0.iter().cloned()
    }

    pub(super) fn touches(&self, span: &Range<usize>) -> bool {
        let next = self.0.partition_point(|zone| zone.end <= span.start);
        self.0.get(next).is_some_and(|zone| zone.start < span.end)
    }

    /// The stretch with every zone that it cuts.
    pub(super) fn widened(&self, stretch: Range<usize>) -> Range<usize> {
        let mut wide = stretch;
        let first = self.0.partition_point(|zone| zone.end <= wide.start);
        for zone in self.0.get(first..).unwrap_or_default() {
            if zone.start >= wide.end {
                break;
            }
            wide.start = wide.start.min(zone.start);
            wide.end = wide.end.max(zone.end);
        }
        wide
    }
}

/// So many of the lowest bits.
#[inline(always)]
fn below(count: usize) -> u64 {
    if count < 64 { !(u64::MAX << count) } else { u64::MAX }
}

/// A walk over the escapes of a text that may count, in order.
struct Escapes<'a> {
    text: &'a [u8],
    pluses: bool,
    contexts: &'a Contexts,
    quiet: &'a Quiet,
    last: Last,
    /// Before this place quiet escapes are looked at too.
    near: usize,
    zones: Zones,
}

impl Escapes<'_> {
    #[inline(never)]
    fn look_in(&mut self, block: usize, marks: Marks) {
        let mut left = u64::MAX;
        loop {
            let near = below(self.near.saturating_sub(block));
            let next = (marks.loud | marks.escapes & near) & left;
            if next == 0 {
                return;
            }
            let bit = next.trailing_zeros();
            left = u64::MAX << bit << 1;
            self.look(block + bit as usize);
        }
    }

    /// A quiet escape that ends at `at` and was not looked at.
    fn passed_over(&self, at: usize) -> Option<Last> {
        let new = self.text.get(self.last.end..at)?;
        let (kind, before) = new.split_last().filter(|(kind, _)| self.quiet.has(**kind))?;
        let depth = before.iter().rev().take_while(|byte| **byte == b'\\').count();
        let byte = decoded(*kind).filter(|_| depth > 0)?;
        Some(Last { kind: b'\\', depth, end: at, byte })
    }

    /// More than one backslash at `at` and what follows them, where no value can lie across them in any reading.
    ///
    /// If none holds a backslash, none does while one is left. What follows them comes to stand for `byte` when the last
    /// has gone, unless it is part of no escape. A line feed may go with the last of them and join two lines; not where
    /// there were two or four.
    fn deep(&self, at: usize) -> Option<Last> {
        if !self.quiet.deep || !self.text.get(at..)?.starts_with(br"\\") {
            return None;
        }
        let (depth, kind) = run(self.text, at)?;
        let end = at + depth + 1;
        if matches!(escape(&[b'\\', kind]), Escaped::No) {
            return Some(Last { kind: b'\\', depth: 0, end, byte: 0 });
        }
        let byte = decoded(kind)?;
        let joins = kind == b'n' && !matches!(depth, 2 | 4);
        if joins || matches!(byte, b'\n' | b'\r') && ends_long_token(b"", self.text, at) {
            return None;
        }
        let last = Last { kind: b'\\', depth, end, byte };
        if !self.contexts.hold(byte) {
            return Some(last);
        }
        let before = match self.text.get(at.checked_sub(1)?)? {
            _ if at == self.last.end && depth == self.last.depth => self.last.byte,
            before if at != self.last.end => *before,
            _ => return None,
        };
        let after = match *self.text.get(end)? {
            b'\\' => {
                let (next, kind) = run(self.text, end)?;
                decoded(kind).filter(|_| next == depth)?
            }
            after => after,
        };
        let begins = |byte: u8| begins(byte, self.pluses);
        let held = begins(before) || begins(after) || self.contexts.may_hold(before, byte, after);
        (!held).then_some(last)
    }

    fn look(&mut self, at: usize) {
        let text = self.text;
        if at < self.last.end {
            return;
        }
        if let Some(before) = self.passed_over(at) {
            self.last = before;
        }
        if at >= self.near
            && let Some(last) = self.deep(at)
        {
            self.last = last;
            return;
        }
        let counts = match escape(text.get(at..).unwrap_or_default()) {
            Escaped::No => return,
            Escaped::Perhaps => true,
            Escaped::One { len, byte } => {
                let end = at + usize::from(len);
                let harmless = || harmless(self.contexts, self.pluses, text, at, end, byte, self.last);
                let counts = at < self.near || !harmless();
                self.last = Last { kind: text.get(at).copied().unwrap_or(0), depth: 1, end, byte };
                counts
            }
        };
        if counts {
            self.near = at + NEAR;
            self.zones.add(at, text.len());
            // Where a token was wrapped there, its next line may have a margin.
            if self.last.end > at && matches!(self.last.byte, b'\n' | b'\r') {
                self.zones.add((at + MARGIN).min(text.len()), text.len());
            }
        }
    }
}

/// Backslashes in a row at `at`, and what follows them.
fn run(text: &[u8], at: usize) -> Option<(usize, u8)> {
    let rest = text.get(at..)?;
    let depth = rest.iter().take_while(|byte| **byte == b'\\').count();
    Some((depth, *rest.get(depth)?))
}

/// What a backslash before one of the characters stands for that most texts are full of.
fn decoded(kind: u8) -> Option<u8> {
    Quiet::ALL.into_iter().find(|(of, _)| *of == kind).map(|(_, byte)| byte)
}

/// The escapes of two characters that most texts are full of, where no known value holds what they stand for.
struct Quiet {
    kinds: u128,
    /// No value holds a backslash.
    deep: bool,
}

impl Quiet {
    const ALL: [(u8, u8); 5] = [(b'n', b'\n'), (b'r', b'\r'), (b't', b'\t'), (b'"', b'"'), (b'\'', b'\'')];

    fn of(contexts: &Contexts) -> Quiet {
        let quiet = Quiet::ALL.iter().filter(|(_, byte)| !contexts.hold(*byte));
        let kinds = quiet.fold(0, |all, (kind, _)| all | 1 << kind);
        Quiet { kinds, deep: !contexts.hold_backslash() }
    }

    fn has(&self, kind: u8) -> bool {
        kind < 0x80 && self.kinds >> kind & 1 != 0
    }

    fn kinds(&self) -> Kinds {
        let [n, r, others @ ..] = Quiet::ALL.map(|(kind, _)| if self.has(kind) { kind } else { Kinds::NONE });
        Kinds { breaks: [n, r], others, deep: self.deep }
    }
}

/// The escape before, and what it stands for.
#[derive(Clone, Copy, Default)]
struct Last {
    kind: u8,
    /// Its backslashes, or the one mark of another kind; 0 where it may be read in more than one way.
    depth: usize,
    end: usize,
    byte: u8,
}

/// Whether an escape may begin with it.
fn begins(byte: u8, pluses: bool) -> bool {
    matches!(byte, b'\\' | b'%' | b'&') || pluses && byte == b'+'
}

/// Whether no value can hold the `byte` that the escape at `at` stands for, nor be wrapped there.
fn harmless(
    contexts: &Contexts,
    pluses: bool,
    text: &[u8],
    at: usize,
    end: usize,
    byte: u8,
    last: Last,
) -> bool {
    let begins = |byte: u8| begins(byte, pluses);
    let wraps = matches!(byte, b'\n' | b'\r') && ends_long_token(b"", text, at);
    if wraps || !contexts.hold(byte) {
        return !wraps;
    }
    let kind = text.get(at).copied();
    // What stands beside it may be an escape itself; one of another kind is none in this reading.
    let before = match at.checked_sub(1).and_then(|before| text.get(before)) {
        Some(_) if at == last.end && last.depth == 1 && kind == Some(last.kind) => last.byte,
        Some(before) if at != last.end => *before,
        _ => return false,
    };
    let rest = text.get(end..).unwrap_or_default();
    let after = match (rest.first().copied(), escape(rest)) {
        (first, Escaped::One { byte, .. }) if first == kind => byte,
        (Some(first), Escaped::No) => first,
        _ => return false,
    };
    !(begins(before) || begins(after) || contexts.may_hold(before, byte, after))
}

#[cfg(test)]
mod tests {
    use super::super::contexts::ROWS;
    use super::*;
    use proptest::prelude::*;

    fn everything() -> Contexts {
        Contexts::from_rows([u64::MAX; ROWS])
    }

    #[test]
    fn near_escapes_share_a_zone_and_far_ones_do_not() {
        let text =
            [&b"a\\n"[..], &[b' '; 50], b"%41", &[b' '; 300], b"&amp; 5 & 6 % 7", &[b' '; 90]].concat();
        let zones: Vec<_> = Zones::of(&text, false, &everything()).iter().collect();
        assert_eq!(zones, [0..117, 308..420]);
        let zones = Zones::of(&text, false, &everything());
        assert_eq!(zones.widened(100..310), 0..420);
        assert_eq!(zones.widened(200..210), 200..210);
        assert!(zones.touches(&(100..200)) && !zones.touches(&(117..308)));
    }

    /// As [`Zones::of`], by looking at each place alone.
    fn one_by_one(text: &[u8], pluses: bool, contexts: &Contexts) -> Vec<Range<usize>> {
        let quiet = Quiet::of(contexts);
        let (last, zones) = (Last::default(), Zones::default());
        let mut escapes = Escapes { text, pluses, contexts, quiet: &quiet, last, near: 0, zones };
        memchr::memchr3_iter(b'\\', b'%', b'&', text).for_each(|at| escapes.look(at));
        let (mut zones, mut others, mut wrapped) = (escapes.zones, Zones::default(), Zones::default());
        memchr::memchr_iter(b'+', text).filter(|_| pluses).for_each(|at| others.add(at, text.len()));
        zones.join(others);
        for at in memchr::memchr_iter(b'\n', text) {
            if let Some(Wrap::Is { gap, .. }) = wrap(b"", text, at) {
                wrapped.add(gap.start, text.len());
                wrapped.add(gap.end, text.len());
            }
        }
        zones.join(wrapped);
        zones.0
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let some = [
            "\\n", "\\\\\\\\", "\\\\\"", "n", "\\\"", "\\\\", "\\\\n", "\\t", "\\'", "\\r\\n", "\\d",
            "\\u0041", "\\", "%20", "%0A", "%zz", "%", "&lt;", "&quot;", "&amp;lt;", "&x", "&#39;", "&", ";",
            "\n", "\r\n", "+", "a", "b7", "{", "\u{e9}", "    ", "> ", " 12\t",
        ];
        let long = [" ".repeat(70), "x".repeat(23), "y/Z0".repeat(6), "word ".repeat(8), "q".repeat(40)];
        let all: Vec<String> = some.map(str::to_owned).into_iter().chain(long).collect();
        prop::collection::vec(prop::sample::select(all), 0..40)
            .prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn blocks_tell_what_each_place_alone_would(text in pieces(), value in "[ -~\n\t]{0,12}", pluses: bool) {
            let mut contexts = Contexts::default();
            contexts.add(value.as_bytes());
            for cut in 0..text.len().min(4) {
                let text = &text[cut..];
                let zones: Vec<_> = Zones::of(text, pluses, &contexts).iter().collect();
                prop_assert_eq!(zones, one_by_one(text, pluses, &contexts));
            }
        }
    }

    #[test]
    fn escapes_that_are_passed_over_are_those_that_harm_nobody() {
        let nothing = Contexts::default();
        let zones = |text: &[u8], contexts: &Contexts| Zones::of(text, false, contexts).iter().count();
        for (kind, byte) in Quiet::ALL {
            let text = [b'{', b'\\', kind, b'x'];
            assert!(matches!(escape(&text[1..]), Escaped::One { len: 2, byte: read } if read == byte));
            let deep = [b'{', b'\\', b'\\', kind, b'x'];
            assert_eq!([zones(&text, &nothing), zones(&deep, &nothing)], [0, 0]);
            assert_eq!([zones(&text, &everything()), zones(&deep, &everything())], [1, 1]);
        }
        for text in [r"\\", r"\\\n", r"\"] {
            assert_eq!(zones(text.as_bytes(), &nothing), 1, "{text}");
        }
        for line_end in ["\\nx", "\\\\nx"] {
            let wrapped = [&[b'a'; 24], line_end.as_bytes()].concat();
            assert_eq!([zones(&wrapped, &nothing), zones(&wrapped[1..], &nothing)], [1, 0]);
        }
    }

    #[test]
    fn lines_of_code_are_not_those_of_a_key() {
        let mut contexts = Contexts::default();
        for key in [
            "-----BEGIN KEY-----\nMIIabc0\nxyz/9\n-----END",
            "-----BEGIN KEY-----\r\nMIIabc0\r\nxyz/9\r\n-----END",
        ] {
            contexts.add(key.as_bytes());
        }
        let zones = |text: &str| Zones::of(text.as_bytes(), false, &contexts).iter().count();
        for line in [
            "let x = 1;\\n    let",
            "one\\n  two",
            "end.\\n\\nThe",
            "{\\\\n\\\\n  a",
            "a\\r\\n  b",
            "};\\\\r\\\\n  b",
        ] {
            assert_eq!(zones(line), 0, "{line}");
        }
        for line in ["abc0\\nxyz", "abc0\\\\nxyz", "-\\r\\nM", "-\\\\r\\\\nM", "a\\nb\\u0041", "a\\\\n\\nb"] {
            assert_eq!(zones(line), 1, "{line}");
        }
    }

    #[test]
    fn a_wrapped_line_is_a_zone() {
        let text = [&[b' '; 100][..], &[b'a'; 24], b"\nx", &[b' '; 100]].concat();
        assert_eq!(Zones::of(&text, false, &everything()).iter().next(), Some(76..189));
    }
}
