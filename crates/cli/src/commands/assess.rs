//! `assess`: the security assessment of a tool, question by question, until it may be approved.
//!
//! One file per tool in the state folder. What an approval changes is policy's to say (`unapprovedTools`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Zoned;
use sallyport_engine::OnDisk;
use sallyport_platform::Paths;
use sallyport_policy::assessment::{self, Answer, Approval, AssessmentRecord, Day, Standing};
use sallyport_policy::documents::Assessment;
use sallyport_policy::settings::UnapprovedTools;
use sallyport_policy::{Severity, yaml};
use serde::Serialize;

use crate::cli::EXIT_CODES;
use crate::commands::status::plural;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Accent, Out, Table};

/// Assess a tool's security by a template, and approve it
///
/// The template is a SecurityAssessmentTemplate among the policy documents; its conditions decide whether the tool can
/// be approved. With `unapprovedTools: block` in a SallyportPolicy, providers of tools without an approval are refused.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = format!("Examples:\n  sallyport assess new cursor --provider cursor\n  sallyport assess answer cursor data-usage --answer 'Not trained on' --evidence dpa.pdf\n  sallyport assess answer cursor api-security --answer 'No rate limits' --severity high --mitigation 'Own limits'\n  sallyport assess show cursor\n  sallyport assess approve cursor --until 2027-06-30\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Begin the assessment of a tool
    #[command(after_help = format!("Example:\n  sallyport assess new cursor --provider cursor --certificate SOC2\n\n{EXIT_CODES}"))]
    New {
        /// A word for the tool, such as cursor
        tool: String,
        /// Providers that the tool talks to, by name
        #[arg(long = "provider", value_name = "NAME", required = true)]
        providers: Vec<String>,
        /// Name of the template, if there is more than one
        #[arg(long, value_name = "NAME")]
        template: Option<String>,
        /// What the vendor is certified for, such as SOC2 or ISO27001
        #[arg(long = "certificate", value_name = "NAME")]
        certificates: Vec<String>,
    },
    /// Answer a question of the template, with evidence, and what is done about the risk
    #[command(after_help = format!("Example:\n  sallyport assess answer cursor api-security --answer 'No rate limits' --severity high --mitigation 'Own limits'\n\nAn approval is void once an answer changes.\n\n{EXIT_CODES}"))]
    Answer {
        /// The tool
        tool: String,
        /// The question's id, as `assess show` prints it
        question: String,
        /// The answer
        #[arg(long, value_name = "TEXT")]
        answer: String,
        /// How bad the risk is that the answer shows: low, medium, high or critical
        #[arg(long, value_name = "SEVERITY")]
        severity: Option<String>,
        /// What is done about the risk
        #[arg(long, value_name = "TEXT")]
        mitigation: Option<String>,
        /// A document or link that shows it
        #[arg(long, value_name = "WHERE")]
        evidence: Vec<String>,
    },
    /// Show where tools stand, or one tool's answers, open questions and conditions
    #[command(after_help = format!("Examples:\n  sallyport assess show\n  sallyport assess show cursor --json\n\n{EXIT_CODES}"))]
    Show {
        /// One tool
        tool: Option<String>,
        /// Print it as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Approve a tool whose answers meet every condition
    #[command(after_help = format!("Example:\n  sallyport assess approve cursor --until 2027-06-30\n\nWhere managed policy refuses unapproved tools, only assessments in the managed folder count.\n\n{EXIT_CODES}"))]
    Approve {
        /// The tool
        tool: String,
        /// The assessment comes up again then; a year from now if left out
        #[arg(long, value_name = "DAY")]
        until: Option<String>,
    },
}

#[derive(Debug, Serialize)]
struct View {
    tools: Vec<ToolView>,
}

#[derive(Debug, Serialize)]
struct ToolView {
    #[serde(flatten)]
    record: AssessmentRecord,
    standing: Standing,
    questions: Vec<QuestionView>,
    conditions: Vec<ConditionView>,
}

#[derive(Debug, Serialize)]
struct QuestionView {
    id: String,
    question: String,
    answered: bool,
    required_evidence: Vec<String>,
    risk_factors: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ConditionView {
    name: String,
    met: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) fn run(args: Args, out: &mut Out) -> Outcome {
    let desk = Desk::open()?;
    match args.command {
        Command::New { tool, providers, template, certificates } => {
            desk.begin(&tool, providers, template, certificates, out)
        }
        Command::Answer { tool, question, answer, severity, mitigation, evidence } => {
            let severity = severity.as_deref().map(severity_of).transpose()?;
            desk.answer(&tool, question, Answer { answer, severity, mitigation, evidence }, out)
        }
        Command::Show { tool, json } => desk.show(tool.as_deref(), json, out),
        Command::Approve { tool, until } => desk.approve(&tool, until.as_deref(), out),
    }
}

/// The files, and the policy that they are judged by.
struct Desk {
    folder: PathBuf,
    managed: PathBuf,
    policy: OnDisk,
    user: String,
    today: Day,
}

impl Desk {
    fn open() -> Result<Desk, Failure> {
        Desk::at(&engine::paths()?)
    }

    fn at(paths: &Paths) -> Result<Desk, Failure> {
        let policy = OnDisk::read(paths).map_err(|problems| {
            let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Failure::usage(said.join("\n")).hint("mend the policy first: `sallyport policy check` says more")
        })?;
        let today = day(&Zoned::now())?;
        Ok(Desk {
            folder: paths.assessments_dir(),
            managed: paths.managed_assessments_dir(),
            policy,
            user: std::env::var("USER").unwrap_or_else(|_| "this user".into()),
            today,
        })
    }

    fn template(&self, name: &str) -> Option<&Assessment> {
        assessment::templates(&self.policy.documents).get(name).copied()
    }

    fn begin(
        &self,
        tool: &str,
        providers: Vec<String>,
        template: Option<String>,
        certificates: Vec<String>,
        out: &mut Out,
    ) -> Outcome {
        let file = self.file(tool)?;
        if file.exists() {
            return Err(Failure::usage(format!("{tool} has an assessment already"))
                .hint(format!("`sallyport assess show {tool}` shows it")));
        }
        if let Some(name) =
            providers.iter().find(|name| self.policy.snapshot.providers.provider(name).is_none())
        {
            return Err(Failure::usage(format!("no provider is called {name}"))
                .hint("`sallyport policy show` and docs/policy.md name providers"));
        }
        let known = assessment::templates(&self.policy.documents);
        let template = match template {
            Some(name) => name,
            None if known.len() == 1 => {
                known.keys().next().map(|name| (*name).to_owned()).unwrap_or_default()
            }
            None => {
                return Err(Failure::usage("which template?").hint(match known.len() {
                    0 => "put a SecurityAssessmentTemplate among the policy documents".to_owned(),
                    _ => format!("--template {}", known.keys().copied().collect::<Vec<_>>().join(" or ")),
                }));
            }
        };
        if !known.contains_key(template.as_str()) {
            return Err(Failure::usage(format!("no SecurityAssessmentTemplate is called {template}"))
                .hint("put it among the policy documents"));
        }
        let record = AssessmentRecord {
            tool: tool.to_owned(),
            providers: providers.into_iter().collect(),
            template,
            created: self.today.clone(),
            certificates: certificates.into_iter().collect::<BTreeSet<_>>(),
            answers: Default::default(),
            approval: None,
        };
        self.write(&record)?;
        let standing = self.standing(&record);
        out.line(format!("{tool}: {standing}."))?;
        Ok(Exit::Ok)
    }

    fn answer(&self, tool: &str, question: String, answer: Answer, out: &mut Out) -> Outcome {
        let mut record = self.read(tool)?;
        let template = self.template(&record.template);
        let ids: Vec<&str> = template
            .into_iter()
            .flat_map(|template| &template.phases)
            .flat_map(|phase| &phase.questions)
            .map(|question| question.id.as_str())
            .collect();
        if !ids.contains(&question.as_str()) {
            return Err(Failure::usage(format!("{} asks no question {question}", record.template))
                .hint(format!("its questions are {}", ids.join(", "))));
        }
        record.answers.insert(question, answer);
        // It was given for other answers.
        record.approval = None;
        self.write(&record)?;
        out.line(format!("{tool}: {}.", self.standing(&record)))?;
        Ok(Exit::Ok)
    }

    fn approve(&self, tool: &str, until: Option<&str>, out: &mut Out) -> Outcome {
        let mut record = self.read(tool)?;
        let until = match until {
            Some(text) => Day::parse(text)
                .ok_or_else(|| Failure::usage(format!("{text} is no day")).hint("such as 2027-06-30"))?,
            None => day(&Zoned::now().saturating_add(jiff::Span::new().years(1)))?,
        };
        if until < self.today {
            return Err(Failure::usage(format!("{until} has passed already")));
        }
        record.approval = Some(Approval { by: self.user.clone(), on: self.today.clone(), until });
        match self.standing(&record) {
            Standing::Approved { until } => {
                let refuses = &self.policy.snapshot.unapproved_tools;
                if refuses.locked && refuses.value != UnapprovedTools::Allow {
                    return Err(Failure::new("managed policy decides which tools are approved here").hint(
                        format!(
                            "hand {} to whoever manages this machine; assessments in {} count",
                            self.file(tool)?.display(),
                            self.managed.display()
                        ),
                    ));
                }
                self.write(&record)?;
                out.line(format!("{tool} is approved until {until}."))?;
                Ok(Exit::Ok)
            }
            standing => {
                out.line(format!("{tool} can't be approved: {standing}."))?;
                Ok(Exit::Negative)
            }
        }
    }

    fn show(&self, tool: Option<&str>, json: bool, out: &mut Out) -> Outcome {
        let records = match tool {
            Some(tool) => vec![self.read(tool)?],
            None => self.all()?,
        };
        let tools: Vec<_> = records.into_iter().map(|record| self.view(record)).collect();
        let approved = tools.iter().all(|tool| tool.standing.is_approved());
        let view = View { tools };
        match (json, tool) {
            (true, _) => out.json(&view)?,
            (false, None) => list(&view, out)?,
            (false, Some(_)) => view.tools.iter().try_for_each(|tool| details(tool, out))?,
        }
        Ok(if approved { Exit::Ok } else { Exit::Negative })
    }

    fn standing(&self, record: &AssessmentRecord) -> Standing {
        assessment::standing(record, self.template(&record.template), &self.today)
    }

    fn view(&self, record: AssessmentRecord) -> ToolView {
        let template = self.template(&record.template);
        let asked = template.into_iter().flat_map(|t| &t.phases).flat_map(|phase| &phase.questions);
        let questions = asked.map(|question| QuestionView {
            id: question.id.clone(),
            question: question.question.clone(),
            answered: record.answers.contains_key(&question.id),
            required_evidence: question.required_evidence.clone(),
            risk_factors: question.risk_factors.clone(),
        });
        let judged = template.map(|template| assessment::criteria(&record, template)).unwrap_or_default();
        let conditions = judged.into_iter().map(|(name, met)| ConditionView {
            name: name.to_owned(),
            met: met == Ok(true),
            error: met.err().map(|error| error.to_string()),
        });
        ToolView {
            standing: self.standing(&record),
            questions: questions.collect(),
            conditions: conditions.collect(),
            record,
        }
    }

    fn all(&self) -> Result<Vec<AssessmentRecord>, Failure> {
        let mut files: Vec<PathBuf> = [&self.folder, &self.managed]
            .into_iter()
            .filter_map(|folder| std::fs::read_dir(folder).ok())
            .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
            .filter(|file| file.extension().is_some_and(|ending| ending == "yaml"))
            .collect();
        files.sort();
        files.iter().map(|file| read(file)).collect()
    }

    fn read(&self, tool: &str) -> Result<AssessmentRecord, Failure> {
        let own = self.file(tool)?;
        let managed = self.managed.join(own.file_name().unwrap_or_default());
        let file = if own.exists() { own } else { managed };
        if !file.exists() {
            return Err(Failure::usage(format!("{tool} has no assessment"))
                .hint(format!("begin one with `sallyport assess new {tool} --provider NAME`")));
        }
        read(&file)
    }

    fn write(&self, record: &AssessmentRecord) -> Result<(), Failure> {
        let failed = |error: sallyport_platform::Error| {
            Failure::caused(format!("could not write the assessment of {}", record.tool), &error)
        };
        sallyport_platform::fs::ensure_private_dir(&self.folder).map_err(failed)?;
        // JSON is YAML, and needs no second writer.
        let text = serde_json::to_string_pretty(record)
            .map_err(|error| Failure::caused("could not write the assessment", &error))?;
        let file = self.file(&record.tool)?;
        sallyport_platform::fs::write_private_atomic(&file, format!("{text}\n").as_bytes(), 0o600)
            .map_err(failed)
    }

    fn file(&self, tool: &str) -> Result<PathBuf, Failure> {
        let word = !tool.is_empty()
            && tool.len() <= 64
            && tool.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !word {
            return Err(Failure::usage(format!("{tool} can't name a tool"))
                .hint("use lower-case letters, digits and -, such as github-copilot"));
        }
        Ok(self.folder.join(format!("{tool}.yaml")))
    }
}

fn read(file: &Path) -> Result<AssessmentRecord, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::caused(format!("could not read {}", file.display()), &error))?;
    assessment::parse(&text, &file.display().to_string()).map_err(|error| Failure::new(error.to_string()))
}

fn day(at: &Zoned) -> Result<Day, Failure> {
    Day::parse(&at.date().to_string())
        .ok_or_else(|| Failure::new("this machine's clock shows no usable date"))
}

fn severity_of(word: &str) -> Result<Severity, Failure> {
    yaml::from_str(word).map_err(|_| {
        Failure::usage(format!("{word} is no severity")).hint("severities are low, medium, high and critical")
    })
}

fn list(view: &View, out: &mut Out) -> Result<(), Failure> {
    if view.tools.is_empty() {
        out.line("No tool has been assessed. Begin with `sallyport assess new TOOL --provider NAME`.")?;
        return Ok(());
    }
    let mut table = Table::new(&["tool", "providers", "standing"]);
    for tool in &view.tools {
        let providers: Vec<_> = tool.record.providers.iter().cloned().collect();
        table.row([tool.record.tool.clone(), providers.join(", "), tool.standing.to_string()]);
    }
    out.table(table)?;
    Ok(())
}

fn details(tool: &ToolView, out: &mut Out) -> Result<(), Failure> {
    let title = out.paint(Accent::Strong, &tool.record.tool);
    out.line(format!("{title}  {}", tool.standing))?;
    for question in &tool.questions {
        out.blank()?;
        out.line(format!("{}: {}", question.id, question.question))?;
        match tool.record.answers.get(&question.id) {
            None => {
                let word = out.paint(Accent::Notice, "not answered");
                out.line(format!("  {word}; evidence wanted: {}", question.required_evidence.join(", ")))?;
                out.line(format!("  risks to look for: {}", question.risk_factors.join(", ")))?;
            }
            Some(answer) => {
                out.line(format!("  {}", answer.answer))?;
                if let Some(severity) = answer.severity {
                    let done = answer.mitigation.as_deref().unwrap_or("nothing is done about it");
                    out.line(format!("  risk {}: {done}", severity.as_str()))?;
                }
                if !answer.evidence.is_empty() {
                    out.line(format!("  evidence: {}", answer.evidence.join(", ")))?;
                }
            }
        }
    }
    out.blank()?;
    for condition in &tool.conditions {
        let word =
            if condition.met { out.paint(Accent::Good, "met") } else { out.paint(Accent::Bad, "not met") };
        let error = condition.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        out.line(format!("{word}  {}{error}", condition.name))?;
    }
    let open = tool.questions.iter().filter(|question| !question.answered).count();
    if open > 0 {
        out.line(format!("{} open.", plural(open as u64, "question")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::Captured;

    const TEMPLATE: &str =
        include_str!("../../../../assets/policies/examples/ai-tool-security-assessment.yaml");

    fn desk() -> (tempfile::TempDir, Paths) {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::under(folder.path()).managed_at(&folder.path().join("etc"));
        std::fs::create_dir_all(paths.policies_dir()).unwrap();
        std::fs::write(paths.policies_dir().join("template.yaml"), TEMPLATE).unwrap();
        (folder, paths)
    }

    fn said(outcome: Outcome, captured: &Captured) -> String {
        match outcome {
            Ok(_) => captured.text(),
            Err(failure) => failure.message().to_owned(),
        }
    }

    #[test]
    fn a_tool_is_assessed_until_it_can_be_approved() {
        let (_folder, paths) = desk();
        let begin = |provider: &str| {
            let captured = Captured::default();
            let desk = Desk::at(&paths).unwrap();
            let soc = vec!["SOC 2".to_owned()];
            said(desk.begin("cursor", vec![provider.into()], None, soc, &mut captured.out()), &captured)
        };
        assert_eq!(begin("cursr"), "no provider is called cursr");
        assert!(begin("cursor").starts_with("cursor: not answered: data-residency, data-usage"));
        assert_eq!(begin("cursor"), "cursor has an assessment already");
        let desk = Desk::at(&paths).unwrap();
        let answer = |question: &str, severity, mitigation: Option<&str>| {
            let captured = Captured::default();
            let answer = Answer {
                answer: "so".into(),
                severity,
                mitigation: mitigation.map(Into::into),
                evidence: vec!["dpa.pdf".into()],
            };
            said(desk.answer("cursor", question.into(), answer, &mut captured.out()), &captured)
        };
        let approve = || {
            let captured = Captured::default();
            said(desk.approve("cursor", Some("2999-01-01"), &mut captured.out()), &captured)
        };
        assert_eq!(answer("colour", None, None), "ai-tool-assessment asks no question colour");
        for question in [
            "data-residency",
            "data-usage",
            "security-certifications",
            "api-security",
            "data-transmission",
            "permission-scope",
        ] {
            answer(question, None, None);
        }
        assert!(approve().contains("can't be approved: not answered: audit-capability"));
        let after = answer("audit-capability", Some(Severity::High), None);
        assert_eq!(after, "cursor: conditions not met: high-risks-mitigated.\n");
        assert!(approve().contains("high-risks-mitigated"));
        answer("audit-capability", Some(Severity::High), Some("own logs"));
        assert_eq!(approve(), "cursor is approved until 2999-01-01.\n");
        let policy = OnDisk::read(&paths).unwrap().snapshot;
        assert!(policy.assessed(policy.providers.provider("cursor").unwrap()));
        let captured = Captured::default();
        assert_eq!(desk.show(None, false, &mut captured.out()).unwrap(), Exit::Ok);
        assert!(captured.text().contains("approved until 2999-01-01"), "{}", captured.text());
        answer("data-usage", Some(Severity::Critical), None);
        let captured = Captured::default();
        assert_eq!(desk.show(Some("cursor"), true, &mut captured.out()).unwrap(), Exit::Negative);
        assert!(captured.text().contains("\"state\": \"failing\""), "{}", captured.text());
    }

    #[test]
    fn where_managed_policy_decides_a_user_approves_nothing() {
        let (_folder, paths) = desk();
        std::fs::create_dir_all(paths.managed_policies_dir()).unwrap();
        let spec = "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {name: x}\nspec: {unapprovedTools: block}\n";
        std::fs::write(paths.managed_policies_dir().join("x.yaml"), spec).unwrap();
        let desk = Desk::at(&paths).unwrap();
        let mut out = Captured::default().out();
        desk.begin("cursor", vec!["cursor".into()], None, vec!["SOC2".into()], &mut out).unwrap();
        let questions: Vec<_> = desk.view(desk.read("cursor").unwrap()).questions;
        for question in questions {
            let answer = Answer { answer: "x".into(), severity: None, mitigation: None, evidence: vec![] };
            desk.answer("cursor", question.id, answer, &mut out).unwrap();
        }
        let failure = desk.approve("cursor", None, &mut out).unwrap_err();
        assert!(failure.message().contains("managed policy decides"), "{}", failure.message());
        let policy = OnDisk::read(&paths).unwrap().snapshot;
        assert!(!policy.assessed(policy.providers.provider("cursor").unwrap()));
    }
}
