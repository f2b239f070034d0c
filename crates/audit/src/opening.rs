//! Opening a trail: making or migrating the database, and a quick look whether it continues from where the
//! signed head left it. The thorough look is `verify`.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use uuid::Uuid;

use crate::canonical::{Hash, genesis, row_hash};
use crate::checkpoint::Checkpoint;
use crate::content::ContentKey;
use crate::error::Tried;
use crate::event::action_types;
use crate::files::{failed, open_private, replace, set_aside, sync_folder_of};
use crate::head::{self, Head, HeadFile, HeadState};
use crate::keys::{PublicKey, Signing};
use crate::{Action, Actor, AuditError, Event, KeyStore, TrailPaths, facet, schema, segment};

/// What was found when the trail was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// There was no database yet.
    pub created: bool,
    /// The last row, 0 for an empty trail.
    pub last_seq: u64,
    /// Rows that were written after the head; a crash leaves some.
    pub ahead_of_head: u64,
    /// Each is recorded as an event of its own, so it can't be forgotten.
    pub discontinuities: Vec<Discontinuity>,
}

/// The trail does not continue from where it stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Discontinuity {
    #[error(
        "the trail ended at row {last_seq}, but its head says {head_seq}: the tail was cut off or the file is an \
         older copy"
    )]
    BehindHead { last_seq: u64, head_seq: u64 },
    #[error("the database is not the one that the head belongs to, which had {head_seq} rows")]
    OtherDatabase { head_seq: u64 },
    #[error("the head's file was missing")]
    MissingHead,
    #[error("the head's file bore no valid signature")]
    UnsignedHead,
    #[error("row {seq} is not the one that was signed")]
    Rewritten { seq: u64 },
    #[error("row {seq} does not continue the chain")]
    BrokenChain { seq: u64 },
    #[error("rows from {first_seq} on were added while no engine ran")]
    AddedWhileClosed { first_seq: u64 },
    #[error("checkpoint {ordinal} bears no valid signature")]
    BadCheckpoint { ordinal: u64 },
    #[error("checkpoints after {last} were removed; the head knew {known}")]
    CheckpointsRemoved { last: u64, known: u64 },
    #[error("rows up to {last_seq} were written by another program while the engine ran")]
    ForeignRows { last_seq: u64 },
    #[error("the signing key is not the one of before ({previous}), now {current}")]
    KeyChanged { previous: String, current: String },
}

impl Discontinuity {
    /// A stable word for faces to match on; stands in the recorded event's `outcome`.
    pub fn code(&self) -> &'static str {
        match self {
            Discontinuity::BehindHead { .. } => "behind_head",
            Discontinuity::OtherDatabase { .. } => "other_database",
            Discontinuity::MissingHead => "missing_head",
            Discontinuity::UnsignedHead => "unsigned_head",
            Discontinuity::Rewritten { .. } => "rewritten",
            Discontinuity::BrokenChain { .. } => "broken_chain",
            Discontinuity::AddedWhileClosed { .. } => "added_while_closed",
            Discontinuity::BadCheckpoint { .. } => "bad_checkpoint",
            Discontinuity::CheckpointsRemoved { .. } => "checkpoints_removed",
            Discontinuity::ForeignRows { .. } => "foreign_rows",
            Discontinuity::KeyChanged { .. } => KEY_CHANGED,
        }
    }

    pub(crate) fn event(&self) -> Event {
        let action = Action {
            action_type: action_types::DISCONTINUITY.into(),
            outcome: Some(self.code().into()),
            requires_review: Some(true),
            target: Some(self.to_string()),
        };
        Event::control(Timestamp::now(), trail_itself(), action)
    }
}

pub(crate) const KEY_CHANGED: &str = "key_changed";

pub(crate) fn trail_itself() -> Actor {
    Actor { service_account: Some("sallyport".into()), ..Actor::default() }
}

/// Where the chain stands; moved by the writer alone.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) database: Uuid,
    pub(crate) session: u64,
    pub(crate) seq: u64,
    pub(crate) hash: Hash,
    /// The newest checkpoint's ordinal and row.
    pub(crate) ordinal: u64,
    pub(crate) signed: u64,
    /// How far the facets go.
    pub(crate) covered: u64,
    /// The next segment to build.
    pub(crate) segment: u64,
}

impl Chain {
    pub(crate) fn head(&self, closed: bool) -> Head {
        Head {
            database: self.database,
            session: self.session,
            seq: self.seq,
            hash: self.hash,
            checkpoint: self.ordinal,
            time: head::now(),
            closed,
        }
    }
}

pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) chain: Chain,
    pub(crate) signing: Signing,
    pub(crate) content_key: ContentKey,
    pub(crate) head_file: HeadFile,
    /// Held while the trail is open.
    pub(crate) lock: File,
    pub(crate) report: OpenReport,
}

pub(crate) fn open(paths: &TrailPaths, keys: &dyn KeyStore) -> Result<Opened, AuditError> {
    if let Some(folder) = paths.database.parent() {
        fs::create_dir_all(folder).map_err(failed("create the folder", folder))?;
        sync_folder_of(folder)?;
    }
    let lock = take_lock(&paths.lock)?;
    let signing = Signing::load_or_create(keys)?;
    let content_key = ContentKey::load_or_create(keys)?;
    let current = signing.public();
    let known_key = known_key(&paths.public_key)?;
    let mut discontinuities = Vec::new();
    if let Some(previous) = known_key.clone().filter(|known| *known != current.to_hex()) {
        discontinuities.push(Discontinuity::KeyChanged { previous, current: current.to_hex() });
    }

    let created = !paths.database.exists();
    drop(open_private(&paths.database).map_err(failed("open", &paths.database))?);
    let connection = connect(&paths.database)?;
    let (database, session) = prepare(&connection, &paths.database)?;
    sync_folder_of(&paths.database)?;

    let mut chain = tail(&connection, database, session).tried("read the end of")?;
    let last_seq = chain.seq;
    let old_key = known_key.as_deref().and_then(PublicKey::from_hex).unwrap_or(current);
    let mut state = head::read(&paths.head, &current).map_err(failed("read", &paths.head))?;
    if state == HeadState::Unsigned && old_key != current {
        state = head::read(&paths.head, &old_key).map_err(failed("read", &paths.head))?;
    }
    // The public key is written last, so without it this is the first opening, or one that was cut short.
    let is_new = known_key.is_none() && chain.seq == 0;
    if !(is_new && state == HeadState::Missing) {
        discontinuities.extend(compare(&connection, &mut chain, &state).tried("check")?);
    }
    if let Some(found) = check_tail(&connection, &chain, &[current, old_key]).tried("check")?
        // The head may have said so already.
        && !discontinuities.contains(&found)
    {
        discontinuities.push(found);
    }

    let ahead_of_head = match &state {
        HeadState::Found(head) if head.database == database => last_seq.saturating_sub(head.seq),
        _ => 0,
    };
    if !discontinuities.is_empty() {
        set_aside(&paths.head)?;
    }
    let head_file = HeadFile::create(&paths.head, &signing, &chain.head(false))?;
    if known_key.as_ref() != Some(&current.to_hex()) {
        set_aside(&paths.public_key)?;
        replace(&paths.public_key, format!("{}\n", current.to_hex()).as_bytes())?;
    }
    let report = OpenReport { created, last_seq, ahead_of_head, discontinuities };
    Ok(Opened { connection, chain, signing, content_key, head_file, lock, report })
}

fn take_lock(path: &Path) -> Result<File, AuditError> {
    let lock = open_private(path).map_err(failed("open", path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(AuditError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed("lock", path)(source)),
    }
}

/// The public key that lies beside the database, whatever it is worth.
fn known_key(path: &Path) -> Result<Option<String>, AuditError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("read", path)(source)),
    }
}

fn connect(path: &Path) -> Result<Connection, AuditError> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .tried("open")?;
    connection.busy_timeout(Duration::from_secs(2)).tried("open")?;
    let set = |name: &str, value: &dyn rusqlite::ToSql| connection.pragma_update(None, name, value);
    let all = || -> Result<(), rusqlite::Error> {
        // Only a new file takes these two: pages that hold some ten events, and that are given back after a purge.
        set("page_size", &8192)?;
        set("auto_vacuum", &"INCREMENTAL")?;
        set("journal_mode", &"WAL")?;
        // Every commit syncs the WAL; on macOS past the drive's own cache.
        set("synchronous", &"FULL")?;
        set("fullfsync", &true)?;
        set("checkpoint_fullfsync", &true)?;
        // A larger log than the default: one batch in hundreds pays for copying it back.
        set("wal_autocheckpoint", &2000)?;
        set("journal_size_limit", &(64 * 1024 * 1024))?;
        set("secure_delete", &true)?;
        set("trusted_schema", &false)
    };
    all().tried("open")?;
    Ok(connection)
}

/// Migrates, names the database, and counts this opening. The first write, so it finds a full disk.
fn prepare(connection: &Connection, path: &Path) -> Result<(Uuid, u64), AuditError> {
    let foreign = |problem: String| AuditError::Foreign { path: path.to_owned(), problem };
    let version = schema::version_of(connection).tried("read")?;
    if version > schema::newest_version() {
        return Err(foreign("it was written by a newer version".into()));
    }
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).tried("read")?;
    if id != schema::APPLICATION_ID && id != 0 {
        return Err(foreign("the file belongs to another program".into()));
    }
    if let Some(object) = schema::altered_object(connection).tried("read")? {
        return Err(foreign(format!("{object} was altered")));
    }
    schema::migrate(connection, Timestamp::now()).tried("migrate")?;
    let write = || -> Result<(String, u64), rusqlite::Error> {
        if id == 0 {
            connection.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
        }
        let transaction = connection.unchecked_transaction()?;
        transaction.execute(
            "INSERT OR IGNORE INTO meta VALUES ('database', ?1), ('session', '0')",
            params![Uuid::new_v4().to_string()],
        )?;
        transaction.execute("UPDATE meta SET value = value + 1 WHERE key = 'session'", [])?;
        let identity = identity(&transaction)?;
        transaction.commit()?;
        Ok(identity)
    };
    let (database, session) = write().tried("write to")?;
    let database = database.parse().map_err(|_| foreign("it has no identity".into()))?;
    Ok((database, session))
}

/// The database's name and the number of times it was opened for writing.
pub(crate) fn identity(connection: &Connection) -> Result<(String, u64), rusqlite::Error> {
    connection.query_row(
        "SELECT (SELECT value FROM meta WHERE key = 'database'), \
                CAST((SELECT value FROM meta WHERE key = 'session') AS INTEGER)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

fn tail(connection: &Connection, database: Uuid, session: u64) -> Result<Chain, rusqlite::Error> {
    let last = |sql: &str| -> Result<Option<(u64, Hash)>, rusqlite::Error> {
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    };
    let (seq, hash) = match last("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1")? {
        Some(row) => row,
        None => last("SELECT last_seq, last_hash FROM purge ORDER BY number DESC LIMIT 1")?
            .unwrap_or((0, genesis(&database))),
    };
    let checkpoint = Checkpoint::last(connection)?;
    let purged: u64 =
        connection.query_row("SELECT coalesce(max(last_checkpoint), 0) FROM purge", [], |row| row.get(0))?;
    Ok(Chain {
        database,
        session,
        seq,
        hash,
        ordinal: checkpoint.as_ref().map_or(purged, |c| c.ordinal.max(purged)),
        signed: checkpoint.map_or(0, |c| c.seq).min(seq),
        covered: facet::covered(connection)?,
        segment: segment::next(connection)?,
    })
}

/// Holds the database against its head. Where the head is further, the chain goes on after it: the numbers
/// between stay empty for good and show what is gone.
fn compare(
    connection: &Connection,
    chain: &mut Chain,
    state: &HeadState,
) -> Result<Vec<Discontinuity>, rusqlite::Error> {
    let head = match state {
        HeadState::Missing => return Ok(vec![Discontinuity::MissingHead]),
        HeadState::Unsigned => return Ok(vec![Discontinuity::UnsignedHead]),
        HeadState::Found(head) => head,
    };
    if head.database != chain.database {
        return Ok(vec![Discontinuity::OtherDatabase { head_seq: head.seq }]);
    }
    let mut found = Vec::new();
    if head.checkpoint > chain.ordinal {
        found.push(Discontinuity::CheckpointsRemoved { last: chain.ordinal, known: head.checkpoint });
        chain.ordinal = head.checkpoint;
    }
    if head.seq > chain.seq {
        found.push(Discontinuity::BehindHead { last_seq: chain.seq, head_seq: head.seq });
        chain.seq = head.seq;
    } else if hash_of(connection, head.seq)?.is_some_and(|hash| hash != head.hash) {
        found.push(Discontinuity::Rewritten { seq: head.seq });
    } else if head.closed && chain.seq > head.seq {
        found.push(Discontinuity::AddedWhileClosed { first_seq: head.seq + 1 });
    }
    Ok(found)
}

/// The last checkpoint and the rows behind it; a few hundred at most.
fn check_tail(
    connection: &Connection,
    chain: &Chain,
    keys: &[PublicKey],
) -> Result<Option<Discontinuity>, rusqlite::Error> {
    let Some(checkpoint) = Checkpoint::last(connection)? else { return Ok(None) };
    if !keys.iter().any(|key| checkpoint.is_signed_by(key, &chain.database)) {
        return Ok(Some(Discontinuity::BadCheckpoint { ordinal: checkpoint.ordinal }));
    }
    let Some(mut previous) = hash_of(connection, checkpoint.seq)? else { return Ok(None) };
    if previous != checkpoint.hash {
        return Ok(Some(Discontinuity::Rewritten { seq: checkpoint.seq }));
    }
    let mut rows = connection.prepare("SELECT seq, hash, body FROM event WHERE seq > ?1 ORDER BY seq")?;
    let mut rows = rows.query([checkpoint.seq])?;
    while let Some(row) = rows.next()? {
        let (seq, hash): (u64, Hash) = (row.get(0)?, row.get(1)?);
        if row_hash(&previous, row.get_ref(2)?.as_bytes()?) != hash {
            return Ok(Some(Discontinuity::BrokenChain { seq }));
        }
        previous = hash;
    }
    Ok(None)
}

fn hash_of(connection: &Connection, seq: u64) -> Result<Option<Hash>, rusqlite::Error> {
    connection.query_row("SELECT hash FROM event WHERE seq = ?1", [seq], |row| row.get(0)).optional()
}
