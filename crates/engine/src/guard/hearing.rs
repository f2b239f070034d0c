//! The calls of one answer while they are heard: what was asked for, who is waited for, and how that ends.
//!
//! A hearing belongs to one answer. What it holds open is given back when it is dropped, and the trail then says that
//! nobody was there any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sallyport_audit::Action as AuditAction;
use sallyport_policy::permissions::Wanted;

use super::{Guard, Judged, Record};
use crate::hold::{Hold, Step};

/// What an answer may still take in while it is held.
pub(crate) const BACKLOG: usize = 512 << 10;

pub(crate) struct Hearing {
    /// Signs of life reach the client.
    stream: bool,
    /// The requests that calls of this answer wait for.
    pub(super) asked: BTreeMap<Wanted, u64>,
    hold: Option<Hold>,
    /// Nothing more is waited for.
    over: bool,
    /// What is left for a later call of the same answer.
    left: Option<Duration>,
    unheard: Option<Unheard>,
}

impl Hearing {
    /// `stream`: the answer is handed on as it comes.
    pub(crate) fn new(stream: bool) -> Hearing {
        Hearing { stream, asked: BTreeMap::new(), hold: None, over: false, left: None, unheard: None }
    }

    /// What is waited in, to be given back with what happened.
    pub(crate) fn take_hold(&mut self) -> Option<Hold> {
        self.hold.take()
    }

    pub(crate) fn resume(&mut self, hold: Hold, step: Step) {
        self.hold = Some(hold);
        self.over |= step == Step::Over;
    }

    /// Waits, without signs of life, until there is something to judge anew.
    pub(crate) async fn wait(&mut self) {
        let Some(hold) = &mut self.hold else { return };
        let step = loop {
            match hold.step().await {
                Step::Alive => {}
                step => break step,
            }
        };
        self.over |= step == Step::Over;
    }
}

impl Guard {
    /// Whether the answer waits for a person's word on these calls.
    pub(super) fn waits(&self, judged: &[Judged], bytes: usize, hearing: &mut Hearing) -> bool {
        let requests: BTreeSet<u64> = judged.iter().flat_map(Judged::waits_for).collect();
        let (Some(grants), false) = (&self.grants, requests.is_empty() || hearing.over) else { return false };
        if hearing.hold.is_none() {
            hearing.hold = grants.hold(hearing.stream, hearing.left, bytes);
            if hearing.hold.is_some() {
                let held = judged.iter().filter(|one| one.waits_for().next().is_some());
                let entries: Vec<_> = held.map(|one| one.entry("held", false)).collect();
                (self.record)(entries.clone());
                hearing.unheard = Some(Unheard { record: self.record.clone(), entries });
            }
        }
        match &mut hearing.hold {
            Some(hold) => hold.wait_for(requests),
            None => hearing.over = true,
        }
        hearing.hold.is_some()
    }

    /// The calls are judged for good: nothing is held any more.
    pub(super) fn heard(&self, hearing: &mut Hearing) {
        if let Some(unheard) = &mut hearing.unheard {
            unheard.entries.clear();
        }
        if let Some(hold) = hearing.hold.take() {
            hearing.left = Some(hold.left());
        }
        hearing.asked.clear();
    }
}

/// Records calls of which nobody waited for the end.
struct Unheard {
    record: Record,
    entries: Vec<AuditAction>,
}

impl Drop for Unheard {
    fn drop(&mut self) {
        if self.entries.is_empty() {
            return;
        }
        let mut entries = std::mem::take(&mut self.entries);
        for entry in &mut entries {
            entry.outcome = Some("abandoned".to_owned());
        }
        (self.record)(entries);
    }
}
