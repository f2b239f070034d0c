//! Packages that are installed under a name that is none of the popular ones and looks like one of them.
//!
//! The names are a snapshot of the registries' most used packages; how it was made is in `assets/packages/README.md`.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use regex_automata::meta::Regex;

/// Names that others imitate, and names that are known to be themselves.
struct Registry {
    imitated: HashSet<&'static str>,
    known: HashSet<&'static str>,
}

/// The first so many names of a list are worth imitating.
const IMITATED: usize = 3_000;
/// Shorter names are too near to too many.
const SHORTEST: usize = 5;

impl Registry {
    fn read(text: &'static str) -> Registry {
        let names = || text.lines().filter(|line| !line.is_empty());
        Registry {
            imitated: names().take(IMITATED).filter(|name| name.len() >= SHORTEST).collect(),
            known: names().collect(),
        }
    }

    fn is_look_alike(&self, name: &str) -> bool {
        if name.len() < SHORTEST || self.known.contains(name) {
            return false;
        }
        neighbours(name).any(|near| self.imitated.contains(near.as_str()))
    }
}

static PYPI: LazyLock<Registry> =
    LazyLock::new(|| Registry::read(include_str!("../../../../assets/packages/pypi.txt")));
static NPM: LazyLock<Registry> =
    LazyLock::new(|| Registry::read(include_str!("../../../../assets/packages/npm.txt")));
static CRATES: LazyLock<Registry> =
    LazyLock::new(|| Registry::read(include_str!("../../../../assets/packages/crates.txt")));

/// An installation, up to its first package.
static INSTALL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new_many(&[
        r"\b(?:pip[0-9.]*|pipx|uv pip|poetry|uv|pdm|pipenv)\s+(?:install|add)\s+",
        r"\b(?:npm\s+(?:install|i|add)|yarn\s+(?:global\s+)?add|pnpm\s+(?:add|install|i)|bun\s+(?:add|install)|npx)\s+",
        r"\bcargo\s+(?:add|install)\s+",
    ])
    .ok()
});

/// Names of which one stands in every installation.
static INSTALLERS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("pip|uv|poetry|pdm|np[mx]|yarn|bun|cargo").ok());

/// Where in `line` a look-alike is installed.
pub(super) fn look_alikes(line: &str) -> Vec<Range<usize>> {
    if !INSTALLERS.as_ref().is_some_and(|names| names.is_match(line)) {
        return Vec::new();
    }
    let Some(pattern) = &*INSTALL else { return Vec::new() };
    let mut found = Vec::new();
    for hit in pattern.find_iter(line) {
        let (registry, python) = match hit.pattern().as_usize() {
            0 => (&*PYPI, true),
            1 => (&*NPM, false),
            _ => (&*CRATES, false),
        };
        let mut at = hit.end();
        let mut skip = false;
        for word in line.get(at..).unwrap_or_default().split(' ') {
            let start = at;
            at += word.len() + 1;
            let ended =
                word.contains([';', '|', '&', '`', '#', ')', '"', '\'']) && !word.starts_with(['"', '\'']);
            let bare = word.trim_matches(['"', '\'', '`', ';', ')', ',', '.']);
            let lead = word.find(bare).unwrap_or_default();
            let span = start + lead..start + lead + bare.len();
            if std::mem::take(&mut skip) || bare.is_empty() {
                continue;
            }
            if bare.starts_with('-') {
                skip = matches!(
                    bare,
                    "-r" | "-c"
                        | "-i"
                        | "--index-url"
                        | "-t"
                        | "--target"
                        | "-e"
                        | "--extra-index-url"
                        | "-p"
                        | "--features"
                        | "--git"
                );
                continue;
            }
            // A path, an address, an alias: no name of a registry.
            if bare.starts_with(['.', '/', '$', '<', '@', '{']) || bare.contains("://") || bare.contains('/')
            {
                if ended {
                    break;
                }
                continue;
            }
            let end = bare.find(['=', '>', '<', '~', '[', '@', '!', '^']).unwrap_or(bare.len());
            let name = bare.get(..end).unwrap_or_default().to_ascii_lowercase();
            let name = if python { name.replace(['_', '.'], "-") } else { name };
            let plausible =
                name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
            if plausible && registry.is_look_alike(&name) {
                found.push(span);
            }
            // Prose goes on after the names; names have no capitals in a row of plain words.
            if ended
                || matches!(
                    name.as_str(),
                    "and" | "to" | "the" | "for" | "then" | "in" | "or" | "with" | "from"
                )
            {
                break;
            }
        }
    }
    found
}

/// Every name one slip away: a letter left out, added, changed, two exchanged; a dash more or less.
fn neighbours(name: &str) -> impl Iterator<Item = String> + '_ {
    const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    let split = move |at: usize| (name.get(..at).unwrap_or_default(), name.get(at..).unwrap_or_default());
    let tail = |text: &str, from: usize| text.get(from..).unwrap_or_default().to_owned();
    let places = 0..=name.len();
    let left_out = places.clone().map(move |at| [split(at).0, &tail(split(at).1, 1)].concat());
    let exchanged = places.clone().filter_map(move |at| {
        let (head, rest) = split(at);
        let (a, b) = (rest.get(..1)?, rest.get(1..2)?);
        Some([head, b, a, &tail(rest, 2)].concat())
    });
    let changed = places.clone().flat_map(move |at| {
        LETTERS.chars().map(move |letter| {
            let (head, rest) = split(at);
            format!("{head}{letter}{}", tail(rest, 1))
        })
    });
    let added = places.flat_map(move |at| {
        LETTERS.chars().map(move |letter| format!("{}{letter}{}", split(at).0, split(at).1))
    });
    let parted = [name.replace('-', ""), name.replace('-', "_"), name.replace('_', "-")];
    left_out.chain(exchanged).chain(changed).chain(added).chain(parted).filter(move |near| near != name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Vec<&str> {
        look_alikes(line).into_iter().map(|span| &line[span]).collect()
    }

    #[test]
    fn slips_of_popular_names_are_found() {
        assert_eq!(found("pip install reqeusts flask"), ["reqeusts"]);
        assert_eq!(found("npm i -D lodahs typescript"), ["lodahs"]);
        assert_eq!(found("run `pip install numpyy==1.2` first"), ["numpyy==1.2"]);
        assert_eq!(found("cargo add serde_jsn"), ["serde_jsn"]);
        assert_eq!(found("python -m pip install -r requirements.txt djang0"), ["djang0"]);
    }

    #[test]
    fn a_letter_lost_from_any_much_used_name_is_found() {
        for (command, registry) in [("pip install", &PYPI), ("npm install", &NPM), ("cargo add", &CRATES)] {
            let (mut lost, mut heard) = (0, 0);
            for name in registry.imitated.iter().filter(|name| name.len() > SHORTEST + 1) {
                let slip = format!("{}{}", &name[..2], &name[3..]);
                if !registry.known.contains(slip.as_str()) && slip != *name {
                    lost += 1;
                    heard += usize::from(!found(&format!("{command} {slip}")).is_empty());
                }
            }
            assert!(lost > 300 && heard * 100 >= lost * 97, "{command}: {heard} of {lost}");
            assert!(
                registry.known.iter().take(2_000).all(|name| found(&format!("{command} {name}")).is_empty())
            );
        }
    }

    #[test]
    fn names_that_are_themselves_are_not() {
        for line in [
            "pip install requests flask numpy pandas scikit-learn",
            "pip install python_dateutil PyYAML ruamel.yaml",
            "npm install react react-dom @types/node express",
            "pip install ./dist/reqeusts.whl git+https://example.com/reqeusts",
            "npm install",
            "cargo add serde serde_json tokio",
            "pip install to the virtual environment",
            "yarn add --dev jest",
        ] {
            assert_eq!(found(line), Vec::<&str>::new(), "{line}");
        }
    }
}
