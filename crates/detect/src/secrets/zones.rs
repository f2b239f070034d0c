//! The stretches of a text whose readings may differ from it: around escapes and wrapped lines.

use std::ops::Range;

use super::escapes::{Wrap, is_entity, wrap};

/// Escapes that are nearer to each other than this share a stretch.
const APART: usize = 96;
/// How far a stretch reaches before its first escape and past the start of its last: room for every
/// window that an escape of the deepest layer can touch.
const LEAD: usize = 48;
const TRAIL: usize = 64;

/// Sorted by place. Between two of them stands no escape, so a reading may begin or end there.
#[derive(Default)]
pub(super) struct Zones(Vec<Range<usize>>);

impl Zones {
    /// `pluses`: as for [`super::views::Views::of`]. `ends`: where long tokens may end.
    pub(super) fn of(text: &[u8], pluses: bool, ends: &[usize]) -> Zones {
        let mut zones = Zones::default();
        for at in memchr::memchr3_iter(b'\\', b'%', b'&', text) {
            let rest = text.get(at..).unwrap_or_default();
            let escapes = match rest {
                [b'\\', ..] => true,
                [b'%', high, low, ..] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
                [b'&', ..] => is_entity(rest),
                _ => false,
            };
            if escapes {
                zones.add(at, text.len());
            }
        }
        let mut others = Zones::default();
        if pluses {
            memchr::memchr_iter(b'+', text).for_each(|at| others.add(at, text.len()));
        }
        zones.join(others);
        let mut wraps = Zones::default();
        for at in ends {
            let stretch = text.get(*at..(at + 8).min(text.len())).unwrap_or_default();
            let Some(newline) = memchr::memchr(b'\n', stretch).map(|offset| at + offset) else { continue };
            if let Some(Wrap::Is(gap)) = wrap(b"", text, newline) {
                wraps.add(gap.start, text.len());
            }
        }
        zones.join(wraps);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_escapes_share_a_zone_and_far_ones_do_not() {
        let text =
            [&b"a\\n"[..], &[b' '; 50], b"%41", &[b' '; 300], b"&amp; 5 & 6 % 7", &[b' '; 90]].concat();
        let zones: Vec<_> = Zones::of(&text, false, &[]).iter().collect();
        assert_eq!(zones, [0..117, 308..420]);
        let zones = Zones::of(&text, false, &[]);
        assert_eq!(zones.widened(100..310), 0..420);
        assert_eq!(zones.widened(200..210), 200..210);
        assert!(zones.touches(&(100..200)) && !zones.touches(&(117..308)));
    }

    #[test]
    fn a_wrapped_line_is_a_zone() {
        let text = [&[b' '; 100][..], &[b'a'; 24], b"\nx", &[b' '; 100]].concat();
        let ends: Vec<usize> = (0..text.len()).step_by(8).collect();
        assert_eq!(Zones::of(&text, false, &ends).iter().next(), Some(76..188));
    }
}
