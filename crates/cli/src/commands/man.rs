//! `man`: the manual page, made from the same table as `--help`.

use std::io::Write;

use clap::CommandFactory;

use crate::cli::{Cli, EXIT_CODES};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Out;

/// Print the manual page, or write one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  sallyport man | man -l -\n  sallyport man --dir ~/.local/share/man/man1\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// Write the pages of all commands into this folder instead
    #[arg(long, value_name = "DIR")]
    dir: Option<std::path::PathBuf>,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome {
    // Each command has its page, and needs none for its help.
    let commands = Cli::command().disable_help_subcommand(true);
    match &args.dir {
        Some(dir) => clap_mangen::generate_to(commands, dir).map_err(|e| {
            Failure::caused(format!("could not write manual pages into {}", dir.display()), &e)
        })?,
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(commands).render(&mut page)?;
            out.write_all(&page)?;
        }
    }
    Ok(Exit::Ok)
}
