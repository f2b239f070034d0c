use std::path::Path;
use std::sync::OnceLock;

use sallyport_audit::*;
use tempfile::TempDir;

use crate::support::*;

const ROWS: u64 = 700;

/// A closed trail of 700 rows, made once and copied for each attack.
fn original() -> (&'static Path, MemoryKeys) {
    static ORIGINAL: OnceLock<TempDir> = OnceLock::new();
    let folder = ORIGINAL.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (trail, _) = open(folder.path(), &MemoryKeys::fixed(1));
        fill(&trail, 1, ROWS);
        folder
    });
    (folder.path(), MemoryKeys::fixed(1))
}

/// What `verify` says after the attack.
fn after(attack: impl FnOnce(&Path, &Attacker)) -> VerifyReport {
    let (original, keys) = original();
    let folder = tempfile::tempdir().unwrap();
    copy(original, folder.path());
    let attacker = Attacker::on(folder.path());
    attack(folder.path(), &attacker);
    drop(attacker);
    check(folder.path(), &keys)
}

fn fault(attack: impl FnOnce(&Path, &Attacker)) -> Fault {
    after(attack).fault.expect("the attack went unnoticed")
}

fn is(seq: u64, kind: FaultKind) -> Fault {
    Fault { seq, kind }
}

#[test]
fn an_untouched_trail_is_whole() {
    let report = after(|_, _| {});
    assert!(report.is_whole(), "{report:?}");
    assert_eq!((report.rows, report.first_seq, report.last_seq, report.ahead_of_head), (ROWS, 1, ROWS, 0));
    // One for each 256 rows or so and one at the end.
    assert!(report.checkpoints >= 2, "{report:?}");
}

#[test]
fn a_changed_row() {
    let change = |body: &str| body.replace("\"user_id\":\"dev\"", "\"user_id\":\"eve\"");
    for seq in [1, 2, 300, 512, ROWS] {
        let found = fault(|_, a| {
            let (hash, body) = a.row(seq);
            a.set(seq, &hash, &change(&body));
            a.reindex();
        });
        assert_eq!(found, is(seq, FaultKind::Changed));
    }
    assert_eq!(is(300, FaultKind::Changed).to_string(), "row 300 was changed");
}

#[test]
fn a_changed_row_whose_hash_was_recomputed() {
    for seq in [1, 2, 300, ROWS - 1] {
        let found = fault(|_, a| {
            let next: Vec<_> = (seq + 1..=ROWS).map(|s| (s, a.row(s))).collect();
            let (_, body) = a.row(seq);
            a.set(seq, &[], &body.replace("\"user_id\":\"dev\"", "\"user_id\":\"eve\""));
            a.rehash(seq);
            for (s, (hash, body)) in next {
                a.set(s, &hash, &body);
            }
            a.reindex();
        });
        assert_eq!(found, is(seq, FaultKind::Changed), "row {seq}");
    }
}

#[test]
fn a_row_of_another_type_or_without_json() {
    assert_eq!(fault(|_, a| a.run("UPDATE event SET body = 'x' WHERE seq = 9")), is(9, FaultKind::Changed));
    assert_eq!(fault(|_, a| a.run("UPDATE event SET hash = x'00' WHERE seq = 9")), is(9, FaultKind::Changed));
}

#[test]
fn a_removed_row() {
    assert_eq!(
        fault(|_, a| a.run("DELETE FROM event WHERE seq = 300")),
        is(300, FaultKind::Removed { last: 300 })
    );
    assert_eq!(
        fault(|_, a| a.run("DELETE FROM event WHERE seq < 10")),
        is(1, FaultKind::Removed { last: 9 })
    );
    let several = "DELETE FROM event WHERE seq BETWEEN 300 AND 310";
    assert_eq!(fault(|_, a| a.run(several)), is(300, FaultKind::Removed { last: 310 }));
}

#[test]
fn a_removed_row_whose_successors_moved_up() {
    let found = fault(|_, a| {
        a.run("DELETE FROM event WHERE seq = 300");
        for seq in 301..=ROWS {
            a.0.execute("UPDATE event SET seq = ?1 WHERE seq = ?2", [seq - 1, seq]).unwrap();
        }
        a.reindex();
    });
    assert_eq!(found, is(300, FaultKind::Removed { last: 300 }));
}

fn make_room(a: &Attacker, seq: u64) {
    for old in (seq..=ROWS).rev() {
        a.0.execute("UPDATE event SET seq = ?1 WHERE seq = ?2", [old + 1, old]).unwrap();
    }
}

#[test]
fn an_inserted_row() {
    // A copy of another row, hashes and all.
    let copied = fault(|_, a| {
        make_room(a, 300);
        let (hash, body) = a.row(100);
        a.set(300, &hash, &body);
        a.reindex();
    });
    assert_eq!(copied, is(300, FaultKind::Inserted));

    // One that continues the chain as it should, so that the rows after it don't.
    let forged = fault(|_, a| {
        let after: Vec<_> = (300..=ROWS).map(|s| a.row(s)).collect();
        let body = a.row(299).1;
        a.set(300, &[], &body.replace("\"user_id\":\"dev\"", "\"user_id\":\"eve\""));
        a.run("DELETE FROM event WHERE seq > 300");
        a.rehash(300);
        for (seq, (hash, body)) in (301..).zip(after) {
            a.set(seq, &hash, &body);
        }
        a.reindex();
    });
    assert_eq!(forged, is(300, FaultKind::Inserted));

    // In its place by number, but referring to nothing.
    let loose = fault(|_, a| {
        make_room(a, 300);
        let (_, body) = a.row(301);
        let prev = body.find("\"prev_hash\":\"").unwrap() + 13;
        let body = format!("{}{}{}", &body[..prev], "00".repeat(32), &body[prev + 64..]);
        a.set(300, &[0; 32], &body);
        a.reindex();
    });
    assert_eq!(loose, is(300, FaultKind::Inserted));
}

#[test]
fn swapped_rows() {
    for (x, y) in [(300, 301), (300, 500), (1, ROWS)] {
        let found = fault(|_, a| {
            let (first, second) = (a.row(x), a.row(y));
            a.set(x, &second.0, &second.1);
            a.set(y, &first.0, &first.1);
            a.reindex();
        });
        assert_eq!(found, is(x, FaultKind::Reordered), "{x} and {y}");
    }
}

#[test]
fn a_cut_tail() {
    let cut = is(651, FaultKind::TailCut { head_seq: ROWS });
    assert_eq!(fault(|_, a| a.run("DELETE FROM event WHERE seq > 650")), cut);
    let loose_ends = "DELETE FROM event WHERE seq > 650; DELETE FROM facet WHERE seq > 650;";
    assert_eq!(fault(|_, a| a.run(loose_ends)), cut);
    let thorough = "DELETE FROM event WHERE seq > 650; DELETE FROM facet WHERE seq > 650;
                    DELETE FROM checkpoint WHERE seq > 650;";
    assert_eq!(fault(|_, a| a.run(thorough)), cut);
    // All of it.
    assert_eq!(fault(|_, a| a.run("DELETE FROM event")), is(1, FaultKind::TailCut { head_seq: ROWS }));
}

#[test]
fn a_rehashed_suffix() {
    let rewrite = |a: &Attacker, seq: u64| {
        let (_, body) = a.row(seq);
        a.set(seq, &[], &body.replace("\"user_id\":\"dev\"", "\"user_id\":\"eve\""));
        a.rehash(seq);
        a.reindex();
    };
    let found = fault(|_, a| rewrite(a, 300));
    assert!(matches!(found.kind, FaultKind::Rehashed { signed_at } if signed_at >= 300), "{found:?}");
    assert!(found.seq <= 300 && found.seq > 1, "{found:?}");

    // Without the checkpoints that speak against it, their absence does.
    let found = fault(|_, a| {
        rewrite(a, 300);
        a.run("DELETE FROM checkpoint WHERE seq >= 300");
    });
    assert!(
        matches!(found.kind, FaultKind::Rehashed { .. } | FaultKind::CheckpointRemoved { .. }),
        "{found:?}"
    );
    assert!(found.seq <= 300, "{found:?}");

    // With checkpoints that agree, their signatures don't.
    let found = fault(|_, a| {
        rewrite(a, 300);
        a.run("UPDATE checkpoint SET hash = (SELECT hash FROM event e WHERE e.seq = checkpoint.seq)");
    });
    assert!(matches!(found.kind, FaultKind::BadSignature { .. }), "{found:?}");

    // The last row alone: only the head and the last checkpoint know better.
    let found = fault(|_, a| {
        rewrite(a, ROWS);
        a.run("DELETE FROM checkpoint WHERE seq = 700");
    });
    assert!(matches!(found.kind, FaultKind::Rehashed { signed_at: ROWS }), "{found:?}");
}

#[test]
fn a_removed_row_with_a_rehashed_suffix() {
    let found = fault(|_, a| {
        a.run("DELETE FROM event WHERE seq = 300");
        for seq in 301..=ROWS {
            a.0.execute("UPDATE event SET seq = ?1 WHERE seq = ?2", [seq - 1, seq]).unwrap();
        }
        a.rehash(300);
        a.reindex();
    });
    assert!(matches!(found.kind, FaultKind::Rehashed { .. }) && found.seq <= 300, "{found:?}");
}

#[test]
fn an_older_copy() {
    let keys = MemoryKeys::fixed(1);
    let folder = tempfile::tempdir().unwrap();
    copy(original().0, folder.path());
    let backup = std::fs::read(folder.path().join("audit.db")).unwrap();
    let (trail, report) = open(folder.path(), &keys);
    assert!(report.discontinuities.is_empty() && !report.created, "{report:?}");
    fill(&trail, ROWS + 1, ROWS + 20);
    drop(trail);
    assert!(check(folder.path(), &keys).is_whole());

    std::fs::write(folder.path().join("audit.db"), backup).unwrap();
    let found = check(folder.path(), &keys).fault.unwrap();
    assert_eq!(found, is(ROWS + 1, FaultKind::OlderCopy { head_seq: ROWS + 20 }));

    // The engine notices, too, goes on after the numbers that are gone, and the gap stays for good.
    let (trail, report) = open(folder.path(), &keys);
    let behind = Discontinuity::BehindHead { last_seq: ROWS, head_seq: ROWS + 20 };
    assert!(report.discontinuities.contains(&behind), "{report:?}");
    fill(&trail, 1, 5);
    drop(trail);
    let report = check(folder.path(), &keys);
    assert_eq!(report.fault, Some(is(ROWS + 1, FaultKind::Removed { last: ROWS + 20 })));
    assert!(folder.path().join("audit.head.1").exists(), "the old head is evidence");
}

#[test]
fn a_head_that_is_gone_or_forged() {
    let gone = fault(|folder, _| std::fs::remove_file(folder.join("audit.head")).unwrap());
    assert_eq!(gone.kind, FaultKind::HeadMissing);
    let forged = fault(|folder, _| {
        let head = std::fs::read_to_string(folder.join("audit.head")).unwrap();
        std::fs::write(folder.join("audit.head"), head.replace("\"seq\":700", "\"seq\":650")).unwrap();
    });
    assert_eq!(forged.kind, FaultKind::HeadUnsigned);
    // Nor does its absence hide what else was done.
    let both = fault(|folder, a| {
        a.run("DELETE FROM event WHERE seq > 650");
        std::fs::remove_file(folder.join("audit.head")).unwrap();
    });
    assert_eq!(both.seq, 651);
    assert!(matches!(both.kind, FaultKind::TailCut { .. }), "{both:?}");
}

#[test]
fn another_database_or_another_key() {
    let other = tempfile::tempdir().unwrap();
    let (trail, _) = open(other.path(), &MemoryKeys::fixed(1));
    fill(&trail, 1, 800);
    drop(trail);
    let found = fault(|folder, _| {
        std::fs::copy(other.path().join("audit.db"), folder.join("audit.db")).unwrap();
    });
    assert_eq!(found.kind, FaultKind::OtherDatabase);

    // A whole trail that somebody made with a key of their own does not pass for ours.
    let theirs = tempfile::tempdir().unwrap();
    let (trail, _) = open(theirs.path(), &MemoryKeys::fixed(2));
    fill(&trail, 1, 800);
    drop(trail);
    let found = fault(|folder, _| {
        for file in ["audit.db", "audit.head"] {
            std::fs::copy(theirs.path().join(file), folder.join(file)).unwrap();
        }
    });
    assert!(matches!(found.kind, FaultKind::BadSignature { .. } | FaultKind::HeadUnsigned), "{found:?}");
}

#[test]
fn triggers_views_and_edited_indexes() {
    let trigger = "CREATE TRIGGER t BEFORE INSERT ON event BEGIN SELECT RAISE(IGNORE); END;";
    assert_eq!(fault(|_, a| a.run(trigger)).kind, FaultKind::SchemaAltered { object: "trigger t".into() });
    let hide = "UPDATE facet SET provider = 'none' WHERE seq = 300";
    assert_eq!(fault(|_, a| a.run(hide)), is(300, FaultKind::IndexAltered));
    let hide = "UPDATE facet SET redactions = 0 WHERE seq = 300";
    assert_eq!(fault(|_, a| a.run(hide)), is(300, FaultKind::IndexAltered));
    assert_eq!(fault(|_, a| a.run("DELETE FROM facet WHERE seq = 300")), is(300, FaultKind::IndexAltered));
    let ghost =
        "INSERT INTO facet (seq, ts, event_type, event_id, redactions) VALUES (0, 'x', 'error', 'x', 0)";
    assert_eq!(fault(|_, a| a.run(ghost)).kind, FaultKind::IndexAltered);
}

#[test]
fn edited_segments() {
    let folder = tempfile::tempdir().unwrap();
    let keys = MemoryKeys::default();
    let trail = open(folder.path(), &keys).0;
    fill(&trail, 1, 8200);
    drop(trail);
    let after = |sql: &str| {
        let copied = tempfile::tempdir().unwrap();
        copy(folder.path(), copied.path());
        Attacker::on(copied.path()).run(sql);
        check(copied.path(), &keys).fault
    };
    for column in ["entries", "times", "hashes"] {
        let hide = format!("UPDATE segment SET {column} = zeroblob(length({column})) WHERE number = 1");
        assert_eq!(after(&hide), Some(is(4096, FaultKind::IndexAltered)), "{column}");
    }
    let ghost = "INSERT INTO segment SELECT 9, min_time, max_time, entries, times, hashes FROM segment WHERE number = 1";
    assert_eq!(after(ghost), Some(is(9 * 4096, FaultKind::IndexAltered)));
    // Derived: without it rows are looked at one by one.
    assert_eq!(after("DELETE FROM segment"), None);
}

#[test]
fn rows_added_while_no_engine_ran() {
    let found = fault(|_, a| {
        let (_, body) = a.row(ROWS);
        a.set(ROWS + 1, &[], &body);
        a.rehash(ROWS + 1);
    });
    assert_eq!(found, is(ROWS + 1, FaultKind::AddedWhileClosed));
}

#[test]
fn a_forged_purge() {
    let found = fault(|_, a| {
        a.run(
            "INSERT INTO purge SELECT 1, 1, 100, hash, 0, 0, zeroblob(64) FROM event WHERE seq = 100;
             DELETE FROM event WHERE seq <= 100; DELETE FROM facet WHERE seq <= 100;",
        );
    });
    assert_eq!(found, is(1, FaultKind::BadPurgeRecord { number: 1 }));
}

#[test]
fn a_damaged_file() {
    let report = after(|folder, _| {
        let path = folder.join("audit.db");
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 4096].fill(0xa5);
        std::fs::write(path, bytes).unwrap();
    });
    assert!(!report.is_whole(), "{report:?}");
    let report = after(|folder, _| std::fs::write(folder.join("audit.db"), [7; 8192]).unwrap());
    assert_eq!(report.fault, Some(is(0, FaultKind::Damaged)));
}

#[test]
fn attacks_at_the_seams_between_threads() {
    let folder = tempfile::tempdir().unwrap();
    let keys = MemoryKeys::fixed(1);
    let rows = 9_000;
    let (trail, _) = open(folder.path(), &keys);
    for first in (1..=rows).step_by(3000) {
        fill(&trail, first, first + 2999);
    }
    drop(trail);
    let report = check(folder.path(), &keys);
    assert!(report.is_whole() && report.rows == rows, "{report:?}");
    let a = Attacker::on(folder.path());
    // Two threads meet here.
    for seq in 4499..=4502 {
        let saved = a.row(seq);
        let changed = saved.1.replace("\"user_id\":\"dev\"", "\"user_id\":\"eve\"");
        a.set(seq, &saved.0, &changed);
        assert_eq!(check(folder.path(), &keys).fault, Some(is(seq, FaultKind::Changed)));
        // With the row's own hash and the index made to fit.
        a.set(seq, &hash(&a.row(seq - 1).0, &changed), &changed);
        a.reindex_where(&format!("seq = {seq}"));
        assert_eq!(check(folder.path(), &keys).fault, Some(is(seq, FaultKind::Changed)));
        a.run(&format!("DELETE FROM event WHERE seq = {seq}"));
        assert_eq!(check(folder.path(), &keys).fault, Some(is(seq, FaultKind::Removed { last: seq })));
        a.set(seq, &saved.0, &saved.1);
        a.reindex_where(&format!("seq = {seq}"));
        assert!(check(folder.path(), &keys).is_whole());
    }
}
