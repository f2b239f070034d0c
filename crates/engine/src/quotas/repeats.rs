//! Loops: an agent that makes the same tool call, or sends the same request, again and again.
//!
//! Pure over its memory; what a loop means is for policy to say.

use std::collections::HashMap;

/// Conversations that are remembered; older ones are forgotten first.
const MAX_THREADS: usize = 1_024;

/// The tool calls in the history that a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Calls {
    pub(crate) count: usize,
    /// Name and arguments of the newest.
    pub(crate) newest: Option<blake3::Hash>,
}

/// What of a request tells whether it repeats the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    /// A digest of the whole body; none where it was not read.
    pub(crate) body: Option<String>,
    pub(crate) calls: Calls,
}

#[derive(Debug)]
struct Thread {
    last: Signature,
    times: u32,
    used: u64,
}

/// By account and conversation.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    threads: HashMap<(String, String), Thread>,
    clock: u64,
}

impl Repeats {
    /// Takes note of a request; says how many times the same came one after the other, this one included.
    pub(crate) fn note(&mut self, account: &str, thread: &str, signature: Signature) -> u32 {
        self.clock += 1;
        let clock = self.clock;
        let key = (account.to_owned(), thread.to_owned());
        if let Some(thread) = self.threads.get_mut(&key) {
            thread.times = if repeats(&thread.last, &signature) { thread.times + 1 } else { 1 };
            thread.last = signature;
            thread.used = clock;
            return thread.times;
        }
        if self.threads.len() >= MAX_THREADS {
            let mut used: Vec<u64> = self.threads.values().map(|thread| thread.used).collect();
            used.sort_unstable();
            let middle = used.get(used.len() / 2).copied().unwrap_or(clock);
            self.threads.retain(|_, thread| thread.used > middle);
        }
        self.threads.insert(key, Thread { last: signature, times: 1, used: clock });
        1
    }
}

/// The same request once more, or the same call made once more. A history that merely still holds an old call, while the
/// person goes on talking, repeats nothing.
fn repeats(last: &Signature, now: &Signature) -> bool {
    let (before, after) = (last.calls, now.calls);
    let called_again = after.count > before.count && after.newest.is_some() && after.newest == before.newest;
    called_again || (now.body.is_some() && now.body == last.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(body: &str, calls: usize, newest: &str) -> Signature {
        let newest = (calls > 0).then(|| blake3::hash(newest.as_bytes()));
        Signature { body: Some(body.to_owned()), calls: Calls { count: calls, newest } }
    }

    #[test]
    fn the_same_call_again_and_again_is_counted() {
        let mut repeats = Repeats::default();
        let mut note =
            |body: &str, calls, newest: &str| repeats.note("a", "t", signature(body, calls, newest));
        assert_eq!(note("1", 1, "read x"), 1);
        assert_eq!(note("2", 2, "read x"), 2);
        assert_eq!(note("3", 3, "read x"), 3);
        assert_eq!(note("4", 4, "read y"), 1);
        assert_eq!(note("5", 5, "read x"), 1);
    }

    #[test]
    fn an_old_call_in_the_history_is_no_loop() {
        let mut repeats = Repeats::default();
        for (n, body) in ["a", "b", "c", "d"].into_iter().enumerate() {
            assert_eq!(repeats.note("a", "t", signature(body, 1, "read x")), 1, "turn {n}");
        }
    }

    #[test]
    fn the_same_request_is_counted_for_each_account_apart() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.note("a", "t", signature("same", 0, "")), 1);
        assert_eq!(repeats.note("b", "t", signature("same", 0, "")), 1);
        assert_eq!(repeats.note("a", "t", signature("same", 0, "")), 2);
        assert_eq!(repeats.note("a", "u", signature("same", 0, "")), 1);
        assert_eq!(repeats.note("a", "t", signature("other", 0, "")), 1);
    }

    #[test]
    fn memory_is_bounded() {
        let mut repeats = Repeats::default();
        for n in 0..3 * MAX_THREADS {
            repeats.note("a", &n.to_string(), signature("x", 0, ""));
            assert!(repeats.threads.len() <= MAX_THREADS);
        }
        assert_eq!(repeats.note("a", &(3 * MAX_THREADS - 1).to_string(), signature("x", 0, "")), 2);
    }
}
