//! Text that a person does not see and a model reads: invisible characters, terminal codes, and what `markup` hides.

use std::ops::Range;
use std::sync::LazyLock;

use regex_automata::meta::Regex;
use sallyport_policy::Severity;

use super::markup;
use crate::found::Found;

/// Adds what is hidden in `text`. `suspicious`: whether words that nobody should see are an instruction.
pub(super) fn find(text: &str, suspicious: &dyn Fn(&str) -> bool, found: &mut Vec<Found>) {
    if !text.is_ascii() {
        invisible(text, found);
    }
    markup::find(text, suspicious, found);
    let bytes = text.as_bytes();
    if memchr::memchr2(0x1b, 0x9b, bytes).is_some() {
        terminal(text, found);
    }
}

fn add(found: &mut Vec<Found>, rule: &'static str, severity: Severity, span: Range<usize>) {
    found.push(Found { rule, severity, span });
}

/// A run from here on carries something.
const INVISIBLE_RUN: usize = 6;
/// Invisible characters inside words of Latin letters: none of their languages needs them.
const INVISIBLE_IN_WORDS: usize = 3;

fn invisible(text: &str, found: &mut Vec<Found>) {
    let zero_width = |c: char| matches!(u32::from(c), 0x200b..=0x200d | 0x2060..=0x2064 | 0xfeff | 0x180e);
    let tag = |c: char| matches!(u32::from(c), 0xe0020..=0xe007f);
    let mut within: Vec<usize> = Vec::new();
    let mut before = ' ';
    let mut turned = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if tag(character) {
            let (end, count) = run(&mut characters, at + character.len_utf8(), tag);
            // A flag is a black flag and a few tags; anything else in tags is words that nobody sees.
            if before != '\u{1f3f4}' && count >= 2 {
                add(found, "hidden_tag_characters", Severity::High, at..end);
            }
        } else if zero_width(character) {
            let (end, count) = run(&mut characters, at + character.len_utf8(), zero_width);
            if count >= INVISIBLE_RUN {
                add(found, "hidden_zero_width", Severity::High, at..end);
            } else if before.is_ascii_alphabetic()
                && characters.peek().is_some_and(|(_, next)| next.is_ascii_alphabetic())
            {
                within.push(at);
            }
        } else if matches!(character, '\u{202d}' | '\u{202e}') {
            // One within another ends where that does, and is not searched for anew.
            if at >= turned {
                let rest = text.get(at..).unwrap_or_default();
                turned = at + rest.find(['\u{202c}', '\n']).unwrap_or(rest.len());
            }
            add(found, "hidden_direction", Severity::Medium, at..turned);
        }
        before = character;
    }
    if within.len() >= INVISIBLE_IN_WORDS
        && let (Some(first), Some(last)) = (within.first(), within.last())
    {
        let end = text.ceil_char_boundary(last + 1);
        add(found, "hidden_zero_width", Severity::Medium, *first..end);
    }
}

/// How far a run goes, and of how many characters it is.
fn run(
    characters: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
    mut end: usize,
    belongs: impl Fn(char) -> bool,
) -> (usize, usize) {
    let mut count = 1;
    while let Some((at, character)) = characters.next_if(|(_, c)| belongs(*c)) {
        end = at + character.len_utf8();
        count += 1;
    }
    (end, count)
}

/// Codes for a terminal: how what follows looks, what goes to the clipboard, a string that is not shown.
static TERMINAL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:\x1b\[|\u{9b})[0-9;:]{1,40}m|\x1b\]52;|\x1b[PX^_][^\x1b]{1,200}\x1b\\").ok()
});

fn terminal(text: &str, found: &mut Vec<Found>) {
    let Some(pattern) = &*TERMINAL else { return };
    for code in pattern.find_iter(text) {
        let written = text.get(code.range()).unwrap_or_default();
        if written.ends_with('m') && !conceals(written) {
            continue;
        }
        let rest = text.get(code.end()..).unwrap_or_default();
        let end = rest.find(['\x1b', '\u{9b}']).unwrap_or(0);
        add(found, "hidden_terminal_code", Severity::High, code.start()..code.end() + end);
    }
}

/// Whether a code for how words look makes them unseen: concealed, or in the colour of their ground.
fn conceals(code: &str) -> bool {
    let mut numbers = code
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .trim_end_matches('m')
        .split([';', ':'])
        .map(|number| number.parse::<u32>().unwrap_or(0));
    let (mut fore, mut ground) = (None, None);
    while let Some(number) = numbers.next() {
        match number {
            8 => return true,
            30..=37 => fore = Some((0, number - 30, 0, 0)),
            90..=97 => fore = Some((1, number - 90, 0, 0)),
            40..=47 => ground = Some((0, number - 40, 0, 0)),
            100..=107 => ground = Some((1, number - 100, 0, 0)),
            38 | 48 => {
                let mut next = || numbers.next().unwrap_or(0);
                let colour = match next() {
                    5 => Some((2, next(), 0, 0)),
                    2 => Some((3, next(), next(), next())),
                    _ => None,
                };
                *if number == 38 { &mut fore } else { &mut ground } = colour;
            }
            _ => {}
        }
    }
    fore.is_some() && fore == ground
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The rules of what is found where only words that hold `obey` are suspicious.
    pub(in crate::injection) fn rules(text: &str) -> Vec<&'static str> {
        let mut found = Vec::new();
        find(text, &|words| words.contains("obey"), &mut found);
        for one in &found {
            assert!(text.get(one.span.clone()).is_some());
        }
        found.into_iter().map(|one| one.rule).collect()
    }

    #[test]
    fn the_patterns_compile() {
        assert!(TERMINAL.is_some());
    }

    #[test]
    fn what_is_hidden_is_found() {
        let tags: String = "obey".chars().map(|c| char::from_u32(0xe0000 + u32::from(c)).unwrap()).collect();
        for (text, rule) in [
            (format!("hello{tags}"), "hidden_tag_characters"),
            ("a\u{200b}\u{200c}\u{200b}\u{200c}\u{200b}\u{200c}b".into(), "hidden_zero_width"),
            ("i\u{200b}g\u{200b}n\u{200b}ore".into(), "hidden_zero_width"),
            ("x\u{202e}gpj.exe".into(), "hidden_direction"),
            ("ok \x1b[8mobey\x1b[0m".into(), "hidden_terminal_code"),
            ("ok \x1b[8;1mobey\x1b[0m".into(), "hidden_terminal_code"),
            ("ok \u{9b}1;8mobey\u{9b}0m".into(), "hidden_terminal_code"),
            ("ok \x1b[97;107mobey\x1b[0m".into(), "hidden_terminal_code"),
            ("ok \x1b[48;5;16;38;5;16mobey\x1b[0m".into(), "hidden_terminal_code"),
            ("ok \x1b[38;2;0;0;0;48;2;0;0;0mobey\x1b[0m".into(), "hidden_terminal_code"),
            ("ok \x1b_agents obey\x1b\\".into(), "hidden_terminal_code"),
            ("\x1b]52;c;cm0gLXJmIC8=\x07".into(), "hidden_terminal_code"),
        ] {
            assert_eq!(rules(&text), [rule], "{text:?}");
        }
    }

    #[test]
    fn what_only_looks_hidden_is_not() {
        for text in [
            "\u{feff}file with a mark at its head",
            "family \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} and heart ❤\u{fe0f}",
            "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f} England",
            "می\u{200c}خواهم نمی\u{200c}دانم می\u{200c}روم",
            "\x1b[31mred\x1b[0m \x1b[1A\x1b[2K 40%",
            "\x1b[38;5;8mgrey\x1b[0m \x1b[37;40mwhite on black\x1b[0m",
            "printf '\\x1b[8m'",
        ] {
            assert_eq!(rules(text), Vec::<&str>::new(), "{text:?}");
        }
    }
}
