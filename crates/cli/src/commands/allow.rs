//! `allow`: what is no finding, said by a person, with a reason and an end.

use std::io::{IsTerminal, Read};

use sallyport_ipc::types::{AllowDraft, AllowEntry, AllowRemoval, AllowState};
use sallyport_policy::documents::Span;
use zeroize::Zeroizing;

use crate::cli::EXIT_CODES;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Out, Table};
use crate::text::printable;
use crate::when;

/// More is no value.
const LONGEST: u64 = 64 << 10;

/// Say that a value, a rule or a file is no finding
///
/// Values are kept as fingerprints alone. Values of known secrets (vault, keychain, files) stay protected
/// whatever is allowed here, unless policy says otherwise. Entries are in force at once, in the engine and
/// in `scan`, and end by themselves.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = format!("Examples:\n  sallyport allow add --fingerprint 8f0c7a51d2e94b6690ab3cd41e57f802 --reason \"a demo key\"\n  sallyport allow add --rule ip_addresses --path 'docs/**' --reason \"addresses of examples\"\n  sallyport allow list\n  sallyport allow remove 3\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Add an entry
    ///
    /// Names a value, or a rule, or files, or a rule within files. A value is named by its fingerprint, which
    /// stands in the trail (`sallyport audit show`, action finding:RULE), or read from stdin. The operating
    /// system asks who is at the desk.
    #[command(group = clap::ArgGroup::new("target").required(true).multiple(true), after_help = format!("Examples:\n  sallyport allow add --fingerprint 8f0c7a51d2e94b6690ab3cd41e57f802 --reason \"a demo key\"\n  printf %s \"$VALUE\" | sallyport allow add --stdin --reason \"a public test card\" --for 30d\n  sallyport allow add --rule internal_urls --reason \"an open wiki\" --forever\n  sallyport allow add --path 'tests/fixtures/**' --reason \"made up\"\n\nA path without a leading / or ~/ holds below any folder. In requests it counts for what a tool read\nfrom such a file.\n\n{EXIT_CODES}"))]
    Add {
        /// The fingerprint of a value, 32 hexadecimal digits
        #[arg(long, value_name = "HEX", group = "target")]
        fingerprint: Option<String>,
        /// Read the value itself from stdin; only its fingerprint is kept
        #[arg(long, group = "target", conflicts_with = "fingerprint")]
        stdin: bool,
        /// A rule, as `sallyport rules list` names it
        #[arg(long, value_name = "RULE", group = "target", conflicts_with_all = ["fingerprint", "stdin"])]
        rule: Option<String>,
        /// A glob of files
        #[arg(long, value_name = "GLOB", group = "target", conflicts_with_all = ["fingerprint", "stdin"])]
        path: Option<String>,
        /// Why it is no finding
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// How long it holds, such as 12h, 30d or 8w
        #[arg(long = "for", value_name = "TIME", default_value = "90d", value_parser = time)]
        time: Span,
        /// Until it is removed
        #[arg(long, conflicts_with = "time")]
        forever: bool,
        /// Print the entry as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// List all entries
    #[command(after_help = format!("Examples:\n  sallyport allow list\n  sallyport allow list --json | jq '.[] | select(.state != \"in_force\")'\n\n{EXIT_CODES}"))]
    List {
        /// Print all as one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Remove an entry
    #[command(after_help = format!("Example:\n  sallyport allow remove 3\n\n{EXIT_CODES}"))]
    Remove {
        /// Its number
        id: u64,
        /// Print the entry as one JSON object
        #[arg(long)]
        json: bool,
    },
}

fn time(text: &str) -> Result<Span, String> {
    Span::parse(text)
        .filter(|span| span.seconds() > 0)
        .ok_or_else(|| "write a time such as 12h, 30d or 8w".to_owned())
}

pub(crate) fn run(args: Args, out: &mut Out) -> Outcome {
    let paths = engine::paths()?;
    match args.command {
        Command::Add { fingerprint, stdin, rule, path, reason, time, forever, json } => {
            let draft = AllowDraft {
                fingerprint,
                value: if stdin { Some(value()?.to_string()) } else { None },
                rule,
                path,
                reason,
                for_seconds: (!forever).then_some(time.seconds()),
            };
            let entry = engine::call_guarded(&paths, async |client| client.allow_add(&draft).await)?;
            let end = entry.expires_at.map(|end| format!(" until {}", when::local(end))).unwrap_or_default();
            tell(&format!("is allowed{end}"), &entry, json, out)
        }
        Command::List { json } => {
            let entries = engine::call(&paths, async |client| client.allowed().await)?;
            list(&entries, json, out)
        }
        Command::Remove { id, json } => {
            let entry = engine::call(&paths, async |client| client.allow_remove(&AllowRemoval { id }).await)?;
            tell("is not allowed any more", &entry, json, out)
        }
    }
}

/// One value, without the line break that a shell puts behind it.
fn value() -> Result<Zeroizing<String>, Failure> {
    if std::io::stdin().is_terminal() {
        return Err(Failure::usage("no value: stdin is a terminal")
            .hint("pipe the value in: printf %s \"$VALUE\" | sallyport allow add --stdin …"));
    }
    let mut text = Zeroizing::new(String::new());
    std::io::stdin()
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(|e| Failure::caused("could not read the value", &e).into_usage())?;
    let bare = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(bare);
    Ok(text)
}

fn list(entries: &[AllowEntry], json: bool, out: &mut Out) -> Outcome {
    if json {
        out.json(&entries)?;
        return Ok(Exit::Ok);
    }
    if entries.is_empty() {
        out.line("Nothing is allowed.")?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&["ID", "STATE", "WHAT", "UNTIL", "WHY"]).right(0);
    for entry in entries {
        table.row([
            entry.id.to_string(),
            state(entry.state).to_owned(),
            printable(&what(entry)),
            entry.expires_at.map_or_else(|| "it is removed".to_owned(), when::local),
            printable(&entry.reason),
        ]);
    }
    out.table(table)?;
    Ok(Exit::Ok)
}

fn state(state: AllowState) -> &'static str {
    match state {
        AllowState::InForce => "in force",
        AllowState::Expired => "over",
        AllowState::Forbidden => "policy forbids it",
        AllowState::Unsealed => "not ours",
    }
}

fn what(entry: &AllowEntry) -> String {
    match (&entry.fingerprint, &entry.rule, &entry.path) {
        (Some(fingerprint), ..) => format!("value {fingerprint}"),
        (None, Some(rule), Some(path)) => format!("rule {rule} in {path}"),
        (None, Some(rule), None) => format!("rule {rule}"),
        (None, None, path) => format!("files {}", path.as_deref().unwrap_or("none")),
    }
}

fn tell(done: &str, entry: &AllowEntry, json: bool, out: &mut Out) -> Outcome {
    if json {
        out.json(entry)?;
        return Ok(Exit::Ok);
    }
    out.line(format!("Entry {}: {} {done}.", entry.id, printable(&what(entry))))?;
    Ok(Exit::Ok)
}
