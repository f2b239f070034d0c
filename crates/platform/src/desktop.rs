//! What a desktop app needs to know of its system, and how it starts programs that outlive it.

use std::io;
use std::process::Command;

/// Whether the system colours the icons of its panel itself and wants their shape alone.
pub const TEMPLATE_ICONS: bool = cfg!(target_os = "macos");

/// Makes a program ready to outlive this process: neither its terminal's Ctrl-C nor its end reaches it.
pub fn set_apart(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(windows)]
    {
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x0200;
        const DETACHED_PROCESS: u32 = 0x0008;
        std::os::windows::process::CommandExt::creation_flags(
            command,
            CREATE_NEW_PROCESS_GROUP | DETACHED_PROCESS,
        );
    }
}

/// Becomes another program. Returns only when it could not be started, or where a process can't be replaced: then with
/// the exit code of the finished program.
pub fn become_program(command: &mut Command) -> Result<u8, io::Error> {
    #[cfg(unix)]
    return Err(std::os::unix::process::CommandExt::exec(command));
    #[cfg(not(unix))]
    {
        let status = command.status()?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
    }
}

/// Children of the program that this process was before are its own now. Each is waited for, so that none stays a zombie.
/// To be called before anything else is started.
pub fn adopt_children() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Pid, WaitOptions, waitpid};
        let own = std::process::id();
        let children = std::fs::read_to_string(format!("/proc/self/task/{own}/children"));
        let pids = children.iter().flat_map(|pids| pids.split_whitespace());
        for pid in pids.filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
            let wait = move || {
                let _ = waitpid(Some(pid), WaitOptions::empty());
            };
            if std::thread::Builder::new().name("child".into()).spawn(wait).is_err() {
                return;
            }
        }
    }
}
