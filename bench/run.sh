#!/usr/bin/env bash
# `make bench`: the binary that people install, all ways interleaved in one run. The table goes into docs/performance.md by hand,
# with its date: figures of one machine are no promise.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --locked --profile dist -p sallyport-cli
cargo build --locked --release -p sallyport-bench
target=${CARGO_TARGET_DIR:-target}
sallyport=$target/dist/sallyport
"$target/release/latency" --mitmdump "$SALLYPORT_DEV/bench-venv/bin/mitmdump" --addon bench/regexes.py "$sallyport"
echo; echo "== start and rest"
"$SALLYPORT_DEV/bench-venv/bin/python" bench/start.py "$sallyport"
for bench in "-p sallyport-detect --bench scan" "-p sallyport-wire --bench walk" "-p sallyport-audit --bench append"; do
  echo; echo "== cargo bench $bench"
  # shellcheck disable=SC2086
  cargo bench --locked --quiet $bench
done

echo; echo "== the scanners that people use, over the same files"
scan=$(cargo bench --locked --quiet -p sallyport-detect --bench scan --no-run --message-format=json |
  sed -n 's/.*"executable":"\([^"]*scan[^"]*\)".*/\1/p' | tail -1)
"$SALLYPORT_DEV/bench-venv/bin/python" bench/scanners.py "$scan" "$SALLYPORT_DEV/npm/node_modules"
