//! An administrator's folder for one engine: /etc/sallyport of a mount namespace of its own. The product offers no way
//! to move that folder, so the test moves the folder's file system.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use tempfile::TempDir;

use crate::tools;

pub struct Managed {
    dir: TempDir,
}

/// A copy of /etc with the folder in it, then the copy in the place of /etc.
const SCRIPT: &str = "set -e; mkdir -p \"$1/etc/sallyport\"; cp -a /etc/. \"$1/etc\"; \
    mount --bind \"$1/managed\" \"$1/etc/sallyport\"; mount --rbind \"$1/etc\" /etc; shift; exec \"$@\"";

impl Managed {
    pub fn new() -> Result<Managed> {
        if !tools::is_root() {
            bail!("this test needs root: it mounts a folder over /etc in a namespace of its own");
        }
        let managed = Managed { dir: tempfile::tempdir()? };
        fs::create_dir_all(managed.path("policies"))?;
        Ok(managed)
    }

    /// A file of the administrator's, such as `config.yaml`.
    pub fn path(&self, part: &str) -> PathBuf {
        self.dir.path().join("managed").join(part)
    }

    pub fn write(&self, part: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.path(part), text)?)
    }

    /// The words before a command that sees the folder at its place.
    pub fn wrapper(&self) -> Result<Vec<String>> {
        let unshare = tools::required("unshare")?.display().to_string();
        let words = [unshare.as_str(), "--mount", "sh", "-c", SCRIPT, "sh"].map(str::to_owned);
        Ok(words.into_iter().chain([shown(self.dir.path())]).collect())
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
