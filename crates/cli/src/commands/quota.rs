//! `quota`: how full each limit is, and what was used of the models.

use jiff::Timestamp;
use sallyport_ipc::types::{QuotaGauge, QuotaHistory, QuotaView, SubjectQuota, Usage, UsagePeriod};
use sallyport_policy::config::OnExceed;
use sallyport_policy::quotas::Limit;

use crate::cli::EXIT_CODES;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Accent, Out, Table};
use crate::when;

/// Show how much of the models is used, and what it cost
///
/// Limits belong to a tier (`identity.tier` in config.yaml). Requests are counted in the minute and the
/// hour before now, tokens since midnight UTC. Costs are estimates from public list prices.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true, after_help = format!("Examples:\n  sallyport quota\n  sallyport quota --json | jq '.subjects[0].gauges'\n  sallyport quota history\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show use and estimated cost of the last 30 days
    #[command(after_help = format!("Examples:\n  sallyport quota history\n  sallyport quota history --hours\n  sallyport quota history --json | jq '.days[-1].cost_micros / 1e6'\n\n{EXIT_CODES}"))]
    History {
        /// Hours instead of days
        #[arg(long)]
        hours: bool,
        /// Print one JSON object, with hours, days and models
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome {
    let paths = engine::paths()?;
    match args.command {
        None => {
            let view = engine::call(&paths, async |client| client.quota().await)?;
            if args.json { out.json(&view)? } else { show(&view, Timestamp::now(), out)? }
        }
        Some(Command::History { hours, json }) => {
            let history = engine::call(&paths, async |client| client.quota_history().await)?;
            if json { out.json(&history)? } else { show_history(&history, hours, out)? }
        }
    }
    Ok(Exit::Ok)
}

fn show(view: &QuotaView, now: Timestamp, out: &mut Out) -> Result<(), Failure> {
    for subject in &view.subjects {
        show_subject(subject, now, out)?;
        out.blank()?;
    }
    let beyond = match view.on_exceed {
        OnExceed::Block => "requests are stopped (429)",
        OnExceed::Warn => "requests pass, and it is noted",
    };
    let store = if view.store_reachable {
        view.store.clone()
    } else {
        out.paint(Accent::Bad, &format!("{} (does not answer)", view.store))
    };
    Ok(out.pairs(&[("today", spoken(&view.today)), ("beyond", beyond.to_owned()), ("counted", store)])?)
}

fn show_subject(subject: &SubjectQuota, now: Timestamp, out: &mut Out) -> Result<(), Failure> {
    let Some(longest) = subject.max_prompt_length else {
        let text = format!("{}: there is no tier `{}`, so no request passes", subject.subject, subject.tier);
        return Ok(out.line(out.paint(Accent::Bad, &text))?);
    };
    out.line(out.paint(Accent::Strong, &format!("{} ({})", subject.subject, subject.tier)))?;
    let mut table = Table::new(&["limit", "used", "of", "", "free again"]).right(1).right(2).right(3);
    for gauge in &subject.gauges {
        table.row([
            name(gauge.limit).to_owned(),
            gauge.used.to_string(),
            gauge.size.to_string(),
            percent(gauge),
            match gauge.resets_at {
                Some(at) if gauge.used > 0 => format!("in {}", when::spoken(at.duration_since(now))),
                _ => String::new(),
            },
        ]);
    }
    table.row(["characters in a prompt".into(), String::new(), longest.to_string()]);
    Ok(out.table(table)?)
}

fn name(limit: Limit) -> &'static str {
    match limit {
        Limit::RequestsPerMinute => "requests, last minute",
        Limit::RequestsPerHour => "requests, last hour",
        Limit::TokensPerDay => "tokens, today (UTC)",
        Limit::PromptLength => "characters in a prompt",
        Limit::ConcurrentRequests => "requests at once",
    }
}

fn percent(gauge: &QuotaGauge) -> String {
    match gauge.size {
        0 => String::new(),
        size => format!("{} %", gauge.used.saturating_mul(100) / size),
    }
}

fn spoken(usage: &Usage) -> String {
    let mut text = format!(
        "{} requests, {} tokens in, {} out, about ${}",
        usage.requests,
        usage.input + usage.cache_read + usage.cache_write,
        usage.output,
        dollars(usage.cost_micros)
    );
    if usage.unpriced > 0 {
        text.push_str(&format!(" without {} to models whose price is not known", usage.unpriced));
    }
    if usage.refused > 0 {
        text.push_str(&format!("; {} stopped", usage.refused));
    }
    text
}

/// Cents, rounded.
fn dollars(micros: u64) -> String {
    let cents = micros.saturating_add(5_000) / 10_000;
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn show_history(history: &QuotaHistory, hours: bool, out: &mut Out) -> Result<(), Failure> {
    let periods = if hours { &history.hours } else { &history.days };
    if periods.is_empty() {
        return Ok(out.line("No model was called in the last 30 days.")?);
    }
    let first = if hours { "hour (UTC)" } else { "day (UTC)" };
    let mut table = usage_table(first);
    for UsagePeriod { start, usage } in periods {
        let text = start.to_string();
        let shown = if hours { text.get(..16) } else { text.get(..10) };
        usage_row(&mut table, shown.unwrap_or(&text), usage);
    }
    out.table(table)?;
    out.blank()?;
    let mut table = usage_table("model");
    for model in &history.models {
        usage_row(&mut table, model.model.as_deref().unwrap_or("(not named)"), &model.usage);
    }
    Ok(out.table(table)?)
}

fn usage_table(first: &str) -> Table {
    let header = [first, "requests", "stopped", "input", "cached", "output", "about $"];
    (1..header.len()).fold(Table::new(&header), Table::right)
}

fn usage_row(table: &mut Table, first: &str, usage: &Usage) {
    let cost = if usage.unpriced > 0 && usage.cost_micros == 0 {
        "?".to_owned()
    } else {
        dollars(usage.cost_micros)
    };
    table.row([
        first.to_owned(),
        usage.requests.to_string(),
        usage.refused.to_string(),
        (usage.input + usage.cache_write).to_string(),
        usage.cache_read.to_string(),
        usage.output.to_string(),
        cost,
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::Captured;

    fn usage() -> Usage {
        Usage {
            requests: 12,
            refused: 1,
            input: 9_000,
            output: 700,
            cache_read: 40,
            cost_micros: 61_000,
            ..Usage::default()
        }
    }

    #[test]
    fn gauges_read_calmly() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let gauge = |limit, size, used, resets_at: Option<&str>| QuotaGauge {
            limit,
            size,
            used,
            resets_at: resets_at.map(|at| at.parse().unwrap()),
        };
        let known = SubjectQuota {
            subject: "ann".into(),
            tier: "developer".into(),
            max_prompt_length: Some(8_000),
            gauges: vec![
                gauge(Limit::RequestsPerMinute, 20, 4, Some("2026-03-01T12:00:40Z")),
                gauge(Limit::RequestsPerHour, 200, 180, Some("2026-03-01T12:30:00Z")),
                gauge(Limit::TokensPerDay, 100_000, 9_700, Some("2026-03-02T00:00:00Z")),
                gauge(Limit::ConcurrentRequests, 3, 0, None),
            ],
        };
        let unknown = SubjectQuota {
            subject: "ann/reviewer".into(),
            tier: "king".into(),
            max_prompt_length: None,
            gauges: Vec::new(),
        };
        let view = QuotaView {
            subjects: vec![known, unknown],
            on_exceed: OnExceed::Warn,
            store: "sqlite".into(),
            store_reachable: true,
            today: usage(),
        };
        let captured = Captured::default();
        show(&view, now, &mut captured.out()).unwrap();
        insta::assert_snapshot!(captured.text());
    }

    #[test]
    fn history_lines_up() {
        let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let unpriced = Usage { cost_micros: 0, unpriced: 12, ..usage() };
        let history = QuotaHistory {
            hours: vec![UsagePeriod { start, usage: usage() }],
            days: vec![UsagePeriod { start, usage: usage() }],
            models: vec![
                sallyport_ipc::types::ModelUse { model: Some("gpt-4o".into()), usage: usage() },
                sallyport_ipc::types::ModelUse { model: None, usage: unpriced },
            ],
        };
        let captured = Captured::default();
        show_history(&history, true, &mut captured.out()).unwrap();
        show_history(&history, false, &mut captured.out()).unwrap();
        show_history(&QuotaHistory::default(), false, &mut captured.out()).unwrap();
        insta::assert_snapshot!(captured.text());
        assert_eq!(dollars(1_234_567), "1.23");
    }
}
