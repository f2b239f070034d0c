//! Which places of a file system nobody means to lose.

/// Whether destroying `path` takes a whole machine, a home, or what a system stands on.
pub(super) fn is_vital(path: &str) -> bool {
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
        [top] => TOP.contains(&top) || top == "*",
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
