//! Waiting for a condition. Tests never sleep for a guessed time; they ask again until the answer is there.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Long enough for a busy two-core machine, short enough to fail a stuck test before long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until there is an answer, or fails with `what` was waited for.
pub fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> Result<T> {
    within(PATIENCE, what, ask)
}

pub fn within<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("waited {limit:?} for {what}");
        }
        thread::sleep(Duration::from_millis(10));
    }
}
