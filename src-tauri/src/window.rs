//! The one window. It is made when it is asked for and gone when it is closed: an idle tray carries no web view.

use std::time::{Duration, Instant};

use serde::Serialize;
use tauri::webview::PageLoadEvent;
use tauri::{AppHandle, Emitter, Manager, WebviewUrl, WebviewWindow, WebviewWindowBuilder};

pub(crate) const LABEL: &str = "main";
/// Everything that the window is told comes under this name.
pub(crate) const CHANNEL: &str = "sallyport";

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Told<'a> {
    Open { page: &'a str },
}

/// How long a window that is being closed may take to be gone, and how often that is looked at.
const GONE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// Opens the window, or brings it to the front; `page` as its address has it (`/activity?show=redacted`), empty for
/// wherever it is.
pub(crate) fn open(app: &AppHandle, page: &str) {
    match app.get_webview_window(LABEL) {
        Some(window) if !shown(&window) => open_once_gone(app, page),
        known => lead(app, known, page),
    }
}

fn lead(app: &AppHandle, known: Option<WebviewWindow>, page: &str) {
    let opened = match known {
        Some(_) if page.is_empty() => Ok(()),
        Some(window) => window.emit(CHANNEL, Told::Open { page }),
        None => make(app, page),
    };
    if let Err(error) = opened {
        tracing::error!(%error, "the window could not be opened");
    }
}

/// One that is being closed is still known, and can't be shown any more.
fn shown(window: &WebviewWindow) -> bool {
    show(window).is_ok() && window.is_visible().unwrap_or(false)
}

/// The wish came while the window was being closed: there is another one as soon as it is gone.
fn open_once_gone(app: &AppHandle, page: &str) {
    let (app, page) = (app.clone(), page.to_owned());
    let wait = move || {
        let end = Instant::now() + GONE;
        while app.get_webview_window(LABEL).is_some_and(|window| !shown(&window)) && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
        let handle = app.clone();
        let led = app.run_on_main_thread(move || lead(&handle, handle.get_webview_window(LABEL), &page));
        if let Err(error) = led {
            tracing::error!(%error, "the window could not be opened");
        }
    };
    if let Err(error) = std::thread::Builder::new().name("window".into()).spawn(wait) {
        tracing::error!(%error, "no thread to open the window on");
    }
}

fn show(window: &WebviewWindow) -> Result<(), tauri::Error> {
    window.unminimize().and_then(|()| window.show()).and_then(|()| window.set_focus())
}

fn make(app: &AppHandle, page: &str) -> Result<(), tauri::Error> {
    let address = if page.is_empty() { "index.html".to_owned() } else { format!("index.html#{page}") };
    WebviewWindowBuilder::new(app, LABEL, WebviewUrl::App(address.into()))
        .title("Sallyport")
        .inner_size(1120.0, 760.0)
        .min_inner_size(900.0, 600.0)
        // Ctrl and +, − or 0, as in a browser.
        .zoom_hotkeys_enabled(true)
        // Shown with its page drawn and in its colours: an empty white window would come first.
        .visible(false)
        .on_page_load(|window, load| {
            if load.event() == PageLoadEvent::Finished
                && let Err(error) = show(&window)
            {
                tracing::error!(%error, "the window could not be shown");
            }
        })
        // The pages are ours and inside the program; there is nowhere else to go.
        .on_navigation(|url| ours(url.scheme(), url.host_str()))
        .build()
        .map(|_| ())
}

fn ours(scheme: &str, host: Option<&str>) -> bool {
    scheme == "tauri" || (scheme.starts_with("http") && host == Some("tauri.localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_never_leaves_its_own_pages() {
        assert!(ours("tauri", Some("localhost")));
        assert!(ours("http", Some("tauri.localhost")));
        assert!(!ours("https", Some("example.com")));
        assert!(!ours("https", Some("tauri.localhost.example.com")));
        assert!(!ours("file", None));
        assert!(!ours("data", None));
    }
}
