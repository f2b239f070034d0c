//! Programs that are given a small program of their own: whether it stays with text, or runs something and touches files.

use std::sync::LazyLock;

use regex::Regex;

/// Whether a script of sed only chooses and changes lines. `e`, `r`, `w` and the like do more, and so does what is not
/// understood.
pub(super) fn sed_stays(script: &str) -> bool {
    let mut rest = script;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ';' | '{' | '}'));
        let Some(behind) = addressed(rest) else { return false };
        let Some(command) = behind.chars().next() else { return rest.is_empty() };
        let behind = behind.get(command.len_utf8()..).unwrap_or_default();
        rest = match command {
            'p' | 'd' | 'D' | 'P' | 'n' | 'N' | 'h' | 'H' | 'g' | 'G' | 'x' | '=' | 'l' | 'F' | 'z' | '{' => {
                behind
            }
            'q' | 'Q' => behind.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' '),
            // Text to the end of the line.
            'a' | 'i' | 'c' | '#' => behind.split_once('\n').map_or("", |(_, after)| after),
            // A label, which some let end at a semicolon.
            ':' | 'b' | 't' | 'T' => {
                behind.find([';', '\n', '}']).and_then(|end| behind.get(end..)).unwrap_or_default()
            }
            's' | 'y' => {
                let Some(delimiter) = behind.chars().next().filter(|c| !matches!(c, '\\' | '\n')) else {
                    return false;
                };
                let inside = behind.get(delimiter.len_utf8()..).unwrap_or_default();
                let ended = until(inside, delimiter).and_then(|behind| until(behind, delimiter));
                let Some(behind) = ended else { return false };
                behind.trim_start_matches(|c: char| c.is_ascii_digit() || "gpiImM".contains(c))
            }
            _ => return false,
        };
        // What follows a command on its line is said to be another one, or not understood.
        let anew = matches!(command, '{' | 'a' | 'i' | 'c' | '#');
        if !anew && !rest.is_empty() && !rest.starts_with([';', '\n', '}', ' ']) {
            return false;
        }
    }
}

/// What stands behind the lines that a command is for.
fn addressed(mut rest: &str) -> Option<&str> {
    loop {
        rest = rest.trim_start_matches([' ', ',', '!', '$', '+', '~']);
        rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        rest = match rest.strip_prefix('/') {
            Some(inside) => until(inside, '/')?.trim_start_matches(['I', 'M']),
            None if rest.starts_with([' ', ',', '!', '$', '+', '~']) => rest,
            None => return Some(rest),
        };
    }
}

/// What stands behind the next delimiter that no backslash takes back.
fn until(text: &str, delimiter: char) -> Option<&str> {
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            // Whether a delimiter in brackets ends the expression is taken differently.
            '[' => {
                let inside =
                    text.get(at + 1..).and_then(|rest| rest.find(']').and_then(|end| rest.get(..end)));
                if inside
                    .is_none_or(|inside| inside.is_empty() || inside == "^" || inside.contains(delimiter))
                {
                    return None;
                }
            }
            _ if character == delimiter => return text.get(at + character.len_utf8()..),
            _ => {}
        }
    }
    None
}

/// Whether a program of awk only reads what it is given and prints. A comparison in a printed expression counts as a file: it
/// is one, unless it stands in parentheses.
pub(super) fn awk_stays(program: &str) -> bool {
    static BEYOND: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?s)\bsystem\b|\bgetline\b|@|[^|]\|[^|]|^\||\|$|\bprintf?\b[^;}\n]*>").ok()
    });
    BEYOND.as_ref().is_some_and(|beyond| !beyond.is_match(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_sed_that_choose_and_change_lines_stay() {
        for script in [
            "p",
            "1,20p",
            "$d",
            "/x/,/y/p",
            "s/a/b/",
            "s/a/b/g",
            "s|/a|/b|gI",
            "s/;/,/2;s/x/y/",
            "y/abc/xyz/",
            "1q",
            "5!d",
            "/^#/d;/^$/d",
            "2{p;q}",
            "1i hello; world",
            "$!N;P;D",
            "s/\\/e/x/",
            "/a\\/b/d",
            "",
        ] {
            assert!(sed_stays(script), "{script}");
        }
        for script in [
            "e",
            "1e id",
            "1e",
            "s/a/b/e",
            "s/a/id/ge",
            "s/a/b/w /tmp/x",
            "w /tmp/x",
            "1,5w x",
            "r /etc/shadow",
            "r/etc/shadow",
            "R x",
            "W x",
            "p;e id",
            "p\ne id",
            "{e id}",
            "1{p;e id}",
            "s/a/b/;e id",
            "y/a/b/;w x",
            "1!e id",
            "$e id",
            "/x/e id",
            "/x/Ie id",
            "s/a/b",
            "k",
            "p e",
            "1i x\ne id",
            "v 4;e",
            "sxaxbxe",
            "2,+3e id",
            "M,e",
            ":a;e id",
            "ba;e id",
            "s/[/]/e;s/]/x/",
            "s/[]/]/e/",
            "#x\ne id",
        ] {
            assert!(!sed_stays(script), "{script}");
        }
    }

    #[test]
    fn programs_of_awk_that_print_stay() {
        for program in [
            "{print $1}",
            "NR==1",
            "$3 > 5 {print $1}",
            "{s+=$1} END {print s}",
            "/a|b/ || $1",
            "-F: {printf \"%s\\n\", $2}",
        ] {
            assert_eq!(awk_stays(program), !program.contains("/a|b/"), "{program}");
        }
        for program in [
            "BEGIN{system(\"id\")}",
            "BEGIN{\"id\"|getline}",
            "{print | \"sh\"}",
            "{print > \"/tmp/x\"}",
            "{print $1 >> \"x\"}",
            "BEGIN{getline x < \"/etc/shadow\"}",
            "@load \"x\"",
            "BEGIN{f=\"sys\" \"tem\"; @f(\"id\")}",
            "{print |& \"sh\"}",
        ] {
            assert!(!awk_stays(program), "{program}");
        }
    }
}
