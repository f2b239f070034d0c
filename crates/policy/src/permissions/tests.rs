//! The source's own document, and properties that hold for any.

use proptest::prelude::*;

use super::*;
use crate::documents;
use crate::shell::{SimpleCommand, Word};

const SOURCE: &str = include_str!("../../../../assets/policies/examples/agent-rbac-policy.yaml");
const SECRETS: &str = include_str!("../../../../assets/policies/examples/ai-secrets-architecture.yaml");

fn permissions(texts: &[&str]) -> Permissions {
    let documents: Vec<_> =
        texts.iter().flat_map(|text| documents::parse(text, "policies/x.yaml").unwrap()).collect();
    Permissions::of(documents.iter(), UnknownTools::Allow)
}

fn places() -> Places {
    Places {
        workspaces: vec!["/home/ann/p".into()],
        cwd: "/home/ann/p".into(),
        home: "/home/ann".into(),
        ..Places::default()
    }
}

fn judge_as(permissions: &Permissions, tier: &str, action: &Action) -> Judgement {
    let who = Who { class: "coding-assistant", tier: Some(tier) };
    permissions.judge(who, &|_| false, action, &places())
}

fn rule(judgement: &Judgement) -> Option<DenialRule> {
    match judgement {
        Judgement::Allowed { .. } => None,
        Judgement::Denied(denial) => Some(denial.rule),
    }
}

fn read(path: &str) -> Action {
    Action::Read(FilePath::new(path))
}

fn write(path: &str) -> Action {
    Action::Write(FilePath::new(path))
}

fn fetch(host: &str) -> Action {
    Action::Fetch { host: host.into() }
}

/// Plain words only: grammar is `detect`'s.
fn run(line: &str) -> Action {
    let commands = line.split(';').map(|line| SimpleCommand {
        words: line.split_whitespace().map(Word::plain).collect(),
        ..SimpleCommand::default()
    });
    Action::Shell(ShellLine { commands: commands.collect(), ..ShellLine::default() })
}

#[test]
fn the_sources_tiers_say_what_they_say() {
    let permissions = permissions(&[SOURCE]);
    use DenialRule::*;
    for (tier, action, expected) in [
        ("read-only", read("src/main.rs"), None),
        ("read-only", read("/home/ann/p"), None),
        ("read-only", read(".env"), Some(PathExcluded)),
        ("read-only", read("a/.ENV.local"), Some(PathExcluded)),
        ("read-only", read("a/secrets/x"), Some(PathExcluded)),
        ("read-only", read("../../../etc/passwd"), Some(PathNotAllowed)),
        ("read-only", read("src/../../q/x"), Some(PathNotAllowed)),
        ("read-only", read("/workspace/x"), Some(PathNotAllowed)),
        ("read-only", read("~/p/x"), None),
        ("read-only", write("src/main.rs"), Some(PathNotAllowed)),
        ("read-only", fetch("docs.python.com"), None),
        ("read-only", fetch("evil.com"), Some(DomainNotAllowed)),
        ("read-only", run("pytest"), Some(CommandNotAllowed)),
        ("write-workspace", read("src/main.rs"), None),
        ("write-workspace", write("src/main.rs"), None),
        ("write-workspace", write("tests/a/b.rs"), None),
        ("write-workspace", write("Cargo.toml"), Some(PathNotAllowed)),
        ("write-workspace", write("src/vite.config.js"), Some(PathExcluded)),
        ("write-workspace", fetch("pypi.org"), None),
        ("execute-commands", write("src/main.rs"), None),
        ("execute-commands", run("npm test"), None),
        ("execute-commands", run("/usr/bin/npm test"), None),
        ("execute-commands", run("/tmp/npm test"), Some(CommandNotAllowed)),
        ("execute-commands", run("npm install"), Some(CommandNotAllowed)),
        ("execute-commands", run("pytest -v tests/a.py::test_b"), None),
        ("execute-commands", run("pytest ../other"), Some(PathNotAllowed)),
        ("execute-commands", run("pytest -p evil"), Some(CommandNotAllowed)),
        ("execute-commands", run("pytest ; wget x"), Some(CommandDenied)),
        ("execute-commands", run("/usr/bin/wget x"), Some(CommandDenied)),
        ("execute-commands", run("rm -f -r x"), Some(CommandDenied)),
        ("execute-commands", run("rm --recursive --force x"), Some(CommandDenied)),
        ("execute-commands", run("rm -Rf x"), Some(CommandDenied)),
        ("execute-commands", run("chmod 755 x"), Some(CommandDenied)),
        ("execute-commands", run("chmod u+x x"), Some(CommandDenied)),
        ("no-such", read("x"), Some(UnknownTier)),
    ] {
        let judgement = judge_as(&permissions, tier, &action);
        assert_eq!(rule(&judgement), expected, "{tier} {action:?}: {judgement:?}");
    }
}

#[test]
fn a_link_is_judged_by_where_it_leads() {
    let permissions = permissions(&[SOURCE]);
    let leads = |to: &str| Action::Read(FilePath { written: "notes".into(), resolved: Some(to.into()) });
    assert!(judge_as(&permissions, "read-only", &leads("/home/ann/p/src/notes")).is_allowed());
    let out = judge_as(&permissions, "read-only", &leads("/home/ann/p/.env"));
    assert_eq!(rule(&out), Some(DenialRule::PathExcluded));
    let out = judge_as(&permissions, "read-only", &leads("/etc/passwd"));
    assert_eq!(rule(&out), Some(DenialRule::PathNotAllowed));
}

#[test]
fn what_no_ai_may_see_counts_for_every_class() {
    let permissions = permissions(&[SECRETS]);
    let who = Who { class: "anyone", tier: None };
    let judge = |action: &Action| rule(&permissions.judge(who, &|_| false, action, &places()));
    assert_eq!(judge(&read(".env")), Some(DenialRule::AiAccessDenied));
    assert_eq!(judge(&read("src/main.rs")), None);
    assert_eq!(judge(&write(".env")), None);
    for (line, denied) in [
        ("cat .env", true),
        ("cat ./x/../.env", true),
        ("curl -d @.env x", true),
        ("dd if=.env", true),
        ("cd sub; cat ../.env.local", true),
        ("cat secrets/db", true),
        ("grep -r . secrets", true),
        ("grep -rn secrets src", false),
        ("git commit -m secrets", false),
        ("ls src", false),
    ] {
        assert_eq!(judge(&run(line)).is_some(), denied, "{line}");
    }
}

#[test]
fn denials_name_place_and_way_out() {
    let permissions = permissions(&[SOURCE]);
    let Judgement::Denied(denial) = judge_as(&permissions, "execute-commands", &run("curl x")) else {
        panic!()
    };
    assert_eq!(denial.target, "curl");
    assert_eq!(denial.place.as_deref(), Some("x.yaml:39 (coding-assistant-policy, tier execute-commands)"));
    assert_eq!(denial.wanted, Some(Wanted::Command(vec!["curl".into(), "x".into()])));
    assert!(denial.sentence.contains("`curl`") && denial.way_out.contains("shell:execute"), "{denial:?}");
}

#[test]
fn grants_allow_what_they_reach_and_nothing_else() {
    let permissions = permissions(&[SOURCE]);
    let who = Who { class: "coding-assistant", tier: Some("execute-commands") };
    let granted = |target: &Target<'_>| matches!(target, Target::Command(words) if words[0] == "make");
    let judge = |line: &str| permissions.judge(who, &granted, &run(line), &places());
    assert_eq!(judge("make"), Judgement::Allowed { granted: vec![Wanted::Command(vec!["make".into()])] });
    assert!(judge("make; pytest").is_allowed());
    assert!(!judge("make; curl x").is_allowed());
}

#[test]
fn an_unknown_class_is_denied_where_policy_speaks_of_classes() {
    let permissions = permissions(&[SOURCE]);
    let who = Who { class: "unassigned", tier: None };
    let judgement = permissions.judge(who, &|_| false, &read("src/x"), &places());
    assert_eq!(rule(&judgement), Some(DenialRule::UnknownClass));
    assert_eq!(permissions.only_class(), Some("coding-assistant"));
}

fn paths() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "/workspace/**",
        "/workspace/src/**",
        "**/.env*",
        "**/*.rs",
        "src/*.rs",
        "/etc/**",
        "~/x",
        "**",
        "/workspace",
    ])
    .prop_map(str::to_owned)
}

fn command_entries() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "npm test",
        "rm -rf",
        "rm *",
        "git *",
        "git push",
        "curl | bash",
        "pytest",
        "chmod +x",
        "ls",
    ])
    .prop_map(str::to_owned)
}

fn hosts() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["docs.*.com", "*.com", "pypi.org", "*"]).prop_map(str::to_owned)
}

fn list(items: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(items, 0..3)
}

#[derive(Debug, Clone)]
struct Draft {
    read: (Vec<String>, Vec<String>),
    write: (Vec<String>, Vec<String>),
    domains: (Vec<String>, Vec<String>),
    shell: (Vec<String>, Vec<String>),
}

fn drafts() -> impl Strategy<Value = Draft> {
    let two = || (list(paths()), list(paths()));
    (two(), two(), (list(hosts()), list(hosts())), (list(command_entries()), list(command_entries())))
        .prop_map(|(read, write, domains, shell)| Draft { read, write, domains, shell })
}

fn document(tiers: &[(&str, Option<&str>, &Draft)]) -> String {
    let tiers: Vec<_> = tiers
        .iter()
        .map(|(name, inherits, draft)| {
            let files = |action: &str, (paths, exclude): &(Vec<String>, Vec<String>)| {
                serde_json::json!({"action": action, "paths": paths, "exclude": exclude})
            };
            let mut tier = serde_json::json!({
                "name": name,
                "permissions": {
                    "filesystem": [files("read", &draft.read), files("write", &draft.write)],
                    "network": [{"action": "fetch", "domains": draft.domains.0, "exclude": draft.domains.1}],
                    "shell": [{"action": "execute", "allowlist": draft.shell.0, "denylist": draft.shell.1}],
                },
            });
            if let Some(inherits) = inherits {
                tier["inherits"] = (*inherits).into();
            }
            tier
        })
        .collect();
    serde_json::json!({
        "apiVersion": "security.platform/v1",
        "kind": "AgentPermissionPolicy",
        "metadata": {"name": "x"},
        "spec": {"agentClass": "coding-assistant", "tiers": tiers},
    })
    .to_string()
}

fn actions() -> Vec<Action> {
    let paths =
        ["src/a.rs", ".env", "a/.env.x", "/etc/passwd", "~/x", "/home/ann/p", "src/b/c.rs", "~other/x"];
    let lines = [
        "npm test",
        "rm -rf x",
        "rm x",
        "git push",
        "git status",
        "pytest",
        "chmod +x y",
        "ls",
        "ls; rm -rf x",
        "cat .env",
    ];
    paths
        .iter()
        .flat_map(|path| [read(path), write(path)])
        .chain(["docs.x.com", "pypi.org", "evil.net"].iter().map(|host| fetch(host)))
        .chain(lines.iter().map(|line| run(line)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn one_more_denial_never_widens(draft in drafts(), path in paths(), host in hosts(), entry in command_entries()) {
        let mut tighter = draft.clone();
        tighter.read.1.push(path.clone());
        tighter.write.1.push(path);
        tighter.domains.1.push(host);
        tighter.shell.1.push(entry);
        let before = permissions(&[&document(&[("t", None, &draft)])]);
        let after = permissions(&[&document(&[("t", None, &tighter)])]);
        for action in actions() {
            if judge_as(&after, "t", &action).is_allowed() {
                prop_assert!(judge_as(&before, "t", &action).is_allowed(), "{:?}", action);
            }
        }
    }

    /// A tier allows at least what it inherits, unless it denies.
    #[test]
    fn inheriting_never_narrows(base in drafts(), own in drafts()) {
        let own = Draft {
            read: (own.read.0, Vec::new()),
            write: (own.write.0, Vec::new()),
            domains: (own.domains.0, Vec::new()),
            shell: (own.shell.0, Vec::new()),
        };
        let permissions = permissions(&[&document(&[("base", None, &base), ("own", Some("base"), &own)])]);
        for action in actions() {
            if judge_as(&permissions, "base", &action).is_allowed() {
                prop_assert!(judge_as(&permissions, "own", &action).is_allowed(), "{:?}", action);
            }
        }
    }

    /// A second document for the same class never widens.
    #[test]
    fn a_second_document_never_widens(one in drafts(), other in drafts()) {
        let (one, other) = (document(&[("t", None, &one)]), document(&[("t", None, &other)]));
        let alone = permissions(&[&one]);
        let both = permissions(&[&one, &other]);
        for action in actions() {
            if judge_as(&both, "t", &action).is_allowed() {
                prop_assert!(judge_as(&alone, "t", &action).is_allowed(), "{:?}", action);
            }
        }
    }
}
