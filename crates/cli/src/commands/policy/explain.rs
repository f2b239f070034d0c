//! `policy explain`: what is decided about a request, and by which settings and documents.

use std::path::PathBuf;

use sallyport_ipc::types::AuditFilter;
use sallyport_policy::scenario::{
    self, CallDescription, Explanation, FoundDescription, RequestDescription, Word,
};
use sallyport_policy::settings::{DocumentSummary, Origin, SettingRow};
use sallyport_policy::{Level, yaml};
use serde::Serialize;
use serde_json::Value;

use super::shown;
use super::test::{Looking, called, on_this_machine};
use crate::cli::EXIT_CODES;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Out, Table};

/// Say what policy decides about a request, and which settings and documents say so
///
/// Describe a request, or name an exchange by its id in the audit trail: what was recorded is then told beside what the
/// policy of now would do. With --tool, describe a tool call of an answer: what permissions say of it. A description needs
/// no engine.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = format!("Examples:\n  sallyport policy explain --provider openai --text 'COMPANY CONFIDENTIAL'\n  sallyport policy explain --host api.anthropic.com --path /v1/messages \\\n    --finding db-password=confidential\n  sallyport policy explain --tool Bash --arguments '{{\"command\": \"git push\"}}' \\\n    --agent coding-assistant\n  sallyport policy explain 0199a0c2-7c1d-7e63-9d1c-3d2f8a4b5c6d\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// An exchange id, as `audit query --json` shows it
    #[arg(value_name = "EXCHANGE", conflicts_with_all = ["provider", "host"])]
    exchange: Option<String>,
    /// Name of the provider
    #[arg(long)]
    provider: Option<String>,
    /// Host that the request is for, if not by its provider's name
    #[arg(long, conflicts_with = "provider")]
    host: Option<String>,
    /// Path of the request
    #[arg(long)]
    path: Option<String>,
    /// Folder that the tool works in
    #[arg(long, value_name = "FOLDER")]
    workspace: Option<PathBuf>,
    /// What the request says
    #[arg(long)]
    text: Option<String>,
    /// A finding besides those in the text, with its level
    #[arg(long = "finding", value_name = "RULE=LEVEL")]
    findings: Vec<String>,
    /// A level that a content rule gives it
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
    /// A tool that an answer calls, as the agent names it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["exchange", "provider", "host", "path", "text", "findings", "level"])]
    tool: Option<String>,
    /// What the model gives the tool, as JSON
    #[arg(long, value_name = "JSON", requires = "tool")]
    arguments: Option<String>,
    /// The class of the agent that calls
    #[arg(long, value_name = "CLASS", requires = "tool")]
    agent: Option<String>,
    /// Print the explanation as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    /// What the trail holds of the exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded: Option<Recorded>,
    #[serde(flatten)]
    explanation: Explanation,
}

#[derive(Debug, Serialize)]
struct Recorded {
    exchange_id: String,
    provider: String,
    classification: String,
    violation: Option<String>,
    redactions: Vec<String>,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome {
    if let Some(tool) = &args.tool {
        return call(args, tool, out);
    }
    let (request, recorded) = match &args.exchange {
        Some(id) => {
            let (request, recorded) = recorded(id)?;
            (request, Some(recorded))
        }
        None => (described(args)?, None),
    };
    let policy = on_this_machine()?;
    let found = Looking::new()?.at(&policy, &request);
    let explanation =
        scenario::explain(&policy, &request, &found).map_err(|error| Failure::usage(error.to_string()))?;
    let blocked = explanation.code.is_some();
    let report = Report { recorded, explanation };
    if args.json {
        out.json(&report)?;
    } else {
        show(&report, out)?;
    }
    Ok(if blocked { Exit::Negative } else { Exit::Ok })
}

/// What permissions say of a call.
fn call(args: &Args, tool: &str, out: &mut Out) -> Outcome {
    let arguments = args.arguments.as_deref().unwrap_or("{}");
    let arguments = serde_json::from_str(arguments).map_err(|error| {
        Failure::usage(format!("the arguments are no JSON: {error}"))
            .hint("such as --arguments '{\"command\": \"npm test\"}'")
    })?;
    let cwd = args.workspace.clone().or_else(|| std::env::current_dir().ok());
    let described = CallDescription { tool: tool.to_owned(), arguments, agent: args.agent.clone(), cwd };
    let got = called(&on_this_machine()?, &described);
    let stopped = matches!(got.verdict, Word::Deny | Word::Hold);
    if args.json {
        out.json(&got)?;
    } else {
        let none = || "none".to_owned();
        out.pairs(&[
            ("verdict", got.verdict.as_str().to_owned()),
            ("agent", got.agent.clone()),
            ("tier", got.tier.clone().unwrap_or_else(|| "the first of its document".to_owned())),
            ("rule", got.code.clone().unwrap_or_else(none)),
            ("said in", got.place.clone().unwrap_or_else(none)),
        ])?;
        for sentence in &got.sentences {
            out.line(sentence)?;
        }
        behind(&got.settings, &got.documents, out)?;
    }
    Ok(if stopped { Exit::Negative } else { Exit::Ok })
}

fn level(word: &str) -> Result<Level, Failure> {
    yaml::from_str(word).map_err(|_| {
        let words: Vec<_> = Level::ALL.into_iter().map(Level::as_str).collect();
        Failure::usage(format!("{word} is no level")).hint(format!("levels are {}", words.join(", ")))
    })
}

fn described(args: &Args) -> Result<RequestDescription, Failure> {
    let findings = args.findings.iter().map(|text| {
        let (rule, word) = text.split_once('=').unwrap_or((text, "confidential"));
        Ok(FoundDescription { rule: rule.to_owned(), level: level(word)?, place: None, locked: false })
    });
    Ok(RequestDescription {
        provider: args.provider.clone(),
        host: args.host.clone(),
        path: args.path.clone(),
        workspace: args.workspace.clone(),
        text: args.text.clone(),
        findings: findings.collect::<Result<_, Failure>>()?,
        level: args.level.as_deref().map(level).transpose()?,
        ..RequestDescription::default()
    })
}

/// The exchange as the trail holds it: without its text, so that only what was found in it is told anew.
fn recorded(id: &str) -> Result<(RequestDescription, Recorded), Failure> {
    let filter = AuditFilter { exchange_id: Some(id.to_owned()), ..AuditFilter::default() };
    let page = engine::call(&engine::paths()?, async |client| client.audit_query(&filter).await)?;
    let asked = ["prompt_sent", "policy_violation"];
    let row = page.rows.iter().find(|row| asked.iter().any(|word| row["event_type"] == *word));
    let row = row.ok_or_else(|| {
        Failure::new(format!("the trail holds no request of the exchange {id}"))
            .hint("`sallyport audit query --json` shows exchange ids")
    })?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let redactions: Vec<String> =
        row["request"]["redactions_applied"].as_array().into_iter().flatten().map(text).collect();
    let after = level(&text(&row["request"]["classification"])).unwrap_or_default();
    let actions = row["actions"].as_array().into_iter().flatten();
    let before = actions.clone().find(|action| action["action_type"] == "classified");
    let before = before.and_then(|action| level(&text(&action["target"])).ok()).unwrap_or(after);
    // A rerouted request was meant for another host.
    let meant = actions.clone().find(|action| action["action_type"] == "request_rerouted");
    let endpoint = text(&row["ai_provider"]["endpoint"]);
    let path = endpoint.find('/').map(|at| endpoint[at..].to_owned());
    let provider = text(&row["ai_provider"]["name"]);
    let found = |rule: &String| FoundDescription {
        rule: rule.trim_start_matches("secret:").to_owned(),
        level: before,
        place: None,
        locked: false,
    };
    let request = RequestDescription {
        provider: meant.is_none().then(|| provider.clone()),
        host: meant.map(|action| text(&action["target"])),
        path,
        findings: redactions.iter().map(found).collect(),
        level: (after > Level::Public).then_some(after),
        ..RequestDescription::default()
    };
    let recorded = Recorded {
        exchange_id: id.to_owned(),
        provider,
        classification: after.to_string(),
        violation: row["violation_type"].as_str().map(str::to_owned),
        redactions,
    };
    Ok((request, recorded))
}

fn show(report: &Report, out: &mut Out) -> Result<(), Failure> {
    if let Some(recorded) = &report.recorded {
        let what = match &recorded.violation {
            Some(violation) => format!("refused ({violation})"),
            None => "sent".to_owned(),
        };
        out.line(format!(
            "Recorded: {what}, for {}, level {}. The policy of now:",
            recorded.provider, recorded.classification
        ))?;
        out.blank()?;
    }
    let Explanation { verdict, provider, level_before, level_after, redactions, .. } = &report.explanation;
    out.pairs(&[
        ("verdict", verdict.as_str().to_owned()),
        ("provider", provider.clone()),
        ("level as written", level_before.to_string()),
        ("level as sent", level_after.to_string()),
        ("taken out", if redactions.is_empty() { "nothing".into() } else { redactions.join(", ") }),
    ])?;
    for sentence in &report.explanation.sentences {
        out.line(sentence)?;
    }
    behind(&report.explanation.settings, &report.explanation.documents, out)
}

/// The settings and documents that had a say.
fn behind(settings: &[SettingRow], documents: &[DocumentSummary], out: &mut Out) -> Result<(), Failure> {
    out.blank()?;
    let mut table = Table::new(&["setting", "value", "from", "locked"]);
    for row in settings {
        let locked = if row.locked { "locked" } else { "" };
        table.row([row.key.clone(), shown(&row.value), row.origin.as_str().to_owned(), locked.to_owned()]);
    }
    out.table(table)?;
    for document in documents {
        let whose = if document.origin == Origin::Managed { "managed " } else { "" };
        out.line(format!(
            "{whose}{} {}  {}:{}",
            document.kind.as_str(),
            document.name,
            document.file,
            document.line
        ))?;
    }
    Ok(())
}
