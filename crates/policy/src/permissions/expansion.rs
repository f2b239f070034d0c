//! What a word of a command line turns into when the shell expands it, as far as the line itself tells.
//!
//! For denials alone: a spelling that is missing here may still be what runs, so nothing is allowed because of it.

use std::collections::BTreeMap;

use super::paths::Places;
use crate::shell::{ShellLine, Word};

/// More spellings of one word, or values of one variable, are not followed.
const MAX_SPELLINGS: usize = 64;
/// Longer words name no file.
const MAX_LENGTH: usize = 4_096;
/// Braces in braces, and values within values.
const MAX_DEPTH: usize = 12;

/// One text that a word may stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spelling {
    pub(super) text: String,
    /// It holds wildcards.
    pub(super) pattern: bool,
}

/// The values that variables take in a line, in any order of its parts.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables(BTreeMap<String, Vec<String>>);

impl Variables {
    pub(super) fn of(line: &ShellLine, places: &Places) -> Variables {
        let mut variables = Variables::default();
        let given = [("HOME", &places.home), ("PWD", &places.cwd)];
        for (name, value) in given.into_iter().filter(|(_, value)| !value.is_empty()) {
            variables.add(name, value.clone());
        }
        let assigned = line.commands.iter().flat_map(|command| &command.assignments);
        for taken in line.takes.iter().chain(assigned) {
            for Spelling { text, .. } in variables.spellings(&taken.value) {
                variables.add(&taken.name, text);
            }
        }
        variables
    }

    fn add(&mut self, name: &str, value: String) {
        let values = self.0.entry(name.to_owned()).or_default();
        if values.len() < MAX_SPELLINGS && value.len() <= MAX_LENGTH && !values.contains(&value) {
            values.push(value);
        }
    }

    /// What a word may stand for; its own text where it holds no expansion. What is not known counts as nothing, as a variable
    /// that is not set does.
    pub(super) fn spellings(&self, word: &Word) -> Vec<Spelling> {
        if word.text.len() > MAX_LENGTH {
            return Vec::new();
        }
        if !word.dynamic {
            return vec![Spelling { text: word.text.clone(), pattern: word.glob }];
        }
        let mut spellings = Vec::new();
        for text in braced(&word.text, 0) {
            for text in self.expanded(&text, 0) {
                let spelling = Spelling { pattern: text.contains(['*', '?', '[']), text };
                if spellings.len() < MAX_SPELLINGS && !spellings.contains(&spelling) {
                    spellings.push(spelling);
                }
            }
        }
        spellings
    }

    /// A text with its expansions done: once for each value that they may have.
    fn expanded(&self, text: &str, depth: usize) -> Vec<String> {
        let mut made = vec![String::new()];
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let behind = rest.get(character.len_utf8()..).unwrap_or_default();
            let (values, after) = match character {
                '"' | '\'' => (Vec::new(), behind),
                '\\' => match behind.chars().next() {
                    Some(escaped) => {
                        (vec![escaped.to_string()], behind.get(escaped.len_utf8()..).unwrap_or_default())
                    }
                    None => (Vec::new(), behind),
                },
                '`' => (Vec::new(), behind.split_once('`').map_or("", |(_, after)| after)),
                '<' | '>' if behind.starts_with('(') => (Vec::new(), closed(behind, '(', ')').1),
                '$' => self.variable(behind, depth),
                other => (vec![other.to_string()], behind),
            };
            rest = after;
            if let [value] = values.as_slice() {
                made.iter_mut().for_each(|text| text.push_str(value));
            } else if !values.is_empty() {
                let each =
                    made.iter().flat_map(|text| values.iter().map(move |value| format!("{text}{value}")));
                made = each.take(MAX_SPELLINGS).collect();
            }
            made.retain(|text| text.len() <= MAX_LENGTH);
        }
        made
    }

    /// What stands behind a `$`: its values, and the text after it.
    fn variable<'t>(&self, behind: &'t str, depth: usize) -> (Vec<String>, &'t str) {
        if behind.starts_with('(') {
            return (Vec::new(), closed(behind, '(', ')').1);
        }
        let word =
            |text: &'t str| text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len());
        let known = |name: &str| self.0.get(name).cloned().unwrap_or_default();
        if !behind.starts_with('{') {
            let (name, after) = behind.split_at(word(behind));
            // `$1`, `$@` and the like are one character.
            let special = behind.chars().next().filter(|c| name.is_empty() && "@*#?!-".contains(*c));
            return match special {
                Some(special) => (Vec::new(), behind.get(special.len_utf8()..).unwrap_or_default()),
                None => (known(name), after),
            };
        }
        let (inside, after) = closed(behind, '{', '}');
        let (name, operator) = inside.split_at(word(inside));
        let mut values = known(name);
        let operator = operator.trim_start_matches(':');
        if let Some(other) = operator.strip_prefix(['-', '=', '+']).filter(|_| depth < MAX_DEPTH) {
            values.extend(self.expanded(other, depth + 1));
        }
        values.truncate(MAX_SPELLINGS);
        (values, after)
    }
}

/// What stands between an opening sign at the start and the one that closes it, and what follows.
fn closed(text: &str, open: char, close: char) -> (&str, &str) {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        if character == open {
            depth += 1;
        } else if character == close {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return (text.get(1..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
            }
        }
    }
    (text.get(1..).unwrap_or_default(), "")
}

/// `a{b,c}d` as `abd` and `acd`. A row such as `{a..c}` is left as it is, and so are the braces of `${…}`.
fn braced(text: &str, depth: usize) -> Vec<String> {
    let opened = text.match_indices('{').find_map(|(at, _)| {
        let (head, rest) = text.split_at_checked(at)?;
        let (inside, after) = closed(rest, '{', '}');
        let choices = choices(inside);
        (!head.ends_with(['$', '\\']) && choices.len() > 1).then_some((head, choices, after))
    });
    match opened.filter(|_| depth < MAX_DEPTH) {
        Some((head, choices, after)) => {
            let each = choices.into_iter().map(|choice| format!("{head}{choice}{after}"));
            each.flat_map(|text| braced(&text, depth + 1)).take(MAX_SPELLINGS).collect()
        }
        None => vec![text.to_owned()],
    }
}

/// Split at commas that stand in no further braces.
fn choices(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut choices) = (0_usize, 0, Vec::new());
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                choices.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    choices.extend(text.get(start..));
    choices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::{Assignment, SimpleCommand};

    fn dynamic(text: &str) -> Word {
        Word { text: text.into(), dynamic: true, glob: false }
    }

    #[test]
    fn a_word_is_spelled_out_as_the_line_tells() {
        let assigned = |name: &str, value: Word| Assignment { name: name.into(), value };
        let line = ShellLine {
            commands: vec![SimpleCommand {
                assignments: vec![
                    assigned("a", Word::plain(".e")),
                    assigned("a", dynamic("${a}nv")),
                    assigned("f", Word::plain("x y")),
                ],
                ..SimpleCommand::default()
            }],
            takes: vec![assigned("f", Word::plain("one")), assigned("f", Word::plain("two"))],
            ..ShellLine::default()
        };
        let places = Places { cwd: "/w".into(), home: "/h".into(), ..Places::default() };
        let variables = Variables::of(&line, &places);
        for (text, expected) in [
            (".{env,x}", vec![".env", ".x"]),
            ("{a,{b,c}d}", vec!["a", "bd", "cd"]),
            ("${x,}{a,b}", vec!["a", "b"]),
            ("{a..c}", vec!["{a..c}"]),
            ("$PWD/.env", vec!["/w/.env"]),
            ("\"${HOME}/x\"", vec!["/h/x"]),
            ("$f.rs", vec!["one.rs", "two.rs", "x y.rs"]),
            ("$a", vec![".e", ".env"]),
            (".e$(echo `x` \"$(y)\")nv", vec![".env"]),
            (".e``n$nothing\\v", vec![".env"]),
            ("${x:-.env}", vec![".env"]),
            ("${x:+$PWD}/.env", vec!["/w/.env"]),
            ("$1$@x", vec!["x"]),
            ("<(cat x)", vec![""]),
            ("${unclosed", vec![""]),
        ] {
            let mut spelled: Vec<_> =
                variables.spellings(&dynamic(text)).into_iter().map(|spelling| spelling.text).collect();
            spelled.sort();
            assert_eq!(spelled, expected, "{text}");
        }
    }

    #[test]
    fn no_word_takes_long() {
        let bomb = "{a,b}".repeat(60);
        assert!(Variables::default().spellings(&dynamic(&bomb)).len() <= MAX_SPELLINGS);
        let nested = "{a,".repeat(1_000);
        Variables::default().spellings(&dynamic(&nested));
    }
}
