//! One command and what guards the machine: permissions, records, protection.

use sallyport_policy::Severity::{High, Medium};
use sallyport_policy::shell::SimpleCommand;

use super::One;
use crate::output::commands::Judgement;
use crate::output::commands::words::{flag, has, targets};
use crate::output::paths::is_vital;

/// Who may do what from now on.
pub(super) fn permissions(one: &One<'_>) -> Option<Judgement> {
    let One { command, name, text, .. } = *one;
    match name {
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
        "insmod" if text.contains("/tmp/") || text.contains("rootkit") => Some(("leaves_an_entrance", High)),
        _ => None,
    }
}

/// What was written down about what happened.
pub(super) fn records(one: &One<'_>) -> Option<Judgement> {
    let One { command, name, text, .. } = *one;
    match name {
        "history" => (flag(command, 'c', "")
            || flag(command, 'w', "") && text.contains("/dev/null")
            || flag(command, 'd', ""))
        .then_some(("wipes_records", High)),
        "unset" => targets(command).any(|name| name.starts_with("HIST")).then_some(("wipes_records", High)),
        "set" => (text.contains("+o history")).then_some(("wipes_records", High)),
        "export" | "declare" | "" => history_off(command, text).then_some(("wipes_records", High)),
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

/// What watches over the machine, and what runs on it.
pub(super) fn protection(one: &One<'_>) -> Option<Judgement> {
    let One { command, name, text, .. } = *one;
    match name {
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
        _ => None,
    }
}
