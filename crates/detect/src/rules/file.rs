//! Rule files: strict YAML in, one checked [`Rule`] per entry out, or an error with file and line.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use regex_automata::meta;
use regex_automata::util::syntax;
use regex_syntax::hir::{Class, Hir, HirKind};
use sallyport_policy::config::Profile;
use sallyport_policy::{FindingKind, Level, RuleId, Severity};
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::gate::Gate;
use super::keywords::SHORTEST;
use super::named::Following;
use super::program::Set;
use super::reader::Reader;
use super::rows::{self, Row, RowPattern};
use super::starts::{Start, Trial};
use super::validators::{self, Validator};

/// What is wrong with a rule file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}, column {column}: {message}")]
pub struct RuleError {
    pub file: String,
    pub line: u64,
    pub column: u64,
    pub message: String,
}

impl RuleError {
    /// What is wrong with a whole line: its column is where the line begins to say something.
    pub(super) fn at_line(file: &str, yaml: &str, line: u64, message: String) -> RuleError {
        let text = usize::try_from(line).ok().and_then(|line| yaml.lines().nth(line.checked_sub(1)?));
        let column = text.map_or(0, |text| (text.len() - text.trim_start().len() + 1) as u64);
        RuleError { file: file.to_owned(), line, column, message }
    }
}

/// One detection rule. Its regex is compiled; its examples wait for [`super::RuleSet::check`].
#[derive(Debug)]
pub struct Rule {
    pub id: RuleId,
    pub description: String,
    pub severity: Severity,
    pub class: Level,
    pub kind: FindingKind,
    /// The name of the check that each match must pass.
    pub validator: Option<String>,
    /// Bits per character that a value needs at least.
    pub entropy: Option<f32>,
    /// Where its service says what the token looks like; none where no such page was found.
    pub source: Option<String>,
    pub examples: Vec<Example>,
    pub near_misses: Vec<String>,
    /// Only in the strict profile.
    pub strict_only: bool,
    pub(crate) keywords: Vec<String>,
    pub(crate) gate: Option<Gate>,
    pub(crate) pattern: Pattern,
    regex: OnceLock<Option<meta::Regex>>,
    /// Boxed: most rules are never tried.
    trial: OnceLock<Option<Box<Trial>>>,
    /// Bytes of which one must follow a keyword, after the rest of the name it stands in: see [`followed`].
    pub(super) then: Option<Set>,
    /// The finding's span: the first of these capture groups that took part in the match.
    pub(crate) groups: Vec<usize>,
    /// The capture group that must not stay; the rest of the span may, if a known value covers it.
    pub(crate) core: Option<usize>,
    pub(crate) reach: Reach,
    pub(crate) check: Option<Validator>,
    /// Its check is the model's, which is asked once for a value.
    pub(crate) scored: bool,
    /// For a match that holds many values, each of which is judged by the model.
    pub(crate) reader: Option<Reader>,
}

impl Rule {
    /// None only if the pattern is too large, which [`read`] has excluded.
    pub(crate) fn regex(&self) -> Option<&meta::Regex> {
        self.regex.get_or_init(|| compile(&self.pattern()).ok()).as_ref()
    }

    /// How it is tried around a keyword; none if only its regex can say.
    pub(super) fn trial(&self) -> Option<&Trial> {
        let compiled = self.trial.get_or_init(|| {
            let groups: Vec<usize> = self.groups.iter().copied().chain(self.core).collect();
            // A gate that is a text stands where a keyword would.
            let fixed: Vec<String> = self.gate.iter().filter_map(|gate| gate.text()).collect();
            let keywords = if self.gate.is_some() { &fixed } else { &self.keywords };
            Trial::of(&self.pattern(), keywords, &groups).map(Box::new)
        });
        compiled.as_deref()
    }

    /// Whether a match has a longest length, so that a try costs little wherever it is made.
    pub(super) fn is_short(&self) -> bool {
        matches!(self.reach, Reach::Bytes(_))
    }

    /// What may stand behind its keyword of this number. All that a match needs there, as far as one byte tells.
    pub(super) fn behind(&self, keyword: usize) -> Set {
        let then = self.then.map_or(Set::ALL, |then| then.with(&BETWEEN));
        match self.trial().map(|trial| &trial.start) {
            Some(Start::Keyword(behind)) => behind.get(keyword).map_or(then, |behind| behind.and(&then)),
            _ => then,
        }
    }

    /// The whole regex as text.
    pub fn pattern(&self) -> Cow<'_, str> {
        match &self.pattern {
            Pattern::Own(regex) => Cow::Borrowed(regex),
            Pattern::Named(following) => Cow::Owned(following.after(&self.keywords)),
        }
    }
}

/// What may stand between a keyword and the byte that a rule waits for: the rest of a name, its closing quote or
/// bracket, escaped or not, and blanks.
const BETWEEN: Set =
    Set::of_bytes(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-. \t\"'`]\\");

/// What follows a keyword: all bytes up to the first that may not stand in between, and that one.
pub(super) fn followed(text: &[u8], from: usize) -> Set {
    const FURTHEST: usize = 64;
    let mut all = Set::NONE;
    for byte in text.get(from..).unwrap_or_default().iter().take(FURTHEST) {
        all.insert(*byte);
        if !BETWEEN.has(*byte) {
            break;
        }
    }
    all
}

/// How a rule's regex is kept.
#[derive(Debug)]
pub(crate) enum Pattern {
    Own(String),
    /// One of the rule's keywords and what follows it, which many rules share.
    Named(Arc<Following>),
}

/// A text in which a rule must find something, and what exactly if it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    pub text: String,
    pub finds: Option<String>,
}

/// How far from a keyword a match can begin and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Bytes(usize),
    Line,
    Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rules: Vec<Entry>,
    /// Tokens that only a service's name beside them tells.
    #[serde(default)]
    named: Option<Spanned<String>>,
    /// Tokens that begin with letters of their own.
    #[serde(default)]
    tokens: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Spanned<String>,
    description: String,
    #[serde(default)]
    keywords: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    then: Option<Spanned<String>>,
    #[serde(default)]
    gate: Option<Spanned<String>>,
    regex: Spanned<String>,
    #[serde(default)]
    group: Option<Spanned<String>>,
    #[serde(default)]
    core: Option<Spanned<String>>,
    #[serde(default)]
    entropy: Option<f32>,
    #[serde(default)]
    reader: Option<Spanned<String>>,
    #[serde(default)]
    validator: Option<Spanned<String>>,
    severity: Severity,
    class: Level,
    kind: Spanned<FindingKind>,
    #[serde(default)]
    profile: Profile,
    #[serde(default)]
    source: Option<Spanned<String>>,
    examples: Spanned<Vec<ExampleEntry>>,
    near_misses: Spanned<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ExampleEntry {
    Text(String),
    Exact(ExactExample),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExactExample {
    text: String,
    finds: String,
}

/// `compile_now`: regexes are compiled here, to name the line of one that is too large, instead
/// of when they are first needed.
pub(crate) fn read(file: &str, yaml: &str, compile_now: bool) -> Result<Vec<Rule>, RuleError> {
    let fail = |(line, message): (u64, String)| RuleError::at_line(file, yaml, line, message);
    if let Some(blocks) = rows::only_rows(yaml) {
        let mut rules = Vec::new();
        for (is_named, line, text) in blocks {
            rules.extend(rows_rules(is_named, line, text, compile_now).map_err(fail)?);
        }
        return Ok(rules);
    }
    let parsed: File = serde_saphyr::from_str(yaml).map_err(|error| RuleError {
        file: file.to_owned(),
        line: error.location().map_or(0, |location| location.line()),
        column: error.location().map_or(0, |location| location.column()),
        message: without_place(&first_line(&error.without_snippet().to_string())),
    })?;
    let mut rules: Vec<Rule> = parsed
        .rules
        .into_iter()
        .map(|entry| rule(entry, compile_now))
        .collect::<Result<_, _>>()
        .map_err(fail)?;
    for (is_named, rows) in [(false, &parsed.tokens), (true, &parsed.named)] {
        if let Some(rows) = rows {
            let first_line = rows.referenced.line();
            rules.extend(rows_rules(is_named, first_line, &rows.value, compile_now).map_err(fail)?);
        }
    }
    Ok(rules)
}

fn rows_rules(
    is_named: bool,
    first_line: u64,
    text: &str,
    compile_now: bool,
) -> Result<Vec<Rule>, (u64, String)> {
    let (rows, severity) = if is_named {
        (rows::named(first_line, text, parse_regex)?, Severity::High)
    } else {
        (rows::tokens(first_line, text, parse_regex)?, Severity::Critical)
    };
    rows.into_iter().map(|row| row_rule(row, severity, compile_now)).collect()
}

fn row_rule(row: Row, severity: Severity, compile_now: bool) -> Result<Rule, (u64, String)> {
    let line = row.line;
    let id = plain_id(row.id).map_err(|message| (line, message))?;
    let bad_regex = |message: String| (line, format!("the regex of {id}: {message}"));
    let regex = OnceLock::new();
    let pattern = match row.pattern {
        RowPattern::Own(pattern) => Pattern::Own(pattern),
        RowPattern::Named(following) => Pattern::Named(following),
    };
    match &pattern {
        Pattern::Own(pattern) if compile_now => {
            let compiled = compile(pattern).map_err(bad_regex)?;
            regex.get_or_init(|| Some(compiled));
        }
        Pattern::Named(following) if compile_now => following.compile_now().map_err(bad_regex)?,
        _ => {}
    }
    keywords_are_long(&row.keywords).map_err(|message| (line, message))?;
    proofs_are_enough(&id, row.examples.len(), row.near_misses.len())
        .map_err(|(_, message)| (line, message))?;
    Ok(Rule {
        id: RuleId::new(id),
        description: row.description,
        severity,
        class: Level::Restricted,
        kind: FindingKind::Secret,
        validator: Some(row.validator.to_owned()),
        entropy: None,
        source: row.source,
        examples: row.examples,
        near_misses: row.near_misses,
        strict_only: false,
        keywords: row.keywords,
        gate: None,
        groups: if matches!(pattern, Pattern::Named(_)) { vec![1] } else { Vec::new() },
        pattern,
        regex,
        trial: OnceLock::new(),
        then: None,
        core: None,
        reach: Reach::Bytes(row.longest),
        check: validators::named(row.validator),
        scored: false,
        reader: None,
    })
}

fn plain_id(id: String) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if id.is_empty() || !id.chars().all(plain) {
        return Err(format!("the id {id:?} may hold only a-z, 0-9 and _"));
    }
    Ok(id)
}

fn keywords_are_long(keywords: &[String]) -> Result<(), String> {
    match keywords.iter().find(|keyword| keyword.len() < SHORTEST) {
        Some(short) => Err(format!("the keyword {short:?} must be three bytes or more")),
        None => Ok(()),
    }
}

enum Lacks {
    Examples,
    NearMisses,
}

fn proofs_are_enough(id: &str, examples: usize, near_misses: usize) -> Result<(), (Lacks, String)> {
    if examples < 2 {
        return Err((Lacks::Examples, format!("the rule {id} needs two examples or more")));
    }
    if near_misses < 2 {
        return Err((Lacks::NearMisses, format!("the rule {id} needs two near_misses or more")));
    }
    Ok(())
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

/// The place stands before the message already.
fn without_place(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(says, _)| says).to_owned()
}

fn rule(entry: Entry, compile_now: bool) -> Result<Rule, (u64, String)> {
    let id_line = entry.id.referenced.line();
    let fail = |line: u64, message: String| (line, message);
    let id = plain_id(entry.id.value).map_err(|message| fail(id_line, message))?;
    if entry.kind.value == FindingKind::KnownSecret {
        return Err(fail(entry.kind.referenced.line(), "the kind known_secret is not for rules".into()));
    }
    let (keywords, keywords_line) = match entry.keywords {
        Some(keywords) => (keywords.value, keywords.referenced.line()),
        None => (Vec::new(), id_line),
    };
    let gate = match &entry.gate {
        Some(gate) => {
            Some(Gate::parse(&gate.value).map_err(|message| fail(gate.referenced.line(), message))?)
        }
        None => None,
    };
    if keywords.is_empty() == gate.is_none() {
        return Err(fail(id_line, format!("the rule {id} needs either keywords or a gate")));
    }
    keywords_are_long(&keywords).map_err(|message| fail(keywords_line, message))?;
    let then = match &entry.then {
        Some(then) if then.value.is_ascii() && !then.value.is_empty() => {
            Some(Set::of(then.value.bytes().map(|byte| (byte, byte))))
        }
        Some(then) => {
            return Err(fail(then.referenced.line(), "`then` needs one or more ASCII characters".into()));
        }
        None => None,
    };
    let regex_line = entry.regex.referenced.line();
    let bad_regex = |message: String| fail(regex_line, format!("the regex of {id}: {message}"));
    let hir = parse_regex(&entry.regex.value).map_err(bad_regex)?;
    let reach = reach(&hir).map_err(bad_regex)?;
    if gate.is_some() && !matches!(reach, Reach::Bytes(_)) {
        return Err(bad_regex("behind a gate it must have a longest match".into()));
    }
    let regex = OnceLock::new();
    if compile_now {
        let compiled = compile(&entry.regex.value).map_err(bad_regex)?;
        regex.get_or_init(|| Some(compiled));
    }
    let groups_of = |wanted: &Option<Spanned<String>>| match wanted {
        None => Ok(Vec::new()),
        Some(wanted) => {
            let one = |name: &str| {
                find_group(&hir, name).ok_or_else(|| {
                    fail(wanted.referenced.line(), format!("the regex of {id} has no group {name}"))
                })
            };
            wanted.value.split('|').map(one).collect()
        }
    };
    let (groups, core) = (groups_of(&entry.group)?, groups_of(&entry.core)?.first().copied());
    let check = match &entry.validator {
        None => None,
        Some(name) => Some(validators::named(&name.value).ok_or_else(|| {
            fail(
                name.referenced.line(),
                format!("there is no validator {:?}; there are {}", name.value, validators::names()),
            )
        })?),
    };
    let reader = match &entry.reader {
        None => None,
        Some(name) => Some(Reader::named(&name.value).ok_or_else(|| {
            fail(
                name.referenced.line(),
                format!("there is no reader {:?}; there are column, items", name.value),
            )
        })?),
    };
    proofs_are_enough(&id, entry.examples.value.len(), entry.near_misses.value.len()).map_err(
        |(lacks, message)| match lacks {
            Lacks::Examples => fail(entry.examples.referenced.line(), message),
            Lacks::NearMisses => fail(entry.near_misses.referenced.line(), message),
        },
    )?;
    let source = match &entry.source {
        None => None,
        Some(address) => Some(rows::source(&address.value).map_err(|m| fail(address.referenced.line(), m))?),
    };
    let examples = entry.examples.value.into_iter().map(|example| match example {
        ExampleEntry::Text(text) => Example { text, finds: None },
        ExampleEntry::Exact(exact) => Example { text: exact.text, finds: Some(exact.finds) },
    });
    let scored = entry.validator.as_ref().is_some_and(|name| name.value == "scored");
    Ok(Rule {
        scored,
        reader,
        id: RuleId::new(id),
        description: entry.description,
        severity: entry.severity,
        class: entry.class,
        kind: entry.kind.value,
        validator: entry.validator.map(|name| name.value),
        entropy: entry.entropy,
        source,
        examples: examples.collect(),
        near_misses: entry.near_misses.value,
        strict_only: entry.profile == Profile::Strict,
        keywords,
        gate,
        pattern: Pattern::Own(entry.regex.value),
        regex,
        trial: OnceLock::new(),
        then,
        groups,
        core,
        reach,
        check,
    })
}

/// ASCII only: tokens are, and it lets every engine be a DFA.
pub(crate) fn syntax_config() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false)
}

pub(crate) fn parse_regex(pattern: &str) -> Result<Hir, String> {
    syntax::parse_with(pattern, &syntax_config()).map_err(|error| first_meaning(&error.to_string()))
}

#[cfg(test)]
pub(super) fn longest(pattern: &str) -> Option<usize> {
    parse_regex(pattern).ok()?.properties().maximum_len()
}

pub(super) fn compile(pattern: &str) -> Result<meta::Regex, String> {
    meta::Regex::builder()
        .syntax(syntax_config())
        .configure(meta::Config::new().utf8_empty(false).nfa_size_limit(Some(4 << 20)))
        .build(pattern)
        .map_err(|error| first_meaning(&error.to_string()))
}

/// The last line of a parse error is the one that says what is wrong.
fn first_meaning(message: &str) -> String {
    message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

fn find_group(hir: &Hir, wanted: &str) -> Option<usize> {
    match hir.kind() {
        HirKind::Capture(capture) => {
            let named = capture.name.as_deref() == Some(wanted) || capture.index.to_string() == wanted;
            if named { Some(capture.index as usize) } else { find_group(&capture.sub, wanted) }
        }
        HirKind::Repetition(repetition) => find_group(&repetition.sub, wanted),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().find_map(|part| find_group(part, wanted))
        }
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => None,
    }
}

fn reach(hir: &Hir) -> Result<Reach, String> {
    let properties = hir.properties();
    if properties.minimum_len().unwrap_or(0) < 4 {
        return Err("a match must be four characters or more".into());
    }
    Ok(match properties.maximum_len() {
        Some(longest) => Reach::Bytes(longest),
        None if !may_match_newline(hir) => Reach::Line,
        None => Reach::Text,
    })
}

fn may_match_newline(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => literal.0.contains(&b'\n'),
        HirKind::Class(Class::Bytes(class)) => {
            class.iter().any(|range| (range.start()..=range.end()).contains(&b'\n'))
        }
        HirKind::Class(Class::Unicode(class)) => {
            class.iter().any(|range| (range.start()..=range.end()).contains(&'\n'))
        }
        HirKind::Repetition(repetition) => may_match_newline(&repetition.sub),
        HirKind::Capture(capture) => may_match_newline(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(may_match_newline),
    }
}
