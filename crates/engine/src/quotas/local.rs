//! Counters of this engine alone: in memory, and written down beside the exchange's way so that they survive it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use sallyport_policy::quotas::{
    Ask, DAY, HOUR, Ledger, Millis, Movement, RequestId, Ruling, Tally, Ticket, Tier, day_of,
};
use tokio::sync::mpsc as queue;

use super::history::{self, Entry};

/// Changes that may wait for the disk; beyond it the newest are counted in memory alone.
const QUEUE: usize = 65_536;

/// Changes of one transaction.
const BATCH: usize = 1_024;

/// How long changes gather before they are written: nobody waits for them, and a transaction costs more than a change.
const GATHER: Duration = Duration::from_millis(20);

pub(crate) struct Local {
    ledgers: Mutex<HashMap<String, Ledger>>,
    journal: Mutex<Option<Journal>>,
}

struct Journal {
    lines: queue::Sender<Line>,
    writer: JoinHandle<()>,
}

enum Line {
    Moved(String, Movement),
    Used(Entry),
    /// Answered when everything before it is written.
    Flush(mpsc::SyncSender<()>),
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS requests (
        id TEXT PRIMARY KEY, subject TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS requests_at ON requests (at);
    CREATE TABLE IF NOT EXISTS tokens (
        subject TEXT NOT NULL, day INTEGER NOT NULL, tokens INTEGER NOT NULL,
        PRIMARY KEY (subject, day)) WITHOUT ROWID;
";

impl Local {
    /// Opens the file, or begins a new one where there is none.
    pub(crate) fn open(file: &Path, now: Millis) -> Result<Local, rusqlite::Error> {
        let connection = connect(file)?;
        connection.execute_batch(SCHEMA)?;
        connection.execute_batch(history::SCHEMA)?;
        forget(&connection, now)?;
        let ledgers = restore(&connection, now)?;
        // Room that is made as it is needed: all of it at once would be nine megabytes.
        let (lines, mut pending) = queue::channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("quota-journal".into())
            .spawn(move || write(connection, &mut pending))
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        Ok(Local { ledgers: Mutex::new(ledgers), journal: Mutex::new(Some(Journal { lines, writer })) })
    }

    /// Counts in memory alone.
    pub(crate) fn forgetful() -> Local {
        Local { ledgers: Mutex::default(), journal: Mutex::default() }
    }

    pub(crate) fn reserve(&self, subject: &str, tier: &Tier, ask: &Ask, now: Millis) -> Ruling {
        let mut ledgers = self.ledgers.lock();
        let ledger = match ledgers.get_mut(subject) {
            Some(ledger) => ledger,
            None => ledgers.entry(subject.to_owned()).or_default(),
        };
        let ruling = ledger.reserve(tier, ask, now);
        if let Some(ticket) = ruling.ticket {
            // Under the lock, so that changes are written in the order in which they happened.
            self.line(Line::Moved(subject.to_owned(), Movement::Reserved { at: now, ticket }));
        }
        ruling
    }

    pub(crate) fn settle(&self, subject: &str, ticket: Ticket, tokens: u64) {
        let mut ledgers = self.ledgers.lock();
        if let Some(ledger) = ledgers.get_mut(subject) {
            ledger.settle(&ticket, tokens);
        }
        self.line(Line::Moved(subject.to_owned(), Movement::Settled { ticket, tokens }));
    }

    pub(crate) fn cancel(&self, subject: &str, ticket: Ticket) {
        let mut ledgers = self.ledgers.lock();
        if let Some(ledger) = ledgers.get_mut(subject) {
            ledger.cancel(&ticket);
        }
        self.line(Line::Moved(subject.to_owned(), Movement::Cancelled { ticket }));
    }

    pub(crate) fn renew(&self, subject: &str, id: RequestId, now: Millis, lease: Millis) {
        if let Some(ledger) = self.ledgers.lock().get_mut(subject) {
            ledger.renew(id, now, lease);
        }
    }

    pub(crate) fn look(&self, subject: &str, now: Millis) -> Tally {
        let mut ledgers = self.ledgers.lock();
        ledgers.get_mut(subject).map_or(Tally { now, ..Tally::default() }, |ledger| ledger.look(now))
    }

    /// Notes what an exchange took, for the history.
    pub(crate) fn used(&self, entry: Entry) {
        self.line(Line::Used(entry));
    }

    /// Waits until everything so far is written. Blocks.
    pub(crate) fn flush(&self) {
        let (done, written) = mpsc::sync_channel(1);
        self.line(Line::Flush(done));
        let _ = written.recv();
    }

    /// Writes the rest down and ends. Blocks.
    pub(crate) fn close(&self) {
        if let Some(Journal { lines, writer }) = self.journal.lock().take() {
            drop(lines);
            let _ = writer.join();
        }
    }

    fn line(&self, line: Line) {
        if let Some(journal) = &*self.journal.lock()
            && journal.lines.try_send(line).is_err()
        {
            tracing::warn!("a change of the quotas could not be written down");
        }
    }
}

/// Opens the file for writing or reading: two connections to one file never wait long for each other.
pub(super) fn connect(file: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(std::time::Duration::from_secs(2))?;
    // A commit survives the end of this process; a power cut may take the last second. No exchange waits for a disk.
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")?;
    Ok(connection)
}

fn restore(connection: &Connection, now: Millis) -> Result<HashMap<String, Ledger>, rusqlite::Error> {
    let mut requests: HashMap<String, Vec<(Millis, RequestId)>> = HashMap::new();
    let mut read = connection.prepare("SELECT subject, at, id FROM requests WHERE at > ?1")?;
    let mut rows = read.query([now - HOUR])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get(2)?;
        let id = RequestId::from_str_radix(&id, 16).unwrap_or_default();
        requests.entry(row.get(0)?).or_default().push((row.get(1)?, id));
    }
    let mut tokens: HashMap<String, Vec<(i64, u64)>> = HashMap::new();
    let mut read = connection.prepare("SELECT subject, day, tokens FROM tokens WHERE day >= ?1")?;
    let mut rows = read.query([day_of(now) - 1])?;
    while let Some(row) = rows.next()? {
        let count: i64 = row.get(2)?;
        tokens.entry(row.get(0)?).or_default().push((row.get(1)?, u64::try_from(count).unwrap_or(0)));
    }
    let subjects: std::collections::BTreeSet<String> =
        requests.keys().chain(tokens.keys()).cloned().collect();
    Ok(subjects
        .into_iter()
        .map(|subject| {
            let ledger = Ledger::restored(
                requests.remove(&subject).unwrap_or_default(),
                tokens.remove(&subject).unwrap_or_default(),
            );
            (subject, ledger)
        })
        .collect())
}

fn forget(connection: &Connection, now: Millis) -> Result<(), rusqlite::Error> {
    connection.execute("DELETE FROM requests WHERE at <= ?1", [now - HOUR])?;
    connection.execute("DELETE FROM tokens WHERE day < ?1", [day_of(now) - 1])?;
    history::forget(connection, now)
}

/// The journal's thread: takes what waits, a batch to a transaction.
fn write(mut connection: Connection, pending: &mut queue::Receiver<Line>) {
    let mut swept = super::now();
    while let Some(first) = pending.blocking_recv() {
        std::thread::sleep(GATHER);
        let others = std::iter::from_fn(|| pending.try_recv().ok());
        let batch: Vec<Line> = std::iter::once(first).chain(others).take(BATCH).collect();
        if let Err(error) = write_batch(&mut connection, &batch) {
            tracing::warn!(%error, changes = batch.len(), "changes of the quotas could not be written down");
        }
        for line in batch {
            if let Line::Flush(done) = line {
                let _ = done.send(());
            }
        }
        let now = super::now();
        if now - swept > HOUR {
            swept = now;
            if let Err(error) = forget(&connection, now) {
                tracing::warn!(%error, "old quota rows could not be removed");
            }
        }
    }
}

fn write_batch(connection: &mut Connection, batch: &[Line]) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    for line in batch {
        match line {
            Line::Moved(subject, movement) => write_movement(&transaction, subject, movement)?,
            Line::Used(entry) => history::write(&transaction, entry)?,
            Line::Flush(_) => {}
        }
    }
    transaction.commit()
}

fn write_movement(
    connection: &Connection,
    subject: &str,
    movement: &Movement,
) -> Result<(), rusqlite::Error> {
    let (ticket, tokens) = match movement {
        Movement::Reserved { at, ticket } => {
            connection
                .prepare_cached("INSERT OR REPLACE INTO requests (id, subject, at) VALUES (?1, ?2, ?3)")?
                .execute(params![format!("{:032x}", ticket.id), subject, at])?;
            let mut add = connection.prepare_cached(
                "INSERT INTO tokens (subject, day, tokens) VALUES (?1, ?2, ?3)
                 ON CONFLICT (subject, day) DO UPDATE SET tokens = tokens + excluded.tokens",
            )?;
            add.execute(params![subject, ticket.day, signed(ticket.reserved)])?;
            return Ok(());
        }
        Movement::Settled { ticket, tokens } => (ticket, *tokens),
        Movement::Cancelled { ticket } => {
            connection
                .prepare_cached("DELETE FROM requests WHERE id = ?1")?
                .execute([format!("{:032x}", ticket.id)])?;
            (ticket, 0)
        }
    };
    let mut settle = connection.prepare_cached(
        "UPDATE tokens SET tokens = max(0, tokens - ?3) + ?4 WHERE subject = ?1 AND day = ?2",
    )?;
    settle.execute(params![subject, ticket.day, signed(ticket.reserved), signed(tokens)]).map(drop)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Whether a file that can't be opened is at least a whole database.
pub(super) fn is_sound(file: &Path) -> bool {
    let check = |connection: Connection| {
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)).optional()
    };
    matches!(Connection::open(file).and_then(check), Ok(Some(word)) if word == "ok")
}

/// The start of the UTC day.
pub(super) fn day_start(now: Millis) -> Millis {
    day_of(now) * DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Millis = 20_000 * DAY + 8 * HOUR;

    fn ask(id: RequestId) -> Ask {
        Ask { id, prompt_length: 1, tokens: 100, lease: HOUR, enforce: true }
    }

    #[test]
    fn counters_survive_a_restart_and_slots_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("quota.db");
        let tier = Tier::builtin()["developer"];
        let local = Local::open(&file, START).unwrap();
        let tickets: Vec<_> =
            (1..=3).map(|id| local.reserve("ann", &tier, &ask(id), START).ticket.unwrap()).collect();
        assert!(local.reserve("ann", &tier, &ask(4), START).ticket.is_none(), "three at once");
        local.settle("ann", tickets[0], 40);
        local.cancel("ann", tickets[1]);
        // As after a kill: nothing is closed, everything is written.
        local.flush();
        let again = Local::open(&file, START + 5).unwrap();
        let tally = again.look("ann", START + 5);
        assert_eq!((tally.minute, tally.tokens, tally.concurrent), (2, 140, 0));
        assert_eq!(again.look("bob", START), Tally { now: START, ..Tally::default() });
        again.close();
        let later = Local::open(&file, START + 2 * HOUR).unwrap();
        assert_eq!(later.look("ann", START + 2 * HOUR).hour, 0);
        assert_eq!(later.look("ann", START + 2 * HOUR).tokens, 140);
    }

    #[test]
    fn many_at_once_get_exactly_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let local = Local::open(&folder.path().join("quota.db"), START).unwrap();
        let tier = Tier {
            requests_per_minute: 50,
            requests_per_hour: 1_000,
            tokens_per_day: 1_000_000,
            max_prompt_length: 10,
            max_concurrent_requests: 1_000,
        };
        let admitted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..64_u128)
                .map(|thread| {
                    let (local, tier) = (&local, &tier);
                    scope.spawn(move || {
                        let asks = (0..4).map(|n| ask(thread * 4 + n));
                        asks.filter(|ask| local.reserve("ann", tier, ask, START).ticket.is_some()).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(admitted, 50);
    }

    #[test]
    fn many_at_once_get_exactly_the_slots_and_no_token_more() {
        let folder = tempfile::tempdir().unwrap();
        let local = Local::open(&folder.path().join("quota.db"), START).unwrap();
        let tier = |tokens, slots| Tier {
            requests_per_minute: 10_000,
            requests_per_hour: 10_000,
            tokens_per_day: tokens,
            max_prompt_length: 10,
            max_concurrent_requests: slots,
        };
        // One reservation, as `ask` makes it.
        let each = local.reserve("probe", &tier(1_000_000, 1), &ask(9_999), START).ticket.unwrap().reserved;
        let at_once = |subject: &str, tier: &Tier, first: u128| -> Vec<Ticket> {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..64_u128)
                    .map(|thread| {
                        let local = &local;
                        scope.spawn(move || local.reserve(subject, tier, &ask(first + thread), START).ticket)
                    })
                    .collect();
                threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
            })
        };
        // Slots: seven run, however often the others try; each that ends lets exactly one in.
        let seven = tier(1_000_000, 7);
        let running = at_once("ann", &seven, 0);
        assert_eq!(running.len(), 7);
        assert_eq!(at_once("ann", &seven, 100).len(), 0);
        running.iter().take(3).for_each(|ticket| local.cancel("ann", *ticket));
        assert_eq!(at_once("ann", &seven, 200).len(), 3);
        // Tokens: reservations never pass the day's limit together.
        let limit = each * 10 + each / 2;
        assert_eq!(at_once("bob", &tier(limit, 1_000), 300).len(), 10);
        assert!(local.look("bob", START).tokens <= limit);
    }

    #[test]
    fn a_broken_file_is_told_from_a_sound_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("quota.db");
        std::fs::write(&file, vec![7; 8192]).unwrap();
        assert!(Local::open(&file, START).is_err() && !is_sound(&file));
        std::fs::remove_file(&file).unwrap();
        Local::open(&file, START).unwrap().close();
        assert!(is_sound(&file));
    }
}
