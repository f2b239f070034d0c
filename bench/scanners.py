"""Scanning speed beside the scanners that people use, over the same files in one run.

    bench/scanners.py BENCH-BINARY NODE-MODULES [DIRECTORY...]

BENCH-BINARY is the one that `cargo bench -p sallyport-detect --no-run` leaves. Copies the text files of the directories
(by default this repository's own) into one corpus of about 8 MB, then measures every way in turn, five rounds, and prints the
median: megabytes a second of processor time, all threads together, so that a busy machine disturbs less. Processes are charged with
their start, which is measured beside and taken off: on an empty folder.
"""

import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hyperscan

from naive import NAIVE

ROUNDS = 5
BYTES = int(os.environ.get("SALLYPORT_BENCH_BYTES", 8 << 20))
HERE = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def corpus(into: Path, sources: list[Path]) -> int:
    """Text files once each, then again under other names until there is enough."""
    texts = []
    for source in sources:
        for path in sorted(source.rglob("*")):
            hidden = any(part.startswith(".") or part in ("target", "node_modules") for part in path.parts)
            if path.is_file() and not hidden and path.suffix in (".rs", ".md", ".py", ".sh", ".yaml", ".toml", ".json"):
                texts.append((path.suffix, path.read_text(errors="replace")))
    total = number = 0
    while total < BYTES:
        for suffix, text in texts:
            (into / f"{number:05}{suffix}").write_text(text)
            total += len(text.encode())
            number += 1
            if total >= BYTES:
                break
    return total


def run(command: list[str], **options) -> float:
    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = spent()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, **options)
    # Findings are told by the exit code, by each in its own way; a command line that was not understood, by too little work.
    if done.returncode and any(word in done.stderr for word in (b"error: ", b"FTL")):
        raise SystemExit(f"{command[0]}: {done.stderr.decode(errors='replace').strip().splitlines()[-1]}")
    return spent() - before


def ours(binary: str, folder: Path) -> dict[str, float]:
    said = subprocess.run(
        [binary, "--bench", "corpus"], env={**os.environ, "SALLYPORT_BENCH_CORPUS": str(folder)}, capture_output=True, text=True, check=True
    ).stdout
    return {name.strip(): float(speed) for name, speed in re.findall(r"^(corpus: .+?)\s+(\d+) MB/s", said, re.M)}


def same_rules(binary: str) -> hyperscan.Database:
    """Our own rules in Hyperscan, those that it can compile."""
    said = subprocess.run([binary, "--bench", "patterns"], capture_output=True, text=True, check=True).stdout
    regexes = [json.loads(line) for line in said.splitlines()]
    patterns = []
    for regex in regexes:
        pattern = re.sub(r"\(\?P<\w+>", "(?:", regex).encode()
        flags = hyperscan.HS_FLAG_SINGLEMATCH
        try:
            hyperscan.Database().compile(expressions=[pattern], ids=[0], elements=1, flags=[flags])
            patterns.append((pattern, flags))
        except hyperscan.error:
            pass
    database = hyperscan.Database()
    database.compile(
        expressions=[pattern for pattern, _ in patterns], ids=list(range(len(patterns))), elements=len(patterns), flags=[flags for _, flags in patterns]
    )
    print(f"hyperscan compiles {len(patterns)} of {len(regexes)} rules", flush=True)
    return database


def main() -> None:
    binary, node_modules, *sources = sys.argv[1:]
    with tempfile.TemporaryDirectory() as held:
        folder, empty = Path(held) / "corpus", Path(held) / "empty"
        folder.mkdir()
        empty.mkdir()
        size = corpus(folder, [Path(source) for source in sources] or [HERE / name for name in ("crates", "docs", "assets", "tests", "scripts")])
        texts = [path.read_bytes() for path in sorted(folder.iterdir())]
        strings = [text.decode() for text in texts]
        database = same_rules(binary)
        config = Path(held) / "secretlintrc.json"
        config.write_text(json.dumps({"rules": [{"id": "@secretlint/secretlint-rule-preset-recommend"}]}))

        def scan_hyperscan() -> float:
            started = time.process_time()
            for text in texts:
                database.scan(text, match_event_handler=lambda *_: None)
            return time.process_time() - started

        def scan_naive() -> float:
            started = time.process_time()
            for text in strings:
                for pattern in NAIVE:
                    for _ in pattern.finditer(text):
                        pass
            return time.process_time() - started

        def process(command, **options):
            return lambda: run([str(part) for part in command(folder)], **options) - run([str(part) for part in command(empty)], **options)

        secretlint = Path(node_modules) / ".bin/secretlint"
        ways = {
            "hyperscan, our rules, first match of each a file": scan_hyperscan,
            "the naive list in Python": scan_naive,
            "Kingfisher": process(lambda at: [BIN / "kingfisher", "scan", at, "--no-validate", "--jobs", "1", "--no-update-check"]),
            "Betterleaks": process(lambda at: [BIN / "betterleaks", at], env={**os.environ, "GOMAXPROCS": "1"}),
            "detect-secrets": process(lambda at: [BIN / "detect-secrets", "--cores", "1", "scan", "--all-files", "--no-verify", at], cwd=held),
            "secretlint": process(lambda at: [secretlint, "--secretlintrc", config, f"{at}/**/*"], cwd=Path(node_modules).parent),
        }
        speeds: dict[str, list[float]] = {}
        for round_number in range(ROUNDS):
            for name, speed in ours(binary, folder).items():
                speeds.setdefault(name, []).append(speed)
            for name, way in ways.items():
                # The slow ones take minutes: once is enough to see by how much.
                if round_number and speeds[name][0] < 2:
                    continue
                speeds.setdefault(name, []).append(size / 1e6 / max(way(), 1e-6))
        shutil.rmtree(folder)
    for name, all_speeds in sorted(speeds.items(), key=lambda item: -statistics.median(item[1])):
        print(f"{name:<58} {statistics.median(all_speeds):>8.1f} MB/s")


if __name__ == "__main__":
    main()
