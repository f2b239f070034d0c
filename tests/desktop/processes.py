"""Processes of the app as the system tells of them: whose children they are, what they take, and their end."""

import os
import signal
import time
from pathlib import Path

from session import wait_for


def name_of(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()


def memory(pid):
    """Resident megabytes, and ticks of processor time, of a process and everything it started."""
    megabytes = ticks = 0
    for process in [pid, *descendants(pid)]:
        try:
            status = Path(f"/proc/{process}/status").read_text()
            stat = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        # One that has ended and waits to be noticed holds none.
        megabytes += int(next((line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")), 0)) / 1024
        ticks += int(stat[11]) + int(stat[12])
    return megabytes, ticks


def descendants(pid):
    found = []
    for task in Path("/proc").iterdir():
        if task.name.isdigit():
            try:
                parent = int((task / "stat").read_text().rsplit(")", 1)[1].split()[1])
                name = name_of(task.name)
            except OSError:
                continue
            # The engine is started by the app but is not part of it.
            if parent == pid and name != "sallyport":
                found += [int(task.name), *descendants(int(task.name))]
    return found


def end(driver):
    """Ends the app that a driver started."""
    for process in reversed(descendants(driver)):
        try:
            os.kill(process, signal.SIGTERM)
        except ProcessLookupError:
            pass
    wait_for("the app's end", lambda: not descendants(driver))


def quiet(pid):
    before = memory(pid)[1]
    time.sleep(1)
    return memory(pid)[1] == before
