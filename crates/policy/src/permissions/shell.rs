//! A command line held against a tier: every simple command in it must be allowed, and none denied.

use super::commands::{Match, is_harmless_variable};
use super::compiled::Tier;
use super::openings::{self, Beyond};
use super::paths::{Patterns, Places, normalise};
use super::{Denial, DenialRule, FilePath, Granted, Judgement, Wanted};
use crate::shell::{Assignment, Redirection, ShellLine, SimpleCommand, Word, Wraps};

/// Files that are none.
const SINKS: [&str; 4] = ["/dev/null", "/dev/stdout", "/dev/stderr", "/dev/stdin"];

/// Builtins without any effect beyond their own line.
const WITHOUT_EFFECT: [&str; 4] = ["true", "false", ":", "exit"];

/// More changes of folder in one line are not followed.
const MAX_FOLDERS: usize = 8;

pub(super) fn judge(tier: &Tier, granted: Granted<'_>, line: &ShellLine, places: &Places) -> Judgement {
    let mut used = Vec::new();
    if let Some(entry) = tier.no_commands.iter().find(|entry| entry.denies(&line.commands)) {
        // A grant for exactly one plain command may allow even this.
        let wanted = match line.commands.as_slice() {
            [only] => wanted(only),
            _ => None,
        };
        let denial = tier.denial(
            DenialRule::CommandDenied,
            &entry.text,
            format!("`{}` may not run: the tier `{}` denies it.", entry.text, tier.name()),
            "Reach the same end without it, or have the denylist changed.".to_owned(),
            wanted,
        );
        match denial.wanted.as_ref().filter(|wanted| granted(&wanted.target())) {
            Some(wanted) => used.push(wanted.clone()),
            None => return denied(denial),
        }
    }
    if let Some(doubt) = line.doubts.first() {
        return denied(tier.denial(
            DenialRule::CommandUnclear,
            "shell",
            format!("The command may not run: {}.", doubt.sentence()),
            "Write each command out plainly, without variables or expansions in its place, and run them one by one."
                .to_owned(),
            None,
        ));
    }
    let mut folders = vec![places.cwd.clone()];
    for command in &line.commands {
        let judged = Command { tier, places, command, folders: &folders }.denial();
        if let Some(denial) = judged {
            match denial.wanted.clone().filter(|wanted| granted(&wanted.target())) {
                Some(wanted) => used.push(wanted),
                None => return denied(denial),
            }
        }
        follow(command, places, &mut folders);
    }
    Judgement::Allowed { granted: used }
}

fn denied(denial: Denial) -> Judgement {
    Judgement::Denied(Box::new(denial))
}

/// Adds the folder that a `cd` leads to. Which of several holds later is not worked out: all must be allowed.
fn follow(command: &SimpleCommand, places: &Places, folders: &mut Vec<String>) {
    if !is_cd(command) {
        return;
    }
    let target = command.arguments().first().map_or("~", |word| word.text.as_str());
    let more: Vec<String> =
        folders.iter().filter_map(|folder| normalise(target, folder, &places.home)).collect();
    for folder in more {
        if !folders.contains(&folder) && folders.len() < MAX_FOLDERS {
            folders.push(folder);
        }
    }
}

pub(super) fn is_cd(command: &SimpleCommand) -> bool {
    command.program().is_some_and(|program| program.text == "cd")
}

struct Command<'c> {
    tier: &'c Tier,
    places: &'c Places,
    command: &'c SimpleCommand,
    /// Where it may run.
    folders: &'c [String],
}

impl Command<'_> {
    fn denial(&self) -> Option<Denial> {
        let assigned = self.command.assignments.iter().find_map(|one| self.assignment(one));
        let redirected = || self.command.redirections.iter().find_map(|one| self.redirection(one));
        assigned.or_else(redirected).or_else(|| self.program())
    }

    fn assignment(&self, assignment: &Assignment) -> Option<Denial> {
        let name = &assignment.name;
        if is_harmless_variable(name) {
            return None;
        }
        Some(self.no(
            DenialRule::CommandNotAllowed,
            &format!("{name}="),
            format!("The variable `{name}` may not be set beside a command: it can change what runs."),
            "Leave the assignment out.".to_owned(),
        ))
    }

    fn redirection(&self, redirection: &Redirection) -> Option<Denial> {
        let (word, write) = match redirection {
            Redirection::Duplicate | Redirection::Text(_) => return None,
            Redirection::Read(word) => (word, false),
            Redirection::Write(word) => (word, true),
        };
        if !word.is_static() {
            return Some(
                self.no(
                    DenialRule::CommandUnclear,
                    "redirection",
                    "The command may not run: which file it is redirected to is known only when it runs."
                        .to_owned(),
                    "Name the file plainly.".to_owned(),
                ),
            );
        }
        if SINKS.contains(&word.text.as_str()) {
            return None;
        }
        self.folders.iter().find_map(|folder| {
            let places = self.from(folder);
            let path = FilePath::new(word.text.as_str());
            if write { self.tier.writing(&path, &places) } else { self.tier.reading(&path, &places) }
        })
    }

    fn program(&self) -> Option<Denial> {
        let command = self.command;
        let program = command.program()?;
        if command.wraps == Wraps::Transparently || WITHOUT_EFFECT.contains(&program.text.as_str()) {
            return None;
        }
        if is_cd(command) {
            return self.folder();
        }
        if let Some(denial) = self.arguments() {
            return Some(denial);
        }
        // Declarations of variables that were found harmless above.
        let declares = matches!(program.text.as_str(), "export" | "readonly" | "local");
        if declares && command.arguments().is_empty() && !command.assignments.is_empty() {
            return None;
        }
        let (mut but, mut opened) = (None, None);
        for entry in &self.tier.commands {
            match entry.allows(command) {
                Match::Open(spelled) => match self.beyond(&entry.text, spelled) {
                    None => return None,
                    // Another entry may spell it.
                    Some(denial) => opened = opened.or(Some(denial)),
                },
                Match::Closed => return self.paths(),
                Match::But(word) => but = but.or(Some((entry.text.as_str(), word))),
                Match::No => {}
            }
        }
        if let Some(denial) = opened {
            return Some(denial);
        }
        let name: String = command.name().chars().filter(|c| !c.is_control()).take(60).collect();
        let (sentence, way_out) = match but {
            Some((entry, word)) if !word.dynamic && word.text.starts_with('-') => {
                let option: String = word.text.split('=').next().unwrap_or_default().chars().take(40).collect();
                (
                    format!("`{name}` may not run with `{option}`: the tier `{}` allows `{entry}` without it.", self.tier.name()),
                    format!("Leave the option out, or have `{entry} *` added to the allowlist."),
                )
            }
            Some((entry, _)) => (
                format!("`{name}` may not run with what follows `{entry}` here: it is known only when it runs, or leads elsewhere."),
                format!("Write the words out, or have `{entry} *` added to the allowlist."),
            ),
            None => (
                format!("`{name}` may not run: it is not on the allowlist of the tier `{}`.", self.tier.name()),
                "Use a command that the tier allows, have this one added to its allowlist, or ask for elevation (`shell:execute`).".to_owned(),
            ),
        };
        Some(self.no(DenialRule::CommandNotAllowed, &name, sentence, way_out))
    }

    /// What an open entry does not mean: another program, or a file that the tier keeps from it.
    fn beyond(&self, entry: &str, spelled: usize) -> Option<Denial> {
        let more = self.command.arguments().get(spelled..).unwrap_or_default();
        openings::beyond(self.command, more).into_iter().find_map(|found| {
            let file = FilePath::new(found.value.unwrap_or_default());
            let place = || {
                self.folders.iter().find_map(|folder| {
                    let places = self.from(folder);
                    if found.beyond == Beyond::Writes {
                        return self.tier.writing(&file, &places);
                    }
                    let inside = self.tier.read.allow.is_empty()
                        && normalise(&file.written, folder, &places.home)
                            .is_some_and(|path| places.in_workspace(&path));
                    if inside { None } else { self.tier.reading(&file, &places) }
                })
            };
            if found.beyond != Beyond::Runs && found.value.is_some() {
                return place().map(|denial| Denial { wanted: wanted(self.command), ..denial });
            }
            let name: String = self.command.name().chars().filter(|c| !c.is_control()).take(60).collect();
            let option: String =
                found.word.text.split('=').next().unwrap_or_default().chars().take(40).collect();
            Some(self.no(
                DenialRule::CommandNotAllowed,
                &name,
                format!(
                    "`{name}` may not run with `{option}`: it leads further than `{entry}`, which the tier `{}` allows.",
                    self.tier.name()
                ),
                format!("Leave the option out, or have an entry with `{option}` added to the allowlist."),
            ))
        })
    }

    /// `cd` runs nothing, but decides where what follows runs: only to where the tier may read.
    fn folder(&self) -> Option<Denial> {
        match self.command.arguments() {
            [] => self.tier.reading(&FilePath::new("~"), self.places),
            [word] if word.is_static() && !word.text.starts_with('-') => self
                .folders
                .iter()
                .find_map(|folder| self.tier.reading(&FilePath::new(word.text.as_str()), &self.from(folder))),
            _ => Some(self.no(
                DenialRule::CommandUnclear,
                "cd",
                "`cd` may not run: where it leads is known only then.".to_owned(),
                "Name the folder plainly.".to_owned(),
            )),
        }
    }

    /// Files that may not be read, named by any word.
    fn arguments(&self) -> Option<Denial> {
        let deny = &self.tier.read.deny;
        let hit = self.folders.iter().find_map(|folder| names(self.command, deny, &self.from(folder)))?;
        Some(self.tier.denial(
            DenialRule::PathExcluded,
            &hit,
            format!(
                "The command may not run: it names `{hit}`, which the tier `{}` excludes.",
                self.tier.name()
            ),
            "Leave the file out, or have the exclusion changed.".to_owned(),
            wanted(self.command),
        ))
    }

    /// Words behind an allowed command that lead somewhere: only to where the tier may read.
    fn paths(&self) -> Option<Denial> {
        let leading = self.command.arguments().iter().filter(|word| {
            let text = word.text.as_str();
            !text.starts_with('-')
                && (text.contains('/') || text.starts_with('~') || matches!(text, "." | ".."))
        });
        if let Some(denial) = self.links() {
            return Some(denial);
        }
        for word in leading {
            // `tests/test_x.py::test_y`, and Go's `./...`.
            let text = word.text.split("::").next().unwrap_or_default();
            let text = text.strip_suffix("/...").unwrap_or(text);
            // The folder is what counts where the rest is only known then.
            let text = match word.glob.then(|| text.find(['*', '?', '['])).flatten() {
                Some(at) => text
                    .get(..at)
                    .and_then(|head| head.rfind('/').and_then(|end| head.get(..=end)))
                    .unwrap_or("."),
                None => text,
            };
            let path = FilePath::new(text);
            if let Some(denial) = self.folders.iter().find_map(|folder| {
                let places = self.from(folder);
                let inside = self.tier.read.allow.is_empty()
                    && normalise(text, folder, &places.home).is_some_and(|path| places.in_workspace(&path));
                if inside { None } else { self.tier.reading(&path, &places) }
            }) {
                return Some(Denial { wanted: wanted(self.command), ..denial });
            }
        }
        None
    }

    /// Words that are links: only to where the tier may read, whatever they look like.
    fn links(&self) -> Option<Denial> {
        let words = || self.command.arguments().iter().filter(|word| !word.dynamic);
        self.folders.iter().find_map(|folder| {
            let places = self.from(folder);
            words().flat_map(|word| word_leads(word, &places)).find_map(|target| {
                if self.tier.read.allow.is_empty() && places.in_workspace(&target) {
                    return None;
                }
                let denial = self.tier.reading(&FilePath::new(target), &places)?;
                Some(Denial { wanted: wanted(self.command), ..denial })
            })
        })
    }

    fn from(&self, folder: &str) -> Places {
        Places { cwd: folder.to_owned(), ..self.places.clone() }
    }

    fn no(&self, rule: DenialRule, target: &str, sentence: String, way_out: String) -> Denial {
        self.tier.denial(rule, target, sentence, way_out, wanted(self.command))
    }
}

/// What a grant would have to reach; nothing where it can't be said plainly.
fn wanted(command: &SimpleCommand) -> Option<Wanted> {
    let plain = command.words.iter().all(Word::is_static)
        && command.assignments.is_empty()
        && command.redirections.iter().all(|one| matches!(one, Redirection::Duplicate))
        && !command.words.is_empty();
    plain.then(|| Wanted::Command(command.words.iter().map(|word| word.text.clone()).collect()))
}

/// The first file of a set that a line names or reads.
pub(super) fn names_one_of(line: &ShellLine, patterns: &Patterns, places: &Places) -> Option<String> {
    let mut folders = vec![places.cwd.clone()];
    for command in &line.commands {
        let read = || {
            command.redirections.iter().filter_map(|one| match one {
                Redirection::Read(word) => Some(word),
                _ => None,
            })
        };
        let hit = folders.iter().find_map(|folder| {
            let places = Places { cwd: folder.clone(), ..places.clone() };
            names(command, patterns, &places)
                .or_else(|| read().find_map(|word| named(word, patterns, &places, true)))
        });
        if hit.is_some() {
            return hit;
        }
        follow(command, places, &mut folders);
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

/// The file of a set that a command's words name.
fn names(command: &SimpleCommand, patterns: &Patterns, places: &Places) -> Option<String> {
    let name = command.name();
    let reads_folders = FOLDER_READERS.contains(&name);
    let mut searched = SEARCHERS.contains(&name);
    command.arguments().iter().find_map(|word| {
        let looked_for = searched && !word.text.starts_with('-');
        searched &= !looked_for;
        named(word, patterns, places, reads_folders && !looked_for)
    })
}

/// The file of a set that a word names: itself, or what stands behind `=`, `@` or `:`. A bare word such as `secrets`
/// is a folder only where folders are read.
fn named(word: &Word, patterns: &Patterns, places: &Places, folders: bool) -> Option<String> {
    if patterns.is_empty() || word.dynamic || word.text.len() > 4_096 {
        return None;
    }
    let own = parts(&word.text).find_map(|part| {
        if word.glob && part.contains(['*', '?', '[']) {
            return patterns.may_meet(part).map(|_| part.to_owned());
        }
        let path = normalise(part, &places.cwd, &places.home)?;
        let pattern = patterns.deny(&path, places)?;
        (folders || part.contains('/') || !pattern.ends_with("/**")).then_some(path)
    });
    own.or_else(|| word_leads(word, places).into_iter().find(|path| patterns.deny(path, places).is_some()))
}

/// What of a word may be a path: itself, and what stands behind `=`, `@` or `:` or before `:`.
pub(super) fn parts(text: &str) -> impl Iterator<Item = &str> {
    let behind = ['=', '@', ':'].into_iter().filter_map(|sign| text.split_once(sign).map(|(_, rest)| rest));
    let before = text.split_once(':').map(|(head, _)| head);
    std::iter::once(text).chain(behind).chain(before).filter(|part| !part.is_empty())
}

/// Where links lead that a word may name.
fn word_leads(word: &Word, places: &Places) -> Vec<String> {
    if places.links.is_empty() {
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
