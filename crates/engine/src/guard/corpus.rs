//! The shell corpus: attempts to get past an allowlist, and what agents run all day.

use sallyport_detect::shell;
use sallyport_policy::documents;
use sallyport_policy::permissions::{Action, Judgement, Permissions, Places, UnknownTools, Who};

const SOURCE: &str = include_str!("../../../../assets/policies/examples/agent-rbac-policy.yaml");
const BYPASSES: &str = include_str!("../../../../tests/corpus/shell/bypasses.txt");
const FITTING: &str = include_str!("../../../../tests/corpus/shell/harmless-policy.yaml");
const OPEN: &str = include_str!("../../../../tests/corpus/shell/bypasses-of-open-entries.txt");
const HARMLESS: &str = include_str!("../../../../tests/corpus/shell/harmless.txt");

fn lines(corpus: &str) -> impl Iterator<Item = String> + '_ {
    corpus
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("#!"))
        .map(|line| line.replace('␤', "\n"))
}

fn judge(permissions: &Permissions, tier: &str, line: &str) -> Judgement {
    let places = Places {
        workspaces: vec!["/home/ann/p".into()],
        cwd: "/home/ann/p".into(),
        home: "/home/ann".into(),
        ..Places::default()
    };
    let who = Who { class: "coding-assistant", tier: Some(tier) };
    permissions.judge(who, &|_| false, &Action::Shell(shell::parse(line)), &places)
}

fn permissions(text: &str) -> Permissions {
    Permissions::of(documents::parse(text, "policy.yaml").unwrap().iter(), UnknownTools::Allow)
}

#[test]
fn no_bypass_gets_past_the_sources_allowlist() {
    let permissions = permissions(SOURCE);
    let passed: Vec<String> =
        lines(BYPASSES).filter(|line| judge(&permissions, "execute-commands", line).is_allowed()).collect();
    assert_eq!(passed, Vec::<String>::new());
    assert!(lines(BYPASSES).count() >= 400);
    for allowed in ["npm test", "npm run lint", "pytest", "go test ./..."] {
        assert!(judge(&permissions, "execute-commands", allowed).is_allowed(), "{allowed}");
    }
}

#[test]
fn an_open_entry_is_no_way_to_another_program_or_file() {
    let permissions = permissions(FITTING);
    let passed: Vec<String> =
        lines(OPEN).filter(|line| judge(&permissions, "work", line).is_allowed()).collect();
    assert_eq!(passed, Vec::<String>::new());
    assert!(lines(OPEN).count() >= 85);
}

#[test]
fn harmless_lines_pass_a_fitting_allowlist() {
    let permissions = permissions(FITTING);
    let stopped: Vec<String> = lines(HARMLESS)
        .filter_map(|line| match judge(&permissions, "work", &line) {
            Judgement::Allowed { .. } => None,
            Judgement::Denied(denial) => Some(format!("{line}: {}", denial.sentence)),
        })
        .collect();
    assert!(stopped.is_empty(), "{stopped:#?}");
    assert!(lines(HARMLESS).count() >= 100);
}
