//! Texts made from lists of alternatives, the same for the same seed.

use std::collections::HashMap;

use crate::corpus::Lane;

/// A small generator of numbers; the same everywhere.
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

pub(crate) struct Grammar {
    lists: HashMap<String, Vec<String>>,
}

impl Grammar {
    pub(crate) fn of(lane: Lane) -> Grammar {
        let mut lists: HashMap<String, Vec<String>> = HashMap::new();
        // What a person says plainly taught the data lane nothing that it kept.
        let spoken = [include_str!("grammar/plainest.txt"), include_str!("grammar/spoken_more.txt")];
        let texts = [
            include_str!("grammar/words.txt"),
            include_str!("grammar/tasks.txt"),
            include_str!("grammar/free.txt"),
            include_str!("grammar/attacks.txt"),
            include_str!("grammar/frames.txt"),
            include_str!("grammar/foreign.txt"),
            include_str!("grammar/carriers.txt"),
            include_str!("grammar/holders.txt"),
            include_str!("grammar/user_attacks.txt"),
            include_str!("grammar/games.txt"),
            include_str!("grammar/user_benign.txt"),
            include_str!("grammar/everyday.txt"),
            include_str!("grammar/asides.txt"),
            include_str!("grammar/wild.txt"),
            include_str!("grammar/workshop.txt"),
            include_str!("grammar/voices.txt"),
            include_str!("grammar/strangers.txt"),
            include_str!("grammar/errands.txt"),
            include_str!("grammar/orders.txt"),
            include_str!("grammar/scenes.txt"),
            include_str!("grammar/doors.txt"),
            include_str!("grammar/doubles.txt"),
            include_str!("grammar/singles.txt"),
            include_str!("grammar/abroad.txt"),
            include_str!("grammar/brands.txt"),
            include_str!("grammar/wants.txt"),
            include_str!("grammar/results.txt"),
            include_str!("grammar/tongues.txt"),
            include_str!("grammar/vessels.txt"),
            include_str!("grammar/desk.txt"),
            include_str!("grammar/papers.txt"),
            include_str!("grammar/spoken_games.txt"),
            include_str!("grammar/spoken_lines.txt"),
            include_str!("grammar/spoken_wild.txt"),
            include_str!("grammar/spoken_tales.txt"),
            include_str!("grammar/spoken_abroad.txt"),
            include_str!("grammar/spoken_honest.txt"),
            include_str!("grammar/spoken_chat.txt"),
            include_str!("grammar/spoken_fair.txt"),
            include_str!("grammar/spoken_day.txt"),
        ];
        let spoken = spoken.into_iter().filter(|_| lane == Lane::User);
        for text in texts.into_iter().chain(spoken) {
            let mut name = String::new();
            for line in text.lines() {
                let heading = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                match heading {
                    Some(new) if new.chars().all(|c| c.is_ascii_lowercase() || c == '_') => {
                        name = new.to_owned()
                    }
                    _ if line.is_empty() || line.starts_with("# ") && name.is_empty() => {}
                    _ => lists.entry(name.clone()).or_default().push(line.to_owned()),
                }
            }
        }
        Grammar { lists }
    }

    /// Takes the lists of this name away, so that what they say is unseen.
    pub(crate) fn without(mut self, name: &str) -> Grammar {
        let reference = format!("${name}");
        self.lists.remove(name);
        for lines in self.lists.values_mut() {
            lines.retain(|line| !line.split(' ').any(|word| word == reference));
        }
        self
    }

    pub(crate) fn make(&self, list: &str, dice: &mut Dice) -> String {
        let mut out = String::new();
        self.list(list, dice, &mut out);
        out
    }

    fn list(&self, name: &str, dice: &mut Dice, out: &mut String) {
        let lines = self.lists.get(name).unwrap_or_else(|| panic!("no list {name}"));
        self.expand(&lines[dice.below(lines.len())], dice, out);
    }

    fn expand(&self, text: &str, dice: &mut Dice, out: &mut String) {
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let after = &rest[character.len_utf8()..];
            match character {
                '\\' => {
                    let escaped = after.chars().next().unwrap_or('\\');
                    out.push(match escaped {
                        'n' => '\n',
                        't' => '\t',
                        other => other,
                    });
                    rest = &after[escaped.len_utf8().min(after.len())..];
                }
                '$' => {
                    let length =
                        after.find(|c: char| !(c.is_ascii_lowercase() || c == '_')).unwrap_or(after.len());
                    let name = (1..=length).rev().find(|end| self.lists.contains_key(&after[..*end]));
                    match name {
                        Some(end) => self.list(&after[..end], dice, out),
                        None => out.push('$'),
                    }
                    rest = &after[name.unwrap_or(0)..];
                }
                '{' => match group(after) {
                    Some((choices, tail)) if choices.len() > 1 => {
                        self.expand(choices[dice.below(choices.len())], dice, out);
                        rest = tail;
                    }
                    _ => {
                        out.push('{');
                        rest = after;
                    }
                },
                other => {
                    out.push(other);
                    rest = after;
                }
            }
        }
    }
}

/// The alternatives of a group whose opening brace was just read, and what follows it.
fn group(text: &str) -> Option<(Vec<&str>, &str)> {
    let (mut depth, mut start, mut escaped) = (0, 0, false);
    let mut choices = Vec::new();
    for (at, character) in text.char_indices() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match character {
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' if depth == 0 => {
                choices.push(&text[start..at]);
                return Some((choices, &text[at + 1..]));
            }
            '}' => depth -= 1,
            '|' if depth == 0 => {
                choices.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    None
}
