//! The newest row's number and hash, signed, in a file outside the database.
//!
//! Two slots are written in turn, so that a torn write leaves the other one. The file is rewritten after each
//! commit without a sync of its own: a trail may be ahead of its head, never behind.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::AuditError;
use crate::canonical::{Hash, hex, unhex};
use crate::files::{failed, open_private, sync_folder_of};
use crate::keys::{PublicKey, Signing};

const SLOT: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) database: Uuid,
    pub(crate) session: u64,
    pub(crate) seq: u64,
    pub(crate) hash: Hash,
    /// The ordinal of the newest checkpoint, 0 before the first.
    pub(crate) checkpoint: u64,
    pub(crate) time: i64,
    /// Nobody was writing any more: rows beyond this head are forged.
    pub(crate) closed: bool,
}

/// A slot as text, padded with spaces to its fixed length.
#[derive(Serialize, Deserialize)]
struct Slot {
    database: Uuid,
    session: u64,
    seq: u64,
    hash: String,
    checkpoint: u64,
    time: i64,
    closed: bool,
    signature: String,
}

impl Head {
    fn message(&self) -> Vec<u8> {
        let mut message = b"sallyport audit head 1\0".to_vec();
        message.extend_from_slice(self.database.as_bytes());
        for number in [self.session, self.seq, self.checkpoint] {
            message.extend_from_slice(&number.to_be_bytes());
        }
        message.extend_from_slice(&self.hash);
        message.extend_from_slice(&self.time.to_be_bytes());
        message.push(self.closed.into());
        message
    }

    fn encode(&self, signing: &Signing) -> io::Result<Vec<u8>> {
        let slot = Slot {
            database: self.database,
            session: self.session,
            seq: self.seq,
            hash: hex(&self.hash),
            checkpoint: self.checkpoint,
            time: self.time,
            closed: self.closed,
            signature: hex(&signing.sign(&self.message())),
        };
        let mut bytes = serde_json::to_vec(&slot)?;
        if bytes.len() >= SLOT {
            return Err(io::Error::other("the head does not fit its slot"));
        }
        bytes.resize(SLOT - 1, b' ');
        bytes.push(b'\n');
        Ok(bytes)
    }

    fn decode(bytes: &[u8], key: &PublicKey) -> Option<Head> {
        let slot: Slot = serde_json::from_slice(bytes).ok()?;
        let head = Head {
            database: slot.database,
            session: slot.session,
            seq: slot.seq,
            hash: unhex(&slot.hash)?,
            checkpoint: slot.checkpoint,
            time: slot.time,
            closed: slot.closed,
        };
        key.verifies(&head.message(), &unhex(&slot.signature)?).then_some(head)
    }
}

/// What the head's file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeadState {
    Missing,
    /// There is a file, but neither slot bears a good signature.
    Unsigned,
    Found(Head),
}

pub(crate) fn read(path: &Path, key: &PublicKey) -> io::Result<HeadState> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(4 * SLOT as u64).read_to_end(&mut bytes)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(HeadState::Missing),
        Err(e) => return Err(e),
    };
    let newest = bytes
        .chunks(SLOT)
        .filter_map(|slot| Head::decode(slot, key))
        .max_by_key(|head| (head.session, head.seq, head.time, head.closed));
    Ok(newest.map_or(HeadState::Unsigned, HeadState::Found))
}

/// The file, held open by the writer.
pub(crate) struct HeadFile {
    file: File,
    next_slot: u64,
}

impl HeadFile {
    /// Writes `head` into both slots, durably: from here on a missing head is no accident.
    pub(crate) fn create(path: &Path, signing: &Signing, head: &Head) -> Result<HeadFile, AuditError> {
        let file = open_private(path).map_err(failed("open", path))?;
        let mut head_file = HeadFile { file, next_slot: 0 };
        let both = |f: &mut HeadFile| {
            f.write(signing, head)?;
            f.write(signing, head)?;
            f.file.sync_all()
        };
        both(&mut head_file).map_err(failed("write", path))?;
        sync_folder_of(path)?;
        Ok(head_file)
    }

    pub(crate) fn write(&mut self, signing: &Signing, head: &Head) -> io::Result<()> {
        let slot = head.encode(signing)?;
        self.file.seek(SeekFrom::Start(self.next_slot * SLOT as u64))?;
        self.file.write_all(&slot)?;
        self.next_slot = 1 - self.next_slot;
        Ok(())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

pub(crate) fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(seq: u64) -> Head {
        Head {
            database: Uuid::from_u128(7),
            session: 1,
            seq,
            hash: [3; 32],
            checkpoint: 0,
            time: 5,
            closed: false,
        }
    }

    #[test]
    fn survives_a_torn_slot_and_refuses_a_forged_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.head");
        let signing = Signing::from_seed([1; 32]);
        let key = signing.public();
        assert_eq!(read(&path, &key).unwrap(), HeadState::Missing);

        let mut file = HeadFile::create(&path, &signing, &head(1)).unwrap();
        file.write(&signing, &head(2)).unwrap();
        file.write(&signing, &head(3)).unwrap();
        assert_eq!(read(&path, &key).unwrap(), HeadState::Found(head(3)));

        let whole = std::fs::read(&path).unwrap();
        let mut torn = whole.clone();
        torn[SLOT + 100..].fill(0);
        std::fs::write(&path, &torn).unwrap();
        assert_eq!(read(&path, &key).unwrap(), HeadState::Found(head(2)));

        let forged = String::from_utf8(whole)
            .unwrap()
            .replace("\"seq\":2", "\"seq\":9")
            .replace("\"seq\":3", "\"seq\":9");
        std::fs::write(&path, forged).unwrap();
        assert_eq!(read(&path, &key).unwrap(), HeadState::Unsigned);
        assert_eq!(read(&path, &Signing::from_seed([2; 32]).public()).unwrap(), HeadState::Unsigned);
    }
}
