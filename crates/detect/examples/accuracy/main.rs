//! How well the rules tell secrets from the rest: recall on labelled texts, false alarms on real files.
//!
//! `make accuracy`. Prints counts and Wilson intervals, never a value, unless `--show` asks for places.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a measurement prints what it measured")]

mod benign;
mod forms;
mod generated;
mod labelled;
mod output;
mod share;
mod train;

use std::path::PathBuf;
use std::sync::Arc;

use sallyport_detect::{Kinds, RuleSet, ScanOptions, Scanner, SecretIndex};
use sallyport_policy::{Finding, FindingKind, Severity};

/// `--dev FILE` labelled rows, `--benign DIR` real files (repeatable), `--show FILE` misses and false
/// alarms in clear for the one who tunes, `--train FILE` makes the weights of the scored rules anew and learns from the
/// files of `--hard DIR` too (repeatable), `--only output` looks at dangerous commands alone.
fn main() -> std::process::ExitCode {
    let (mut dev, mut roots, mut hard, mut show, mut weights) = (None, Vec::new(), Vec::new(), None, None);
    let mut only = String::new();
    let mut args = std::env::args().skip(1);
    while let (Some(flag), value) = (args.next(), args.next()) {
        let path = PathBuf::from(value.as_deref().unwrap_or_default());
        match flag.as_str() {
            "--dev" => dev = Some(path),
            "--benign" => roots.push(path),
            "--hard" => hard.push(path),
            "--show" => show = Some(path),
            "--train" => weights = Some(path),
            "--only" => only = value.unwrap_or_default(),
            other => {
                eprintln!("accuracy: unknown option {other}");
                return std::process::ExitCode::from(2);
            }
        }
    }
    if only == "output" {
        let mut shown = Vec::new();
        output::report(&roots, &mut shown);
        if let Some(path) = show {
            std::fs::write(path, shown.join("\n")).expect("the file of --show");
        }
        return std::process::ExitCode::SUCCESS;
    }
    let started = std::time::Instant::now();
    let rules = RuleSet::builtin().unwrap_or_else(|error| panic!("{error}"));
    println!("rules read in {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
    let scanner = Scanner::new(Arc::new(rules), Arc::new(SecretIndex::empty()));
    if let (Some(weights), Some(dev)) = (&weights, &dev) {
        train::run(scanner.rules(), dev, &train::Files { ordinary: &roots, hard: &hard }, weights);
        return std::process::ExitCode::SUCCESS;
    }
    let mut shown: Vec<String> = Vec::new();
    let problems = scanner.rules().check();
    println!("{} rules, {} of them do not do what their file says\n", scanner.rules().len(), problems.len());
    shown.extend(problems.iter().map(|problem| format!("rule\t{problem}")));
    generated::report(&scanner, &mut shown);
    forms::report(&scanner, &mut shown);
    match dev {
        Some(path) if path.exists() => labelled::report(&scanner, &path, &mut shown),
        _ => println!("\nThe public development set is not here: its tables are left out."),
    }
    if !roots.is_empty() {
        benign::report(&scanner, &roots, &mut shown);
    }
    output::report(&roots, &mut shown);
    if let Some(path) = show {
        std::fs::write(path, shown.join("\n")).expect("the file of --show");
    }
    std::process::ExitCode::SUCCESS
}

/// What counts as "a secret was seen": addresses, internal hosts and personal data do not.
fn secrets(scanner: &Scanner, text: &str) -> Vec<Finding> {
    let options = ScanOptions {
        kinds: Kinds::NONE.with(FindingKind::Secret).with(FindingKind::EnvAssignment),
        least_severity: Severity::Medium,
        ..ScanOptions::default()
    };
    scanner.scan(text, &options)
}
