//! Which process holds a socket: its executable and its ancestors. An identification for policy and the trail, not a
//! proof: processes of one user can pretend to be each other.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::LockedBytes;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// The executable file; `None` when it may not be read.
    pub exe: Option<PathBuf>,
    /// The name the kernel shows for it, such as `node`.
    pub name: String,
    /// Its working directory; `None` where the system does not tell.
    pub cwd: Option<PathBuf>,
    /// Nearest first.
    pub parents: Vec<Ancestor>,
    pub started: Option<SystemTime>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ancestor {
    pub pid: u32,
    pub name: String,
}

/// Finds processes by socket. Keeps the last few hits, since one client opens many connections.
#[derive(Debug, Default)]
pub struct Processes {
    recent: std::sync::Mutex<Vec<u32>>,
}

/// How many earlier hits are looked at before all processes are.
const RECENT: usize = 16;

impl Processes {
    pub fn new() -> Processes {
        Processes::default()
    }

    /// The process of user `uid` that holds the socket `inode`. `None` when it has gone, hides its files, or was not
    /// found within bounds. Reads `/proc`, so call it where blocking is allowed.
    pub fn of_socket(&self, inode: u64, uid: u32) -> Option<Process> {
        let recent = self.recent.lock().map(|r| r.clone()).unwrap_or_default();
        let pid = crate::imp::find_socket_holder(inode, uid, &recent)?;
        if let Ok(mut recent) = self.recent.lock() {
            recent.retain(|p| *p != pid);
            recent.insert(0, pid);
            recent.truncate(RECENT);
        }
        Process::by_pid(pid)
    }
}

impl Process {
    /// What the system tells about a running process.
    pub fn by_pid(pid: u32) -> Option<Process> {
        crate::imp::describe_process(pid)
    }
}

/// The variables that a running process was started with, `NAME=value` with a zero byte after each, on locked pages.
/// `None` where the system does not tell; what is longer than 128 KiB is cut.
pub fn environment(pid: u32) -> Option<LockedBytes> {
    crate::imp::process_environment(pid)
}

/// A hold on one running process: tells whether it has ended, also after its pid was given to another.
#[derive(Debug)]
pub struct Lifeline(crate::imp::ProcessHold);

impl Lifeline {
    /// Takes hold of a running process.
    pub fn of(pid: u32) -> Result<Lifeline, crate::Error> {
        crate::imp::ProcessHold::take(pid).map(Lifeline)
    }

    /// Whether it has ended. One that has ended and was not waited for yet counts as ended.
    pub fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    /// Its two ends, and to whom the system says that the client's belongs.
    fn connection() -> (TcpStream, TcpStream, crate::SocketOwner) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let client = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        let (server, peer) = listener.accept().expect("accept");
        let owner = crate::owner_of(server.local_addr().expect("local"), peer).expect("owner");
        (client, server, owner)
    }

    #[test]
    fn finds_ourselves_by_socket() {
        let (_client, _server, owner) = connection();
        let processes = Processes::new();
        for _ in 0..2 {
            let process = processes.of_socket(owner.inode, owner.uid).expect("process");
            assert_eq!(process.pid, std::process::id());
            assert_eq!(process.exe, std::env::current_exe().ok());
            assert_eq!(process.cwd, std::env::current_dir().ok());
            assert!(process.parents.iter().any(|p| p.pid == std::os::unix::process::parent_id()));
            let age = process.started.expect("start").elapsed().unwrap_or_default();
            assert!(age < std::time::Duration::from_secs(600), "{age:?}");
        }
        assert_eq!(processes.of_socket(owner.inode, owner.uid.wrapping_add(1)), None);
        assert_eq!(processes.of_socket(u64::MAX, owner.uid), None);
    }

    #[test]
    fn a_child_that_has_its_parents_connection_is_not_who_made_it() {
        use std::os::fd::{AsFd, OwnedFd};
        let (client, _server, owner) = connection();
        let given: OwnedFd = client.as_fd().try_clone_to_owned().expect("clone");
        let mut child = std::process::Command::new("sleep").arg("60").stdin(given).spawn().expect("sleep");
        let found = Processes::new().of_socket(owner.inode, owner.uid);
        child.kill().expect("kill");
        child.wait().expect("wait");
        assert_eq!(found.expect("process").pid, std::process::id());
    }

    #[test]
    fn the_environment_is_that_of_the_process() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env_clear()
            .env("ONE", "a b")
            .env("TWO", "")
            .spawn()
            .expect("sleep");
        let read = || environment(child.id()).map(|bytes| bytes.to_vec());
        // Until it has become the other program it still has ours.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while read().as_deref() != Some(b"ONE=a b\0TWO=\0") && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(read().as_deref(), Some(&b"ONE=a b\0TWO=\0"[..]));
        child.kill().expect("kill");
        child.wait().expect("wait");
        assert!(environment(child.id()).is_none());
    }

    #[test]
    fn an_end_is_seen_before_anybody_waits_for_it() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let lifeline = Lifeline::of(child.id()).expect("a running process");
        assert!(!lifeline.is_over());
        child.kill().expect("kill");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !lifeline.is_over() && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(lifeline.is_over());
        let pid = child.id();
        child.wait().expect("wait");
        assert!(lifeline.is_over());
        assert!(Lifeline::of(pid).is_err());
        assert!(!Lifeline::of(std::process::id()).expect("ourselves").is_over());
    }
}
