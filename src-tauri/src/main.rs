//! The tray app. Everything is in the library, so that tests can start it with automation.

// A console window beside the tray would frighten people on Windows.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

use std::process::ExitCode;

fn main() -> ExitCode {
    sallyport_desktop::run(sallyport_desktop::Automation::Refused)
}
