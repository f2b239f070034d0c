//! The thin part: a model's menu as the system's.

use jiff::tz::TimeZone;
use tauri::image::Image;
use tauri::menu::{CheckMenuItem, IsMenuItem, Menu as SystemMenu, MenuItem, PredefinedMenuItem, Submenu};
use tauri::tray::{TrayIcon, TrayIconBuilder};
use tauri::{AppHandle, Wry};

use super::model::{Face, Item, Menu, Seen};

/// The icon and what it shows now.
pub(crate) struct Tray {
    icon: TrayIcon,
    shown: Menu,
}

impl Tray {
    pub(crate) fn new(app: &AppHandle, seen: &Seen) -> Result<Tray, tauri::Error> {
        let shown = Menu::of(seen, &TimeZone::system());
        let icon = TrayIconBuilder::with_id("sallyport")
            .icon(image(shown.face)?)
            .icon_as_template(TEMPLATE)
            .tooltip(&shown.tooltip)
            .menu(&system_menu(app, &shown.items)?)
            .show_menu_on_left_click(true)
            .build(app)?;
        Ok(Tray { icon, shown })
    }

    /// Draws what differs.
    pub(crate) fn show(&mut self, app: &AppHandle, seen: &Seen) -> Result<(), tauri::Error> {
        let menu = Menu::of(seen, &TimeZone::system());
        if menu.items != self.shown.items {
            self.icon.set_menu(Some(system_menu(app, &menu.items)?))?;
        }
        if menu.face != self.shown.face {
            self.icon.set_icon_with_as_template(Some(image(menu.face)?), TEMPLATE)?;
        }
        if menu.tooltip != self.shown.tooltip {
            self.icon.set_tooltip(Some(&menu.tooltip))?;
        }
        self.shown = menu;
        Ok(())
    }
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

fn system_menu(app: &AppHandle, items: &[Item]) -> Result<SystemMenu<Wry>, tauri::Error> {
    let menu = SystemMenu::new(app)?;
    for item in items {
        menu.append(&*system_item(app, item)?)?;
    }
    Ok(menu)
}

fn system_item(app: &AppHandle, item: &Item) -> Result<Box<dyn IsMenuItem<Wry>>, tauri::Error> {
    Ok(match item {
        Item::Line(line) => Box::new(MenuItem::new(app, line, false, None::<&str>)?),
        Item::Button { act, label, enabled } => {
            Box::new(MenuItem::with_id(app, act.id(), label, *enabled, None::<&str>)?)
        }
        Item::Check { act, label, checked, enabled } => {
            Box::new(CheckMenuItem::with_id(app, act.id(), label, *enabled, *checked, None::<&str>)?)
        }
        Item::Submenu { label, enabled, items } => {
            let submenu = Submenu::new(app, label, *enabled)?;
            for item in items {
                submenu.append(&*system_item(app, item)?)?;
            }
            Box::new(submenu)
        }
        Item::Separator => Box::new(PredefinedMenuItem::separator(app)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
