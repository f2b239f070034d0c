//! `NAME=value` lines as shells and dotenv libraries read them. Values are taken literally: nothing is substituted,
//! since what stands in the file is what a tool would send.

use zeroize::Zeroizing;

pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: Zeroizing<String>,
    /// The text between double quotes as it stands in the file, where escapes make it differ from the value.
    pub(crate) raw: Option<Zeroizing<String>>,
}

pub(crate) struct EnvFile {
    pub(crate) assignments: Vec<Assignment>,
    /// Numbers of lines that are neither an assignment nor a comment, from 1.
    pub(crate) malformed: Vec<usize>,
}

pub(crate) fn parse(text: &str) -> EnvFile {
    let mut file = EnvFile { assignments: Vec::new(), malformed: Vec::new() };
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line_number = 0;
    while !rest.is_empty() {
        line_number += 1;
        let (line, after) = split_line(rest);
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = after;
            continue;
        }
        let Some((name, value_at)) = name_of(line) else {
            file.malformed.push(line_number);
            rest = after;
            continue;
        };
        match quoted(&rest[value_at..]) {
            Some((value, raw, used)) => {
                file.assignments.push(Assignment { name: name.into(), value, raw });
                let used = &rest[value_at..value_at + used];
                line_number += used.matches('\n').count();
                rest = split_line(&rest[value_at + used.len()..]).1;
            }
            None => {
                let value = Zeroizing::new(unquoted(&line[value_at..]).to_owned());
                file.assignments.push(Assignment { name: name.into(), value, raw: None });
                rest = after;
            }
        }
    }
    file
}

/// The line without its end, and what follows.
fn split_line(text: &str) -> (&str, &str) {
    match text.split_once('\n') {
        Some((line, after)) => (line.strip_suffix('\r').unwrap_or(line), after),
        None => (text, ""),
    }
}

/// The name, and where the value begins in the line.
fn name_of(line: &str) -> Option<(&str, usize)> {
    let equals = line.find('=')?;
    let mut name = line[..equals].trim();
    for word in ["export", "declare -x", "set"] {
        if let Some(after) = name.strip_prefix(word).filter(|after| after.starts_with([' ', '\t'])) {
            name = after.trim_start();
        }
    }
    let first = name.chars().next()?;
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if !(first.is_ascii_alphabetic() || first == '_') || !name.chars().all(good) {
        return None;
    }
    let value = &line[equals + 1..];
    Some((name, equals + 1 + (value.len() - value.trim_start_matches([' ', '\t']).len())))
}

type Quoted = (Zeroizing<String>, Option<Zeroizing<String>>, usize);

/// A quoted value, which may span lines: value, raw text where it differs, and the length with both quotes. `None`
/// when it is not quoted or the quote never ends.
fn quoted(text: &str) -> Option<Quoted> {
    let quote = text.chars().next().filter(|c| "'\"`".contains(*c))?;
    let body = &text[1..];
    if quote != '"' {
        let end = body.find(quote)?;
        return Some((Zeroizing::new(body[..end].to_owned()), None, end + 2));
    }
    let mut value = Zeroizing::new(String::with_capacity(body.len().min(4096)));
    let mut characters = body.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                let raw = &body[..at];
                let raw = (raw != value.as_str()).then(|| Zeroizing::new(raw.to_owned()));
                return Some((value, raw, at + 2));
            }
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                escaped @ ('"' | '\\' | '$' | '`' | '\'') => value.push(escaped),
                other => {
                    value.push('\\');
                    value.push(other);
                }
            },
            other => value.push(other),
        }
    }
    None
}

/// Up to a comment, which needs white space before its `#`.
fn unquoted(text: &str) -> &str {
    let comment = text
        .char_indices()
        .find(|(at, c)| *c == '#' && text[..*at].chars().next_back().is_none_or(|b| b == ' ' || b == '\t'));
    text[..comment.map_or(text.len(), |(at, _)| at)].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).assignments.into_iter().map(|a| (a.name, a.value.to_string())).collect()
    }

    fn one(text: &str) -> String {
        let mut pairs = pairs(text);
        assert_eq!(pairs.len(), 1, "{text:?}");
        pairs.remove(0).1
    }

    #[test]
    fn plain_and_quoted_values() {
        assert_eq!(one("A=plain"), "plain");
        assert_eq!(one("A = spaced out # comment"), "spaced out");
        assert_eq!(one("A=pa#ss$word"), "pa#ss$word");
        assert_eq!(one("A=# only a comment"), "");
        assert_eq!(one("export A='single # not a comment' # comment"), "single # not a comment");
        assert_eq!(one("declare -x A=\"double\""), "double");
        assert_eq!(one(r#"A="with \"quotes\", \\ and \$HOME""#), r#"with "quotes", \ and $HOME"#);
        assert_eq!(one(r#"A="line\nbreak \d""#), "line\nbreak \\d");
        assert_eq!(one("A=`back 'and' \"forth\"`"), "back 'and' \"forth\"");
        assert_eq!(one("A=${OTHER}-kept"), "${OTHER}-kept");
        assert_eq!(one("A=\"unended quote"), "\"unended quote");
        assert_eq!(one("A=b=c=="), "b=c==");
        assert_eq!(one("\u{feff}A=after a mark"), "after a mark");
    }

    #[test]
    fn several_lines() {
        let text = "# head\r\n\r\nA=1\r\nKEY=\"-----BEGIN\nmiddle\n-----END\" # tail\nB='2\n3'\nC=4";
        let expected = [("A", "1"), ("KEY", "-----BEGIN\nmiddle\n-----END"), ("B", "2\n3"), ("C", "4")];
        assert_eq!(pairs(text), expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn keeps_the_raw_text_where_it_differs() {
        let file = parse(r#"A="a\"b" B="#);
        assert_eq!(file.assignments[0].raw.as_ref().map(|r| r.as_str()), Some(r#"a\"b"#));
        assert!(parse("A=\"ab\"").assignments[0].raw.is_none());
    }

    #[test]
    fn says_which_lines_it_does_not_understand() {
        let file = parse("A=1\nnot an assignment\n  \n2B=x\nC=\"x\ny\"\n=\nfoo bar=1\n");
        assert_eq!(file.malformed, [2, 4, 7, 8]);
        assert_eq!(file.assignments.len(), 2);
    }

    #[test]
    fn never_fails_on_any_cut() {
        let text = "export A=\"ü\\\"\\\nx\" # c\nB='y\n`'\nC=`z";
        for (at, _) in text.char_indices() {
            parse(&text[at..]);
            parse(&text[..at]);
        }
    }
}
