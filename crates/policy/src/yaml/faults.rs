//! Every mistake of a document instead of its first. serde stops at one; so what it stumbled over is cut out of a copy of
//! the tree and the rest is read again, until nothing is wrong any more or nothing is left to cut.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use super::de::{Cause, Error, NodeDeserializer};
use super::{Fault, Kind, Mark, Node};

/// Nobody mends more of one file in one go, and each costs a reading.
pub(crate) const MAX_FAULTS: usize = 50;

/// What is cut out.
struct Cut<'c> {
    mark: Mark,
    /// The key at that place rather than a value that begins there.
    key: bool,
    /// Notes from which mapping a key was taken: that it is missing there now is no mistake of the person's.
    taken: &'c mut BTreeSet<(Mark, String)>,
}

/// All faults of a tree that is no `T`, of which `error` is the first; in the order of their places.
pub(super) fn all<T: DeserializeOwned>(root: &Node, mut error: Error) -> Vec<Fault> {
    let mut tree = root.clone();
    let mut taken = BTreeSet::new();
    let mut faults: Vec<Fault> = Vec::new();
    // A cut may leave a mapping without a key that it needs, so a fault can take several readings.
    for _ in 0..2 * MAX_FAULTS {
        let mark = error.mark.unwrap_or_default();
        let caused_here =
            matches!(error.cause, Cause::Missing(key) if taken.contains(&(mark, key.to_owned())));
        let fault = error.fault();
        // An alias brings the same mistake again.
        if !caused_here && !faults.contains(&fault) {
            faults.push(fault);
        }
        let cut = Cut { mark, key: error.at_key, taken: &mut taken };
        if faults.len() == MAX_FAULTS || !cut.out_of(&mut tree) {
            break;
        }
        match T::deserialize(NodeDeserializer(&tree)) {
            Ok(_) => break,
            Err(next) => error = next.at(&tree),
        }
    }
    faults.sort_by_key(|fault| fault.mark);
    faults
}

impl Cut<'_> {
    /// True if there was something to cut.
    fn out_of(self, tree: &mut Node) -> bool {
        let Cut { mark, key, taken } = self;
        take(tree, mark, key, taken)
    }
}

fn take(node: &mut Node, mark: Mark, of_key: bool, taken: &mut BTreeSet<(Mark, String)>) -> bool {
    match &mut node.kind {
        Kind::Map(entries) => {
            let hit =
                entries.iter().position(|(key, value)| (if of_key { key.mark } else { value.mark }) == mark);
            if let Some(at) = hit {
                let (key, _) = entries.remove(at);
                taken.insert((node.mark, key.text));
                return true;
            }
            entries.iter_mut().any(|(_, value)| take(value, mark, of_key, taken))
        }
        Kind::Seq(items) => {
            let hit = (!of_key).then(|| items.iter().position(|item| item.mark == mark)).flatten();
            if let Some(at) = hit {
                items.remove(at);
                return true;
            }
            items.iter_mut().any(|item| take(item, mark, of_key, taken))
        }
        _ => false,
    }
}
