//! Command lines: what each of their commands does to the machine, and what they do to each other.

use sallyport_policy::Severity;
use sallyport_policy::shell::{Doubt, Redirection, ShellLine, SimpleCommand};

use super::paths::{is_credential, is_disk, is_entrance, is_record, is_vital};
use crate::shell;

type Judgement = (&'static str, Severity);

/// Whether a line holds a word that any judgement here needs; most lines hold none and are not taken apart.
pub(super) fn may_hold(line: &str) -> bool {
    use std::sync::LazyLock;
    static WORDS: LazyLock<Option<regex_automata::meta::Regex>> = LazyLock::new(|| {
        regex_automata::meta::Regex::new(
            r"(?:\b(?:rm|dd|mkfs|mke2fs|chmod|chown|chattr|wipefs|shred|blkdiscard|fdisk|sgdisk|parted|hdparm|mkswap|cryptsetup|lvremove|vgremove|pvremove|zpool|diskutil|truncate|find|mv|cp|ln|rsync|history|unset|export|journalctl|crontab|setenforce|ufw|iptables|nft|systemctl|service|kill|pkill|killall|docker|podman|kubectl|terraform|tofu|helm|aws|gcloud|gsutil|az|dropdb|psql|mysql|redis-cli|mongo|mongosh|git|apt|apt-get|yum|dnf|dpkg|pacman|pip|userdel|useradd|usermod|passwd|visudo|auditctl|csrutil|spctl|sysctl|insmod|curl|wget|fetch|aria2c|nc|ncat|netcat|socat|telnet|scp|tar|base64|xxd|openssl|eval|source|python[0-9.]*|perl|ruby|php|node|lua|awk|gawk|bash|sh|zsh|mkfifo|nohup|launchctl|nvme|at|env|printenv|cat|tee|echo|printf|set|HISTFILE|HISTSIZE|reboot|busybox|doas|sudo|exec)\b|/dev/|>\s*[/~]|:\(\)|\(\)\s*\{)",
        )
        .ok()
    });
    // Nothing is destroyed, opened or sent without one of these.
    const MARKS: &[&str] = &[
        "/",
        "~",
        "|",
        "-",
        "$",
        "*",
        ">",
        "{",
        "777",
        "666",
        "a+",
        "HIST",
        "setenforce",
        "disable",
        "stop",
        "dropdb",
        "destroy",
        "delete",
        "flush",
        "killall5",
        "clean",
        "DROP",
        "drop",
        "FLUSH",
        "nc ",
        " .",
    ];
    MARKS.iter().any(|mark| line.contains(mark)) && WORDS.as_ref().is_some_and(|words| words.is_match(line))
}

/// What is worst about a command line.
pub(super) fn judge(line: &str) -> Option<Judgement> {
    let line = without_prompt(line);
    // In prose a command in back quotes is what is warned of as often as what is advised.
    if warns(line) {
        return None;
    }
    if fork_bomb(line) {
        return Some(("fork_bomb", Severity::Critical));
    }
    let parsed = shell::parse(line);
    let mut worst: Option<Judgement> = None;
    let mut take = |judgement: Option<Judgement>| {
        if let Some(new) = judgement
            && worst.is_none_or(|old| new.1 > old.1)
        {
            worst = Some(new);
        }
    };
    for command in &parsed.commands {
        take(alone(command, parsed.commands.len() == 1));
        take(redirected(command));
        take(interpreted(command));
    }
    take(together(&parsed));
    worst
}

/// `$ rm x`, `root@host:~# rm x`, `> rm x`, `RUN rm x` of a Dockerfile, `- run: rm x` of a workflow.
fn without_prompt(line: &str) -> &str {
    let mut line = line.trim();
    for prompt in ["$ ", "# ", "% ", "> ", "RUN ", "- run: ", "run: ", "- ", "* ", "!", "CMD ", "ENTRYPOINT "]
    {
        if let Some(rest) = line.strip_prefix(prompt) {
            // `# rm x` is a comment unless it is a root shell's prompt, which can't be told: comments are more.
            if prompt == "# " {
                return "";
            }
            // A redirection without a command empties its file; a quotation mark of prose is followed by a word.
            if prompt == "> " && rest.starts_with(['/', '~', '$', '.']) {
                continue;
            }
            line = rest;
        }
    }
    line
}

fn warns(line: &str) -> bool {
    let prose = line.contains('`')
        || line.split(' ').take(3).any(|word| word.ends_with([',', ':', '.']) && word.len() > 3);
    let lower = line.to_ascii_lowercase();
    let negates =
        ["never ", "don't ", "do not ", "avoid ", "dangerous", "warning", "beware", "instead of", "careful"];
    prose && negates.iter().any(|word| lower.contains(word))
}

/// A function that pipes itself into itself in the background, whatever its name.
fn fork_bomb(line: &str) -> bool {
    let squeezed: String = line.chars().filter(|c| !c.is_whitespace()).collect();
    let defined = squeezed.match_indices("(){").any(|(at, _)| {
        let before = squeezed.get(..at).unwrap_or_default();
        let name = before.rsplit([';', '&', '|', '{', '(', '"', '\'']).next().unwrap_or_default();
        let name = name.strip_prefix("function").unwrap_or(name);
        let body = squeezed.get(at + 3..).unwrap_or_default();
        !name.is_empty()
            && (body.starts_with(&format!("{name}|{name}&"))
                || body.starts_with(&format!("{name}&{name}"))
                || body.starts_with(&format!("{name}|{name}|")))
    });
    defined
        || squeezed.contains("%0|%0")
        || squeezed.contains("forkwhilefork")
        || (squeezed.contains("whileTrue:os.fork()") || squeezed.contains("while1:os.fork()"))
        || ["whiletrue;do$0&", "while:;do$0&", "whiletrue;dobash$0&", "./$0|./$0&", "./$0&./$0&"]
            .iter()
            .any(|form| squeezed.contains(form))
}

fn flag(command: &SimpleCommand, short: char, long: &str) -> bool {
    command.arguments().iter().any(|word| {
        let text = word.text.as_str();
        match text.strip_prefix("--") {
            Some(name) => !long.is_empty() && name.split('=').next() == Some(long),
            None => text.strip_prefix('-').is_some_and(|letters| letters.contains(short)),
        }
    })
}

fn targets(command: &SimpleCommand) -> impl Iterator<Item = &str> {
    command.arguments().iter().map(|word| word.text.as_str()).filter(|text| !text.starts_with('-'))
}

fn words(command: &SimpleCommand) -> Vec<&str> {
    command.words.iter().map(|word| word.text.as_str()).collect()
}

fn has(command: &SimpleCommand, wanted: &[&str]) -> bool {
    let words = words(command);
    wanted.iter().all(|word| words.iter().any(|have| have == word))
}

/// What one command does by itself. `only`: nothing else stands in the line.
fn alone(command: &SimpleCommand, only: bool) -> Option<Judgement> {
    use Severity::{Critical, High, Medium};
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

/// A find that asks for age, name or size takes some, not all.
fn narrow(command: &SimpleCommand) -> bool {
    [
        "-name",
        "-iname",
        "-mtime",
        "-size",
        "-path",
        "-regex",
        "-empty",
        "-newer",
        "-mmin",
        "-user",
        "-maxdepth",
        "-atime",
    ]
    .iter()
    .any(|test| has(command, &[test]))
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

const SHELLS: &[&str] = &["sh", "bash", "zsh", "dash", "ksh", "ash", "fish", "csh", "tcsh"];

/// Whether a word is a shell by its path or name.
fn is_shell(word: &str) -> bool {
    SHELLS.contains(&word.rsplit('/').next().unwrap_or_default())
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

fn redirected(command: &SimpleCommand) -> Option<Judgement> {
    command.redirections.iter().find_map(|redirection| {
        let Redirection::Write(to) = redirection else {
            return match redirection {
                Redirection::Read(from) if from.text.starts_with("/dev/tcp/") => {
                    Some(("reverse_shell", Severity::Critical))
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
            () if path == "/proc/sysrq-trigger" => Some(("stops_everything", Severity::High)),
            () if is_vital(path) && path.len() > 1 && !path.starts_with("/dev/") => {
                Some(("destroys_files", Severity::High))
            }
            () => None,
        }
    })
}

use Severity::Critical;

/// Programs given as text to an interpreter.
fn interpreted(command: &SimpleCommand) -> Option<Judgement> {
    let name = command.name();
    let interpreter =
        ["python", "perl", "ruby", "php", "node", "lua", "awk", "gawk", "deno", "bun", "rscript"]
            .iter()
            .any(|known| name.starts_with(known));
    if !interpreter {
        return None;
    }
    let text = words(command).join(" ");
    let lower = text.to_ascii_lowercase();
    let network =
        ["socket", "fsockopen", "tcpsocket", "/inet/tcp", "net.socket", "net.connect", "io::socket"]
            .iter()
            .any(|word| lower.contains(word));
    let shell = [
        "/bin/sh",
        "/bin/bash",
        "pty.spawn",
        "subprocess",
        "exec(",
        "child_process",
        "cmd.exe",
        "dup2",
        "\"sh\"",
        "'sh'",
        "getline",
        "sh -i",
    ]
    .iter()
    .any(|word| lower.contains(word));
    if network && shell {
        return Some(("reverse_shell", Critical));
    }
    let removes = ["rmtree(", "rmsync(", "rm_rf", "rm_r(", "unlink", "removeall("]
        .iter()
        .any(|word| lower.contains(word));
    let vital = [
        "'/'",
        "\"/\"",
        "'/home",
        "\"/home",
        "'/etc",
        "\"/etc",
        "'~",
        "\"~",
        "expanduser",
        "</*>",
        "homedir()",
        "'/usr",
        "\"/usr",
        "'/var/",
        "\"/var/",
    ]
    .iter()
    .any(|word| lower.contains(word));
    if removes && vital {
        return Some(("destroys_files", Critical));
    }
    let fetches = [
        "urlopen(",
        "requests.get(",
        "lwp::simple",
        "open-uri",
        "urllib",
        "file_get_contents('http",
        "file_get_contents(\"http",
        "fetch(",
    ]
    .iter()
    .any(|word| lower.contains(word));
    let runs = ["exec(", "eval(", "system(", "eval ", "subprocess", "popen("]
        .iter()
        .any(|word| lower.contains(word));
    if fetches && runs {
        return Some(("downloads_and_runs", Critical));
    }
    let encoded = lower.contains("b64decode(")
        || lower.contains("base64_decode(")
        || lower.contains("frombase64")
        || lower.contains("decode_base64");
    if encoded && runs {
        return Some(("runs_encoded_code", Severity::High));
    }
    let rm = lower.contains("rm -rf /") || lower.contains("rm -rf ~");
    rm.then_some(("destroys_files", Critical))
}

/// What commands do to each other: fetch and run, read and send.
fn together(line: &ShellLine) -> Option<Judgement> {
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
            || ["python", "perl", "ruby", "php", "node", "deno", "source", "."]
                .iter()
                .any(|known| name == *known || (name.starts_with("python") && *known == "python"));
        // `python -m json.tool`, `node script.js`, `sh -n`: the input is data.
        let own_script = command.arguments().iter().any(|word| {
            let text = word.text.as_str();
            matches!(text, "-c" | "-m" | "-e" | "-n" | "-ne" | "-pe" | "-p" | "-lne" | "-nE" | "-r")
                && !(text == "-e" && is_shell(name))
                && !(matches!(text, "-p" | "-r") && is_shell(name))
                || (!text.starts_with('-') && text != "/dev/stdin" && !is_shell(name))
        });
        interpreter && !own_script
    };
    let decodes = |command: &SimpleCommand| match command.name() {
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
                let named = flag
                    .and_then(|at| words.get(at + 1))
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
