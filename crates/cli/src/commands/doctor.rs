//! `doctor`: everything that should hold for protection to work, what does not, and the way out.
//!
//! Looks for itself, so that it has an answer when the engine does not run; the engine's own conditions
//! stand in the same list.

use std::path::Path;

use sallyport_ipc::types::{HealthItem, HealthSeverity, State, Status};
use sallyport_ipc::{Client, ClientError};
use sallyport_platform::{Keychain, Paths, Unlock, authenticate};
use sallyport_policy::config;
use serde::Serialize;

use crate::cli::EXIT_CODES;
use crate::commands::{env, trust};
use crate::engine;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Accent, Out};
use crate::text::printable;

/// Check everything that protection depends on, and say how to mend what fails
///
/// Works with and without the engine. Exits with 1 when something needs attention; notes alone (info)
/// leave it at 0, which makes it a health check for device management.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  sallyport doctor\n  sallyport doctor --json | jq -r '.items[] | select(.severity != \"ok\") | .code'\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Ok,
    Info,
    Warning,
    Critical,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Item {
    code: String,
    severity: Severity,
    title: String,
    sentence: String,
    fix: String,
}

#[derive(Debug, Serialize)]
struct Report {
    healthy: bool,
    items: Vec<Item>,
}

impl Item {
    fn ok(code: &str, title: &str, sentence: impl Into<String>) -> Item {
        Item::new(code, Severity::Ok, title, sentence, "")
    }

    fn new(
        code: &str,
        severity: Severity,
        title: &str,
        sentence: impl Into<String>,
        fix: impl Into<String>,
    ) -> Item {
        Item { code: code.into(), severity, title: title.into(), sentence: sentence.into(), fix: fix.into() }
    }
}

impl From<HealthItem> for Item {
    fn from(item: HealthItem) -> Item {
        let severity = match item.severity {
            HealthSeverity::Info => Severity::Info,
            HealthSeverity::Warning => Severity::Warning,
            HealthSeverity::Critical => Severity::Critical,
        };
        Item { code: item.code, severity, title: item.title, sentence: item.sentence, fix: item.fix }
    }
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome {
    let paths = engine::paths()?;
    let status = engine::block_on(async { Client::new(paths.control_socket()).status().await })?;
    let report = examine(&paths, status);
    if args.json {
        out.json(&report)?
    } else {
        show(&report, out)?
    }
    Ok(if report.healthy { Exit::Ok } else { Exit::Negative })
}

fn examine(paths: &Paths, status: Result<Status, ClientError>) -> Report {
    let mut items = vec![configuration(&paths.config_file()), configuration(&paths.managed_config_file())];
    // A layer that is not there is no news.
    items.retain(|item| !item.sentence.is_empty());
    match &status {
        Ok(status) => {
            items.push(protection(status));
            items.push(listener(status));
            items.push(shell(status));
        }
        Err(error) => {
            items.push(unreachable(error));
            // A running engine says by itself how it stands with the keychain of its own session.
            items.push(keychain(paths));
        }
    }
    items.push(certificates(paths));
    items.push(approval());
    if let Ok(status) = status {
        // Where both of us looked, a person needs to read it once.
        items.retain(|own| !status.health.iter().any(|theirs| theirs.code == own.code));
        items.extend(status.health.into_iter().map(Item::from));
    }
    items.sort_by_key(|item| std::cmp::Reverse(item.severity));
    Report { healthy: items.iter().all(|item| item.severity <= Severity::Info), items }
}

fn configuration(file: &Path) -> Item {
    const CODE: &str = "config-malformed";
    let shown = file.display().to_string();
    match std::fs::read_to_string(file) {
        Ok(text) => match config::parse(&text, &shown) {
            Ok(_) => Item::ok("config", "Configuration", format!("{shown} is understood.")),
            Err(e) => Item::new(
                CODE,
                Severity::Warning,
                "config.yaml can't be read",
                format!("{}; what was in force before stays in force.", e.to_string().replace('\n', "; ")),
                e.hint().unwrap_or("Mend that line; the engine takes it up by itself."),
            ),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Item::ok("config", "Configuration", ""),
        Err(e) => Item::new(
            CODE,
            Severity::Warning,
            "config.yaml can't be read",
            format!("{shown}: {e}."),
            "Give yourself read access to it.",
        ),
    }
}

fn unreachable(error: &ClientError) -> Item {
    let fix =
        error.hint().map_or_else(|| "Start it with `sallyport daemon`.".into(), |hint| sentence_case(&hint));
    let sentence = format!(
        "{}. Tools that are led through Sallyport reach no provider now.",
        sentence_case(&error.to_string())
    );
    Item::new("engine-not-reachable", Severity::Critical, "The engine is not reachable", sentence, fix)
}

fn sentence_case(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn protection(status: &Status) -> Item {
    const CODE: &str = "protection";
    match status.state {
        State::Protected | State::Attention => {
            Item::ok(CODE, "Protection", format!("The engine ({}) inspects AI traffic.", status.version))
        }
        State::Paused | State::Off => Item::new(
            "protection-off",
            Severity::Warning,
            "Protection is off",
            "AI traffic passes unread.",
            "Switch it on with `sallyport on`.",
        ),
    }
}

fn listener(status: &Status) -> Item {
    match engine::own_listener(status) {
        Ok(address) => Item::ok("listener", "Listener", format!("http://{address} belongs to you.")),
        Err(failure) => Item::new(
            "listener-foreign",
            Severity::Critical,
            "The listener is not this user's",
            failure.message(),
            "Start your own engine with `sallyport daemon`; it takes another port when this one is taken.",
        ),
    }
}

fn shell(status: &Status) -> Item {
    const CODE: &str = "shell";
    if env::leads_through(&status.listen) {
        return Item::ok(CODE, "This shell", "Its tools are led through Sallyport.");
    }
    Item::new(
        "shell-not-led",
        Severity::Info,
        "This shell is not led through Sallyport",
        "Tools started here reach their providers directly.",
        "eval \"$(sallyport env)\", or start one tool with `sallyport exec -- CMD`.",
    )
}

fn keychain(paths: &Paths) -> Item {
    match Keychain::open_for(paths.instance_tag().as_deref(), Unlock::Never) {
        Ok(_) => Item::ok("keychain", "Keychain", "It can be written and read."),
        Err(e) => Item::new(
            "no-keychain",
            Severity::Info,
            "The keychain can't be used",
            format!("Sallyport {e}. Keys rest in files that only you can read, which is weaker."),
            e.hint(),
        ),
    }
}

fn certificates(paths: &Paths) -> Item {
    const CODE: &str = "certificates";
    const FIX: &str = "Start the engine, or restart it: it writes the file as soon as it has its keys.";
    let root = match trust::root(paths) {
        Ok(root) => root,
        Err(failure) => {
            return Item::new(
                "certificates-missing",
                Severity::Warning,
                "No root certificate",
                failure.message(),
                FIX,
            );
        }
    };
    let bundle = paths.bundle_file();
    match trust::holds(&bundle, &root) {
        Some(true) => Item::ok(CODE, "Certificates", format!("{} holds our root.", bundle.display())),
        _ => Item::new(
            "bundle-stale",
            Severity::Warning,
            "The certificate bundle lacks our root",
            format!("Tools that are pointed at {} refuse our certificates.", bundle.display()),
            FIX,
        ),
    }
}

/// Decision 1: said wherever the operating system is not asked.
fn approval() -> Item {
    match authenticate::available() {
        Ok(()) => Item::ok(
            "approval",
            "Authentication",
            "the operating system asks who is at the desk before protection is weakened",
        ),
        Err(missing) => Item::new(
            "approval-advisory",
            Severity::Info,
            "Pausing and approving are not guarded here",
            format!(
                "The operating system can't be asked who is at this desk, since {missing}: pausing and approving are \
                 recorded, and any process of this user can do both."
            ),
            missing.hint(),
        ),
    }
}

fn show(report: &Report, out: &mut Out) -> Result<(), Failure> {
    for item in &report.items {
        let (accent, word) = match item.severity {
            Severity::Ok => (Accent::Good, "ok"),
            Severity::Info => (Accent::Plain, "info"),
            Severity::Warning => (Accent::Notice, "warning"),
            Severity::Critical => (Accent::Bad, "critical"),
        };
        let mark = out.paint(accent, &format!("{word:8}"));
        if item.severity == Severity::Ok {
            out.line(format!("{mark}  {}: {}", item.title, printable(&item.sentence)))?;
            continue;
        }
        out.line(format!("{mark}  {} [{}]", item.title, item.code))?;
        out.line(format!("          {}", printable(&item.sentence)))?;
        if !item.fix.is_empty() {
            out.line(format!("          fix: {}", printable(&item.fix)))?;
        }
    }
    out.blank()?;
    let needs = report.items.iter().filter(|item| item.severity >= Severity::Warning).count();
    out.line(match needs {
        0 => "Nothing needs attention.".to_owned(),
        1 => "1 thing needs attention.".to_owned(),
        n => format!("{n} things need attention."),
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::Captured;

    #[test]
    fn a_malformed_config_names_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.yaml");
        assert_eq!(configuration(&file).sentence, "");
        std::fs::write(&file, "listen: 127.0.0.1:8877\nlissten: x\n").unwrap();
        let item = configuration(&file);
        assert_eq!((item.code.as_str(), item.severity), ("config-malformed", Severity::Warning));
        assert!(item.sentence.contains("config.yaml:2:1"), "{}", item.sentence);
        std::fs::write(&file, "listen: 127.0.0.1:8877\n").unwrap();
        assert_eq!(configuration(&file).severity, Severity::Ok);
    }

    #[test]
    fn the_worst_comes_first_and_notes_alone_are_healthy() {
        let report = Report {
            healthy: true,
            items: vec![
                Item::new("a", Severity::Warning, "A thing", "Is so.", "Do this."),
                Item::ok("b", "Another", "Is fine."),
            ],
        };
        let captured = Captured::default();
        show(&report, &mut captured.out()).unwrap();
        insta::assert_snapshot!(captured.text(), @r"
        warning   A thing [a]
                  Is so.
                  fix: Do this.
        ok        Another: Is fine.

        1 thing needs attention.
        ");
    }
}
