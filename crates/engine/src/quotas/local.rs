//! Counters of this engine alone: in memory, and written down beside the exchange's way so that they survive it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension};
use sallyport_policy::quotas::{
    Ask, DAY, HOUR, Ledger, Millis, Movement, RequestId, Ruling, Tally, Ticket, Tier, day_of,
};

use super::history::{self, Entry};
use super::journal::{Journal, Line};

pub(crate) struct Local {
    ledgers: Mutex<HashMap<String, Ledger>>,
    journal: Mutex<Option<Journal>>,
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
        let journal = Journal::begin(connection)?;
        Ok(Local { ledgers: Mutex::new(ledgers), journal: Mutex::new(Some(journal)) })
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
        if let Some(journal) = self.journal.lock().take() {
            journal.end();
        }
    }

    fn line(&self, line: Line) {
        if let Some(journal) = &*self.journal.lock() {
            journal.note(line);
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

pub(super) fn forget(connection: &Connection, now: Millis) -> Result<(), rusqlite::Error> {
    connection.execute("DELETE FROM requests WHERE at <= ?1", [now - HOUR])?;
    connection.execute("DELETE FROM tokens WHERE day < ?1", [day_of(now) - 1])?;
    history::forget(connection, now)
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
