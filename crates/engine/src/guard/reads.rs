//! Which results in a request came from files whose findings a person allowed.

use std::collections::HashMap;

use sallyport_detect::tools::ToolTable;
use sallyport_policy::permissions::{Action, normalise};
use sallyport_wire::RequestDocument;

use super::Guard;
use crate::allow::{AllowedFiles, Passages};

impl Guard {
    /// Only a tool that reads one file and does nothing else counts: its result is that file's text.
    pub(crate) fn passages(&self, files: &AllowedFiles, document: &RequestDocument, body: &[u8]) -> Passages {
        if files.is_empty() || document.tool_results.is_empty() {
            return Passages::default();
        }
        let mut reads: HashMap<&str, String> = HashMap::new();
        for call in document.tool_calls.iter().filter(|call| !call.by_provider) {
            let (Some(id), Some(name)) = (&call.id, &call.name) else { continue };
            let done = ToolTable::builtin().call(name, &call.arguments_text(body));
            let places = self.from(&done);
            if let [Action::Read(path)] = done.actions.as_slice()
                && let Some(whole) = normalise(&path.written, &places.cwd, &places.home)
            {
                reads.insert(id, whole);
            }
        }
        let results =
            document.tool_results.iter().map(|result| (result.call.as_str(), result.content.clone()));
        Passages::of(files, &reads, results)
    }
}
