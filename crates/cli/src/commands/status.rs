//! `status`: what the engine does right now, and what needs a person.

use jiff::Timestamp;
use sallyport_ipc::types::{HealthItem, HealthSeverity, State, Status};

use crate::cli::EXIT_CODES;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Accent, Out, Table};
use crate::text::printable;
use crate::when;

/// Show whether AI traffic is protected, and what needs attention
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  sallyport status\n  sallyport status --json | jq -r .listen\n\nThe state is one of protected, attention (guarded, and something needs you), paused, off.\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// Print the engine's status as one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome {
    let paths = engine::paths()?;
    let status = engine::call(&paths, async |client| client.status().await)?;
    if args.json {
        out.json(&status)?;
    } else {
        show(&status, Timestamp::now(), out)?;
    }
    Ok(Exit::Ok)
}

fn show(status: &Status, now: Timestamp, out: &mut Out) -> Result<(), Failure> {
    let secrets = &status.secrets;
    let mut known =
        format!("{} from {}", plural(secrets.secrets, "secret"), plural(secrets.sources, "source"));
    if secrets.failed_sources > 0 {
        known.push_str(&format!(", {} not readable", secrets.failed_sources));
    }
    let (counters, profile) = (&status.counters, &status.policy.profile);
    out.pairs(&[
        ("state", state(status, now, out)),
        ("since", since(status.since, now)),
        ("listener", format!("http://{}", status.listen)),
        ("engine", format!("{}, process {}", status.version, status.pid)),
        ("profile", if profile.is_empty() { "not loaded yet".to_owned() } else { profile.clone() }),
        ("known", known),
        ("audit", format!("{} recorded", plural(status.audit.seq, "event"))),
        ("", String::new()),
        ("exchanges", counters.exchanges.to_string()),
        ("redactions", counters.redactions.to_string()),
        ("blocked", counters.blocked.to_string()),
        ("tunnelled", format!("{} (hosts that are not inspected)", counters.tunnelled)),
        ("opaque", format!("{} (bodies that could not be read)", counters.opaque)),
        ("pinned", format!("{} (clients that refused our certificate)", counters.pinned)),
        ("injections", format!("{} (words that read like attacks on the assistant)", counters.injections)),
        ("denied", format!("{} (tool calls that permissions stopped)", counters.denied_calls)),
        (
            "would deny",
            format!("{} (tool calls that passed, since permissions only observe)", counters.would_deny),
        ),
        ("held", format!("{} (answers that wait for a person)", counters.held)),
        ("in flight", counters.in_flight.to_string()),
    ])?;
    if !status.agents.is_empty() {
        out.blank()?;
        let mut table = Table::new(&["agent", "process", "since"]);
        for agent in &status.agents {
            table.row([agent.account.clone(), agent.pid.to_string(), since(agent.since, now)]);
        }
        out.table(table)?;
    }
    for item in &status.health {
        out.blank()?;
        health_item(item, out)?;
    }
    Ok(())
}

fn state(status: &Status, now: Timestamp, out: &Out) -> String {
    match status.state {
        State::Protected => out.paint(Accent::Good, "protected"),
        State::Attention => {
            out.paint(Accent::Notice, "attention: AI traffic is guarded, and something needs you")
        }
        State::Off => out.paint(Accent::Bad, "off: AI traffic passes unread"),
        State::Paused => {
            let left =
                status.paused_until.map(|until| format!(" for {}", when::spoken(until.duration_since(now))));
            let text = format!("paused: AI traffic passes unread{}", left.unwrap_or_default());
            out.paint(Accent::Bad, &text)
        }
    }
}

fn since(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago ({})", when::spoken(now.duration_since(then)), when::local(then))
}

/// One condition with its way out; shared with `doctor`.
pub(crate) fn health_item(item: &HealthItem, out: &mut Out) -> Result<(), Failure> {
    let (accent, word) = match item.severity {
        HealthSeverity::Info => (Accent::Plain, "info"),
        HealthSeverity::Warning => (Accent::Notice, "warning"),
        HealthSeverity::Critical => (Accent::Bad, "critical"),
    };
    let head = out.paint(accent, &format!("{word}: {}", item.title));
    out.line(format!("{head} [{}]", item.code))?;
    for (what, text) in [("", &item.sentence), ("fix: ", &item.fix)] {
        if !text.is_empty() {
            out.line(format!("  {what}{}", printable(text)))?;
        }
    }
    Ok(())
}

pub(crate) fn plural(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::Captured;

    fn status() -> Status {
        let since: Timestamp = "2026-03-01T09:00:00Z".parse().unwrap();
        serde_json::from_value(serde_json::json!({
            "version": "0.1.0", "pid": 42, "listen": "127.0.0.1:8877", "state": "protected",
            "since": since, "paused_until": null, "owner_uid": 1000,
            "counters": {"exchanges": 12, "redactions": 3, "tunnelled": 40},
            "health": [{
                "code": "keys-in-file", "severity": "info", "title": "Keys are kept in a file",
                "sentence": "No keychain answers.", "fix": "Unlock the keychain.", "since": since
            }],
            "secrets": {"sources": 2, "failed_sources": 1, "secrets": 55, "weak": 0, "loaded_at": null},
            "audit": {"seq": 24, "hash": "ab"},
            "policy": {"version": "1", "profile": "balanced"}
        }))
        .unwrap()
    }

    fn shown(status: &Status) -> String {
        let captured = Captured::default();
        show(status, "2026-03-01T12:12:00Z".parse().unwrap(), &mut captured.out()).unwrap();
        // The time of here differs from machine to machine.
        captured.text().lines().filter(|l| !l.starts_with("since")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_human_view_reads_calmly() {
        insta::assert_snapshot!(shown(&status()), @r"
        state       protected
        listener    http://127.0.0.1:8877
        engine      0.1.0, process 42
        profile     balanced
        known       55 secrets from 2 sources, 1 not readable
        audit       24 events recorded

        exchanges   12
        redactions  3
        blocked     0
        tunnelled   40 (hosts that are not inspected)
        opaque      0 (bodies that could not be read)
        pinned      0 (clients that refused our certificate)
        injections  0 (words that read like attacks on the assistant)
        denied      0 (tool calls that permissions stopped)
        would deny  0 (tool calls that passed, since permissions only observe)
        held        0 (answers that wait for a person)
        in flight   0

        info: Keys are kept in a file [keys-in-file]
          No keychain answers.
          fix: Unlock the keychain.
        ");
    }

    #[test]
    fn a_pause_says_how_long_it_lasts() {
        let mut status = status();
        status.state = State::Paused;
        status.paused_until = Some("2026-03-01T12:20:00Z".parse().unwrap());
        let text = shown(&status);
        assert!(text.starts_with("state       paused: AI traffic passes unread for 8 min\n"), "{text}");
    }
}
