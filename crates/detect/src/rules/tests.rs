//! The whole table of shipped rules proves itself; files with mistakes are refused by line.

use super::*;

#[test]
fn every_shipped_rule_does_what_its_file_says() {
    let rules = RuleSet::builtin().unwrap();
    rules.warm();
    assert!(rules.rules().iter().all(|rule| rule.regex().is_some()));
    let problems: Vec<String> = rules.check().iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_named_rules_are_there() {
    let rules = RuleSet::builtin().unwrap();
    for id in [
        "aws_key",
        "aws_secret",
        "private_key",
        "jwt",
        "password_assignment",
        "connection_string",
        "api_key",
        "pii_ssn",
        "pii_email_with_name",
        "internal_urls",
        "ip_addresses",
        "env_assignment",
    ] {
        assert!(rules.rule(id).is_some(), "{id}");
    }
}

const RULE: &str = r#"rules:
  - id: one
    description: a rule
    keywords: [abcd]
    regex: 'abcd[0-9]{4}'
    severity: high
    class: restricted
    kind: secret
    examples: [abcd1234, abcd5678]
    near_misses: [abcd, abcdefgh]
"#;

fn error(from: &str, to: &str) -> RuleError {
    RuleSet::compile(&[("own.yaml", &RULE.replace(from, to))]).expect_err(to)
}

#[test]
fn mistakes_are_named_with_file_and_line() {
    assert!(RuleSet::compile(&[("own.yaml", RULE)]).is_ok());
    for (from, to, line, says) in [
        ("'abcd[0-9]{4}'", "'abcd[0-9'", 5, "unclosed"),
        ("'abcd[0-9]{4}'", "'a|b'", 5, "four characters"),
        ("id: one", "id: One", 2, "a-z"),
        ("    keywords: [abcd]\n", "", 2, "keywords or a gate"),
        ("[abcd]\n", "[ab]\n", 4, "three bytes"),
        ("kind: secret", "kind: known_secret", 8, "not for rules"),
        ("kind: secret", "kind: secret\n    validator: nothing", 9, "no validator"),
        ("kind: secret", "kind: secret\n    group: nothing", 9, "no group"),
        ("kind: secret", "kind: secret\n    colour: red", 9, "colour"),
        ("[abcd1234, abcd5678]", "[abcd1234]", 9, "two examples"),
        ("[abcd, abcdefgh]", "[]", 10, "two near_misses"),
        ("severity: high", "severity: loud", 6, "loud"),
        ("kind: secret", "kind: secret\n    source: the manual", 9, "https://"),
    ] {
        let error = error(from, to);
        assert_eq!((error.file.as_str(), error.line), ("own.yaml", line), "{error}");
        assert!(error.message.contains(says) && !error.message.contains("at line"), "{error}");
    }
    let twice = RuleSet::compile(&[("one.yaml", RULE), ("two.yaml", RULE)]).expect_err("twice");
    assert_eq!((twice.file.as_str(), twice.line, twice.column), ("two.yaml", 2, 3));
}

#[test]
fn a_rule_that_lies_is_caught() {
    let rules = RuleSet::compile(&[(
        "own.yaml",
        &RULE.replace("abcd5678", "efgh5678").replace("[abcd,", "[abcd9999,"),
    )])
    .unwrap();
    assert_eq!(rules.check().len(), 2);
}

#[test]
fn rows_become_rules_and_their_mistakes_have_a_line() {
    let rows = "named: |\n  acme_key | Acme key | acme, acme-cloud | [0-9a-f]{32}\n  + ACME_KEY={{7f3a9c0be1d24685a7f3c9e0b1d24f68}}\n  + acme-cloud token 0be1d24685a7f3c97f3a9ce0b1d24f68\n  - ACME_KEY=7f3a9c\n  - acme is a company\n";
    for yaml in [rows.to_owned(), format!("{rows}rules: []\n")] {
        let rules = RuleSet::compile(&[("own.yaml", &yaml)]).unwrap();
        assert_eq!((rules.len(), rules.check()), (1, Vec::new()));
        let error = RuleSet::compile(&[("own.yaml", &yaml.replace("{32}", "{32"))]).expect_err("no regex");
        assert_eq!(error.line, 2, "{error}");
        let error = RuleSet::compile(&[("own.yaml", &yaml.replace("  - acme is a company\n", ""))]);
        assert!(error.expect_err("one near miss").message.contains("two near_misses"));
    }
}

#[test]
fn a_rule_says_where_its_form_is_told() {
    let address = "https://docs.acme.dev/tokens";
    let entry = RULE.replace("kind: secret", &format!("kind: secret\n    source: {address}"));
    let row = format!(
        "tokens: |\n  acme_ticket | Acme ticket | ACME-[0-9A-F]{{12}}\n  @ {address}\n  + {{{{ACME-09AF3C71D2E8}}}}\n  + id={{{{ACME-5B7D90E1C3A2}}}}\n  - ACME-12\n  - ACME-\n"
    );
    for yaml in [&entry, &row] {
        let rules = RuleSet::compile(&[("own.yaml", yaml)]).unwrap();
        assert_eq!(rules.rules()[0].source.as_deref(), Some(address));
        assert_eq!(rules.check(), Vec::new());
    }
    let error = RuleSet::compile(&[("own.yaml", &row.replace("https://", "see "))]).expect_err("no address");
    assert_eq!((error.line, error.message.contains("https://")), (3, true), "{error}");
}

#[test]
fn no_match_is_longer_than_its_row_says() {
    for rule in RuleSet::builtin().unwrap().rules() {
        if let super::file::Reach::Bytes(longest) = rule.reach {
            assert!(super::file::longest(&rule.pattern()).is_some_and(|most| most <= longest), "{}", rule.id);
        }
    }
}
