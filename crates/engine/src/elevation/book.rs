//! Requests and grants as they lie in the state folder, under a seal that only this installation's key makes.

use std::path::PathBuf;

use jiff::Timestamp;
use sallyport_detect::HeldKey;
use sallyport_policy::elevation::{Grant, Request, State};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What is over is forgotten beyond so many records; the trail keeps it.
const MAX_RECORDS: usize = 256;
const MAX_FILE: u64 = 8 << 20;

/// One request with what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) request: Request,
    /// Random: a number that comes again after a loss of the file is another request.
    pub(crate) nonce: String,
    /// As it was last written; [`Record::at`] says how it stands.
    pub(crate) state: State,
    pub(crate) grant: Option<Grant>,
    pub(crate) uses: u64,
    pub(crate) decided_at: Option<Timestamp>,
}

impl Record {
    /// With what time alone brings about.
    pub(crate) fn at(&self, now: Timestamp) -> Record {
        let mut record = self.clone();
        let over = match self.state {
            State::Pending => self.request.answer_by <= now,
            State::Approved | State::Used => self.grant.as_ref().is_none_or(|grant| grant.expires_at <= now),
            _ => false,
        };
        if over {
            record.state = State::Expired;
        }
        record
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Denied | State::Expired | State::Revoked)
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Book {
    pub(crate) next: u64,
    /// The latest moment that was known when this was written.
    pub(crate) latest: Timestamp,
    /// Oldest first.
    pub(crate) records: Vec<Record>,
}

impl Book {
    pub(crate) fn find(&self, id: u64) -> Option<&Record> {
        self.records.iter().find(|record| record.request.id == id)
    }

    pub(crate) fn find_mut(&mut self, id: u64) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.request.id == id)
    }

    pub(crate) fn add(&mut self, record: Record) {
        while self.records.len() >= MAX_RECORDS {
            let Some(oldest) = self.records.iter().position(Record::is_over) else { break };
            self.records.remove(oldest);
        }
        self.next = self.next.max(record.request.id);
        self.records.push(record);
    }
}

/// The sealed file.
pub(crate) struct File {
    path: PathBuf,
    key: HeldKey<32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    /// JSON as text, so that the seal is over bytes and not over a reading of them.
    book: String,
    seal: String,
}

pub(crate) fn identity(key: &[u8; 32]) -> String {
    let hash = blake3::derive_key("sallyport engine 1: elevation, name of the engine", key);
    data_encoding::HEXLOWER.encode(&hash[..16])
}

impl File {
    pub(crate) fn new(path: PathBuf, key: HeldKey<32>) -> File {
        File { path, key }
    }

    fn seal(&self, book: &str) -> blake3::Hash {
        let key = Zeroizing::new(blake3::derive_key("sallyport engine 1: elevation, seal", &self.key[..]));
        blake3::keyed_hash(&key, book.as_bytes())
    }

    /// The book, or an empty one where there is none. An error says why the file counts for nothing; it is set aside.
    pub(crate) fn read(&self) -> Result<Book, String> {
        let read = sallyport_platform::fs::read_bounded(&self.path, MAX_FILE);
        let bytes = match read {
            Ok(Some(bytes)) => bytes,
            Ok(None) if self.path.exists() => return Err(self.set_aside("it is too large, or no file")),
            Ok(None) => return Ok(Book::default()),
            Err(_) if !self.path.exists() => return Ok(Book::default()),
            Err(error) => return Err(format!("it can't be read: {error}")),
        };
        let Ok(sealed) = serde_json::from_slice::<Sealed>(&bytes) else {
            return Err(self.set_aside("it is not what was written"));
        };
        let given = data_encoding::HEXLOWER.decode(sealed.seal.as_bytes()).ok();
        let given = given.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(blake3::Hash::from);
        // Compares in constant time.
        if given != Some(self.seal(&sealed.book)) {
            return Err(self.set_aside("somebody else changed it"));
        }
        serde_json::from_str(&sealed.book).map_err(|_| self.set_aside("another version wrote it"))
    }

    fn set_aside(&self, why: &str) -> String {
        let _ = std::fs::rename(&self.path, self.path.with_extension("json.rejected"));
        why.to_owned()
    }

    pub(crate) fn write(&self, book: &Book) -> Result<(), String> {
        let book = serde_json::to_string(book).map_err(|error| error.to_string())?;
        let seal = self.seal(&book).to_hex().to_string();
        let text = serde_json::to_vec(&Sealed { book, seal }).map_err(|error| error.to_string())?;
        sallyport_platform::fs::write_private_atomic(&self.path, &text, 0o600)
            .map_err(|error| error.to_string())
    }
}
