//! One pass over the bytes; the result is a flat list of nodes in document order. A subtree is a
//! contiguous stretch of it, so that adapters can walk and mark it without recursion or hashing.

use std::ops::Range;

use super::lex;
use crate::{Limits, Malformed, ReadError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    Key,
    String,
    /// An integer of eight digits or more.
    LongInteger,
    Number,
    True,
    False,
    Null,
}

/// Positions are 32 bit: a body is limited to less than 4 GiB, and nodes are many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) parent: u32,
    /// In an object the node of the key, in an array the position, at the top the document's number.
    pub(crate) slot: u32,
    /// The first node behind this one's subtree.
    pub(crate) next: u32,
    pub(crate) kind: Kind,
    pub(crate) escaped: bool,
}

pub(crate) const NO_PARENT: u32 = u32::MAX;

impl Node {
    /// The bytes of the token; for keys and strings what stands between the quotes.
    pub(crate) fn raw(&self) -> Range<usize> {
        let quotes = usize::from(matches!(self.kind, Kind::Key | Kind::String));
        self.start as usize + quotes..self.end as usize - quotes
    }

    /// The bytes of the token with quotes or brackets.
    pub(crate) fn outer(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// All documents of a body: one as a rule, several in NDJSON and concatenated JSON.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tape {
    pub(crate) nodes: Vec<Node>,
    pub(crate) roots: Vec<u32>,
}

/// Reads every document in `bytes`. What servers put up with is accepted: a byte order mark,
/// duplicate keys, several documents, control characters in strings, Python's NaN.
pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Tape, ReadError> {
    let limit = limits.max_bytes.min(u32::MAX as usize - 1);
    if bytes.len() > limit {
        return Err(ReadError::TooLarge { size: bytes.len(), limit });
    }
    if let Err(broken) = std::str::from_utf8(bytes) {
        return Err(ReadError::NotUtf8 { offset: broken.valid_up_to() });
    }
    let nodes = Vec::with_capacity((bytes.len() / 64).clamp(16, 4096));
    let at = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let mut walker = Walker { bytes, at, limits, nodes, stack: Vec::new() };
    let mut roots = Vec::new();
    while walker.next_document() {
        let root = position(walker.nodes.len());
        walker.document(position(roots.len()))?;
        // Small scalars at the top leave no node behind.
        if position(walker.nodes.len()) > root {
            roots.push(root);
        }
    }
    if roots.is_empty() && walker.at_start() {
        return Err(walker.malformed(bytes.len(), Malformed::UnexpectedEnd));
    }
    Ok(Tape { nodes: walker.nodes, roots })
}

struct Frame {
    node: u32,
    object: bool,
    members: u32,
}

struct Walker<'b> {
    bytes: &'b [u8],
    at: usize,
    limits: &'b Limits,
    nodes: Vec<Node>,
    stack: Vec<Frame>,
}

impl Walker<'_> {
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Skips to the next top-level value; RFC 7464 puts a record separator before each.
    fn next_document(&mut self) -> bool {
        self.space();
        while self.byte() == Some(0x1E) {
            self.at += 1;
            self.space();
        }
        self.byte().is_some()
    }

    fn at_start(&self) -> bool {
        let text = self.bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(self.bytes);
        text.iter().all(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | 0x1E))
    }

    fn malformed(&self, offset: usize, problem: Malformed) -> ReadError {
        ReadError::Malformed { offset, problem }
    }

    fn expected<T>(&self, problem: Malformed) -> Result<T, ReadError> {
        let problem = if self.at >= self.bytes.len() { Malformed::UnexpectedEnd } else { problem };
        Err(self.malformed(self.at, problem))
    }

    /// One top-level value with all it holds.
    fn document(&mut self, number: u32) -> Result<(), ReadError> {
        self.value(number)?;
        while let Some(frame) = self.stack.last_mut() {
            let (first, object, slot) = (frame.members == 0, frame.object, frame.members);
            frame.members += 1;
            self.space();
            let close = if object { b'}' } else { b']' };
            match self.byte() {
                Some(byte) if byte == close => {
                    self.close();
                    continue;
                }
                Some(b',') if !first => {
                    self.at += 1;
                    self.space();
                }
                _ if first => {}
                _ => return self.expected(Malformed::CommaOrClose),
            }
            if object {
                let key = self.key()?;
                self.space();
                self.value(key)?;
            } else {
                self.value(slot)?;
            }
        }
        Ok(())
    }

    fn close(&mut self) {
        self.at += 1;
        let (end, next) = (position(self.at), position(self.nodes.len()));
        if let Some(node) = self.stack.pop().and_then(|frame| self.nodes.get_mut(frame.node as usize)) {
            (node.end, node.next) = (end, next);
        }
    }

    fn key(&mut self) -> Result<u32, ReadError> {
        if self.byte() != Some(b'"') {
            return self.expected(Malformed::Key);
        }
        let key = position(self.nodes.len());
        self.string(Kind::Key, 0)?;
        self.space();
        if self.byte() != Some(b':') {
            return self.expected(Malformed::Colon);
        }
        self.at += 1;
        Ok(key)
    }

    fn value(&mut self, slot: u32) -> Result<(), ReadError> {
        let start = self.at;
        match self.byte() {
            Some(b'"') => self.string(Kind::String, slot),
            Some(open @ (b'{' | b'[')) => {
                if self.stack.len() >= self.limits.max_depth {
                    return Err(ReadError::TooDeep { offset: start, limit: self.limits.max_depth });
                }
                let object = open == b'{';
                let node = position(self.nodes.len());
                self.at += 1;
                self.push(start, if object { Kind::Object } else { Kind::Array }, slot, false)?;
                self.stack.push(Frame { node, object, members: 0 });
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') if self.bytes.get(start + 1) != Some(&b'I') => {
                let (end, long) =
                    lex::number(self.bytes, start).map_err(|(at, what)| self.malformed(at, what))?;
                self.at = end;
                if long {
                    self.push(start, Kind::LongInteger, slot, false)
                } else {
                    self.push_small(start, Kind::Number, slot)
                }
            }
            _ => {
                let Some((word, end)) = lex::word(self.bytes, start) else {
                    return self.expected(Malformed::Value);
                };
                self.at = end;
                let kind = match word {
                    "true" => Kind::True,
                    "false" => Kind::False,
                    "null" => Kind::Null,
                    _ => Kind::Number,
                };
                self.push_small(start, kind, slot)
            }
        }
    }

    fn string(&mut self, kind: Kind, slot: u32) -> Result<(), ReadError> {
        let start = self.at;
        let (end, escaped) = lex::string(self.bytes, start).map_err(|(at, what)| self.malformed(at, what))?;
        self.at = end;
        self.push(start, kind, slot, escaped)
    }

    /// Numbers and words are only of interest as members: vectors of a million floats stay cheap.
    fn push_small(&mut self, start: usize, kind: Kind, slot: u32) -> Result<(), ReadError> {
        if self.stack.last().is_some_and(|frame| frame.object) {
            return self.push(start, kind, slot, false);
        }
        Ok(())
    }

    fn push(&mut self, start: usize, kind: Kind, slot: u32, escaped: bool) -> Result<(), ReadError> {
        if self.nodes.len() >= self.limits.max_strings {
            return Err(ReadError::TooManyStrings { limit: self.limits.max_strings });
        }
        let parent = self.stack.last().map_or(NO_PARENT, |frame| frame.node);
        let next = position(self.nodes.len()) + 1;
        self.nodes.push(Node {
            start: position(start),
            end: position(self.at),
            parent,
            slot,
            next,
            kind,
            escaped,
        });
        Ok(())
    }
}

/// Fits because `parse` refuses bodies that do not, and a node takes at least one byte.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
