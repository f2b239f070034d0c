use std::sync::LazyLock;

use super::*;
use crate::Severity;
use crate::documents;
use crate::providers::Registry;
use crate::settings::{Layers, resolve};

fn policy(spec: &str) -> Snapshot {
    let text =
        format!("apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: x}}\nspec: {spec}\n");
    let user_documents = documents::parse(&text, "p.yaml").unwrap();
    resolve(&Layers { user_documents, ..Layers::default() }).unwrap()
}

fn finding(kind: FindingKind, rule: &str, severity: Severity, class: Level) -> Finding {
    Finding { rule: RuleId::new(rule), kind, severity, class, span: 3..9 }
}

fn secret() -> Finding {
    finding(FindingKind::KnownSecret, "db-password", Severity::Critical, Level::Confidential)
}

fn address() -> Finding {
    finding(FindingKind::Internal, "ip_addresses", Severity::Low, Level::Internal)
}

/// A chat completion for api.openai.com.
fn facts<'a>(kind: TrafficKind, nature: BodyNature, findings: &'a [Found<'a>]) -> RequestFacts<'a> {
    static BUILTIN: LazyLock<Registry> = LazyLock::new(Registry::builtin);
    RequestFacts {
        provider: BUILTIN.provider("openai").unwrap(),
        family: WireFamily::OpenAiChat,
        path: "/v1/chat/completions",
        upgrade: false,
        workspace: None,
        marks: &[],
        kind,
        nature,
        signed: false,
        findings,
    }
}

/// Policy, kind, nature, what stands in it, whether the client signed it, and what is decided.
#[test]
fn every_case_is_decided() {
    use {BlockCode as B, BodyNature::*, Edit::*, TrafficKind::*, Verdict::*};
    let secret = secret();
    let found = |edit| [Found { finding: &secret, place: "messages[0].content", edit }];
    let (none, plain, signed_text, stuck) = ([], found(Possible), found(SignedText), found(Impossible));
    type Row<'a> = (&'a str, TrafficKind, BodyNature, &'a [Found<'a>], bool, Verdict);
    let table: &[Row<'_>] = &[
        ("{}", Model, Json, &none, false, Allow),
        ("{}", Model, Json, &none, true, Allow),
        ("{}", Model, Json, &plain, false, Redact),
        ("{}", Model, Text, &plain, false, Redact),
        ("{}", Model, Form, &plain, false, Redact),
        ("{}", Model, Multipart, &plain, false, Redact),
        ("{}", Model, Empty, &plain, false, Redact),
        ("{}", Account, Json, &plain, false, Redact),
        ("{}", Files, Multipart, &plain, false, Redact),
        ("{}", Telemetry, Json, &plain, false, Redact),
        ("{}", Model, Json, &plain, true, Block(B::SignedRequest)),
        ("{}", Model, Json, &signed_text, false, Block(B::SignedText)),
        ("{}", Model, Json, &signed_text, true, Block(B::SignedRequest)),
        ("{}", Model, Opaque, &stuck, false, Block(B::NotEditable)),
        ("{}", Model, Opaque, &plain, false, Redact),
        ("{}", Model, Opaque, &none, false, Allow),
        ("{}", Model, TooLarge, &none, false, Allow),
        ("{}", Model, Malformed, &none, false, Allow),
        ("{}", Model, Malformed, &plain, false, Block(B::Malformed)),
        ("{}", Model, Malformed, &stuck, false, Block(B::Malformed)),
        ("{opaque: allow}", Model, Opaque, &none, false, Allow),
        ("{opaque: allow}", Model, Opaque, &stuck, false, Block(B::NotEditable)),
        ("{opaque: block}", Model, Opaque, &none, false, Block(B::Opaque)),
        ("{opaque: block}", Model, Opaque, &plain, false, Block(B::Opaque)),
        ("{opaque: block}", Model, TooLarge, &none, false, Block(B::TooLarge)),
        ("{opaque: block}", Model, TooLarge, &plain, false, Block(B::TooLarge)),
        ("{opaque: block}", Model, Malformed, &none, false, Allow),
        ("{opaque: block}", Model, Json, &none, false, Allow),
        ("{malformed: block}", Model, Malformed, &none, false, Block(B::Malformed)),
        ("{malformed: block}", Model, Opaque, &none, false, Allow),
        ("{telemetry: allow}", Telemetry, Json, &plain, false, Allow),
        ("{telemetry: allow}", Telemetry, Opaque, &none, false, Allow),
        ("{telemetry: allow}", Model, Json, &plain, false, Redact),
        ("{telemetry: block}", Telemetry, Json, &none, false, Block(B::Telemetry)),
        ("{telemetry: block}", Model, Json, &none, false, Allow),
        ("{telemetry: scan, opaque: block}", Telemetry, Opaque, &none, false, Block(B::Opaque)),
        ("{profile: strict}", Model, Opaque, &none, false, Block(B::Opaque)),
        ("{profile: strict}", Telemetry, Json, &none, false, Block(B::Telemetry)),
        ("{profile: strict}", Model, Json, &plain, false, Redact),
    ];
    for (spec, kind, nature, findings, signed, expected) in table {
        let facts = RequestFacts { signed: *signed, ..facts(*kind, *nature, findings) };
        let decision = decide(&policy(spec), &facts);
        let case = format!("{spec} {kind:?} {nature:?} {} signed={signed}", findings.len());
        assert_eq!(decision.verdict, *expected, "{case}");
        if let Block(code) = decision.verdict {
            assert_eq!(decision.reasons.len(), 1, "{case}");
            assert_eq!(decision.reasons[0].code, ReasonCode::Blocked(code), "{case}");
            assert!(decision.reasons[0].hint.is_some(), "{case} shows the way out");
            assert_eq!(decision.level_after, decision.level_before, "{case}");
        }
    }
}

#[test]
fn every_block_code_is_reached_and_explained() {
    for code in BlockCode::ALL {
        let asked = facts(TrafficKind::Model, BodyNature::Json, &[]);
        let reason = refusal(code, None, &asked, Level::Public);
        assert!(reason.sentence.ends_with('.') && reason.hint.as_deref().unwrap().ends_with('.'), "{code}");
        let word = serde_json::to_value(code).unwrap();
        assert_eq!(word, code.as_str());
    }
}

#[test]
fn levels_before_and_after() {
    let (secret, address) = (secret(), address());
    let findings = [
        Found { finding: &address, place: "system", edit: Edit::Possible },
        Found { finding: &secret, place: "messages[1].content", edit: Edit::Possible },
    ];
    let all = facts(TrafficKind::Model, BodyNature::Json, &findings);
    let decision = decide(&policy("{}"), &all);
    assert_eq!((decision.level_before, decision.level_after), (Level::Confidential, Level::Public));
    let decision = decide(&policy("{defaultLevel: internal}"), &all);
    assert_eq!((decision.level_before, decision.level_after), (Level::Confidential, Level::Internal));
    let none = facts(TrafficKind::Model, BodyNature::Json, &[]);
    let decision = decide(&policy("{defaultLevel: restricted}"), &none);
    assert_eq!((decision.level_before, decision.level_after), (Level::Restricted, Level::Restricted));
    let told = facts(TrafficKind::Telemetry, BodyNature::Json, &findings);
    let decision = decide(&policy("{telemetry: allow}"), &told);
    assert_eq!((decision.level_after, decision.reasons.len()), (Level::Confidential, 0), "it left as it was");
}

#[test]
fn reasons_name_rule_and_place_and_never_a_value() {
    let (secret, address) = (secret(), address());
    let findings = [
        Found { finding: &address, place: "system", edit: Edit::Possible },
        Found { finding: &secret, place: "messages[1].content", edit: Edit::Possible },
    ];
    let decision = decide(&policy("{}"), &facts(TrafficKind::Model, BodyNature::Json, &findings));
    let sentences: Vec<_> = decision.reasons.iter().map(|reason| reason.sentence.as_str()).collect();
    assert_eq!(
        sentences,
        [
            "An internal address (ip_addresses) was taken out of system.",
            "The secret \"db-password\" was taken out of messages[1].content."
        ]
    );
    let stuck =
        [Found { finding: &secret, place: "messages[1].content[0].thinking", edit: Edit::SignedText }];
    let decision = decide(&policy("{}"), &facts(TrafficKind::Model, BodyNature::Json, &stuck));
    let reason = &decision.reasons[0];
    assert_eq!(reason.rule.as_ref().unwrap().as_str(), "db-password");
    assert_eq!(reason.place.as_deref(), Some("messages[1].content[0].thinking"));
    assert_eq!(
        reason.sentence,
        "The secret \"db-password\" stands in messages[1].content[0].thinking, a text that the provider has signed and that can't be edited."
    );
}

#[test]
fn what_passes_unread_is_said() {
    let unread = |spec, nature| decide(&policy(spec), &facts(TrafficKind::Model, nature, &[])).reasons;
    assert_eq!(unread("{}", BodyNature::Opaque)[0].code, ReasonCode::PassedOpaque);
    assert_eq!(unread("{}", BodyNature::TooLarge)[0].code, ReasonCode::PassedOpaque);
    assert_eq!(unread("{}", BodyNature::Malformed)[0].code, ReasonCode::PassedMalformed);
    assert_eq!(unread("{opaque: allow}", BodyNature::Opaque), []);
}

#[test]
fn a_block_is_never_lifted_by_one_more_finding() {
    let secret = secret();
    let place = "messages[0].content";
    for nature in [BodyNature::Json, BodyNature::Opaque, BodyNature::Malformed, BodyNature::TooLarge] {
        for spec in ["{}", "{opaque: block, malformed: block}", "{profile: strict}"] {
            let policy = policy(spec);
            for edit in [Edit::Possible, Edit::SignedText, Edit::Impossible] {
                let more = [Found { finding: &secret, place, edit }];
                let without = decide(&policy, &facts(TrafficKind::Model, nature, &[])).verdict;
                let with = decide(&policy, &facts(TrafficKind::Model, nature, &more)).verdict;
                if matches!(without, Verdict::Block(_)) {
                    assert!(matches!(with, Verdict::Block(_)), "{spec} {nature:?} {edit:?}");
                }
                assert_ne!(with, Verdict::Allow, "{spec} {nature:?} {edit:?}");
            }
        }
    }
}

#[test]
fn aws_signatures_are_recognised() {
    let v4 = Some("AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/bedrock/aws4_request, …");
    assert!(covered_by_signature(v4, Some("e3b0c442")));
    assert!(covered_by_signature(v4, None));
    assert!(!covered_by_signature(v4, Some("UNSIGNED-PAYLOAD")));
    assert!(!covered_by_signature(Some("Bearer x"), None));
    assert!(!covered_by_signature(None, None));
}
