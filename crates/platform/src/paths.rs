//! Where a user's files are. `SALLYPORT_HOME=DIR` moves all of them under one folder, so that tests and several
//! instances can live side by side. Pure, save for [`Paths::create_private_dirs`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::fs::ensure_private_dir;

/// The folders of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    config: PathBuf,
    state: PathBuf,
    run: PathBuf,
    managed: PathBuf,
    user_home: PathBuf,
    /// `SALLYPORT_HOME`, when it was set.
    instance_root: Option<PathBuf>,
}

impl Paths {
    /// As the environment of this process says.
    pub fn from_env() -> Result<Paths, Error> {
        Paths::resolve(&|name| std::env::var_os(name), user_home())
    }

    /// As `env` says; `user_home` is the account's home folder.
    pub fn resolve(
        env: &dyn Fn(&str) -> Option<OsString>,
        user_home: Option<PathBuf>,
    ) -> Result<Paths, Error> {
        // The XDG specification says that relative values are to be ignored; an empty one counts as unset.
        let absolute = |name: &str| env(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let user_home = user_home.filter(|p| p.is_absolute());
        let managed = crate::imp::managed_dir();

        if let Some(root) = env("SALLYPORT_HOME").filter(|v| !v.is_empty()).map(PathBuf::from) {
            let root = std::path::absolute(&root)
                .map_err(|e| Error::io(format!("resolve SALLYPORT_HOME={}", root.display()), e))?;
            return Ok(Paths {
                config: root.join("config"),
                state: root.join("state"),
                run: root.join("run"),
                managed,
                user_home: user_home.unwrap_or_else(|| root.clone()),
                instance_root: Some(root),
            });
        }

        let home = user_home.ok_or(Error::NoHome)?;
        let base = crate::imp::base_dirs(&home, &absolute);
        Ok(Paths {
            run: base.run.unwrap_or_else(|| base.state.join("run")),
            config: base.config,
            state: base.state,
            managed,
            user_home: home,
            instance_root: None,
        })
    }

    /// Everything under `root`, as `SALLYPORT_HOME=root` would have it. For tests and tools.
    pub fn under(root: &Path) -> Paths {
        Paths {
            config: root.join("config"),
            state: root.join("state"),
            run: root.join("run"),
            managed: crate::imp::managed_dir(),
            user_home: user_home().unwrap_or_else(|| root.to_owned()),
            instance_root: Some(root.to_owned()),
        }
    }

    pub fn config_dir(&self) -> &Path {
        &self.config
    }

    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    pub fn run_dir(&self) -> &Path {
        &self.run
    }

    /// Where an administrator puts settings and policies.
    pub fn managed_dir(&self) -> &Path {
        &self.managed
    }

    /// The account's home folder, which `SALLYPORT_HOME` does not move.
    pub fn user_home(&self) -> &Path {
        &self.user_home
    }

    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.yaml")
    }

    pub fn policies_dir(&self) -> PathBuf {
        self.config.join("policies")
    }

    pub fn rules_dir(&self) -> PathBuf {
        self.config.join("rules")
    }

    /// What a person said is no finding; each entry is sealed by the engine.
    pub fn allowlist_file(&self) -> PathBuf {
        self.config.join("allowlist.json")
    }

    pub fn managed_config_file(&self) -> PathBuf {
        self.managed.join("config.yaml")
    }

    pub fn managed_policies_dir(&self) -> PathBuf {
        self.managed.join("policies")
    }

    /// Security assessments of tools, one file each.
    pub fn assessments_dir(&self) -> PathBuf {
        self.state.join("assessments")
    }

    pub fn managed_assessments_dir(&self) -> PathBuf {
        self.managed.join("assessments")
    }

    /// A signed policy bundle that was installed for this user.
    pub fn bundle_of_policies(&self) -> PathBuf {
        self.state.join("policy.bundle")
    }

    pub fn managed_bundle_of_policies(&self) -> PathBuf {
        self.managed.join("policy.bundle")
    }

    /// The same instance under another administrator's folder. For tests: a user can't move what manages him.
    pub fn managed_at(mut self, folder: &Path) -> Paths {
        folder.clone_into(&mut self.managed);
        self
    }

    pub fn audit_db(&self) -> PathBuf {
        self.state.join("audit.db")
    }

    /// The trail's newest head, outside the trail's own file.
    pub fn audit_head(&self) -> PathBuf {
        self.state.join("audit.head")
    }

    /// Certificates of the local authority; never a private key.
    pub fn ca_dir(&self) -> PathBuf {
        self.state.join("ca")
    }

    /// System roots + ours, for variables that replace the system's roots.
    pub fn bundle_file(&self) -> PathBuf {
        self.state.join("ca").join("bundle.pem")
    }

    /// The root alone.
    pub fn root_file(&self) -> PathBuf {
        self.state.join("ca").join("root.pem")
    }

    /// Our root, and beside it the one before as long as it still signs, for variables that add to the system's roots.
    pub fn own_roots_file(&self) -> PathBuf {
        self.state.join("ca").join("roots.pem")
    }

    /// Private keys where there is no keychain.
    pub fn keys_dir(&self) -> PathBuf {
        self.state.join("keys")
    }

    pub fn control_socket(&self) -> PathBuf {
        self.run.join("control.sock")
    }

    /// Held by the running engine.
    pub fn lock_file(&self) -> PathBuf {
        self.run.join("engine.lock")
    }

    /// The listener's address as last bound, so that `env` gives the same port across restarts.
    pub fn listen_file(&self) -> PathBuf {
        self.state.join("listen")
    }

    pub fn log_file(&self) -> PathBuf {
        self.state.join("engine.log")
    }

    /// A short tag for an instance moved by `SALLYPORT_HOME`, so that instances do not share keys in the keychain.
    /// `None` for the user's ordinary one.
    pub fn instance_tag(&self) -> Option<String> {
        self.instance_root.as_ref().map(|root| format!("{:016x}", fnv1a(root.as_os_str().as_encoded_bytes())))
    }

    /// `~` and `~/x` mean the user's home; other relative paths count from the config folder.
    pub fn expand(&self, path: &Path) -> PathBuf {
        match path.strip_prefix("~") {
            Ok(rest) => self.user_home.join(rest),
            Err(_) => self.config.join(path),
        }
    }

    /// Makes config, state, run and CA folders with mode 0700. Refuses folders that are symlinks or belong to
    /// someone else; takes away the access of others where it is ours.
    pub fn create_private_dirs(&self) -> Result<(), Error> {
        for dir in [&self.config, &self.state, &self.run, &self.ca_dir()] {
            ensure_private_dir(dir)?;
        }
        Ok(())
    }
}

// The one place that asks: everyone else asks `Paths`.
#[allow(clippy::disallowed_methods)]
fn user_home() -> Option<PathBuf> {
    std::env::home_dir()
}

/// The three base folders when `SALLYPORT_HOME` is not set.
pub(crate) struct BaseDirs {
    pub(crate) config: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) run: Option<PathBuf>,
}

// A name for a folder, no secret: collisions by intent gain nothing, so no cryptographic hash is needed.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(vars: &[(&str, &str)]) -> Paths {
        let vars: Vec<(String, String)> = vars.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        Paths::resolve(
            &move |name| vars.iter().find(|(k, _)| k == name).map(|(_, v)| OsString::from(v)),
            Some("/home/ada".into()),
        )
        .expect("paths")
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn defaults_follow_xdg() {
        let paths = resolve(&[]);
        assert_eq!(paths.config_file(), Path::new("/home/ada/.config/sallyport/config.yaml"));
        assert_eq!(paths.audit_db(), Path::new("/home/ada/.local/state/sallyport/audit.db"));
        assert_eq!(paths.control_socket(), Path::new("/home/ada/.local/state/sallyport/run/control.sock"));
        assert_eq!(paths.managed_dir(), Path::new("/etc/sallyport"));
        assert_eq!(paths.instance_tag(), None);

        let paths = resolve(&[
            ("XDG_RUNTIME_DIR", "/run/user/1000"),
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_STATE_HOME", "relative/ignored"),
        ]);
        assert_eq!(paths.config_dir(), Path::new("/c/sallyport"));
        assert_eq!(paths.state_dir(), Path::new("/home/ada/.local/state/sallyport"));
        assert_eq!(paths.run_dir(), Path::new("/run/user/1000/sallyport"));
    }

    #[test]
    fn sallyport_home_moves_everything() {
        let paths = resolve(&[("SALLYPORT_HOME", "/tmp/one"), ("XDG_RUNTIME_DIR", "/run/user/1000")]);
        assert_eq!(paths.config_dir(), Path::new("/tmp/one/config"));
        assert_eq!(paths.state_dir(), Path::new("/tmp/one/state"));
        assert_eq!(paths.run_dir(), Path::new("/tmp/one/run"));
        assert_eq!(paths.user_home(), Path::new("/home/ada"));
        let other = resolve(&[("SALLYPORT_HOME", "/tmp/two")]);
        assert!(paths.instance_tag().is_some());
        assert_ne!(paths.instance_tag(), other.instance_tag());
        assert_eq!(resolve(&[("SALLYPORT_HOME", "")]).instance_tag(), None);
    }

    #[test]
    fn expands_home_and_relative_paths() {
        let paths = resolve(&[("SALLYPORT_HOME", "/tmp/one")]);
        assert_eq!(paths.expand(Path::new("~/src")), Path::new("/home/ada/src"));
        assert_eq!(paths.expand(Path::new("policies/")), Path::new("/tmp/one/config/policies"));
        assert_eq!(paths.expand(Path::new("/abs")), Path::new("/abs"));
    }
}
