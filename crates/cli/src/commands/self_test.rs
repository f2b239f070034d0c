//! `self-test`: the engine proves on itself that a secret does not leave.

use crate::cli::EXIT_CODES;
use crate::engine;
use crate::exit::{Exit, Outcome};
use crate::output::{Accent, Out};

/// Prove that the engine takes a secret out
///
/// The running engine sends a canary secret through itself to an upstream of its own on loopback and
/// checks what arrived there. Nothing leaves this machine.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  sallyport self-test\n  sallyport self-test --json | jq .passed\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome {
    let paths = engine::paths()?;
    let report = engine::call(&paths, async |client| client.self_test().await)?;
    if args.json {
        out.json(&report)?;
    } else {
        for check in &report.checks {
            let (accent, word) =
                if check.passed { (Accent::Good, "ok    ") } else { (Accent::Bad, "failed") };
            let mark = out.paint(accent, word);
            out.line(format!("{mark}  {}: {}", check.name, check.sentence))?;
        }
        let verdict = if report.passed { "Passed" } else { "Failed" };
        out.line(format!("{verdict} in {} ms.", report.took_ms))?;
    }
    Ok(if report.passed { Exit::Ok } else { Exit::Negative })
}
