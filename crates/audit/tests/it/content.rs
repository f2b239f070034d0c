//! What was said, where it is kept: sealed in the file, bound to its row, gone with it, and no part of the chain.

use bytes::Bytes;
use jiff::Timestamp;
use sallyport_audit::*;
use sha2::{Digest, Sha256};

use crate::support::{Attacker, MemoryKeys, check, event, open, until};

const SAID: &str = r#"{"messages":[{"role":"user","content":"the harbour pilot comes aboard at dawn"}]}"#;

/// An event of which `body` is the request.
fn said(body: &str) -> Entry {
    let mut event = event(0);
    let digest = Sha256::digest(body);
    event.request.as_mut().unwrap().prompt_hash = Some(digest.iter().map(|b| format!("{b:02x}")).collect());
    Entry::with_content(event, Some(Bytes::copy_from_slice(body.as_bytes())))
}

fn append(trail: &Trail, entry: Entry) -> u64 {
    let Recorded::Durable { seq } = trail.append(entry).wait().unwrap() else { panic!("not durable") };
    seq
}

fn kept(trail: &Trail, seq: u64) -> Option<String> {
    trail.content(seq).unwrap().map(|body| String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn it_is_sealed_on_disk_and_opens_over_a_restart() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), MemoryKeys::fixed(1));
    let (trail, _) = open(folder.path(), &keys);
    let seq = append(&trail, said(SAID));
    trail.settle().await;
    assert_eq!(kept(&trail, seq).as_deref(), Some(SAID));
    drop(trail);
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(13).any(|window| window == b"harbour pilot"));
    }
    let (trail, _) = open(folder.path(), &keys);
    assert_eq!(kept(&trail, seq).as_deref(), Some(SAID));
    assert!(trail.reader().unwrap().has_content(seq).unwrap());
    drop(trail);
    assert!(check(folder.path(), &keys).is_whole());
}

#[tokio::test]
async fn what_is_too_long_or_empty_is_not_kept() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), MemoryKeys::fixed(1));
    let (trail, _) = open(folder.path(), &keys);
    let most = "x".repeat(MAX_CONTENT);
    let rows = [most.clone(), format!("{most}x"), String::new()].map(|body| append(&trail, said(&body)));
    trail.settle().await;
    assert_eq!(rows.map(|seq| kept(&trail, seq)), [Some(most), None, None]);
}

#[tokio::test]
async fn without_a_quiet_moment_it_is_written_all_the_same() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), MemoryKeys::fixed(1));
    let (trail, _) = open(folder.path(), &keys);
    until("content beside a steady stream of events", || {
        append(&trail, said(SAID));
        trail.reader().unwrap().has_content(1).unwrap()
    });
}

#[tokio::test]
async fn content_of_another_row_or_another_recording_does_not_open() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), MemoryKeys::fixed(1));
    let (trail, _) = open(folder.path(), &keys);
    let one = append(&trail, said(SAID));
    let other = append(&trail, said(&SAID.replace("dawn", "dusk")));
    // The event recorded another body.
    let lied = append(&trail, Entry::with_content(event(0), Some(Bytes::from_static(SAID.as_bytes()))));
    trail.settle().await;
    assert!(matches!(trail.content(lied), Err(AuditError::Content { seq }) if seq == lied));
    let attacker = Attacker::on(folder.path());
    attacker.run(&format!(
        "UPDATE content SET sealed = (SELECT sealed FROM content WHERE seq = {one}) WHERE seq = {other}"
    ));
    assert!(trail.content(other).is_err());
    assert_eq!(kept(&trail, one).as_deref(), Some(SAID));
}

#[tokio::test]
async fn it_goes_with_its_row_and_the_trail_is_whole_without_it() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), MemoryKeys::fixed(1));
    let (trail, _) = open(folder.path(), &keys);
    let old = append(&trail, said(SAID));
    let mut young = event(9);
    young.timestamp = Timestamp::now();
    trail.append(young).wait().unwrap();
    trail.settle().await;
    trail.purge("2026-01-01T00:00:00Z".parse().unwrap(), Actor::default()).await.unwrap();
    assert!(!trail.reader().unwrap().has_content(old).unwrap());
    let later = append(&trail, said(SAID));
    trail.settle().await;
    Attacker::on(folder.path()).run("DELETE FROM content");
    assert_eq!(kept(&trail, later), None);
    drop(trail);
    assert!(check(folder.path(), &keys).is_whole());
}

#[test]
fn nothing_of_it_is_printed() {
    assert!(!format!("{:?}", said(SAID)).contains("harbour"));
}
