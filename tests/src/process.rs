//! Child processes that do not outlive the test, and commands whose output is kept whole.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::wait;

/// A background process in a group of its own, ended with all its children when dropped.
pub struct Background {
    child: Child,
    log: PathBuf,
}

impl Background {
    /// Starts `command`; both outputs go to `log`.
    pub fn start(mut command: Command, log: &Path) -> Result<Background> {
        let out = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).process_group(0);
        let child = command.spawn().with_context(|| format!("starting {:?}", command.get_program()))?;
        Ok(Background { child, log: log.to_owned() })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far.
    pub fn output(&self) -> String {
        fs::read(&self.log).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
    }

    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("process {} to end", self.child.id());
        wait::within(limit, &what, || self.child.try_wait().ok().flatten())
    }

    /// `kill -9`, and wait until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Sends a signal to one process; it may be gone already.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Fails with everything that was printed, unless the command succeeded.
    pub fn ok(self) -> Result<Outcome> {
        if self.code != 0 {
            bail!("exit code {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr);
        }
        Ok(self)
    }
}

/// Runs a command to its end, with a limit. Its output goes through files, so that a full pipe cannot stop it.
pub fn run(command: Command, limit: Duration) -> Result<Outcome> {
    run_with_input(command, b"", limit)
}

pub fn run_with_input(mut command: Command, input: &[u8], limit: Duration) -> Result<Outcome> {
    let dir = tempfile::tempdir()?;
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    command.stdout(File::create(&out)?).stderr(File::create(&err)?).process_group(0);
    command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    let child = command.spawn().with_context(|| format!("starting {:?}", command.get_program()))?;
    let mut running = Background { child, log: out.clone() };
    if let Some(mut stdin) = running.child.stdin.take() {
        // A program that ends without reading its input is no error of ours.
        let _ = stdin.write_all(input);
    }
    let status = running.wait(limit);
    let text = |p: &Path| fs::read(p).map(|b| String::from_utf8_lossy(&b).into_owned());
    let (stdout, stderr) = (text(&out)?, text(&err)?);
    match status {
        Ok(status) => Ok(Outcome { code: status.code().unwrap_or(-1), stdout, stderr }),
        Err(slow) => bail!("{slow}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"),
    }
}
