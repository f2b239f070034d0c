//! A real polkitd on a system bus of its own, in a mount namespace of its own, and an authentication agent that
//! answers as the test says. Nothing of the machine's own polkit is asked or changed.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use zbus::blocking::Connection;
use zbus::blocking::connection::Builder;
use zbus::zvariant::{OwnedValue, Value};

use crate::process::{Background, Outcome};
use crate::{tools, wait};

const AUTHORITY: &str = "org.freedesktop.PolicyKit1";
const PATH: &str = "/org/freedesktop/PolicyKit1/Authority";
const INTERFACE: &str = "org.freedesktop.PolicyKit1.Authority";
const AGENT: &str = "/org/sallyport/tests/agent";

const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
"#;

/// The user that the engine and its callers run as: polkit lets root do everything unasked.
pub const USER: u32 = 65_534;

pub struct Polkit {
    daemon: Option<Background>,
    _bus: Background,
    holder: Background,
    folder: TempDir,
}

impl Polkit {
    /// `actions`: what polkit knows, as a `.policy` file.
    pub fn start(actions: &str) -> Result<Polkit> {
        if !tools::is_root() {
            bail!(
                "this test needs root: it mounts a system bus of its own and answers as an authentication agent"
            );
        }
        let folder = tempfile::Builder::new().prefix("pk").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        for part in ["dbus", "actions", "rules"] {
            fs::create_dir(folder.path().join(part))?;
            fs::set_permissions(folder.path().join(part), fs::Permissions::from_mode(0o755))?;
        }
        fs::write(folder.path().join("actions/org.sallyport.policy"), actions)?;
        fs::write(folder.path().join("bus.conf"), BUS)?;
        fs::create_dir_all("/run/dbus")?;

        // Holds the namespace open; everything else enters it.
        let mut command = Command::new(tools::required("unshare")?);
        // The tools of the tests may lie in a home that no other user may enter: here, and only here, its door is open.
        let home = std::env::var_os("SALLYPORT_TEST_HOME").or_else(|| std::env::var_os("HOME"));
        let home = home.context("HOME is not set")?;
        let open = r#"mkdir "$1/house" && mount -t tmpfs -o mode=755 house "$1/house" || exit 1
            for part in "$2"/.[!.]* "$2"/*; do
                if [ -d "$part" ]; then
                    mkdir "$1/house/${part##*/}" && mount --rbind "$part" "$1/house/${part##*/}" || exit 1
                fi
            done
            mount --rbind "$1/house" "$2" || exit 1
            "#;
        let script = "mount --bind \"$1/dbus\" /run/dbus && mount --bind \"$1/actions\" /usr/share/polkit-1/actions \
                      && mount --bind \"$1/rules\" /etc/polkit-1/rules.d && touch \"$1/mounted\" && exec sleep infinity";
        let script = format!("{open}{script}");
        command.args(["-m", "sh", "-c", &script, "sh"]).arg(folder.path()).arg(home);
        let holder = Background::start(command, &folder.path().join("mounts.log"))?;
        wait::until("the mounts", || folder.path().join("mounted").exists().then_some(()))
            .with_context(|| holder.output())?;

        let mut command = inside(&holder, "dbus-daemon")?;
        command.arg("--nofork").arg("--nopidfile").arg("--config-file").arg(folder.path().join("bus.conf"));
        let bus = Background::start(command, &folder.path().join("bus.log"))?;
        let socket = folder.path().join("dbus/system_bus_socket");
        // Its file is there a moment before anybody listens on it.
        wait::until("the system bus", || UnixStream::connect(&socket).ok()).with_context(|| bus.output())?;
        let mut polkit = Polkit { daemon: None, _bus: bus, holder, folder };
        polkit.revive()?;
        Ok(polkit)
    }

    /// Starts polkitd, at first or again.
    pub fn revive(&mut self) -> Result<()> {
        let mut command = inside(&self.holder, "/usr/lib/polkit-1/polkitd")?;
        command.arg("--no-debug");
        let daemon = Background::start(command, &self.folder.path().join("polkitd.log"))?;
        let bus = self.connect()?;
        let up = wait::until("polkitd", || {
            let reply = bus.call_method(
                Some("org.freedesktop.DBus"),
                "/org/freedesktop/DBus",
                Some("org.freedesktop.DBus"),
                "NameHasOwner",
                &AUTHORITY,
            );
            reply.ok()?.body().deserialize::<bool>().ok()?.then_some(())
        });
        up.with_context(|| daemon.output())?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Ends polkitd.
    pub fn end(&mut self) {
        self.daemon = None;
    }

    fn connect(&self) -> Result<Connection> {
        Ok(Builder::address(self.address().as_str())?.build()?)
    }

    fn address(&self) -> String {
        format!("unix:path={}", self.folder.path().join("dbus/system_bus_socket").display())
    }

    /// The words before a command that let it run on this system, as [`USER`].
    pub fn wrapper(&self) -> Vec<String> {
        let pid = self.holder.pid().to_string();
        ["nsenter", "-t", &pid, "-m", "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
            .map(str::to_owned)
            .to_vec()
    }

    /// Runs a command as [`USER`] with an agent at its side that says yes or no; none says nothing at all. Gives how
    /// often the agent was asked.
    pub fn run(&self, command: &Command, answer: Option<bool>) -> Result<(Outcome, usize)> {
        // The agent is registered for this very process before it starts what it is to be.
        let folder = tempfile::Builder::new().prefix("ask").tempdir_in(self.folder.path())?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
        let (pid_file, go) = (folder.path().join("pid"), folder.path().join("go"));
        let script = "echo $$ >\"$1.new\" && mv \"$1.new\" \"$1\"; while [ ! -e \"$2\" ]; do sleep 0.01; done; shift 2; exec \"$@\"";
        let wrapper = self.wrapper();
        let mut wrapped = Command::new(&wrapper[0]);
        wrapped.args(&wrapper[1..]).args(["sh", "-c", script, "sh"]).arg(&pid_file).arg(&go);
        wrapped.arg(command.get_program()).args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                wrapped.env(name, value);
            }
        }
        let running =
            std::thread::spawn(move || crate::process::run(wrapped, std::time::Duration::from_secs(60)));
        let pid: u32 = wait::until("the caller", || fs::read_to_string(&pid_file).ok()?.trim().parse().ok())?;
        let agent = answer.map(|answer| self.agent(pid, answer)).transpose()?;
        fs::write(&go, "")?;
        let outcome = running.join().map_err(|_| anyhow::anyhow!("the caller could not be run"))??;
        let asked = agent.map_or(0, |agent| agent.asked());
        Ok((outcome, asked))
    }

    /// An agent for one process that runs already.
    pub fn agent(&self, pid: u32, answer: bool) -> Result<Serving> {
        let (asked, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(answer)));
        let address = self.address();
        let runtime = Runtime::new()?;
        let connection = runtime.block_on(async {
            let authority = zbus::connection::Builder::address(address.as_str())?.build().await?;
            let agent = Agent { answer: answer.clone(), asked: asked.clone(), authority };
            zbus::connection::Builder::address(address.as_str())?.serve_at(AGENT, agent)?.build().await
        })?;
        let mut process: HashMap<&str, Value<'_>> = HashMap::new();
        process.insert("pid", Value::from(pid));
        process.insert("start-time", Value::from(started(pid)?));
        process.insert("uid", Value::from(USER as i32));
        let subject = ("unix-process", process);
        runtime.block_on(connection.call_method(
            Some(AUTHORITY),
            PATH,
            Some(INTERFACE),
            "RegisterAuthenticationAgent",
            &(subject, "C", AGENT),
        ))?;
        Ok(Serving { asked, answer, _connection: connection, _runtime: runtime })
    }

    /// A folder of [`USER`]'s own, below which others may pass.
    pub fn home(&self) -> Result<PathBuf> {
        let home = self.folder.path().join("home");
        fs::create_dir(&home)?;
        give(&home)?;
        Ok(home)
    }
}

/// Makes a path [`USER`]'s own, with all below it.
pub fn give(path: &Path) -> Result<()> {
    std::os::unix::fs::lchown(path, Some(USER), Some(USER))?;
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path())?;
        }
    }
    Ok(())
}

fn inside(holder: &Background, program: &str) -> Result<Command> {
    let mut command = Command::new(tools::required("nsenter")?);
    command.args(["-t", &holder.pid().to_string(), "-m", program]);
    Ok(command)
}

fn started(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("no stat")?;
    rest.split_ascii_whitespace().nth(19).and_then(|word| word.parse().ok()).context("no start time")
}

/// An agent answers as long as this lives.
pub struct Serving {
    asked: Arc<AtomicUsize>,
    answer: Arc<AtomicBool>,
    _connection: zbus::Connection,
    _runtime: Runtime,
}

impl Serving {
    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// From now on it says yes, or no.
    pub fn answer(&self, answer: bool) {
        self.answer.store(answer, Ordering::SeqCst);
    }
}

struct Agent {
    answer: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    authority: zbus::Connection,
}

#[zbus::interface(name = "org.freedesktop.PolicyKit1.AuthenticationAgent")]
impl Agent {
    async fn begin_authentication(
        &self,
        _action: &str,
        _message: &str,
        _icon: &str,
        _details: HashMap<String, String>,
        cookie: String,
        identities: Vec<(String, HashMap<String, OwnedValue>)>,
    ) -> zbus::fdo::Result<()> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let identity = identities.into_iter().next().filter(|_| self.answer.load(Ordering::SeqCst));
        let Some(identity) = identity else { return Err(zbus::fdo::Error::Failed("no".into())) };
        // What the helper with the password does in real life; polkit takes it from root alone.
        let answer = (0_u32, cookie, identity);
        let method = "AuthenticationAgentResponse2";
        let answered = self.authority.call_method(Some(AUTHORITY), PATH, Some(INTERFACE), method, &answer);
        answered.await.map(drop).map_err(|error| zbus::fdo::Error::Failed(error.to_string()))
    }

    fn cancel_authentication(&self, _cookie: &str) {}
}
