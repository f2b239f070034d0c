//! YAML text as a tree whose every node knows its line and column, and serde on top of that tree.
//!
//! Exists because a person who mistypes a key must be told where and what was expected. Only what policy
//! files need: the core schema, no tags; aliases are resolved within a bound. Messages never repeat a
//! value, since a value may be a credential pasted into the wrong place.

mod de;
mod faults;
mod nearest;

use std::collections::HashMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError};

pub(crate) use faults::MAX_FAULTS;
pub use nearest::nearest;

/// More nodes than any policy file has; bounds what aliases can expand to.
const MAX_NODES: usize = 200_000;
const MAX_DEPTH: usize = 64;

/// A place in a file; both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize)]
pub struct Mark {
    pub line: u32,
    pub column: u32,
}

/// What is wrong in a YAML text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub mark: Mark,
    /// What was found or expected, without the value itself.
    pub message: String,
    pub hint: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.mark.line, self.mark.column, self.message)
    }
}

impl std::error::Error for Fault {}

#[derive(Clone)]
pub struct Node {
    pub mark: Mark,
    pub kind: Kind,
}

#[derive(Clone)]
pub enum Kind {
    Null,
    Scalar { text: String, plain: bool },
    Seq(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone)]
pub struct Key {
    pub mark: Mark,
    pub text: String,
}

impl Node {
    pub fn field(&self, name: &str) -> Option<&Node> {
        self.entry(name).map(|(_, value)| value)
    }

    pub fn entry(&self, name: &str) -> Option<&(Key, Node)> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|(key, _)| key.text == name),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// The place of a dotted path such as `spec.tiers.1.inherits`; of its deepest part that exists.
    pub fn locate(&self, path: &str) -> Mark {
        let mut node = self;
        let mut mark = self.mark;
        for step in path.split('.').filter(|s| !s.is_empty()) {
            let next = match &node.kind {
                Kind::Seq(items) => {
                    step.parse::<usize>().ok().and_then(|i| items.get(i)).map(|item| (item.mark, item))
                }
                Kind::Map(_) => node.entry(step).map(|(key, value)| (key.mark, value)),
                _ => None,
            };
            let Some((place, child)) = next else { break };
            (mark, node) = (place, child);
        }
        mark
    }

    /// Reads the tree as a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        T::deserialize(de::NodeDeserializer(self)).map_err(|error| error.at(self).fault())
    }

    /// Reads the tree as a `T`, or says everything that keeps it from being one.
    pub fn read_or_all_faults<T: DeserializeOwned>(&self) -> Result<T, Vec<Fault>> {
        T::deserialize(de::NodeDeserializer(self)).map_err(|first| faults::all::<T>(self, first.at(self)))
    }
}

/// Reads one document as a `T`; an empty text reads as an empty mapping.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    single(text)?.read()
}

/// The only document of a text; an empty text is a null node.
pub fn single(text: &str) -> Result<Node, Fault> {
    let mut documents = documents(text)?;
    if let Some(second) = documents.get(1) {
        return Err(Fault {
            mark: second.mark,
            message: "expected one document, found a second one".into(),
            hint: Some("remove the `---` line and what follows it".into()),
        });
    }
    Ok(documents.pop().unwrap_or(Node { mark: Mark { line: 1, column: 1 }, kind: Kind::Null }))
}

/// Every document of a text that is not empty.
pub fn documents(text: &str) -> Result<Vec<Node>, Fault> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax(&error))?;
        let mark = Mark {
            line: u32::try_from(span.start.line()).unwrap_or(u32::MAX),
            column: u32::try_from(span.start.col() + 1).unwrap_or(u32::MAX),
        };
        builder.take(event, mark)?;
    }
    builder.done.retain(|node| !node.is_null());
    Ok(builder.done)
}

fn syntax(error: &ScanError) -> Fault {
    let marker = error.marker();
    Fault {
        mark: Mark {
            line: u32::try_from(marker.line()).unwrap_or(u32::MAX),
            column: u32::try_from(marker.col() + 1).unwrap_or(u32::MAX),
        },
        message: format!("this is not YAML: {}", error.info()),
        hint: Some("check indentation, quotes and colons here and on the line above".into()),
    }
}

/// One open collection.
struct Open {
    mark: Mark,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    Seq(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, key: Option<Key>, seen: HashMap<String, Mark> },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    done: Vec<Node>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, mark: Mark) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), mark)?;
                let plain = matches!(style, ScalarStyle::Plain);
                let kind = if plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
                    Kind::Null
                } else {
                    Kind::Scalar { text: text.into_owned(), plain }
                };
                self.push(Node { mark, kind }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                refuse_tag(tag.is_some(), mark)?;
                self.start(Open { mark, anchor, kind: OpenKind::Seq(Vec::new()) })
            }
            Event::MappingStart(_, anchor, tag) => {
                refuse_tag(tag.is_some(), mark)?;
                self.start(Open {
                    mark,
                    anchor,
                    kind: OpenKind::Map { entries: Vec::new(), key: None, seen: HashMap::new() },
                })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let kind = match open.kind {
                    OpenKind::Seq(items) => Kind::Seq(items),
                    OpenKind::Map { entries, .. } => Kind::Map(entries),
                };
                self.push(Node { mark: open.mark, kind }, open.anchor)
            }
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some(node) => {
                    // What an alias brings counts again, in size and in depth.
                    let (size, depth) = extent(&node);
                    self.nodes += size;
                    if self.open.len() + depth > MAX_DEPTH {
                        return Err(fault(mark, "nested too deeply"));
                    }
                    self.push(node, 0)
                }
                None => Err(fault(mark, "this alias refers to an anchor that is not complete yet")),
            },
            _ => Ok(()),
        }
    }

    fn start(&mut self, open: Open) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(fault(open.mark, "nested too deeply"));
        }
        self.open.push(open);
        Ok(())
    }

    fn push(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(fault(node.mark, "too many values in one file"));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.done.push(node),
            Some(OpenKind::Seq(items)) => items.push(node),
            Some(OpenKind::Map { entries, key, seen }) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => *key = Some(as_key(node, seen)?),
            },
        }
        Ok(())
    }
}

fn as_key(node: Node, seen: &mut HashMap<String, Mark>) -> Result<Key, Fault> {
    let Kind::Scalar { text, .. } = node.kind else {
        return Err(fault(node.mark, "expected a word as key"));
    };
    if let Some(first) = seen.insert(text.clone(), node.mark) {
        return Err(Fault {
            mark: node.mark,
            message: format!("the key `{text}` stands here a second time"),
            hint: Some(format!("the first one is on line {}: keep one of them", first.line)),
        });
    }
    Ok(Key { mark: node.mark, text })
}

fn refuse_tag(tagged: bool, mark: Mark) -> Result<(), Fault> {
    if tagged { Err(fault(mark, "expected a plain value, found a YAML tag (`!…`)")) } else { Ok(()) }
}

/// How many nodes, and how deep.
fn extent(node: &Node) -> (usize, usize) {
    let below = |(size, depth): (usize, usize), child: &Node| {
        let (more, deeper) = extent(child);
        (size + more, depth.max(deeper))
    };
    let (size, depth) = match &node.kind {
        Kind::Seq(items) => items.iter().fold((0, 0), below),
        Kind::Map(entries) => entries.iter().map(|(_, value)| value).fold((0, 0), below),
        _ => (0, 0),
    };
    (size + 1, depth + 1)
}

fn fault(mark: Mark, message: &str) -> Fault {
    Fault { mark, message: message.into(), hint: None }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: String,
        #[serde(default)]
        count: Option<u32>,
        #[serde(default)]
        on: bool,
        #[serde(default)]
        list: Vec<String>,
        #[serde(default)]
        map: BTreeMap<String, u8>,
        #[serde(default)]
        way: Option<Way>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(tag = "method", rename_all = "lowercase", deny_unknown_fields)]
    enum Way {
        Token { token_file: String },
    }

    fn fails(text: &str) -> (u32, u32, String, Option<String>) {
        let fault = from_str::<Sample>(text).unwrap_err();
        (fault.mark.line, fault.mark.column, fault.message, fault.hint)
    }

    #[test]
    fn reads_what_serde_describes() {
        let text = "name: 12\ncount: 3\non: true\nlist: [a, \"b\"]\nmap: {x: 1}\nway: {method: token, token_file: /t}\n";
        let sample: Sample = from_str(text).unwrap();
        assert_eq!(sample.name, "12");
        assert_eq!(sample.count, Some(3));
        assert!(sample.on);
        assert_eq!(sample.list, ["a", "b"]);
        assert_eq!(sample.map["x"], 1);
        assert_eq!(sample.way, Some(Way::Token { token_file: "/t".into() }));
    }

    #[test]
    fn an_unknown_key_is_placed_and_its_neighbour_named() {
        let (line, column, message, hint) = fails("name: x\ncuont: 3\n");
        assert_eq!((line, column), (2, 1));
        assert_eq!(message, "`cuont` is not a key here");
        assert!(hint.unwrap().starts_with("did you mean `count`?"));
    }

    #[test]
    fn an_unknown_key_inside_a_tagged_choice_is_placed() {
        let (line, column, message, hint) =
            fails("name: x\nway:\n  method: token\n  token_fil: /t\n  token_file: /t\n");
        assert_eq!((line, column), (4, 3), "{message}");
        assert_eq!(hint.unwrap(), "did you mean `token_file`? Known here: `token_file`");
    }

    #[test]
    fn a_wrong_type_is_placed_at_the_value_and_never_repeats_it() {
        let (line, column, message, _) = fails("name: x\ncount: hunter2hunter2\n");
        assert_eq!((line, column), (2, 8));
        assert_eq!(message, "expected a whole number, found text");
    }

    #[test]
    fn a_missing_key_is_placed_at_its_mapping() {
        let (line, _, message, _) = fails("\ncount: 1\n");
        assert_eq!((line, message.as_str()), (2, "the key `name` is missing"));
    }

    #[test]
    fn duplicate_keys_tags_and_syntax_errors_are_refused() {
        assert_eq!(fails("name: x\nname: y\n").0, 2);
        assert_eq!(fails("name: !!str x\n").0, 1);
        assert!(fails("name: [x\n").2.starts_with("this is not YAML"));
        assert_eq!(fails("name: x\n---\nname: y\n").0, 3);
    }

    #[test]
    fn many_keys_take_no_long_time() {
        let text: String = (0..60_000).map(|n| format!("k{n}: 1\n")).collect();
        let started = std::time::Instant::now();
        let faults = single(&text).unwrap().read_or_all_faults::<Sample>().unwrap_err();
        assert_eq!(faults.len(), 50);
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }

    #[test]
    fn aliases_expand_within_a_bound() {
        let sample: Sample = from_str("name: &n abc\nlist: [*n, *n]\n").unwrap();
        assert_eq!(sample.list, ["abc", "abc"]);
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 10].join(",");
            bomb.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        assert!(documents(&bomb).err().unwrap().message.contains("too many values"));
        let mut tower = String::from("a0: &a0 x\n");
        for i in 1..200 {
            tower.push_str(&format!("a{i}: &a{i} [[[[*a{}]]]]\n", i - 1));
        }
        assert_eq!(documents(&tower).err().unwrap().message, "nested too deeply");
        let deep = "[".repeat(100_000);
        assert!(documents(&deep).is_err());
    }

    proptest::proptest! {
        /// Whatever a person or an editor leaves behind is an answer with a place, never a crash.
        #[test]
        fn any_text_is_read_or_refused(text in "[-a-zA-Z0-9 :{}\\[\\],&*!|>'\"%@#\\n\\t~?é]{0,200}") {
            if let Err(fault) = documents(&text) {
                proptest::prop_assert!(fault.mark.line >= 1 && fault.mark.column >= 1);
            }
            let _ = crate::config::parse(&text, "c");
            let _ = crate::documents::parse(&text, "d");
        }
    }

    #[test]
    fn null_reads_as_unset_for_collections_and_options() {
        let sample: Sample = from_str("name: x\ncount:\nlist:\nmap: ~\n").unwrap();
        assert_eq!((sample.count, sample.list.len(), sample.map.len()), (None, 0, 0));
        assert_eq!(fails("name:\n").2, "expected text, found nothing");
    }

    #[test]
    fn several_documents_each_know_their_place() {
        let nodes = documents("---\na: 1\n---\nb:\n  - c: 2\n").unwrap();
        assert_eq!(nodes.len(), 2);
        assert_eq!(nodes[1].locate("b.0.c"), Mark { line: 5, column: 5 });
    }
}
