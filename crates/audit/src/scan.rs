//! Going through a trail's rows in order: whole segments by their index, rows that have facets only by SQL, and
//! the newest by their bodies. It must find the same whichever way a row is reached.

use std::ops::ControlFlow;

use jiff::Timestamp;
use rusqlite::{Params, params, params_from_iter};

use crate::error::Tried;
use crate::query::Word;
use crate::reader::{Raw, raw};
use crate::rows::{ROWS, RowSet};
use crate::segment::{self, Entry, Field};
use crate::{AuditError, Filter, Reader, facet, schema};

/// A stretch of row numbers and how they are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    Segment { number: u64, min_time: i64, max_time: i64 },
    Facets { from: u64, to: u64 },
    Bodies { from: u64, to: u64 },
}

type Emit<'e> = dyn FnMut(Raw<'_>) -> Result<ControlFlow<()>, AuditError> + 'e;

/// A filter, ready to be put to segments.
struct Search<'f> {
    filter: &'f Filter,
    from: u64,
    to: u64,
    values: Vec<(Field, String)>,
    /// With the rows of which an id begins so.
    words: Vec<(Word, Vec<u64>)>,
}

impl Search<'_> {
    fn words(&self) -> impl Iterator<Item = &Word> {
        self.words.iter().map(|(word, _)| word)
    }

    /// A segment knows hashes by their first digits only.
    fn must_look(&self) -> bool {
        self.words().any(|word| word.is_digits && word.text.len() > segment::HASH_DIGITS)
    }
}

impl Reader {
    /// Matching rows in order, in one snapshot.
    pub(crate) fn scan(
        &self,
        filter: &Filter,
        mut each: impl FnMut(Raw<'_>) -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        let _snapshot = self.connection().unchecked_transaction().tried("read")?;
        let mut left = filter.limit.unwrap_or(usize::MAX);
        let mut emit = |raw: Raw<'_>| {
            if left == 0 {
                return Ok(ControlFlow::Break(()));
            }
            left -= 1;
            each(raw)?;
            Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        let search = self.search(filter)?;
        let mut spans = self.spans(search.from, search.to, filter.exchange_id.is_none())?;
        if filter.is_descending() {
            spans.reverse();
        }
        for span in spans {
            let flow = match span {
                Span::Segment { number, min_time, max_time } => {
                    self.segment(&search, number, (min_time, max_time), &mut emit)?
                }
                Span::Facets { from, to } => self.facets(&search, from, to, &mut emit)?,
                Span::Bodies { from, to } => self.bodies(&search, from, to, &mut emit)?,
            };
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn search<'f>(&self, filter: &'f Filter) -> Result<Search<'f>, AuditError> {
        let (from, to) = filter.bounds();
        let words = filter.words().into_iter().map(|word| {
            let rows = if word.is_digits { self.rows_with_id(&word.text).tried("read")? } else { Vec::new() };
            Ok((word, rows))
        });
        let words = words.collect::<Result<_, AuditError>>()?;
        Ok(Search { filter, from, to, values: filter.values(), words })
    }

    /// Rows of which an id begins with these digits, in order.
    fn rows_with_id(&self, digits: &str) -> Result<Vec<u64>, rusqlite::Error> {
        // `g` sorts behind every digit and the dash.
        let end = format!("{digits}g");
        let mut statement = self.connection().prepare_cached(
            "SELECT seq FROM facet WHERE event_id >= ?1 AND event_id < ?2 \
             UNION SELECT seq FROM facet WHERE exchange_id >= ?1 AND exchange_id < ?2 ORDER BY 1",
        )?;
        statement.query_map([digits, &end], |row| row.get(0))?.collect()
    }

    /// Covers the numbers from one to another in ascending order.
    pub(crate) fn spans(&self, from: u64, to: u64, by_segments: bool) -> Result<Vec<Span>, AuditError> {
        let covered = facet::covered(self.connection()).tried("read")?;
        let segments = if by_segments { self.segments(from, to).tried("read")? } else { Vec::new() };
        let mut spans = Vec::with_capacity(segments.len() + 2);
        let mut next = from;
        for (number, min_time, max_time) in segments {
            let first = segment::first_seq(number);
            if next < first {
                spans.push(Span::Facets { from: next, to: first - 1 });
            }
            spans.push(Span::Segment { number, min_time, max_time });
            next = segment::first_seq(number + 1);
        }
        if next <= to.min(covered) {
            spans.push(Span::Facets { from: next, to: to.min(covered) });
        }
        if to > covered {
            spans.push(Span::Bodies { from: from.max(covered + 1), to });
        }
        Ok(spans)
    }

    /// Numbers and times of the segments with rows from one number to another.
    fn segments(&self, from: u64, to: u64) -> Result<Vec<(u64, i64, i64)>, rusqlite::Error> {
        // A file that no engine of this version has opened yet has none.
        if schema::version_of(self.connection())? < schema::WITH_SEGMENTS {
            return Ok(Vec::new());
        }
        let mut statement = self.connection().prepare_cached(
            "SELECT number, min_time, max_time FROM segment WHERE number BETWEEN ?1 AND ?2 ORDER BY number",
        )?;
        let range = params![segment::number_of(from), segment::number_of(to)];
        statement.query_map(range, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
    }

    fn segment(
        &self,
        search: &Search<'_>,
        number: u64,
        (min_time, max_time): (i64, i64),
        emit: &mut Emit<'_>,
    ) -> Result<ControlFlow<()>, AuditError> {
        let first = segment::first_seq(number);
        let since = search.filter.since.map(Timestamp::as_microsecond).filter(|since| *since > min_time);
        let until = search.filter.until.map(Timestamp::as_microsecond).filter(|until| *until <= max_time);
        if since.is_some_and(|since| since > max_time) || until.is_some_and(|until| until <= min_time) {
            return Ok(ControlFlow::Continue(()));
        }
        let blob = |column: &str| -> Result<Vec<u8>, AuditError> {
            let sql = format!("SELECT {column} FROM segment WHERE number = ?1");
            let mut statement = self.connection().prepare_cached(&sql).tried("read")?;
            statement.query_row([number], |row| row.get(0)).tried("read")
        };
        let bytes = blob("entries")?;
        let Some(entries) = segment::entries(&bytes) else {
            // `verify` names it; nobody is kept from the rows.
            return self.facets(search, first.max(search.from), (first + ROWS - 1).min(search.to), emit);
        };
        let mut rows = segment::rows_of(&entries, Field::Any, "");
        for (field, value) in &search.values {
            rows.keep(&segment::rows_of(&entries, *field, value));
        }
        match search.filter.redacted {
            Some(true) => rows.keep(&segment::rows_of(&entries, Field::Redacted, "")),
            Some(false) => rows.drop_those(&segment::rows_of(&entries, Field::Redacted, "")),
            None => {}
        }
        for (word, with_id) in &search.words {
            if rows.is_empty() {
                break;
            }
            let mut found = rows_with_word(&entries, word);
            if let Some(key) = segment::hash_key(&word.text).filter(|_| word.is_digits) {
                found.add(&segment::rows_with_hash(&blob("hashes")?, key));
            }
            let ids = with_id.partition_point(|seq| *seq < first)
                ..with_id.partition_point(|seq| *seq < first + ROWS);
            with_id.get(ids).into_iter().flatten().for_each(|seq| found.insert((seq - first) as u16));
            rows.keep(&found);
        }
        if rows.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        if since.is_some() || until.is_some() {
            rows.keep(&segment::within(&blob("times")?, since, until));
        }
        let seqs = rows.iter().map(|place| first + u64::from(place));
        let mut seqs = seqs.filter(|seq| (search.from..=search.to).contains(seq));
        if search.filter.is_descending() {
            self.rows(search, seqs.rev(), emit)
        } else {
            self.rows(search, &mut seqs, emit)
        }
    }

    fn rows(
        &self,
        search: &Search<'_>,
        seqs: impl Iterator<Item = u64>,
        emit: &mut Emit<'_>,
    ) -> Result<ControlFlow<()>, AuditError> {
        let words: Vec<&Word> = if search.must_look() { search.words().collect() } else { Vec::new() };
        let mut statement = self
            .connection()
            .prepare_cached("SELECT seq, hash, body FROM event WHERE seq = ?1")
            .tried("read")?;
        for seq in seqs {
            let mut found = statement.query([seq]).tried("read")?;
            let Some(row) = found.next().tried("read")? else { continue };
            let raw = raw(row).tried("read")?;
            if (words.is_empty() || search.filter.matches(&words, raw.body)) && emit(raw)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn facets(
        &self,
        search: &Search<'_>,
        from: u64,
        to: u64,
        emit: &mut Emit<'_>,
    ) -> Result<ControlFlow<()>, AuditError> {
        let (sql, parameters) = search.filter.to_sql(from, to);
        let words: Vec<&Word> = search.words().collect();
        let must_look = !words.is_empty() || search.filter.rule.is_some();
        let wanted = |body: &str| !must_look || search.filter.matches(&words, body);
        self.each(&sql, params_from_iter(parameters), wanted, emit)
    }

    fn bodies(
        &self,
        search: &Search<'_>,
        from: u64,
        to: u64,
        emit: &mut Emit<'_>,
    ) -> Result<ControlFlow<()>, AuditError> {
        let order = if search.filter.is_descending() { "DESC" } else { "ASC" };
        let sql =
            format!("SELECT seq, hash, body FROM event WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq {order}");
        let words: Vec<&Word> = search.words().collect();
        self.each(&sql, [from, to], |body| search.filter.matches(&words, body), emit)
    }

    /// Hands on the rows of a statement whose body is wanted.
    fn each(
        &self,
        sql: &str,
        parameters: impl Params,
        wanted: impl Fn(&str) -> bool,
        emit: &mut Emit<'_>,
    ) -> Result<ControlFlow<()>, AuditError> {
        let mut statement = self.connection().prepare_cached(sql).tried("read")?;
        let mut rows = statement.query(parameters).tried("read")?;
        while let Some(row) = rows.next().tried("read")? {
            let raw = raw(row).tried("read")?;
            if wanted(raw.body) && emit(raw)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

fn rows_with_word(entries: &[Entry<'_>], word: &Word) -> RowSet {
    let mut rows = RowSet::EMPTY;
    for entry in entries.iter().filter(|entry| word.is_in(entry.value)) {
        rows.add(&entry.rows());
    }
    rows
}
