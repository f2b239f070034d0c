//! Which popups appear, and what they say: at most one a minute for each kind and tool, the rest counted and told together.
//! Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::news::{Kind, News, Row};
use crate::failure::Failure;
use crate::settings::PopupMode;

/// How long a kind of one tool stays silent after it was shown.
const QUIET_FOR: SignedDuration = SignedDuration::from_mins(1);

/// What the desktop is asked to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Popup {
    pub(crate) title: String,
    pub(crate) body: String,
    /// The page that a click opens, as the window's address has it.
    pub(crate) page: String,
    /// A second button, and the page that it opens. It decides nothing, as a click does not.
    pub(crate) offer: Option<Offer>,
    /// Stays until it is seen.
    pub(crate) urgent: bool,
    /// A click is listened to.
    pub(crate) clickable: bool,
    /// Asks for an answer: it is taken away when nothing waits for one any more.
    pub(crate) asks: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) label: &'static str,
    pub(crate) page: String,
}

/// The answer to something that the person chose in the tray and did not get. Shown however quiet it is to be.
pub(crate) fn refused(failure: Failure) -> Popup {
    let body =
        failure.hint.map_or_else(|| failure.message.clone(), |hint| format!("{} {hint}", failure.message));
    let (title, page) = ("Sallyport changed nothing".into(), "/overview".into());
    Popup { title, body: quoted(&body), page, offer: None, urgent: false, clickable: true, asks: false }
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

    /// Questions that were held back are answered.
    pub(crate) fn nothing_waits(&mut self) {
        for ((kind, _), silence) in &mut self.silent {
            if *kind == Kind::Approval {
                silence.held = None;
            }
        }
    }

    /// When [`Popups::due`] has something to do next.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.silent.values().filter(|silence| silence.held.is_some()).map(|silence| silence.until).min()
    }
}

fn popup(news: &News, mode: PopupMode, more: bool) -> Popup {
    let clickable = mode != PopupMode::NotifyOnly;
    let (title, body) = words(news, if more { " more" } else { "" });
    Popup {
        title,
        body,
        page: page(news),
        offer: offer(news).filter(|_| clickable),
        urgent: news.kind.needs_a_person(),
        clickable,
        asks: news.kind == Kind::Approval,
    }
}

/// What the engine sets between backticks stands between quotes here.
fn quoted(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts
        .map(|(i, part)| match i % 2 {
            0 if i > 0 => format!("”{part}"),
            1 => format!("“{part}"),
            _ => part.to_owned(),
        })
        .collect()
}

/// Title and body. Who has forgotten that Sallyport exists reads its name first, then what it did, and what there is to do.
fn words(news: &News, more: &str) -> (String, String) {
    let (n, tool, detail) = (news.count, &news.tool, listed(&news.detail));
    let s = if n == 1 { "" } else { "s" };
    // "a call", "1 more call", "3 calls".
    let many = |what: &str| match n {
        1 if more.is_empty() => format!("a {what}"),
        n => format!("{n}{more} {what}{s}"),
    };
    match news.kind {
        Kind::Redaction => (
            format!("Sallyport took out {n}{more} value{s}"),
            format!("{detail} in a prompt of {tool}. The rest was sent; nothing to do."),
        ),
        Kind::Answer => (
            format!("Sallyport took out {n}{more} value{s}"),
            format!("{detail} in an answer to {tool}. It got the rest; nothing to do."),
        ),
        Kind::Violation => (
            format!("Sallyport refused {} of {tool}", many("request")),
            format!("Why: {detail}. The tool was told; Activity has the details."),
        ),
        Kind::Denied => (
            format!("Sallyport denied {} of {tool}", many("tool call")),
            format!(
                "It wanted to {detail}; policy does not allow it. The tool was told; Activity has the details."
            ),
        ),
        Kind::Observed => (
            format!("Sallyport would deny {} of {tool}", many("tool call")),
            format!(
                "It wanted to {detail}, and could, since permissions only observe. Activity has the details."
            ),
        ),
        Kind::Withheld => (
            format!("Sallyport withheld part of an answer to {tool}"),
            format!("It held something dangerous: {detail}. A notice stands in its place."),
        ),
        Kind::Neutralised => (
            format!("Sallyport made {} harmless", many("hidden instruction")),
            format!(
                "In what {tool} read, such as a page or a file. A notice stands in its place; nothing to do."
            ),
        ),
        Kind::Suspicious => (
            format!("Sallyport saw {} in what {tool} sent", many("suspicious instruction")),
            "Policy only warns, so the provider got all of it. Look at it in Activity before you trust the answer."
                .into(),
        ),
        Kind::Loop => (format!("Sallyport: {tool} goes round in circles"), detail),
        Kind::Approval => (
            format!("Sallyport: {tool} asks for a permission"),
            format!("It wants to {detail}. Decide in Sallyport's window; nothing happens until then."),
        ),
        Kind::QuotaNear => (
            "Sallyport: a quota is filling up".into(),
            format!("{tool} has used {detail}. Quotas shows when it is free again."),
        ),
        Kind::QuotaFull => (
            "Sallyport: a quota is used up".into(),
            format!("{tool} has used {detail}. Quotas shows what happens now, and when it is free again."),
        ),
        Kind::ProtectionOff => {
            // The last one counts.
            let last = news.detail.last().cloned().unwrap_or_default();
            (
                "Sallyport was switched off".into(),
                format!("{last} If that was not you, switch it on again."),
            )
        }
    }
}

/// The page that shows it; where it is one row, with that row open.
fn page(news: &News) -> String {
    let page = match news.kind {
        Kind::Redaction => "/activity?show=redacted",
        Kind::Violation => "/activity?show=refused",
        Kind::Denied | Kind::Observed => "/activity?show=control",
        Kind::Neutralised | Kind::Suspicious => "/activity?text=prompt_injection",
        Kind::Answer | Kind::Withheld | Kind::Loop => "/activity?show=all",
        Kind::Approval => "/approvals",
        Kind::QuotaNear | Kind::QuotaFull => "/quotas",
        Kind::ProtectionOff => "/overview",
    };
    match &news.row {
        Some(Row { seq, .. }) if page.starts_with("/activity") => format!("{page}&row={seq}"),
        _ => page.to_owned(),
    }
}

/// The question about a value is asked in the window, at its row; of several values the row shows each.
fn offer(news: &News) -> Option<Offer> {
    let row = news.row.as_ref().filter(|row| !row.fingerprints.is_empty())?;
    let value = match row.fingerprints.as_slice() {
        [one] => format!("&value={one}"),
        _ => String::new(),
    };
    (news.kind == Kind::Redaction)
        .then(|| Offer { label: "Not a secret…", page: format!("{}{value}", page(news)) })
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
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn news(kind: Kind, tool: &str, detail: &[&str]) -> News {
        let detail: Vec<String> = detail.iter().map(|&word| word.to_owned()).collect();
        News { kind, tool: tool.into(), count: detail.len(), detail, row: None }
    }

    fn redaction(tool: &str, names: &[&str]) -> News {
        news(Kind::Redaction, tool, names)
    }

    fn shown(news: News) -> Popup {
        Popups::default().tell(news, PopupMode::All, at(0)).unwrap()
    }

    #[test]
    fn the_first_is_shown_at_once_and_says_what_and_where() {
        let popup = shown(redaction("codex", &["DB", "jwt"]));
        assert_eq!(popup.title, "Sallyport took out 2 values");
        assert_eq!(popup.body, "DB and jwt in a prompt of codex. The rest was sent; nothing to do.");
        assert_eq!(popup.page, "/activity?show=redacted");
        assert!(popup.clickable && !popup.urgent);
    }

    #[test]
    fn each_kind_says_what_happened_and_opens_its_page() {
        let all = [
            (Kind::Redaction, &["jwt"][..]),
            (Kind::Answer, &["DB"]),
            (Kind::Violation, &["the body could not be read"]),
            (Kind::Violation, &["today’s tokens are used up", "the body could not be read"]),
            (Kind::Denied, &["run a command"]),
            (Kind::Observed, &["run a command", "write a file"]),
            (Kind::Withheld, &["destroys files"]),
            (Kind::Neutralised, &["override"]),
            (Kind::Suspicious, &["override", "persona"]),
            (Kind::Loop, &["It sent the same 8 times in a row. Policy refuses what follows."]),
            (Kind::Approval, &["run a command: make"]),
            (Kind::QuotaNear, &["80 % of today’s tokens"]),
            (Kind::QuotaFull, &["today’s tokens"]),
            (Kind::ProtectionOff, &["For 5 minutes; nobody said why.", "For a minute; nobody said why."]),
        ];
        let told: Vec<String> = all
            .iter()
            .map(|(kind, detail)| {
                let popup = shown(news(*kind, "codex", detail));
                format!("{} | {} -> {}", popup.title, popup.body, popup.page)
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        Sallyport took out 1 value | jwt in a prompt of codex. The rest was sent; nothing to do. -> /activity?show=redacted
        Sallyport took out 1 value | DB in an answer to codex. It got the rest; nothing to do. -> /activity?show=all
        Sallyport refused a request of codex | Why: the body could not be read. The tool was told; Activity has the details. -> /activity?show=refused
        Sallyport refused 2 requests of codex | Why: today’s tokens are used up and the body could not be read. The tool was told; Activity has the details. -> /activity?show=refused
        Sallyport denied a tool call of codex | It wanted to run a command; policy does not allow it. The tool was told; Activity has the details. -> /activity?show=control
        Sallyport would deny 2 tool calls of codex | It wanted to run a command and write a file, and could, since permissions only observe. Activity has the details. -> /activity?show=control
        Sallyport withheld part of an answer to codex | It held something dangerous: destroys files. A notice stands in its place. -> /activity?show=all
        Sallyport made a hidden instruction harmless | In what codex read, such as a page or a file. A notice stands in its place; nothing to do. -> /activity?text=prompt_injection
        Sallyport saw 2 suspicious instructions in what codex sent | Policy only warns, so the provider got all of it. Look at it in Activity before you trust the answer. -> /activity?text=prompt_injection
        Sallyport: codex goes round in circles | It sent the same 8 times in a row. Policy refuses what follows. -> /activity?show=all
        Sallyport: codex asks for a permission | It wants to run a command: make. Decide in Sallyport's window; nothing happens until then. -> /approvals
        Sallyport: a quota is filling up | codex has used 80 % of today’s tokens. Quotas shows when it is free again. -> /quotas
        Sallyport: a quota is used up | codex has used today’s tokens. Quotas shows what happens now, and when it is free again. -> /quotas
        Sallyport was switched off | For a minute; nobody said why. If that was not you, switch it on again. -> /overview
        ");
    }

    #[test]
    fn one_row_is_opened_itself_and_several_are_a_list() {
        let mut popups = Popups::default();
        let of =
            |seq: u64| News { row: Some(Row { seq, fingerprints: vec![] }), ..redaction("codex", &["DB"]) };
        let first = popups.tell(of(7), PopupMode::All, at(0)).unwrap();
        assert_eq!(first.page, "/activity?show=redacted&row=7");
        for seq in [8, 9] {
            assert!(popups.tell(of(seq), PopupMode::All, at(1)).is_none());
        }
        assert_eq!(popups.due(PopupMode::All, at(60))[0].page, "/activity?show=redacted");
        let approval =
            News { row: Some(Row { seq: 3, fingerprints: vec![] }), ..news(Kind::Approval, "a", &["x"]) };
        assert_eq!(shown(approval).page, "/approvals");
    }

    #[test]
    fn what_a_rule_found_may_be_no_secret_and_the_question_is_asked_at_its_row() {
        let of = |prints: &[&str]| News {
            row: Some(Row { seq: 7, fingerprints: prints.iter().map(|&print| print.to_owned()).collect() }),
            ..redaction("codex", &["jwt"])
        };
        let offer = shown(of(&["ab12"])).offer.unwrap();
        assert_eq!(offer.label, "Not a secret…");
        assert_eq!(offer.page, "/activity?show=redacted&row=7&value=ab12");
        // Which of two is meant is for the person to say.
        assert_eq!(shown(of(&["ab12", "cd34"])).offer.unwrap().page, "/activity?show=redacted&row=7");
        // A known secret has no fingerprint in the trail, and stays one.
        assert_eq!(shown(of(&[])).offer, None);
        let silent = Popups::default().tell(of(&["ab12"]), PopupMode::NotifyOnly, at(0)).unwrap();
        assert_eq!(silent.offer, None);
        let refused = News { kind: Kind::Violation, ..of(&["ab12"]) };
        assert_eq!(shown(refused).offer, None);
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
        assert_eq!(shown[2].title, "Sallyport took out 59 more values");
    }

    #[test]
    fn what_is_held_back_is_told_when_the_minute_is_over() {
        let mut popups = Popups::default();
        assert!(popups.tell(redaction("codex", &["jwt"]), PopupMode::All, at(0)).is_some());
        assert_eq!(popups.next_due(), None);
        assert!(popups.tell(redaction("codex", &["aws_key"]), PopupMode::All, at(5)).is_none());
        assert_eq!(popups.next_due(), Some(at(60)));
        assert!(popups.due(PopupMode::All, at(59)).is_empty());
        assert_eq!(popups.due(PopupMode::All, at(60))[0].title, "Sallyport took out 1 more value");
        assert!(popups.due(PopupMode::All, at(121)).is_empty());
        assert!(popups.tell(redaction("codex", &["jwt"]), PopupMode::All, at(122)).is_some());
    }

    #[test]
    fn each_mark_of_a_limit_is_other_news() {
        let mut popups = Popups::default();
        assert!(popups.tell(news(Kind::QuotaNear, "ann", &["x"]), PopupMode::All, at(0)).is_some());
        assert!(popups.tell(news(Kind::QuotaFull, "ann", &["x"]), PopupMode::All, at(5)).is_some());
    }

    #[test]
    fn quiet_lets_only_through_what_needs_a_person() {
        let mut popups = Popups::default();
        assert!(popups.tell(redaction("codex", &["jwt"]), PopupMode::Quiet, at(0)).is_none());
        for kind in [Kind::ProtectionOff, Kind::Approval] {
            assert!(popups.tell(news(kind, "", &["x"]), PopupMode::Quiet, at(0)).unwrap().urgent);
        }
    }

    #[test]
    fn what_the_tray_did_not_get_is_told_with_the_way_out() {
        let popup =
            refused(Failure { hint: Some("Ask Ann.".into()), ..Failure::new("x", "`a.b` forbids it.") });
        assert_eq!(
            (popup.title.as_str(), popup.body.as_str()),
            ("Sallyport changed nothing", "“a.b” forbids it. Ask Ann.")
        );
        assert_eq!(popup.page, "/overview");
    }

    #[test]
    fn what_was_answered_meanwhile_is_not_asked_again() {
        let mut popups = Popups::default();
        let ask = |popups: &mut Popups, second| {
            popups.tell(news(Kind::Approval, "codex", &["x"]), PopupMode::All, at(second))
        };
        assert!(ask(&mut popups, 0).unwrap().asks && !shown(redaction("codex", &["jwt"])).asks);
        assert!(ask(&mut popups, 1).is_none());
        assert!(popups.tell(news(Kind::ProtectionOff, "", &["x"]), PopupMode::All, at(1)).is_some());
        assert!(popups.tell(news(Kind::ProtectionOff, "", &["x"]), PopupMode::All, at(2)).is_none());
        popups.nothing_waits();
        // That protection was off is told, on again or not.
        let due = popups.due(PopupMode::All, at(61));
        assert_eq!(due.iter().map(|popup| popup.asks).collect::<Vec<_>>(), [false]);
    }

    #[test]
    fn notify_only_listens_to_no_click() {
        let popup =
            Popups::default().tell(redaction("codex", &["jwt"]), PopupMode::NotifyOnly, at(0)).unwrap();
        assert!(!popup.clickable);
    }

    #[test]
    fn long_lists_are_cut() {
        let popup = shown(redaction("x", &["a", "b", "c", "d", "a"]));
        assert!(popup.body.starts_with("a, b and 2 others in"), "{}", popup.body);
    }
}
