//! `audit`: the trail, read from its own files, so that it can be read and proven without the engine.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use sallyport_audit::{AuditError, EventType, Filter, Order, Reader, Row, TrailPaths};

use sallyport_ipc::types::{ContentRequest, KeptContent};
use sallyport_platform::Paths;

use crate::cli::EXIT_CODES;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Out, Table, note};
use crate::text::{printable, printable_lines};
use crate::when;

mod verify;

/// Read, prove and export the audit trail
///
/// Reads the trail's files directly: the engine may run or not.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = format!("Examples:\n  sallyport audit query --since 1h --type policy_violation\n  sallyport audit tail -f\n  sallyport audit verify\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the newest events, and with -f each new one
    #[command(after_help = format!("Examples:\n  sallyport audit tail\n  sallyport audit tail -f --json | jq .request.redactions_applied\n\n{EXIT_CODES}"))]
    Tail {
        /// Go on with each new event until Ctrl-C
        #[arg(short, long)]
        follow: bool,
        /// How many events to begin with
        #[arg(short = 'n', long, default_value_t = 10)]
        lines: usize,
        /// Print one event of the audit schema on each line
        #[arg(long)]
        json: bool,
    },
    /// Print events, oldest first
    ///
    /// With --limit the newest ones.
    #[command(after_help = format!("Examples:\n  sallyport audit query --since 1h\n  sallyport audit query --provider anthropic --type policy_violation --limit 20\n  sallyport audit query --json | jq -r .event_id\n\n{EXIT_CODES}"))]
    Query {
        #[command(flatten)]
        narrow: Narrow,
        /// At most so many, the newest ones
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Print one event of the audit schema on each line
        #[arg(long)]
        json: bool,
    },
    /// Print one event whole, and what was said where policy keeps it
    ///
    /// Only a running engine can open what was said (`audit.content`). --json prints the event of the audit schema alone.
    #[command(after_help = format!("Examples:\n  sallyport audit show 42\n  sallyport audit show 01890a5d-ac96-774b-bcce-b302099a8057\n\n{EXIT_CODES}"))]
    Show {
        /// Its row number or its event_id
        id: String,
        /// Print the event on one line, exactly as it is kept
        #[arg(long)]
        json: bool,
    },
    /// Prove that nothing was changed, removed, inserted, reordered or cut off
    ///
    /// Checks the chain of hashes, the signed checkpoints and the head that is kept outside the file.
    /// Exits with 1 and names the first bad row. Who can write your files and reach your keychain can
    /// rewrite all of them together: only a head kept elsewhere shows that.
    #[command(after_help = format!("Examples:\n  sallyport audit verify\n  sallyport audit verify --folder /mnt/evidence --json\n\n{EXIT_CODES}"))]
    Verify(verify::Args),
    /// Write events as JSON lines, exactly as they are kept
    #[command(after_help = format!("Examples:\n  sallyport audit export --format jsonl -o audit.jsonl\n  sallyport audit export --since 2026-03-01 --until 2026-04-01 > march.jsonl\n\n{EXIT_CODES}"))]
    Export {
        #[command(flatten)]
        narrow: Narrow,
        /// One event of the audit schema on each line
        #[arg(long, value_enum, default_value_t = Format::Jsonl)]
        format: Format,
        /// Write into this new file instead of stdout
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Jsonl,
}

/// Which events; what is not given does not narrow.
#[derive(Debug, clap::Args)]
struct Narrow {
    /// Not before: 1h, 2d, a date, or an RFC 3339 time
    #[arg(long, value_name = "WHEN", value_parser = when::parse_point)]
    since: Option<Timestamp>,
    /// Before: 1h, 2d, a date, or an RFC 3339 time
    #[arg(long, value_name = "WHEN", value_parser = when::parse_point)]
    until: Option<Timestamp>,
    /// One of prompt_sent, completion_received, action_executed, error, policy_violation
    #[arg(long = "type", value_name = "TYPE", value_parser = event_type)]
    event_type: Option<EventType>,
    /// The provider's name, such as openai
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// The model's name
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
}

fn event_type(word: &str) -> Result<EventType, String> {
    let known = || EventType::ALL.map(EventType::as_str).join(", ");
    EventType::parse(word).ok_or_else(|| format!("the types are {}", known()))
}

impl Narrow {
    fn filter(self) -> Filter {
        Filter {
            since: self.since,
            until: self.until,
            event_type: self.event_type,
            provider: self.provider,
            model: self.model,
            ..Filter::default()
        }
    }
}

pub(crate) fn run(args: Args, out: &mut Out) -> Outcome {
    let paths = engine::paths()?;
    let trail = TrailPaths::in_folder(paths.state_dir());
    match args.command {
        Command::Tail { follow, lines, json } => tail(&trail.database, follow, lines, json, out),
        Command::Query { narrow, limit, json } => query(&trail.database, narrow.filter(), limit, json, out),
        Command::Show { id, json } => show(&paths, &trail.database, &id, json, out),
        Command::Verify(args) => verify::run(&args, trail, out),
        Command::Export { narrow, format: Format::Jsonl, output } => {
            export(&trail.database, &narrow.filter(), output.as_deref(), out)
        }
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Failure {
        match error {
            // Our own output: a reader that went away is no failure of the trail.
            AuditError::Export(e) => Failure::from(e),
            error => Failure::caused("the audit trail could not be read", &error)
                .hint("`sallyport audit verify` tells whether it is damaged"),
        }
    }
}

fn open(database: &Path) -> Result<Reader, Failure> {
    if !database.exists() {
        return Err(Failure::new(format!("there is no audit trail at {} yet", database.display()))
            .hint("it begins when the engine starts for the first time: `sallyport daemon`"));
    }
    Ok(Reader::open(database)?)
}

fn query(database: &Path, filter: Filter, limit: Option<usize>, json: bool, out: &mut Out) -> Outcome {
    let reader = open(database)?;
    if json && limit.is_none() {
        // Streamed as it is kept: a trail can be larger than memory.
        reader.export(&filter, out)?;
        return Ok(Exit::Ok);
    }
    let rows = match limit {
        None => reader.query(&filter)?,
        Some(limit) => newest(&reader, filter, limit)?,
    };
    if json {
        print_json(&rows, out)?;
    } else if rows.is_empty() {
        out.line("No events match.")?;
    } else {
        print_table(&rows, true, out)?;
    }
    Ok(Exit::Ok)
}

/// The newest rows, oldest of them first.
fn newest(reader: &Reader, filter: Filter, limit: usize) -> Result<Vec<Row>, Failure> {
    let mut rows = reader.query(&Filter { limit: Some(limit), order: Order::Descending, ..filter })?;
    rows.reverse();
    Ok(rows)
}

/// How often a followed trail is looked at.
const PULSE: Duration = Duration::from_millis(250);

fn tail(database: &Path, follow: bool, lines: usize, json: bool, out: &mut Out) -> Outcome {
    let reader = open(database)?;
    // Before the rows are read: none that comes in between is left out.
    let mut seen = reader.last_seq()?;
    let mut rows = newest(&reader, Filter::default(), lines)?;
    let mut head = true;
    loop {
        if json {
            print_json(&rows, out)?;
        } else if !rows.is_empty() {
            print_table(&rows, head, out)?;
            head = false;
        }
        if !follow {
            return Ok(Exit::Ok);
        }
        out.flush()?;
        seen = rows.last().map_or(seen, |row| row.seq.max(seen));
        rows = loop {
            std::thread::sleep(PULSE);
            if reader.last_seq()? > seen {
                break reader.query(&Filter { after_seq: Some(seen), ..Filter::default() })?;
            }
        };
    }
}

fn show(paths: &Paths, database: &Path, id: &str, json: bool, out: &mut Out) -> Outcome {
    let reader = open(database)?;
    let Some(row) = reader.show(id)? else {
        return Err(Failure::new(format!("the trail has no event {}", printable(id)))
            .hint("`sallyport audit query` lists row numbers, `audit query --json` the event_id of each"));
    };
    if json {
        print_json(&[row], out)?;
    } else {
        let hash: String = row.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        out.pairs(&[
            ("row", row.seq.to_string()),
            ("time", when::local(row.event.timestamp)),
            ("hash", hash),
        ])?;
        out.blank()?;
        let event = serde_json::to_string_pretty(&row.event)
            .map_err(|error| Failure::caused("could not write JSON", &error))?;
        out.line(printable_lines(&event))?;
        if reader.has_content(row.seq)? {
            let request = ContentRequest { seq: row.seq };
            out.blank()?;
            match engine::call(paths, async |client| client.audit_content(&request).await) {
                Ok(KeptContent { text: Some(text) }) => out.line(printable_lines(&text))?,
                Ok(KeptContent { text: None }) => {}
                Err(failure) => {
                    note(format!("what was said is kept, but only a running engine opens it: {failure}"));
                }
            }
        }
    }
    Ok(Exit::Ok)
}

fn export(database: &Path, filter: &Filter, output: Option<&Path>, out: &mut Out) -> Outcome {
    let reader = open(database)?;
    match output {
        None => {
            reader.export(filter, out)?;
        }
        Some(path) => {
            let mut file = create_private(path).map_err(|e| {
                Failure::caused(format!("could not create {}", path.display()), &e)
                    .hint("name a file that does not exist yet, in a folder you may write to")
            })?;
            let count = reader.export(filter, &mut file)?;
            file.sync_all()
                .map_err(|e| Failure::caused(format!("could not write {}", path.display()), &e))?;
            note(format!("{count} events written to {}", path.display()));
        }
    }
    Ok(Exit::Ok)
}

/// Never overwrites; who asked what is nobody else's business.
fn create_private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

fn print_json(rows: &[Row], out: &mut Out) -> Result<(), Failure> {
    for row in rows {
        out.line(&row.json)?;
    }
    Ok(())
}

fn print_table(rows: &[Row], head: bool, out: &mut Out) -> Result<(), Failure> {
    let mut table = Table::new(&["row", "time", "type", "provider", "model", "class", "what"]).right(0);
    for (column, width) in [(0, 5), (2, 19), (3, 9), (4, 18), (5, 12)] {
        table = table.least(column, width);
    }
    for row in rows {
        let event = &row.event;
        let request = event.request.as_ref();
        table.row([
            row.seq.to_string(),
            when::local(event.timestamp),
            event.event_type.as_str().to_owned(),
            shown(event.ai_provider.name.as_deref()),
            shown(event.ai_provider.model.as_deref()),
            shown(request.and_then(|r| r.classification.as_deref())),
            what(row),
        ]);
    }
    if head {
        out.table(table)?
    } else {
        out.table_rows(table)?
    }
    Ok(())
}

/// In a few words: what was taken out, how the answer ended, what was done.
fn what(row: &Row) -> String {
    let event = &row.event;
    let mut parts = Vec::new();
    if let Some(violation) = &event.violation_type {
        parts.push(printable(violation));
    }
    if let Some(request) = event.request.as_ref().filter(|r| !r.redactions_applied.is_empty()) {
        // What was refused was not sent, with or without them.
        let did = if event.violation_type.is_some() { "found" } else { "took out" };
        parts.push(format!("{did} {}", counted(&request.redactions_applied)));
    }
    if let Some(response) = &event.response {
        let finish = response.finish_reason.as_deref().map(printable);
        let tokens = response.tokens_used.map(|t| format!("{t} tokens"));
        let latency = response.latency_ms.map(|ms| format!("{ms} ms"));
        parts.extend([finish, tokens, latency].into_iter().flatten());
    }
    for action in &event.actions {
        let outcome = action.outcome.as_deref().map(|o| format!(" ({})", printable(o))).unwrap_or_default();
        parts.push(format!("{}{outcome}", printable(&action.action_type)));
    }
    parts.join(", ")
}

/// `aws_key, jwt ×2`
fn counted(rules: &[String]) -> String {
    let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for rule in rules {
        *counts.entry(rule).or_default() += 1;
    }
    let each = |(rule, n): (&&str, &usize)| match n {
        1 => printable(rule),
        n => format!("{} ×{n}", printable(rule)),
    };
    counts.iter().map(each).collect::<Vec<_>>().join(", ")
}

fn shown(text: Option<&str>) -> String {
    text.map(printable).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::Captured;

    fn row(json: &serde_json::Value) -> Row {
        Row {
            seq: 7,
            hash: [0xab; 32],
            event: serde_json::from_value(json.clone()).unwrap(),
            json: json.to_string(),
        }
    }

    fn exchange() -> Row {
        row(&serde_json::json!({
            "event_id": "01890a5d-ac96-774b-bcce-b302099a8057", "timestamp": "2026-03-01T09:00:00Z",
            "event_type": "prompt_sent", "actor": {}, "ai_provider": {"name": "openai", "model": "gpt-5"},
            "request": {"classification": "confidential", "redactions_applied": ["jwt", "aws_key", "jwt"]}
        }))
    }

    #[test]
    fn a_row_says_what_happened_in_a_few_words() {
        assert_eq!(what(&exchange()), "took out aws_key, jwt ×2");
        let mut refused = exchange();
        refused.event.violation_type = Some("malformed".into());
        assert_eq!(what(&refused), "malformed, found aws_key, jwt ×2");
        let done = row(&serde_json::json!({
            "event_id": "01890a5d-ac96-774b-bcce-b302099a8057", "timestamp": "2026-03-01T09:00:00Z",
            "event_type": "action_executed", "actor": {}, "ai_provider": {"name": "none"},
            "actions": [{"action_type": "protection_off", "outcome": "done\u{1b}[2J"}],
            "response": {"finish_reason": "stop", "tokens_used": 12, "latency_ms": 340}
        }));
        assert_eq!(what(&done), "stop, 12 tokens, 340 ms, protection_off (done\u{fffd}[2J)");
    }

    #[test]
    fn rows_line_up_with_and_without_a_head() {
        let captured = Captured::default();
        let mut out = captured.out();
        print_table(&[exchange()], true, &mut out).unwrap();
        print_table(&[exchange()], false, &mut out).unwrap();
        let text = captured.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("  row  time"));
        assert_eq!(lines[1], lines[2]);
    }

    #[test]
    fn a_missing_trail_says_where_it_would_be() {
        let error = open(Path::new("/nowhere/audit.db")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/audit.db") && error.contains("sallyport daemon"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn an_export_is_private_and_overwrites_nothing() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.jsonl");
        drop(create_private(&file).unwrap());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(create_private(&file).is_err());
    }
}
