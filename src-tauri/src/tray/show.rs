//! The thin part: a model's menu as the system's.

use jiff::tz::TimeZone;
use tauri::image::Image;
use tauri::menu::{CheckMenuItem, IsMenuItem, Menu as SystemMenu, MenuItem, PredefinedMenuItem, Submenu};
use tauri::tray::{TrayIcon, TrayIconBuilder};
use tauri::{AppHandle, Wry};

use super::model::{Edit, Face, Item, Menu, Seen, edits};

/// The icon and what it shows now.
pub(crate) struct Tray {
    icon: TrayIcon,
    shown: Menu,
    /// The entries of `shown`, in the order of [`edits`]' places.
    drawn: Vec<Drawn>,
}

/// An entry of the system's menu.
enum Drawn {
    Entry(MenuItem<Wry>),
    Check(CheckMenuItem<Wry>),
    Submenu(Submenu<Wry>),
    Separator,
}

impl Tray {
    pub(crate) fn new(app: &AppHandle, seen: &Seen) -> Result<Tray, tauri::Error> {
        let shown = Menu::of(seen, &TimeZone::system());
        let (menu, drawn) = system_menu(app, &shown.items)?;
        let icon = TrayIconBuilder::with_id("sallyport")
            .icon(image(shown.face)?)
            .icon_as_template(TEMPLATE)
            .tooltip(&shown.tooltip)
            .menu(&menu)
            .show_menu_on_left_click(true)
            .build(app)?;
        Ok(Tray { icon, shown, drawn })
    }

    /// Draws what differs. A menu may be open under the person's pointer: its entries stay where they can.
    pub(crate) fn show(&mut self, app: &AppHandle, seen: &Seen) -> Result<(), tauri::Error> {
        let menu = Menu::of(seen, &TimeZone::system());
        match edits(&self.shown.items, &menu.items) {
            Some(edits) => {
                for (place, edit) in edits {
                    if let Some(entry) = self.drawn.get(place) {
                        entry.change(&edit)?;
                    }
                }
            }
            None => {
                let (anew, drawn) = system_menu(app, &menu.items)?;
                self.icon.set_menu(Some(anew))?;
                self.drawn = drawn;
            }
        }
        self.shown.items = menu.items;
        if menu.face != self.shown.face {
            self.icon.set_icon_with_as_template(Some(image(menu.face)?), TEMPLATE)?;
            self.shown.face = menu.face;
        }
        if menu.tooltip != self.shown.tooltip {
            self.icon.set_tooltip(Some(&menu.tooltip))?;
            self.shown.tooltip = menu.tooltip;
        }
        Ok(())
    }
}

impl Drawn {
    fn change(&self, edit: &Edit) -> Result<(), tauri::Error> {
        match (self, edit) {
            (Drawn::Entry(entry), Edit::Label(label)) => entry.set_text(plain(label)),
            (Drawn::Entry(entry), Edit::Enabled(enabled)) => entry.set_enabled(*enabled),
            (Drawn::Check(check), Edit::Label(label)) => check.set_text(plain(label)),
            (Drawn::Check(check), Edit::Enabled(enabled)) => check.set_enabled(*enabled),
            (Drawn::Check(check), Edit::Checked(checked)) => check.set_checked(*checked),
            (Drawn::Submenu(submenu), Edit::Label(label)) => submenu.set_text(plain(label)),
            (Drawn::Submenu(submenu), Edit::Enabled(enabled)) => submenu.set_enabled(*enabled),
            // A line stays grey, and nothing else has a tick.
            (Drawn::Separator, _) | (Drawn::Entry(_) | Drawn::Submenu(_), Edit::Checked(_)) => Ok(()),
        }
    }
}

/// What is said may hold the sign by which menus mark the letter of a shortcut.
fn plain(label: &str) -> String {
    label.replace('&', "&&")
}

/// A system that colours icons itself wants their shape alone.
const TEMPLATE: bool = sallyport_platform::desktop::TEMPLATE_ICONS;

fn image(face: Face) -> Result<Image<'static>, tauri::Error> {
    let png: &[u8] = match (face, TEMPLATE) {
        (Face::Protected, false) => include_bytes!("../../../assets/icons/tray-protected.png"),
        (Face::Paused, false) => include_bytes!("../../../assets/icons/tray-paused.png"),
        (Face::Attention, false) => include_bytes!("../../../assets/icons/tray-attention.png"),
        (Face::Off, false) => include_bytes!("../../../assets/icons/tray-off.png"),
        (Face::Protected, true) => include_bytes!("../../../assets/icons/tray-protected-template.png"),
        (Face::Paused, true) => include_bytes!("../../../assets/icons/tray-paused-template.png"),
        (Face::Attention, true) => include_bytes!("../../../assets/icons/tray-attention-template.png"),
        (Face::Off, true) => include_bytes!("../../../assets/icons/tray-off-template.png"),
    };
    Image::from_bytes(png)
}

fn system_menu(app: &AppHandle, items: &[Item]) -> Result<(SystemMenu<Wry>, Vec<Drawn>), tauri::Error> {
    let (menu, mut drawn) = (SystemMenu::new(app)?, Vec::new());
    for item in items {
        menu.append(&*system_item(app, item, &mut drawn)?)?;
    }
    Ok((menu, drawn))
}

fn system_item(
    app: &AppHandle,
    item: &Item,
    drawn: &mut Vec<Drawn>,
) -> Result<Box<dyn IsMenuItem<Wry>>, tauri::Error> {
    Ok(match item {
        Item::Line(line) => {
            let entry = MenuItem::new(app, plain(line), false, None::<&str>)?;
            drawn.push(Drawn::Entry(entry.clone()));
            Box::new(entry)
        }
        Item::Button { act, label, enabled } => {
            let entry = MenuItem::with_id(app, act.id(), plain(label), *enabled, None::<&str>)?;
            drawn.push(Drawn::Entry(entry.clone()));
            Box::new(entry)
        }
        Item::Check { act, label, checked, enabled } => {
            let check =
                CheckMenuItem::with_id(app, act.id(), plain(label), *enabled, *checked, None::<&str>)?;
            drawn.push(Drawn::Check(check.clone()));
            Box::new(check)
        }
        Item::Submenu { label, enabled, items } => {
            let submenu = Submenu::new(app, plain(label), *enabled)?;
            drawn.push(Drawn::Submenu(submenu.clone()));
            for item in items {
                submenu.append(&*system_item(app, item, drawn)?)?;
            }
            Box::new(submenu)
        }
        Item::Separator => {
            drawn.push(Drawn::Separator);
            Box::new(PredefinedMenuItem::separator(app)?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_marks_no_shortcut() {
        assert_eq!(plain("https://vault.example/?a&b"), "https://vault.example/?a&&b");
    }

    #[test]
    fn every_face_has_an_icon_of_its_own() {
        let icons: Vec<_> = Face::ALL.map(|face| image(face).unwrap()).into();
        for (i, icon) in icons.iter().enumerate() {
            assert_eq!((icon.width(), icon.height()), (64, 64));
            assert!(icons.iter().skip(i + 1).all(|other| other.rgba() != icon.rgba()));
        }
    }

    /// Nobody can ask a panel for its colour: the icons must stand out on light and dark ones alike.
    #[test]
    fn icons_are_seen_on_light_and_dark_panels() {
        for face in Face::ALL {
            let icon = image(face).unwrap();
            let solid = icon.rgba().chunks_exact(4).filter(|pixel| pixel[3] == 255);
            let light: Vec<f64> = solid.map(luminance).collect();
            let mean = light.iter().sum::<f64>() / light.len() as f64;
            for panel in [[0x1e, 0x1e, 0x1e], [0xf2, 0xf2, 0xf2]] {
                let panel = luminance(&panel);
                let (high, low) = (mean.max(panel), mean.min(panel));
                let contrast = (high + 0.05) / (low + 0.05);
                assert!(contrast >= 3.0, "{face:?}: {contrast:.1}");
            }
        }
    }

    /// WCAG's relative luminance.
    fn luminance(rgb: &[u8]) -> f64 {
        let channel = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(rgb[0]) + 0.7152 * channel(rgb[1]) + 0.0722 * channel(rgb[2])
    }
}
