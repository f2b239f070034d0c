//! `scan`: the detectors on files, folders or stdin, without the engine.
//!
//! Known secrets live in the engine, so they are not looked for. No value is ever printed, save what `--redact` leaves.

mod allowed;
mod files;
mod look;
mod made_up;
mod sarif;

use std::io::IsTerminal;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sallyport_detect::injection::Lane;
use sallyport_policy::config::Profile;
use serde::Serialize;

use crate::cli::EXIT_CODES;
use crate::commands::status::plural;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Accent, Out, note};
use crate::text::{Columns, Lines, Readable, masked_line, printable};
use files::{Content, Input};
use look::{Looker, Seen};

/// Look for secrets, personal data, prompt injection or dangerous output in files, folders or stdin
///
/// Runs the built-in detectors and your own rules, unless policy forbids those (detection.ownRules); the engine need not run, and known secrets (vault, keychain) are not
/// looked for. Where the engine runs, what `sallyport allow` allows is left out. Folders are walked with hidden files; .git and what .gitignore names are left out.
/// Passwords and private keys in a folder's tests, examples and documentation are taken for made up, unless the profile is strict; tokens of services are not.
/// Values are never printed.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  sallyport scan .\n  git diff --cached | sallyport scan\n  sallyport scan --mode injection --lane tool page.html\n  sallyport scan --json src | jq -r .path | sort | uniq -c\n  sallyport scan --sarif . > scan.sarif\n\nWith --json, one object a line; start and end are byte offsets:\n  {{\"path\":\"a.env\",\"rule\":\"aws_key\",\"kind\":\"secret\",\"start\":8,\"end\":28,\"line\":1,\"severity\":\"high\"}}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// Files and folders; stdin when none is given, or for "-"
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What to look for, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "secrets", value_name = "MODES")]
    mode: Vec<Mode>,
    /// Who speaks in the text, for injection
    #[arg(long, value_enum, default_value = "tool")]
    lane: LaneArg,
    /// Speak as this profile does: strict hears more
    #[arg(long, value_enum, default_value = "balanced")]
    profile: ProfileArg,
    /// Print one JSON object for each finding
    #[arg(long)]
    json: bool,
    /// Print one SARIF 2.1.0 document
    #[arg(long, conflicts_with = "json")]
    sarif: bool,
    /// Print the text itself with every finding taken out; for one file, or stdin
    #[arg(long, conflicts_with_all = ["json", "sarif"])]
    redact: bool,
    /// Scan what .gitignore and .ignore name as well
    #[arg(long)]
    no_ignore: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// Credentials of all kinds
    Secrets,
    /// Personal data, and internal addresses
    Pii,
    /// Instructions hidden in data, jailbreaks
    Injection,
    /// Dangerous commands, look-alike packages, insecure code
    Output,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LaneArg {
    /// A person's own words
    User,
    /// A tool's result, a document, a web page
    Tool,
    /// What an assistant says
    Assistant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ProfileArg {
    Balanced,
    Strict,
}

impl Args {
    fn looker(&self) -> Result<Looker, Failure> {
        let lane = match self.lane {
            LaneArg::User => Lane::User,
            LaneArg::Tool => Lane::Tool,
            LaneArg::Assistant => Lane::Assistant,
        };
        let profile = match self.profile {
            ProfileArg::Balanced => Profile::Balanced,
            ProfileArg::Strict => Profile::Strict,
        };
        Looker::new(&self.mode, lane, profile)
    }
}

#[derive(Debug, Default)]
struct Tally {
    files: usize,
    findings: usize,
    files_with_findings: usize,
    binary: usize,
    too_large: usize,
    unreadable: usize,
    left_out: usize,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome {
    let looker = args.looker()?;
    if args.redact {
        return redact(args, &looker, out);
    }
    let mut inputs = Vec::new();
    let mut tally = Tally::default();
    if args.paths.is_empty() {
        inputs.push(Input::Text("-".into(), stdin()?));
    }
    for path in &args.paths {
        if path.as_os_str() == "-" {
            inputs.push(Input::Text("-".into(), stdin()?));
        } else {
            files::tree(path, args.no_ignore, &mut inputs, &mut |problem| unreadable(&mut tally, problem))?;
        }
    }
    let mut report = Report { args, looker: &looker, out, sarif: sarif::Log::new() };
    let mut progress = Progress::new(inputs.len());
    files::each(
        &inputs,
        |input, content| work(&looker, input, content),
        |number, done| {
            progress.at(number);
            report.take(&inputs, number, done, &mut tally)
        },
    )?;
    progress.done();
    if args.sarif {
        let log = std::mem::take(&mut report.sarif).finish(tally.unreadable + tally.too_large == 0);
        report.out.json_line(&log)?;
    } else if !args.json {
        summary(args, &looker, &tally, report.out)?;
    }
    Ok(match tally.findings + tally.unreadable + tally.too_large {
        0 => Exit::Ok,
        _ => Exit::Negative,
    })
}

/// What one input came to, away from the terminal.
enum Done {
    Binary,
    TooLarge,
    Unreadable(String),
    /// What was found, and how much was left out as made up.
    Text(Vec<Row>, usize),
}

fn work(looker: &Looker, input: &Input, content: Content<'_>) -> Done {
    let bytes = match content {
        Content::Bytes(bytes) => bytes,
        Content::Binary => return Done::Binary,
        Content::TooLarge => return Done::TooLarge,
        Content::Unreadable(problem) => return Done::Unreadable(problem),
    };
    let Some(read) = Readable::of(&bytes) else { return Done::Binary };
    let text = &*read.text;
    let mut seen = looker.look(text, input.path());
    let all = seen.len();
    if input.is_made_up() && !looker.is_strict() {
        seen.retain(|one| !made_up::is_rule(&one.rule));
    }
    let left_out = all - seen.len();
    if seen.is_empty() {
        return Done::Text(Vec::new(), left_out);
    }
    let lines = Lines::of(text);
    let mut places = read.places();
    let spans: Vec<Range<usize>> = seen.iter().filter(|one| one.secret).map(|one| one.span.clone()).collect();
    let (mut starts, mut ends) = (Columns::of(text, &lines), Columns::of(text, &lines));
    let rows = seen
        .into_iter()
        .map(|seen| Row {
            line: lines.number(seen.span.start),
            column: starts.at(seen.span.start),
            end: (lines.number(seen.span.end), ends.at(seen.span.end)),
            shown: masked_line(text, &lines, &seen.span, &spans),
            bytes: places.of(seen.span.start)..places.of(seen.span.end),
            seen,
        })
        .collect();
    Done::Text(rows, left_out)
}

struct Row {
    seen: Seen,
    line: usize,
    column: usize,
    /// Line and column of the first character after it.
    end: (usize, usize),
    /// The line with what it hides masked.
    shown: String,
    /// Where it stands in the file.
    bytes: Range<usize>,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    path: &'a str,
    rule: &'a str,
    kind: &'a str,
    start: usize,
    end: usize,
    line: usize,
    severity: sallyport_policy::Severity,
}

struct Report<'a> {
    args: &'a Args,
    looker: &'a Looker,
    out: &'a mut Out,
    sarif: sarif::Log,
}

impl Report<'_> {
    fn take(
        &mut self,
        inputs: &[Input],
        number: usize,
        done: Done,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let path = inputs.get(number).map(Input::shown).unwrap_or_default();
        match done {
            Done::Binary => tally.binary += 1,
            Done::TooLarge => {
                tally.too_large += 1;
                note(format!("warning: {path} is larger than 256 MiB and was not scanned"));
            }
            Done::Unreadable(problem) => unreadable(tally, &format!("{path}: {problem}")),
            Done::Text(rows, left_out) => {
                tally.files += 1;
                tally.files_with_findings += usize::from(!rows.is_empty());
                tally.findings += rows.len();
                tally.left_out += left_out;
                for row in rows {
                    self.row(&path, &row)?;
                }
            }
        }
        Ok(())
    }

    fn row(&mut self, path: &str, row: &Row) -> Result<(), Failure> {
        let seen = &row.seen;
        if self.args.sarif {
            self.sarif.add(path, row, |rule| self.looker.description(rule));
        } else if self.args.json {
            self.out.json_line(&JsonRow {
                path,
                rule: &seen.rule,
                kind: seen.kind,
                start: row.bytes.start,
                end: row.bytes.end,
                line: row.line,
                severity: seen.severity,
            })?;
        } else {
            let place = self.out.paint(Accent::Strong, &format!("{}:{}", printable(path), row.line));
            let rule = self.out.paint(Accent::Notice, &seen.rule);
            self.out.line(format!("{place}  {rule}  {}", row.shown))?;
        }
        Ok(())
    }
}

/// Prints the text with every finding taken out.
fn redact(args: &Args, looker: &Looker, out: &mut Out) -> Outcome {
    let bytes = match args.paths.as_slice() {
        [] => stdin()?,
        [path] if path.as_os_str() == "-" => stdin()?,
        [path] => whole(&path.display().to_string(), files::read(path))?,
        _ => {
            return Err(Failure::usage("--redact takes one file, or stdin").hint("run it once for each file"));
        }
    };
    let Some(read) = Readable::of(&bytes) else {
        return Err(Failure::new("this text is binary and can't be redacted"));
    };
    let file = args.paths.first().filter(|path| path.as_os_str() != "-");
    let (redacted, found) = looker.redacted(&read.text, file.map(PathBuf::as_path));
    out.bytes(&read.bytes_of(&redacted))?;
    Ok(if found == 0 { Exit::Ok } else { Exit::Negative })
}

fn stdin() -> Result<Vec<u8>, Failure> {
    if std::io::stdin().is_terminal() {
        return Err(Failure::usage("nothing to scan: stdin is a terminal")
            .hint("name files or folders, or pipe text in: git diff | sallyport scan"));
    }
    whole("stdin", files::limited(std::io::stdin().lock()))
}

/// The bytes of the one text there is, or why there are none.
fn whole(name: &str, content: Content<'_>) -> Result<Vec<u8>, Failure> {
    match content {
        Content::Bytes(bytes) => Ok(bytes.into_owned()),
        Content::Binary => Err(Failure::new(format!("{name} is binary and was not scanned"))),
        Content::TooLarge => Err(Failure::new(format!("{name} holds more than 256 MiB and was not scanned"))
            .hint("scan it in parts: split -b 200M, or head -c 200M")),
        Content::Unreadable(problem) => {
            Err(Failure::usage(format!("could not read {name}: {problem}"))
                .hint("name a file, or pipe text in"))
        }
    }
}

fn unreadable(tally: &mut Tally, what: &str) {
    tally.unreadable += 1;
    note(format!("warning: could not read {what}"));
}

/// How far a long scan is, on a terminal.
struct Progress {
    all: usize,
    shown: Option<Instant>,
}

impl Progress {
    fn new(all: usize) -> Progress {
        let watched = all > 200 && std::io::stderr().is_terminal();
        Progress { all, shown: watched.then(Instant::now) }
    }

    fn at(&mut self, number: usize) {
        if let Some(shown) = &mut self.shown
            && shown.elapsed() >= Duration::from_millis(200)
        {
            *shown = Instant::now();
            crate::output::status_line(&format!("scanned {number} of {} files", self.all));
        }
    }

    fn done(&self) {
        if self.shown.is_some() {
            crate::output::status_line("");
        }
    }
}

fn summary(args: &Args, looker: &Looker, tally: &Tally, out: &mut Out) -> Result<(), Failure> {
    if tally.findings > 0 {
        out.blank()?;
    }
    let mut parts = vec![match tally.findings {
        0 => format!("No findings in {}", count(tally.files, "file")),
        n => format!(
            "{} in {} of {}",
            count(n, "finding"),
            tally.files_with_findings,
            count(tally.files, "file")
        ),
    }];
    if tally.binary > 0 {
        parts.push(format!("{} not scanned", count(tally.binary, "binary file")));
    }
    if tally.too_large > 0 {
        parts.push(format!("{} not scanned", count(tally.too_large, "oversized file")));
    }
    if tally.unreadable > 0 {
        parts.push(format!("{} could not be read", tally.unreadable));
    }
    out.line(format!("{}.", parts.join("; ")))?;
    if tally.left_out > 0 {
        let values = count(tally.left_out, "password or key");
        out.line(format!(
            "{values} in tests, examples and documentation left out; --profile strict shows them."
        ))?;
    }
    if let Some(allowed) = looker.allowed() {
        out.line(format!("Left out, since `sallyport allow` allows it: {allowed}."))?;
    }
    if args.mode.contains(&Mode::Secrets) {
        let note = "Known secrets are looked for by the engine alone.";
        out.line(out.paint(Accent::Faint, note))?;
    }
    Ok(())
}

fn count(n: usize, what: &str) -> String {
    plural(n as u64, what)
}
