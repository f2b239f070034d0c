//! Processes by `/proc`.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags, readlinkat_raw};
use rustix::process::{Pid, PidfdFlags};

use crate::process::{Ancestor, Process};
use crate::{Error, LockedBytes};

/// A full search stops here: a connection waits for it.
const SEARCH_TIME: Duration = Duration::from_millis(250);
const MAX_ANCESTORS: usize = 16;
const MAX_ENVIRONMENT: usize = 128 << 10;

pub(crate) fn find_socket_holder(inode: u64, uid: u32, recent: &[u32]) -> Option<u32> {
    let wanted = format!("socket:[{inode}]");
    let deadline = Instant::now() + SEARCH_TIME;
    let holds = |pid: u32| holds(pid, uid, wanted.as_bytes(), deadline);
    if let Some(pid) = recent.iter().find(|pid| holds(**pid)) {
        return Some(*pid);
    }
    let mut pids: Vec<u32> = std::fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    // Who has just connected is more often young than old.
    pids.sort_unstable_by(|a, b| b.cmp(a));
    let mut holder = pids.into_iter().take_while(|_| Instant::now() < deadline).find(|pid| holds(*pid))?;
    // Until it becomes another program a new child has all that its parent has, the connection too.
    for _ in 0..MAX_ANCESTORS {
        match Stat::of(holder) {
            Some(stat) if stat.parent != 0 && holds(stat.parent) => holder = stat.parent,
            _ => break,
        }
    }
    Some(holder)
}

fn holds(pid: u32, uid: u32, wanted: &[u8], deadline: Instant) -> bool {
    let folder = format!("/proc/{pid}");
    if !std::fs::metadata(&folder).is_ok_and(|m| m.uid() == uid) {
        return false;
    }
    // Relative to the open folder, with one buffer for all: a full path is looked up anew for each link.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = rustix::fs::open(format!("{folder}/fd"), flags, Mode::empty()) else { return false };
    let Ok(entries) = rustix::fs::Dir::read_from(&folder) else { return false };
    let mut buffer = [std::mem::MaybeUninit::uninit(); 64];
    entries
        .enumerate()
        .take_while(|(i, _)| i % 256 != 255 || Instant::now() < deadline)
        .filter_map(|(_, entry)| entry.ok())
        .any(|entry| {
            readlinkat_raw(&folder, entry.file_name(), &mut buffer).is_ok_and(|(target, _)| target == wanted)
        })
}

pub(crate) fn describe_process(pid: u32) -> Option<Process> {
    let stat = Stat::of(pid)?;
    let mut parents = Vec::new();
    let mut next = stat.parent;
    while next != 0 && parents.len() < MAX_ANCESTORS {
        let Some(parent) = Stat::of(next) else { break };
        parents.push(Ancestor { pid: next, name: parent.name });
        next = parent.parent;
    }
    Some(Process {
        pid,
        exe: std::fs::read_link(format!("/proc/{pid}/exe")).ok(),
        name: stat.name,
        cwd: std::fs::read_link(format!("/proc/{pid}/cwd")).ok(),
        parents,
        started: start_time(stat.started_ticks),
    })
}

pub(crate) fn process_environment(pid: u32) -> Option<LockedBytes> {
    let mut file = std::fs::File::open(format!("/proc/{pid}/environ")).ok()?;
    let mut whole = LockedBytes::zeroed(MAX_ENVIRONMENT).ok()?;
    let mut length = 0;
    while length < whole.len() {
        match file.read(&mut whole[length..]).ok()? {
            0 => break,
            read => length += read,
        }
    }
    let mut bytes = LockedBytes::zeroed(length).ok()?;
    bytes.copy_from_slice(&whole[..length]);
    Some(bytes)
}

/// A file descriptor that becomes readable when the process ends (pidfd_open(2)).
#[derive(Debug)]
pub(crate) struct ProcessHold(OwnedFd);

impl ProcessHold {
    pub(crate) fn take(pid: u32) -> Result<ProcessHold, Error> {
        let tried = || format!("take hold of process {pid}");
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid = raw.ok_or_else(|| Error::io(tried(), rustix::io::Errno::SRCH))?;
        rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .map(ProcessHold)
            .map_err(|error| Error::io(tried(), error))
    }

    pub(crate) fn is_over(&self) -> bool {
        let mut poll = [PollFd::new(&self.0, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut poll, Some(&now)).is_ok_and(|ready| ready > 0)
    }
}

/// When a process started, in the kernel's own count.
pub(super) fn started_ticks(pid: u32) -> Option<u64> {
    Stat::of(pid).map(|stat| stat.started_ticks)
}

#[derive(Debug, PartialEq)]
struct Stat {
    name: String,
    parent: u32,
    /// Since boot.
    started_ticks: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Stat> {
        let bytes = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        Stat::parse(&String::from_utf8_lossy(&bytes))
    }

    fn parse(text: &str) -> Option<Stat> {
        // The name may itself hold spaces and parentheses: it ends at the last one.
        let (head, tail) = text.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let mut fields = tail.split_ascii_whitespace();
        Some(Stat {
            name: name.to_owned(),
            parent: fields.nth(1)?.parse().ok()?,
            started_ticks: fields.nth(17)?.parse().ok()?,
        })
    }
}

fn start_time(ticks: u64) -> Option<SystemTime> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = stat.lines().find_map(|l| l.strip_prefix("btime "))?.trim().parse().ok()?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let since_boot = Duration::from_millis(ticks.saturating_mul(1000) / per_second);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(boot))?.checked_add(since_boot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let text = "42 (a) S (b) R 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2";
        let stat = Stat::parse(text).expect("stat");
        assert_eq!(stat, Stat { name: "a) S (b".into(), parent: 7, started_ticks: 987_654 });
        for cut in 0..text.len() - 8 {
            let _ = Stat::parse(&text[..cut]);
        }
    }
}
