//! What a trail counts over a stretch of time, for charts and totals. Reads the segments, and the newest rows
//! themselves.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::error::Tried;
use crate::facet::Seen;
use crate::rows::RowSet;
use crate::scan::Span;
use crate::segment::{self, Encoded, Entry, Field};
use crate::{AuditError, EventType, Reader};

/// Names of each kind at most.
const SHARES: usize = 10;

/// Counts over a stretch, whole and in equal parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Activity {
    pub total: Counts,
    pub parts: Vec<Counts>,
    /// Agents and providers by prompts, rules by the events in which they took something out; the busiest first.
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
    fn join(&mut self, more: Counts) {
        self.prompts += more.prompts;
        self.redacted += more.redacted;
        self.violations += more.violations;
        self.errors += more.errors;
    }

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
    since: i64,
    until: i64,
    part: i64,
    activity: Activity,
    agents: HashMap<String, u64>,
    providers: HashMap<String, u64>,
    rules: HashMap<String, u64>,
}

impl Tally {
    fn index_of(&self, time: i64) -> usize {
        usize::try_from((time - self.since) / self.part).unwrap_or(usize::MAX)
    }

    fn part_of(&mut self, time: i64) -> Option<&mut Counts> {
        let index = self.index_of(time);
        self.activity.parts.get_mut(index)
    }

    fn row(&mut self, time: i64, event_type: Option<EventType>, redacted: bool) {
        self.activity.total.add(event_type, redacted);
        if let Some(part) = self.part_of(time) {
            part.add(event_type, redacted);
        }
    }

    fn body(&mut self, body: &str) {
        let Ok(seen) = serde_json::from_str::<Seen<'_>>(body) else { return };
        let time = segment::micros(&seen.timestamp.0);
        if !(self.since..self.until).contains(&time) {
            return;
        }
        let event_type = EventType::parse(&seen.event_type.0);
        let mut rules: Vec<&str> = Vec::new();
        seen.each_value(|field, value| match field {
            // One prompt is one use; its answer is not a second one.
            Field::Agent if event_type == Some(EventType::PromptSent) => count(&mut self.agents, value, 1),
            Field::Provider if event_type == Some(EventType::PromptSent) => {
                count(&mut self.providers, value, 1)
            }
            _ => {}
        });
        for rule in seen.request.iter().flat_map(|request| &request.redactions_applied) {
            if !rules.contains(&&*rule.0) {
                rules.push(&rule.0);
            }
        }
        rules.iter().for_each(|rule| count(&mut self.rules, rule, 1));
        self.row(time, event_type, !rules.is_empty());
    }

    /// All of a segment's rows lie in one part of the stretch: their times need not be looked at.
    fn lies_in_one_part(&self, min_time: i64, max_time: i64) -> bool {
        min_time >= self.since && max_time < self.until && self.index_of(min_time) == self.index_of(max_time)
    }

    fn whole_segment(&mut self, entries: &[Entry<'_>], min_time: i64) {
        let rows = |field, value| segment::rows_of(entries, field, value).len() as u64;
        let of_type = |event_type: EventType| rows(Field::EventType, event_type.as_str());
        let counts = Counts {
            prompts: of_type(EventType::PromptSent),
            redacted: rows(Field::Redacted, ""),
            violations: of_type(EventType::PolicyViolation),
            errors: of_type(EventType::Error),
        };
        self.activity.total.join(counts);
        if let Some(part) = self.part_of(min_time) {
            part.join(counts);
        }
        self.names(entries, &segment::rows_of(entries, Field::Any, ""));
    }

    fn segment(&mut self, entries: &[Entry<'_>], times: &[u8]) {
        let mut within = segment::rows_of(entries, Field::Any, "");
        within.keep(&segment::within(times, Some(self.since), Some(self.until)));
        let redacted = segment::rows_of(entries, Field::Redacted, "");
        let of_type = EventType::ALL.map(|t| (t, segment::rows_of(entries, Field::EventType, t.as_str())));
        for (time, place) in segment::times(times).zip(0..).filter(|(_, place)| within.contains(*place)) {
            let event_type = of_type.iter().find(|(_, rows)| rows.contains(place)).map(|(t, _)| *t);
            self.row(time, event_type, redacted.contains(place));
        }
        self.names(entries, &within);
    }

    fn names(&mut self, entries: &[Entry<'_>], within: &RowSet) {
        let mut prompts = segment::rows_of(entries, Field::EventType, EventType::PromptSent.as_str());
        prompts.keep(within);
        for entry in entries {
            let (names, among) = if entry.is(Field::Agent) {
                (&mut self.agents, &prompts)
            } else if entry.is(Field::Provider) {
                (&mut self.providers, &prompts)
            } else if entry.is(Field::Rule) {
                (&mut self.rules, within)
            } else {
                continue;
            };
            let mut rows = entry.rows();
            rows.keep(among);
            count(names, entry.value, rows.len() as u64);
        }
    }
}

impl Reader {
    /// Counts from `since` up to before `until`, in `parts` equal parts.
    pub fn activity(&self, since: Timestamp, until: Timestamp, parts: usize) -> Result<Activity, AuditError> {
        let _snapshot = self.connection().unchecked_transaction().tried("read")?;
        let (since, until) = (since.as_microsecond(), until.as_microsecond());
        let mut tally = Tally {
            since,
            until,
            part: ((until - since) / parts.max(1) as i64).max(1),
            activity: Activity { parts: vec![Counts::default(); parts], ..Activity::default() },
            agents: HashMap::new(),
            providers: HashMap::new(),
            rules: HashMap::new(),
        };
        for span in self.spans(1, i64::MAX as u64, true)? {
            match span {
                Span::Segment { min_time, max_time, .. } if max_time < since || min_time >= until => {}
                Span::Segment { number, min_time, max_time } => {
                    let Some(found) = Encoded::read(self.connection(), number).tried("read")? else {
                        continue;
                    };
                    match segment::entries(&found.entries) {
                        Some(entries) if tally.lies_in_one_part(min_time, max_time) => {
                            tally.whole_segment(&entries, min_time);
                        }
                        Some(entries) => tally.segment(&entries, &found.times),
                        // `verify` names it.
                        None => {}
                    }
                }
                Span::Facets { from, to } | Span::Bodies { from, to } => {
                    self.bodies_between(from, to, |raw| {
                        tally.body(raw.body);
                        Ok(())
                    })?;
                }
            }
        }
        let mut activity = tally.activity;
        activity.agents = busiest(tally.agents);
        activity.providers = busiest(tally.providers);
        activity.rules = busiest(tally.rules);
        Ok(activity)
    }
}

fn count(names: &mut HashMap<String, u64>, name: &str, times: u64) {
    match names.get_mut(name) {
        Some(n) => *n += times,
        None if times == 0 => {}
        None => {
            names.insert(name.to_owned(), times);
        }
    }
}
fn busiest(names: HashMap<String, u64>) -> Vec<(String, u64)> {
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    names.truncate(SHARES);
    names
}
