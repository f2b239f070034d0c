//! Entries of allowlists and denylists, held against one simple command or a pipeline.

use super::openings::is_task;
use crate::shell::{SHELLS, SimpleCommand, Word};

/// Folders whose programs are the system's own.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/bin/", "/bin/"];

/// One entry of a list, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) text: String,
    /// One list of words for each command of a pipeline.
    stages: Vec<Vec<String>>,
    /// It ends with ` *`: any further words.
    open: bool,
}

impl Entry {
    pub(super) fn parse(text: &str) -> Entry {
        let mut stages: Vec<Vec<String>> = text
            .split('|')
            .map(|stage| stage.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .filter(|words| !words.is_empty())
            .collect();
        let open = stages
            .last()
            .is_some_and(|words| words.len() > 1 && words.last().is_some_and(|word| word == "*"));
        if open && let Some(last) = stages.last_mut() {
            last.pop();
        }
        Entry { text: text.trim().to_owned(), stages, open }
    }

    /// Whether this entry of an allowlist speaks of the command.
    pub(super) fn allows(&self, command: &SimpleCommand) -> Match {
        let [words] = self.stages.as_slice() else { return Match::No };
        let Some((program, rest)) = words.split_first() else { return Match::No };
        let Some(given) = command.program() else { return Match::No };
        let own = given.text == *program
            || SYSTEM_FOLDERS.iter().any(|folder| given.text.strip_prefix(folder) == Some(program));
        let arguments = command.arguments();
        if !given.is_static() || !own || arguments.len() < rest.len() {
            return Match::No;
        }
        let named = rest
            .iter()
            .zip(arguments)
            .all(|(pattern, word)| word.is_static() && wildcard(pattern, &word.text));
        if !named {
            return Match::No;
        }
        if self.open {
            return Match::Open(rest.len());
        }
        let more = arguments.get(rest.len()..).unwrap_or_default();
        let name = command.name();
        match more.iter().find(|word| !is_harmless(word) || is_task(name, word)) {
            Some(word) => Match::But(word.clone()),
            None => Match::Closed,
        }
    }

    /// Whether this entry of a denylist stands in the line.
    pub(super) fn denies(&self, commands: &[SimpleCommand]) -> bool {
        match self.stages.as_slice() {
            [] => false,
            [words] => commands.iter().any(|command| stage(words, command)),
            stages => commands.iter().enumerate().any(|(at, first)| {
                stages.first().is_some_and(|words| stage(words, first))
                    && follows(
                        stages.get(1..).unwrap_or_default(),
                        first,
                        commands.get(at + 1..).unwrap_or_default(),
                    )
            }),
        }
    }
}

/// What an allowlist's entry says of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Match {
    No,
    /// It would be this entry's but for one word.
    But(Word),
    /// The command, with no more than harmless additions.
    Closed,
    /// The command with whatever follows: this many words of it are spelled.
    Open(usize),
}

/// The other commands of a pipeline, in order, in the same pipeline as the first.
fn follows(stages: &[Vec<String>], first: &SimpleCommand, later: &[SimpleCommand]) -> bool {
    let Some((words, rest)) = stages.split_first() else { return true };
    later.iter().enumerate().any(|(at, command)| {
        command.pipelines.iter().any(|number| first.pipelines.contains(number))
            && stage(words, command)
            && follows(rest, command, later.get(at + 1..).unwrap_or_default())
    })
}

/// One command of a denylist's entry: the program by name wherever it lies, its options in any order and spelling, its
/// other words in order.
fn stage(words: &[String], command: &SimpleCommand) -> bool {
    let Some((program, rest)) = words.split_first() else { return false };
    let name = command.name();
    let denied = program.rsplit('/').next().unwrap_or(program);
    let same = name.eq_ignore_ascii_case(denied) || (SHELLS.contains(&denied) && SHELLS.contains(&name));
    if !same {
        return false;
    }
    let arguments = command.arguments();
    // What is known only when it runs may be what is denied, unless another subcommand stands there in plain sight.
    if arguments.iter().any(|word| word.dynamic) && !rest.is_empty() {
        let subcommand = rest.first().filter(|word| !word.starts_with('-') && denied != "chmod");
        let other = arguments.first().filter(|word| word.is_static() && !word.text.starts_with('-'));
        if subcommand.zip(other).is_none_or(|(named, given)| wildcard(named, &given.text)) {
            return true;
        }
    }
    let mut others = arguments.iter().map(|word| word.text.as_str());
    rest.iter().all(|word| match word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
        Some(letters) => has_option(word, letters, arguments),
        None if denied == "chmod" => arguments.iter().any(|given| same_mode(word, &given.text)),
        None => others.any(|given| wildcard(word, given)),
    })
}

/// Letters that mean the same nearly everywhere, and their long spelling.
const SPELLINGS: [(&str, &str); 3] = [("rR", "--recursive"), ("f", "--force"), ("a", "--all")];

fn has_option(word: &str, letters: &str, arguments: &[Word]) -> bool {
    let given = || arguments.iter().map(|word| word.text.as_str()).take_while(|text| *text != "--");
    // Long options may be shortened.
    let long =
        |full: &str| given().any(|text| text.len() > 3 && text.starts_with("--") && full.starts_with(text));
    let any_of = |own: &str| given().any(|text| cluster(text).contains(|letter| own.contains(letter)));
    if given().any(|text| text == word || text.split_once('=').is_some_and(|(name, _)| name == word)) {
        return true;
    }
    if letters.starts_with('-') {
        let short = SPELLINGS.iter().find(|(_, full)| *full == word);
        return long(word) || short.is_some_and(|(own, _)| any_of(own));
    }
    letters.chars().all(|letter| match SPELLINGS.iter().find(|(own, _)| own.contains(letter)) {
        Some((own, full)) => any_of(own) || long(full),
        None => given().any(|text| cluster(text).contains(letter)),
    })
}

/// The letters of `-abc`.
fn cluster(text: &str) -> &str {
    text.strip_prefix('-').filter(|letters| !letters.starts_with('-')).unwrap_or_default()
}

/// Whether a mode given to `chmod` grants what a denied one does.
fn same_mode(denied: &str, given: &str) -> bool {
    if denied == given {
        return true;
    }
    let octal = |text: &str| u32::from_str_radix(text, 8).ok().filter(|_| (3..=5).contains(&text.len()));
    let executes = match denied.split_once('+') {
        Some((_, letters)) if letters.contains('x') => true,
        _ => return octal(denied).is_some_and(|mode| octal(given) == Some(mode)),
    };
    let symbolic = given.split(',').any(|part| {
        part.split_once(['+', '=']).is_some_and(|(who, letters)| {
            who.chars().all(|c| "ugoa".contains(c)) && letters.contains(['x', 'X', 's', 'u', 'g', 'o'])
        })
    });
    executes && (symbolic || octal(given).is_some_and(|mode| mode & 0o111 != 0))
}

/// Options that choose what is run, or how much is said, with the runners and linters that allowlists name. None
/// of them loads a file, changes a folder or starts another program.
const HARMLESS: [&str; 60] = [
    "--",
    "-v",
    "-vv",
    "-vvv",
    "-q",
    "-qq",
    "-s",
    "-x",
    "-k",
    "-m",
    "-l",
    "-t",
    "-h",
    "--verbose",
    "--quiet",
    "--silent",
    "--help",
    "--version",
    "--watch",
    "--watchAll",
    "--coverage",
    "--ci",
    "--bail",
    "--runInBand",
    "--run",
    "--fix",
    "--color",
    "--no-color",
    "--colors",
    "--tb",
    "--maxfail",
    "--lf",
    "--ff",
    "--last-failed",
    "--failed-first",
    "--durations",
    "--exitfirst",
    "--collect-only",
    "--no-header",
    "--no-summary",
    "--stepwise",
    "--testNamePattern",
    "--testPathPattern",
    "--max-warnings",
    "--passWithNoTests",
    "--updateSnapshot",
    "--if-present",
    "--json",
    "-run",
    "-race",
    "-short",
    "-count",
    "-cover",
    "-timeout",
    "-bench",
    "-benchtime",
    "-failfast",
    "-parallel",
    "-n",
    "--numprocesses",
];

/// Whether a word beside an allowed command changes only what it works on. Paths are looked at by whoever asks.
fn is_harmless(word: &Word) -> bool {
    // `@file` brings further words with some.
    if word.dynamic || word.text.contains("://") || word.text.starts_with('@') {
        return false;
    }
    let Some(option) = word.text.strip_prefix('-').map(|_| word.text.as_str()) else { return true };
    let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
    HARMLESS.contains(&name) && value.is_none_or(|value| !value.contains(['/', '\\']))
}

/// Variables that say how a program talks, not what it runs.
const HARMLESS_VARIABLES: [&str; 22] = [
    "CI",
    "NODE_ENV",
    "FORCE_COLOR",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "TERM",
    "LANG",
    "LANGUAGE",
    "TZ",
    "COLUMNS",
    "LINES",
    "DEBUG",
    "VERBOSE",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "LOG_LEVEL",
    "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE",
    "GOMAXPROCS",
    "JEST_WORKERS",
    "PORT",
];

pub(super) fn is_harmless_variable(name: &str) -> bool {
    HARMLESS_VARIABLES.contains(&name) || name.starts_with("LC_")
}

/// `*` stands for any characters of one word.
pub(super) fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}
