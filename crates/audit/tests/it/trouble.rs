//! Disks that are full, files that are locked or altered: told clearly, refused, and got over.

use std::path::Path;
use std::process::Command;

use sallyport_audit::*;

use crate::support::*;

const FOLDER: &str = "SALLYPORT_AUDIT_FULL_FOLDER";

fn failing(trail: &Trail) -> Option<Trouble> {
    match trail.health() {
        TrailHealth::Failing { trouble, .. } => Some(trouble),
        _ => None,
    }
}

#[test]
fn a_locked_file_is_refused_and_got_over() {
    let folder = tempfile::tempdir().unwrap();
    let keys = MemoryKeys::default();
    let (trail, _) = open(folder.path(), &keys);
    fill(&trail, 1, 3);
    let blocker = Attacker::on(folder.path());
    blocker.run("BEGIN IMMEDIATE");
    let strict = trail.append(event(4));
    let relaxed = trail.append_relaxed(event(5));
    assert_eq!(strict.wait().unwrap_err().trouble, Trouble::Locked);
    assert_eq!(relaxed.wait().unwrap(), Recorded::Queued);
    assert_eq!(failing(&trail), Some(Trouble::Locked));
    blocker.run("ROLLBACK");
    until("recovery", || trail.health().is_writing());
    // Event 5 was kept; event 4 was refused, and the trail says so.
    let rows = trail.reader().unwrap().query(&Filter { after_seq: Some(3), ..Filter::default() }).unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows[0].event.request.as_ref().unwrap().prompt_length, Some(1005));
    assert_eq!(rows[1].event.actions[0].action_type, action_types::GAP);
    let target = rows[1].event.actions[0].target.as_deref().unwrap();
    assert!(target.contains("1 events were refused"), "{target}");
    fill(&trail, 6, 7);
    assert!(check(folder.path(), &keys).is_whole());
}

#[test]
fn a_trigger_does_not_swallow_rows() {
    let folder = tempfile::tempdir().unwrap();
    let keys = MemoryKeys::default();
    let (trail, _) = open(folder.path(), &keys);
    fill(&trail, 1, 3);
    let attacker = Attacker::on(folder.path());
    attacker.run("CREATE TRIGGER t AFTER INSERT ON event BEGIN DELETE FROM event WHERE seq = new.seq; END;");
    assert_eq!(trail.append(event(4)).wait().unwrap_err().trouble, Trouble::Corrupt);
    drop(trail);
    let reopened = Trail::open(&TrailPaths::in_folder(folder.path()), &keys, TrailOptions::default());
    assert!(matches!(reopened, Err(AuditError::Foreign { .. })), "{reopened:?}");
}

#[test]
fn rows_of_another_writer_are_passed_over_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let keys = MemoryKeys::default();
    let (trail, _) = open(folder.path(), &keys);
    fill(&trail, 1, 3);
    let attacker = Attacker::on(folder.path());
    let (_, body) = attacker.row(3);
    for seq in [4, 5] {
        attacker.set(seq, &[], &body);
        attacker.rehash(seq);
    }
    fill(&trail, 4, 6);
    drop(trail);
    let report = check(folder.path(), &keys);
    // Five, the note about it, and three.
    assert_eq!(report.last_seq, 9);
    assert_eq!(report.fault, Some(Fault { seq: 4, kind: FaultKind::Inserted }));
    assert_eq!(report.discontinuities[0].code, "foreign_rows");
}

/// Runs only as a child, with limits that the parent has set.
#[test]
fn child_on_a_full_disk() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let keys = MemoryKeys::fixed(3);
    let (trail, _) = open(Path::new(&folder), &keys);
    let mut written = 0;
    let error = loop {
        match trail.append(event(written)).wait() {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100_000, "the disk never filled");
    };
    let expected = match std::env::var("EXPECT").as_deref() {
        Ok("full") => Trouble::DiskFull,
        _ => Trouble::Io,
    };
    assert_eq!(error.trouble, expected, "{error:?}");
    assert_eq!(failing(&trail), Some(expected));
    // What is kept stays in memory, what is refused stays refused, and reading goes on.
    let held = trail.append_relaxed(event(written)).wait().unwrap();
    assert_eq!(held, Recorded::Queued);
    assert!(trail.append(event(0)).wait().is_err());
    assert_eq!(trail.reader().unwrap().last_seq().unwrap(), written);
    let report = check(Path::new(&folder), &keys);
    assert!(report.is_whole(), "{report:?}");

    let ballast = Path::new(&folder).join("ballast");
    if ballast.exists() {
        std::fs::remove_file(ballast).unwrap();
    } else {
        let own = std::process::id().to_string();
        assert!(
            Command::new("prlimit").args(["--pid", &own, "--fsize=unlimited"]).status().unwrap().success()
        );
    }
    until("recovery", || trail.health().is_writing());
    fill(&trail, 1, 100);
    drop(trail);
    let report = check(Path::new(&folder), &keys);
    assert!(report.is_whole(), "{report:?}");
    // The held event and the note about the gap among them.
    assert_eq!(report.rows, written + 102);
    println!("written {written} then recovered");
}

fn run_child(command: &mut Command) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("then recovered"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

const CHILD: &str = "trouble::child_on_a_full_disk --exact --nocapture --test-threads=1";

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_may_not_grow() {
    let folder = tempfile::tempdir().unwrap();
    let exe = std::env::current_exe().unwrap();
    // The signal is ignored, so that the write fails instead; the soft limit is lifted later.
    let script = format!("trap '' XFSZ; ulimit -S -f 2000; exec {} {CHILD}", exe.display());
    run_child(Command::new("bash").args(["-c", &script]).env(FOLDER, folder.path()));
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let exe = std::env::current_exe().unwrap();
    let mount = format!("mount -t tmpfs -o size=4m none {}", folder.path().display());
    let tried = Command::new("unshare").args(["-r", "-m", "bash", "-c", &mount]).output();
    if !tried.as_ref().is_ok_and(|o| o.status.success()) {
        eprintln!("skipped: no private mount is permitted here ({tried:?})");
        return;
    }
    let ballast = folder.path().join("ballast");
    let script = format!(
        "{mount} && head -c 2000000 /dev/zero > {} && exec {} {CHILD}",
        ballast.display(),
        exe.display()
    );
    let mut command = Command::new("unshare");
    run_child(
        command.args(["-r", "-m", "bash", "-c", &script]).env(FOLDER, folder.path()).env("EXPECT", "full"),
    );
}
