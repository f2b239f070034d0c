//! What a person lets an agent do for a while, as the guard asks for it: whether a grant reaches, its use, and a
//! request where none does.

use std::sync::Arc;
use std::time::Duration;

use sallyport_policy::elevation::{Draft, State, Target};
use sallyport_policy::permissions::Wanted;
use tokio::runtime::Handle;

use crate::engine::Engine;
use crate::hold::Hold;

/// What an automatic request asks for: enough for a piece of work.
const USUAL: u64 = 1_800;

/// The grants of one account. Blocks for as long as a row takes to be durable, so it is used on threads that may.
pub(crate) struct Grants {
    engine: Arc<Engine>,
    account: String,
    /// The client, as the table of patience names it.
    client: String,
}

/// What became of asking.
pub(super) enum Asked {
    /// Policy granted it at once.
    Granted,
    Waits(u64),
    /// A request that was waited for came to another end.
    Over(u64, State),
    /// Nothing can be asked for: no pattern says this, or too much waits already.
    Not,
}

impl Grants {
    pub(crate) fn new(engine: Arc<Engine>, account: String, client: String) -> Grants {
        Grants { engine, account, client }
    }

    pub(super) fn reach(&self, target: &Target<'_>) -> bool {
        self.engine.elevation.permits(target, &self.account).is_some()
    }

    /// Uses a grant. False where it is gone meanwhile, or the trail can't take the row: then it grants nothing.
    pub(super) fn take(&self, wanted: &Wanted) -> bool {
        let target = wanted.target();
        matches!(wait(self.engine.elevation_use(&target, &self.account)), Ok(Some(_)))
    }

    /// What became of a request that was filed for this answer.
    pub(super) fn look(&self, id: u64) -> Asked {
        match self.engine.elevation.get(id).map(|record| record.state) {
            Some(State::Pending) => Asked::Waits(id),
            Some(state) => Asked::Over(id, state),
            None => Asked::Not,
        }
    }

    /// A place in which an answer of so many bytes may wait for a person.
    pub(super) fn hold(&self, stream: bool, left: Option<Duration>, bytes: usize) -> Option<Hold> {
        let allowed = self.engine.holds.allows(&self.engine, &self.client, stream)?;
        Hold::begin(&self.engine, left.map_or(allowed, |left| left.min(allowed)), bytes)
    }

    /// Files a request for exactly these of one scope, once.
    pub(super) fn ask(&self, wanted: &[&Wanted], tool: &str) -> Asked {
        let resources = wanted.iter().map(|one| Some(one.target().as_resource()?.as_str().to_owned()));
        let (Some(first), Some(resources)) = (wanted.first(), resources.collect()) else { return Asked::Not };
        let max = self.engine.policy().snapshot.elevation.max_duration.value;
        let draft = Draft {
            scope: first.scope(),
            resources,
            account: self.account.clone(),
            justification: format!("a call of {tool} by the agent"),
            seconds: USUAL.min(max),
        };
        match wait(self.engine.elevation_ask(&draft)) {
            Ok(record) if record.state == State::Pending => Asked::Waits(record.request.id),
            Ok(record) if record.state.is_granted() => Asked::Granted,
            Ok(_) => Asked::Not,
            Err(error) => {
                tracing::info!(%error, "no permission could be asked for");
                Asked::Not
            }
        }
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| Handle::current().block_on(future))
}
