//! The keychain against a real gnome-keyring on a session bus of its own. Each test runs itself again inside
//! `dbus-run-session`, with a fresh home folder, so that no keyring of the person at the desk is touched.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sallyport_platform::{KeyStoreError, KeyStoreKind, Keychain, KeychainErrorCode, Keys, Paths, Unlock};
use sallyport_policy::config::SecretsConfig;
use sallyport_secrets::keychain::{AddError, add, names, remove};
use sallyport_secrets::{ProblemCode, SourceReport, load};

const INSIDE: &str = "SALLYPORT_TEST_INSIDE_SESSION";
/// The limit of one call, and time for a busy machine.
const IN_TIME: Duration = Duration::from_secs(10);

/// A session bus that starts no services: with the usual one, any late call would start a keyring daemon that
/// outlives the test.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// Runs `body` on a session bus of its own.
fn in_session(test: &str, body: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let session = crate::tool("SALLYPORT_DBUS_RUN_SESSION", "dbus-run-session");
    crate::tool("SALLYPORT_GNOME_KEYRING", "gnome-keyring-daemon");
    crate::tool("SALLYPORT_SECRET_TOOL", "secret-tool");
    let home = tempfile::tempdir().expect("temp");
    for folder in ["run", "data"] {
        sallyport_platform::fs::ensure_private_dir(&home.path().join(folder)).expect("folder");
    }
    let bus = home.path().join("bus.conf");
    std::fs::write(&bus, BUS).expect("bus configuration");
    let output = Command::new(session)
        .arg(format!("--config-file={}", bus.display()))
        .arg("--")
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", &format!("keyring::{test}"), "--nocapture"])
        .env(INSIDE, "1")
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path().join("run"))
        .env("XDG_DATA_HOME", home.path().join("data"))
        .env("SALLYPORT_HOME", home.path().join("sallyport"))
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .output()
        .expect("dbus-run-session");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "{}", text(&output.stdout));
}

struct Daemon(Child);

impl Daemon {
    /// A keyring daemon with an unlocked default keyring.
    fn unlocked() -> Daemon {
        let mut daemon = Daemon::start("--unlock");
        daemon.0.stdin.take().expect("stdin").write_all(b"password-of-the-test").expect("password");
        wait_until("the keyring is there", || {
            bus("ReadAlias", &["string:default"]).is_some_and(|answer| answer.contains("/collection/"))
        });
        daemon
    }

    /// One that holds no keyring.
    fn empty() -> Daemon {
        let daemon = Daemon::start("--start");
        wait_until("the keyring daemon is there", || bus("ReadAlias", &["string:default"]).is_some());
        daemon
    }

    fn start(how: &str) -> Daemon {
        let child = Command::new(crate::tool("SALLYPORT_GNOME_KEYRING", "gnome-keyring-daemon"))
            .args([how, "--foreground", "--components=secrets"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("gnome-keyring-daemon");
        Daemon(child)
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().expect("kill").success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Calls a method of the Secret Service.
fn bus(method: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new("dbus-send")
        .args(["--session", "--print-reply", "--dest=org.freedesktop.secrets", "/org/freedesktop/secrets"])
        .arg(format!("org.freedesktop.Secret.Service.{method}"))
        .args(arguments)
        .output()
        .expect("dbus-send");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn lock() {
    bus("Lock", &["array:objpath:/org/freedesktop/secrets/collection/login"]).expect("lock");
}

fn secret_tool(attributes: &[&str], value: &str) {
    let mut child = Command::new(crate::tool("SALLYPORT_SECRET_TOOL", "secret-tool"))
        .args(["store", "--label=An item of the test"])
        .args(attributes)
        .stdin(Stdio::piped())
        .spawn()
        .expect("secret-tool");
    child.stdin.take().expect("stdin").write_all(value.as_bytes()).expect("value");
    assert!(child.wait().expect("secret-tool").success());
}

fn paths() -> Paths {
    let paths = Paths::from_env().expect("paths");
    paths.create_private_dirs().expect("folders");
    paths
}

fn report() -> SourceReport {
    let config = SecretsConfig { well_known_files: false, ..SecretsConfig::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let mut reports = runtime.block_on(load(&config, &paths(), crate::judge()));
    assert_eq!(reports.len(), 1);
    reports.remove(0)
}

fn fails_in_time(expected: KeychainErrorCode, unlock: Unlock) {
    let start = Instant::now();
    let error = Keychain::open_for(None, unlock).expect_err("an error");
    println!("{:?} after {:?}: {error} | {}", error.code, start.elapsed(), error.hint());
    assert_eq!(error.code, expected, "{error}");
    assert!(start.elapsed() < IN_TIME);
}

#[test]
fn an_unlocked_keyring_is_read_and_written() {
    in_session("an_unlocked_keyring_is_read_and_written", || {
        let _daemon = Daemon::unlocked();
        secret_tool(&["application", "sallyport", "name", "by/attribute"], "made-up-value-1");
        secret_tool(&["application", "sallyport", "kind", "nameless"], "made-up-value-2");
        secret_tool(&["application", "another"], "not-for-us-at-all");

        let keychain = Keychain::open().expect("open");
        add(&keychain, "added one", b"made-up-value-3\n").expect("add");
        add(&keychain, "added one", b"made-up-value-4").expect("in place of the first");
        add(&keychain, "gone", b"made-up-value-5").expect("add");
        assert!(remove(&keychain, "gone").expect("remove"));
        assert!(!remove(&keychain, "gone").expect("twice"));
        assert!(matches!(add(&keychain, "short", b"1234567"), Err(AddError::TooShort)));
        assert!(matches!(add(&keychain, "", b"made-up-value"), Err(AddError::BadName)));
        assert_eq!(names(&keychain).expect("names"), ["An item of the test", "added one", "by/attribute"]);

        let start = Instant::now();
        let report = report();
        println!("loaded in {:?}", start.elapsed());
        let found: Vec<(&str, &str)> = report
            .result
            .as_ref()
            .expect("found")
            .iter()
            .map(|s| (s.name.as_str(), s.value.as_str().expect("text")))
            .collect();
        assert_eq!(
            found,
            [
                ("An_item_of_the_test", "made-up-value-2"),
                ("added_one", "made-up-value-4"),
                ("by/attribute", "made-up-value-1"),
            ]
        );

        // our own keys: any bytes, apart for each instance, nothing left of the probe
        let keys = Keys::open(&paths(), Unlock::Never).expect("keys");
        assert_eq!(keys.kind, KeyStoreKind::Keychain);
        assert!(keys.store.load("a-key").expect("load").is_none());
        keys.store.store("a-key", &[0, 255, 7]).expect("store");
        assert_eq!(keys.store.load("a-key").expect("load").expect("key").as_slice(), [0, 255, 7]);
        assert_eq!(keychain.load("a-key").expect("load"), None, "another instance");
        keys.store.delete("a-key").expect("delete");
        keys.store.delete("a-key").expect("twice");
        let tag = paths().instance_tag().expect("tag");
        for service in ["sallyport".to_owned(), format!("sallyport:{tag}")] {
            assert!(keychain.search(&[("service", &service)]).expect("search").is_empty());
        }
    });
}

#[test]
fn a_locked_keyring_says_so_and_never_hangs() {
    in_session("a_locked_keyring_says_so_and_never_hangs", || {
        let _daemon = Daemon::unlocked();
        let keys = Keys::open(&paths(), Unlock::Never).expect("keys");
        assert_eq!(keys.kind, KeyStoreKind::Keychain);
        keys.store.store("a-key", b"key").expect("store");
        lock();

        fails_in_time(KeychainErrorCode::Locked, Unlock::Never);
        // no prompter here: nobody can answer
        fails_in_time(KeychainErrorCode::Locked, Unlock::Ask { wait: Duration::from_secs(3) });
        let report = report();
        assert_eq!(report.result.expect_err("error").code, ProblemCode::KeychainLocked);

        // keys of this instance are in there: no new ones are made in files
        let error = Keys::open(&paths(), Unlock::Never).expect_err("lost");
        assert!(matches!(error, KeyStoreError::KeychainLost { .. }), "{error}");
        assert!(!error.hint().is_empty());
        // an open store that is locked under our hands
        let start = Instant::now();
        assert!(matches!(keys.store.load("a-key"), Err(KeyStoreError::Keychain(_))));
        assert!(start.elapsed() < IN_TIME);
    });
}

#[test]
fn a_keyring_that_does_not_answer_is_given_up() {
    in_session("a_keyring_that_does_not_answer_is_given_up", || {
        let daemon = Daemon::unlocked();
        let keychain = Keychain::open().expect("open");
        daemon.signal("-STOP");
        fails_in_time(KeychainErrorCode::Timeout, Unlock::Never);
        let start = Instant::now();
        assert_eq!(keychain.load("a-key").expect_err("error").code, KeychainErrorCode::Timeout);
        assert!(start.elapsed() < IN_TIME);
        let report = report();
        assert_eq!(report.result.expect_err("error").code, ProblemCode::KeychainTimeout);

        // files instead, where the keychain never worked
        let keys = Keys::open(&paths(), Unlock::Never).expect("files");
        assert_eq!(keys.kind, KeyStoreKind::File);
        assert_eq!(keys.no_keychain.expect("reason").code, KeychainErrorCode::Timeout);

        daemon.signal("-CONT");
        wait_until("the keyring answers again", || Keychain::open().is_ok());
    });
}

#[test]
fn no_keyring_at_all_is_told_apart() {
    in_session("no_keyring_at_all_is_told_apart", || {
        // a bus without a keychain, then a keychain without a keyring
        fails_in_time(KeychainErrorCode::NoService, Unlock::Never);
        let empty = Daemon::empty();
        fails_in_time(KeychainErrorCode::NoKeyring, Unlock::Never);
        assert_eq!(report().result.expect_err("error").code, ProblemCode::KeychainMissing);
        let keys = Keys::open(&paths(), Unlock::Never).expect("files");
        assert_eq!(keys.kind, KeyStoreKind::File);
        keys.store.store("a-key", b"key").expect("store");
        drop(empty);
        // a keychain that appears later does not hide the keys that are in files
        let _daemon = Daemon::unlocked();
        let keys = Keys::open(&paths(), Unlock::Never).expect("files");
        assert_eq!(keys.kind, KeyStoreKind::File);
        assert_eq!(keys.store.load("a-key").expect("load").expect("key").as_slice(), b"key");
    });
}

#[test]
fn no_session_bus_is_told_apart() {
    // no bus is made for this one: it must not find the one of the person at the desk either
    if std::env::var_os(INSIDE).is_some() {
        fails_in_time(KeychainErrorCode::NoService, Unlock::Never);
        assert_eq!(report().result.expect_err("error").code, ProblemCode::KeychainUnavailable);
        return;
    }
    let home = tempfile::tempdir().expect("temp");
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "keyring::no_session_bus_is_told_apart", "--nocapture"])
        .env(INSIDE, "1")
        .env("SALLYPORT_HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}/none", home.path().display()))
        .output()
        .expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
