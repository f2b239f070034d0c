//! The vocabulary for a command line: what runs, with which words, fed from and written to where.
//!
//! Only the shape; reading a line with the shell's grammar is `detect::shell`'s to do, judging it `permissions`'.

/// A command line, flattened: every simple command in it, however deep it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShellLine {
    /// In the order in which they stand; what a substitution runs comes before the command that it is part of.
    pub commands: Vec<SimpleCommand>,
    /// Values that variables take other than by an assignment: in loops, arrays and `read`.
    pub takes: Vec<Assignment>,
    /// What can't be told from the text. A line with a doubt may run more than `commands`.
    pub doubts: Vec<Doubt>,
}

/// One program with its words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SimpleCommand {
    /// The program first; empty where there are only assignments or redirections.
    pub words: Vec<Word>,
    pub assignments: Vec<Assignment>,
    pub redirections: Vec<Redirection>,
    pub link: Link,
    /// The pipelines that this is a part of, outermost first. Two commands with a number in common feed each other.
    pub pipelines: Vec<u32>,
    /// The programs that run this one, outermost first: `sudo`, `bash`, `xargs`.
    pub via: Vec<String>,
    pub wraps: Wraps,
}

impl SimpleCommand {
    /// The program as written.
    pub fn program(&self) -> Option<&Word> {
        self.words.first()
    }

    /// The program without its folder.
    pub fn name(&self) -> &str {
        self.program().map_or("", |word| word.text.rsplit('/').next().unwrap_or_default())
    }

    pub fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }
}

/// One word after quotes are resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// What stands for itself; of expansions, their source text.
    pub text: String,
    /// It holds an expansion, so that its text is known only when it runs.
    pub dynamic: bool,
    /// It holds unquoted `*`, `?` or `[`.
    pub glob: bool,
}

impl Word {
    pub fn plain(text: impl Into<String>) -> Word {
        Word { text: text.into(), ..Word::default() }
    }

    /// Whether the text is exactly what the program is given.
    pub fn is_static(&self) -> bool {
        !self.dynamic && !self.glob
    }
}

/// `NAME=value` before a command or alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub name: String,
    pub value: Word,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redirection {
    Read(Word),
    Write(Word),
    /// One descriptor made a copy of another.
    Duplicate,
    /// A here-document or here-string.
    Text(Word),
}

impl Redirection {
    pub fn text(&self) -> Option<&Word> {
        match self {
            Redirection::Text(word) => Some(word),
            _ => None,
        }
    }
}

/// How a command follows the one before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Link {
    /// First, or after `;` or a line's end.
    #[default]
    Sequence,
    And,
    Or,
    Pipe,
    Background,
}

/// Whether a command runs another one that is listed as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Wraps {
    #[default]
    Nothing,
    /// It only starts the other: `env`, `time`, `bash -c`.
    Transparently,
    /// It adds something of its own: `sudo`, `ssh`, `xargs`, `find`.
    WithEffect,
}

/// Why a line can't be told wholly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    TooLong,
    TooDeep,
    TooManyCommands,
    /// It does not follow the shell's grammar as it is known here.
    Grammar,
    /// Which program runs is known only then.
    DynamicProgram,
    /// A shell is given a script that is known only when it runs.
    DynamicScript,
    /// A program that runs others is called in a way that is not known here.
    UnknownWrapping,
    /// Arithmetic or a transformation that can run text as a command.
    Evaluation,
}

impl Doubt {
    /// For people.
    pub fn sentence(self) -> &'static str {
        match self {
            Doubt::TooLong => "the command line is longer than is looked at",
            Doubt::TooDeep => "the command line is nested deeper than is looked at",
            Doubt::TooManyCommands => "the command line holds more commands than are looked at",
            Doubt::Grammar => "the command line can't be taken apart with certainty",
            Doubt::DynamicProgram => "which program runs is known only when it runs",
            Doubt::DynamicScript => "a shell is given commands that are known only when it runs",
            Doubt::UnknownWrapping => "a program that runs others is called in a way that is not known",
            Doubt::Evaluation => "it evaluates text that may run as a command",
        }
    }
}

/// Programs that read scripts in the shell's language.
pub const SHELLS: &[&str] = &["sh", "bash", "zsh", "dash", "ksh", "mksh", "ash", "fish", "rbash"];
