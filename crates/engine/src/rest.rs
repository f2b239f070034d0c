//! Gives memory back when nobody has talked to the engine for a while. Must not do so while somebody does: what is given
//! back is fetched again, page by page.

use std::sync::Arc;
use std::time::Duration;

use sallyport_platform::memory;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;

/// What a start sets in motion is over by then.
const STARTED: Duration = Duration::from_secs(5);

/// A person reads an answer, an agent runs a tool.
const QUIET: Duration = Duration::from_secs(30);

/// Reading rules, policy and secrets takes more memory than what is kept of them, and code that nothing else runs.
pub(crate) fn give_back() {
    memory::give_back_freed();
    memory::give_back_program();
}

/// What exchanges have left behind.
fn give_back_used() {
    hudson_proxy::give_back_room();
    memory::give_back_freed();
}

pub(crate) async fn watch(engine: Arc<Engine>, stop: CancellationToken) {
    let counters = &engine.counters;
    let rests = async {
        tokio::time::sleep(STARTED).await;
        if counters.exchanges() == (0, 0) {
            let _ = tokio::task::spawn_blocking(give_back).await;
        }
        loop {
            counters.stirred().await;
            loop {
                let before = counters.exchanges();
                tokio::time::sleep(QUIET).await;
                if before == counters.exchanges() && before.1 == 0 {
                    break;
                }
            }
            let _ = tokio::task::spawn_blocking(give_back_used).await;
        }
    };
    stop.run_until_cancelled(rests).await;
}
