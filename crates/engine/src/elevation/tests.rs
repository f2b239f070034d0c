use std::sync::Arc;

use sallyport_policy::elevation::{Draft, Grantor, Scope, State, Terms, judge};
use zeroize::Zeroizing;

use super::*;

fn key(byte: u8) -> HeldKey<32> {
    Arc::new(Zeroizing::new([byte; 32]))
}

fn granted(elevation: &Elevation) -> Record {
    let draft = Draft {
        scope: Scope::NetworkExternal,
        resources: vec!["api.example.com".into()],
        account: "agent".into(),
        justification: String::new(),
        seconds: 600,
    };
    let now = elevation.now();
    let (request, _) = judge(&draft, 1, &Terms::default(), now).unwrap();
    let grant = request.grant(Grantor::Person, 600, &Terms::default(), now);
    Record {
        request,
        nonce: "n".into(),
        state: State::Approved,
        grant: Some(grant),
        uses: 0,
        decided_at: None,
    }
}

fn kept(folder: &Path) -> Elevation {
    let (elevation, trouble) = Elevation::open(folder, key(1));
    assert_eq!(trouble, None);
    let record = granted(&elevation);
    let mut book = elevation.book.lock();
    book.add(record);
    elevation.save(&mut book);
    drop(book);
    elevation
}

const TARGET: Target<'_> = Target::Domain("api.example.com");

#[test]
fn a_grant_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let before = kept(folder.path());
    let (after, trouble) = Elevation::open(folder.path(), key(1));
    assert_eq!(trouble, None);
    assert!(after.permits(&TARGET, "agent").is_some());
    assert!(after.permits(&TARGET, "other").is_none());
    assert!(after.permits(&Target::Secret("api.example.com"), "agent").is_none());
    assert_eq!(after.identity, before.identity);
    assert!(after.now() >= before.book.lock().latest, "an earlier clock gives no more time");
}

#[test]
fn an_edited_file_grants_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("elevation.json");
    let edits: [fn(String) -> String; 4] = [
        |text| text.replace("api.example.com", "api.exemple.com"),
        |text| text.replace("\\\"account\\\":\\\"agent\\\"", "\\\"account\\\":\\\"other\\\""),
        |_| "{}".to_owned(),
        |text| text[..text.len() / 2].to_owned(),
    ];
    for edit in edits {
        kept(folder.path());
        let text = std::fs::read_to_string(&path).unwrap();
        let edited = edit(text.clone());
        assert_ne!(edited, text);
        std::fs::write(&path, edited).unwrap();
        let (after, trouble) = Elevation::open(folder.path(), key(1));
        assert!(trouble.is_some() && after.list().is_empty());
        assert!(!path.exists() && path.with_extension("json.rejected").exists());
    }
    kept(folder.path());
    let (after, trouble) = Elevation::open(folder.path(), key(2));
    assert!(trouble.is_some() && after.list().is_empty(), "another installation's file");
}

#[test]
fn time_alone_ends_requests_and_grants() {
    let folder = tempfile::tempdir().unwrap();
    let elevation = kept(folder.path());
    let record = elevation.list().remove(0);
    let end = record.grant.as_ref().unwrap().expires_at;
    assert_eq!(record.at(end).state, State::Expired);
    let pending = Record { state: State::Pending, grant: None, ..record };
    assert_eq!(pending.at(pending.request.answer_by).state, State::Expired);
    assert_eq!(Record { state: State::Denied, ..pending }.at(end).state, State::Denied);
}

#[test]
fn what_is_over_is_forgotten_first() {
    let folder = tempfile::tempdir().unwrap();
    let elevation = kept(folder.path());
    let mut book = elevation.book.lock().clone();
    let live = book.records[0].clone();
    for id in 2..400 {
        let mut record = live.clone();
        record.request.id = id;
        record.state = State::Denied;
        book.add(record);
    }
    assert_eq!(book.records.len(), 256);
    assert_eq!(book.find(1), Some(&live));
    assert_eq!(book.next, 399);
}
