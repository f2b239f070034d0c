//! What a model's answer must not bring unseen: commands that destroy, that download and run, that open the machine;
//! packages that are not what they look like; code that is insecure by habit.
//!
//! Pure: a text in, findings out. A command is judged by the shell's grammar, so that one inside quotes or a comment is
//! none; what no shell grammar knows (PowerShell, other languages) is judged line by line.

mod code;
mod commands;
mod kind;
mod listed;
mod packages;
mod paths;
mod windows;

use std::collections::BTreeSet;

use sallyport_policy::Severity;

pub use kind::{Kind, kind};
pub use listed::DANGEROUS;

use crate::found::{Found, apart};

const LOOK_ALIKE: &str = "package_look_alike";

/// What is allowed here, and how loud to be.
#[derive(Debug, Clone, Default)]
pub struct OutputOptions {
    /// File names with other endings are findings; none: every ending may stand there.
    pub allowed_extensions: Option<BTreeSet<String>>,
    /// Answers that speak of running code are findings.
    pub execution_denied: bool,
    /// The eight patterns of the policy documents, exactly as given, beside our own.
    pub listed: bool,
}

/// Lines from here on are no lines that a person or a shell would read.
pub const LONGEST_LINE: usize = 8 * 1024;

/// The dangerous stretches of `text`, sorted and apart.
pub fn find(text: &str, options: &OutputOptions) -> Vec<Found> {
    apart(find_all(text, options))
}

/// The same where one finding may lie upon another: what is let pass must not hide what is not.
pub fn find_all(text: &str, options: &OutputOptions) -> Vec<Found> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in joined_lines(text) {
        let end = start + line.len();
        match line.len() <= LONGEST_LINE {
            true => look(line, start, &mut found),
            false => look_at_long(line, start, &mut found),
        }
        start = end;
    }
    if options.listed {
        listed::find(text, &mut found);
    }
    if let Some(allowed) = &options.allowed_extensions {
        listed::extensions(text, allowed, &mut found);
    }
    if options.execution_denied {
        listed::execution(text, &mut found);
    }
    found
}

fn look(line: &str, start: usize, found: &mut Vec<Found>) {
    let mut add = |rule, severity, span: std::ops::Range<usize>| {
        found.push(Found { rule, severity, span: start + span.start..start + span.end });
    };
    let content = line.trim_end();
    let from = content.len() - content.trim_start().len();
    if commands::may_hold(content)
        && let Some((rule, severity)) = commands::judge(content.trim_start())
    {
        add(rule, severity, from..content.len());
    }
    if let Some((rule, severity, span)) = windows::judge(content) {
        add(rule, severity, span);
    }
    for (rule, severity, span) in code::judge(content) {
        add(rule, severity, span);
    }
    for span in packages::look_alikes(content) {
        add(LOOK_ALIKE, Severity::High, span);
    }
}

/// A line that is too long for a person to read is not for a shell: its commands one by one, each in its beginning.
fn look_at_long(line: &str, start: usize, found: &mut Vec<Found>) {
    let mut at = start;
    for command in line.split_inclusive([';', '&', '\n']) {
        let content = command.trim_end_matches([';', '&', '\n', '\r']);
        let content = content.get(..content.floor_char_boundary(LONGEST_LINE)).unwrap_or_default();
        if commands::may_hold(content)
            && let Some((rule, severity)) = commands::judge(content.trim())
        {
            found.push(Found { rule, severity, span: at..at + content.len() });
        }
        at += command.len();
    }
}

/// How much of a text that still grows can be judged: its last line may not be whole.
pub fn whole_lines(text: &str) -> usize {
    let mut whole = 0;
    let mut end = 0;
    for line in joined_lines(text) {
        end += line.len();
        let over = line.strip_suffix('\n').map(|line| line.trim_end_matches('\r'));
        if over.is_some_and(|line| !line.ends_with('\\')) {
            whole = end;
        }
    }
    match text.len() - whole > LONGEST_LINE {
        true => whole + text.get(whole..).map_or(0, |rest| rest.floor_char_boundary(LONGEST_LINE)),
        false => whole,
    }
}

/// Lines; one that ends in a backslash goes on in the next.
fn joined_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = 0;
        loop {
            let after = rest.get(end..).unwrap_or_default();
            let Some(at) = memchr::memchr(b'\n', after.as_bytes()) else {
                end = rest.len();
                break;
            };
            let goes_on = after.get(..at).is_some_and(|line| line.trim_end_matches('\r').ends_with('\\'));
            end += at + 1;
            if !goes_on || end > LONGEST_LINE {
                break;
            }
        }
        let (line, tail) = rest.split_at(end);
        rest = tail;
        Some(line)
    })
}

#[cfg(test)]
mod tests;
