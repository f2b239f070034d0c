//! How far an entry goes that a team left open (`find *`, `git log *`): any words, but not another program, nor a file that
//! the tier keeps from it. An option that an entry itself spells is meant.

use crate::shell::{SimpleCommand, Word};

/// What an option does beyond what its program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beyond {
    /// It runs another program, loads code, or does away with files.
    Runs,
    /// Its value is a file or folder that decides what runs.
    Reads,
    /// Its value is a file that is written.
    Writes,
}

use Beyond::{Reads, Runs, Writes};

/// Options of one program, or of one of its subcommands.
struct Options {
    /// The program, and what must follow it.
    of: &'static [&'static str],
    options: &'static [(&'static str, Beyond)],
}

#[rustfmt::skip]
const OPTIONS: &[Options] = &[
    Options { of: &["find"], options: &[("-delete", Runs), ("-fprint", Writes), ("-fprint0", Writes), ("-fprintf", Writes), ("-fls", Writes)] },
    Options { of: &["sort"], options: &[("-o", Writes), ("--output", Writes), ("--compress-program", Runs)] },
    Options { of: &["rg"], options: &[("--pre", Runs), ("--hostname-bin", Runs)] },
    Options { of: &["git"], options: &[("--output", Writes), ("--ext-diff", Runs), ("--upload-pack", Runs), ("--receive-pack", Runs), ("--template", Reads)] },
    Options { of: &["git", "grep"], options: &[("-O", Runs), ("--open-files-in-pager", Runs)] },
    Options { of: &["git", "rebase"], options: &[("-x", Runs), ("--exec", Runs)] },
    Options { of: &["tar"], options: &[("--to-command", Runs), ("--checkpoint-action", Runs), ("-I", Runs), ("--use-compress-program", Runs),
        ("-F", Runs), ("--info-script", Runs), ("--new-volume-script", Runs), ("--rsh-command", Runs), ("--rmt-command", Runs)] },
    Options { of: &["rsync"], options: &[("-e", Runs), ("--rsh", Runs), ("--rsync-path", Runs)] },
    Options { of: &["scp"], options: &[("-S", Runs), ("-o", Runs), ("-F", Reads), ("-D", Runs)] },
    Options { of: &["sftp"], options: &[("-S", Runs), ("-o", Runs), ("-F", Reads), ("-D", Runs)] },
    Options { of: &["ssh"], options: &[("-o", Runs), ("-F", Reads)] },
    Options { of: &["zip"], options: &[("-TT", Runs), ("--unzip-command", Runs)] },
    Options { of: &["split"], options: &[("--filter", Runs)] },
    Options { of: &["make"], options: &[("-f", Reads), ("--file", Reads), ("--makefile", Reads), ("-C", Reads), ("--directory", Reads), ("--eval", Runs), ("-I", Reads)] },
    Options { of: &["cargo"], options: &[("--config", Runs), ("-Z", Runs), ("--manifest-path", Reads), ("-C", Reads), ("--target-dir", Writes)] },
    Options { of: &["go"], options: &[("-exec", Runs), ("-toolexec", Runs), ("-vettool", Runs), ("-overlay", Reads), ("-modfile", Reads), ("-C", Reads), ("-o", Writes)] },
    Options { of: &["npm"], options: &[("--script-shell", Runs), ("--node-options", Runs), ("--prefix", Reads), ("-C", Reads), ("--userconfig", Reads), ("--globalconfig", Reads)] },
    Options { of: &["pytest"], options: &[("-p", Runs), ("-o", Runs), ("--override-ini", Runs), ("-c", Reads), ("--config-file", Reads), ("--rootdir", Reads),
        ("--confcutdir", Reads), ("--basetemp", Writes), ("--junitxml", Writes), ("--junit-xml", Writes), ("--log-file", Writes)] },
    Options { of: &["eslint"], options: &[("-c", Reads), ("--config", Reads), ("--rulesdir", Reads), ("--resolve-plugins-relative-to", Reads), ("--parser", Reads),
        ("-f", Reads), ("--format", Reads), ("-o", Writes), ("--output-file", Writes)] },
    Options { of: &["prettier"], options: &[("--plugin", Reads), ("--config", Reads), ("--plugin-search-dir", Reads)] },
    Options { of: &["mypy"], options: &[("--python-executable", Runs), ("--config-file", Reads)] },
    Options { of: &["ruff"], options: &[("--config", Reads), ("-o", Writes), ("--output-file", Writes)] },
    Options { of: &["curl"], options: &[("-K", Reads), ("--config", Reads), ("-o", Writes), ("--output", Writes), ("--output-dir", Writes), ("-D", Writes),
        ("--dump-header", Writes), ("-c", Writes), ("--cookie-jar", Writes)] },
];

/// Of these a second plain word is a file that is written.
const WRITES_SECOND: [&str; 1] = ["uniq"];

/// Programs whose options have one dash and many letters, so that none is joined to another.
const ONE_DASH: [&str; 2] = ["find", "go"];

/// Programs whose plain words name what is to be done, so that one more is another thing.
const TASKS: [&str; 18] = [
    "make", "gmake", "bmake", "ninja", "just", "rake", "task", "gradle", "gradlew", "mvn", "mvnw", "ant",
    "tox", "nox", "invoke", "doit", "mage", "bazel",
];

/// An option in a command, and what its value is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'w> {
    pub(super) word: &'w Word,
    pub(super) beyond: Beyond,
    /// None where it is missing, or known only when the command runs.
    pub(super) value: Option<&'w str>,
}

/// What `more`, the words that an open entry did not spell, do beyond what the command is for.
pub(super) fn beyond<'w>(command: &'w SimpleCommand, more: &'w [Word]) -> Vec<Found<'w>> {
    let name = command.name();
    let joins = !ONE_DASH.contains(&name);
    let mut found = Vec::new();
    for options in OPTIONS.iter().filter(|options| speaks_of(options.of, command)) {
        for (at, word) in more.iter().enumerate() {
            if word.text == "--" && name != "find" {
                break;
            }
            let hit = options.options.iter().find_map(|(option, beyond)| {
                let value = given(option, &word.text, joins)?;
                let next = || more.get(at + 1).filter(|next| next.is_static()).map(|next| next.text.as_str());
                Some((*beyond, if value.is_empty() { next() } else { Some(value) }))
            });
            // A plugin that is left out loads nothing.
            let left_out = |value: Option<&str>| value.is_some_and(|value| value.starts_with("no:"));
            if let Some((beyond, value)) = hit.filter(|(_, value)| !left_out(*value)) {
                found.push(Found { word, beyond, value: value.filter(|_| !word.dynamic) });
            }
        }
    }
    if WRITES_SECOND.contains(&name) {
        let mut plain = more.iter().filter(|word| !word.text.starts_with('-') || word.text == "-");
        found.extend(plain.nth(1).map(|word| Found {
            word,
            beyond: Writes,
            value: Some(word.text.as_str()).filter(|_| word.is_static()),
        }));
    }
    found
}

/// Whether a plain word names a further task, or sets a variable for what is run.
pub(super) fn is_task(program: &str, word: &Word) -> bool {
    TASKS.contains(&program) && !word.text.starts_with('-')
}

/// The program by its name, or by that of a module that an interpreter runs; and what follows it.
fn speaks_of(of: &[&str], command: &SimpleCommand) -> bool {
    let Some((program, rest)) = of.split_first() else { return false };
    let arguments = || command.arguments().iter().map(|word| word.text.as_str());
    let by_name = command.name() == *program && arguments().take(rest.len()).eq(rest.iter().copied());
    by_name || (rest.is_empty() && arguments().take(2).eq(["-m", *program]))
}

/// The value that a word gives to an option, empty if it stands in the next one; none where it is another option. Options
/// may be shortened, and letters joined, as most programs let one do.
fn given<'t>(option: &str, text: &'t str, joins: bool) -> Option<&'t str> {
    if text == option {
        return Some("");
    }
    if option.starts_with("--") {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let short = name.len() >= 6 && option.starts_with(name);
        return (name == option || short).then_some(value);
    }
    let letters = text.strip_prefix('-').filter(|letters| !letters.starts_with('-'))?;
    let mut own = option.trim_start_matches('-').chars();
    let letter = own.next()?;
    if !joins || own.next().is_some() {
        return text.strip_prefix(option)?.strip_prefix('=');
    }
    let at = letters.find(letter)?;
    let before = letters.get(..at)?;
    let behind = letters.get(at + letter.len_utf8()..)?;
    before.chars().all(|c| c.is_ascii_alphabetic()).then_some(behind.strip_prefix('=').unwrap_or(behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_seen_in_every_spelling() {
        for (option, text, value) in [
            ("-o", "-o", Some("")),
            ("-o", "-ox", Some("x")),
            ("-o", "-uox", Some("x")),
            ("-o", "--o", None),
            ("-o", "-k2", None),
            ("--output", "--output=x", Some("x")),
            ("--output", "--outp=x", Some("x")),
            ("--output", "--out", None),
            ("--output", "--oneline", None),
            ("-delete", "-delete", Some("")),
            ("-fprint", "-fprint0", None),
            ("-exec", "-exec=x", Some("x")),
        ] {
            assert_eq!(given(option, text, true), value, "{option} {text}");
        }
        assert_eq!(given("-o", "-count", false), None);
        assert_eq!(given("-o", "-o=x", false), Some("x"));
    }
}
