//! What was said in an exchange, where policy keeps it: sealed, beside the chain and bound to its row by the row's hash.
//!
//! The chain does not rest on it: content may go, by retention or otherwise, and the trail is still whole.

use std::ops::Range;

use bytes::Bytes;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;
use zstd::bulk::Compressor;

use crate::canonical::{Hash, hex};
use crate::keys::random_key;
use crate::{AuditError, Event, HeldKey, KeyStore, schema};

/// The name under which the key that seals content lies in the key store.
pub const CONTENT_KEY: &str = "audit-content-key";

/// The most that is kept of one body. Half a body would be bound to nothing, so a longer one is not kept.
pub const MAX_CONTENT: usize = 256 * 1024;

/// zstd's quickest.
const LEVEL: i32 = 1;

/// What is recorded: an event, and perhaps what was said.
pub struct Entry {
    pub(crate) event: Event,
    pub(crate) content: Option<Bytes>,
}

impl Entry {
    /// `content` is the body whose hash the event holds. What is too long is left out.
    pub fn with_content(event: Event, content: Option<Bytes>) -> Entry {
        Entry { event, content: content.filter(|body| (1..=MAX_CONTENT).contains(&body.len())) }
    }
}

impl From<Event> for Entry {
    fn from(event: Event) -> Entry {
        Entry { event, content: None }
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("event", &self.event).finish_non_exhaustive()
    }
}

/// Content that waits to be sealed, and the rows it belongs to.
#[derive(Default)]
pub(crate) struct Contents {
    waiting: Vec<Unsealed>,
    /// Short bodies, one behind the other.
    short: Vec<u8>,
    /// Of long ones.
    long_bytes: usize,
}

struct Unsealed {
    seq: u64,
    hash: Hash,
    body: Body,
}

enum Body {
    /// Of the short ones.
    Short(Range<usize>),
    Long(Bytes),
}

impl Contents {
    /// What is kept with a row: a short body, or a long one, or none.
    pub(crate) fn add(&mut self, seq: u64, hash: Hash, short: &[u8], long: Option<&Bytes>) {
        let body = match long {
            None if short.is_empty() => return,
            None => {
                let from = self.short.len();
                self.short.extend_from_slice(short);
                Body::Short(from..self.short.len())
            }
            Some(long) => {
                self.long_bytes += long.len();
                Body::Long(long.clone())
            }
        };
        self.waiting.push(Unsealed { seq, hash, body });
    }

    pub(crate) fn append(&mut self, other: Contents) {
        let moved = self.short.len();
        self.short.extend_from_slice(&other.short);
        self.long_bytes += other.long_bytes;
        self.waiting.extend(other.waiting.into_iter().map(|unsealed| match unsealed.body {
            Body::Short(at) => Unsealed { body: Body::Short(at.start + moved..at.end + moved), ..unsealed },
            Body::Long(_) => unsealed,
        }));
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.short.len() + self.long_bytes
    }

    /// Seals and writes what waits. Part of a transaction.
    pub(crate) fn write(
        &self,
        connection: &Connection,
        key: &ContentKey,
        database: &Uuid,
    ) -> Result<(), rusqlite::Error> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        // One for all of them: making one costs more than packing a short body.
        let mut packer =
            Compressor::new(LEVEL).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        let mut insert = connection.prepare_cached("INSERT INTO content VALUES (?1, ?2)")?;
        let mut nonces = vec![[0; NONCE_LEN]; self.waiting.len()];
        let random = getrandom::fill(nonces.as_flattened_mut()).is_ok();
        let cipher = key.cipher().filter(|_| random);
        let mut sealed = Zeroizing::new(Vec::new());
        for (Unsealed { seq, hash, body }, nonce) in self.waiting.iter().zip(nonces) {
            let body = match body {
                Body::Short(at) => &self.short[at.clone()],
                Body::Long(body) => body,
            };
            let bound = bound(database, *seq, hash);
            let cipher = cipher.as_ref();
            match cipher.and_then(|cipher| seal(cipher, &mut packer, nonce, &bound, body, &mut sealed)) {
                Some(sealed) => insert.execute(params![seq, sealed])?,
                None => {
                    tracing::warn!(row = seq, "content could not be sealed, so it is not kept");
                    continue;
                }
            };
        }
        Ok(())
    }
}

/// Packs and seals a body in `room`, which is used for one after the other. None where the body can't be packed.
fn seal<'r>(
    cipher: &LessSafeKey,
    packer: &mut Compressor<'_>,
    nonce: [u8; NONCE_LEN],
    bound: &[u8],
    body: &[u8],
    room: &'r mut Vec<u8>,
) -> Option<&'r [u8]> {
    let tag_len = cipher.algorithm().tag_len();
    let most = NONCE_LEN + zstd::zstd_safe::compress_bound(body.len()) + tag_len;
    if room.len() < most {
        room.resize(most, 0);
    }
    let (front, text) = room.split_first_chunk_mut::<NONCE_LEN>()?;
    *front = nonce;
    let packed = packer.compress_to_buffer(body, text).ok()?;
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = cipher.seal_in_place_separate_tag(nonce, Aad::from(bound), text.get_mut(..packed)?).ok()?;
    text.get_mut(packed..packed + tag_len)?.copy_from_slice(tag.as_ref());
    room.get(..NONCE_LEN + packed + tag_len)
}

/// The key's bytes are held; what the cipher makes of them lives for one use.
pub(crate) struct ContentKey(HeldKey);

impl ContentKey {
    pub(crate) fn load_or_create(keys: &dyn KeyStore) -> Result<ContentKey, AuditError> {
        Ok(ContentKey(keys.hold(random_key(keys, CONTENT_KEY, AES_256_GCM.key_len())?)))
    }

    fn open(&self, database: &Uuid, seq: u64, hash: &Hash, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = Zeroizing::new(text.to_vec());
        let bound = bound(database, seq, hash);
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let packed = self.cipher()?.open_in_place(nonce, Aad::from(bound), &mut text).ok()?;
        zstd::bulk::decompress(packed, MAX_CONTENT).ok()
    }

    /// None for a key of another length.
    fn cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, (*self.0).as_ref()).ok().map(LessSafeKey::new)
    }
}

/// Content of one row opens at no other, and in no other file.
fn bound(database: &Uuid, seq: u64, hash: &Hash) -> Vec<u8> {
    [b"sallyport audit content 1\0".as_slice(), database.as_bytes(), &seq.to_be_bytes(), hash].concat()
}

/// What a row's content looks like from outside; none where none is kept.
pub(crate) fn sealed(connection: &Connection, seq: u64) -> Result<Option<Vec<u8>>, rusqlite::Error> {
    if schema::version_of(connection)? < schema::WITH_CONTENT {
        return Ok(None);
    }
    connection.query_row("SELECT sealed FROM content WHERE seq = ?1", [seq], |row| row.get(0)).optional()
}

/// The body of a row. It is the one that was recorded, byte for byte, or an error.
pub(crate) fn opened(
    connection: &Connection,
    key: &ContentKey,
    database: &Uuid,
    row: &crate::Row,
) -> Result<Option<Vec<u8>>, AuditError> {
    use crate::error::Tried;
    let Some(sealed) = sealed(connection, row.seq).tried("read")? else { return Ok(None) };
    let recorded = match (&row.event.request, &row.event.response) {
        (Some(request), _) => request.prompt_hash.as_deref(),
        (None, Some(response)) => response.completion_hash.as_deref(),
        (None, None) => None,
    };
    key.open(database, row.seq, &row.hash, &sealed)
        .filter(|body| recorded == Some(hex(&Sha256::digest(body)).as_str()))
        .map(Some)
        .ok_or(AuditError::Content { seq: row.seq })
}
