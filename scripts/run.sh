#!/usr/bin/env bash
# `make run`: builds the binary, starts the engine on its embedded defaults, lets it prove itself with a canary secret,
# and says how to point a tool at it. Where there is a display the tray app starts beside it. Everything stays in the
# foreground; Ctrl-C ends it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

programs=(-p sallyport-cli)
if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || [ "$(uname)" = Darwin ]; then
  scripts/setup.sh desktop
  make --no-print-directory ui
  programs+=(-p sallyport-desktop)
fi
cargo build --locked --profile dist "${programs[@]}"
sallyport=${CARGO_TARGET_DIR:-target}/dist/sallyport

if "$sallyport" status --json >/dev/null 2>&1; then
  echo "An engine is running already; the self-test goes to that one."
else
  log=$(mktemp -t sallyport-run.XXXXXX)
  "$sallyport" daemon >"$log" 2>&1 &
  engine=$!
  trap 'kill -- ${desktop:+-$desktop} "$engine" 2>/dev/null; wait "$engine" 2>/dev/null; rm -f "$log"' EXIT
  trap 'exit 0' INT TERM
  for _ in $(seq 100); do
    "$sallyport" status --json >/dev/null 2>&1 && break
    kill -0 "$engine" 2>/dev/null || { cat "$log" >&2; echo "error: the engine ended before it listened; its words are above." >&2; exit 1; }
    sleep 0.1
  done
fi

"$sallyport" self-test
echo
echo "Start a tool through it:   $sallyport exec -- claude"
echo "Or a whole shell:          eval \"\$($sallyport env)\""
echo "So that it is found:       export PATH=$(cd "$(dirname "$sallyport")" && pwd):\$PATH"
if [ "${#programs[@]}" -gt 2 ]; then
  # In a group of its own: after a window was closed another process of the app takes over.
  set -m
  "${CARGO_TARGET_DIR:-target}/dist/sallyport-desktop" &
  desktop=$!
  set +m
  echo
  echo "The icon is in your panel; it opened its window."
fi
if [ -n "${engine:-}" ]; then
  echo
  echo "The engine runs until Ctrl-C."
  wait "$engine"
fi
