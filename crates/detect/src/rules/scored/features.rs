//! What can be seen of a value behind a name: the name, what joins them, the value's own shape.
//!
//! Each feature is between 0 and 1, or little more. Their order is the order of the weights; the
//! trainer in `examples/accuracy` reads them from here, so both sides see the same.

use crate::rules::assigned::{is_constant, is_markup, is_prose, is_read_identifier};
use crate::rules::fixture::in_file;
use crate::rules::validators::shannon;
use crate::shape::{self, Needles};

/// A name, a value, and the text between and around them.
pub(super) struct Pair<'t> {
    pub(super) name: &'t str,
    pub(super) glue: &'t str,
    pub(super) value: &'t str,
    /// The text of the line before the name.
    pub(super) lead: &'t str,
    /// The last lines before the name.
    pub(super) before: &'t [u8],
    pub(super) after: Option<u8>,
}

impl Pair<'_> {
    /// Whether what stands before the value announces a credential.
    pub(super) fn is_named(&self) -> bool {
        shape::names_secret(self.name) || self.is_scheme()
    }

    /// Whether lines of something else stand before the value's own.
    pub(super) fn is_in_file(&self) -> bool {
        in_file(&format!("{}{}", String::from_utf8_lossy(self.before), self.name))
    }

    /// Whether an HTTP header holds the value, in a request or on a command line.
    pub(super) fn is_in_header(&self) -> bool {
        let lead = self.lead.to_ascii_lowercase();
        let option = self.glue.trim_end() == ":"
            && ["-h ", "-h'", "-h\"", "-header "].iter().any(|o| lead.contains(o));
        option || lead.contains("authorization") || self.is_scheme() && self.name.len() > "bearer".len()
    }

    /// `Authorization: Bearer …` has no name but its scheme.
    pub(super) fn is_scheme(&self) -> bool {
        ["bearer", "authorization"].iter().any(|scheme| self.name.eq_ignore_ascii_case(scheme))
    }
}

macro_rules! features {
    ($pair:ident, $facts:ident; $($name:ident: $value:expr,)*) => {
        const PLAIN: usize = [$(stringify!($name)),*].len();

        /// What each is called, for the one who reads the weights; crosses come after them.
        pub(super) const NAMES: [&str; PLAIN] = [$(stringify!($name)),*];

        pub(super) fn of($pair: &Pair<'_>) -> Features {
            let $facts = Facts::of($pair);
            let plain = [$(Number::number($value)),*];
            Features { plain, crosses: $facts.crosses().map(|cross| PLAIN + cross) }
        }
    };
}

/// All of a pair. Of the crosses, three are 1 and all others 0.
pub(super) struct Features {
    plain: [f32; PLAIN],
    /// In order.
    crosses: [usize; 3],
}

impl Features {
    /// The sum of all, each times its weight.
    pub(super) fn weighed(&self, weights: &[f32]) -> f32 {
        const LANES: usize = 8;
        let weights_of_plain = weights.get(..PLAIN).unwrap_or_default();
        // Sums beside each other: none waits for the one before.
        let mut sums = [0.0; LANES];
        let (features, weights_of_them) = (self.plain.chunks(LANES), weights_of_plain.chunks(LANES));
        for (features, weights) in features.zip(weights_of_them) {
            for ((sum, feature), weight) in sums.iter_mut().zip(features).zip(weights) {
                *sum += feature * weight;
            }
        }
        let crosses = self.crosses.iter().filter_map(|cross| weights.get(*cross));
        sums.iter().chain(crosses).sum()
    }

    pub(super) fn all(&self) -> Vec<f32> {
        let mut all = self.plain.to_vec();
        all.resize(COUNT, 0.0);
        for cross in self.crosses {
            if let Some(slot) = all.get_mut(cross) {
                *slot = 1.0;
            }
        }
        all
    }
}

const VALUE_KINDS: usize = 13;
const NAME_KINDS: usize = 7;
const GLUE_KINDS: usize = 7;
const BY_NAME: usize = NAME_KINDS * VALUE_KINDS * 2;
const BY_GLUE: usize = GLUE_KINDS * VALUE_KINDS;

/// How many features there are, crosses included.
pub(super) const COUNT: usize = PLAIN + BY_NAME + BY_GLUE + GLUE_KINDS * NAME_KINDS;

pub(super) trait Number {
    fn number(self) -> f32;
}

impl Number for bool {
    fn number(self) -> f32 {
        if self { 1.0 } else { 0.0 }
    }
}

impl Number for f32 {
    fn number(self) -> f32 {
        self
    }
}

features! { pair, facts;
    // the value's length
    shorter_than_6: facts.len < 6,
    shorter_than_8: facts.len < 8,
    shorter_than_12: facts.len < 12,
    shorter_than_16: facts.len < 16,
    shorter_than_20: facts.len < 20,
    longer_than_31: facts.len > 31,
    longer_than_80: facts.len > 80,
    // what it is made of
    entropy: facts.entropy / 6.0,
    density: facts.entropy / (facts.len.max(2) as f32).log2().min(6.0),
    distinct: facts.distinct as f32 / facts.len.clamp(1, 24) as f32,
    digits: facts.share(facts.digits),
    no_digit: facts.digits == 0,
    three_digits: facts.digits >= 3,
    upper: facts.share(facts.upper),
    lower: facts.share(facts.lower),
    marks: facts.share(facts.marks),
    kinds_2: facts.kinds() >= 2,
    kinds_3: facts.kinds() >= 3,
    kinds_4: facts.kinds() >= 4,
    turns: facts.turns,
    worded: facts.share(facts.worded),
    half_worded: facts.worded * 2 >= facts.len,
    mostly_worded: facts.worded * 10 >= facts.len * 8,
    not_worded: facts.worded == 0,
    unexplained: ((facts.len - facts.worded.min(facts.len)) as f32 / 20.0).min(1.0),
    odd_letters: facts.odd_letters,
    odd_letters_long: facts.odd_letters * (facts.len as f32 / 24.0).min(1.0),
    steps: facts.steps,
    long_run: facts.longest_step >= 6,
    // what it looks like
    hexadecimal: facts.is_hex,
    digest_length: facts.is_hex && [32, 40, 64, 96, 128].contains(&facts.len),
    uuid: facts.is_uuid,
    base64_padded: pair.value.ends_with('=') && facts.len >= 12,
    number: facts.is_number,
    stand_in: shape::is_stand_in(pair.value),
    reference: shape::is_reference(pair.value),
    place: facts.place,
    common_word: facts.common_word,
    random: facts.random,
    random_and_named: facts.random && facts.named,
    camel_case: facts.camel_case,
    lower_camel: facts.lower_camel,
    all_words: facts.all_words,
    identifier: facts.identifier,
    constant: facts.constant,
    markup: facts.markup,
    prose: is_prose(pair.value),
    spaces: facts.has(" "),
    two_spaces: pair.value.bytes().filter(|byte| *byte == b' ').count() >= 2,
    not_ascii: !pair.value.is_ascii(),
    call: facts.has("("),
    bracket: facts.has("[{<"),
    dotted: facts.dotted,
    underscored: facts.has("_"),
    hyphened: facts.has("-"),
    slashed: facts.has("/"),
    coloned: facts.has(":"),
    escaped: facts.has("%\\"),
    dollar: facts.has("$"),
    begins_with_mark: pair.value.starts_with(|c: char| !c.is_ascii_alphanumeric()),
    ends_with_mark: pair.value.ends_with(|c: char| !c.is_ascii_alphanumeric() && c != '='),
    file_name: facts.file_name,
    says_itself: facts.says_itself,
    example_word: facts.example_word,
    letters_then_digits: facts.letters_then_digits,
    leet: facts.leet,
    // the name
    name_tells: facts.named,
    name_is_short: pair.name.len() <= 5,
    name_alone: facts.name_parts == 1,
    name_long: facts.name_parts >= 4,
    name_shouted: facts.shouted,
    of_password: facts.of_password,
    of_secret: facts.name_has("secret"),
    of_token: facts.name_has("token"),
    of_key: facts.name_has("key"),
    of_auth: facts.name_has("auth") || facts.name_has("cred"),
    of_api: facts.name_has("api"),
    ends_with_key: facts.name_ends("key"),
    ends_with_token: facts.name_ends("token"),
    ends_with_secret: facts.name_ends("secret"),
    ends_with_password: facts.name_ends("password") || facts.name_ends("passwd") || facts.name_ends("pwd"),
    name_has_owner: facts.name_parts >= 2 && facts.named,
    bare_key: facts.name_parts == 1 && facts.name_ends("key"),
    bare_token: facts.name_parts == 1 && facts.name_ends("token"),
    dotted_name: pair.name.contains('.'),
    name_of_test: facts.name_of_test,
    // what joins them
    equals: facts.glue_has("="),
    colon: facts.glue_has(":"),
    arrow: facts.glue_has("=>"),
    compared: facts.glue_has("==") || facts.glue_has("!="),
    argument: facts.glue_has(","),
    called: facts.glue_has("("),
    element: facts.glue_has(">") && !facts.glue_has("="),
    only_space: pair.glue.trim_matches(|c: char| c.is_whitespace() || "\"'`".contains(c)).is_empty(),
    new_line: facts.glue_has("\n"),
    typed: facts.typed,
    quoted: facts.quote.is_some(),
    double: facts.quote == Some('"'),
    single: facts.quote == Some('\''),
    bare: facts.quote.is_none(),
    bare_without_digit: facts.quote.is_none() && facts.digits == 0,
    bare_camel: facts.quote.is_none() && (facts.lower_camel || facts.camel_case),
    bare_dotted: facts.quote.is_none() && facts.dotted,
    bare_then_code: facts.quote.is_none() && pair.after.is_some_and(|byte| b"()[]{};,.".contains(&byte)),
    then_called: pair.after.is_some_and(|byte| b"([".contains(&byte)),
    begins_line: pair.lead.trim().is_empty(),
    commented: facts.commented,
    exported: pair.lead.ends_with("export ") || pair.lead.ends_with("ENV ") || pair.lead.ends_with("set "),
    flag: pair.lead.ends_with('-') || pair.name.starts_with('-'),
    in_query: pair.lead.ends_with(['?', '&']),
    // together
    password_quoted: facts.of_password && facts.quote.is_some(),
    password_with_digit: facts.of_password && facts.digits > 0 && facts.letters() > 0,
    password_with_mark: facts.of_password && facts.marks > 0 && facts.digits > 0 && facts.letters() > 0,
    password_worded: facts.of_password && facts.worded * 10 >= facts.len * 7,
    password_bare: facts.of_password && facts.quote.is_none(),
    secret_hex: facts.is_hex && facts.named && !facts.of_password,
    secret_uuid: facts.is_uuid && facts.named,
    secret_long_random: facts.named && facts.len >= 20 && facts.worded * 3 < facts.len && facts.digits >= 2,
    key_without_owner_hex: facts.is_hex && facts.name_parts == 1,
    unnamed_random: !facts.named && facts.random,
    dense: facts.dense,
    bare_dense: facts.dense && facts.quote.is_none(),
    bare_dense_on_its_line: facts.dense && facts.quote.is_none() && pair.lead.trim_matches([' ', '-', '\t']).is_empty(),
    password_dense_bare: facts.dense && facts.quote.is_none() && facts.of_password,
    whole_line: facts.whole_line,
    bare_whole_line: facts.whole_line && facts.quote.is_none(),
    dense_whole_line: facts.whole_line && facts.dense && facts.named,
    dense_quoted_password: facts.dense && facts.quote.is_some() && facts.of_password,
    dense_marked_password: facts.dense && facts.marks > 0 && facts.of_password,
    leet_password: facts.leet && facts.of_password && facts.marks > 0,
    only_letters: facts.letters() + pair.value.bytes().filter(|byte| *byte == b'_').count() == facts.len,
    password_mixed: facts.of_password && facts.dense && facts.upper > 0 && facts.lower > 0,
    in_connection: pair.lead.contains('=') && pair.lead.contains(';'),
    in_connection_password: pair.lead.contains('=') && pair.lead.contains(';') && facts.of_password,
    human_password: facts.of_password && facts.digits > 0 && facts.worded >= 4 && !facts.says_itself && !facts.example_word,
    human_password_quoted: facts.of_password && facts.digits > 0 && facts.worded >= 4 && facts.quote.is_some()
        && !facts.says_itself && !facts.example_word,
    mostly_escapes: pair.value.bytes().filter(|byte| *byte == b'%' || *byte == b'\\').count() * 4 >= facts.len,
    quoted_token_like: facts.quote.is_some() && facts.len >= 16 && facts.digits >= 2 && facts.letters() >= 4
        && !facts.has(" "),
}

struct Facts<'t> {
    pair: &'t Pair<'t>,
    lower_name: String,
    len: usize,
    digits: usize,
    upper: usize,
    lower: usize,
    marks: usize,
    worded: usize,
    turns: f32,
    odd_letters: f32,
    steps: f32,
    longest_step: usize,
    is_hex: bool,
    is_uuid: bool,
    is_number: bool,
    lower_camel: bool,
    dotted: bool,
    file_name: bool,
    says_itself: bool,
    example_word: bool,
    letters_then_digits: bool,
    leet: bool,
    entropy: f32,
    random: bool,
    camel_case: bool,
    place: bool,
    all_words: bool,
    identifier: bool,
    common_word: bool,
    distinct: usize,
    /// A bit for each ASCII character that stands in the value.
    seen: u128,
    constant: bool,
    markup: bool,
    /// Letters and digits that no word explains.
    dense: bool,
    /// Nothing else stands on the line.
    whole_line: bool,
    named: bool,
    name_parts: usize,
    shouted: bool,
    of_password: bool,
    name_of_test: bool,
    typed: bool,
    quote: Option<char>,
    commented: bool,
}

impl<'t> Facts<'t> {
    fn of(pair: &'t Pair<'t>) -> Facts<'t> {
        let (name, value) = (pair.name, pair.value);
        let bytes = value.as_bytes();
        let lower_name = name.to_ascii_lowercase();
        let count = |class: fn(&u8) -> bool| bytes.iter().filter(|byte| class(byte)).count();
        let (digits, upper, lower) =
            (count(u8::is_ascii_digit), count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase));
        let (mut steps, mut longest_step, mut step) = (0usize, 0, 0);
        for [a, b] in bytes.array_windows() {
            let is_step = *b == a.wrapping_add(1) || a == b || *b == a.wrapping_sub(1);
            step = if is_step { step + 1 } else { 0 };
            steps += usize::from(is_step);
            longest_step = longest_step.max(step);
        }
        let turns = bytes.array_windows().filter(|[a, b]| class(*a) != class(*b)).count();
        let of_password = PASSWORDS.any_in(name);
        let quote = pair.glue.chars().last().filter(|c| "\"'`".contains(*c));
        let lead = pair.lead.trim_start();
        let reading = shape::Reading::of(value);
        let worded = reading.explained;
        let place = shape::is_place(value);
        // Blanks around it count for the other measures, not for this one.
        let trimmed = value.trim();
        let common_word =
            shape::is_common(trimmed, || if trimmed == value { place } else { shape::is_place(trimmed) });
        let distinct = shape::distinct(value);
        let seen = bytes.iter().filter(|byte| byte.is_ascii()).fold(0, |seen, byte| seen | 1 << byte);
        Facts {
            pair,
            len: bytes.len(),
            digits,
            upper,
            lower,
            marks: bytes.len() - digits - upper - lower,
            worded,
            entropy: shannon(bytes),
            random: shape::is_mixed(value) && !place && worded * 2 < bytes.len(),
            camel_case: reading.camel_case,
            place,
            all_words: reading.all_words,
            identifier: is_read_identifier(value, &reading),
            common_word,
            distinct,
            seen,
            constant: is_constant(value),
            markup: is_markup(value),
            turns: turns as f32 / bytes.len().max(2) as f32,
            odd_letters: shape::odd_letters(value),
            steps: steps as f32 / bytes.len().max(2) as f32,
            longest_step,
            is_hex: bytes.len() >= 8 && bytes.iter().all(u8::is_ascii_hexdigit),
            is_uuid: bytes.len() == 36
                && bytes.iter().zip(0..).all(|(byte, at)| match at {
                    8 | 13 | 18 | 23 => *byte == b'-',
                    _ => byte.is_ascii_hexdigit(),
                }),
            is_number: bytes.iter().all(|byte| byte.is_ascii_digit() || b".,+-_xX".contains(byte)),
            lower_camel: value.starts_with(|c: char| c.is_ascii_lowercase())
                && upper > 0
                && bytes.iter().all(u8::is_ascii_alphanumeric)
                && worded * 2 >= bytes.len(),
            dotted: value.contains('.')
                && value.split('.').all(|part| {
                    part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                }),
            file_name: value.rsplit_once('.').is_some_and(|(_, end)| {
                (2..=5).contains(&end.len()) && end.bytes().all(|byte| byte.is_ascii_lowercase())
            }),
            says_itself: TELLING.any_in(value) || says_name(name, value),
            example_word: EXAMPLES.any_in(value),
            letters_then_digits: digits > 0
                && upper + lower > 0
                && bytes.iter().skip_while(|byte| byte.is_ascii_alphabetic()).all(u8::is_ascii_digit),
            leet: bytes.array_windows().any(|[a, b, c]| {
                a.is_ascii_alphabetic() && c.is_ascii_alphabetic() && b"0134578@$!".contains(b)
            }),
            whole_line: lead.trim_start_matches(['-', '"', '\'']).trim().is_empty()
                && pair.after.is_none_or(|byte| b"\r\n".contains(&byte)),
            dense: bytes.len() >= 8
                && digits > 0
                && upper + lower > 0
                && distinct >= 6
                && worded * 2 <= bytes.len(),
            named: pair.is_named(),
            name_parts: shape::name_parts(name),
            shouted: !name.bytes().any(|byte| byte.is_ascii_lowercase()),
            of_password,
            name_of_test: TESTS.any_in(name),
            typed: TYPES.any_in(pair.glue),
            quote,
            commented: ["//", "#", "*", "--", ";", "<!--", "/*", "%"]
                .iter()
                .any(|mark| lead.starts_with(mark)),
            lower_name,
        }
    }

    /// Which of the crosses holds: the kind of value with the kind of name and quoting, and each with
    /// the kind of glue.
    fn crosses(&self) -> [usize; 3] {
        let (name, value, glue) = (self.name_kind(), self.value_kind(), self.glue_kind());
        let quoted = usize::from(self.quote.is_some());
        [
            (name * VALUE_KINDS + value) * 2 + quoted,
            BY_NAME + glue * VALUE_KINDS + value,
            BY_NAME + BY_GLUE + glue * NAME_KINDS + name,
        ]
    }

    fn name_kind(&self) -> usize {
        match () {
            () if !self.named => 0,
            () if self.of_password => 1,
            () if self.name_has("api") => 2,
            () if self.name_ends("secret") || self.name_ends("secret_key") => 3,
            () if self.name_ends("token") => 4,
            () if self.name_ends("key") => 5,
            () => 6,
        }
    }

    fn value_kind(&self) -> usize {
        match () {
            () if self.has(" ") => 0,
            () if self.is_number => 1,
            () if self.is_uuid => 2,
            () if self.is_hex && self.len >= 16 => 3,
            () if self.place || self.dotted || self.file_name => 4,
            () if self.constant || self.markup => 5,
            () if self.worded * 10 >= self.len * 8 || self.all_words => 6,
            () if self.says_itself || self.example_word => 7,
            () if self.worded * 2 >= self.len && self.digits > 0 => 8,
            () if self.digits == 0 => 9,
            () if self.len < 12 => 10,
            () if self.len < 20 => 11,
            () => 12,
        }
    }

    fn glue_kind(&self) -> usize {
        let glue = self.pair.glue;
        match () {
            () if glue.contains("==") || glue.contains("!=") => 0,
            () if glue.contains('\n') || glue.contains("alue") => 1,
            () if glue.contains('=') => 2,
            () if glue.contains(':') => 3,
            () if glue.contains([',', '(']) => 4,
            () if glue.contains('>') => 5,
            () => 6,
        }
    }

    /// Whether one of the characters stands in the value.
    #[inline(always)]
    fn has(&self, characters: &str) -> bool {
        characters.bytes().any(|byte| self.seen >> byte & 1 != 0)
    }

    fn share(&self, part: usize) -> f32 {
        part as f32 / self.len.max(1) as f32
    }

    fn letters(&self) -> usize {
        self.upper + self.lower
    }

    fn kinds(&self) -> usize {
        [self.digits, self.upper, self.lower, self.marks].into_iter().filter(|count| *count > 0).count()
    }

    fn name_ends(&self, word: &str) -> bool {
        self.lower_name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_').ends_with(word)
    }

    #[inline(always)]
    fn glue_has(&self, mark: &str) -> bool {
        holds(self.pair.glue, mark)
    }

    #[inline(always)]
    fn name_has(&self, word: &str) -> bool {
        holds(&self.lower_name, word)
    }
}

/// Texts are short here and words known when this is compiled: less than the search for any word would begin with.
#[inline(always)]
fn holds(text: &str, word: &str) -> bool {
    text.as_bytes().windows(word.len()).any(|window| window == word.as_bytes())
}

/// Whether the value is the name, or a part of it, or holds it, whatever joins their words.
fn says_name(name: &str, value: &str) -> bool {
    let compact = |text: &str| -> Vec<u8> {
        let mut compact = Vec::with_capacity(text.len());
        compact.extend(text.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase()));
        compact
    };
    let value = compact(value);
    if value.len() < 4 {
        return false;
    }
    let name = compact(name);
    let (long, short) = if name.len() < value.len() { (value, name) } else { (name, value) };
    short.is_empty() || long.windows(short.len()).any(|window| window == short)
}

static TELLING: Needles<10> = Needles::new([
    "api_key", "apikey", "key", "login", "passwd", "password", "pwd", "secret", "token", "user",
]);
static EXAMPLES: Needles<18> = Needles::new([
    "bar",
    "change",
    "default",
    "demo",
    "dummy",
    "example",
    "fake",
    "foo",
    "hello",
    "insert",
    "mock",
    "placeholder",
    "sample",
    "some",
    "test",
    "todo",
    "xxx",
    "your",
]);
static TESTS: Needles<7> = Needles::new(["dummy", "example", "expected", "fake", "mock", "sample", "test"]);
static TYPES: Needles<4> = Needles::new(["byte", "str", "string", "text"]);
static PASSWORDS: Needles<3> = Needles::new(["pass", "pw", "pwd"]);

fn class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        _ => 3,
    }
}
