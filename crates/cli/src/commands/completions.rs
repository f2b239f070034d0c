//! `completions`: the shell's completion script on stdout.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{Cli, EXIT_CODES};
use crate::exit::{Exit, Outcome};
use crate::output::Out;

/// Print a shell completion script
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  sallyport completions bash > ~/.local/share/bash-completion/completions/sallyport\n  sallyport completions fish > ~/.config/fish/completions/sallyport.fish\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// The shell to write for
    shell: Shell,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sallyport", &mut script);
    out.write_all(&script)?;
    Ok(Exit::Ok)
}
