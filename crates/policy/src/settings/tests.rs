use super::*;
use crate::config::{self, Profile, parse_layer};
use crate::documents;

fn layers(user: &str, user_spec: &[&str], managed: &str, managed_spec: &[&str]) -> Layers {
    let config = |text: &str, file| (!text.is_empty()).then(|| parse_layer(text, file).unwrap());
    let documents = |specs: &[&str], side: &str| {
        let parsed = specs.iter().enumerate().map(|(n, spec)| {
            let text = format!("apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: {side}{n}}}\nspec: {spec}\n");
            documents::parse(&text, &format!("{side}{n}.yaml")).unwrap().remove(0)
        });
        parsed.collect()
    };
    Layers {
        user: config(user, "config.yaml"),
        user_documents: documents(user_spec, "user"),
        managed: config(managed, "managed.yaml"),
        managed_documents: documents(managed_spec, "managed"),
        ..Layers::default()
    }
}

fn resolved(user: &str, user_spec: &[&str], managed: &str, managed_spec: &[&str]) -> Snapshot {
    resolve(&layers(user, user_spec, managed, managed_spec)).unwrap()
}

fn parts<T: Copy>(setting: &Setting<T>) -> (T, Origin, bool) {
    (setting.value, setting.origin, setting.locked)
}

#[test]
fn nothing_set_is_the_default() {
    let snapshot = resolve(&Layers::default()).unwrap();
    assert_eq!(snapshot.listen.value.to_string(), "127.0.0.1:8877");
    assert!(snapshot.rows().iter().all(|row| row.origin == Origin::Default && !row.locked));
    assert_eq!(snapshot.secrets_config(), config::SecretsConfig::default());
    assert_eq!(snapshot.audit_config(), config::AuditConfig::default());
    assert_eq!(snapshot.limits.max_body_bytes.value, 64 << 20);
    assert_eq!(snapshot.fail_mode.value, FailMode::Closed);
}

#[test]
fn managed_counts_over_user_counts_over_default() {
    use Origin::*;
    let user = "listen: 127.0.0.1:1\nsecrets: {keychain: false}\naudit: {retention_days: 7}\n";
    let managed = "listen: 127.0.0.1:2\naudit: {content: none}\n";
    let snapshot = resolved(user, &[], managed, &[]);
    assert_eq!(parts(&snapshot.listen), ("127.0.0.1:2".parse().unwrap(), Managed, true));
    assert_eq!(parts(&snapshot.secrets.keychain), (false, User, false));
    assert_eq!(parts(&snapshot.audit.retention_days), (7, User, false));
    assert_eq!(parts(&snapshot.audit.content), (config::ContentRetention::None, Managed, true));
    assert_eq!(parts(&snapshot.secrets.well_known_files), (true, Default, false));
}

#[test]
fn quotas_start_with_a_warning_and_hold_where_somebody_manages() {
    use crate::config::OnExceed::{Block, Warn};
    let on_exceed = |user: &str, user_spec: &[&str], managed: &str, managed_spec: &[&str]| {
        parts(&resolved(user, user_spec, managed, managed_spec).quotas.on_exceed)
    };
    assert_eq!(on_exceed("", &[], "", &[]), (Warn, Origin::Default, false));
    assert_eq!(on_exceed("", &[], "", &["{profile: balanced}"]), (Block, Origin::Default, false));
    assert_eq!(on_exceed("quotas: {on_exceed: block}", &[], "", &[]), (Block, Origin::User, false));
    // Of two words of one rank the stricter.
    assert_eq!(on_exceed("quotas: {on_exceed: warn}", &["{quotas: {onExceed: block}}"], "", &[]).0, Block);
    assert_eq!(
        on_exceed("quotas: {on_exceed: warn}", &[], "", &["{quotas: {onExceed: block}}"]),
        (Block, Origin::Managed, true)
    );
    assert_eq!(
        on_exceed("quotas: {on_exceed: warn}", &[], "", &["{lock: false, quotas: {onExceed: block}}"]),
        (Warn, Origin::User, false)
    );
}

#[test]
fn tiers_are_amended_added_and_locked() {
    let own = "{quotas: {tiers: {developer: {requestsPerMinute: 500}, intern: {requestsPerMinute: 1, \
        requestsPerHour: 2, tokensPerDay: 3, maxPromptLength: 4, maxConcurrentRequests: 5}}}}";
    let tiers = resolved("", &[own], "", &[]).quotas.tiers;
    assert_eq!(tiers.value["developer"].requests_per_minute, 500);
    assert_eq!(tiers.value["developer"].requests_per_hour, 200);
    assert_eq!(tiers.value["intern"].max_concurrent_requests, 5);
    assert_eq!((tiers.origin, tiers.locked), (Origin::User, false));

    let theirs = "{quotas: {tiers: {developer: {requestsPerHour: 50}}}}";
    let tiers = resolved("", &[own], "", &[theirs]).quotas.tiers;
    assert_eq!(tiers.value["developer"].requests_per_minute, 20);
    assert_eq!(tiers.value["developer"].requests_per_hour, 50);
    assert!(!tiers.value.contains_key("intern") && tiers.locked);

    let two = ["{quotas: {tiers: {developer: {requestsPerHour: 60}}}}", theirs];
    assert_eq!(resolved("", &[], "", &two).quotas.tiers.value["developer"].requests_per_hour, 50);
}

#[test]
fn loops_are_seen_by_default_and_the_stricter_word_counts() {
    use crate::config::OnExceed::{Block, Warn};
    let repeats = |specs: &[&str]| {
        let repeats = resolved("", specs, "", &[]).quotas.repeats.value;
        (repeats.after, repeats.action)
    };
    assert_eq!(repeats(&[]), (8, Warn));
    assert_eq!(repeats(&["{quotas: {repeats: {after: 0}}}"]), (0, Warn));
    assert_eq!(repeats(&["{quotas: {repeats: {after: 0}}}", "{quotas: {repeats: {after: 20}}}"]), (20, Warn));
    let both = ["{quotas: {repeats: {after: 5}}}", "{quotas: {repeats: {after: 20, action: block}}}"];
    assert_eq!(repeats(&both), (20, Block));
}

#[test]
fn unset_and_empty_differ() {
    let user = "secrets: {files: [/a]}\n";
    assert_eq!(resolved(user, &[], "secrets: {}\n", &[]).secrets.files.value.len(), 1);
    let emptied = resolved(user, &[], "secrets: {files: []}\n", &[]);
    assert!(emptied.secrets.files.value.is_empty() && emptied.secrets.files.locked);
    let user = "{disabledRules: [jwt, ip_addresses]}";
    assert_eq!(resolved("", &[user], "", &["{opaque: warn}"]).disabled_rules.value.len(), 2);
    let emptied = resolved("", &[user], "", &["{disabledRules: []}"]);
    assert!(emptied.disabled_rules.value.is_empty() && emptied.disabled_rules.locked);
}

/// Table over who says what about `opaque`.
#[test]
fn documents_resolve_by_rank_then_strictness() {
    use {OpaquePolicy::*, Origin::*};
    type Row<'a> = (&'a str, &'a [&'a str], &'a str, &'a [&'a str], (OpaquePolicy, Origin, bool));
    let table: &[Row<'_>] = &[
        ("", &[], "", &[], (Warn, Default, false)),
        ("", &["{opaque: allow}"], "", &[], (Allow, User, false)),
        ("", &["{opaque: allow}", "{opaque: block}"], "", &[], (Block, User, false)),
        ("", &["{opaque: block}", "{opaque: allow}"], "", &[], (Block, User, false)),
        ("", &["{opaque: block}"], "", &["{opaque: allow}"], (Allow, Managed, true)),
        ("", &["{opaque: allow}"], "", &["{opaque: block, lock: false}"], (Allow, User, false)),
        ("", &[], "", &["{opaque: block, lock: false}"], (Block, Managed, false)),
        ("profile: strict\n", &[], "", &[], (Block, User, false)),
        ("profile: strict\n", &["{opaque: warn}"], "", &[], (Warn, User, false)),
        ("", &["{profile: strict}"], "", &[], (Block, User, false)),
        ("profile: balanced\n", &["{profile: strict}"], "", &[], (Block, User, false)),
        ("", &["{opaque: allow}"], "profile: strict\n", &[], (Block, Managed, true)),
        ("profile: balanced\n", &["{opaque: allow}"], "", &["{profile: strict}"], (Block, Managed, true)),
        ("profile: strict\n", &[], "", &["{profile: balanced}"], (Warn, Default, false)),
        ("", &[], "", &["{profile: strict, opaque: warn}"], (Warn, Managed, true)),
    ];
    for (user, user_spec, managed, managed_spec, expected) in table {
        let snapshot = resolved(user, user_spec, managed, managed_spec);
        assert_eq!(parts(&snapshot.opaque), *expected, "{user:?} {user_spec:?} {managed:?} {managed_spec:?}");
    }
}

#[test]
fn strict_makes_all_three_strict() {
    let snapshot = resolved("profile: strict\n", &[], "", &[]);
    assert_eq!(snapshot.profile.value, Profile::Strict);
    assert_eq!(snapshot.malformed.value, MalformedPolicy::Block);
    assert_eq!(snapshot.telemetry.value, TelemetryPolicy::Block);
}

#[test]
fn each_kind_of_output_has_its_word_and_completions_speaks_for_the_rest() {
    let words = |snapshot: &Snapshot| {
        let output = &snapshot.conduct.output;
        [&output.commands, &output.packages, &output.code, &output.file_types, &output.execution]
            .map(|one| one.value)
    };
    use OutputAction::{Annotate, Block, Hold, Off};
    assert_eq!(words(&resolved("", &[], "", &[])), [Annotate; 5]);
    assert_eq!(words(&resolved("profile: strict\n", &[], "", &[])), [Block; 5]);
    let snapshot = resolved("", &["{output: {completions: hold, code: off, commands: block}}"], "", &[]);
    assert_eq!(words(&snapshot), [Block, Hold, Off, Hold, Hold]);
    let locked = resolved("", &["{output: {commands: off}}"], "", &["{output: {commands: block}}"]);
    assert_eq!(words(&locked), [Block, Annotate, Annotate, Annotate, Annotate]);
    assert!(locked.conduct.output.commands.locked);
}

#[test]
fn only_what_every_document_of_a_layer_disables_is_disabled() {
    let snapshot = resolved("", &["{disabledRules: [jwt, ip_addresses]}", "{disabledRules: [jwt]}"], "", &[]);
    assert_eq!(snapshot.disabled_rules.value.into_iter().collect::<Vec<_>>(), ["jwt"]);
}

#[test]
fn of_two_documents_the_one_that_elevates_less_counts() {
    let key = |byte: u8| crate::elevation::ApproverKey::from_seed(&[byte; 32]).public().to_string();
    let one = format!(
        "{{elevation: {{maxDuration: 2h, autoGrant: [network:external, filesystem:write], \
         approvers: [{{name: ann, publicKey: {}}}, {{name: bob, publicKey: {}}}]}}, protection: {{off: forbid}}}}",
        key(1),
        key(2)
    );
    let two = format!(
        "{{elevation: {{maxDuration: 1h, approvalTimeout: 5m, autoGrant: [network:external], requireJustification: true, \
         approvers: [{{name: ann, publicKey: {}}}, {{name: bob, publicKey: {}}}]}}, protection: {{reason: required}}}}",
        key(1),
        key(3)
    );
    let snapshot = resolved("", &[&one, &two], "", &[]);
    let terms = snapshot.elevation.terms();
    assert_eq!((terms.max_duration, terms.approval_timeout, terms.require_justification), (3_600, 300, true));
    assert_eq!(terms.auto_grant.into_iter().collect::<Vec<_>>(), [crate::elevation::Scope::NetworkExternal]);
    assert_eq!(
        terms.approvers.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(),
        ["ann"],
        "bob has two keys"
    );
    assert_eq!(parts(&snapshot.protection.off), (OffPolicy::Forbid, Origin::User, false));
    assert_eq!(parts(&snapshot.protection.reason), (ReasonPolicy::Required, Origin::User, false));
    let managed =
        resolved("", &[&one], "", &["{elevation: {autoGrant: [], approvers: []}, protection: {off: allow}}"]);
    assert!(managed.elevation.terms().approvers.is_empty() && managed.elevation.approvers.locked);
    assert!(managed.elevation.terms().auto_grant.is_empty());
    assert_eq!(parts(&managed.protection.off), (OffPolicy::Allow, Origin::Managed, true));
    let default = resolved("", &[], "", &[]).elevation.terms();
    assert_eq!(default, crate::elevation::Terms::default());
}

#[test]
fn providers_come_from_both_layers_and_managed_ones_are_locked() {
    let snapshot = resolved(
        "",
        &["{providers: [{name: mine, hosts: [llm.home.example]}]}"],
        "",
        &["{providers: [{name: openai, agreement: enterprise}]}"],
    );
    assert_eq!(snapshot.providers.lookup("llm.home.example", 443).unwrap().name, "mine");
    let rows = snapshot.rows();
    let row = |key: &str| rows.iter().find(|row| row.key == key).unwrap();
    assert_eq!((row("providers.openai").origin, row("providers.openai").locked), (Origin::Managed, true));
    assert_eq!((row("providers.mine").origin, row("providers.mine").locked), (Origin::User, false));
}

#[test]
fn contradictions_are_named_with_their_place() {
    let layers = layers(
        "",
        &[
            "\n  providers:\n    - name: mine\n      hosts: [a.corp.example]\n    - name: claude\n      tunnel: true",
        ],
        "",
        &["{providers: [{name: corp, hosts: [a.corp.example]}]}"],
    );
    let error = resolve(&layers).unwrap_err();
    assert_eq!(
        error.to_string(),
        "user0.yaml:7:7: `a.corp.example` belongs to `corp` already: amend that provider by its name\n\
         user0.yaml:9:7: `claude.ai` is inspected: only managed policy may have it passed on unread"
    );
}

#[test]
fn the_version_follows_the_inputs() {
    let versions = [
        resolved("", &[], "", &[]),
        resolved("profile: strict\n", &[], "", &[]),
        resolved("", &[], "profile: strict\n", &[]),
        resolved("", &["{opaque: block}"], "", &[]),
        resolved("", &[], "", &["{opaque: block}"]),
        resolved("", &["{opaque: block}", "{telemetry: block}"], "", &[]),
    ]
    .map(|snapshot| snapshot.version);
    let mut distinct = versions.to_vec();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), versions.len());
    assert!(versions.iter().all(|v| v.len() == 16 && v.bytes().all(|b| b.is_ascii_hexdigit())));
    let mut swapped = layers("", &["{opaque: block}", "{telemetry: block}"], "", &[]);
    swapped.user_documents.reverse();
    assert_eq!(resolve(&swapped).unwrap().version, versions[5], "the order of files does not count");
}

#[test]
fn rows_are_for_people() {
    let snapshot = resolved("upstream: {proxy: \"http://ann:s3cret@p.example:1\"}\n", &[], "", &[]);
    let text = serde_json::to_string(&snapshot.rows()).unwrap();
    assert!(text.contains("http://…@p.example:1") && !text.contains("s3cret"));
    assert!(!format!("{snapshot:?}").contains("s3cret"));
}

#[test]
fn destinations_resolve_by_rank_and_are_checked() {
    let row = |snapshot: &Snapshot, key: &str| {
        let row = snapshot.rows().into_iter().find(|row| row.key == key).unwrap();
        (row.value.to_string(), row.origin, row.locked)
    };
    let snapshot = resolved(
        "",
        &[
            "{shadowAi: count, approvedProviders: [openai, poe], tenants: [{provider: openai, allow: [org-1]}]}",
        ],
        "",
        &["{shadowAi: block}", "{tenants: [{provider: openai, allow: [org-2, org-3]}]}"],
    );
    assert_eq!(row(&snapshot, "shadow_ai"), ("\"block\"".into(), Origin::Managed, true));
    assert_eq!(row(&snapshot, "approved_providers"), ("[\"openai\",\"poe\"]".into(), Origin::User, false));
    let openai = snapshot.providers.provider("openai").unwrap();
    let header = snapshot.tenant_header(openai).unwrap();
    assert_eq!(header, ("openai-allowed-organization-ids", "org-2,org-3".to_owned()));
    let both = resolved("", &["{approvedProviders: [openai, poe]}", "{approvedProviders: [poe]}"], "", &[]);
    assert_eq!(both.approved_providers.value.unwrap().into_iter().collect::<Vec<_>>(), ["poe"]);
}

#[test]
fn contradicting_destinations_are_named_with_their_place() {
    let said = |user: &[&str]| resolve(&layers("", user, "", &[])).unwrap_err().to_string();
    for (user, expected) in [
        (&["{approvedProviders: [opnai]}"][..], "user0.yaml:4:8: no provider is called `opnai`"),
        (&["{providerAgreements: {nobody: enterprise}}"], "user0.yaml:4:29: no provider is called `nobody`"),
        (&["{tenants: [{provider: ollama, allow: [a]}]}"], "user0.yaml:4:19: no header is known"),
        (
            &["{tenants: [{provider: openai, allow: [a]}]}", "{tenants: [{provider: openai, allow: [b]}]}"],
            "user1.yaml:4:19: another document allows other workspaces of `openai`",
        ),
        (
            &["{rerouteTo: {provider: openai}}"],
            "user0.yaml:4:20: expected a provider with `agreement: self_hosted`",
        ),
        (
            &["{rerouteTo: {provider: ollama, host: x.example}}"],
            "user0.yaml:4:38: `x.example` is no host of `ollama`",
        ),
        (
            &["{rerouteTo: {provider: ollama}}", "{rerouteTo: {provider: lm-studio}}"],
            "user1.yaml:4:8: another document reroutes elsewhere",
        ),
    ] {
        let got = said(user);
        assert!(got.starts_with(expected), "{user:?}\n  got      {got}\n  expected {expected}");
    }
}

#[test]
fn a_folder_has_the_level_of_its_nearest_entry() {
    use crate::Level::*;
    let snapshot = resolve(&Layers {
        home: Some("/home/ann".into()),
        ..layers(
            "",
            &["{workspaceLevels: [{path: ~/src, level: public}, {path: /home/ann/src/pay, level: restricted}, {path: /srv/x/y, level: public}]}"],
            "",
            &["{defaultLevel: internal, workspaceLevels: [{path: /srv/x, level: confidential}]}"],
        )
    })
    .unwrap();
    for (folder, expected) in [
        (None, Internal),
        (Some("/tmp"), Internal),
        (Some("/home/ann/src/open"), Internal),
        (Some("/home/ann/src/pay/api"), Restricted),
        (Some("/home/ann/src/payroll"), Internal),
        (Some("/srv/x"), Confidential),
        (Some("/srv/x/y/z"), Confidential),
    ] {
        assert_eq!(snapshot.base_level(folder.map(std::path::Path::new)), expected, "{folder:?}");
    }
    let own = resolve(&Layers {
        home: Some("/home/ann".into()),
        ..layers("", &["{defaultLevel: internal, workspaceLevels: [{path: ~/src, level: public}]}"], "", &[])
    })
    .unwrap();
    assert_eq!(own.base_level(Some(std::path::Path::new("/home/ann/src/x"))), Public);
}

#[test]
fn what_managed_policy_says_of_a_provider_is_not_amended() {
    let claim = "{providers: [{name: corp, hosts: [evil.example]}]}";
    let corp = "{providers: [{name: corp, hosts: [a.corp.example], agreement: self_hosted}]}";
    let error = resolve(&layers("", &[claim], "", &[corp])).unwrap_err().to_string();
    assert!(error.contains("`corp` is set by managed policy"), "{error}");
    let open = corp.replace("{providers", "{lock: false, providers");
    assert!(resolve(&layers("", &[claim], "", &[&open])).is_ok());
}

#[test]
fn only_managed_assessments_count_where_managed_policy_refuses_tools() {
    use crate::assessment::{AssessmentRecord, Day};
    let record = |tool: &str| AssessmentRecord {
        tool: tool.into(),
        providers: ["openai".to_owned()].into(),
        template: "t".into(),
        created: Day::parse("2026-01-01").unwrap(),
        certificates: Default::default(),
        answers: Default::default(),
        approval: None,
    };
    for (managed, expected) in [("{unapprovedTools: block}", vec!["b"]), ("{opaque: warn}", vec!["a", "b"])] {
        let mut layers = layers("", &["{unapprovedTools: block}"], "", &[managed]);
        layers.assessments = vec![(Origin::User, record("a")), (Origin::Managed, record("b"))];
        let tools = resolve(&layers).unwrap().tools;
        assert_eq!(tools.iter().map(|tool| tool.tool.as_str()).collect::<Vec<_>>(), expected, "{managed}");
    }
}

#[test]
fn names_that_lead_nowhere_are_told_with_their_place() {
    let rbac = include_str!("../../../../assets/policies/examples/agent-rbac-policy.yaml");
    let told = |user: &str, spec: &str, agents: bool| -> Vec<String> {
        let mut layers = layers(user, &[spec], "", &[]);
        if agents {
            layers.user_documents.extend(documents::parse(rbac, "agents.yaml").unwrap());
        }
        let found = resolve(&layers).unwrap().unknown_names.into_iter();
        found
            .map(|p| format!("{}:{}:{}: {} | {}", p.file, p.line, p.column, p.message, p.hint.unwrap()))
            .collect()
    };
    let sound =
        "identity: {tier: team_lead}\nagents: {default_class: coding-assistant, default_tier: read-only}\n";
    let spec =
        "{agents: {tiers: {coding-assistant: write-workspace}}, quotas: {agentTiers: {anything: developer}}}";
    assert_eq!(told(sound, spec, true), [""; 0]);

    let user = "identity: {tier: develper}\nagents:\n  default_class: coding\n  default_tier: everything\n";
    let found = told(user, "{quotas: {agentTiers: {coding-assistant: robot}}}", true);
    let expected = [
        "config.yaml:1:12: no tier of quotas is called `develper`: calls of models are refused | did you mean `developer`?",
        "user0.yaml:4:30: no tier of quotas is called `robot`: calls of models are refused | known here: `developer`",
        "config.yaml:3:3: no AgentPermissionPolicy is about the class `coding`: the calls of its agents are denied",
        "config.yaml:4:3: the class `coding-assistant` has no tier `everything`: the calls of its agents are denied",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
    let tiers = "{agents: {tiers: {coding-assistant: readonly, reviewer: read-only}}}";
    let found = told("agents: {default_tier: everything}\n", tiers, true);
    assert_eq!(found.len(), 2, "the class has a word of its own, so the default is not meant: {found:#?}");
    assert!(
        found[0].starts_with("user0.yaml:4:25: the class `coding-assistant` has no tier `readonly`"),
        "{found:#?}"
    );
    assert!(found[1].contains("about the class `reviewer`"), "{found:#?}");
    // Nobody is denied where no document speaks of agents.
    assert_eq!(told("agents: {default_class: a, default_tier: b}\n", tiers, false), [""; 0]);
    // A tier that policy describes is one.
    let intern = "{quotas: {tiers: {intern: {requestsPerMinute: 1, requestsPerHour: 1, tokensPerDay: 1, maxPromptLength: 1, maxConcurrentRequests: 1}}}}";
    assert_eq!(told("identity: {tier: intern}\n", intern, false), [""; 0]);
}

#[test]
fn a_session_of_a_class_that_nothing_is_about_is_remarked_on() {
    let of = |texts: &[&str]| {
        let user_documents =
            texts.iter().flat_map(|text| documents::parse(text, "p.yaml").unwrap()).collect();
        resolve(&Layers { user_documents, ..Layers::default() }).unwrap()
    };
    assert_eq!(of(&[]).class_remark("anything"), None);
    let named = of(&[
        "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {name: a}\nspec: {quotas: {agentTiers: {reviewer: service_account}}}\n",
    ]);
    assert_eq!(named.class_remark("reviewer"), None);
    assert_eq!(
        named.class_remark("reviewr").as_deref(),
        Some("policy says nothing of the class `reviewr`; did you mean `reviewer`? Known here: `reviewer`")
    );
    let described = of(&[include_str!("../../../../assets/policies/examples/agent-rbac-policy.yaml")]);
    assert_eq!(described.class_remark("coding-assistant"), None);
    let remark = described.class_remark("reviewer").unwrap();
    assert!(remark.starts_with("no AgentPermissionPolicy is about the class `reviewer`: "), "{remark}");
    assert!(remark.ends_with("known here: `coding-assistant`"), "{remark}");
}
