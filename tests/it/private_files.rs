//! What the engine writes is its user's alone, whatever the umask of whoever starts it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use sallyport_tests::{Answer, wait};
use serde_json::json;

use crate::common::{Family, Providers, prompt};

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let kind = fs::symlink_metadata(&path)?;
        if kind.is_dir() {
            files(&path, found)?;
        }
        found.push(path);
    }
    Ok(())
}

#[test]
fn no_file_of_the_engine_is_open_to_others() -> Result<()> {
    let providers = Providers::scripted()?;
    providers.front.answer(|_| Answer::json(200, &json!({"id": "1", "choices": []})));
    let mut stage = providers.stage()?;
    for folder in ["state", "run"] {
        // As an older version, or a restored copy, may have left it.
        fs::create_dir_all(stage.path(folder))?;
        fs::set_permissions(stage.path(folder), fs::Permissions::from_mode(0o700))?;
    }
    fs::write(stage.path("state/quota.db"), b"")?;
    fs::set_permissions(stage.path("state/quota.db"), fs::Permissions::from_mode(0o644))?;
    stage.start_with(["sh", "-c", "umask 000; exec \"$0\" \"$@\""].map(str::to_owned).to_vec())?;
    let client = stage.client()?;
    client.curl_post(&Family::OpenAi.url(), &[], prompt(Family::OpenAi, "hello", false).as_bytes())?.ok()?;
    stage.cli(&["allow", "add", "--rule", "aws_key", "--reason", "made up"])?.ok()?;
    stage.cli(&[
        "elevate",
        "request",
        "--scope",
        "filesystem:write",
        "--resource",
        "/x",
        "--reason",
        "to test it",
    ])?;
    let wal = stage.path("state/quota.db-wal");
    wait::until("the counters", || wal.exists().then_some(()))?;
    let mut found = Vec::new();
    for folder in ["state", "run"] {
        files(&stage.path(folder), &mut found)?;
    }
    found.extend(["config/allowlist.json", "config/elevation.json"].map(|file| stage.path(file)));
    let mut open = Vec::new();
    for path in found.iter().filter(|path| path.exists()) {
        let mode = fs::symlink_metadata(path)?.permissions().mode() & 0o777;
        // Certificates and the trail's public key are for anybody who asks.
        let public = path.starts_with(stage.path("state/ca")) || path.ends_with("audit.pub");
        if mode & 0o022 != 0 || (mode & 0o077 != 0 && !public) {
            open.push(format!("{} {mode:o}", path.display()));
        }
    }
    ensure!(open.is_empty(), "{open:#?}");
    ensure!(found.iter().any(|path| path.ends_with("quota.db-shm")), "{found:?}");
    Ok(())
}
