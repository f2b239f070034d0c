//! How far an entry goes that a team left open (`find *`, `git log *`): any words, but not another program, nor a file that
//! the tier keeps from it. An option that an entry itself spells is meant.

mod code;
mod operands;

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
    /// It is a file that the program is there to print: any in the workspace, others where the tier may read.
    Prints,
    /// It is a file that the program is there to write: any in the workspace, others where the tier may write.
    Makes,
}

use Beyond::{Makes, Prints, Reads, Runs, Writes};

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
    Options { of: &["git", "clone"], options: &[("-u", Runs), ("-c", Runs), ("--config", Runs)] },
    Options { of: &["git", "fetch"], options: &[("--exec", Runs)] },
    Options { of: &["git", "pull"], options: &[("--exec", Runs)] },
    Options { of: &["git", "ls-remote"], options: &[("--exec", Runs)] },
    Options { of: &["git", "push"], options: &[("--exec", Runs)] },
    Options { of: &["git", "archive"], options: &[("--exec", Runs), ("-o", Writes)] },
    Options { of: &["git", "init"], options: &[("--separate-git-dir", Writes)] },
    Options { of: &["git", "commit"], options: &[("-F", Reads), ("--file", Reads), ("-t", Reads)] },
    Options { of: &["git", "blame"], options: &[("--contents", Reads)] },
    Options { of: &["git", "notes"], options: &[("-F", Reads), ("--file", Reads)] },
    Options { of: &["git", "tag"], options: &[("-F", Reads), ("--file", Reads)] },
    Options { of: &["git", "grep"], options: &[("-O", Runs), ("--open-files-in-pager", Runs)] },
    Options { of: &["git", "rebase"], options: &[("-x", Runs), ("--exec", Runs)] },
    Options { of: &["tar"], options: &[("--to-command", Runs), ("--checkpoint-action", Runs), ("-I", Runs), ("--use-compress-program", Runs),
        ("-F", Runs), ("--info-script", Runs), ("--new-volume-script", Runs), ("--rsh-command", Runs), ("--rmt-command", Runs), ("-C", Writes), ("--directory", Writes), ("-P", Runs), ("--absolute-names", Runs)] },
    Options { of: &["rsync"], options: &[("-e", Runs), ("--rsh", Runs), ("--rsync-path", Runs)] },
    Options { of: &["scp"], options: &[("-S", Runs), ("-o", Runs), ("-F", Reads), ("-D", Runs)] },
    Options { of: &["sftp"], options: &[("-S", Runs), ("-o", Runs), ("-F", Reads), ("-D", Runs)] },
    Options { of: &["ssh"], options: &[("-o", Runs), ("-F", Reads), ("-I", Runs), ("-E", Writes), ("-S", Reads)] },
    Options { of: &["fd"], options: &[("-x", Runs), ("-X", Runs), ("--exec", Runs), ("--exec-batch", Runs)] },
    Options { of: &["bat"], options: &[("--pager", Runs)] },
    Options { of: &["less"], options: &[("-k", Reads), ("--lesskey-file", Reads), ("--lesskey-src", Reads), ("-o", Writes), ("-O", Writes), ("--log-file", Writes)] },
    Options { of: &["man"], options: &[("-P", Runs), ("--pager", Runs), ("-H", Runs), ("--html", Runs), ("-C", Reads), ("--config-file", Reads)] },
    Options { of: &["cp"], options: &[("-t", Writes), ("--target-directory", Writes)] },
    Options { of: &["mv"], options: &[("-t", Writes), ("--target-directory", Writes)] },
    Options { of: &["ln"], options: &[("-t", Writes), ("--target-directory", Writes)] },
    Options { of: &["install"], options: &[("-t", Writes), ("--target-directory", Writes), ("--strip-program", Runs)] },
    Options { of: &["patch"], options: &[("-o", Writes), ("--output", Writes), ("-d", Writes), ("--directory", Writes), ("-i", Reads), ("--input", Reads)] },
    Options { of: &["tree"], options: &[("-o", Writes)] },
    Options { of: &["jq"], options: &[("-f", Reads), ("--from-file", Reads), ("-L", Reads), ("--rawfile", Runs), ("--slurpfile", Runs)] },
    Options { of: &["grep"], options: &[("-f", Reads), ("--file", Reads)] },
    Options { of: &["wc"], options: &[("--files0-from", Reads)] },
    Options { of: &["jest"], options: &[("-c", Reads), ("--config", Reads), ("--globalSetup", Reads), ("--setupFiles", Reads), ("--rootDir", Reads)] },
    Options { of: &["vitest"], options: &[("-c", Reads), ("--config", Reads), ("-r", Reads), ("--root", Reads), ("--globalSetup", Reads)] },
    Options { of: &["tsc"], options: &[("-p", Reads), ("--project", Reads), ("--outDir", Writes), ("--outFile", Writes)] },
    Options { of: &["black"], options: &[("--config", Reads)] },
    Options { of: &["flake8"], options: &[("--config", Reads), ("--append-config", Reads)] },
    Options { of: &["rustc"], options: &[("-C", Runs), ("--codegen", Runs), ("-o", Writes), ("--out-dir", Writes)] },
    Options { of: &["gcc"], options: &[("-B", Reads), ("-wrapper", Runs), ("-fplugin", Runs), ("-specs", Reads), ("-o", Writes)] },
    Options { of: &["psql"], options: &[("-c", Runs), ("--command", Runs), ("-f", Reads), ("--file", Reads), ("-o", Writes), ("--output", Writes), ("-L", Writes)] },
    Options { of: &["sqlite3"], options: &[("-cmd", Runs), ("-init", Reads)] },
    Options { of: &["vim"], options: EDITORS },
    Options { of: &["vi"], options: EDITORS },
    Options { of: &["nvim"], options: EDITORS },
    Options { of: &["view"], options: EDITORS },
    Options { of: &["ex"], options: EDITORS },
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
        ("--dump-header", Writes), ("-c", Writes), ("--cookie-jar", Writes), ("-T", Reads), ("--upload-file", Reads), ("-E", Reads), ("--cert", Reads), ("--key", Reads), ("--cacert", Reads),
        ("--trace", Writes), ("--trace-ascii", Writes), ("--stderr", Writes), ("--libcurl", Writes), ("--etag-save", Writes), ("--hsts", Writes),
        ("--alt-svc", Writes), ("--engine", Runs)] },
];

#[rustfmt::skip]
const EDITORS: &[(&str, Beyond)] =
    &[("-c", Runs), ("--cmd", Runs), ("-S", Runs), ("-s", Runs), ("-u", Reads), ("-W", Writes), ("-w", Writes), ("-i", Reads)];

/// Subcommands of git that run what they are given, or set what others run.
const GIT_RUNS: [&str; 20] = [
    "bisect",
    "submodule",
    "filter-branch",
    "difftool",
    "mergetool",
    "hook",
    "send-email",
    "instaweb",
    "daemon",
    "web--browse",
    "gui",
    "citool",
    "p4",
    "svn",
    "remote-ext",
    "remote-fd",
    "shell",
    "credential",
    "for-each-repo",
    "maintenance",
];
/// Options of git itself, before its subcommand, that take the next word.
const GIT_VALUED: [&str; 6] = ["-c", "-C", "--git-dir", "--work-tree", "--namespace", "--config-env"];

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
    let own = |beyond| move |word: &'w Word| Found { word, beyond, value: known(word) };
    found.extend(operands::written(name, more).into_iter().map(own(Makes)));
    found.extend(operands::read(name, more).into_iter().map(own(Prints)));
    let runs = |word| Found { word, beyond: Runs, value: None };
    match name {
        "git" => found.extend(git(command, more)),
        "sed" => found.extend(sed(more)),
        "awk" | "gawk" | "mawk" | "nawk" => found.extend(awk(more)),
        // `tar cfI x PROGRAM`.
        "tar" => {
            let letters = more.first().filter(|word| !word.text.starts_with('-'));
            found
                .extend(letters.filter(|word| word.dynamic || word.text.contains(['I', 'F', 'P'])).map(runs));
        }
        "dd" => {
            let file = |word: &'w Word, sign, beyond| {
                let value = word.text.strip_prefix(sign)?;
                Some(Found { word, beyond, value: Some(value).filter(|_| word.is_static()) })
            };
            found.extend(
                more.iter().filter_map(|word| file(word, "of=", Makes).or_else(|| file(word, "if=", Prints))),
            );
        }
        // `vim +'!id'`, and commands of the program's own.
        "vim" | "vi" | "nvim" | "view" | "ex" | "less" => found.extend(
            more.iter()
                .filter(|word| word.text.starts_with('+') && word.text.contains(['!', ':', '|', ' ']))
                .map(runs),
        ),
        "sqlite3" => {
            found.extend(more.iter().filter(|word| word.text.trim_start().starts_with('.')).map(runs))
        }
        "go" => found.extend(
            more.iter().filter(|word| word.text.contains("-ext") && word.text.contains("ld")).map(runs),
        ),
        "curl" => found.extend(more.iter().filter_map(curl)),
        _ => {}
    }
    found
}

fn known(word: &Word) -> Option<&str> {
    Some(word.text.as_str()).filter(|_| word.is_static())
}

/// Options of git itself, subcommands that run something, and addresses that are programs.
fn git<'w>(command: &'w SimpleCommand, more: &'w [Word]) -> Vec<Found<'w>> {
    let mut found = Vec::new();
    let mut words = more.iter();
    // Where an entry spells the subcommand, none of these is git's own.
    let own = more.len() == command.arguments().len();
    while let Some(word) = words.next().filter(|_| own) {
        let (name, value) =
            word.text.split_once('=').map_or((word.text.as_str(), None), |(name, value)| (name, Some(value)));
        if !word.text.starts_with('-') {
            let reads = ["--get", "--get-all", "--get-regexp", "--list", "-l", "get", "list"];
            let config = word.text == "config"
                && words.clone().count() > 1
                && !words.any(|word| reads.contains(&word.text.as_str()));
            if word.dynamic || config || GIT_RUNS.contains(&word.text.as_str()) {
                found.push(Found { word, beyond: Runs, value: None });
            }
            break;
        }
        let value = match value {
            None if GIT_VALUED.contains(&name) => words.next().and_then(known),
            value => value.filter(|_| word.is_static()),
        };
        match name {
            "-c" | "--config-env" | "--exec-path" if value.is_some() || name != "--exec-path" => {
                found.push(Found { word, beyond: Runs, value: None });
            }
            "-C" | "--git-dir" | "--work-tree" => found.push(Found { word, beyond: Reads, value }),
            _ => {}
        }
    }
    let helper = |word: &&Word| word.text.starts_with("ext::") || word.text.starts_with("fd::");
    found.extend(more.iter().filter(helper).map(|word| Found { word, beyond: Runs, value: None }));
    found
}

/// Scripts of sed that do more than choose and change lines, and files that are changed in place.
fn sed(more: &[Word]) -> Vec<Found<'_>> {
    let (mut found, mut scripts, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    let mut in_place = false;
    let mut words = more.iter();
    while let Some(word) = words.next() {
        let Some(letters) = word.text.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            plain.push(word);
            continue;
        };
        if let Some(long) = letters.strip_prefix('-') {
            let (name, value) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            match name {
                "expression" if value.is_some() => scripts.push((word, value)),
                "expression" => scripts.extend(words.next().map(|next| (next, Some(next.text.as_str())))),
                "in-place" => in_place = true,
                "file" => found.push(Found { word, beyond: Runs, value: None }),
                _ => {}
            }
            continue;
        }
        for (at, letter) in letters.char_indices() {
            let behind = letters.get(at + letter.len_utf8()..).filter(|behind| !behind.is_empty());
            match letter {
                'i' => in_place = true,
                'e' if behind.is_some() => scripts.push((word, behind)),
                'e' => scripts.extend(words.next().map(|next| (next, Some(next.text.as_str())))),
                'f' => found.push(Found { word, beyond: Runs, value: None }),
                'l' => drop(behind.is_none().then(|| words.next())),
                _ => continue,
            }
            break;
        }
    }
    if scripts.is_empty() && !plain.is_empty() {
        let script = plain.remove(0);
        scripts.push((script, Some(script.text.as_str())));
    }
    let stays = |word: &Word, script: Option<&str>| !word.dynamic && script.is_some_and(code::sed_stays);
    let beyond = scripts.into_iter().filter(|(word, script)| !stays(word, *script));
    found.extend(beyond.map(|(word, _)| Found { word, beyond: Runs, value: None }));
    let beyond = if in_place { Makes } else { Prints };
    found.extend(plain.into_iter().map(|word| Found { word, beyond, value: known(word) }));
    found
}

/// Programs of awk that run something or write, and such as stand elsewhere.
fn awk(more: &[Word]) -> Vec<Found<'_>> {
    let mut words = more.iter();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "-F" | "-v" | "--field-separator" | "--assign" => drop(words.next()),
            text if text.starts_with("-F") || text.starts_with("-v") => {}
            "--" | "-n" | "-O" | "-s" | "--re-interval" | "--posix" | "--csv" => {}
            text if text.starts_with("--field-separator=") || text.starts_with("--assign=") => {}
            text => {
                if text.starts_with('-') || word.dynamic || !code::awk_stays(text) {
                    found.push(Found { word, beyond: Runs, value: None });
                }
                break;
            }
        }
    }
    // What has an equals sign sets a variable.
    let files = words.filter(|word| !word.text.contains('='));
    found.extend(files.map(|word| Found { word, beyond: Prints, value: known(word) }));
    found
}

/// Files that curl sends along.
fn curl(word: &Word) -> Option<Found<'_>> {
    let file = word.text.strip_prefix("file://").or_else(|| {
        let (before, file) = word.text.split_once('@').or_else(|| word.text.split_once("=<"))?;
        let sends = before.is_empty() || before.starts_with('-') || before.ends_with('=');
        (sends && !file.contains('@') && !before.contains("://")).then_some(file)
    })?;
    Some(Found { word, beyond: Prints, value: Some(file).filter(|_| word.is_static()) })
}

/// Whether a plain word names a further task, or sets a variable for what is run.
pub(super) fn is_task(program: &str, word: &Word) -> bool {
    TASKS.contains(&program) && !word.text.starts_with('-')
}

/// The program by its name, or by that of a module that an interpreter runs; and what follows it.
fn speaks_of(of: &[&str], command: &SimpleCommand) -> bool {
    let Some((program, rest)) = of.split_first() else { return false };
    let arguments = || command.arguments().iter().map(|word| word.text.as_str());
    // git's own options stand before its subcommand.
    let mut own = 0;
    while *program == "git"
        && let Some(word) = command.arguments().get(own).filter(|word| word.text.starts_with('-'))
    {
        own += if GIT_VALUED.contains(&word.text.as_str()) { 2 } else { 1 };
    }
    let by_name =
        command.name() == *program && arguments().skip(own).take(rest.len()).eq(rest.iter().copied());
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
