//! The session's panel, asked over the session bus which icons it was given; and its popups, of which ours can be taken away.

use zbus::blocking::Connection;

const WATCHER: &str = "org.kde.StatusNotifierWatcher";
const PATH: &str = "/StatusNotifierWatcher";

pub(crate) struct Panel(Connection);

impl Panel {
    /// None where no panel keeps a list of icons.
    pub(crate) fn find() -> Option<Panel> {
        let panel = Panel(Connection::session().ok()?);
        panel.items()?;
        Some(panel)
    }

    pub(crate) fn shows_icon_of(&self, process: u32) -> bool {
        let items = self.items().unwrap_or_default();
        items.iter().filter_map(|item| owner(item)).any(|owner| self.process_of(owner) == Some(process))
    }

    fn items(&self) -> Option<Vec<String>> {
        let asked = &(WATCHER, "RegisteredStatusNotifierItems");
        let reply =
            self.0.call_method(Some(WATCHER), PATH, Some("org.freedesktop.DBus.Properties"), "Get", asked);
        let value: zbus::zvariant::OwnedValue = reply.ok()?.body().deserialize().ok()?;
        value.try_into().ok()
    }

    fn process_of(&self, owner: &str) -> Option<u32> {
        let bus = "org.freedesktop.DBus";
        let reply = self.0.call_method(
            Some(bus),
            "/org/freedesktop/DBus",
            Some(bus),
            "GetConnectionUnixProcessID",
            &owner,
        );
        reply.ok()?.body().deserialize().ok()
    }
}

pub(crate) fn popup_number(shown: &dyn std::any::Any) -> Option<u32> {
    shown.downcast_ref::<notify_rust::NotificationHandle>().map(notify_rust::NotificationHandle::id)
}

pub(crate) fn close_popup(id: u32) {
    let Ok(session) = Connection::session() else { return };
    let name = "org.freedesktop.Notifications";
    // One that is gone already is no failure.
    let _ = session.call_method(
        Some(name),
        "/org/freedesktop/Notifications",
        Some(name),
        "CloseNotification",
        &id,
    );
}

/// `:1.42/org/ayatana/NotificationItem/x` is an icon of `:1.42`.
fn owner(item: &str) -> Option<&str> {
    item.split('/').next().filter(|owner| !owner.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_icon_belongs_to_the_connection_before_its_path() {
        assert_eq!(owner(":1.42/org/ayatana/NotificationItem/x"), Some(":1.42"));
        assert_eq!(owner("org.kde.StatusNotifierItem-7-1"), Some("org.kde.StatusNotifierItem-7-1"));
        assert_eq!(owner("/StatusNotifierItem"), None);
    }
}
