//! What to look for in a trail.

use jiff::Timestamp;
use rusqlite::ToSql;
use uuid::Uuid;

use crate::EventType;
use crate::facet::{Facet, Seen};
use crate::segment::{self, Field};

/// Every part is optional; those that are set must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Inclusive.
    pub since: Option<Timestamp>,
    /// Exclusive.
    pub until: Option<Timestamp>,
    pub event_type: Option<EventType>,
    pub exchange_id: Option<Uuid>,
    pub provider: Option<String>,
    pub model: Option<String>,
    pub classification: Option<String>,
    pub user: Option<String>,
    pub agent: Option<String>,
    /// Of the first action.
    pub action: Option<String>,
    pub outcome: Option<String>,
    /// Whether something was taken out.
    pub redacted: Option<bool>,
    /// A rule that took something out.
    pub rule: Option<String>,
    /// Words, each of which stands in one of the event's values, in either case of ASCII letters. Ids and hashes
    /// are found by their beginning, from eight digits on; numbers and times are not searched.
    pub text: Option<String>,
    /// Only rows after this one: the place to go on from in ascending order.
    pub after_seq: Option<u64>,
    /// Only rows before this one: the place to go on from in descending order.
    pub before_seq: Option<u64>,
    pub limit: Option<usize>,
    pub order: Order,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    #[default]
    Ascending,
    Descending,
}

/// A word to look for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// In lower case.
    pub(crate) text: String,
    /// It may be the beginning of an id or a hash.
    pub(crate) is_digits: bool,
}

impl Word {
    fn new(text: &str) -> Word {
        let is_digits = (segment::HASH_DIGITS..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        Word { text: text.to_ascii_lowercase(), is_digits }
    }

    pub(crate) fn is_in(&self, value: &str) -> bool {
        value.len() >= self.text.len() && value.to_ascii_lowercase().contains(&self.text)
    }

    fn begins(&self, id: &str) -> bool {
        id.get(..self.text.len()).is_some_and(|start| start.eq_ignore_ascii_case(&self.text))
    }

    fn matches(&self, seen: &Seen<'_>) -> bool {
        let mut found = self.is_digits && seen.ids().chain(seen.hashes()).any(|id| self.begins(id));
        seen.each_value(|_, value| found = found || self.is_in(value));
        found
    }
}

impl Filter {
    /// Column of the facets, its place among their texts, what it is in a segment, and the value wanted.
    fn columns(&self) -> [(&'static str, usize, Option<Field>, Option<String>); 9] {
        let exchange = self.exchange_id.map(|id| id.to_string());
        [
            ("event_type", 1, Some(Field::EventType), self.event_type.map(|t| t.as_str().to_owned())),
            ("exchange_id", 3, None, exchange),
            ("provider", 4, Some(Field::Provider), self.provider.clone()),
            ("model", 5, Some(Field::Model), self.model.clone()),
            ("classification", 6, Some(Field::Classification), self.classification.clone()),
            ("user", 7, Some(Field::User), self.user.clone()),
            ("agent", 8, Some(Field::Agent), self.agent.clone()),
            ("action", 9, Some(Field::Action), self.action.clone()),
            ("outcome", 10, Some(Field::Outcome), self.outcome.clone()),
        ]
    }

    /// What segments are asked for.
    pub(crate) fn values(&self) -> Vec<(Field, String)> {
        let columns = self.columns();
        let columns = columns.into_iter().filter_map(|(.., field, value)| field.zip(value));
        columns.chain(self.rule.clone().map(|rule| (Field::Rule, rule))).collect()
    }

    pub(crate) fn words(&self) -> Vec<Word> {
        self.text.iter().flat_map(|text| text.split_whitespace()).map(Word::new).collect()
    }

    /// The rows that may match, as numbers from and to.
    pub(crate) fn bounds(&self) -> (u64, u64) {
        // SQLite's numbers end earlier than ours; no row lies beyond. The first is 1.
        let end = i64::MAX as u64;
        let from = self.after_seq.map_or(1, |after| after.saturating_add(1));
        (from.min(end), self.before_seq.map_or(end, |before| before.saturating_sub(1)).min(end))
    }

    pub(crate) fn is_descending(&self) -> bool {
        self.order == Order::Descending
    }

    /// The query over rows with facets from one number to another: SQL and its parameters. Rules and words are
    /// left to `matches`.
    pub(crate) fn to_sql(&self, from: u64, to: u64) -> (String, Vec<Box<dyn ToSql>>) {
        let mut conditions = vec!["f.seq BETWEEN ?1 AND ?2".to_owned()];
        let mut parameters: Vec<Box<dyn ToSql>> = vec![Box::new(from), Box::new(to)];
        let mut add = |condition: &str, value: String| {
            parameters.push(Box::new(value));
            conditions.push(format!("{condition} ?{}", parameters.len()));
        };
        for (column, _, _, value) in self.columns() {
            if let Some(value) = value {
                add(&format!("f.{column} ="), value);
            }
        }
        if let Some(since) = self.since {
            add("f.ts >=", format!("{since:.6}"));
        }
        if let Some(until) = self.until {
            add("f.ts <", format!("{until:.6}"));
        }
        match self.redacted {
            Some(true) => conditions.push("f.redactions > 0".into()),
            Some(false) => conditions.push("f.redactions = 0".into()),
            None => {}
        }
        let order = if self.is_descending() { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT e.seq, e.hash, e.body FROM facet f JOIN event e ON e.seq = f.seq WHERE {} ORDER BY f.seq {order}",
            conditions.join(" AND ")
        );
        (sql, parameters)
    }

    /// The same question put to a row's body.
    pub(crate) fn matches(&self, words: &[&Word], body: &str) -> bool {
        let Ok(seen) = serde_json::from_str::<Seen<'_>>(body) else { return false };
        let facet = Facet::of(&seen);
        let ts = facet.texts[0].unwrap_or_default();
        let rules = || seen.request.iter().flat_map(|request| &request.redactions_applied);
        self.columns()
            .iter()
            .all(|(_, index, _, value)| value.is_none() || facet.texts[*index] == value.as_deref())
            && self.since.is_none_or(|since| ts >= format!("{since:.6}").as_str())
            && self.until.is_none_or(|until| ts < format!("{until:.6}").as_str())
            && self.redacted.is_none_or(|redacted| redacted == (facet.redactions > 0))
            && self.rule.as_ref().is_none_or(|wanted| rules().any(|rule| *rule.0 == **wanted))
            && words.iter().all(|word| word.matches(&seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_find_parts_of_values_and_the_beginnings_of_ids() {
        let of = |text: &str| Filter { text: Some(text.into()), ..Filter::default() }.words();
        assert_eq!(of(" \t"), []);
        let words = of("Claude  019ac1d2-77");
        assert!(words[0].is_in("claude-cli/2.1") && !words[0].is_in("cla") && !words[0].is_digits);
        assert!(
            words[1].is_digits && words[1].begins("019AC1D2-7777-7000") && !words[1].begins("19ac1d2-77")
        );
        assert!(!of("deadbee")[0].is_digits && !of("shell:execute")[0].is_digits);
    }
}
