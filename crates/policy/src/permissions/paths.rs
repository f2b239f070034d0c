//! Paths as agents write them, brought to one form, and the patterns that they are held against.

use std::collections::BTreeMap;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Where an agent stands. All absolute and normalised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// What `/workspace` means in a policy; with links followed too, where that differs.
    pub workspaces: Vec<String>,
    pub cwd: String,
    pub home: String,
    /// Paths that are links, or lead over one, with where they lead. Empty where nobody has looked.
    pub links: BTreeMap<String, Vec<String>>,
}

/// A path without `~`, `.`, `..` and doubled slashes; none if it can't be told where it leads.
pub fn normalise(path: &str, cwd: &str, home: &str) -> Option<String> {
    if path.is_empty() || path.chars().any(char::is_control) {
        return None;
    }
    let path =
        path.strip_prefix("file://").map_or(path, |rest| rest.strip_prefix("localhost").unwrap_or(rest));
    let whole = match path.strip_prefix('~') {
        Some("") => home.to_owned(),
        Some(rest) if rest.starts_with('/') => format!("{home}{rest}"),
        // Another user's home.
        Some(_) => return None,
        None if path.starts_with('/') => path.to_owned(),
        None => format!("{cwd}/{path}"),
    };
    if !whole.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

impl Places {
    /// The names a path goes by: its own, and the one that starts with `/workspace` or `~`.
    fn names(&self, path: &str) -> Vec<String> {
        let mut names = Vec::with_capacity(3);
        for workspace in self.workspaces.iter().filter(|workspace| workspace.len() > 1) {
            if let Some(rest) = below(path, workspace) {
                names.push(format!("/workspace{rest}"));
            }
        }
        if self.home.len() > 1
            && let Some(rest) = below(path, &self.home)
        {
            names.push(format!("~{rest}"));
        }
        names
    }

    /// Whether it is the workspace or stands in it.
    pub(super) fn in_workspace(&self, path: &str) -> bool {
        self.workspaces.iter().any(|workspace| workspace.len() > 1 && below(path, workspace).is_some())
    }
}

/// The longest text in a pattern that stands for itself. `/workspace` and `~` have other names.
fn word(pattern: &str) -> Option<String> {
    if pattern.contains(['[', '{', '\\']) || !pattern.is_ascii() {
        return None;
    }
    let own = pattern.strip_prefix("/workspace").unwrap_or(pattern);
    let longest = own.split(['/', '*', '?', '~']).max_by_key(|part| part.len())?;
    (longest.len() >= 3).then(|| longest.to_ascii_lowercase())
}

fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    path.strip_prefix(folder).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A set of patterns.
#[derive(Debug, Clone, Default)]
pub(super) struct Patterns {
    set: GlobSet,
    texts: Vec<String>,
}

impl Patterns {
    /// Patterns of what may be touched: exact, and a folder's pattern reaches the folder itself.
    pub(super) fn allowing(patterns: &[String]) -> Patterns {
        Patterns::build(patterns, false, |pattern| {
            let folder = pattern.strip_suffix("/**").filter(|folder| !folder.is_empty());
            [Some(pattern.to_owned()), folder.map(str::to_owned)]
        })
    }

    /// Patterns of what may not: whatever its letters' case, with everything below it.
    pub(super) fn denying(patterns: &[String]) -> Patterns {
        Patterns::build(patterns, true, |pattern| {
            let folder = pattern.strip_suffix("/**").filter(|folder| !folder.is_empty()).unwrap_or(pattern);
            [Some(folder.to_owned()), Some(format!("{folder}/**"))]
        })
    }

    /// A document with a pattern that is none is not read, so every one of them is one here.
    fn build(patterns: &[String], any_case: bool, forms: impl Fn(&str) -> [Option<String>; 2]) -> Patterns {
        let mut set = GlobSetBuilder::new();
        let mut texts = Vec::new();
        for pattern in patterns {
            // A relative pattern counts from the workspace, like a relative path in a tool.
            let anchored = pattern.starts_with(['/', '*', '~']);
            let pattern = if anchored { pattern.clone() } else { format!("/workspace/{pattern}") };
            for form in forms(&pattern).into_iter().flatten() {
                let built =
                    GlobBuilder::new(&form).literal_separator(true).case_insensitive(any_case).build();
                if let Ok(glob) = built {
                    set.add(glob);
                    texts.push(pattern.clone());
                }
            }
        }
        Patterns { set: set.build().unwrap_or_default(), texts }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// For each pattern a word that stands in every path which it matches, in lower case. None where one has no such word.
    pub(super) fn words(&self) -> Option<Vec<String>> {
        self.texts.iter().map(|text| word(text)).collect()
    }

    /// For permission: the name `/workspace` is the workspace's alone.
    pub(super) fn allow(&self, path: &str, places: &Places) -> bool {
        let real = below(path, "/workspace").is_none() || places.in_workspace(path);
        (real && self.set.is_match(path)) || places.names(path).iter().any(|name| self.set.is_match(name))
    }

    /// For denial: whichever name matches. Says which pattern did.
    pub(super) fn deny(&self, path: &str, places: &Places) -> Option<&str> {
        let own = std::iter::once(path.to_owned());
        let hit = own.chain(places.names(path)).find_map(|name| self.set.matches(&name).first().copied());
        hit.and_then(|index| self.texts.get(index)).map(String::as_str)
    }

    /// Whether a path with shell wildcards may expand to one that matches, or to one in a folder that does.
    pub(super) fn may_meet(&self, path: &str) -> Option<&str> {
        let path = path.to_ascii_lowercase();
        self.texts.iter().map(String::as_str).find(|text| {
            let folder = text.strip_suffix("/**");
            let own = folder.unwrap_or(text).rsplit('/').next().unwrap_or(text).to_ascii_lowercase();
            // A pattern of stars alone says nothing of a name.
            if own.bytes().all(|byte| byte == b'*') {
                return false;
            }
            let names = path.rsplit('/').take(if folder.is_some() { usize::MAX } else { 1 });
            names.into_iter().any(|name| {
                // The shell's wildcards leave names with a leading dot out.
                let hidden = name.starts_with(['*', '?', '[']) && own.starts_with('.');
                // A folder that is named by a star alone is any folder.
                let any = folder.is_some() && name.bytes().all(|byte| byte == b'*');
                !hidden && !any && meet(name.as_bytes(), own.as_bytes())
            })
        })
    }
}

/// Whether two wildcard patterns have a name in common. Sets of characters count as any one character.
pub(super) fn meet(a: &[u8], b: &[u8]) -> bool {
    let (a, b) = (simplified(a), simplified(b));
    let mut row: Vec<bool> = vec![false; b.len() + 1];
    // row[j]: whether the rest of `a` from i meets the rest of `b` from j; computed from the ends.
    for i in (0..=a.len()).rev() {
        let mut next = vec![false; b.len() + 1];
        for j in (0..=b.len()).rev() {
            let (x, y) = (a.get(i).copied(), b.get(j).copied());
            next[j] = match (x, y) {
                (None, None) => true,
                (Some(b'*'), _) if row[j] => true,
                (Some(b'*'), Some(_)) => next[j + 1],
                (_, Some(b'*')) if next[j + 1] => true,
                (Some(_), Some(b'*')) => row[j],
                (Some(x), Some(y)) if x == y || x == b'?' || y == b'?' => row[j + 1],
                _ => false,
            };
        }
        row = next;
    }
    row[0]
}

fn simplified(pattern: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(pattern.len());
    let mut bytes = pattern.iter().take(256);
    while let Some(&byte) = bytes.next() {
        match byte {
            b'[' => {
                while bytes.next().is_some_and(|byte| *byte != b']') {}
                out.push(b'?');
            }
            b'*' if out.last() == Some(&b'*') => {}
            byte => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_brought_to_one_form() {
        for (path, expected) in [
            ("a.rs", Some("/w/p/a.rs")),
            ("./x/../a.rs", Some("/w/p/a.rs")),
            ("../../../../etc/passwd", Some("/etc/passwd")),
            ("/a//b/./c/", Some("/a/b/c")),
            ("~/x", Some("/home/ann/x")),
            ("~", Some("/home/ann")),
            ("~root/x", None),
            ("file:///etc/passwd", Some("/etc/passwd")),
            ("", None),
            ("a\0b", None),
        ] {
            assert_eq!(normalise(path, "/w/p", "/home/ann").as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn a_pattern_names_a_word_of_all_its_paths() {
        let words = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|one| (*one).to_owned()).collect();
            Patterns::denying(&patterns).words()
        };
        let source = words(&["**/.env*", "**/secrets/**", "**/*.PEM"]).unwrap();
        assert_eq!(source, [".env", ".env", "secrets", "secrets", ".pem", ".pem"]);
        for vague in ["**", "/workspace/**", "**/*.{key,pem}", "**/[.]env", "~/a"] {
            assert_eq!(words(&["**/.env*", vague]), None, "{vague}");
        }
    }

    #[test]
    fn wildcards_meet_where_they_have_a_name_in_common() {
        for (a, b, expected) in [
            (".e*", ".env*", true),
            (".en?", ".env*", true),
            ("*", ".env", true),
            ("*.rs", "*.pem", false),
            ("a*", ".env*", false),
            ("[.]env", ".env*", true),
            ("x*y", "*z", false),
        ] {
            assert_eq!(meet(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
        }
    }
}
