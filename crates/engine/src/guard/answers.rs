//! Calls in an answer that came whole.

use parking_lot::Mutex;
use sallyport_detect::Placeholders;
use sallyport_wire::stream::gate::HeldCall;
use sallyport_wire::{Family, Limits, deny_calls, read_response};

use super::Guard;

impl Guard {
    /// Judges the calls of an answer; its new body if any is denied. What can't be read holds no call.
    pub(crate) fn whole(
        &self,
        family: Family,
        content_type: Option<&str>,
        body: &[u8],
        limits: &Limits,
        placeholders: &Mutex<Placeholders>,
    ) -> Option<Vec<u8>> {
        let document = read_response(family, content_type, body, limits).ok()?;
        let own = || document.tool_calls.iter().enumerate().filter(|(_, call)| !call.by_provider);
        let calls: Vec<HeldCall> = own()
            .map(|(_, call)| HeldCall {
                id: call.id.clone(),
                name: call.name.clone().unwrap_or_default(),
                arguments: call.arguments_text(body),
                oversized: false,
            })
            .collect();
        if calls.is_empty() {
            return None;
        }
        let mut answers = vec![None; document.tool_calls.len()];
        for ((at, _), answer) in own().zip(self.answer(&calls, placeholders)) {
            answers[at] = answer;
        }
        if answers.iter().all(Option::is_none) {
            return None;
        }
        match deny_calls(family, body, limits, &answers) {
            Ok(body) => Some(body),
            Err(error) => {
                // It was read a moment ago; without a body to put in its place nothing of it goes on.
                tracing::error!(%error, "denied calls could not be taken out of an answer");
                Some(b"{}".to_vec())
            }
        }
    }
}
