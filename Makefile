# The one menu of tasks; CI calls the same targets.
CARGO ?= cargo
BIN := target/debug

.PHONY: help demo test lint generate check-generated dist clean build

help: ## this menu
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

build: ## gastown, the harness, the operator, the plugin
	$(CARGO) build --locked --workspace --bins
	@ln -sfn $(BIN)/gastown gastown

demo: ## eight tasks slung, tested and landed on this machine (the first build takes about 3 minutes on two cores)
	@test -x $(BIN)/gastown || echo "building; the first time takes about 3 minutes on two cores"
	@$(CARGO) build --locked --quiet --workspace --bins
	@ln -sfn $(BIN)/gastown gastown
	@demo/run.sh $(BIN)/gastown

test: ## everything that is tested in Rust and sh (about 6 minutes cold)
	$(CARGO) test --locked --workspace
	demo/test-check.sh

lint: ## rustfmt, clippy with all warnings denied, generated files in step
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(MAKE) --no-print-directory check-generated

generate: ## CRDs and their reference from the types
	$(CARGO) run --locked --quiet -p xtask -- generate

check-generated:
	$(CARGO) run --locked --quiet -p xtask -- check

dist: ## release binaries; the harness static and small
	RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --locked --profile dist-small --target x86_64-unknown-linux-gnu -p gastown-harness
	$(CARGO) build --locked --release -p gastown -p gastown-operator -p kubectl-gt
	mkdir -p dist
	cp target/x86_64-unknown-linux-gnu/dist-small/gastown-harness target/release/gastown target/release/gastown-operator target/release/kubectl-gt dist/

clean: ## what builds and demos leave
	$(CARGO) clean
	rm -rf dist .demo gastown
