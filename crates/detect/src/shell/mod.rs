//! Takes a command line apart with the shell's own grammar, to the flat list of what it runs.
//!
//! Whatever is not understood with certainty is a [`Doubt`], never a guess: a shell must not be able to read more
//! into a line than is told of it here. Runs nothing, judges nothing, keeps nothing.

mod walk;
mod word;
mod wrappers;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::ControlFlow;

pub use sallyport_policy::shell::{
    Assignment, Doubt, Link, Redirection, ShellLine, SimpleCommand, Word, Wraps,
};
use tree_sitter::{ParseOptions, Parser, Tree};

/// Longer lines are not looked at. Agents write whole files by here-documents, so it is generous.
const MAX_BYTES: usize = 256 * 1024;
/// Scripts within scripts: `bash -c "bash -c …"`.
const MAX_SCRIPTS: usize = 6;
const MAX_COMMANDS: usize = 2_000;
/// The parser asks once in a hundred operations or so; ordinary lines take one for each few bytes.
const MAX_STEPS: usize = 50_000;

/// Reads a command line as bash would.
pub fn parse(line: &str) -> ShellLine {
    let mut out = ShellLine::default();
    let mut reading = Reading { out: &mut out, pipelines: 0 };
    script(&mut reading, line, &Around::default(), 0);
    out.doubts.sort_unstable();
    out.doubts.dedup();
    out
}

/// Reads argument words that are handed to a program without a shell, as in `["bash", "-lc", "make"]`.
pub fn parse_words<S: AsRef<str>>(words: &[S]) -> ShellLine {
    let mut out = ShellLine::default();
    let mut reading = Reading { out: &mut out, pipelines: 0 };
    let words = words.iter().map(|word| Word::plain(word.as_ref())).collect();
    wrappers::push(&mut reading, SimpleCommand { words, ..SimpleCommand::default() }, 0, false);
    out.doubts.sort_unstable();
    out.doubts.dedup();
    out
}

/// What is under way.
struct Reading<'o> {
    out: &'o mut ShellLine,
    pipelines: u32,
}

impl Reading<'_> {
    fn doubt(&mut self, doubt: Doubt) {
        // A hostile line may give cause without end.
        if self.out.doubts.last() != Some(&doubt) && self.out.doubts.len() < 64 {
            self.out.doubts.push(doubt);
        }
    }

    fn emit(&mut self, command: SimpleCommand) {
        if self.out.commands.len() < MAX_COMMANDS {
            self.out.commands.push(command);
        } else {
            self.doubt(Doubt::TooManyCommands);
        }
    }

    fn pipeline(&mut self) -> u32 {
        self.pipelines += 1;
        self.pipelines
    }
}

/// What a command stands in.
#[derive(Clone, Default)]
struct Around {
    pipelines: Vec<u32>,
    via: Vec<String>,
    link: Link,
    /// Something is piped into it.
    fed: bool,
}

/// Reads a script, or one within another.
fn script(reading: &mut Reading<'_>, text: &str, around: &Around, depth: usize) {
    if text.len() > MAX_BYTES {
        return reading.doubt(Doubt::TooLong);
    }
    if depth > MAX_SCRIPTS {
        return reading.doubt(Doubt::TooDeep);
    }
    if strange(text) {
        reading.doubt(Doubt::Grammar);
    }
    match tree(text) {
        Some(tree) => walk::Walk { reading, text, depth }.program(tree.root_node(), around),
        None => reading.doubt(Doubt::TooDeep),
    }
}

/// Characters that shells and the grammar take differently: control characters, foreign white space, and a line
/// that goes on in the middle of a word.
fn strange(text: &str) -> bool {
    let foreign =
        |c: char| (c.is_control() && c != '\n' && c != '\t') || (c.is_whitespace() && !c.is_ascii());
    text.contains(foreign)
        || text.match_indices("\\\n").any(|(at, _)| {
            let before = text.get(..at).and_then(|head| head.chars().next_back());
            let after = text.get(at + 2..).and_then(|tail| tail.chars().next());
            let apart = |c: Option<char>| c.is_none_or(|c| c.is_ascii_whitespace());
            !apart(before) && !apart(after)
        })
}

/// The text as the grammar may see it, each byte in its place. Behind a brace its scanner asks C's `isdigit` for
/// any character, which reads far outside of a table for one that is not ASCII: such a one becomes a letter.
fn for_the_grammar(text: &str) -> Cow<'_, [u8]> {
    let mut bytes = Cow::Borrowed(text.as_bytes());
    if text.is_ascii() {
        return bytes;
    }
    for (brace, _) in text.match_indices('{') {
        let mut at = brace + 1;
        let digits = |at: usize| {
            let rest = text.as_bytes().get(at..).unwrap_or_default();
            at + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        at = digits(at);
        if text.get(at..).is_some_and(|rest| rest.starts_with("..")) {
            at = digits(at + 2);
        }
        let Some(next) = text.get(at..).and_then(|rest| rest.chars().next()).filter(|c| !c.is_ascii()) else {
            continue;
        };
        if let Some(place) = bytes.to_mut().get_mut(at..at + next.len_utf8()) {
            place.fill(b'x');
        }
    }
    bytes
}

fn tree(text: &str) -> Option<Tree> {
    thread_local! {
        static PARSER: RefCell<Parser> = RefCell::new(Parser::new());
    }
    PARSER.with_borrow_mut(|parser| {
        if parser.language().is_none() {
            parser.set_language(&tree_sitter_bash::LANGUAGE.into()).ok()?;
        }
        let mut steps = 0;
        let mut patience = |_: &tree_sitter::ParseState| {
            steps += 1;
            if steps > MAX_STEPS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let options = ParseOptions::new().progress_callback(&mut patience);
        let bytes = &*for_the_grammar(text);
        let tree =
            parser.parse_with_options(&mut |at, _| bytes.get(at..).unwrap_or_default(), None, Some(options));
        if tree.is_none() {
            parser.reset();
        }
        tree
    })
}
