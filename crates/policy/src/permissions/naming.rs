//! Which file of a set a command line names: by a word, in any spelling that the line itself tells, by what is fed to a
//! program, or within code.

use super::expansion::{Spelling, Variables};
use super::paths::{Patterns, Places, normalise};
use crate::shell::{Redirection, ShellLine, SimpleCommand, Word};

/// Whether a file may be named all the same.
pub(super) type Passes<'p> = &'p dyn Fn(&str) -> bool;

/// More changes of folder in one line are not followed.
const MAX_FOLDERS: usize = 8;

/// Longer code is not searched for names of files.
const MAX_CODE: usize = 64 << 10;

/// The first file of a set that a line names or reads, but for those that `passes` lets pass.
pub(super) fn names_one_of(
    line: &ShellLine,
    patterns: &Patterns,
    places: &Places,
    passes: Passes<'_>,
) -> Option<String> {
    let mut folders = vec![places.cwd.clone()];
    let variables = Variables::of(line, places);
    for command in &line.commands {
        let read = || {
            command.redirections.iter().filter_map(|one| match one {
                Redirection::Read(word) => Some(word),
                _ => None,
            })
        };
        let hit = folders.iter().find_map(|folder| {
            let places = Places { cwd: folder.clone(), ..places.clone() };
            names(command, &variables, patterns, &places, passes).or_else(|| {
                let naming = Naming {
                    variables: &variables,
                    patterns,
                    places: &places,
                    passes,
                    folders: true,
                    any: true,
                };
                read().find_map(|word| naming.of(word))
            })
        });
        if hit.is_some() {
            return hit;
        }
        follow(command, &variables, places, &mut folders);
    }
    None
}

/// Programs that read folders that they are given by name.
const FOLDER_READERS: [&str; 22] = [
    "cat", "ls", "tar", "cp", "mv", "zip", "find", "rsync", "head", "tail", "tree", "less", "more", "grep",
    "rg", "ag", "scp", "xxd", "base64", "strings", "bat", "cd",
];
/// Of these the first word is what is looked for.
const SEARCHERS: [&str; 3] = ["grep", "rg", "ag"];

/// Programs that are told files and look at their names alone.
const NAME_READERS: [&str; 16] = [
    "ls", "echo", "printf", "test", "[", "stat", "basename", "dirname", "realpath", "readlink", "mkdir",
    "touch", "rm", "rmdir", "chmod", "chown",
];
/// Programs that are given code, in which files are named.
const INTERPRETERS: [&str; 12] =
    ["python", "pypy", "node", "deno", "bun", "perl", "ruby", "php", "lua", "awk", "gawk", "sed"];

/// The file of a set that a command's words name, or the text that it is fed with.
pub(super) fn names(
    command: &SimpleCommand,
    variables: &Variables,
    patterns: &Patterns,
    places: &Places,
    passes: Passes<'_>,
) -> Option<String> {
    let name = command.name();
    let naming = |folders, any| Naming { variables, patterns, places, passes, folders, any };
    let reads_folders = FOLDER_READERS.contains(&name);
    let any = !NAME_READERS.contains(&name);
    let mut searched = SEARCHERS.contains(&name);
    let own = command.arguments().iter().find_map(|word| {
        let looked_for = searched && !word.text.starts_with('-');
        searched &= !looked_for;
        naming(reads_folders && !looked_for, any).of(word)
    });
    let fed = || command.redirections.iter().filter_map(Redirection::text);
    let interpreter = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let code = INTERPRETERS.contains(&interpreter);
    own.or_else(|| fed().find_map(|word| naming(false, any).of(word))).or_else(|| {
        let given = command.arguments().iter().chain(fed()).filter(|_| code);
        given.into_iter().find_map(|word| naming(false, any).in_code(&word.text))
    })
}

/// How a word may name a file of a set.
struct Naming<'n> {
    variables: &'n Variables,
    patterns: &'n Patterns,
    places: &'n Places,
    passes: Passes<'n>,
    /// A bare word such as `secrets` is a folder.
    folders: bool,
    /// A star alone means every file.
    any: bool,
}

impl Naming<'_> {
    /// The file that a word names: itself, or what stands behind `=`, `@` or `:`.
    fn of(&self, word: &Word) -> Option<String> {
        if self.patterns.is_empty() {
            return None;
        }
        let spelled = self.variables.spellings(word);
        // What stands behind an address is no file of this machine.
        let here = |text: &str| !text.starts_with("https://") && !text.starts_with("http://");
        let own = spelled
            .iter()
            .filter(|spelling| here(&spelling.text))
            .find_map(|Spelling { text, pattern }| parts(text).find_map(|part| self.part(part, *pattern)));
        let leads = || word_leads(word, self.places);
        let sealed = |path: &String| self.patterns.deny(path, self.places).is_some() && !(self.passes)(path);
        own.or_else(|| leads().into_iter().find(sealed))
    }

    fn part(&self, part: &str, pattern: bool) -> Option<String> {
        if pattern && part.contains(['*', '?', '[']) {
            let star = part.rsplit('/').next() == Some("*");
            let meets =
                self.patterns.may_meet(part).is_some_and(|_| self.any || !star) && !(self.passes)(part);
            return meets.then(|| part.to_owned());
        }
        // Below another user's home, or a folder that the shell remembers: the rest is known.
        let below = part.strip_prefix('~').and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)));
        let path =
            normalise(part, &self.places.cwd, &self.places.home).or_else(|| below.map(str::to_owned))?;
        let pattern = self.patterns.deny(&path, self.places)?;
        let named = self.folders || part.contains('/') || !pattern.ends_with("/**");
        (named && !(self.passes)(&path)).then_some(path)
    }

    /// The file that a text in another language names: anything in it that quotes and brackets set apart.
    fn in_code(&self, code: &str) -> Option<String> {
        if self.patterns.is_empty() || code.len() > MAX_CODE {
            return None;
        }
        let apart = |c: char| c.is_whitespace() || "'\"`()[]{},;".contains(c);
        code.split(apart).filter(|token| !token.is_empty()).find_map(|token| self.part(token, false))
    }
}

/// What of a word may be a path: itself, and what stands behind `=`, `@` or `:` or before `:`.
pub(super) fn parts(text: &str) -> impl Iterator<Item = &str> {
    let behind = ['=', '@', ':'].into_iter().filter_map(|sign| text.split_once(sign).map(|(_, rest)| rest));
    let before = text.split_once(':').map(|(head, _)| head);
    std::iter::once(text).chain(behind).chain(before).filter(|part| !part.is_empty())
}

/// Where links lead that a word may name.
pub(super) fn word_leads(word: &Word, places: &Places) -> Vec<String> {
    if places.links.is_empty() || word.dynamic {
        return Vec::new();
    }
    let leads = parts(&word.text).flat_map(|part| {
        if word.glob && part.contains(['*', '?', '[']) {
            return places.pattern_leads(part);
        }
        match normalise(part, &places.cwd, &places.home) {
            Some(path) => places.leads(&path).collect(),
            None => Vec::new(),
        }
    });
    leads.map(str::to_owned).collect()
}

/// Adds the folder that a `cd` leads to. Which of several holds later is not worked out: all must be allowed.
pub(super) fn follow(
    command: &SimpleCommand,
    variables: &Variables,
    places: &Places,
    folders: &mut Vec<String>,
) {
    if !is_cd(command) {
        return;
    }
    let home = || vec![Spelling { text: "~".to_owned(), pattern: false }];
    let targets = command.arguments().first().map_or_else(home, |word| variables.spellings(word));
    let reached = |target: &Spelling| {
        let from = folders.iter().filter_map(|folder| normalise(&target.text, folder, &places.home));
        from.collect::<Vec<_>>()
    };
    let more: Vec<String> = targets.iter().flat_map(reached).collect();
    for folder in more {
        if !folders.contains(&folder) && folders.len() < MAX_FOLDERS {
            folders.push(folder);
        }
    }
}

pub(super) fn is_cd(command: &SimpleCommand) -> bool {
    command.program().is_some_and(|program| matches!(program.text.as_str(), "cd" | "pushd"))
}
