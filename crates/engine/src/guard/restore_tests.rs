//! Values that are put back, in a real checkout, and every reason for which they are not.

use std::path::{Path, PathBuf};
use std::process::Command;

use sallyport_detect::{IndexKey, RuleSet, Scanner, SecretEntry, SecretIndex, SecretSet, redact};
use sallyport_policy::settings::{Layers, resolve};
use sallyport_wire::{Family, Limits};
use serde_json::{Value, json};

use super::*;

const VALUE: &str = "c0rrect-\"horse\"-9X7";
const OTHER: &str = "b4ttery/staple+42";

struct Checkout {
    _folder: tempfile::TempDir,
    root: PathBuf,
    scanner: Arc<Scanner>,
    thread: Mutex<Placeholders>,
}

/// A repository whose `.env` is ignored, and a thread that was shown what stands in it.
fn checkout() -> Checkout {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("repo");
    std::fs::create_dir(&root).unwrap();
    git(&root, &["init", "-q"]);
    let write = |name: &str, text: String| std::fs::write(root.join(name), text).unwrap();
    write(".gitignore", ".env*\n".into());
    write(".env", format!("DB_PASSWORD={VALUE}\nCACHE={OTHER}\nDEBUG=1\n"));
    write(".env.empty", "DB_PASSWORD=\n".into());
    write("notes.txt", format!("DB_PASSWORD={VALUE}\n"));
    std::fs::write(folder.path().join("outside"), VALUE).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(".env", root.join(".env.link")).unwrap();
    let key = IndexKey::new([7; 32]);
    let entries = [("db/password", VALUE), ("cache/token", OTHER)];
    let entries = entries.map(|(name, value)| SecretEntry { name, value: value.as_bytes(), weak: false });
    let index = SecretIndex::merge(&key, &[Arc::new(SecretSet::build(&key, "test", entries))]).unwrap();
    let scanner = Arc::new(Scanner::new(Arc::new(RuleSet::builtin().unwrap()), Arc::new(index)));
    let mut placeholders = Placeholders::new([3; 32]);
    for text in [VALUE, OTHER, "AKIAQYLPMN5HHHFPZAM2"] {
        let shown = redact(text, &scanner.scan(text, &Default::default()), &mut placeholders);
        assert!(shown.starts_with('['), "{shown}");
    }
    Checkout { _folder: folder, root, scanner, thread: Mutex::new(placeholders) }
}

fn git(root: &Path, arguments: &[&str]) {
    assert!(Command::new("git").arg("-C").arg(root).args(arguments).status().unwrap().success());
}

impl Checkout {
    fn guard(&self, classes: &[&str]) -> (Guard, Arc<Mutex<Vec<AuditAction>>>) {
        let mut snapshot = resolve(&Layers::default()).unwrap();
        snapshot.restore.value = classes.iter().map(|class| (*class).to_owned()).collect();
        let told = Arc::<Mutex<Vec<AuditAction>>>::default();
        let record = {
            let told = told.clone();
            Arc::new(move |entries| told.lock().extend(entries))
        };
        let restore = Restore::of(&snapshot, &self.scanner);
        let cwd = Some(self.root.clone());
        (Guard::new(snapshot.agents, "x".into(), cwd, "/home/ann".into(), record).with_restore(restore), told)
    }

    fn verdict(&self, classes: &[&str], name: &str, arguments: &Value) -> CallVerdict {
        let (guard, told) = self.guard(classes);
        let call = HeldCall { id: None, name: name.into(), arguments: arguments.to_string(), doubt: None };
        let mut verdicts = guard.answer(&[call], 0, &self.thread, &mut Hearing::new(true)).unwrap();
        let restored = matches!(verdicts[0], CallVerdict::Rewritten(_));
        assert_eq!(guard.has_restored(), restored);
        let outcomes: Vec<_> = told.lock().iter().filter_map(|entry| entry.outcome.clone()).collect();
        assert_eq!(outcomes, [if restored { "restored" } else { "denied" }]);
        verdicts.remove(0)
    }

    fn new_arguments(&self, classes: &[&str], name: &str, arguments: &Value) -> Value {
        match self.verdict(classes, name, arguments) {
            CallVerdict::Rewritten(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{name}: {other:?}"),
        }
    }

    fn reason(&self, classes: &[&str], name: &str, arguments: &Value) -> String {
        self.verdict(classes, name, arguments).denial().expect("denied").to_owned()
    }
}

#[test]
fn values_come_back_into_the_ignored_file_that_holds_them() {
    let checkout = checkout();
    let content = "DB_PASSWORD=[SECRET:db/password]\nCACHE=[SECRET:cache/token]\nDEBUG=0\n";
    let expected = format!("DB_PASSWORD={VALUE}\nCACHE={OTHER}\nDEBUG=0\n");
    let new = |name: &str, arguments: &Value| checkout.new_arguments(&["db", "cache"], name, arguments);
    for path in [".env", "./sub/../.env", checkout.root.join(".env").to_str().unwrap()] {
        let written = new("Write", &json!({"file_path": path, "content": content}));
        assert_eq!(written, json!({"file_path": path, "content": expected}));
    }
    let edit = json!({"file_path": ".env", "old_string": "D=[SECRET:db/password]", "new_string": "E=[SECRET:db/password]"});
    let edited = new("Edit", &edit);
    assert_eq!(edited["old_string"], format!("D={VALUE}"));
    assert_eq!(edited["new_string"], format!("E={VALUE}"));
    assert_eq!(new("write_file", &json!({"path": ".env", "content": content}))["content"], expected);
    let any = checkout.new_arguments(&["*"], "Write", &json!({"file_path": ".env", "content": content}));
    assert_eq!(any["content"], expected);
}

#[test]
fn in_doubt_nothing_comes_back() {
    let checkout = checkout();
    let content = "DB_PASSWORD=[SECRET:db/password]\n";
    let write = |path: &str| json!({"file_path": path, "content": content});
    let root = checkout.root.clone();
    for (classes, name, arguments, why) in [
        (&[][..], "Write", write(".env"), "overwrite it. Leave"),
        (&["cache", "d", "db/pass"], "Write", write(".env"), "of this class"),
        (&["db"], "Write", write("notes.txt"), "does not ignore"),
        (&["db"], "Write", write("new/.env"), "not there"),
        (&["db"], "Write", write(".env.empty"), "does not hold"),
        (&["db"], "Write", write("../outside"), "no plain file of the workspace"),
        (&["db"], "Write", write(".git"), "no plain file of the workspace"),
        (&["db"], "Bash", json!({"command": format!("echo '{content}' > .env")}), "more than write one file"),
        (
            &["db"],
            "Write",
            json!({"file_path": ".env", "content": content, "[SECRET:db/password]": 1}),
            "where no value can",
        ),
        (&["*"], "Write", json!({"file_path": ".env", "content": "[REDACTED_AWS_KEY]"}), "a rule found"),
    ] {
        let reason = checkout.reason(classes, name, &arguments);
        assert!(reason.contains(why), "{arguments}: {reason}");
        assert!(!reason.contains(VALUE));
    }
    if cfg!(unix) {
        assert!(checkout.reason(&["db"], "Write", &write(".env.link")).contains("a link"));
    }
    git(&root, &["add", "-f", ".env"]);
    assert!(checkout.reason(&["db"], "Write", &write(".env")).contains("does not ignore"));
}

/// A thread that was never shown the value has no placeholder to put back, and what looks like one is text.
#[test]
fn what_another_thread_was_given_is_text() {
    let mut checkout = checkout();
    checkout.thread = Mutex::new(Placeholders::new([4; 32]));
    let (guard, told) = checkout.guard(&["*"]);
    let arguments = json!({"file_path": ".env", "content": "[SECRET:db/password]"}).to_string();
    let call = HeldCall { id: None, name: "Write".into(), arguments, doubt: None };
    let verdicts = guard.answer(&[call], 0, &checkout.thread, &mut Hearing::new(true)).unwrap();
    assert_eq!(verdicts, [CallVerdict::Passes]);
    assert!(told.lock().is_empty());
}

#[test]
fn whole_answers_carry_the_value_and_nothing_else_changes() {
    let checkout = checkout();
    let (guard, _) = checkout.guard(&["db"]);
    let input = json!({"file_path": ".env", "content": "A=[SECRET:db/password]"});
    let body = json!({"content": [{"type": "text", "text": "so [SECRET:db/password]"},
        {"type": "tool_use", "id": "1", "name": "Write", "input": input}], "stop_reason": "tool_use"});
    let json = Some("application/json");
    let text = body.to_string();
    let mut hearing = Hearing::new(false);
    let whole = guard.whole(
        Family::AnthropicMessages,
        json,
        text.as_bytes(),
        &Limits::default(),
        &checkout.thread,
        &mut hearing,
    );
    let Whole::Changed(new) = whole else { panic!("unchanged") };
    let mut expected = body;
    expected["content"][1]["input"]["content"] = format!("A={VALUE}").into();
    assert_eq!(serde_json::from_slice::<Value>(&new).unwrap(), expected);
}
