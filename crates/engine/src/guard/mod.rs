//! The tool calls of one exchange, held against what policy lets its agent do: calls in the answer, and results of
//! earlier ones in the request.
//!
//! Composes: the table of tools and the grammar are `detect`'s, the judgement is `policy`'s, holding and replacing
//! is `wire`'s. Here is what they can't know: where the agent stands, what was granted, and the trail.

mod answers;
mod grants;
mod places;
mod reads;
mod requests;

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::OnceLock;

use parking_lot::Mutex;
use sallyport_audit::Action as AuditAction;
use sallyport_detect::Placeholders;
use sallyport_detect::tools::{Call, ToolTable};
use sallyport_policy::elevation::Target;
use sallyport_policy::permissions::{Action, Denial, FilePath, Judgement, Places, Wanted, Who, normalise};
use sallyport_policy::settings::{AgentMode, AgentSettings};
use sallyport_wire::stream::gate::HeldCall;

pub(crate) use grants::Grants;
pub(crate) use requests::Withheld;

use grants::Asked;

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
}

/// Takes what was judged, for the trail.
type Record = Box<dyn Fn(Vec<AuditAction>) + Send + Sync>;

/// What became of one call.
struct Judged {
    /// For the agent and the person, where the call is stopped.
    sentence: Option<String>,
    entry: AuditAction,
    /// Whether the trail is to tell of it.
    told: bool,
}

impl Guard {
    pub(crate) fn new(
        settings: AgentSettings,
        class: String,
        cwd: Option<PathBuf>,
        home: PathBuf,
        record: Record,
    ) -> Guard {
        Guard { settings, class, cwd, home, places: OnceLock::new(), record, grants: None }
    }

    /// Lets grants count, and what is denied be asked for.
    pub(crate) fn with_grants(self, grants: Grants) -> Guard {
        Guard { grants: Some(grants), ..self }
    }

    /// Answers calls in their order: a sentence where one must not reach the agent. Records each.
    pub(crate) fn answer(
        &self,
        calls: &[HeldCall],
        placeholders: &Mutex<Placeholders>,
    ) -> Vec<Option<String>> {
        let judged: Vec<Judged> = calls.iter().map(|call| self.judge(call, placeholders)).collect();
        let mut entries: Vec<AuditAction> =
            judged.iter().filter(|judged| judged.told).map(|judged| judged.entry.clone()).collect();
        // What was stopped comes first: the trail's own columns show the first entry.
        entries.sort_by_key(|entry| entry.outcome.as_deref() == Some("allowed"));
        if !entries.is_empty() {
            (self.record)(entries);
        }
        judged.into_iter().map(|judged| judged.sentence).collect()
    }

    fn judge(&self, held: &HeldCall, placeholders: &Mutex<Placeholders>) -> Judged {
        let mut call = ToolTable::builtin().call(&held.name, &held.arguments);
        let (kind, target) = described(&held.name, &call.actions);
        let entry = |outcome: &str, target: String, review: bool| AuditAction {
            action_type: kind.to_owned(),
            target: Some(target.chars().filter(|c| !c.is_control()).take(MAX_TARGET).collect()),
            outcome: Some(outcome.to_owned()),
            requires_review: Some(review),
        };
        let name: String = held.name.chars().filter(|c| !c.is_control()).take(80).collect();
        let stopped = |reason: String, target: String| Judged {
            sentence: Some(format!("Sallyport denied the call of `{name}`. {reason}")),
            entry: entry("denied", target, true),
            told: true,
        };
        // Whatever the mode: the file would lose the value that the placeholder stands for.
        let text = held.arguments.replace("\\/", "/");
        if call.writes_files()
            && let Some(placeholder) = placeholders.lock().issued_in(&text)
        {
            let reason = format!(
                "It would write `{placeholder}` into a file. That stands for a value which was kept from you, and would \
                 overwrite it. Leave the line with this value as it is, or ask the person to edit it."
            );
            return stopped(reason, target);
        }
        let governed = self.settings.permissions.govern();
        self.resolve(&mut call);
        let judgement = if held.oversized && governed {
            Err("Its arguments are longer than is looked at. Split the work into smaller calls.".to_owned())
        } else {
            self.settle(&call, &self.from(&call), &name)
        };
        match judgement {
            Ok(granted) => Judged {
                sentence: None,
                entry: entry(if granted { "allowed_by_grant" } else { "allowed" }, target, false),
                told: governed,
            },
            Err(reason) if self.enforces() => stopped(reason, target),
            Err(_) => Judged { sentence: None, entry: entry("would_deny", target, false), told: true },
        }
    }

    fn enforces(&self) -> bool {
        self.settings.mode.value == AgentMode::Enforce
    }

    /// Whether a call may go on, and whether by a grant. What is denied is asked for; what policy grants at once is
    /// judged again with it.
    fn settle(&self, call: &Call, places: &Places, tool: &str) -> Result<bool, String> {
        for _ in 0..=call.actions.len().min(MAX_ASKED) {
            match self.permitted(call, places) {
                Ok(granted) => return self.used(&granted).map(|()| !granted.is_empty()),
                Err(denial) if self.enforces() => self.asked(&denial, tool)?,
                Err(denial) => return Err(reason(&denial)),
            }
        }
        Err("It needs more permissions than are asked for at once. Split the work into smaller calls."
            .to_owned())
    }

    /// Uses the grants that a call needs.
    fn used(&self, granted: &[Wanted]) -> Result<(), String> {
        let good =
            granted.iter().all(|wanted| self.grants.as_ref().is_some_and(|grants| grants.take(wanted)));
        good.then_some(()).ok_or_else(|| {
            "The permission it needs has just ended, or its use could not be recorded. Try again, or ask anew.".into()
        })
    }

    /// Asks for what was denied: granted at once, or why not, with the number of the request.
    fn asked(&self, denial: &Denial, tool: &str) -> Result<(), String> {
        let denied = reason(denial);
        let (Some(grants), Some(wanted)) = (&self.grants, &denial.wanted) else { return Err(denied) };
        match grants.ask(wanted, tool) {
            Asked::Granted => Ok(()),
            Asked::Waits(id) => Err(format!(
                "{denied} Request {id} for it waits for the person: `sallyport elevate approve {id}` in a terminal of \
                 their own grants it; then make the same call again."
            )),
            Asked::Not => Err(denied),
        }
    }

    /// Whether everything that a call does is allowed; gives what only a grant allows.
    fn permitted(&self, call: &Call, places: &Places) -> Result<Vec<Wanted>, Box<Denial>> {
        let who = Who { class: &self.class, tier: self.settings.default_tier.value.as_deref() };
        let reaches = |target: &Target<'_>| self.grants.as_ref().is_some_and(|grants| grants.reach(target));
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

/// Rule, way out and place, in one paragraph.
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
