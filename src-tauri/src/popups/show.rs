//! Hands a popup to the desktop. A click opens a page and decides nothing: any program of the session can forge one.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use notify_rust::{Notification, Timeout, Urgency};

use super::model::Popup;

/// Threads that wait for a click at most; beyond it popups are shown without one.
const LISTENERS: usize = 8;
static LISTENING: AtomicUsize = AtomicUsize::new(0);

/// How many popups wait for a click.
pub(crate) fn listening() -> usize {
    LISTENING.load(Ordering::Relaxed)
}

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

/// The words by which the desktop says what was clicked: the popup itself, or its button.
const CLICK: &str = "default";
const OFFER: &str = "offer";

/// Shows it; `open` is called with the page if the person clicks.
pub(crate) fn show(popup: Popup, icon: String, open: impl FnOnce(String) + Send + 'static) {
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
        let clickable = popup.clickable;
        let listen = clickable && LISTENING.fetch_add(1, Ordering::Relaxed) < LISTENERS;
        if listen {
            notification.action(CLICK, "Open");
            if let Some(offer) = &popup.offer {
                notification.action(OFFER, offer.label);
            }
        }
        match notification.show() {
            Ok(handle) if listen => {
                let mut clicked = String::new();
                handle.wait_for_action(|action| action.clone_into(&mut clicked));
                if let Some(page) = opened(&clicked, popup) {
                    open(page);
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the desktop shows no popups"),
        }
        if clickable {
            LISTENING.fetch_sub(1, Ordering::Relaxed);
        }
    });
    if let Err(error) = shown {
        tracing::debug!(%error, "no thread for a popup");
    }
}

/// The page that a click leads to. Any program can say any word: those that we did not offer lead nowhere.
fn opened(clicked: &str, popup: Popup) -> Option<String> {
    match clicked {
        CLICK => Some(popup.page),
        OFFER => popup.offer.map(|offer| offer.page),
        _ => None,
    }
}

/// Desktops read a body as markup; names of tools and secrets are text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::model::Offer;
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
    fn a_click_opens_what_was_offered_and_nothing_else() {
        let popup = |offer| Popup {
            title: String::new(),
            body: String::new(),
            page: "/activity".into(),
            offer,
            urgent: false,
            clickable: true,
        };
        let offer = Some(Offer { label: "Not a secret…", page: "/activity?row=7&value=ab".into() });
        assert_eq!(opened(CLICK, popup(offer.clone())).as_deref(), Some("/activity"));
        assert_eq!(opened(OFFER, popup(offer.clone())).as_deref(), Some("/activity?row=7&value=ab"));
        assert_eq!(opened(OFFER, popup(None)), None);
        for forged in ["approve", "allow", "/settings", "__closed", ""] {
            assert_eq!(opened(forged, popup(offer.clone())), None, "{forged}");
        }
    }

    #[test]
    fn a_body_is_text_and_never_markup() {
        assert_eq!(escaped("<a href='x'>A & B</a>"), "&lt;a href='x'&gt;A &amp; B&lt;/a&gt;");
    }
}
