//! The stretches of a text whose readings may differ from it: around escapes and wrapped lines.

use std::ops::Range;

use super::contexts::Contexts;
use super::escapes::{Escaped, Wrap, ends_long_token, escape, wrap};
use super::wraps;

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
        let mut zones = Zones::default();
        let mut last = Last { kind: 0, end: 0, byte: 0 };
        let mut counted = None;
        let quiet = Quiet::of(contexts);
        for at in memchr::memchr3_iter(b'\\', b'%', b'&', text) {
            if at < last.end {
                continue;
            }
            let is_near = counted.is_some_and(|counted| at < counted + NEAR);
            if let Some(byte) = quiet.escape(text, at).filter(|_| !is_near) {
                last = Last { kind: b'\\', end: at + 2, byte };
                continue;
            }
            let counts = match escape(text.get(at..).unwrap_or_default()) {
                Escaped::No => continue,
                Escaped::Perhaps => true,
                Escaped::One { len, byte } => {
                    let end = at + usize::from(len);
                    let counts = is_near || !harmless(contexts, pluses, text, at, end, byte, last);
                    last = Last { kind: text.get(at).copied().unwrap_or(0), end, byte };
                    counts
                }
            };
            if counts {
                counted = Some(at);
                zones.add(at, text.len());
            }
        }
        let mut others = Zones::default();
        if pluses {
            memchr::memchr_iter(b'+', text).for_each(|at| others.add(at, text.len()));
        }
        zones.join(others);
        let mut wrapped = Zones::default();
        wraps::each(text, |newline| {
            if let Some(Wrap::Is(gap)) = wrap(b"", text, newline) {
                wrapped.add(gap.start, text.len());
            }
        });
        zones.join(wrapped);
        zones
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

/// The escapes of two characters that most texts are full of, where no known value holds what they stand for.
struct Quiet(u128);

impl Quiet {
    const ALL: [(u8, u8); 5] = [(b'n', b'\n'), (b'r', b'\r'), (b't', b'\t'), (b'"', b'"'), (b'\'', b'\'')];

    fn of(contexts: &Contexts) -> Quiet {
        let quiet = Quiet::ALL.iter().filter(|(_, byte)| !contexts.hold(*byte));
        Quiet(quiet.fold(0, |all, (kind, _)| all | 1 << kind))
    }

    /// What such an escape at `at` stands for; none where a value may be wrapped.
    #[inline(always)]
    fn escape(&self, text: &[u8], at: usize) -> Option<u8> {
        let [b'\\', kind @ ..=0x7f] = *text.get(at..)?.first_chunk()? else { return None };
        if self.0 >> kind & 1 == 0 {
            return None;
        }
        match kind {
            b'n' | b'r' if ends_long_token(b"", text, at) => None,
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            b't' => Some(b'\t'),
            mark => Some(mark),
        }
    }
}

/// The escape before, and what it stands for.
#[derive(Clone, Copy)]
struct Last {
    kind: u8,
    end: usize,
    byte: u8,
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
    let begins = |byte: u8| matches!(byte, b'\\' | b'%' | b'&') || pluses && byte == b'+';
    let wraps = matches!(byte, b'\n' | b'\r') && ends_long_token(b"", text, at);
    if wraps || !contexts.hold(byte) {
        return !wraps;
    }
    let kind = text.get(at).copied();
    // What stands beside it may be an escape itself; one of another kind is none in this reading.
    let before = match at.checked_sub(1).and_then(|before| text.get(before)) {
        Some(_) if at == last.end && kind == Some(last.kind) => last.byte,
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

    #[test]
    fn escapes_that_are_passed_over_are_those_that_harm_nobody() {
        let nothing = Contexts::default();
        let quiet = Quiet::of(&nothing);
        for (kind, byte) in Quiet::ALL {
            let text = [b'{', b'\\', kind, b'x'];
            assert_eq!(quiet.escape(&text, 1), Some(byte));
            assert!(matches!(escape(&text[1..]), Escaped::One { len: 2, byte: read } if read == byte));
            assert_eq!(Quiet::of(&everything()).escape(&text, 1), None);
        }
        for text in [r"\\", r"\u000a", r"\x0a", r"\", "%0a"] {
            assert_eq!(quiet.escape(text.as_bytes(), 0), None, "{text}");
        }
        let wrapped = [&[b'a'; 24][..], br"\nx"].concat();
        assert_eq!(quiet.escape(&wrapped, 24), None);
    }

    #[test]
    fn a_wrapped_line_is_a_zone() {
        let text = [&[b' '; 100][..], &[b'a'; 24], b"\nx", &[b' '; 100]].concat();
        assert_eq!(Zones::of(&text, false, &everything()).iter().next(), Some(76..188));
    }
}
