#!/usr/bin/env bash
# Installs what a bare Debian 12 lacks, once: `setup.sh run` (a compiler), `desktop` (what the tray app is built from), `test` (everything the tests start),
# `bench` (the peers), `lint` (cargo-deny) or `xcheck` (cross C compilers). Everything comes from the package registries that apt, pip,
# npm and cargo are set up with; nothing else is fetched. A finished profile is a stamp in the cache folder,
# named after the hash of the files that define it, so a second call costs milliseconds.
set -euo pipefail

profile=${1:-run}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${SALLYPORT_DEV:-${XDG_CACHE_HOME:-$HOME/.cache}/sallyport-dev}
mkdir -p "$cache"

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: error: %s\n' "$1" >&2; [ $# -lt 2 ] || printf 'setup: hint: %s\n' "$2" >&2; exit 1; }

case $profile in
  run | desktop) definition=("$here/setup.sh") ;;
  test)   definition=("$here/setup.sh" "$here/requirements-test.txt" "$here/npm/package.json" "$here/npm/package-lock.json") ;;
  lint)   definition=("$here/setup.sh" "$here/requirements-test.txt") ;;
  bench)  definition=("$here/setup.sh" "$here/requirements-bench.txt" "$here/npm/package.json" "$here/npm/package-lock.json") ;;
  xcheck) definition=("$here/setup.sh") ;;
  *) die "there is no profile '$profile'" "use run, desktop, test, lint, bench or xcheck" ;;
esac
stamp=$cache/stamps/$profile-$(cat "${definition[@]}" | sha256sum | cut -c1-16)
[ -e "$stamp" ] && exit 0

# One set-up at a time: two `make` runs side by side must not fight over one venv.
exec 9>"$cache/setup.lock"
flock 9
[ -e "$stamp" ] && exit 0

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "root is needed for: $*" "run this once as root, or install sudo"
  fi
}

# Installs the Debian packages among the arguments that are not there yet.
debian() {
  local missing=() p
  for p in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "these Debian packages are missing: ${missing[*]}" "install their like with your package manager"
  say "apt: ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$cache/apt.log" 2>&1 ||
    { tail -20 "$cache/apt.log" >&2; die "apt-get could not install ${missing[*]}"; }
}

toolchain() {
  command -v cargo >/dev/null || die "cargo is not on PATH" "install Rust 1.95 or newer with rustup, then run this again"
  # SQLite, ring and aws-lc bring C sources.
  if ! command -v cc >/dev/null || ! command -v c++ >/dev/null; then debian build-essential; fi
}

# venv NAME REQUIREMENTS: a private Python environment, rebuilt when its list changes.
venv() {
  local dir=$cache/$1 list=$2
  command -v python3 >/dev/null || debian python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || debian python3-venv
  say "pip: $(grep -v '^#' "$list" | tr '\n' ' ')"
  # An interpreter that was upgraded away leaves a venv that cannot start.
  "$dir/bin/python" -c '' 2>/dev/null || { rm -rf "$dir"; python3 -m venv "$dir"; }
  "$dir/bin/python" -m pip install --quiet --disable-pip-version-check -r "$list"
}

node_packages() {
  command -v npm >/dev/null || debian nodejs npm
  local major
  major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$major" -ge 20 ] || die "Node $major is too old for the emulator" "install Node 20 or newer"
  mkdir -p "$cache/npm"
  cp "$here/npm/package.json" "$here/npm/package-lock.json" "$cache/npm/"
  say "npm: $(node -p "Object.entries(require('$cache/npm/package.json').dependencies).map(e => e.join('@')).join(' ')")"
  (cd "$cache/npm" && npm ci --no-audit --no-fund --loglevel=error) || die "npm could not install the packages in scripts/npm/package.json"
}

# What the desktop app is built from: GTK's web view, the tray's library, SVG for its icons, and Node for the pages.
desktop_build() {
  debian file libayatana-appindicator3-dev librsvg2-dev libssl-dev libwebkit2gtk-4.1-dev libxdo-dev pkg-config
  command -v npm >/dev/null || debian nodejs npm
}

# What the desktop app is tested in: a screen, a window manager, a panel with a tray, a daemon that draws popups, a driver of its window.
desktop_test() {
  debian adwaita-icon-theme at-spi2-core dbus-x11 fonts-dejavu-core fonts-inter imagemagick openbox webkit2gtk-driver wmctrl \
    x11-utils xauth xdotool xfce4-notifyd xfce4-panel xvfb
}

case $profile in
  run)
    toolchain ;;
  desktop)
    toolchain
    desktop_build ;;
  lint)
    toolchain
    desktop_build
    venv venv "$here/requirements-test.txt" ;;
  test)
    toolchain
    # strace and iproute2 watch the engine; dbus, gnome-keyring and libsecret are the keychain; openssl, gnutls, nss and
    # Go are verifiers of certificates; chromium is the hostile page's browser; util-linux and procps change uids and mounts;
    # polkitd is asked before protection is weakened; redis-server holds a quota that spans machines.
    debian ca-certificates curl dbus gnome-keyring gnutls-bin golang-go iproute2 libglib2.0-bin libnss3-tools \
      libsecret-tools openssl polkitd procps redis-server strace util-linux
    command -v chromium >/dev/null || debian chromium
    desktop_build
    desktop_test
    venv venv "$here/requirements-test.txt"
    node_packages ;;
  bench)
    toolchain
    venv bench-venv "$here/requirements-bench.txt"
    node_packages ;;
  xcheck)
    toolchain
    # dlltool, windres and a C compiler for the Windows half.
    debian binutils-mingw-w64-x86-64 gcc-mingw-w64-x86-64-posix g++-mingw-w64-x86-64-posix ;;
esac

mkdir -p "$cache/stamps"
rm -f "$cache/stamps/$profile-"*
: >"$stamp"
say "$profile: ready"
