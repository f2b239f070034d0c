//! The compact half of a rule file: one line for each service whose tokens share a shape with many others.
//!
//! A row becomes the same [`Rule`](super::Rule) that a full entry makes, with the same proofs below it:
//! `+` lines are examples, the secret between `{{` and `}}`; `-` lines are near misses; a `@` line is the address
//! where the service says what its tokens look like.

use std::collections::HashMap;
use std::sync::Arc;

use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::{ExtractKind, Extractor};

use super::file::Example;
use super::keywords::SHORTEST;
use super::named::{Following, Gap, Known};

/// The blocks of a file that holds rows and nothing else, without a YAML reader: reading half a megabyte of
/// block scalars by it would be most of the engine's start. Each with its first line's number.
pub(super) fn only_rows(yaml: &str) -> Option<Vec<(bool, u64, &str)>> {
    let mut blocks: Vec<(bool, u64, usize, usize)> = Vec::new();
    let mut at = 0;
    for (line, number) in yaml.split_inclusive('\n').zip(1u64..) {
        let end = at + line.len();
        match line.trim_end() {
            "" => {}
            comment if comment.starts_with('#') => {}
            "named: |" => blocks.push((true, number + 1, end, end)),
            "tokens: |" => blocks.push((false, number + 1, end, end)),
            row if row.starts_with("  ") => blocks.last_mut()?.3 = end,
            _ => return None,
        }
        at = end;
    }
    let block = |(is_named, line, start, end)| Some((is_named, line, yaml.get(start..end)?));
    blocks.into_iter().map(block).collect()
}

/// What a row says, before its regex is read.
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) id: String,
    pub(super) description: String,
    pub(super) keywords: Vec<String>,
    pub(super) pattern: RowPattern,
    /// The longest match there is.
    pub(super) longest: usize,
    pub(super) validator: &'static str,
    pub(super) source: Option<String>,
    pub(super) examples: Vec<Example>,
    pub(super) near_misses: Vec<String>,
}

pub(super) enum RowPattern {
    Own(String),
    /// Behind one of the row's names.
    Named(Arc<Following>),
}

/// `id | description | keyword, keyword | regex of the value [| word]`
pub(super) fn named(
    first_line: u64,
    text: &str,
    parse: impl Fn(&str) -> Result<Hir, String>,
) -> Result<Vec<Row>, (u64, String)> {
    // Hundreds of rows share a body, and reading a regex is what loading a rule costs.
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut followings = Known::default();
    read(first_line, text, |line, fields| {
        let (names, body, is_word) = match fields {
            [names, body] => (names, body, false),
            [names, body, "word"] => (names, body, true),
            _ => return Err((line, "a named row is: id | description | names | value [| word]".to_owned())),
        };
        let keywords: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
        let gap = if is_word { Gap::Strict } else { Gap::Loose };
        let body_longest = match known.get(*body) {
            Some(longest) => *longest,
            None => {
                let longest = parse(body).and_then(|hir| longest(&hir)).map_err(|message| (line, message))?;
                known.insert((*body).to_owned(), longest);
                longest
            }
        };
        let name_longest = keywords.iter().map(String::len).max().unwrap_or_default();
        Ok(Shape {
            longest: name_longest + gap.longest() + body_longest,
            pattern: RowPattern::Named(followings.following(gap, body)),
            keywords,
            validator: if is_word { "named_token" } else { "service_key" },
        })
    })
}

/// `id | description | regex [| validator]`; the keywords are the regex's own beginnings.
pub(super) fn tokens(
    first_line: u64,
    text: &str,
    parse: impl Fn(&str) -> Result<Hir, String>,
) -> Result<Vec<Row>, (u64, String)> {
    read(first_line, text, |line, fields| {
        let (regex, validator) = match fields {
            [regex] => (regex, "token"),
            [regex, validator] => (
                regex,
                super::validators::known(validator)
                    .ok_or_else(|| (line, format!("there is no validator {validator:?}")))?,
            ),
            _ => return Err((line, "a token row is: id | description | regex [| validator]".to_owned())),
        };
        let hir = parse(regex).map_err(|message| (line, message))?;
        let keywords = beginnings(&hir).ok_or_else(|| {
            (
                line,
                format!(
                    "the regex of {} must begin with three letters of its own or more",
                    fields.first().copied().unwrap_or_default()
                ),
            )
        })?;
        // Not `\b`: a token may end in `-` or `=`.
        let end = if regex.ends_with("\\b") { "" } else { r"\b{end-half}" };
        let longest = longest(&hir).map_err(|message| (line, message))?;
        let pattern = RowPattern::Own(format!(r"\b(?:{regex}){end}"));
        Ok(Shape { keywords, longest, pattern, validator })
    })
}

fn longest(hir: &Hir) -> Result<usize, String> {
    match (hir.properties().minimum_len(), hir.properties().maximum_len()) {
        (Some(4..), Some(longest)) => Ok(longest),
        (Some(4..), None) => Err("a row's regex must have a longest match".to_owned()),
        _ => Err("a match must be four characters or more".to_owned()),
    }
}

fn beginnings(hir: &Hir) -> Option<Vec<String>> {
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Prefix).limit_class(8).limit_total(64).limit_literal_len(12);
    let sequence = extractor.extract(hir);
    let words: Option<Vec<String>> = sequence
        .literals()?
        .iter()
        .map(|literal| {
            let word = std::str::from_utf8(literal.as_bytes()).ok()?;
            (word.len() >= SHORTEST).then(|| word.to_ascii_lowercase())
        })
        .collect();
    let mut words = words.filter(|words| !words.is_empty())?;
    words.sort_unstable();
    words.dedup();
    Some(words)
}

struct Shape {
    keywords: Vec<String>,
    longest: usize,
    pattern: RowPattern,
    validator: &'static str,
}

fn read(
    first_line: u64,
    text: &str,
    mut shape: impl FnMut(u64, &[&str]) -> Result<Shape, (u64, String)>,
) -> Result<Vec<Row>, (u64, String)> {
    let mut rows: Vec<Row> = Vec::new();
    for (content, line) in text.lines().zip(first_line..) {
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let orphan = || (line, "an example stands before the first row".to_owned());
        if let Some(example) = content.strip_prefix("+ ") {
            rows.last_mut().ok_or_else(orphan)?.examples.push(marked(example));
        } else if let Some(near_miss) = content.strip_prefix("- ") {
            rows.last_mut().ok_or_else(orphan)?.near_misses.push(unescaped(near_miss));
        } else if let Some(address) = content.strip_prefix("@ ") {
            let source = source(address).map_err(|message| (line, message))?;
            rows.last_mut().ok_or_else(orphan)?.source = Some(source);
        } else {
            let fields: Vec<&str> = content.split(" | ").map(str::trim).collect();
            let [id, description, rest @ ..] = fields.as_slice() else {
                return Err((line, "a row is: id | description | …".to_owned()));
            };
            let Shape { keywords, longest, pattern, validator } = shape(line, rest)?;
            rows.push(Row {
                line,
                id: (*id).to_owned(),
                description: (*description).to_owned(),
                keywords,
                pattern,
                longest,
                validator,
                source: None,
                examples: Vec::new(),
                near_misses: Vec::new(),
            });
        }
    }
    Ok(rows)
}

/// An address that a person can open.
pub(super) fn source(address: &str) -> Result<String, String> {
    let address = address.trim();
    if !address.starts_with("https://") || address.contains(char::is_whitespace) {
        return Err(format!("the source {address:?} must be one address that begins with https://"));
    }
    Ok(address.to_owned())
}

/// `before {{secret}} after`.
fn marked(text: &str) -> Example {
    let parts = text.split_once("{{").and_then(|(before, rest)| {
        let (secret, after) = rest.split_once("}}")?;
        Some((before, secret, after))
    });
    match parts {
        Some((before, secret, after)) => {
            Example { text: unescaped(&format!("{before}{secret}{after}")), finds: Some(secret.to_owned()) }
        }
        None => Example { text: unescaped(text), finds: None },
    }
}

/// A line break can't stand in a row, so it is written `\n`.
fn unescaped(text: &str) -> String {
    text.replace("\\n", "\n")
}
