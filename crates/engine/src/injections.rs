//! Tells those who listen that words wanted to be instructions: the first at once, what follows soon after with it, so that
//! a page full of them is one piece of news.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sallyport_detect::injection::REPEATED;
use sallyport_ipc::types::{Event, InjectionOutcome};

use crate::conduct::{Outcome, Spoken};
use crate::engine::Engine;
use crate::record::Parties;

/// How long what follows is gathered.
const GATHERED_FOR: Duration = Duration::from_secs(10);
/// More is counted and not named.
const NAMED: usize = 16;

/// Whose words met what fate.
type Subject = (String, InjectionOutcome);

/// What is gathered, by subject. A subject stands here for as long as it is gathered for.
#[derive(Default)]
pub(crate) struct Injections(Mutex<HashMap<Subject, Gathered>>);

#[derive(Debug, Default, Clone, PartialEq)]
struct Gathered {
    count: u32,
    rules: BTreeSet<&'static str>,
    place: String,
}

impl Gathered {
    fn add(&mut self, spoken: &Spoken) {
        self.count = self.count.saturating_add(1);
        if self.rules.len() < NAMED {
            self.rules.insert(spoken.rule);
        }
        if self.place.is_empty() {
            self.place.clone_from(&spoken.place);
        }
    }

    fn event(self, (tool, outcome): Subject) -> Event {
        let rules = self.rules.into_iter().map(str::to_owned).collect();
        Event::Injection { tool, outcome, count: self.count, rules, place: self.place }
    }
}

impl Injections {
    /// Takes what was found in one request; gives what is to be said now.
    fn note(&self, tool: &str, spoken: &[Spoken]) -> Vec<(Subject, Gathered)> {
        let mut found: HashMap<Subject, Gathered> = HashMap::new();
        // Nobody has to be called for what a model says again: where it came in was told, and the row says it.
        for one in spoken.iter().filter(|one| one.fresh && one.rule != REPEATED) {
            found.entry((tool.to_owned(), told(one.outcome))).or_default().add(one);
        }
        let mut all = self.0.lock();
        let mut now = Vec::new();
        for (subject, fresh) in found {
            match all.get_mut(&subject) {
                Some(gathered) => {
                    gathered.count = gathered.count.saturating_add(fresh.count);
                    gathered.rules.extend(fresh.rules);
                    if gathered.place.is_empty() {
                        gathered.place = fresh.place;
                    }
                }
                None => {
                    all.insert(subject.clone(), Gathered::default());
                    now.push((subject, fresh));
                }
            }
        }
        now
    }

    /// The time is over: what was gathered since.
    fn over(&self, subject: &Subject) -> Option<Gathered> {
        self.0.lock().remove(subject).filter(|gathered| gathered.count > 0)
    }
}

/// Counts what no earlier request held, and tells of it.
pub(crate) fn tell(engine: &Arc<Engine>, parties: &Parties, spoken: &[Spoken]) {
    engine.counters.injected(spoken);
    let tool = parties.actor.agent_id.as_deref().unwrap_or_default();
    for (subject, found) in engine.injections.note(tool, spoken) {
        let _ = engine.events.send(found.event(subject.clone()));
        let engine = engine.clone();
        tokio::spawn(async move {
            tokio::time::sleep(GATHERED_FOR).await;
            if let Some(gathered) = engine.injections.over(&subject) {
                let _ = engine.events.send(gathered.event(subject));
            }
        });
    }
}

fn told(outcome: Outcome) -> InjectionOutcome {
    match outcome {
        Outcome::Warned => InjectionOutcome::Warned,
        Outcome::Neutralised => InjectionOutcome::Neutralised,
        Outcome::Blocked => InjectionOutcome::Blocked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(rule: &'static str, outcome: Outcome, fresh: bool) -> Spoken {
        Spoken { rule, place: format!("messages[{rule}]"), outcome, fresh }
    }

    #[test]
    fn the_first_is_told_at_once_and_the_rest_together() {
        let injections = Injections::default();
        let first = injections
            .note("codex", &[spoken("a", Outcome::Warned, true), spoken("b", Outcome::Warned, true)]);
        let [(subject, found)] = &first[..] else { panic!("{first:?}") };
        assert_eq!((found.count, found.place.as_str()), (2, "messages[a]"));
        for rule in ["c", "d"] {
            assert!(injections.note("codex", &[spoken(rule, Outcome::Warned, true)]).is_empty());
        }
        assert!(injections.note("codex", &[spoken("e", Outcome::Warned, false)]).is_empty(), "told before");
        assert_eq!(injections.note("claude-code", &[spoken("a", Outcome::Warned, true)]).len(), 1);
        assert_eq!(injections.note("codex", &[spoken("a", Outcome::Blocked, true)]).len(), 1, "another fate");
        let rest = injections.over(subject).unwrap();
        assert_eq!((rest.count, rest.rules), (2, ["c", "d"].into()));
        assert_eq!(injections.over(subject), None);
        assert_eq!(injections.note("codex", &[spoken("a", Outcome::Warned, true)]).len(), 1);
    }

    #[test]
    fn what_a_model_says_again_calls_nobody() {
        let injections = Injections::default();
        assert_eq!(injections.note("codex", &[spoken(REPEATED, Outcome::Warned, true)]), []);
    }
}
