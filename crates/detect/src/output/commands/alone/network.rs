//! One command and other machines: shells given away, credentials sent, and redirections that do either.

use sallyport_policy::Severity::{Critical, High};
use sallyport_policy::shell::{Redirection, SimpleCommand};

use super::One;
use crate::output::commands::Judgement;
use crate::output::commands::words::{SHELLS, is_shell, targets, words};
use crate::output::paths::{is_credential, is_disk, is_entrance, is_record, is_startup, is_vital};

/// What it sends, and whom it lets in.
pub(super) fn network(one: &One<'_>) -> Option<Judgement> {
    let One { command, name, text, .. } = *one;
    match name {
        "nc" | "ncat" | "netcat" | "socat" | "telnet" => listener(command, text),
        "curl" | "wget" | "scp" | "rclone" => uploads(command, text),
        _ => None,
    }
}

fn listener(command: &SimpleCommand, text: &str) -> Option<Judgement> {
    let gives_shell = text.contains("cmd.exe")
        || text.contains("/bin/sh")
        || text.contains("/bin/bash")
        || (command.arguments().windows(2).any(|pair| {
            matches!(pair, [option, program] if matches!(option.text.as_str(), "-e" | "-c" | "--exec" | "--sh-exec" | "-le" | "-lvpe" | "-ne") && is_shell(&program.text))
        }))
        || (text.to_ascii_lowercase().contains("exec:") && SHELLS.iter().any(|shell| text.contains(shell)));
    gives_shell.then_some(("reverse_shell", Critical))
}

/// Files with credentials as what is sent.
fn uploads(command: &SimpleCommand, text: &str) -> Option<Judgement> {
    let sends = [
        "-d",
        "--data",
        "-F",
        "--form",
        "-T",
        "--upload-file",
        "--data-binary",
        "--post-file",
        "--body-file",
        "--data-raw",
        "--data-urlencode",
    ];
    let sending = command.arguments().iter().any(|word| sends.iter().any(|flag| word.text.starts_with(flag)));
    let credential = command.arguments().iter().any(|word| {
        let value = word.text.rsplit(['=', '@']).next().unwrap_or_default();
        (word.text.contains('@')
            || word.text.contains("--post-file")
            || word.text.contains("--body-file")
            || command.name() == "scp"
            || text.contains("-T")
            || text.contains("--upload-file"))
            && is_credential(value)
    });
    let scp = command.name() == "scp"
        && targets(command).last().is_some_and(|to| to.contains(':'))
        && targets(command).next().is_some_and(is_credential);
    let env = text.contains("$(env")
        || text.contains("`env`")
        || text.contains("$(printenv")
        || text.contains("$(cat ~/.ssh")
        || text.contains("$(cat /etc/shadow")
        || text.contains("$(cat ~/.aws")
        || text.contains("$(cat .env");
    ((sending && credential) || scp || (env && text.contains("http")))
        .then_some(("sends_credentials", Critical))
}

/// What a command writes over or speaks to by redirection.
pub(in crate::output::commands) fn redirected(command: &SimpleCommand) -> Option<Judgement> {
    command.redirections.iter().find_map(|redirection| {
        let Redirection::Write(to) = redirection else {
            return match redirection {
                Redirection::Read(from) if from.text.starts_with("/dev/tcp/") => {
                    Some(("reverse_shell", Critical))
                }
                Redirection::Read(from)
                    if is_credential(&from.text)
                        && matches!(command.name(), "nc" | "ncat" | "netcat" | "telnet" | "socat") =>
                {
                    Some(("sends_credentials", Critical))
                }
                _ => None,
            };
        };
        let path = to.text.as_str();
        match () {
            () if path.starts_with("/dev/tcp/") || path.starts_with("/dev/udp/") => {
                Some(("reverse_shell", Critical))
            }
            () if is_disk(path) => Some(("wipes_disk", Critical)),
            () if is_record(path)
                && matches!(command.name(), "" | ":" | "true" | "echo" | "cat" | "printf")
                && !path.contains("/var/log/app") =>
            {
                let empties = command.arguments().is_empty()
                    || command
                        .arguments()
                        .iter()
                        .all(|word| matches!(word.text.as_str(), "" | "/dev/null" | "-n"));
                empties.then_some(("wipes_records", High))
            }
            () if is_entrance(path) => Some(("leaves_an_entrance", High)),
            () if is_startup(path) && says_to_fetch(command) => Some(("leaves_an_entrance", High)),
            () if path == "/proc/sysrq-trigger" => Some(("stops_everything", High)),
            () if is_vital(path) && path.len() > 1 && !path.starts_with("/dev/") => {
                Some(("destroys_files", High))
            }
            () => None,
        }
    })
}

/// Words that fetch or open a way in, written down instead of run.
fn says_to_fetch(command: &SimpleCommand) -> bool {
    let text = words(command).join(" ");
    let runs = text.contains('|') || text.contains("$(") || text.contains("<(");
    text.contains("/dev/tcp/") || runs && ["curl ", "wget "].iter().any(|word| text.contains(word))
}
