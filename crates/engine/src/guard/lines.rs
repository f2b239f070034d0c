//! From which file each line of a search's result comes, as grep, ripgrep, git, head and tail say it.
//!
//! Pure. A line that says nothing belongs to the section it stands in, or to nobody.

use std::collections::HashMap;
use std::ops::Range;

use aho_corasick::AhoCorasick;

/// Longer beginnings of a line are no path.
const MAX_PATH: usize = 512;

/// Whether a tool of this name looks through files and tells what it found in them.
pub(super) fn searches(tool: &str) -> bool {
    let tool = tool.to_ascii_lowercase();
    ["grep", "search", "codebase"].iter().any(|word| tool.contains(word))
}

/// What is looked for first: only lines that hold one of these words can name such a file.
pub(super) enum Words {
    These(AhoCorasick),
    /// Any line may.
    Any,
}

impl Words {
    pub(super) fn of(words: Option<Vec<String>>) -> Words {
        let built =
            words.and_then(|words| AhoCorasick::builder().ascii_case_insensitive(true).build(words).ok());
        built.map_or(Words::Any, Words::These)
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        match self {
            Words::These(words) => words.is_match(text),
            Words::Any => true,
        }
    }

    /// Where the next line begins that has to be looked at. `from`: where one begins.
    fn next_line(&self, text: &str, from: usize) -> Option<usize> {
        let rest = text.get(from..).filter(|rest| !rest.is_empty())?;
        let Words::These(words) = self else { return Some(from) };
        let at = words.find(rest)?.start();
        Some(from + rest.get(..at)?.rfind('\n').map_or(0, |end| end + 1))
    }
}

/// The stretches of a text whose lines come from files of which `hides` says yes. Whole lines, in order, apart.
pub(super) fn from_files(
    text: &str,
    words: &Words,
    mut hides: impl FnMut(&str) -> bool,
) -> Vec<Range<usize>> {
    let mut known: HashMap<&str, bool> = HashMap::new();
    let mut hidden = |path| *known.entry(path).or_insert_with(|| is_path(path) && hides(path));
    let mut stretches: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while let Some(start) = words.next_line(text, at) {
        at = line_end(text, start);
        let line = text.get(start..at).unwrap_or_default().trim_end();
        let range = match heading(line) {
            Some(path) if hidden(path) => at..section_end(text, at),
            Some(_) => continue,
            None if prefixes(line).any(&mut hidden) => start..at,
            None => continue,
        };
        at = range.end;
        match stretches.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => stretches.push(range),
        }
    }
    stretches.retain(|range| !range.is_empty());
    stretches
}

fn line_end(text: &str, start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    start + memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |end| end + 1)
}

/// Where the next heading stands, or the text ends.
fn section_end(text: &str, mut at: usize) -> usize {
    while at < text.len() {
        let end = line_end(text, at);
        if heading(text.get(at..end).unwrap_or_default().trim_end()).is_some() {
            break;
        }
        at = end;
    }
    at
}

/// The file that a section is about.
fn heading(line: &str) -> Option<&str> {
    let several = line.strip_prefix("==> ").and_then(|rest| rest.strip_suffix(" <=="));
    several.or_else(|| line.strip_prefix("diff --git ").and_then(|rest| Some(rest.rsplit_once(" b/")?.1)))
}

/// What at the beginning of a line may be the file that it comes from: `path:`, and `path-12-` of lines around a hit.
fn prefixes(line: &str) -> impl Iterator<Item = &str> {
    let hit = line.split_once(':').map(|(path, _)| path);
    let around = line.match_indices('-').find_map(|(at, _)| {
        let rest = line.get(at + 1..)?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        (digits > 0 && rest.as_bytes().get(digits) == Some(&b'-')).then(|| line.get(..at)).flatten()
    });
    hit.into_iter().chain(around)
}

fn is_path(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_PATH && text.contains(['/', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(text: &str, words: &Words) -> String {
        let hides = |path: &str| path.rsplit('/').next().unwrap().starts_with(".env");
        let mut left = text.to_owned();
        for range in from_files(text, words, hides).into_iter().rev() {
            left.replace_range(range, "");
        }
        left
    }

    #[test]
    fn lines_say_from_which_file_they_come() {
        for (text, expected) in [
            ("src/a.rs:3:let key = 1\n./.env:1:KEY=x\n.env.local:KEY=y\nb", "src/a.rs:3:let key = 1\nb"),
            ("/p/.env-1-A=x\n/p/.env:2:B=y\n--\nsrc/a.rs-1-.env: no\n", "--\nsrc/a.rs-1-.env: no\n"),
            ("==> .env <==\nA=x\n\n==> a.txt <==\ntext\n", "==> .env <==\n==> a.txt <==\ntext\n"),
            (
                "diff --git a/.env b/.env\n+A=x\ndiff --git a/c b/c\n+d\n",
                "diff --git a/.env b/.env\ndiff --git a/c b/c\n+d\n",
            ),
            (
                "copied .env.example to .env\nerror: no file\n",
                "copied .env.example to .env\nerror: no file\n",
            ),
            ("", ""),
        ] {
            assert_eq!(left(text, &Words::Any), expected);
            assert_eq!(left(text, &Words::of(Some(vec![".env".into()]))), expected);
        }
    }
}
