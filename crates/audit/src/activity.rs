//! What a trail counts over a stretch of time, for charts and totals. Reads the facets, and the newest rows themselves.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::params;

use crate::error::Tried;
use crate::facet::{self, Facet, Seen};
use crate::{AuditError, EventType, Reader};

/// Names of each kind at most.
const SHARES: usize = 10;

/// Counts over a stretch, whole and in equal parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Activity {
    pub total: Counts,
    pub parts: Vec<Counts>,
    /// Agents, providers and rules with their counts, the busiest first.
    pub agents: Vec<(String, u64)>,
    pub providers: Vec<(String, u64)>,
    pub rules: Vec<(String, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub prompts: u64,
    /// Events in which something was taken out of a prompt.
    pub redacted: u64,
    pub violations: u64,
    pub errors: u64,
}

impl Counts {
    fn add(&mut self, event_type: Option<EventType>, redacted: bool) {
        self.redacted += u64::from(redacted);
        match event_type {
            Some(EventType::PromptSent) => self.prompts += 1,
            Some(EventType::PolicyViolation) => self.violations += 1,
            Some(EventType::Error) => self.errors += 1,
            Some(EventType::CompletionReceived | EventType::ActionExecuted) | None => {}
        }
    }
}

/// Where the rows of a stretch are added up.
struct Tally {
    since: i128,
    part: i128,
    activity: Activity,
    agents: HashMap<String, u64>,
    providers: HashMap<String, u64>,
}

impl Tally {
    fn row(
        &mut self,
        ts: &str,
        event_type: &str,
        redacted: bool,
        agent: Option<&str>,
        provider: Option<&str>,
    ) {
        let event_type = EventType::parse(event_type);
        self.activity.total.add(event_type, redacted);
        let at = ts.parse::<Timestamp>().map_or(self.since, Timestamp::as_nanosecond);
        let part = usize::try_from((at - self.since) / self.part).unwrap_or_default();
        if let Some(part) = self.activity.parts.get_mut(part) {
            part.add(event_type, redacted);
        }
        // One prompt is one use; its answer is not a second one.
        if event_type == Some(EventType::PromptSent) {
            for (names, name) in [(&mut self.agents, agent), (&mut self.providers, provider)] {
                if let Some(name) = name {
                    count(names, name);
                }
            }
        }
    }
}

impl Reader {
    /// Counts from `since` up to before `until`, in `parts` equal parts.
    pub fn activity(&self, since: Timestamp, until: Timestamp, parts: usize) -> Result<Activity, AuditError> {
        let connection = self.connection();
        let _snapshot = connection.unchecked_transaction().tried("read")?;
        let length = (until.as_nanosecond() - since.as_nanosecond()).max(1);
        let mut tally = Tally {
            since: since.as_nanosecond(),
            part: (length / parts.max(1) as i128).max(1),
            activity: Activity { parts: vec![Counts::default(); parts], ..Activity::default() },
            agents: HashMap::new(),
            providers: HashMap::new(),
        };
        let (from, to) = (format!("{since:.6}"), format!("{until:.6}"));
        let mut statement = connection
            .prepare_cached(
                "SELECT ts, event_type, redactions > 0, agent, provider FROM facet WHERE ts >= ?1 AND ts < ?2",
            )
            .tried("read")?;
        let mut rows = statement.query(params![from, to]).tried("read")?;
        let text = |row: &rusqlite::Row<'_>, column: usize| -> Result<Option<String>, rusqlite::Error> {
            row.get(column)
        };
        while let Some(row) = rows.next().tried("read")? {
            let (agent, provider) = (text(row, 3).tried("read")?, text(row, 4).tried("read")?);
            let ts: String = row.get(0).tried("read")?;
            let event_type: String = row.get(1).tried("read")?;
            let redacted = row.get(2).tried("read")?;
            tally.row(&ts, &event_type, redacted, agent.as_deref(), provider.as_deref());
        }
        drop(rows);
        let mut rules = self.rules_between(&from, &to)?;
        let covered = facet::covered(connection).tried("read")?;
        self.bodies_after(covered, |raw| {
            let Ok(seen) = serde_json::from_str::<Seen<'_>>(raw.body) else { return Ok(()) };
            let facet = Facet::of(&seen);
            let ts = facet.texts[0].unwrap_or_default();
            if ts < from.as_str() || ts >= to.as_str() {
                return Ok(());
            }
            let event_type = facet.texts[1].unwrap_or_default();
            tally.row(ts, event_type, facet.redactions > 0, facet.texts[8], facet.texts[4]);
            if let Ok(event) = serde_json::from_str::<crate::Event>(raw.body) {
                for rule in event.request.iter().flat_map(|request| &request.redactions_applied) {
                    count(&mut rules, rule);
                }
            }
            Ok(())
        })?;
        let mut activity = tally.activity;
        activity.agents = busiest(tally.agents);
        activity.providers = busiest(tally.providers);
        activity.rules = busiest(rules);
        Ok(activity)
    }

    fn rules_between(&self, from: &str, to: &str) -> Result<HashMap<String, u64>, AuditError> {
        let mut statement = self
            .connection()
            .prepare_cached(
                "SELECT rule.value, count(*) FROM facet f JOIN event e ON e.seq = f.seq, \
                 json_each(e.body, '$.request.redactions_applied') rule \
                 WHERE f.ts >= ?1 AND f.ts < ?2 AND f.redactions > 0 GROUP BY rule.value",
            )
            .tried("read")?;
        let rows = statement.query_map(params![from, to], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect).tried("read")
    }
}

fn count(names: &mut HashMap<String, u64>, name: &str) {
    match names.get_mut(name) {
        Some(n) => *n += 1,
        None => {
            names.insert(name.to_owned(), 1);
        }
    }
}

fn busiest(names: HashMap<String, u64>) -> Vec<(String, u64)> {
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    names.truncate(SHARES);
    names
}
