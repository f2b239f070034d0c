use std::collections::BTreeSet;

use super::*;
use crate::{Level, Severity};

/// The documents that the product accepts unchanged.
const EXAMPLES: [(&str, &str, DocumentKind); 6] = [
    (
        "agent-rbac-policy.yaml",
        include_str!("../../../../assets/policies/examples/agent-rbac-policy.yaml"),
        DocumentKind::AgentPermissionPolicy,
    ),
    (
        "ai-attack-surface-model.yaml",
        include_str!("../../../../assets/policies/examples/ai-attack-surface-model.yaml"),
        DocumentKind::AttackSurfaceModel,
    ),
    (
        "ai-incident-response.yaml",
        include_str!("../../../../assets/policies/examples/ai-incident-response.yaml"),
        DocumentKind::IncidentResponsePlan,
    ),
    (
        "ai-secrets-architecture.yaml",
        include_str!("../../../../assets/policies/examples/ai-secrets-architecture.yaml"),
        DocumentKind::AiSecretsPolicy,
    ),
    (
        "ai-tool-security-assessment.yaml",
        include_str!("../../../../assets/policies/examples/ai-tool-security-assessment.yaml"),
        DocumentKind::SecurityAssessmentTemplate,
    ),
    (
        "data-classification-policy.yaml",
        include_str!("../../../../assets/policies/examples/data-classification-policy.yaml"),
        DocumentKind::DataClassificationPolicy,
    ),
];

/// Every field of the seventh kind.
const SALLYPORT: &str = include_str!("../../../../assets/policies/examples/sallyport-policy.yaml");

fn one(text: &str) -> Document {
    parse(text, "p.yaml").unwrap().remove(0)
}

/// Everything that is wrong with a text.
fn faults(text: &str) -> Vec<String> {
    let told = |error: DocumentError| match error.hint {
        Some(hint) => format!("{}:{}: {} | {hint}", error.line, error.column, error.message),
        None => format!("{}:{}: {}", error.line, error.column, error.message),
    };
    parse(text, "p.yaml").unwrap_err().into_iter().map(told).collect()
}

/// The only thing that is wrong with a text.
fn fails(text: &str) -> String {
    let mut all = faults(text);
    assert_eq!(all.len(), 1, "{text}\n{all:#?}");
    all.remove(0)
}

/// What is odd in a text that can be used.
fn problems(text: &str) -> Vec<String> {
    let found = check(&parse(text, "p.yaml").unwrap());
    found.into_iter().map(|p| format!("{:?} {}:{}: {}", p.severity, p.line, p.column, p.message)).collect()
}

#[test]
fn the_source_documents_are_read_unchanged_and_sound() {
    let mut all = Vec::new();
    for (file, text, kind) in EXAMPLES {
        let documents = parse(text, file).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(documents.len(), 1);
        assert_eq!(documents[0].kind(), kind);
        all.extend(documents);
    }
    assert_eq!(check(&all), []);
}

#[test]
fn nothing_of_the_source_documents_is_lost() {
    let by_name = |wanted: &str| {
        let (file, text, _) = EXAMPLES.into_iter().find(|(file, ..)| *file == wanted).unwrap();
        parse(text, file).unwrap().remove(0).body
    };
    let DocumentBody::AgentPermissions(agents) = by_name("agent-rbac-policy.yaml") else { panic!() };
    assert_eq!(agents.agent_class, "coding-assistant");
    assert_eq!(agents.tiers[2].inherits.as_deref(), Some("write-workspace"));
    assert_eq!(agents.tiers[2].permissions.shell[0].denylist[1], "curl | bash");
    assert_eq!(agents.tiers[0].permissions.network[0].domains[0], "docs.*.com");
    let DocumentBody::DataClassification(levels) = by_name("data-classification-policy.yaml") else {
        panic!()
    };
    let rows: Vec<_> = levels.classifications.iter().map(|c| (c.level, c.ai_provider, c.retention)).collect();
    assert_eq!(
        rows,
        [
            (Level::Public, AllowedProviders::Any, None),
            (Level::Internal, AllowedProviders::EnterpriseAgreementOnly, Some(Retention::SessionOnly)),
            (Level::Confidential, AllowedProviders::SelfHostedOnly, None),
            (Level::Restricted, AllowedProviders::None, None),
        ]
    );
    let DocumentBody::AiSecrets(secrets) = by_name("ai-secrets-architecture.yaml") else { panic!() };
    assert_eq!(secrets.secret_classes[0].rotation.unwrap().seconds(), 30 * 86_400);
    assert_eq!(secrets.secret_classes[1].access_pattern, Some(AccessPattern::PerSession));
    assert_eq!(secrets.secret_classes[2].ai_access, Some(AiAccess::Denied));
    assert!(secrets.injection_policy.unwrap().memory_protection);
    let DocumentBody::IncidentResponse(plan) = by_name("ai-incident-response.yaml") else { panic!() };
    let severities: Vec<_> = plan.incident_types.iter().map(|t| t.severity).collect();
    assert_eq!(severities, [Severity::High, Severity::Medium, Severity::High, Severity::Critical]);
    let DocumentBody::Assessment(assessment) = by_name("ai-tool-security-assessment.yaml") else { panic!() };
    assert_eq!(assessment.phases.iter().map(|phase| phase.questions.len()).sum::<usize>(), 7);
    assert_eq!(assessment.approval_criteria[1].condition, "highRisks.all(r => r.mitigated)");
    let DocumentBody::AttackSurface(surface) = by_name("ai-attack-surface-model.yaml") else { panic!() };
    assert_eq!(surface.attack_vectors.values().map(Vec::len).sum::<usize>(), 14);
}

#[test]
fn the_seventh_kind_is_read() {
    let document = one(SALLYPORT);
    assert_eq!((document.kind(), document.name.as_str()), (DocumentKind::SallyportPolicy, "house-rules"));
    let DocumentBody::Sallyport(policy) = document.body else { panic!() };
    assert_eq!(policy.max_body_bytes, Some(64 << 20));
    assert_eq!(policy.disabled_rules.unwrap().len(), 1);
    assert_eq!(policy.providers[0].name, "corp-llm");
    assert_eq!(policy.reroute_to.unwrap().provider, "corp-llm");
    assert_eq!(policy.classification.paths[0].paths.len(), 2);
    let DocumentBody::Sallyport(empty) = one(
        "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {name: x}\nspec: {disabledRules: []}\n",
    )
    .body
    else {
        panic!()
    };
    assert_eq!((empty.disabled_rules, empty.opaque), (Some(BTreeSet::new()), None));
}

#[test]
fn one_file_may_hold_several_documents() {
    let text = format!("{}---\n{SALLYPORT}", EXAMPLES[0].1);
    let documents = parse(&text, "all.yaml").unwrap();
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[1].mark.line as usize, EXAMPLES[0].1.lines().count() + 3);
}

#[test]
fn a_mistake_is_named_with_its_place() {
    let sallyport = |spec: &str| {
        format!("apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: x}}\nspec:\n{spec}")
    };
    let table = [
        (String::new(), "1:1: expected a policy document, found none | known kinds: "),
        ("a: 1\n".into(), "1:1: expected a document with `apiVersion`"),
        ("- a\n".into(), "1:1: expected a document with `apiVersion`"),
        (
            "kind: AgentPermisionPolicy\n".into(),
            "1:7: this is not a kind of document | did you mean `AgentPermissionPolicy`?",
        ),
        ("kind: Pod\n".into(), "1:7: this is not a kind of document | known kinds: "),
        (
            "apiVersion: v1\nkind: SallyportPolicy\nmetadata: {name: x}\nspec: {}\n".into(),
            "1:13: expected `apiVersion: sallyport/v1` for a SallyportPolicy",
        ),
        ("kind: AISecretsPolicy\n".into(), "1:1: expected `apiVersion: secrets.platform/v1`"),
        (
            "apiVersion: sallyport/v1\nkind: SallyportPolicy\nspec: {}\n".into(),
            "1:1: the key `metadata` is missing",
        ),
        ("attack_vectors: {a: b}\n".into(), "1:21: expected a list, found text"),
        ("attack_vectors: {}\nmore: 1\n".into(), "2:1: `more` is not a key here"),
        (sallyport("  opaqe: block\n"), "5:3: `opaqe` is not a key here | did you mean `opaque`?"),
        (sallyport("  fail_mode: open\n"), "5:3: `fail_mode` is not a key here | did you mean `failMode`?"),
        (sallyport("  opaque: maybe\n"), "5:11: expected `allow` or `warn` or `block`"),
        (sallyport("  maxBodyBytes: 10\n"), "5:17: expected 65536 to 1073741824 bytes"),
        (sallyport("  shadowAi: deny\n"), "5:13: expected `count` or `warn` or `block`"),
        (sallyport("  onViolation: reroute\n"), "5:16: expected `rerouteTo` beside `onViolation: reroute`"),
        (sallyport("  rerouteTo: {}\n"), "5:14: the key `provider` is missing"),
        (sallyport("  rerouteTo: {provider: ollama, keyHeader: 'a b'}\n"), "5:44: `a b` is no header name"),
        (
            sallyport("  workspaceLevels:\n    - {path: src, level: public}\n"),
            "6:14: expected an absolute folder",
        ),
        (
            sallyport("  tenants:\n    - {provider: openai, allow: []}\n"),
            "6:33: expected at least one workspace",
        ),
        (
            sallyport("  tenants:\n    - {provider: openai, allow: ['a,b']}\n"),
            "6:33: expected ids without spaces",
        ),
        (sallyport("  fileExtensions: [.md]\n"), "5:20: expected a file extension without its dot"),
        (sallyport("  unapprovedTools: refuse\n"), "5:20: expected `allow` or `warn` or `block`"),
        (sallyport("  providerAgreements: {openai: written}\n"), "5:32: expected `none` or `enterprise`"),
        (
            sallyport("  classification:\n    content:\n      - {name: a, pattern: '(', level: internal}\n"),
            "7:28: this is no regular expression that can be used",
        ),
        (sallyport("  classification: {labels: {x: secret}}\n"), "5:32: expected `public` or `internal`"),
        (sallyport("  maxBodyBytes: 1 MB\n"), "5:17: expected a whole number, found text"),
        (
            sallyport("  providers:\n    - name: a\n      hosts: [ok.example, \"*.com\"]\n"),
            "7:27: `*.com` takes in hosts of others",
        ),
        (
            EXAMPLES[3].1.replace("rotation: 24h", "rotation: daily"),
            "19:17: expected a length of time such as `15m`, `24h` or `30d`",
        ),
        (
            EXAMPLES[5].1.replace("level: internal", "level: secret"),
            "13:14: expected `public` or `internal` or",
        ),
    ];
    for (text, expected) in table {
        let got = fails(&text);
        assert!(got.starts_with(expected), "{text}\n  got      {got}\n  expected {expected}");
    }
}

#[test]
fn every_mistake_is_told_in_one_go() {
    let text = "\
apiVersion: sallyport/v1
kind: SallyportPolicy
metadata: {name: x, owner: ann}
spec:
  opaqe: block
  malformed: maybe
  maxBodyBytes: much
  providers:
    - hosts: [a.example]
      knd: model
    - {name: b, hosts: b.example, agreement: friendly}
  quotas:
    tiers: {developer: {requestsPerMinute: many, perDay: 3}}
    onExceed: stop
---
apiVersion: v2
kind: DataClassificationPolicy
metadata: {}
spec: {classifications: [{level: secret, aiProvider: any}, {level: public}]}
---
kind: Pod
";
    let all = faults(text);
    let places: Vec<&str> = all.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    let expected = [
        "3:21", "5:3", "6:14", "7:17", "9:7", "10:7", "11:24", "11:46", "13:44", "13:50", "14:15", "16:13",
        "18:11", "19:34", "19:60", "21:7",
    ];
    assert_eq!(places, expected, "{all:#?}");
    // What the types can't tell is told in one go as well.
    let text = "\
apiVersion: sallyport/v1
kind: SallyportPolicy
metadata: {name: x}
spec:
  maxBodyBytes: 1
  classification: {content: [{name: a, pattern: '(', level: internal}, {name: b, pattern: 'x*', level: internal}]}
  fileExtensions: [.md, rs, a/b]
  elevation: {maxDuration: 9h, approvalTimeout: 9h}
  quotas: {repeats: {after: 1}, tiers: {intern: {requestsPerMinute: 1}}}
---
apiVersion: secrets.platform/v1
kind: AISecretsPolicy
metadata: {name: s}
spec: {secretClasses: [{name: a, patterns: ['[']}, {name: a}]}
";
    assert_eq!(faults(text).len(), 11, "{:#?}", faults(text));
    // A file may be wrong from end to end.
    let lines: String = (0..500).map(|n| format!("  wrong{n}: 1\n")).collect();
    let wrong =
        format!("apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: x}}\nspec:\n{lines}");
    assert_eq!(faults(&wrong).len(), 50);
}

#[test]
fn one_mistake_has_no_echo() {
    for text in [
        "attack_vectors: {a: &x [{}], b: *x}\n",
        "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {name: [x]}\nspec: {}\n",
        "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: x\nspec: {}\n",
        "apiVersion: [sallyport/v1]\nkind: SallyportPolicy\nmetadata: {name: x}\nspec: {}\n",
        "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {name: x}\nspec: {rerouteTo: {provider: [a]}}\n",
    ] {
        fails(text);
    }
}

#[test]
fn what_leads_nowhere_makes_a_document_unusable() {
    let rbac = EXAMPLES[0].1;
    let line = |text: &str, needle: &str| text.lines().position(|line| line.contains(needle)).unwrap() + 1;
    let unknown = rbac.replace("inherits: read-only", "inherits: readonly");
    assert_eq!(fails(&unknown), format!("{}:7: no tier is called `readonly`", line(&unknown, "readonly")));
    let circle = rbac.replace("- name: read-only", "- name: read-only\n      inherits: execute-commands");
    assert_eq!(faults(&circle).len(), 3, "each tier of the circle");
    let twice =
        rbac.replace("name: write-workspace", "name: read-only").replace("inherits: write-workspace", "");
    assert!(faults(&twice)[0].contains("the tier `read-only` stands here a second time"));
    let glob = rbac.replace("**/*.pem", "**/[.pem");
    assert!(fails(&glob).contains("is no path pattern"));
    let url = rbac.replace("pypi.org", "https://pypi.org/simple");
    assert!(fails(&url).contains("is no domain"));
    let levels = EXAMPLES[5].1.replace("level: restricted", "level: public");
    assert!(fails(&levels).contains("stands here a second time"));
    let condition = EXAMPLES[4].1.replace("criticalRisks == 0", "criticalRisk == 0");
    assert!(fails(&condition).contains("not understood: column 1: `criticalRisk` is not known"));
}

#[test]
fn oddities_are_found_with_their_place() {
    let three = EXAMPLES[5].1.split("    - level: restricted").next().unwrap();
    assert!(problems(three)[0].contains("`restricted` is not described"));
    let upside_down = EXAMPLES[5].1.replace("aiProvider: any", "aiProvider: none");
    assert!(problems(&upside_down)[0].contains("`public` asks more"), "{:?}", problems(&upside_down));
    let same = format!("{SALLYPORT}---\n{SALLYPORT}");
    assert!(
        problems(&same)[0].contains("a SallyportPolicy called `house-rules` stands in p.yaml:2 too"),
        "{:?}",
        problems(&same)
    );
}

#[test]
fn every_field_says_whether_it_acts() {
    let sallyport = ("sallyport.yaml", SALLYPORT, DocumentKind::SallyportPolicy);
    for (file, text, kind) in EXAMPLES.into_iter().chain([sallyport]) {
        let document = one(text);
        let mut paths = BTreeSet::new();
        in_force::walk(&document.tree, String::new(), &mut paths);
        for path in paths.iter().filter(|path| !path.starts_with("metadata.")) {
            let header = matches!(path.as_str(), "apiVersion" | "kind");
            let known = in_force(kind).iter().any(|line| in_force::covers(line.field, path));
            assert!(header || known, "{file}: {path} is in no table");
        }
        let used = fields_of(&document);
        assert_eq!(used.len(), in_force(kind).len(), "{file} uses every line of its table");
        assert!(used.iter().all(|line| !line.note.is_empty()), "{file}");
    }
}

#[test]
fn spans_of_time() {
    for (text, seconds, shown) in
        [("90s", 90, "90s"), ("15m", 900, "15m"), ("24h", 86_400, "1d"), ("2w", 1_209_600, "2w")]
    {
        let span = Span::parse(text).unwrap();
        assert_eq!((span.seconds(), span.to_string().as_str()), (seconds, shown));
    }
    for bad in ["", "d", "0d", "-1d", "+1d", "1.5h", "30", "99999999999999999999w", "é"] {
        assert_eq!(Span::parse(bad), None, "{bad}");
    }
}

#[test]
fn elevation_stays_within_its_bounds() {
    let spec = |text: &str| {
        fails(&format!(
            "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: x}}\nspec:\n  elevation: {text}\n"
        ))
    };
    assert_eq!(spec("{maxDuration: 5h}"), "5:15: expected 4h at most");
    assert_eq!(spec("{approvalTimeout: 31m}"), "5:15: expected 30m at most");
    assert!(spec("{autoGrant: [secrets:read]}").contains("always needs a human"));
    assert!(spec("{autoGrant: [root]}").starts_with("5:"));
    assert!(spec("{approvers: [{name: a, publicKey: abc}]}").contains("base64 of its 32 bytes"));
    let key = crate::elevation::ApproverKey::from_seed(&[7; 32]).public();
    let twice = format!("{{approvers: [{{name: a, publicKey: {key}}}, {{name: a, publicKey: {key}}}]}}");
    assert!(spec(&twice).contains("a second time"));
}
