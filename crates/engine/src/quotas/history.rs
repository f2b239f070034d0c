//! What was used in each hour, by whom and of which model: for people, kept for 30 days.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use rusqlite::{Connection, params};
use sallyport_ipc::types::{ModelUse, QuotaHistory, Usage, UsagePeriod};
use sallyport_policy::quotas::{DAY, HOUR, Millis, day_of};

const KEPT: Millis = 30 * DAY;

/// More names than this in one hour are not models.
const LONGEST_MODEL: usize = 128;

/// What one exchange took; a refused one took nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    pub(crate) at: Millis,
    pub(crate) subject: String,
    pub(crate) model: Option<String>,
    pub(crate) requests: u64,
    pub(crate) refused: u64,
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) cache_read: u64,
    pub(crate) cache_write: u64,
    /// Millionths of a dollar; none where the model has no price.
    pub(crate) micros: Option<u64>,
}

pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS history (
        hour INTEGER NOT NULL, subject TEXT NOT NULL, model TEXT NOT NULL,
        requests INTEGER NOT NULL, refused INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
        cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL, micros INTEGER NOT NULL,
        unpriced INTEGER NOT NULL,
        PRIMARY KEY (hour, subject, model)) WITHOUT ROWID;
";

/// Uses of one batch, added up by hour, subject and model.
#[derive(Default)]
pub(super) struct Uses(HashMap<(Millis, String, String), Sum>);

#[derive(Default)]
struct Sum {
    requests: u64,
    refused: u64,
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
    micros: u64,
    unpriced: u64,
}

impl Uses {
    pub(super) fn note(&mut self, entry: &Entry) {
        let model = entry.model.as_deref().unwrap_or_default().chars().take(LONGEST_MODEL).collect();
        let sum = self.0.entry((entry.at.div_euclid(HOUR) * HOUR, entry.subject.clone(), model)).or_default();
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut sum.requests, entry.requests);
        add(&mut sum.refused, entry.refused);
        add(&mut sum.input, entry.input);
        add(&mut sum.output, entry.output);
        add(&mut sum.cache_read, entry.cache_read);
        add(&mut sum.cache_write, entry.cache_write);
        match entry.micros {
            Some(micros) => add(&mut sum.micros, micros),
            None => add(&mut sum.unpriced, entry.requests),
        }
    }

    pub(super) fn write(&self, connection: &Connection) -> Result<(), rusqlite::Error> {
        let mut add = connection.prepare_cached(
            "INSERT INTO history VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (hour, subject, model) DO UPDATE SET
                requests = requests + excluded.requests, refused = refused + excluded.refused,
                input = input + excluded.input, output = output + excluded.output,
                cache_read = cache_read + excluded.cache_read, cache_write = cache_write + excluded.cache_write,
                micros = micros + excluded.micros, unpriced = unpriced + excluded.unpriced",
        )?;
        let count = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX);
        for ((hour, subject, model), sum) in &self.0 {
            add.execute(params![
                hour,
                subject,
                model,
                count(sum.requests),
                count(sum.refused),
                count(sum.input),
                count(sum.output),
                count(sum.cache_read),
                count(sum.cache_write),
                count(sum.micros),
                count(sum.unpriced),
            ])?;
        }
        Ok(())
    }
}

pub(super) fn forget(connection: &Connection, now: Millis) -> Result<(), rusqlite::Error> {
    connection.execute("DELETE FROM history WHERE hour < ?1", [now - KEPT]).map(drop)
}

/// Hours, days and models of the last 30 days, over all subjects. Periods without use are left out.
pub(super) fn read(connection: &Connection, now: Millis) -> Result<QuotaHistory, rusqlite::Error> {
    let (mut hours, mut days) = (BTreeMap::<Millis, Usage>::new(), BTreeMap::<Millis, Usage>::new());
    let mut models = BTreeMap::<String, Usage>::new();
    let mut read = connection.prepare(
        "SELECT hour, model, requests, refused, input, output, cache_read, cache_write, micros, unpriced
         FROM history WHERE hour >= ?1",
    )?;
    let mut rows = read.query([now - KEPT])?;
    while let Some(row) = rows.next()? {
        let hour: Millis = row.get(0)?;
        let model: String = row.get(1)?;
        let figure = |column| row.get::<_, i64>(column).map(|figure| u64::try_from(figure).unwrap_or(0));
        let usage = Usage {
            requests: figure(2)?,
            refused: figure(3)?,
            input: figure(4)?,
            output: figure(5)?,
            cache_read: figure(6)?,
            cache_write: figure(7)?,
            cost_micros: figure(8)?,
            unpriced: figure(9)?,
        };
        hours.entry(hour).or_default().add(&usage);
        days.entry(day_of(hour) * DAY).or_default().add(&usage);
        models.entry(model).or_default().add(&usage);
    }
    let periods = |periods: BTreeMap<Millis, Usage>| {
        periods.into_iter().map(|(start, usage)| UsagePeriod { start: moment(start), usage }).collect()
    };
    let mut models: Vec<_> = models
        .into_iter()
        .map(|(model, usage)| ModelUse { model: Some(model).filter(|m| !m.is_empty()), usage })
        .collect();
    models.sort_by_key(|model| std::cmp::Reverse((model.usage.cost_micros, model.usage.requests)));
    Ok(QuotaHistory { hours: periods(hours), days: periods(days), models })
}

/// What all subjects together used since a moment.
pub(super) fn since(connection: &Connection, from: Millis) -> Result<Usage, rusqlite::Error> {
    let history = read(connection, from + KEPT)?;
    let mut sum = Usage::default();
    history.hours.iter().for_each(|hour| sum.add(&hour.usage));
    Ok(sum)
}

pub(super) fn moment(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_add_up_by_hour_day_and_model() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        let day = 20_000 * DAY;
        let entry = |at, model: &str, micros| Entry {
            at,
            subject: "ann".into(),
            model: Some(model.into()),
            requests: 1,
            input: 10,
            output: 5,
            micros,
            ..Entry::default()
        };
        let mut uses = Uses::default();
        for entry in [
            entry(day + 5, "a", Some(100)),
            entry(day + HOUR - 1, "a", Some(50)),
            entry(day + HOUR, "b", None),
            entry(day - 1, "a", Some(7)),
            Entry { at: day, subject: "bob".into(), refused: 1, ..Entry::default() },
        ] {
            uses.note(&entry);
        }
        uses.write(&connection).unwrap();
        let history = read(&connection, day + 2 * HOUR).unwrap();
        assert_eq!(history.hours.len(), 3);
        assert_eq!(history.days.len(), 2);
        let today = &history.days[1].usage;
        assert_eq!((today.requests, today.refused, today.input, today.output), (3, 1, 30, 15));
        assert_eq!((today.cost_micros, today.unpriced), (150, 1));
        assert_eq!(history.models[0].model.as_deref(), Some("a"));
        assert_eq!(since(&connection, day).unwrap(), *today);
        forget(&connection, day + KEPT + HOUR).unwrap();
        assert_eq!(read(&connection, day + KEPT).unwrap().hours.len(), 1);
    }
}
