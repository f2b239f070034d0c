//! Results of reads that policy denies, in the history that a request brings: the block and its id stay, the
//! content is withheld. Of the results of searches only the lines that come from such a file are.
//!
//! The same in every turn, so that the provider's prompt cache goes on hitting: links are not followed here, since what
//! they lead to may change between two turns.

use std::collections::HashMap;
use std::ops::Range;

use sallyport_detect::tools::{Call, ToolTable};
use sallyport_policy::permissions::{Action, Denial, DenialRule, FilePath};
use sallyport_wire::{Edit, RequestDocument};

use super::Guard;
use super::lines::{self, Words};

/// One result whose content does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Withheld {
    pub(crate) edit: Edit,
    /// As the trail names it.
    pub(crate) rule: String,
}

impl Withheld {
    pub(crate) fn range(&self) -> &Range<usize> {
        &self.edit.range
    }
}

/// Lines of one result that do not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HiddenLines {
    /// Where the segment begins in the body.
    pub(crate) segment: usize,
    /// Stretches of its text, and what is said in their place.
    pub(crate) notices: Vec<(Range<usize>, String)>,
    /// As the trail names it.
    pub(crate) rule: String,
}

impl Guard {
    /// The results that are withheld, in the order of the body, and lines of others.
    pub(crate) fn withheld(
        &self,
        document: &RequestDocument,
        body: &[u8],
    ) -> (Vec<Withheld>, Vec<HiddenLines>) {
        let permissions = &self.settings.permissions;
        let applies = permissions.seal() || (permissions.govern() && self.enforces());
        if !applies || document.tool_results.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let mut denied: HashMap<&str, Box<Denial>> = HashMap::new();
        let mut searches: HashMap<&str, Call> = HashMap::new();
        for call in document.tool_calls.iter().filter(|call| !call.by_provider) {
            let (Some(id), Some(name)) = (&call.id, &call.name) else { continue };
            let done = ToolTable::builtin().call(name, &call.arguments_text(body));
            let places = self.from(&done);
            let found = done.actions.iter().find_map(|action| self.hides(action, &places));
            if let Some(denial) = found {
                denied.insert(id, denial);
            } else if lines::searches(name)
                || done.actions.iter().any(|action| matches!(action, Action::Shell(_)))
            {
                searches.insert(id, done);
            }
        }
        let hidden = self.hidden_lines(&searches, document, body);
        if denied.is_empty() {
            return (Vec::new(), hidden);
        }
        let results = document.tool_results.iter().filter_map(|result| {
            let denial = denied.get(result.call.as_str())?;
            // The words name no path: it is the agent's own and stands in the call.
            let what = match denial.rule {
                DenialRule::AiAccessDenied => "it comes from a file with secrets, which no AI may see",
                _ => "it comes from a file that policy excludes",
            };
            let place = denial.place.as_deref().map(|place| format!(", says {place}")).unwrap_or_default();
            let sentence = format!("[Sallyport withheld this result: {what}{place}. {}]", denial.way_out);
            Some(Withheld {
                edit: result.withhold(&sentence),
                rule: format!("withheld:{}", denial.rule.as_str()),
            })
        });
        let mut results: Vec<Withheld> = results.collect();
        results.sort_by_key(|one| one.edit.range.start);
        results.dedup_by_key(|one| one.edit.range.start);
        (results, hidden)
    }

    /// Lines from files that no AI may see, in the results of searches and commands.
    fn hidden_lines(
        &self,
        searches: &HashMap<&str, Call>,
        document: &RequestDocument,
        body: &[u8],
    ) -> Vec<HiddenLines> {
        let permissions = &self.settings.permissions;
        if !permissions.seal() || searches.is_empty() {
            return Vec::new();
        }
        let mut hidden = Vec::new();
        let words = Words::of(permissions.sealed_words());
        for result in &document.tool_results {
            let Some(done) = searches.get(result.call.as_str()) else { continue };
            let places = self.from(done);
            // Names that are told from inside of such a folder need not hold its word.
            let words = if words.is_in(&places.cwd) { &Words::Any } else { &words };
            let mut denial = None;
            let first = document.segments.partition_point(|one| one.raw.start < result.content.start);
            let inside = document.segments.get(first..).unwrap_or_default().iter();
            for segment in inside.take_while(|one| one.raw.end <= result.content.end).filter(|one| !one.key) {
                let stretches = lines::from_files(&segment.text(body), words, |path| {
                    let found = permissions.sealed(&Action::Read(FilePath::new(path)), &places);
                    let sealed = found.is_some();
                    denial = found.or_else(|| denial.take());
                    sealed
                });
                let Some(denial) = denial.as_ref().filter(|_| !stretches.is_empty()) else { continue };
                let place = denial.place.as_ref().map(|place| format!(", says {place}")).unwrap_or_default();
                let notice = format!(
                    "[Sallyport withheld lines: they come from a file with secrets, which no AI may see{place}.]\n"
                );
                hidden.push(HiddenLines {
                    segment: segment.raw.start,
                    notices: stretches.into_iter().map(|range| (range, notice.clone())).collect(),
                    rule: format!("withheld:{}", denial.rule.as_str()),
                });
            }
        }
        hidden
    }

    /// Whether what this action has read may not be sent.
    fn hides(&self, action: &Action, places: &sallyport_policy::permissions::Places) -> Option<Box<Denial>> {
        if !matches!(action, Action::Read(_) | Action::Shell(_)) {
            return None;
        }
        if let Some(denial) = self.settings.permissions.sealed(action, places) {
            return Some(Box::new(denial));
        }
        if !self.enforces() || !self.settings.permissions.govern() {
            return None;
        }
        let call = sallyport_detect::tools::Call { actions: vec![action.clone()], workdir: None };
        let denial = self.permitted(&call, places, &[]).err()?;
        (denial.rule == DenialRule::PathExcluded).then_some(denial)
    }
}
