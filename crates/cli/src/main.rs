//! The `sallyport` binary: reads the command line, runs one command, turns its outcome into an exit code.
//!
//! It holds no logic of its own: the engine decides, this shows.

mod cli;
mod commands;
mod engine;
mod exit;
mod named_file;
mod output;
mod process;
mod shell;
mod text;
mod variables;
mod when;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use sallyport_engine::loader;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command};
use crate::exit::{Exit, Outcome};
use crate::output::{Out, note};

fn main() -> ExitCode {
    // The engine starts itself as its own loader. No command for people: it is in no help and no completion.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == loader::CHILD_ARGUMENT) {
        return loader::run_child();
    }
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => {
            // Nobody is left to tell when the terminal is gone.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok.into(),
                _ => Exit::Usage.into(),
            };
        }
    };
    log_to_stderr(matches!(command, Command::Daemon(_)));
    let mut out = Out::stdout();
    let outcome = run(command, &mut out).and_then(|exit| Ok(out.flush().map(|()| exit)?));
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            // What was found before the failure still belongs to the reader.
            let _ = out.flush();
            if !failure.is_quiet() {
                note(failure.to_string());
            }
            failure.exit().into()
        }
    }
}

fn run(command: Command, out: &mut Out) -> Outcome {
    match command {
        Command::Daemon(_) => commands::daemon::run(),
        Command::Status(args) => commands::status::run(&args, out),
        Command::On(args) => commands::switch::on(&args, out),
        Command::Off(args) => commands::switch::off(args, out),
        Command::Env(args) => commands::env::run(&args, out),
        Command::Exec(args) => commands::exec::run(&args),
        Command::Flows(args) => commands::flows::run(&args, out),
        Command::SelfTest(args) => commands::self_test::run(&args, out),
        Command::Doctor(args) => commands::doctor::run(&args, out),
        Command::Ca(args) => commands::ca::run(&args, out),
        Command::Trust(args) => commands::trust::run(&args, out),
        Command::Secrets(args) => commands::secrets::run(args, out),
        Command::Allow(args) => commands::allow::run(args, out),
        Command::Elevate(args) => commands::elevate::run(args, out),
        Command::Scan(args) => commands::scan::run(&args, out),
        Command::Audit(args) => commands::audit::run(args, out),
        Command::Policy(args) => commands::policy::run(args, out),
        Command::Quota(args) => commands::quota::run(&args, out),
        Command::Assess(args) => commands::assess::run(args, out),
        Command::Rules(args) => commands::rules::run(args, out),
        Command::Completions(args) => commands::completions::run(&args, out),
        Command::Man(args) => commands::man::run(&args, out),
    }
}

/// Crates below us that may log headers and frames at finer levels: credentials live there.
const TALKATIVE: [&str; 6] = ["h2", "hyper", "hyper_util", "reqwest", "rustls", "zbus"];

fn log_to_stderr(daemon: bool) {
    let default = if daemon { "info" } else { "warn" };
    let asked = EnvFilter::try_from_env("SALLYPORT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let quiet = TALKATIVE.iter().filter_map(|name| format!("{name}=warn").parse().ok());
    tracing_subscriber::fmt()
        .with_env_filter(quiet.fold(asked, EnvFilter::add_directive))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
