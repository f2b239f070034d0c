#!/usr/bin/env bash
# The real tray app on a screen of its own: Xvfb, a session bus, a panel with a tray, a daemon that draws popups. Everything
# it writes goes into one folder that is removed afterwards; SALLYPORT_DESKTOP_SHOTS=DIR keeps pictures of the screen.
# Wants the built programs: `make desktop-test` builds them first. SALLYPORT_DESKTOP_PROFILE=dist looks at what people install
# instead, which nobody can drive: that it can't be, what it costs in the panel, and how fast its window is there.
# It runs as another user, beside a real polkitd on a system bus of its own; that takes root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
profile=${SALLYPORT_DESKTOP_PROFILE:-debug}
target=${CARGO_TARGET_DIR:-$here/../../target}/$profile

work=$(mktemp -d -t sallyport-desktop.XXXXXX)
# Whatever still runs of the test would write into its folder while that is removed: it is ended first, by force at last.
swept() {
  local looks=0 left word=TERM
  # What looks for them is none of them.
  unset SALLYPORT_HOME
  while left=$(grep -lzsxF "SALLYPORT_HOME=$work/sallyport" /proc/[0-9]*/environ | cut -d/ -f3 || true) && [ -n "$left" ]; do
    [ $((looks += 1)) -le 50 ] || word=KILL
    # shellcheck disable=SC2086 # a list of numbers
    kill -s "$word" $left 2>/dev/null || true
    sleep 0.2
  done
  rm -rf "$work"
}
trap swept EXIT
export SALLYPORT_TEST_PYTHON=${SALLYPORT_DEV:-${XDG_CACHE_HOME:-$HOME/.cache}/sallyport-dev}/venv/bin/python
export SALLYPORT_BAO=${SALLYPORT_BAO:-${SALLYPORT_TEST_PYTHON%/*}/bao}
# Where it was built, another user may not be let in.
mkdir "$work/test"
cp "$here"/*.py "$here/../clients/sdk.py" "$target/sallyport" "$target/sallyport-desktop" "$work/test"
[ "$profile" = dist ] || cp "$target/examples/driven" "$work/test"
shots=${SALLYPORT_DESKTOP_SHOTS:-}
export SALLYPORT_TEST_HOME=$HOME
# Before the session bus: what the bus starts inherits its environment.
export HOME=$work/home SALLYPORT_HOME=$work/sallyport
export XDG_CONFIG_HOME=$HOME/.config XDG_DATA_HOME=$HOME/.local/share XDG_CACHE_HOME=$HOME/.cache XDG_STATE_HOME=$HOME/.local/state
export XDG_RUNTIME_DIR=$work/run NO_AT_BRIDGE=1 LIBGL_ALWAYS_SOFTWARE=1 MESA_SHADER_CACHE_DISABLE=true XDG_CURRENT_DESKTOP=XFCE
mkdir -p "$XDG_CONFIG_HOME" "$XDG_DATA_HOME" "$XDG_CACHE_HOME" "$XDG_STATE_HOME" "$XDG_RUNTIME_DIR"
chmod 700 "$XDG_RUNTIME_DIR"
unset DISPLAY WAYLAND_DISPLAY DBUS_SESSION_BUS_ADDRESS HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy

export PATH=$work/test:$PATH
[ -z "$shots" ] || export SALLYPORT_DESKTOP_SHOTS=$work/shots
status=0
"$target/../debug/examples/with_polkit" "$work" \
  xvfb-run -a -s '-screen 0 1280x800x24' dbus-run-session -- \
  python3 "$work/test/desktop.py" --work "$work" --app "$work/test/sallyport-desktop" --driven "$work/test/driven" --profile "$profile" "$@" || status=$?
[ -z "$shots" ] || { mkdir -p "$shots" && cp "$work"/shots/*.png "$shots"; }
exit "$status"
