//! The tool calls of one exchange, held against what policy lets its agent do: calls in the answer, and results of
//! earlier ones in the request.
//!
//! Composes: the table of tools and the grammar are `detect`'s, the judgement is `policy`'s, holding and replacing
//! is `wire`'s. Here is what they can't know: where the agent stands, what was granted, and the trail.

mod answers;
mod places;
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
use sallyport_policy::permissions::{Action, Denial, FilePath, Judgement, Places, Who, normalise};
use sallyport_policy::settings::{AgentMode, AgentSettings};
use sallyport_wire::stream::gate::HeldCall;

pub(crate) use requests::Withheld;

/// Longer targets are cut in the trail.
const MAX_TARGET: usize = 200;

/// Judges calls. One for each exchange.
pub(crate) struct Guard {
    settings: AgentSettings,
    class: String,
    /// The agent's working directory, where its process is known.
    cwd: Option<PathBuf>,
    home: PathBuf,
    places: OnceLock<Places>,
    record: Record,
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
        Guard { settings, class, cwd, home, places: OnceLock::new(), record }
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
            match self.permitted(&call, &self.from(&call)) {
                Ok(granted) => Ok(granted),
                Err(denial) => Err(reason(&denial)),
            }
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

    /// Whether everything that a call does is allowed; says whether a grant was needed.
    fn permitted(&self, call: &Call, places: &Places) -> Result<bool, Box<Denial>> {
        let who = Who { class: &self.class, tier: self.settings.default_tier.value.as_deref() };
        let mut by_grant = false;
        for action in &call.actions {
            match self.settings.permissions.judge(who, &|_| false, action, places) {
                Judgement::Allowed { granted } => by_grant |= !granted.is_empty(),
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
