//! Where the real programs are: what `scripts/setup.sh test` installed, and the binary under test.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

/// The cache folder of `scripts/setup.sh`.
pub fn cache() -> PathBuf {
    if let Some(dir) = env::var_os("SALLYPORT_DEV") {
        return dir.into();
    }
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(|| home().join(".cache"));
    base.join("sallyport-dev")
}

fn home() -> PathBuf {
    env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

pub fn python() -> Result<PathBuf> {
    installed(cache().join("venv/bin/python"))
}

pub fn bao() -> Result<PathBuf> {
    installed(cache().join("venv/bin/bao"))
}

pub fn aimock() -> Result<PathBuf> {
    installed(cache().join("npm/node_modules/.bin/llmock"))
}

/// The folder in whose node_modules the SDKs are.
pub fn node_packages() -> Result<PathBuf> {
    installed(cache().join("npm/node_modules/openai"))?;
    installed(cache().join("npm/node_modules/@anthropic-ai/sdk"))?;
    Ok(cache().join("npm"))
}

/// The native Claude Code binary. The package's own entry is a copy that its install script makes where npm lets
/// install scripts run, so the platform package is asked first.
pub fn claude() -> Result<PathBuf> {
    let scope = cache().join("npm/node_modules/@anthropic-ai");
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    installed(scope.join(format!("claude-code-linux-{arch}/claude")))
}

fn installed(path: PathBuf) -> Result<PathBuf> {
    if path.exists() {
        return Ok(path);
    }
    bail!("{} is missing; run `make setup`", path.display())
}

/// A program that Debian ships, found on PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.is_file())
}

pub fn required(program: &str) -> Result<PathBuf> {
    on_path(program).with_context(|| format!("{program} is not on PATH; run `make setup`"))
}

/// The binary under test: `SALLYPORT_BIN`, or the one beside this test in the target folder.
pub fn sallyport() -> Result<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        if let Some(path) = env::var_os("SALLYPORT_BIN") {
            return Some(PathBuf::from(path));
        }
        // target/<profile>/deps/whole-<hash>
        let test = env::current_exe().ok()?;
        let path = test.parent()?.parent()?.join("sallyport");
        path.is_file().then_some(path)
    });
    found.clone().context("the sallyport binary is not built; run `make build`, or set SALLYPORT_BIN")
}

/// The folder of this crate in the source tree: client scripts and fixtures stand there. Checkouts share one target
/// folder, so cargo is asked which of them runs, and not the one that compiled.
pub fn sources() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
    })
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The words that run a command as root: none if this is root, `sudo -n` if that works, else an error that says so.
pub fn as_root() -> Result<Vec<String>> {
    if is_root() {
        return Ok(Vec::new());
    }
    let sudo = on_path("sudo").context("this test needs root: run it as root, or with passwordless sudo")?;
    let works = std::process::Command::new(&sudo).args(["-n", "true"]).status().is_ok_and(|s| s.success());
    if !works {
        bail!("this test needs root: run it as root, or with passwordless sudo");
    }
    Ok(vec![sudo.display().to_string(), "-n".into()])
}
