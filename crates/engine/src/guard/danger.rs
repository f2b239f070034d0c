//! Dangerous words in a call, where policy stops them or asks the person: whatever the agent's permissions and their
//! mode say.

use std::collections::BTreeMap;

use sallyport_detect::output;
use sallyport_detect::tools::Call;
use sallyport_policy::permissions::{Action, Denial, DenialRule, Wanted, normalise};
use sallyport_policy::settings::OutputAction;
use sallyport_policy::shell::{SimpleCommand, Word};
use sallyport_wire::stream::gate::HeldCall;

use super::{Guard, Opinion, doubted, reason};
use crate::output::in_words;

impl Guard {
    /// What is thought of a call for its words alone; the grants that let it go on where it may only by them.
    pub(super) fn words(
        &self,
        held: &HeldCall,
        call: &Call,
        tool: &str,
        asked: &mut BTreeMap<Wanted, u64>,
    ) -> Result<Vec<Wanted>, Opinion> {
        let Some(output) = &self.output else { return Ok(Vec::new()) };
        if let Some(doubt) = held.doubt {
            return Err(Opinion::Stopped(doubted(doubt)));
        }
        let Some((action, rules)) = output.stopped(&held.arguments) else { return Ok(Vec::new()) };
        let about: Vec<String> = rules.iter().map(|rule| in_words(rule)).collect();
        let kind = rules.first().map_or("commands", |rule| output::kind(rule).as_str());
        let denial = Denial {
            rule: DenialRule::DangerousOutput,
            target: String::new(),
            place: None,
            sentence: format!(
                "Sallyport finds this in it: {}. Policy stops that in output.{kind}.",
                about.join(", ")
            ),
            way_out: "Do it another way, or ask the person to do it.".into(),
            wanted: None,
        };
        let denied = reason(&denial);
        let wanted = match action {
            OutputAction::Hold => self.would_need(call),
            _ => Vec::new(),
        };
        if wanted.is_empty() {
            return Err(Opinion::Stopped(denied));
        }
        // A person who lets each of its commands run, or its file be written, lets the call go on.
        let reached = |one: &&Wanted| self.grants.as_ref().is_some_and(|grants| grants.reach(&one.target()));
        let missing: Vec<Wanted> = wanted.iter().filter(|one| !reached(one)).cloned().collect();
        match self.asked(&missing, denied, tool, asked) {
            Some(opinion) if !missing.is_empty() => Err(opinion),
            _ => Ok(wanted),
        }
    }

    /// What a person would have to grant so that this call does what it says; nothing where that can't be told.
    fn would_need(&self, call: &Call) -> Vec<Wanted> {
        let places = self.from(call);
        let mut wanted = Vec::new();
        for action in &call.actions {
            match action {
                Action::Shell(line) => {
                    let commands = || line.commands.iter().filter(|command| !command.words.is_empty());
                    let known = |command: &SimpleCommand| command.words.iter().all(Word::is_static);
                    if !line.doubts.is_empty() || !commands().all(known) {
                        return Vec::new();
                    }
                    wanted.extend(commands().map(|command| {
                        let words = command.words.iter().map(|word| word.text.clone());
                        Wanted::Command(command.via.iter().cloned().chain(words).collect())
                    }));
                }
                Action::Write(path) => {
                    wanted.extend(normalise(&path.written, &places.cwd, &places.home).map(Wanted::File));
                }
                _ => {}
            }
        }
        wanted.sort();
        wanted.dedup();
        wanted
    }
}
