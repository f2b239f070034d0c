//! `flows`: the open connections, whose they are and what is done with them.

use jiff::Timestamp;
use sallyport_ipc::types::{Flow, Handling};

use crate::cli::EXIT_CODES;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Out, Table};
use crate::when;

/// Show the open connections, with the process and the service account behind each
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  sallyport flows\n  sallyport flows --json | jq -r '.[].account'\n\nA connection is intercepted (an AI host, inspected), tunnelled (passed on unread) or local\n(a tool that takes a base URL).\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome {
    let paths = engine::paths()?;
    let flows = engine::call(&paths, async |client| client.flows().await)?;
    if args.json {
        out.json(&flows)?;
    } else {
        show(&flows, Timestamp::now(), out)?;
    }
    Ok(Exit::Ok)
}

fn show(flows: &[Flow], now: Timestamp, out: &mut Out) -> Result<(), Failure> {
    if flows.is_empty() {
        return Ok(out.line("No connection is open. Lead a tool through with: sallyport exec -- CMD")?);
    }
    let mut table = Table::new(&["host", "handling", "process", "account", "open for"]);
    for flow in flows {
        let handling = match flow.handling {
            Handling::Intercepted => "intercepted",
            Handling::Tunnelled => "tunnelled",
            Handling::Local => "local",
        };
        let program = flow.executable.as_deref().and_then(|path| path.rsplit('/').next());
        let process = match (program, flow.pid) {
            (Some(program), Some(pid)) => format!("{program} ({pid})"),
            (None, Some(pid)) => pid.to_string(),
            _ => "unknown".to_owned(),
        };
        table.row([
            format!("{}:{}", flow.host, flow.port),
            handling.to_owned(),
            process,
            flow.account.clone().unwrap_or_else(|| "-".to_owned()),
            when::spoken(now.duration_since(flow.since)),
        ]);
    }
    Ok(out.table(table)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::Captured;

    #[test]
    fn each_connection_says_whose_it_is() {
        let since: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let flow = |account: Option<&str>, executable: Option<&str>| Flow {
            id: 1,
            host: "api.openai.com".into(),
            port: 443,
            handling: Handling::Intercepted,
            pid: Some(42),
            executable: executable.map(str::to_owned),
            account: account.map(str::to_owned),
            since,
        };
        let flows = [flow(Some("agent-reviewer-5f3a"), Some("/usr/bin/node")), flow(None, None)];
        let captured = Captured::default();
        show(&flows, "2026-03-01T12:12:00Z".parse().unwrap(), &mut captured.out()).unwrap();
        insta::assert_snapshot!(captured.text());
    }
}
