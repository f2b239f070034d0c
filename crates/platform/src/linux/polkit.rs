//! polkit over the system bus.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Duration;

use zbus::blocking::Connection;
use zbus::blocking::connection::Builder;
use zbus::zvariant::Value;

use crate::authenticate::{Action, Answer, Missing, Subject};

/// Fixed: a bus that the environment names would be one that the user's own processes can make up.
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";
const AUTHORITY: &str = "org.freedesktop.PolicyKit1";
const PATH: &str = "/org/freedesktop/PolicyKit1/Authority";
const INTERFACE: &str = "org.freedesktop.PolicyKit1.Authority";
/// Answers that wait for nobody.
const QUICK: Duration = Duration::from_secs(5);
const ALLOW_INTERACTION: u32 = 1;

/// Authorised, could be by asking, details.
type Verdict = (bool, bool, HashMap<String, String>);

pub(crate) fn authenticate(action: Action, subject: &Subject, patience: Duration) -> Answer {
    match check(action, *subject, ALLOW_INTERACTION, patience) {
        Ok((true, ..)) => Answer::Authenticated,
        Ok((false, _, details)) if details.contains_key("polkit.dismissed") => {
            Answer::Refused("the question was dismissed".into())
        }
        Ok((false, true, _)) => Answer::Refused(
            "no authentication agent could ask (a desktop session has one; in a terminal pkttyagent is one)"
                .into(),
        ),
        Ok((false, false, _)) => Answer::Refused("the operating system did not authenticate you".into()),
        Err(answer) => answer,
    }
}

pub(crate) fn authentication_available() -> Result<(), Missing> {
    let Some(own) = Subject::of(std::process::id(), crate::current_uid()) else { return Ok(()) };
    match check(Action::Approve, own, 0, QUICK) {
        Err(Answer::Unavailable(missing)) => Err(missing),
        _ => Ok(()),
    }
}

pub(crate) fn process_started(pid: u32) -> Option<u64> {
    super::process::started_ticks(pid)
}

/// On a thread of its own: the bus library has no time limit for a call.
fn check(action: Action, subject: Subject, flags: u32, patience: Duration) -> Result<Verdict, Answer> {
    // Asked of the file system first: only a bus that does not exist is missing, one that does not answer is trouble.
    if let Err(error) = UnixStream::connect(SYSTEM_BUS)
        && error.kind() == ErrorKind::NotFound
    {
        return Err(Answer::Unavailable(Missing::SystemBus));
    }
    let cancellation = format!("sallyport-{}-{}", subject.pid, subject.started);
    let (sender, receiver) = mpsc::channel();
    let name = cancellation.clone();
    let spawned = std::thread::Builder::new().name("polkit".into()).spawn(move || {
        let connection = match connect() {
            Ok(connection) => connection,
            Err(error) => {
                let _ = sender.send(Event::Done(Err(error)));
                return;
            }
        };
        let _ = sender.send(Event::Connected(connection.clone()));
        let _ = sender.send(Event::Done(call(&connection, action, &subject, flags, &name)));
    });
    if spawned.is_err() {
        return Err(trouble("no thread could be started"));
    }
    let mut connection = None;
    let mut wait = QUICK;
    loop {
        match receiver.recv_timeout(wait) {
            Ok(Event::Connected(connected)) => {
                connection = Some(connected);
                wait = patience;
            }
            Ok(Event::Done(verdict)) => return verdict.map_err(|error| explain(&error)),
            Err(_) => {
                // So that the question does not stay on the screen.
                if let Some(connection) = connection {
                    let cancel = connection.call_method(
                        Some(AUTHORITY),
                        PATH,
                        Some(INTERFACE),
                        "CancelCheckAuthorization",
                        &(cancellation),
                    );
                    drop(cancel);
                }
                return Err(trouble("nobody answered in time"));
            }
        }
    }
}

enum Event {
    Connected(Connection),
    Done(zbus::Result<Verdict>),
}

fn connect() -> zbus::Result<Connection> {
    let address = format!("unix:path={SYSTEM_BUS}");
    Builder::address(address.as_str())?.build()
}

fn call(
    connection: &Connection,
    action: Action,
    subject: &Subject,
    flags: u32,
    cancellation: &str,
) -> zbus::Result<Verdict> {
    let mut process: HashMap<&str, Value<'_>> = HashMap::new();
    process.insert("pid", Value::from(subject.pid));
    process.insert("start-time", Value::from(subject.started));
    process.insert("uid", Value::from(i32::try_from(subject.uid).unwrap_or(-1)));
    // Only the owner of an action may add details; the message stands in the action itself.
    let details: HashMap<&str, &str> = HashMap::new();
    let reply = connection.call_method(
        Some(AUTHORITY),
        PATH,
        Some(INTERFACE),
        "CheckAuthorization",
        &(("unix-process", process), action.id(), details, flags, cancellation),
    )?;
    reply.body().deserialize()
}

/// Only the bus itself and polkit itself can say that something is not there.
fn explain(error: &zbus::Error) -> Answer {
    let zbus::Error::MethodError(name, text, _) = error else {
        return trouble("the system bus does not answer");
    };
    match name.as_str() {
        "org.freedesktop.DBus.Error.ServiceUnknown" | "org.freedesktop.DBus.Error.NameHasNoOwner" => {
            Answer::Unavailable(Missing::Polkit)
        }
        "org.freedesktop.PolicyKit1.Error.Failed"
            if text.as_deref().is_some_and(|text| text.contains("is not registered")) =>
        {
            Answer::Unavailable(Missing::Actions)
        }
        "org.freedesktop.PolicyKit1.Error.Cancelled" => Answer::Refused("the question was withdrawn".into()),
        _ => trouble("polkit could not answer"),
    }
}

fn trouble(why: &str) -> Answer {
    Answer::Refused(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start() {
        let own = Subject::of(std::process::id(), crate::current_uid()).expect("this process runs");
        assert_eq!(Subject::of(std::process::id(), crate::current_uid()), Some(own));
        assert!(Subject::of(u32::MAX, 0).is_none());
    }
}
