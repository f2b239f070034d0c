use sallyport_audit::*;

use crate::support::*;

#[test]
fn a_new_trail_is_private_and_whole_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let keys = MemoryKeys::default();
    let (trail, report) = open(folder.path(), &keys);
    assert_eq!(report, OpenReport { created: true, last_seq: 0, ahead_of_head: 0, discontinuities: vec![] });
    fill(&trail, 1, 3);
    #[cfg(unix)]
    for file in ["audit.db", "audit.db-wal", "audit.head", "audit.pub", "audit.lock"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(
        trail.public_key().to_hex(),
        std::fs::read_to_string(folder.path().join("audit.pub")).unwrap().trim()
    );
    assert!(check(folder.path(), &keys).is_whole());
    let vacuum: i64 =
        Attacker::on(folder.path()).0.query_row("PRAGMA auto_vacuum", [], |row| row.get(0)).unwrap();
    assert_eq!(vacuum, 2, "a purge gives its space back");
    drop(trail);
    let (_trail, report) = open(folder.path(), &keys);
    assert_eq!(report, OpenReport { created: false, last_seq: 3, ahead_of_head: 0, discontinuities: vec![] });
    assert!(check(folder.path(), &keys).is_whole());
}

#[test]
fn two_engines_do_not_share_a_trail() {
    let folder = tempfile::tempdir().unwrap();
    let keys = MemoryKeys::default();
    let (_trail, _) = open(folder.path(), &keys);
    let second = Trail::open(&TrailPaths::in_folder(folder.path()), &keys, TrailOptions::default());
    assert!(matches!(second, Err(AuditError::InUse { .. })), "{second:?}");
}

/// Opens after the attack and gives what the report and the recorded events say.
fn reopened(attack: impl FnOnce(&std::path::Path)) -> (Vec<Discontinuity>, VerifyReport) {
    let folder = tempfile::tempdir().unwrap();
    let keys = MemoryKeys::fixed(1);
    let (trail, _) = open(folder.path(), &keys);
    fill(&trail, 1, 300);
    drop(trail);
    attack(folder.path());
    let (trail, report) = open(folder.path(), &keys);
    fill(&trail, 301, 305);
    drop(trail);
    let verified = check(folder.path(), &keys);
    assert!(!verified.is_whole());
    let recorded: Vec<&str> = verified.discontinuities.iter().map(|d| d.code.as_str()).collect();
    let reported: Vec<&str> = report.discontinuities.iter().map(Discontinuity::code).collect();
    if !matches!(verified.fault, Some(Fault { kind: FaultKind::Removed { .. }, .. })) {
        assert_eq!(recorded, reported, "{verified:?}");
    }
    (report.discontinuities, verified)
}

#[test]
fn a_trail_that_does_not_continue_is_opened_and_says_so() {
    let sql = |sql: &'static str| move |folder: &std::path::Path| Attacker::on(folder).run(sql);

    let (found, verified) = reopened(sql("DELETE FROM event WHERE seq > 280"));
    assert_eq!(found, [Discontinuity::BehindHead { last_seq: 280, head_seq: 300 }]);
    assert_eq!(verified.fault, Some(Fault { seq: 281, kind: FaultKind::Removed { last: 300 } }));

    let (found, _) = reopened(|folder| std::fs::remove_file(folder.join("audit.head")).unwrap());
    assert_eq!(found, [Discontinuity::MissingHead]);

    let (found, _) = reopened(|folder| std::fs::write(folder.join("audit.head"), "{}").unwrap());
    assert_eq!(found, [Discontinuity::UnsignedHead]);

    let (found, _) = reopened(|folder| {
        for file in ["audit.db", "audit.db-wal", "audit.db-shm"] {
            let _ = std::fs::remove_file(folder.join(file));
        }
    });
    assert_eq!(found, [Discontinuity::OtherDatabase { head_seq: 300 }]);

    let (found, _) = reopened(|folder| {
        for file in ["audit.db", "audit.head"] {
            std::fs::remove_file(folder.join(file)).unwrap();
        }
    });
    assert_eq!(found, [Discontinuity::MissingHead]);

    let (found, verified) = reopened(|folder| {
        let a = Attacker::on(folder);
        let (_, body) = a.row(299);
        a.set(299, &[], &body.replace("dev", "eve"));
        a.rehash(299);
        a.reindex();
    });
    assert!(
        found.iter().all(|d| matches!(d, Discontinuity::Rewritten { seq: 300 })) && !found.is_empty(),
        "{found:?}"
    );
    assert!(matches!(verified.fault.unwrap().kind, FaultKind::Rehashed { .. }));

    let (found, _) = reopened(|folder| {
        let a = Attacker::on(folder);
        let (_, body) = a.row(300);
        a.set(301, &[], &body);
        a.rehash(301);
    });
    assert_eq!(found, [Discontinuity::AddedWhileClosed { first_seq: 301 }]);

    let (found, _) = reopened(sql("UPDATE checkpoint SET signature = zeroblob(64)"));
    assert!(matches!(found[..], [Discontinuity::BadCheckpoint { .. }]), "{found:?}");

    let (found, verified) = reopened(sql("DELETE FROM checkpoint"));
    assert!(matches!(found[..], [Discontinuity::CheckpointsRemoved { last: 0, .. }]), "{found:?}");
    assert!(matches!(verified.fault.unwrap().kind, FaultKind::CheckpointRemoved { ordinal: 1 }));
}

#[test]
fn a_lost_signing_key_is_recorded_and_old_signatures_do_not_accuse() {
    let folder = tempfile::tempdir().unwrap();
    let (trail, _) = open(folder.path(), &MemoryKeys::fixed(1));
    let old = trail.public_key();
    fill(&trail, 1, 600);
    drop(trail);
    let keys = MemoryKeys::default();
    let (trail, report) = open(folder.path(), &keys);
    let changed = Discontinuity::KeyChanged { previous: old.to_hex(), current: trail.public_key().to_hex() };
    assert_eq!(report.discontinuities, [changed]);
    fill(&trail, 601, 900);
    drop(trail);
    let report = check(folder.path(), &keys);
    assert_eq!(report.fault, None);
    assert_eq!(report.discontinuities.len(), 1);
    assert_eq!(report.discontinuities[0].code, "key_changed");
    assert_eq!(report.discontinuities[0].seq, 601);
}

#[test]
fn a_file_of_another_kind_or_version_is_left_alone() {
    let keys = MemoryKeys::default();
    let foreign = |sql: &str| {
        let folder = tempfile::tempdir().unwrap();
        Attacker::on(folder.path()).run(sql);
        let before = std::fs::read(folder.path().join("audit.db")).unwrap();
        let result = Trail::open(&TrailPaths::in_folder(folder.path()), &keys, TrailOptions::default());
        assert!(matches!(result, Err(AuditError::Foreign { .. })), "{result:?}");
        (before, std::fs::read(folder.path().join("audit.db")).unwrap())
    };
    foreign("CREATE TABLE cookies (a); INSERT INTO cookies VALUES (1);");
    foreign(
        "CREATE TABLE migration (version INTEGER PRIMARY KEY, applied TEXT NOT NULL) STRICT;
             INSERT INTO migration VALUES (99, 'x');",
    );

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("audit.db"), vec![7; 8192]).unwrap();
    let result = Trail::open(&TrailPaths::in_folder(folder.path()), &keys, TrailOptions::default());
    assert_eq!(result.unwrap_err().trouble(), Some(Trouble::Corrupt));
    assert_eq!(std::fs::read(folder.path().join("audit.db")).unwrap(), vec![7; 8192]);
}
