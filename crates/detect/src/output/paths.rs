//! Which places of a file system nobody means to lose.

/// Whether destroying `path` takes a whole machine, a home, or what a system stands on.
pub(super) fn is_vital(path: &str) -> bool {
    if path.contains(['{', '[', '?', '"', '\'']) || path.contains("/..") {
        return spelt_out(path).iter().any(|path| is_a_vital_place(path));
    }
    is_a_vital_place(path)
}

/// The paths that a shell makes of one with quotes, lists in braces, and steps back; `${HOME:?}` is `$HOME`.
fn spelt_out(path: &str) -> Vec<String> {
    let path = path.replace(['"', '\''], "");
    let path = match path.strip_prefix("${HOME").and_then(|rest| rest.split_once('}')) {
        Some((how, rest)) if how.is_empty() || how.starts_with(':') => format!("$HOME{rest}"),
        _ => path,
    };
    let listed = path.split_once('{').and_then(|(before, rest)| {
        let (list, after) = rest.split_once('}')?;
        list.contains(',').then(|| list.split(',').map(|one| format!("{before}{one}{after}")).collect())
    });
    let paths: Vec<String> = listed.unwrap_or_else(|| vec![path]);
    paths.iter().map(|path| without_steps_back(path)).collect()
}

fn without_steps_back(path: &str) -> String {
    let Some(below) = path.strip_prefix('/').filter(|_| path.contains("/..")) else { return path.to_owned() };
    let mut parts: Vec<&str> = Vec::new();
    for part in below.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Whether a pattern of a shell may mean this name.
fn may_mean(pattern: &str, name: &str) -> bool {
    let mut pattern = pattern.chars();
    let Some(first) = pattern.next() else { return name.is_empty() };
    let rest = pattern.as_str();
    let tail = || name.chars().next().map(|c| name.split_at(c.len_utf8()).1);
    match first {
        '*' => may_mean(rest, name) || tail().is_some_and(|tail| may_mean(&format!("*{rest}"), tail)),
        '?' => tail().is_some_and(|tail| may_mean(rest, tail)),
        '[' => match rest.split_once(']') {
            Some((_, after)) => tail().is_some_and(|tail| may_mean(after, tail)),
            None => false,
        },
        letter => name.strip_prefix(letter).is_some_and(|tail| may_mean(rest, tail)),
    }
}

fn is_a_vital_place(path: &str) -> bool {
    let path = path.trim_matches(['"', '\'']);
    let path = path.strip_suffix("/*").or_else(|| path.strip_suffix("/.*")).unwrap_or(path);
    let path = match path.trim_end_matches(['/', '.']) {
        "" if path.starts_with('/') || path.is_empty() => return true,
        trimmed => trimmed,
    };
    if matches!(
        path,
        "~" | "$HOME" | "${HOME}" | "$HOME/.ssh" | "~/.ssh" | "~root" | "$USERPROFILE" | "~/.gnupg"
    ) {
        return true;
    }
    let Some(below) = path.strip_prefix('/') else { return false };
    let parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
    match *parts.as_slice() {
        [] => true,
        [top] if top.contains(['*', '?', '[']) && top.len() <= 24 => {
            TOP.iter().any(|name| name.len() > 1 && *name != "data" && may_mean(top, name))
        }
        [top] => TOP.contains(&top),
        // A person's own folder is its whole life.
        ["home" | "Users", _] => true,
        ["usr", "bin" | "sbin" | "lib" | "lib64" | "local" | "share"]
        | ["var", "lib" | "log" | "spool" | "www" | "mail"] => true,
        [
            "etc",
            "passwd" | "shadow" | "sudoers" | "fstab" | "hosts" | "ssh" | "pam.d" | "ssl" | "group"
            | "gshadow" | "crontab",
        ] => true,
        ["boot", _] | ["lib" | "lib64" | "bin" | "sbin", _] => true,
        ["System" | "Library", ..] => parts.len() <= 2,
        _ => false,
    }
}

const TOP: &[&str] = &[
    "bin",
    "boot",
    "dev",
    "etc",
    "home",
    "lib",
    "lib32",
    "lib64",
    "media",
    "mnt",
    "opt",
    "proc",
    "root",
    "run",
    "sbin",
    "srv",
    "sys",
    "usr",
    "var",
    "Users",
    "System",
    "Library",
    "Applications",
    "data",
    "c",
];

/// A disk or a part of one, by its device.
pub(super) fn is_disk(path: &str) -> bool {
    let Some(name) = path.trim_matches(['"', '\'']).strip_prefix("/dev/") else { return false };
    [
        "sd", "hd", "vd", "xvd", "nvme", "mmcblk", "disk", "rdisk", "md", "dm-", "mapper/", "nst", "mem",
        "kmem", "port",
    ]
    .iter()
    .any(|kind| name.starts_with(kind))
        || matches!(name, "sd*" | "root")
}

/// What tells later who did what.
pub(super) fn is_record(path: &str) -> bool {
    let path = path.trim_matches(['"', '\'']);
    path.starts_with("/var/log/")
        || path == "/var/log"
        || ["_history", "/utmp", "/wtmp", "/btmp", "lastlog", "auth.log", "audit.log", ".zhistory"]
            .iter()
            .any(|end| path.ends_with(end))
}

/// What each new shell of a person runs.
pub(super) fn is_startup(path: &str) -> bool {
    let path = path.trim_matches(['"', '\'']);
    [".bashrc", ".bash_profile", ".profile", ".zshrc", ".zprofile", ".zshenv", ".bash_login"]
        .iter()
        .any(|name| path.ends_with(name))
}

/// What lets somebody in later.
pub(super) fn is_entrance(path: &str) -> bool {
    let path = path.trim_matches(['"', '\'']);
    path.ends_with("authorized_keys")
        || [
            "/etc/passwd",
            "/etc/shadow",
            "/etc/sudoers",
            "/etc/crontab",
            "/etc/rc.local",
            "/etc/ld.so.preload",
            "/etc/profile",
            "/etc/pam.d",
            "/etc/hosts.allow",
        ]
        .iter()
        .any(|file| path.starts_with(file))
        || path.starts_with("/etc/cron.")
        || path.starts_with("/var/spool/cron")
        || path.starts_with("/etc/init.d/")
        || path.starts_with("/etc/sudoers.d/")
        || path.starts_with("/etc/systemd/system/")
        || path.contains("/LaunchAgents/")
        || path.contains("/LaunchDaemons/")
}

/// What only its owner should read.
pub(super) fn is_credential(path: &str) -> bool {
    let path = path.trim_matches(['"', '\'', '@']);
    [
        "/etc/shadow",
        "/etc/passwd",
        ".aws/credentials",
        ".netrc",
        ".git-credentials",
        ".pgpass",
        ".docker/config.json",
        ".kube/config",
        ".npmrc",
        ".pypirc",
        "/.env",
        "wallet.dat",
        "cookies.sqlite",
        "Login Data",
        ".bash_history",
    ]
    .iter()
    .any(|file| path.ends_with(file))
        || path == ".env"
        || path.contains("/.ssh/")
        || path.ends_with("/.ssh")
        || path.contains("id_rsa")
        || path.contains("id_ed25519")
        || path.contains("/.gnupg")
}
