//! What an event of the engine is worth telling. Pure.

use sallyport_ipc::types::{Event, InjectionOutcome};
use sallyport_policy::elevation::{self, Request};
use sallyport_policy::providers::SELF_TEST;
use sallyport_policy::quotas::Limit;
use serde_json::Value;

use crate::reasons;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Values were taken out of a prompt.
    Redaction,
    /// Values were taken out of an answer.
    Answer,
    /// A request was refused.
    Violation,
    /// A tool call was denied.
    Denied,
    /// A call passed that permissions would deny, since they only observe.
    Observed,
    /// Dangerous words were cut out of an answer.
    Withheld,
    /// A notice took the place of words that want to be instructions.
    Neutralised,
    /// Such words were sent on, since policy only warns.
    Suspicious,
    /// An agent does the same again and again.
    Loop,
    /// An agent asks for a permission.
    Approval,
    /// Most of a limit is used.
    QuotaNear,
    /// A limit is used up.
    QuotaFull,
    /// Protection went off, by whomever.
    ProtectionOff,
}

impl Kind {
    /// Whether it is shown even where the person asked for quiet.
    pub(super) fn needs_a_person(self) -> bool {
        matches!(self, Kind::Approval | Kind::ProtectionOff)
    }
}

/// Something that happened and may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) kind: Kind,
    pub(crate) tool: String,
    /// How many values, or refusals.
    pub(crate) count: usize,
    /// What they were, or why.
    pub(crate) detail: Vec<String>,
    /// Where to read of it, while it is one row.
    pub(crate) row: Option<Row>,
}

/// A row of the trail, and what a rule found in it: that may be no secret after all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) fingerprints: Vec<String>,
}

impl News {
    fn new(kind: Kind, tool: impl Into<String>, detail: impl Into<String>) -> News {
        News { kind, tool: tool.into(), count: 1, detail: vec![detail.into()], row: None }
    }

    fn counted(self, count: usize) -> News {
        News { count, ..self }
    }

    /// What came while it was held back is told with it.
    pub(super) fn add(&mut self, other: News) {
        self.count += other.count;
        self.row = None;
        for detail in other.detail {
            if !self.detail.contains(&detail) {
                self.detail.push(detail);
            }
        }
    }
}

pub(crate) fn news_of(event: &Event) -> Option<News> {
    match event {
        Event::Audit { row } => {
            let news = news_of_row(row)?;
            Some(News { row: place(row), ..news })
        }
        Event::Approval { request } if request.state == elevation::State::Pending => {
            let asked = &request.question.request;
            Some(News::new(Kind::Approval, &asked.account, wanted(asked)))
        }
        Event::Quota { subject, percent, gauge } => {
            let kind = if *percent < 100 { Kind::QuotaNear } else { Kind::QuotaFull };
            let words = limit_words(gauge.limit);
            let detail = if *percent < 100 { format!("{percent} % of {words}") } else { words.to_owned() };
            Some(News::new(kind, subject, detail))
        }
        Event::Loop { account, times, refused } => {
            let then =
                if *refused { "Policy refuses what follows." } else { "It may go on: policy only warns." };
            Some(News::new(Kind::Loop, account, format!("It sent the same {times} times in a row. {then}")))
        }
        Event::Injection { tool, outcome, count, rules, .. } => {
            let kind = match outcome {
                InjectionOutcome::Neutralised => Kind::Neutralised,
                InjectionOutcome::Warned => Kind::Suspicious,
                // The refused request has a row of its own, which is told.
                InjectionOutcome::Blocked => return None,
            };
            let count = usize::try_from(*count).unwrap_or(usize::MAX);
            Some(News { detail: rules.clone(), ..News::new(kind, tool, "").counted(count) })
        }
        _ => None,
    }
}

/// A limit in a person's words.
pub(crate) fn limit_words(limit: Limit) -> &'static str {
    match limit {
        Limit::RequestsPerMinute => "this minute’s requests",
        Limit::RequestsPerHour => "this hour’s requests",
        Limit::TokensPerDay => "today’s tokens",
        Limit::ConcurrentRequests => "the requests at once",
        Limit::PromptLength => "the length of a prompt",
    }
}

/// `run a command: make deploy`. What it names comes from an agent, so it is cut and stays on one line.
fn wanted(asked: &Request) -> String {
    const LONGEST: usize = 60;
    let what = reasons::scope(&asked.scope.to_string());
    let Some(first) = asked.resources.first() else { return what };
    let first = first.to_string();
    let plain = first.chars().map(|c| if c.is_control() { ' ' } else { c });
    let cut: String = plain.clone().take(LONGEST).collect();
    let more = if plain.count() > LONGEST { "…" } else { "" };
    let others = match asked.resources.len() {
        1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    format!("{what}: {cut}{more}{others}")
}

/// What a durable row of the trail is worth telling. The self-test's own canary is not.
fn news_of_row(row: &Value) -> Option<News> {
    let text = |pointer: &str| row.pointer(pointer).and_then(Value::as_str);
    let tool = text("/actor/agent_id").unwrap_or("a tool");
    let action = text("/actions/0/action_type").unwrap_or_default();
    let outcome = text("/actions/0/outcome").unwrap_or_default();
    // Told by where it went: any tool may call itself as we do, and who asked is not always found out.
    let real = text("/ai_provider/name") != Some(SELF_TEST);
    match text("/event_type")? {
        "prompt_sent" if real => {
            let rules = row.pointer("/request/redactions_applied").and_then(Value::as_array);
            redaction(Kind::Redaction, tool, rules.into_iter().flatten().filter_map(Value::as_str))
        }
        "completion_received" if real => {
            let of = |kind: &'static str| actions(row).filter(move |action| action.0.starts_with(kind));
            let withheld: Vec<String> = of("output:")
                .filter(|(.., outcome)| *outcome == "blocked")
                .filter_map(|(kind, ..)| Some(kind.strip_prefix("output:")?.replace('_', " ")))
                .collect();
            if withheld.is_empty() {
                return redaction(Kind::Answer, tool, of("response_redacted").map(|(_, rule, _)| rule));
            }
            let count = withheld.len();
            Some(News { detail: withheld, ..News::new(Kind::Withheld, tool, "").counted(count) })
        }
        "policy_violation" => {
            let why = reasons::violation(text("/violation_type").unwrap_or("policy"));
            Some(News::new(Kind::Violation, tool, why))
        }
        "action_executed" => match (action, outcome) {
            ("protection_off", _) => Some(News::new(Kind::ProtectionOff, "", off_words(outcome))),
            (_, "denied") => Some(News::new(Kind::Denied, tool, reasons::call(action))),
            (_, "would_deny") => Some(News::new(Kind::Observed, tool, reasons::call(action))),
            _ => None,
        },
        _ => None,
    }
}

/// Type, target and outcome of each action.
fn actions(row: &Value) -> impl Iterator<Item = (&str, &str, &str)> {
    let all = row.pointer("/actions").and_then(Value::as_array);
    all.into_iter().flatten().map(|action| {
        let part = |name: &str| action.get(name).and_then(Value::as_str).unwrap_or_default();
        (part("action_type"), part("target"), part("outcome"))
    })
}

fn redaction<'a>(kind: Kind, tool: &str, rules: impl Iterator<Item = &'a str>) -> Option<News> {
    let names: Vec<String> = rules.map(|rule| rule.trim_start_matches("secret:").to_owned()).collect();
    let count = names.len();
    (count > 0).then(|| News { detail: names, ..News::new(kind, tool, "").counted(count) })
}

/// A fingerprint is hex digits; anything else is none of ours.
fn place(row: &Value) -> Option<Row> {
    let seq = row.pointer("/seq").and_then(Value::as_u64)?;
    let mut fingerprints: Vec<String> = Vec::new();
    for (kind, print, _) in actions(row) {
        let hex = !print.is_empty() && print.bytes().all(|byte| byte.is_ascii_hexdigit());
        if kind.starts_with("finding:") && hex && !fingerprints.iter().any(|known| known == print) {
            fingerprints.push(print.to_owned());
        }
    }
    Some(Row { seq, fingerprints })
}

/// `off for 300 s; reason: none given`, as the trail has it, in a person's words.
fn off_words(outcome: &str) -> String {
    let (how_long, reason) = outcome.split_once("; reason: ").unwrap_or((outcome, "none given"));
    let seconds = how_long.strip_prefix("off for ").and_then(|rest| rest.strip_suffix(" s"));
    let how_long = match seconds.and_then(|seconds| seconds.parse::<u64>().ok()) {
        Some(60) => "For a minute".to_owned(),
        Some(seconds) if seconds % 60 == 0 => format!("For {} minutes", seconds / 60),
        Some(seconds) => format!("For {seconds} seconds"),
        None => "Until it is switched on again".to_owned(),
    };
    match reason {
        "none given" => format!("{how_long}; nobody said why."),
        reason => format!("{how_long}; the reason given: {reason}."),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(row: Value) -> Option<News> {
        news_of(&Event::Audit { row })
    }

    fn action(kind: &str, target: &str, outcome: &str) -> Value {
        json!({"action_type": kind, "target": target, "outcome": outcome})
    }

    #[test]
    fn a_redaction_names_its_row_and_what_rules_found_in_it() {
        let (one, two) = ("0".repeat(32), "f".repeat(32));
        let row = json!({
            "seq": 41, "event_type": "prompt_sent", "actor": {"agent_id": "codex"},
            "request": {"redactions_applied": ["secret:DB", "jwt", "jwt"]},
            "actions": [
                action("finding:jwt", &one, "found"), action("finding:jwt", &one, "found"),
                action("finding:jwt", &two, "found"), action("finding:jwt", "&page=/x", "found"),
                action("classified", &"a".repeat(32), "internal"),
            ],
        });
        let news = of(row).unwrap();
        assert_eq!((news.kind, news.count, news.tool.as_str()), (Kind::Redaction, 3, "codex"));
        assert_eq!(news.detail, ["DB", "jwt", "jwt"]);
        assert_eq!(news.row, Some(Row { seq: 41, fingerprints: vec![one, two] }));
    }

    #[test]
    fn what_was_taken_or_cut_out_of_an_answer_is_told() {
        let answer = |actions: Vec<Value>| {
            of(
                json!({"seq": 2, "event_type": "completion_received", "actor": {"agent_id": "codex"}, "actions": actions}),
            )
        };
        let news = answer(vec![action("response_redacted", "secret:DB", "redacted")]).unwrap();
        assert_eq!((news.kind, news.detail.as_slice()), (Kind::Answer, &["DB".to_owned()][..]));
        let news = answer(vec![action("output:destroys_files", "x", "blocked")]).unwrap();
        assert_eq!((news.kind, news.detail.as_slice()), (Kind::Withheld, &["destroys files".to_owned()][..]));
        assert_eq!(answer(vec![action("output:debug_on", "x", "annotated")]), None);
        assert_eq!(answer(vec![]), None);
    }

    #[test]
    fn words_that_want_to_be_instructions_are_told_by_what_became_of_them() {
        let event = |outcome: &str| -> Event {
            let event = json!({"type": "injection", "tool": "codex", "outcome": outcome, "count": 3,
                "rules": ["override"], "place": "messages[2]"});
            serde_json::from_value(event).unwrap()
        };
        let news = news_of(&event("neutralised")).unwrap();
        assert_eq!((news.kind, news.count, news.row), (Kind::Neutralised, 3, None));
        assert_eq!(news_of(&event("warned")).unwrap().kind, Kind::Suspicious);
        // Told by the row of the refusal alone.
        assert_eq!(news_of(&event("blocked")), None);
        let row =
            json!({"event_type": "policy_violation", "violation_type": "prompt_injection", "actor": {}});
        assert_eq!(of(row).unwrap().detail, ["it held instructions that look like an attack"]);
    }

    #[test]
    fn a_denied_call_is_told_and_an_allowed_one_is_not() {
        let row = |outcome: &str| {
            of(json!({
                "event_type": "action_executed", "actor": {"agent_id": "codex"},
                "actions": [action("shell_execute", "curl", outcome)],
            }))
        };
        let news = row("denied").unwrap();
        assert_eq!((news.kind, news.detail.as_slice()), (Kind::Denied, &["run a command".to_owned()][..]));
        assert_eq!(row("allowed"), None);
        assert_eq!(row("would_deny").unwrap().kind, Kind::Observed);
    }

    #[test]
    fn the_self_test_tells_nobody() {
        let row = json!({
            "event_type": "prompt_sent", "actor": {"agent_id": "unknown"}, "ai_provider": {"name": "self-test"},
            "request": {"redactions_applied": ["secret:self-test-canary"]},
        });
        assert_eq!(of(row), None);
    }

    #[test]
    fn ordinary_rows_are_not_told() {
        let answered = json!({"event_type": "completion_received", "actor": {"agent_id": "codex"}});
        let clean = json!({"event_type": "prompt_sent", "request": {"redactions_applied": []}});
        assert_eq!(of(answered), None);
        assert_eq!(of(clean), None);
        assert_eq!(of(json!("nonsense")), None);
    }

    #[test]
    fn a_request_is_told_with_what_it_wants_cut_to_one_line() {
        let request = |state: &str, resources: Value| -> Event {
            let event = json!({
                "type": "approval",
                "request": {
                    "engine": "e", "nonce": "n", "id": 7, "scope": "shell:execute", "resources": resources,
                    "account": "agent-1", "justification": "to build", "seconds": 600,
                    "requested_at": "2026-03-12T14:00:00Z", "answer_by": "2026-03-12T14:30:00Z",
                    "state": state, "grant": null, "uses": 0, "decided_at": null,
                },
            });
            serde_json::from_value(event).unwrap()
        };
        let detail = |resources: Value| news_of(&request("pending", resources)).unwrap().detail;
        assert_eq!(detail(json!(["make deploy"])), ["run a command: make deploy"]);
        assert_eq!(detail(json!(["make", "npm"])), ["run a command: make and 1 more"]);
        let long = "x".repeat(200);
        assert_eq!(detail(json!([long])), [format!("run a command: {}…", "x".repeat(60))]);
        assert_eq!(news_of(&request("denied", json!(["make"]))), None);
    }

    #[test]
    fn how_long_protection_is_off_is_told_in_words() {
        assert_eq!(off_words("off for 60 s; reason: none given"), "For a minute; nobody said why.");
        assert_eq!(
            off_words("off until switched on; reason: packet trace"),
            "Until it is switched on again; the reason given: packet trace."
        );
    }
}
