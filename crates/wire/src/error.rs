//! What can go wrong here. Messages carry offsets and limits, never a byte of the body.

use std::fmt;

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the JSON body is malformed at byte {offset}: {problem}")]
    Malformed { offset: usize, problem: Malformed },
    #[error("the body is not UTF-8 at byte {offset}")]
    NotUtf8 { offset: usize },
    #[error("the body has a zero byte at {offset} and is no text")]
    NotText { offset: usize },
    #[error("the JSON body nests deeper than {limit} levels at byte {offset}")]
    TooDeep { offset: usize, limit: usize },
    #[error("the body holds more than {limit} strings and other values")]
    TooManyStrings { limit: usize },
    #[error("the body has {size} bytes, more than the limit of {limit}")]
    TooLarge { size: usize, limit: usize },
}

/// What the walker met instead of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    Value,
    Key,
    Colon,
    CommaOrClose,
    Escape,
    Number,
    UnfinishedString,
    UnexpectedEnd,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value => "a value was expected",
            Self::Key => "a key in quotes was expected",
            Self::Colon => "a colon was expected",
            Self::CommaOrClose => "a comma or a closing bracket was expected",
            Self::Escape => "the escape sequence is none of JSON's",
            Self::Number => "the number is none of JSON's",
            Self::UnfinishedString => "a string starts here and never ends",
            Self::UnexpectedEnd => "the body ends too early",
        })
    }
}

/// Why replacements could not be turned into edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("the segment is signed by the provider and must not be edited")]
    Locked,
    #[error("the replacement at {start}..{end} lies outside the segment's text")]
    OutOfRange { start: usize, end: usize },
    #[error("two replacements overlap at {at}")]
    Overlap { at: usize },
}

/// Why edits could not be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    #[error("two edits overlap at byte {at}")]
    Overlap { at: usize },
    #[error("the edit at {start}..{end} lies outside a body of {size} bytes")]
    OutOfRange { start: usize, end: usize, size: usize },
}

/// Why a content coding could not be undone or done.
#[derive(Debug, thiserror::Error)]
pub enum CodingError {
    #[error("the content coding is not one of gzip, deflate, br, zstd, identity")]
    Unknown,
    #[error("more than {limit} content codings are stacked")]
    TooMany { limit: usize },
    #[error("decoding {coding} gives more than the limit of {limit} bytes")]
    TooLarge { coding: &'static str, limit: usize },
    #[error("decoding {coding} expands the body more than {limit} times")]
    Bomb { coding: &'static str, limit: usize },
    #[error("the {coding} body is corrupt")]
    Corrupt { coding: &'static str },
    #[error("the {coding} body ends too early")]
    Truncated { coding: &'static str },
    #[error("bytes follow the end of the {coding} body")]
    Trailing { coding: &'static str },
    #[error("could not set up {coding}")]
    Setup {
        coding: &'static str,
        #[source]
        source: std::io::Error,
    },
}

/// Why a stream could not be cut into events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    #[error("an event of the stream is larger than the limit of {limit} bytes")]
    EventTooLarge { limit: usize },
    #[error("the stream runs more than {limit} texts side by side")]
    TooManyTexts { limit: usize },
    #[error("an event of the stream nests deeper, or holds more, than is read")]
    EventTooIntricate,
}
