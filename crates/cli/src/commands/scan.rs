//! `scan`: the detection rules on files, folders or stdin, without the engine.
//!
//! Rules only: the known secrets live in the engine. No value is ever printed.

use std::io::{IsTerminal, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sallyport_detect::{ScanOptions, Scanner, SecretIndex};
use sallyport_policy::{Finding, FindingKind, Severity};
use serde::Serialize;

use crate::cli::EXIT_CODES;
use crate::commands::rules;
use crate::commands::status::plural;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Accent, Out, note};
use crate::text::{Lines, masked_line, printable, readable};

/// Look for secrets and personal data in files, folders or stdin
///
/// Runs the built-in detection rules; the engine need not run, and known secrets (vault, keychain)
/// are not looked for. Folders are walked with hidden files; .git and what .gitignore names are left
/// out. Values are never printed.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  sallyport scan .\n  git diff --cached | sallyport scan\n  sallyport scan --json src | jq -r .path | sort | uniq -c\n\nWith --json, one object a line; start and end are byte offsets:\n  {{\"path\":\"a.env\",\"rule\":\"aws_key\",\"kind\":\"secret\",\"start\":8,\"end\":28,\"line\":1,\"severity\":\"high\"}}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// Files and folders; stdin when none is given, or for "-"
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print one JSON object for each finding
    #[arg(long)]
    json: bool,
    /// Scan what .gitignore and .ignore name as well
    #[arg(long)]
    no_ignore: bool,
}

/// Files above this are counted, not read.
const LARGEST: u64 = 256 << 20;

#[derive(Debug, Serialize)]
struct Row<'a> {
    path: &'a str,
    rule: &'a str,
    kind: FindingKind,
    start: usize,
    end: usize,
    line: usize,
    severity: Severity,
}

#[derive(Debug, Default)]
struct Tally {
    files: usize,
    findings: usize,
    files_with_findings: usize,
    binary: usize,
    too_large: usize,
    unreadable: usize,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome {
    let scanner = Scanner::new(Arc::new(rules::builtin()?), Arc::new(SecretIndex::empty()));
    let mut tally = Tally::default();
    let mut scan = Scan { scanner: &scanner, json: args.json, tally: &mut tally, out };
    if args.paths.is_empty() {
        if std::io::stdin().is_terminal() {
            return Err(Failure::usage("nothing to scan: stdin is a terminal")
                .hint("name files or folders, or pipe text in: git diff | sallyport scan"));
        }
        scan.stdin()?;
    }
    for path in &args.paths {
        if path.as_os_str() == "-" {
            scan.stdin()?;
        } else {
            scan.tree(path, args.no_ignore)?;
        }
    }
    if !args.json {
        summary(&tally, out)?;
    }
    Ok(match (tally.findings, tally.unreadable) {
        (0, 0) => Exit::Ok,
        _ => Exit::Negative,
    })
}

struct Scan<'a> {
    scanner: &'a Scanner,
    json: bool,
    tally: &'a mut Tally,
    out: &'a mut Out,
}

impl Scan<'_> {
    fn stdin(&mut self) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map_err(|e| Failure::caused("could not read stdin", &e))?;
        self.bytes("-", &bytes)
    }

    fn tree(&mut self, root: &Path, no_ignore: bool) -> Result<(), Failure> {
        if let Err(e) = std::fs::symlink_metadata(root) {
            let failure = Failure::caused(format!("could not scan {}", root.display()), &e);
            return Err(failure.into_usage().hint("name a file or folder that exists"));
        }
        let walk = ignore::WalkBuilder::new(root)
            .hidden(false)
            .ignore(!no_ignore)
            .git_ignore(!no_ignore)
            .git_global(!no_ignore)
            .git_exclude(!no_ignore)
            .parents(!no_ignore)
            .sort_by_file_name(|a, b| a.cmp(b))
            .filter_entry(|entry| entry.depth() == 0 || entry.file_name() != ".git")
            .build();
        for entry in walk {
            match entry {
                Ok(entry) if entry.file_type().is_some_and(|t| t.is_dir()) => {}
                // Inside a folder plain files alone: a link leads elsewhere, a pipe would never end.
                Ok(entry) if entry.depth() > 0 && !entry.file_type().is_some_and(|t| t.is_file()) => {}
                Ok(entry) => self.file(entry.path())?,
                Err(e) => self.unreadable(&e.to_string()),
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let shown = path.display().to_string();
        match std::fs::metadata(path) {
            Ok(meta) if meta.len() > LARGEST => {
                self.tally.too_large += 1;
                note(format!("note: {shown} is larger than 256 MiB and was not scanned"));
                return Ok(());
            }
            Ok(_) => {}
            Err(e) => {
                self.unreadable(&format!("{shown}: {e}"));
                return Ok(());
            }
        }
        match std::fs::read(path) {
            Ok(bytes) => self.bytes(&shown, &bytes),
            Err(e) => {
                self.unreadable(&format!("{shown}: {e}"));
                Ok(())
            }
        }
    }

    fn unreadable(&mut self, what: &str) {
        self.tally.unreadable += 1;
        note(format!("warning: could not read {}", printable(what)));
    }

    fn bytes(&mut self, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        let Some(text) = readable(bytes) else {
            self.tally.binary += 1;
            return Ok(());
        };
        self.tally.files += 1;
        let findings = self.scanner.scan(&text, &ScanOptions::default());
        self.tally.findings += findings.len();
        if findings.is_empty() {
            return Ok(());
        }
        self.tally.files_with_findings += 1;
        report(path, &text, &findings, self.json, self.out)
    }
}

fn report(path: &str, text: &str, findings: &[Finding], json: bool, out: &mut Out) -> Result<(), Failure> {
    let lines = Lines::of(text);
    let spans: Vec<Range<usize>> = findings.iter().map(|f| f.span.clone()).collect();
    for finding in findings {
        let line = lines.number(finding.span.start);
        if json {
            out.json_line(&Row {
                path,
                rule: finding.rule.as_str(),
                kind: finding.kind,
                start: finding.span.start,
                end: finding.span.end,
                line,
                severity: finding.severity,
            })?;
        } else {
            let place = out.paint(Accent::Strong, &format!("{}:{line}", printable(path)));
            let rule = out.paint(Accent::Notice, finding.rule.as_str());
            let shown = masked_line(text, &lines, &finding.span, &spans);
            out.line(format!("{place}  {rule}  {shown}"))?;
        }
    }
    Ok(())
}

fn summary(tally: &Tally, out: &mut Out) -> Result<(), Failure> {
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
    out.line(
        out.paint(Accent::Faint, "Built-in rules only: known secrets are looked for by the engine alone."),
    )?;
    Ok(())
}

fn count(n: usize, what: &str) -> String {
    plural(n as u64, what)
}
