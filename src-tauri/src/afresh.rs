//! A window leaves the web view's libraries, caches and a process behind. Once it has been closed for a while the app starts
//! itself anew, so that the icon alone costs as little as before. Must not interrupt anything, nor leave the panel without an icon.

use std::convert::Infallible;
use std::io;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sallyport_platform::desktop::{self, Panel};
use tauri::{AppHandle, Manager};

use crate::{App, BACKGROUND, popups, window};

/// How long the window has to be closed: who opens it again at once finds it quickly.
pub(crate) const LEFT_ALONE: Duration = Duration::from_secs(10);
/// For the new one to have its icon in the panel, how often that is looked at, and how long a panel takes at least to draw what it was
/// given: on a busy machine longer, in the measure of what the new one itself took.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);
const DRAWN: Duration = Duration::from_millis(200);

/// Whether nobody would notice: no window, no popup that waits for a click, and no first run, which would open the window.
pub(crate) fn may_begin(app: &AppHandle) -> bool {
    let settled = app.state::<App>().kept.lock().is_ok_and(|kept| kept.first_run_done);
    cfg!(unix) && settled && app.get_webview_window(window::LABEL).is_none() && popups::listening() == 0
}

/// On a thread of its own, since the bus is waited for. The thread returns only when it could not be done: then all goes on as
/// it is.
pub(crate) fn begin(app: &AppHandle) {
    let app = app.clone();
    let replace = move || {
        let Err(error) = replaced(&app);
        tracing::warn!(%error, "the app could not start anew after its window was closed");
        app.state::<App>().leaving.store(false, Ordering::Relaxed);
    };
    if let Err(error) = std::thread::Builder::new().name("afresh".into()).spawn(replace) {
        tracing::warn!(%error, "no thread to start anew on");
    }
}

fn replaced(app: &AppHandle) -> io::Result<Infallible> {
    let program = std::env::current_exe()?;
    // An upgrade may have taken the program away.
    if !program.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let panel = Panel::find();
    // Else the new one would find the old one's name taken, and leave.
    tauri_plugin_single_instance::destroy(app);
    let mut next = Command::new(program);
    next.arg(BACKGROUND);
    match panel {
        Some(panel) => succeeded(app, &panel, &mut next),
        None => match desktop::become_program(&mut next) {
            Ok(code) => Err(io::Error::other(format!("the new one ended with {code}"))),
            Err(error) => Err(error),
        },
    }
}

/// The old one stays until the panel has the new one's icon, so that there is always one.
fn succeeded(app: &AppHandle, panel: &Panel, next: &mut Command) -> io::Result<Infallible> {
    let mut next = next.spawn()?;
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if panel.shows_icon_of(next.id()) {
            app.state::<App>().leaving.store(true, Ordering::Relaxed);
            std::thread::sleep(DRAWN.max(began.elapsed() / 2));
            if app.get_webview_window(window::LABEL).is_none() {
                desktop::leave();
            }
            // Opened at the last moment, from the old icon.
            break;
        }
        match next.try_wait()? {
            // Somebody started the app meanwhile, and it gave way to that one.
            Some(status) if status.success() => desktop::leave(),
            Some(status) => return Err(io::Error::other(format!("the new one ended: {status}"))),
            None => std::thread::sleep(LOOK),
        }
    }
    next.kill()?;
    next.wait()?;
    Err(io::Error::other("the new one did not take over"))
}
