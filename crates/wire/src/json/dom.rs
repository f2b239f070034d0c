//! A tree-like view of the tape for adapters.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::tape::NO_PARENT;
use super::{Kind, Node, Tape, text};

/// Where something belongs in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    At(u64),
    Unsaid,
    /// `1.0`, `"1"`, `-1`, 2^60: some clients take it for the place of something else, some for one of its own.
    Odd,
}

/// Nodes are named by their position on the tape.
#[derive(Clone, Copy)]
pub(crate) struct Dom<'b> {
    pub(crate) bytes: &'b [u8],
    pub(crate) tape: &'b Tape,
}

impl<'b> Dom<'b> {
    pub(crate) fn new(bytes: &'b [u8], tape: &'b Tape) -> Self {
        Self { bytes, tape }
    }

    /// The first document, which is the only one in all but NDJSON.
    pub(crate) fn root(&self) -> Option<usize> {
        self.tape.roots.first().map(|root| *root as usize)
    }

    pub(crate) fn node(&self, at: usize) -> Option<&'b Node> {
        self.tape.nodes.get(at)
    }

    pub(crate) fn kind(&self, at: usize) -> Option<Kind> {
        self.node(at).map(|node| node.kind)
    }

    pub(crate) fn next(&self, at: usize) -> usize {
        self.node(at).map_or(usize::MAX, |node| node.next as usize)
    }

    /// Key and value nodes of an object; nothing for any other kind.
    pub(crate) fn members(self, object: usize) -> impl Iterator<Item = (usize, usize)> + use<'b> {
        let end = if self.kind(object) == Some(Kind::Object) { self.next(object) } else { 0 };
        let mut at = object + 1;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let member = (at, at + 1);
                at = self.next(at + 1);
                member
            })
        })
    }

    /// Elements of an array that have a node: all but short numbers and words.
    pub(crate) fn elements(self, array: usize) -> impl Iterator<Item = usize> + use<'b> {
        let end = if self.kind(array) == Some(Kind::Array) { self.next(array) } else { 0 };
        let mut at = array + 1;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let element = at;
                at = self.next(at);
                element
            })
        })
    }

    /// Every member of that name: which of two duplicates a server takes is its own affair.
    pub(crate) fn all<'n>(self, object: usize, name: &'n str) -> impl Iterator<Item = usize> + use<'b, 'n> {
        self.members(object).filter(move |(key, _)| self.is(*key, name)).map(|(_, value)| value)
    }

    /// The last member of that name, which is the one most readers take.
    pub(crate) fn get(&self, object: usize, name: &str) -> Option<usize> {
        self.all(object, name).last()
    }

    /// Follows names down from `object`.
    pub(crate) fn path(&self, object: usize, names: &[&str]) -> Option<usize> {
        names.iter().try_fold(object, |at, name| self.get(at, name))
    }

    pub(crate) fn raw(&self, at: usize) -> &'b [u8] {
        self.node(at).and_then(|node| self.bytes.get(node.raw())).unwrap_or_default()
    }

    /// Whether the key or string at `at` reads `text`.
    pub(crate) fn is(&self, at: usize, text: &str) -> bool {
        match self.node(at) {
            Some(node) if !matches!(node.kind, Kind::Key | Kind::String) => false,
            Some(node) if node.escaped => text::unescape(self.raw(at)) == text,
            Some(_) => self.raw(at) == text.as_bytes(),
            None => false,
        }
    }

    pub(crate) fn is_any(&self, at: usize, texts: &[&str]) -> bool {
        texts.iter().any(|text| self.is(at, text))
    }

    pub(crate) fn text(&self, at: usize) -> Option<Cow<'b, str>> {
        let node = self.node(at)?;
        matches!(node.kind, Kind::Key | Kind::String).then(|| text::unescape(self.raw(at)))
    }

    pub(crate) fn member_text(&self, object: usize, name: &str) -> Option<Cow<'b, str>> {
        self.get(object, name).and_then(|at| self.text(at))
    }

    /// Whether member `name` of `object` is the string `text`.
    pub(crate) fn member_is(&self, object: usize, name: &str, text: &str) -> bool {
        self.get(object, name).is_some_and(|at| self.is(at, text))
    }

    pub(crate) fn unsigned(&self, at: usize) -> Option<u64> {
        match self.kind(at)? {
            Kind::Number | Kind::LongInteger => std::str::from_utf8(self.raw(at)).ok()?.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn member_unsigned(&self, object: usize, name: &str) -> Option<u64> {
        self.get(object, name).and_then(|at| self.unsigned(at))
    }

    /// A member that says at which place of a list something belongs.
    pub(crate) fn member_place(&self, object: usize, name: &str) -> Place {
        let Some(at) = self.get(object, name).filter(|at| self.kind(*at) != Some(Kind::Null)) else {
            return Place::Unsaid;
        };
        match self.unsigned(at).filter(|place| *place < 1 << 53) {
            Some(place) => Place::At(place),
            None => Place::Odd,
        }
    }

    /// Whether any of these names stands in the object more than once, so that readers differ in which they take.
    pub(crate) fn repeats(&self, object: usize, names: &[&str]) -> bool {
        names.iter().any(|name| self.all(object, name).nth(1).is_some())
    }

    /// Characters of a string; none for anything else.
    pub(crate) fn characters(&self, at: usize) -> usize {
        match self.node(at) {
            Some(node) if node.kind == Kind::String && !node.escaped => {
                self.raw(at).iter().filter(|byte| **byte & 0xC0 != 0x80).count()
            }
            _ => self.text(at).map_or(0, |text| text.chars().count()),
        }
    }

    /// Strings of the subtree at `at` (values, not keys).
    pub(crate) fn strings(self, at: usize) -> impl Iterator<Item = usize> + use<'b> {
        (at..self.next(at).min(self.tape.nodes.len()))
            .filter(move |node| self.kind(*node) == Some(Kind::String))
    }

    /// A JSON pointer to the node; keys for which `plain` says no are shown as `*`.
    pub(crate) fn pointer(&self, at: usize, plain: &mut dyn FnMut(&str) -> bool) -> String {
        let mut steps: Vec<Cow<'b, str>> = Vec::new();
        let mut current = self.node(at).copied();
        // A key stands where its value stands.
        if let Some(key) = current.filter(|node| node.kind == Kind::Key) {
            steps.push(self.step(at, plain));
            current = self.node(key.parent as usize).copied();
        }
        while let Some(node) = current {
            if node.parent == NO_PARENT {
                if self.tape.roots.len() > 1 {
                    steps.push(Cow::Owned(node.slot.to_string()));
                }
                break;
            }
            match self.kind(node.parent as usize) {
                Some(Kind::Object) => steps.push(self.step(node.slot as usize, plain)),
                _ => steps.push(Cow::Owned(node.slot.to_string())),
            }
            current = self.node(node.parent as usize).copied();
        }
        steps.iter().rev().fold(String::new(), |mut pointer, step| {
            let _ = write!(pointer, "/{step}");
            pointer
        })
    }

    fn step(&self, key: usize, plain: &mut dyn FnMut(&str) -> bool) -> Cow<'b, str> {
        let name = self.text(key).unwrap_or_default();
        if !plain(&name) {
            Cow::Borrowed("*")
        } else if name.contains(['~', '/']) {
            Cow::Owned(name.replace('~', "~0").replace('/', "~1"))
        } else {
            name
        }
    }
}
