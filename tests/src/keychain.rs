//! A session bus of the test's own with a real gnome-keyring on it, unlocked without a prompt.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process::{Background, Outcome, run, run_with_input};
use crate::secrets::Secret;
use crate::{tools, wait};

pub struct Keychain {
    // Ended before the bus they speak on.
    _daemon: Background,
    _bus: Background,
    dir: TempDir,
}

impl Keychain {
    /// Starts bus and keyring; the `login` collection exists and is open.
    pub fn start() -> Result<Keychain> {
        let dir = tempfile::Builder::new().prefix("kr").tempdir()?;
        for part in ["run", "home/.local/share"] {
            fs::create_dir_all(dir.path().join(part))?;
        }
        fs::set_permissions(dir.path().join("run"), fs::Permissions::from_mode(0o700))?;
        let mut bus = Command::new(tools::required("dbus-daemon")?);
        // A configuration of its own: the system's would start a second keyring by itself as soon as somebody asks.
        let config = dir.path().join("bus.conf");
        fs::write(&config, BUS.replace("ADDRESS", &address(dir.path())))?;
        bus.args(["--nofork", "--nopidfile"]).arg(format!("--config-file={}", config.display()));
        let bus = Background::start(isolated(bus, dir.path()), &dir.path().join("bus.log"))?;
        wait::until("the session bus", || dir.path().join("run/bus").exists().then_some(()))?;

        let mut daemon = Command::new(tools::required("gnome-keyring-daemon")?);
        // The password comes from a file as standard input; a trailing newline would be part of it.
        let password = dir.path().join("password");
        fs::write(&password, "a password for the test")?;
        let shell = r#"exec "$0" --unlock --components=secrets --foreground < "$1""#;
        let program = daemon.get_program().to_owned();
        daemon = Command::new("/bin/sh");
        daemon.args(["-c", shell]).arg(program).arg(&password);
        let daemon = Background::start(isolated(daemon, dir.path()), &dir.path().join("keyring.log"))?;
        let keychain = Keychain { _daemon: daemon, _bus: bus, dir };
        let ready = wait::until("the keyring to open", || {
            let alias = keychain.secret_service("ReadAlias", &["default"]).ok()?;
            alias.contains("login").then_some(())
        });
        if ready.is_err() {
            bail!("gnome-keyring did not start: {}", keychain._daemon.output());
        }
        Ok(keychain)
    }

    /// What a process needs to find this keychain.
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![
            ("DBUS_SESSION_BUS_ADDRESS".into(), address(self.dir.path())),
            ("XDG_RUNTIME_DIR".into(), self.path("run").display().to_string()),
        ]
    }

    fn path(&self, part: &str) -> PathBuf {
        self.dir.path().join(part)
    }

    /// Stores secrets with libsecret's own tool, under the attributes that the product searches for.
    pub fn store(&self, secrets: &[Secret]) -> Result<()> {
        for secret in secrets {
            let mut command = Command::new(tools::required("secret-tool")?);
            command.arg("store").arg(format!("--label={}", secret.path));
            command.args(ATTRIBUTES.iter().flat_map(|(k, v)| [*k, *v]));
            command.args([NAME_ATTRIBUTE, &secret.path]);
            run_with_input(
                isolated(command, self.dir.path()),
                secret.value.as_bytes(),
                Duration::from_secs(20),
            )?
            .ok()
            .with_context(|| format!("storing {}", secret.path))?;
        }
        Ok(())
    }

    /// What libsecret's own tool reads back.
    pub fn lookup(&self, name: &str) -> Result<String> {
        let mut command = Command::new(tools::required("secret-tool")?);
        command
            .arg("lookup")
            .args(ATTRIBUTES.iter().flat_map(|(k, v)| [*k, *v]))
            .args([NAME_ATTRIBUTE, name]);
        Ok(run(isolated(command, self.dir.path()), Duration::from_secs(10))?.ok()?.stdout)
    }

    /// Locks the collection; reading then needs a password that nobody types.
    pub fn lock(&self) -> Result<()> {
        let collection = "['/org/freedesktop/secrets/collection/login']";
        self.secret_service("Lock", &[collection]).map(drop)
    }

    fn secret_service(&self, method: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(tools::required("gdbus")?);
        command.args(["call", "--session", "--timeout", "5", "--dest", "org.freedesktop.secrets"]);
        command.args(["--object-path", "/org/freedesktop/secrets"]);
        command.arg("--method").arg(format!("org.freedesktop.Secret.Service.{method}")).args(arguments);
        let outcome: Outcome = run(isolated(command, self.dir.path()), Duration::from_secs(10))?.ok()?;
        Ok(outcome.stdout)
    }
}

/// The attributes by which the product finds a user's own secrets in the Secret Service.
pub const ATTRIBUTES: [(&str, &str); 1] = [("application", "sallyport")];
pub const NAME_ATTRIBUTE: &str = "name";

/// A session bus on which everybody of this user may do everything, and no service starts by itself.
const BUS: &str = r#"<busconfig>
  <type>session</type>
  <listen>ADDRESS</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

fn address(dir: &Path) -> String {
    format!("unix:path={}", dir.join("run/bus").display())
}

fn isolated(mut command: Command, dir: &Path) -> Command {
    command.env_clear().stdin(Stdio::null());
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("HOME", dir.join("home")).env("XDG_DATA_HOME", dir.join("home/.local/share"));
    command.env("XDG_RUNTIME_DIR", dir.join("run")).env("DBUS_SESSION_BUS_ADDRESS", address(dir));
    command
}
