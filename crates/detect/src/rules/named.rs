//! What stands between a service's name and its key, and how the key begins: the same for hundreds of services.
//!
//! Rows that share both share one [`Following`], so that a name costs neither a regex of its own nor an
//! automaton. It finds what a regex of name, gap and value would find.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use regex_automata::meta;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::Hir;

use super::file::{compile, parse_regex};
use super::program::{Outcome, Program, Scratch, TRY};

/// How a name and the value behind it are held together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Gap {
    /// The rest of a name, marks, an opening quote.
    Loose,
    /// For a service that is named like an ordinary word: the name itself must say "key".
    Strict,
}

/// Bytes of a loose gap before its last.
const LOOSE_MOST: usize = 40;
const LOOSE: &str = r##"[\w\s"'`=:.,<>()\[\]{}?$\\@|#*-]{0,40}?["'`\s=:>(,|\[{-]"##;
const STRICT_NAME: &str = r"[ _.-]?(?i:[a-z_.-]{0,16}(?:key|token|secret|password|pat|auth|credentials?))";
const STRICT_REST: &str = r#"[\w.-]{0,16}[\s"'`=:>(,\[\]\\?]{1,8}(?:string[ =]{1,3})?["'`]?"#;

impl Gap {
    fn regex(self) -> String {
        match self {
            Gap::Loose => LOOSE.to_owned(),
            Gap::Strict => [STRICT_NAME, STRICT_REST].concat(),
        }
    }

    /// The most bytes it takes.
    pub(super) fn longest(self) -> usize {
        match self {
            Gap::Loose => LOOSE_MOST + 1,
            Gap::Strict => 62,
        }
    }
}

/// A gap and a value, as they follow a name.
#[derive(Debug)]
pub(crate) struct Following {
    gap: Gap,
    /// Gap and value; the value is the first group.
    regex: String,
    value: String,
    compiled: OnceLock<Option<meta::Regex>>,
    /// The value behind a loose gap, or gap and value.
    program: OnceLock<Option<Program>>,
}

impl Following {
    pub(super) fn new(gap: Gap, value: &str) -> Following {
        let regex = format!("{}({value})", gap.regex());
        let (compiled, program) = Default::default();
        Following { gap, regex, value: value.to_owned(), compiled, program }
    }

    /// The whole regex of a rule with these names.
    pub(super) fn after(&self, names: &[String]) -> String {
        let names: Vec<String> = names.iter().map(|name| regex_syntax::escape(name)).collect();
        format!("(?i:{}){}", names.join("|"), self.regex)
    }

    pub(super) fn compile_now(&self) -> Result<(), String> {
        let compiled = compile(&self.regex)?;
        self.compiled.get_or_init(|| Some(compiled));
        Ok(())
    }

    fn program(&self) -> Option<&Program> {
        let compiled = self.program.get_or_init(|| match self.gap {
            Gap::Loose => Program::of(&hir(&self.value), &[]),
            Gap::Strict => Program::of(&hir(&self.regex), &[1]),
        });
        compiled.as_ref()
    }

    /// Where the match of gap and value ends that begins at `at`, and where the value stands.
    pub(super) fn find(
        &self,
        text: &[u8],
        at: usize,
        scratch: &mut Scratch,
    ) -> Option<(usize, Range<usize>)> {
        let Some(program) = self.program() else { return self.find_by_engine(text, at) };
        match self.gap {
            Gap::Loose => self.find_loosely(program, text, at, scratch),
            Gap::Strict => match program.find(text, at, scratch, &mut TRY.clone()) {
                Outcome::Nothing => None,
                Outcome::Match(end) => Some((end, scratch.group(0)?)),
                Outcome::Unknown => self.find_by_engine(text, at),
            },
        }
    }

    /// The first place behind a mark where a value stands, with nothing before it that a gap can't hold.
    fn find_loosely(
        &self,
        value: &Program,
        text: &[u8],
        at: usize,
        scratch: &mut Scratch,
    ) -> Option<(usize, Range<usize>)> {
        for (byte, next) in text.get(at..).unwrap_or_default().iter().take(LOOSE_MOST + 1).zip(at + 1..) {
            let class = CLASSES.get(usize::from(*byte)).copied().unwrap_or(0);
            if class & LAST != 0 {
                match value.find(text, next, scratch, &mut TRY.clone()) {
                    Outcome::Nothing => {}
                    Outcome::Match(end) => return Some((end, next..end)),
                    Outcome::Unknown => return self.find_by_engine(text, at),
                }
            }
            if class & INNER == 0 {
                return None;
            }
        }
        None
    }

    /// Whether gap and value stand at `at`, or may with more text behind.
    pub(super) fn may_grow(&self, text: &[u8], at: usize, scratch: &mut Scratch) -> bool {
        let Some(program) = self.program() else { return true };
        if self.gap == Gap::Strict {
            return program.may_grow(text, at, scratch);
        }
        for next in at..=at + LOOSE_MOST {
            let Some(byte) = text.get(next) else { return true };
            let class = CLASSES.get(usize::from(*byte)).copied().unwrap_or(0);
            if class & LAST != 0 && program.may_grow(text, next + 1, scratch) {
                return true;
            }
            if class & INNER == 0 {
                return false;
            }
        }
        false
    }

    fn find_by_engine(&self, text: &[u8], at: usize) -> Option<(usize, Range<usize>)> {
        let regex = self.compiled.get_or_init(|| compile(&self.regex).ok()).as_ref()?;
        let mut captures = regex.create_captures();
        regex.captures(Input::new(text).range(at..).anchored(Anchored::Yes), &mut captures);
        Some((captures.get_match()?.end(), captures.get_group(1)?.range()))
    }
}

/// The one `Following` of each pair that a file's rows name.
#[derive(Default)]
pub(super) struct Known(Vec<Arc<Following>>);

impl Known {
    pub(super) fn following(&mut self, gap: Gap, value: &str) -> Arc<Following> {
        let known = self.0.iter().find(|following| following.gap == gap && following.value == value);
        known.cloned().unwrap_or_else(|| {
            let new = Arc::new(Following::new(gap, value));
            self.0.push(new.clone());
            new
        })
    }
}

fn hir(regex: &str) -> Hir {
    parse_regex(regex).unwrap_or_else(|_| Hir::empty())
}

const INNER: u8 = 1;
const LAST: u8 = 2;

/// The two classes of [`LOOSE`], spelt out for one look a byte.
static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = byte as u8;
        let last = matches!(
            value,
            b'"' | b'\'' | b'`' | b'=' | b':' | b'>' | b'(' | b',' | b'|' | b'[' | b'{' | b'-' | b' ' | b'\t'
                ..=b'\r'
        );
        let inner = last
            || value.is_ascii_alphanumeric()
            || matches!(
                value,
                b'_' | b'.' | b'<' | b')' | b']' | b'}' | b'?' | b'$' | b'\\' | b'@' | b'#' | b'*'
            );
        #[allow(clippy::indexing_slicing, reason = "evaluated when the crate is compiled")]
        {
            table[byte] = if inner { INNER } else { 0 } | if last { LAST } else { 0 };
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_the_regex_says() {
        let (inner, last) = LOOSE.split_once("{0,40}?").unwrap();
        for (class, bit) in [(inner, INNER), (last, LAST)] {
            let class = compile(&format!("{class}x")).unwrap();
            for byte in 0..=u8::MAX {
                let told = CLASSES[usize::from(byte)] & bit != 0;
                assert_eq!(class.is_match(Input::new(&[byte, b'x'])), told, "{byte}");
            }
        }
        assert_eq!(hir(&Gap::Strict.regex()).properties().maximum_len(), Some(Gap::Strict.longest()));
        assert_eq!(hir(&Gap::Loose.regex()).properties().maximum_len(), Some(Gap::Loose.longest()));
    }

    #[test]
    fn a_gap_ends_at_any_mark() {
        let hex = Following::new(Gap::Loose, "[0-9a-f]{16}");
        for (text, may) in [
            (" = \"0123456789abcdef\"", true),
            ("-api-key 0123456789abcdef", true),
            (" key; 0123456789abcdef", false),
            (" keys are read at start", false),
            (" 0123456789abcde", false),
        ] {
            assert_eq!(find(&hex, text).is_some(), may, "{text}");
        }
        let far = format!("{}=0123456789abcdef", "a".repeat(LOOSE_MOST));
        assert_eq!(find(&hex, &far), Some((far.len(), 41..far.len())));
        assert_eq!(find(&hex, &format!("a{far}")), None);
        let word = Following::new(Gap::Strict, "[0-9a-f]{16}");
        assert_eq!(find(&word, "_api_key=0123456789abcdef"), Some((25, 9..25)));
        assert_eq!(find(&word, " is a company 0123456789abcdef"), None);
        for following in [hex, word] {
            for text in ["_api_key: string = \"0123456789abcdef\"", "-key 0123456789abcdef0", "[key] x"] {
                assert_eq!(find(&following, text), following.find_by_engine(text.as_bytes(), 0), "{text}");
            }
        }
    }

    fn find(following: &Following, text: &str) -> Option<(usize, Range<usize>)> {
        following.find(text.as_bytes(), 0, &mut Scratch::default())
    }
}
