//! A window that can be driven from outside could approve what only a person may: variables that ask for it are dropped
//! before anything reads them, by starting the process again without them.

use std::ffi::OsString;
use std::process::Command;

/// Whether the window may be driven by a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Automation {
    /// In a test's own build alone.
    Allowed,
    Refused,
}

/// Variables by which the web view opens itself to others.
const VARIABLES: [&str; 6] = [
    "TAURI_AUTOMATION",
    "TAURI_WEBVIEW_AUTOMATION",
    "WEBKIT_INSPECTOR_HTTP_SERVER",
    "WEBKIT_INSPECTOR_SERVER",
    "WEBVIEW2_ADDITIONAL_BROWSER_ARGUMENTS",
    "WEBVIEW2_BROWSER_EXECUTABLE_FOLDER",
];

/// Those that are set.
pub(crate) fn asked_for(present: &dyn Fn(&str) -> bool) -> Vec<&'static str> {
    VARIABLES.into_iter().filter(|name| present(name)).collect()
}

/// The same program without `variables`.
pub(crate) fn without(variables: &[&str], program: OsString, arguments: Vec<OsString>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    for name in variables {
        command.env_remove(name);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_set_is_dropped() {
        assert_eq!(asked_for(&|_| false), [""; 0]);
        assert_eq!(
            asked_for(&|name| name == "TAURI_WEBVIEW_AUTOMATION" || name == "HOME"),
            ["TAURI_WEBVIEW_AUTOMATION"]
        );
    }

    #[test]
    fn the_program_starts_again_without_them_and_with_its_arguments() {
        let command = without(&["TAURI_AUTOMATION"], "app".into(), vec!["--background".into()]);
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["--background"]);
        assert!(command.get_envs().any(|(name, value)| name == "TAURI_AUTOMATION" && value.is_none()));
    }
}
