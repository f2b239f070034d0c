//! A window leaves the web view's libraries, caches and a process behind. Once it has been closed for a while the app starts
//! itself anew in its own place, so that the icon alone costs as little as before. Must not interrupt anything.

use std::process::Command;
use std::time::Duration;

use sallyport_platform::desktop;
use tauri::{AppHandle, Manager};

use crate::{App, BACKGROUND, popups, window};

/// How long the window has to be closed: who opens it again at once finds it quickly.
pub(crate) const LEFT_ALONE: Duration = Duration::from_secs(10);

/// Whether nobody would notice: no window, no popup that waits for a click, and no first run, which would open the window.
pub(crate) fn may_begin(app: &AppHandle) -> bool {
    let settled = app.state::<App>().kept.lock().is_ok_and(|kept| kept.first_run_done);
    cfg!(unix) && settled && app.get_webview_window(window::LABEL).is_none() && popups::listening() == 0
}

/// On a thread of its own, since giving up our name on the bus waits for the bus. The thread returns only when it could not
/// be done: then all goes on as it is.
pub(crate) fn begin(app: &AppHandle) {
    let app = app.clone();
    let replace = move || {
        let error = match std::env::current_exe() {
            // An upgrade may have taken the program away.
            Ok(program) if !program.is_file() => std::io::ErrorKind::NotFound.into(),
            Ok(program) => {
                // Else the new one would find the old one's name taken, and leave.
                tauri_plugin_single_instance::destroy(&app);
                match desktop::become_program(Command::new(program).arg(BACKGROUND)) {
                    Ok(_) => return,
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        tracing::warn!(%error, "the app could not start anew after its window was closed");
    };
    if let Err(error) = std::thread::Builder::new().name("afresh".into()).spawn(replace) {
        tracing::warn!(%error, "no thread to start anew on");
    }
}
