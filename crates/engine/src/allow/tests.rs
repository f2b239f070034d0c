use std::collections::HashMap;

use sallyport_detect::{KeyMemory, OrdinaryMemory};
use sallyport_policy::documents;
use sallyport_policy::settings::{Layers, resolve};
use zeroize::Zeroizing;

use super::*;

fn settings(spec: &str) -> DetectionSettings {
    let text = format!(
        "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: x}}\nspec: {{detection: {spec}}}\n"
    );
    let user_documents = documents::parse(&text, "p.yaml").unwrap();
    resolve(&Layers { user_documents, ..Layers::default() }).unwrap().detection
}

fn allow(folder: &std::path::Path, key: u8) -> Allow {
    let key = [key; 32];
    let held = OrdinaryMemory.hold(Zeroizing::new(key));
    let fingerprinter = Fingerprinter::new(&key, &OrdinaryMemory);
    Allow::new(folder.join("allowlist.json"), "/home/ann".into(), held, fingerprinter)
}

fn entry(id: u64, rule: Option<&str>, path: Option<&str>, until: Option<Timestamp>) -> Entry {
    Entry {
        id,
        fingerprint: (rule.is_none() && path.is_none()).then(|| "0".repeat(32)),
        rule: rule.map(str::to_owned),
        path: path.map(str::to_owned),
        reason: "made up".into(),
        added_at: Timestamp::UNIX_EPOCH,
        expires_at: until,
        seal: String::new(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn entries_are_in_force_until_their_time_and_as_policy_says() {
    let folder = tempfile::tempdir().unwrap();
    let allow = allow(folder.path(), 1);
    let open = settings("{}");
    assert!(!allow.refresh(&open, at(0)), "there is no file");
    let mut entries = vec![
        entry(1, Some("jwt"), None, Some(at(100))),
        entry(2, None, None, None),
        entry(3, Some("jwt"), Some("a/**"), None),
    ];
    entries.iter_mut().for_each(|entry| allow.file.seal(entry));
    allow.file.write(&entries).unwrap();
    assert!(allow.refresh(&open, at(0)) && !allow.refresh(&open, at(99)));
    let list = allow.list(&open);
    assert_eq!((list.entries.len(), list.rules.len(), list.known_too), (1, 1, false));
    assert!(!allow.files().is_empty(), "a rule in files is no rule everywhere");
    assert!(allow.refresh(&open, at(100)), "one is over");
    assert_eq!(allow.list(&open).rules.len(), 0);
    let closed = settings("{allowlist: forbid, knownValues: allow}");
    assert!(allow.refresh(&closed, at(100)));
    let list = allow.list(&closed);
    assert!(list.entries.is_empty() && list.known_too && allow.files().is_empty());
    assert_eq!(allow.state(&entries[1], &closed, at(0)), AllowState::Forbidden);
}

#[test]
fn what_somebody_else_wrote_is_not_in_force_and_a_broken_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ours = allow(folder.path(), 1);
    let open = settings("{}");
    let mut sealed = entry(1, Some("jwt"), None, None);
    ours.file.seal(&mut sealed);
    for change in [
        |entry: &mut Entry| entry.rule = Some("aws_key".into()),
        |entry: &mut Entry| entry.expires_at = Some(at(5)),
        |entry: &mut Entry| entry.id = 2,
        |entry: &mut Entry| (entry.rule, entry.path) = (None, entry.rule.clone()),
        |entry: &mut Entry| entry.seal.clear(),
    ] {
        let mut changed = sealed.clone();
        change(&mut changed);
        assert_eq!(ours.state(&changed, &open, at(0)), AllowState::Unsealed, "{changed:?}");
    }
    assert_eq!(
        allow(folder.path(), 2).state(&sealed, &open, at(0)),
        AllowState::Unsealed,
        "another installation"
    );
    ours.file.write(&[sealed]).unwrap();
    assert!(ours.refresh(&open, at(0)));
    std::fs::write(folder.path().join("allowlist.json"), "{\"entries\": [").unwrap();
    assert!(!ours.refresh(&open, at(0)) && ours.held.lock().trouble.is_some());
    assert_eq!(ours.list(&open).rules.len(), 1);
    std::fs::remove_file(folder.path().join("allowlist.json")).unwrap();
    assert!(
        ours.refresh(&open, at(0)) && ours.entries().is_empty(),
        "whoever removes the file protects more"
    );
}

#[test]
fn findings_in_files_are_allowed_where_those_files_stand() {
    let live = [entry(1, Some("jwt"), Some("tests/**"), None), entry(2, None, Some("~/demo.env"), None)];
    let files = AllowedFiles::of(&live, "/home/ann");
    let reads: HashMap<&str, String> =
        [("a", "/w/tests/x.rs"), ("b", "/home/ann/demo.env"), ("c", "/w/src/x.rs")]
            .map(|(call, path)| (call, path.to_owned()))
            .into();
    let results = [("a", 0..10), ("b", 10..20), ("c", 20..30), ("d", 30..40)];
    let passages = Passages::of(&files, &reads, results.into_iter());
    let allowed = |rule: &str, place| passages.allow(&RuleId::new(rule), place);
    assert!(allowed("jwt", 0) && !allowed("aws_key", 0), "the rule that was named");
    assert!(allowed("aws_key", 19) && allowed("jwt", 10));
    assert!(!allowed("jwt", 20) && !allowed("jwt", 35) && !allowed("jwt", 40));
}
