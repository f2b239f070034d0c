use jiff::{Span, Timestamp};
use sallyport_audit::*;
use serde_json::Value;
use uuid::Uuid;

use crate::support::*;

const SCHEMA: &str = include_str!("../../assets/audit-event.schema.json");

fn filled(rows: u64) -> (tempfile::TempDir, MemoryKeys, Trail) {
    let folder = tempfile::tempdir().unwrap();
    let keys = MemoryKeys::default();
    let trail = open(folder.path(), &keys).0;
    fill(&trail, 1, rows);
    (folder, keys, trail)
}

fn seqs(rows: &[Row]) -> Vec<u64> {
    rows.iter().map(|row| row.seq).collect()
}

type Wanted = fn(u64) -> bool;

/// Questions and which of the rows that `fill` makes answer them.
fn cases() -> Vec<(Filter, Wanted)> {
    let at = |n: i64| Some(Timestamp::from_second(1_750_000_000 + n).unwrap());
    let base = Filter::default;
    let text = |words: &str| Filter { text: Some(words.into()), ..Filter::default() };
    vec![
        (base(), |_| true),
        (Filter { provider: Some("openai".into()), ..base() }, |n| n % 2 == 1),
        (Filter { event_type: Some(EventType::Error), ..base() }, |n| n % 5 == 3),
        (Filter { redacted: Some(true), ..base() }, |n| n % 10 == 0),
        (Filter { redacted: Some(false), ..base() }, |n| n % 10 != 0),
        (Filter { classification: Some("confidential".into()), ..base() }, |n| n % 7 == 0),
        (Filter { agent: Some("agent-2".into()), model: Some("claude-sonnet-4-5".into()), ..base() }, |n| {
            n % 3 == 2
        }),
        (Filter { user: Some("nobody".into()), ..base() }, |_| false),
        (Filter { exchange_id: Some(Uuid::from_u128(20)), ..base() }, |n| n == 40 || n == 41),
        (Filter { since: at(10), until: at(20), ..base() }, |n| (10..20).contains(&n)),
        (Filter { since: at(4090), until: at(4100), ..base() }, |n| (4090..4100).contains(&n)),
        (Filter { after_seq: Some(95), ..base() }, |n| n > 95),
        (Filter { before_seq: Some(4), ..base() }, |n| n < 4),
        (Filter { after_seq: Some(90), before_seq: Some(4097), redacted: Some(true), ..base() }, |n| {
            (91..4097).contains(&n) && n % 10 == 0
        }),
        (Filter { rule: Some("jwt".into()), ..base() }, |n| n % 10 == 0),
        (Filter { rule: Some("jw".into()), ..base() }, |_| false),
        (text("AWS_KEY"), |n| n % 10 == 0),
        (text("\"cli\""), |_| true),
        (text("100%"), |_| false),
        (text("agent-1 OPENAI"), |n| n % 3 == 1 && n % 2 == 1),
        (Filter { provider: Some("openai".into()), redacted: Some(false), ..text("agent-0 confid") }, |n| {
            n % 3 == 0 && n % 2 == 1 && n % 7 == 0
        }),
        (text("00000000-0000-0000-0000-000000000014"), |n| n == 40 || n == 41),
        (text("00000000-0000"), |_| true),
        (text("ABABABAB"), |_| true),
        (text("ababababcd"), |_| false),
    ]
}

fn found_as_wanted(reader: &Reader, rows: u64, round: &str) {
    for (filter, wanted) in cases() {
        let expected: Vec<u64> = (1..=rows).filter(|n| wanted(*n)).collect();
        assert_eq!(seqs(&reader.query(&filter).unwrap()), expected, "{round}: {filter:?}");
        let last: Vec<u64> = expected.iter().rev().take(3).copied().collect();
        let backwards = Filter { order: Order::Descending, limit: Some(3), ..filter };
        assert_eq!(seqs(&reader.query(&backwards).unwrap()), last, "{round}: {backwards:?}");
    }
}

#[tokio::test]
async fn filters_find_the_same_with_and_without_an_index() {
    let (_folder, _keys, trail) = filled(100);
    for round in ["as it comes", "after indexing"] {
        let reader = trail.reader().unwrap();
        found_as_wanted(&reader, 100, round);
        assert_eq!(reader.last_seq().unwrap(), 100);
        trail.settle().await;
    }
    // Half with an index, half without: order and limit span both.
    fill(&trail, 101, 103);
    let reader = trail.reader().unwrap();
    let newest = Filter { order: Order::Descending, limit: Some(5), ..Filter::default() };
    assert_eq!(seqs(&reader.query(&newest).unwrap()), [103, 102, 101, 100, 99]);
    let middle = Filter { after_seq: Some(98), limit: Some(4), ..Filter::default() };
    assert_eq!(seqs(&reader.query(&middle).unwrap()), [99, 100, 101, 102]);
}

/// As an engine without segments left it.
const BEFORE_SEGMENTS: &str = "
    DROP TABLE segment;
    CREATE INDEX facet_ts ON facet (ts);
    CREATE INDEX facet_type ON facet (event_type);
    CREATE INDEX facet_provider ON facet (provider);
    CREATE INDEX facet_model ON facet (model) WHERE model IS NOT NULL;
    CREATE INDEX facet_classification ON facet (classification) WHERE classification IS NOT NULL;
    CREATE INDEX facet_redacted ON facet (seq) WHERE redactions > 0;
    CREATE INDEX facet_agent ON facet (agent) WHERE agent IS NOT NULL;
    CREATE INDEX facet_action ON facet (action) WHERE action IS NOT NULL;
    CREATE INDEX facet_outcome ON facet (outcome) WHERE outcome IS NOT NULL;
    DROP TABLE content;
    DELETE FROM migration WHERE version >= 2";

#[tokio::test]
async fn an_older_file_is_found_in_and_gets_its_segments() {
    const ROWS: u64 = 9000;
    let (folder, keys, trail) = filled(ROWS);
    let at = |n: i64| Timestamp::from_second(1_750_000_000 + n).unwrap();
    let counted = |trail: &Trail| trail.reader().unwrap().activity(at(100), at(8800), 7).unwrap();
    let from_bodies = counted(&trail);
    trail.settle().await;
    let segments = || -> u64 {
        Attacker::on(folder.path()).0.query_row("SELECT count(*) FROM segment", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(segments(), 2);
    assert_eq!(counted(&trail), from_bodies);
    found_as_wanted(&trail.reader().unwrap(), ROWS, "in segments");
    let one = trail.reader().unwrap().show("5000").unwrap().unwrap();
    for word in [one.event.event_id.to_string(), one.event.event_id.to_string()[..30].to_uppercase()] {
        let filter = Filter { text: Some(word), ..Filter::default() };
        assert!(seqs(&trail.reader().unwrap().query(&filter).unwrap()).contains(&5000));
    }

    drop(trail);
    Attacker::on(folder.path()).run(BEFORE_SEGMENTS);
    assert!(check(folder.path(), &keys).is_whole());
    found_as_wanted(&Reader::open(&folder.path().join("audit.db")).unwrap(), ROWS, "an older file");

    let (trail, report) = open(folder.path(), &keys);
    assert_eq!(report.discontinuities, []);
    found_as_wanted(&trail.reader().unwrap(), ROWS, "while it is indexed");
    trail.settle().await;
    assert_eq!(segments(), 2);
    found_as_wanted(&trail.reader().unwrap(), ROWS, "anew in segments");
    assert_eq!(counted(&trail), from_bodies);
    assert!(check(folder.path(), &keys).is_whole());

    // What went leaves nothing in the index, and what stays of its segment is still found.
    trail.purge(at(4201), Actor::default()).await.unwrap();
    trail.settle().await;
    assert_eq!(segments(), 0);
    let reader = trail.reader().unwrap();
    let filter = Filter { text: Some("agent-1 jwt".into()), order: Order::Descending, ..Filter::default() };
    let expected: Vec<u64> = (4201..=ROWS).rev().filter(|n| n % 3 == 1 && n % 10 == 0).collect();
    assert_eq!(seqs(&reader.query(&filter).unwrap()), expected);
    assert!(check(folder.path(), &keys).is_whole());
}

#[tokio::test]
async fn shows_one_event_by_row_or_id() {
    let (_folder, _keys, trail) = filled(20);
    let reader = trail.reader().unwrap();
    for _ in 0..2 {
        let row = reader.show("7").unwrap().unwrap();
        assert_eq!((row.seq, row.event.request.as_ref().unwrap().prompt_length), (7, Some(1007)));
        let id = row.event.event_id.to_string().to_uppercase();
        assert_eq!(reader.show(&id).unwrap().unwrap(), row);
        assert_eq!(reader.show("21").unwrap(), None);
        assert_eq!(reader.show("nothing").unwrap(), None);
        trail.settle().await;
    }
}

#[tokio::test]
async fn counts_over_a_stretch_in_equal_parts() {
    let (_folder, _keys, trail) = filled(50);
    let at = |n: i64| Timestamp::from_second(1_750_000_000 + n).unwrap();
    for _ in 0..2 {
        // Rows 11 to 50, in parts of ten seconds; the last part is beyond the trail.
        let activity = trail.reader().unwrap().activity(at(11), at(61), 5).unwrap();
        let each = Counts { prompts: 2, redacted: 1, violations: 2, errors: 2 };
        assert_eq!(activity.parts[..4], [each; 4]);
        assert_eq!(activity.parts[4], Counts::default());
        assert_eq!(activity.total, Counts { prompts: 8, redacted: 4, violations: 8, errors: 8 });
        assert_eq!(activity.rules.iter().map(|(_, n)| n).sum::<u64>(), 8, "{:?}", activity.rules);
        let of = |shares: &[(String, u64)]| shares.iter().map(|(_, n)| n).sum::<u64>();
        assert_eq!((of(&activity.agents), of(&activity.providers)), (8, 8));
        assert!(activity.agents.is_sorted_by(|a, b| a.1 >= b.1));
        trail.settle().await;
    }
}

#[test]
fn every_exported_event_is_valid_and_canonical() {
    let (folder, keys, trail) = filled(60);
    // The bare minimum, and what the trail says about itself.
    let bare = Event::new(EventType::Error, Timestamp::UNIX_EPOCH, Actor::default(), AiProvider::none());
    trail.append(bare).wait().unwrap();
    drop(trail);
    std::fs::remove_file(folder.path().join("audit.head")).unwrap();
    let trail = open(folder.path(), &keys).0;
    let mut full = event(1);
    full.violation_type = Some("unapproved_provider".into());
    full.response = Some(Response {
        completion_hash: Some("cd".repeat(32)),
        completion_length: Some(9),
        finish_reason: Some("end_turn".into()),
        latency_ms: Some(1200),
        tokens_used: Some(77),
    });
    full.actions.push(Action {
        action_type: "approve_grant".into(),
        outcome: Some("allowed".into()),
        requires_review: Some(false),
        target: Some("shell:execute".into()),
    });
    trail.append(full).wait().unwrap();

    let mut out = Vec::new();
    assert_eq!(trail.reader().unwrap().export(&Filter::default(), &mut out).unwrap(), 63);
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let text = String::from_utf8(out).unwrap();
    let known: Vec<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    let ours = ["exchange_id", "prev_hash", "seq", "violation_type"];
    for (line, seq) in text.lines().zip(1_u64..) {
        let value: Value = serde_json::from_str(line).unwrap();
        if let Err(error) = validator.validate(&value) {
            panic!("{error} in {line}");
        }
        assert_eq!(value["seq"], seq);
        for key in value.as_object().unwrap().keys() {
            assert!(known.contains(&key.as_str()) || ours.contains(&key.as_str()), "{key}");
        }
    }
    assert!(!validator.is_valid(&serde_json::json!({"event_id": "x"})));
    // All the schema's fields can be filled.
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    for (name, property) in schema["properties"].as_object().unwrap() {
        for inner in property["properties"].as_object().into_iter().flat_map(|p| p.keys()) {
            assert!(!last[name][inner].is_null(), "{name}.{inner}");
        }
        for inner in property["items"]["properties"].as_object().into_iter().flat_map(|p| p.keys()) {
            assert!(!last[name][0][inner].is_null(), "{name}[0].{inner}");
        }
    }
}

#[tokio::test]
async fn a_tail_follows() {
    let (_folder, _keys, trail) = filled(3);
    let mut tail = trail.tail(2);
    assert_eq!(seqs(&tail.next().await.unwrap().unwrap()), [2, 3]);
    let (rows, _) = tokio::join!(tail.next(), async { trail.append(event(4)).await.unwrap() });
    assert_eq!(seqs(&rows.unwrap().unwrap()), [4]);
    drop(trail);
    assert_eq!(tail.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_purge_leaves_a_chain_that_verifies() {
    let (folder, keys, trail) = filled(6000);
    let by = Actor { user_id: Some("dev".into()), ..Actor::default() };
    let cutoff = Timestamp::from_second(1_750_000_000).unwrap() + Span::new().seconds(5501);
    let report = trail.purge(cutoff, by.clone()).await.unwrap();
    assert_eq!(report, PurgeReport { rows: 5500, last_seq: 5500 });
    assert_eq!(trail.purge(cutoff, by.clone()).await.unwrap(), PurgeReport::default());
    let verified = check(folder.path(), &keys);
    assert!(verified.is_whole(), "{verified:?}");
    assert_eq!((verified.first_seq, verified.purged_to), (5501, 5500));
    // Who asked is on record, once for each chunk.
    let purges = Filter { action: Some(action_types::PURGE.into()), ..Filter::default() };
    let rows = trail.reader().unwrap().query(&purges).unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.event.actor == by));

    // Everything but the last row, twice, and over a restart.
    fill(&trail, 6001, 6010);
    trail.purge(Timestamp::MAX, by.clone()).await.unwrap();
    drop(trail);
    let trail = open(folder.path(), &keys);
    assert!(trail.1.discontinuities.is_empty(), "{:?}", trail.1);
    fill(&trail.0, 1, 300);
    trail.0.purge(Timestamp::MAX, by).await.unwrap();
    drop(trail);
    let verified = check(folder.path(), &keys);
    assert!(verified.is_whole(), "{verified:?}");
    // A purge proves nothing about rows that it does not name.
    Attacker::on(folder.path()).run("DELETE FROM purge WHERE number = 1");
    assert!(matches!(check(folder.path(), &keys).fault.unwrap().kind, FaultKind::BadPurgeRecord { .. }));
}
