//! One word of the grammar to its text: quotes resolved where they are static, expansions marked.

use sallyport_policy::shell::Word;
use tree_sitter::Node;

/// Nested nodes of one word; strings in expansions in strings.
const MAX_DEPTH: usize = 24;

/// The word that `node` stands for.
pub(super) fn word(node: Node<'_>, text: &str) -> Word {
    let mut word = Word::default();
    append(node, text, &mut word, 0);
    let raw = source(node, text);
    // `{a,b}` makes several words of one; `=name` is a path in zsh.
    if braces(raw) || raw.starts_with('=') {
        word.dynamic = true;
    }
    // A quoted tilde stays one.
    if word.text.starts_with('~') && !raw.starts_with('~') {
        word.text.insert_str(0, "./");
    }
    word
}

fn append(node: Node<'_>, text: &str, word: &mut Word, depth: usize) {
    let raw = source(node, text);
    match node.kind() {
        _ if depth > MAX_DEPTH => dynamic(raw, word),
        _ if !node.is_named() => bare(raw, word),
        "word"
        | "number"
        | "variable_name"
        | "extglob_pattern"
        | "special_variable_name"
        | "test_operator"
        | "regex" => {
            bare(raw, word);
        }
        "raw_string" => word.text.push_str(unquoted(raw, '\'')),
        "ansi_c_string" => match ansi(unquoted(raw.get(1..).unwrap_or_default(), '\'')) {
            Some(decoded) => word.text.push_str(&decoded),
            None => dynamic(raw, word),
        },
        "string" if literal(node) => double_quoted(unquoted(raw, '"'), word),
        "concatenation" | "command_name" => {
            let mut at = node.start_byte();
            for (child, _) in parts(node) {
                // Its parts touch each other; where they do not, something was passed over.
                if child.start_byte() != at {
                    word.dynamic = true;
                }
                at = child.end_byte();
                append(child, text, word, depth + 1);
            }
            if at != node.end_byte() {
                word.dynamic = true;
            }
        }
        // Numbers of the shell itself.
        "simple_expansion" if matches!(raw, "$?" | "$#" | "$$" | "$!") => word.text.push('0'),
        _ => dynamic(raw, word),
    }
}

/// The parts of a node with the names of their fields. By a cursor: asking for each by number takes quadratic time.
pub(super) fn parts(node: Node<'_>) -> Vec<(Node<'_>, Option<&str>)> {
    let mut parts = Vec::new();
    let mut cursor = node.walk();
    let mut there = cursor.goto_first_child();
    while there {
        parts.push((cursor.node(), cursor.field_name()));
        there = cursor.goto_next_sibling();
    }
    parts
}

pub(super) fn source<'t>(node: Node<'_>, text: &'t str) -> &'t str {
    text.get(node.byte_range()).unwrap_or_default()
}

fn dynamic(raw: &str, word: &mut Word) {
    word.text.push_str(raw);
    word.dynamic = true;
}

/// Text outside of quotes.
fn bare(raw: &str, word: &mut Word) {
    let mut characters = raw.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('\n') => {}
                Some(escaped) => word.text.push(escaped),
                None => word.text.push('\\'),
            },
            '*' | '?' | '[' => {
                word.glob = true;
                word.text.push(character);
            }
            '$' | '`' | '"' | '\'' | '(' | ')' | '<' | '>' | ';' | '&' | '|' => {
                word.dynamic = true;
                word.text.push(character);
            }
            other => word.text.push(other),
        }
    }
}

/// Whether a string in double quotes holds nothing but text.
fn literal(node: Node<'_>) -> bool {
    parts(node).into_iter().all(|(part, _)| matches!(part.kind(), "\"" | "string_content"))
}

fn double_quoted(raw: &str, word: &mut Word) {
    let mut characters = raw.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.peek() {
                Some('\n') => {
                    characters.next();
                }
                Some(&escaped @ ('$' | '`' | '"' | '\\')) => {
                    characters.next();
                    word.text.push(escaped);
                }
                _ => word.text.push('\\'),
            },
            // The grammar takes these for more than text; where it did not, nothing is taken for granted.
            '$' | '`' | '"' => {
                word.dynamic = true;
                word.text.push(character);
            }
            other => word.text.push(other),
        }
    }
}

fn unquoted(raw: &str, quote: char) -> &str {
    raw.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)).unwrap_or(raw)
}

/// The inside of `$'…'`.
fn ansi(raw: &str) -> Option<String> {
    let mut out = String::new();
    let mut characters = raw.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        let (radix, most) = match characters.next()? {
            'n' => {
                out.push('\n');
                continue;
            }
            't' => {
                out.push('\t');
                continue;
            }
            'r' => {
                out.push('\r');
                continue;
            }
            'e' | 'E' => {
                out.push('\u{1b}');
                continue;
            }
            plain @ ('\\' | '\'' | '"' | '?') => {
                out.push(plain);
                continue;
            }
            'x' => (16, 2),
            'u' => (16, 4),
            'U' => (16, 8),
            digit @ '0'..='7' => {
                let mut value = digit.to_digit(8)?;
                for _ in 0..2 {
                    let Some(next) = characters.peek().and_then(|c| c.to_digit(8)) else { break };
                    value = value * 8 + next;
                    characters.next();
                }
                out.push(ascii(value)?);
                continue;
            }
            _ => return None,
        };
        let mut value = 0_u32;
        let mut digits = 0;
        while digits < most
            && let Some(next) = characters.peek().and_then(|c| c.to_digit(radix))
        {
            value = value.checked_mul(radix)?.checked_add(next)?;
            characters.next();
            digits += 1;
        }
        if digits == 0 {
            return None;
        }
        out.push(if most == 2 { ascii(value)? } else { char::from_u32(value).filter(|c| *c != '\0')? });
    }
    Some(out)
}

/// Bytes beyond ASCII make characters only together, and NUL ends the text: neither is resolved here.
fn ascii(value: u32) -> Option<char> {
    (1..0x80).contains(&value).then(|| char::from_u32(value)).flatten()
}

/// Whether unquoted braces expand: a comma or `..` between them.
fn braces(raw: &str) -> bool {
    let mut open = 0_usize;
    let mut several = false;
    let mut characters = raw.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            quote @ ('\'' | '"') => {
                while let Some(inner) = characters.next() {
                    if inner == '\\' && quote == '"' {
                        characters.next();
                    } else if inner == quote {
                        break;
                    }
                }
            }
            '{' => open += 1,
            '}' if open > 0 && several => return true,
            '}' => open = open.saturating_sub(1),
            ',' if open > 0 => several = true,
            '.' if open > 0 && characters.peek() == Some(&'.') => several = true,
            _ => {}
        }
    }
    false
}
