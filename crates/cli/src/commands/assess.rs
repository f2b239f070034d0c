//! `assess`: the security assessment of a tool, question by question, until it may be approved.
//!
//! The engine keeps them and seals approvals. What an approval changes is policy's to say (`unapprovedTools`).

use sallyport_ipc::types::{AssessmentAnswer, AssessmentApproval, AssessmentDraft, AssessmentView};
use sallyport_platform::Paths;
use sallyport_policy::assessment::Standing;
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
/// Whoever approves is asked by the operating system who is at the desk.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = format!("Examples:\n  sallyport assess new cursor --provider cursor\n  sallyport assess answer cursor data-usage --answer 'Not trained on' --evidence dpa.pdf\n  sallyport assess answer cursor api-security --answer 'No rate limits' \\\n    --severity high --mitigation 'Own limits'\n  sallyport assess show cursor\n  sallyport assess approve cursor --until 2027-06-30\n\n{EXIT_CODES}"))]
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
    #[command(after_help = format!("Example:\n  sallyport assess answer cursor api-security --answer 'No rate limits' \\\n    --severity high --mitigation 'Own limits'\n\nAn approval is void once an answer changes.\n\n{EXIT_CODES}"))]
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
    ///
    /// The operating system asks who is at the desk. An approval counts for the answers that it was given for.
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
    tools: Vec<AssessmentView>,
}

pub(crate) fn run(args: Args, out: &mut Out) -> Outcome {
    let paths = engine::paths()?;
    match args.command {
        Command::New { tool, providers, template, certificates } => {
            let draft = AssessmentDraft { tool, providers, template, certificates };
            let begun = engine::call(&paths, async |client| client.assessment_begin(&draft).await)?;
            stands(&begun, out)
        }
        Command::Answer { tool, question, answer, severity, mitigation, evidence } => {
            let severity = severity.as_deref().map(severity_of).transpose()?;
            let answer = AssessmentAnswer { tool, question, answer, severity, mitigation, evidence };
            let answered = engine::call(&paths, async |client| client.assessment_answer(&answer).await)?;
            stands(&answered, out)
        }
        Command::Show { tool, json } => show(&paths, tool.as_deref(), json, out),
        Command::Approve { tool, until } => approve(&paths, &AssessmentApproval { tool, until }, out),
    }
}

fn stands(tool: &AssessmentView, out: &mut Out) -> Outcome {
    out.line(format!("{}: {}.", tool.record.tool, tool.standing))?;
    Ok(Exit::Ok)
}

fn approve(paths: &Paths, approval: &AssessmentApproval, out: &mut Out) -> Outcome {
    // Nobody is asked who they are for what can't be done.
    let tools = engine::call(paths, async |client| client.assessments().await)?;
    let known = tools.into_iter().find(|known| known.record.tool == approval.tool && !known.managed);
    if let Some(known) = known {
        match known.standing {
            Standing::Ready | Standing::Approved { .. } | Standing::Due { .. } => {}
            standing => {
                out.line(format!("{} can't be approved: {standing}.", approval.tool))?;
                return Ok(Exit::Negative);
            }
        }
    }
    let approved = engine::call_guarded(paths, async |client| client.assessment_approve(approval).await)?;
    out.line(format!("{} is {}.", approved.record.tool, approved.standing))?;
    Ok(Exit::Ok)
}

fn show(paths: &Paths, tool: Option<&str>, json: bool, out: &mut Out) -> Outcome {
    let mut tools = engine::call(paths, async |client| client.assessments().await)?;
    if let Some(name) = tool {
        tools.retain(|tool| tool.record.tool == name);
        if tools.is_empty() {
            return Err(Failure::usage(format!("{name} has no assessment"))
                .hint(format!("begin one with `sallyport assess new {name} --provider NAME`")));
        }
    }
    let approved = tools.iter().all(|tool| tool.standing.is_approved());
    let view = View { tools };
    match (json, tool) {
        (true, _) => out.json(&view)?,
        (false, None) => list(&view, out)?,
        (false, Some(_)) => view.tools.iter().try_for_each(|tool| details(tool, out))?,
    }
    Ok(if approved { Exit::Ok } else { Exit::Negative })
}

fn severity_of(word: &str) -> Result<Severity, Failure> {
    yaml::from_str(word).map_err(|_| {
        Failure::usage(format!("{word} is no severity")).hint("severities are low, medium, high and critical")
    })
}

/// Where a tool stands, and whether anybody goes by that.
fn said(tool: &AssessmentView) -> String {
    match (tool.counts, tool.managed) {
        (false, _) => format!("{}; policy goes by the administrator's assessments alone", tool.standing),
        (true, true) => format!("{} (managed)", tool.standing),
        (true, false) => tool.standing.to_string(),
    }
}

fn list(view: &View, out: &mut Out) -> Result<(), Failure> {
    if view.tools.is_empty() {
        out.line("No tool has been assessed. Begin with `sallyport assess new TOOL --provider NAME`.")?;
        return Ok(());
    }
    let mut table = Table::new(&["tool", "providers", "standing"]);
    for tool in &view.tools {
        let providers: Vec<_> = tool.record.providers.iter().cloned().collect();
        table.row([tool.record.tool.clone(), providers.join(", "), said(tool)]);
    }
    out.table(table)?;
    Ok(())
}

fn details(tool: &AssessmentView, out: &mut Out) -> Result<(), Failure> {
    let title = out.paint(Accent::Strong, &tool.record.tool);
    out.line(format!("{title}  {}", said(tool)))?;
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
