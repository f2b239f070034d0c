//! Matches that hold more than one value: the cells under a heading, the items of a list.
//!
//! The rule's regex says where such a match begins and ends; a reader says which parts of it are values and what each
//! is called. It looks at nothing behind the match, and no further before it than a validator may.

use std::ops::Range;

use super::validators::{LOOK_BEHIND, is_name};
use crate::shape;

/// How the match of a rule is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A table from the first telling word of its heading on.
    Column,
    /// A list from the telling word before it on.
    Items,
}

/// A value, and the name that its place gives it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) span: Range<usize>,
}

const MOST_CELLS: usize = 64;
const MOST_PARTS: usize = 4096;
const LONGEST_NAME: usize = 48;
const VALUE: std::ops::RangeInclusive<usize> = 5..=200;

impl Reader {
    pub(super) fn named(name: &str) -> Option<Reader> {
        match name {
            "column" => Some(Reader::Column),
            "items" => Some(Reader::Items),
            _ => None,
        }
    }

    /// The values of a match, from left to right.
    pub(super) fn read(self, text: &[u8], whole: &Range<usize>) -> Vec<Part> {
        let parts = match self {
            Reader::Column => table(text, whole),
            Reader::Items => list(text, whole),
        };
        parts.unwrap_or_default()
    }
}

/// What joins the cells of a row.
#[derive(Clone, Copy)]
enum Form<'r> {
    /// A mark, and cells may be quoted.
    Separated(u8),
    /// Bars, as Markdown and the clients of databases draw them.
    Barred,
    /// The line of `=` under the heading says where columns stand.
    Ruled(&'r [Range<usize>]),
}

fn table(text: &[u8], whole: &Range<usize>) -> Option<Vec<Part>> {
    let before = text.get(whole.start.saturating_sub(LOOK_BEHIND)..whole.start)?;
    let start = match memchr::memrchr(b'\n', before) {
        Some(at) => whole.start - before.len() + at + 1,
        None if before.len() < LOOK_BEHIND => 0,
        None => return None,
    };
    let mut lines = Lines { text, at: start, end: whole.end };
    let heading = lines.next()?;
    let mut rest = lines.clone();
    let line = rest.next().map(|second| text.get(second).unwrap_or_default())?;
    let ruler: Vec<Range<usize>>;
    let form = if is_rule(line) {
        lines = rest;
        if text.get(heading.clone())?.contains(&b'|') {
            Form::Barred
        } else {
            ruler = columns(line);
            Form::Ruled(&ruler)
        }
    } else {
        let head = text.get(heading.clone())?;
        let count = |mark: u8| head.iter().filter(|byte| **byte == mark).count();
        let mark = [b',', b';', b'\t'].into_iter().max_by_key(|mark| count(*mark))?;
        Form::Separated(mark)
    };
    let names: Vec<Option<String>> =
        form.cells(text, heading)?.into_iter().map(|cell| heading_name(text, cell)).collect();
    // Anything that is no name says that this is no heading.
    let telling: Vec<Option<String>> = names
        .into_iter()
        .map(|name| name.map(|name| telling(&name)))
        .collect::<Option<Vec<Option<String>>>>()?;
    if telling.len() < 2 {
        return None;
    }
    let mut parts = Vec::new();
    for line in lines {
        if is_rule(text.get(line.clone())?) {
            continue;
        }
        let Some(cells) = form.cells(text, line).filter(|cells| cells.len() == telling.len()) else { break };
        for (name, cell) in telling.iter().zip(cells) {
            if let (Some(name), Some(span)) = (name, value(text, cell)) {
                parts.push(Part { name: name.clone(), span });
            }
        }
        if parts.len() >= MOST_PARTS {
            break;
        }
    }
    Some(parts)
}

impl Form<'_> {
    /// The cells of a line, or none if it is no row.
    fn cells(self, text: &[u8], line: Range<usize>) -> Option<Vec<Range<usize>>> {
        let cells = match self {
            Form::Separated(mark) => separated(text, line, mark)?,
            Form::Barred => {
                let line = trimmed(text, line, b" \t\r");
                let inner = trimmed(text, line.clone(), b"|");
                let at = |from: usize| text.get(from..inner.end).unwrap_or_default();
                let mut cells = Vec::new();
                let mut from = inner.start;
                while let Some(bar) = memchr::memchr(b'|', at(from)).filter(|_| cells.len() < MOST_CELLS) {
                    cells.push(from..from + bar);
                    from += bar + 1;
                }
                cells.push(from..inner.end);
                // A last cell that is empty, or whose bars stand alone, is none of a table of bars.
                if cells.len() == 1 && inner == line {
                    return None;
                }
                cells
            }
            Form::Ruled(columns) => {
                let last = columns.len().checked_sub(1)?;
                let cell = |(number, column): (usize, &Range<usize>)| {
                    let start = (line.start + column.start).min(line.end);
                    // The last column may be longer than its rule.
                    let end = if number == last { line.end } else { (line.start + column.end).min(line.end) };
                    start..end
                };
                columns.iter().enumerate().map(cell).collect()
            }
        };
        (cells.len() <= MOST_CELLS)
            .then(|| cells.into_iter().map(|cell| trimmed(text, cell, b" \t\r")).collect())
    }
}

/// Cells between marks, a quoted one without its quotes.
fn separated(text: &[u8], line: Range<usize>, mark: u8) -> Option<Vec<Range<usize>>> {
    let mut cells = Vec::new();
    let mut at = line.start;
    loop {
        if cells.len() > MOST_CELLS {
            return None;
        }
        let rest = text.get(at..line.end)?;
        let blanks = rest.iter().take_while(|byte| **byte == b' ').count();
        let quote = rest.get(blanks).copied().filter(|byte| b"\"'".contains(byte));
        let quoted = quote.and_then(|quote| {
            let open = at + blanks + 1;
            let mut end = open;
            // A doubled quote stands for one.
            while let Some(close) = text.get(end..line.end).and_then(|rest| memchr::memchr(quote, rest)) {
                end += close + 1;
                if text.get(end) != Some(&quote) || end >= line.end {
                    return Some((open..end - 1, end));
                }
                end += 1;
            }
            None
        });
        let (cell, end) = match quoted {
            Some((cell, end)) => {
                let blanks =
                    text.get(end..line.end)?.iter().take_while(|byte| b" \t\r".contains(*byte)).count();
                (cell, end + if text.get(end) == Some(&mark) { 0 } else { blanks })
            }
            None => {
                let len = memchr::memchr(mark, rest).unwrap_or(rest.len());
                (at..at + len, at + len)
            }
        };
        cells.push(cell);
        match text.get(end) {
            Some(byte) if *byte == mark && end < line.end => at = end + 1,
            _ if end >= line.end => return Some(cells),
            // Something stands behind a closing quote.
            _ => return None,
        }
    }
}

/// What a cell of a heading says, if it is a name and no sentence, number or code; an empty one names nothing.
fn heading_name(text: &[u8], cell: Range<usize>) -> Option<String> {
    let cell = trimmed(text, cell, b" \t\r\"'`*_");
    let name = std::str::from_utf8(text.get(cell)?).ok()?;
    let plain = |c: char| c.is_alphanumeric() || "_ .-/()#&:?".contains(c);
    let is_name = name.len() <= LONGEST_NAME
        && name.chars().all(plain)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.contains('(') == name.ends_with(')')
        && name.split(' ').count() <= 4;
    is_name.then(|| name.to_lowercase().replace(' ', "_"))
}

/// The name by which the values under a heading are judged, if it says that they are secrets.
fn telling(heading: &str) -> Option<String> {
    const FOREIGN: [&str; 8] =
        ["contraseña", "kennwort", "mot_de_passe", "passwort", "senha", "wachtwoord", "пароль", "パスワード"];
    if FOREIGN.iter().any(|word| heading.ends_with(word)) {
        return Some("password".to_owned());
    }
    let name = one_of(heading);
    // A tick, the words of a text.
    let vague = ["auth", "pass"].contains(&name);
    (!vague && shape::names_secret(name)).then(|| name.to_owned())
}

/// `api_keys` holds values each of which is an `api_key`.
fn one_of(name: &str) -> &str {
    let lower = name.to_ascii_lowercase();
    let many = ["keys", "passwords", "secrets", "tokens", "credentials", "passphrases"];
    if many.iter().any(|word| lower.ends_with(word)) {
        name.get(..name.len() - 1).unwrap_or(name)
    } else {
        name
    }
}

/// A cell that may hold a secret: one word, without the marks that set it apart.
fn value(text: &[u8], cell: Range<usize>) -> Option<Range<usize>> {
    let span = trimmed(text, cell, b" \t\r`");
    let span = match text.get(span.clone())? {
        [b'*', b'*', .., b'*', b'*'] if span.len() > 4 => span.start + 2..span.end - 2,
        _ => span,
    };
    let value = text.get(span.clone())?;
    let plain = VALUE.contains(&value.len()) && !value.iter().any(u8::is_ascii_whitespace);
    plain.then_some(span)
}

fn list(text: &[u8], whole: &Range<usize>) -> Option<Vec<Part>> {
    let before = text.get(whole.start.saturating_sub(LONGEST_NAME)..whole.start)?;
    let start = whole.start - before.iter().rev().take_while(|byte| is_name(**byte)).count();
    let rest = text.get(start..whole.end)?;
    let end = start + rest.iter().position(|byte| !is_name(*byte))?;
    let name = one_of(std::str::from_utf8(text.get(start..end)?).ok()?.trim_start_matches('-'));
    // Names under which a mail server's keys are published.
    let open = name.to_ascii_lowercase().contains("dkim");
    if open || !shape::names_secret(name) {
        return Some(Vec::new());
    }
    let spans = match text.get(end..whole.end)?.iter().find(|byte| b"[({\n".contains(*byte)) {
        Some(b'\n') => lines_of_list(text, end..whole.end),
        _ => quoted_items(text, end..whole.end),
    };
    let parts = spans.into_iter().filter_map(|span| value(text, span)).take(MOST_PARTS);
    Some(parts.map(|span| Part { name: name.to_owned(), span }).collect())
}

/// `- value`, quoted or not, with or without a comment behind it.
fn lines_of_list(text: &[u8], list: Range<usize>) -> Vec<Range<usize>> {
    let item = |line: Range<usize>| {
        let line = trimmed(text, line, b" \t\r");
        let content = text.get(line.clone())?.strip_prefix(b"-")?;
        let item = trimmed(text, line.end - content.len()..line.end, b" \t");
        match text.get(item.clone())? {
            [quote @ (b'"' | b'\''), rest @ ..] => {
                let len = memchr::memchr(*quote, rest)?;
                Some(item.start + 1..item.start + 1 + len)
            }
            content => {
                let len = content.windows(2).position(|two| two == b" #").unwrap_or(content.len());
                Some(trimmed(text, item.start..item.start + len, b" "))
            }
        }
    };
    Lines { text, at: list.start, end: list.end }.filter_map(item).collect()
}

/// What stands in quotes behind the opening bracket.
fn quoted_items(text: &[u8], list: Range<usize>) -> Vec<Range<usize>> {
    let slice = |from: usize| text.get(from..list.end).unwrap_or_default();
    let open = slice(list.start).iter().position(|byte| b"[({".contains(byte)).unwrap_or_default();
    let mut at = list.start + open;
    let mut items = Vec::new();
    while let Some(start) = slice(at).iter().position(|byte| b"\"'`".contains(byte)) {
        let start = at + start;
        let quote = text.get(start).copied().unwrap_or_default();
        let Some(len) = memchr::memchr(quote, slice(start + 1)) else { break };
        items.push(start + 1..start + 1 + len);
        at = start + len + 2;
    }
    items
}

/// `|---|:--:|`, `====  ====`, `+----+----+`
fn is_rule(line: &[u8]) -> bool {
    line.iter().filter(|byte| b"-=".contains(byte)).count() >= 2
        && line.iter().all(|byte| b"-=|+: \t\r".contains(byte))
}

fn columns(ruler: &[u8]) -> Vec<Range<usize>> {
    let mut columns: Vec<Range<usize>> = Vec::new();
    for (at, _) in ruler.iter().enumerate().filter(|(_, byte)| b"-=".contains(*byte)) {
        match columns.last_mut() {
            Some(last) if last.end == at => last.end = at + 1,
            _ => columns.push(at..at + 1),
        }
    }
    columns
}

fn trimmed(text: &[u8], span: Range<usize>, marks: &[u8]) -> Range<usize> {
    let bytes = text.get(span.clone()).unwrap_or_default();
    let start = bytes.iter().take_while(|byte| marks.contains(byte)).count();
    let end = bytes.iter().skip(start).rev().take_while(|byte| marks.contains(byte)).count();
    span.start + start..span.end - end
}

/// The lines of a stretch, without their ends.
#[derive(Clone)]
struct Lines<'t> {
    text: &'t [u8],
    at: usize,
    end: usize,
}

impl Iterator for Lines<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let rest = self.text.get(self.at..self.end).filter(|rest| !rest.is_empty())?;
        let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = self.at..self.at + len;
        self.at += (len + 1).min(rest.len());
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(reader: Reader, text: &str, from: &str) -> Vec<(String, String)> {
        let start = text.find(from).unwrap();
        let read = reader.read(text.as_bytes(), &(start..text.len())).into_iter();
        read.map(|part| (part.name, text[part.span].to_owned())).collect()
    }

    fn values(reader: Reader, text: &str, from: &str) -> Vec<String> {
        parts(reader, text, from).into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn every_row_of_every_telling_column_is_read() {
        let csv = "id,API Key,\"Password\",note\r\n1,k-111,'p,111',x\r\n2, k-222 ,\"p\"\"222\",\"a, b\"\n3,,p-333,x\nend\n4,k-444,p-444,x\n";
        let read = parts(Reader::Column, csv, "API");
        let pairs = [
            ("api_key", "k-111"),
            ("password", "p,111"),
            ("api_key", "k-222"),
            ("password", "p\"\"222"),
            ("password", "p-333"),
        ];
        assert_eq!(read, pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let tables = [
            "User;Passwort\nmira;p-111\njuri;p-222",
            "user\tpasswords\nmira\tp-111\njuri\tp-222\n",
            "| User | **Password** |\n|:---|---:|\n| mira | `p-111` |\n| juri | **p-222** |\n",
            "User | Password\n--- | ---\nmira | p-111\njuri | p-222\n\nmore | p-333\n",
            "+------+----------+\n| user | password |\n+======+==========+\n| mira | p-111    |\n+------+----------+\n| juri | p-222    |\n+------+----------+\n",
            "=====  ========\nUser   Password\n=====  ========\nmira   p-111\njuri   p-222\n=====  ========\n",
        ];
        for table in tables {
            let from = if table.contains("Passw") { "Passw" } else { "passw" };
            assert_eq!(values(Reader::Column, table, from), ["p-111", "p-222"], "{table}");
        }
    }

    #[test]
    fn what_is_no_heading_holds_no_column() {
        for text in [
            "password\np-1111,x\n",
            "f(user, password,\nuser, p-1111,\n",
            "Dear mira, tell nobody your new password, please,\nsaid juri, p-1111, twice, and went,\n",
            "1, password\n2, p-1111\n",
            "password_hash,user\np-1111,mira\n",
            "key,pass\np-1111,p-2222\n",
            "user,password\np-1111\n",
            "| user | password |\n| mira | p-1111 |\n",
        ] {
            let from = if text.contains("pass") { "pass" } else { "token" };
            assert_eq!(values(Reader::Column, text, from), [""; 0], "{text}");
        }
        let far = format!("{}user,password\nmira,p-1111\n", "name,".repeat(LOOK_BEHIND / 5));
        assert_eq!(
            values(Reader::Column, &far, "password"),
            [""; 0],
            "further back than a validator may look"
        );
    }

    #[test]
    fn items_stand_on_lines_or_in_quotes() {
        for (text, from) in [
            ("api_tokens:\n  - p-111\n  - 'p-222' # old\n", "tokens"),
            ("api_tokens = [\"p-111\",\n  'p-222']", "tokens"),
            ("\"api_tokens\": (\"p-111\", \"p-222\")", "tokens"),
        ] {
            let read = parts(Reader::Items, text, from);
            let pairs = ["p-111", "p-222"].map(|value| ("api_token".to_owned(), value.to_owned()));
            assert_eq!(read, pairs, "{text}");
        }
        for text in ["keys: [\"p-111\"]", "dkim_keys: [\"p-111\"]"] {
            assert_eq!(values(Reader::Items, text, "keys"), [""; 0]);
        }
    }
}
