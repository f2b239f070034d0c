//! Where a match begins, as seen from its keyword: there, so far before it at most, or anywhere around.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::file::parse_regex;
use super::program::{Program, Set};

/// How a rule's regex is tried around its keyword.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) program: Program,
    pub(super) start: Start,
}

#[derive(Debug)]
pub(super) enum Start {
    /// With what may stand behind each of the keywords.
    Keyword(Vec<Set>),
    /// So many bytes before it at most, and only where what follows the keyword's beginning is the regex's.
    Before {
        most: usize,
        tail: Program,
    },
    Anywhere,
}

impl Trial {
    /// None for a regex that only an engine can run. `groups`: those whose place is wanted.
    pub(super) fn of(regex: &str, keywords: &[String], groups: &[usize]) -> Option<Trial> {
        let hir = parse_regex(regex).ok()?;
        let program = Program::of(&hir, groups)?;
        let parts = flat(&hir);
        let start = match first_part(&parts, keywords) {
            Some((_, Some(0))) => {
                Start::Keyword(keywords.iter().map(|word| program.behind(word.as_bytes())).collect())
            }
            Some((first, Some(most))) => {
                let tail = parts.get(first..).and_then(|tail| Program::of_parts(tail, &[]));
                tail.map_or(Start::Anywhere, |tail| Start::Before { most, tail })
            }
            _ => Start::Anywhere,
        };
        Some(Trial { program, start })
    }
}

/// The first part of a regex that begins with a keyword in every match, and the most bytes that come before it.
fn first_part(parts: &[&Hir], keywords: &[String]) -> Option<(usize, Option<usize>)> {
    let keywords: Vec<Vec<u8>> = keywords.iter().map(|word| word.to_ascii_lowercase().into_bytes()).collect();
    let first =
        (0..parts.len()).find(|first| begins_with(parts.get(*first..).unwrap_or_default(), &keywords))?;
    let before = parts.get(..first).unwrap_or_default();
    Some((first, before.iter().map(|part| part.properties().maximum_len()).sum()))
}

fn flat(hir: &Hir) -> Vec<&Hir> {
    let mut parts = Vec::new();
    flatten(hir, &mut parts);
    parts
}

fn flatten<'h>(hir: &'h Hir, parts: &mut Vec<&'h Hir>) {
    match hir.kind() {
        HirKind::Concat(all) => all.iter().for_each(|part| flatten(part, parts)),
        HirKind::Capture(capture) => flatten(&capture.sub, parts),
        _ => parts.push(hir),
    }
}

/// Whether every text that the parts match begins with one of the keywords, whatever its case.
fn begins_with(parts: &[&Hir], keywords: &[Vec<u8>]) -> bool {
    if !matches!(parts.first().map(|part| part.kind()), Some(kind) if !matches!(kind, HirKind::Look(_) | HirKind::Empty))
    {
        return false;
    }
    let mut heads = Heads { open: vec![Vec::new()], closed: Vec::new() };
    for part in parts {
        heads.extend(part);
        if heads.open.is_empty() {
            break;
        }
    }
    let all: Vec<Vec<u8>> = heads.open.into_iter().chain(heads.closed).collect();
    !all.is_empty() && all.iter().all(|head| keywords.iter().any(|word| head.starts_with(word)))
}

/// How texts may begin, in lower case. What can't be followed any further is closed.
struct Heads {
    open: Vec<Vec<u8>>,
    closed: Vec<Vec<u8>>,
}

impl Heads {
    const LONGEST: usize = 24;
    const MOST: usize = 256;
    /// A class of more bytes is not spelt out.
    const WIDEST: usize = 8;

    fn extend(&mut self, hir: &Hir) {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => literal.0.iter().for_each(|byte| self.push(&[*byte])),
            HirKind::Class(Class::Bytes(class)) => {
                let bytes: Vec<u8> = class.iter().flat_map(|range| range.start()..=range.end()).collect();
                self.push(&bytes);
            }
            HirKind::Class(Class::Unicode(_)) => self.close(),
            HirKind::Capture(capture) => self.extend(&capture.sub),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.extend(part)),
            HirKind::Alternation(parts) => {
                let from = std::mem::take(&mut self.open);
                let mut open = Vec::new();
                for part in parts {
                    self.open = from.clone();
                    self.extend(part);
                    open.append(&mut self.open);
                }
                self.open = open;
            }
            HirKind::Repetition(repetition) if repetition.min == 0 && repetition.max == Some(1) => {
                let without = self.open.clone();
                self.extend(&repetition.sub);
                self.open.extend(without);
            }
            HirKind::Repetition(repetition) => {
                for _ in 0..repetition.min.min(Self::LONGEST as u32) {
                    self.extend(&repetition.sub);
                }
                if repetition.max != Some(repetition.min) {
                    self.close();
                }
            }
        }
        if self.open.len() > Self::MOST {
            self.close();
        }
    }

    /// Every open head with each of the bytes behind it.
    fn push(&mut self, bytes: &[u8]) {
        let mut folded: Vec<u8> = bytes.iter().map(u8::to_ascii_lowercase).collect();
        folded.sort_unstable();
        folded.dedup();
        if folded.len() > Self::WIDEST {
            return self.close();
        }
        let mut open = Vec::new();
        for head in self.open.drain(..) {
            if head.len() >= Self::LONGEST {
                self.closed.push(head);
                continue;
            }
            open.extend(folded.iter().map(|byte| [&head[..], &[*byte]].concat()));
        }
        self.open = open;
    }

    fn close(&mut self) {
        self.closed.append(&mut self.open);
    }
}

#[cfg(test)]
mod tests {
    use super::super::program::Outcome;
    use super::*;

    fn start(regex: &str, keywords: &[&str]) -> Start {
        let keywords: Vec<String> = keywords.iter().map(|word| (*word).to_owned()).collect();
        Trial::of(regex, &keywords, &[]).unwrap().start
    }

    #[test]
    fn the_keyword_says_where_a_match_begins() {
        assert!(matches!(start(r"\b(?:ghp|gho)_\w{36}\b", &["ghp_", "gho_"]), Start::Keyword(_)));
        assert!(matches!(
            start(r"(?i)(?:secret|api[_-]?key)\s=", &["secret", "apikey", "api_key", "api-key"]),
            Start::Keyword(_)
        ));
        assert!(matches!(start(r"\b(?:ghp|gho)_\w{36}\b", &["ghp_"]), Start::Anywhere));
        assert!(matches!(start(r"[a-z]+_key=x", &["_key"]), Start::Anywhere));
        let Start::Before { most: 9, tail } = start(r"[a-z]{0,9}(?:_key|_token)=x", &["_key", "_token"])
        else {
            panic!("up to nine bytes before it");
        };
        let tail = |text: &[u8]| tail.find(text, 0, &mut Default::default(), &mut 100) != Outcome::Nothing;
        assert!(tail(b"_key=x") && !tail(b"_keyx"));
    }
}
