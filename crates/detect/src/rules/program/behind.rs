//! What may stand behind a text that a regex has begun to match: most tries at a keyword end at the byte after it.

use std::collections::HashSet;

use super::set::Set;
use super::{Program, Step};

/// Steps that are looked at before any byte is taken to be possible.
const MOST_STEPS: usize = 1 << 14;

impl Program {
    /// At least the bytes that may follow `head`, whatever its case, where a match begins with it.
    pub(in crate::rules) fn behind(&self, head: &[u8]) -> Set {
        let mut all = Set::NONE;
        let mut seen = HashSet::new();
        let mut open = vec![(self.start, 0)];
        while let Some((step, at)) = open.pop() {
            if seen.len() > MOST_STEPS {
                return Set::ALL;
            }
            if !seen.insert((step, at)) {
                continue;
            }
            let Some(now) = self.steps.get(step as usize) else { return Set::ALL };
            match *now {
                Step::Match => return Set::ALL,
                Step::Bytes { from, len, next } | Step::Caseless { from, len, next } => {
                    let wanted = self.bytes(from, len);
                    let rest = head.get(at..).unwrap_or_default();
                    if !wanted.iter().zip(rest).all(|(wanted, byte)| wanted.eq_ignore_ascii_case(byte)) {
                        continue;
                    }
                    match wanted.get(rest.len()) {
                        Some(byte) => {
                            let cases = [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()];
                            all = all.with(&Set::of(cases.map(|byte| (byte, byte))));
                        }
                        None => open.push((next, at + wanted.len())),
                    }
                }
                Step::One { set, next } => match head.get(at) {
                    Some(byte) if self.has_either(set, *byte) => open.push((next, at + 1)),
                    Some(_) => {}
                    None => all = all.with(&self.set(set)),
                },
                Step::Run { set, least, most, next, .. } => {
                    let rest = head.get(at..).unwrap_or_default();
                    let (least, most) = (least as usize, most as usize);
                    let run = rest.iter().take(most).take_while(|byte| self.has_either(set, **byte)).count();
                    open.extend((least..=run).map(|run| (next, at + run)));
                    if run == rest.len() && run < most {
                        all = all.with(&self.set(set));
                    }
                }
                Step::Branch { from, len, .. } => {
                    let branches = self.branches.get(from as usize..(from + len) as usize);
                    open.extend(branches.into_iter().flatten().map(|branch| (branch.step, at)));
                }
                Step::Save { next, .. } | Step::Look { next, .. } => open.push((next, at)),
                Step::Enter { test, .. } | Step::Back { test, .. } => open.push((test, at)),
                Step::Test { body, skip, .. } => open.extend([(body.step, at), (skip.step, at)]),
            }
        }
        all
    }

    fn set(&self, set: u16) -> Set {
        self.sets.get(usize::from(set)).copied().unwrap_or(Set::ALL)
    }

    fn has_either(&self, set: u16, byte: u8) -> bool {
        let set = self.set(set);
        set.has(byte.to_ascii_lowercase()) || set.has(byte.to_ascii_uppercase())
    }
}
