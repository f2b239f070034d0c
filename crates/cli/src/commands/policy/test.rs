//! `policy test`: requests that a person describes, and what a policy must decide about them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sallyport_detect::{ScanOptions, Scanner, SecretIndex};
use sallyport_engine::OnDisk;
use sallyport_policy::documents;
use sallyport_policy::scenario::{self, Explanation, RequestDescription, TestFile};
use sallyport_policy::settings::{Layers, Snapshot, resolve};
use sallyport_policy::{DocumentError, Finding, RuleId};
use serde::Serialize;

use super::{files, unreadable};
use crate::cli::EXIT_CODES;
use crate::commands::rules;
use crate::commands::status::plural;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Accent, Out};

/// Run policy tests: given this request, expect that verdict
///
/// A test file names the documents that it tests, or tests the policy of this machine. Texts are looked at with the
/// rules of detection. Needs no engine.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  sallyport policy test policy-tests.yaml\n  sallyport policy test tests/*.yaml --json\n\nA test file:\n  policies: [policies/]\n  tests:\n    - name: what is labelled stays in the house\n      request: {{provider: openai, text: \"COMPANY CONFIDENTIAL: the plan\"}}\n      expect: {{verdict: reroute, provider: corp-llm, level_before: confidential}}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// Files with tests
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    passed: usize,
    failed: usize,
    tests: Vec<Tested>,
}

#[derive(Debug, Serialize)]
struct Tested {
    file: String,
    name: String,
    passed: bool,
    /// What was expected and did not come.
    differences: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    got: Option<Explanation>,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome {
    let mut tests = Vec::new();
    for file in &args.files {
        let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
        let parsed = scenario::parse(&text, &file.display().to_string()).map_err(|error| unusable(&error))?;
        tests.extend(tested(file, &parsed)?);
    }
    let failed = tests.iter().filter(|test| !test.passed).count();
    let report = Report { passed: tests.len() - failed, failed, tests };
    if args.json {
        out.json(&report)?;
    } else {
        show(&report, out)?;
    }
    Ok(if failed == 0 { Exit::Ok } else { Exit::Negative })
}

fn tested(file: &Path, parsed: &TestFile) -> Result<Vec<Tested>, Failure> {
    let snapshot = match &parsed.policies {
        Some(policies) => beside(file, policies)?,
        None => on_this_machine()?,
    };
    let look = Looking::new()?;
    let tests = parsed.tests.iter().map(|test| {
        let outcome = scenario::explain(&snapshot, &test.request, &look.at(&snapshot, &test.request));
        let (differences, got) = match outcome {
            Ok(got) => (scenario::differences(&test.expect, &got), Some(got)),
            Err(error) => (vec![error.to_string()], None),
        };
        Tested {
            file: file.display().to_string(),
            name: test.name.clone(),
            passed: differences.is_empty(),
            got: got.filter(|_| !differences.is_empty()),
            differences,
        }
    });
    Ok(tests.collect())
}

/// The policy that the documents beside a test file make.
fn beside(file: &Path, policies: &[PathBuf]) -> Result<Snapshot, Failure> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let named: Vec<PathBuf> = policies.iter().map(|path| folder.join(path)).collect();
    let mut user_documents = Vec::new();
    for file in files(&named)? {
        let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
        let found = documents::parse(&text, &file.display().to_string()).map_err(|error| unusable(&error))?;
        user_documents.extend(found);
    }
    let home = engine::paths().ok().map(|paths| paths.user_home().to_owned());
    resolve(&Layers { user_documents, home, ..Layers::default() }).map_err(|error| unusables(&error.0))
}

/// The policy of this machine, read from its files.
pub(super) fn on_this_machine() -> Result<Snapshot, Failure> {
    let paths = engine::paths()?;
    OnDisk::read(&paths).map(|found| found.snapshot).map_err(|problems| unusables(&problems))
}

fn unusable(error: &DocumentError) -> Failure {
    unusables(std::slice::from_ref(error))
}

fn unusables(problems: &[DocumentError]) -> Failure {
    let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let failure = Failure::usage(said.join("\n"));
    match problems.iter().find_map(|problem| problem.hint.clone()) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The rules of detection, for texts in descriptions.
pub(super) struct Looking(Scanner);

impl Looking {
    pub(super) fn new() -> Result<Looking, Failure> {
        Ok(Looking(Scanner::new(Arc::new(rules::in_force()?), Arc::new(SecretIndex::empty()))))
    }

    pub(super) fn at(&self, policy: &Snapshot, request: &RequestDescription) -> Vec<Finding> {
        let options = ScanOptions {
            profile: policy.profile.value,
            rules_off: policy.disabled_rules.value.iter().map(|id| RuleId::new(id.as_str())).collect(),
            ..ScanOptions::default()
        };
        request.text.as_deref().map(|text| self.0.scan(text, &options)).unwrap_or_default()
    }
}

fn show(report: &Report, out: &mut Out) -> Result<(), Failure> {
    for test in &report.tests {
        let word = if test.passed { out.paint(Accent::Good, "ok") } else { out.paint(Accent::Bad, "failed") };
        out.line(format!("{word}  {}: {}", test.file, test.name))?;
        for difference in &test.differences {
            out.line(format!("      {difference}"))?;
        }
        for sentence in test.got.iter().flat_map(|got| &got.sentences) {
            out.line(format!("      {sentence}"))?;
        }
    }
    if !report.tests.is_empty() {
        out.blank()?;
    }
    let total = plural(report.tests.len() as u64, "test");
    out.line(format!("{total}, {} passed, {} failed.", report.passed, report.failed))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::Captured;

    #[test]
    fn a_file_is_run_against_the_documents_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("house.yaml"),
            "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {name: x}\nspec: {shadowAi: block, approvedProviders: [openai]}\n",
        )
        .unwrap();
        let file = folder.path().join("t.test");
        let tests = "policies: [house.yaml]
tests:
  - {name: approved, request: {provider: openai, text: hello}, expect: {verdict: allow}}
  - {name: a key is taken out, request: {provider: openai, text: 'password = q7-Orchid-Rampart-88'}, expect: {verdict: redact}}
  - {name: others are not, request: {provider: groq}, expect: {verdict: block, code: shadow_ai}}
";
        std::fs::write(&file, tests).unwrap();
        let captured = Captured::default();
        let args = Args { files: vec![file.clone()], json: false };
        let exit = run(&args, &mut captured.out()).unwrap();
        let said = captured.text().replace(&file.display().to_string(), "t.test");
        assert!(
            said.contains("ok  t.test: approved") && said.contains("ok  t.test: others are not"),
            "{said}"
        );
        assert_eq!(exit, Exit::Ok, "{said}");
    }

    #[test]
    fn a_mistake_in_the_file_is_a_usage_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.yaml");
        std::fs::write(&file, "tests:\n  - nme: x\n").unwrap();
        let failure =
            run(&Args { files: vec![file], json: false }, &mut Captured::default().out()).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.message().contains("t.yaml:2:5: `nme` is not a key here"), "{}", failure.message());
    }
}
