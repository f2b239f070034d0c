//! `on` and `off`: whether AI traffic is inspected.

use std::time::Duration;

use sallyport_ipc::types::{OffRequest, State, Status};

use crate::cli::EXIT_CODES;
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Out;
use crate::when;

/// Inspect AI traffic again
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Example:\n  sallyport on\n\n{EXIT_CODES}"))]
pub(crate) struct OnArgs {
    /// Print the new status as one JSON object
    #[arg(long)]
    json: bool,
}

/// Stop inspecting AI traffic: everything passes unread
///
/// Tools go on working, and nothing is taken out. Where the operating system can ask who is at the desk, it
/// does. The switch itself is recorded in the audit trail before it takes effect.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  sallyport off --for 15m --reason \"vendor call\"\n  sallyport off\n\n{EXIT_CODES}"))]
pub(crate) struct OffArgs {
    /// Come back by itself after this time, up to 24h, such as 15m or 1h30m [default: stay off]
    #[arg(long = "for", value_name = "TIME", value_parser = when::parse_duration)]
    duration: Option<Duration>,
    /// Why; recorded in the audit trail
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print the new status as one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn on(args: &OnArgs, out: &mut Out) -> Outcome {
    let paths = engine::paths()?;
    let status = engine::call(&paths, async |client| client.on().await)?;
    tell(&status, args.json, out)
}

pub(crate) fn off(args: OffArgs, out: &mut Out) -> Outcome {
    let request = OffRequest { for_seconds: args.duration.map(whole_seconds), reason: args.reason };
    let paths = engine::paths()?;
    let status = engine::call_guarded(&paths, async |client| client.off(&request).await)?;
    tell(&status, args.json, out)
}

/// Never shorter than asked for, and never nothing.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn tell(status: &Status, json: bool, out: &mut Out) -> Outcome {
    if json {
        out.json(status)?;
        return Ok(Exit::Ok);
    }
    let text = match (status.state, status.paused_until) {
        (State::Protected, _) => "On: AI traffic is inspected.".to_owned(),
        (State::Attention, _) => {
            "On: AI traffic is inspected; `sallyport status` says what needs you.".to_owned()
        }
        (_, Some(until)) => {
            format!("Paused until {}: AI traffic passes unread. `sallyport on` ends it.", when::local(until))
        }
        _ => "Off: AI traffic passes unread until `sallyport on`.".to_owned(),
    };
    out.line(text).map_err(Failure::from)?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_second_count_as_a_whole_one() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(90)), 90);
    }
}
