//! Plain words that are files which a program reads or writes, where everybody knows it of the program.

use crate::shell::Word;

/// Programs that print what they are given, and how many plain words come before the files.
const READERS: &[(&str, usize)] = &[
    ("cat", 0),
    ("tac", 0),
    ("head", 0),
    ("tail", 0),
    ("less", 0),
    ("more", 0),
    ("bat", 0),
    ("nl", 0),
    ("od", 0),
    ("xxd", 0),
    ("base64", 0),
    ("strings", 0),
    ("wc", 0),
    ("sort", 0),
    ("uniq", 0),
    ("diff", 0),
    ("cmp", 0),
    ("comm", 0),
    ("cp", 0),
    ("grep", 1),
    ("egrep", 1),
    ("fgrep", 1),
    ("rg", 1),
    ("ag", 1),
    ("jq", 1),
];

/// Which of a program's plain words are written, moved or taken away.
enum Written {
    Every,
    Last,
    Behind(usize),
}

const WRITERS: &[(&str, Written)] = &[
    ("tee", Written::Every),
    ("touch", Written::Every),
    ("mkdir", Written::Every),
    ("rmdir", Written::Every),
    ("rm", Written::Every),
    ("unlink", Written::Every),
    ("truncate", Written::Every),
    ("shred", Written::Every),
    ("mv", Written::Every),
    ("cp", Written::Last),
    ("install", Written::Last),
    ("ln", Written::Last),
    ("rsync", Written::Last),
    ("patch", Written::Every),
    ("uniq", Written::Behind(1)),
    ("xxd", Written::Behind(1)),
    ("split", Written::Behind(1)),
    ("chmod", Written::Behind(1)),
    ("chown", Written::Behind(1)),
];

/// Words that are no option. An option's value counts as one, which may only deny more.
fn plain(words: &[Word]) -> impl Iterator<Item = &Word> {
    let mut only = false;
    words.iter().filter(move |word| {
        let end = word.text == "--" && !only;
        only |= end;
        !end && (only || !word.text.starts_with('-'))
    })
}

/// The files that a program is given to read.
pub(super) fn read<'w>(name: &str, words: &'w [Word]) -> Vec<&'w Word> {
    let Some((_, before)) = READERS.iter().find(|(reader, _)| *reader == name) else { return Vec::new() };
    // Where the pattern comes by an option, every other plain word is a file.
    let by_option = ["-e", "-f", "--regexp", "--file"];
    let given = |word: &Word| *before > 0 && by_option.contains(&word.text.as_str());
    let patterns: Vec<&Word> = words.windows(2).filter(|pair| given(&pair[0])).map(|pair| &pair[1]).collect();
    let before = if words.iter().any(given) { 0 } else { *before };
    let is_pattern =
        |word: &&Word| before == 0 && patterns.iter().any(|pattern| std::ptr::eq(*pattern, *word));
    plain(words).filter(|word| !is_pattern(word)).skip(before).collect()
}

/// The files that a program is given to write.
pub(super) fn written<'w>(name: &str, words: &'w [Word]) -> Vec<&'w Word> {
    let Some((_, which)) = WRITERS.iter().find(|(writer, _)| *writer == name) else { return Vec::new() };
    let files: Vec<&Word> = plain(words).collect();
    match which {
        Written::Every => files,
        Written::Last => files.into_iter().skip(1).last().into_iter().collect(),
        Written::Behind(first) => files.into_iter().skip(*first).collect(),
    }
}
