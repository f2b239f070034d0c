use super::*;
use crate::classification::Mark;
use crate::documents;
use crate::providers::WireFamily;
use crate::settings::{Layers, resolve};
use crate::verdict::{BodyNature, Edit, decide};
use crate::{Finding, FindingKind, RuleId, Severity};

/// The source's table of levels.
const SOURCE: &str = include_str!("../../../../assets/policies/examples/data-classification-policy.yaml");

const HOSTED: &str = "providers: [{name: corp-llm, hosts: [llm.corp.example], agreement: self_hosted, \
    auth: {headers: [authorization]}, endpoints: [{path: /v1/chat/completions, family: openai_chat}]}]";

fn policy(spec: &str, classes: &str) -> Snapshot {
    let text =
        format!("apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: x}}\nspec: {{{spec}}}\n");
    let mut user_documents = documents::parse(&text, "p.yaml").unwrap();
    if !classes.is_empty() {
        user_documents.extend(documents::parse(classes, "classes.yaml").unwrap());
    }
    resolve(&Layers { user_documents, ..Layers::default() }).unwrap_or_else(|error| panic!("{spec}: {error}"))
}

struct Case<'a> {
    provider: &'a str,
    /// Class of the one finding.
    found: Option<Level>,
    /// A content rule says so.
    marked: Option<Level>,
    family: WireFamily,
    path: &'a str,
}

const CHAT: Case<'_> = Case {
    provider: "openai",
    found: None,
    marked: None,
    family: WireFamily::OpenAiChat,
    path: "/v1/chat/completions",
};

fn decided(policy: &Snapshot, case: &Case<'_>) -> Decision {
    let finding = Finding {
        rule: RuleId::new("db-password"),
        kind: FindingKind::KnownSecret,
        severity: Severity::Critical,
        class: case.found.unwrap_or_default(),
        span: 0..4,
    };
    let found = [Found { finding: &finding, place: "/messages/0/content", edit: Edit::Possible }];
    let mark = Mark {
        rule: "content rule \"atlas\"".into(),
        place: "/messages/1/content".into(),
        level: case.marked.unwrap_or_default(),
    };
    let facts = RequestFacts {
        provider: policy.providers.provider(case.provider).unwrap(),
        family: case.family,
        path: case.path,
        upgrade: false,
        workspace: None,
        marks: if case.marked.is_some() { std::slice::from_ref(&mark) } else { &[] },
        kind: TrafficKind::Model,
        nature: BodyNature::Json,
        signed: false,
        findings: if case.found.is_some() { &found } else { &[] },
    };
    decide(policy, &facts)
}

fn outcome(decision: &Decision) -> &'static str {
    match (&decision.verdict, &decision.route) {
        (Verdict::Block(BlockCode::ProviderNotAllowed), _) => "blocked",
        (Verdict::Block(_), _) => "blocked otherwise",
        (_, Route::Reroute(_)) => "rerouted",
        (Verdict::Redact, _) => "redacted",
        (Verdict::Allow, _) => "allowed",
    }
}

/// Mode, agreement of the provider, class of a finding, class by a content rule, and what happens.
#[test]
fn levels_choose_the_provider() {
    use Level::{Confidential as C, Internal as I, Restricted as R};
    type Row = (&'static str, &'static str, Option<Level>, Option<Level>, &'static str);
    let table: &[Row] = &[
        ("redact", "none", None, None, "allowed"),
        ("redact", "none", Some(C), None, "redacted"),
        ("redact", "none", Some(R), None, "redacted"),
        ("redact", "none", None, Some(I), "blocked"),
        ("redact", "enterprise", None, Some(I), "allowed"),
        ("redact", "enterprise", Some(C), Some(I), "redacted"),
        ("redact", "enterprise", None, Some(C), "blocked"),
        ("redact", "self_hosted", None, Some(C), "allowed"),
        ("redact", "self_hosted", None, Some(R), "blocked"),
        ("block", "none", None, None, "allowed"),
        ("block", "none", Some(I), None, "blocked"),
        ("block", "enterprise", Some(I), None, "redacted"),
        ("block", "enterprise", Some(C), None, "blocked"),
        ("block", "self_hosted", Some(C), None, "redacted"),
        ("block", "self_hosted", Some(R), None, "blocked"),
        ("reroute", "none", None, None, "allowed"),
        ("reroute", "none", Some(I), None, "rerouted"),
        ("reroute", "none", Some(C), Some(I), "rerouted"),
        ("reroute", "enterprise", Some(I), None, "redacted"),
        ("reroute", "enterprise", Some(C), None, "rerouted"),
        ("reroute", "none", Some(R), None, "blocked"),
        ("reroute", "self_hosted", Some(C), None, "redacted"),
    ];
    for (mode, agreement, found, marked, expected) in table {
        let spec = format!(
            "onViolation: {mode}, rerouteTo: {{provider: corp-llm}}, providerAgreements: {{openai: {agreement}}}, {HOSTED}"
        );
        let policy = policy(&spec, SOURCE);
        let decision = decided(&policy, &Case { found: *found, marked: *marked, ..CHAT });
        assert_eq!(outcome(&decision), *expected, "{mode} {agreement} {found:?} {marked:?}: {decision:?}");
        let before = (*found).max(*marked).unwrap_or_default();
        assert_eq!(decision.level_before, before);
        if *expected != "blocked" {
            assert_eq!(decision.level_after, marked.unwrap_or_default());
        }
    }
}

#[test]
fn without_a_table_of_levels_every_provider_sees_all() {
    for level in Level::ALL {
        let decision = decided(&policy("", ""), &Case { marked: Some(level), ..CHAT });
        assert_eq!(outcome(&decision), "allowed");
    }
}

#[test]
fn a_refusal_names_what_made_the_level_and_the_way_out() {
    let spec = "onViolation: block";
    let by_finding = decided(&policy(spec, SOURCE), &Case { found: Some(Level::Confidential), ..CHAT });
    let reason = &by_finding.reasons[0];
    assert_eq!(
        reason.sentence,
        "This request is confidential, which OpenAI may not see by policy: the secret \"db-password\" stands in /messages/0/content."
    );
    assert_eq!(reason.rule.as_ref().unwrap().as_str(), "db-password");
    let by_rule = decided(&policy(spec, SOURCE), &Case { marked: Some(Level::Restricted), ..CHAT });
    let reason = &by_rule.reasons[0];
    assert!(
        reason.sentence.ends_with("content rule \"atlas\" in /messages/1/content makes it so."),
        "{reason:?}"
    );
    assert!(reason.hint.as_deref().unwrap().contains("self-hosted"));
    let by_folder = decided(&policy("defaultLevel: internal", SOURCE), &CHAT);
    assert!(by_folder.reasons[0].sentence.contains("the default level"), "{by_folder:?}");
}

#[test]
fn a_reroute_keeps_the_family_and_finds_the_path() {
    let spec = format!("onViolation: reroute, rerouteTo: {{provider: corp-llm, model: m}}, {HOSTED}");
    let policy = policy(&spec, SOURCE);
    let led = |provider, family, path| {
        let case = Case { provider, family, path, found: Some(Level::Confidential), marked: None };
        match decided(&policy, &case).route {
            Route::Reroute(target) => Some(format!("{}:{}{}", target.to.host, target.to.port, target.path)),
            Route::AsAsked => None,
        }
    };
    let chat = Some("llm.corp.example:443/v1/chat/completions".to_owned());
    assert_eq!(led("openai", WireFamily::OpenAiChat, "/v1/chat/completions"), chat);
    assert_eq!(led("groq", WireFamily::OpenAiChat, "/openai/v1/chat/completions"), chat);
    assert_eq!(led("anthropic", WireFamily::AnthropicMessages, "/v1/messages"), None);
    assert_eq!(led("openai", WireFamily::Generic, "/v1/embeddings"), None);
}

#[test]
fn session_only_is_told() {
    let policy = policy("providerAgreements: {openai: enterprise}", SOURCE);
    let decision = decided(&policy, &Case { marked: Some(Level::Internal), ..CHAT });
    assert_eq!(decision.retention, Some(crate::documents::Retention::SessionOnly));
    assert_eq!(decided(&policy, &CHAT).retention, None);
}

#[test]
fn hosts_that_are_not_approved() {
    use BlockCode::{ShadowAi as S, UnapprovedTool as T};
    use Verdict::{Allow, Block};
    for (spec, provider, expected, said) in [
        ("", "openai", Allow, None),
        ("shadowAi: block", "openai", Allow, None),
        ("shadowAi: block", "poe", Block(S), Some(ReasonCode::Blocked(S))),
        ("shadowAi: block, approvedProviders: [poe]", "poe", Allow, None),
        ("shadowAi: block, approvedProviders: [poe]", "openai", Block(S), Some(ReasonCode::Blocked(S))),
        ("shadowAi: block, approvedProviders: [poe]", "openai-telemetry", Allow, None),
        ("shadowAi: block, approvedProviders: []", "self-test", Allow, None),
        ("shadowAi: warn, approvedProviders: [poe]", "openai", Allow, Some(ReasonCode::PassedShadowAi)),
        ("approvedProviders: [poe]", "openai", Allow, Some(ReasonCode::PassedShadowAi)),
        ("unapprovedTools: block", "openai", Block(T), Some(ReasonCode::Blocked(T))),
        ("unapprovedTools: warn", "openai", Allow, Some(ReasonCode::PassedUnapprovedTool)),
        ("unapprovedTools: block", "ollama", Allow, None),
        ("unapprovedTools: block", "self-test", Allow, None),
    ] {
        let policy = policy(spec, "");
        let decision = decided(&policy, &Case { provider, ..CHAT });
        assert_eq!(decision.verdict, expected, "{spec} {provider}");
        assert_eq!(decision.reasons.first().map(|reason| reason.code), said, "{spec} {provider}");
    }
    let looked_into = |spec, host| policy(spec, "").providers.intercepted(host, 443).is_some();
    assert!(!looked_into("", "poe.com") && !looked_into("shadowAi: warn", "poe.com"));
    assert!(looked_into("shadowAi: block", "poe.com") && looked_into("approvedProviders: [poe]", "poe.com"));
}

mod widening {
    use proptest::prelude::*;

    use super::*;

    fn word(options: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
        prop::sample::select(options)
    }

    /// A document of levels; `any` for those that it leaves out stays what others say.
    fn classes() -> impl Strategy<Value = String> {
        let providers = word(&["any", "enterprise_agreement_only", "self_hosted_only", "none"]);
        prop::collection::vec(providers, 4).prop_map(|words| {
            let levels = ["public", "internal", "confidential", "restricted"];
            let rows: Vec<_> = levels
                .iter()
                .zip(words)
                .map(|(level, word)| format!("    - {{level: {level}, aiProvider: {word}}}"))
                .collect();
            format!(
                "apiVersion: governance.platform/v1\nkind: DataClassificationPolicy\nmetadata: {{name: x}}\nspec:\n  classifications:\n{}\n",
                rows.join("\n")
            )
        })
    }

    fn rules() -> impl Strategy<Value = String> {
        let level = || word(&["public", "internal", "confidential", "restricted"]);
        let shadow = word(&["count", "warn", "block"]);
        (level(), level(), shadow, word(&["allow", "warn", "block"])).prop_map(|(finding, default, shadow, tools)| {
            format!(
                "classification: {{findings: {{db-password: {finding}}}}}, defaultLevel: {default}, shadowAi: {shadow}, unapprovedTools: {tools}"
            )
        })
    }

    fn documents_of(spec: &str, classes: &str) -> Vec<documents::Document> {
        let text = format!(
            "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: x}}\nspec: {{{spec}}}\n---\n{classes}"
        );
        documents::parse(&text, "p.yaml").unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// One more document, in either layer, never lets pass what was refused, nor sends it to somebody who may see
        /// less.
        #[test]
        fn a_further_document_never_widens(
            first in (rules(), classes()),
            second in (rules(), classes()),
            managed in any::<bool>(),
            provider in word(&["openai", "ollama", "poe"]),
            found in prop::option::of(prop::sample::select(Level::ALL.as_slice())),
            marked in prop::option::of(prop::sample::select(Level::ALL.as_slice())),
        ) {
            let base = documents_of(&first.0, &first.1);
            let more = documents_of(&second.0, &second.1);
            let narrow = Layers { user_documents: base.clone(), ..Layers::default() };
            // Within one layer the stricter word counts; a managed one counts over the user's, so that it is added
            // to managed documents here, too.
            let wide = match managed {
                false => Layers { user_documents: [base.clone(), more].concat(), ..Layers::default() },
                true => Layers { managed_documents: [base.clone(), more].concat(), ..Layers::default() },
            };
            let narrow = if managed { Layers { managed_documents: base, ..Layers::default() } } else { narrow };
            let case = Case { provider, found, marked, ..CHAT };
            let before = decided(&resolve(&narrow).unwrap(), &case);
            let after = decided(&resolve(&wide).unwrap(), &case);
            if matches!(before.verdict, Verdict::Block(_)) {
                prop_assert!(matches!(after.verdict, Verdict::Block(_)), "{before:?} -> {after:?}");
            }
            prop_assert!(after.level_before >= before.level_before);
        }

        /// Whatever a user writes, managed rules go on holding.
        #[test]
        fn a_user_never_widens_what_is_managed(
            managed in classes(),
            user in (rules(), classes()),
            claimed in word(&["none", "enterprise", "self_hosted"]),
            found in prop::option::of(prop::sample::select(Level::ALL.as_slice())),
            marked in prop::option::of(prop::sample::select(Level::ALL.as_slice())),
        ) {
            let managed_documents = documents_of("defaultLevel: internal, onViolation: block", &managed);
            let alone = Layers { managed_documents: managed_documents.clone(), ..Layers::default() };
            let spec = format!(
                "{}, onViolation: redact, providerAgreements: {{openai: {claimed}}}, workspaceLevels: [{{path: /, level: public}}]",
                user.0
            );
            let user_documents = documents_of(&spec, &user.1);
            let both = Layers { user_documents, managed_documents, ..Layers::default() };
            let case = Case { found, marked, ..CHAT };
            let before = decided(&resolve(&alone).unwrap(), &case);
            let after = decided(&resolve(&both).unwrap(), &case);
            if matches!(before.verdict, Verdict::Block(_)) {
                prop_assert!(matches!(after.verdict, Verdict::Block(_)), "{before:?} -> {after:?}");
            }
        }
    }
}
