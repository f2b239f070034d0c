//! Signed statements about the chain: who holds no key can't make a re-hashed chain agree with them.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::canonical::Hash;
use crate::keys::{PublicKey, Signing};

/// A checkpoint is made at the latest after so many rows; half a millisecond of signing in a busy second.
pub(crate) const EVERY: u64 = 256;

/// "Row `seq` of this database had this hash." Ordinals have no gaps, so a missing checkpoint shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) ordinal: u64,
    pub(crate) session: u64,
    pub(crate) seq: u64,
    pub(crate) hash: Hash,
    pub(crate) time: i64,
    pub(crate) signature: [u8; 64],
}

impl Checkpoint {
    pub(crate) fn sign(
        signing: &Signing,
        database: &Uuid,
        (ordinal, session): (u64, u64),
        (seq, hash): (u64, Hash),
    ) -> Checkpoint {
        let time = Timestamp::now().as_microsecond();
        let mut checkpoint = Checkpoint { ordinal, session, seq, hash, time, signature: [0; 64] };
        checkpoint.signature = signing.sign(&checkpoint.message(database));
        checkpoint
    }

    pub(crate) fn is_signed_by(&self, key: &PublicKey, database: &Uuid) -> bool {
        key.verifies(&self.message(database), &self.signature)
    }

    fn message(&self, database: &Uuid) -> Vec<u8> {
        let mut message = b"sallyport audit checkpoint 1\0".to_vec();
        message.extend_from_slice(database.as_bytes());
        for number in [self.ordinal, self.session, self.seq] {
            message.extend_from_slice(&number.to_be_bytes());
        }
        message.extend_from_slice(&self.hash);
        message.extend_from_slice(&self.time.to_be_bytes());
        message
    }

    pub(crate) fn insert(&self, connection: &Connection) -> Result<(), rusqlite::Error> {
        connection
            .prepare_cached("INSERT INTO checkpoint VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![self.ordinal, self.session, self.seq, self.hash, self.time, self.signature])?;
        Ok(())
    }

    pub(crate) fn last(connection: &Connection) -> Result<Option<Checkpoint>, rusqlite::Error> {
        connection
            .query_row("SELECT * FROM checkpoint ORDER BY ordinal DESC LIMIT 1", [], Checkpoint::from_row)
            .optional()
    }

    /// Those about rows in `from..=to`, in order.
    pub(crate) fn about(
        connection: &Connection,
        from: u64,
        to: u64,
    ) -> Result<Vec<Checkpoint>, rusqlite::Error> {
        connection
            .prepare("SELECT * FROM checkpoint WHERE seq BETWEEN ?1 AND ?2 ORDER BY ordinal")?
            .query_map(params![from, to], Checkpoint::from_row)?
            .collect()
    }

    fn from_row(row: &Row<'_>) -> Result<Checkpoint, rusqlite::Error> {
        Ok(Checkpoint {
            ordinal: row.get("ordinal")?,
            session: row.get("session")?,
            seq: row.get("seq")?,
            hash: row.get("hash")?,
            time: row.get("time")?,
            signature: row.get("signature")?,
        })
    }
}
