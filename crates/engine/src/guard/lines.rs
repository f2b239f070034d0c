//! From which file each line of a search's result comes, as grep, ripgrep, git, head and tail say it.
//!
//! Pure. A line that says nothing belongs to the section it stands in, or to nobody.

use std::collections::HashMap;
use std::ops::Range;

/// Longer beginnings of a line are no path.
const MAX_PATH: usize = 512;

/// Whether a tool of this name looks through files and tells what it found in them.
pub(super) fn searches(tool: &str) -> bool {
    let tool = tool.to_ascii_lowercase();
    ["grep", "search", "codebase"].iter().any(|word| tool.contains(word))
}

/// The stretches of a text whose lines come from files of which `hides` says yes. Whole lines, in order, apart.
pub(super) fn from_files(text: &str, mut hides: impl FnMut(&str) -> bool) -> Vec<Range<usize>> {
    let mut known: HashMap<&str, bool> = HashMap::new();
    let mut hidden = |path| *known.entry(path).or_insert_with(|| is_path(path) && hides(path));
    let mut stretches: Vec<Range<usize>> = Vec::new();
    let mut section = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let range = at..at + line.len();
        at = range.end;
        let line = line.trim_end();
        if let Some(path) = heading(line) {
            section = hidden(path);
            continue;
        }
        if !(section || prefixes(line).any(&mut hidden)) {
            continue;
        }
        match stretches.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => stretches.push(range),
        }
    }
    stretches
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

    fn left(text: &str) -> String {
        let mut left = text.to_owned();
        for range in
            from_files(text, |path| path.rsplit('/').next().unwrap().starts_with(".env")).into_iter().rev()
        {
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
            assert_eq!(left(text), expected);
        }
    }
}
