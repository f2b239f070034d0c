//! The app's own settings, in `desktop.json` beside the configuration. They weaken nothing, so they are no policy.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Which popups appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PopupMode {
    #[default]
    All,
    /// Shown, but listening to no click.
    NotifyOnly,
    /// Only what needs a person.
    Quiet,
}

/// What is kept. What starts at login is the system's to know.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Kept {
    pub(crate) popups: PopupMode,
    pub(crate) first_run_done: bool,
}

/// What the window is shown and sends back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppSettings {
    pub(crate) popups: PopupMode,
    pub(crate) autostart: bool,
    pub(crate) first_run_done: bool,
}

pub(crate) fn file(config: &Path) -> PathBuf {
    config.join("desktop.json")
}

/// What the file says; an unreadable one counts as none, and is not overwritten before something is changed.
pub(crate) fn load(file: &Path) -> Kept {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(_) => return Kept::default(),
    };
    serde_json::from_str(&text).unwrap_or_else(|error| {
        tracing::warn!(file = %file.display(), %error, "the app's settings can't be read; the usual ones count");
        Kept::default()
    })
}

/// All of it or nothing: a crash leaves the old file.
pub(crate) fn save(file: &Path, kept: &Kept) -> std::io::Result<()> {
    let text = serde_json::to_string_pretty(kept)?;
    let new = file.with_extension("json.new");
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&new, text + "\n")?;
    std::fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_a_restart_and_a_broken_file_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder.path().join("config"));
        assert_eq!(load(&file), Kept::default());
        let kept = Kept { popups: PopupMode::Quiet, first_run_done: true };
        save(&file, &kept).unwrap();
        assert_eq!(load(&file), kept);
        std::fs::write(&file, "{oops").unwrap();
        assert_eq!(load(&file), Kept::default());
    }
}
