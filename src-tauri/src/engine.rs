//! Starts the engine where none runs. It belongs to the user, not to this app: it goes on when the app ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sallyport_platform::desktop;

/// The command line's program, which is the engine, too.
pub(crate) const PROGRAM: &str = if cfg!(windows) { "sallyport.exe" } else { "sallyport" };

/// Beside this program first, since both come from one package; else on the path.
pub(crate) fn program(own: Option<&Path>, path: Option<&std::ffi::OsStr>) -> Option<PathBuf> {
    let beside = own.and_then(Path::parent).map(|folder| folder.join(PROGRAM));
    let on_path = path.into_iter().flat_map(std::env::split_paths).map(|folder| folder.join(PROGRAM));
    beside.into_iter().chain(on_path).find(|candidate| candidate.is_file())
}

/// Returns once it was started; whether it answers is seen on its socket.
pub(crate) fn start() -> std::io::Result<()> {
    let own = std::env::current_exe().ok();
    let program = program(own.as_deref(), std::env::var_os("PATH").as_deref()).ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::NotFound, "the program `sallyport` was not found")
    })?;
    let mut command = Command::new(program);
    // It writes a log of its own.
    command.arg("daemon").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    desktop::set_apart(&mut command);
    let mut child = command.spawn()?;
    // Reaped when it ends before us; else the system inherits it.
    std::thread::Builder::new().name("engine".into()).spawn(move || child.wait())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_our_own_package_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, other) = (folder.path().join("ours"), folder.path().join("other"));
        for place in [&ours, &other] {
            std::fs::create_dir(place).unwrap();
        }
        std::fs::write(other.join(PROGRAM), "").unwrap();
        let own = ours.join("sallyport-desktop");
        assert_eq!(program(Some(&own), Some(other.as_os_str())), Some(other.join(PROGRAM)));
        std::fs::write(ours.join(PROGRAM), "").unwrap();
        assert_eq!(program(Some(&own), Some(other.as_os_str())), Some(ours.join(PROGRAM)));
        assert_eq!(program(None, None), None);
    }
}
