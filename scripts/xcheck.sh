#!/usr/bin/env bash
# `make xcheck [TARGETS]`: type-checks the workspace for Windows (gnu) and macOS (aarch64) on a Debian machine.
# The toolchain in use has no standard library for those systems, so Debian's own Rust, which ships the library's
# source, is unpacked beside it in the cache folder (never installed) and builds the library on the way. A check never
# links: C code is compiled for Windows by mingw, and for macOS a stand-in only touches the files that a compiler would
# have made. About twenty processor minutes the first time, one or two afterwards. Left out: the whole-product tests, which
# start Linux's own programs, and the tray app, whose web views and Windows icon nobody has brought through it yet.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=${SALLYPORT_DEV:-${XDG_CACHE_HOME:-$HOME/.cache}/sallyport-dev}/xcheck
bin=$work/bin
mkdir -p "$bin" "$work/debs"

unpack() {
  [ -e "$work/unpacked" ] && return
  local version llvm packages
  version=$(apt-cache policy rustc-web | sed -n 's/.*Candidate: \([0-9]*\.[0-9]*\)\..*/\1/p')
  [ -n "$version" ] || { echo "xcheck: error: Debian's rustc-web is not in the package lists; run apt-get update" >&2; exit 1; }
  llvm=$(apt-cache depends rustc-web "libstd-rust-web-$version" | grep -oE 'libllvm[0-9]+' | head -1)
  packages=(rustc-web cargo-web "libstd-rust-web-$version" libstd-rust-web-dev rust-web-src "$llvm"
    libgit2-1.5 libhttp-parser2.9 libmbedcrypto7 libmbedx509-1 libmbedtls14)
  echo "xcheck: fetching and unpacking Rust $version"
  (cd "$work/debs" && apt-get download -qq "${packages[@]}")
  for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$work/root"; done
  rm -rf "$work/debs"
  touch "$work/unpacked"
}

wrappers() {
  local program
  for program in rustc rustdoc cargo; do
    cat >"$bin/$program" <<WRAPPER
#!/bin/sh
LD_LIBRARY_PATH='$work/root/usr/lib/x86_64-linux-gnu' exec '$work/root/usr/bin/$program' "\$@"
WRAPPER
  done
  # Makes whatever output it is asked for, empty.
  cat >"$bin/no-compiler" <<'WRAPPER'
#!/bin/sh
while [ $# -gt 0 ]; do
  if [ "$1" = -o ]; then : >"$2"; exit 0; fi
  shift
done
WRAPPER
  cat >"$bin/no-archiver" <<'WRAPPER'
#!/bin/sh
for word; do case $word in *.a) : >"$word"; exit 0 ;; esac; done
WRAPPER
  chmod +x "$bin"/*
}

check() {
  echo "xcheck: $1"
  env PATH="$bin:$PATH" RUSTC="$bin/rustc" RUSTDOC="$bin/rustdoc" RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$work/target" \
    AWS_LC_SYS_PREBUILT_NASM=1 AWS_LC_SYS_NO_JITTER_ENTROPY=1 \
    "${@:2}" "$bin/cargo" check --locked --keep-going --workspace --exclude sallyport-tests --exclude sallyport-desktop \
    -Zbuild-std=std,panic_abort,panic_unwind --target "$1"
}

unpack
wrappers
for target in ${*:-windows macos}; do
  case $target in
    windows) check x86_64-pc-windows-gnu env ;;
    macos) check aarch64-apple-darwin env SDKROOT=/nonexistent RANLIB_aarch64_apple_darwin=true \
      CC_aarch64_apple_darwin="$bin/no-compiler" CXX_aarch64_apple_darwin="$bin/no-compiler" \
      AR_aarch64_apple_darwin="$bin/no-archiver" ;;
    *) echo "xcheck: error: there is no target '$target'; windows and macos are there" >&2; exit 2 ;;
  esac
done
echo "xcheck: the workspace type-checks"
