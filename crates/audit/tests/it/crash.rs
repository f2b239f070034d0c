//! A process that dies at any moment leaves every acknowledged row behind and a chain that verifies.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use sallyport_audit::*;

use crate::support::*;

const FOLDER: &str = "SALLYPORT_AUDIT_CRASH_FOLDER";

/// Runs only as a child of the test below: appends from four threads until it is killed, printing each row
/// once its receipt has come.
#[test]
fn child_that_appends_until_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let (trail, report) = open(Path::new(&folder), &MemoryKeys::fixed(9));
    assert!(report.discontinuities.is_empty(), "{report:?}");
    let trail = Arc::new(trail);
    for t in 0..4 {
        let trail = trail.clone();
        std::thread::spawn(move || {
            for n in 0.. {
                if let Ok(Recorded::Durable { seq }) = trail.append(event(t * 1_000_000 + n)).wait() {
                    // One write each, so that lines of several threads don't mix.
                    let _ = std::io::stdout().lock().write_all(format!("\nrow {seq}\n").as_bytes());
                }
            }
        });
    }
    loop {
        std::thread::park();
    }
}

#[test]
fn kill_loses_no_acknowledged_row() {
    let folder = tempfile::tempdir().unwrap();
    let keys = MemoryKeys::fixed(9);
    let mut highest = 0;
    for round in 0..8_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::child_that_appends_until_killed", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut acknowledged = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(seq) = line.strip_prefix("row ").and_then(|s| s.parse::<u64>().ok()) {
                highest = highest.max(seq);
                acknowledged += 1;
            }
            if acknowledged == 100 + round * 37 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged >= 100 + round * 37, "the child ended by itself");
        let report = check(folder.path(), &keys);
        assert!(report.is_whole(), "{report:?}");
        assert!(report.last_seq >= highest, "{report:?} lost rows up to {highest}");
    }
}
