//! Real servers: OpenBao and gnome-keyring. Where a tool is missing the tests fail and say how to get it, since a
//! test that skips itself proves nothing.

// Sentences and times are shown with `--nocapture`, to be read by a person.
#![allow(clippy::print_stdout)]

mod bao;
mod cluster;
#[cfg(target_os = "linux")]
mod keyring;
mod vault;

use std::path::{Path, PathBuf};

use sallyport_secrets::Judge;

/// A judge as simple as can be: what a value looks like is tested where it is judged.
fn judge() -> Judge {
    Judge {
        looks_secret: |name, _| name.contains("key") || name.contains("token"),
        is_common: |value| value == "postgres-server",
    }
}

/// The program of this name, from the variable or the search path.
fn tool(variable: &str, name: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable).map(PathBuf::from) {
        assert!(path.is_file(), "{variable} names {}, which is no file", path.display());
        return path;
    }
    let found = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("`{name}` is needed for this test: run `make setup`, or set {variable}"))
}

/// A file for the owner alone.
fn private_file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    sallyport_platform::fs::write_private_atomic(&path, text.as_bytes(), 0o600).expect("file");
    path
}
