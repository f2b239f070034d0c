//! A command line held against a tier: every simple command in it must be allowed, and none denied.

use super::commands::{Match, is_harmless_variable};
use super::compiled::{Open, Tier, both};
use super::expansion::Variables;
use super::naming::{follow, is_cd, names, word_leads};
use super::openings::{self, Beyond};
use super::paths::{Places, normalise};
use super::{Denial, DenialRule, FilePath, Wanted};
use crate::shell::{Assignment, Redirection, ShellLine, SimpleCommand, Word, Wraps};

/// Files that are none.
const SINKS: [&str; 4] = ["/dev/null", "/dev/stdout", "/dev/stderr", "/dev/stdin"];

/// Files without anything of anybody's in them.
const SOURCES: [&str; 3] = ["/dev/zero", "/dev/random", "/dev/urandom"];

/// For files that a command names: what a person grants there is the command.
const CLOSED: Open<'static> = &|_| false;

/// Builtins without any effect beyond their own line.
const WITHOUT_EFFECT: [&str; 4] = ["true", "false", ":", "exit"];

/// What keeps a line from running, if `open` opens nothing of it.
pub(super) fn denial(tier: &Tier, open: Open<'_>, line: &ShellLine, places: &Places) -> Option<Denial> {
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
        if !denial.wanted.as_ref().is_some_and(open) {
            return Some(denial);
        }
    }
    if let Some(doubt) = line.doubts.first() {
        return Some(tier.denial(
            DenialRule::CommandUnclear,
            "shell",
            format!("The command may not run: {}.", doubt.sentence()),
            "Write each command out plainly, without variables or expansions in its place, and run them one by one."
                .to_owned(),
            None,
        ));
    }
    let mut folders = vec![places.cwd.clone()];
    let variables = Variables::of(line, places);
    for command in &line.commands {
        let here = Command { tier, places, command, folders: &folders, variables: &variables, open };
        if let Some(denial) = here.denial() {
            return Some(denial);
        }
        follow(command, &variables, places, &mut folders);
    }
    None
}

/// The folder that a path with wildcards is certain to stand in.
fn before_wildcards(text: &str) -> &str {
    let Some(at) = text.find(['*', '?', '[']) else { return text };
    let head = text.get(..at).and_then(|head| head.rfind('/').and_then(|end| head.get(..=end)));
    head.unwrap_or(".")
}

struct Command<'c> {
    tier: &'c Tier,
    places: &'c Places,
    command: &'c SimpleCommand,
    /// Where it may run.
    folders: &'c [String],
    variables: &'c Variables,
    open: Open<'c>,
}

impl Command<'_> {
    fn denial(&self) -> Option<Denial> {
        let assigned = self.command.assignments.iter().find_map(|one| self.assignment(one));
        let redirected = || self.command.redirections.iter().find_map(|one| self.redirection(one));
        // A grant for a file that is written is none for what writes it.
        let program = || self.program().filter(|denial| !denial.wanted.as_ref().is_some_and(self.open));
        assigned.or_else(redirected).or_else(program)
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
            match write {
                true => self.tier.writing(&path, &places, self.open),
                false => self.tier.reading(&path, &places, self.open),
            }
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
            let place = |value: &str| {
                let file = FilePath::new(value);
                self.folders.iter().find_map(|folder| {
                    let places = self.from(folder);
                    // By where links lead, too.
                    let inside = || both(&file, &places).iter().all(|path| places.in_workspace(path));
                    let denial = match found.beyond {
                        Beyond::Writes | Beyond::Makes => self.tier.writing(&file, &places, CLOSED),
                        Beyond::Reads if self.tier.read.allow.is_empty() && inside() => None,
                        Beyond::Prints | Beyond::Reads | Beyond::Runs => self.tier.reading(&file, &places, CLOSED),
                    };
                    // What an open entry is there to read and write in the workspace it may, unless an exclusion says
                    // otherwise: whoever adds paths to a tier takes nothing away.
                    let meant = matches!(found.beyond, Beyond::Prints | Beyond::Makes);
                    denial.filter(|denial| {
                        !(meant && denial.rule == DenialRule::PathNotAllowed && inside())
                    })
                })
            };
            match (found.beyond, found.value) {
                (Beyond::Runs, _) | (_, None) => {}
                (Beyond::Prints | Beyond::Makes, Some(value))
                    if SINKS.contains(&value) || SOURCES.contains(&value) =>
                {
                    return None;
                }
                (_, Some(value)) => {
                    return place(value).map(|denial| Denial { wanted: wanted(self.command), ..denial });
                }
            }
            // What it prints or writes may be known only when it runs: a loop over files, say. What the line tells counts.
            if matches!(found.beyond, Beyond::Prints | Beyond::Makes) {
                let spelled = self.variables.spellings(found.word);
                return spelled.iter().filter(|spelling| !spelling.text.is_empty()).find_map(|spelling| {
                    let file = if spelling.pattern { before_wildcards(&spelling.text) } else { &spelling.text };
                    place(file)
                });
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
            [] => self.tier.reading(&FilePath::new("~"), self.places, CLOSED),
            [word] if word.is_static() && !word.text.starts_with('-') => {
                self.folders.iter().find_map(|folder| {
                    self.tier.reading(&FilePath::new(word.text.as_str()), &self.from(folder), CLOSED)
                })
            }
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
        let hit = self
            .folders
            .iter()
            .find_map(|folder| names(self.command, self.variables, deny, &self.from(folder), &|_| false))?;
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
            let text = if word.glob { before_wildcards(text) } else { text };
            let path = FilePath::new(text);
            if let Some(denial) = self.folders.iter().find_map(|folder| {
                let places = self.from(folder);
                let inside = self.tier.read.allow.is_empty()
                    && normalise(text, folder, &places.home).is_some_and(|path| places.in_workspace(&path));
                if inside { None } else { self.tier.reading(&path, &places, CLOSED) }
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
                let denial = self.tier.reading(&FilePath::new(target), &places, CLOSED)?;
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
