//! The words of one command: flags, targets, and what is known of them.

use sallyport_policy::shell::SimpleCommand;

pub(super) fn flag(command: &SimpleCommand, short: char, long: &str) -> bool {
    command.arguments().iter().any(|word| {
        let text = word.text.as_str();
        match text.strip_prefix("--") {
            Some(name) => !long.is_empty() && name.split('=').next() == Some(long),
            None => text.strip_prefix('-').is_some_and(|letters| letters.contains(short)),
        }
    })
}

pub(super) fn targets(command: &SimpleCommand) -> impl Iterator<Item = &str> {
    command.arguments().iter().map(|word| word.text.as_str()).filter(|text| !text.starts_with('-'))
}

pub(super) fn words(command: &SimpleCommand) -> Vec<&str> {
    command.words.iter().map(|word| word.text.as_str()).collect()
}

pub(super) fn has(command: &SimpleCommand, wanted: &[&str]) -> bool {
    let words = words(command);
    wanted.iter().all(|word| words.iter().any(|have| have == word))
}

/// A find that asks for age, name or size takes some, not all. Every name is no name.
pub(super) fn narrow(command: &SimpleCommand) -> bool {
    let every = command.arguments().windows(2).any(|pair| {
        pair.first().is_some_and(|test| matches!(test.text.as_str(), "-name" | "-iname" | "-path"))
            && pair.last().is_some_and(|name| matches!(name.text.as_str(), "*" | "*.*" | "*/*"))
    });
    if every {
        return false;
    }
    [
        "-name",
        "-iname",
        "-mtime",
        "-size",
        "-path",
        "-regex",
        "-empty",
        "-newer",
        "-mmin",
        "-user",
        "-maxdepth",
        "-atime",
    ]
    .iter()
    .any(|test| has(command, &[test]))
}

pub(super) const SHELLS: &[&str] = &["sh", "bash", "zsh", "dash", "ksh", "ash", "fish", "csh", "tcsh"];

/// Whether a word is a shell by its path or name.
pub(super) fn is_shell(word: &str) -> bool {
    SHELLS.contains(&word.rsplit('/').next().unwrap_or_default())
}
