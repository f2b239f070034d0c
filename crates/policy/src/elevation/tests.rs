use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn draft(scope: Scope, resource: &str) -> Draft {
    Draft {
        scope,
        resources: vec![resource.to_owned()],
        account: "coding-assistant".into(),
        justification: "to release".into(),
        seconds: 1_800,
    }
}

fn grant(scope: Scope, resource: &str) -> Grant {
    let terms = Terms::default();
    let (request, _) = judge(&draft(scope, resource), 1, &terms, now()).unwrap();
    request.grant(Grantor::Person, 1_800, &terms, now())
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// Who approves must see what counts.
#[test]
fn what_shows_another_text_than_it_is_can_not_be_asked_for() {
    for odd in ['\u{1b}', '\u{200b}', '\u{202e}', '\u{2066}', '\u{feff}', '\u{e0041}'] {
        let refused = |draft: &Draft| judge(draft, 1, &Terms::default(), now()).is_err();
        assert!(refused(&draft(Scope::ShellExecute, &format!("git push {odd}x"))), "{odd:?}");
        assert!(refused(&draft(Scope::FilesystemWrite, &format!("/workspace/{odd}x"))), "{odd:?}");
        let named = Draft { justification: format!("to {odd}release"), ..draft(Scope::ShellExecute, "make") };
        assert!(refused(&named), "{odd:?}");
    }
    assert!(judge(&draft(Scope::ShellExecute, "git commit größer"), 1, &Terms::default(), now()).is_ok());
}

#[test]
fn resources_reach_what_they_say() {
    let reaches = |scope, pattern: &str, target: Target<'_>| {
        covers(&grant(scope, pattern), &target, "coding-assistant", now())
    };
    let file = |pattern: &str, path: &str| reaches(Scope::FilesystemWrite, pattern, Target::File(path));
    assert!(file("/workspace/src/**", "/workspace/src/a/b.rs"));
    assert!(file("/workspace/*.rs", "/workspace/a.rs"));
    assert!(!file("/workspace/*.rs", "/workspace/a/b.rs"));
    assert!(!file("/workspace/src/**", "/workspace/src/../.env"));
    assert!(!file("/workspace/src/**", "workspace/src/a"));
    let shell =
        |pattern: &str, line: &str| reaches(Scope::ShellExecute, pattern, Target::Command(&words(line)));
    assert!(shell("git push", "git push"));
    assert!(!shell("git push", "git push --force"));
    assert!(shell("git push *", "git push origin main"));
    assert!(shell("git push *", "git push"));
    assert!(!shell("git push *", "git pull"));
    assert!(shell("npm run *-ci", "npm run test-ci"));
    assert!(!shell("npm run *-ci", "npm run test-ci extra"));
    let net = |pattern: &str, host: &str| reaches(Scope::NetworkExternal, pattern, Target::Domain(host));
    assert!(net("api.example.com", "API.example.com."));
    assert!(net("*.example.com", "a.b.example.com"));
    assert!(!net("*.example.com", "example.com"));
    assert!(!net("*.example.com", "badexample.com"));
    assert!(net("docs.*.example.com", "docs.v2.example.com"));
    assert!(!net("api.example.com", "api.example.com.evil.test"));
    let secret = |pattern: &str, name: &str| reaches(Scope::SecretsRead, pattern, Target::Secret(name));
    assert!(secret("OPENAI_API_KEY", "OPENAI_API_KEY"));
    assert!(secret("OPENAI_*", "OPENAI_API_KEY"));
    assert!(!secret("OPENAI_*", "openai_api_key"));
}

#[test]
fn a_grant_is_for_one_account_one_scope_and_one_while() {
    let grant = grant(Scope::NetworkExternal, "api.example.com");
    let target = Target::Domain("api.example.com");
    let at = |account: &str, minute: i64| covers(&grant, &target, account, now() + minutes(minute));
    assert!(at("coding-assistant", 0) && at("coding-assistant", 29));
    assert!(!at("coding-assistant", 30), "it is over when it is over");
    assert!(!at("coding-assistant", -1), "a clock that was set back gives no more time");
    assert!(!at("other", 1));
    assert!(!covers(&grant, &Target::Secret("api.example.com"), "coding-assistant", now()));
    let endless = Grant { expires_at: now() + minutes(600), ..grant };
    assert!(!covers(&endless, &target, "coding-assistant", now()), "longer than any rule allows");
}

#[test]
fn what_is_no_resource_is_refused() {
    let bad = [
        (Scope::FilesystemWrite, "src/**"),
        (Scope::FilesystemWrite, "/workspace/../etc/**"),
        (Scope::FilesystemWrite, "/a/[b"),
        (Scope::ShellExecute, "pytest; curl x | bash"),
        (Scope::ShellExecute, "echo $(id)"),
        (Scope::ShellExecute, "*"),
        (Scope::ShellExecute, "git\npush"),
        (Scope::NetworkExternal, "*"),
        (Scope::NetworkExternal, "*.com"),
        (Scope::NetworkExternal, "https://example.com"),
        (Scope::SecretsRead, ""),
        (Scope::SecretsRead, "two words"),
    ];
    for (scope, text) in bad {
        assert!(Resource::parse(scope, text).is_err(), "{scope} {text:?}");
        let crafted: Resource = serde_json::from_value(serde_json::json!(text)).unwrap();
        let mut grant = grant(Scope::SecretsRead, "x");
        (grant.scope, grant.resources) = (scope, vec![crafted]);
        let line = words("git push");
        for target in
            [Target::File("/etc/x"), Target::Command(&line), Target::Domain("a.com"), Target::Secret("x")]
        {
            assert!(!covers(&grant, &target, "coding-assistant", now()), "{scope} {text:?} reaches {target}");
        }
    }
}

#[test]
fn a_target_asks_for_itself_alone() {
    let path = Target::File("/workspace/a[1]*.rs");
    let resource = path.as_resource().unwrap();
    assert!(resource.reaches(&path) && !resource.reaches(&Target::File("/workspace/a1.rs")));
    let line = words("git push origin");
    let resource = Target::Command(&line).as_resource().unwrap();
    assert_eq!(resource.as_str(), "git push origin");
    assert_eq!(Target::Command(&["ls".into(), "a b".into()]).as_resource(), None);
    assert_eq!(Target::Command(&["rm".into(), "*".into()]).as_resource(), None);
}

#[test]
fn drafts_are_held_against_the_rules() {
    let terms = Terms { max_duration: 3_600, require_justification: true, ..Terms::default() };
    let judged = |change: fn(&mut Draft)| {
        let mut draft = draft(Scope::NetworkExternal, "api.example.com");
        change(&mut draft);
        judge(&draft, 7, &terms, now())
    };
    assert_eq!(judged(|_| ()).unwrap().1, Way::NeedsHuman);
    assert_eq!(judged(|_| ()).unwrap().0.answer_by, now() + minutes(30));
    assert_eq!(judged(|d| d.seconds = 3_601).unwrap_err(), Refused::TooLong { asked: 3_601, max: 3_600 });
    assert_eq!(judged(|d| d.seconds = 0).unwrap_err(), Refused::NoDuration);
    assert_eq!(judged(|d| d.justification = "  ".into()).unwrap_err(), Refused::NoJustification);
    assert_eq!(judged(|d| d.resources.clear()).unwrap_err(), Refused::ResourceCount);
    assert_eq!(judged(|d| d.account.clear()).unwrap_err(), Refused::Text);
    assert!(matches!(judged(|d| d.resources.push("*".into())), Err(Refused::Resource(_))));
    let wide = Terms { max_duration: u64::MAX, ..Terms::default() };
    let long = Draft { seconds: MAX_DURATION + 1, ..draft(Scope::SecretsRead, "X") };
    assert!(matches!(judge(&long, 1, &wide, now()), Err(Refused::TooLong { max: MAX_DURATION, .. })));
}

#[test]
fn policy_grants_no_shell_and_no_secret() {
    let terms = Terms { auto_grant: Scope::ALL.into_iter().collect(), ..Terms::default() };
    let cases = [
        (Scope::FilesystemWrite, "/workspace/**", Way::GrantedByPolicy),
        (Scope::NetworkExternal, "api.example.com", Way::GrantedByPolicy),
        (Scope::ShellExecute, "make", Way::NeedsHuman),
        (Scope::SecretsRead, "X", Way::NeedsHuman),
    ];
    for (scope, resource, way) in cases {
        assert_eq!(judge(&draft(scope, resource), 1, &terms, now()).unwrap().1, way, "{scope}");
    }
}

#[test]
fn words_and_numbers_survive_json() {
    let grant = Grant { granted_by: Grantor::Approver("ann".into()), ..grant(Scope::SecretsRead, "X_*") };
    let json = serde_json::to_string(&grant).unwrap();
    assert!(json.contains(r#""scope":"secrets:read","resources":["X_*"]"#), "{json}");
    assert_eq!(serde_json::from_str::<Grant>(&json).unwrap(), grant);
    for scope in Scope::ALL {
        assert_eq!(scope.as_str().parse(), Ok(scope));
        assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
    }
    assert!("root".parse::<Scope>().is_err());
}

proptest! {
    #[test]
    fn no_grant_outlives_what_was_asked_or_allowed(asked in 1u64..MAX_DURATION, given in 0u64..u64::MAX, max in 1u64..u64::MAX) {
        let terms = Terms { max_duration: max, ..Terms::default() };
        let draft = Draft { seconds: asked, ..draft(Scope::SecretsRead, "X") };
        if let Ok((request, _)) = judge(&draft, 1, &terms, now()) {
            let grant = request.grant(Grantor::Person, given, &terms, now());
            let length = grant.expires_at.duration_since(grant.not_before).as_secs() as u64;
            prop_assert!(length <= asked.min(given).min(max).min(MAX_DURATION));
        }
    }

    #[test]
    fn patterns_never_panic(pattern in "\\PC{0,40}", text in "\\PC{0,40}") {
        for scope in Scope::ALL {
            if let Ok(resource) = Resource::parse(scope, &pattern) {
                let line = words(&text);
                for target in [Target::File(&text), Target::Command(&line), Target::Domain(&text), Target::Secret(&text)] {
                    let _ = resource.reaches(&target);
                }
            }
        }
    }
}
