//! `rules`: the detection rules, and the proof that each does what its file says.

use std::path::{Path, PathBuf};

use sallyport_detect::{Rule, RuleError, RuleProblem, RuleSet};
use sallyport_engine::OnDisk;
use sallyport_platform::Paths;
use sallyport_policy::settings::OwnEntries;
use sallyport_policy::{FindingKind, Level, Severity};
use serde::Serialize;

use crate::cli::EXIT_CODES;
use crate::commands::status::plural;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::named_file;
use crate::output::{Accent, Out, Table, note};

/// List the detection rules, or check that each one does what it says
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = format!("Examples:\n  sallyport rules list\n  sallyport rules check my-rules.yaml\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the rules: the built-in ones, and those in rules/ of the configuration folder
    ///
    /// Where policy sets detection.ownRules to forbid, rule files of your own are not read: here, by scan and by policy test.
    #[command(after_help = format!("Examples:\n  sallyport rules list\n  sallyport rules list github token\n  sallyport rules list --json | jq -r '.[] | select(.severity == \"critical\") | .id'\n\n{EXIT_CODES}"))]
    List {
        /// Only the rules in whose name or description each of these words stands
        #[arg(value_name = "WORD")]
        words: Vec<String>,
        /// Print the rules as one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Run every rule on its own examples and near misses
    ///
    /// A rule passes when each of its examples is found and none of its near misses is. Where policy sets
    /// detection.ownRules to forbid, rule files of your own are not read here either.
    #[command(after_help = format!("Examples:\n  sallyport rules check\n  sallyport rules check my-rules.yaml\n\n{EXIT_CODES}"))]
    Check {
        /// A rule file, or a folder of them [default: the built-in rules]
        #[arg(value_name = "PATH")]
        path: Option<PathBuf>,
        /// Print the result as one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    description: &'a str,
    kind: FindingKind,
    severity: Severity,
    class: Level,
    validator: Option<&'a str>,
    source: Option<&'a str>,
    strict_only: bool,
    examples: usize,
    near_misses: usize,
}

#[derive(Serialize)]
struct Report<'a> {
    passed: bool,
    rules: usize,
    examples: usize,
    near_misses: usize,
    problems: Vec<Problem<'a>>,
}

#[derive(Serialize)]
struct Problem<'a> {
    rule: &'a str,
    message: &'a str,
}

pub(crate) fn run(args: Args, out: &mut Out) -> Outcome {
    match args.command {
        Command::List { words, json } => list(&in_force()?, &words, json, out),
        Command::Check { path: None, json } => check(&builtin()?, json, out),
        Command::Check { path: Some(path), json } => check(&own(&path)?, json, out),
    }
}

/// The built-in rules and those in `rules/` of the configuration folder, if policy lets them be read.
pub(crate) fn in_force() -> Result<RuleSet, Failure> {
    let (rules, left_out) = in_force_at(&engine::paths()?)?;
    if let Some(why) = left_out {
        note(format!("note: {why}"));
    }
    Ok(rules)
}

/// The rules, and why a person's own are not among them.
fn in_force_at(paths: &Paths) -> Result<(RuleSet, Option<String>), Failure> {
    let folder = paths.rules_dir();
    let own = if folder.is_dir() { texts(&folder)? } else { Vec::new() };
    if own.is_empty() {
        return Ok((builtin()?, None));
    }
    match forbidden(paths) {
        Some(why) => Ok((builtin()?, Some(format!("the rules in {} are not read: {why}", folder.display())))),
        None => Ok((RuleSet::builtin_with(&borrowed(&own)).map_err(|e| rule_error(&e))?, None)),
    }
}

/// Why policy does not let rule files of a person's own be read.
fn forbidden(paths: &Paths) -> Option<String> {
    // Whose approvals count has no say in this.
    match OnDisk::read(paths, &|_| false) {
        Ok(policy) if policy.snapshot.detection.own_rules.value == OwnEntries::Forbid => {
            Some("policy detection.ownRules forbids rule files of your own".to_owned())
        }
        Ok(_) => None,
        // What policy says can't be told, and it may forbid them.
        Err(problems) => {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            Some(format!("whether policy allows them can't be told ({first})"))
        }
    }
}

/// Rules that could never be in force are not proved either.
fn own(path: &Path) -> Result<RuleSet, Failure> {
    match forbidden(&engine::paths()?) {
        Some(why) => Err(Failure::usage(format!("{} was not read: {why}", path.display()))
            .hint("`sallyport policy show` names the document that says so; `sallyport rules check` without a path proves the built-in rules")),
        None => read(path),
    }
}

fn builtin() -> Result<RuleSet, Failure> {
    RuleSet::builtin().map_err(|e| rule_error(&e))
}

fn rule_error(error: &RuleError) -> Failure {
    let RuleError { file, line, column, message } = error;
    let place = if *line == 0 { file.clone() } else { format!("{file}:{line}:{column}") };
    Failure::new(format!("{place}: {message}"))
}

fn read(path: &Path) -> Result<RuleSet, Failure> {
    let texts = texts(path)?;
    if texts.is_empty() {
        return Err(Failure::usage(format!("{} holds no rule file", path.display()))
            .hint("rule files end in .yaml or .yml"));
    }
    RuleSet::compile(&borrowed(&texts)).map_err(|e| rule_error(&e))
}

/// Name and text of each rule file in a folder, or of the one file.
fn texts(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    let tried = |path: &Path, e: &std::io::Error| {
        Failure::caused(format!("could not read {}", path.display()), e).into_usage()
    };
    let mut files = Vec::new();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).map_err(|e| tried(path, &e))? {
            let file = entry.map_err(|e| tried(path, &e))?.path();
            if file.extension().is_some_and(|e| e == "yaml" || e == "yml") {
                files.push(file);
            }
        }
        files.sort();
    } else {
        files.push(path.to_owned());
    }
    let text = |file: PathBuf| {
        let text = named_file::text(&file).map_err(|e| tried(&file, &e))?;
        Ok((file.display().to_string(), text))
    };
    files.into_iter().map(text).collect()
}

fn borrowed(texts: &[(String, String)]) -> Vec<(&str, &str)> {
    texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

/// No rule is a negative answer to words that ask for one.
fn list(rules: &RuleSet, words: &[String], json: bool, out: &mut Out) -> Outcome {
    let wanted: Vec<&Rule> = rules.rules().iter().filter(|rule| speaks_of(rule, words)).collect();
    let answer = if wanted.is_empty() { Exit::Negative } else { Exit::Ok };
    if json {
        out.json(&wanted.into_iter().map(row).collect::<Vec<_>>())?;
        return Ok(answer);
    }
    if wanted.is_empty() {
        note(format!(
            "no rule speaks of {}; `sallyport rules list` shows all {}",
            words.join(" and "),
            rules.len()
        ));
        return Ok(answer);
    }
    let mut table = Table::new(&["rule", "kind", "severity", "class", "what it finds"]);
    for rule in wanted {
        let strict = if rule.strict_only { " (strict profile only)" } else { "" };
        table.row([
            rule.id.as_str().to_owned(),
            word(&rule.kind),
            word(&rule.severity),
            rule.class.to_string(),
            format!("{}{strict}", rule.description),
        ]);
    }
    out.table(table)?;
    Ok(answer)
}

fn speaks_of(rule: &Rule, words: &[String]) -> bool {
    let says = format!("{} {}", rule.id, rule.description).to_lowercase();
    words.iter().all(|word| says.contains(&word.to_lowercase()))
}

fn row(rule: &Rule) -> Row<'_> {
    Row {
        id: rule.id.as_str(),
        description: &rule.description,
        kind: rule.kind,
        severity: rule.severity,
        class: rule.class,
        validator: rule.validator.as_deref(),
        source: rule.source.as_deref(),
        strict_only: rule.strict_only,
        examples: rule.examples.len(),
        near_misses: rule.near_misses.len(),
    }
}

/// The word by which JSON and YAML call it.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Every rule's proof, shared out over the processors: each compiles a regular expression.
fn proved(rules: &RuleSet) -> Vec<RuleProblem> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    let share = rules.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let starts = (0..rules.len()).step_by(share);
        let shares: Vec<_> = starts
            .map(|start| scope.spawn(move || rules.check_some(start..(start + share).min(rules.len()))))
            .collect();
        shares
            .into_iter()
            .flat_map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn check(rules: &RuleSet, json: bool, out: &mut Out) -> Outcome {
    let problems = proved(rules);
    let count = |of: fn(&Rule) -> usize| rules.rules().iter().map(of).sum::<usize>();
    let report = Report {
        passed: problems.is_empty(),
        rules: rules.len(),
        examples: count(|r| r.examples.len()),
        near_misses: count(|r| r.near_misses.len()),
        problems: problems.iter().map(|p| Problem { rule: p.rule.as_str(), message: &p.message }).collect(),
    };
    if json {
        out.json(&report)?;
    } else {
        for problem in &report.problems {
            let rule = out.paint(Accent::Bad, problem.rule);
            out.line(format!("{rule}: {}", problem.message))?;
        }
        let verdict = match report.problems.len() {
            0 => "every rule does what it says".to_owned(),
            n => plural(n as u64, "problem"),
        };
        let rules = plural(report.rules as u64, "rule");
        out.line(format!(
            "{rules}, {} examples, {} near misses: {verdict}.",
            report.examples, report.near_misses
        ))?;
    }
    Ok(if report.passed { Exit::Ok } else { Exit::Negative })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "tokens: |\n  own_ticket | A ticket | OWNT-[0-9A-F]{12}\n  + {{OWNT-09AF3C71D2E8}} a\n  + {{OWNT-5B7D90E1C3A2}} b\n  - OWNT-12\n  - OWNT-x\n";

    fn policy(own: &str) -> String {
        format!(
            "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: h}}\nspec: {{detection: {{ownRules: {own}}}}}\n"
        )
    }

    #[test]
    fn words_narrow_the_list() {
        let rules = builtin().unwrap();
        let found = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            rules
                .rules()
                .iter()
                .filter(|rule| speaks_of(rule, &words))
                .map(|r| r.id.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(found(&[]).len(), rules.len());
        assert!(found(&["GitHub", "token"]).contains(&"github_token"));
        assert!(!found(&["github", "token"]).contains(&"gitlab_token"));
        assert!(found(&["of no service at all"]).is_empty());
    }

    #[test]
    fn managed_policy_keeps_own_rules_from_every_command() {
        let folder = tempfile::tempdir().unwrap();
        let managed = folder.path().join("managed");
        let paths = Paths::under(folder.path()).managed_at(&managed);
        std::fs::create_dir_all(paths.rules_dir()).unwrap();
        std::fs::create_dir_all(paths.managed_policies_dir()).unwrap();
        std::fs::write(paths.rules_dir().join("own.yaml"), OWN).unwrap();
        let file = paths.managed_policies_dir().join("house.yaml");
        for (text, read) in
            [(policy("allow"), true), (policy("forbid"), false), ("kind: [".to_owned(), false)]
        {
            std::fs::write(&file, &text).unwrap();
            let (rules, left_out) = in_force_at(&paths).unwrap();
            assert_eq!(rules.rule("own_ticket").is_some(), read, "{text}");
            assert_eq!(left_out.is_none(), read, "{text}");
            assert_eq!(forbidden(&paths).is_none(), read, "{text}");
        }
    }
}
