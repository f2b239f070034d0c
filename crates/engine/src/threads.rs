//! Which conversation a request belongs to, and the placeholders handed out in it.
//!
//! A thread's number is derived from the installation's key, so placeholders survive a restart; the order
//! of first appearance is remembered in memory and is rebuilt from the history that each turn resends.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sallyport_detect::{HeldKey, Placeholders, TagKey};

/// A bounded memory of conversations.
const MAX_THREADS: usize = 4_096;

/// Headers in which clients name their conversation.
const SESSION_HEADERS: [&str; 4] = ["x-claude-code-session-id", "session-id", "session_id", "x-session-id"];

/// What a request tells of the conversation it continues.
pub(crate) struct ThreadHint<'a> {
    /// Value of the first session header, if the client sends one.
    pub(crate) session: Option<&'a str>,
    /// The first words of the conversation: they are resent with every turn.
    pub(crate) opening: &'a str,
}

pub(crate) fn session_header(headers: &http::HeaderMap) -> Option<&str> {
    SESSION_HEADERS.iter().find_map(|name| headers.get(*name)).and_then(|value| value.to_str().ok())
}

/// The conversations of this engine.
pub(crate) struct Threads {
    key: HeldKey<32>,
    tags: TagKey,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    by_id: HashMap<[u8; 32], (u64, Arc<Mutex<Placeholders>>)>,
    clock: u64,
}

impl Threads {
    /// Both keys belong to this installation.
    pub(crate) fn new(key: HeldKey<32>, tags: TagKey) -> Threads {
        Threads { key, tags, open: Mutex::default() }
    }

    /// The placeholders of the conversation that `hint` points to.
    pub(crate) fn placeholders(&self, hint: &ThreadHint<'_>) -> Arc<Mutex<Placeholders>> {
        let id = self.id(hint);
        let mut open = self.open.lock();
        open.clock += 1;
        let clock = open.clock;
        if let Some((used, placeholders)) = open.by_id.get_mut(&id) {
            *used = clock;
            return placeholders.clone();
        }
        if open.by_id.len() >= MAX_THREADS {
            open.forget_older_half();
        }
        let placeholders = Arc::new(Mutex::new(Placeholders::of(self.tags.clone(), id)));
        open.by_id.insert(id, (clock, placeholders.clone()));
        placeholders
    }

    fn id(&self, hint: &ThreadHint<'_>) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        match hint.session {
            Some(session) => hasher.update(b"session\0").update(session.as_bytes()),
            None => hasher.update(b"opening\0").update(hint.opening.as_bytes()),
        };
        *hasher.finalize().as_bytes()
    }
}

impl Open {
    fn forget_older_half(&mut self) {
        let mut ages: Vec<u64> = self.by_id.values().map(|(used, _)| *used).collect();
        ages.sort_unstable();
        let middle = ages[ages.len() / 2];
        self.by_id.retain(|_, (used, _)| *used >= middle);
    }
}

#[cfg(test)]
mod tests {
    use sallyport_detect::OrdinaryMemory;
    use zeroize::Zeroizing;

    use super::*;

    fn threads() -> Threads {
        Threads::new(Arc::new(Zeroizing::new([7; 32])), TagKey::held(&[7; 32], &OrdinaryMemory))
    }

    fn hint<'a>(session: Option<&'a str>, opening: &'a str) -> ThreadHint<'a> {
        ThreadHint { session, opening }
    }

    #[test]
    fn a_session_is_one_thread_whatever_it_opens_with() {
        let threads = threads();
        let a = threads.placeholders(&hint(Some("s1"), "hello"));
        let b = threads.placeholders(&hint(Some("s1"), "other"));
        let c = threads.placeholders(&hint(Some("s2"), "hello"));
        assert!(Arc::ptr_eq(&a, &b));
        assert!(!Arc::ptr_eq(&a, &c));
    }

    #[test]
    fn without_a_session_the_opening_words_decide() {
        let threads = threads();
        let a = threads.placeholders(&hint(None, "hello"));
        assert!(Arc::ptr_eq(&a, &threads.placeholders(&hint(None, "hello"))));
        assert!(!Arc::ptr_eq(&a, &threads.placeholders(&hint(None, "good day"))));
    }

    #[test]
    fn old_threads_are_forgotten_and_new_ones_kept() {
        let threads = threads();
        for n in 0..=MAX_THREADS {
            threads.placeholders(&hint(Some(&n.to_string()), ""));
        }
        assert!(threads.open.lock().by_id.len() <= MAX_THREADS);
        let newest = threads.placeholders(&hint(Some(&MAX_THREADS.to_string()), ""));
        assert!(Arc::ptr_eq(&newest, &threads.placeholders(&hint(Some(&MAX_THREADS.to_string()), ""))));
    }
}
