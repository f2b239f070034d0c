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

/// Lets the web view hand its pictures over in plain memory, unless somebody said otherwise: with some graphics drivers its window
/// stays empty else, and where the processor draws, ours is there in a third of the time.
/// To be called before anything else: it writes to the environment, which no other thread may read meanwhile.
pub fn draw_plainly() {
    #[cfg(target_os = "linux")]
    {
        const PLAIN: &str = "WEBKIT_DISABLE_DMABUF_RENDERER";
        if std::env::var_os(PLAIN).is_none() {
            #[expect(clippy::disallowed_methods, reason = "web views take it from the environment alone")]
            // SAFETY: the process has no thread but this one yet.
            unsafe {
                std::env::set_var(PLAIN, "1");
            }
        }
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

/// The panel that shows the icons of this session's programs, where it can be asked what it shows.
pub struct Panel(#[cfg(target_os = "linux")] crate::imp::Panel);

impl Panel {
    /// Waits for the answer of the session's bus. None where nothing can be asked.
    #[must_use]
    pub fn find() -> Option<Panel> {
        #[cfg(target_os = "linux")]
        return crate::imp::Panel::find().map(Panel);
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Whether it was given an icon of this process.
    #[must_use]
    pub fn shows_icon_of(&self, process: u32) -> bool {
        #[cfg(target_os = "linux")]
        return self.0.shows_icon_of(process);
        #[cfg(not(target_os = "linux"))]
        {
            let _ = process;
            false
        }
    }
}

/// By what number the desktop knows a popup, given the handle that `notify_rust` has of it; `None` where it has none.
pub fn popup_number(shown: &dyn std::any::Any) -> Option<u32> {
    #[cfg(target_os = "linux")]
    return crate::imp::popup_number(shown);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = shown;
        None
    }
}

/// Takes a popup of this session away that says what is true no more. Waits for the answer of the session's bus.
pub fn close_popup(id: u32) {
    #[cfg(target_os = "linux")]
    crate::imp::close_popup(id);
    #[cfg(not(target_os = "linux"))]
    let _ = id;
}

/// Ends this process at once and runs nothing of it any more: another process has taken its place, and with it the files of the
/// icon, which a tidy end would remove.
pub fn leave() -> ! {
    #[cfg(unix)]
    // SAFETY: it takes a number and does not return.
    unsafe {
        libc::_exit(0)
    }
    #[cfg(not(unix))]
    std::process::exit(0)
}
