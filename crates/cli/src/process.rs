//! This process among others: becoming another program, whose signals, terminal and exit code are then its own;
//! and being told to stop.

use std::io;
use std::process::Command;

/// Returns only when the program could not be started, or where a process can't be replaced: then with
/// the exit code of the finished program.
#[cfg(unix)]
pub(crate) fn become_program(command: &mut Command) -> Result<u8, io::Error> {
    use std::os::unix::process::CommandExt;
    Err(command.exec())
}

#[cfg(not(unix))]
pub(crate) fn become_program(command: &mut Command) -> Result<u8, io::Error> {
    let status = command.status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Returns when this process is told to stop: Ctrl-C, or what a supervisor sends.
#[cfg(unix)]
pub(crate) async fn stop_signal() -> Result<(), io::Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) async fn stop_signal() -> Result<(), io::Error> {
    tokio::signal::ctrl_c().await
}
