//! `ca`: the root certificate of this machine.

use std::io::Write;

use sallyport_ipc::types::{CaView, KeyStoreKind};

use crate::cli::EXIT_CODES;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Out;
use crate::when;

/// Show or export this machine's root certificate
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = format!("Examples:\n  sallyport ca show\n  sallyport ca export --pem > sallyport-root.pem\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show fingerprint, expiry, where the key is kept, and the only hosts it can speak for
    #[command(after_help = format!("Example:\n  sallyport ca show\n\n{EXIT_CODES}"))]
    Show {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the root certificate; works without the engine
    ///
    /// The certificate is public. Its key was destroyed when it was made, and it can speak for the
    /// inspected AI hosts alone.
    #[command(after_help = format!("Examples:\n  sallyport ca export --pem > sallyport-root.pem\n  sallyport ca export --pem | openssl x509 -noout -text\n\n{EXIT_CODES}"))]
    Export {
        /// Write PEM, the one form there is
        #[arg(long, required = true)]
        pem: bool,
    },
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome {
    let paths = engine::paths()?;
    match args.command {
        Command::Show { json } => {
            let ca = engine::call(&paths, async |client| client.ca().await)?;
            if json { out.json(&ca)? } else { show(&ca, out)? }
        }
        Command::Export { pem: _ } => {
            let file = paths.root_file();
            let pem = std::fs::read(&file).map_err(|e| match e.kind() {
                std::io::ErrorKind::NotFound => {
                    Failure::new(format!("there is no root certificate at {} yet", file.display()))
                        .hint("it is made when the engine starts for the first time: `sallyport daemon`")
                }
                _ => Failure::caused(format!("could not read {}", file.display()), &e),
            })?;
            out.write_all(&pem)?;
        }
    }
    Ok(Exit::Ok)
}

fn show(ca: &CaView, out: &mut Out) -> Result<(), Failure> {
    let store = match ca.key_store {
        KeyStoreKind::Keychain => "keychain",
        KeyStoreKind::File => "file that only you can read (weaker than a keychain)",
    };
    let bundle = ca.bundle.as_ref().map_or_else(|| "none".to_owned(), |b| b.display().to_string());
    out.pairs(&[
        ("fingerprint", format!("SHA-256 {}", ca.fingerprint_sha256)),
        ("valid until", when::local(ca.not_after)),
        ("key", store.to_owned()),
        ("bundle", bundle),
        ("speaks for", format!("{} and for nothing else:", hosts(ca.constraints.len()))),
    ])?;
    for line in filled(&ca.constraints, 98) {
        out.line(format!("  {line}"))?;
    }
    Ok(())
}

/// Names side by side, as many as fit on a line.
fn filled(names: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for name in names {
        match lines.last_mut() {
            Some(line) if line.len() + 2 + name.len() <= width => {
                line.push_str("  ");
                line.push_str(name);
            }
            _ => lines.push(name.clone()),
        }
    }
    lines
}

fn hosts(n: usize) -> String {
    if n == 1 { "1 name".into() } else { format!("{n} names") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fill_lines() {
        let names = ["aaa", "bbb", "ccc", "dddddddddd"].map(str::to_owned);
        assert_eq!(filled(&names, 9), ["aaa  bbb", "ccc", "dddddddddd"]);
        assert!(filled(&[], 9).is_empty());
    }
}
