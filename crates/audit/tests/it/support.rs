//! Trails to play with.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, params};
use sallyport_audit::*;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

#[derive(Default)]
pub(crate) struct MemoryKeys(pub(crate) Mutex<BTreeMap<String, Vec<u8>>>);

impl MemoryKeys {
    pub(crate) fn fixed(seed: u8) -> MemoryKeys {
        let keys = MemoryKeys::default();
        keys.store(SIGNING_KEY, &[seed; 32]).unwrap();
        keys
    }
}

impl KeyStore for MemoryKeys {
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyStoreError> {
        Ok(self.0.lock().unwrap().get(name).cloned().map(Zeroizing::new))
    }

    fn store(&self, name: &str, key: &[u8]) -> Result<(), KeyStoreError> {
        self.0.lock().unwrap().insert(name.into(), key.to_vec());
        Ok(())
    }
}

pub(crate) fn event(n: u64) -> Event {
    let actor = Actor {
        agent_id: Some(format!("agent-{}", n % 3)),
        ip_address: Some("127.0.0.1".into()),
        service_account: Some("ai-agent-coding".into()),
        user_agent: Some("claude-cli/2.1.330 (external, \"cli\")".into()),
        user_id: Some("dev".into()),
    };
    let provider = AiProvider {
        api_version: Some("2023-06-01".into()),
        endpoint: Some("https://api.anthropic.com/v1/messages".into()),
        model: Some("claude-sonnet-4-5".into()),
        name: Some(if n.is_multiple_of(2) { "anthropic" } else { "openai" }.into()),
    };
    let kind = EventType::ALL[(n % 5) as usize];
    let mut event =
        Event::new(kind, Timestamp::from_second(1_750_000_000 + n as i64).unwrap(), actor, provider);
    event.exchange_id = Some(Uuid::from_u128((n / 2).into()));
    event.request = Some(Request {
        classification: Some(if n.is_multiple_of(7) { "confidential" } else { "public" }.into()),
        contains_code: Some(true),
        prompt_hash: Some("ab".repeat(32)),
        prompt_length: Some(1000 + n),
        redactions_applied: if n.is_multiple_of(10) { vec!["aws_key".into(), "jwt".into()] } else { vec![] },
    });
    event.compliance = Some(Compliance {
        consent_verified: Some(true),
        data_residency: Some("us".into()),
        retention_policy: Some("90d".into()),
    });
    event
}

pub(crate) fn open(folder: &Path, keys: &MemoryKeys) -> (Trail, OpenReport) {
    Trail::open(&TrailPaths::in_folder(folder), keys, TrailOptions::default()).unwrap()
}

/// Appends events `first..=last` and waits for the last.
pub(crate) fn fill(trail: &Trail, first: u64, last: u64) {
    let receipts: Vec<Receipt> = (first..=last).map(|n| trail.append(event(n))).collect();
    for receipt in receipts {
        receipt.wait().unwrap();
    }
}

pub(crate) fn check(folder: &Path, keys: &MemoryKeys) -> VerifyReport {
    let paths = TrailPaths::in_folder(folder);
    let key = public_key(folder, keys);
    verify(&paths.database, &paths.head, &key).unwrap()
}

/// As an auditor has it pinned: from the key itself, not from the file beside the trail.
fn public_key(folder: &Path, keys: &MemoryKeys) -> PublicKey {
    let seed = keys.load(SIGNING_KEY).unwrap().unwrap();
    let signing = ed25519_dalek::SigningKey::from_bytes(seed.as_slice().try_into().unwrap());
    let hex: String = signing.verifying_key().as_bytes().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(std::fs::read_to_string(folder.join("audit.pub")).unwrap().trim(), hex);
    PublicKey::from_hex(&hex).unwrap()
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A row's hash, as anybody can compute it.
pub(crate) fn hash(previous: &[u8], body: &str) -> Vec<u8> {
    Sha256::new().chain_update(previous).chain_update(body).finalize().to_vec()
}

/// Somebody with an SQLite shell and no key.
pub(crate) struct Attacker(pub(crate) Connection);

impl Attacker {
    pub(crate) fn on(folder: &Path) -> Attacker {
        Attacker(Connection::open(folder.join("audit.db")).unwrap())
    }

    pub(crate) fn run(&self, sql: &str) {
        self.0.execute_batch(sql).unwrap();
    }

    pub(crate) fn row(&self, seq: u64) -> (Vec<u8>, String) {
        self.0
            .query_row("SELECT hash, body FROM event WHERE seq = ?1", [seq], |r| Ok((r.get(0)?, r.get(1)?)))
            .unwrap()
    }

    pub(crate) fn set(&self, seq: u64, hash: &[u8], body: &str) {
        let sql = "INSERT OR REPLACE INTO event VALUES (?1, ?2, ?3)";
        self.0.execute(sql, params![seq, hash, body]).unwrap();
    }

    pub(crate) fn last(&self) -> u64 {
        self.0.query_row("SELECT max(seq) FROM event", [], |r| r.get(0)).unwrap()
    }

    /// Recomputes numbers and hashes from `from` on, as the code does.
    pub(crate) fn rehash(&self, from: u64) {
        let mut previous = if from > 1 { Some(self.row(from - 1).0) } else { None };
        for seq in from..=self.last() {
            let body = self.row(seq).1;
            let mut value: serde_json::Value = serde_json::from_str(&body).unwrap();
            value["seq"] = seq.into();
            let claimed = match &previous {
                Some(hash) => hash.iter().map(|b| format!("{b:02x}")).collect::<String>(),
                None => value["prev_hash"].as_str().unwrap().to_owned(),
            };
            value["prev_hash"] = claimed.clone().into();
            let body = serde_json::to_string(&value).unwrap();
            let raw: Vec<u8> =
                (0..32).map(|i| u8::from_str_radix(&claimed[2 * i..2 * i + 2], 16).unwrap()).collect();
            let hash = hash(&raw, &body);
            self.set(seq, &hash, &body);
            previous = Some(hash);
        }
    }

    /// Makes the search index agree with the rows again.
    pub(crate) fn reindex(&self) {
        self.run("DELETE FROM facet WHERE seq > (SELECT max(seq) FROM event)");
        self.reindex_where("1");
    }

    pub(crate) fn reindex_where(&self, condition: &str) {
        self.run(&format!(
            "INSERT OR REPLACE INTO facet SELECT seq, body ->> '$.timestamp', body ->> '$.event_type', \
               body ->> '$.event_id', body ->> '$.exchange_id', body ->> '$.ai_provider.name', \
               body ->> '$.ai_provider.model', body ->> '$.request.classification', \
               coalesce(json_array_length(body, '$.request.redactions_applied'), 0), body ->> '$.actor.user_id', \
               body ->> '$.actor.agent_id', body ->> '$.actions[0].action_type', body ->> '$.actions[0].outcome' \
             FROM event WHERE {condition};",
        ));
    }
}
