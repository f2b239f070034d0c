//! Hands a popup to the desktop. A click opens a page and decides nothing: any program of the session can forge one.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use notify_rust::{Notification, Timeout, Urgency};

use sallyport_platform::desktop;

use super::model::Popup;

/// Threads that wait for a click at most; beyond it popups are shown without one.
const LISTENERS: usize = 8;
static LISTENING: AtomicUsize = AtomicUsize::new(0);

/// How many popups wait for a click.
pub(crate) fn listening() -> usize {
    LISTENING.load(Ordering::Relaxed)
}

/// Questions that may stand on the screen, by the desktop's own numbers.
static QUESTIONS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Takes the questions away, since all are answered.
pub(crate) fn nothing_waits() {
    let gone = QUESTIONS.lock().map(|mut questions| std::mem::take(&mut *questions)).unwrap_or_default();
    if gone.is_empty() {
        return;
    }
    let close = move || gone.into_iter().for_each(desktop::close_popup);
    // As with showing: the bus is waited for.
    if let Err(error) = std::thread::Builder::new().name("popup".into()).spawn(close) {
        tracing::debug!(%error, "no thread to take a popup away");
    }
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
            .summary(&visible(&popup.title))
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
        let shown = notification.show();
        let number =
            shown.as_ref().ok().filter(|_| popup.asks).and_then(|handle| desktop::popup_number(handle));
        if let (Some(number), Ok(mut questions)) = (number, QUESTIONS.lock()) {
            questions.push(number);
        }
        match shown {
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
    visible(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What an agent wrote may hold signs that nobody sees, or that turn around the words beside them: a person must not read other words
/// than those that are there.
fn visible(text: &str) -> String {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
            || matches!(c, '\u{e0000}'..='\u{e007f}')
    };
    text.chars().map(|c| if unseen(c) { '\u{fffd}' } else { c }).collect()
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
            asks: false,
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
    fn words_are_not_turned_around() {
        assert_eq!(visible("npm test \u{202e}# hs\u{200b}"), "npm test \u{fffd}# hs\u{fffd}");
        assert_eq!(visible("שלום, naïve “x”"), "שלום, naïve “x”");
        assert_eq!(escaped("\u{2066}<b>"), "\u{fffd}&lt;b&gt;");
    }

    #[test]
    fn a_body_is_text_and_never_markup() {
        assert_eq!(escaped("<a href='x'>A & B</a>"), "&lt;a href='x'&gt;A &amp; B&lt;/a&gt;");
    }
}
