//! The tool calls of one exchange, held against what policy lets its agent do: calls in the answer, and results of
//! earlier ones in the request.
//!
//! Composes: the table of tools and the grammar are `detect`'s, the judgement is `policy`'s, holding and replacing
//! is `wire`'s. Here is what they can't know: where the agent stands, what was granted, and the trail.

mod answers;
mod danger;
mod grants;
mod hearing;
mod ignored;
mod lines;
mod places;
mod reads;
mod requests;
mod restore;

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod restore_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use sallyport_audit::Action as AuditAction;
use sallyport_detect::Placeholders;
use sallyport_detect::tools::{Call, ToolTable};
use sallyport_policy::elevation::{Scope, State, Target};
use sallyport_policy::permissions::{
    Action, Denial, FilePath, Judgement, Places, Wanted, Who, mentioned, normalise,
};
use sallyport_policy::settings::{AgentMode, AgentSettings};
use sallyport_wire::CallVerdict;
use sallyport_wire::stream::gate::{Doubt, HeldCall};
use zeroize::Zeroizing;

pub(crate) use answers::Whole;
pub(crate) use grants::Grants;
pub(crate) use hearing::{BACKLOG, Hearing};
pub(crate) use requests::{HiddenLines, Withheld};
pub(crate) use restore::Restore;

use crate::output::Output;
use grants::Asked;
use restore::Arguments;

/// Longer targets are cut in the trail.
const MAX_TARGET: usize = 200;
/// Permissions that one call may be given at once.
const MAX_ASKED: usize = 16;

/// Judges calls. One for each exchange.
pub(crate) struct Guard {
    settings: AgentSettings,
    class: String,
    /// The agent's working directory, where its process is known.
    cwd: Option<PathBuf>,
    home: PathBuf,
    places: OnceLock<Places>,
    record: Record,
    grants: Option<Grants>,
    /// What policy does about dangerous words in a call, where it does.
    output: Option<Output>,
    /// The values that policy has put back, where it has.
    restore: Option<Restore>,
    /// A value was put back: what the client is handed holds it.
    restored: AtomicBool,
}

/// Takes what was judged, for the trail.
type Record = Arc<dyn Fn(Vec<AuditAction>) + Send + Sync>;

/// What is thought of one call.
struct Judged {
    kind: &'static str,
    target: String,
    name: String,
    /// Whether the trail is to tell of it even where it passes.
    governed: bool,
    opinion: Opinion,
    /// What it goes on with, where values were put back.
    arguments: Option<Zeroizing<String>>,
}

enum Opinion {
    Passes {
        /// By these grants, which are not used yet.
        granted: Vec<Wanted>,
    },
    /// It would be stopped, were permissions enforced.
    Observed,
    Stopped(String),
    /// It is stopped unless somebody grants these requests.
    Waits(BTreeSet<u64>, String),
}

impl Judged {
    fn waits_for(&self) -> impl Iterator<Item = u64> {
        let requests = match &self.opinion {
            Opinion::Waits(requests, _) => Some(requests),
            _ => None,
        };
        requests.into_iter().flatten().copied()
    }

    fn entry(&self, outcome: &str, review: bool) -> AuditAction {
        AuditAction {
            action_type: self.kind.to_owned(),
            target: Some(self.target.clone()),
            outcome: Some(outcome.to_owned()),
            requires_review: Some(review),
        }
    }
}

impl Guard {
    pub(crate) fn new(
        settings: AgentSettings,
        class: String,
        cwd: Option<PathBuf>,
        home: PathBuf,
        record: Record,
    ) -> Guard {
        Guard {
            settings,
            class,
            cwd,
            home,
            places: OnceLock::new(),
            record,
            grants: None,
            output: None,
            restore: None,
            restored: AtomicBool::new(false),
        }
    }

    /// Lets values be put back.
    pub(crate) fn with_restore(self, restore: Option<Restore>) -> Guard {
        Guard { restore, ..self }
    }

    /// Whether a value was put back, so that nothing of the answer may be kept.
    pub(crate) fn has_restored(&self) -> bool {
        self.restored.load(Ordering::Relaxed)
    }

    /// Lets grants count, and what is denied be asked for.
    pub(crate) fn with_grants(self, grants: Grants) -> Guard {
        Guard { grants: Some(grants), ..self }
    }

    /// Lets dangerous words in a call count.
    pub(crate) fn with_output(self, output: Output) -> Guard {
        Guard { output: output.stops().then_some(output), ..self }
    }

    /// Judges calls in their order, and records each. None: a person is asked, and the answer, which keeps so many bytes,
    /// is held until there is something new.
    pub(crate) fn answer(
        &self,
        calls: &[HeldCall],
        bytes: usize,
        placeholders: &Mutex<Placeholders>,
        hearing: &mut Hearing,
    ) -> Option<Vec<CallVerdict>> {
        let judged: Vec<Judged> =
            calls.iter().map(|call| self.judge(call, placeholders, &mut hearing.asked)).collect();
        if self.waits(&judged, bytes, hearing) {
            return None;
        }
        self.heard(hearing);
        let mut entries = Vec::new();
        let verdicts = judged.into_iter().map(|one| self.conclude(one, &mut entries)).collect();
        // What was stopped comes first: the trail's own columns show the first entry.
        entries.sort_by_key(|entry: &AuditAction| entry.outcome.as_deref() == Some("allowed"));
        if !entries.is_empty() {
            (self.record)(entries);
        }
        Some(verdicts)
    }

    /// What becomes of a call. Grants are used here, and nowhere before.
    fn conclude(&self, judged: Judged, entries: &mut Vec<AuditAction>) -> CallVerdict {
        let stopped = match &judged.opinion {
            Opinion::Passes { granted } => match self.used(granted) {
                Ok(()) => {
                    // What a person granted is told, whatever made it wait.
                    if judged.governed || !granted.is_empty() {
                        let outcome = if granted.is_empty() { "allowed" } else { "allowed_by_grant" };
                        entries.push(judged.entry(outcome, false));
                    }
                    return self.goes(judged, entries);
                }
                Err(reason) => reason,
            },
            Opinion::Observed => {
                entries.push(judged.entry("would_deny", false));
                return self.goes(judged, entries);
            }
            Opinion::Stopped(reason) => reason.clone(),
            Opinion::Waits(requests, denied) => way_to_ask(requests, denied),
        };
        entries.push(judged.entry("denied", true));
        CallVerdict::Denied(format!("Sallyport denied the call of `{}`. {stopped}", judged.name))
    }

    fn goes(&self, judged: Judged, entries: &mut Vec<AuditAction>) -> CallVerdict {
        if judged.arguments.is_some() {
            entries.push(judged.entry("restored", false));
            self.restored.store(true, Ordering::Relaxed);
        }
        judged.arguments.map_or(CallVerdict::Passes, CallVerdict::Rewritten)
    }

    fn judge(
        &self,
        held: &HeldCall,
        placeholders: &Mutex<Placeholders>,
        asked: &mut BTreeMap<Wanted, u64>,
    ) -> Judged {
        let mut call = ToolTable::builtin().call(&held.name, &held.arguments);
        let (kind, target) = described(&held.name, &call.actions);
        let name: String = held.name.chars().filter(|c| !c.is_control()).take(80).collect();
        let target = target.chars().filter(|c| !c.is_control()).take(MAX_TARGET).collect();
        let governed = self.settings.permissions.govern();
        let judged =
            |opinion, arguments| Judged { kind, target, name: name.clone(), governed, opinion, arguments };
        let restored = match self.restored(held, &call, placeholders) {
            Ok(restored) => restored,
            Err(reason) => return judged(Opinion::Stopped(reason), None),
        };
        let by_word = match self.words(held, &call, &name, asked) {
            Ok(granted) => granted,
            Err(opinion) => return judged(opinion, restored),
        };
        self.resolve(&mut call);
        let opinion = match held.doubt.filter(|_| governed) {
            Some(doubt) => Opinion::Stopped(doubted(doubt)),
            None => self.settle(&call, &self.seen_from(&call), &name, asked),
        };
        let opinion = match opinion {
            Opinion::Passes { granted } => Opinion::Passes { granted: [granted, by_word].concat() },
            Opinion::Stopped(_) if !self.enforces() && by_word.is_empty() => Opinion::Observed,
            // Only its words were asked about.
            Opinion::Stopped(_) if !self.enforces() => Opinion::Passes { granted: by_word },
            opinion => opinion,
        };
        judged(opinion, restored)
    }

    /// The arguments of a call with values put back, where policy has that done. An error: whatever the mode, the file
    /// would lose the value that a placeholder stands for.
    fn restored(
        &self,
        held: &HeldCall,
        call: &Call,
        placeholders: &Mutex<Placeholders>,
    ) -> Result<Option<Zeroizing<String>>, String> {
        if !call.writes_files() {
            return Ok(None);
        }
        let placeholders = placeholders.lock();
        let arguments = Arguments::read(&held.arguments);
        let Some(placeholder) = arguments.first(&placeholders) else { return Ok(None) };
        let why = match &self.restore {
            Some(restore) if held.doubt.is_none() => {
                match restore.put_back(call, &arguments, &placeholders, &self.from(call)) {
                    Ok(arguments) => return Ok(Some(arguments)),
                    Err(why) => format!(" The value is not put back, since {why}."),
                }
            }
            _ => String::new(),
        };
        Err(format!(
            "It would write `{placeholder}` into a file. That stands for a value which was kept from you, and would \
             overwrite it.{why} Leave the line with this value as it is, or ask the person to edit it."
        ))
    }

    fn enforces(&self) -> bool {
        self.settings.mode.value == AgentMode::Enforce
    }

    /// Whether a call may go on, and by which grants. All that is denied is asked for at once; what policy grants
    /// without a person is judged again with it.
    fn settle(&self, call: &Call, places: &Places, tool: &str, asked: &mut BTreeMap<Wanted, u64>) -> Opinion {
        let mut missing = Vec::new();
        let first = match self.permitted(call, places, &[]) {
            Ok(granted) => return Opinion::Passes { granted },
            Err(denial) => reason(&denial),
        };
        if !self.enforces() {
            return Opinion::Stopped(first);
        }
        // With each permission in hand the next that is missing shows.
        while let Err(denial) = self.permitted(call, places, &missing) {
            match &denial.wanted {
                Some(wanted) if missing.len() < MAX_ASKED && !missing.contains(wanted) => {
                    missing.push(wanted.clone());
                }
                Some(_) => {
                    return Opinion::Stopped(
                        "It needs more permissions than are asked for at once. Split the work into smaller calls."
                            .to_owned(),
                    );
                }
                // Whatever is granted, this stays.
                None => return Opinion::Stopped(reason(&denial)),
            }
        }
        if let Some(opinion) = self.asked(&missing, first, tool, asked) {
            return opinion;
        }
        match self.permitted(call, places, &[]) {
            Ok(granted) => Opinion::Passes { granted },
            Err(denial) => Opinion::Stopped(reason(&denial)),
        }
    }

    /// Uses the grants that a call needs.
    fn used(&self, granted: &[Wanted]) -> Result<(), String> {
        let good =
            granted.iter().all(|wanted| self.grants.as_ref().is_some_and(|grants| grants.take(wanted)));
        good.then_some(()).ok_or_else(|| {
            "The permission it needs has just ended, or its use could not be recorded. Try again, or ask anew.".into()
        })
    }

    /// Asks for what is missing: one request for each kind of permission. None: all of it is granted at once.
    fn asked(
        &self,
        missing: &[Wanted],
        denied: String,
        tool: &str,
        asked: &mut BTreeMap<Wanted, u64>,
    ) -> Option<Opinion> {
        // What can't be asked for as a whole is not asked for in part.
        let sayable = missing.iter().all(|wanted| wanted.target().as_resource().is_some());
        let Some(grants) = self.grants.as_ref().filter(|_| sayable) else {
            return Some(Opinion::Stopped(denied));
        };
        let mut new: BTreeMap<Scope, Vec<&Wanted>> = BTreeMap::new();
        let mut answers = Vec::new();
        for wanted in missing {
            match asked.get(wanted) {
                Some(id) => answers.push(grants.look(*id)),
                None => new.entry(wanted.scope()).or_default().push(wanted),
            }
        }
        // Nobody is asked for the rest of what was refused in part.
        let refused = answers.iter().any(|answer| matches!(answer, Asked::Over(..) | Asked::Not));
        for wanted in new.into_values().filter(|_| !refused) {
            let answer = grants.ask(&wanted, tool);
            if let Asked::Waits(id) = answer {
                asked.extend(wanted.into_iter().map(|one| (one.clone(), id)));
            }
            answers.push(answer);
        }
        let mut waits = BTreeSet::new();
        for answer in answers {
            match answer {
                Asked::Granted => {}
                Asked::Waits(id) => drop(waits.insert(id)),
                Asked::Over(id, state) => {
                    let ended = match state {
                        State::Denied => {
                            "the person said no to it. Go on without it, or ask them what they want instead"
                        }
                        State::Expired => "nobody answered it in time. Make the same call again to ask anew",
                        _ => "what it granted is over. Make the same call again to ask anew",
                    };
                    return Some(Opinion::Stopped(format!("{denied} Request {id} was for it, and {ended}.")));
                }
                Asked::Not => return Some(Opinion::Stopped(denied)),
            }
        }
        (!waits.is_empty()).then_some(Opinion::Waits(waits, denied))
    }

    /// Whether everything that a call does is allowed, were these permissions given, too; gives what only a grant
    /// allows.
    fn permitted(&self, call: &Call, places: &Places, given: &[Wanted]) -> Result<Vec<Wanted>, Box<Denial>> {
        let who = Who { class: &self.class, tier: self.settings.tier(&self.class) };
        let reaches = |target: &Target<'_>| {
            given.iter().any(|wanted| wanted.target() == *target)
                || self.grants.as_ref().is_some_and(|grants| grants.reach(target))
        };
        let mut by_grant = Vec::new();
        for action in &call.actions {
            match self.settings.permissions.judge(who, &reaches, action, places) {
                Judgement::Allowed { granted } => by_grant.extend(granted),
                Judgement::Denied(denial) => return Err(denial),
            }
        }
        Ok(by_grant)
    }

    /// Where the agent stands, worked out once and only where a call is judged.
    fn places(&self) -> &Places {
        self.places.get_or_init(|| {
            places::of(self.cwd.as_deref(), self.settings.workspace.value.as_deref(), &self.home)
        })
    }

    /// Where a call runs.
    fn from(&self, call: &Call) -> Places {
        let places = self.places();
        let cwd = call.workdir.as_deref().and_then(|dir| normalise(dir, &places.cwd, &places.home));
        Places { cwd: cwd.unwrap_or_else(|| places.cwd.clone()), ..places.clone() }
    }

    /// The same, with the links that its command lines name.
    fn seen_from(&self, call: &Call) -> Places {
        let mut places = self.from(call);
        for action in &call.actions {
            if let Action::Shell(line) = action {
                places.links.extend(places::links(&mentioned(line, &places), &places));
            }
        }
        places
    }

    /// Follows links: a path counts by where it leads, too.
    fn resolve(&self, call: &mut Call) {
        let places = self.from(call);
        for action in &mut call.actions {
            if let Action::Read(path) | Action::Write(path) = action {
                path.resolved = resolved(path, &places);
            }
        }
    }
}

fn resolved(path: &FilePath, places: &Places) -> Option<String> {
    let whole = normalise(&path.written, &places.cwd, &places.home)?;
    places::follow(&whole).filter(|followed| *followed != whole)
}

/// What was denied, and how the person grants it.
fn way_to_ask(requests: &BTreeSet<u64>, denied: &str) -> String {
    let commands: Vec<_> = requests.iter().map(|id| format!("`sallyport elevate approve {id}`")).collect();
    let ids: Vec<_> = requests.iter().map(u64::to_string).collect();
    let (which, wait, grant) = match ids.as_slice() {
        [one] => (format!("Request {one}"), "waits", "grants"),
        many => (format!("Requests {}", many.join(" and ")), "wait", "grant"),
    };
    format!(
        "{denied} {which} for it {wait} for the person: {} in a terminal of their own {grant} it; then make the same \
         call again.",
        commands.join(" and ")
    )
}

/// Rule, way out and place, in one paragraph.
/// Of a call that can't be judged as it came.
fn doubted(doubt: Doubt) -> String {
    match doubt {
        Doubt::TooLong => {
            "Its arguments are longer than is looked at. Split the work into smaller calls.".to_owned()
        }
        Doubt::Ambiguous => {
            "It was written so that it can be read in more than one way. Make it again as a call of its own."
                .to_owned()
        }
    }
}

fn reason(denial: &Denial) -> String {
    let place = denial.place.as_ref().map(|place| format!(" This is said in {place}.")).unwrap_or_default();
    format!("{} {}{place}", denial.sentence, denial.way_out)
}

/// What a call does in the trail's words, and on what. Programs and paths, never arguments or contents.
fn described(tool: &str, actions: &[Action]) -> (&'static str, String) {
    let files = |write: bool| {
        let paths = actions.iter().filter_map(|action| match action {
            Action::Read(path) if !write => Some(path.written.as_str()),
            Action::Write(path) if write => Some(path.written.as_str()),
            _ => None,
        });
        paths.collect::<Vec<_>>().join(" ")
    };
    let shell: Vec<&str> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Shell(line) => Some(line.commands.iter().map(|command| command.name())),
            _ => None,
        })
        .flatten()
        .filter(|name| !name.is_empty())
        .collect();
    for action in actions {
        match action {
            Action::Shell(_) => return ("shell_execute", shell.join(" ")),
            Action::Write(_) => return ("file_write", files(true)),
            Action::Fetch { host } => return ("network_fetch", host.clone()),
            _ => {}
        }
    }
    match actions.first() {
        Some(Action::Read(_)) => ("file_read", files(false)),
        _ => ("tool_call", tool.to_owned()),
    }
}
