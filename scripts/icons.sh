#!/usr/bin/env bash
# Draws the PNGs of assets/icons from their SVGs: tray icons at twice the size of a large panel, the app's at 512.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../assets/icons"
command -v rsvg-convert >/dev/null || { echo "icons: error: rsvg-convert is missing (Debian: librsvg2-bin)" >&2; exit 1; }
for svg in tray-*.svg; do
  rsvg-convert --width 64 --height 64 --output "${svg%.svg}.png" "$svg"
done
rsvg-convert --width 512 --height 512 --output app.png app.svg
