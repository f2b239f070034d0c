//! Words of a command line that may name a link: which to follow, and where the followed ones lead.
//!
//! Files are not looked at here. [`mentioned`] says what is worth following; whoever can see the files puts what came of
//! it into [`Places::links`](super::Places), and a word then counts by where it leads, too.

use super::naming::{is_cd, parts};
use super::paths::{Places, meet, normalise};
use crate::shell::{Redirection, ShellLine, Word};

/// More words of one line are not followed.
const MAX_MENTIONS: usize = 512;
/// More changes of folder in one line are not followed.
const MAX_FOLDERS: usize = 8;

/// A path that a line may name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mention {
    /// Brought to one form, as permissions know it.
    pub path: String,
    /// As the system walks it: `link/../x` stands beside where the link leads.
    pub walked: String,
    /// Any file of this folder may be meant.
    pub folder: bool,
}

/// What the words of a line may name, seen from where it runs.
pub fn mentioned(line: &ShellLine, places: &Places) -> Vec<Mention> {
    let mut mentions = Vec::new();
    // Each as permissions know it, and as the system walks it.
    let mut folders = vec![(places.cwd.clone(), places.cwd.clone())];
    for command in &line.commands {
        let redirected = command.redirections.iter().filter_map(|one| match one {
            Redirection::Read(word) | Redirection::Write(word) => Some(word),
            Redirection::Duplicate | Redirection::Text(_) => None,
        });
        for word in command.words.iter().chain(redirected).filter(|word| !word.dynamic) {
            for (folder, walked) in &folders {
                mention(word, folder, walked, places, &mut mentions);
            }
        }
        if is_cd(command) {
            let target = command.arguments().first().map_or("~", |word| word.text.as_str());
            let more: Vec<_> = folders
                .iter()
                .filter_map(|(folder, walked)| {
                    Some((normalise(target, folder, &places.home)?, walk(target, walked, &places.home)?))
                })
                .collect();
            for folder in more {
                if !folders.contains(&folder) && folders.len() < MAX_FOLDERS {
                    folders.push(folder);
                }
            }
        }
    }
    mentions.sort_unstable();
    mentions.dedup();
    mentions.truncate(MAX_MENTIONS);
    mentions
}

fn mention(word: &Word, folder: &str, walked: &str, places: &Places, mentions: &mut Vec<Mention>) {
    for part in parts(&word.text) {
        let (named, of_folder) = match word.glob.then(|| part.find(['*', '?', '['])).flatten() {
            Some(at) => (head(part, at), true),
            None => (part, false),
        };
        let path = normalise(named, folder, &places.home);
        if let Some((path, walked)) = path.zip(walk(named, walked, &places.home)) {
            mentions.push(Mention { path, walked, folder: of_folder });
        }
    }
}

/// The folder before the first wildcard.
fn head(part: &str, wildcard: usize) -> &str {
    let head = part.get(..wildcard).and_then(|head| head.rfind('/').and_then(|end| head.get(..=end)));
    head.unwrap_or(".")
}

fn walk(path: &str, folder: &str, home: &str) -> Option<String> {
    match path.strip_prefix('~') {
        Some("") => Some(home.to_owned()),
        Some(rest) if rest.starts_with('/') => Some(format!("{home}{rest}")),
        Some(_) => None,
        None if path.starts_with('/') => Some(path.to_owned()),
        None => Some(format!("{folder}/{path}")),
    }
}

impl Places {
    /// Where links lead to which a path is one, or stands below one.
    pub(super) fn leads(&self, path: &str) -> impl Iterator<Item = &str> {
        self.links.get(path).into_iter().flatten().map(String::as_str)
    }

    /// The same for a part of a word with wildcards.
    pub(super) fn pattern_leads(&self, part: &str) -> Vec<&str> {
        let Some(at) = part.find(['*', '?', '[']) else { return Vec::new() };
        let Some(folder) = normalise(head(part, at), &self.cwd, &self.home) else { return Vec::new() };
        let below = part.get(head(part, at).len()..).filter(|_| part.contains('/')).unwrap_or(part);
        let pattern = below.split('/').next().unwrap_or_default();
        let inside = self.links.iter().filter(|(path, _)| {
            path.rsplit_once('/').is_some_and(|(parent, name)| {
                let parent = if parent.is_empty() { "/" } else { parent };
                parent == folder && meet(pattern.as_bytes(), name.as_bytes())
            })
        });
        inside.flat_map(|(_, targets)| targets.iter().map(String::as_str)).collect()
    }
}
