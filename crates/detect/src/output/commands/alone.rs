//! What one command does by itself: to files, disks, records, permissions, infrastructure, data.

use sallyport_policy::Severity;
use sallyport_policy::shell::{Redirection, SimpleCommand};

use super::Judgement;
use super::words::{SHELLS, flag, has, is_shell, narrow, targets, words};
use crate::output::paths::{is_credential, is_disk, is_entrance, is_record, is_startup, is_vital};

use Severity::Critical;

/// What one command does by itself. `only`: nothing else stands in the line.
pub(super) fn judge(command: &SimpleCommand, only: bool) -> Option<Judgement> {
    use Severity::{High, Medium};
    let text = words(command).join(" ");
    let vital = || targets(command).any(is_vital);
    let disk = || targets(command).any(is_disk);
    let record = || targets(command).any(is_record);
    let name = command.name();
    let name = if name == "busybox" { targets(command).next().unwrap_or_default() } else { name };
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
            (deletes
                && command.arguments().first().is_some_and(|word| is_vital(&word.text))
                && !narrow(command))
            .then_some(("destroys_files", Critical))
        }
        "dd" => {
            let out = command.arguments().iter().find_map(|word| word.text.strip_prefix("of="));
            out.is_some_and(is_disk).then_some(("wipes_disk", Critical))
        }
        "wipefs" | "blkdiscard" | "mkswap" | "sgdisk" | "hdparm" | "badblocks" | "mke2fs" | "newfs"
            if disk() =>
        {
            let looks = text.contains(" -n")
                || text.contains("--print")
                || (name == "hdparm" && !text.contains("erase"));
            (!looks).then_some(("wipes_disk", Critical))
        }
        "fdisk" | "parted" | "sfdisk" | "cfdisk" if disk() => {
            let changes =
                ["mklabel", "rm ", "--delete", "mkpart", "--wipe"].iter().any(|word| text.contains(word));
            changes.then_some(("wipes_disk", Critical))
        }
        _ if name.starts_with("mkfs") && disk() => Some(("wipes_disk", Critical)),
        "cryptsetup"
            if text.contains("luksErase")
                || text.contains(" erase")
                || (text.contains("luksFormat") && disk()) =>
        {
            Some(("wipes_disk", Critical))
        }
        "nvme" if text.contains(" format") || text.contains("sanitize") => Some(("wipes_disk", Critical)),
        "lvremove" | "vgremove" | "pvremove" => {
            (flag(command, 'f', "force") || flag(command, 'y', "yes")).then_some(("wipes_disk", High))
        }
        "zpool" | "zfs" if has(command, &["destroy"]) => Some(("wipes_disk", High)),
        "diskutil"
            if ["eraseDisk", "zeroDisk", "secureErase", "eraseVolume", "partitionDisk"]
                .iter()
                .any(|word| text.contains(word)) =>
        {
            Some(("wipes_disk", Critical))
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
        "chmod" => {
            let mode = targets(command).next().unwrap_or_default();
            let open = matches!(mode.trim_start_matches('0'), "777" | "1777" | "2777" | "666" | "7777")
                || [
                    "a+rwx", "ugo+rwx", "o+w", "a+w", "+rwx", "a=rwx", "o+rwx", "ugo=rwx", "ugo+w", "go+rwx",
                    "a+rw",
                ]
                .contains(&mode);
            let sticky = mode.trim_start_matches('0') == "1777";
            if open && !sticky {
                let wide = flag(command, 'R', "recursive") || targets(command).skip(1).any(is_vital);
                return Some(("opens_permissions", if wide { High } else { Medium }));
            }
            let setuid = mode.contains("u+s")
                || mode == "+s"
                || mode.contains("ug+s")
                || (mode.len() == 4 && mode.starts_with(['4', '6']));
            if setuid {
                return Some(("sets_user_id", High));
            }
            (flag(command, 'R', "recursive") && targets(command).skip(1).any(is_vital))
                .then_some(("opens_permissions", High))
        }
        "chown" | "chgrp" | "chattr" => (flag(command, 'R', "recursive")
            && targets(command).skip(1).any(is_vital))
        .then_some(("opens_permissions", High)),
        "history" => (flag(command, 'c', "")
            || flag(command, 'w', "") && text.contains("/dev/null")
            || flag(command, 'd', ""))
        .then_some(("wipes_records", High)),
        "unset" => targets(command).any(|name| name.starts_with("HIST")).then_some(("wipes_records", High)),
        "set" => (text.contains("+o history")).then_some(("wipes_records", High)),
        "export" | "declare" | "" => history_off(command, &text).then_some(("wipes_records", High)),
        "journalctl" => {
            let all = [
                "--vacuum-time=1s",
                "--vacuum-size=1",
                "--vacuum-files=1",
                "--vacuum-time=0",
                "--vacuum-time=1m",
                "--vacuum-time 1s",
            ];
            all.iter().any(|form| text.contains(form)).then_some(("wipes_records", High))
        }
        "auditctl" if flag(command, 'D', "") || text.contains("-e 0") => Some(("wipes_records", High)),
        "setenforce" => {
            (text.ends_with('0') || text.contains("ermissive")).then_some(("turns_protection_off", High))
        }
        "ufw" if has(command, &["disable"]) || has(command, &["reset"]) => {
            Some(("turns_protection_off", High))
        }
        "iptables" | "ip6tables" => (flag(command, 'F', "flush") && !text.contains(" -t nat")
            || text.contains("-P INPUT ACCEPT"))
        .then_some(("turns_protection_off", High)),
        "nft" if text.contains("flush ruleset") => Some(("turns_protection_off", High)),
        "systemctl" | "service" | "rc-service" => {
            let guards = [
                "firewalld",
                "ufw",
                "auditd",
                "apparmor",
                "fail2ban",
                "falcon-sensor",
                "clamav-daemon",
                "iptables",
                "rsyslog",
                "nftables",
                "crowdsec",
                "osqueryd",
                "mdatp",
            ];
            let stops = ["stop", "disable", "mask", "kill"].iter().any(|word| has(command, &[word]));
            (stops && guards.iter().any(|guard| text.contains(guard)))
                .then_some(("turns_protection_off", High))
        }
        "csrutil" if has(command, &["disable"]) => Some(("turns_protection_off", High)),
        "spctl" if text.contains("-disable") => Some(("turns_protection_off", High)),
        "sysctl" if text.contains("randomize_va_space=0") || text.contains("kernel.yama.ptrace_scope=0") => {
            Some(("turns_protection_off", Medium))
        }
        "kill"
            if matches!(targets(command).last(), Some("1" | "-1"))
                || text.ends_with(" -1") && command.arguments().len() > 1 =>
        {
            Some(("stops_everything", High))
        }
        "killall5" => Some(("stops_everything", High)),
        "pkill" | "killall"
            if (text.contains("-9") || text.contains("KILL"))
                && (text.contains("-u root")
                    || text.ends_with(" .")
                    || text.ends_with(" init")
                    || text.ends_with(" systemd")
                    || text.ends_with(".*")) =>
        {
            Some(("stops_everything", High))
        }
        "crontab" if flag(command, 'r', "") => Some(("destroys_files", High)),
        "terraform" | "tofu" | "pulumi" | "cdk" if has(command, &["destroy"]) => {
            let sure = ["-auto-approve", "--auto-approve", "-y", "--yes", "--force", "-force"]
                .iter()
                .any(|word| words(command).contains(word));
            Some(("destroys_infrastructure", if sure { Critical } else { High }))
        }
        "kubectl" | "oc" if has(command, &["delete"]) => {
            let broad = flag(command, 'A', "all-namespaces")
                || text.contains("--all")
                || ["ns", "namespace", "namespaces", "node", "nodes", "pv", "pvc", "crd"]
                    .iter()
                    .any(|kind| has(command, &[kind]) || text.contains(&format!(" {kind}/")));
            broad.then_some(("destroys_infrastructure", High))
        }
        "docker" | "podman" => {
            let prunes = has(command, &["prune"])
                && has(command, &["system"])
                && (flag(command, 'a', "all") && text.contains("--volumes"));
            let all = text.contains("$(docker ps")
                || text.contains("$(docker images")
                || text.contains("$(docker volume")
                || text.contains("`docker ps");
            let removes = ["rm", "rmi", "kill"].iter().any(|word| has(command, &[word]))
                && all
                && (flag(command, 'f', "force") || text.contains("volume rm"));
            let escapes = text.contains("--privileged")
                && (text.contains("-v /:/") || text.contains("--pid=host"))
                || text.contains("-v /:/")
                || text.contains("--volume /:/")
                || text.contains("source=/,");
            match () {
                () if escapes => Some(("opens_the_machine", High)),
                () if prunes || removes => Some(("destroys_infrastructure", High)),
                () => None,
            }
        }
        "aws" => {
            let destroys = text.contains("s3 rb") && text.contains("--force")
                || text.contains("s3 rm")
                    && text.contains("--recursive")
                    && targets(command).any(|t| {
                        t.strip_prefix("s3://").is_some_and(|rest| !rest.trim_end_matches('/').contains('/'))
                    })
                || [
                    "terminate-instances",
                    "delete-db-instance",
                    "delete-db-cluster",
                    "delete-stack",
                    "delete-user",
                    "delete-cluster",
                    "delete-table",
                    "delete-bucket",
                    "delete-function",
                    "schedule-key-deletion",
                    "delete-vpc",
                    "delete-snapshot",
                    "delete-trail",
                    "stop-logging",
                ]
                .iter()
                .any(|word| has(command, &[word]));
            destroys.then_some(("destroys_infrastructure", High))
        }
        "gcloud" | "az" => {
            let quiet =
                ["--quiet", "-q", "--yes", "-y", "--force"].iter().any(|word| words(command).contains(word));
            let broad = [
                "projects",
                "group",
                "instances",
                "clusters",
                "databases",
                "sql",
                "buckets",
                "vm",
                "account",
                "keyvault",
            ]
            .iter()
            .any(|word| has(command, &[word]));
            (has(command, &["delete"]) && (quiet || has(command, &["projects"])) && broad)
                .then_some(("destroys_infrastructure", High))
        }
        "gsutil"
            if text.contains(" rm")
                && flag(command, 'r', "")
                && targets(command).any(|t| {
                    t.strip_prefix("gs://")
                        .is_some_and(|rest| !rest.trim_end_matches(['/', '*']).contains('/'))
                }) =>
        {
            Some(("destroys_infrastructure", High))
        }
        "dropdb" => Some(("destroys_data", High)),
        "psql" | "mysql" | "mariadb" | "sqlite3" | "mongo" | "mongosh" | "clickhouse-client" | "sqlcmd"
        | "mysqladmin" => destroys_data(&text).then_some(("destroys_data", High)),
        "redis-cli"
            if ["flushall", "flushdb"].iter().any(|word| text.to_ascii_lowercase().contains(word)) =>
        {
            Some(("destroys_data", High))
        }
        "git" => git(command, &text),
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
        "useradd" | "adduser" | "usermod" => {
            let root = text.contains("-u 0")
                || text.contains("--uid 0")
                || text.contains("-o -u0")
                || text.contains("-ou 0");
            root.then_some(("leaves_an_entrance", High))
        }
        "passwd" if flag(command, 'd', "delete") && text.contains("root") => {
            Some(("leaves_an_entrance", High))
        }
        "userdel" if has(command, &["root"]) => Some(("destroys_files", High)),
        "nc" | "ncat" | "netcat" | "socat" | "telnet" => listener(command, &text),
        "curl" | "wget" | "scp" | "rclone" => uploads(command, &text),
        "insmod" if text.contains("/tmp/") || text.contains("rootkit") => Some(("leaves_an_entrance", High)),
        _ => None,
    }
}

fn history_off(command: &SimpleCommand, text: &str) -> bool {
    let off = |name: &str, value: &str| match name {
        "HISTFILE" => value.is_empty() || value == "/dev/null",
        "HISTSIZE" | "HISTFILESIZE" => value == "0",
        _ => false,
    };
    command.assignments.iter().any(|one| off(&one.name, &one.value.text))
        || command
            .arguments()
            .iter()
            .filter_map(|word| word.text.split_once('='))
            .any(|(name, value)| off(name, value))
        || text.contains("LD_PRELOAD=/tmp")
}

fn destroys_data(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    [
        "DROP DATABASE",
        "DROP TABLE",
        "DROP SCHEMA",
        "TRUNCATE TABLE",
        "TRUNCATE ",
        "DROPDATABASE(",
        ".DROP()",
        "DROP USER",
        "DROP ALL",
    ]
    .iter()
    .any(|word| upper.contains(word))
        || (upper.contains("DELETE FROM ") && !upper.contains(" WHERE "))
        || upper.contains("MYSQLADMIN") && upper.contains(" DROP ")
}

fn git(command: &SimpleCommand, text: &str) -> Option<Judgement> {
    let main = ["main", "master", "production", "release", "--all", "--mirror"]
        .iter()
        .any(|branch| has(command, &[branch]) || text.ends_with(&format!(":{branch}")));
    let forced = flag(command, 'f', "force") && !text.contains("--force-with-lease")
        || text.contains(" +main")
        || text.contains(" +master");
    let deletes = (has(command, &["--delete"]) || text.contains(" :main") || text.contains(" :master"))
        && has(command, &["push"]);
    match () {
        () if has(command, &["push"]) && (forced && (main || text.contains(" +"))) => {
            Some(("rewrites_history", Severity::High))
        }
        () if deletes && (main || text.contains(":ma")) => Some(("rewrites_history", Severity::High)),
        () if has(command, &["push", "--mirror"]) => Some(("rewrites_history", Severity::High)),
        () if text.contains("reflog expire") && text.contains("--expire=now") => {
            Some(("rewrites_history", Severity::High))
        }
        () if text.contains("http.sslVerify false") || text.contains("http.sslVerify=false") => {
            Some(("tls_verification_off", Severity::Medium))
        }
        () => None,
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
    gives_shell.then_some(("reverse_shell", Severity::Critical))
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
        .then_some(("sends_credentials", Severity::Critical))
}

/// What a command writes over or speaks to by redirection.
pub(super) fn redirected(command: &SimpleCommand) -> Option<Judgement> {
    command.redirections.iter().find_map(|redirection| {
        let Redirection::Write(to) = redirection else {
            return match redirection {
                Redirection::Read(from) if from.text.starts_with("/dev/tcp/") => {
                    Some(("reverse_shell", Severity::Critical))
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
                Some(("reverse_shell", Severity::Critical))
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
                empties.then_some(("wipes_records", Severity::High))
            }
            () if is_entrance(path) => Some(("leaves_an_entrance", Severity::High)),
            () if is_startup(path) && says_to_fetch(command) => Some(("leaves_an_entrance", Severity::High)),
            () if path == "/proc/sysrq-trigger" => Some(("stops_everything", Severity::High)),
            () if is_vital(path) && path.len() > 1 && !path.starts_with("/dev/") => {
                Some(("destroys_files", Severity::High))
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
