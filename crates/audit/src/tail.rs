//! Following a trail: the rows there are, then each new one as it becomes durable.

use std::path::PathBuf;

use tokio::sync::watch;

use crate::{AuditError, Filter, Reader, Row};

/// Rows of one answer at most.
const PAGE: usize = 500;

/// Made by `Trail::tail`.
#[derive(Debug)]
pub struct Tail {
    database: PathBuf,
    reader: Option<Reader>,
    latest: watch::Receiver<u64>,
    next: u64,
}

impl Tail {
    pub(crate) fn new(database: PathBuf, latest: watch::Receiver<u64>, from_seq: u64) -> Tail {
        Tail { database, reader: None, latest, next: from_seq.max(1) }
    }

    /// The next rows, at least one; `None` once the trail is closed and read to its end.
    pub async fn next(&mut self) -> Result<Option<Vec<Row>>, AuditError> {
        loop {
            let next = self.next;
            if self.latest.wait_for(|latest| *latest >= next).await.is_err() && *self.latest.borrow() < next {
                return Ok(None);
            }
            let known = *self.latest.borrow();
            let rows = self.page().await?;
            match rows.last() {
                Some(last) => {
                    self.next = last.seq + 1;
                    return Ok(Some(rows));
                }
                // Purged, or numbers that a discontinuity left empty.
                None => self.next = known + 1,
            }
        }
    }

    /// Whether there are rows that were not given yet.
    pub fn is_behind(&self) -> bool {
        self.next <= *self.latest.borrow()
    }

    /// Goes on behind the rows that are durable now, unread.
    pub fn pass_over(&mut self) {
        self.next = self.next.max(*self.latest.borrow() + 1);
    }

    async fn page(&mut self) -> Result<Vec<Row>, AuditError> {
        let (database, reader) = (self.database.clone(), self.reader.take());
        let filter = Filter { after_seq: Some(self.next - 1), limit: Some(PAGE), ..Filter::default() };
        let read = move || -> Result<(Reader, Vec<Row>), AuditError> {
            let reader = reader.map_or_else(|| Reader::open(&database), Ok)?;
            let rows = reader.query(&filter)?;
            Ok((reader, rows))
        };
        let (reader, rows) =
            tokio::task::spawn_blocking(read).await.map_err(|_| AuditError::Interrupted)??;
        self.reader = Some(reader);
        Ok(rows)
    }
}
