//! What queries filter by, taken out of a row's body. Derived, written off the commit's path, and held against
//! the bodies by `verify`, so that nobody can hide a row by editing the index.

use std::borrow::Cow;
use std::fmt;

use rusqlite::{Connection, params};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use crate::segment::Field;

/// Borrowed from the body unless it holds escapes; `Option<Cow<str>>` alone would always copy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The parts of a body that the trail itself looks at.
#[derive(Debug, Deserialize)]
pub(crate) struct Seen<'a> {
    #[serde(borrow)]
    pub(crate) actor: SeenActor<'a>,
    #[serde(borrow)]
    pub(crate) ai_provider: SeenProvider<'a>,
    #[serde(borrow, default)]
    pub(crate) actions: Vec<SeenAction<'a>>,
    #[serde(borrow)]
    pub(crate) event_id: Text<'a>,
    #[serde(borrow)]
    pub(crate) event_type: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) exchange_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) prev_hash: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) request: Option<SeenRequest<'a>>,
    #[serde(borrow, default)]
    response: Option<SeenResponse<'a>>,
    #[serde(borrow, default)]
    compliance: Option<SeenCompliance<'a>>,
    pub(crate) seq: u64,
    #[serde(borrow)]
    pub(crate) timestamp: Text<'a>,
    #[serde(borrow, default)]
    violation_type: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SeenActor<'a> {
    #[serde(borrow, default)]
    agent_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    ip_address: Option<Text<'a>>,
    #[serde(borrow, default)]
    service_account: Option<Text<'a>>,
    #[serde(borrow, default)]
    user_agent: Option<Text<'a>>,
    #[serde(borrow, default)]
    user_id: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SeenProvider<'a> {
    #[serde(borrow, default)]
    api_version: Option<Text<'a>>,
    #[serde(borrow, default)]
    endpoint: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SeenAction<'a> {
    #[serde(borrow)]
    pub(crate) action_type: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) outcome: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) target: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SeenRequest<'a> {
    #[serde(borrow, default)]
    classification: Option<Text<'a>>,
    #[serde(borrow, default)]
    prompt_hash: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) redactions_applied: Vec<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct SeenResponse<'a> {
    #[serde(borrow, default)]
    completion_hash: Option<Text<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct SeenCompliance<'a> {
    #[serde(borrow, default)]
    data_residency: Option<Text<'a>>,
    #[serde(borrow, default)]
    retention_policy: Option<Text<'a>>,
}

impl Seen<'_> {
    /// What can be searched for, numbers, times, ids and hashes aside. A value may come twice.
    pub(crate) fn each_value(&self, mut each: impl FnMut(Field, &str)) {
        each(Field::Any, "");
        each(Field::EventType, &self.event_type.0);
        let request = self.request.as_ref();
        let response = self.response.as_ref();
        let compliance = self.compliance.as_ref();
        for (field, text) in [
            (Field::Provider, self.ai_provider.name.as_ref()),
            (Field::Model, self.ai_provider.model.as_ref()),
            (Field::Classification, request.and_then(|r| r.classification.as_ref())),
            (Field::User, self.actor.user_id.as_ref()),
            (Field::Agent, self.actor.agent_id.as_ref()),
            (Field::Word, self.actor.ip_address.as_ref()),
            (Field::Word, self.actor.service_account.as_ref()),
            (Field::Word, self.actor.user_agent.as_ref()),
            (Field::Word, self.ai_provider.api_version.as_ref()),
            (Field::Word, self.ai_provider.endpoint.as_ref()),
            (Field::Word, response.and_then(|r| r.finish_reason.as_ref())),
            (Field::Word, compliance.and_then(|c| c.data_residency.as_ref())),
            (Field::Word, compliance.and_then(|c| c.retention_policy.as_ref())),
            (Field::Word, self.violation_type.as_ref()),
        ] {
            if let Some(text) = text {
                each(field, &text.0);
            }
        }
        for (index, action) in self.actions.iter().enumerate() {
            let (kind, outcome) =
                if index == 0 { (Field::Action, Field::Outcome) } else { (Field::Word, Field::Word) };
            each(kind, &action.action_type.0);
            action.outcome.iter().for_each(|text| each(outcome, &text.0));
            action.target.iter().for_each(|text| each(Field::Word, &text.0));
        }
        let rules = request.map(|r| r.redactions_applied.as_slice()).unwrap_or_default();
        if !rules.is_empty() {
            each(Field::Redacted, "");
        }
        rules.iter().for_each(|rule| each(Field::Rule, &rule.0));
    }

    pub(crate) fn hashes(&self) -> impl Iterator<Item = &str> {
        let prompt = self.request.as_ref().and_then(|r| r.prompt_hash.as_ref());
        let completion = self.response.as_ref().and_then(|r| r.completion_hash.as_ref());
        prompt.into_iter().chain(completion).map(|text| &*text.0)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.event_id).chain(&self.exchange_id).map(|text| &*text.0)
    }
}

/// One row of the facet table, apart from its number.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Facet<'a> {
    pub(crate) texts: [Option<&'a str>; COLUMNS],
    pub(crate) redactions: u64,
}

pub(crate) const COLUMNS: usize = 11;

impl<'a> Facet<'a> {
    /// Texts in the table's order, without `seq` and `redactions`.
    pub(crate) fn of(seen: &'a Seen<'a>) -> Facet<'a> {
        fn text<'b>(text: &'b Option<Text<'_>>) -> Option<&'b str> {
            text.as_ref().map(|t| &*t.0)
        }
        let request = seen.request.as_ref();
        let action = seen.actions.first();
        Facet {
            texts: [
                Some(&seen.timestamp.0),
                Some(&seen.event_type.0),
                Some(&seen.event_id.0),
                text(&seen.exchange_id),
                text(&seen.ai_provider.name),
                text(&seen.ai_provider.model),
                request.and_then(|r| text(&r.classification)),
                text(&seen.actor.user_id),
                text(&seen.actor.agent_id),
                action.map(|a| &*a.action_type.0),
                action.and_then(|a| text(&a.outcome)),
            ],
            redactions: request.map_or(0, |r| r.redactions_applied.len() as u64),
        }
    }

    fn insert(&self, connection: &Connection, seq: u64) -> Result<(), rusqlite::Error> {
        let t = &self.texts;
        connection
            .prepare_cached("INSERT INTO facet VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)")?
            .execute(params![
            seq,
            t[0],
            t[1],
            t[2],
            t[3],
            t[4],
            t[5],
            t[6],
            self.redactions,
            t[7],
            t[8],
            t[9],
            t[10]
        ])?;
        Ok(())
    }
}

/// The columns of `facet` as `verify` compares them.
pub(crate) const TEXT_COLUMNS: &str =
    "ts, event_type, event_id, exchange_id, provider, model, classification, user, agent, action, outcome";

/// The highest row that the facet table covers.
pub(crate) fn covered(connection: &Connection) -> Result<u64, rusqlite::Error> {
    connection.prepare_cached("SELECT coalesce(max(seq), 0) FROM facet")?.query_row([], |row| row.get(0))
}

/// Adds up to `limit` rows that are not covered yet, in the caller's transaction; says how far it came.
pub(crate) fn catch_up(connection: &Connection, after: u64, limit: usize) -> Result<u64, rusqlite::Error> {
    let mut covered = after;
    let mut statement =
        connection.prepare_cached("SELECT seq, body FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query(params![after, limit])?;
    while let Some(row) = rows.next()? {
        let seq: u64 = row.get(0)?;
        // A row that is no event is left out here and named by `verify`.
        if let Ok(seen) = serde_json::from_str::<Seen<'_>>(row.get_ref(1)?.as_str()?) {
            Facet::of(&seen).insert(connection, seq)?;
        }
        covered = seq;
    }
    Ok(covered)
}
