//! Calls in an answer that came whole.

use parking_lot::Mutex;
use sallyport_detect::Placeholders;
use sallyport_wire::stream::gate::HeldCall;
use sallyport_wire::{CallVerdict, Family, Limits, read_response, settle_calls};

use super::{Guard, Hearing};

/// What becomes of an answer that came whole.
pub(crate) enum Whole {
    AsItIs,
    Changed(Vec<u8>),
    /// A person is asked; to be judged again once the hearing has waited.
    Held,
}

impl Guard {
    /// Judges the calls of an answer; its new body if any is denied. What can't be read holds no call.
    pub(crate) fn whole(
        &self,
        family: Family,
        content_type: Option<&str>,
        body: &[u8],
        limits: &Limits,
        placeholders: &Mutex<Placeholders>,
        hearing: &mut Hearing,
    ) -> Whole {
        let Ok(document) = read_response(family, content_type, body, limits) else { return Whole::AsItIs };
        let own = || document.tool_calls.iter().enumerate().filter(|(_, call)| !call.by_provider);
        let calls: Vec<HeldCall> = own()
            .map(|(_, call)| HeldCall {
                id: call.id.clone(),
                name: call.name.clone().unwrap_or_default(),
                arguments: call.arguments_text(body),
                doubt: None,
            })
            .collect();
        if calls.is_empty() {
            return Whole::AsItIs;
        }
        let Some(judged) = self.answer(&calls, body.len(), placeholders, hearing) else { return Whole::Held };
        let mut verdicts = vec![CallVerdict::Passes; document.tool_calls.len()];
        for ((at, _), verdict) in own().zip(judged) {
            verdicts[at] = verdict;
        }
        if verdicts.iter().all(|verdict| *verdict == CallVerdict::Passes) {
            return Whole::AsItIs;
        }
        match settle_calls(&document, body, limits, &verdicts) {
            Ok(body) => Whole::Changed(body),
            Err(error) => {
                // It was read a moment ago; without a body to put in its place nothing of it goes on.
                tracing::error!(%error, "calls could not be changed in an answer");
                Whole::Changed(b"{}".to_vec())
            }
        }
    }
}
