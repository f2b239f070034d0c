//! `audit verify`: the proof that a trail is whole, from its files alone.

use std::path::PathBuf;

use sallyport_audit::{PublicKey, TrailPaths, VerifyReport};
use serde::Serialize;

use crate::commands::status::plural;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Accent, Out};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Check the trail in this folder instead: a copy with audit.db, audit.head and audit.pub
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Trust this public key (64 hex digits, as in audit.pub) instead of the one beside the trail
    #[arg(long, value_name = "HEX", value_parser = public_key)]
    key: Option<PublicKey>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

fn public_key(text: &str) -> Result<PublicKey, String> {
    PublicKey::from_hex(text).ok_or_else(|| "a public key has 64 hex digits, as in audit.pub".to_owned())
}

#[derive(Serialize)]
struct Report {
    whole: bool,
    rows: u64,
    first_seq: u64,
    last_seq: u64,
    checkpoints: u64,
    purged_to: u64,
    ahead_of_head: u64,
    /// The first bad row.
    fault: Option<Fault>,
    /// Earlier findings that the trail itself recorded.
    discontinuities: Vec<Discontinuity>,
}

#[derive(Serialize)]
struct Fault {
    row: u64,
    code: &'static str,
    sentence: String,
}

#[derive(Serialize)]
struct Discontinuity {
    row: u64,
    code: String,
    sentence: String,
}

impl From<&VerifyReport> for Report {
    fn from(report: &VerifyReport) -> Report {
        Report {
            whole: report.is_whole(),
            rows: report.rows,
            first_seq: report.first_seq,
            last_seq: report.last_seq,
            checkpoints: report.checkpoints,
            purged_to: report.purged_to,
            ahead_of_head: report.ahead_of_head,
            fault: report.fault.as_ref().map(|fault| Fault {
                row: fault.seq,
                code: fault.kind.code(),
                sentence: fault.to_string(),
            }),
            discontinuities: report
                .discontinuities
                .iter()
                .map(|d| Discontinuity { row: d.seq, code: d.code.clone(), sentence: d.message.clone() })
                .collect(),
        }
    }
}

pub(crate) fn run(args: &Args, own: TrailPaths, out: &mut Out) -> Outcome {
    let trail = args.folder.as_deref().map_or(own, TrailPaths::in_folder);
    if !trail.database.exists() && !trail.head.exists() {
        return Err(Failure::new(format!("there is no audit trail at {} yet", trail.database.display()))
            .hint("it begins when the engine starts for the first time: `sallyport daemon`"));
    }
    if !trail.database.exists() {
        return Err(Failure::new(format!(
            "the audit trail {} is gone; its head is still there",
            trail.database.display()
        ))
        .hint("bring the file back from a backup: without it nothing can be proven"));
    }
    let key = match args.key {
        Some(key) => key,
        None => pinned(&trail)?,
    };
    let report = sallyport_audit::verify(&trail.database, &trail.head, &key)
        .map_err(|e| Failure::caused(format!("could not verify {}", trail.database.display()), &e))?;
    let report = Report::from(&report);
    if args.json {
        out.json(&report)?
    } else {
        show(&report, out)?
    }
    Ok(if report.whole { Exit::Ok } else { Exit::Negative })
}

fn pinned(trail: &TrailPaths) -> Result<PublicKey, Failure> {
    let hint = "give the key that you noted elsewhere: --key HEX";
    let text = crate::named_file::text(&trail.public_key).map_err(|e| {
        Failure::caused(format!("could not read the trail's public key {}", trail.public_key.display()), &e)
            .hint(hint)
    })?;
    PublicKey::from_hex(&text)
        .ok_or_else(|| Failure::new(format!("{} holds no public key", trail.public_key.display())).hint(hint))
}

fn show(report: &Report, out: &mut Out) -> Result<(), Failure> {
    if let Some(fault) = &report.fault {
        let verdict = out.paint(Accent::Bad, "The trail is not whole:");
        out.line(format!("{verdict} {}.", fault.sentence))?;
    }
    for found in &report.discontinuities {
        out.line(format!("Row {} records an earlier break [{}]: {}", found.row, found.code, found.sentence))?;
    }
    if report.whole {
        out.line(out.paint(Accent::Good, "The trail is whole."))?;
    }
    let range = match report.rows {
        0 => String::new(),
        _ => format!(", {} to {}", report.first_seq, report.last_seq),
    };
    let (rows, checkpoints) = (plural(report.rows, "row"), plural(report.checkpoints, "signed checkpoint"));
    out.line(format!("Checked {rows}{range}; {checkpoints}."))?;
    if report.purged_to > 0 {
        out.line(format!(
            "Rows up to {} were removed by retention, as a signed record says.",
            report.purged_to
        ))?;
    }
    if report.whole && report.ahead_of_head > 0 {
        let are = if report.ahead_of_head == 1 { "is" } else { "are" };
        out.line(format!(
            "{} {are} newer than the head's last signature, as is normal while the engine runs.",
            plural(report.ahead_of_head, "row")
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::Captured;

    fn whole() -> Report {
        Report {
            whole: true,
            rows: 40,
            first_seq: 3,
            last_seq: 42,
            checkpoints: 2,
            purged_to: 2,
            ahead_of_head: 1,
            fault: None,
            discontinuities: Vec::new(),
        }
    }

    #[test]
    fn a_whole_trail_says_what_was_checked() {
        let captured = Captured::default();
        show(&whole(), &mut captured.out()).unwrap();
        insta::assert_snapshot!(captured.text(), @r"
        The trail is whole.
        Checked 40 rows, 3 to 42; 2 signed checkpoints.
        Rows up to 2 were removed by retention, as a signed record says.
        1 row is newer than the head's last signature, as is normal while the engine runs.
        ");
    }

    #[test]
    fn a_broken_trail_names_the_row_first() {
        let fault = Fault { row: 7, code: "changed", sentence: "row 7 was changed".into() };
        let report = Report { whole: false, fault: Some(fault), ..whole() };
        let captured = Captured::default();
        show(&report, &mut captured.out()).unwrap();
        assert!(
            captured.text().starts_with("The trail is not whole: row 7 was changed.\n"),
            "{}",
            captured.text()
        );
    }

    #[test]
    fn a_trail_that_is_gone_is_no_whole_trail() {
        let dir = tempfile::tempdir().unwrap();
        let trail = TrailPaths::in_folder(dir.path());
        let args = Args { folder: None, key: None, json: false };
        let failed =
            |trail: &TrailPaths| run(&args, trail.clone(), &mut Captured::default().out()).unwrap_err();
        assert_eq!(failed(&trail).exit(), Exit::Negative);
        std::fs::write(&trail.head, "x").unwrap();
        assert!(failed(&trail).message().contains("is gone"));
        std::fs::write(&trail.database, "x").unwrap();
        assert!(failed(&trail).message().contains("public key"));
    }
}
