//! `exec`: one command with the variables of `env`, and with secrets if it asks for some; it takes this process's place.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::process::Command;

use crate::commands::env;
use crate::exit::{Failure, Outcome};
use crate::process::become_program;

mod secrets;

/// Run one command through Sallyport
///
/// The command gets the variables that `sallyport env` prints and takes this process's place: signals,
/// terminal and exit code are its own. It is not started when the engine is not reachable.
///
/// With --agent the command, and all that it starts, runs under a service account of its own until it
/// ends: its permissions are those of that class, and the trail names it in every event.
///
/// With --with-secrets the command gets the secrets of a class of your AISecretsPolicy as variables:
/// `openai-api-key` becomes OPENAI_API_KEY. A human grants that first (scope secrets:read); this command
/// waits for the answer. No file, no command line and no log holds a value, and prompts that hold one are
/// redacted; the command itself, what it starts, and whoever may read its environment see it.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "sallyport exec [--agent CLASS] [--with-secrets CLASS]... -- CMD [ARG]...",
    after_help = "Examples:\n  sallyport exec -- claude\n  sallyport exec -- python ask.py --model gpt-5\n  sallyport exec --agent coding-assistant -- claude\n  sallyport exec --agent coding-assistant --with-secrets ai-provider-keys -- python ask.py\n\nExit codes:\n  those of the command; before it starts:\n  1    secrets were refused, or could not be fetched\n  2    the command line was not understood\n  3    the engine is not reachable\n  126  the command can't be run\n  127  the command was not found"
)]
pub(crate) struct Args {
    /// Run it as an agent of this class, under a service account of its own
    #[arg(long, value_name = "CLASS")]
    agent: Option<String>,
    /// Give it the secrets of this class as variables; may be given several times
    #[arg(long, value_name = "CLASS")]
    with_secrets: Vec<String>,
    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let Some((program, rest)) = args.command.split_first() else {
        return Err(
            Failure::usage("no command to run").hint("sallyport exec [--agent CLASS] -- CMD [ARG]...")
        );
    };
    let environment = env::prepare(args.agent.as_deref())?;
    let mut command = Command::new(program);
    command.args(rest).envs(environment.set.iter().map(|(name, value)| (name, value)));
    let mut taken: BTreeSet<String> = environment.set.into_iter().map(|(name, _)| name).collect();
    for class in &args.with_secrets {
        for variable in secrets::of_class(class, program)? {
            if !taken.insert(variable.name.clone()) {
                return Err(Failure::new(format!(
                    "{} of the class {class} is a variable that is set already",
                    variable.name
                ))
                .hint("give the secret another name"));
            }
            command.env(&variable.name, secrets::text(&variable)?);
        }
    }
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
