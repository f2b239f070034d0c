//! The shell corpus: attempts to get past an allowlist, and what agents run all day.

use sallyport_detect::shell;
use sallyport_policy::documents;
use sallyport_policy::permissions::{Action, Judgement, Permissions, Places, UnknownTools, Who};

const SOURCE: &str = include_str!("../../../../assets/policies/examples/agent-rbac-policy.yaml");
const BYPASSES: &str = include_str!("../../../../tests/corpus/shell/bypasses.txt");
const FITTING: &str = include_str!("../../../../tests/corpus/shell/harmless-policy.yaml");
const OPEN: &str = include_str!("../../../../tests/corpus/shell/bypasses-of-open-entries.txt");
const SEALED: &str = include_str!("../../../../assets/policies/examples/ai-secrets-architecture.yaml");
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
    assert!(lines(OPEN).count() >= 200);
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
    assert!(lines(HARMLESS).count() >= 160);
}

/// Without any permissions, under a document that seals files alone.
#[test]
fn a_sealed_file_is_named_in_any_spelling_and_other_lines_pass() {
    let permissions = permissions(SEALED);
    let allowed = |line: &&str| judge(&permissions, "", &line.replace('␤', "\n")).is_allowed();
    let naming = [
        "cat .env",
        "cat .{env,x}",
        "cat {.env,}",
        "cat .e{nv,}",
        "cat $PWD/.env",
        "cat \"$PWD\"/.env",
        "cat ~+/.env",
        "cat ~ann/.env",
        "X=.env; cat $X",
        "export X=.env; cat $X",
        "a=.e; cat ${a}nv",
        "a=.e; b=nv; cat $a$b",
        "a=.e; a+=nv; cat $a",
        "A=(.env x); cat ${A[0]}",
        "for f in .env x; do cat \"$f\"; done",
        "read X <<< .env; cat $X",
        "while read f; do cat $f; done <<< .env",
        "echo \"$(<.env)\"",
        "cat <<<\"$(<.env)\"",
        "X=$(< .env)",
        "cat ${x:-.env}",
        "cat .e$(echo)nv",
        "cat .e``nv",
        "pushd secrets; cat x",
        "D=secrets; cat $D/x",
        "cd $PWD/secrets; cat x",
        "cat s*/x",
        "python -c 'print(open(\".env\").read())'",
        "node -e 'require(\"fs\").readFileSync(\".env\")'",
        "python3 - <<'E'␤open('.env')␤E",
    ];
    assert_eq!(naming.iter().filter(|line| allowed(line)).collect::<Vec<_>>(), Vec::<&&str>::new());
    let others = [
        "git commit -m \"$(cat <<'E'␤Read .env␤E␤)\"",
        "for f in *; do echo $f; done",
        "echo \"$a-$b\" \"done: $n items\"",
        "cat > x.md <<'E'␤see .env and `id`␤E",
        "cat $(which foo)",
        "A=(one two); echo \"${A[@]}\"",
        "npm run build && ls dist/*",
        "grep -rn secrets src",
        "curl -s https://x.example/.env.md",
        "cp src/{a,b}.rs out/",
        "python -c 'print(1)'",
    ];
    assert_eq!(others.iter().filter(|line| !allowed(line)).collect::<Vec<_>>(), Vec::<&&str>::new());
}

/// A link in the workspace leads to where it leads, for what an open entry prints or writes, too.
#[test]
fn an_open_entry_follows_links() {
    let permissions = permissions(FITTING);
    let who = Who { class: "coding-assistant", tier: Some("work") };
    let places = Places {
        workspaces: vec!["/home/ann/p".into()],
        cwd: "/home/ann/p".into(),
        home: "/home/ann".into(),
        links: [("/home/ann/p/out".to_owned(), vec!["/home/ann/.ssh/config".to_owned()])].into(),
    };
    for line in ["cat out", "tee out", "cp x out", "sed p out", "sed -i p out", "awk 1 out", "dd of=out"] {
        let action = Action::Shell(shell::parse(line));
        assert!(!permissions.judge(who, &|_| false, &action, &places).is_allowed(), "{line}");
    }
}

/// A grant opens what it is for: not what stands beside it in the line, and not where a link leads.
#[test]
fn a_grant_opens_nothing_beside_it() {
    use sallyport_policy::elevation::Target;
    use sallyport_policy::permissions::FilePath;
    let source = permissions(SOURCE);
    let sealed = permissions(SEALED);
    let places = Places {
        workspaces: vec!["/home/ann/p".into()],
        cwd: "/home/ann/p".into(),
        home: "/home/ann".into(),
        links: [("/home/ann/p/docs/out".to_owned(), vec!["/home/ann/.ssh/config".to_owned()])].into(),
    };
    let granted = |target: &Target<'_>| match target {
        Target::File(path) => path.starts_with("/home/ann/p/docs/"),
        Target::Secret(path) => *path == "/home/ann/p/.env.a",
        Target::Command(words) => words[0] == "make",
        Target::Domain(_) => false,
    };
    let who = Who { class: "coding-assistant", tier: Some("execute-commands") };
    let passes = |permissions: &Permissions, line: &str| {
        permissions.judge(who, &granted, &Action::Shell(shell::parse(line)), &places).is_allowed()
    };
    for line in ["npm test > docs/a", "npm test > docs/a 2> docs/b", "make", "make && npm test > docs/a"] {
        assert!(passes(&source, line), "{line}");
    }
    for line in [
        "evil > docs/a",
        "npm test > docs/a 2> /home/ann/.bashrc",
        "npm test > docs/a 2> ../x",
        "LD_PRELOAD=/x npm test > docs/a",
        "npm test > docs/a < /etc/shadow",
        "npm test > docs/a; evil",
        "npm test > docs/out",
        "npm test >> docs/out",
        "make > ~/x",
        "make; evil",
        "npm test > docs/../../x",
        "evil > docs/a > docs/b",
    ] {
        assert!(!passes(&source, line), "{line}");
    }
    let write = |path: FilePath| source.judge(who, &granted, &Action::Write(path), &places).is_allowed();
    assert!(write(FilePath::new("docs/a")));
    assert!(!write(FilePath::new("docs/out")), "it is a link");
    let resolved = Some("/home/ann/.ssh/config".to_owned());
    assert!(!write(FilePath { written: "docs/b".into(), resolved }), "it leads elsewhere");
    assert!(write(FilePath { written: "docs/b".into(), resolved: Some("/home/ann/p/docs/c".into()) }));

    for line in ["cat .env.a", "cat .env.a; ls"] {
        assert!(passes(&sealed, line), "{line}");
    }
    for line in [
        "cat .env.b",
        "cat .env.a .env.b",
        "cat .env.a; cat .env.b",
        "cat .env.{a,b}",
        "cat .env.* ",
        "cat < .env.a < .env.b",
        "cat .env.a <<< .env.b",
        "grep x .env.a secrets/y",
    ] {
        assert!(!passes(&sealed, line), "{line}");
    }
}
