//! What to look for in a trail.

use jiff::Timestamp;
use rusqlite::ToSql;
use uuid::Uuid;

use crate::EventType;
use crate::facet::{Facet, Seen};

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
    /// Anywhere in the event, in either case of ASCII letters.
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

impl Filter {
    fn columns(&self) -> [(&'static str, usize, Option<String>); 9] {
        [
            ("event_type", 1, self.event_type.map(|t| t.as_str().to_owned())),
            ("exchange_id", 3, self.exchange_id.map(|id| id.to_string())),
            ("provider", 4, self.provider.clone()),
            ("model", 5, self.model.clone()),
            ("classification", 6, self.classification.clone()),
            ("user", 7, self.user.clone()),
            ("agent", 8, self.agent.clone()),
            ("action", 9, self.action.clone()),
            ("outcome", 10, self.outcome.clone()),
        ]
    }

    /// The text as it stands in a body, where quotes and control characters are escaped.
    fn needle(&self) -> Option<String> {
        let quoted = serde_json::to_string(self.text.as_ref()?).ok()?;
        quoted.get(1..quoted.len() - 1).map(str::to_owned)
    }

    /// The query over rows with facets: SQL and its parameters.
    pub(crate) fn to_sql(&self) -> (String, Vec<Box<dyn ToSql>>) {
        let mut conditions = vec!["1".to_owned()];
        let mut parameters: Vec<Box<dyn ToSql>> = Vec::new();
        let mut add = |condition: &str, value: Box<dyn ToSql>| {
            parameters.push(value);
            conditions.push(format!("{condition} ?{}", parameters.len()));
        };
        for (column, _, value) in self.columns() {
            if let Some(value) = value {
                add(&format!("f.{column} ="), Box::new(value));
            }
        }
        if let Some(since) = self.since {
            add("f.ts >=", Box::new(format!("{since:.6}")));
        }
        if let Some(until) = self.until {
            add("f.ts <", Box::new(format!("{until:.6}")));
        }
        if let Some(after) = self.after_seq {
            add("f.seq >", Box::new(as_i64(after)));
        }
        if let Some(before) = self.before_seq {
            add("f.seq <", Box::new(as_i64(before)));
        }
        if let Some(needle) = self.needle() {
            let escaped = needle.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            add("e.body LIKE", Box::new(format!("%{escaped}%")));
            if let Some(last) = conditions.last_mut() {
                last.push_str(" ESCAPE '\\'");
            }
        }
        match self.redacted {
            Some(true) => conditions.push("f.redactions > 0".into()),
            Some(false) => conditions.push("f.redactions = 0".into()),
            None => {}
        }
        let order = if self.order == Order::Ascending { "ASC" } else { "DESC" };
        // With a limit the sorter keeps that many and no more.
        let limit = self.limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(-1);
        let sql = format!(
            "SELECT e.seq, e.hash, e.body FROM facet f JOIN event e ON e.seq = f.seq WHERE {} ORDER BY f.seq {order} \
             LIMIT {limit}",
            conditions.join(" AND ")
        );
        (sql, parameters)
    }

    /// The same question put to a row that has no facet yet.
    pub(crate) fn matches(&self, seq: u64, body: &str) -> bool {
        let Ok(seen) = serde_json::from_str::<Seen<'_>>(body) else { return false };
        let facet = Facet::of(&seen);
        let ts = facet.texts[0].unwrap_or_default();
        self.columns()
            .iter()
            .all(|(_, index, value)| value.is_none() || facet.texts[*index] == value.as_deref())
            && self.since.is_none_or(|since| ts >= format!("{since:.6}").as_str())
            && self.until.is_none_or(|until| ts < format!("{until:.6}").as_str())
            && self.after_seq.is_none_or(|after| seq > after)
            && self.before_seq.is_none_or(|before| seq < before)
            && self.redacted.is_none_or(|redacted| redacted == (facet.redactions > 0))
            && self.needle().is_none_or(|n| body.to_ascii_lowercase().contains(&n.to_ascii_lowercase()))
    }
}

/// SQLite's numbers end earlier than ours; no row lies beyond.
fn as_i64(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
