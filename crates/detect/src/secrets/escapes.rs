//! Decoders of one layer of escapes: percent, backslash, HTML entities, and lines that were wrapped.

use super::views::{Escape, Wiped};
use std::ops::Range;

/// A reading in the making.
pub(super) struct Layer {
    pub(super) bytes: Wiped,
    pub(super) escapes: Vec<Escape>,
    /// Where a last, unfinished escape begins in the input, if the input ends in one.
    pub(super) unfinished: Option<usize>,
}

pub(super) fn has_percent_escape(text: &[u8]) -> bool {
    memchr::memchr_iter(b'%', text).any(|at| match text.get(at + 1..) {
        Some([high, low, ..]) => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        // The end of a stream's piece: what follows may complete it.
        Some([high]) => high.is_ascii_hexdigit(),
        _ => true,
    })
}

pub(super) fn unpercent(input: &[u8], pluses: bool) -> Layer {
    let mut layer = Layer::with_room(input.len());
    let mut done = 0;
    let step = |from: usize| {
        let rest = input.get(from..).unwrap_or_default();
        let found = if pluses { memchr::memchr2(b'%', b'+', rest) } else { memchr::memchr(b'%', rest) };
        found.map(|at| from + at)
    };
    let mut from = 0;
    while let Some(at) = step(from) {
        from = at + 1;
        match input.get(at..).unwrap_or_default() {
            [b'+', ..] => {
                layer.copy(input, done..at);
                layer.escape(at, 1, b" ");
                done = at + 1;
            }
            [b'%', high, low, ..] => {
                if let (Some(high), Some(low)) = (hex(*high), hex(*low)) {
                    layer.copy(input, done..at);
                    layer.escape(at, 3, &[high << 4 | low]);
                    done = at + 3;
                    from = done;
                }
            }
            [b'%'] => layer.unfinished = Some(at),
            [b'%', high] if high.is_ascii_hexdigit() => layer.unfinished = Some(at),
            _ => {}
        }
    }
    layer.copy(input, done..input.len());
    layer
}

pub(super) fn unescape(input: &[u8]) -> Layer {
    let mut layer = Layer::with_room(input.len());
    let (mut done, mut from) = (0, 0);
    while let Some(at) = memchr::memchr(b'\\', input.get(from..).unwrap_or_default()) {
        let at = from + at;
        match backslash(input.get(at..).unwrap_or_default()) {
            Backslash::Is { raw_len, bytes, len } => {
                layer.copy(input, done..at);
                layer.escape(at, raw_len, bytes.get(..usize::from(len)).unwrap_or_default());
                done = at + usize::from(raw_len);
                from = done;
            }
            Backslash::No => from = at + 2,
            Backslash::Unfinished => {
                layer.unfinished = Some(at);
                break;
            }
        }
    }
    layer.copy(input, done..input.len());
    layer
}

enum Backslash {
    Is { raw_len: u8, bytes: [u8; 4], len: u8 },
    No,
    Unfinished,
}

/// Reads the escape at the start of `at`, in the spellings of JSON, JavaScript, Python, C, Rust
/// and the shell.
fn backslash(at: &[u8]) -> Backslash {
    let Some(kind) = at.get(1) else { return Backslash::Unfinished };
    let one = |byte: u8| Backslash::Is { raw_len: 2, bytes: [byte, 0, 0, 0], len: 1 };
    match kind {
        b'n' => one(b'\n'),
        b't' => one(b'\t'),
        b'r' => one(b'\r'),
        b'b' => one(8),
        b'f' => one(12),
        b'v' => one(11),
        b'a' => one(7),
        b'e' => one(27),
        b'x' => match digits(at, 2, 2) {
            Digits::Are(value) => Backslash::Is { raw_len: 4, bytes: [value as u8, 0, 0, 0], len: 1 },
            Digits::No => Backslash::No,
            Digits::Unfinished => Backslash::Unfinished,
        },
        b'u' if at.get(2) == Some(&b'{') => braced(at),
        b'u' => utf16(at),
        b'U' => match digits(at, 2, 8) {
            Digits::Are(value) => character(10, value),
            Digits::No => Backslash::No,
            Digits::Unfinished => Backslash::Unfinished,
        },
        b'0'..=b'7' => octal(at),
        b'\n' => Backslash::Is { raw_len: 2, bytes: [0; 4], len: 0 },
        byte if byte.is_ascii_alphanumeric() || !byte.is_ascii() => Backslash::No,
        byte => one(*byte),
    }
}

fn octal(at: &[u8]) -> Backslash {
    let mut value = 0u32;
    for taken in 1..=3 {
        match at.get(taken) {
            Some(digit @ b'0'..=b'7') => value = value * 8 + u32::from(digit - b'0'),
            None => return Backslash::Unfinished,
            Some(_) if taken == 2 && value == 0 => {
                return Backslash::Is { raw_len: 2, bytes: [0; 4], len: 1 };
            }
            Some(_) => return Backslash::No,
        }
    }
    match u8::try_from(value) {
        Ok(byte) => Backslash::Is { raw_len: 4, bytes: [byte, 0, 0, 0], len: 1 },
        Err(_) => Backslash::No,
    }
}

fn braced(at: &[u8]) -> Backslash {
    let mut value = 0u32;
    for taken in 3..=9 {
        match at.get(taken) {
            None => return Backslash::Unfinished,
            Some(b'}') if taken > 3 => return character(taken as u8 + 1, value),
            Some(digit) => match hex(*digit) {
                Some(digit) => value = value << 4 | u32::from(digit),
                None => return Backslash::No,
            },
        }
    }
    Backslash::No
}

fn utf16(at: &[u8]) -> Backslash {
    let first = match digits(at, 2, 4) {
        Digits::Are(value) => value,
        Digits::No => return Backslash::No,
        Digits::Unfinished => return Backslash::Unfinished,
    };
    if !(0xd800..0xdc00).contains(&first) {
        return character(6, first);
    }
    match (at.get(6), at.get(7)) {
        (None, _) | (Some(b'\\'), None) => Backslash::Unfinished,
        (Some(b'\\'), Some(b'u')) => match digits(at, 8, 4) {
            Digits::Are(second @ 0xdc00..0xe000) => {
                character(12, 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
            }
            Digits::Unfinished => Backslash::Unfinished,
            _ => Backslash::No,
        },
        _ => Backslash::No,
    }
}

fn character(raw_len: u8, value: u32) -> Backslash {
    let Some(value) = char::from_u32(value) else { return Backslash::No };
    let mut bytes = [0; 4];
    let len = value.encode_utf8(&mut bytes).len() as u8;
    Backslash::Is { raw_len, bytes, len }
}

enum Digits {
    Are(u32),
    No,
    Unfinished,
}

fn digits(at: &[u8], from: usize, count: usize) -> Digits {
    let mut value = 0u32;
    for i in from..from + count {
        match at.get(i).map(|digit| hex(*digit)) {
            None => return Digits::Unfinished,
            Some(None) => return Digits::No,
            Some(Some(digit)) => value = value << 4 | u32::from(digit),
        }
    }
    Digits::Are(value)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

impl Layer {
    fn with_room(len: usize) -> Layer {
        // Decoding never grows the text, so the buffer never moves and leaves no copy behind.
        Layer { bytes: Wiped(Vec::with_capacity(len)), escapes: Vec::new(), unfinished: None }
    }

    fn copy(&mut self, input: &[u8], span: Range<usize>) {
        self.bytes.0.extend_from_slice(input.get(span).unwrap_or_default());
    }

    fn escape(&mut self, raw: usize, raw_len: u8, out: &[u8]) {
        self.escapes.push(Escape { out: self.bytes.0.len(), out_len: out.len() as u8, raw, raw_len });
        self.bytes.0.extend_from_slice(out);
    }
}

/// Text of two bytes a character in one: without its zero bytes. None where there are none.
pub(super) fn narrow(input: &[u8]) -> Option<Layer> {
    memchr::memchr(0, input)?;
    let mut layer = Layer::with_room(input.len());
    let mut done = 0;
    for at in memchr::memchr_iter(0, input) {
        layer.copy(input, done..at);
        layer.escape(at, 1, b"");
        done = at + 1;
    }
    layer.copy(input, done..input.len());
    Some(layer)
}

/// The entity at the start of `at`, which begins with `&`.
enum Entity {
    Is { raw_len: u8, bytes: [u8; 4], len: u8 },
    No,
    Unfinished,
}

const LONGEST_NAME: usize = 6;

/// Names that stand for ASCII marks.
const NAMED: [(&[u8], u8); 24] = [
    (b"amp;", b'&'),
    (b"apos;", b'\''),
    (b"ast;", b'*'),
    (b"bsol;", b'\\'),
    (b"colon;", b':'),
    (b"comma;", b','),
    (b"commat;", b'@'),
    (b"dollar;", b'$'),
    (b"equals;", b'='),
    (b"excl;", b'!'),
    (b"grave;", b'`'),
    (b"gt;", b'>'),
    (b"hat;", b'^'),
    (b"lowbar;", b'_'),
    (b"lt;", b'<'),
    (b"num;", b'#'),
    (b"percnt;", b'%'),
    (b"period;", b'.'),
    (b"plus;", b'+'),
    (b"quest;", b'?'),
    (b"quot;", b'"'),
    (b"semi;", b';'),
    (b"sol;", b'/'),
    (b"vert;", b'|'),
];

fn entity(at: &[u8]) -> Entity {
    let rest = at.get(1..).unwrap_or_default();
    if let [b'#', digits @ ..] = rest {
        return numbered(digits);
    }
    // Most ampersands stand in code: no letters and a semicolon follow.
    let name = rest.iter().take(LONGEST_NAME).take_while(|byte| byte.is_ascii_lowercase()).count();
    match rest.get(name) {
        Some(b';') => {}
        Some(_) => return Entity::No,
        None if NAMED.iter().any(|(known, _)| known.starts_with(rest)) => return Entity::Unfinished,
        None => return Entity::No,
    }
    match NAMED.iter().find(|(known, _)| rest.get(..=name) == Some(known)) {
        Some((_, byte)) => Entity::Is { raw_len: name as u8 + 2, bytes: [*byte, 0, 0, 0], len: 1 },
        None => Entity::No,
    }
}

/// `digits`: what follows `&#`.
fn numbered(digits: &[u8]) -> Entity {
    const MOST: usize = 8;
    let (radix, lead) = match digits {
        [b'x' | b'X', ..] => (16, 1),
        [] => return Entity::Unfinished,
        _ => (10, 0),
    };
    let mut value = 0u32;
    for taken in lead..=lead + MOST {
        match digits.get(taken) {
            None => return Entity::Unfinished,
            Some(b';') if taken > lead => {
                let Some(value) = char::from_u32(value) else { return Entity::No };
                let mut bytes = [0; 4];
                let len = value.encode_utf8(&mut bytes).len() as u8;
                return Entity::Is { raw_len: taken as u8 + 3, bytes, len };
            }
            Some(digit) => match char::from(*digit).to_digit(radix) {
                Some(digit) => value = value * radix + digit,
                None => return Entity::No,
            },
        }
    }
    Entity::No
}

/// Whether an HTML entity, or the beginning of one at the end of the text, stands here.
pub(super) fn is_entity(at: &[u8]) -> bool {
    !matches!(entity(at), Entity::No)
}

/// What stands at a backslash, a percent sign or an ampersand.
pub(super) enum Escaped {
    /// One character of one layer.
    One {
        len: u8,
        byte: u8,
    },
    /// Something that is read otherwise, or may be by a deeper layer.
    Perhaps,
    No,
}

pub(super) fn escape(at: &[u8]) -> Escaped {
    match at {
        [b'\\', kind, ..] => match backslash(at) {
            Backslash::Is { raw_len, bytes: [byte, ..], len: 1 } => Escaped::One { len: raw_len, byte },
            Backslash::No if !matches!(kind, b'x' | b'u' | b'U' | b'0'..=b'7') => Escaped::No,
            _ => Escaped::Perhaps,
        },
        [b'\\'] => Escaped::Perhaps,
        [b'%', high, low, ..] => match (hex(*high), hex(*low)) {
            (Some(high), Some(low)) => Escaped::One { len: 3, byte: high << 4 | low },
            _ => Escaped::No,
        },
        [b'&', ..] => match entity(at) {
            Entity::Is { raw_len, bytes: [byte, ..], len: 1 } => Escaped::One { len: raw_len, byte },
            Entity::No => Escaped::No,
            _ => Escaped::Perhaps,
        },
        _ => Escaped::No,
    }
}

pub(super) fn unentity(input: &[u8]) -> Layer {
    let mut layer = Layer::with_room(input.len());
    let (mut done, mut from) = (0, 0);
    while let Some(at) = memchr::memchr(b'&', input.get(from..).unwrap_or_default()) {
        let at = from + at;
        from = at + 1;
        match entity(input.get(at..).unwrap_or_default()) {
            Entity::Is { raw_len, bytes, len } => {
                layer.copy(input, done..at);
                layer.escape(at, raw_len, bytes.get(..usize::from(len)).unwrap_or_default());
                done = at + usize::from(raw_len);
                from = done;
            }
            Entity::No => {}
            Entity::Unfinished => {
                layer.unfinished = Some(at);
                break;
            }
        }
    }
    layer.copy(input, done..input.len());
    layer
}

/// A token that is at least this long may have been wrapped at its end.
pub(super) const WRAPPED: usize = 24;

/// A byte that tokens are made of.
fn is_token(byte: u8) -> bool {
    (b'+'..0x80).contains(&(byte | 0x20))
}

/// Where a line was wrapped inside a token: the break that begins at or just before `newline`.
pub(super) fn wrap(before: &[u8], input: &[u8], newline: usize) -> Option<Wrap> {
    let start = match newline.checked_sub(1).and_then(|at| input.get(at)) {
        Some(b'\r') => newline - 1,
        _ => newline,
    };
    if !ends_long_token(before, input, start) {
        return None;
    }
    let line = input.get(newline + 1..).unwrap_or_default();
    let margin = margin(line);
    let next = newline + 1 + margin;
    match input.get(next) {
        None => Some(Wrap::Unfinished(start)),
        Some(byte) if is_token(*byte) => {
            Some(Wrap::Is { gap: start..next, sure: !may_be_number(line, margin) })
        }
        Some(_) => None,
    }
}

/// No margin is wider.
pub(super) const MARGIN: usize = 48;

/// How far what a line begins with goes that is none of its own: an indent, marks of a quoted mail or a comment, its
/// number. A line that ends there may go on.
fn margin(line: &[u8]) -> usize {
    let line = line.get(..MARGIN).unwrap_or(line);
    let spaces = |from: usize| {
        let rest = line.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
    };
    let indent = spaces(0);
    let rest = line.get(indent..).unwrap_or_default();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match rest.get(digits..).unwrap_or_default() {
        // `cat -n`, which sets numbers to the right, and how agents show files.
        [b'\t', ..] if digits > 0 && indent > 0 => return indent + digits + 1,
        after if digits > 0 && after.starts_with(ARROW) => return indent + digits + ARROW.len(),
        _ => {}
    }
    let marks = rest.iter().take_while(|byte| matches!(byte, b'>' | b'#' | b'*' | b'|' | b' ')).count();
    spaces(indent + marks)
}

/// Whether the text ends in digits that a sign may follow which makes them the line's number.
fn may_be_number(line: &[u8], margin: usize) -> bool {
    line.len() < MARGIN && line.get(margin..).is_some_and(|rest| rest.iter().all(u8::is_ascii_digit))
}

const ARROW: &[u8] = "\u{2192}".as_bytes();

/// Whether [`WRAPPED`] bytes of a token stand before `at`.
pub(super) fn ends_long_token(before: &[u8], input: &[u8], at: usize) -> bool {
    let own = input.get(at.saturating_sub(WRAPPED)..at).unwrap_or_default();
    // From its end, where most lines tell.
    if !own.iter().rev().copied().all(is_token) {
        return false;
    }
    let missing = WRAPPED - own.len();
    let others = before.len().checked_sub(missing).and_then(|start| before.get(start..));
    others.is_some_and(|others| others.iter().copied().all(is_token))
}

pub(super) enum Wrap {
    /// `sure`: no more of the text can say that the gap is wider.
    Is {
        gap: Range<usize>,
        sure: bool,
    },
    Unfinished(usize),
}

/// The text with its wrapped tokens in one piece. `before`: what stands before `input`.
pub(super) fn unwrap_lines(before: &[u8], input: &[u8]) -> Option<Layer> {
    let mut layer: Option<Layer> = None;
    let mut done = 0;
    for newline in memchr::memchr_iter(b'\n', input) {
        match wrap(before, input, newline) {
            None => {}
            Some(Wrap::Unfinished(at)) => {
                layer.get_or_insert_with(|| Layer::with_room(input.len())).unfinished = Some(at);
            }
            Some(Wrap::Is { gap, sure }) => {
                let layer = layer.get_or_insert_with(|| Layer::with_room(input.len()));
                layer.copy(input, done..gap.start);
                layer.escape(gap.start, gap.len() as u8, b"");
                if !sure {
                    layer.unfinished = Some(gap.start);
                }
                done = gap.end;
            }
        }
    }
    // A break may be cut in two itself.
    if let Some(last) = input.len().checked_sub(1).filter(|last| input.get(*last) == Some(&b'\r'))
        && ends_long_token(before, input, last)
    {
        layer.get_or_insert_with(|| Layer::with_room(input.len())).unfinished = Some(last);
    }
    let mut layer = layer?;
    layer.copy(input, done..input.len());
    Some(layer)
}

/// The same for line breaks that are themselves escapes, as in JSON inside JSON: there a byte of a
/// token on either side is enough. None if there are none.
pub(super) fn unwrap_escaped(input: &[u8], escapes: &[Escape]) -> Option<Layer> {
    let mut layer: Option<Layer> = None;
    let mut done = 0;
    let mut carriage = None;
    for escape in escapes {
        let byte = (escape.out_len == 1).then(|| input.get(escape.out)).flatten();
        if byte == Some(&b'\r') {
            carriage = Some(escape.out);
            continue;
        }
        if byte != Some(&b'\n') {
            continue;
        }
        let start = carriage.filter(|at| at + 1 == escape.out).unwrap_or(escape.out);
        let left = start.checked_sub(1).and_then(|at| input.get(at)).is_some_and(|byte| is_token(*byte));
        if !left {
            continue;
        }
        let mut next = escape.out + 1;
        let mut sure = true;
        if ends_long_token(b"", input, start) {
            let line = input.get(next..).unwrap_or_default();
            let margin = margin(line);
            next += margin;
            sure = !may_be_number(line, margin);
        }
        match input.get(next) {
            Some(byte) if is_token(*byte) => {
                let layer = layer.get_or_insert_with(|| Layer::with_room(input.len()));
                layer.copy(input, done..start);
                layer.escape(start, (next - start) as u8, b"");
                if !sure {
                    layer.unfinished = Some(start);
                }
                done = next;
            }
            Some(_) => {}
            None => layer.get_or_insert_with(|| Layer::with_room(input.len())).unfinished = Some(start),
        }
    }
    if let Some(last) = carriage.filter(|at| at + 1 == input.len()) {
        layer.get_or_insert_with(|| Layer::with_room(input.len())).unfinished = Some(last);
    }
    let mut layer = layer?;
    layer.copy(input, done..input.len());
    Some(layer)
}
