"""A desktop for one test: window manager, panel, popups, a driver of the window, and the tray's menu over D-Bus."""

import ast
import base64
import json
import random
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

# Long, since it is only waited for on machines that have much else to do.
PATIENCE = 120.0


class InVain(AssertionError):
    """What was waited for did not come."""


def wait_for(what, condition, patience=PATIENCE):
    """Polls until the condition gives something true, and gives that."""
    end = time.monotonic() + patience
    last = None
    while time.monotonic() < end:
        try:
            found = condition()
            if found:
                return found
        # Whatever a look stumbles over is about to come, to go or to be drawn anew.
        except Exception as error:
            if isinstance(error, AssertionError) and not isinstance(error, InVain):
                raise
            last = error
        time.sleep(0.1)
    raise InVain(f"waited {patience:.0f} s in vain for {what}" + (f" (last trouble: {last!r})" if last else "")) from last


def free_port():
    """A port that is free and that the system hands to nobody meanwhile: below those that it gives away itself."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(lowest // 2, lowest)
        try:
            with socket.socket() as free:
                free.bind(("127.0.0.1", port))
            return port
        except OSError:
            continue


def ended(pid):
    """Whether a process is gone, or is dead and waits to be noticed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


class Popup(NamedTuple):
    title: str
    body: str
    # What can be clicked, by the words of the buttons.
    buttons: tuple
    # The desktop's own number of it; None until the desktop has taken it.
    number: int | None


class BusError(Exception):
    """What the called program, or the bus, said instead of an answer."""


def gdbus(*arguments):
    done = subprocess.run(["gdbus", "call", "--session", "--timeout", "60", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise BusError(done.stderr.strip())
    return done.stdout.strip()


def owned(name):
    # Asking the bus, not the name: a call to the name would start whichever daemon is installed.
    return "true" in gdbus(
        "--dest", "org.freedesktop.DBus", "--object-path", "/org/freedesktop/DBus",
        "--method", "org.freedesktop.DBus.NameHasOwner", name,
    )


class Session:
    """What runs beside the app; everything that was started is ended."""

    def __init__(self, work):
        self.work = Path(work)
        self.processes = []
        self.named = {}

    def start(self, name, *command, **more):
        log = open(self.work / f"{name}.log", "ab")
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **more)
        self.processes.append(process)
        self.named[name] = process
        return process

    def log(self, name):
        file = self.work / f"{name}.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def desktop(self):
        self.start("openbox", "openbox")
        wait_for("a window manager", lambda: not subprocess.run(["xdotool", "get_desktop"], capture_output=True).returncode)
        self.start("xfconfd", "/usr/lib/x86_64-linux-gnu/xfce4/xfconf/xfconfd")
        wait_for("the desktop's settings", lambda: owned("org.xfce.Xfconf"))

        def setting(channel, name, *value):
            command = ["xfconf-query", "-c", channel, "-p", name, "-n", *value]
            wait_for(f"the setting {name}", lambda: not subprocess.run(command, capture_output=True).returncode)

        panel = [
            ("/configver", "-t", "int", "-s", "2"),
            ("/panels", "-a", "-t", "int", "-s", "1"),
            ("/panels/panel-1/position", "-t", "string", "-s", "p=8;x=640;y=780"),
            ("/panels/panel-1/position-locked", "-t", "bool", "-s", "true"),
            ("/panels/panel-1/length", "-t", "uint", "-s", "100"),
            ("/panels/panel-1/size", "-t", "uint", "-s", "36"),
            ("/panels/panel-1/plugin-ids", "-a", "-t", "int", "-s", "1"),
            ("/plugins/plugin-1", "-t", "string", "-s", "systray"),
        ]
        for name, *value in panel:
            setting("xfce4-panel", name, *value)
        setting("xfce4-notifyd", "/notify-location", "-t", "uint", "-s", "2")
        self.start("panel", "xfce4-panel", "--disable-wm-check")
        self.start("notifyd", "/usr/lib/x86_64-linux-gnu/xfce4/notifyd/xfce4-notifyd")
        wait_for("a tray", lambda: owned("org.kde.StatusNotifierWatcher"))
        wait_for("a daemon for popups", lambda: owned("org.freedesktop.Notifications"))
        self.start("bus", "dbus-monitor", "--session", "interface='org.freedesktop.Notifications',member='Notify'",
                   "interface='org.freedesktop.Notifications',member='NotificationClosed'",
                   "type='method_return',sender='org.freedesktop.Notifications'")
        self.start("watcher", "dbus-monitor", "--session", "type='signal',interface='org.kde.StatusNotifierWatcher'")
        # The bus's greeting is what they hear first; what came before would be missed.
        wait_for("ears on the bus", lambda: all("NameLost" in self.log(name) for name in ("bus", "watcher")))

    def popups(self):
        """The popups that were asked for."""
        messages = re.split(r"^(?=\S)", self.log("bus"), flags=re.MULTILINE)
        numbers = {}
        for message in messages:
            if reply := re.match(r"method return .* destination=(\S+) .*reply_serial=(\d+)\n   uint32 (\d+)\n", message):
                numbers[reply.group(1), reply.group(2)] = int(reply.group(3))
        found = []
        for message in messages:
            call = re.match(r"method call .* sender=(\S+) .* serial=(\d+) .*member=Notify\n", message)
            # The time it stays is said last.
            if call and re.search(r"^   int32 -?\d+\n", message, re.MULTILINE):
                name, _icon, title, body = re.findall(r'^   string "(.*)"$', message, re.MULTILINE)
                words = tuple(re.findall(r'^      string "(.*)"$', message, re.MULTILINE)[1::2])
                if name == "Sallyport":
                    found.append(Popup(title, body, words, numbers.get(call.groups())))
        return found

    def taken_away(self):
        """How many popups were closed because they were asked to be, not by a person nor by time."""
        return len(re.findall(r"member=NotificationClosed\n   uint32 \d+\n   uint32 3$", self.log("bus"), re.MULTILINE))

    def icon_changes(self):
        """What the tray said of icons that came (1) and went (-1)."""
        said = re.findall(r"member=StatusNotifierItem(Registered|Unregistered)", self.log("watcher"))
        return [1 if member == "Registered" else -1 for member in said]

    def picture(self, folder, name):
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            subprocess.run(["import", "-window", "root", f"{folder}/{name}.png"], check=False)

    def picture_of_menu(self, folder, name):
        """The tray's menu as the panel draws it: a click on the icon, and away again."""
        if folder:
            subprocess.run(["xdotool", "mousemove", "12", "782", "click", "1"], check=True)
            # Only for pictures: a menu can't be told from the panel's other windows.
            time.sleep(0.5)
            self.picture(folder, name)
            subprocess.run(["xdotool", "key", "Escape"], check=True)

    def close(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class TrayMenu:
    """The menu as the panel gets it: StatusNotifierItem and com.canonical.dbusmenu."""

    def __init__(self):
        self.bus, self.path = wait_for("the app's tray icon", self._find)

    @staticmethod
    def icons():
        """The icons that the panel was given, each with its owner on the bus and its path."""
        return [item.split("/", 1) for item in re.findall(r"'([^']+)'", gdbus(
            "--dest", "org.kde.StatusNotifierWatcher", "--object-path", "/StatusNotifierWatcher",
            "--method", "org.freedesktop.DBus.Properties.Get",
            "org.kde.StatusNotifierWatcher", "RegisteredStatusNotifierItems",
        ))]

    @staticmethod
    def owner(bus):
        """The process behind a name on the bus."""
        answer = gdbus("--dest", "org.freedesktop.DBus", "--object-path", "/org/freedesktop/DBus",
                       "--method", "org.freedesktop.DBus.GetConnectionUnixProcessID", bus)
        return int(re.search(r"(\d+),?\)$", answer).group(1))

    @classmethod
    def processes(cls):
        """Who has an icon in the panel."""
        return {cls.owner(bus) for bus, _path in cls.icons()}

    @classmethod
    def _find(cls):
        for bus, path in cls.icons():
            menu = gdbus("--dest", bus, "--object-path", "/" + path, "--method", "org.freedesktop.DBus.Properties.Get",
                         "org.kde.StatusNotifierItem", "Menu")
            return bus, re.search(r"objectpath '([^']+)'", menu).group(1)
        return None

    def items(self):
        """Label to (id, checked or None, enabled)."""
        layout = gdbus("--dest", self.bus, "--object-path", self.path, "--method", "com.canonical.dbusmenu.GetLayout",
                       "0", "--", "-1", "[]")
        found = {}
        for number, properties in re.findall(r"<\(((?:int32 )?\d+), (\{.*?\}|@a\{sv\} \{\}), (?:@av )?\[", layout):
            label = re.search(r"'label': <'((?:[^'\\]|\\.)*)'>", properties)
            checked = re.search(r"'toggle-state': <(?:int32 )?(-?\d+)>", properties)
            if label:
                text = ast.literal_eval(f"'{label.group(1)}'").replace("_", "")
                found[text] = (
                    int(number.replace("int32 ", "")),
                    int(checked.group(1)) if checked else None,
                    "'enabled': <false>" not in properties,
                )
        return found

    def click(self, label):
        """One click that arrives: a menu that changes between the look and the click takes the old entries away."""
        def clicked():
            item = self.items().get(label)
            if not item:
                return False
            try:
                gdbus("--dest", self.bus, "--object-path", self.path, "--method", "com.canonical.dbusmenu.Event",
                      str(item[0]), "clicked", "<int32 0>", str(int(time.time()) & 0x7FFFFFFF))
            except BusError as error:
                assert self.items().get(label) != item, f"“{label}” is there and can't be clicked: {error}"
                return False
            return True

        wait_for(f"the tray's “{label}”", clicked)


class WebDriverError(Exception):
    pass


class Window:
    """The app's window by WebKitWebDriver, with the standard library alone."""

    def __init__(self, port, binary, arguments=(), patience=PATIENCE):
        self.root = f"http://127.0.0.1:{port}"
        wait_for("the driver", lambda: self._call("GET", "/status"))
        options = {"webkitgtk:browserOptions": {"binary": str(binary), "args": list(arguments)}}
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": options}}, patience)
        self.session = f"/session/{session['sessionId']}"

    def _call(self, method, path, body=None, patience=PATIENCE):
        request = urllib.request.Request(
            self.root + path, method=method, headers={"Content-Type": "application/json"},
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=patience) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise WebDriverError(f"{path}: {error.read().decode(errors='replace')[:300]}") from error

    def run(self, script, *arguments):
        return self._call("POST", self.session + "/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector="body"):
        return self.run("const e = document.querySelector(arguments[0]); return e ? e.innerText : ''", selector)

    def click(self, selector, text=""):
        """Clicks, as a person would, what matches and holds the text, once it stays where it is."""
        find = """
            const [selector, text] = arguments;
            const all = [...document.querySelectorAll(selector)];
            const found = all.find((e) => e.innerText.includes(text) && !e.disabled);
            return found ? [found, JSON.stringify(found.getBoundingClientRect())] : null;
        """
        def click():
            found = self.run(find, selector, text)
            time.sleep(0.05)
            # What is drawn anew or moved between the look and the click would leave the click to something else.
            if not found or self.run(find, selector, text) != found:
                return False
            # Nothing behind a dialog can be clicked until it has gone.
            self._call("POST", f"{self.session}/element/{next(iter(found[0].values()))}/click", {})
            return True

        wait_for(f"{selector} “{text}”", click)

    def type(self, selector, text):
        """Types until the field holds the text: one that is drawn anew forgets what was typed."""
        def typed():
            element = self.run("return document.querySelector(arguments[0])", selector)
            if not element:
                return False
            path = f"{self.session}/element/{next(iter(element.values()))}"
            if self.run("return arguments[0].value", element) != text:
                self._call("POST", path + "/clear", {})
                self._call("POST", path + "/value", {"text": text})
            return self.run("return document.querySelector(arguments[0]).value", selector) == text

        wait_for(f"“{text}” in {selector}", typed)

    def go(self, page):
        self.run("location.hash = arguments[0]", page)

    def picture(self, file):
        Path(file).write_bytes(base64.b64decode(self._call("GET", self.session + "/screenshot")))

    def close(self):
        try:
            self._call("DELETE", self.session)
        except (WebDriverError, OSError):
            pass
