//! Which popups appear: at most one a minute for each kind and tool, the rest counted and told together. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sallyport_ipc::types::Event;
use sallyport_policy::elevation;
use sallyport_policy::quotas::Limit;
use serde_json::Value;

use crate::failure::Failure;
use crate::settings::PopupMode;

/// The tool's name in rows that the self-test makes.
const SELF_TEST: &str = "sallyport";

/// How long a kind of one tool stays silent after it was shown.
const QUIET_FOR: SignedDuration = SignedDuration::from_mins(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Redaction,
    Violation,
    /// A call passed that permissions would deny, since they only observe.
    Observed,
    /// An agent asks for a permission.
    Approval,
    /// A limit is nearly used up, or used up.
    Quota,
    /// Protection went off, by whomever.
    ProtectionOff,
}

impl Kind {
    /// Whether it is shown even where the person asked for quiet.
    fn needs_a_person(self) -> bool {
        match self {
            Kind::Approval | Kind::ProtectionOff => true,
            Kind::Redaction | Kind::Violation | Kind::Observed | Kind::Quota => false,
        }
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
}

/// What the desktop is asked to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Popup {
    pub(crate) title: String,
    pub(crate) body: String,
    /// The page that a click opens, as the window's address has it.
    pub(crate) page: &'static str,
    /// Stays until it is seen.
    pub(crate) urgent: bool,
    /// A click is listened to.
    pub(crate) clickable: bool,
}

/// What an event of the engine is worth telling.
pub(crate) fn news_of(event: &Event) -> Option<News> {
    match event {
        Event::Audit { row } => news_of_row(row),
        Event::Approval { request } if request.state == elevation::State::Pending => {
            let asked = &request.question.request;
            Some(News {
                kind: Kind::Approval,
                tool: asked.account.clone(),
                count: 1,
                detail: vec![asked.scope.to_string()],
            })
        }
        // One popup for each mark of each limit: the next mark is other news.
        Event::Quota { subject, percent, gauge } => Some(News {
            kind: Kind::Quota,
            tool: format!("{subject}, {percent}"),
            count: 1,
            detail: vec![format!("{percent} % of {} of {subject}", limit_words(gauge.limit))],
        }),
        _ => None,
    }
}

/// The answer to something that the person chose in the tray and did not get. Shown however quiet it is to be.
pub(crate) fn refused(failure: Failure) -> Popup {
    let body =
        failure.hint.map_or_else(|| failure.message.clone(), |hint| format!("{} {hint}", failure.message));
    Popup { title: "Nothing was changed".into(), body, page: "/overview", urgent: false, clickable: true }
}

/// A limit in a person's words.
pub(crate) fn limit_words(limit: Limit) -> &'static str {
    match limit {
        Limit::RequestsPerMinute => "requests this minute",
        Limit::RequestsPerHour => "requests this hour",
        Limit::TokensPerDay => "tokens today",
        Limit::ConcurrentRequests => "requests at once",
        Limit::PromptLength => "the length of a prompt",
    }
}

/// What a durable row of the trail is worth telling. The self-test's own canary is not.
fn news_of_row(row: &Value) -> Option<News> {
    let tool = row.pointer("/actor/agent_id").and_then(Value::as_str).unwrap_or("a tool").to_owned();
    let redacted: Vec<String> = row
        .pointer("/request/redactions_applied")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|rule| Some(rule.as_str()?.trim_start_matches("secret:").to_owned()))
        .collect();
    let action = row.pointer("/actions/0/action_type").and_then(Value::as_str).unwrap_or_default();
    let outcome = row.pointer("/actions/0/outcome").and_then(Value::as_str).unwrap_or_default();
    match row.pointer("/event_type").and_then(Value::as_str)? {
        "prompt_sent" if !redacted.is_empty() && tool != SELF_TEST => {
            Some(News { kind: Kind::Redaction, tool, count: redacted.len(), detail: redacted })
        }
        "policy_violation" => {
            let why = row.pointer("/violation_type").and_then(Value::as_str).unwrap_or("policy");
            Some(News { kind: Kind::Violation, tool, count: 1, detail: vec![why.replace('_', " ")] })
        }
        "action_executed" if outcome == "denied" => {
            let why = format!("permissions for {} don't cover it", action.replace('_', " "));
            Some(News { kind: Kind::Violation, tool, count: 1, detail: vec![why] })
        }
        "action_executed" if outcome == "would_deny" => {
            Some(News { kind: Kind::Observed, tool, count: 1, detail: vec![action.replace('_', " ")] })
        }
        "action_executed" if action == "protection_off" => {
            let detail = vec![off_words(outcome)];
            Some(News { kind: Kind::ProtectionOff, tool: String::new(), count: 1, detail })
        }
        _ => None,
    }
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

/// What was shown lately, and what waits to be told together.
#[derive(Debug, Default)]
pub(crate) struct Popups {
    silent: BTreeMap<(Kind, String), Silence>,
}

#[derive(Debug)]
struct Silence {
    until: Timestamp,
    held: Option<News>,
}

impl Popups {
    /// The popup to show now, if any; what is not shown is kept for [`Popups::due`].
    pub(crate) fn tell(&mut self, news: News, mode: PopupMode, now: Timestamp) -> Option<Popup> {
        if mode == PopupMode::Quiet && !news.kind.needs_a_person() {
            return None;
        }
        let key = (news.kind, news.tool.clone());
        match self.silent.get_mut(&key) {
            Some(silence) if now < silence.until => {
                match &mut silence.held {
                    Some(held) => held.add(news),
                    None => silence.held = Some(news),
                }
                None
            }
            _ => {
                self.silent.insert(key, Silence { until: now + QUIET_FOR, held: None });
                Some(popup(&news, mode, false))
            }
        }
    }

    /// What was held back and may be told now.
    pub(crate) fn due(&mut self, mode: PopupMode, now: Timestamp) -> Vec<Popup> {
        let mut told = Vec::new();
        self.silent.retain(|_, silence| {
            if now < silence.until {
                return true;
            }
            let Some(news) = silence.held.take() else { return false };
            silence.until = now + QUIET_FOR;
            if mode != PopupMode::Quiet || news.kind.needs_a_person() {
                told.push(popup(&news, mode, true));
            }
            true
        });
        told
    }

    /// When [`Popups::due`] has something to do next.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.silent.values().filter(|silence| silence.held.is_some()).map(|silence| silence.until).min()
    }
}

impl News {
    fn add(&mut self, other: News) {
        self.count += other.count;
        for detail in other.detail {
            if !self.detail.contains(&detail) {
                self.detail.push(detail);
            }
        }
    }
}

fn popup(news: &News, mode: PopupMode, more: bool) -> Popup {
    let n = news.count;
    let more = if more { " more" } else { "" };
    let (title, body, page) = match news.kind {
        Kind::Redaction => (
            format!("{n}{more} {} taken out", if n == 1 { "value" } else { "values" }),
            format!(
                "{} in a prompt of {}. The rest was sent; nothing to do.",
                listed(&news.detail),
                news.tool
            ),
            "/activity?show=redacted",
        ),
        Kind::Violation => (
            if n == 1 {
                format!("Something of {} was refused", news.tool)
            } else {
                format!("{n}{more} things of {} were refused", news.tool)
            },
            format!("Why: {}. The tool was told; Activity has the details.", listed(&news.detail)),
            "/activity?show=refused",
        ),
        Kind::Observed => (
            if n == 1 {
                format!("A call of {} would be denied", news.tool)
            } else {
                format!("{n}{more} calls of {} would be denied", news.tool)
            },
            format!(
                "{}: it passed, since permissions only observe. Activity has the details.",
                listed(&news.detail)
            ),
            "/activity?show=control",
        ),
        Kind::Approval => (
            format!("{} asks for a permission", news.tool),
            format!(
                "It wants {}. Decide in Sallyport's window; nothing happens until then.",
                listed(&news.detail)
            ),
            "/approvals",
        ),
        Kind::Quota => {
            ("A quota is filling up".into(), format!("{} are used.", listed(&news.detail)), "/quotas")
        }
        Kind::ProtectionOff => (
            "Protection was switched off".into(),
            format!("{} If that was not you, switch it on again.", listed(&news.detail)),
            "/overview",
        ),
    };
    Popup { title, body, page, urgent: news.kind.needs_a_person(), clickable: mode != PopupMode::NotifyOnly }
}

/// "a", "a and b", "a, b and 3 others".
fn listed(words: &[String]) -> String {
    let mut unique: Vec<&str> = Vec::new();
    for word in words {
        if !unique.contains(&word.as_str()) {
            unique.push(word);
        }
    }
    match unique.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [one, two] => format!("{one} and {two}"),
        [one, two, rest @ ..] => {
            let others = if rest.len() == 1 { "other" } else { "others" };
            format!("{one}, {two} and {} {others}", rest.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn redaction(tool: &str, names: &[&str]) -> News {
        let row = json!({
            "event_type": "prompt_sent",
            "actor": {"agent_id": tool},
            "request": {"redactions_applied": names},
        });
        news_of_row(&row).unwrap()
    }

    #[test]
    fn the_first_is_shown_at_once_and_says_what_and_where() {
        let popup =
            Popups::default().tell(redaction("codex", &["secret:DB", "jwt"]), PopupMode::All, at(0)).unwrap();
        assert_eq!(popup.title, "2 values taken out");
        assert_eq!(popup.body, "DB and jwt in a prompt of codex. The rest was sent; nothing to do.");
        assert_eq!(popup.page, "/activity?show=redacted");
        assert!(popup.clickable && !popup.urgent);
    }

    #[test]
    fn a_storm_is_one_popup_a_minute_for_each_tool() {
        let mut popups = Popups::default();
        let mut shown = Vec::new();
        for second in 0..600 {
            shown.extend(popups.due(PopupMode::All, at(second)));
            for tool in ["codex", "claude-code"] {
                shown.extend(popups.tell(redaction(tool, &["aws_key"]), PopupMode::All, at(second)));
            }
        }
        // Ten minutes, two tools: the first of each at once, then one summary a minute.
        assert_eq!(shown.len(), 20);
        assert_eq!(shown[2].title, "59 more values taken out");
    }

    #[test]
    fn what_is_held_back_is_told_when_the_minute_is_over() {
        let mut popups = Popups::default();
        assert!(popups.tell(redaction("codex", &["jwt"]), PopupMode::All, at(0)).is_some());
        assert_eq!(popups.next_due(), None);
        assert!(popups.tell(redaction("codex", &["aws_key"]), PopupMode::All, at(5)).is_none());
        assert_eq!(popups.next_due(), Some(at(60)));
        assert!(popups.due(PopupMode::All, at(59)).is_empty());
        assert_eq!(popups.due(PopupMode::All, at(60))[0].title, "1 more value taken out");
        assert!(popups.due(PopupMode::All, at(121)).is_empty());
        assert!(popups.tell(redaction("codex", &["jwt"]), PopupMode::All, at(122)).is_some());
    }

    #[test]
    fn quiet_lets_only_through_what_needs_a_person() {
        let mut popups = Popups::default();
        assert!(popups.tell(redaction("codex", &["jwt"]), PopupMode::Quiet, at(0)).is_none());
        let off = json!({
            "event_type": "action_executed",
            "actor": {},
            "actions": [{"action_type": "protection_off", "outcome": "off for 300 s; reason: none given"}],
        });
        let popup = popups.tell(news_of_row(&off).unwrap(), PopupMode::Quiet, at(0)).unwrap();
        assert!(popup.urgent);
        assert_eq!(popup.body, "For 5 minutes; nobody said why. If that was not you, switch it on again.");
        assert_eq!(
            off_words("off until switched on; reason: packet trace"),
            "Until it is switched on again; the reason given: packet trace."
        );
        assert_eq!(popup.page, "/overview");
    }

    #[test]
    fn what_the_tray_did_not_get_is_told_with_the_way_out() {
        let popup =
            refused(Failure { hint: Some("Ask Ann.".into()), ..Failure::new("x", "Policy forbids it.") });
        assert_eq!(
            (popup.title.as_str(), popup.body.as_str()),
            ("Nothing was changed", "Policy forbids it. Ask Ann.")
        );
        assert_eq!(popup.page, "/overview");
    }

    #[test]
    fn notify_only_listens_to_no_click() {
        let popup =
            Popups::default().tell(redaction("codex", &["jwt"]), PopupMode::NotifyOnly, at(0)).unwrap();
        assert!(!popup.clickable);
    }

    #[test]
    fn what_would_be_denied_is_told_once_a_minute() {
        let row = json!({
            "event_type": "action_executed",
            "actor": {"agent_id": "claude-code"},
            "actions": [{"action_type": "shell_execute", "target": "curl", "outcome": "would_deny"}],
        });
        let mut popups = Popups::default();
        let first = popups.tell(news_of_row(&row).unwrap(), PopupMode::All, at(0)).unwrap();
        assert_eq!(first.title, "A call of claude-code would be denied");
        assert!(first.body.contains("shell execute") && !first.urgent);
        for second in 1..30 {
            assert!(popups.tell(news_of_row(&row).unwrap(), PopupMode::All, at(second)).is_none());
        }
        assert_eq!(
            popups.due(PopupMode::All, at(60))[0].title,
            "29 more calls of claude-code would be denied"
        );
        assert!(popups.tell(news_of_row(&row).unwrap(), PopupMode::Quiet, at(0)).is_none());
    }

    #[test]
    fn refusals_say_why() {
        let row = json!({
            "event_type": "policy_violation",
            "actor": {"agent_id": "cursor"},
            "violation_type": "locked_segment",
            "request": {"redactions_applied": ["private_key"]},
        });
        let popup = Popups::default().tell(news_of_row(&row).unwrap(), PopupMode::All, at(0)).unwrap();
        assert_eq!(popup.title, "Something of cursor was refused");
        assert_eq!(popup.body, "Why: locked segment. The tool was told; Activity has the details.");
    }

    #[test]
    fn a_denied_call_is_told_and_an_allowed_one_is_not() {
        let row = |outcome: &str| {
            json!({
                "event_type": "action_executed",
                "actor": {"agent_id": "codex"},
                "actions": [{"action_type": "shell_execute", "target": "curl", "outcome": outcome}],
            })
        };
        assert_eq!(
            news_of_row(&row("denied")).unwrap().detail,
            ["permissions for shell execute don't cover it"]
        );
        assert_eq!(news_of_row(&row("allowed")), None);
        assert_eq!(news_of_row(&row("would_deny")).unwrap().kind, Kind::Observed);
    }

    #[test]
    fn the_self_test_tells_nobody() {
        let row = json!({
            "event_type": "prompt_sent",
            "actor": {"agent_id": "sallyport"},
            "request": {"redactions_applied": ["secret:self-test-canary"]},
        });
        assert_eq!(news_of_row(&row), None);
    }

    #[test]
    fn each_mark_of_a_limit_is_told_once_and_opens_its_page() {
        let event = |percent: u8| -> Event {
            let gauge = json!({"limit": "tokens_per_day", "size": 100, "used": percent, "resets_at": null});
            serde_json::from_value(
                json!({"type": "quota", "subject": "ann", "percent": percent, "gauge": gauge}),
            )
            .unwrap()
        };
        let mut popups = Popups::default();
        let first = popups.tell(news_of(&event(80)).unwrap(), PopupMode::All, at(0)).unwrap();
        assert_eq!(first.body, "80 % of tokens today of ann are used.");
        assert_eq!(first.page, "/quotas");
        assert!(popups.tell(news_of(&event(100)).unwrap(), PopupMode::All, at(5)).is_some());
    }

    #[test]
    fn a_request_is_told_even_to_those_who_want_quiet_and_decides_nothing() {
        let request = json!({
            "type": "approval",
            "request": {
                "engine": "e", "nonce": "n", "id": 7, "scope": "shell:execute", "resources": ["make"],
                "account": "agent-1", "justification": "to build", "seconds": 600,
                "requested_at": "2026-03-12T14:00:00Z", "answer_by": "2026-03-12T14:30:00Z",
                "state": "pending", "grant": null, "uses": 0, "decided_at": null,
            },
        });
        let event: Event = serde_json::from_value(request.clone()).unwrap();
        let popup = Popups::default().tell(news_of(&event).unwrap(), PopupMode::Quiet, at(0)).unwrap();
        assert_eq!(popup.title, "agent-1 asks for a permission");
        assert!(popup.body.contains("shell:execute"), "{}", popup.body);
        assert_eq!(popup.page, "/approvals");
        let mut decided = request;
        decided["request"]["state"] = "denied".into();
        assert_eq!(news_of(&serde_json::from_value(decided).unwrap()), None);
    }

    #[test]
    fn ordinary_rows_are_not_told() {
        let answered = json!({"event_type": "completion_received", "actor": {"agent_id": "codex"}});
        let clean = json!({"event_type": "prompt_sent", "request": {"redactions_applied": []}});
        assert_eq!(news_of_row(&answered), None);
        assert_eq!(news_of_row(&clean), None);
        assert_eq!(news_of_row(&json!("nonsense")), None);
    }

    #[test]
    fn long_lists_are_cut() {
        let names = ["a", "b", "c", "d", "a"];
        let popup = Popups::default().tell(redaction("x", &names), PopupMode::All, at(0)).unwrap();
        assert!(popup.body.starts_with("a, b and 2 others in"), "{}", popup.body);
    }
}
