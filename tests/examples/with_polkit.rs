//! `with_polkit FOLDER CMD…`: runs a command as another user on a system bus with a real polkitd, which knows our actions.
//!
//! FOLDER becomes that user's. The command finds a socket in `SALLYPORT_TEST_AGENT`; `PID yes` or `PID no` sent to it says how
//! the person at the desk answers for that process from now on, and the reply is how often they were asked so far.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use sallyport_tests::polkit::{Polkit, Serving, give};

const ACTIONS: &str = include_str!("../../assets/polkit/org.sallyport.policy");

fn main() -> Result<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let folder = PathBuf::from(words.next().context("which folder?")?);
    let polkit = Polkit::start(ACTIONS)?;
    give(&folder)?;
    let socket = folder.join("agent.sock");
    let listener = UnixListener::bind(&socket)?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666))?;

    let wrapper = polkit.wrapper();
    let mut command = Command::new(&wrapper[0]);
    command.args(&wrapper[1..]).args(words).env("SALLYPORT_TEST_AGENT", &socket);
    let mut running = command.spawn().context("the command could not be started")?;
    std::thread::spawn(move || {
        let mut agents = HashMap::new();
        for stream in listener.incoming().flatten() {
            if let Err(error) = answer(&polkit, &mut agents, &stream) {
                let _ = writeln!(&stream, "{error:#}");
            }
        }
    });
    let status = running.wait()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn answer(polkit: &Polkit, agents: &mut HashMap<u32, Serving>, stream: &UnixStream) -> Result<()> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let (pid, word) = line.trim().split_once(' ').context("expected `PID yes` or `PID no`")?;
    let (pid, yes) = (pid.parse()?, word == "yes");
    if !yes && word != "no" {
        bail!("expected yes or no");
    }
    let agent = match agents.entry(pid) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => new.insert(polkit.agent(pid, yes)?),
    };
    agent.answer(yes);
    let mut stream = stream;
    writeln!(stream, "{}", agent.asked())?;
    Ok(())
}
