//! Secrets of a class for the command that this process becomes: asked for, waited for, and never shown.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use sallyport_ipc::types::{ElevationView, Handover, HandoverRequest, Variable};
use sallyport_platform::Paths;
use sallyport_policy::elevation::State;

use crate::commands::elevate;
use crate::engine;
use crate::exit::Failure;
use crate::output::note;

/// Between two looks at whether a human has answered.
const LOOK: Duration = Duration::from_millis(400);

/// The variables of a class, once a human has granted them.
pub(super) fn of_class(class: &str, program: &OsStr) -> Result<Vec<Variable>, Failure> {
    // What is fetched lies in this process until it becomes the command.
    let _ = sallyport_platform::memory::harden_process();
    let paths = engine::paths()?;
    // The name alone: arguments may hold anything.
    let program = Path::new(program).file_name().unwrap_or(program).to_string_lossy();
    let request = HandoverRequest {
        class: class.to_owned(),
        justification: format!("secrets of the class {class} for the command {program}"),
    };
    let mut waited = false;
    loop {
        match engine::call(&paths, async |client| client.secrets_handover(&request).await)? {
            Handover::Granted(variables) => return Ok(variables),
            Handover::Waits(_) if waited => {
                return Err(Failure::new(format!(
                    "the grant for the secrets of the class {class} is over already"
                ))
                .hint("run this again, and let it be granted for longer"));
            }
            Handover::Waits(asked) => {
                note(elevate::sentence(&asked));
                granted(&paths, &asked)?;
                waited = true;
            }
        }
    }
}

/// Waits until a human has granted a request; whatever else becomes of it is a failure.
fn granted(paths: &Paths, asked: &ElevationView) -> Result<(), Failure> {
    let id = asked.question.request.id;
    loop {
        let all = engine::call(paths, async |client| client.elevations().await)?;
        match all.into_iter().find(|view| view.question.request.id == id).map(|view| view.state) {
            Some(State::Pending) => std::thread::sleep(LOOK),
            Some(state) if state.is_granted() => return Ok(()),
            other => {
                let state = other.map_or("gone", State::as_str);
                return Err(Failure::new(format!(
                    "request {id} for secrets is {state}: the command was not started"
                ))
                .hint("`sallyport elevate list` shows who was asked"));
            }
        }
    }
}

#[cfg(unix)]
pub(super) fn text(variable: &Variable) -> Result<OsString, Failure> {
    use std::os::unix::ffi::OsStrExt;
    Ok(OsStr::from_bytes(&variable.value).to_owned())
}

#[cfg(not(unix))]
pub(super) fn text(variable: &Variable) -> Result<OsString, Failure> {
    match std::str::from_utf8(&variable.value) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err(Failure::new(format!("the value for {} is no text", variable.name))),
    }
}
