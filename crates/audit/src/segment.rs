//! The search index: for each 4,096 row numbers, which values stand in their events and where. Written once, off
//! the commit's path, when a segment's last row has its facet. Derived: it can be dropped and is built anew, and
//! `verify` holds it against the bodies, so that nobody can hide a row by editing it.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::facet::Seen;
use crate::rows::{ROWS, RowSet};
use crate::schema;

/// What a value is in its event. The numbers stand in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Field {
    /// Every row that is an event, under the empty value.
    Any = 0,
    /// Rows in which something was taken out, under the empty value.
    Redacted = 1,
    EventType = 2,
    Provider = 3,
    Model = 4,
    Classification = 5,
    User = 6,
    Agent = 7,
    /// Of the first action.
    Action = 8,
    Outcome = 9,
    Rule = 10,
    /// Only searched for words.
    Word = 11,
}

/// Hex digits of a hash by which it is looked up.
pub(crate) const HASH_DIGITS: usize = 8;

/// What stands in the file for one segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Encoded {
    min_time: i64,
    max_time: i64,
    pub(crate) entries: Vec<u8>,
    pub(crate) times: Vec<u8>,
    hashes: Vec<u8>,
}

pub(crate) fn number_of(seq: u64) -> u64 {
    seq / ROWS
}

pub(crate) fn first_seq(number: u64) -> u64 {
    number * ROWS
}

/// A segment in the making.
pub(crate) struct Builder {
    pub(crate) number: u64,
    values: HashMap<Field, HashMap<Box<str>, RowSet>>,
    times: Vec<i64>,
    hashes: Vec<(u32, u16)>,
}

impl Builder {
    pub(crate) fn new(number: u64) -> Builder {
        Builder { number, values: HashMap::new(), times: vec![0; ROWS as usize], hashes: Vec::new() }
    }

    pub(crate) fn add(&mut self, seq: u64, seen: &Seen<'_>) {
        let place = (seq % ROWS) as u16;
        seen.each_value(|field, value| {
            let values = self.values.entry(field).or_default();
            match values.get_mut(value) {
                Some(rows) => rows.insert(place),
                None => values.entry(value.into()).or_insert(RowSet::EMPTY).insert(place),
            }
        });
        if let Some(time) = self.times.get_mut(usize::from(place)) {
            *time = micros(&seen.timestamp.0);
        }
        self.hashes.extend(seen.hashes().filter_map(hash_key).map(|key| (key, place)));
    }

    pub(crate) fn encode(mut self) -> Encoded {
        let mut all: Vec<(Field, Box<str>, RowSet)> = Vec::new();
        for (field, values) in self.values {
            all.extend(values.into_iter().map(|(value, rows)| (field, value, rows)));
        }
        all.sort_unstable_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let mut entries = Vec::new();
        for (field, value, rows) in &all {
            entries.push(*field as u8);
            entries.extend_from_slice(&(value.len() as u32).to_le_bytes());
            entries.extend_from_slice(value.as_bytes());
            rows.encode(&mut entries);
        }
        let there = all.first().filter(|(field, ..)| *field == Field::Any).map(|(.., rows)| rows);
        let times =
            || there.into_iter().flat_map(RowSet::iter).filter_map(|p| self.times.get(usize::from(p)));
        self.hashes.sort_unstable();
        Encoded {
            min_time: times().min().copied().unwrap_or_default(),
            max_time: times().max().copied().unwrap_or_default(),
            entries,
            times: self.times.iter().flat_map(|time| time.to_le_bytes()).collect(),
            hashes: self
                .hashes
                .iter()
                .flat_map(|(key, place)| key.to_le_bytes().into_iter().chain(place.to_le_bytes()))
                .collect(),
        }
    }
}

/// Text of the trail's own form; what is not a time sorts first.
pub(crate) fn micros(timestamp: &str) -> i64 {
    timestamp.parse::<Timestamp>().map_or(i64::MIN, Timestamp::as_microsecond)
}

pub(crate) fn hash_key(digits: &str) -> Option<u32> {
    u32::from_str_radix(digits.get(..HASH_DIGITS)?, 16).ok()
}

impl Encoded {
    pub(crate) fn read(connection: &Connection, number: u64) -> Result<Option<Encoded>, rusqlite::Error> {
        connection
            .prepare_cached(
                "SELECT min_time, max_time, entries, times, hashes FROM segment WHERE number = ?1",
            )?
            .query_row([number], |row| {
                Ok(Encoded {
                    min_time: row.get(0)?,
                    max_time: row.get(1)?,
                    entries: row.get(2)?,
                    times: row.get(3)?,
                    hashes: row.get(4)?,
                })
            })
            .optional()
    }

    fn insert(&self, connection: &Connection, number: u64) -> Result<(), rusqlite::Error> {
        connection
            .prepare_cached("INSERT OR REPLACE INTO segment VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![number, self.min_time, self.max_time, self.entries, self.times, self.hashes])?;
        Ok(())
    }
}

/// The first segment that may be missing at the end.
pub(crate) fn next(connection: &Connection) -> Result<u64, rusqlite::Error> {
    connection.query_row("SELECT coalesce(max(number) + 1, 0) FROM segment", [], |row| row.get(0))
}

/// Whether all rows of segment `next` have their facets.
pub(crate) fn is_due(next: u64, covered: u64) -> bool {
    covered >= first_seq(next + 1) - 1
}

/// Builds the first segment from `next` on that has rows and is due, in the caller's transaction; gives the one
/// to go on from.
pub(crate) fn build_next(connection: &Connection, next: u64, covered: u64) -> Result<u64, rusqlite::Error> {
    let first: Option<u64> = connection
        .prepare_cached("SELECT min(seq) FROM facet WHERE seq >= ?1")?
        .query_row([first_seq(next)], |row| row.get(0))?;
    // Numbers that a discontinuity left empty need no segments.
    let Some(number) = first.map(number_of) else { return Ok(number_of(covered + 1)) };
    if !is_due(number, covered) {
        return Ok(number);
    }
    let mut builder = Builder::new(number);
    let mut statement =
        connection.prepare_cached("SELECT seq, body FROM event WHERE seq >= ?1 AND seq < ?2 ORDER BY seq")?;
    let mut rows = statement.query([first_seq(number), first_seq(number + 1)])?;
    while let Some(row) = rows.next()? {
        if let Ok(seen) = serde_json::from_str::<Seen<'_>>(row.get_ref(1)?.as_str()?) {
            builder.add(row.get(0)?, &seen);
        }
    }
    builder.encode().insert(connection, number)?;
    Ok(number + 1)
}

/// What went may not live on in the index. Rows that stay of a segment's are found without it.
pub(crate) fn forget_to(connection: &Connection, seq: u64) -> Result<(), rusqlite::Error> {
    connection.execute("DELETE FROM segment WHERE number <= ?1", [number_of(seq)])?;
    Ok(())
}

/// The first row number of a segment that has no rows.
pub(crate) fn without_rows(connection: &Connection) -> Result<Option<u64>, rusqlite::Error> {
    if schema::version_of(connection)? < schema::WITH_SEGMENTS {
        return Ok(None);
    }
    connection.query_row(
        "SELECT min(number) * ?1 FROM segment WHERE NOT EXISTS \
         (SELECT 1 FROM event WHERE seq BETWEEN number * ?1 AND number * ?1 + ?1 - 1)",
        [ROWS],
        |row| Ok(row.get::<_, Option<i64>>(0)?.map(|seq| seq.max(0).unsigned_abs())),
    )
}

/// One value of a segment and its rows.
pub(crate) struct Entry<'a> {
    pub(crate) field: u8,
    pub(crate) value: &'a str,
    rows: &'a [u8],
}

impl Entry<'_> {
    pub(crate) fn is(&self, field: Field) -> bool {
        self.field == field as u8
    }

    pub(crate) fn rows(&self) -> RowSet {
        RowSet::decode(self.rows)
    }
}

/// The entries as they lie in the file, `None` if that is not what they are.
pub(crate) fn entries(mut bytes: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut found = Vec::new();
    while let Some((&field, rest)) = bytes.split_first() {
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        let (rows, rest) = RowSet::split(rest)?;
        found.push(Entry { field, value: std::str::from_utf8(value).ok()?, rows });
        bytes = rest;
    }
    Some(found)
}

/// The rows under one value.
pub(crate) fn rows_of(entries: &[Entry<'_>], field: Field, value: &str) -> RowSet {
    let at = entries.binary_search_by(|entry| (entry.field, entry.value).cmp(&(field as u8, value)));
    at.ok().and_then(|at| entries.get(at)).map_or(RowSet::EMPTY, Entry::rows)
}

/// The rows of which a hash begins with these digits, and perhaps some more.
pub(crate) fn rows_with_hash(hashes: &[u8], key: u32) -> RowSet {
    let mut rows = RowSet::EMPTY;
    for [a, b, c, d, low, high] in hashes.as_chunks::<6>().0 {
        if u32::from_le_bytes([*a, *b, *c, *d]) == key {
            rows.insert(u16::from_le_bytes([*low, *high]));
        }
    }
    rows
}

/// The rows from one time on and before another, in microseconds.
pub(crate) fn within(bytes: &[u8], since: Option<i64>, until: Option<i64>) -> RowSet {
    let mut rows = RowSet::EMPTY;
    for (time, place) in times(bytes).zip(0..) {
        if since.is_none_or(|since| time >= since) && until.is_none_or(|until| time < until) {
            rows.insert(place);
        }
    }
    rows
}

/// When each row was, in microseconds; those of rows that are not there mean nothing.
pub(crate) fn times(bytes: &[u8]) -> impl Iterator<Item = i64> + '_ {
    bytes.as_chunks::<8>().0.iter().map(|time| i64::from_le_bytes(*time))
}
