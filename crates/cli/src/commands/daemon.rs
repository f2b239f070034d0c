//! `daemon`: the engine in the foreground.

use std::process::Command;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cli::EXIT_CODES;
use crate::commands::env::present;
use crate::exit::{Exit, Failure, Outcome};
use crate::process::{become_program, stop_signal};
use crate::variables::{self, Undo};

/// What one exchange frees the next one has use for: a body of a megabyte is held in four buffers.
const KEPT: i32 = 4 << 20;
/// The proxy keeps room for bodies of such a size by itself.
const LARGE: i32 = 512 << 10;

/// An exchange of 2 KB takes about as long. What it waits for most on a busy machine is a core.
const TURN: Duration = Duration::from_micros(100);

/// Run the engine in the foreground until Ctrl-C or SIGTERM
///
/// It works without any configuration: built-in rules, secrets from the keychain and well-known
/// credential files, listener on 127.0.0.1:8877. Settings are read from config.yaml in the config
/// folder.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  sallyport daemon\n  SALLYPORT_HOME=/tmp/try SALLYPORT_LOG=debug sallyport daemon\n\n{EXIT_CODES}"))]
pub(crate) struct Args {}

pub(crate) fn run() -> Outcome {
    let undo = variables::undo(&present);
    if !undo.is_empty() {
        return restart_without(undo);
    }
    sallyport_platform::memory::keep_freed(KEPT, LARGE);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_start(|| sallyport_platform::turns::take_short_turns(TURN))
        .build()
        .map_err(|e| Failure::caused("could not start the async runtime", &e))?;
    let outcome = runtime.block_on(async {
        let stop = CancellationToken::new();
        let signalled = tokio::spawn(stop_when_told(stop.clone()));
        let outcome = sallyport_engine::run(stop).await;
        signalled.abort();
        outcome
    });
    // Nothing that still runs in the background may hold the exit up: exchanges were drained before.
    runtime.shutdown_timeout(Duration::from_secs(2));
    outcome.map_err(|e| Failure::caused("the engine could not run", &e).hint(e.hint()))?;
    Ok(Exit::Ok)
}

async fn stop_when_told(stop: CancellationToken) {
    match stop_signal().await {
        Ok(()) => stop.cancel(),
        Err(error) => {
            tracing::warn!(%error, "signals can't be heard; `kill` ends the engine without a drain")
        }
    }
}

/// In a shell that was led through Sallyport the engine would take itself for its upstream proxy, and our
/// bundle for the system's roots: it starts again with the variables as they were before.
fn restart_without(undo: Vec<Undo>) -> Outcome {
    let failed =
        |e: &std::io::Error| Failure::caused("could not restart without the shell's proxy variables", e);
    let program = std::env::current_exe().map_err(|e| failed(&e))?;
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1));
    for step in undo {
        match step {
            Undo::Restore(name, value) => command.env(name, value),
            Undo::Unset(name) => command.env_remove(name),
        };
    }
    match become_program(&mut command) {
        Ok(code) => Ok(Exit::Command(code)),
        Err(e) => Err(failed(&e)),
    }
}
