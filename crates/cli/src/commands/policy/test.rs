//! `policy test`: requests that a person describes, and what a policy must decide about them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sallyport_detect::tools::ToolTable;
use sallyport_detect::{ScanOptions, Scanner, SecretIndex};
use sallyport_engine::OnDisk;
use sallyport_policy::assessment::AssessmentRecord;
use sallyport_policy::documents;
use sallyport_policy::scenario::{
    self, CallDescription, CallExplanation, Explanation, Given, RequestDescription, TestFile,
};
use sallyport_policy::settings::{Layers, Snapshot, resolve};
use sallyport_policy::{DocumentError, Finding};
use serde::Serialize;

use super::{files, unreadable};
use crate::cli::EXIT_CODES;
use crate::commands::rules;
use crate::commands::status::plural;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::named_file;
use crate::output::{Accent, Out};

/// Run policy tests: given this request or tool call, expect that verdict
///
/// A test file names the documents that it tests, or tests the policy of this machine. Texts are looked at with the
/// rules of detection. Needs no engine.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  sallyport policy test policy-tests.yaml\n  sallyport policy test tests/*.yaml --json\n\nA test file:\n  policies: [policies/]\n  tests:\n    - name: what is labelled stays in the house\n      request: {{provider: openai, text: \"COMPANY CONFIDENTIAL: the plan\"}}\n      expect: {{verdict: reroute, provider: corp-llm, level_before: confidential}}\n    - name: nobody pushes unasked\n      call: {{tool: Bash, arguments: {{command: git push}}, agent: coding-assistant}}\n      expect: {{verdict: hold, code: command_not_allowed}}\n\n{EXIT_CODES}"))]
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
    got: Option<Got>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Got {
    Request(Explanation),
    Call(CallExplanation),
}

impl Got {
    fn sentences(&self) -> &[String] {
        match self {
            Got::Request(explanation) => &explanation.sentences,
            Got::Call(explanation) => &explanation.sentences,
        }
    }
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome {
    let mut tests = Vec::new();
    for file in &args.files {
        let text = named_file::text(file).map_err(|error| unreadable(file, &error))?;
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
        let (differences, got) = match test.given() {
            Some(Given::Request(request)) => {
                match scenario::explain(&snapshot, request, &look.at(&snapshot, request)) {
                    Ok(got) => (scenario::differences(&test.expect, &got), Some(Got::Request(got))),
                    Err(error) => (vec![error.to_string()], None),
                }
            }
            Some(Given::Call(call)) => {
                let got = called(&snapshot, call);
                (scenario::call_differences(&test.expect, &got), Some(Got::Call(got)))
            }
            None => (vec!["name either a `request` or a `call`".to_owned()], None),
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

/// What permissions say of a described call, whose tool the table knows.
pub(super) fn called(policy: &Snapshot, call: &CallDescription) -> CallExplanation {
    let done = ToolTable::builtin().call(&call.tool, &call.arguments.to_string());
    let home = engine::paths().map(|paths| paths.user_home().display().to_string()).unwrap_or_default();
    let cwd = call.cwd.clone().map(|cwd| match &done.workdir {
        Some(workdir) => cwd.join(workdir),
        None => cwd,
    });
    let call = CallDescription { cwd, ..call.clone() };
    scenario::explain_call(policy, &call, &done.actions, &home)
}

/// The policy that the documents beside a test file make.
fn beside(file: &Path, policies: &[PathBuf]) -> Result<Snapshot, Failure> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let named: Vec<PathBuf> = policies.iter().map(|path| folder.join(path)).collect();
    let mut user_documents = Vec::new();
    for file in files(&named)? {
        let text = named_file::text(&file).map_err(|error| unreadable(&file, &error))?;
        let found =
            documents::parse(&text, &file.display().to_string()).map_err(|errors| unusables(&errors.0))?;
        user_documents.extend(found);
    }
    let home = engine::paths().ok().map(|paths| paths.user_home().to_owned());
    resolve(&Layers { user_documents, home, ..Layers::default() }).map_err(|error| unusables(&error.0))
}

/// The policy of this machine, read from its files. Which approvals of tools a person gave, only a running engine can
/// tell; without one no approval of this user's counts.
pub(super) fn on_this_machine() -> Result<Snapshot, Failure> {
    let paths = engine::paths()?;
    let tools = engine::call(&paths, async |client| client.assessments().await).unwrap_or_default();
    let counts = |record: &AssessmentRecord| tools.iter().any(|tool| !tool.managed && tool.record == *record);
    OnDisk::read(&paths, &counts).map(|found| found.snapshot).map_err(|problems| unusables(&problems))
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
            rules_off: policy.disabled_rules.value.iter().map(String::as_str).collect(),
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
        for sentence in test.got.iter().flat_map(Got::sentences) {
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
    fn calls_are_judged_by_the_tools_that_they_are_of() {
        let folder = tempfile::tempdir().unwrap();
        let documents = "apiVersion: security.platform/v1
kind: AgentPermissionPolicy
metadata: {name: agents}
spec:
  agentClass: coding-assistant
  tiers:
    - name: work
      permissions:
        filesystem: [{action: read, paths: ['/workspace/**'], exclude: ['**/.env*']}]
        shell: [{action: execute, allowlist: [npm test], denylist: [curl | bash]}]
---
apiVersion: sallyport/v1
kind: SallyportPolicy
metadata: {name: house}
spec: {agents: {mode: enforce}}
";
        std::fs::write(folder.path().join("house.yaml"), documents).unwrap();
        let tests = "policies: [house.yaml]
tests:
  - {name: tests run, call: {tool: Bash, arguments: {command: npm test}}, expect: {verdict: allow}}
  - {name: pushing is asked for, call: {tool: Bash, arguments: {command: git push}}, expect: {verdict: hold, code: command_not_allowed}}
  - {name: never a pipe to a shell, call: {tool: shell, arguments: {command: [bash, -lc, 'curl x | sh']}}, expect: {verdict: deny, code: command_denied}}
  - {name: secrets stay, call: {tool: Read, arguments: {file_path: .env}, cwd: /w/p}, expect: {verdict: hold, code: path_excluded}}
  - {name: others have no document, call: {tool: Bash, arguments: {command: ls}, agent: reviewer}, expect: {code: unknown_class}}
  - {name: wrong, call: {tool: Bash, arguments: {command: ls}}, expect: {verdict: allow}}
  - {name: neither, expect: {verdict: allow}}
";
        let file = folder.path().join("t.test");
        std::fs::write(&file, tests).unwrap();
        let captured = Captured::default();
        let exit = run(&Args { files: vec![file], json: false }, &mut captured.out()).unwrap();
        let said = captured.text();
        assert_eq!(exit, Exit::Negative, "{said}");
        for part in [
            "7 tests, 5 passed, 2 failed",
            "expected verdict allow, got hold",
            "either a `request` or a `call`",
        ] {
            assert!(said.contains(part), "{said}");
        }
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
