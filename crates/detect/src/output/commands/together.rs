//! What the commands of a line do to each other: fetch and run, decode and run, read and send.

use sallyport_policy::Severity;
use sallyport_policy::shell::{Doubt, Redirection, ShellLine, SimpleCommand};

use super::Judgement;
use super::words::{flag, is_shell, narrow, targets, words};
use crate::output::paths::{is_credential, is_disk, is_entrance, is_vital};

use Severity::Critical;

/// What commands do to each other: fetch and run, read and send.
pub(super) fn judge(line: &ShellLine) -> Option<Judgement> {
    let commands = &line.commands;
    let fetches = |command: &SimpleCommand| {
        matches!(command.name(), "curl" | "wget" | "fetch" | "aria2c" | "lwp-download" | "http" | "https")
            || command
                .words
                .iter()
                .any(|word| word.text.starts_with("http://") || word.text.starts_with("https://"))
                && matches!(command.name(), "python" | "python3" | "GET" | "lynx")
    };
    let runs = |command: &SimpleCommand| {
        let name = command.name();
        let interpreter = is_shell(name)
            || matches!(name, "$SHELL" | "${SHELL}" | "$0")
            || ["python", "perl", "ruby", "php", "node", "deno", "source", "."]
                .iter()
                .any(|known| name == *known || (name.starts_with("python") && *known == "python"));
        // `python -m json.tool`, `node script.js`, `sh -n`: the input is data.
        let own_script = command.arguments().iter().any(|word| {
            let text = word.text.as_str();
            matches!(text, "-c" | "-m" | "-e" | "-n" | "-ne" | "-pe" | "-p" | "-lne" | "-nE" | "-r")
                && !(text == "-e" && is_shell(name))
                && !(matches!(text, "-p" | "-r") && is_shell(name))
                || (!text.starts_with('-')
                    && !text.starts_with("<(")
                    && text != "/dev/stdin"
                    && !is_shell(name))
        });
        interpreter && !own_script
    };
    let decodes = |command: &SimpleCommand| match command.name() {
        "rev" => true,
        "base64" => flag(command, 'd', "decode") || flag(command, 'D', ""),
        "xxd" => flag(command, 'r', ""),
        "openssl" => flag(command, 'd', ""),
        _ => false,
    };
    for (number, later) in commands.iter().enumerate() {
        let before = commands.get(..number).unwrap_or_default();
        let feeding = |wanted: &dyn Fn(&SimpleCommand) -> bool| {
            before.iter().any(|earlier| {
                wanted(earlier) && earlier.pipelines.iter().any(|pipe| later.pipelines.contains(pipe))
            })
        };
        if runs(later) && feeding(&fetches) {
            return Some(("downloads_and_runs", Critical));
        }
        if runs(later) && feeding(&decodes) {
            return Some(("runs_encoded_code", Critical));
        }
        let sends = matches!(later.name(), "curl" | "wget" | "nc" | "ncat" | "netcat" | "socat" | "telnet");
        let reads = |command: &SimpleCommand| {
            matches!(command.name(), "env" | "printenv") && command.arguments().is_empty()
                || command.arguments().iter().any(|word| is_credential(&word.text))
                    && matches!(
                        command.name(),
                        "cat" | "tar" | "base64" | "zip" | "gzip" | "head" | "tail" | "xxd" | "grep"
                    )
        };
        let outward = later.name() != "curl"
            || ["-d", "--data", "-F", "-T", "--upload-file", "--data-binary", "-X"]
                .iter()
                .any(|flag| later.arguments().iter().any(|word| word.text.starts_with(flag)));
        if sends && outward && feeding(&reads) {
            return Some(("sends_credentials", Critical));
        }
        let piped_entrance = matches!(later.name(), "tee") && targets(later).any(is_entrance);
        if piped_entrance {
            return Some(("leaves_an_entrance", Severity::High));
        }
        if later.name() == "tee" && targets(later).any(is_disk) {
            return Some(("wipes_disk", Critical));
        }
        if later.name() == "crontab"
            && later.arguments().iter().any(|word| word.text == "-")
            && before.iter().any(|earlier| {
                let text = words(earlier).join(" ");
                ["curl", "wget", "/dev/tcp", "bash -i", "nc ", "/tmp/"].iter().any(|word| text.contains(word))
            })
        {
            return Some(("leaves_an_entrance", Critical));
        }
        if matches!(later.name(), "nc" | "ncat" | "netcat" | "telnet")
            && commands.iter().any(|one| one.name() == "mkfifo" || one.name() == "mknod")
            && commands.iter().any(|one| is_shell(one.name()))
        {
            return Some(("reverse_shell", Critical));
        }
        // `cd / && rm -rf *`
        let moved = before.iter().rev().find(|earlier| matches!(earlier.name(), "cd" | "pushd"));
        if later.name() == "rm"
            && (flag(later, 'r', "recursive") || flag(later, 'R', ""))
            && moved.is_some_and(|moved| match targets(moved).next() {
                Some(folder) => is_vital(folder),
                None => moved.name() == "cd",
            })
            && targets(later).any(|target| matches!(target, "*" | "." | "./*" | "./" | ".*"))
        {
            return Some(("destroys_files", Critical));
        }
        if is_shell(later.name())
            && before.iter().any(|earlier| {
                matches!(earlier.name(), "nc" | "ncat" | "netcat" | "telnet" | "socat")
                    && earlier.pipelines.iter().any(|pipe| later.pipelines.contains(pipe))
            })
        {
            return Some(("reverse_shell", Critical));
        }
        if let Some(saved) = saved_by(before) {
            let run_later = words(later)
                .iter()
                .any(|word| word.trim_start_matches("./") == saved.trim_start_matches("./"));
            let starts = is_shell(later.name())
                || later
                    .program()
                    .is_some_and(|word| word.text.trim_start_matches("./") == saved.trim_start_matches("./"))
                || later.name().starts_with("python")
                || matches!(later.name(), "source" | "." | "perl" | "dpkg");
            if run_later && starts && later.name() != "dpkg" {
                return Some(("downloads_and_runs", Severity::High));
            }
        }
        let fed_by_root = before.iter().any(|earlier| {
            earlier.name() == "find"
                && earlier.arguments().first().is_some_and(|word| is_vital(&word.text))
                && !narrow(earlier)
        });
        if later.via.iter().any(|via| via == "xargs") && matches!(later.name(), "rm" | "shred") && fed_by_root
        {
            return Some(("destroys_files", Critical));
        }
        if later.name() == "rm"
            && later.via.iter().any(|via| via == "find")
            && before.iter().chain(commands.iter()).any(|one| {
                one.name() == "find"
                    && one.arguments().first().is_some_and(|word| is_vital(&word.text))
                    && !narrow(one)
            })
        {
            return Some(("destroys_files", Critical));
        }
    }
    let unknown_script = line
        .doubts
        .iter()
        .any(|doubt| matches!(doubt, Doubt::DynamicScript | Doubt::Evaluation | Doubt::DynamicProgram));
    if unknown_script
        && commands.iter().any(|command| fetches(command) && gives_output(command))
        && commands.iter().any(|command| {
            is_shell(command.name())
                || matches!(command.name(), "eval" | "source" | "." | "exec")
                || command.name().starts_with("python")
        })
    {
        return Some(("downloads_and_runs", Critical));
    }
    if unknown_script
        && commands.iter().any(decodes)
        && commands.iter().any(|command| is_shell(command.name()) || command.name() == "eval")
    {
        return Some(("runs_encoded_code", Critical));
    }
    None
}

/// Whether what is fetched goes to standard output.
fn gives_output(command: &SimpleCommand) -> bool {
    match command.name() {
        "wget" => command
            .arguments()
            .iter()
            .any(|word| word.text.contains("O-") || word.text == "-" || word.text.contains("/dev/stdout")),
        _ => !command
            .arguments()
            .iter()
            .any(|word| matches!(word.text.as_str(), "-o" | "-O" | "--output" | "--remote-name")),
    }
}

/// The file that an earlier command fetched to.
fn saved_by(commands: &[SimpleCommand]) -> Option<String> {
    commands.iter().rev().find_map(|command| {
        let words = words(command);
        match command.name() {
            "curl" | "wget" | "aria2c" => {
                let flag = words
                    .iter()
                    .position(|word| matches!(*word, "-o" | "--output" | "-O" | "--output-document"));
                let redirected = command.redirections.iter().find_map(|one| match one {
                    Redirection::Write(file) => Some(file.text.as_str()),
                    _ => None,
                });
                let named = redirected
                    .as_ref()
                    .or_else(|| flag.and_then(|at| words.get(at + 1)))
                    .filter(|name| !name.starts_with("http") && !name.starts_with('-'));
                match named {
                    Some(name) => Some((*name).to_owned()),
                    // By its last part: `wget https://x/y.sh`, `curl -O https://x/y.sh`.
                    None => words
                        .iter()
                        .find(|word| word.starts_with("http"))
                        .and_then(|url| url.rsplit('/').next())
                        .filter(|name| name.contains('.'))
                        .map(str::to_owned),
                }
            }
            _ => None,
        }
    })
}
