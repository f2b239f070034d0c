//! Turns on the processor. Programs that compile or index share the machine with an engine that somebody waits for.

use std::time::Duration;

/// Asks for short turns of the calling thread: it gives the core back sooner, and the system lets it have one sooner when
/// it wakes. Its share stays the same. Where a system has nothing of the kind, nothing happens.
pub fn take_short_turns(turn: Duration) {
    #[cfg(target_os = "linux")]
    crate::imp::take_short_turns(turn);
    #[cfg(not(target_os = "linux"))]
    let _ = turn;
}
