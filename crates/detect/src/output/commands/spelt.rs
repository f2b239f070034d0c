//! Commands behind spellings that cost nothing: variables that the line itself sets, lists in braces, words that `echo`
//! gives, and scripts that are piped or written into a shell.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex_automata::meta::Regex;
use regex_automata::util::captures::Captures;
use sallyport_policy::shell::{ShellLine, SimpleCommand};

use super::words::{is_shell, words};

/// Longer values are no words of a command.
const LONGEST_VALUE: usize = 400;

/// The line with everything in it spelt out that it says itself; none where that changes nothing.
pub(super) fn spelt_out(line: &str, parsed: &ShellLine) -> Option<String> {
    if !line.contains(['$', '`', '{']) {
        return None;
    }
    let mut new = replaced(line, &SEPARATORS, |_| " ".to_owned());
    new = replaced(&new, &GIVEN, |found| found.replace(['"', '\'', '\\'], "")).into_owned().into();
    new = replaced(&new, &BRACES, |found| found.replace(',', " ")).into_owned().into();
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let assigned = parsed.commands.iter().flat_map(|command| &command.assignments).chain(&parsed.takes);
    for one in assigned.filter(|one| !one.value.dynamic && one.value.text.len() <= LONGEST_VALUE) {
        values.entry(&one.name).or_default().push(&one.value.text);
    }
    let mut out = new.into_owned();
    // What one variable says may hold another.
    for _ in 0..3 {
        let before = out.clone();
        out = with_values(&before, &values);
        if out == before || out.len() > 4 * LONGEST_VALUE + 4 * line.len() {
            break;
        }
    }
    (out != line).then_some(out)
}

/// What separates words when nothing else does.
static SEPARATORS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\$\{IFS[^}]*\}|\$IFS(?:\$\d)?").ok());

/// A substitution that gives its own words.
static GIVEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let words = r#"(?P<kept>["'\\\w/.~*-]+(?: ["'\\\w/.~*-]+)*)"#;
    let giving = r"(?:echo(?: -n)?|printf|which|command -v|type -p)";
    Regex::new(&format!(
        r"\$\(\s*{giving} +{words}\s*\)|`\s*{giving} +{}\s*`",
        words.replace("kept", "quoted")
    ))
    .ok()
});

/// A command that is a list in braces, from its first word on.
static BRACES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:^|[;&|(]\s*)(?P<whole>\{(?P<kept>[^{}\s,;]+(?:,[^{}\s;]*)+)\})").ok());

/// `text` with what `pattern` finds replaced by what is made of its kept part; its `whole` gives way where it has one.
fn replaced<'t>(
    text: &'t str,
    pattern: &LazyLock<Option<Regex>>,
    make: impl Fn(&str) -> String,
) -> Cow<'t, str> {
    let Some(pattern) = &**pattern else { return Cow::Borrowed(text) };
    let mut out = String::new();
    let mut done = 0;
    let group = |captures: &Captures, name: &str| captures.get_group_by_name(name).map(|span| span.range());
    for captures in pattern.captures_iter(text) {
        let Some(all) = captures.get_match().map(|found| found.range()) else { continue };
        let gone = group(&captures, "whole").unwrap_or(all);
        let kept = group(&captures, "kept").or_else(|| group(&captures, "quoted"));
        out.push_str(text.get(done..gone.start).unwrap_or_default());
        out.push_str(&make(kept.and_then(|kept| text.get(kept)).unwrap_or_default()));
        done = gone.end;
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

fn with_values(text: &str, values: &BTreeMap<&str, Vec<&str>>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let name = after.get(1..).unwrap_or_default();
        let (name, braced) = name.strip_prefix('{').map_or((name, false), |name| (name, true));
        let length = name.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let closed = !braced || name.as_bytes().get(length) == Some(&b'}');
        let taken = 1 + length + 2 * usize::from(braced);
        match name.get(..length).and_then(|name| values.get(name)).filter(|_| closed) {
            Some(values) => {
                out.push_str(&values.join(" "));
                rest = after.get(taken..).unwrap_or_default();
            }
            None => {
                out.push('$');
                rest = after.get(1..).unwrap_or_default();
            }
        }
    }
    out + rest
}

/// The scripts that a line itself writes or pipes into its shells.
pub(super) fn scripts(parsed: &ShellLine) -> Vec<String> {
    let commands = &parsed.commands;
    let mut scripts: Vec<String> = commands.iter().flat_map(told).collect();
    let by_xargs = |command: &SimpleCommand| command.via.iter().any(|via| via == "xargs");
    for (number, command) in commands.iter().enumerate().filter(|(_, command)| by_xargs(command)) {
        let before = commands.get(..number).unwrap_or_default();
        let own = command.redirections.iter().filter_map(|one| Some(one.text()?.text.clone()));
        let piped = before.iter().filter(|earlier| matches!(earlier.name(), "echo" | "printf"));
        for given in own.chain(piped.map(said)) {
            let command: Vec<&str> = words(command).into_iter().filter(|word| *word != "{}").collect();
            scripts.push(format!("{} {given}", command.join(" ")));
        }
    }
    for (number, shell) in commands.iter().enumerate().filter(|(_, command)| reads_a_script(command)) {
        let written = shell.redirections.iter().filter_map(|redirection| redirection.text());
        scripts.extend(written.map(|word| word.text.clone()));
        let before = commands.get(..number).unwrap_or_default();
        let piped = |earlier: &&SimpleCommand| {
            matches!(earlier.name(), "echo" | "printf" | "cat")
                && earlier.pipelines.iter().any(|pipe| shell.pipelines.contains(pipe))
        };
        for earlier in before.iter().filter(piped) {
            scripts.extend(earlier.redirections.iter().filter_map(|one| Some(one.text()?.text.clone())));
            if earlier.name() != "cat" {
                scripts.push(said(earlier));
            }
        }
    }
    scripts
}

/// What `echo` or `printf` gives.
fn said(command: &SimpleCommand) -> String {
    let said: Vec<&str> = words(command).into_iter().skip(1).filter(|word| !word.starts_with("-e")).collect();
    said.join(" ").replace("%s", "").replace("\\n", "\n")
}

/// What a program that is no shell is told to run, by the marks before it.
fn told(command: &SimpleCommand) -> Vec<String> {
    let words = words(command);
    let behind = |marks: &[&str]| -> Vec<String> {
        let told = |word: &&str| marks.iter().find_map(|mark| Some(word.split_once(mark)?.1.to_owned()));
        words.iter().filter_map(told).collect()
    };
    match command.name() {
        "env" => {
            let split = |word: &&str| {
                let rest = word.strip_prefix("-S").or_else(|| word.strip_prefix("--split-string"))?;
                Some(rest.trim_start_matches('=').to_owned())
            };
            let told = words.iter().enumerate().find_map(|(at, word)| Some((at, split(word)?)));
            let more = |at: usize| words.get(at + 1..).unwrap_or_default().join(" ");
            told.map(|(at, first)| format!("{first} {}", more(at))).into_iter().collect()
        }
        "alias" => behind(&["="]),
        "git" => {
            let mut told = behind(&["=!"]);
            told.extend(words.iter().filter_map(|word| word.strip_prefix('!').map(str::to_owned)));
            told
        }
        "tar" => behind(&["=exec="]),
        "vim" | "vi" | "nvim" | "ex" => behind(&[":!"]),
        "pkexec" | "runuser" | "nsenter" | "systemd-run" | "parallel" => {
            let harms = |word: &&str| matches!(*word, "rm" | "dd" | "shred" | "chmod");
            let inner = words.iter().position(harms).and_then(|at| words.get(at..));
            inner.map(|inner| inner.join(" ").replace(":::", "")).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// A shell that is told neither a file nor a command.
fn reads_a_script(command: &SimpleCommand) -> bool {
    matches!(command.name(), "at" | "batch")
        || is_shell(command.name())
            && command.arguments().iter().all(|word| {
                word.text.starts_with('-') && !word.text.trim_start_matches('-').contains('c')
                    || word.text == "/dev/stdin"
            })
}
