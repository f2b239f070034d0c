//! The JSON that faces rely on, word for word.

use super::*;

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[test]
fn error_codes_are_words_and_statuses() {
    let words: Vec<_> = ErrorCode::ALL
        .iter()
        .map(|code| {
            format!("{} {}", code.status().as_u16(), serde_json::to_value(code).unwrap().as_str().unwrap())
        })
        .collect();
    insta::assert_snapshot!(words.join("\n"), @r#"
    400 bad_request
    403 forbidden
    403 not_permitted
    404 not_found
    405 method_not_allowed
    409 conflict
    413 too_large
    503 unavailable
    504 timed_out
    500 internal
    "#);
}

#[test]
fn wire_status() {
    insta::assert_snapshot!(pretty(&status()), @r#"
    {
      "version": "0.1.0",
      "pid": 4242,
      "listen": "127.0.0.1:8877",
      "state": "attention",
      "since": "2026-01-02T03:04:05Z",
      "paused_until": null,
      "owner_uid": 1000,
      "counters": {
        "exchanges": 12,
        "redactions": 3,
        "blocked": 0,
        "tunnelled": 0,
        "opaque": 0,
        "pinned": 0,
        "injections": 0,
        "shadow_ai": 0,
        "denied_calls": 0,
        "would_deny": 0,
        "held": 0,
        "in_flight": 0
      },
      "health": [
        {
          "code": "secrets-stale",
          "severity": "warning",
          "title": "Known secrets are not up to date",
          "sentence": "The vault does not answer.",
          "fix": "Start the vault.",
          "since": "2026-01-02T03:04:05Z"
        }
      ],
      "secrets": {
        "sources": 2,
        "failed_sources": 1,
        "secrets": 50,
        "weak": 1,
        "loaded_at": "2026-01-02T03:04:05Z"
      },
      "audit": {
        "seq": 24,
        "hash": "00ff"
      },
      "policy": {
        "version": "0123456789abcdef",
        "profile": "balanced",
        "forbids_off": false,
        "asks_reason": false
      },
      "agents": [
        {
          "account": "agent-reviewer-5f3a",
          "class": "reviewer",
          "tier": "read-only",
          "pid": 99,
          "since": "2026-01-02T03:04:05Z"
        }
      ]
    }
    "#);
}

#[test]
fn wire_quotas() {
    insta::assert_snapshot!(pretty(&quota()), @r#"
    {
      "subjects": [
        {
          "subject": "ann",
          "tier": "developer",
          "max_prompt_length": 8000,
          "gauges": [
            {
              "limit": "requests_per_minute",
              "size": 20,
              "used": 7,
              "resets_at": "2026-01-02T03:04:05Z"
            }
          ]
        }
      ],
      "on_exceed": "warn",
      "store": "sqlite",
      "store_reachable": true,
      "today": {
        "requests": 9,
        "refused": 0,
        "input": 1200,
        "output": 300,
        "cache_read": 0,
        "cache_write": 0,
        "cost_micros": 6000,
        "unpriced": 0
      }
    }
    "#);
    insta::assert_snapshot!(pretty(&history()), @r#"
    {
      "hours": [
        {
          "start": "2026-01-02T03:04:05Z",
          "requests": 9,
          "refused": 0,
          "input": 1200,
          "output": 300,
          "cache_read": 0,
          "cache_write": 0,
          "cost_micros": 6000,
          "unpriced": 0
        }
      ],
      "days": [
        {
          "start": "2026-01-02T03:04:05Z",
          "requests": 9,
          "refused": 0,
          "input": 1200,
          "output": 300,
          "cache_read": 0,
          "cache_write": 0,
          "cost_micros": 6000,
          "unpriced": 0
        }
      ],
      "models": [
        {
          "model": "gpt-4o",
          "requests": 9,
          "refused": 0,
          "input": 1200,
          "output": 300,
          "cache_read": 0,
          "cache_write": 0,
          "cost_micros": 6000,
          "unpriced": 0
        }
      ]
    }
    "#);
    let gauge = quota().subjects[0].gauges[0].clone();
    insta::assert_snapshot!(pretty(&Event::Quota { subject: "ann".into(), percent: 80, gauge }), @r#"
    {
      "type": "quota",
      "subject": "ann",
      "percent": 80,
      "gauge": {
        "limit": "requests_per_minute",
        "size": 20,
        "used": 7,
        "resets_at": "2026-01-02T03:04:05Z"
      }
    }
    "#);
    let agent = Event::Loop { account: "agent-x-1".into(), times: 8, refused: false };
    insta::assert_snapshot!(pretty(&agent), @r#"
    {
      "type": "loop",
      "account": "agent-x-1",
      "times": 8,
      "refused": false
    }
    "#);
}

#[tokio::test]
async fn wire_views() {
    let it = running().await;
    insta::assert_snapshot!(pretty(&it.client.sources().await.unwrap()), @r#"
    [
      {
        "id": "vault:0",
        "kind": "vault",
        "location": "https://127.0.0.1:8200/secret/ai-protected/",
        "state": "stale",
        "names": [
          "db-password"
        ],
        "weak_names": [],
        "skipped": 0,
        "loaded_at": "2026-01-02T03:04:05Z",
        "error": {
          "code": "unreachable",
          "message": "The vault does not answer.",
          "hint": "Start it."
        }
      }
    ]
    "#);
    insta::assert_snapshot!(pretty(&it.client.ca().await.unwrap()), @r#"
    {
      "root_pem": "-----BEGIN CERTIFICATE-----\n",
      "fingerprint_sha256": "AB:CD",
      "not_after": "2026-01-02T03:04:05Z",
      "constraints": [
        "api.openai.com",
        "*.openai.azure.com"
      ],
      "key_store": "keychain",
      "bundle": "/home/ann/bundle.pem"
    }
    "#);
    insta::assert_snapshot!(pretty(&it.client.policy().await.unwrap()), @r#"
    {
      "version": "0123456789abcdef",
      "settings": [
        {
          "key": "opaque",
          "value": "warn",
          "origin": "default",
          "locked": false
        }
      ],
      "documents": [],
      "problems": []
    }
    "#);
    insta::assert_snapshot!(pretty(&it.client.self_test().await.unwrap()), @r#"
    {
      "passed": true,
      "checks": [
        {
          "name": "request",
          "passed": true,
          "sentence": "It never arrived."
        }
      ],
      "took_ms": 12
    }
    "#);
    insta::assert_snapshot!(pretty(&it.client.flows().await.unwrap()), @r#"
    [
      {
        "id": 7,
        "host": "api.openai.com",
        "port": 443,
        "handling": "intercepted",
        "pid": 99,
        "executable": "/usr/bin/curl",
        "account": "agent-reviewer-5f3a",
        "since": "2026-01-02T03:04:05Z"
      }
    ]
    "#);
}

#[test]
fn wire_requests_and_events() {
    insta::assert_snapshot!(pretty(&AuditFilter { limit: Some(5), ..AuditFilter::default() }), @r#"
    {
      "since": null,
      "until": null,
      "event_type": null,
      "provider": null,
      "model": null,
      "user": null,
      "agent": null,
      "exchange_id": null,
      "classification": null,
      "rule": null,
      "text": null,
      "redacted": null,
      "after_seq": null,
      "before_seq": null,
      "newest_first": false,
      "limit": 5
    }
    "#);
    insta::assert_snapshot!(pretty(&OffRequest { for_seconds: Some(900), reason: None }), @r#"
    {
      "for_seconds": 900,
      "reason": null
    }
    "#);
    let events = [
        Event::State { state: State::Paused, since: moment(), paused_until: Some(moment()) },
        Event::Audit { row: serde_json::json!({"event_id": "x"}) },
        Event::Health { items: vec![] },
        Event::Secrets { totals: status().secrets },
        Event::Policy { version: "v".into() },
        Event::Missed { events: 3 },
    ];
    let lines: Vec<_> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    {"type":"state","state":"paused","since":"2026-01-02T03:04:05Z","paused_until":"2026-01-02T03:04:05Z"}
    {"type":"audit","row":{"event_id":"x"}}
    {"type":"health","items":[]}
    {"type":"secrets","totals":{"sources":2,"failed_sources":1,"secrets":50,"weak":1,"loaded_at":"2026-01-02T03:04:05Z"}}
    {"type":"policy","version":"v"}
    {"type":"missed","events":3}
    "#);
    let error = ControlError::new(ErrorCode::Unavailable, "The trail can't be written.")
        .with_hint("Free some space.");
    insta::assert_snapshot!(serde_json::to_string(&error).unwrap(), @r#"{"code":"unavailable","message":"The trail can't be written.","hint":"Free some space."}"#);
}
