//! `exec`: one command with the variables of `env`; it takes this process's place.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::process::Command;

use crate::commands::env;
use crate::exit::{Failure, Outcome};
use crate::process::become_program;

/// Run one command through Sallyport
///
/// The command gets the variables that `sallyport env` prints and takes this process's place: signals,
/// terminal and exit code are its own. It is not started when the engine is not reachable.
///
/// With --agent the command, and all that it starts, runs under a service account of its own until it
/// ends: its permissions are those of that class, and the trail names it in every event.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "sallyport exec [--agent CLASS] -- CMD [ARG]...",
    after_help = "Examples:\n  sallyport exec -- claude\n  sallyport exec -- python ask.py --model gpt-5\n  sallyport exec --agent coding-assistant -- claude\n\nExit codes:\n  those of the command; before it starts:\n  2    the command line was not understood\n  3    the engine is not reachable\n  126  the command can't be run\n  127  the command was not found"
)]
pub(crate) struct Args {
    /// Run it as an agent of this class, under a service account of its own
    #[arg(long, value_name = "CLASS")]
    agent: Option<String>,
    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let environment = env::prepare(args.agent.as_deref())?;
    let Some((program, rest)) = args.command.split_first() else {
        return Err(
            Failure::usage("no command to run").hint("sallyport exec [--agent CLASS] -- CMD [ARG]...")
        );
    };
    let mut command = Command::new(program);
    command.args(rest).envs(environment.set);
    match become_program(&mut command) {
        Ok(code) => Ok(crate::exit::Exit::Command(code)),
        Err(e) => {
            let failure = Failure::caused(format!("could not run {}", program.display()), &e);
            Err(match e.kind() {
                ErrorKind::NotFound => failure.code(127).hint("check the name, or give the full path"),
                _ => failure.code(126),
            })
        }
    }
}
