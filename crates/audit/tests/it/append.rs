use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sallyport_audit::*;
use sallyport_policy::config::Durability;

use crate::support::*;

#[test]
fn many_threads_get_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let keys = MemoryKeys::default();
    let trail = Arc::new(open(folder.path(), &keys).0);
    let threads: Vec<_> = (0..16)
        .map(|t| {
            let trail = trail.clone();
            std::thread::spawn(move || {
                (0..100)
                    .map(|n| match trail.append(event(t * 100 + n)).wait().unwrap() {
                        Recorded::Durable { seq } => seq,
                        Recorded::Queued => panic!("strict durability"),
                    })
                    .collect::<Vec<u64>>()
            })
        })
        .collect();
    let mut seqs: Vec<u64> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
    // Verified while the engine still runs.
    let report = check(folder.path(), &keys);
    assert!(report.is_whole() && report.rows == 1600, "{report:?}");
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=1600).collect::<Vec<u64>>());
    drop(trail);
    let report = check(folder.path(), &keys);
    assert!(report.is_whole() && report.ahead_of_head == 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_are_futures_and_verify_runs_beside() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Arc::new(MemoryKeys::default());
    let trail = Arc::new(open(folder.path(), &keys).0);
    let written = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..8)
        .map(|t| {
            let (trail, written) = (trail.clone(), written.clone());
            tokio::spawn(async move {
                for n in 0..200 {
                    trail.append(event(t * 200 + n)).await.unwrap();
                    written.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    while written.load(Ordering::SeqCst) < 1600 {
        let before = written.load(Ordering::SeqCst);
        let (path, keys) = (folder.path().to_owned(), keys.clone());
        let report = tokio::task::spawn_blocking(move || check(&path, &keys)).await.unwrap();
        assert!(report.is_whole(), "{report:?}");
        assert!(report.rows >= before);
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

#[test]
fn relaxed_answers_at_once_and_writes_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let keys = MemoryKeys::default();
    let options = TrailOptions { durability: Durability::Relaxed, queue: 64 };
    let (trail, _) = Trail::open(&TrailPaths::in_folder(folder.path()), &keys, options).unwrap();
    assert_eq!(trail.append(event(1)).wait().unwrap(), Recorded::Queued);
    let mut latest = trail.latest();
    until("the row", || *latest.borrow_and_update() == 1);
    drop(trail);
    assert_eq!(check(folder.path(), &keys).rows, 1);
}

#[test]
fn a_full_queue_is_felt_and_nothing_is_lost_silently() {
    let folder = tempfile::tempdir().unwrap();
    let keys = MemoryKeys::default();
    let options = TrailOptions { durability: Durability::Relaxed, queue: 4 };
    let (trail, _) = Trail::open(&TrailPaths::in_folder(folder.path()), &keys, options).unwrap();
    // Nothing can be written while somebody else holds the lock.
    let blocker = Attacker::on(folder.path());
    blocker.run("BEGIN IMMEDIATE");
    let receipts: Vec<Receipt> = (0..40).map(|n| trail.append(event(n))).collect();
    blocker.run("ROLLBACK");
    let mut recorded = 0;
    for receipt in receipts {
        match receipt.wait() {
            Ok(_) => recorded += 1,
            Err(error) => assert_eq!(error.trouble, Trouble::QueueFull),
        }
    }
    // Four times the limit at least, plus what the writer had taken out already.
    assert!((16..40).contains(&recorded), "{recorded}");
    drop(trail);
    let report = check(folder.path(), &keys);
    assert!(report.rows >= recorded && report.rows <= recorded + 1, "{report:?}");
}

#[test]
fn closed_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let trail = open(folder.path(), &MemoryKeys::default()).0;
    let kept = trail.append(event(1));
    trail.close();
    assert!(kept.wait().is_ok());
    assert_eq!(trail.append(event(2)).wait().unwrap_err().trouble, Trouble::Closed);
    assert_eq!(trail.health(), TrailHealth::Closed);
    assert_eq!(TrailHealth::Closed, *trail.watch_health().borrow());
}
