//! One command and the tree of files.

use sallyport_policy::Severity::{Critical, High};

use super::One;
use crate::output::commands::Judgement;
use crate::output::commands::words::{flag, has, narrow, targets};
use crate::output::paths::{is_credential, is_disk, is_entrance, is_record, is_vital};

/// What it takes from the tree of files.
pub(super) fn files(one: &One<'_>) -> Option<Judgement> {
    let One { command, name, text, only } = *one;
    let vital = || targets(command).any(is_vital);
    let disk = || targets(command).any(is_disk);
    let record = || targets(command).any(is_record);
    match name {
        "rm" | "unlink" | "srm" => {
            let recursive = flag(command, 'r', "recursive") || flag(command, 'R', "");
            if flag(command, '\0', "no-preserve-root") || (recursive && vital()) {
                return Some(("destroys_files", Critical));
            }
            let everything = |target: &str| matches!(target, "*" | "." | ".." | "./*" | "../*" | ".*" | "./");
            if recursive && only && targets(command).any(everything) {
                return Some(("destroys_files", High));
            }
            if record() && !targets(command).all(|target| target.ends_with(".gz") || target.ends_with(".1")) {
                return Some(("wipes_records", High));
            }
            vital().then_some(("destroys_files", High))
        }
        "find" => {
            let deletes =
                has(command, &["-delete"]) || text.contains("-exec rm") || text.contains("-exec shred");
            (deletes && targets(command).next().is_some_and(is_vital) && !narrow(command))
                .then_some(("destroys_files", Critical))
        }
        "shred" | "wipe" => {
            if disk() || vital() {
                return Some(("wipes_disk", Critical));
            }
            (record() || targets(command).any(is_credential) || text.contains('*'))
                .then_some(("destroys_files", High))
        }
        "mv" => {
            let moved: Vec<&str> = targets(command).collect();
            let (to, from) = moved.split_last()?;
            if *to == "/dev/null" && !from.is_empty() {
                return Some(("destroys_files", Critical));
            }
            from.iter().any(|path| is_vital(path)).then_some(("destroys_files", Critical))
        }
        "cp" | "ln" => {
            let to = targets(command).last()?;
            let from_device = targets(command).next().is_some_and(|from| {
                matches!(from, "/dev/null" | "/dev/zero" | "/dev/random" | "/dev/urandom")
            });
            match () {
                () if from_device && is_record(to) => Some(("wipes_records", High)),
                () if from_device && (is_disk(to) || is_vital(to) || is_entrance(to)) => {
                    Some(("destroys_files", Critical))
                }
                () => None,
            }
        }
        "rsync" if text.contains("--delete") => {
            targets(command).last().is_some_and(is_vital).then_some(("destroys_files", Critical))
        }
        "truncate" if record() => Some(("wipes_records", High)),
        "truncate" if vital() || disk() => Some(("destroys_files", Critical)),
        "tar" if text.contains("--remove-files") && vital() => Some(("destroys_files", High)),
        "crontab" if flag(command, 'r', "") => Some(("destroys_files", High)),
        "userdel" if has(command, &["root"]) => Some(("destroys_files", High)),
        "apt" | "apt-get" | "yum" | "dnf" | "dpkg" | "pacman" | "zypper" | "apk" | "rpm" => {
            let removes = [
                "remove",
                "purge",
                "erase",
                "--purge",
                "-Rns",
                "-Rdd",
                "autoremove",
                "-e",
                "del",
                "-P",
                "-r",
            ]
            .iter()
            .any(|word| has(command, &[word]));
            let vital = [
                "libc6",
                "glibc",
                "systemd",
                "sudo",
                "bash",
                "coreutils",
                "*",
                "linux-image*",
                "init",
                "openssh-server",
                "kernel",
                "apt",
                "dpkg",
                "'*'",
            ];
            (removes
                && targets(command)
                    .any(|target| vital.contains(&target) || target.starts_with("linux-image")))
            .then_some(("destroys_files", High))
        }
        _ => None,
    }
}
