//! Elevation as it runs: requests that wait, grants that hold for a while, each step in the trail before it counts.
//!
//! What a request may ask for and what a grant covers is decided in `policy::elevation`; who may approve is `presence`'s.

mod book;
mod clock;
mod desk;
mod life;

#[cfg(test)]
mod tests;

use std::path::Path;

use jiff::Timestamp;
use parking_lot::Mutex;
use sallyport_detect::HeldKey;
use sallyport_policy::elevation::{Grant, Question, Target, covers};

pub(crate) use book::{Book, Record};
pub(crate) use life::{Refusal, keep_time};

use clock::Clock;

/// All requests of one engine.
pub(crate) struct Elevation {
    book: Mutex<Book>,
    clock: Mutex<Clock>,
    file: book::File,
    /// Which engine this is, for approvers elsewhere. Says nothing secret.
    identity: String,
    /// One step after the other, since each is in the trail before it counts.
    turn: tokio::sync::Mutex<()>,
    /// Counts them, for whoever waits for one.
    pub(crate) steps: tokio::sync::watch::Sender<u64>,
}

impl Elevation {
    /// Reads what an earlier run left. `key` is this installation's own; a file that it did not seal grants nothing.
    pub(crate) fn open(state_dir: &Path, key: HeldKey<32>) -> (Elevation, Option<String>) {
        let identity = book::identity(&key);
        let file = book::File::new(state_dir.join("elevation.json"), key);
        let (book, trouble) = match file.read() {
            Ok(book) => (book, None),
            Err(why) => (Book::default(), Some(why)),
        };
        let clock = Clock::new(book.latest, Timestamp::now());
        let elevation = Elevation {
            book: Mutex::new(book),
            clock: Mutex::new(clock),
            file,
            identity,
            turn: tokio::sync::Mutex::new(()),
            steps: tokio::sync::watch::Sender::new(0),
        };
        (elevation, trouble)
    }

    /// The time that grants are held against: it never goes backwards.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.lock().now(Timestamp::now())
    }

    /// Newest first, each as it stands now.
    pub(crate) fn list(&self) -> Vec<Record> {
        let now = self.now();
        self.book.lock().records.iter().rev().map(|record| record.at(now)).collect()
    }

    pub(crate) fn get(&self, id: u64) -> Option<Record> {
        let now = self.now();
        self.book.lock().find(id).map(|record| record.at(now))
    }

    /// The request as it is shown to an approver elsewhere.
    pub(crate) fn question(&self, record: &Record) -> Question {
        Question {
            engine: self.identity.clone(),
            nonce: record.nonce.clone(),
            request: record.request.clone(),
        }
    }

    /// The grant that lets this account do this now.
    pub(crate) fn permits(&self, target: &Target<'_>, account: &str) -> Option<Grant> {
        let now = self.now();
        let book = self.book.lock();
        let live = book.records.iter().filter(|record| record.at(now).state.is_granted());
        live.filter_map(|record| record.grant.as_ref())
            .find(|grant| covers(grant, target, account, now))
            .cloned()
    }

    /// Writes the book down. A book that can't be written is still in force until the engine stops.
    fn save(&self, book: &mut Book) {
        book.latest = self.now();
        if let Err(error) = self.file.write(book) {
            tracing::error!(%error, "elevation could not be written down");
        }
    }
}
