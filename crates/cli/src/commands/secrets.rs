//! `secrets`: where known values come from. Names and counts; a value goes in and never comes out.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use sallyport_detect::shape;
use sallyport_ipc::Client;
use sallyport_ipc::types::{SourceState, SourceStatus};
use sallyport_platform::{Keychain, KeychainError, Paths, Unlock};
use zeroize::Zeroizing;

use crate::cli::EXIT_CODES;
use crate::commands::status::plural;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Out, Table};
use crate::text::printable;
use crate::when;

/// Values shorter than this can't be told from other text.
const SHORTEST: usize = 8;
/// As long as a private key with its chain; no keychain is made for more.
const LONGEST: usize = 64 * 1024;

/// Show the sources of known secrets, and keep your own in the keychain
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = format!("Examples:\n  sallyport secrets list\n  sallyport secrets add STAGING_DB_PASSWORD\n\nValues are never shown, not even by --json.\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List sources and the names of their secrets
    #[command(after_help = format!("Examples:\n  sallyport secrets list\n  sallyport secrets list --json | jq '.[] | {{kind, state, names}}'\n\n{EXIT_CODES}"))]
    List {
        /// Print the sources as one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Keep a secret in the keychain, so that it is taken out wherever it appears
    ///
    /// The value is asked for without showing it, or read from stdin; an argument would stay in the
    /// shell's history and in the process list. One line break at the end is not part of the value.
    #[command(after_help = format!("Examples:\n  sallyport secrets add STAGING_DB_PASSWORD\n  pass show staging/db | sallyport secrets add STAGING_DB_PASSWORD\n\n{EXIT_CODES}"))]
    Add {
        /// What placeholders will call it: [SECRET:NAME]
        name: String,
    },
    /// Remove a secret that `secrets add` kept
    ///
    /// The engine goes on taking the old value out for 30 days, since it still stands in chat histories.
    #[command(after_help = format!("Example:\n  sallyport secrets remove STAGING_DB_PASSWORD\n\n{EXIT_CODES}"))]
    Remove {
        /// The name it was added under
        name: String,
    },
    /// Read all sources again now
    #[command(after_help = format!("Example:\n  sallyport secrets sync\n\n{EXIT_CODES}"))]
    Sync {
        /// Print the sources as one JSON array
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: Args, out: &mut Out) -> Outcome {
    let paths = engine::paths()?;
    match args.command {
        Command::List { json } => {
            let sources = engine::call(&paths, async |client| client.sources().await)?;
            show(&sources, json, out)
        }
        Command::Sync { json } => {
            let sources = engine::call(&paths, async |client| client.secrets_sync().await)?;
            show(&sources, json, out)
        }
        Command::Add { name } => {
            let name = checked_name(&name)?;
            let value = read_value(name)?;
            keychain(&paths)?.add_user_secret(name, &value)?;
            out.line(format!("Kept {name} in the keychain."))?;
            if std::str::from_utf8(&value).is_ok_and(shape::is_common_word) {
                out.line(
                    "Its value is a common word, so it is taken out only where its name stands beside it.",
                )?;
            }
            sync(&paths, out)
        }
        Command::Remove { name } => {
            let name = checked_name(&name)?;
            if !keychain(&paths)?.remove_user_secret(name)? {
                return Err(Failure::new(format!("the keychain holds no secret named {name} of ours"))
                    .hint("`sallyport secrets list` shows the names of each source"));
            }
            out.line(format!("Removed {name} from the keychain."))?;
            sync(&paths, out)
        }
    }
}

/// Placeholders and tables show it: letters, digits and what joins them.
fn checked_name(name: &str) -> Result<&str, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if name.is_empty() || name.len() > 100 || !name.chars().all(plain) {
        return Err(Failure::usage(format!("{name:?} can't be the name of a secret"))
            .hint("use up to 100 letters, digits, and _ - . /"));
    }
    Ok(name)
}

/// From stdin, or asked for without an echo.
fn read_value(name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut value = if std::io::stdin().is_terminal() {
        let prompt = format!("Value of {name} (not shown): ");
        let typed = rpassword::prompt_password(prompt)
            .map_err(|e| Failure::caused("could not ask for the value", &e))?;
        Zeroizing::new(typed.into_bytes())
    } else {
        // Room beforehand: a vector that grows leaves copies behind.
        let mut read = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
        std::io::stdin()
            .lock()
            .take(LONGEST as u64 + 1)
            .read_to_end(&mut read)
            .map_err(|e| Failure::caused("could not read the value from stdin", &e))?;
        read
    };
    checked_value(&mut value)?;
    Ok(value)
}

fn checked_value(value: &mut Zeroizing<Vec<u8>>) -> Result<(), Failure> {
    if value.ends_with(b"\n") {
        value.pop();
        if value.ends_with(b"\r") {
            value.pop();
        }
    }
    if value.len() < SHORTEST {
        return Err(Failure::usage(format!("the value has {} bytes", value.len()))
            .hint(format!("values below {SHORTEST} bytes can't be told from other text and are not kept")));
    }
    if value.len() > LONGEST {
        return Err(Failure::usage(format!("the value is longer than {LONGEST} bytes"))
            .hint("name the file under `secrets.files` in config.yaml instead"));
    }
    Ok(())
}

/// The session's keychain; a locked one may ask the person at the desk.
fn keychain(paths: &Paths) -> Result<Keychain, Failure> {
    let unlock = Unlock::Ask { wait: Duration::from_secs(60) };
    Ok(Keychain::open_for(paths.instance_tag().as_deref(), unlock)?)
}

impl From<KeychainError> for Failure {
    fn from(error: KeychainError) -> Failure {
        Failure::new(error.to_string()).hint(error.hint())
    }
}

/// A change in the keychain counts at once when an engine runs; else when it starts.
fn sync(paths: &Paths, out: &mut Out) -> Outcome {
    let synced = engine::block_on(Client::new(paths.control_socket()).secrets_sync())?;
    match synced {
        Ok(sources) => {
            let total: usize = sources.iter().map(|s| s.names.len()).sum();
            out.line(format!("The engine has read its sources again: {}.", plural(total as u64, "secret")))?;
        }
        Err(error) if error.is_unreachable() => {
            out.line("No engine runs; it reads the keychain when it starts.")?;
        }
        Err(error) => {
            return Err(Failure::caused("the keychain was changed, but the engine did not read it", &error)
                .hint("run `sallyport secrets sync`"));
        }
    }
    Ok(Exit::Ok)
}

fn show(sources: &[SourceStatus], json: bool, out: &mut Out) -> Outcome {
    if json {
        out.json(&sources)?;
        return Ok(Exit::Ok);
    }
    if sources.is_empty() {
        out.line("No sources yet.")?;
        out.line("Add a secret with `sallyport secrets add NAME`, or name a vault or files in config.yaml.")?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&["source", "where", "state", "secrets", "read"]).right(3);
    for source in sources {
        table.row([
            source.kind.clone(),
            source.location.clone(),
            state(source.state).to_owned(),
            source.names.len().to_string(),
            source.loaded_at.map(when::local).unwrap_or_default(),
        ]);
    }
    out.table(table)?;
    for source in sources.iter().filter(|s| !s.names.is_empty()) {
        out.blank()?;
        out.line(format!("{} {}", source.kind, printable(&source.location)))?;
        for name in &source.names {
            let weak = source.weak_names.contains(name);
            out.line(format!(
                "  {}{}",
                printable(name),
                if weak { "  (a common word: matched only beside its name)" } else { "" }
            ))?;
        }
        if source.skipped > 0 {
            out.line(format!(
                "  and {} too short to be told from other text",
                plural(source.skipped, "value")
            ))?;
        }
    }
    for source in sources {
        if let Some(error) = &source.error {
            out.blank()?;
            let said = format!("{} {}: {} [{}]", source.kind, source.location, error.message, error.code);
            out.line(printable(&said))?;
            out.line(format!("  fix: {}", printable(&error.hint)))?;
        }
    }
    Ok(Exit::Ok)
}

fn state(state: SourceState) -> &'static str {
    match state {
        SourceState::Loaded => "loaded",
        SourceState::Stale => "stale",
        SourceState::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::Captured;

    #[test]
    fn names_are_plain() {
        for good in ["A", "db/password", "x.y-z_1"] {
            assert_eq!(checked_name(good).unwrap(), good);
        }
        for bad in ["", "a b", "a]", "ä", &"x".repeat(101)] {
            assert!(checked_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_line_break_is_not_part_of_a_value() {
        let read = |text: &str| {
            let mut value = Zeroizing::new(text.as_bytes().to_vec());
            checked_value(&mut value).map(|()| String::from_utf8(value.to_vec()).unwrap())
        };
        assert_eq!(read("hunter2-hunter2\n").unwrap(), "hunter2-hunter2");
        assert_eq!(read("hunter2-hunter2\r\n").unwrap(), "hunter2-hunter2");
        assert_eq!(read("two\nlines\n\n").unwrap(), "two\nlines\n");
        assert!(read("short\n").is_err());
        let error = read(&"x".repeat(LONGEST + 2)).unwrap_err().to_string();
        assert!(!error.contains("xx"), "{error}");
    }

    #[test]
    fn sources_are_shown_without_values() {
        let sources: Vec<SourceStatus> = serde_json::from_value(serde_json::json!([
            {"id": "vault-1", "kind": "vault", "location": "https://vault.example/secret/ai-protected", "state": "stale",
             "names": ["db/password", "api"], "weak_names": ["api"], "skipped": 1, "loaded_at": null,
             "error": {"code": "vault_unreachable", "message": "nobody answers", "hint": "start it"}},
            {"id": "keychain", "kind": "keychain", "location": "login keyring", "state": "loaded",
             "names": [], "weak_names": [], "skipped": 0, "loaded_at": null, "error": null}
        ]))
        .unwrap();
        let captured = Captured::default();
        show(&sources, false, &mut captured.out()).unwrap();
        insta::assert_snapshot!(captured.text(), @r"
        source    where                                      state   secrets  read
        vault     https://vault.example/secret/ai-protected  stale         2
        keychain  login keyring                              loaded        0

        vault https://vault.example/secret/ai-protected
          db/password
          api  (a common word: matched only beside its name)
          and 1 value too short to be told from other text

        vault https://vault.example/secret/ai-protected: nobody answers [vault_unreachable]
          fix: start it
        ");
    }
}
