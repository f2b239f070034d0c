//! The conditions of an assessment: `criticalRisks == 0`, `highRisks.all(r => r.mitigated)`,
//! `hasSOC2 || hasISO27001`. A small language of its own: no calls, no loops, nothing that could not end.

use std::collections::BTreeSet;
use std::fmt;

use super::AssessmentRecord;
use crate::Severity;
use crate::yaml::nearest;

/// Nesting that no condition needs.
const MAX_DEPTH: usize = 32;
const MAX_LENGTH: usize = 2_000;

/// Names that stand for lists of risks.
const LISTS: [&str; 5] = ["criticalRisks", "highRisks", "mediumRisks", "lowRisks", "risks"];
/// What a list can be asked.
const METHODS: [&str; 3] = ["all", "any", "none"];
/// What a risk can be asked.
const FIELDS: [&str; 3] = ["id", "mitigated", "severity"];

/// What is wrong with a condition; columns count characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct ConditionError {
    pub column: u32,
    pub message: String,
}

/// What conditions speak of.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    risks: Vec<Risk>,
    certificates: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct Risk {
    id: String,
    severity: Severity,
    mitigated: bool,
}

impl Facts {
    pub fn of(record: &AssessmentRecord) -> Facts {
        let risks = record.answers.iter().filter_map(|(id, answer)| {
            let mitigated = answer.mitigation.as_ref().is_some_and(|text| !text.trim().is_empty());
            Some(Risk { id: id.clone(), severity: answer.severity?, mitigated })
        });
        let certificates = record.certificates.iter().map(|name| plain(name)).collect();
        Facts { risks: risks.collect(), certificates }
    }

    fn list(&self, name: &str) -> impl Iterator<Item = &Risk> {
        let wanted = match name {
            "criticalRisks" => Some(Severity::Critical),
            "highRisks" => Some(Severity::High),
            "mediumRisks" => Some(Severity::Medium),
            "lowRisks" => Some(Severity::Low),
            _ => None,
        };
        self.risks.iter().filter(move |risk| wanted.is_none_or(|severity| risk.severity == severity))
    }
}

/// `SOC 2` and `soc2` are one certificate.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase()
}

/// A condition that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition(Expr);

#[derive(Debug, Clone, PartialEq)]
enum Expr {
    Bool(bool),
    Number(f64),
    Text(String),
    /// The number of risks in a list.
    Count(String),
    Has(String),
    Field(String),
    Quantified {
        list: String,
        method: String,
        body: Box<Expr>,
    },
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Compare(Box<Expr>, Comparison, Box<Expr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Number,
    Text,
}

impl Kind {
    fn said(self) -> &'static str {
        match self {
            Kind::Bool => "true or false",
            Kind::Number => "a number",
            Kind::Text => "text",
        }
    }
}

impl Condition {
    pub fn parse(text: &str) -> Result<Condition, ConditionError> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0, risk: None, depth: 0 };
        let start = parser.column();
        let (expr, kind) = parser.or()?;
        if let Some(token) = parser.tokens.get(parser.at) {
            return Err(fail(token.column, format!("expected the end, found `{}`", token.word)));
        }
        parser.expect(kind, Kind::Bool, start)?;
        Ok(Condition(expr))
    }

    pub fn holds(&self, facts: &Facts) -> bool {
        eval(&self.0, facts, None) == Value::Bool(true)
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Bool(bool),
    Number(f64),
    Text(String),
}

fn eval(expr: &Expr, facts: &Facts, risk: Option<&Risk>) -> Value {
    let truth = |expr: &Expr| eval(expr, facts, risk) == Value::Bool(true);
    Value::Bool(match expr {
        Expr::Bool(value) => *value,
        Expr::Number(value) => return Value::Number(*value),
        Expr::Text(value) => return Value::Text(value.clone()),
        Expr::Count(list) => {
            let count = u32::try_from(facts.list(list).count()).unwrap_or(u32::MAX);
            return Value::Number(f64::from(count));
        }
        Expr::Has(name) => facts.certificates.contains(name),
        Expr::Field(name) => match (name.as_str(), risk) {
            ("mitigated", Some(risk)) => risk.mitigated,
            ("severity", Some(risk)) => return Value::Text(risk.severity.as_str().to_owned()),
            ("id", Some(risk)) => return Value::Text(risk.id.clone()),
            _ => false,
        },
        Expr::Quantified { list, method, body } => {
            let mut each = facts.list(list).map(|risk| eval(body, facts, Some(risk)) == Value::Bool(true));
            match method.as_str() {
                "all" => each.all(|met| met),
                "any" => each.any(|met| met),
                _ => !each.any(|met| met),
            }
        }
        Expr::Not(inner) => !truth(inner),
        Expr::And(left, right) => truth(left) && truth(right),
        Expr::Or(left, right) => truth(left) || truth(right),
        Expr::Compare(left, how, right) => {
            let (left, right) = (eval(left, facts, risk), eval(right, facts, risk));
            match how {
                Comparison::Equal => left == right,
                Comparison::Unequal => left != right,
                _ => match (left, right) {
                    (Value::Number(left), Value::Number(right)) => match how {
                        Comparison::Less => left < right,
                        Comparison::AtMost => left <= right,
                        Comparison::More => left > right,
                        _ => left >= right,
                    },
                    _ => false,
                },
            }
        }
    })
}

struct Token {
    word: String,
    quoted: bool,
    column: u32,
}

fn fail(column: u32, message: impl Into<String>) -> ConditionError {
    ConditionError { column, message: message.into() }
}

fn tokens(text: &str) -> Result<Vec<Token>, ConditionError> {
    if text.len() > MAX_LENGTH {
        return Err(fail(1, format!("expected at most {MAX_LENGTH} characters")));
    }
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&first) = chars.get(at) {
        let column = u32::try_from(at + 1).unwrap_or(u32::MAX);
        let run = |keep: &dyn Fn(char) -> bool| -> String {
            chars[at..].iter().copied().take_while(|c| keep(*c)).collect()
        };
        let (word, length, quoted) = match first {
            c if c.is_whitespace() => {
                at += 1;
                continue;
            }
            '\'' | '"' => {
                let inner: String = chars[at + 1..].iter().copied().take_while(|c| *c != first).collect();
                let length = inner.chars().count() + 2;
                if at + length > chars.len() {
                    return Err(fail(column, "expected the closing quote of this text"));
                }
                (inner, length, true)
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let word = run(&|c| c.is_ascii_alphanumeric() || c == '_');
                let length = word.chars().count();
                (word, length, false)
            }
            c if c.is_ascii_digit() => {
                let word = run(&|c| c.is_ascii_digit() || c == '.');
                let length = word.chars().count();
                (word, length, false)
            }
            _ => {
                let pair: String = chars[at..].iter().take(2).collect();
                let known = ["==", "!=", "<=", ">=", "=>", "&&", "||"].contains(&pair.as_str());
                if known {
                    (pair, 2, false)
                } else if "!<>().".contains(first) {
                    (first.to_string(), 1, false)
                } else {
                    return Err(fail(column, format!("`{first}` means nothing here")));
                }
            }
        };
        found.push(Token { word, quoted, column });
        at += length;
    }
    Ok(found)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    /// The name of the risk inside `all(r => …)`.
    risk: Option<String>,
    depth: usize,
}

type Parsed = Result<(Expr, Kind), ConditionError>;

impl Parser {
    fn column(&self) -> u32 {
        let last = || {
            self.tokens
                .last()
                .map_or(1, |token| token.column + u32::try_from(token.word.chars().count()).unwrap_or(0))
        };
        self.tokens.get(self.at).map_or_else(last, |token| token.column)
    }

    fn take(&mut self, words: &[&str]) -> bool {
        let next = self.tokens.get(self.at).filter(|token| !token.quoted);
        let hit = next.is_some_and(|token| words.contains(&token.word.as_str()));
        self.at += usize::from(hit);
        hit
    }

    fn need(&mut self, word: &str) -> Result<(), ConditionError> {
        let column = self.column();
        if self.take(&[word]) { Ok(()) } else { Err(fail(column, format!("expected `{word}`"))) }
    }

    fn expect(&self, found: Kind, wanted: Kind, column: u32) -> Result<(), ConditionError> {
        if found == wanted {
            return Ok(());
        }
        Err(fail(column, format!("expected {}, found {}", wanted.said(), found.said())))
    }

    fn or(&mut self) -> Parsed {
        self.chain(&["||", "or"], Parser::and, Expr::Or)
    }

    fn and(&mut self) -> Parsed {
        self.chain(&["&&", "and"], Parser::not, Expr::And)
    }

    fn chain(
        &mut self,
        words: &[&str],
        part: fn(&mut Parser) -> Parsed,
        join: fn(Box<Expr>, Box<Expr>) -> Expr,
    ) -> Parsed {
        let start = self.column();
        let (mut left, mut kind) = part(self)?;
        while self.take(words) {
            self.expect(kind, Kind::Bool, start)?;
            let column = self.column();
            let (right, right_kind) = part(self)?;
            self.expect(right_kind, Kind::Bool, column)?;
            (left, kind) = (join(Box::new(left), Box::new(right)), Kind::Bool);
        }
        Ok((left, kind))
    }

    fn not(&mut self) -> Parsed {
        if self.take(&["!", "not"]) {
            let column = self.column();
            let (inner, kind) = self.nested(Parser::not)?;
            self.expect(kind, Kind::Bool, column)?;
            return Ok((Expr::Not(Box::new(inner)), Kind::Bool));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed {
        let (left, kind) = self.operand()?;
        let table = [
            ("==", Comparison::Equal),
            ("!=", Comparison::Unequal),
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("<", Comparison::Less),
            (">", Comparison::More),
        ];
        let Some((word, how)) = table.into_iter().find(|(word, _)| self.take(&[word])) else {
            return Ok((left, kind));
        };
        if !matches!(how, Comparison::Equal | Comparison::Unequal) && kind != Kind::Number {
            return Err(fail(self.column(), format!("`{word}` compares numbers, not {}", kind.said())));
        }
        let column = self.column();
        let (right, right_kind) = self.operand()?;
        self.expect(right_kind, kind, column)?;
        Ok((Expr::Compare(Box::new(left), how, Box::new(right)), Kind::Bool))
    }

    fn nested(&mut self, part: fn(&mut Parser) -> Parsed) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(fail(self.column(), "nested too deeply"));
        }
        let parsed = part(self);
        self.depth -= 1;
        parsed
    }

    fn operand(&mut self) -> Parsed {
        let column = self.column();
        let Some(token) = self.tokens.get(self.at) else {
            return Err(fail(column, "expected a value, found the end"));
        };
        let (word, quoted) = (token.word.clone(), token.quoted);
        self.at += 1;
        if quoted {
            return Ok((Expr::Text(word), Kind::Text));
        }
        if word == "(" {
            let inner = self.nested(Parser::or)?;
            self.need(")")?;
            return Ok(inner);
        }
        if let Ok(number) = word.parse::<f64>()
            && word.starts_with(|c: char| c.is_ascii_digit())
        {
            return Ok((Expr::Number(number), Kind::Number));
        }
        match word.as_str() {
            "true" | "false" => Ok((Expr::Bool(word == "true"), Kind::Bool)),
            _ if self.risk.as_deref() == Some(word.as_str()) => self.field(),
            _ if LISTS.contains(&word.as_str()) => self.list(word),
            _ if word.len() > 3 && word.starts_with("has") => Ok((Expr::Has(plain(&word[3..])), Kind::Bool)),
            _ => Err(unknown(column, &word, LISTS.iter().copied().chain(["hasSOC2", "hasISO27001"]))),
        }
    }

    /// `r.mitigated`, with `r` behind us.
    fn field(&mut self) -> Parsed {
        self.need(".")?;
        let column = self.column();
        let word = self.tokens.get(self.at).map(|token| token.word.clone()).unwrap_or_default();
        self.at += 1;
        match word.as_str() {
            "mitigated" => Ok((Expr::Field(word), Kind::Bool)),
            "severity" | "id" => Ok((Expr::Field(word), Kind::Text)),
            _ => Err(unknown(column, &word, FIELDS.into_iter())),
        }
    }

    /// `highRisks`, `highRisks.count`, `highRisks.all(r => …)`, with the list behind us.
    fn list(&mut self, list: String) -> Parsed {
        if !self.take(&["."]) || self.take(&["count", "length"]) {
            return Ok((Expr::Count(list), Kind::Number));
        }
        let column = self.column();
        let method = self.tokens.get(self.at).map(|token| token.word.clone()).unwrap_or_default();
        self.at += 1;
        if !METHODS.contains(&method.as_str()) {
            return Err(unknown(column, &method, METHODS.into_iter().chain(["count"])));
        }
        self.need("(")?;
        let column = self.column();
        let name = self.tokens.get(self.at).map(|token| token.word.clone()).unwrap_or_default();
        let word = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !word || LISTS.contains(&name.as_str()) {
            return Err(fail(column, "expected a name for each risk, as in `all(r => r.mitigated)`"));
        }
        self.at += 1;
        self.need("=>")?;
        let column = self.column();
        let outer = self.risk.replace(name);
        let (body, kind) = self.nested(Parser::or)?;
        self.risk = outer;
        self.expect(kind, Kind::Bool, column)?;
        self.need(")")?;
        Ok((Expr::Quantified { list, method, body: Box::new(body) }, Kind::Bool))
    }
}

fn unknown<'w>(column: u32, word: &str, known: impl Iterator<Item = &'w str> + Clone) -> ConditionError {
    let names = known.clone().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match nearest(word, known) {
        Some(near) => fail(column, format!("`{word}` is not known: did you mean `{near}`?")),
        None => fail(column, format!("`{word}` is not known: expected one of {names}")),
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.said())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(risks: &[(Severity, bool)], certificates: &[&str]) -> Facts {
        let risks = risks.iter().enumerate().map(|(n, (severity, mitigated))| Risk {
            id: format!("q{n}"),
            severity: *severity,
            mitigated: *mitigated,
        });
        Facts { risks: risks.collect(), certificates: certificates.iter().map(|c| plain(c)).collect() }
    }

    fn holds(text: &str, facts: &Facts) -> bool {
        Condition::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).holds(facts)
    }

    #[test]
    fn conditions_hold_or_not() {
        use Severity::*;
        let facts = facts(&[(High, true), (High, false), (Low, false)], &["SOC 2"]);
        for (text, expected) in [
            ("criticalRisks == 0", true),
            ("highRisks.all(r => r.mitigated)", false),
            ("highRisks.any(r => r.mitigated)", true),
            ("criticalRisks.none(r => !r.mitigated)", true),
            ("criticalRisks.all(r => r.mitigated)", true),
            ("hasSOC2 || hasISO27001", true),
            ("hasISO27001", false),
            ("not hasISO27001 and hasSOC2", true),
            ("hasISO27001 or hasISO27001 && hasSOC2", false),
            ("(hasISO27001 or hasSOC2) && highRisks <= 2", true),
            ("highRisks.count > 2", false),
            ("risks.length != 3", false),
            ("risks.all(r => r.severity == 'high' || r.severity == \"low\")", true),
            ("risks.any(r => r.id == 'q2' && not r.mitigated)", true),
            ("!(highRisks < 2)", true),
            ("highRisks.any(r => lowRisks.any(l => l.mitigated))", false),
            ("true != false", true),
        ] {
            assert_eq!(holds(text, &facts), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_column() {
        for (text, column, part) in [
            ("", 1, "the end"),
            ("criticalRisk == 0", 1, "did you mean `criticalRisks`?"),
            ("criticalRisks == ", 17, "the end"),
            ("criticalRisks = 0", 15, "means nothing"),
            ("criticalRisks", 1, "expected true or false, found a number"),
            ("criticalRisks == true", 18, "expected a number"),
            ("hasSOC2 < 3", 11, "compares numbers"),
            ("hasSOC2 hasISO27001", 9, "expected the end"),
            ("highRisks.every(r => r.mitigated)", 11, "`every` is not known"),
            ("highRisks.all(r => r.mitigate)", 22, "did you mean `mitigated`?"),
            ("highRisks.all(r.mitigated)", 16, "expected `=>`"),
            ("highRisks.all(r => r.mitigated", 31, "expected `)`"),
            ("highRisks.all(5 => true)", 15, "a name for each risk"),
            ("(hasSOC2", 9, "expected `)`"),
            ("r.mitigated", 1, "`r` is not known"),
            ("risks.any(r => r.id == 'q", 24, "closing quote"),
            ("hasSOC2 || highRisks", 12, "expected true or false"),
        ] {
            let error = Condition::parse(text).unwrap_err();
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.message.contains(part), "{text}: {error}");
        }
        assert!(Condition::parse(&"(".repeat(500)).is_err());
        assert!(Condition::parse(&"!".repeat(500)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_understood_or_refused(text in "[a-zA-Z0-9 ().=<>!&|'\"]{0,60}") {
            if let Ok(condition) = Condition::parse(&text) {
                let _ = condition.holds(&Facts::default());
            }
        }
    }
}
