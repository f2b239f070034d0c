"""How long engines take from their start to listening and to their first answer, and what they weigh at rest.

    bench/start.py BINARY...

Each in an empty home, interleaved; medians. Linux alone, since it reads /proc. On a busy machine the milliseconds hold others'
time as well; processor time does not.
"""

import http.client
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 5
REST = 6


def main() -> None:
    rows: dict[str, list[tuple[float, ...]]] = {binary: [] for binary in sys.argv[1:]}
    for _ in range(ROUNDS):
        for binary, measured in rows.items():
            measured.append(once(binary))
    for binary, measured in rows.items():
        listening, answer, processor, resident, anonymous = map(statistics.median, zip(*measured))
        print(
            f"{binary}: listening after {listening:.0f} ms, first answer after {answer:.0f} ms, "
            f"{processor:.0f} ms of processor time; {resident:.1f} MB at rest, {anonymous:.1f} of them its own"
        )


def once(binary: str) -> tuple[float, ...]:
    home = tempfile.mkdtemp(prefix="sallyport-start-")
    log = os.path.join(home, "log")
    environment = {"PATH": os.environ["PATH"], "HOME": home, "SALLYPORT_HOME": home}
    started = time.perf_counter()
    with open(log, "w") as out:
        engine = subprocess.Popen([binary, "daemon"], env=environment, stdout=out, stderr=out)
    try:
        while not (found := re.search(r"listening listen=127\.0\.0\.1:(\d+)", read(log))):
            if engine.poll() is not None:
                sys.exit(f"the engine ended: {read(log)}")
            time.sleep(0.0005)
        listening = time.perf_counter() - started
        connection = http.client.HTTPConnection("127.0.0.1", int(found.group(1)), timeout=30)
        connection.request("GET", "/")
        connection.getresponse().read()
        answer = time.perf_counter() - started
        connection.close()
        time.sleep(REST)
        tasks = f"/proc/{engine.pid}/task"
        processor = sum(int(read(f"{tasks}/{task}/schedstat").split()[0]) for task in os.listdir(tasks)) / 1e6
        status = read(f"/proc/{engine.pid}/status")
        resident, anonymous = (int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1024 for name in ("VmRSS", "RssAnon"))
        return listening * 1e3, answer * 1e3, processor, resident, anonymous
    finally:
        engine.terminate()
        engine.wait()
        shutil.rmtree(home)


def read(file: str) -> str:
    with open(file) as text:
        return text.read()


if __name__ == "__main__":
    main()
