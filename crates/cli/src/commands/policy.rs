//! `policy`: whether documents are understood, which of their sentences act, and what is in force.

mod bundle;
mod explain;
mod schema;
mod test;

use std::path::{Path, PathBuf};

use sallyport_detect::{RuleSet, RulesOff};
use sallyport_ipc::types::PolicyView;
use sallyport_policy::documents::{
    self, Document, DocumentBody, FieldStatus, Force, Problem, ProblemSeverity, fields_of,
};
use sallyport_policy::settings::{Layers, SettingRow, resolve};
use sallyport_policy::yaml::Mark;
use sallyport_policy::{DocumentError, config};
use serde::Serialize;

use crate::cli::EXIT_CODES;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::named_file;
use crate::output::{Accent, Out, Table};

/// Check and test policy documents, and show what is in force and why
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = format!("Examples:\n  sallyport policy check policies/\n  sallyport policy show\n  sallyport policy explain --provider openai --text 'Project Atlas'\n  sallyport policy test policy-tests.yaml\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check that documents are understood, and say which of their parts act in this version
    ///
    /// Every mistake is told with its file, line and column, and what was expected there; a warning is about what can be
    /// used and is likely not meant. A file called config.yaml is checked as configuration, together with the documents.
    /// Needs no engine.
    #[command(after_help = format!("Examples:\n  sallyport policy check policies/\n  sallyport policy check ~/.config/sallyport/config.yaml ~/.config/sallyport/policies\n  sallyport policy check data-classification-policy.yaml --json\n\n{EXIT_CODES}"))]
    Check {
        /// Documents, folders of them, or a config.yaml
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<PathBuf>,
        /// Print the result as one JSON object
        #[arg(long)]
        json: bool,
    },
    Explain(explain::Args),
    Test(test::Args),
    Schema(schema::Args),
    Bundle(bundle::Args),
    /// Show each setting in force, where it comes from, and whether it is locked
    #[command(after_help = format!("Examples:\n  sallyport policy show\n  sallyport policy show --json | jq '.settings[] | select(.locked)'\n\n{EXIT_CODES}"))]
    Show {
        /// Print the policy as one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// The one file that is no document, known by its name.
const CONFIG_FILE: &str = "config.yaml";

#[derive(Debug, Serialize)]
struct Report {
    valid: bool,
    /// Whether the documents were held against each other: not where one of them can't be read.
    compared: bool,
    documents: Vec<Checked>,
    problems: Vec<Mistake>,
}

#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    line: u32,
    kind: &'static str,
    name: String,
    fields: Vec<FieldStatus>,
}

#[derive(Debug, Serialize)]
struct Mistake {
    severity: ProblemSeverity,
    file: String,
    line: u32,
    column: u32,
    message: String,
    hint: Option<String>,
}

impl From<DocumentError> for Mistake {
    fn from(error: DocumentError) -> Mistake {
        let DocumentError { file, line, column, message, hint, .. } = error;
        Mistake { severity: ProblemSeverity::Error, file, line, column, message, hint }
    }
}

impl From<Problem> for Mistake {
    fn from(problem: Problem) -> Mistake {
        let Problem { severity, file, line, column, message, hint } = problem;
        Mistake { severity, file, line, column, message, hint }
    }
}

impl From<&Document> for Checked {
    fn from(document: &Document) -> Checked {
        Checked {
            file: document.file.clone(),
            line: document.mark.line,
            kind: document.kind().as_str(),
            name: document.name.clone(),
            fields: fields_of(document),
        }
    }
}

pub(crate) fn run(args: Args, out: &mut Out) -> Outcome {
    match args.command {
        Command::Check { paths, json } => {
            let report = check(&paths)?;
            if json {
                out.json(&report)?
            } else {
                show_report(&report, out)?
            }
            Ok(if report.valid { Exit::Ok } else { Exit::Negative })
        }
        Command::Explain(args) => explain::run(&args, out),
        Command::Test(args) => test::run(&args, out),
        Command::Schema(args) => schema::run(&args, out),
        Command::Bundle(args) => bundle::run(args, out),
        Command::Show { json } => {
            let paths = engine::paths()?;
            let view = engine::call(&paths, async |client| client.policy().await)?;
            if json {
                out.json(&view)?
            } else {
                show_view(&view, out)?
            }
            Ok(Exit::Ok)
        }
    }
}

fn check(paths: &[PathBuf]) -> Result<Report, Failure> {
    let mut layers = Layers::default();
    let mut checked = Vec::new();
    let mut problems: Vec<Mistake> = Vec::new();
    for file in files(paths)? {
        let text = named_file::text(&file).map_err(|e| unreadable(&file, &e))?;
        let shown = file.display().to_string();
        let read = if file.file_name().is_some_and(|name| name == CONFIG_FILE) {
            config::parse_layer(&text, &shown).map(|layer| {
                layers.user = Some(layer);
                checked.push(Checked {
                    file: shown,
                    line: 1,
                    kind: "config",
                    name: CONFIG_FILE.to_owned(),
                    fields: Vec::new(),
                });
            })
        } else {
            documents::parse(&text, &shown).map(|found| {
                checked.extend(found.iter().map(Checked::from));
                layers.user_documents.extend(found);
            })
        };
        if let Err(found) = read {
            problems.extend(found.into_iter().map(Mistake::from));
        }
    }
    problems.extend(documents::check(&layers.user_documents).into_iter().map(Mistake::from));
    problems.extend(layers.user_documents.iter().flat_map(rules_of_no_name));
    // Documents that read well alone may contradict each other, or the built-in providers; and where one can't be read,
    // what others say of it can't be judged.
    let complete = problems.iter().all(|problem| problem.severity < ProblemSeverity::Error);
    match complete.then(|| resolve(&layers)) {
        Some(Ok(snapshot)) => problems.extend(snapshot.unknown_names.into_iter().map(Mistake::from)),
        Some(Err(errors)) => problems.extend(errors.into_iter().map(Mistake::from)),
        None => {}
    }
    problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    let valid = problems.iter().all(|p| p.severity < ProblemSeverity::Error);
    Ok(Report { valid, compared: complete, documents: checked, problems })
}

/// What a document turns off by a name that no built-in rule has: a slip, or a rule of one's own.
fn rules_of_no_name(document: &Document) -> Vec<Mistake> {
    let DocumentBody::Sallyport(policy) = &document.body else { return Vec::new() };
    let (Some(names), Ok(builtin)) = (&policy.disabled_rules, RuleSet::builtin()) else { return Vec::new() };
    let nothing_has = |name: &str| {
        let off: RulesOff = [name].into_iter().collect();
        !builtin.rules().iter().any(|rule| off.contains(&rule.id))
    };
    let Mark { line, column } = document.locate("spec.disabledRules");
    let warning = |name: &String| Mistake {
        severity: ProblemSeverity::Warning,
        file: document.file.clone(),
        line,
        column,
        message: format!("no built-in rule is called `{name}`: only one of your own is turned off by it"),
        hint: Some("see `sallyport rules list`".to_owned()),
    };
    names.iter().filter(|name| nothing_has(name)).map(warning).collect()
}

/// The named files, and the YAML files in the named folders.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        for entry in std::fs::read_dir(path).map_err(|e| unreadable(path, &e))? {
            let file = entry.map_err(|e| unreadable(path, &e))?.path();
            if file.extension().is_some_and(|e| e == "yaml" || e == "yml") && file.is_file() {
                files.push(file);
            }
        }
        if files.len() == before {
            return Err(Failure::usage(format!("{} holds no policy document", path.display()))
                .hint("documents end in .yaml or .yml; folders in it are not searched"));
        }
        files[before..].sort();
    }
    Ok(files)
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => "name a file or folder that exists",
        std::io::ErrorKind::InvalidData => "make it a text file in UTF-8",
        std::io::ErrorKind::PermissionDenied => "make it a file that you may read",
        std::io::ErrorKind::InvalidInput => "name an ordinary file; a pipe is read as -, or as <(COMMAND)",
        _ => "",
    };
    Failure::caused(format!("could not read {}", path.display()), error).into_usage().hint(hint)
}

fn show_report(report: &Report, out: &mut Out) -> Result<(), Failure> {
    for problem in &report.problems {
        let (accent, word) = match problem.severity {
            ProblemSeverity::Error => (Accent::Bad, "error"),
            ProblemSeverity::Warning => (Accent::Notice, "warning"),
        };
        let word = out.paint(accent, word);
        out.line(format!(
            "{}:{}:{}: {word}: {}",
            problem.file, problem.line, problem.column, problem.message
        ))?;
        if let Some(hint) = &problem.hint {
            out.line(format!("  hint: {hint}"))?;
        }
    }
    if !report.problems.is_empty() && !report.documents.is_empty() {
        out.blank()?;
    }
    for document in &report.documents {
        let title = out.paint(Accent::Strong, &format!("{} {}", document.kind, document.name));
        out.line(format!("{title}  {}:{}", document.file, document.line))?;
        for field in &document.fields {
            let word = match field.force {
                Force::InForce => "in force ",
                Force::InformationOnly => "read only",
            };
            out.line(format!("  {word}  {}: {}", field.field, field.note))?;
        }
    }
    if !report.documents.is_empty() {
        out.blank()?;
    }
    let errors = report.problems.iter().filter(|p| p.severity == ProblemSeverity::Error).count();
    let warnings = report.problems.len() - errors;
    out.line(format!(
        "{} understood, {}, {}.",
        plural(report.documents.len(), "document"),
        plural(errors, "error"),
        plural(warnings, "warning")
    ))?;
    if !report.compared {
        out.line("The documents are held against each other once each of them is understood.")?;
    }
    Ok(())
}

fn plural(n: usize, what: &str) -> String {
    crate::commands::status::plural(n as u64, what)
}

fn show_view(view: &PolicyView, out: &mut Out) -> Result<(), Failure> {
    let mut table = Table::new(&["setting", "value", "from", "locked"]);
    for SettingRow { key, value, origin, locked } in &view.settings {
        let locked = if *locked { "locked" } else { "" };
        table.row([key.clone(), shown(value), origin.as_str().to_owned(), locked.to_owned()]);
    }
    out.table(table)?;
    out.blank()?;
    if view.documents.is_empty() {
        out.line("No policy documents.")?;
    } else {
        let mut table = Table::new(&["document", "name", "from", "where"]);
        for document in &view.documents {
            table.row([
                document.kind.as_str().to_owned(),
                document.name.clone(),
                document.origin.as_str().to_owned(),
                format!("{}:{}", document.file, document.line),
            ]);
        }
        out.table(table)?;
        out.line("`sallyport policy check` says which of their parts act in this version.")?;
    }
    for problem in &view.problems {
        out.blank()?;
        let word = out.paint(Accent::Notice, "not in force:");
        out.line(format!("{word} {problem}"))?;
    }
    Ok(())
}

/// A value as it would stand in YAML on one line, cut to what a line bears.
fn shown(value: &serde_json::Value) -> String {
    const LONGEST: usize = 60;
    let text = match value {
        serde_json::Value::Null => "none".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) if items.is_empty() => "none".to_owned(),
        serde_json::Value::Object(entries) if entries.is_empty() => "none".to_owned(),
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::Captured;

    fn checked(name: &str, text: &str) -> (Report, String) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(name), text).unwrap();
        let report = check(&[dir.path().to_owned()]).unwrap();
        let captured = Captured::default();
        show_report(&report, &mut captured.out()).unwrap();
        let shown = captured.text().replace(&format!("{}/", dir.path().display()), "");
        (report, shown)
    }

    #[test]
    fn what_is_no_document_is_told_with_a_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let latin = dir.path().join("a.yaml");
        std::fs::write(&latin, b"kind: \xff").unwrap();
        for (path, hint) in [(latin, "UTF-8"), (dir.path().join("none"), "exists")] {
            let failure = check(&[path]).unwrap_err();
            assert_eq!(failure.exit(), Exit::Usage);
            assert!(failure.to_string().lines().last().is_some_and(|line| line.contains(hint)), "{failure}");
        }
    }

    #[test]
    fn a_mistake_names_its_place() {
        let (report, shown) = checked(
            "a.yaml",
            "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata:\n  name: ours\nspec:\n  opaqe: block\n",
        );
        assert!(!report.valid);
        assert!(shown.starts_with("a.yaml:6:3: error: "), "{shown}");
    }

    #[test]
    fn a_rule_that_nobody_has_is_told_and_accepted() {
        let policy = |rules: &str| {
            format!(
                "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata:\n  name: ours\nspec:\n  disabledRules: {rules}\n"
            )
        };
        let (report, shown) = checked("a.yaml", &policy("[ip_addresses, pii_*, ip_adresses, pie_*]"));
        assert!(report.valid);
        let warned: Vec<&str> = report.problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(warned.len(), 2, "{warned:?}");
        assert!(warned[0].contains("`ip_adresses`") && warned[1].contains("`pie_*`"), "{warned:?}");
        assert!(shown.contains("a.yaml:6:3: warning: "), "{shown}");
    }

    #[test]
    fn a_good_document_says_what_acts() {
        let (report, shown) = checked(
            "a.yaml",
            "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata:\n  name: ours\nspec:\n  opaque: block\n",
        );
        assert!(report.valid);
        insta::assert_snapshot!(shown, @r"
        SallyportPolicy ours  a.yaml:1
          in force   spec.opaque: `allow` passes bodies that can't be read, `warn` passes and counts them, `block` refuses them

        1 document understood, 0 errors, 0 warnings.
        ");
    }

    #[test]
    fn a_configuration_is_checked_with_the_documents() {
        let (report, shown) = checked("config.yaml", "identity: {tier: king}\n");
        assert!(report.valid && report.compared);
        insta::assert_snapshot!(shown, @r"
        config.yaml:1:12: warning: no tier of quotas is called `king`: calls of models are refused
          hint: known here: `developer`, `service_account`, `team_lead`

        config config.yaml  config.yaml:1

        1 document understood, 0 errors, 1 warning.
        ");
        let (report, shown) = checked("config.yaml", "identity: {teir: king}\nlsten: x\n");
        assert!(!report.valid && !report.compared);
        assert!(
            shown.starts_with("config.yaml:1:12: error: ") && shown.contains("config.yaml:2:1: error: "),
            "{shown}"
        );
    }

    #[test]
    fn an_empty_folder_is_a_usage_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(check(&[dir.path().to_owned()]).unwrap_err().exit(), Exit::Usage);
        assert_eq!(check(&[dir.path().join("none.yaml")]).unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn values_are_short_and_plain() {
        let cases = [
            (serde_json::json!(null), "none"),
            (serde_json::json!([]), "none"),
            (serde_json::json!("balanced"), "balanced"),
            (serde_json::json!(true), "true"),
            (serde_json::json!(["a", 1]), "[\"a\",1]"),
        ];
        for (value, expected) in cases {
            assert_eq!(shown(&value), expected);
        }
        assert_eq!(shown(&serde_json::json!("ä".repeat(80))).chars().count(), 61);
    }
}
