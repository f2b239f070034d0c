//! What the tray says: state in, menu out. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sallyport_ipc::types::State;

/// Which of the four icons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    Protected,
    Paused,
    Attention,
    Off,
}

impl Face {
    #[cfg(test)]
    pub(crate) const ALL: [Face; 4] = [Face::Protected, Face::Paused, Face::Attention, Face::Off];
}

/// What is known of the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// None: no engine answers.
    pub(crate) state: Option<State>,
    pub(crate) paused_until: Option<Timestamp>,
    /// Policy lets nobody switch off or pause.
    pub(crate) forbids_off: bool,
    /// Policy wants a reason, which a menu can't take: the window asks for it.
    pub(crate) asks_reason: bool,
    /// The most severe condition that needs a person.
    pub(crate) trouble: Option<String>,
    /// Requests for permissions that wait for an answer; None where that could not be asked.
    pub(crate) waiting: Option<usize>,
    /// The fullest limit, as `today’s tokens` and how much of it is used, in per cent.
    pub(crate) quota: Option<(String, u64)>,
}

/// What a menu item does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Toggle,
    Pause { minutes: u64 },
    Open,
    OpenOverview,
    OpenApprovals,
    OpenQuotas,
    Quit,
}

impl Act {
    const ALL: [Act; 9] = [
        Act::Toggle,
        Act::Pause { minutes: 5 },
        Act::Pause { minutes: 15 },
        Act::Pause { minutes: 60 },
        Act::Open,
        Act::OpenOverview,
        Act::OpenApprovals,
        Act::OpenQuotas,
        Act::Quit,
    ];

    /// The word that the system hands back when the item is chosen.
    pub(crate) fn id(self) -> String {
        match self {
            Act::Toggle => "toggle".into(),
            Act::Pause { minutes } => format!("pause-{minutes}"),
            Act::Open => "open".into(),
            Act::OpenOverview => "open-overview".into(),
            Act::OpenApprovals => "open-approvals".into(),
            Act::OpenQuotas => "open-quotas".into(),
            Act::Quit => "quit".into(),
        }
    }

    pub(crate) fn of(id: &str) -> Option<Act> {
        Act::ALL.into_iter().find(|act| act.id() == id)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// Says something, does nothing.
    Line(String),
    Button {
        act: Act,
        label: String,
        enabled: bool,
    },
    Check {
        act: Act,
        label: String,
        checked: bool,
        enabled: bool,
    },
    Submenu {
        label: String,
        enabled: bool,
        items: Vec<Item>,
    },
    Separator,
}

impl Item {
    fn label(&self) -> Option<&str> {
        match self {
            Item::Line(label)
            | Item::Button { label, .. }
            | Item::Check { label, .. }
            | Item::Submenu { label, .. } => Some(label),
            Item::Separator => None,
        }
    }

    fn enabled(&self) -> bool {
        match self {
            Item::Line(_) | Item::Separator => false,
            Item::Button { enabled, .. } | Item::Check { enabled, .. } | Item::Submenu { enabled, .. } => {
                *enabled
            }
        }
    }
}

/// Icon, tooltip and menu; what differs is drawn, in place where [`edits`] finds that it can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Menu {
    pub(crate) face: Face,
    pub(crate) tooltip: String,
    pub(crate) items: Vec<Item>,
}

impl Menu {
    /// `zone` is where the person is, for the time at which a pause ends.
    pub(crate) fn of(seen: &Seen, zone: &TimeZone) -> Menu {
        let line = state_line(seen, zone);
        let reachable = seen.state.is_some();
        let checking = matches!(seen.state, Some(State::Protected | State::Attention));
        let pause = [5, 15, 60].map(|minutes| Item::Button {
            act: Act::Pause { minutes },
            label: format!("{minutes} minutes{}", if seen.asks_reason { "…" } else { "" }),
            enabled: checking && !seen.forbids_off,
        });
        let mut items = vec![Item::Line(line.clone())];
        if let Some(trouble) = &seen.trouble {
            items.push(Item::Button { act: Act::OpenOverview, label: shortened(trouble), enabled: true });
        }
        if let Some(waiting @ 1..) = seen.waiting {
            let label = match waiting {
                1 => "1 approval waits for you".to_owned(),
                n => format!("{n} approvals wait for you"),
            };
            items.push(Item::Button { act: Act::OpenApprovals, label, enabled: true });
        }
        if let Some((limit, percent)) = &seen.quota {
            items.push(Item::Button {
                act: Act::OpenQuotas,
                label: format!("Quota: {percent} % of {limit}"),
                enabled: true,
            });
        }
        items.push(Item::Separator);
        if checking && seen.forbids_off {
            items.push(Item::Line("Policy keeps protection on".into()));
        }
        items.extend([
            Item::Check {
                act: Act::Toggle,
                label: "Protection".into(),
                checked: checking,
                enabled: reachable && !(checking && seen.forbids_off),
            },
            Item::Submenu {
                label: "Pause for".into(),
                enabled: checking && !seen.forbids_off,
                items: pause.into(),
            },
            Item::Separator,
            Item::Button { act: Act::Open, label: "Open Sallyport".into(), enabled: true },
            // The engine goes on: leaving the icon must not be a way to switch protection off.
            Item::Button { act: Act::Quit, label: "Quit (protection goes on)".into(), enabled: true },
        ]);
        Menu { face: face(seen), tooltip: format!("Sallyport: {line}"), items }
    }
}

/// One change to an entry of a menu that is drawn already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Edit {
    Label(String),
    Checked(bool),
    Enabled(bool),
}

/// What turns one menu into the other while it stays open, each with the place of its entry, submenus counted through; `None` where
/// their shapes differ and it has to be drawn anew. A tick is always set: systems turn it around at a click, whatever comes of it.
pub(crate) fn edits(drawn: &[Item], wanted: &[Item]) -> Option<Vec<(usize, Edit)>> {
    let mut edits = Vec::new();
    compare(drawn, wanted, &mut 0, &mut edits)?;
    Some(edits)
}

fn compare(drawn: &[Item], wanted: &[Item], place: &mut usize, edits: &mut Vec<(usize, Edit)>) -> Option<()> {
    if drawn.len() != wanted.len() {
        return None;
    }
    for (old, new) in drawn.iter().zip(wanted) {
        let here = *place;
        *place += 1;
        if old.label() != new.label() {
            edits.extend(new.label().map(|label| (here, Edit::Label(label.to_owned()))));
        }
        if old.enabled() != new.enabled() {
            edits.push((here, Edit::Enabled(new.enabled())));
        }
        match (old, new) {
            (Item::Line(_), Item::Line(_)) | (Item::Separator, Item::Separator) => {}
            // What an entry does is fixed when it is made.
            (Item::Button { act: old, .. }, Item::Button { act: new, .. }) if old == new => {}
            (Item::Check { act: old, .. }, Item::Check { act: new, checked, .. }) if old == new => {
                edits.push((here, Edit::Checked(*checked)));
            }
            (Item::Submenu { items: old, .. }, Item::Submenu { items: new, .. }) => {
                compare(old, new, place, edits)?;
            }
            _ => return None,
        }
    }
    Some(())
}

fn face(seen: &Seen) -> Face {
    match seen.state {
        Some(State::Protected) => Face::Protected,
        Some(State::Paused) => Face::Paused,
        Some(State::Attention) => Face::Attention,
        Some(State::Off) | None => Face::Off,
    }
}

fn state_line(seen: &Seen, zone: &TimeZone) -> String {
    match (seen.state, seen.paused_until) {
        (None, _) => "The engine is not running".into(),
        (Some(State::Protected), _) => "Protected".into(),
        (Some(State::Attention), _) => "Protected, needs attention".into(),
        (Some(State::Off), _) => "Off: AI traffic passes unread".into(),
        (Some(State::Paused), Some(until)) => {
            format!("Paused until {}", until.to_zoned(zone.clone()).strftime("%H:%M"))
        }
        (Some(State::Paused), None) => "Paused".into(),
    }
}

/// Menus are as wide as their longest line.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 48;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The menu as a person reads it.
    fn drawn(seen: &Seen) -> String {
        let menu = Menu::of(seen, &TimeZone::UTC);
        let mut text = format!("[{:?}] {}\n", menu.face, menu.tooltip);
        draw(&menu.items, 0, &mut text);
        text
    }

    fn draw(items: &[Item], depth: usize, text: &mut String) {
        for item in items {
            text.push_str(&"  ".repeat(depth));
            let dim = |enabled: &bool| if *enabled { "" } else { " (grey)" };
            match item {
                Item::Line(line) => text.push_str(&format!("{line} (grey)")),
                Item::Button { label, enabled, .. } => text.push_str(&format!("{label}{}", dim(enabled))),
                Item::Check { label, checked, enabled, .. } => {
                    text.push_str(&format!("[{}] {label}{}", if *checked { "x" } else { " " }, dim(enabled)));
                }
                Item::Submenu { label, enabled, items } => {
                    text.push_str(&format!("{label} >{}\n", dim(enabled)));
                    draw(items, depth + 1, text);
                    continue;
                }
                Item::Separator => text.push_str("--"),
            }
            text.push('\n');
        }
    }

    fn seen(state: State) -> Seen {
        Seen { state: Some(state), ..Seen::default() }
    }

    #[test]
    fn protected() {
        insta::assert_snapshot!(drawn(&seen(State::Protected)), @r"
        [Protected] Sallyport: Protected
        Protected (grey)
        --
        [x] Protection
        Pause for >
          5 minutes
          15 minutes
          60 minutes
        --
        Open Sallyport
        Quit (protection goes on)
        ");
    }

    #[test]
    fn paused_says_until_when_and_can_be_ended() {
        let until = Some("2026-03-12T14:35:00Z".parse().unwrap());
        let seen = Seen { paused_until: until, ..seen(State::Paused) };
        insta::assert_snapshot!(drawn(&seen), @r"
        [Paused] Sallyport: Paused until 14:35
        Paused until 14:35 (grey)
        --
        [ ] Protection
        Pause for > (grey)
          5 minutes (grey)
          15 minutes (grey)
          60 minutes (grey)
        --
        Open Sallyport
        Quit (protection goes on)
        ");
    }

    #[test]
    fn attention_names_what_it_is() {
        let trouble = Some("The vault at https://vault.corp.example does not answer any more".into());
        let seen = Seen { trouble, ..seen(State::Attention) };
        insta::assert_snapshot!(drawn(&seen), @r"
        [Attention] Sallyport: Protected, needs attention
        Protected, needs attention (grey)
        The vault at https://vault.corp.example does no…
        --
        [x] Protection
        Pause for >
          5 minutes
          15 minutes
          60 minutes
        --
        Open Sallyport
        Quit (protection goes on)
        ");
    }

    #[test]
    fn what_waits_and_what_is_used_open_their_pages() {
        let seen =
            Seen { waiting: Some(2), quota: Some(("today’s tokens".into(), 84)), ..seen(State::Protected) };
        insta::assert_snapshot!(drawn(&seen), @r"
        [Protected] Sallyport: Protected
        Protected (grey)
        2 approvals wait for you
        Quota: 84 % of today’s tokens
        --
        [x] Protection
        Pause for >
          5 minutes
          15 minutes
          60 minutes
        --
        Open Sallyport
        Quit (protection goes on)
        ");
    }

    #[test]
    fn what_policy_forbids_is_not_offered_and_says_why() {
        let seen = Seen { forbids_off: true, ..seen(State::Protected) };
        insta::assert_snapshot!(drawn(&seen), @r"
        [Protected] Sallyport: Protected
        Protected (grey)
        --
        Policy keeps protection on (grey)
        [x] Protection (grey)
        Pause for > (grey)
          5 minutes (grey)
          15 minutes (grey)
          60 minutes (grey)
        --
        Open Sallyport
        Quit (protection goes on)
        ");
    }

    #[test]
    fn a_pause_that_wants_a_reason_says_that_it_will_ask() {
        let seen = Seen { asks_reason: true, ..seen(State::Protected) };
        insta::assert_snapshot!(drawn(&seen), @r"
        [Protected] Sallyport: Protected
        Protected (grey)
        --
        [x] Protection
        Pause for >
          5 minutes…
          15 minutes…
          60 minutes…
        --
        Open Sallyport
        Quit (protection goes on)
        ");
    }

    #[test]
    fn an_absent_engine_offers_nothing_it_could_not_do() {
        insta::assert_snapshot!(drawn(&Seen::default()), @r"
        [Off] Sallyport: The engine is not running
        The engine is not running (grey)
        --
        [ ] Protection (grey)
        Pause for > (grey)
          5 minutes (grey)
          15 minutes (grey)
          60 minutes (grey)
        --
        Open Sallyport
        Quit (protection goes on)
        ");
    }

    fn menu_edits(from: &Seen, to: &Seen) -> Option<Vec<(usize, Edit)>> {
        let items = |seen: &Seen| Menu::of(seen, &TimeZone::UTC).items;
        edits(&items(from), &items(to))
    }

    #[test]
    fn an_open_menu_changes_in_place_as_long_as_its_shape_is_the_same() {
        let (on, off) = (seen(State::Protected), seen(State::Off));
        assert_eq!(
            menu_edits(&on, &off).unwrap(),
            [
                (0, Edit::Label("Off: AI traffic passes unread".into())),
                (2, Edit::Checked(false)),
                (3, Edit::Enabled(false)),
                (4, Edit::Enabled(false)),
                (5, Edit::Enabled(false)),
                (6, Edit::Enabled(false)),
            ]
        );
        let more = Seen { waiting: Some(2), ..on.clone() };
        let one = Seen { waiting: Some(1), ..on };
        let label = Edit::Label("1 approval waits for you".into());
        assert_eq!(menu_edits(&more, &one).unwrap(), [(1, label), (3, Edit::Checked(true))]);
    }

    /// A click has turned the tick that nobody else touched.
    #[test]
    fn the_tick_is_set_even_if_nothing_else_differs() {
        let on = seen(State::Protected);
        assert_eq!(menu_edits(&on, &on).unwrap(), [(2, Edit::Checked(true))]);
    }

    #[test]
    fn an_entry_that_comes_goes_or_does_something_else_means_another_menu() {
        let on = seen(State::Protected);
        let waits = Seen { waiting: Some(1), ..on.clone() };
        let quota = Seen { quota: Some(("today’s tokens".into(), 84)), ..on.clone() };
        let forbidden = Seen { forbids_off: true, ..on.clone() };
        for other in [&waits, &quota, &forbidden] {
            assert_eq!(menu_edits(&on, other), None);
            assert_eq!(menu_edits(other, &on), None);
        }
        // As many entries, but another page behind one of them.
        assert_eq!(menu_edits(&waits, &quota), None);
    }

    #[test]
    fn every_act_is_found_by_its_word() {
        for act in Act::ALL {
            assert_eq!(Act::of(&act.id()), Some(act));
        }
        assert_eq!(Act::of("rm -rf"), None);
    }
}
