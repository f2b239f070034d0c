//! Programs that run other programs: `sudo`, `env`, `bash -c`, `xargs`, `find -exec` and their like.
//!
//! What they run is listed as a command of its own. Called in a way that is not in the table, they are a doubt.

use sallyport_policy::shell::{Assignment, Doubt, Link, Redirection, SHELLS, SimpleCommand, Word, Wraps};

use super::{Around, Reading, script};

/// How a program takes the words of what it runs.
struct Wrapper {
    name: &'static str,
    wraps: Wraps,
    /// Options that take the next word.
    valued: &'static [&'static str],
    /// Options that stand alone. `-o5` and `--name=value` are understood for valued ones too.
    flags: &'static [&'static str],
    /// Words of its own between the options and the program.
    own: usize,
    /// What follows is put together and read by a shell.
    script: bool,
}

const fn thin(
    name: &'static str,
    valued: &'static [&'static str],
    flags: &'static [&'static str],
    own: usize,
) -> Wrapper {
    Wrapper { name, wraps: Wraps::Transparently, valued, flags, own, script: false }
}

const fn thick(
    name: &'static str,
    valued: &'static [&'static str],
    flags: &'static [&'static str],
    own: usize,
) -> Wrapper {
    Wrapper { name, wraps: Wraps::WithEffect, valued, flags, own, script: false }
}

#[rustfmt::skip]
const WRAPPERS: &[Wrapper] = &[
    thin("nohup", &[], &[], 0),
    thin("time", &["-f", "--format"], &["-p", "-v", "--verbose"], 0),
    thin("timeout", &["-k", "--kill-after", "-s", "--signal"], &["--preserve-status", "--foreground", "-v", "--verbose"], 1),
    thin("nice", &["-n", "--adjustment"], &[], 0),
    thin("ionice", &["-c", "-n"], &["-t"], 0),
    thin("setsid", &[], &["-w", "--wait", "-f", "--fork"], 0),
    thin("stdbuf", &["-i", "-o", "-e"], &[], 0),
    thin("exec", &["-a"], &["-c", "-l"], 0),
    thin("builtin", &[], &[], 0),
    thin("command", &[], &["-p"], 0),
    thin("caffeinate", &["-t"], &["-d", "-i", "-m", "-s", "-u"], 0),
    thick("sudo", &["-u", "-g", "-h", "-p", "-C", "-T", "-r", "-t", "-D", "-R", "--user", "--group"],
        &["-E", "-n", "-H", "-S", "-k", "-b", "-A", "-P", "--preserve-env", "--non-interactive"], 0),
    thick("doas", &["-u", "-C"], &["-n", "-L"], 0),
    thick("chroot", &[], &[], 1),
    thick("unshare", &[], &["-r", "-n", "-m", "-p", "-f", "-u", "-i", "-U"], 0),
    thick("strace", &["-e", "-o", "-p", "-s"], &["-f", "-ff", "-q"], 0),
    thick("flock", &["-w", "-E", "--timeout"], &["-n", "-x", "-s", "-e", "--nonblock"], 1),
    thick("busybox", &[], &[], 0),
    thick("toybox", &[], &[], 0),
    Wrapper { name: "watch", wraps: Wraps::WithEffect, valued: &["-n", "--interval"], flags: &["-d", "-t", "-b", "-e", "-g", "-c"], own: 0, script: true },
    Wrapper { name: "ssh", wraps: Wraps::WithEffect,
        valued: &["-p", "-i", "-l", "-o", "-F", "-J", "-L", "-R", "-D", "-b", "-c", "-m", "-E", "-e", "-I", "-O", "-Q", "-S", "-W", "-w", "-B"],
        flags: &["-t", "-tt", "-T", "-n", "-N", "-f", "-q", "-v", "-vv", "-A", "-a", "-C", "-4", "-6", "-x", "-X", "-Y", "-k", "-K", "-g", "-s"], own: 1, script: true },
];

const XARGS_VALUED: &[&str] = &[
    "-I",
    "-n",
    "-P",
    "-L",
    "-d",
    "-s",
    "-E",
    "-a",
    "-S",
    "-R",
    "--max-args",
    "--max-procs",
    "--replace",
    "--delimiter",
    "--arg-file",
];
const XARGS_FLAGS: &[&str] =
    &["-0", "-r", "-t", "-x", "-p", "-o", "--null", "--no-run-if-empty", "--verbose"];

/// Lists a command and, if it runs another, that one too. `fed`: something is piped into it.
pub(super) fn push(reading: &mut Reading<'_>, mut command: SimpleCommand, depth: usize, fed: bool) {
    if command.via.len() > 12 {
        return reading.doubt(Doubt::TooDeep);
    }
    if command.program().is_some_and(|program| !program.is_static() || program.text.is_empty()) {
        reading.doubt(Doubt::DynamicProgram);
    }
    let name = command.name().to_owned();
    named_variables(reading, &mut command, &name);
    let Some(inner) = unwrap(reading, &command, &name, fed) else {
        return reading.emit(command);
    };
    command.wraps = if matches!(inner.runs, Runs::Nothing) { Wraps::Nothing } else { inner.wraps };
    let mut via = command.via.clone();
    via.push(name);
    let around = Around { pipelines: command.pipelines.clone(), via: via.clone(), link: Link::Sequence, fed };
    let runs = inner.runs;
    let (pipelines, redirections) = (command.pipelines.clone(), command.redirections.clone());
    reading.emit(command);
    match runs {
        Runs::Nothing => {}
        Runs::Words { words, assignments } => {
            let inner = SimpleCommand {
                words,
                assignments,
                redirections,
                pipelines,
                via,
                ..SimpleCommand::default()
            };
            push(reading, inner, depth, fed);
        }
        Runs::Script(text) => script(reading, &text, &around, depth + 1),
    }
}

/// Builtins that set or look at a variable which a word names: a subscript in such a name is run.
fn named_variables(reading: &mut Reading<'_>, command: &mut SimpleCommand, name: &str) {
    let plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match name {
        "printf" => {
            let Some(first) = command.arguments().first() else { return };
            let Some(joined) = first.text.strip_prefix("-v") else { return };
            let given = if joined.is_empty() { command.arguments().get(1) } else { Some(first) };
            let variable = match given {
                Some(word) if !word.dynamic => word.text.strip_prefix("-v").unwrap_or(&word.text).to_owned(),
                _ => String::new(),
            };
            if !plain(&variable) {
                return reading.doubt(Doubt::Evaluation);
            }
            let value = Word { dynamic: true, ..Word::default() };
            command.assignments.push(Assignment { name: variable, value });
        }
        "test" | "[" => {
            let words = command.arguments();
            let named = words.iter().zip(words.iter().skip(1)).any(|(option, word)| {
                matches!(option.text.as_str(), "-v" | "-R") && (word.dynamic || !plain(&word.text))
            });
            if named {
                reading.doubt(Doubt::Evaluation);
            }
        }
        "let" => reading.doubt(Doubt::Evaluation),
        _ => {}
    }
}

struct Inner {
    wraps: Wraps,
    runs: Runs,
}

enum Runs {
    Nothing,
    Words { words: Vec<Word>, assignments: Vec<Assignment> },
    Script(String),
}

fn unwrap(reading: &mut Reading<'_>, command: &SimpleCommand, name: &str, fed: bool) -> Option<Inner> {
    let arguments = command.arguments();
    if SHELLS.contains(&name) {
        return shell(reading, command, fed);
    }
    match name {
        "env" => Some(env(reading, arguments)),
        "eval" => Some(Inner { wraps: Wraps::Transparently, runs: joined(reading, arguments) }),
        "xargs" => Some(xargs(reading, arguments)),
        "find" | "fd" => find(reading, arguments),
        "su" | "script" => Some(dash_c(reading, arguments)),
        "trap" => Some(Inner {
            wraps: Wraps::WithEffect,
            runs: joined(reading, arguments.get(..1).unwrap_or_default()),
        }),
        "coproc" | "parallel" => {
            reading.doubt(Doubt::UnknownWrapping);
            None
        }
        // Looks a name up and runs nothing.
        "command" if arguments.first().is_some_and(|word| matches!(word.text.as_str(), "-v" | "-V")) => None,
        "exec" if arguments.is_empty() => None,
        _ => WRAPPERS
            .iter()
            .find(|wrapper| wrapper.name == name)
            .map(|wrapper| wrapped(reading, wrapper, arguments)),
    }
}

fn wrapped(reading: &mut Reading<'_>, wrapper: &Wrapper, arguments: &[Word]) -> Inner {
    let rest = after_options(reading, arguments, wrapper.valued, wrapper.flags);
    let rest = rest.get(wrapper.own.min(rest.len())..).unwrap_or_default();
    let runs = if wrapper.script && !rest.is_empty() {
        joined(reading, rest)
    } else {
        words(rest, wrapper.name == "sudo" || wrapper.name == "doas")
    };
    Inner { wraps: wrapper.wraps, runs }
}

/// The words behind the options of a wrapper.
fn after_options<'w>(
    reading: &mut Reading<'_>,
    arguments: &'w [Word],
    valued: &[&str],
    flags: &[&str],
) -> &'w [Word] {
    let mut rest = arguments;
    while let Some((word, more)) = rest.split_first() {
        if word.dynamic || word.glob {
            // It may be an option or the program.
            reading.doubt(Doubt::UnknownWrapping);
            break;
        }
        let text = word.text.as_str();
        if text == "--" {
            return more;
        }
        if !text.starts_with('-') || text == "-" {
            break;
        }
        if valued.contains(&text) {
            rest = more.get(1..).unwrap_or_default();
        } else if flags.contains(&text) || with_value(text, valued) || cluster(text, flags) || number(text) {
            rest = more;
        } else {
            reading.doubt(Doubt::UnknownWrapping);
            rest = more;
        }
    }
    rest
}

/// `--name=value`, or `-n5`.
fn with_value(text: &str, valued: &[&str]) -> bool {
    match text.split_once('=') {
        Some((name, _)) if text.starts_with("--") => valued.contains(&name),
        _ => valued.iter().any(|name| name.len() == 2 && text.len() > 2 && text.starts_with(name)),
    }
}

/// Several flags of one letter in one word.
fn cluster(text: &str, flags: &[&str]) -> bool {
    let letters = text.get(1..).unwrap_or_default();
    !letters.is_empty()
        && letters
            .chars()
            .all(|letter| flags.iter().any(|flag| flag.strip_prefix('-') == Some(&letter.to_string())))
}

/// `nice -5`.
fn number(text: &str) -> bool {
    text.get(1..).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Words that are run as they are, after assignments where the wrapper takes such.
fn words(rest: &[Word], assigns: bool) -> Runs {
    let mut assignments = Vec::new();
    let mut rest = rest;
    while assigns
        && let Some((word, more)) = rest.split_first()
        && let Some((name, value)) = word.text.split_once('=')
        && !name.is_empty()
    {
        let value = Word { text: value.to_owned(), ..word.clone() };
        assignments.push(Assignment { name: name.to_owned(), value });
        rest = more;
    }
    if rest.is_empty() && assignments.is_empty() {
        return Runs::Nothing;
    }
    Runs::Words { words: rest.to_vec(), assignments }
}

fn env(reading: &mut Reading<'_>, arguments: &[Word]) -> Inner {
    let flags = ["-i", "-", "--ignore-environment", "-0", "--null", "-v", "--debug"];
    let mut rest = after_options(reading, arguments, &["-u", "--unset"], &flags);
    // A lone dash is `-i`.
    if rest.first().is_some_and(|word| word.text == "-") {
        rest = rest.get(1..).unwrap_or_default();
    }
    Inner { wraps: Wraps::Transparently, runs: words(rest, true) }
}

/// Words that a shell puts together again and reads.
fn joined(reading: &mut Reading<'_>, arguments: &[Word]) -> Runs {
    if arguments.iter().any(|word| !word.is_static()) {
        reading.doubt(Doubt::DynamicScript);
    }
    let texts: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
    Runs::Script(texts.join(" "))
}

fn xargs(reading: &mut Reading<'_>, arguments: &[Word]) -> Inner {
    let rest = after_options(reading, arguments, XARGS_VALUED, XARGS_FLAGS);
    let mut words = rest.to_vec();
    if words.is_empty() {
        words.push(Word::plain("echo"));
    }
    words.push(Word { text: "{}".into(), dynamic: true, glob: false });
    Inner { wraps: Wraps::WithEffect, runs: Runs::Words { words, assignments: Vec::new() } }
}

fn find(reading: &mut Reading<'_>, arguments: &[Word]) -> Option<Inner> {
    let runs = ["-exec", "-execdir", "-ok", "-okdir", "-x", "-X", "--exec", "--exec-batch"];
    let mut starts = arguments.iter().enumerate().filter(|(_, word)| runs.contains(&word.text.as_str()));
    let (at, _) = starts.next()?;
    if starts.next().is_some() {
        // One is listed, two are more than is told apart here.
        reading.doubt(Doubt::UnknownWrapping);
    }
    let rest = arguments.get(at + 1..).unwrap_or_default();
    let words = rest
        .iter()
        .take_while(|word| !matches!(word.text.as_str(), ";" | "+"))
        .map(|word| Word { dynamic: word.dynamic || word.text.contains("{}"), ..word.clone() })
        .collect();
    Some(Inner { wraps: Wraps::WithEffect, runs: Runs::Words { words, assignments: Vec::new() } })
}

/// `su -c 'script' user`, `script -c 'script'`.
fn dash_c(reading: &mut Reading<'_>, arguments: &[Word]) -> Inner {
    let at = arguments.iter().position(|word| matches!(word.text.as_str(), "-c" | "--command"));
    let given = at.and_then(|at| arguments.get(at + 1));
    let runs = match given {
        Some(given) => joined(reading, std::slice::from_ref(given)),
        None => {
            reading.doubt(Doubt::UnknownWrapping);
            Runs::Nothing
        }
    };
    Inner { wraps: Wraps::WithEffect, runs }
}

/// A shell: with a script in its words, in a file, or coming in.
fn shell(reading: &mut Reading<'_>, command: &SimpleCommand, fed: bool) -> Option<Inner> {
    let mut rest = command.arguments();
    let mut takes_script = false;
    let mut reads_input = false;
    while let Some((word, more)) = rest.split_first() {
        if !word.is_static() {
            // A dynamic word may be an option.
            reading.doubt(Doubt::DynamicScript);
            break;
        }
        let text = word.text.as_str();
        if text == "--" || text == "-" {
            rest = more;
            break;
        }
        if !text.starts_with(['-', '+']) {
            break;
        }
        rest = more;
        match text {
            "--norc" | "--noprofile" | "--posix" | "--login" | "--noediting" | "--verbose" => {}
            "-o" | "+o" | "-O" | "+O" => rest = rest.get(1..).unwrap_or_default(),
            "--version" | "--help" => return None,
            _ if text.starts_with("--") => reading.doubt(Doubt::UnknownWrapping),
            _ => {
                let letters = text.get(1..).unwrap_or_default();
                takes_script |= letters.contains('c');
                reads_input |= letters.contains('s');
                if letters.contains('o') {
                    rest = rest.get(1..).unwrap_or_default();
                }
                if letters.contains(|c: char| !"ceilmnoprstuvxabfhkBCEHPT".contains(c)) {
                    reading.doubt(Doubt::UnknownWrapping);
                }
            }
        }
    }
    if takes_script {
        let Some(given) = rest.first() else {
            reading.doubt(Doubt::UnknownWrapping);
            return None;
        };
        return Some(Inner {
            wraps: Wraps::Transparently,
            runs: joined(reading, std::slice::from_ref(given)),
        });
    }
    if !reads_input && !rest.is_empty() {
        // A script in a file: the command stands for itself.
        return None;
    }
    // Only the last here-document is read.
    let text = command.redirections.iter().rev().find_map(|one| match one {
        Redirection::Text(text) => Some(text),
        _ => None,
    });
    match text {
        Some(text) if !fed => {
            Some(Inner { wraps: Wraps::Transparently, runs: joined(reading, std::slice::from_ref(text)) })
        }
        _ => {
            reading.doubt(Doubt::DynamicScript);
            None
        }
    }
}
