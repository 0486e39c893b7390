# One target for each thing that a person does; `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# Where rustup and Go install themselves, for shells that do not know it.
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/local/go/bin

CARGO ?= cargo
tools := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/elb-doctor/tools
scripts := $(wildcard examples/*.sh tests/control-plane/*.sh) .ci/run tests/packages $(addprefix tests/control-plane/,find up down ctl)

.PHONY: help
help: ## List what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do printf '%-18s %s\n' "$$name" "$$text"; done

.PHONY: demo
demo: build ## See it at work on a real API server; leaves nothing behind
	@examples/demo.sh

.PHONY: demo-up
demo-up: build ## The same, and keep it for playing
	@examples/demo.sh up

.PHONY: demo-down
demo-down: ## Stop what demo-up has left
	@examples/demo.sh down

.PHONY: test
test: toolchain control-plane ## Everything that a change must pass, integration tests included
	@[[ $${ELB_DOCTOR_WITHOUT_KERNEL:-} = 1 ]] || tests/packages nft=nftables ip=iproute2 unshare=util-linux
	$(CARGO) test --locked

.PHONY: unit
unit: ## The tests inside the library: no control plane, seconds
	$(CARGO) test --locked --lib

.PHONY: control-plane
control-plane: ## Find, download or build etcd, kube-apiserver and kubectl
	@dir=$$(tests/control-plane/find); echo "control plane: $$dir"

.PHONY: build
build: toolchain ## The program, with debug assertions: target/debug/elb-doctor
	$(CARGO) build --locked

.PHONY: release
release: toolchain ## The program as it is shipped: target/release/elb-doctor
	$(CARGO) build --locked --release

.PHONY: toolchain
toolchain:
	@command -v $(CARGO) >/dev/null || { echo "there is no cargo: install Rust $$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer, https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || tests/packages cc=gcc cc=libc6-dev

.PHONY: lint
lint: toolchain ## Formatting, clippy and shellcheck, warnings denied
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	@tests/packages shellcheck
	shellcheck --external-sources --source-path=SCRIPTDIR $(scripts)

.PHONY: fmt
fmt: ## Format the code
	$(CARGO) fmt

.PHONY: crds
crds: toolchain ## Write crds/ from the types in src/api
	$(CARGO) run --locked --quiet -- crds --dir crds

.PHONY: bench
bench: toolchain ## The benchmarks
	$(CARGO) bench --locked

.PHONY: audit
audit: $(tools)/bin/cargo-deny ## Licences, sources and banned crates of every dependency
	$< --locked check bans licenses sources

.PHONY: audit-advisories
audit-advisories: $(tools)/bin/cargo-deny ## Known vulnerabilities of dependencies; asks the network
	$< --locked check advisories

$(tools)/bin/cargo-deny:
	$(CARGO) install --locked cargo-deny --root $(tools)

.PHONY: docs
docs: toolchain ## Write the program's output in README.md and docs/ anew
	UPDATE_DOCS=1 $(CARGO) test --locked --test docs what_is_shown

.PHONY: clean
clean: ## Remove what was built here (not the control plane's cache)
	@examples/demo.sh down
	$(CARGO) clean
