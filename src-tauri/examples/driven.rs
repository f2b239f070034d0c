//! The tray app for tests that drive its window: the only build that listens to automation variables. Never shipped.

use std::process::ExitCode;

fn main() -> ExitCode {
    sallyport_desktop::run(sallyport_desktop::Automation::Allowed)
}
