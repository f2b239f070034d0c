use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use sallyport_certs::{CaOutcome, CertAuthority, CertError, ReissueReason};

use crate::support::*;

const DAY: Duration = Duration::from_secs(86_400);

fn reason(outcome: CaOutcome) -> ReissueReason {
    match outcome {
        CaOutcome::Reissued { reason } => reason,
        other => panic!("{other:?}"),
    }
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n != ".lock")
        .collect();
    names.sort();
    names
}

#[test]
fn created_once_then_loaded() {
    let (dir, keys) = (tempfile::tempdir().unwrap(), MemoryKeys::default());
    let (first, outcome) = open(dir.path(), &keys, &["api.openai.com"]).unwrap();
    assert_eq!(outcome, CaOutcome::Created);
    assert_eq!(files(dir.path()), ["intermediate.pem", "root.pem"]);
    assert_eq!(keys.count(), 1, "the root's key is stored nowhere");
    let (second, outcome) = open(dir.path(), &keys, &["api.openai.com"]).unwrap();
    assert_eq!(outcome, CaOutcome::Loaded);
    assert_eq!(first.root_pem(), second.root_pem());
    assert_eq!(first.fingerprint_sha256(), second.fingerprint_sha256());
    assert_eq!(std::fs::read_to_string(second.root_path()).unwrap(), second.root_pem());
    let leaf = second.certified_key_now("api.openai.com").unwrap();
    rustls_accepts(first.root_pem(), &leaf.cert, "api.openai.com").unwrap();
    assert_eq!(ders(&second.chain_pem()).len(), 2);
    let years_left = second.not_after().duration_since(SystemTime::now()).unwrap().as_secs() / 86_400;
    assert!((728..=730).contains(&years_left));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(dir.path().join("root.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }
    // Nothing of the key in what may be logged.
    let shown = format!("{second:?}");
    for key in keys.keys.lock().unwrap().values() {
        let hex: String = key[key.len() - 8..].iter().map(|b| format!("{b:02x}")).collect();
        assert!(!shown.contains(&hex) && !shown.contains("serialized"), "{shown}");
    }
}

#[test]
fn two_installs_differ_in_subject_and_key() {
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), &MemoryKeys::default(), &["api.openai.com"]).unwrap().0
    };
    let (one, two) = (make(), make());
    let subject = |ca: &CertAuthority| {
        use x509_parser::prelude::FromDer;
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(ca.root_der()).unwrap();
        (certificate.subject().to_string(), certificate.public_key().raw.to_vec())
    };
    assert_ne!(subject(&one).0, subject(&two).0);
    assert_ne!(subject(&one).1, subject(&two).1);
}

#[test]
fn more_hosts_mean_a_new_root_and_an_overlap() {
    let (dir, keys) = (tempfile::tempdir().unwrap(), MemoryKeys::default());
    let (old, _) = open(dir.path(), &keys, &["*.openai.com"]).unwrap();
    // Names within what it may speak for change nothing; nor do fewer.
    assert_eq!(open(dir.path(), &keys, &["api.openai.com"]).unwrap().1, CaOutcome::Loaded);
    let wider = ["*.openai.com", "api.mistral.ai"];
    let (new, outcome) = open(dir.path(), &keys, &wider).unwrap();
    assert_eq!(
        reason(outcome),
        ReissueReason::HostsOutsideConstraints { hosts: vec!["api.mistral.ai".into()] }
    );
    assert_ne!(old.root_pem(), new.root_pem());
    assert_eq!(new.previous_root_pem().as_deref(), Some(old.root_pem()));
    assert_eq!(std::fs::read_to_string(dir.path().join("root.previous.pem")).unwrap(), old.root_pem());
    assert_eq!(keys.count(), 2);

    // Programs that run trust the old root: it goes on serving its hosts, also after a restart.
    for ca in [new, open(dir.path(), &keys, &wider).unwrap().0] {
        let known = ca.certified_key_now("api.openai.com").unwrap();
        rustls_accepts(old.root_pem(), &known.cert, "api.openai.com").unwrap();
        let added = ca.certified_key_now("api.mistral.ai").unwrap();
        rustls_accepts(ca.root_pem(), &added.cert, "api.mistral.ai").unwrap();
    }
    // A third root before the second was trusted: the first stays, the second goes.
    let (third, _) = open(dir.path(), &keys, &["*.openai.com", "api.mistral.ai", "api.groq.com"]).unwrap();
    assert_eq!(third.previous_root_pem().as_deref(), Some(old.root_pem()));
    assert_eq!(keys.count(), 2);
    // Once the new one is trusted the old key goes.
    third.retire_previous(&keys).unwrap();
    assert_eq!((keys.count(), third.previous_root_pem()), (1, None));
    let leaf = third.certified_key_now("api.openai.com").unwrap();
    rustls_accepts(third.root_pem(), &leaf.cert, "api.openai.com").unwrap();
    third.retire_previous(&keys).unwrap();
    let (fourth, outcome) = open(dir.path(), &keys, &["api.groq.com"]).unwrap();
    assert_eq!((outcome, fourth.previous_root_pem()), (CaOutcome::Loaded, None));
}

#[test]
fn rotation_on_request() {
    let (dir, keys) = (tempfile::tempdir().unwrap(), MemoryKeys::default());
    let (old, _) = open(dir.path(), &keys, &["api.openai.com"]).unwrap();
    let (new, outcome) =
        CertAuthority::reissue(dir.path(), &keys, &hosts(&["api.openai.com"]), SystemTime::now()).unwrap();
    assert_eq!(reason(outcome), ReissueReason::Requested);
    assert_ne!(old.fingerprint_sha256(), new.fingerprint_sha256());
    new.retire_previous(&keys).unwrap();
    assert_eq!(keys.count(), 1);
}

#[test]
fn what_is_removed_leaves_neither_key_nor_file() {
    let (dir, keys) = (tempfile::tempdir().unwrap(), MemoryKeys::default());
    let (first, _) = open(dir.path(), &keys, &["api.openai.com"]).unwrap();
    let (second, _) =
        CertAuthority::reissue(dir.path(), &keys, &hosts(&["api.openai.com"]), SystemTime::now()).unwrap();
    assert_eq!(keys.count(), 2);
    second.remove(&keys).unwrap();
    second.remove(&keys).unwrap();
    assert_eq!(keys.count(), 0);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, [".lock"]);
    let (third, outcome) = open(dir.path(), &keys, &["api.openai.com"]).unwrap();
    assert_eq!(outcome, CaOutcome::Created);
    assert!(![first, second].iter().any(|old| old.fingerprint_sha256() == third.fingerprint_sha256()));
}

#[test]
fn near_its_end_it_is_renewed() {
    let (dir, keys) = (tempfile::tempdir().unwrap(), MemoryKeys::default());
    let names = hosts(&["api.openai.com"]);
    let made = SystemTime::now() - 690 * DAY;
    let at = |time| CertAuthority::open_or_create(dir.path(), &keys, &names, time).unwrap();
    assert_eq!(at(made).1, CaOutcome::Created);
    assert_eq!(at(made + 690 * DAY).1, CaOutcome::Loaded);
    let (ca, outcome) = at(made + 702 * DAY);
    assert_eq!(reason(outcome), ReissueReason::ExpiresSoon);
    assert!(ca.previous_root_pem().is_some());
    // Long after, the old one is no longer served.
    let (ca, outcome) = at(made + 740 * DAY);
    assert_eq!((outcome, ca.previous_root_pem()), (CaOutcome::Loaded, None));
}

#[test]
fn a_clock_that_jumps() {
    let (dir, keys) = (tempfile::tempdir().unwrap(), MemoryKeys::default());
    let names = hosts(&["api.openai.com"]);
    let at = |time| CertAuthority::open_or_create(dir.path(), &keys, &names, time);
    assert!(matches!(at(SystemTime::UNIX_EPOCH), Err(CertError::Clock)));
    assert!(files(dir.path()).is_empty());
    // Made while the clock was years ahead, useless now.
    at(SystemTime::now() + 1000 * DAY).unwrap();
    let (ca, outcome) = at(SystemTime::now()).unwrap();
    assert_eq!(reason(outcome), ReissueReason::NotYetValid);
    ca.certified_key_now("api.openai.com").unwrap();
    // A dead battery costs no root.
    assert!(matches!(at(SystemTime::UNIX_EPOCH), Err(CertError::Clock)));
    assert_eq!(at(SystemTime::now()).unwrap().0.root_pem(), ca.root_pem());
}

#[test]
fn a_locked_key_store_costs_nothing() {
    let (dir, keys) = (tempfile::tempdir().unwrap(), MemoryKeys::default());
    let (ca, _) = open(dir.path(), &keys, &["api.openai.com"]).unwrap();
    keys.locked.store(true, Ordering::Relaxed);
    assert!(matches!(open(dir.path(), &keys, &["api.openai.com"]), Err(CertError::KeyStore { .. })));
    assert!(matches!(open(dir.path(), &keys, &["api.mistral.ai"]), Err(CertError::KeyStore { .. })));
    keys.locked.store(false, Ordering::Relaxed);
    let (again, outcome) = open(dir.path(), &keys, &["api.openai.com"]).unwrap();
    assert_eq!((outcome, again.root_pem()), (CaOutcome::Loaded, ca.root_pem()));

    // A first start with a locked store leaves no half-made authority.
    let empty = tempfile::tempdir().unwrap();
    keys.locked.store(true, Ordering::Relaxed);
    assert!(open(empty.path(), &keys, &["api.openai.com"]).is_err());
    assert!(files(empty.path()).is_empty());
}

#[test]
fn a_key_that_is_gone_or_another() {
    let (dir, keys) = (tempfile::tempdir().unwrap(), MemoryKeys::default());
    let (old, _) = open(dir.path(), &keys, &["api.openai.com"]).unwrap();
    keys.keys.lock().unwrap().clear();
    let (new, outcome) = open(dir.path(), &keys, &["api.openai.com"]).unwrap();
    assert_eq!(reason(outcome), ReissueReason::KeyMissing);
    // The old root stays known, so that it can be untrusted, but nothing can be served from it.
    assert_eq!(std::fs::read_to_string(dir.path().join("root.previous.pem")).unwrap(), old.root_pem());
    assert_eq!(new.previous_root_pem(), None);

    let (elsewhere, other) = (tempfile::tempdir().unwrap(), MemoryKeys::default());
    open(elsewhere.path(), &other, &["api.openai.com"]).unwrap();
    let foreign = other.keys.lock().unwrap().values().next().unwrap().clone();
    keys.keys.lock().unwrap().values_mut().for_each(|key| *key = foreign.clone());
    let (ca, outcome) = open(dir.path(), &keys, &["api.openai.com"]).unwrap();
    assert_eq!(reason(outcome), ReissueReason::KeyMismatch);
    let leaf = ca.certified_key_now("api.openai.com").unwrap();
    rustls_accepts(ca.root_pem(), &leaf.cert, "api.openai.com").unwrap();
}

#[test]
fn damaged_files_are_kept_aside() {
    let (dir, keys) = (tempfile::tempdir().unwrap(), MemoryKeys::default());
    let (ca, _) = open(dir.path(), &keys, &["api.openai.com"]).unwrap();
    let root = dir.path().join("root.pem");
    for (damage, kept) in [("", "root.pem.corrupt"), ("not a certificate", "root.pem.corrupt.1")] {
        std::fs::write(&root, damage).unwrap();
        let (_, outcome) = open(dir.path(), &keys, &["api.openai.com"]).unwrap();
        assert!(matches!(reason(outcome), ReissueReason::FileCorrupt { .. }));
        assert_eq!(std::fs::read_to_string(dir.path().join(kept)).unwrap(), damage);
    }
    // A root that didn't sign this intermediate, and bytes that are no text.
    std::fs::write(&root, ca.root_pem()).unwrap();
    let (_, outcome) = open(dir.path(), &keys, &["api.openai.com"]).unwrap();
    assert!(reason(outcome).to_string().contains("not signed by the root"));
    std::fs::write(dir.path().join("intermediate.pem"), [0xff, 0xfe]).unwrap();
    assert!(matches!(
        reason(open(dir.path(), &keys, &["a.example"]).unwrap().1),
        ReissueReason::FileCorrupt { .. }
    ));
    std::fs::remove_file(&root).unwrap();
    let (_, outcome) = open(dir.path(), &keys, &["a.example"]).unwrap();
    assert_eq!(reason(outcome), ReissueReason::FileMissing { file: "root.pem" });
    assert_eq!(open(dir.path(), &keys, &["a.example"]).unwrap().1, CaOutcome::Loaded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_leaf_is_minted_once_and_has_its_own_key() {
    let (dir, keys) = (tempfile::tempdir().unwrap(), MemoryKeys::default());
    let ca = Arc::new(open(dir.path(), &keys, &["*.openai.com", "10.1.2.3"]).unwrap().0);
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let ca = ca.clone();
            tokio::spawn(async move { ca.certified_key("api.openai.com").await.unwrap() })
        })
        .collect();
    let mut leaves = Vec::new();
    for task in tasks {
        leaves.push(task.await.unwrap());
    }
    assert!(leaves.iter().all(|leaf| Arc::ptr_eq(leaf, &leaves[0])));
    for same in ["API.OpenAI.com", "api.openai.com."] {
        assert!(Arc::ptr_eq(&ca.certified_key(same).await.unwrap(), &leaves[0]), "{same}");
    }
    let other = ca.certified_key("chat.openai.com").await.unwrap();
    let spki = |leaf: &rustls::sign::CertifiedKey| leaf.key.public_key().unwrap().to_vec();
    assert_ne!(spki(&leaves[0]), spki(&other));
    for outside in ["bank.example", "10.1.2.4", "::1", "notopenai.com"] {
        let refused = ca.certified_key(outside).await;
        assert!(matches!(refused, Err(CertError::OutsideConstraints { .. })), "{outside}");
    }
    assert!(matches!(ca.certified_key("a b").await, Err(CertError::Host { .. })));
}

#[test]
fn a_leaf_lives_seven_days_at_most_within_its_issuer() {
    use x509_parser::prelude::FromDer;
    let (dir, keys) = (tempfile::tempdir().unwrap(), MemoryKeys::default());
    let names = hosts(&["api.openai.com"]);
    let leaf_times = |ca: &CertAuthority| {
        let leaf = ca.certified_key_now("api.openai.com").unwrap();
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&leaf.cert[0]).unwrap();
        let validity = certificate.validity();
        assert!(certificate.raw_serial().len() == 16);
        (validity.not_before.timestamp(), validity.not_after.timestamp())
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
    let (ca, _) = CertAuthority::open_or_create(dir.path(), &keys, &names, SystemTime::now()).unwrap();
    let (from, to) = leaf_times(&ca);
    assert!((now - 3602..=now - 3590).contains(&from), "an hour for clocks that are behind");
    assert_eq!(to - from, 7 * 86_400 - 1);

    // An authority with three days left gives no leaf a longer life.
    let dir = tempfile::tempdir().unwrap();
    let made = SystemTime::now() - 727 * DAY;
    let (ca, _) = CertAuthority::open_or_create(dir.path(), &keys, &names, made).unwrap();
    let ends = ca.not_after().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
    assert_eq!(leaf_times(&ca).1, ends);

    let dir = tempfile::tempdir().unwrap();
    let made = SystemTime::now() - 731 * DAY;
    let (ca, _) = CertAuthority::open_or_create(dir.path(), &keys, &names, made).unwrap();
    assert!(matches!(ca.certified_key_now("api.openai.com"), Err(CertError::NotValidNow)));
}
