//! Hands a popup to the desktop. A click opens a page and decides nothing: any program of the session can forge one.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use notify_rust::{Notification, Timeout, Urgency};

use super::model::Popup;

/// Threads that wait for a click at most; beyond it popups are shown without one.
const LISTENERS: usize = 8;
static LISTENING: AtomicUsize = AtomicUsize::new(0);

const ICON: &[u8] = include_bytes!("../../../assets/icons/app.png");

/// A file that desktops can read our icon from, since it may be installed nowhere; a name of theirs if it can't be written.
pub(crate) fn icon(folder: &Path) -> String {
    let file = folder.join("popup.png");
    let there = std::fs::read(&file).is_ok_and(|bytes| bytes == ICON);
    if there || std::fs::write(&file, ICON).is_ok() {
        return file.display().to_string();
    }
    "dialog-information".into()
}

/// Shows it; `open` is called with the page if the person clicks.
pub(crate) fn show(popup: Popup, icon: String, open: impl FnOnce(&'static str) + Send + 'static) {
    // The call to the session bus waits for the desktop's answer: never on a thread of the runtime.
    let shown = std::thread::Builder::new().name("popup".into()).spawn(move || {
        let mut notification = Notification::new();
        notification
            .appname("Sallyport")
            .icon(&icon)
            .summary(&popup.title)
            .body(&escaped(&popup.body))
            .timeout(if popup.urgent { Timeout::Never } else { Timeout::Milliseconds(8000) });
        notification.urgency(if popup.urgent { Urgency::Critical } else { Urgency::Normal });
        let listen = popup.clickable && LISTENING.fetch_add(1, Ordering::Relaxed) < LISTENERS;
        if listen {
            notification.action("default", "Open");
        }
        match notification.show() {
            Ok(handle) if listen => {
                let mut clicked = false;
                handle.wait_for_action(|action| clicked = action == "default");
                if clicked {
                    open(popup.page);
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the desktop shows no popups"),
        }
        if popup.clickable {
            LISTENING.fetch_sub(1, Ordering::Relaxed);
        }
    });
    if let Err(error) = shown {
        tracing::debug!(%error, "no thread for a popup");
    }
}

/// Desktops read a body as markup; names of tools and secrets are text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_icon_is_a_file_or_a_name_that_desktops_know() {
        let folder = tempfile::tempdir().unwrap();
        let file = icon(folder.path());
        assert_eq!(std::fs::read(&file).unwrap(), ICON);
        assert_eq!(icon(folder.path()), file);
        assert_eq!(icon(&folder.path().join("nowhere")), "dialog-information");
    }

    #[test]
    fn a_body_is_text_and_never_markup() {
        assert_eq!(escaped("<a href='x'>A & B</a>"), "&lt;a href='x'&gt;A &amp; B&lt;/a&gt;");
    }
}
